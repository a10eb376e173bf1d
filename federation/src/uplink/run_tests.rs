//! Uplinks and ingests over links in memory, between real buses in temporary directories.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ocelli_bus::block::{BlockBuilder, EntryHead};
use ocelli_bus::definition::Definition;
use ocelli_bus::record::{DefinitionId, EntryKind, Lane};
use ocelli_bus::{BusOptions, OriginDescription};
use ocelli_model::batch::Batch;
use ocelli_model::clock::{Rng, WallMs};
use ocelli_model::filter::Filter;
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::tier::Tier;
use ocelli_model::unix_seconds::UnixSeconds;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::derive::testing::{append, batch, batches, batches_to};
use crate::derive::{DeriveEnd, DeriveRun, DerivedPolicy, run_derivation};
use crate::frame::{Features, Hello, Role, Welcome};
use crate::ingest::{Audit, IngestEnd, IngestNode, IngestParts, OriginQuota, run_ingest};
use crate::link::testing::{HandClock, peer};
use crate::link::{MemoryFacts, MemorySwitches, memory_pair};
use crate::uplink::uplink_cursor;

struct CountingRng(u64);

impl Rng for CountingRng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0 ^ (self.0 >> 29)
    }
}

/// A node: its bus and what its links share.
struct Node {
    uri: String,
    bus: Arc<Bus>,
    clock: Arc<HandClock>,
    from_peers: Arc<FromPeers>,
    ingest: Arc<IngestNode>,
    audits: mpsc::Receiver<Audit>,
    filter: Option<Filter>,
    /// The upstream that its next link is to get a derived stream for.
    derived_for: Option<&'static str>,
}

impl Node {
    fn open(directory: &Path, (tier, site): (Tier, &str), seed: u64) -> Self {
        let clock = HandClock::new();
        let description = OriginDescription {
            mesh: "mesh".into(),
            tier,
            site: site.into(),
            node: "a".into(),
        };
        let options = BusOptions {
            segment_bytes: 64 * 1024,
            spare_space_bytes: 0,
            low_space_bytes: 0,
            description: Some(description),
            ..BusOptions::default()
        };
        let rng = Box::new(CountingRng(seed));
        let (bus, _) = Bus::open(directory, options, clock.clone(), rng).unwrap();
        let bus = Arc::new(bus);
        let from_peers = Arc::new(FromPeers::default());
        let (send, audits) = mpsc::channel(8);
        let quota_of = Box::new(|_, _: Option<&OriginDescription>| OriginQuota::default());
        let ingest = IngestNode::new(IngestParts {
            bus: Arc::clone(&bus),
            clock: clock.clone(),
            from_peers: Arc::clone(&from_peers),
            quota_of,
            watch: Arc::new(send),
            roster: Arc::default(),
            held_bytes_max: 64 << 20,
        });
        let uri = format!("ocelli://mesh/{tier}/{site}/a");
        Self {
            uri,
            bus,
            clock,
            from_peers,
            ingest,
            audits,
            filter: None,
            derived_for: None,
        }
    }

    /// Defines resources of these ids, called `r` and the id.
    async fn define(&self, site: &str, ids: &[u32]) {
        let mut builder = BlockBuilder::new();
        for id in ids {
            let name = format!("r{id}");
            let fields = ResourceFields {
                identity: [site, "network", "switch", "cisco", &name].map(str::to_owned),
                endpoint: name,
                metadata: BTreeMap::new(),
                created: UnixSeconds::default(),
                plugin: "by-hand".into(),
            };
            let definition = Definition::Resource {
                id: DefinitionId(*id),
                resource: Resource::new(fields).unwrap(),
            };
            let mut body = Vec::new();
            definition.encode(&mut body).unwrap();
            let head = EntryHead::bare(EntryKind::Definition, WallMs(1_000));
            builder.push(&head, &body).unwrap();
        }
        let block = builder.seal().unwrap();
        let answer = self.bus.handle().submit(Lane::Definitions, block).await;
        answer.unwrap().await.unwrap();
    }

