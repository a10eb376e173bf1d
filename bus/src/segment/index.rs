//! What is in one segment: seq ranges, times, a sparse index, where gaps stand.
//!
//! Does: grow by a block at a time, answer where to begin reading. Does not: read files (`scan`),
//! know its form on disk (`footer`).
//! In: [`BlockFacts`] with its place, in file order. Out: [`SegmentIndex`].
//! Invariant: of a stream, blocks ascend in seq within the file; offsets ascend over the index.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_model::clock::WallMs;

use crate::record::{Lane, Seq, StreamId};
use crate::segment::INDEX_STEP_BYTES;

/// Most streams of a segment that a footer may claim.
pub(crate) const STREAMS_MAX: usize = 16 * 1024;
/// Most sparse entries; beyond it the index grows coarser, reading stays right.
pub(crate) const ENTRIES_MAX: usize = 64 * 1024;
/// Most noted blocks of a kind: more than a segment can hold of the smallest blocks.
pub(crate) const NOTED_BLOCKS_MAX: usize = 1024 * 1024;

/// What the storage needs to know of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockFacts {
    pub(crate) stream: StreamId,
    pub(crate) first: Seq,
    /// At least `first`.
    pub(crate) last: Seq,
    /// Whether an entry is a gap, pending, another statement on slots, or an event.
    pub(crate) has_gap: bool,
}

/// A closed range of seqs of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqRange {
    /// Lowest.
    pub first: Seq,
    /// Highest, at least `first`.
    pub last: Seq,
}

/// A place to begin reading at: the first block of a stream within an index step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) stream: StreamId,
    pub(crate) first: Seq,
    pub(crate) offset: u64,
    pub(crate) received: WallMs,
}

/// Contents of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SegmentIndex {
    /// Lowest and highest seq a stream has in this file. There may be holes between.
    pub(crate) streams: BTreeMap<StreamId, SeqRange>,
    pub(crate) entries: Vec<IndexEntry>,
    /// Offsets of blocks with gaps, other statements on slots, or events, ascending.
    pub(crate) gap_blocks: Vec<u64>,
    /// Offsets of blocks of lane 1, ascending.
    pub(crate) definition_blocks: Vec<u64>,
    pub(crate) blocks: u64,
    /// When the first and the last block were taken; `None` while there is none.
    pub(crate) received: Option<(WallMs, WallMs)>,
    pub(super) step: u64,
    pub(super) in_step: BTreeSet<StreamId>,
}

impl SegmentIndex {
    /// Takes the next block in, whose frame begins at `offset`.
    pub(crate) fn add(&mut self, offset: u64, received: WallMs, facts: &BlockFacts) {
        let range = self.streams.entry(facts.stream).or_insert(SeqRange {
            first: facts.first,
            last: facts.last,
        });
        range.first = range.first.min(facts.first);
        range.last = range.last.max(facts.last);
        let (first, last) = self.received.unwrap_or((received, received));
        self.received = Some((first.min(received), last.max(received)));
        self.blocks += 1;
        let noted = match facts.stream.lane {
            Lane::Definitions => Some(&mut self.definition_blocks),
            Lane::Data => facts.has_gap.then_some(&mut self.gap_blocks),
        };
        if let Some(noted) = noted.filter(|noted| noted.len() < NOTED_BLOCKS_MAX) {
            noted.push(offset);
        }
        let step = offset / INDEX_STEP_BYTES;
        if step != self.step {
            self.step = step;
            self.in_step.clear();
        }
        if self.entries.len() < ENTRIES_MAX && self.in_step.insert(facts.stream) {
            self.entries.push(IndexEntry {
                stream: facts.stream,
                first: facts.first,
                offset,
                received,
            });
        }
    }

    /// Drops what the footer holds too; seeking then begins at the start of the file.
    pub(crate) fn forget_entries(&mut self) {
        self.entries = Vec::new();
        self.gap_blocks = Vec::new();
        self.definition_blocks = Vec::new();
        self.in_step = BTreeSet::new();
    }

    /// An offset from which on a forward read meets each block of `stream` with a seq of at least
    /// `seq`; `None` if the file has none.
    pub(crate) fn seek(&self, stream: StreamId, seq: Seq) -> Option<u64> {
        let range = self.streams.get(&stream)?;
        if range.last < seq {
            return None;
        }
        let of_stream = self.entries.iter().filter(|entry| entry.stream == stream);
        let at_or_before = of_stream.take_while(|entry| entry.first <= seq).last();
        let start = crate::segment::header::HEADER_BYTES as u64;
        Some(at_or_before.map_or(start, |entry| entry.offset))
    }

    /// An offset from which on a forward read meets each block taken at `time` or later.
    pub(crate) fn seek_time(&self, time: WallMs) -> Option<u64> {
        let (_, last) = self.received?;
        if last < time {
            return None;
        }
        let before = self
            .entries
            .iter()
            .take_while(|entry| entry.received < time);
        let start = crate::segment::header::HEADER_BYTES as u64;
        Some(before.last().map_or(start, |entry| entry.offset))
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
pub(super) mod tests;
