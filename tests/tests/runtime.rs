//! The runtime on a real bus: slots tile, bad neighbours disturb nobody, a restart goes on.
//!
//! Plugins are made here: one that counts, one that panics in each run, one that never answers.
//! The clock is the real one and slots are a second long; the tests wait for records, not for time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "the runtime is driven in real time"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ocelli_actors::{
    CredentialSet, DiscoveryInstance, LoneCatalog, PluginBreaker, PluginCounters, PollingInstance,
    Recalled, Runtime, RuntimeParts, Site, SiteParts, SitePolling, SystemLookup, recall,
};
use ocelli_bus::decoder::{Record, record_of};
use ocelli_bus::payload::Payload;
use ocelli_bus::record::{EntryKind, Lane};
use ocelli_bus::resolver::Resolver;
use ocelli_bus::{Bus, BusOptions, Delivery, ReadFrom, Reader, ReaderOptions};
use ocelli_config::{LoadOptions, Source, Sources, load};
use ocelli_model::batch::Verdict;
use ocelli_model::clock::{Clock, Rng};
use ocelli_model::columns::GaugeColumn;
use ocelli_model::gap::GapKind;
use ocelli_model::rate::{GroupRatePlan, RatePlan};
use ocelli_model::resource::{Resource, ResourceFields, ResourceFile};
use ocelli_model::rows::{GroupRows, Rows, SourceColumn};
use ocelli_model::schema::{GroupSchema, MetricDef, Schema};
use ocelli_node::clock::RealClock;
use ocelli_node::rng::RealRng;
use ocelli_plugins::discovery::{Discovery, DiscoveryError};
use ocelli_plugins::polling::{PollError, PollNotes, PollRun, Polling, Scratch};
use ocelli_plugins::run::{PluginFuture, Run};

const RESOURCES: usize = 3;
const CONFIG: &str = r#"
[node]
site = "dc1"
name = "n1"
arbiters = 2
[[polling]]
name = "counting"
kind = "host"
every = "1s"
filter = 'resource_class = "network"'
[[polling]]
name = "panicking"
kind = "host"
every = "1s"
filter = 'resource_class = "network"'
[[polling]]
name = "silent"
kind = "host"
every = "1s"
filter = 'resource_class = "network"'
"#;

// === Plugins ===

enum Temper {
    Counts,
    Panics,
    Hangs,
}

struct Fake {
    temper: Temper,
    schema: Arc<Schema>,
    plan: Arc<RatePlan>,
}

impl Fake {
    fn new(temper: Temper) -> Arc<Self> {
        let metric = |name: &str| MetricDef {
            name: name.into(),
            unit: String::new(),
        };
        let group = GroupSchema {
            name: "fake".into(),
            interval_ms: 1_000,
            dimensions: Vec::new(),
            counters: vec![metric("seen")],
            gauges: vec![metric("level")],
        };
        let plan = RatePlan {
            groups: vec![GroupRatePlan::identity(1, 0, 0)],
        };
        Arc::new(Self {
            temper,
            schema: Arc::new(Schema::new(vec![group]).unwrap()),
            plan: Arc::new(plan),
        })
    }
}

impl Polling for Fake {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn rate_plan(&self) -> &Arc<RatePlan> {
        &self.plan
    }

    fn namespaces(&self) -> &[String] {
        &[]
    }

    fn needs_snmp(&self) -> bool {
        false
    }

    fn poll<'run>(
        &'run self,
        run: PollRun<'run>,
        rows: &'run mut Rows,
        _: &'run mut Scratch,
    ) -> PluginFuture<'run, Result<PollNotes, PollError>> {
        Box::pin(async move {
            match self.temper {
                Temper::Counts => {}
                Temper::Panics => panic!("planted"),
                Temper::Hangs => std::future::pending().await,
            }
            let mut source = SourceColumn::default();
            // Grows over restarts, as a device's counter does.
            source.push(u64::try_from(run.run.clock.wall().0).ok());
            let mut level = GaugeColumn::default();
            level.push_int(7);
            *rows = Rows::default();
            rows.groups.push(GroupRows {
                time: vec![run.run.clock.wall()],
                sources: vec![source],
                gauges: vec![level],
                ..GroupRows::default()
            });
            Ok(PollNotes::default())
        })
    }
}

struct Found;

