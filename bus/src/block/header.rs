//! The block header: who, where in the stream, how large, and the checksums.
//!
//! Does: write and read the 80 bytes. Does not: check head table and bodies (`view`).
//! In: an arbiter's seal (sizes, checksums) and the writer's stamp (place in the stream).
//! Out: [`BlockHeader`]. The own checksum comes last, so that a stamp touches 80 bytes only.

use ocelli_model::slot::SlotMs;

use super::view::BlockError;
use crate::record::{Lane, OriginId, Seq, StreamId};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 80;
/// `OCB1` as bytes.
pub(super) const MAGIC: [u8; 4] = *b"OCB1";
/// The version that this code writes.
pub(super) const VERSION: u16 = 1;
/// Bit 0 of the flags: the bodies are one zstd frame.
pub(super) const FLAG_ZSTD: u16 = 1;
/// Where the header's own checksum stands.
const CRC_AT: usize = HEADER_BYTES - 4;

/// A block header, read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Whose entries, on which lane.
    pub stream: StreamId,
    /// Seq of the first entry.
    pub first_seq: Seq,
    /// Number of entries.
    pub count: u32,
    /// What the head table's slots are relative to.
    pub t_base: SlotMs,
    /// Last seq of lane 1 that a reader needs before this block makes sense; 0 on lane 1.
    pub needs_def: Seq,
    /// Number of epochs before the head table.
    pub epochs: u8,
    /// Whether the bodies are one zstd frame.
    pub is_compressed: bool,
    /// Bytes of epochs and head table.
    pub head_bytes: u32,
    /// Bytes of the bodies as they stand in the block.
    pub bodies_bytes: u32,
    /// Bytes of the bodies inflated; the same where they are not compressed.
    pub raw_bytes: u32,
    /// crc32c of epochs and head table.
    pub head_crc: u32,
    /// crc32c of the bodies as they stand in the block.
    pub bodies_crc: u32,
}

/// What only the writer knows of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The stream.
    pub stream: StreamId,
    /// Seq of the first entry.
    pub first_seq: Seq,
    /// Lane 1's last seq.
    pub needs_def: Seq,
}

impl BlockHeader {
    /// Bytes of the whole block.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        HEADER_BYTES + self.head_bytes as usize + self.bodies_bytes as usize
    }

    /// Seq of the last entry.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.first_seq.plus(u64::from(self.count).saturating_sub(1))
    }

    /// Reads and checks a header; `bytes` may go on behind it.
    ///
    /// # Errors
    /// [`BlockError::Short`], [`BlockError::Magic`], [`BlockError::HeaderChecksum`],
    /// [`BlockError::Version`] or [`BlockError::Header`] for a field out of range.
    pub fn read(bytes: &[u8]) -> Result<Self, BlockError> {
        let short = BlockError::Short {
            needed: HEADER_BYTES,
            found: bytes.len(),
        };
        let fixed: &[u8; HEADER_BYTES] = bytes
            .get(..HEADER_BYTES)
            .and_then(|head| head.try_into().ok())
            .ok_or(short)?;
        if fixed[..4] != MAGIC {
            return Err(BlockError::Magic);
        }
        if crc32c::crc32c(&fixed[..CRC_AT]) != u32_at(fixed, CRC_AT) {
            return Err(BlockError::HeaderChecksum);
        }
        let version = u16_at(fixed, 4);
        if version != VERSION {
            return Err(BlockError::Version { found: version });
        }
        let lane = Lane::from_number(fixed[24]).ok_or(BlockError::Header { field: "lane" })?;
        let mut origin = [0; 16];
        origin.copy_from_slice(&fixed[8..24]);
        let header = Self {
            stream: StreamId {
                origin: OriginId(u128::from_le_bytes(origin)),
                lane,
            },
            first_seq: Seq(u64_at(fixed, 32)),
            count: u32_at(fixed, 28),
            t_base: SlotMs(u64_at(fixed, 40).cast_signed()),
            needs_def: Seq(u64_at(fixed, 48)),
            epochs: fixed[25],
            is_compressed: u16_at(fixed, 6) & FLAG_ZSTD != 0,
            head_bytes: u32_at(fixed, 56),
            bodies_bytes: u32_at(fixed, 60),
            raw_bytes: u32_at(fixed, 64),
            head_crc: u32_at(fixed, 68),
            bodies_crc: u32_at(fixed, 72),
        };
        header.check_ranges(u16_at(fixed, 6))?;
        Ok(header)
    }

    fn check_ranges(&self, flags: u16) -> Result<(), BlockError> {
        use crate::limits::{BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, BLOCK_RAW_BYTES_MAX};
        let sum = self.head_bytes as u64 + self.bodies_bytes as u64 + HEADER_BYTES as u64;
        let end = self.first_seq.0.checked_add(u64::from(self.count));
        let rules = [
            ("flags", flags & !FLAG_ZSTD == 0),
            (
                "count",
                self.count >= 1 && self.count as usize <= BLOCK_ENTRIES_MAX,
            ),
            ("first_seq", self.first_seq.0 >= 1 && end.is_some()),
            ("size", sum <= BLOCK_BYTES_MAX as u64),
            ("raw size", self.raw_bytes as usize <= BLOCK_RAW_BYTES_MAX),
            (
                "raw size",
                self.is_compressed || self.raw_bytes == self.bodies_bytes,
            ),
        ];
        match rules.iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(BlockError::Header { field }),
            None => Ok(()),
        }
    }
}

/// Sizes and checksums that a seal knows, written into `header`; the stamp's fields stay zero.
pub(super) fn write_sealed(header: &mut [u8; HEADER_BYTES], sealed: &BlockHeader) {
    header.fill(0);
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&VERSION.to_le_bytes());
    let flags = if sealed.is_compressed { FLAG_ZSTD } else { 0 };
    header[6..8].copy_from_slice(&flags.to_le_bytes());
    header[25] = sealed.epochs;
    header[28..32].copy_from_slice(&sealed.count.to_le_bytes());
    header[40..48].copy_from_slice(&sealed.t_base.0.to_le_bytes());
    header[56..60].copy_from_slice(&sealed.head_bytes.to_le_bytes());
    header[60..64].copy_from_slice(&sealed.bodies_bytes.to_le_bytes());
    header[64..68].copy_from_slice(&sealed.raw_bytes.to_le_bytes());
    header[68..72].copy_from_slice(&sealed.head_crc.to_le_bytes());
    header[72..76].copy_from_slice(&sealed.bodies_crc.to_le_bytes());
}

/// Writes the stamp and the header's checksum.
pub(super) fn write_stamp(header: &mut [u8; HEADER_BYTES], stamp: &Stamp) {
    header[8..24].copy_from_slice(&stamp.stream.origin.0.to_le_bytes());
    header[24] = stamp.stream.lane as u8;
    header[32..40].copy_from_slice(&stamp.first_seq.0.to_le_bytes());
    header[48..56].copy_from_slice(&stamp.needs_def.0.to_le_bytes());
    let crc = crc32c::crc32c(&header[..CRC_AT]);
    header[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
}

fn u16_at(header: &[u8; HEADER_BYTES], at: usize) -> u16 {
    u16::from_le_bytes([header[at], header[at + 1]])
}

fn u32_at(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn u64_at(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    u64::from_le_bytes(bytes)
}
