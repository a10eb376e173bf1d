//! A block of another origin on its way into this node's log, untouched.
//!
//! Does: check a block as it came over a link, carry the verdicts of ingest, name refusals.
//! Does not: decide whether the origin may be sent by whom it came from (`federation`), append.
//! In: bytes of unknown honesty. Out: [`ForeignBlock`], or why the bytes are no block.

use bytes::Bytes;
use ocelli_model::clock::WallMs;

use crate::block::{BlockError, BlockHeader, EntryView};
use crate::record::StreamId;
use crate::segment::LogPosition;
use crate::segment::frame::Envelope;
use crate::segment::index::SeqRange;
use crate::seq_ranges::SeqRanges;
use crate::stored::StoredBlock;
use crate::writer::queue::SubmitError;

/// A whole, checked block of another origin.
#[derive(Debug)]
pub struct ForeignBlock(Box<StoredBlock>);

/// A foreign block that was not taken, with the reason.
#[derive(Debug)]
pub struct RefusedForeign {
    /// The block.
    pub block: ForeignBlock,
    /// Why.
    pub error: IngestError,
}

/// Why a foreign block is refused before it reaches the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// It states the origin that this node itself appends under.
    #[error(
        "a block of stream {stream} was sent to the node that owns it; two nodes share one data \
         directory's identity: give one of them a new origin"
    )]
    OwnOrigin {
        /// The stream.
        stream: StreamId,
    },
    /// The queue does not take it now.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl IngestError {
    /// Whether the same block may be taken later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            IngestError::OwnOrigin { .. } => false,
            IngestError::Submit(error) => error.is_transient(),
        }
    }
}

impl ForeignBlock {
    /// Checks a block, all of its checksums and its head table included. `bytes` hold the block and
    /// nothing else; they are kept, not copied.
    ///
    /// # Errors
    /// [`BlockError`]; the sender is damaged or dishonest.
    pub fn read(bytes: Bytes) -> Result<Self, BlockError> {
        let envelope = Envelope::of_block(WallMs(0));
        let block = StoredBlock::read(LogPosition::default(), envelope, bytes)?;
        if block.header().block_bytes() == block.bytes().len() {
            Ok(Self(Box::new(block)))
        } else {
            Err(BlockError::Header { field: "size" })
        }
    }

    /// The same block, said to come over a channel of backfill or a live one. What is older than
    /// what the node has is late in any case.
    #[must_use]
    pub fn with_backfill(mut self, is_backfill: bool) -> Self {
        self.0.envelope_mut().set_backfill(is_backfill);
        self
    }

    /// The same block, said to be rightful or not: of two batches for one slot, the fenced one is
    /// carried on but neither shown to subscribers nor kept as a last value.
    #[must_use]
    pub fn with_fenced(mut self, is_fenced: bool) -> Self {
        self.0.envelope_mut().set_fenced(is_fenced);
        self
    }

    /// The block's header.
    #[must_use]
    pub fn header(&self) -> &BlockHeader {
        self.0.header()
    }

    /// Whose entries, on which lane.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.header().stream
    }

    /// The seqs of its entries.
    #[must_use]
    pub fn range(&self) -> SeqRange {
        self.0.range()
    }

    /// The seqs whose entries were withheld from it.
    #[must_use]
    pub fn skipped(&self) -> SeqRanges {
        self.0.skipped()
    }

    /// The head table.
    #[must_use]
    pub fn entries(&self) -> &[EntryView] {
        self.0.entries()
    }

    /// The body of an entry of this block.
    ///
    /// # Errors
    /// [`BlockError::Inflate`] if the block is compressed and damaged.
    pub fn body(&self, entry: &EntryView) -> Result<&[u8], BlockError> {
        self.0.body(entry)
    }

    /// The block as it came and is forwarded.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.0.bytes()
    }

    /// For the writer: the block, taken at `received`.
    pub(crate) fn into_stored(mut self, received: WallMs) -> StoredBlock {
        self.0.envelope_mut().received = received;
        *self.0
    }
}
