//! Blocks of other origins: taken untouched, once, in an order that keeps definitions first; what
//! is held of them is known exactly, over restarts, full disks and retention.
//!
//! Does: make origins in directories of their own, hand their blocks to another bus in any order.
//! Does not: link nodes. In: small buses on a still clock. Out: failures.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ocelli_bus::block::BlockError;
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{
    AppendError, BlockDelivery, Bus, Committed, ForeignBlock, ForsakeError, IngestError,
    OriginDescription, ReadFrom, SeqRange, SeqRanges, StoredBlock, SubmitError, forsake_origin,
};
use ocelli_model::tier::Tier;
use support::{
    CountingRng, FaultyDisk, events, held_of, open, open_on, quick_dir, runtime, small_options,
};

/// Another node's blocks, as they stand in its log: lane 1 at the places where it was written.
struct Origin {
    id: OriginId,
    definitions: Vec<Bytes>,
    data: Vec<Bytes>,
}

/// An origin whose data block `n` has the numbers `3 n, 3 n + 1, 3 n + 2`; a block of lane 1 stands
/// before each tenth.
async fn origin(blocks: u64) -> Origin {
    let root = quick_dir();
    let (bus, _) = open(root.path(), small_options());
    let handle = bus.handle();
    for number in 0..blocks {
        if number % 10 == 0 {
            let block = events(number, 2, 30);
            handle.submit(Lane::Definitions, block).await.unwrap();
        }
        let block = events(number * 3, 3, 60);
        handle.submit(Lane::Data, block).await.unwrap();
    }
    handle.flush().await.unwrap();
    let mut origin = Origin {
        id: bus.origin(),
        definitions: Vec::new(),
        data: Vec::new(),
    };
    for block in all_blocks(&bus).await {
        match block.header().stream.lane {
            Lane::Data => origin.data.push(block.bytes().clone()),
            Lane::Definitions => origin.definitions.push(block.bytes().clone()),
        }
    }
    origin
}

async fn all_blocks(bus: &Bus) -> Vec<Arc<StoredBlock>> {
    let mut reader = bus.follow_blocks(ReadFrom::Oldest).unwrap();
    let mut found = Vec::new();
    while let Some(delivery) = reader.next_held().await.unwrap() {
        if let BlockDelivery::Blocks(blocks) = delivery {
            found.extend(blocks);
        }
    }
    found
}

fn foreign(bytes: &Bytes, is_backfill: bool) -> ForeignBlock {
    ForeignBlock::read(bytes.clone())
        .unwrap()
        .with_backfill(is_backfill)
}

async fn ingest(bus: &Bus, bytes: &Bytes, is_backfill: bool) -> Result<Committed, AppendError> {
    let acknowledgement = bus.handle().ingest(foreign(bytes, is_backfill)).await;
    acknowledgement.unwrap().await
}

async fn ingest_definitions(bus: &Bus, origin: &Origin) {
    for bytes in &origin.definitions {
        ingest(bus, bytes, false).await.unwrap();
    }
}

fn range(first: u64, last: u64) -> SeqRange {
    SeqRange {
        first: Seq(first),
        last: Seq(last),
    }
}

#[test]
fn a_foreign_block_is_stored_once_and_byte_for_byte() {
    runtime().block_on(async {
        let origin = origin(30).await;
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        ingest_definitions(&bus, &origin).await;
        for bytes in &origin.data {
            assert!(!ingest(&bus, bytes, false).await.unwrap().is_duplicate);
        }
        // Again, all at once, with some that are new: what waits in the window counts too.
        let handle = bus.handle();
        let mut waiting = Vec::new();
        for bytes in origin.data.iter().chain(&origin.definitions) {
            waiting.push(handle.ingest(foreign(bytes, true)).await.unwrap());
        }
        for waiting in waiting {
            assert!(waiting.await.unwrap().is_duplicate);
        }
        let stored = all_blocks(&bus).await;
        let expected: Vec<_> = origin.definitions.iter().chain(&origin.data).collect();
        let found: Vec<_> = stored.iter().map(|block| block.bytes()).collect();
        assert_eq!(found, expected, "untouched, once");
        assert_eq!(bus.statistics().duplicate_blocks, 33);
        let data = StreamId::data(origin.id);
        assert_eq!(bus.coverage_of(data), SeqRanges::up_to(Seq(90)));
        let numbers: Vec<_> = (0..90).map(|number| (number + 1, number)).collect();
        assert_eq!(held_of(&bus, data).await, numbers);
    });
}

