//! Builds a block on an arbiter and lets the writer stamp it.
//!
//! Does: append entries, seal (sizes, checksums of head table and bodies), stamp (place in the
//! stream, header checksum). Does not: assign seqs or ids.
//! In: heads and bodies, body bytes written in place. Out: [`SealedBlock`].
//! Invariant: a sealed block has at least one entry and at most `BLOCK_BYTES_MAX` bytes.

use ocelli_model::slot::{Epoch, SlotMs};

use super::head::{EntryHead, HeadFrame, put_head};
use super::header::{BlockHeader, HEADER_BYTES, Stamp, write_sealed, write_stamp};
use crate::limits::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_TARGET, BLOCK_ENTRIES_MAX, BLOCK_EPOCHS_MAX, BLOCK_RAW_BYTES_MAX,
};
use crate::record::{Seq, StreamId};

/// Bytes of an epoch in the block.
const EPOCH_BYTES: usize = 16;
/// zstd level of definitions: the default, fast and within 5 % of the best on names and labels.
pub(super) const ZSTD_LEVEL: i32 = 3;

/// Why an entry does not go into a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The block is full; seal it and push again.
    #[error("the block is full; seal it and push the entry into the next one")]
    Full,
    /// The entry would not fit into an empty block either.
    #[error("an entry of {bytes} bytes fits no block of {BLOCK_BYTES_MAX}; split its rows")]
    TooLarge {
        /// Bytes of head and body.
        bytes: usize,
    },
}

/// A block under construction.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    t_base: SlotMs,
    epochs: Vec<Epoch>,
    head: Vec<u8>,
    bodies: Vec<u8>,
    count: u32,
}

impl BlockBuilder {
    /// An empty block.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there is nothing to seal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the block would have, uncompressed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.epochs.len() * EPOCH_BYTES + self.head.len() + self.bodies.len()
    }

    /// Whether the block is as large as a block should be: seal it.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.bytes() >= BLOCK_BYTES_TARGET
    }

    /// Appends an entry with a finished body.
    ///
    /// # Errors
    /// [`PushError`]; the block is as before.
    pub fn push(&mut self, head: &EntryHead, body: &[u8]) -> Result<(), PushError> {
        self.push_with(head, |into| into.extend_from_slice(body))
    }

    /// Appends an entry whose body `write` appends to the buffer it is given.
    ///
    /// # Errors
    /// [`PushError`]; the block is as before.
    pub fn push_with(
        &mut self,
        head: &EntryHead,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PushError> {
        let (head_before, bodies_before) = (self.head.len(), self.bodies.len());
        let epochs_before = self.epochs.len();
        if self.is_empty() {
            self.t_base = head.slot;
        }
        let Some(epoch_index) = self.epoch_index(head.epoch) else {
            return Err(PushError::Full);
        };
        write(&mut self.bodies);
        let body_bytes = self.bodies.len() - bodies_before;
        let frame = HeadFrame {
            t_base: self.t_base,
            epoch_index,
        };
        put_head(&mut self.head, head, frame, body_bytes);
        let is_within =
            self.bytes() <= BLOCK_BYTES_MAX && (self.count as usize) < BLOCK_ENTRIES_MAX;
        if is_within {
            self.count += 1;
            return Ok(());
        }
        let bytes = body_bytes + self.head.len() - head_before;
        self.head.truncate(head_before);
        self.bodies.truncate(bodies_before);
        self.epochs.truncate(epochs_before);
        let is_alone = HEADER_BYTES + EPOCH_BYTES + bytes > BLOCK_BYTES_MAX;
        Err(if is_alone {
            PushError::TooLarge { bytes }
        } else {
            PushError::Full
        })
    }

    /// Ends the block: `None` if it is empty. The builder is empty afterwards and keeps its memory.
    pub fn seal(&mut self) -> Option<SealedBlock> {
        self.seal_as(false)
    }

    /// As [`Self::seal`], with the bodies compressed by zstd where that makes them smaller.
    pub fn seal_compressed(&mut self) -> Option<SealedBlock> {
        self.seal_as(true)
    }

    fn seal_as(&mut self, is_compressed: bool) -> Option<SealedBlock> {
        if self.is_empty() {
            return None;
        }
        let smaller = if is_compressed {
            self.compressed()
        } else {
            None
        };
        let bodies = smaller.as_deref().unwrap_or(&self.bodies);
        let head_bytes = self.epochs.len() * EPOCH_BYTES + self.head.len();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + head_bytes + bodies.len());
        bytes.resize(HEADER_BYTES, 0);
        for epoch in &self.epochs {
            bytes.extend_from_slice(&epoch.generation.to_le_bytes());
            bytes.extend_from_slice(&epoch.index.to_le_bytes());
        }
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(bodies);
        let header = BlockHeader {
            stream: StreamId::default(),
            first_seq: Seq(0),
            count: self.count,
            t_base: self.t_base,
            needs_def: Seq(0),
            // At most 255 by `epoch_index`; sizes are at most BLOCK_BYTES_MAX by `push_with`.
            epochs: u8::try_from(self.epochs.len()).unwrap_or(u8::MAX),
            is_compressed: smaller.is_some(),
            head_bytes: size_u32(head_bytes),
            bodies_bytes: size_u32(bodies.len()),
            raw_bytes: size_u32(self.bodies.len()),
            head_crc: crc32c::crc32c(&bytes[HEADER_BYTES..HEADER_BYTES + head_bytes]),
            bodies_crc: crc32c::crc32c(&bytes[HEADER_BYTES + head_bytes..]),
        };
        let mut sealed = SealedBlock {
            bytes,
            count: self.count,
        };
        if let Some(fixed) = sealed.header_mut() {
            write_sealed(fixed, &header);
        }
        self.clear();
        Some(sealed)
    }

    fn compressed(&self) -> Option<Vec<u8>> {
        if self.bodies.len() > BLOCK_RAW_BYTES_MAX {
            return None;
        }
        let smaller = zstd::bulk::compress(&self.bodies, ZSTD_LEVEL).ok()?;
        (smaller.len() < self.bodies.len()).then_some(smaller)
    }

    fn clear(&mut self) {
        self.epochs.clear();
        self.head.clear();
        self.bodies.clear();
        self.count = 0;
    }

    /// Newest first: an arbiter's entries nearly all rest on one epoch or a few.
    fn epoch_index(&mut self, epoch: Epoch) -> Option<u8> {
        let known = self.epochs.iter().rposition(|known| *known == epoch);
        let index = known.unwrap_or(self.epochs.len());
        if index >= BLOCK_EPOCHS_MAX {
            return None;
        }
        if known.is_none() {
            self.epochs.push(epoch);
        }
        u8::try_from(index).ok()
    }
}

/// A whole block that lacks only its place in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBlock {
    bytes: Vec<u8>,
    count: u32,
}

impl SealedBlock {
    /// Number of entries: how many seqs it takes.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of the block.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a sealed block has an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Gives the block its place: writes 80 bytes, reads none of the others.
    pub fn stamp(&mut self, stamp: &Stamp) {
        if let Some(header) = self.header_mut() {
            write_stamp(header, stamp);
        }
    }

    /// The block's bytes; readable once stamped.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The block's bytes, given away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn header_mut(&mut self) -> Option<&mut [u8; HEADER_BYTES]> {
        self.bytes.first_chunk_mut()
    }
}

/// Sizes in a block are at most `BLOCK_RAW_BYTES_MAX`, far below 2^32.
fn size_u32(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