    /// Appends a block with an entry of each of these resources.
    async fn append_of(&self, ids: &[u32]) {
        let mut builder = BlockBuilder::new();
        for id in ids {
            let head = EntryHead {
                resource: DefinitionId(*id),
                ..EntryHead::bare(EntryKind::Unknown(200), WallMs(1_000))
            };
            builder.push(&head, format!("of {id}").as_bytes()).unwrap();
        }
        let block = builder.seal().unwrap();
        let answer = self.bus.handle().submit(Lane::Data, block).await.unwrap();
        answer.await.unwrap();
    }

    /// Ids of the resources of a node's entries that stand here, by how often.
    async fn held_ids(&self, of: &Node) -> BTreeMap<u32, u32> {
        let mut reader = self.bus.follow_blocks(ReadFrom::Oldest).unwrap();
        let mut ids = BTreeMap::new();
        while let Some(BlockDelivery::Blocks(blocks)) = reader.next_held().await.unwrap() {
            let data = StreamId::data(of.bus.origin());
            for block in blocks.iter().filter(|it| it.header().stream == data) {
                for entry in block.entries() {
                    if entry.head.kind != EntryKind::Skip {
                        *ids.entry(entry.head.resource.0).or_default() += 1;
                    }
                }
            }
        }
        ids
    }

    /// Waits until nothing of a node is withheld here.
    async fn waits_for_fill(&self, of: &Node) {
        let mut reader = self.bus.follow_blocks(ReadFrom::Oldest).unwrap();
        while !self
            .bus
            .skipped_of(StreamId::data(of.bus.origin()))
            .is_empty()
        {
            reader.next().await.unwrap();
        }
    }

    /// Appends `count` entries as one block.
    async fn append(&self, text: &str, count: u32) {
        let mut builder = BlockBuilder::new();
        for number in 0..count {
            let head = EntryHead::bare(EntryKind::Unknown(200), WallMs(1_000));
            let body = format!("{text} {number}");
            builder.push(&head, body.as_bytes()).unwrap();
        }
        let block = builder.seal().unwrap();
        let answer = self.bus.handle().submit(Lane::Data, block).await.unwrap();
        answer.await.unwrap();
    }

    /// All blocks that are held of the streams that `of` holds, their bytes in order.
    async fn blocks(&self, of: &Node) -> Vec<Bytes> {
        let mut bytes = Vec::new();
        for (stream, ranges) in of.bus.coverage() {
            let mut at = Seq(1);
            while at <= ranges.highest() {
                let last = ranges.highest();
                let range = SeqRange { first: at, last };
                let found = self.bus.blocks_of(stream, range, 1 << 20).await.unwrap();
                let Some(end) = found.last() else {
                    break;
                };
                at = end.range().last.next();
                bytes.extend(found.iter().map(|block| block.bytes().clone()));
            }
        }
        bytes
    }

    /// Waits until all that `other` holds is here.
    async fn waits_for(&self, other: &Node) {
        let mut reader = self.bus.follow_blocks(ReadFrom::Oldest).unwrap();
        loop {
            let has = |(stream, ranges): &(StreamId, ocelli_bus::SeqRanges)| {
                self.bus.coverage_of(*stream).covers(ranges)
            };
            if other.bus.coverage().iter().all(has) {
                return;
            }
            reader.next().await.unwrap();
        }
    }

    /// Blocks in the log, each time that one was stored.
    async fn stored(&self) -> usize {
        let mut reader = self.bus.follow_blocks(ReadFrom::Oldest).unwrap();
        let mut count = 0;
        while let Some(BlockDelivery::Blocks(blocks)) = reader.next_held().await.unwrap() {
            count += blocks.len();
        }
        count
    }
}

