//! Retention, durable cursors, last values and the ledger of gaps over restarts, with real entries.
//!
//! Does: play a node that polls three pairs, and look at what is kept. Does not: crash (`crash`).
//! In: batches of the encoder. Out: failures.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ocelli_bus::dictionary::PairCache;
use ocelli_bus::disk::RealDisk;
use ocelli_bus::encoder::{Encoder, Pair, Place};
use ocelli_bus::payload::{Payload, Session};
use ocelli_bus::read::{Item, RecordSource, StartFrom, Subscription, SubscriptionRequest};
use ocelli_bus::record::{Lane, StreamId};
use ocelli_bus::{Bus, BusOptions, Delivery, LastKey, LastKind, ReadFrom, ReaderOptions, SeqRange};
use ocelli_model::batch::{Batch, GroupValues, RowSet};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{DimensionTable, GaugeColumn};
use ocelli_model::enrichment::{EnrichmentGroup, EnrichmentRecord, Freshness, LabelFacts};
use ocelli_model::gap::{Gap, GapKind};
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::schema::{GroupSchema, MetricDef, Schema};
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_model::unix_seconds::UnixSeconds;
use support::{open, open_on, runtime, small_options};

struct Poller {
    encoder: Encoder,
    plugin: Arc<str>,
    schema: Arc<Schema>,
    rows: Arc<RowSet>,
    pairs: Vec<(Arc<Resource>, PairCache)>,
}

impl Poller {
    fn new(resources: usize) -> Self {
        let gauges = (0..200).map(|number| MetricDef {
            name: format!("m{number}"),
            unit: String::new(),
        });
        let group = GroupSchema {
            name: "g".to_owned(),
            interval_ms: 1_000,
            dimensions: Vec::new(),
            counters: Vec::new(),
            gauges: gauges.collect(),
        };
        let resource = |number: usize| {
            let fields = ResourceFields {
                identity: [
                    "dc1",
                    "network",
                    "switch",
                    "generic",
                    &format!("sw{number}"),
                ]
                .map(str::to_owned),
                endpoint: format!("10.0.0.{number}"),
                metadata: BTreeMap::from([("_resource_ttl".to_owned(), "900".to_owned())]),
                plugin: "test".to_owned(),
                ..ResourceFields::default()
            };
            (
                Arc::new(Resource::new(fields).unwrap()),
                PairCache::default(),
            )
        };
        Self {
            encoder: Encoder::default(),
            plugin: "poll".into(),
            schema: Arc::new(Schema::new(vec![group]).unwrap()),
            rows: Arc::new(RowSet {
                groups: vec![DimensionTable::new(0)],
            }),
            pairs: (0..resources).map(resource).collect(),
        }
    }

    fn batch(&self, slot: i64) -> Batch {
        let mut values = GroupValues {
            time: vec![WallMs(slot)],
            dt_ms: vec![0],
            ..Default::default()
        };
        for metric in 0..200 {
            let mut column = GaugeColumn::default();
            column.push_float(1.0 / (slot + metric) as f64);
            values.gauges.push(column);
        }
        Batch {
            slot: SlotMs(slot),
            interval_ms: 1_000,
            epoch: Epoch {
                generation: 1,
                index: 1,
            },
            time: WallMs(slot),
            partial: None,
            schema: Arc::clone(&self.schema),
            rows: Arc::clone(&self.rows),
            groups: vec![values],
        }
    }

    /// One slot of all pairs, durable.
    async fn poll(&mut self, bus: &Bus, slot: i64) {
        let batch = self.batch(slot);
        let now = WallMs(slot);
        for (resource, cache) in &mut self.pairs {
            let pair = Pair {
                resource,
                plugin: Some(&self.plugin),
            };
            let session = Session {
                state: slot.to_le_bytes().to_vec(),
                ..Session::default()
            };
            for attempt in 0..2 {
                let pushed = self
                    .encoder
                    .push_batch(cache, resource, &self.plugin, &batch);
                if pushed.is_ok() {
                    break;
                }
                assert_eq!(attempt, 0, "{pushed:?}");
                self.encoder
                    .add_ids(bus.handle().reserve_ids(32_768).unwrap());
            }
            self.encoder
                .push_session(cache, pair, &session, Place::at(now))
                .unwrap();
        }
        self.send(bus).await;
    }