impl Discovery for Found {
    fn discover<'run>(
        &'run self,
        _: Run<'run>,
    ) -> PluginFuture<'run, Result<ResourceFile, DiscoveryError>> {
        Box::pin(async {
            let resource = |number: usize| {
                let identity = ["dc1", "network", "switch", "fake", &format!("sw{number}")];
                Resource::new(ResourceFields {
                    identity: identity.map(str::to_owned),
                    endpoint: format!("10.0.0.{}", number + 1),
                    plugin: "found".to_owned(),
                    ..ResourceFields::default()
                })
                .unwrap()
            };
            let resources = (0..RESOURCES).map(resource).collect();
            Ok(ResourceFile {
                resources,
                ..ResourceFile::default()
            })
        })
    }
}

// === A node ===

fn site() -> Arc<Site> {
    site_with(3)
}

/// The first `pollings` of the configuration; the others are left out.
fn site_with(pollings: usize) -> Arc<Site> {
    let count = pollings;
    let mut sources = Sources::new();
    sources.push(Source::file("test.toml", CONFIG));
    let loaded = load(
        sources,
        LoadOptions {
            hostname: "n1",
            is_strict: true,
        },
    )
    .unwrap();
    let tempers = [Temper::Counts, Temper::Panics, Temper::Hangs];
    let pollings = loaded
        .config
        .pollings
        .iter()
        .zip(tempers)
        .map(|(config, temper)| SitePolling {
            config: config.clone(),
            instance: Arc::new(PollingInstance {
                name: config.name().as_str().into(),
                plugin: Fake::new(temper),
                counters: Arc::new(PluginCounters::default()),
                breaker: PluginBreaker::default(),
                port: None,
                timeout: None,
            }),
        });
    let own = Resource::new(ResourceFields {
        identity: ["dc1", "system", "host", "generic", "n1"].map(str::to_owned),
        endpoint: "n1".to_owned(),
        plugin: "node".to_owned(),
        ..ResourceFields::default()
    });
    let found = DiscoveryInstance {
        name: "found".into(),
        plugin: Arc::new(Found),
        every: None,
        status: Arc::default(),
    };
    Arc::new(Site::new(SiteParts {
        pollings: pollings.take(count).collect(),
        config: Arc::new(loaded.config),
        revision: 1,
        discoveries: vec![Arc::new(found)],
        enrichments: Vec::new(),
        credentials: CredentialSet::default(),
        own: Arc::new(own.unwrap()),
    }))
}

struct Node {
    bus: Bus,
    runtime: Runtime,
    drained: bool,
}

impl Node {
    async fn start(directory: &Path) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        let rng = || Box::new(RealRng::default()) as Box<dyn Rng>;
        let bus_directory = directory.join("bus");
        std::fs::create_dir_all(&bus_directory).unwrap();
        let (bus, _) = Bus::open(
            &bus_directory,
            BusOptions::default(),
            Arc::clone(&clock),
            rng(),
        )
        .unwrap();
        let recalled: Recalled = recall(&bus, None).await.unwrap();
        let drained = recalled.resources.values().all(|memory| memory.is_drained);
        let catalog = LoneCatalog::open(directory, &*clock).unwrap();
        let runtime = Runtime::start(RuntimeParts {
            clock,
            rng: Arc::new(rng),
            bus: bus.handle(),
            catalog: Arc::new(catalog),
            site: site(),
            recalled,
            lookup: Arc::new(SystemLookup),
            arbiters: 2,
        });
        Self {
            runtime: runtime.await.unwrap(),
            bus,
            drained,
        }
    }

    async fn stop(self) {
        self.runtime.drain(Duration::from_secs(2)).await;
        self.bus.drain().await.unwrap();
    }
}

// === What a reader finds ===

struct Follower {
    reader: Reader,
    resolver: Resolver,
    records: Vec<Record>,
    /// Kinds of events, in their order.
    events: Vec<String>,
}

type PairName = (String, String);

