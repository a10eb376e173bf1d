//! Several origins in one log, as a region has them: what their ids mean, last values, gaps, the
//! two lanes of delivery, and who loses at the hard cap.
//!
//! Does: let small nodes poll, hand their blocks to one bus in any order. Does not: link nodes.
//! In: batches of generated switches. Out: failures.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::{Encoder, Pair};
use ocelli_bus::payload::Payload;
use ocelli_bus::read::{Include, Item, RecordSource, StartFrom, Subscription, SubscriptionRequest};
use ocelli_bus::record::{Lane, OriginId, StreamId};
use ocelli_bus::{
    BlockDelivery, Bus, BusOptions, DeliveryLane, ForeignBlock, LastKind, OriginDescription,
    OriginShare, ReadFrom, SeqRanges, StoredBlock,
};
use ocelli_model::clock::WallMs;
use ocelli_model::gap::{Gap, GapKind};
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::slot::SlotMs;
use ocelli_model::tier::Tier;
use proptest::prelude::*;
use support::{open, quick_dir, runtime, small_options};
use switches::{Mix, switch_batch_of};

#[path = "support/switches.rs"]
mod switches;

/// A node of a site that polls one switch of its own.
struct Site {
    bus: Bus,
    encoder: Encoder,
    resource: Arc<Resource>,
    cache: PairCache,
    _directory: tempfile::TempDir,
}

const PLUGIN: &str = "interfaces";

fn slot(tick: u64) -> SlotMs {
    switch_batch_of(1, Mix::Office, tick).slot
}

impl Site {
    fn new(name: &str) -> Self {
        let directory = quick_dir();
        let options = BusOptions {
            description: Some(OriginDescription {
                mesh: "m".to_owned(),
                tier: Tier::Site,
                site: name.to_owned(),
                node: "n1".to_owned(),
            }),
            ..small_options()
        };
        let (bus, _) = open(directory.path(), options);
        let mut encoder = Encoder::default();
        encoder.add_ids(bus.handle().reserve_ids(5_000).unwrap());
        let fields = ResourceFields {
            identity: [name, "network", "switch", "generic", "sw1"].map(str::to_owned),
            endpoint: "10.0.0.1".to_owned(),
            plugin: "by-hand".to_owned(),
            ..ResourceFields::default()
        };
        Self {
            bus,
            encoder,
            resource: Arc::new(Resource::new(fields).unwrap()),
            cache: PairCache::default(),
            _directory: directory,
        }
    }

    /// A block with the batch of a tick.
    async fn poll(&mut self, ports: usize, tick: u64) {
        let batch = switch_batch_of(ports, Mix::Busy, tick);
        let (cache, resource) = (&mut self.cache, &self.resource);
        self.encoder
            .push_batch(cache, resource, &PLUGIN.into(), &batch)
            .unwrap();
        self.commit().await;
    }

    /// A block with a gap over ticks.
    async fn miss(&mut self, first: u64, last: u64) {
        let batch = switch_batch_of(1, Mix::Busy, first);
        let gap = Gap {
            first: slot(first),
            last: slot(last),
            interval_ms: batch.interval_ms,
            epoch: batch.epoch,
            cause: GapKind::Timeout.into(),
        };
        let plugin = PLUGIN.into();
        let pair = Pair {
            resource: &self.resource,
            plugin: Some(&plugin),
        };
        self.encoder
            .push_gap(&mut self.cache, pair, &gap, WallMs(0))
            .unwrap();
        self.commit().await;
    }

    async fn commit(&mut self) {
        let blocks = self.encoder.seal();
        let handle = self.bus.handle();
        for block in blocks.definitions {
            handle.submit(Lane::Definitions, block).await.unwrap();
        }
        if let Some(block) = blocks.data {
            handle.submit(Lane::Data, block).await.unwrap();
        }
    }

    /// Lane 1, then lane 0.
    async fn blocks(&self) -> [Vec<Arc<StoredBlock>>; 2] {
        self.bus.handle().flush().await.unwrap();
        let all = blocks(&self.bus).await;
        all.into_iter()
            .partition(|it| it.header().stream.lane == Lane::Definitions)
            .into()
    }

