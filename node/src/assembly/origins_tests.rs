//! Tests of how origins stand, with a real bus and a clock moved by hand.

use ocelli_bus::block::{BlockBuilder, EntryHead};
use ocelli_bus::record::EntryKind;
use ocelli_bus::{BusOptions, ForeignBlock};
use ocelli_model::clock::Rng;
use ocelli_model::tier::Tier;
use std::time::Duration;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::assembly::testing::{HandClock, peer};

struct CountingRng(u64);

impl Rng for CountingRng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0 ^ (self.0 >> 29)
    }
}

struct Node {
    bus: Arc<Bus>,
    _directory: TempDir,
}

impl Node {
    fn open(clock: &Arc<HandClock>, (tier, site): (Tier, &str), seed: u64) -> Self {
        let directory = tempdir().unwrap();
        let description = OriginDescription {
            mesh: "mesh".into(),
            tier,
            site: site.into(),
            node: "n1".into(),
        };
        let options = BusOptions {
            spare_space_bytes: 0,
            low_space_bytes: 0,
            description: Some(description),
            ..BusOptions::default()
        };
        let rng = Box::new(CountingRng(seed));
        let (bus, _) = Bus::open(directory.path(), options, clock.clone(), rng).unwrap();
        Self {
            bus: Arc::new(bus),
            _directory: directory,
        }
    }

    async fn append(&self) {
        let mut builder = BlockBuilder::new();
        let head = EntryHead::bare(EntryKind::Unknown(200), WallMs(0));
        builder.push(&head, b"what was measured").unwrap();
        let block = builder.seal().unwrap();
        let sent = self.bus.handle().submit(Lane::Data, block).await.unwrap();
        sent.await.unwrap();
    }

    /// Takes all that `from` holds.
    async fn copy(&self, from: &Node) {
        for lane in [Lane::Definitions, Lane::Data] {
            let origin = from.bus.origin();
            let stream = StreamId { origin, lane };
            let last = from.bus.coverage_of(stream).highest();
            let range = ocelli_bus::SeqRange {
                first: Seq(1),
                last,
            };
            for block in from.bus.blocks_of(stream, range, 1 << 20).await.unwrap() {
                let block = ForeignBlock::read(block.bytes().clone()).unwrap();
                let taken = self.bus.handle().ingest(block).await.unwrap();
                taken.await.unwrap();
            }
        }
    }
}

/// A region that holds a record of a site, and what it knows of the site.
async fn region(clock: &Arc<HandClock>) -> (Origins, Node, Node) {
    let site = Node::open(clock, (Tier::Site, "dc1"), 1);
    site.append().await;
    let region = Node::open(clock, (Tier::Region, "emea"), 2);
    region.copy(&site).await;
    let bus = Arc::clone(&region.bus);
    (
        Origins::new(bus, clock.clone(), "emea/r1".to_owned()),
        region,
        site,
    )
}

fn state_of(origins: &Origins, of: &Node) -> OriginState {
    origins.states().remove(&of.bus.origin()).unwrap()
}

#[tokio::test]
async fn an_origin_is_stale_from_the_end_of_its_link_to_its_return() {
    let clock = HandClock::new();
    let (origins, region, site) = region(&clock).await;
    let mut changes = origins.changes();
    origins.taken("down/dc1/n1", Side::Below, site.bus.origin());
    assert_eq!(state_of(&origins, &site), OriginState::Live);
    clock.advance(Duration::from_secs(30));
    origins.ended("down/dc1/n1", ("dc1/n1", "timed out"));
    assert!(changes.has_changed().unwrap());
    changes.borrow_and_update();
    let cause = "emea/r1 lost dc1/n1: timed out".to_owned();
    let since = WallMs(0);
    assert_eq!(
        state_of(&origins, &site),
        OriginState::Stale { since, cause }
    );
    assert_eq!(
        state_of(&origins, &region),
        OriginState::Live,
        "itself it always knows"
    );
    origins.taken("down/dc1/n1", Side::Below, site.bus.origin());
    assert!(changes.has_changed().unwrap());
    assert_eq!(state_of(&origins, &site), OriginState::Live);
    clock.advance(Duration::from_secs(200));
    assert_eq!(
        state_of(&origins, &site),
        OriginState::Silent { since },
        "up, and says nothing"
    );
}

