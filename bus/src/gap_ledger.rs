//! The ledger of gaps: which slots of which pair have no batch, and why, for `/v1/gaps`.
//!
//! Does: merge neighbours, heal what a late batch fills, settle what was pending by a later gap or
//! a release, list by any condition. Does not: decide what is a gap (`actors`), tell tiling.
//! In: durable entries in log order, of whose streams older ones may come yet; at a start what was
//! healed before. Out: [`GapRow`]s. Full: beyond its number of ranges the range
//! that was noted first leaves (the log still holds it), counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ocelli_model::gap::{Gap, GapKind};
use ocelli_model::resource::ResourceId;
use ocelli_model::slot::SlotMs;
use parking_lot::RwLock;

use crate::decoder::Record;
use crate::filled_slots::{FilledPair, FilledSlots};
use crate::payload::Payload;
use crate::record::{OriginId, Seq};
use crate::wire::{Cursor, WireError};

/// Whose gaps.
type Pair = (Option<ResourceId>, Option<Arc<str>>);

/// A range of slots without batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRow {
    /// The resource; `None` for a statement of the node.
    pub resource: Option<ResourceId>,
    /// The plugin.
    pub plugin: Option<Arc<str>>,
    /// The slots and the cause; of a pending range what it becomes if nothing ever comes.
    pub gap: Gap,
    /// Whether the slots' owner died and its disk may still hold them: a late batch, a gap or a
    /// release ends it.
    pub is_pending: bool,
    /// Who said so.
    pub origin: OriginId,
    /// In which entry first.
    pub seq: Seq,
}

#[derive(Debug)]
struct Inner {
    /// Of a pair by first slot.
    pairs: BTreeMap<Pair, BTreeMap<SlotMs, GapRow>>,
    /// In the order they were noted; some may be gone.
    order: VecDeque<(Pair, SlotMs)>,
    ranges: usize,
    dropped: u64,
    /// Slots with batches that gaps which are read yet may name.
    filled: FilledSlots,
}

/// Gaps that are known.
#[derive(Debug)]
pub struct GapLedger {
    inner: RwLock<Inner>,
    ranges_max: usize,
}

impl GapLedger {
    pub(crate) fn new(ranges_max: usize) -> Self {
        Self {
            inner: RwLock::new(Inner::new(ranges_max)),
            ranges_max,
        }
    }

    /// The ranges that `wants` picks, by resource, plugin, first slot; at most `limit`.
    #[must_use]
    pub fn list(&self, limit: usize, wants: impl Fn(&GapRow) -> bool) -> Vec<GapRow> {
        let inner = self.inner.read();
        let rows = inner.pairs.values().flat_map(BTreeMap::values);
        rows.filter(|row| wants(row)).take(limit).cloned().collect()
    }

    /// How many ranges are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().ranges
    }

    /// Whether no gap is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many ranges have left at the limit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.read().dropped
    }

    /// Takes a statement on slots in: a gap, a pending range, a release.
    pub(crate) fn note(&self, record: &Record) {
        let resource = record
            .resource
            .as_ref()
            .map(|resource| resource.id().clone());
        let (gap, is_pending) = match &record.payload {
            Payload::Gap(gap) => (gap.clone(), false),
            Payload::Pending(pending) => {
                let of_slot = Gap::of_slot(
                    pending.first,
                    record.interval_ms,
                    record.epoch,
                    GapKind::LostNode.into(),
                );
                let last = pending.last;
                (Gap { last, ..of_slot }, true)
            }
            Payload::Released => {
                let (plugin, from) = (record.plugin.clone(), record.slot);
                return self.inner.write().release(resource, plugin, from);
            }
            _ => return,
        };
        let row = GapRow {
            resource,
            plugin: record.plugin.clone(),
            gap,
            is_pending,
            origin: record.stream.origin,
            seq: record.seq,
        };
        self.inner.write().note(row, self.ranges_max);
    }

    /// Takes out the slot that a batch fills. `is_ahead`: older records of its stream may come yet,
    /// and a gap among them says nothing of this slot.
    pub(crate) fn heal(&self, pair: FilledPair, slot: (SlotMs, u32), is_ahead: bool) {
        let known = (Some(pair.0.clone()), Some(Arc::clone(&pair.1)));
        let is_gap = |inner: &Inner| inner.covering(&known, slot.0).is_some();
        if is_ahead || is_gap(&self.inner.read()) {
            self.inner.write().heal(&pair, slot);
        }
    }

    /// Takes out all slots of a window that a batch stands for; `is_ahead` as for one slot.
    pub(crate) fn heal_window(
        &self,
        pair: &FilledPair,
        (first, length_ms): (SlotMs, u32),
        is_ahead: bool,
    ) {
        let length = i64::from(length_ms.max(1));
        let last = SlotMs(first.0.saturating_add(length - 1));
        let known = (Some(pair.0.clone()), Some(Arc::clone(&pair.1)));
        let mut inner = self.inner.write();
        if is_ahead || inner.pairs.contains_key(&known) {
            inner.cut(&known, (first, last), |_| true);
            inner.filled.insert_window(pair, (first, last), length_ms);
        }
    }

    /// The slots that are healed, for a checkpoint; nothing if there are none.
    pub(crate) fn filled(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let inner = self.inner.read();
        if !inner.filled.is_empty() {
            inner.filled.encode(&mut bytes);
        }
        bytes
    }

    /// Takes in what was healed before a start.
    pub(crate) fn restore_filled(&self, bytes: &[u8]) -> Result<(), WireError> {
        let mut cursor = Cursor::new(bytes);
        self.inner.write().filled.decode(&mut cursor)?;
        cursor.finish("the end of the filled slots")
    }
}