#[test]
fn a_block_offered_twice_before_its_commit_is_acknowledged_twice_and_written_once() {
    runtime().block_on(async {
        let origin = origin(1).await;
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        let handle = bus.handle();
        let mut waiting = Vec::new();
        for bytes in [&origin.definitions[0], &origin.data[0], &origin.data[0]] {
            waiting.push(handle.ingest(foreign(bytes, false)).await.unwrap());
        }
        let mut duplicates = Vec::new();
        for waiting in waiting {
            duplicates.push(waiting.await.unwrap().is_duplicate);
        }
        assert_eq!(duplicates, [false, false, true]);
        assert_eq!(all_blocks(&bus).await.len(), 2);
    });
}

#[test]
fn what_cannot_be_taken_yet_is_refused_with_what_is_awaited() {
    runtime().block_on(async {
        let origin = origin(30).await;
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        let (data, definitions) = (StreamId::data(origin.id), StreamId::definitions(origin.id));
        let check = async |bytes: &Bytes, expected: AppendError| {
            let error = ingest(&bus, bytes, false).await.unwrap_err();
            assert_eq!(error, expected);
            assert!(error.is_transient());
        };
        let needs = |needs, held| AppendError::AwaitsDefinitions {
            stream: data,
            needs: Seq(needs),
            held: Seq(held),
        };
        check(&origin.data[0], needs(2, 0)).await;
        let before = |first, awaited| AppendError::AwaitsDefinitionsBefore {
            stream: definitions,
            first: Seq(first),
            awaited: Seq(awaited),
        };
        check(&origin.definitions[1], before(3, 1)).await;
        ingest(&bus, &origin.definitions[0], false).await.unwrap();
        check(&origin.data[25], needs(6, 2)).await;
        check(&origin.definitions[2], before(5, 3)).await;
        ingest(&bus, &origin.data[9], false).await.unwrap();
        assert_eq!(bus.coverage_of(data), SeqRanges::from(vec![(28, 30)]));
        assert_eq!(bus.statistics().foreign_refused, 4);
        // In one window with what it needs.
        let handle = bus.handle();
        let mut waiting = Vec::new();
        for bytes in origin.definitions[1..].iter().chain([&origin.data[25]]) {
            waiting.push(handle.ingest(foreign(bytes, false)).await.unwrap());
        }
        for waiting in waiting {
            waiting.await.unwrap();
        }
    });
}

#[test]
fn the_own_origin_and_bytes_that_are_no_block_are_refused_for_good() {
    runtime().block_on(async {
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        let acknowledgement = bus.handle().submit(Lane::Data, events(1, 1, 40)).await;
        acknowledgement.unwrap().await.unwrap();
        let own = all_blocks(&bus).await[0].bytes().clone();
        let refused = bus.handle().ingest(foreign(&own, false)).await.unwrap_err();
        let stream = StreamId::data(bus.origin());
        assert_eq!(refused.error, IngestError::OwnOrigin { stream });
        assert!(!refused.error.is_transient());
        let mut longer = own.to_vec();
        longer.push(0);
        let error = ForeignBlock::read(longer.into()).unwrap_err();
        assert_eq!(error, BlockError::Header { field: "size" });
        for at in [0, 20, 79, 90, own.len() - 1] {
            let mut damaged = own.to_vec();
            damaged[at] ^= 4;
            ForeignBlock::read(damaged.into()).unwrap_err();
        }
        bus.drain().await.unwrap();
        let refused = bus.handle().ingest(foreign(&own, false)).await.unwrap_err();
        assert!(refused.error == IngestError::OwnOrigin { stream });
    });
}