    /// What an enrichment run found: the device's name, or an object without one if it is empty.
    fn learn(&mut self, pair: usize, (created, namespace): (f64, &str), name: &str) {
        let mut facts = LabelFacts::new();
        facts.insert("sysdescr".to_owned(), "a switch".into());
        if !name.is_empty() {
            facts.insert("sysname".to_owned(), name.into());
        }
        let freshness = Freshness {
            created: UnixSeconds::new(created).unwrap(),
            ttl_seconds: 900,
            every_seconds: 300,
        };
        let labels = BTreeMap::from([("system".to_owned(), facts)]);
        let group = EnrichmentGroup::new(namespace, labels, freshness).unwrap();
        let (resource, cache) = &mut self.pairs[pair];
        let record = EnrichmentRecord::of(resource.id(), &self.plugin, &group);
        let pair = Pair {
            resource,
            plugin: Some(&self.plugin),
        };
        self.encoder
            .push_enrich(cache, pair, &record, WallMs(1_000))
            .unwrap();
    }

    async fn send(&mut self, bus: &Bus) {
        let sealed = self.encoder.seal();
        let handle = bus.handle();
        for block in sealed.definitions {
            handle
                .submit(Lane::Definitions, block)
                .await
                .unwrap()
                .await
                .unwrap();
        }
        if let Some(block) = sealed.data {
            handle
                .submit(Lane::Data, block)
                .await
                .unwrap()
                .await
                .unwrap();
        }
    }

    fn key(&self, kind: LastKind, pair: usize) -> LastKey {
        LastKey {
            kind,
            resource: self.pairs[pair].0.id().clone(),
            plugin: Arc::clone(&self.plugin),
        }
    }
}

/// The oldest slot of a batch that is held, and all slots of retention gaps.
async fn oldest_and_gaps(bus: &Bus) -> (i64, Vec<(i64, i64)>) {
    let mut reader = bus.reader(ReaderOptions::from(ReadFrom::Oldest)).unwrap();
    let (mut oldest, mut gaps) = (i64::MAX, Vec::new());
    while let Some(delivery) = reader.next_held().await.unwrap() {
        let Delivery::Entries(entries) = delivery else {
            continue;
        };
        for entry in entries {
            let record = bus.definitions().record(&entry).unwrap();
            match &record.payload {
                Payload::Batch(_) => oldest = oldest.min(record.slot.0),
                Payload::Gap(gap) => gaps.push((gap.first.0, gap.last.0)),
                _ => {}
            }
        }
    }
    (oldest, gaps)
}

fn short_retention() -> BusOptions {
    BusOptions {
        retention: Duration::from_secs(30),
        ..small_options()
    }
}

#[test]
fn segments_go_when_they_are_old_and_the_required_cursor_has_passed_and_ids_stay_defined() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (bus, _, clock) = open_on(root.path(), short_retention(), Arc::new(RealDisk));
        let cursor = bus.cursors().open("tsdb", "sink", WallMs(0)).unwrap();
        let mut poller = Poller::new(3);
        for slot in 1..=60 {
            clock.0.store(slot * 1_000, Ordering::Relaxed);
            poller.poll(&bus, slot * 1_000).await;
        }
        let before = bus.statistics().segments;
        assert!(before > 4, "{before}");
        bus.tend().await.unwrap();
        assert_eq!(bus.statistics().segments, before, "the cursor holds them");
        let stream = StreamId::data(bus.origin());
        let last = bus.statistics().entries;
        let taken = SeqRange {
            first: ocelli_bus::record::Seq(1),
            last: ocelli_bus::record::Seq(last),
        };
        cursor.advance(stream, taken, WallMs(60_000));
        bus.tend().await.unwrap();
        let statistics = bus.statistics();
        assert!(
            statistics.segments < before && statistics.segments_forced == 0,
            "{statistics:?}"
        );
        let (oldest, gaps) = oldest_and_gaps(&bus).await;
        assert!(
            (20_000..31_000).contains(&oldest) && gaps.is_empty(),
            "{oldest} {gaps:?}"
        );
        bus.drain().await.unwrap();
        drop(bus);

        let (bus, report) = open(root.path(), short_retention());
        assert_eq!(report.last_values, 6, "{report:?}");
        assert_eq!(
            oldest_and_gaps(&bus).await.0,
            oldest,
            "definitions were carried over"
        );
        assert_eq!(bus.cursors().list()[0].taken[&stream].highest().0, last);
        let ids = bus.handle().reserve_ids(1).unwrap();
        assert!(
            ids.start > 4,
            "ids of this origin are never used again: {ids:?}"
        );
    });
}

