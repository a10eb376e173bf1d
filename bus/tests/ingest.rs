//! Blocks of other origins: taken untouched, once, in an order that keeps definitions first; what
//! is held of them is known exactly, over restarts, full disks and retention.
//!
//! Does: make origins in directories of their own, hand their blocks to another bus in any order.
//! Does not: link nodes. In: small buses on a still clock. Out: failures.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use bytes::Bytes;
use ocelli_bus::block::BlockError;
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{
    AppendError, BlockDelivery, Bus, Committed, ForeignBlock, IngestError, ReadFrom, SeqRange,
    SeqRanges,
};
use support::{events, held_of, open, runtime, small_options};

/// Another node's blocks, as they stand in its log: lane 1 at the places where it was written.
struct Origin {
    id: OriginId,
    definitions: Vec<Bytes>,
    data: Vec<Bytes>,
}

/// An origin whose data block `n` has the numbers `3 n, 3 n + 1, 3 n + 2`; a block of lane 1 stands
/// before each tenth.
async fn origin(blocks: u64) -> Origin {
    let root = tempfile::tempdir().unwrap();
    let (bus, _) = open(root.path(), small_options());
    let handle = bus.handle();
    for number in 0..blocks {
        let mut waiting = Vec::new();
        if number % 10 == 0 {
            let block = events(number, 2, 30);
            waiting.push(handle.submit(Lane::Definitions, block).await.unwrap());
        }
        waiting.push(
            handle
                .submit(Lane::Data, events(number * 3, 3, 60))
                .await
                .unwrap(),
        );
        for waiting in waiting {
            waiting.await.unwrap();
        }
    }
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

async fn all_blocks(bus: &Bus) -> Vec<std::sync::Arc<ocelli_bus::StoredBlock>> {
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
