//! The ledger of gaps: which slots of which pair have no batch, and why, for `/v1/gaps`.
//!
//! Does: merge neighbours, heal what a late batch fills, list by any condition.
//! Does not: decide what is a gap (`actors`), tell tiling (`model`).
//! In: durable entries in log order. Out: [`GapRow`]s. Full: beyond its number of ranges the range
//! that was noted first leaves (the log still holds it), counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ocelli_model::gap::Gap;
use ocelli_model::resource::ResourceId;
use ocelli_model::slot::SlotMs;
use parking_lot::RwLock;

use crate::decoder::Record;
use crate::payload::Payload;
use crate::record::{OriginId, Seq};

/// Whose gaps.
type Pair = (Option<ResourceId>, Option<Arc<str>>);

/// A range of slots without batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRow {
    /// The resource; `None` for a statement of the node.
    pub resource: Option<ResourceId>,
    /// The plugin.
    pub plugin: Option<Arc<str>>,
    /// The slots and the cause.
    pub gap: Gap,
    /// Who said so.
    pub origin: OriginId,
    /// In which entry first.
    pub seq: Seq,
}

#[derive(Debug, Default)]
struct Inner {
    /// Of a pair by first slot.
    pairs: BTreeMap<Pair, BTreeMap<SlotMs, GapRow>>,
    /// In the order they were noted; some may be gone.
    order: VecDeque<(Pair, SlotMs)>,
    ranges: usize,
    dropped: u64,
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
            inner: RwLock::default(),
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

    /// Takes a gap in.
    pub(crate) fn note(&self, record: &Record) {
        let Payload::Gap(gap) = &record.payload else {
            return;
        };
        let row = GapRow {
            resource: record
                .resource
                .as_ref()
                .map(|resource| resource.id().clone()),
            plugin: record.plugin.clone(),
            gap: gap.clone(),
            origin: record.stream.origin,
            seq: record.seq,
        };
        self.inner.write().note(row, self.ranges_max);
    }

    /// Takes out the slot that a batch fills.
    pub(crate) fn heal(&self, resource: &ResourceId, plugin: &Arc<str>, slot: SlotMs) {
        let pair = (Some(resource.clone()), Some(Arc::clone(plugin)));
        let is_gap = |inner: &Inner| inner.covering(&pair, slot).is_some();
        if is_gap(&self.inner.read()) {
            self.inner.write().heal(&pair, slot);
        }
    }
}

impl Inner {
    fn covering(&self, pair: &Pair, slot: SlotMs) -> Option<&GapRow> {
        let (_, row) = self.pairs.get(pair)?.range(..=slot).next_back()?;
        (row.gap.last >= slot).then_some(row)
    }

    fn note(&mut self, row: GapRow, ranges_max: usize) {
        let pair = (row.resource.clone(), row.plugin.clone());
        let rows = self.pairs.entry(pair.clone()).or_default();
        let before = rows.range_mut(..row.gap.first).next_back();
        if before.is_some_and(|(_, before)| before.gap.try_merge(&row.gap)) {
            return;
        }
        let first = row.gap.first;
        if rows.insert(first, row).is_none() {
            self.ranges += 1;
            self.order.push_back((pair, first));
        }
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

    fn heal(&mut self, pair: &Pair, slot: SlotMs) {
        let Some(first) = self.covering(pair, slot).map(|row| row.gap.first) else {
            return;
        };
        let Some(row) = self.remove(pair, first) else {
            return;
        };
        let step = i64::from(row.gap.interval_ms.max(1));
        let parts = [
            (row.gap.first, SlotMs(slot.0 - step)),
            (SlotMs(slot.0 + step), row.gap.last),
        ];
        for (first, last) in parts.into_iter().filter(|(first, last)| first <= last) {
            let part = GapRow {
                gap: Gap {
                    first,
                    last,
                    ..row.gap.clone()
                },
                ..row.clone()
            };
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