impl Follower {
    fn new(bus: &Bus) -> Self {
        let options = ReaderOptions::from(ReadFrom::Oldest).with_definitions();
        let reader = bus.reader(options).unwrap();
        Self {
            reader,
            resolver: Resolver::new(),
            records: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Reads until `is_enough`; 30 s without it is a failure of the runtime.
    async fn read_until(&mut self, is_enough: impl Fn(&[Record]) -> bool) {
        let limit = Duration::from_secs(30);
        let read = async {
            while !is_enough(&self.records) {
                let delivery = self.reader.next().await.unwrap();
                let Delivery::Entries(entries) = delivery else {
                    continue;
                };
                for entry in entries {
                    let body = entry.body().unwrap();
                    if entry.stream().lane == Lane::Definitions {
                        if entry.head().kind == EntryKind::Definition {
                            self.resolver.apply(body).unwrap();
                        }
                        continue;
                    }
                    let record =
                        record_of(entry.stream(), entry.view(), body, &mut self.resolver).unwrap();
                    match &record.payload {
                        // What is told of crashes belongs to no pair.
                        Payload::Event(event) => self.events.push(event.kind.clone()),
                        _ => self.records.push(record),
                    }
                }
            }
        };
        let is_read = tokio::time::timeout(limit, read).await.is_ok();
        assert!(is_read, "records so far: {:?}", summary(&self.records));
    }
}

fn pair_of(record: &Record) -> PairName {
    let resource = record.resource.as_ref().unwrap();
    (
        resource.id().id().to_owned(),
        record.plugin.as_ref().unwrap().to_string(),
    )
}

fn summary(records: &[Record]) -> BTreeMap<(PairName, &'static str), usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts
            .entry((pair_of(record), record.kind.as_str()))
            .or_default() += 1;
    }
    counts
}

fn batches_of(records: &[Record], pair: &PairName) -> usize {
    let is_one =
        |record: &&Record| matches!(record.payload, Payload::Batch(_)) && pair_of(record) == *pair;
    records.iter().filter(is_one).count()
}

fn counting_pairs() -> impl Iterator<Item = PairName> {
    (0..RESOURCES).map(|number| (format!("sw{number}"), "counting".to_owned()))
}

/// Slots of each pair, in order of slots, each with whether it is a batch.
fn slots(records: &[Record]) -> BTreeMap<PairName, Vec<(i64, bool)>> {
    let mut slots: BTreeMap<PairName, Vec<(i64, bool)>> = BTreeMap::new();
    for record in records {
        let of_pair = match &record.payload {
            Payload::Batch(batch) => vec![(batch.slot.0, true)],
            Payload::Gap(gap) => {
                let steps = (gap.first.0..=gap.last.0).step_by(gap.interval_ms as usize);
                steps.map(|slot| (slot, false)).collect()
            }
            _ => continue,
        };
        slots.entry(pair_of(record)).or_default().extend(of_pair);
    }
    slots.values_mut().for_each(|slots| slots.sort_unstable());
    slots
}

fn assert_tiled(records: &[Record]) {
    let slots = slots(records);
    assert_eq!(slots.len(), 3 * RESOURCES, "every pair has slots");
    for (pair, slots) in slots {
        for neighbours in slots.windows(2) {
            assert_eq!(
                neighbours[1].0 - neighbours[0].0,
                1_000,
                "{pair:?}: {slots:?}"
            );
        }
    }
}

#[actix::test]
async fn slots_tile_beside_bad_neighbours_and_over_a_planned_restart() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).await;
    let mut follower = Follower::new(&node.bus);
    let has_three = |records: &[Record]| {
        let gaps_of = |plugin: &str| {
            let is_gap = |record: &&Record| matches!(record.payload, Payload::Gap(_));
            records
                .iter()
                .filter(is_gap)
                .filter(|record| pair_of(record).1 == plugin)
                .count()
        };
        let is_polled = counting_pairs().all(|pair| batches_of(records, &pair) >= 3);
        is_polled && gaps_of("silent") >= RESOURCES && gaps_of("panicking") >= RESOURCES
    };
    follower.read_until(has_three).await;
    for record in &follower.records {
        let Payload::Gap(gap) = &record.payload else {
            continue;
        };
        let expected = match record.plugin.as_deref() {
            // A machine under load may stand still for half a slot; the slots tile all the same.
            _ if gap.cause.kind == GapKind::Overload => continue,
            Some("silent") => GapKind::Overrun,
            Some("panicking") if gap.cause.kind == GapKind::Parked => continue,
            Some("panicking") => GapKind::PluginError,
            other => panic!("a gap of {other:?}: {gap:?}"),
        };
        assert_eq!(gap.cause.kind, expected, "{gap:?}");
    }
    node.stop().await;

    let again = Node::start(directory.path()).await;
    assert!(again.drained, "session records are the last word");
    let mut follower = Follower::new(&again.bus);
    let first_life = |records: &[Record]| {
        let sessions = records
            .iter()
            .filter(|record| matches!(record.payload, Payload::Session(_)));
        sessions.count() >= 3 * RESOURCES
    };
    follower.read_until(first_life).await;
    let before: BTreeMap<PairName, usize> = counting_pairs()
        .map(|pair| (pair.clone(), batches_of(&follower.records, &pair)))
        .collect();
    let has_more = |records: &[Record]| {
        before
            .iter()
            .all(|(pair, count)| batches_of(records, pair) >= count + 2)
    };
    follower.read_until(has_more).await;
    assert_tiled(&follower.records);
    for (pair, count) in &before {
        let of_pair = follower
            .records
            .iter()
            .filter(|record| pair_of(record) == *pair);
        let mut batches = of_pair.filter_map(|record| match &record.payload {
            Payload::Batch(batch) => Some(batch),
            _ => None,
        });
        let first_after = batches.nth(*count).unwrap();
        let verdict = first_after.groups[0].counters[0].verdicts[0];
        assert_eq!(
            verdict,
            Verdict::Rate,
            "{pair:?}: the first value after the restart"
        );
    }
    for (pair, slots) in slots(&follower.records) {
        let lost = slots.iter().filter(|(_, is_batch)| !is_batch).count();
        assert!(
            pair.1 != "counting" || lost <= 1,
            "{pair:?} lost {lost} slots: {slots:?}"
        );
    }
    again.stop().await;
}