#[tokio::test]
async fn what_is_told_above_is_the_way_to_each_origin_and_only_its_changes() {
    let clock = HandClock::new();
    let (origins, _region, site) = region(&clock).await;
    let mut told = BTreeMap::new();
    assert_eq!(
        origins.words(Toward::Above, &mut told),
        [],
        "nothing is known yet"
    );
    origins.taken("down/dc1/n1", Side::Below, site.bus.origin());
    let words = origins.words(Toward::Above, &mut told);
    assert_eq!(
        (words.len(), words[0].origin, &words[0].cause),
        (1, site.bus.origin(), &None)
    );
    assert_eq!(origins.words(Toward::Above, &mut told), []);
    origins.ended("down/dc1/n1", ("dc1/n1", "cut"));
    let words = origins.words(Toward::Above, &mut told);
    assert_eq!(words[0].cause.as_deref(), Some("emea/r1 lost dc1/n1: cut"));
}

#[tokio::test]
async fn a_neighbour_is_believed_for_the_sites_that_it_may_speak_for_alone() {
    let clock = HandClock::new();
    let (origins, _region, site) = region(&clock).await;
    let word = OriginWord {
        origin: site.bus.origin(),
        since: WallMs(5),
        cause: Some("gone".to_owned()),
    };
    origins.taken("down/dc2/n1", Side::Below, OriginId(99));
    let liar = peer("ocelli://mesh/site/dc2/n1");
    origins.told("down/dc2/n1", &liar, std::slice::from_ref(&word));
    assert_eq!(state_of(&origins, &site), OriginState::Live);
    let honest = peer("ocelli://mesh/site/dc1/n1");
    origins.told("down/dc2/n1", &honest, &[word]);
    assert!(matches!(
        state_of(&origins, &site),
        OriginState::Stale { .. }
    ));
    origins.forget("down/dc2/n1");
    assert_eq!(state_of(&origins, &site), OriginState::Live);
}

#[tokio::test]
async fn after_a_start_a_node_is_stale_since_its_last_record_until_a_link_brings_it() {
    let clock = HandClock::new();
    let (_, region, site) = region(&clock).await;
    clock.advance(Duration::from_secs(60));
    let bus = Arc::clone(&region.bus);
    let origins = Origins::new(bus, clock.clone(), "emea/r1".to_owned());
    let mut told = BTreeMap::new();
    let OriginState::Stale { since, cause } = state_of(&origins, &site) else {
        panic!("{:?}", state_of(&origins, &site));
    };
    assert_eq!(since, WallMs(0));
    assert!(cause.contains("emea/r1"), "{cause}");
    assert_eq!(origins.words(Toward::Above, &mut told).len(), 1);
    assert_eq!(
        origins.words(Toward::Peer, &mut BTreeMap::new()),
        [],
        "a peer knows itself"
    );
    origins.taken("down/dc1/n1", Side::Below, site.bus.origin());
    assert_eq!(state_of(&origins, &site), OriginState::Live);
    assert_eq!(origins.words(Toward::Above, &mut told)[0].cause, None);
}

#[tokio::test]
async fn the_former_origin_of_a_node_has_ended_and_its_state_is_that_of_the_new_one() {
    let clock = HandClock::new();
    let (origins, region, former) = region(&clock).await;
    clock.advance(Duration::from_secs(300));
    let site = Node::open(&clock, (Tier::Site, "dc1"), 3);
    site.append().await;
    region.copy(&site).await;
    let of = |node: &Node| {
        let all = origins.list().into_iter();
        let mut found = all.filter(|one| one.facts.origin == node.bus.origin());
        found.next().unwrap()
    };
    assert_eq!(of(&former).replaced_by, Some(site.bus.origin()));
    assert_eq!(of(&site).replaced_by, None);
    assert_eq!(state_of(&origins, &former), OriginState::Live);
}

#[tokio::test]
async fn what_a_peer_holds_and_this_node_has_not_is_held_elsewhere() {
    let clock = HandClock::new();
    let (origins, region, site) = region(&clock).await;
    let stream = StreamId::data(site.bus.origin());
    let held = region.bus.coverage_of(stream).highest();
    let mut head = StreamHead {
        stream,
        highest: held,
        time: WallMs(0),
    };
    origins.heads("from-peer/emea/r2", &[head]);
    assert_eq!(origins.held_elsewhere(), []);
    head.highest = Seq(held.0 + 5);
    origins.heads("from-peer/emea/r2", &[head]);
    let link = "from-peer/emea/r2".to_owned();
    assert_eq!(origins.held_elsewhere(), [(link.clone(), stream, 5)]);
    origins.ended(&link, ("emea/r2", "cut"));
    assert_eq!(origins.held_elsewhere(), [], "nobody there to copy from");
}
