//! What must hold, during a run and after everything healed.
//!
//! Does: keep what was acknowledged by whom, compare. Does not: change anything.
//! In: commits, acknowledgements, losses of disks; the mesh at the end. Out: the first violation.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{DeliveryLane, SeqRange, SeqRanges};
use ocelli_model::tier::Tier;

use super::disk::{Block, Disk, Written};
use super::line::LineId;
use super::node::Node;

/// Facts that the checks rest on.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Acknowledged by a node in the life of its disk.
    acknowledged: BTreeMap<usize, BTreeMap<StreamId, SeqRanges>>,
    /// Highest of each ordered lane of a stream at a node, and of its backfill over a line.
    lanes: BTreeMap<(usize, StreamId, DeliveryLane), u64>,
    backfill: BTreeMap<(LineId, StreamId), u64>,
    /// When a node's hole of a stream last came up, or was refilled.
    holes_moved: BTreeMap<(usize, StreamId), u64>,
    /// Milliseconds of the mesh's time.
    pub(super) now: u64,
    /// Content of each seq's block that a node made, unless its disk went back in time.
    pub(super) forgiven: BTreeSet<OriginId>,
    pub(super) commits: u64,
    pub(super) fills: u64,
}

impl Checks {
    /// A node told a line that a range is durable.
    pub(super) fn acknowledged(&mut self, node: usize, stream: StreamId, range: SeqRange) {
        let of_node = self.acknowledged.entry(node).or_default();
        of_node.entry(stream).or_default().insert(range);
    }

    /// A node's disk was lost, replaced by an old copy, or began anew.
    pub(super) fn disk_gone(&mut self, node: usize) {
        self.acknowledged.remove(&node);
        self.lanes.retain(|(of, _, _), _| *of != node);
    }

    /// When holes of a stream last came up or became smaller on a node's disk.
    pub(super) fn holes_moved(&self, node: usize, stream: StreamId) -> u64 {
        let moved = self.holes_moved.get(&(node, stream));
        moved.copied().unwrap_or_default()
    }

    /// After a crash: what was acknowledged is still there.
    pub(super) fn survived(&self, node: usize, disk: &Disk) -> Result<(), String> {
        for (stream, ranges) in self.acknowledged.get(&node).into_iter().flatten() {
            let held = disk.coverage(*stream);
            if let Some(lost) = ranges.iter().find(|range| !held.contains_all(*range)) {
                return Err(format!(
                    "node {node} acknowledged {}-{} of {stream} and has it no more after a crash",
                    lost.first, lost.last
                ));
            }
        }
        Ok(())
    }

    /// A block became durable at a node. `sender` is the disk that it came from, while it stands.
    pub(super) fn committed(
        &mut self,
        node: usize,
        written: &Written,
        (disk, sender): (&Disk, Option<&Disk>),
    ) -> Result<(), String> {
        self.commits += 1;
        let Block {
            stream,
            range,
            needs_def,
            ..
        } = written.block;
        if stream.lane == Lane::Definitions {
            return Ok(());
        }
        let covered = disk.coverage(stream);
        let is_appended = range.first == Seq(1) || covered.contains(Seq(range.first.0 - 1));
        if written.lane != DeliveryLane::Live || !is_appended {
            self.holes_moved.insert((node, stream), self.now);
        }
        let definitions = disk.coverage(StreamId::definitions(stream.origin));
        if definitions.first_missing() <= needs_def {
            return Err(format!(
                "node {node} shows {}-{} of {stream} without definition {needs_def}",
                range.first, range.last
            ));
        }
        self.in_order(node, written)?;
        self.sent_in_order(node, written, sender)
    }

    /// Live ascends at a node, and so does backfill, whoever brought the blocks.
    fn in_order(&mut self, node: usize, written: &Written) -> Result<(), String> {
        let Block { stream, range, .. } = written.block;
        if written.lane == DeliveryLane::Fill {
            self.fills += 1;
            return Ok(());
        }
        let lane = self.lanes.entry((node, stream, written.lane));
        let highest = lane.or_default();
        if range.first.0 <= *highest {
            return Err(format!(
                "node {node}: {:?} of {stream} goes from {highest} back to {}",
                written.lane, range.first
            ));
        }
        *highest = range.last.0;
        Ok(())
    }

    /// Backfill of a line ascends but for holes that the sender itself had filled after what it
    /// sent last.
    fn sent_in_order(
        &mut self,
        node: usize,
        written: &Written,
        sender: Option<&Disk>,
    ) -> Result<(), String> {
        let Block { stream, range, .. } = written.block;
        let Some((line, _)) = written.from.filter(|_| written.is_backfill) else {
            return Ok(());
        };
        let highest = self.backfill.entry((line, stream)).or_default();
        let came = |seq| sender.and_then(|sender| sender.log_place(stream, Seq(seq)));
        let is_filled_later = came(range.first.0) > came(*highest);
        if range.first.0 <= *highest && !is_filled_later {
            return Err(format!(
                "node {node}: a line's backfill of {stream} goes from {highest} back to {}",
                range.first
            ));
        }
        *highest = range.last.0;
        Ok(())
    }

    /// After the heal: all that any node holds is at every global once, and is the same everywhere.
    pub(super) fn healed(&self, nodes: &[Node]) -> Result<u64, String> {
        let mut compared = 0;
        for (index, node) in nodes.iter().enumerate() {
            self.survived(index, &node.disk)?;
            self.once(index, node)?;
        }
        let globals = || {
            nodes
                .iter()
                .enumerate()
                .filter(|(_, node)| node.tier == Tier::Global)
        };
        for (index, node) in nodes.iter().enumerate() {
            for block in node.disk.blocks() {
                if self.forgiven.contains(&block.stream.origin) {
                    continue;
                }
                for (top, global) in globals() {
                    let found = global.disk.block_at(block.stream, block.range.first);
                    if found.is_some_and(|found| found != block) {
                        return Err(format!("nodes {index} and {top} differ in {block:?}"));
                    }
                    let covered = global.disk.coverage(block.stream).contains_all(block.range);
                    if !covered {
                        return Err(format!(
                            "node {index} holds {}-{} of {}, global {top} does not",
                            block.range.first, block.range.last, block.stream
                        ));
                    }
                    compared += 1;
                }
            }
        }
        Ok(compared)
    }

    fn once(&self, index: usize, node: &Node) -> Result<(), String> {
        let mut seen: BTreeMap<StreamId, SeqRanges> = BTreeMap::new();
        for written in &node.disk.log {
            let Block { stream, range, .. } = written.block;
            // Of an origin that was given up, two histories may meet.
            if self.forgiven.contains(&stream.origin) {
                continue;
            }
            let seen = seen.entry(stream).or_default();
            if (range.first.0..=range.last.0).any(|seq| seen.contains(Seq(seq))) {
                return Err(format!(
                    "node {index} stored {}-{} of {stream} twice",
                    range.first, range.last
                ));
            }
            seen.insert(range);
        }
        Ok(())
    }
}