#[actix::test]
async fn a_plugin_that_panics_everywhere_is_parked_with_an_event_and_no_other_is() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).await;
    let mut follower = Follower::new(&node.bus);
    let parked = |records: &[Record]| -> Vec<PairName> {
        let is_parked = |record: &&Record| match &record.payload {
            Payload::Gap(gap) => gap.cause.kind == GapKind::Parked,
            _ => false,
        };
        records.iter().filter(is_parked).map(pair_of).collect()
    };
    follower
        .read_until(|records| parked(records).len() >= 2 * RESOURCES)
        .await;
    let seen = counting_pairs().map(|pair| batches_of(&follower.records, &pair));
    let seen: usize = seen.max().unwrap();
    // The desk of events writes by itself; what comes later shows that it had its turn.
    follower
        .read_until(|records| counting_pairs().all(|pair| batches_of(records, &pair) > seen + 1))
        .await;
    assert!(
        follower.events.iter().any(|kind| kind == "plugin_parked"),
        "{:?}",
        follower.events
    );
    assert!(
        parked(&follower.records)
            .iter()
            .all(|(_, plugin)| plugin == "panicking")
    );
    assert_tiled(&follower.records);
    node.stop().await;
}

#[actix::test]
async fn pairs_that_end_are_released_and_owe_no_slots_to_the_next_life() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).await;
    let mut follower = Follower::new(&node.bus);
    let has_two = |records: &[Record]| counting_pairs().all(|pair| batches_of(records, &pair) > 1);
    follower.read_until(has_two).await;
    node.runtime.reload(site_with(0)).await.unwrap();
    let release_of = |records: &[Record], pair: &PairName| {
        let is_it =
            |record: &&Record| record.kind == EntryKind::Released && pair_of(record) == *pair;
        records.iter().find(is_it).map(|record| record.slot.0)
    };
    let is_released =
        |records: &[Record]| counting_pairs().all(|pair| release_of(records, &pair).is_some());
    follower.read_until(is_released).await;
    let ended = slots(&follower.records);
    for pair in counting_pairs() {
        let last = ended[&pair].last().unwrap().0;
        let released = release_of(&follower.records, &pair);
        assert_eq!(
            released,
            Some(last + 1_000),
            "from the slot after its last one on"
        );
    }
    node.stop().await;

    let again = Node::start(directory.path()).await;
    let mut follower = Follower::new(&again.bus);
    let before = |pair: &PairName| ended[pair].iter().filter(|(_, is_batch)| *is_batch).count();
    let goes_on = |records: &[Record]| {
        counting_pairs().all(|pair| batches_of(records, &pair) > before(&pair))
    };
    follower.read_until(goes_on).await;
    let restarts = follower.records.iter().filter(|record| {
        let is_restart = matches!(&record.payload, Payload::Gap(gap)
            if gap.cause.kind == GapKind::Restart);
        is_restart && pair_of(record).1 == "counting"
    });
    assert_eq!(restarts.count(), 0, "nobody missed what nobody polled");
    again.stop().await;
}
