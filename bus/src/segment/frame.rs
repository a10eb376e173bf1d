//! Local frames: what stands around a block in a segment.
//!
//! Does: length, checksum chained within the file, ingest envelope. Does not: look into the block.
//! In: a payload and the chain so far. Out: 24 bytes before the payload, and the chain after it.
//! Invariant: a frame is valid only behind the frames that stood before it when it was written, so
//! that stale bytes of an earlier life of the disk's pages can never pass for new ones.

use ocelli_model::clock::WallMs;

use crate::delivery_lane::DeliveryLane;
use crate::limits::BLOCK_BYTES_MAX;

/// Bytes before the payload: length (4), checksum (4), envelope (16).
pub(crate) const FRAME_HEAD_BYTES: usize = 8 + ENVELOPE_BYTES;
/// Bytes of the ingest envelope.
const ENVELOPE_BYTES: usize = 16;
/// Longest run of removed blocks: more than a segment has.
const REMOVED_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Most bytes of a payload: a block, or a footer.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 4 * BLOCK_BYTES_MAX;

/// Flag of the envelope: the block came over a backfill lane.
const FLAG_BACKFILL: u16 = 1;
/// Flag of the envelope: the fence found the block not rightful.
const FLAG_FENCED: u16 = 2;
/// Flag of the envelope: the block brings entries that were withheld when its seqs came first.
const FLAG_FILL: u16 = 4;
/// Flag of the envelope: the block is older than backfill of its stream that came before it.
const FLAG_OUT_OF_ORDER: u16 = 8;

/// What a frame holds. Numbers are those on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A block, untouched.
    Block,
    /// The footer of a sealed segment; nothing follows.
    Footer,
    /// A run of blocks that retention took: zeroes, which the checksum does not cover.
    Removed,
    /// Of a later version: skipped and counted.
    Unknown(u8),
}

impl FrameKind {
    fn number(self) -> u8 {
        match self {
            FrameKind::Block => 1,
            FrameKind::Footer => 2,
            FrameKind::Removed => 3,
            FrameKind::Unknown(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            1 => FrameKind::Block,
            2 => FrameKind::Footer,
            3 => FrameKind::Removed,
            other => FrameKind::Unknown(other),
        }
    }
}

/// The ingest envelope: what this node says about a block that it carries untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) kind: FrameKind,
    /// Verdicts of ingest; unknown bits are kept.
    pub(crate) flags: u16,
    /// When this node took the block.
    pub(crate) received: WallMs,
}

impl Envelope {
    /// Around a block of this node's own making.
    pub(crate) fn of_block(received: WallMs) -> Self {
        Self {
            kind: FrameKind::Block,
            flags: 0,
            received,
        }
    }

    /// Whether the block came over a backfill lane.
    pub(crate) fn is_backfill(self) -> bool {
        self.flags & FLAG_BACKFILL != 0
    }

    /// Whether the fence found the block not rightful.
    pub(crate) fn is_fenced(self) -> bool {
        self.flags & FLAG_FENCED != 0
    }

    /// Whether the block brings what was withheld when its seqs came first.
    pub(crate) fn is_fill(self) -> bool {
        self.flags & FLAG_FILL != 0
    }

    /// On which lane the block came here.
    pub(crate) fn lane(self) -> DeliveryLane {
        if self.flags & (FLAG_FILL | FLAG_OUT_OF_ORDER) != 0 {
            DeliveryLane::Fill
        } else if self.is_backfill() {
            DeliveryLane::Backfill
        } else {
            DeliveryLane::Live
        }
    }

    /// Says on which lane the block came here.
    pub(crate) fn set_lane(&mut self, lane: DeliveryLane) {
        self.set(FLAG_BACKFILL, lane != DeliveryLane::Live);
        self.set(FLAG_OUT_OF_ORDER, lane == DeliveryLane::Fill);
    }

    /// Says that the block brings what was withheld when its seqs came first.
    pub(crate) fn set_fill(&mut self) {
        self.set(FLAG_FILL, true);
    }

    /// Says whether the block came over a backfill lane.
    pub(crate) fn set_backfill(&mut self, is_backfill: bool) {
        self.set(FLAG_BACKFILL, is_backfill);
    }

    /// Says whether the fence found the block not rightful.
    pub(crate) fn set_fenced(&mut self, is_fenced: bool) {
        self.set(FLAG_FENCED, is_fenced);
    }

    fn set(&mut self, flag: u16, is_set: bool) {
        if is_set {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }
}

/// A frame's head as read; the payload's checksum has yet to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) envelope: Envelope,
    pub(crate) payload_bytes: usize,
    checksum: u32,
    /// Chain over all of the head that the checksum covers.
    partial: u32,
}