struct Joined {
    switches: MemorySwitches,
    stop: watch::Sender<bool>,
    uplink: JoinHandle<UplinkEnd>,
    ingest: JoinHandle<IngestEnd>,
}

impl Joined {
    async fn cut(self) {
        self.switches.cut();
        assert!(matches!(self.uplink.await.unwrap(), UplinkEnd::Closed(_)));
        assert!(matches!(self.ingest.await.unwrap(), IngestEnd::Closed(_)));
    }
}

/// Joins two nodes as `role`.
fn join(lower: &Node, upper: &Node, role: Role) -> Joined {
    let (dialler, acceptor) = (peer(&lower.uri), peer(&upper.uri));
    join_as(lower, upper, role, (dialler, acceptor))
}

fn join_as(
    lower: &Node,
    upper: &Node,
    role: Role,
    (dialler, acceptor): (
        Arc<crate::identity::PeerIdentity>,
        Arc<crate::identity::PeerIdentity>,
    ),
) -> Joined {
    let hello = Hello {
        version: 1,
        version_min: 1,
        features: Features::default(),
        mesh: "mesh".into(),
        tier: dialler.identity.tier,
        name: dialler.identity.name.clone(),
        node: "a".into(),
        origin: lower.bus.origin(),
        role,
        build: "test".into(),
        extensions: Vec::new(),
    };
    let welcome = Welcome {
        version: 1,
        features: Features::default(),
        mesh: "mesh".into(),
        tier: acceptor.identity.tier,
        name: acceptor.identity.name.clone(),
        node: "a".into(),
        origin: upper.bus.origin(),
        ingest_bytes_in_flight_max: 1 << 20,
        build: "test".into(),
        extensions: Vec::new(),
    };
    let name = acceptor.identity.name.clone();
    let facts = MemoryFacts {
        hello,
        welcome,
        dialler,
        acceptor,
    };
    let (down, up, switches) = memory_pair(facts, lower.clock.clone());
    let stop = watch::Sender::new(false);
    let run = UplinkRun {
        link: Arc::new(down),
        bus: Arc::clone(&lower.bus),
        cursor: uplink_cursor(&lower.bus, &name, WallMs(0)).unwrap(),
        clock: lower.clock.clone(),
        policy: UplinkPolicy::new(lower.bus.origin()),
        forward: Forward {
            filter: lower.filter.clone(),
            upstream: lower.derived_for.unwrap_or("plain").to_owned(),
            is_derived: lower.derived_for.is_some(),
        },
        from_peers: Arc::clone(&lower.from_peers),
        refused: Arc::new(|_| {}),
        replay: Arc::default(),
        stop: stop.subscribe(),
    };
    Joined {
        switches,
        stop,
        uplink: tokio::spawn(run_uplink(run)),
        ingest: tokio::spawn(run_ingest(Arc::new(up), Arc::clone(&upper.ingest))),
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(test);
}

fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

#[test]
fn what_is_held_below_comes_above_once_and_byte_for_byte_over_cuts_and_restarts() {
    run(async {
        let (below, above) = (directory(), directory());
        let site = Node::open(below.path(), (Tier::Site, "dc1"), 1);
        for number in 0..40 {
            site.append(&format!("before {number}"), 3).await;
        }
        let mut region = Node::open(above.path(), (Tier::Region, "dc1"), 2);
        for round in 0..6 {
            let joined = join(&site, &region, Role::Uplink);
            // Not all of what is missing, so that the next link has to go on.
            joined.switches.cut_after(9 + round);
            for number in 0..10 {
                site.append(&format!("round {round} {number}"), 2).await;
            }
            joined.uplink.await.unwrap();
            joined.ingest.await.unwrap();
            if round == 2 {
                drop(region);
                region = Node::open(above.path(), (Tier::Region, "dc1"), 2);
            }
        }
        let joined = join(&site, &region, Role::Uplink);
        region.waits_for(&site).await;
        site.append("live", 1).await;
        region.waits_for(&site).await;
        let held = site.blocks(&site).await;
        assert_eq!(region.blocks(&site).await, held);
        let own = 1;
        assert_eq!(region.stored().await, held.len() + own, "stored twice");
        joined.cut().await;

        let empty = directory();
        let fresh = Node::open(empty.path(), (Tier::Region, "dc1"), 3);
        let joined = join(&site, &fresh, Role::Uplink);
        fresh.waits_for(&site).await;
        assert_eq!(
            fresh.blocks(&site).await,
            held,
            "an empty disk above is filled again"
        );
        joined.cut().await;
    });
}

#[test]
fn a_node_that_stops_sends_what_is_durable_first_and_says_goodbye() {
    run(async {
        let (below, above) = (directory(), directory());
        let site = Node::open(below.path(), (Tier::Site, "dc1"), 1);
        let region = Node::open(above.path(), (Tier::Region, "emea"), 2);
        for number in 0..40 {
            site.append(&format!("before {number}"), 3).await;
        }
        let joined = join(&site, &region, Role::Uplink);
        joined.stop.send_replace(true);
        let end = joined.uplink.await.unwrap();
        assert!(matches!(end, UplinkEnd::Drained { left: 0 }), "{end}");
        let closed = joined.ingest.await.unwrap().to_string();
        assert!(
            closed.contains("the peer: done: the node stops"),
            "{closed}"
        );
        assert_eq!(region.blocks(&site).await, site.blocks(&site).await);
    });
}

#[test]
fn a_stop_does_not_wait_for_ever_for_a_neighbour_that_takes_nothing() {
    run(async {
        let (below, above) = (directory(), directory());
        let site = Node::open(below.path(), (Tier::Site, "dc1"), 1);
        let region = Node::open(above.path(), (Tier::Region, "emea"), 2);
        site.append("unsent", 3).await;
        let mut joined = join(&site, &region, Role::Uplink);
        joined.switches.stall(true);
        joined.stop.send_replace(true);
        let end = loop {
            tokio::select! {
                biased;
                end = &mut joined.uplink => break end.unwrap(),
                () = tokio::task::yield_now() => site.clock.advance(Duration::from_millis(10)),
            }
        };
        let least = 3;
        assert!(
            matches!(end, UplinkEnd::Drained { left } if left >= least),
            "{end}"
        );
        let took = Duration::from_nanos(site.clock.monotonic().0);
        assert!(took >= DRAIN_MAX, "{took:?}");
        joined.switches.cut();
        joined.ingest.await.unwrap();
    });
}

#[test]
fn records_of_a_foreign_site_are_refused_and_audited_and_nothing_is_stored() {
    run(async {
        let (below, above) = (directory(), directory());
        let site = Node::open(below.path(), (Tier::Site, "dc1"), 1);
        let mut region = Node::open(above.path(), (Tier::Region, "emea"), 2);
        site.append("secret", 1).await;
        let liar = peer("ocelli://mesh/site/dc2/a");
        let joined = join_as(&site, &region, Role::Uplink, (liar, peer(&region.uri)));
        let audit = region.audits.recv().await.unwrap();
        assert_eq!(audit.reason, crate::frame::RefusedReason::Scope);
        assert_eq!(audit.origin, site.bus.origin());
        assert!(audit.detail.contains("dc1"), "{}", audit.detail);
        assert!(
            region
                .bus
                .coverage_of(StreamId::data(site.bus.origin()))
                .is_empty()
        );
        joined.cut().await;
    });
}

#[test]
fn three_peers_hold_what_one_of_them_took_and_each_stores_it_once() {
    run(async {
        let directories = [directory(), directory(), directory(), directory()];
        let site = Node::open(directories[0].path(), (Tier::Site, "emea"), 1);
        let open = |index: u64| {
            let place = directories[usize::try_from(index).unwrap()].path();
            Node::open(place, (Tier::Region, "emea"), 10 + index)
        };
        let peers = [open(1), open(2), open(3)];
        let mut joined = vec![join(&site, &peers[0], Role::Uplink)];
        for from in 0..3 {
            for to in (0..3).filter(|to| *to != from) {
                joined.push(join(&peers[from], &peers[to], Role::Peer));
            }
        }
        for number in 0..20 {
            site.append(&format!("sample {number}"), 5).await;
        }
        for node in &peers {
            node.waits_for(&site).await;
            for other in &peers {
                node.waits_for(other).await;
            }
        }
        let held = site.blocks(&site).await;
        for node in &peers {
            assert_eq!(node.blocks(&site).await, held);
            let own_of_three = 3;
            assert_eq!(
                node.stored().await,
                held.len() + own_of_three,
                "stored twice"
            );
        }
        for one in joined {
            one.cut().await;
        }
    });
}

#[test]
fn a_filter_withholds_the_others_and_a_path_without_one_brings_them_once() {
    run(async {
        let directories = [directory(), directory(), directory(), directory()];
        let open = |index: usize, place: (Tier, &str)| {
            Node::open(directories[index].path(), place, 20 + index as u64)
        };
        let mut site = open(0, (Tier::Site, "dc1"));
        let (some, all) = (
            open(1, (Tier::Region, "dc1")),
            open(2, (Tier::Region, "dc1")),
        );
        let top = open(3, (Tier::Global, "dc1"));
        site.define("dc1", &[1, 2, 3]).await;
        for _ in 0..5 {
            site.append_of(&[1, 2, 3, 2, 1]).await;
            site.append_of(&[1, 3]).await;
        }
        site.append_of(&[2, 2]).await;
        let whole = site.blocks(&site).await;
        site.filter = Some("resource_id = \"r2\"".parse().unwrap());
        let to_some = join(&site, &some, Role::Uplink);
        let to_top = join(&some, &top, Role::Uplink);
        some.waits_for(&site).await;
        top.waits_for(&site).await;
        let twos = BTreeMap::from([(2, 12)]);
        assert_eq!(some.held_ids(&site).await, twos);
        assert_eq!(top.held_ids(&site).await, twos);
        let marks = [&site, &some, &top].map(|node| {
            let data = StreamId::data(site.bus.origin());
            node.bus.head_mark(data)
        });
        assert!(marks[0].is_some() && marks[1] == marks[0] && marks[2] == marks[0]);

        // Wider, over a new link: from now on, and nothing again.
        to_some.cut().await;
        site.filter = Some("resource_id IN (\"r2\", \"r3\")".parse().unwrap());
        let stored = some.stored().await;
        let to_some = join(&site, &some, Role::Uplink);
        site.append_of(&[1, 2, 3]).await;
        top.waits_for(&site).await;
        assert_eq!(some.stored().await, stored + 1);
        assert_eq!(top.held_ids(&site).await, BTreeMap::from([(2, 13), (3, 1)]));

        // Another path, without a filter: what was withheld comes above, once.
        site.filter = None;
        let to_all = join(&site, &all, Role::Uplink);
        let beside = join(&all, &top, Role::Uplink);
        top.waits_for_fill(&site).await;
        all.waits_for(&site).await;
        site.append_of(&[3, 1]).await;
        top.waits_for(&site).await;
        top.waits_for_fill(&site).await;
        let each = BTreeMap::from([(1, 17), (2, 13), (3, 12)]);
        assert_eq!(top.held_ids(&site).await, each);
        assert_eq!(all.held_ids(&site).await, each);
        assert_eq!(some.held_ids(&site).await[&2], 13);
        let blocks = top.blocks(&site).await;
        assert_eq!(blocks, site.blocks(&site).await, "bit for bit");
        assert!(blocks.len() > whole.len());
        for link in [to_some, to_top, to_all, beside] {
            link.cut().await;
        }
    });
}

#[test]
fn without_a_filter_blocks_go_untouched_and_definitions_always_do() {
    run(async {
        let (below, above) = (directory(), directory());
        let mut site = Node::open(below.path(), (Tier::Site, "dc1"), 1);
        let region = Node::open(above.path(), (Tier::Region, "dc1"), 2);
        site.define("dc1", &[1, 2]).await;
        site.append_of(&[1, 2]).await;
        site.append("of the node itself", 2).await;
        site.filter = Some("resource_id = \"nobody\"".parse().unwrap());
        let joined = join(&site, &region, Role::Uplink);
        region.waits_for(&site).await;
        // Id 0 stands for no resource: events and the like.
        assert_eq!(region.held_ids(&site).await, BTreeMap::from([(0, 2)]));
        let definitions = StreamId::definitions(site.bus.origin());
        assert_eq!(
            region.bus.skipped_of(definitions),
            ocelli_bus::SeqRanges::default()
        );
        joined.cut().await;
        site.filter = None;
        let joined = join(&site, &region, Role::Uplink);
        region.waits_for_fill(&site).await;
        assert_eq!(region.blocks(&site).await, site.blocks(&site).await);
        joined.cut().await;
    });
}

#[test]
fn a_derived_stream_stands_for_the_batches_at_its_own_upstream_alone() {
    run(async {
        let (one, two, three) = (directory(), directory(), directory());
        let mut site = Node::open(one.path(), (Tier::Site, "dc1"), 1);
        let region = Node::open(two.path(), (Tier::Region, "emea"), 2);
        let other = Node::open(three.path(), (Tier::Region, "apac"), 3);
        let all: Vec<_> = (0..3).map(batch).collect();
        append(&site.bus, "dc1", &all, &[]).await;
        let policy = DerivedPolicy {
            upstream: "emea".into(),
            groups: ["cpu".to_owned()].into(),
            window_ms: None,
            filter: None,
        };
        let (own, derived) = (site.bus.origin(), policy.origin(site.bus.origin()));
        let stop = watch::Sender::new(false);
        let deriving = tokio::spawn(run_derivation(DeriveRun {
            bus: Arc::clone(&site.bus),
            clock: site.clock.clone(),
            policy,
            node: OriginDescription::clone(&site.bus.definitions().origin_of(own).unwrap()),
            stop: stop.subscribe(),
        }));
        let is_all = |all: &[Arc<Batch>]| all.len() >= 3;
        let at_site = batches_to(&site.bus, derived, is_all).await;
        site.derived_for = Some("emea");
        let to_region = join(&site, &region, Role::Uplink);
        site.derived_for = None;
        let to_other = join(&site, &other, Role::Uplink);

        assert_eq!(batches_to(&region.bus, derived, is_all).await, at_site);
        region.waits_for(&site).await;
        assert_eq!(batches(&region.bus, own).await, [], "skips stand for them");
        assert_eq!(region.bus.skipped_of(StreamId::data(own)).count(), 3);
        let named = region.bus.definitions().derivation_of(derived).unwrap();
        assert_eq!((named.by, named.sources.contains(&own)), (own, true));
        assert_eq!(
            region.bus.last_values().len(),
            1,
            "it is no second opinion there"
        );

        assert_eq!(batches_to(&other.bus, own, is_all).await.len(), 3);
        assert!(other.bus.coverage_of(StreamId::data(derived)).is_empty());
        let dealt_with = |cursor: &str| {
            let mut all = site.bus.cursors().list();
            all.retain(|it| it.name == format!("uplink/{cursor}"));
            all[0].taken[&StreamId::data(derived)].count()
        };
        assert_eq!(
            dealt_with("apac"),
            3,
            "what is never sent must not hold the disk"
        );
        stop.send_replace(true);
        assert!(matches!(deriving.await.unwrap(), DeriveEnd::Stopped));
        to_region.cut().await;
        to_other.cut().await;
    });
}
