//! The footer of a sealed segment: its index as the last frame, and a trailer that points at it.
//!
//! Does: encode and decode both. Does not: decide when to seal, read files.
//! In: a [`SegmentIndex`]. Out: bytes, or the index back; `None` if they are no valid footer, in
//! which case the segment is scanned instead: a footer saves time, it never holds the truth alone.

use std::collections::BTreeMap;

use ocelli_model::clock::WallMs;

use crate::record::{Lane, OriginId, Seq, StreamId};
use crate::segment::index::{
    ENTRIES_MAX, IndexEntry, NOTED_BLOCKS_MAX, STREAMS_MAX, SegmentIndex, SeqRange, StreamFacts,
};
use crate::seq_ranges::SeqRanges;
use crate::wire::{Cursor, WireError, put_varint, put_zigzag};

/// Version of the footer's form that is written where nothing was withheld.
const VERSION: u8 = 2;
/// The version that tells what was withheld. Whoever does not know it reads the blocks instead.
const VERSION_OF_SKIPS: u8 = 3;
/// The version that tells how far backfill had come, and what was withheld.
const VERSION_OF_LANES: u8 = 4;
/// The version that knew one range a stream, and no holes in it.
const VERSION_OF_SPANS: u8 = 1;
/// Flag of a stream: its blocks ascend in seq.
const FLAG_ASCENDS: u8 = 1;
/// Flag of a stream: the block with its highest seq is named.
const FLAG_HEAD: u8 = 2;
/// Flag of a stream: ranges follow whose entries were withheld.
const FLAG_SKIPS: u8 = 4;
/// Flag of a stream: the highest seq of its backfill follows.
const FLAG_BACKFILL: u8 = 8;
/// Bytes of the trailer: footer offset (8), chain before the footer (4), magic (4), checksum (4).
pub(crate) const TRAILER_BYTES: usize = 20;
const TRAILER_MAGIC: [u8; 4] = *b"SEAL";

/// Points from the end of a sealed segment to its footer frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Where the footer's frame begins, and the blocks end.
    pub(crate) footer_offset: u64,
    /// Chain of checksums before the footer's frame.
    pub(crate) chain: u32,
}

impl Trailer {
    /// The trailer's bytes, last in the file.
    pub(crate) fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0u8; TRAILER_BYTES];
        bytes[0..8].copy_from_slice(&self.footer_offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.chain.to_le_bytes());
        bytes[12..16].copy_from_slice(&TRAILER_MAGIC);
        let checksum = crc32c::crc32c(&bytes[..16]);
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a trailer.
    pub(crate) fn decode(bytes: &[u8; TRAILER_BYTES]) -> Option<Self> {
        let checksum = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        if bytes[12..16] != TRAILER_MAGIC || crc32c::crc32c(&bytes[..16]) != checksum {
            return None;
        }
        let mut offset = [0u8; 8];
        offset.copy_from_slice(&bytes[0..8]);
        Some(Self {
            footer_offset: u64::from_le_bytes(offset),
            chain: u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
        })
    }
}

/// The footer frame's payload.
pub(crate) fn encode(index: &SegmentIndex) -> Vec<u8> {
    let has_skips = |facts: &StreamFacts| !facts.skipped.is_empty();
    let has_backfill = |facts: &StreamFacts| facts.backfilled > Seq(0);
    let version = if index.streams.values().any(has_backfill) {
        VERSION_OF_LANES
    } else if index.streams.values().any(has_skips) {
        VERSION_OF_SKIPS
    } else {
        VERSION
    };
    let mut bytes = vec![version];
    put_varint(&mut bytes, index.blocks);
    let (first, last) = index.received.unwrap_or_default();
    put_zigzag(&mut bytes, first.0);
    put_varint(&mut bytes, (last.0 - first.0).max(0).cast_unsigned());
    put_varint(&mut bytes, index.streams.len() as u64);
    let mut numbers = BTreeMap::new();
    for (number, (stream, facts)) in index.streams.iter().enumerate() {
        numbers.insert(*stream, number as u64);
        put_stream(&mut bytes, *stream, facts, first);
    }
    put_varint(&mut bytes, index.entries.len() as u64);
    let mut offset = 0;
    for entry in &index.entries {
        put_varint(&mut bytes, numbers.get(&entry.stream).copied().unwrap_or(0));
        put_varint(&mut bytes, entry.first.0);
        put_varint(&mut bytes, entry.offset - offset);
        put_zigzag(&mut bytes, entry.received.0 - first.0);
        offset = entry.offset;
    }
    put_offsets(&mut bytes, &index.gap_blocks);
    put_offsets(&mut bytes, &index.definition_blocks);
    bytes
}

