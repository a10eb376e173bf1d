//! Blocks of which a policy below withheld entries: covered and not held, filled by another path
//! once, forgotten by nobody over a restart; the mark of a record is the same on every path.
//!
//! Does: cut an origin's blocks in two, hand the halves to another bus in any order, open it again.
//! Does not: link nodes. In: small buses on a still clock. Out: failures.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use ocelli_bus::block::withhold;
use ocelli_bus::record::{EntryKind, Lane, Seq, StreamId};
use ocelli_bus::{
    BlockDelivery, Bus, Committed, Delivery, ForeignBlock, HeadMark, ReadFrom, Reader,
    ReaderOptions, SeqRange, SeqRanges, StoredBlock,
};
use ocelli_model::clock::WallMs;
use support::{events, open, quick_dir, runtime, small_options};

/// Seqs of a block.
const COUNT: u64 = 6;

struct Origin {
    data: StreamId,
    blocks: Vec<Bytes>,
    mark: HeadMark,
}

async fn origin(blocks: u64) -> Origin {
    let root = quick_dir();
    let (bus, _) = open(root.path(), small_options());
    for number in 0..blocks {
        let block = events(number * COUNT, COUNT, 60);
        bus.handle().submit(Lane::Data, block).await.unwrap();
    }
    bus.handle().flush().await.unwrap();
    let data = StreamId::data(bus.origin());
    let all = all_blocks(&bus).await;
    Origin {
        data,
        blocks: all.iter().map(|block| block.bytes().clone()).collect(),
        mark: bus.head_mark(data).unwrap(),
    }
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

/// Without the seqs whose remainder by three is in `refused`.
fn cut(block: &Bytes, refused: &[u64]) -> Bytes {
    let names = |seq: Seq| refused.contains(&(seq.0 % 3));
    let cut = withhold(block, |entry| names(entry.seq)).unwrap();
    cut.unwrap_or(block.clone())
}

async fn ingest(bus: &Bus, bytes: &Bytes, is_backfill: bool) -> Committed {
    let block = ForeignBlock::read(bytes.clone()).unwrap();
    let block = block.with_backfill(is_backfill);
    let is_held = bus.holds(&block);
    let answer = bus.handle().ingest(block).await.unwrap().await.unwrap();
    assert_eq!(answer.is_duplicate, is_held, "{:?}", answer.range);
    answer
}

fn of_remainders(last: u64, remainders: &[u64]) -> SeqRanges {
    let mut ranges = SeqRanges::default();
    for seq in (1..=last).filter(|seq| remainders.contains(&(seq % 3))) {
        let (first, last) = (Seq(seq), Seq(seq));
        ranges.insert(SeqRange { first, last });
    }
    ranges
}

/// Seqs of entries that are no skips, as a reader gets them now.
async fn seqs(reader: &mut Reader) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Some(delivery) = reader.next_held().await.unwrap() {
        if let Delivery::Entries(entries) = delivery {
            let real = |entry: &&ocelli_bus::Entry| entry.head().kind != EntryKind::Skip;
            seqs.extend(entries.iter().filter(real).map(|entry| entry.seq().0));
        }
    }
    seqs
}

#[test]
fn what_is_withheld_is_covered_and_is_not_held() {
    runtime().block_on(async {
        let origin = origin(3).await;
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        for block in &origin.blocks {
            ingest(&bus, &cut(block, &[1]), false).await;
        }
        assert_eq!(bus.coverage_of(origin.data), SeqRanges::up_to(Seq(18)));
        assert_eq!(bus.skipped_of(origin.data), of_remainders(18, &[1]));
        assert_eq!(bus.skipped(), [(origin.data, of_remainders(18, &[1]))]);
        assert_eq!(
            bus.head_mark(origin.data),
            Some(origin.mark),
            "the same on every path"
        );
        let facts = bus.origins();
        let facts = facts
            .iter()
            .find(|it| it.origin == origin.data.origin)
            .unwrap();
        assert_eq!((facts.missing, facts.skipped), (0, 6), "a skip is no loss");
        // The same again, and less of it again, bring nothing.
        for refused in [&[1][..], &[0, 1]] {
            assert!(
                ingest(&bus, &cut(&origin.blocks[1], refused), true)
                    .await
                    .is_duplicate
            );
        }
        assert_eq!(bus.statistics().filled_blocks, 0);
    });
}

#[test]
fn another_path_fills_what_was_withheld_once_and_a_reader_that_passed_it_gets_it() {
    runtime().block_on(async {
        let origin = origin(3).await;
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        let mut reader = bus.reader(ReaderOptions::from(ReadFrom::Oldest)).unwrap();
        for block in &origin.blocks {
            ingest(&bus, &cut(block, &[1, 2]), false).await;
        }
        assert_eq!(seqs(&mut reader).await, [3, 6, 9, 12, 15, 18]);
        // In part first, then whole; of the whole only what is new is written.
        let second = &origin.blocks[1];
        assert!(!ingest(&bus, &cut(second, &[0, 1]), true).await.is_duplicate);
        assert_eq!(seqs(&mut reader).await, [8, 11]);
        assert!(!ingest(&bus, second, true).await.is_duplicate);
        assert_eq!(seqs(&mut reader).await, [7, 10]);
        assert!(ingest(&bus, second, true).await.is_duplicate);
        assert_eq!(bus.statistics().filled_blocks, 2);
        let skipped = bus.skipped_of(origin.data);
        let range = SeqRange {
            first: Seq(7),
            last: Seq(12),
        };
        assert!(skipped.within(range).is_empty(), "{skipped:?}");
        // What goes up is the block that the origin wrote.
        let found = bus.blocks_of(origin.data, range, 1 << 20).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bytes(), second);
        let whole = SeqRange {
            first: Seq(1),
            last: Seq(18),
        };
        let found = bus.blocks_of(origin.data, whole, 1 << 20).await.unwrap();
        let bytes: Vec<_> = found.iter().map(|block| block.bytes().clone()).collect();
        let cut = |block| cut(block, &[1, 2]);
        assert_eq!(
            bytes,
            [
                cut(&origin.blocks[0]),
                second.clone(),
                cut(&origin.blocks[2])
            ]
        );
    });
}