    fn stream(&self) -> StreamId {
        StreamId::data(self.bus.origin())
    }
}

async fn blocks(bus: &Bus) -> Vec<Arc<StoredBlock>> {
    let mut reader = bus.follow_blocks(ReadFrom::Oldest).unwrap();
    let mut found = Vec::new();
    while let Some(delivery) = reader.next_held().await.unwrap() {
        if let BlockDelivery::Blocks(blocks) = delivery {
            found.extend(blocks);
        }
    }
    found
}

async fn take(bus: &Bus, block: &StoredBlock, is_backfill: bool) {
    let foreign = ForeignBlock::read(block.bytes().clone()).unwrap();
    let foreign = foreign.with_backfill(is_backfill);
    bus.handle().ingest(foreign).await.unwrap();
}

async fn take_all(bus: &Bus, sites: &[&Site]) {
    for site in sites {
        for block in site.blocks().await.iter().flatten() {
            take(bus, block, false).await;
        }
    }
    bus.handle().flush().await.unwrap();
}

fn last_slots(bus: &Bus) -> Vec<(String, SlotMs)> {
    let last = bus.last_values().list(LastKind::Batch);
    let row = |entry: &ocelli_bus::LastEntry| {
        let site = entry
            .resource
            .id()
            .as_str()
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        (site, entry.head.slot)
    };
    last.iter().map(row).collect()
}

/// (site, slot, whether as backfill) of each batch held.
async fn batches(bus: &Arc<Bus>) -> Vec<(String, SlotMs, bool)> {
    let source = RecordSource::new(Arc::clone(bus));
    let request = SubscriptionRequest {
        from: StartFrom::Oldest,
        include: Include::default(),
        ..SubscriptionRequest::default()
    };
    let mut subscription = Subscription::begin(&source, request).unwrap();
    let mut found = Vec::new();
    while let Some(item) = subscription.next_held().await.unwrap() {
        if let Item::Record(record) = item
            && let Payload::Batch(batch) = &record.payload
        {
            let id = record.resource.as_ref().unwrap().id().as_str().to_owned();
            let site = id.split('/').next().unwrap().to_owned();
            found.push((site, batch.slot, record.is_backfill));
        }
    }
    found
}

#[test]
fn the_same_ids_mean_other_things_in_other_origins() {
    runtime().block_on(async {
        let mut sites = [Site::new("a"), Site::new("b"), Site::new("c")];
        for site in &mut sites {
            site.poll(2, 0).await;
        }
        let directory = quick_dir();
        let (bus, _) = open(directory.path(), small_options());
        take_all(&bus, &sites.each_ref()).await;
        let bus = Arc::new(bus);
        let expected = |site: &str| (site.to_owned(), slot(0), false);
        assert_eq!(batches(&bus).await, ["a", "b", "c"].map(expected));
        let named = ["a", "b", "c"].map(|site| (site.to_owned(), slot(0)));
        assert_eq!(last_slots(&bus), named);
        drop(bus);
        let (bus, _) = open(directory.path(), small_options());
        assert_eq!(last_slots(&bus), named, "and after a restart");
        for site in &sites {
            let known = bus.definitions().origin_of(site.bus.origin()).unwrap();
            assert_eq!(
                Some(known.site.as_str()),
                site.resource.id().as_str().split('/').next()
            );
        }
    });
}

