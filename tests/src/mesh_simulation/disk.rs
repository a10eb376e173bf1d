//! A node's simulated bus: what is written, what is durable, what a crash leaves.
//!
//! Does: append, commit, forget what was not committed, refuse as the real bus refuses.
//! Does not: time (the world says when a commit happens).
//! In: [`Block`]s. Out: those that became durable, in log order.
//! Mutants live here: each breaks one rule, and the checks must find it.

use std::collections::BTreeMap;

use ocelli_bus::record::{Lane, Seq, StreamId};
use ocelli_bus::{DeliveryLane, LaneMarks, SeqRange, SeqRanges};
use ocelli_federation::ingest::BlockNumber;
use ocelli_federation::uplink::Found;

use super::line::LineId;

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Blocks are shown and acknowledged when written, not when durable.
    VisibleBeforeDurable,
    /// Data are taken without their definitions.
    DefinitionsAfterData,
    /// A disk that went back in time keeps its origin.
    RollbackIgnored,
    /// What a neighbour holds counts without holes: a range skipped is taken for one held.
    SkipTakenAsHeld,
    /// Backfill goes on above what a lower tier is about to fill.
    RefillNotAwaited,
    /// A block's lane is what its sender says, whatever other senders brought before.
    LanesOfSenders,
}

/// A block: who, where, what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) stream: StreamId,
    pub(super) range: SeqRange,
    pub(super) needs_def: Seq,
    pub(super) bytes: u64,
    /// Stands for the bytes: two blocks of equal content are equal.
    pub(super) content: u64,
}

impl Block {
    pub(super) fn found(&self) -> Found {
        Found {
            range: self.range,
            bytes: self.bytes,
            needs_def: self.needs_def,
        }
    }
}

/// How a block came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) block: Block,
    /// It came over a channel of backfill.
    pub(super) is_backfill: bool,
    /// On which lane it comes here; said with the commit.
    pub(super) lane: DeliveryLane,
    /// Over which line, by which number; `None`: made here.
    pub(super) from: Option<(LineId, BlockNumber)>,
}

/// Why a block is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Order,
    NeedsDefinitions,
}

/// A disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    held: BTreeMap<(StreamId, Seq), Block>,
    /// Durable, in log order; what retention took is gone from `held` only.
    pub(super) log: Vec<Written>,
    covered: BTreeMap<StreamId, SeqRanges>,
    lanes: BTreeMap<StreamId, LaneMarks>,
    written: Vec<Written>,
}

impl Disk {
    /// Takes a block in; it is durable after [`Self::commit`].
    pub(super) fn write(
        &mut self,
        written: Written,
        mutant: Option<Mutant>,
    ) -> Result<(), Refusal> {
        let Block {
            stream,
            range,
            needs_def,
            ..
        } = written.block;
        let foreign = written.from.is_some();
        let known = self.known_to(stream);
        if foreign && stream.lane == Lane::Definitions && range.first > known.next() {
            return Err(Refusal::Order);
        }
        let definitions = self.known_to(StreamId::definitions(stream.origin));
        let checks = mutant != Some(Mutant::DefinitionsAfterData);
        if foreign && checks && stream.lane == Lane::Data && needs_def > definitions {
            return Err(Refusal::NeedsDefinitions);
        }
        self.written.push(written);
        Ok(())
    }

    /// Last seq without a hole before it, written or durable.
    fn known_to(&self, stream: StreamId) -> Seq {
        let mut to = Seq(self.coverage(stream).first_missing().0 - 1);
        for written in &self.written {
            let Block {
                stream: of, range, ..
            } = written.block;
            if of == stream && range.first <= to.next() {
                to = to.max(range.last);
            }
        }
        to
    }