#[test]
fn a_durable_cursor_that_passed_a_skip_opens_again_for_what_fills_it() {
    runtime().block_on(async {
        let origin = origin(3).await;
        let root = tempfile::tempdir().unwrap();
        let brought = SeqRanges::from(vec![(7, 8), (10, 11)]);
        let passed = SeqRanges::up_to(Seq(18));
        let check = async |bus: &Bus| {
            let taken = bus.cursors().list().remove(0).taken;
            assert_eq!(taken[&origin.data], passed.without(&brought));
            // It was away as the fill came, and begins with it.
            let options = ReaderOptions::from(ReadFrom::Taken(taken));
            let mut reader = bus.reader(options).unwrap();
            assert_eq!(seqs(&mut reader).await, [7, 8, 10, 11]);
        };
        let (bus, _) = open(root.path(), small_options());
        for block in &origin.blocks {
            ingest(&bus, &cut(block, &[1, 2]), false).await;
        }
        let cursor = bus.cursors().open("above", "uplink", WallMs(0)).unwrap();
        passed
            .iter()
            .for_each(|range| cursor.advance(origin.data, range, WallMs(0)));
        bus.tend().await.unwrap();
        ingest(&bus, &origin.blocks[1], true).await;
        check(&bus).await;
        // Killed before the cursor was saved again.
        let copy = tempfile::tempdir().unwrap();
        support::copy(root.path(), copy.path());
        check(&open(copy.path(), small_options()).0).await;
        brought
            .iter()
            .for_each(|range| cursor.advance(origin.data, range, WallMs(0)));
        assert_eq!(cursor.taken()[&origin.data], passed);
    });
}

#[test]
fn what_comes_whole_first_is_not_withheld_by_what_follows() {
    runtime().block_on(async {
        let origin = origin(2).await;
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        for block in &origin.blocks {
            ingest(&bus, block, false).await;
            assert!(
                ingest(&bus, &cut(block, &[0, 1, 2]), true)
                    .await
                    .is_duplicate
            );
        }
        assert_eq!(bus.skipped(), []);
    });
}

#[test]
fn two_halves_at_once_are_both_durable_before_either_is_acknowledged() {
    runtime().block_on(async {
        let origin = origin(1).await;
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        let handle = bus.handle();
        let block = &origin.blocks[0];
        let mut waiting = Vec::new();
        for bytes in [
            cut(block, &[1]),
            block.clone(),
            block.clone(),
            cut(block, &[2]),
        ] {
            let block = ForeignBlock::read(bytes).unwrap();
            waiting.push(handle.ingest(block).await.unwrap());
        }
        let mut duplicates = Vec::new();
        for waiting in waiting {
            duplicates.push(waiting.await.unwrap().is_duplicate);
            assert_eq!(bus.skipped(), []);
        }
        assert_eq!(duplicates, [false, false, true, true]);
    });
}

#[test]
fn a_restart_forgets_neither_what_is_withheld_nor_what_was_filled() {
    runtime().block_on(async {
        let origin = origin(40).await;
        for is_drained in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let expected = {
                let (bus, _) = open(root.path(), small_options());
                for block in &origin.blocks {
                    ingest(&bus, &cut(block, &[1]), false).await;
                }
                // Beside what was cut, and far behind it.
                for block in origin.blocks.iter().skip(20) {
                    ingest(&bus, block, true).await;
                }
                let skipped = bus.skipped_of(origin.data);
                assert_eq!(skipped, of_remainders(120, &[1]));
                if is_drained {
                    bus.drain().await.unwrap();
                }
                skipped
            };
            let (bus, _) = open(root.path(), small_options());
            assert_eq!(
                bus.skipped_of(origin.data),
                expected,
                "drained: {is_drained}"
            );
            assert_eq!(bus.coverage_of(origin.data), SeqRanges::up_to(Seq(240)));
            assert_eq!(bus.head_mark(origin.data), Some(origin.mark));
            assert!(ingest(&bus, &origin.blocks[30], true).await.is_duplicate);
            assert!(!ingest(&bus, &origin.blocks[3], true).await.is_duplicate);
        }
    });
}

#[test]
fn more_ranges_than_may_be_are_taken_for_withheld_never_for_held() {
    runtime().block_on(async {
        let origin = origin(400).await;
        let root = tempfile::tempdir().unwrap();
        let (bus, _) = open(root.path(), small_options());
        for block in &origin.blocks {
            ingest(&bus, &cut(block, &[1]), false).await;
        }
        let skipped = bus.skipped_of(origin.data);
        assert!(skipped.len() <= ocelli_bus::RANGES_MAX, "{}", skipped.len());
        assert!(skipped.covers(&of_remainders(2_400, &[1]).within(SeqRange {
            first: Seq(1),
            last: Seq(2_400),
        })));
    });
}
