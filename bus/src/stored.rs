//! A durable block in memory, shared by all who read it.
//!
//! Does: hold bytes, head table and place of a block; hand out entries and their bodies.
//! Does not: cache (`tail`, `read_pool`), decode bodies.
//! In: a frame's payload. Out: [`StoredBlock`] behind an `Arc`, [`Entry`] into it.
//! Invariant: the head table was read once and its checksum held; entry `i` has seq `first + i`.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ocelli_model::clock::WallMs;

use crate::block::{
    BlockError, BlockHeader, BlockView, EntryHead, EntryView, HEADER_BYTES, put_back, source_of,
    withhold,
};
use crate::delivery_lane::DeliveryLane;
use crate::record::{EntryKind, Seq, StreamId};
use crate::segment::LogPosition;
use crate::segment::frame::{Envelope, FRAME_HEAD_BYTES};
use crate::segment::index::{BlockFacts, SeqRange};
use crate::seq_ranges::SeqRanges;

/// Memory that an entry of the head table takes beside the block's bytes.
const ENTRY_BYTES: usize = size_of::<EntryView>();

/// A durable block.
#[derive(Debug)]
pub struct StoredBlock {
    position: LogPosition,
    envelope: Envelope,
    header: BlockHeader,
    bytes: Bytes,
    entries: Box<[EntryView]>,
    /// Checksum of the header that the origin wrote, if something was withheld since.
    source: Option<u32>,
    /// Bodies of a compressed block, inflated by the first who asks.
    inflated: OnceLock<Result<Bytes, BlockError>>,
}

impl StoredBlock {
    /// Reads a block whose frame begins at `position`.
    ///
    /// # Errors
    /// As [`BlockView::parse`].
    pub(crate) fn read(
        position: LogPosition,
        envelope: Envelope,
        bytes: Bytes,
    ) -> Result<Self, BlockError> {
        let view = BlockView::parse(&bytes)?;
        let (header, entries): (_, Box<[_]>) = (*view.header(), view.entries().collect());
        let has_skips = entries.iter().any(is_skip);
        let source = match has_skips {
            true => source_of(&entries, &view.bodies()?),
            false => None,
        };
        Ok(Self {
            position,
            envelope,
            header,
            bytes,
            entries,
            source,
            inflated: OnceLock::new(),
        })
    }

    /// What of it is not in `held`, as a block that fills skips.
    ///
    /// # Errors
    /// [`BlockError::Inflate`] if the block is compressed and damaged.
    pub(crate) fn into_fill(mut self, held: &SeqRanges) -> Result<Self, BlockError> {
        self.envelope.set_fill();
        self.envelope.set_backfill(true);
        let cut = withhold(&self.bytes, |entry| held.contains(entry.seq))?;
        let bytes = cut.unwrap_or(self.bytes);
        Self::read(self.position, self.envelope, bytes)
    }

    /// The same block with those entries of `other` that it has skips for, if there are any.
    pub(crate) fn put_back(&self, other: &Self) -> Option<Self> {
        let whole = put_back(&self.bytes, &other.bytes).ok().flatten()?;
        Self::read(self.position, self.envelope, whole).ok()
    }

    /// Says where its frame begins; for the writer, before anyone else holds the block.
    pub(crate) fn place(&mut self, position: LogPosition) {
        self.position = position;
    }

    /// What stands around it in its frame.
    pub(crate) fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The same, for the one who takes it in.
    pub(crate) fn envelope_mut(&mut self) -> &mut Envelope {
        &mut self.envelope
    }

    /// What the index of its segment needs.
    pub(crate) fn facts(&self) -> BlockFacts {
        BlockFacts {
            stream: self.header.stream,
            first: self.header.first_seq,
            last: self.header.last_seq(),
            has_gap: self
                .entries
                .iter()
                .any(|entry| is_statement(entry.head.kind)),
            bytes: self.frame_bytes(),
            checksum: self.checksum(),
            skipped: self.skipped(),
            lane: self.lane(),
        }
    }

    /// Where its frame begins.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Where the frame behind it begins, if one does.
    #[must_use]
    pub fn next_position(&self) -> LogPosition {
        LogPosition {
            segment: self.position.segment,
            offset: self.position.offset + self.frame_bytes(),
        }
    }