/// What a subscription tells of what is held: seqs, and seqs that retention took.
async fn told(subscription: &mut Subscription) -> (Vec<u64>, Vec<(u64, u64, u64)>) {
    let (mut seqs, mut removed) = (Vec::new(), Vec::new());
    while let Some(item) = subscription.next_held().await.unwrap() {
        match item {
            Item::Record(record) => seqs.push(record.seq.0),
            Item::Removed { range, seqs, .. } => {
                removed.push((range.first.0, range.last.0, seqs));
            }
            other => panic!("{other:?}"),
        }
    }
    (seqs, removed)
}

#[test]
fn a_cursor_older_than_retention_is_told_what_is_gone_once_and_gets_the_rest() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (bus, _, clock) = open_on(root.path(), short_retention(), Arc::new(RealDisk));
        let (bus, mut poller) = (Arc::new(bus), Poller::new(3));
        for slot in 1..=60 {
            clock.0.store(slot * 1_000, Ordering::Relaxed);
            poller.poll(&bus, slot * 1_000).await;
        }
        let source = RecordSource::new(Arc::clone(&bus));
        let begin = |from| {
            let request = SubscriptionRequest {
                from,
                ..SubscriptionRequest::default()
            };
            Subscription::begin(&source, request).unwrap()
        };
        let mut first = begin(StartFrom::Oldest);
        let Item::Record(record) = first.next().await.unwrap() else {
            panic!("a batch comes first");
        };
        let cursor = first.cursor();
        bus.tend().await.unwrap();
        let (held, none) = told(&mut begin(StartFrom::Oldest)).await;
        assert!(held[0] > record.seq.0 + 1 && none.is_empty(), "{held:?}");
        let mut second = begin(StartFrom::Cursor(cursor));
        let (rest, removed) = told(&mut second).await;
        assert_eq!(rest, held);
        let (first_seq, last_seq) = (record.seq.0 + 1, held[0] - 1);
        assert_eq!(removed, [(first_seq, last_seq, held[0] - first_seq)]);
        let mut third = begin(StartFrom::Cursor(second.cursor()));
        assert_eq!(told(&mut third).await, (vec![], vec![]), "it is said once");
    });
}

#[test]
fn the_hard_cap_takes_unread_segments_and_says_which_slots() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let mut options = small_options();
        options.bytes_max = 400 * 1024;
        let (bus, _, clock) = open_on(root.path(), options, Arc::new(RealDisk));
        bus.cursors().open("tsdb", "sink", WallMs(0)).unwrap();
        let mut poller = Poller::new(3);
        let mut slow = bus
            .reader(ReaderOptions::from(ReadFrom::Position(bus.durable_end())))
            .unwrap();
        for slot in 1..=120 {
            clock.0.store(slot * 1_000, Ordering::Relaxed);
            poller.poll(&bus, slot * 1_000).await;
            if slot == 2 {
                slow.next_held().await.unwrap();
            }
            if slot % 10 == 0 {
                bus.tend().await.unwrap();
            }
        }
        let statistics = bus.statistics();
        assert!(
            statistics.segment_bytes <= 400 * 1024 + 64 * 1024,
            "{statistics:?}"
        );
        assert!(statistics.segments_forced > 0, "{statistics:?}");
        let (oldest, gaps) = oldest_and_gaps(&bus).await;
        for pair in 0..3 {
            let key = poller.key(LastKind::Batch, pair);
            let known = bus
                .gaps()
                .list(100, |row| row.resource.as_ref() == Some(&key.resource));
            let mut covered: Vec<_> = known
                .iter()
                .inspect(|row| assert_eq!(row.gap.cause.kind, GapKind::Retention))
                .flat_map(|row| (row.gap.first.0..=row.gap.last.0).step_by(1_000))
                .collect();
            covered.sort_unstable();
            let first_kept = oldest.max(1_000);
            // A slot's pairs may lie on both sides of a segment's end.
            assert!(
                covered.len() as i64 * 1_000 >= first_kept - 1_000,
                "{covered:?} {oldest}"
            );
            assert_eq!(covered.first(), Some(&1_000));
        }
        assert!(!gaps.is_empty());
        assert_eq!(statistics.retention_gaps, bus_gap_entries(&statistics));
        let Some(Delivery::Trimmed { from, to }) = slow.next_held().await.unwrap() else {
            panic!("the slow reader was overtaken");
        };
        assert!(from < to);
    });
}

fn bus_gap_entries(statistics: &ocelli_bus::BusStatistics) -> u64 {
    // Three pairs for each segment that was forced.
    statistics.segments_forced * 3
}