#[test]
fn a_late_slot_replaces_no_newer_last_value_and_heals_its_gap() {
    runtime().block_on(async {
        let mut site = Site::new("a");
        site.poll(2, 0).await;
        site.miss(1, 3).await;
        site.poll(2, 4).await;
        // Late data of the device: the slot stood in a gap.
        site.poll(2, 2).await;
        let [definitions, data] = site.blocks().await;
        let directory = quick_dir();
        let (bus, _) = open(directory.path(), small_options());
        for block in &definitions {
            take(&bus, block, false).await;
        }
        // Live from tick 4 on; what is older comes behind it.
        take(&bus, &data[2], false).await;
        for block in [&data[0], &data[1], &data[3]] {
            take(&bus, block, true).await;
        }
        bus.handle().flush().await.unwrap();
        let check = |bus: &Bus, name: &str| {
            assert_eq!(last_slots(bus), [("a".to_owned(), slot(4))], "{name}");
            let gaps = bus.gaps().list(10, |_| true);
            let gaps: Vec<_> = gaps
                .iter()
                .map(|row| (row.gap.first, row.gap.last))
                .collect();
            let expected = [(slot(1), slot(1)), (slot(3), slot(3))];
            assert_eq!(gaps, expected, "{name}");
        };
        check(&bus, "live");
        let entry = &bus.last_values().list(LastKind::Batch)[0];
        assert!(!entry.is_backfill);
        drop(bus);
        let (bus, _) = open(directory.path(), small_options());
        assert_eq!(
            last_slots(&bus),
            [("a".to_owned(), slot(4))],
            "after a restart"
        );
    });
}

#[test]
fn a_fenced_block_is_carried_and_shown_to_nobody() {
    runtime().block_on(async {
        let mut site = Site::new("a");
        site.poll(2, 0).await;
        site.poll(2, 1).await;
        let [definitions, data] = site.blocks().await;
        let directory = quick_dir();
        let (bus, _) = open(directory.path(), small_options());
        for block in &definitions {
            take(&bus, block, false).await;
        }
        take(&bus, &data[0], false).await;
        let fenced = ForeignBlock::read(data[1].bytes().clone())
            .unwrap()
            .with_fenced(true);
        bus.handle().ingest(fenced).await.unwrap().await.unwrap();
        let bus = Arc::new(bus);
        assert_eq!(batches(&bus).await, [("a".to_owned(), slot(0), false)]);
        assert_eq!(last_slots(&bus), [("a".to_owned(), slot(0))]);
        let stored = blocks(&bus).await;
        assert!(
            stored.last().unwrap().is_fenced(),
            "it goes on to upper tiers"
        );
        assert_eq!(
            bus.coverage_of(site.stream()),
            SeqRanges::from(vec![(1, 2)])
        );
    });
}