fn put_stream(bytes: &mut Vec<u8>, stream: StreamId, facts: &StreamFacts, base: WallMs) {
    bytes.extend_from_slice(&stream.origin.0.to_le_bytes());
    bytes.push(stream.lane as u8);
    let ascends = if facts.ascends { FLAG_ASCENDS } else { 0 };
    let head = if facts.head.is_some() { FLAG_HEAD } else { 0 };
    let skips = if facts.skipped.is_empty() {
        0
    } else {
        FLAG_SKIPS
    };
    let backfill = if facts.backfilled > Seq(0) {
        FLAG_BACKFILL
    } else {
        0
    };
    bytes.push(ascends | head | skips | backfill);
    put_varint(bytes, facts.bytes);
    let (first, last) = facts.received;
    put_zigzag(bytes, first.0 - base.0);
    put_varint(bytes, (last.0 - first.0).max(0).cast_unsigned());
    put_ranges(bytes, &facts.ranges);
    if let Some((block_first, checksum)) = facts.head {
        put_varint(bytes, block_first.0);
        bytes.extend_from_slice(&checksum.to_le_bytes());
    }
    if skips != 0 {
        put_ranges(bytes, &facts.skipped);
    }
    if backfill != 0 {
        put_varint(bytes, facts.backfilled.0);
    }
}

fn put_ranges(bytes: &mut Vec<u8>, ranges: &SeqRanges) {
    put_varint(bytes, ranges.len() as u64);
    let mut before = 0;
    for range in ranges.iter() {
        put_varint(bytes, range.first.0 - before);
        put_varint(bytes, range.last.0 - range.first.0);
        before = range.last.0;
    }
}

/// Ascending offsets as differences.
fn put_offsets(bytes: &mut Vec<u8>, offsets: &[u64]) {
    put_varint(bytes, offsets.len() as u64);
    let mut before = 0;
    for offset in offsets {
        put_varint(bytes, offset - before);
        before = *offset;
    }
}

/// Reads a footer frame's payload.
pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentIndex> {
    decode_parts(&mut Cursor::new(bytes)).ok()
}

fn decode_parts(cursor: &mut Cursor<'_>) -> Result<SegmentIndex, WireError> {
    let version = cursor.u8("version")?;
    if !(VERSION_OF_SPANS..=VERSION_OF_LANES).contains(&version) {
        return Err(cursor.error("footer version 1 to 4"));
    }
    let blocks = cursor.varint("blocks")?;
    let first = cursor.zigzag("first time")?;
    let last = first.saturating_add_unsigned(cursor.varint("last time")?);
    let received = (blocks > 0).then_some((WallMs(first), WallMs(last)));
    let mut streams = BTreeMap::new();
    let mut by_number = Vec::new();
    for _ in 0..cursor.varint_usize(STREAMS_MAX, "streams")? {
        let (stream, facts) = match version {
            VERSION_OF_SPANS => decode_span(cursor, received.unwrap_or_default())?,
            _ => decode_stream(cursor, WallMs(first), version)?,
        };
        by_number.push(stream);
        streams.insert(stream, facts);
    }
    let mut entries = Vec::new();
    let mut offset = 0u64;
    for _ in 0..cursor.varint_usize(ENTRIES_MAX, "index entries")? {
        let number = cursor.varint_usize(STREAMS_MAX, "stream number")?;
        let stream = *by_number
            .get(number)
            .ok_or_else(|| cursor.error("a stream number"))?;
        let entry_first = Seq(cursor.varint("first seq")?);
        offset = offset.saturating_add(cursor.varint("offset")?);
        let received = WallMs(first.saturating_add(cursor.zigzag("time")?));
        entries.push(IndexEntry {
            stream,
            first: entry_first,
            offset,
            received,
        });
    }
    let gap_blocks = decode_offsets(cursor)?;
    let definition_blocks = decode_offsets(cursor)?;
    cursor.finish("the footer's end")?;
    Ok(SegmentIndex {
        streams,
        entries,
        gap_blocks,
        definition_blocks,
        blocks,
        received,
        ..SegmentIndex::default()
    })
}

