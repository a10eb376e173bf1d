//! What retention took before its time, said slot by slot: `Gap(retention)` with both edges.
//!
//! Does: find which slots of which pairs a segment holds, write a gap for each, keep what cannot be
//! written yet. Does not: remove (`retire`).
//! In: a segment that the hard cap takes. Out: gap entries in the node's own stream.
//! Full: beyond [`OWED_MAX`] blocks that a full disk keeps from being written, the oldest are given
//! up, with an error in the log.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use ocelli_model::gap::{Gap, GapKind};
use ocelli_model::slot::{Epoch, SlotMs};

use crate::block::{BlockBuilder, EntryHead, PushError, SealedBlock};
use crate::log::start_of;
use crate::payload::put_gap;
use crate::read_pool::read_chunk;
use crate::record::{DefinitionId, EntryKind, Lane};
use crate::segment::SegmentNumber;
use crate::shared::Shared;
use crate::statistics::Counters;
use crate::writer::queue::BusHandle;

/// Blocks of gaps that wait for space, at most: some hundred thousand pairs.
const OWED_MAX: usize = 64;

/// Whose slots, under which plan entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Lost {
    resource: DefinitionId,
    plugin: DefinitionId,
    interval_ms: u32,
    epoch: Epoch,
}

/// Gaps that have to be written.
pub(crate) struct OwedGaps {
    handle: BusHandle,
    blocks: VecDeque<SealedBlock>,
}

impl OwedGaps {
    pub(crate) fn new(handle: BusHandle) -> Self {
        Self {
            handle,
            blocks: VecDeque::new(),
        }
    }

    /// Notes what is lost with a segment, before it is removed.
    pub(crate) fn note(&mut self, shared: &Shared, number: SegmentNumber) -> io::Result<()> {
        let lost = lost_slots(shared, number)?;
        let now = shared.clock.wall();
        let mut builder = BlockBuilder::new();
        for (of, (first, last)) in &lost {
            let gap = Gap {
                first: *first,
                last: *last,
                interval_ms: of.interval_ms,
                epoch: of.epoch,
                cause: GapKind::Retention.into(),
            };
            let head = EntryHead {
                resource: of.resource,
                plugin: of.plugin,
                slot: *first,
                interval_ms: of.interval_ms,
                epoch: of.epoch,
                ..EntryHead::bare(EntryKind::Gap, now)
            };
            if builder.push_with(&head, |body| put_gap(body, &gap)) == Err(PushError::Full) {
                self.blocks.extend(builder.seal());
                // An empty block takes any gap.
                builder.push_with(&head, |body| put_gap(body, &gap)).ok();
            }
        }
        self.blocks.extend(builder.seal());
        while self.blocks.len() > OWED_MAX {
            self.blocks.pop_front();
            tracing::error!("gaps of removed data were given up: the disk was full for too long");
        }
        Ok(())
    }

    /// Writes what is owed and waits until it is durable; what is refused stays owed.
    pub(crate) fn pay(&mut self, shared: &Shared) {
        while let Some(block) = self.blocks.pop_front() {
            let count = u64::from(block.count());
            match self.handle.try_submit(Lane::Data, block) {
                Ok(acknowledgement) => {
                    if let Err(error) = acknowledgement.wait_blocking() {
                        tracing::error!(%error, "gaps of removed data were not written");
                    } else {
                        Counters::add(&shared.counters.retention_gaps, count);
                    }
                }
                Err(refused) => {
                    self.blocks.push_front(refused.block);
                    return;
                }
            }
        }
    }
}

/// First and last slot of each pair of this origin that has batches in a segment.
fn lost_slots(
    shared: &Shared,
    number: SegmentNumber,
) -> io::Result<BTreeMap<Lost, (SlotMs, SlotMs)>> {
    let mut lost: BTreeMap<Lost, (SlotMs, SlotMs)> = BTreeMap::new();
    let mut position = start_of(number);
    while position.segment == number {
        let chunk = read_chunk(shared, position)?;
        let of_segment = chunk
            .blocks
            .iter()
            .filter(|block| block.position().segment == number);
        for block in of_segment.filter(|block| block.header().stream.origin == shared.origin) {
            let entries = block.entries().iter().map(|view| view.head);
            for head in entries.filter(|head| head.kind == EntryKind::Batch) {
                let of = Lost {
                    resource: head.resource,
                    plugin: head.plugin,
                    interval_ms: head.interval_ms,
                    epoch: head.epoch,
                };
                let (first, last) = lost.entry(of).or_insert((head.slot, head.slot));
                *first = (*first).min(head.slot);
                *last = (*last).max(head.slot);
            }
        }
        if chunk.next <= position {
            break;
        }
        position = chunk.next;
    }
    Ok(lost)
}
