//! Tests of the index of a segment, and the sample that those of the footer share.
//!
//! Does: compare what seeking answers with where blocks stand. Does not: read files.
//! In: a sample of three streams. Out: failures.

use super::*;
use crate::record::OriginId;

pub(crate) fn sample(blocks: u64) -> SegmentIndex {
    let mut index = SegmentIndex::default();
    for block in 0..blocks {
        let stream = StreamId::data(OriginId(u128::from(block % 3)));
        let first = Seq(1 + block / 3 * 10);
        let facts = BlockFacts {
            stream,
            first,
            last: first.plus(9),
            has_gap: block % 5 == 0,
            bytes: 40_000,
            checksum: 7,
            skipped: SeqRanges::default(),
            lane: DeliveryLane::Live,
        };
        index.add(
            64 + block * 40_000,
            WallMs(1_000 + block.cast_signed()),
            &facts,
        );
    }
    index
}

#[test]
fn reading_from_where_the_index_points_misses_no_block() {
    let index = sample(90);
    let stream = StreamId::data(OriginId(1));
    for seq in 1..=300 {
        let offset = index.seek(stream, Seq(seq)).unwrap();
        // Block b of stream 1 stands at 64 + (3 b + 1) × 40,000 and ends with seq 10 b + 10.
        let block = (seq - 1) / 10;
        let place = 64 + (3 * block + 1) * 40_000;
        assert!(offset <= place, "seq {seq}");
        assert!(
            place - offset <= 2 * INDEX_STEP_BYTES,
            "seq {seq}: near enough"
        );
    }
    assert_eq!(index.seek(stream, Seq(301)), None);
    assert_eq!(index.seek(StreamId::data(OriginId(9)), Seq(1)), None);
}

#[test]
fn in_a_stream_out_of_order_seeking_begins_at_its_first_block() {
    let mut index = SegmentIndex::default();
    let stream = StreamId::data(OriginId(1));
    // Live from 500 on, backfill from 1 on beside it.
    for block in 0u64..40 {
        let first = if block % 2 == 0 { 500 + block } else { block };
        let facts = BlockFacts {
            stream,
            first: Seq(first),
            last: Seq(first),
            has_gap: false,
            bytes: 100_000,
            checksum: 0,
            skipped: SeqRanges::default(),
            lane: DeliveryLane::Live,
        };
        index.add(64 + block * 100_000, WallMs(0), &facts);
    }
    let facts = &index.streams[&stream];
    assert!(!facts.ascends);
    assert_eq!(facts.ranges.len(), 40, "each block stands alone");
    assert_eq!(facts.head, Some((Seq(538), 0)));
    for seq in [1, 39, 500, 538] {
        assert_eq!(index.seek(stream, Seq(seq)), Some(64), "seq {seq}");
    }
    assert_eq!(index.seek(stream, Seq(539)), None);
}

#[test]
fn a_time_is_found_by_when_blocks_were_taken() {
    let index = sample(90);
    assert_eq!(index.seek_time(WallMs(0)), Some(64));
    assert_eq!(index.seek_time(WallMs(2_000)), None);
    let offset = index.seek_time(WallMs(1_050)).unwrap();
    assert!(offset <= 64 + 50 * 40_000 && offset > 64 + 30 * 40_000);
}