#[test]
fn blocks_are_found_by_seq_whatever_the_order_they_came_in() {
    runtime().block_on(async {
        let (one, two) = (origin(60).await, origin(60).await);
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        for origin in [&one, &two] {
            ingest_definitions(&bus, origin).await;
        }
        // Live from block 30 on, backfill beside it, ascending; two blocks never come.
        for at in 0..30 {
            ingest(&bus, &one.data[30 + at], false).await.unwrap();
            if at != 7 && at != 8 {
                ingest(&bus, &one.data[at], true).await.unwrap();
                ingest(&bus, &two.data[at], true).await.unwrap();
            }
        }
        let stream = StreamId::data(one.id);
        assert_eq!(
            bus.coverage_of(stream),
            SeqRanges::from(vec![(1, 21), (28, 180)])
        );
        let check = async |name: &str, range: SeqRange, bytes_max: usize, expected: Vec<u64>| {
            let blocks = bus.blocks_of(stream, range, bytes_max).await.unwrap();
            let found: Vec<_> = blocks.iter().map(|block| block.range().first.0).collect();
            assert_eq!(found, expected, "{name}");
        };
        let firsts = |from: u64, to: u64| (from..to).map(|block| block * 3 + 1).collect::<Vec<_>>();
        check(
            "all",
            range(1, 500),
            usize::MAX,
            [firsts(0, 7), firsts(9, 60)].concat(),
        )
        .await;
        check("at least one", range(5, 500), 0, firsts(1, 2)).await;
        check("the hole", range(22, 27), usize::MAX, vec![]).await;
        check("around the hole", range(20, 29), usize::MAX, vec![19, 28]).await;
        check("behind the end", range(181, 200), usize::MAX, vec![]).await;
        let head = bus.head_mark(stream).unwrap();
        assert_eq!((head.seq, head.block_first), (Seq(180), Seq(178)));
        assert_eq!(bus.mark_of(stream, Seq(180)).await.unwrap(), Some(head));
        let inside = bus.mark_of(stream, Seq(179)).await.unwrap().unwrap();
        assert_eq!(
            (inside.block_first, inside.checksum),
            (head.block_first, head.checksum)
        );
        assert_eq!(bus.mark_of(stream, Seq(22)).await.unwrap(), None);
    });
}

// === What is known of streams ===

/// What a power loss leaves of sealed segments at worst.
fn cut_footers(root: &Path) {
    for file in std::fs::read_dir(root.join("bus/segments")).unwrap() {
        let path = file.unwrap().path();
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 5).unwrap();
    }
}

#[test]
fn coverage_keeps_its_holes_over_restarts_and_what_retention_removed() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let mut origin = origin(40).await;
        // Retention looks at the clock of the bus: 1,000 s at its start.
        let mut options = small_options();
        options.segment_bytes = 4 * 1024;
        let data = StreamId::data(origin.id);
        let (bus, _) = open(root.path(), options.clone());
        ingest_definitions(&bus, &origin).await;
        for at in (5..20).chain(25..40) {
            ingest(&bus, &origin.data[at], false).await.unwrap();
        }
        let expected = SeqRanges::from(vec![(16, 60), (76, 120)]);
        assert_eq!(bus.coverage_of(data), expected);
        let head = bus.head(data).unwrap();
        drop(bus);
        let (bus, report) = open(root.path(), options.clone());
        assert_eq!(
            (bus.coverage_of(data), bus.head(data)),
            (expected.clone(), Some(head))
        );
        assert_eq!(report.heads[&data], Seq(120));
        drop(bus);
        // Without footers, as after a power loss: the same by scanning.
        cut_footers(root.path());
        let (bus, report) = open(root.path(), options.clone());
        assert!(report.segments_scanned > 1);
        assert_eq!(
            (bus.coverage_of(data), bus.head(data)),
            (expected.clone(), Some(head))
        );
        // All but the open segment goes.
        let held = bus.statistics().segments;
        drop(bus);
        options.bytes_max = 1;
        let (bus, _) = open(root.path(), options.clone());
        bus.tend().await.unwrap();
        assert!(bus.statistics().segments < held && held_of(&bus, data).await.is_empty());
        assert_eq!(
            bus.coverage_of(data),
            expected,
            "removed, and not to be sent again"
        );
        drop(bus);
        let (bus, _) = open(root.path(), options.clone());
        assert_eq!(
            (bus.coverage_of(data), bus.head(data)),
            (expected, Some(head))
        );
        assert!(
            ingest(&bus, &origin.data[6], true)
                .await
                .unwrap()
                .is_duplicate
        );
        assert!(
            ingest(&bus, &origin.definitions[0], true)
                .await
                .unwrap()
                .is_duplicate
        );
        let late = origin.data.remove(22);
        assert!(!ingest(&bus, &late, true).await.unwrap().is_duplicate);
        assert_eq!(bus.coverage_of(data).len(), 3);
        let [facts, ..] = &bus.origins()[..] else {
            panic!("one origin at least")
        };
        assert_eq!((facts.highest, facts.missing), (Seq(120), 27));
    });
}