    /// Bytes of its frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        (FRAME_HEAD_BYTES + self.bytes.len()) as u64
    }

    /// When this node took it.
    #[must_use]
    pub fn received(&self) -> WallMs {
        self.envelope.received
    }

    /// Whether it did not come live: it is older than what the node had of its stream.
    #[must_use]
    pub fn is_backfill(&self) -> bool {
        self.envelope.is_backfill()
    }

    /// On which lane of its stream it came here. In the order of the log live ascends, and so does
    /// backfill; a fill stands anywhere.
    #[must_use]
    pub fn lane(&self) -> DeliveryLane {
        self.envelope.lane()
    }

    /// Whether the fence found it not rightful: another owner's data stands for these slots.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.envelope.is_fenced()
    }

    /// Whether it brings entries that had been withheld when its seqs came here first. It has no
    /// other entries: skips stand for those that were held.
    #[must_use]
    pub fn is_fill(&self) -> bool {
        self.envelope.is_fill()
    }

    /// The seqs whose entries were withheld from it.
    #[must_use]
    pub fn skipped(&self) -> SeqRanges {
        let mut skipped = SeqRanges::default();
        for entry in self.entries.iter().filter(|entry| is_skip(entry)) {
            let (first, last) = (entry.seq, entry.seq);
            // A block's entries bound how many there are.
            skipped.insert_exact(SeqRange { first, last });
        }
        skipped
    }

    /// The seqs whose entries it brings.
    pub(crate) fn brought(&self) -> SeqRanges {
        let mut all = SeqRanges::default();
        all.insert(self.range());
        all.without(&self.skipped())
    }

    /// The seqs of its entries.
    #[must_use]
    pub fn range(&self) -> SeqRange {
        SeqRange {
            first: self.header.first_seq,
            last: self.header.last_seq(),
        }
    }

    /// The checksum of the header as the origin wrote it: with stream and seqs it names the
    /// content, whatever of it was withheld on the way here.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        if let Some(source) = self.source {
            return source;
        }
        let stored = self.bytes.get(HEADER_BYTES - 4..HEADER_BYTES);
        let stored = stored.and_then(|bytes| bytes.try_into().ok());
        stored.map_or(0, u32::from_le_bytes)
    }

    /// The block's header.
    #[must_use]
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// The block as it stands on disk and is forwarded.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The head table.
    #[must_use]
    pub fn entries(&self) -> &[EntryView] {
        &self.entries
    }

    /// The body of an entry of this block.
    ///
    /// # Errors
    /// [`BlockError::Inflate`] if the block is compressed and damaged.
    pub fn body(&self, entry: &EntryView) -> Result<&[u8], BlockError> {
        let bodies = if self.header.is_compressed {
            let inflated = self.inflated.get_or_init(|| self.inflate());
            inflated.as_ref().map_err(Clone::clone)?
        } else {
            &self.bytes[HEADER_BYTES + self.header.head_bytes as usize..]
        };
        Ok(bodies.get(entry.body.clone()).unwrap_or(&[]))
    }

    fn inflate(&self) -> Result<Bytes, BlockError> {
        let bodies = &self.bytes[HEADER_BYTES + self.header.head_bytes as usize..];
        let expected = self.header.raw_bytes as usize;
        let raw = zstd::bulk::decompress(bodies, expected).ok();
        let whole = raw.filter(|raw| raw.len() == expected);
        whole
            .map(Bytes::from)
            .ok_or(BlockError::Inflate { expected })
    }

    /// Bytes that it takes in memory, at most.
    pub(crate) fn memory_bytes(&self) -> usize {
        let inflated = if self.header.is_compressed {
            self.header.raw_bytes as usize
        } else {
            0
        };
        self.bytes.len() + inflated + self.entries.len() * ENTRY_BYTES
    }
}

/// Whether an entry stands for one that was withheld.
fn is_skip(entry: &EntryView) -> bool {
    entry.head.kind == EntryKind::Skip
}

/// Whether an entry says something of slots without filling them, or is an event: the ledgers hold
/// these, so a start reads the blocks that have one.
pub(crate) fn is_statement(kind: EntryKind) -> bool {
    matches!(
        kind,
        EntryKind::Gap | EntryKind::Pending | EntryKind::Released | EntryKind::Event
    )
}

/// An entry of a durable block.
#[derive(Debug, Clone)]
pub struct Entry {
    block: Arc<StoredBlock>,
    index: usize,
}

impl Entry {
    /// The entry at `index`, if the block has it.
    #[must_use]
    pub fn new(block: &Arc<StoredBlock>, index: usize) -> Option<Self> {
        (index < block.entries.len()).then(|| Self {
            block: Arc::clone(block),
            index,
        })
    }

    /// Its place in the block.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The block around it.
    #[must_use]
    pub fn block(&self) -> &Arc<StoredBlock> {
        &self.block
    }

    /// Head and place of the entry.
    #[must_use]
    pub fn view(&self) -> &EntryView {
        &self.block.entries[self.index]
    }

    /// What is known without the body.
    #[must_use]
    pub fn head(&self) -> &EntryHead {
        &self.view().head
    }

    /// Its stream.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.block.header.stream
    }

    /// Its number in the stream.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.view().seq
    }

    /// Its body.
    ///
    /// # Errors
    /// [`BlockError::Inflate`] if the block is compressed and damaged.
    pub fn body(&self) -> Result<&[u8], BlockError> {
        self.block.body(self.view())
    }
}
