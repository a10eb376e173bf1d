//! The footer of a sealed segment: its index as the last frame, and a trailer that points at it.
//!
//! Does: encode and decode both. Does not: decide when to seal, read files.
//! In: a [`SegmentIndex`]. Out: bytes, or the index back; `None` if they are no valid footer, in
//! which case the segment is scanned instead: a footer saves time, it never holds the truth alone.

use std::collections::BTreeMap;

use ocelli_model::clock::WallMs;

use crate::record::{Lane, OriginId, Seq, StreamId};
use crate::segment::index::{
    ENTRIES_MAX, IndexEntry, NOTED_BLOCKS_MAX, STREAMS_MAX, SegmentIndex, SeqRange,
};
use crate::wire::{Cursor, WireError, put_varint, put_zigzag};

/// Version of the footer's form.
const VERSION: u8 = 1;
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
    let mut bytes = vec![VERSION];
    put_varint(&mut bytes, index.blocks);
    let (first, last) = index.received.unwrap_or_default();
    put_zigzag(&mut bytes, first.0);
    put_varint(&mut bytes, (last.0 - first.0).max(0).cast_unsigned());
    put_varint(&mut bytes, index.streams.len() as u64);
    let mut numbers = BTreeMap::new();
    for (number, (stream, range)) in index.streams.iter().enumerate() {
        numbers.insert(*stream, number as u64);
        bytes.extend_from_slice(&stream.origin.0.to_le_bytes());
        bytes.push(stream.lane as u8);
        put_varint(&mut bytes, range.first.0);
        put_varint(&mut bytes, range.last.0 - range.first.0);
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
    if cursor.u8("version")? != VERSION {
        return Err(cursor.error("footer version 1"));
    }
    let blocks = cursor.varint("blocks")?;
    let first = cursor.zigzag("first time")?;
    let last = first.saturating_add_unsigned(cursor.varint("last time")?);
    let received = (blocks > 0).then_some((WallMs(first), WallMs(last)));
    let mut streams = BTreeMap::new();
    let mut by_number = Vec::new();
    for _ in 0..cursor.varint_usize(STREAMS_MAX, "streams")? {
        let (stream, range) = decode_stream(cursor)?;
        by_number.push(stream);
        streams.insert(stream, range);
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

fn decode_stream(cursor: &mut Cursor<'_>) -> Result<(StreamId, SeqRange), WireError> {
    let origin = OriginId(u128::from_le_bytes(cursor.array("origin")?));
    let lane = Lane::from_number(cursor.u8("lane")?).ok_or_else(|| cursor.error("a lane"))?;
    let first = Seq(cursor.varint("first seq")?);
    let last = first.plus(cursor.varint("last seq")?);
    Ok((StreamId { origin, lane }, SeqRange { first, last }))
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

    proptest! {
        #[test]
        fn any_bytes_are_a_footer_or_none(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            decode(&bytes);
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            decode(&bytes);
        }
    }
}
