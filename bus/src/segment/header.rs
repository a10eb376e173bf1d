//! The first 64 bytes of a segment.
//!
//! Does: encode and decode them. Does not: open files.
//! In: writer, number, creation time, chain seed and where the previous segment ends for good.
//! Out: [`SegmentHeader`], or [`HeaderError`]. Layout: FORMAT.md, "Segment header".

use ocelli_model::clock::WallMs;

use crate::record::OriginId;
use crate::segment::SegmentNumber;

/// First bytes of each segment.
pub(crate) const MAGIC: [u8; 8] = *b"ocelliSG";
/// Version of the segment format that this build writes.
pub(crate) const VERSION: u16 = 1;
/// Length of the header; the first frame begins here.
pub(crate) const HEADER_BYTES: usize = 64;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Own origin of the data directory when the file was made.
    pub(crate) writer: OriginId,
    /// The file's number.
    pub(crate) number: SegmentNumber,
    /// When it was made.
    pub(crate) created: WallMs,
    /// What the checksum chain of the frames begins with.
    pub(crate) chain_seed: u32,
    /// Where the segment before this one ends, whatever lies behind in it: after a failed fsync
    /// its tail is written again here. 0: the previous segment's own frames say where it ends.
    pub(crate) previous_end: u64,
}

/// Why the first bytes of a file are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("the file is shorter than a segment header")]
    Short,
    #[error("the file does not begin as a segment does")]
    Magic,
    #[error("the header's checksum is wrong")]
    Checksum,
    #[error("segment format version {version} is newer than this build reads")]
    Version { version: u16 },
}

impl SegmentHeader {
    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0u8; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        // Bytes 10..12 are reserved and zero.
        bytes[12..16].copy_from_slice(&self.chain_seed.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.writer.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.number.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.previous_end.to_le_bytes());
        // Bytes 56..60 are reserved and zero.
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderError::Short)?;
        if bytes[0..8] != MAGIC {
            return Err(HeaderError::Magic);
        }
        if crc32c::crc32c(&bytes[..60]) != u32_at(bytes, 60) {
            return Err(HeaderError::Checksum);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Err(HeaderError::Version { version });
        }
        let mut writer = [0u8; 16];
        writer.copy_from_slice(&bytes[16..32]);
        Ok(Self {
            writer: OriginId(u128::from_le_bytes(writer)),
            number: SegmentNumber(u64_at(bytes, 32)),
            created: WallMs(u64_at(bytes, 40).cast_signed()),
            chain_seed: u32_at(bytes, 12),
            previous_end: u64_at(bytes, 48),
        })
    }
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let mut field = [0u8; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut field = [0u8; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            writer: OriginId(0xFEED_0000_0000_0000_0000_0000_0000_0001),
            number: SegmentNumber(7),
            created: WallMs(-5),
            chain_seed: 0xDEAD_BEEF,
            previous_end: 4_711,
        }
    }

    #[test]
    fn a_header_comes_back_from_its_bytes() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn each_kind_of_damage_is_told_apart() {
        let bytes = header().encode();
        let check = |name: &str, change: &dyn Fn(&mut Vec<u8>), error: HeaderError| {
            let mut bytes = bytes.to_vec();
            change(&mut bytes);
            assert_eq!(SegmentHeader::decode(&bytes), Err(error), "{name}");
        };
        check("cut", &|bytes| bytes.truncate(63), HeaderError::Short);
        check("other file", &|bytes| bytes[0] = b'x', HeaderError::Magic);
        check(
            "flipped bit",
            &|bytes| bytes[33] ^= 4,
            HeaderError::Checksum,
        );
        let newer = |bytes: &mut Vec<u8>| {
            bytes[8] = 2;
            let checksum = crc32c::crc32c(&bytes[..60]);
            bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        };
        check("newer", &newer, HeaderError::Version { version: 2 });
    }
}
