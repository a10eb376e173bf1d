//! What is in one segment: exact seqs, times, a sparse index, where gaps stand.
//!
//! Does: grow by a block at a time, answer where to begin reading. Does not: read files (`scan`),
//! know its form on disk (`footer`).
//! In: [`BlockFacts`] with its place, in file order. Out: [`SegmentIndex`].
//! Invariant: offsets ascend over the index. Of a stream whose blocks do not ascend in seq within
//! the file (backfill beside live), seeking begins at its first block.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_model::clock::WallMs;
use serde::{Deserialize, Serialize};

use crate::delivery_lane::DeliveryLane;
use crate::record::{Lane, Seq, StreamId};
use crate::segment::INDEX_STEP_BYTES;
use crate::seq_ranges::SeqRanges;

/// Most streams of a segment that a footer may claim.
pub(crate) const STREAMS_MAX: usize = 16 * 1024;
/// Most sparse entries; beyond it the index grows coarser, reading stays right.
pub(crate) const ENTRIES_MAX: usize = 64 * 1024;
/// Most noted blocks of a kind: more than a segment can hold of the smallest blocks.
pub(crate) const NOTED_BLOCKS_MAX: usize = 1024 * 1024;

/// What the storage needs to know of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockFacts {
    pub(crate) stream: StreamId,
    pub(crate) first: Seq,
    /// At least `first`.
    pub(crate) last: Seq,
    /// Whether an entry is a gap, pending, another statement on slots, or an event.
    pub(crate) has_gap: bool,
    /// Of its frame.
    pub(crate) bytes: u64,
    /// Of the header that the origin wrote.
    pub(crate) checksum: u32,
    /// Of its seqs those whose entries were withheld.
    pub(crate) skipped: SeqRanges,
    /// On which lane it came.
    pub(crate) lane: DeliveryLane,
}

/// What a segment has of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamFacts {
    pub(crate) ranges: SeqRanges,
    /// Of these, those whose entries were withheld; too many where there are too many of them.
    pub(crate) skipped: SeqRanges,
    /// Of its frames; 0 from a footer of version 1.
    pub(crate) bytes: u64,
    /// When the first and the last block were taken.
    pub(crate) received: (WallMs, WallMs),
    /// Whether its blocks ascend in seq.
    pub(crate) ascends: bool,
    /// First seq and checksum of the block with the highest seq; none from a footer of version 1.
    pub(crate) head: Option<(Seq, u32)>,
    /// Highest seq of its backfill; 0: none.
    pub(crate) backfilled: Seq,
}

/// A closed range of seqs of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeqRange {
    /// Lowest.
    pub first: Seq,
    /// Highest, at least `first`.
    pub last: Seq,
}

impl SeqRange {
    /// How many seqs it has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.last.0.saturating_sub(self.first.0).saturating_add(1)
    }
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
    pub(crate) streams: BTreeMap<StreamId, StreamFacts>,
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

impl StreamFacts {
    fn new(received: WallMs) -> Self {
        Self {
            ranges: SeqRanges::default(),
            skipped: SeqRanges::default(),
            bytes: 0,
            received: (received, received),
            ascends: true,
            head: None,
            backfilled: Seq(0),
        }
    }

    fn add(&mut self, received: WallMs, facts: &BlockFacts) {
        let highest = self.ranges.highest();
        self.ascends &= facts.first > highest;
        if facts.lane == DeliveryLane::Backfill {
            self.backfilled = self.backfilled.max(facts.last);
        }
        if facts.last > highest {
            self.head = Some((facts.first, facts.checksum));
        }
        let mut range = SeqRanges::default();
        range.insert_exact(SeqRange {
            first: facts.first,
            last: facts.last,
        });
        note_skipped((&self.ranges, &mut self.skipped), &range, &facts.skipped);
        // A segment's bytes bound the number of its blocks.
        self.ranges.insert_all_exact(&range);
        self.bytes += facts.bytes;
        let (first, last) = self.received;
        self.received = (first.min(received), last.max(received));
    }
}

/// Takes in that of `ranges` all but `skipped` came, to what is covered and skipped already.
/// Beyond [`crate::seq_ranges::RANGES_MAX`] what lies between the lowest of them counts as skipped:
/// another path may then send again what is held, but nothing that is missing passes for held.
pub(crate) fn note_skipped(
    (covered, of_covered): (&SeqRanges, &mut SeqRanges),
    ranges: &SeqRanges,
    skipped: &SeqRanges,
) {
    if of_covered.is_empty() && skipped.is_empty() {
        return;
    }
    let (first, last) = (ranges.lowest().unwrap_or_default(), ranges.highest());
    let span = SeqRange { first, last };
    let (known, withheld) = (covered.within(span), of_covered.within(span));
    if known.is_empty() && withheld.is_empty() {
        of_covered.insert_all(skipped);
        return;
    }
    let held = known.without(&withheld);
    *of_covered = of_covered.without(&ranges.without(skipped));
    of_covered.insert_all(&skipped.without(&held));
}

impl SegmentIndex {
    /// Takes the next block in, whose frame begins at `offset`.
    pub(crate) fn add(&mut self, offset: u64, received: WallMs, facts: &BlockFacts) {
        let of_stream = self.streams.entry(facts.stream);
        of_stream
            .or_insert_with(|| StreamFacts::new(received))
            .add(received, facts);
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
        let facts = self.streams.get(&stream)?;
        if facts.ranges.highest() < seq {
            return None;
        }
        let mut of_stream = self.entries.iter().filter(|entry| entry.stream == stream);
        let found = if facts.ascends {
            of_stream.take_while(|entry| entry.first <= seq).last()
        } else {
            of_stream.next()
        };
        let start = crate::segment::header::HEADER_BYTES as u64;
        Some(found.map_or(start, |entry| entry.offset))
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