#[test]
fn own_seqs_go_on_after_retention_took_all_of_them() {
    let root = tempfile::tempdir().unwrap();
    let mut options = small_options();
    options.bytes_max = 1;
    for round in 0u64..3 {
        runtime().block_on(async {
            let (bus, _) = open(root.path(), options.clone());
            bus.tend().await.unwrap();
            let block = events(round, 1, 100);
            let committed = bus
                .handle()
                .submit(Lane::Data, block)
                .await
                .unwrap()
                .await
                .unwrap();
            assert_eq!(committed.range, range(round + 1, round + 1));
            bus.drain().await.unwrap();
        });
    }
}

#[test]
fn a_stream_in_too_many_pieces_takes_what_heals_it_and_live_blocks_for_longest() {
    runtime().block_on(async {
        let origin = origin(2 * 1_040).await;
        let root = quick_dir();
        let mut options = small_options();
        options.commit_delay = Duration::ZERO;
        let (bus, _) = open(root.path(), options);
        ingest_definitions(&bus, &origin).await;
        let data = StreamId::data(origin.id);
        // Every second block only.
        let mut pieces = 0;
        let mut at = 0;
        for is_backfill in [true, false] {
            loop {
                let taken = ingest(&bus, &origin.data[at], is_backfill).await;
                if let Err(error) = taken {
                    let ranges = pieces;
                    let missing = Seq(4);
                    let expected = AppendError::TooManyHoles {
                        stream: data,
                        ranges,
                        missing,
                    };
                    assert_eq!(error, expected);
                    break;
                }
                pieces += 1;
                at += 2;
            }
            assert_eq!(pieces, if is_backfill { 1_024 - 64 } else { 1_024 });
        }
        assert_eq!(bus.coverage_of(data).len(), 1_024);
        ingest(&bus, &origin.data[1], true).await.unwrap();
        ingest(&bus, &origin.data[at], false).await.unwrap();
        assert_eq!(bus.coverage_of(data).len(), 1_024);
    });
}

// === A disk that fails ===

#[test]
fn after_a_failed_fsync_foreign_blocks_are_written_again_byte_for_byte() {
    for before in [0, 1, 2] {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let faults = Arc::clone(&disk.0);
        runtime().block_on(async {
            let origin = origin(30).await;
            let (bus, ..) = open_on(root.path(), small_options(), Arc::new(disk));
            faults.failures_left.store(2, Ordering::SeqCst);
            faults.syncs_left.store(before, Ordering::SeqCst);
            ingest_definitions(&bus, &origin).await;
            for bytes in &origin.data {
                ingest(&bus, bytes, false).await.unwrap();
            }
            assert!(bus.statistics().commit_failures >= 1);
            drop(bus);
            let (bus, _) = open(root.path(), small_options());
            let stored = all_blocks(&bus).await;
            let found: Vec<_> = stored.iter().map(|block| block.bytes()).collect();
            let expected: Vec<_> = origin.definitions.iter().chain(&origin.data).collect();
            assert_eq!(found, expected, "fsync {before}");
        });
    }
}

