//! What retention took before its time, said slot by slot: `Gap(retention)` with both edges.
//!
//! Does: find which slots of which pairs a segment holds, write a gap for each, keep what cannot be
//! written yet. Does not: remove (`retire`).
//! In: a segment that the hard cap takes, whole or of some origins. Out: gap entries in the node's
//! own stream, other origins' pairs defined there anew.
//! Full: beyond [`OWED_MAX`] blocks that a full disk keeps from being written, all are given up,
//! with an error in the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use ocelli_model::clock::WallMs;
use ocelli_model::gap::{Gap, GapKind};
use ocelli_model::slot::{Epoch, SlotMs};

use crate::block::{BlockBuilder, EntryHead, PushError, SealedBlock};
use crate::dictionary::{DefineError, PairCache};
use crate::encoder::{AppendError as EncodeError, Encoder, Pair};
use crate::log::start_of;
use crate::payload::put_gap;
use crate::read_pool::read_chunk;
use crate::record::{DefinitionId, EntryKind, Lane, OriginId};
use crate::segment::SegmentNumber;
use crate::shared::Shared;
use crate::statistics::Counters;
use crate::stored::StoredBlock;
use crate::writer::queue::BusHandle;

/// Blocks of gaps that wait for space, at most: some hundred thousand pairs.
const OWED_MAX: usize = 64;
/// Pairs of other origins whose ids are remembered; beyond it they are defined again.
const CACHES_MAX: usize = 65_536;
/// Tries of one gap: a full block, missing ids, both once more.
const ATTEMPTS_MAX: usize = 4;

/// Whose slots, under which plan entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Lost {
    origin: OriginId,
    resource: DefinitionId,
    plugin: DefinitionId,
    interval_ms: u32,
    epoch: Epoch,
}

/// Gaps that have to be written.
pub(crate) struct OwedGaps {
    handle: BusHandle,
    /// Definitions before the gaps that rest on them.
    blocks: VecDeque<(Lane, SealedBlock)>,
    /// Names other origins' pairs in the own stream.
    encoder: Encoder,
    caches: BTreeMap<(OriginId, DefinitionId, DefinitionId), PairCache>,
}

impl OwedGaps {
    pub(crate) fn new(handle: BusHandle) -> Self {
        Self {
            handle,
            blocks: VecDeque::new(),
            encoder: Encoder::default(),
            caches: BTreeMap::new(),
        }
    }

    /// Notes what is lost with a segment, or with what `of` have there, before it is removed.
    pub(crate) fn note(
        &mut self,
        shared: &Shared,
        number: SegmentNumber,
        of: Option<&BTreeSet<OriginId>>,
    ) -> io::Result<()> {
        let lost = lost_slots(shared, number, of)?;
        let now = shared.clock.wall();
        let mut builder = BlockBuilder::new();
        for (lost, (first, last)) in &lost {
            let gap = Gap {
                first: *first,
                last: *last,
                interval_ms: lost.interval_ms,
                epoch: lost.epoch,
                cause: GapKind::Retention.into(),
            };
            if lost.origin != shared.origin {
                self.put_foreign(shared, lost, &gap, now);
                continue;
            }
            let head = lost.head(*first, now);
            if builder.push_with(&head, |body| put_gap(body, &gap)) == Err(PushError::Full) {
                let sealed = builder.seal();
                self.blocks.extend(sealed.map(|block| (Lane::Data, block)));
                // An empty block takes any gap.
                builder.push_with(&head, |body| put_gap(body, &gap)).ok();
            }
        }
        let sealed = builder.seal();
        self.blocks.extend(sealed.map(|block| (Lane::Data, block)));
        self.seal();
        self.give_up_surplus();
        Ok(())
    }