fn decode_offsets(cursor: &mut Cursor<'_>) -> Result<Vec<u64>, WireError> {
    let mut offsets = Vec::new();
    let mut offset = 0u64;
    for _ in 0..cursor.varint_usize(NOTED_BLOCKS_MAX, "noted blocks")? {
        offset = offset.saturating_add(cursor.varint("offset")?);
        offsets.push(offset);
    }
    Ok(offsets)
}

fn decode_name(cursor: &mut Cursor<'_>) -> Result<StreamId, WireError> {
    let origin = OriginId(u128::from_le_bytes(cursor.array("origin")?));
    let lane = Lane::from_number(cursor.u8("lane")?).ok_or_else(|| cursor.error("a lane"))?;
    Ok(StreamId { origin, lane })
}

/// A stream of version 1: there was one writer then, and no hole.
fn decode_span(
    cursor: &mut Cursor<'_>,
    received: (WallMs, WallMs),
) -> Result<(StreamId, StreamFacts), WireError> {
    let stream = decode_name(cursor)?;
    let first = Seq(cursor.varint("first seq")?);
    let last = first.plus(cursor.varint("last seq")?);
    let mut ranges = SeqRanges::default();
    ranges.insert_exact(SeqRange { first, last });
    let facts = StreamFacts {
        ranges,
        skipped: SeqRanges::default(),
        bytes: 0,
        received,
        ascends: true,
        head: None,
        backfilled: Seq(0),
    };
    Ok((stream, facts))
}

fn decode_stream(
    cursor: &mut Cursor<'_>,
    base: WallMs,
    version: u8,
) -> Result<(StreamId, StreamFacts), WireError> {
    let stream = decode_name(cursor)?;
    let flags = cursor.u8("flags")?;
    let bytes = cursor.varint("bytes")?;
    let first = WallMs(base.0.saturating_add(cursor.zigzag("first time")?));
    let last = WallMs(first.0.saturating_add_unsigned(cursor.varint("last time")?));
    let ranges = decode_ranges(cursor)?;
    let mut head = None;
    if flags & FLAG_HEAD != 0 {
        let block_first = Seq(cursor.varint("head")?);
        head = Some((block_first, u32::from_le_bytes(cursor.array("checksum")?)));
    }
    let skipped = match flags & FLAG_SKIPS {
        0 => SeqRanges::default(),
        _ => decode_ranges(cursor)?,
    };
    let ascends = flags & FLAG_ASCENDS != 0;
    let backfilled = match flags & FLAG_BACKFILL {
        // Older versions did not tell: what did not ascend had backfill, up to its end at most.
        0 if version < VERSION_OF_LANES && !ascends => ranges.highest(),
        0 => Seq(0),
        _ => Seq(cursor.varint("backfill")?),
    };
    let facts = StreamFacts {
        ranges,
        skipped,
        bytes,
        received: (first, last),
        ascends,
        head,
        backfilled,
    };
    Ok((stream, facts))
}