#[test]
fn a_window_written_twice_around_a_lost_header_is_held_once() {
    let (root, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = FaultyDisk::default();
    let faults = Arc::clone(&disk.0);
    runtime().block_on(async {
        let origin = origin(9).await;
        let (bus, ..) = open_on(root.path(), small_options(), Arc::new(disk));
        ingest_definitions(&bus, &origin).await;
        let (before, window) = origin.data.split_at(4);
        for bytes in before {
            ingest(&bus, bytes, false).await.unwrap();
        }
        // The window goes to three segments: two whose fsync fails, one that holds.
        faults.failures_left.store(2, Ordering::SeqCst);
        faults.syncs_left.store(0, Ordering::SeqCst);
        for bytes in window {
            ingest(&bus, bytes, false).await.unwrap();
        }
        assert_eq!(bus.statistics().commit_failures, 2);
        support::copy(root.path(), crashed.path());
        // The power goes: of the second segment nothing had reached the disk.
        let folder = crashed.path().join("bus/segments");
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        names.sort_by_key(|name| name.as_ref().unwrap().file_name());
        let second = names[1].as_ref().unwrap().path();
        let bytes = std::fs::metadata(&second).unwrap().len();
        std::fs::write(&second, vec![0; usize::try_from(bytes).unwrap()]).unwrap();
        let (bus, report) = open(crashed.path(), small_options());
        let stored = all_blocks(&bus).await;
        let found: Vec<_> = stored.iter().map(|block| block.bytes()).collect();
        let expected: Vec<_> = origin.definitions.iter().chain(&origin.data).collect();
        assert_eq!(found, expected, "{report:?}");
        assert_eq!(report.moved_aside.len(), 1, "{report:?}");
    });
}

#[test]
fn what_a_failing_disk_refused_is_taken_when_it_is_offered_again() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let faults = Arc::clone(&disk.0);
    runtime().block_on(async {
        let origin = origin(3).await;
        let (bus, ..) = open_on(root.path(), small_options(), Arc::new(disk));
        faults.failures_left.store(10, Ordering::SeqCst);
        faults.syncs_left.store(0, Ordering::SeqCst);
        let handle = bus.handle();
        let mut waiting = Vec::new();
        for bytes in [&origin.definitions[0], &origin.data[0], &origin.data[0]] {
            waiting.push(handle.ingest(foreign(bytes, false)).await.unwrap());
        }
        for waiting in waiting {
            let error = waiting.await.unwrap_err();
            let is_of_disk = matches!(error, AppendError::Disk { .. });
            // What rests on a refused block is refused too.
            assert!(is_of_disk || matches!(error, AppendError::AwaitsDefinitions { .. }));
            assert!(error.is_transient());
        }
        assert!(bus.coverage().is_empty(), "nothing is held");
        faults.syncs_left.store(-1, Ordering::SeqCst);
        ingest_definitions(&bus, &origin).await;
        for bytes in &origin.data {
            assert!(!ingest(&bus, bytes, false).await.unwrap().is_duplicate);
        }
        drop(bus);
        let (bus, report) = open(root.path(), small_options());
        let stored = all_blocks(&bus).await;
        let found: Vec<_> = stored.iter().map(|block| block.bytes()).collect();
        let expected: Vec<_> = origin.definitions.iter().chain(&origin.data).collect();
        assert_eq!(
            found, expected,
            "once, whatever the failed segments kept: {report:?}"
        );
    });
}

#[test]
fn a_full_disk_refuses_foreign_blocks_at_the_door_and_takes_them_later() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let faults = Arc::clone(&disk.0);
    runtime().block_on(async {
        let origin = origin(3).await;
        let (bus, ..) = open_on(root.path(), small_options(), Arc::new(disk));
        faults.free_bytes.store(0, Ordering::SeqCst);
        let error = ingest(&bus, &origin.definitions[0], false)
            .await
            .unwrap_err();
        assert_eq!(error, AppendError::DiskFull);
        let refused = bus
            .handle()
            .ingest(foreign(&origin.definitions[0], false))
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.error, IngestError::Submit(SubmitError::DiskFull));
        assert!(refused.error.is_transient());
        assert_eq!(refused.block.bytes(), &origin.definitions[0]);
        faults.free_bytes.store(u64::MAX, Ordering::SeqCst);
        bus.tend().await.unwrap();
        ingest_definitions(&bus, &origin).await;
        ingest(&bus, &origin.data[0], false).await.unwrap();
    });
}