// === Lanes ===

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_lane_of_a_stream_ascends_says_which_it_is_and_no_seq_comes_twice(
        order in proptest::collection::vec((0usize..3, any::<bool>()), 1..120), cut in 0usize..120
    ) {
        runtime().block_on(async {
            let directory = quick_dir();
            let mut options = small_options();
            options.segment_bytes = 4 * 1024;
            options.tail_bytes_max = 2 * 1024;
            let (bus, _) = open(directory.path(), options.clone());
            // Per origin: the next live seq from 1,000 on, the next backfilled one from 1 on.
            let mut next = [(1_000u64, 1u64); 3];
            let mut expected: BTreeMap<(u128, bool), Vec<u64>> = BTreeMap::new();
            for (origin, is_backfill) in &order {
                let seq = if *is_backfill { &mut next[*origin].1 } else { &mut next[*origin].0 };
                let block = support::foreign_event(OriginId(*origin as u128 + 1), *seq);
                bus.handle().ingest(block.with_backfill(*is_backfill)).await.unwrap();
                let id = *origin as u128 + 1;
                expected.entry((id, *is_backfill)).or_default().push(*seq);
                *seq += 1;
            }
            bus.handle().flush().await.unwrap();
            // A reader that is cut off after some entries goes on by its cursor.
            let mut found: BTreeMap<(u128, bool), Vec<u64>> = BTreeMap::new();
            let mut from = ReadFrom::Oldest;
            let mut left = cut;
            loop {
                let mut reader = bus.reader(ocelli_bus::ReaderOptions::from(from)).unwrap();
                let mut taken = BTreeMap::new();
                let mut is_cut = false;
                while let Some(delivery) = reader.next_held().await.unwrap() {
                    let ocelli_bus::Delivery::Entries(entries) = delivery else { panic!() };
                    for entry in &entries {
                        let of = (entry.stream().origin.0, entry.block().is_backfill());
                        found.entry(of).or_default().push(entry.seq().0);
                    }
                    taken.clone_from(reader.taken());
                    is_cut = left > 0 && entries.len() >= left;
                    left = left.saturating_sub(entries.len());
                    if is_cut { break; }
                }
                if !is_cut { break; }
                left = 0;
                from = ReadFrom::Taken(taken);
            }
            assert_eq!(found, expected);
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lanes_ascend_however_the_paths_of_a_stream_meet_and_over_restarts(
        came in proptest::collection::vec((1u64..60, any::<bool>(), 0u8..16), 1..100)
    ) {
        runtime().block_on(async {
            let directory = quick_dir();
            let mut options = small_options();
            options.segment_bytes = 4 * 1024;
            let (mut bus, _) = open(directory.path(), options.clone());
            let mut known = std::collections::BTreeSet::new();
            for (seq, is_backfill, chance) in came {
                known.insert(seq);
                let block = support::foreign_event(OriginId(1), seq).with_backfill(is_backfill);
                bus.handle().ingest(block).await.unwrap().await.unwrap();
                // With footers, and with a last segment that has to be scanned.
                if chance < 2 {
                    if chance == 0 {
                        bus.drain().await.unwrap();
                    }
                    drop(bus);
                    bus = open(directory.path(), options.clone()).0;
                }
            }
            let mut highest = BTreeMap::new();
            let mut found = Vec::new();
            for block in blocks(&bus).await {
                let range = block.range();
                found.push(range.first.0);
                assert_eq!(block.is_backfill(), block.lane() != DeliveryLane::Live);
                let before = highest.insert(block.lane(), range.last).unwrap_or_default();
                assert!(block.lane() == DeliveryLane::Fill || before < range.first, "{range:?}");
            }
            found.sort_unstable();
            assert_eq!(found, known.into_iter().collect::<Vec<_>>(), "each once");
        });
    }
}

// === The hard cap ===

/// Bytes of data of a stream that a bus holds.
async fn held_seqs(bus: &Bus, stream: StreamId) -> SeqRanges {
    let mut held = SeqRanges::default();
    for block in blocks(bus).await {
        if block.header().stream == stream {
            held.insert(block.range());
        }
    }
    held
}

#[test]
fn at_the_cap_the_site_at_many_times_its_share_loses_and_others_keep_all() {
    runtime().block_on(async {
        let mut sites = [Site::new("loud"), Site::new("quiet")];
        let directory = quick_dir();
        let mut options = small_options();
        // No age: what goes, goes by the cap.
        options.retention = Duration::from_secs(1_000_000);
        options.bytes_max = 600 * 1024;
        options.tail_bytes_max = 16 * 1024;
        let (bus, _) = open(directory.path(), options.clone());
        let mut reader = bus.follow_blocks(ReadFrom::Oldest).unwrap();
        let mut sent = 0;
        for tick in 0..400 {
            let [loud, quiet] = &mut sites;
            loud.poll(40, tick).await;
            if tick % 20 == 0 {
                quiet.poll(40, tick).await;
            }
            if tick % 50 == 49 {
                take_all(&bus, &sites.each_ref()).await;
                bus.tend().await.unwrap();
                // A reader that stands within what is written anew.
                sent += usize::from(reader.next_held().await.unwrap().is_some());
            }
        }
        assert!(sent > 4);
        let statistics = bus.statistics();
        assert!(statistics.segments_thinned > 3, "{statistics:?}");
        assert!(
            statistics.segment_bytes <= options.bytes_max + 64 * 1024,
            "{statistics:?}"
        );
        let [loud, quiet] = &sites;
        check_cap(&bus, loud, quiet).await;
        drop(reader);
        drop(bus);
        let (bus, report) = open(directory.path(), options.clone());
        assert!(report.moved_aside.is_empty(), "{report:?}");
        check_cap(&bus, loud, quiet).await;
        // The last values are those of before, and blocks are found by seq.
        assert_eq!(last_slots(&bus).len(), 2);
        let all = ocelli_bus::SeqRange {
            first: ocelli_bus::record::Seq(1),
            last: ocelli_bus::record::Seq(1_000),
        };
        let found = bus
            .blocks_of(quiet.stream(), all, usize::MAX)
            .await
            .unwrap();
        assert_eq!(found.len(), 20);
    });
}

async fn check_cap(bus: &Bus, loud: &Site, quiet: &Site) {
    assert_eq!(
        held_seqs(bus, quiet.stream()).await,
        SeqRanges::from(vec![(1, 20)]),
        "all"
    );
    let held = held_seqs(bus, loud.stream()).await;
    assert!(held.count() < 400 && held.len() == 1, "{held:?}");
    assert_eq!(held.highest().0, 400, "the oldest went");
    let covered = SeqRanges::from(vec![(1, 400)]);
    assert_eq!(
        bus.coverage_of(loud.stream()),
        covered,
        "and is not asked for again"
    );
    // What went is a gap with both edges, said by this node of the site's pair.
    let gaps = bus
        .gaps()
        .list(100, |row| row.gap.cause == GapKind::Retention.into());
    let of_loud = gaps
        .iter()
        .all(|row| row.resource.as_ref() == Some(loud.resource.id()));
    assert!(
        of_loud && gaps.iter().all(|row| row.origin == bus.origin()),
        "{gaps:?}"
    );
    let lowest = gaps.iter().map(|row| row.gap.first).min();
    let highest = gaps.iter().map(|row| row.gap.last).max();
    let lost = 400 - held.count();
    assert_eq!((lowest, highest), (Some(slot(0)), Some(slot(lost - 1))));
}

#[test]
fn a_reader_is_as_far_behind_as_the_oldest_data_that_it_has_yet_to_take() {
    runtime().block_on(async {
        let mut site = Site::new("a");
        for tick in 0..20 {
            site.poll(4, tick).await;
        }
        let directory = quick_dir();
        let (bus, _) = open(directory.path(), small_options());
        take_all(&bus, &[&site]).await;
        let cursor = bus.cursors().open("up", "uplink", WallMs(0)).unwrap();
        let facts = |bus: &Bus| bus.reader_facts().remove(0);
        let behind = facts(&bus);
        assert_eq!(
            (behind.name.as_str(), behind.kind.as_str()),
            ("up", "uplink")
        );
        assert_eq!(behind.oldest, Some(WallMs(1_000_000)));
        let range = |first, last| ocelli_bus::SeqRange {
            first: ocelli_bus::record::Seq(first),
            last: ocelli_bus::record::Seq(last),
        };
        cursor.advance(site.stream(), range(1, 10), WallMs(0));
        let half = facts(&bus).bytes;
        assert!(
            half * 2 <= behind.bytes + 2 && half > 0,
            "{half} of {}",
            behind.bytes
        );
        cursor.advance(site.stream(), range(11, 20), WallMs(0));
        assert_eq!((facts(&bus).oldest, facts(&bus).bytes), (None, 0));
    });
}

#[test]
fn a_sites_own_maximum_holds_below_the_cap() {
    runtime().block_on(async {
        let mut sites = [Site::new("a"), Site::new("b")];
        for tick in 0..150 {
            for site in &mut sites {
                site.poll(40, tick).await;
            }
        }
        let directory = quick_dir();
        let mut options = small_options();
        options.shares = vec![OriginShare {
            site: "a".to_owned(),
            bytes_min: None,
            bytes_max: Some(150 * 1024),
        }];
        let (bus, _) = open(directory.path(), options);
        take_all(&bus, &sites.each_ref()).await;
        bus.tend().await.unwrap();
        let facts = bus.origins();
        let bytes = |site: &Site| {
            let origin = site.bus.origin();
            facts
                .iter()
                .find(|facts| facts.origin == origin)
                .unwrap()
                .bytes
        };
        let [a, b] = &sites;
        assert!(
            bytes(a) < 230 * 1024 && bytes(b) > 2 * bytes(a),
            "{facts:?}"
        );
        assert_eq!(held_seqs(&bus, b.stream()).await.count(), 150);
    });
}