    /// Makes durable what was written; answers it in order, without what was held before.
    pub(super) fn commit(&mut self, mutant: Option<Mutant>) -> (Vec<Written>, Vec<Written>) {
        let (mut fresh, mut repeated) = (Vec::new(), Vec::new());
        for mut written in std::mem::take(&mut self.written) {
            let Block { stream, range, .. } = written.block;
            let covered = self.covered.entry(stream).or_default();
            if covered.contains_all(range) {
                repeated.push(written);
                continue;
            }
            covered.insert(range);
            let marks = self.lanes.entry(stream).or_default();
            written.lane = match mutant {
                Some(Mutant::LanesOfSenders) if written.is_backfill => DeliveryLane::Backfill,
                Some(Mutant::LanesOfSenders) => DeliveryLane::Live,
                _ => marks.take(range, written.is_backfill),
            };
            self.held.insert((stream, range.first), written.block);
            self.log.push(written);
            fresh.push(written);
        }
        (fresh, repeated)
    }

    /// Power is gone: what was not durable never was.
    pub(super) fn crash(&mut self) {
        self.written.clear();
    }

    pub(super) fn has_written(&self) -> bool {
        !self.written.is_empty()
    }

    pub(super) fn coverage(&self, stream: StreamId) -> SeqRanges {
        self.covered.get(&stream).cloned().unwrap_or_default()
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = (StreamId, &SeqRanges)> + '_ {
        self.covered
            .iter()
            .map(|(stream, ranges)| (*stream, ranges))
    }

    /// Highest seq, written or durable.
    pub(super) fn highest(&self, stream: StreamId) -> Seq {
        let durable = self
            .covered
            .get(&stream)
            .map(SeqRanges::highest)
            .unwrap_or_default();
        let of_stream = self
            .written
            .iter()
            .filter(|written| written.block.stream == stream);
        of_stream
            .map(|written| written.block.range.last)
            .fold(durable, Seq::max)
    }

    /// The block that holds a seq.
    pub(super) fn block_at(&self, stream: StreamId, seq: Seq) -> Option<&Block> {
        let below = self
            .held
            .range((stream, Seq(0))..=(stream, seq))
            .next_back();
        below
            .map(|(_, block)| block)
            .filter(|block| block.range.last >= seq)
    }

    /// The block that readers see at a seq: a durable one, but for the mutant.
    pub(super) fn visible_at(
        &self,
        stream: StreamId,
        first: Seq,
        mutant: Option<Mutant>,
    ) -> Option<Block> {
        let mut written = self.written.iter().map(|written| &written.block);
        let is_it = |block: &&Block| block.stream == stream && block.range.first == first;
        let early = (mutant == Some(Mutant::VisibleBeforeDurable)).then(|| written.find(is_it));
        self.block_at(stream, first).or(early.flatten()).copied()
    }

    /// Blocks of a range as the bus answers: one at least, then up to `bytes_max`.
    pub(super) fn blocks_of(
        &self,
        stream: StreamId,
        range: SeqRange,
        bytes_max: u64,
    ) -> Vec<Block> {
        let mut blocks: Vec<Block> = self
            .block_at(stream, range.first)
            .copied()
            .into_iter()
            .collect();
        let start = blocks
            .first()
            .map_or(range.first, |block| block.range.last.next());
        let after = self.held.range((stream, start)..).map(|(_, block)| *block);
        let is_within = |block: &Block| block.stream == stream && block.range.first <= range.last;
        blocks.extend(after.take_while(is_within));
        let mut bytes = 0;
        let fits = |block: &Block| {
            let is_first = bytes == 0;
            bytes += block.bytes;
            is_first || bytes <= bytes_max
        };
        blocks.into_iter().take_while(fits).collect()
    }

    /// Where in the log the block that holds a seq stands.
    pub(super) fn log_place(&self, stream: StreamId, seq: Seq) -> Option<usize> {
        let holds = |written: &Written| {
            let Block {
                stream: of, range, ..
            } = written.block;
            of == stream && range.first <= seq && seq <= range.last
        };
        self.log.iter().position(holds)
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> + '_ {
        self.held.values()
    }

    /// Retention takes the oldest data; definitions stay.
    pub(super) fn trim(&mut self, blocks: usize) {
        let oldest = self
            .log
            .iter()
            .filter(|written| written.block.stream.lane == Lane::Data);
        let keys: Vec<_> = oldest
            .map(|written| (written.block.stream, written.block.range.first))
            .filter(|key| self.held.contains_key(key))
            .take(blocks)
            .collect();
        for key in keys {
            self.held.remove(&key);
        }
    }
}