// === Origins ===

#[test]
fn a_node_says_first_who_it_is_and_upper_tiers_know_its_origin_by_it() {
    let (lower_root, upper_root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    runtime().block_on(async {
        let description = |node: &str| OriginDescription {
            mesh: "m".to_owned(),
            tier: Tier::Site,
            site: "dc1".to_owned(),
            node: node.to_owned(),
        };
        let (upper, _) = open(upper_root.path(), small_options());
        // Renamed at the last start.
        for (round, node) in ["n1", "n1", "n2"].into_iter().enumerate() {
            let mut options = small_options();
            options.description = Some(description(node));
            let (bus, _) = open(lower_root.path(), options);
            let handle = bus.handle();
            let block = events(round as u64, 1, 40);
            handle
                .submit(Lane::Data, block)
                .await
                .unwrap()
                .await
                .unwrap();
            let blocks = all_blocks(&bus).await;
            assert_eq!(
                blocks[0].header().stream.lane,
                Lane::Definitions,
                "first of all"
            );
            let words = bus
                .coverage_of(StreamId::definitions(bus.origin()))
                .highest();
            assert_eq!(
                words,
                Seq(1 + round as u64 / 2),
                "said again only when it changed"
            );
            for block in blocks {
                ingest(&upper, block.bytes(), false).await.unwrap();
            }
            let known = upper.definitions().origin_of(bus.origin());
            assert_eq!(known.as_deref(), Some(&description(node)));
            bus.drain().await.unwrap();
        }
        let facts = upper.origins();
        let [facts] = &facts[..] else {
            panic!("one origin: {facts:?}")
        };
        assert_eq!(facts.description.as_deref(), Some(&description("n2")));
        assert!(!facts.is_own && facts.bytes > 0 && facts.missing == 0);
        assert_eq!((facts.highest, facts.bytes), (Seq(3), facts.bytes_taken));
    });
}

#[test]
fn a_forsaken_origin_is_named_until_something_stands_under_the_new_one() {
    let root = tempfile::tempdir().unwrap();
    let none = forsake_origin(root.path(), &mut CountingRng(3)).unwrap_err();
    assert!(matches!(none, ForsakeError::None { .. }), "{none}");
    runtime().block_on(async {
        let (bus, first) = open(root.path(), small_options());
        let append = async |bus: &Bus| {
            let block = events(1, 1, 40);
            bus.handle()
                .submit(Lane::Data, block)
                .await
                .unwrap()
                .await
                .unwrap()
        };
        append(&bus).await;
        let in_use = forsake_origin(root.path(), &mut CountingRng(3)).unwrap_err();
        assert!(matches!(in_use, ForsakeError::Directory(_)), "{in_use}");
        bus.drain().await.unwrap();
        drop(bus);
        let forsaken = forsake_origin(root.path(), &mut CountingRng(3)).unwrap();
        assert_eq!(forsaken.before, first.origin);
        for _ in 0..2 {
            let (bus, report) = open(root.path(), small_options());
            assert_eq!(report.origin, forsaken.origin);
            assert_eq!(report.copied_from, Some(first.origin));
            assert!(report.is_rolled_back);
            bus.drain().await.unwrap();
        }
        let (bus, _) = open(root.path(), small_options());
        assert_eq!(
            append(&bus).await.range,
            range(1, 1),
            "the new origin counts from 1"
        );
        let old = StreamId::data(first.origin);
        assert_eq!(
            bus.coverage_of(old),
            SeqRanges::up_to(Seq(1)),
            "what was held stays"
        );
        bus.drain().await.unwrap();
        drop(bus);
        let (_bus, report) = open(root.path(), small_options());
        assert_eq!((report.copied_from, report.is_rolled_back), (None, false));
        std::fs::write(root.path().join("origin"), "x").unwrap();
    });
    let damaged = forsake_origin(root.path(), &mut CountingRng(3)).unwrap_err();
    assert!(matches!(damaged, ForsakeError::Origin(_)), "{damaged}");
}