fn decode_ranges(cursor: &mut Cursor<'_>) -> Result<SeqRanges, WireError> {
    let mut ranges = SeqRanges::default();
    let mut before = Seq(0);
    for _ in 0..cursor.varint_usize(NOTED_BLOCKS_MAX, "ranges")? {
        let first = before.plus(cursor.varint("first seq")?);
        let last = first.plus(cursor.varint("last seq")?);
        ranges.insert_exact(SeqRange { first, last });
        before = last;
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::index;
    use proptest::prelude::*;

    #[test]
    fn a_footer_comes_back_with_all_that_seeking_needs() {
        for blocks in [0, 1, 90] {
            let index = index::tests::sample(blocks);
            let read = decode(&encode(&index)).unwrap();
            assert_eq!(read.streams, index.streams);
            assert_eq!(read.entries, index.entries);
            assert_eq!(read.gap_blocks, index.gap_blocks);
            assert_eq!(read.definition_blocks, index.definition_blocks);
            assert_eq!((read.blocks, read.received), (index.blocks, index.received));
        }
    }

    #[test]
    fn a_trailer_with_a_flipped_bit_is_none() {
        let trailer = Trailer {
            footer_offset: 12_345,
            chain: 99,
        };
        let bytes = trailer.encode();
        assert_eq!(Trailer::decode(&bytes), Some(trailer));
        for bit in 0..TRAILER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Trailer::decode(&damaged), None, "bit {bit}");
        }
    }

    /// As version 1 was written.
    fn encode_version_1(index: &SegmentIndex) -> Vec<u8> {
        let (first, last) = index.received.unwrap_or_default();
        let mut bytes = vec![VERSION_OF_SPANS];
        put_varint(&mut bytes, index.blocks);
        put_zigzag(&mut bytes, first.0);
        put_varint(&mut bytes, (last.0 - first.0).cast_unsigned());
        put_varint(&mut bytes, index.streams.len() as u64);
        let streams: Vec<_> = index.streams.keys().collect();
        for (stream, facts) in &index.streams {
            let lowest = facts.ranges.lowest().unwrap();
            bytes.extend_from_slice(&stream.origin.0.to_le_bytes());
            bytes.push(stream.lane as u8);
            put_varint(&mut bytes, lowest.0);
            put_varint(&mut bytes, facts.ranges.highest().0 - lowest.0);
        }
        put_varint(&mut bytes, index.entries.len() as u64);
        let mut offset = 0;
        for entry in &index.entries {
            let number = streams.iter().position(|stream| **stream == entry.stream);
            put_varint(&mut bytes, number.unwrap() as u64);
            put_varint(&mut bytes, entry.first.0);
            put_varint(&mut bytes, entry.offset - offset);
            put_zigzag(&mut bytes, entry.received.0 - first.0);
            offset = entry.offset;
        }
        put_offsets(&mut bytes, &index.gap_blocks);
        put_offsets(&mut bytes, &index.definition_blocks);
        bytes
    }

    fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/");
        let path = format!("{folder}{name}");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, bytes).unwrap();
        }
        std::fs::read(path).unwrap()
    }

    #[test]
    fn footers_of_both_versions_stay_readable_byte_for_byte() {
        let index = index::tests::sample(30);
        let one = golden("footer_v1.bin", &encode_version_1(&index));
        assert_eq!(one, encode_version_1(&index));
        let two = golden("footer_v2.bin", &encode(&index));
        assert_eq!(two, encode(&index));
        let (old, new) = (decode(&one).unwrap(), decode(&two).unwrap());
        assert_eq!(
            (&old.entries, &old.gap_blocks),
            (&new.entries, &new.gap_blocks)
        );
        for (stream, facts) in &old.streams {
            assert_eq!(facts.ranges, new.streams[stream].ranges, "{stream}");
            assert_eq!(
                (facts.bytes, facts.head),
                (0, None),
                "{stream}: unknown then"
            );
        }
        assert_eq!(decode(&[5]), None, "a later version is scanned");
    }

    #[test]
    fn a_footer_tells_how_far_backfill_came_and_an_older_one_allows_for_the_most() {
        let mut index = index::tests::sample(30);
        let stream = *index.streams.keys().next().unwrap();
        let facts = index.streams.get_mut(&stream).unwrap();
        facts.ascends = false;
        let old = decode(&encode(&index)).unwrap();
        let highest = old.streams[&stream].ranges.highest();
        assert_eq!(old.streams[&stream].backfilled, highest, "not told then");
        index.streams.get_mut(&stream).unwrap().backfilled = Seq(42);
        let four = golden("footer_v4.bin", &encode(&index));
        assert_eq!(four, encode(&index));
        assert_eq!(decode(&four).unwrap().streams, index.streams);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_footer_or_none(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            decode(&bytes);
            for known in VERSION_OF_SPANS..=VERSION_OF_LANES {
                if let Some(version) = bytes.first_mut() {
                    *version = known;
                }
                decode(&bytes);
            }
        }
    }
}