#[test]
fn last_values_and_sessions_come_back_after_a_drain_and_after_a_crash() {
    for is_drained in [true, false] {
        let root = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let (bus, ..) = open_on(root.path(), small_options(), Arc::new(RealDisk));
            let mut poller = Poller::new(5);
            for slot in 1..=40 {
                poller.poll(&bus, slot * 1_000).await;
            }
            let copy = tempfile::tempdir().unwrap();
            if is_drained {
                bus.drain().await.unwrap();
            } else {
                // The files as a crash leaves them, under the old origin.
                let copied = std::process::Command::new("cp")
                    .args(["-a", &format!("{}/bus", root.path().display())])
                    .arg(copy.path())
                    .status();
                assert!(copied.unwrap().success());
            }
            drop(bus);
            let path = if is_drained { root.path() } else { copy.path() };
            let (bus, report) = open(path, small_options());
            assert_eq!(report.last_values, 10, "drained {is_drained}: {report:?}");
            for pair in 0..5 {
                let last = bus
                    .last_values()
                    .get(&poller.key(LastKind::Batch, pair))
                    .unwrap();
                let (stream, view) = last.view();
                let record = bus.definitions().decode(stream, &view, &last.body).unwrap();
                let Payload::Batch(batch) = &record.payload else {
                    panic!("{record:?}")
                };
                assert_eq!(**batch, poller.batch(40_000), "drained {is_drained}");
                let session = bus
                    .last_values()
                    .get(&poller.key(LastKind::Session, pair))
                    .unwrap();
                assert!(session.body.ends_with(&40_000i64.to_le_bytes()));
            }
            assert_eq!(bus.last_values().list(LastKind::Batch).len(), 5);
        });
    }
}

#[test]
fn a_gap_is_listed_after_a_restart_and_a_late_batch_heals_it() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (bus, _) = open(root.path(), small_options());
        let mut poller = Poller::new(1);
        poller.poll(&bus, 1_000).await;
        let epoch = Epoch {
            generation: 1,
            index: 1,
        };
        for slot in [2_000, 3_000, 4_000] {
            let gap = Gap::of_slot(SlotMs(slot), 1_000, epoch, GapKind::Timeout.into());
            let (resource, cache) = &mut poller.pairs[0];
            let pair = Pair {
                resource,
                plugin: Some(&poller.plugin),
            };
            poller
                .encoder
                .push_gap(cache, pair, &gap, WallMs(slot))
                .unwrap();
        }
        poller.send(&bus).await;
        bus.drain().await.unwrap();
        drop(bus);
        let (bus, _) = open(root.path(), small_options());
        let ranges = |bus: &Bus| -> Vec<_> {
            let rows = bus
                .gaps()
                .list(10, |row| row.gap.cause.kind == GapKind::Timeout);
            rows.iter()
                .map(|row| (row.gap.first.0, row.gap.last.0))
                .collect()
        };
        assert_eq!(ranges(&bus), [(2_000, 4_000)]);
        poller.poll(&bus, 3_000).await;
        assert_eq!(ranges(&bus), [(2_000, 2_000), (4_000, 4_000)]);
        let key = poller.key(LastKind::Batch, 0);
        assert_eq!(
            bus.last_values().get(&key).unwrap().head.slot,
            SlotMs(3_000)
        );
        poller.poll(&bus, 2_000).await;
        assert_eq!(
            bus.last_values().get(&key).unwrap().head.slot,
            SlotMs(3_000),
            "late"
        );
    });
}

#[test]
fn the_newest_name_of_a_device_is_known_after_a_restart_until_its_origin_is_forgotten() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (bus, _) = open(root.path(), small_options());
        let mut poller = Poller::new(3);
        poller.poll(&bus, 1_000).await;
        let told = [
            (0, 1.0, "device", "old"),
            (0, 3.0, "device", "core-1"),
            (0, 2.0, "device", "late"),
            (1, 1.0, "interface", "of another namespace"),
            (2, 1.0, "device", "gone"),
            (2, 2.0, "device", ""),
        ];
        for (pair, created, namespace, name) in told {
            poller.learn(pair, (created, namespace), name);
            poller.send(&bus).await;
        }
        let names = |bus: &Bus| {
            let name_of = |(resource, _): &(Arc<Resource>, PairCache)| {
                bus.last_values().system_names().get(resource.id())
            };
            let found: Vec<_> = poller.pairs.iter().map(name_of).collect();
            found
        };
        let expected = [Some("core-1".into()), None, None];
        assert_eq!(names(&bus), expected);
        bus.drain().await.unwrap();
        drop(bus);
        let (bus, _) = open(root.path(), small_options());
        assert_eq!(names(&bus), expected, "after a restart");
        bus.last_values().forget(|_| true);
        assert_eq!(names(&bus), [None, None, None]);
    });
}