/// Encodes the head of a frame around `payload`; answers it with the chain after the frame.
pub(crate) fn encode_head(
    chain: u32,
    envelope: Envelope,
    payload: &[u8],
) -> ([u8; FRAME_HEAD_BYTES], u32) {
    debug_assert!(
        payload.len() <= PAYLOAD_BYTES_MAX,
        "the caller keeps to the limit"
    );
    let mut head = head_of(envelope, payload.len());
    let chain = crc32c::crc32c_append(cover_head(chain, &head), payload);
    head[4..8].copy_from_slice(&chain.to_le_bytes());
    (head, chain)
}

/// Encodes the head of a frame that stands for a run of removed blocks, `frame_bytes` long.
pub(crate) fn encode_removed(
    chain: u32,
    received: WallMs,
    frame_bytes: u64,
) -> ([u8; FRAME_HEAD_BYTES], u32) {
    let envelope = Envelope {
        kind: FrameKind::Removed,
        flags: 0,
        received,
    };
    let bytes = usize::try_from(frame_bytes).unwrap_or(REMOVED_BYTES_MAX);
    let mut head = head_of(envelope, bytes.saturating_sub(FRAME_HEAD_BYTES));
    let chain = cover_head(chain, &head);
    head[4..8].copy_from_slice(&chain.to_le_bytes());
    (head, chain)
}

/// A head without its checksum.
fn head_of(envelope: Envelope, payload_bytes: usize) -> [u8; FRAME_HEAD_BYTES] {
    let mut head = [0u8; FRAME_HEAD_BYTES];
    let length = u32::try_from(payload_bytes + ENVELOPE_BYTES).unwrap_or(u32::MAX);
    head[0..4].copy_from_slice(&length.to_le_bytes());
    head[8] = envelope.kind.number();
    // Byte 9 is reserved and zero, so are 12..16.
    head[10..12].copy_from_slice(&envelope.flags.to_le_bytes());
    head[16..24].copy_from_slice(&envelope.received.0.to_le_bytes());
    head
}

/// Reads a frame's head; `None` where there is no frame: zeroes, or a length out of range.
pub(crate) fn decode_head(chain: u32, bytes: &[u8]) -> Option<FrameHead> {
    let head: &[u8; FRAME_HEAD_BYTES] = bytes.first_chunk()?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let payload_bytes = length.checked_sub(ENVELOPE_BYTES)?;
    let kind = FrameKind::from_number(head[8]);
    let payload_bytes_max = match kind {
        FrameKind::Removed => REMOVED_BYTES_MAX,
        _ => PAYLOAD_BYTES_MAX,
    };
    if payload_bytes > payload_bytes_max {
        return None;
    }
    let mut received = [0u8; 8];
    received.copy_from_slice(&head[16..24]);
    Some(FrameHead {
        envelope: Envelope {
            kind,
            flags: u16::from_le_bytes([head[10], head[11]]),
            received: WallMs(i64::from_le_bytes(received)),
        },
        payload_bytes,
        checksum: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
        partial: cover_head(chain, head),
    })
}

impl FrameHead {
    /// The chain after this frame, if `payload` is what was written.
    pub(crate) fn verify(&self, payload: &[u8]) -> Option<u32> {
        if self.envelope.kind == FrameKind::Removed {
            return (self.partial == self.checksum).then_some(self.partial);
        }
        let chain = crc32c::crc32c_append(self.partial, payload);
        (chain == self.checksum && payload.len() == self.payload_bytes).then_some(chain)
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        (FRAME_HEAD_BYTES + self.payload_bytes) as u64
    }
}

/// The checksum covers length and envelope, not itself.
fn cover_head(chain: u32, head: &[u8; FRAME_HEAD_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(chain, &head[0..4]), &head[8..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_comes_back_and_one_flipped_bit_is_seen(
            chain in any::<u32>(), payload in proptest::collection::vec(any::<u8>(), 0..200),
            flip in any::<proptest::sample::Index>(), received in any::<i64>()
        ) {
            let received = WallMs(received);
            let envelope = Envelope { kind: FrameKind::Block, flags: 3, received };
            let (head, after) = encode_head(chain, envelope, &payload);
            let read = decode_head(chain, &head).unwrap();
            prop_assert_eq!(read.envelope, envelope);
            prop_assert_eq!(read.verify(&payload), Some(after));
            let mut bytes = head.to_vec();
            bytes.extend_from_slice(&payload);
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (head, payload) = bytes.split_at(FRAME_HEAD_BYTES);
            let passes = decode_head(chain, head).and_then(|read| read.verify(payload));
            prop_assert_eq!(passes, None);
        }
    }

    #[test]
    fn a_frame_is_valid_only_behind_its_predecessors() {
        let envelope = Envelope::of_block(WallMs(0));
        let (head, _) = encode_head(1, envelope, b"payload");
        assert_eq!(decode_head(2, &head).unwrap().verify(b"payload"), None);
    }

    #[test]
    fn zeroes_are_no_frame() {
        assert_eq!(decode_head(0, &[0; FRAME_HEAD_BYTES]), None);
        assert_eq!(
            decode_head(0, &[0xFF; FRAME_HEAD_BYTES]),
            None,
            "longer than any"
        );
    }
}