impl Inner {
    fn new(ranges_max: usize) -> Self {
        Self {
            pairs: BTreeMap::new(),
            order: VecDeque::new(),
            ranges: 0,
            dropped: 0,
            filled: FilledSlots::new(ranges_max),
        }
    }

    fn covering(&self, pair: &Pair, slot: SlotMs) -> Option<&GapRow> {
        let (_, row) = self.pairs.get(pair)?.range(..=slot).next_back()?;
        (row.gap.last >= slot).then_some(row)
    }

    fn note(&mut self, row: GapRow, ranges_max: usize) {
        let slots = (row.gap.first, row.gap.last);
        let pair = (row.resource.clone(), row.plugin.clone());
        if !row.is_pending {
            self.cut(&pair, (row.gap.first, row.gap.last), |known| {
                known.is_pending
            });
        } else if self.covering(&pair, row.gap.first).is_some() {
            // What is known of these slots is more than that they are pending.
            return;
        }
        let rows = self.pairs.entry(pair.clone()).or_default();
        let before = rows.range_mut(..row.gap.first).next_back();
        let is_merged = before.is_some_and(|(_, before)| {
            before.is_pending == row.is_pending && before.gap.try_merge(&row.gap)
        });
        if is_merged {
            return self.leave_out_filled(&pair, slots);
        }
        let first = row.gap.first;
        if rows.insert(first, row).is_none() {
            self.ranges += 1;
            self.order.push_back((pair.clone(), first));
        }
        self.leave_out_filled(&pair, slots);
        while self.ranges > ranges_max {
            let Some((pair, first)) = self.order.pop_front() else {
                break;
            };
            self.dropped += u64::from(self.remove(&pair, first).is_some());
        }
        // Healed ranges leave their names behind: rebuild the order before they outnumber the rest.
        if self.order.len() > 2 * ranges_max {
            let pairs = &self.pairs;
            self.order.retain(|(pair, first)| {
                pairs.get(pair).is_some_and(|rows| rows.contains_key(first))
            });
        }
    }

    fn remove(&mut self, pair: &Pair, first: SlotMs) -> Option<GapRow> {
        let rows = self.pairs.get_mut(pair)?;
        let row = rows.remove(&first)?;
        if rows.is_empty() {
            self.pairs.remove(pair);
        }
        self.ranges -= 1;
        Some(row)
    }

    fn heal(&mut self, (resource, plugin): &FilledPair, (slot, interval_ms): (SlotMs, u32)) {
        let pair = (resource.clone(), Arc::clone(plugin));
        self.filled.insert(&pair, slot, interval_ms);
        let pair = (Some(pair.0), Some(pair.1));
        self.cut(&pair, (slot, slot), |_| true);
    }

    /// A batch says more of a slot than a gap, whichever was read first.
    fn leave_out_filled(&mut self, pair: &Pair, slots: (SlotMs, SlotMs)) {
        let (Some(resource), Some(plugin)) = pair else {
            return;
        };
        let of_pair = (resource.clone(), Arc::clone(plugin));
        for (first, last) in self.filled.within(&of_pair, slots) {
            let within = (first.max(slots.0), last.min(slots.1));
            self.cut(pair, within, |_| true);
        }
    }

    /// The owner polls nothing from `from` on: what was pending there was never its to poll.
    /// Without a plugin it says so for all pairs of the resource.
    fn release(&mut self, resource: Option<ResourceId>, plugin: Option<Arc<str>>, from: SlotMs) {
        let is_of = |pair: &&Pair| {
            pair.0 == resource && (plugin.is_none() || pair.1 == plugin) && pair.0.is_some()
        };
        let pairs: Vec<Pair> = self.pairs.keys().filter(is_of).cloned().collect();
        for pair in pairs {
            self.cut(&pair, (from, SlotMs(i64::MAX)), |known| known.is_pending);
        }
    }

    /// Takes the slots from `first` to `last` out of the rows that `is_cut` picks; what stands
    /// before and behind them stays.
    fn cut(&mut self, pair: &Pair, (first, last): (SlotMs, SlotMs), is_cut: fn(&GapRow) -> bool) {
        let Some(rows) = self.pairs.get(pair) else {
            return;
        };
        let overlaps = |row: &&GapRow| row.gap.last >= first && is_cut(row);
        let found = rows.range(..=last).map(|(_, row)| row).filter(overlaps);
        let firsts: Vec<SlotMs> = found.map(|row| row.gap.first).collect();
        for start in firsts {
            if let Some(row) = self.remove(pair, start) {
                self.keep_rest(pair, &row, (first, last));
            }
        }
    }

    fn keep_rest(&mut self, pair: &Pair, row: &GapRow, (first, last): (SlotMs, SlotMs)) {
        let step = i64::from(row.gap.interval_ms.max(1));
        let begin = row.gap.first.0;
        // Steps from the row's begin, so that both edges lie on its grid.
        let before = begin + (first.0 - 1 - begin).div_euclid(step) * step;
        let steps = (last.0.saturating_sub(begin)).div_euclid(step) + 1;
        let behind = begin.saturating_add(steps.saturating_mul(step));
        let parts = [
            (row.gap.first, SlotMs(before)),
            (SlotMs(behind.max(begin)), row.gap.last),
        ];
        for (first, last) in parts.into_iter().filter(|(first, last)| first <= last) {
            let gap = Gap {
                first,
                last,
                ..row.gap.clone()
            };
            let part = GapRow { gap, ..row.clone() };
            self.pairs
                .entry(pair.clone())
                .or_default()
                .insert(first, part);
            self.order.push_back((pair.clone(), first));
            self.ranges += 1;
        }
    }
}

#[cfg(test)]
#[path = "gap_ledger_tests.rs"]
mod tests;