    /// A gap of another origin's pair, under ids of the own one.
    fn put_foreign(&mut self, shared: &Shared, lost: &Lost, gap: &Gap, now: WallMs) {
        let head = lost.head(gap.first, now);
        let definitions = &shared.views.definitions;
        let Ok(resolved) = definitions.resolve_pair(lost.origin, &head) else {
            tracing::warn!(origin = %lost.origin, "a lost pair has no definition, so no gap");
            return;
        };
        let Some(resource) = &resolved.resource else {
            return;
        };
        if self.caches.len() >= CACHES_MAX {
            self.caches.clear();
        }
        let key = (lost.origin, lost.resource, lost.plugin);
        for _ in 0..ATTEMPTS_MAX {
            let pair = Pair {
                resource,
                plugin: resolved.plugin.as_ref(),
            };
            let cache = self.caches.entry(key).or_default();
            match self.encoder.push_gap(cache, pair, gap, now) {
                Ok(()) => return,
                Err(EncodeError::Push(PushError::Full)) => self.seal(),
                Err(EncodeError::Define(DefineError::NeedIds { wanted, .. })) => {
                    let Ok(ids) = self.handle.reserve_ids(wanted) else {
                        break;
                    };
                    self.encoder.add_ids(ids);
                }
                Err(error) => {
                    tracing::error!(%error, "a gap of removed data cannot be written");
                    return;
                }
            }
        }
        tracing::error!("a gap of removed data cannot be written: no ids are left");
    }

    fn seal(&mut self) {
        let sealed = self.encoder.seal();
        let definitions = sealed.definitions.into_iter();
        self.blocks
            .extend(definitions.map(|block| (Lane::Definitions, block)));
        self.blocks
            .extend(sealed.data.map(|block| (Lane::Data, block)));
    }

    /// Beyond the limit all goes: a gap without its definitions would mean nothing.
    fn give_up_surplus(&mut self) {
        if self.blocks.len() > OWED_MAX {
            self.blocks.clear();
            self.caches.clear();
            self.encoder.forget_definitions();
            tracing::error!("gaps of removed data were given up: the disk was full for too long");
        }
    }

    /// Writes what is owed and waits until it is durable; what is refused stays owed.
    pub(crate) fn pay(&mut self, shared: &Shared) {
        while let Some((lane, block)) = self.blocks.pop_front() {
            let count = if lane == Lane::Data {
                u64::from(block.count())
            } else {
                0
            };
            match self.handle.try_submit(lane, block) {
                // Own definitions are never refused once they are taken, and stand before the gaps.
                Ok(_) if lane == Lane::Definitions => {}
                Ok(acknowledgement) => {
                    if let Err(error) = acknowledgement.wait_blocking() {
                        tracing::error!(%error, "gaps of removed data were not written");
                    } else {
                        Counters::add(&shared.counters.retention_gaps, count);
                    }
                }
                Err(refused) => {
                    self.blocks.push_front((lane, refused.block));
                    return;
                }
            }
        }
    }
}

impl Lost {
    fn head(&self, slot: SlotMs, now: WallMs) -> EntryHead {
        EntryHead {
            resource: self.resource,
            plugin: self.plugin,
            slot,
            interval_ms: self.interval_ms,
            epoch: self.epoch,
            ..EntryHead::bare(EntryKind::Gap, now)
        }
    }
}

/// First and last slot of each pair that has rightful batches in a segment, of all origins or some.
fn lost_slots(
    shared: &Shared,
    number: SegmentNumber,
    of: Option<&BTreeSet<OriginId>>,
) -> io::Result<BTreeMap<Lost, (SlotMs, SlotMs)>> {
    let mut lost: BTreeMap<Lost, (SlotMs, SlotMs)> = BTreeMap::new();
    let mut position = start_of(number);
    while position.segment == number {
        let chunk = read_chunk(shared, position)?;
        let counts = |block: &&Arc<StoredBlock>| {
            let origin = block.header().stream.origin;
            let is_of = of.is_none_or(|origins| origins.contains(&origin));
            block.position().segment == number && is_of && !block.is_fenced()
        };
        for block in chunk.blocks.iter().filter(counts) {
            let entries = block.entries().iter().map(|view| view.head);
            for head in entries.filter(|head| head.kind == EntryKind::Batch) {
                let pair = Lost {
                    origin: block.header().stream.origin,
                    resource: head.resource,
                    plugin: head.plugin,
                    interval_ms: head.interval_ms,
                    epoch: head.epoch,
                };
                let (first, last) = lost.entry(pair).or_insert((head.slot, head.slot));
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
