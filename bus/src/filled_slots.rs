//! Slots that batches filled, where a gap that says otherwise may still be read: now or at a start.
//!
//! Does: keep runs of slots by pair, write and read them for the checkpoint. Does not: know gaps.
//! In: slots of batches that healed a gap, and of those that came before older records of their
//! stream. Out: runs, for the ledger of gaps to leave out of every gap that it notes.
//! Full: beyond its number of runs the one noted first leaves: the gap that it filled shows
//! again if it is read again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ocelli_model::resource::ResourceId;
use ocelli_model::slot::SlotMs;

use crate::wire::{Cursor, WireError, put_text, put_varint, put_zigzag};

/// Longest name in a checkpoint, bytes.
const NAME_BYTES_MAX: usize = 4_096;

/// Whose slots.
pub(crate) type FilledPair = (ResourceId, Arc<str>);

/// Slots in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    last: SlotMs,
    interval_ms: u32,
}

/// Runs of filled slots.
#[derive(Debug)]
pub(crate) struct FilledSlots {
    pairs: BTreeMap<FilledPair, BTreeMap<SlotMs, Run>>,
    /// In the order in which they began; some may be gone.
    order: VecDeque<(FilledPair, SlotMs)>,
    runs: usize,
    runs_max: usize,
}

impl FilledSlots {
    pub(crate) fn new(runs_max: usize) -> Self {
        Self {
            pairs: BTreeMap::new(),
            order: VecDeque::new(),
            runs: 0,
            runs_max,
        }
    }

    /// Notes that a slot is filled.
    pub(crate) fn insert(&mut self, pair: &FilledPair, slot: SlotMs, interval_ms: u32) {
        let run = (
            slot,
            Run {
                last: slot,
                interval_ms,
            },
        );
        self.insert_run(pair, run);
    }

    /// Notes that all slots of a window are filled.
    pub(crate) fn insert_window(
        &mut self,
        pair: &FilledPair,
        (first, last): (SlotMs, SlotMs),
        interval_ms: u32,
    ) {
        self.insert_run(pair, (first, Run { last, interval_ms }));
    }

    /// The runs of a pair that touch the slots from `first` to `last`.
    pub(crate) fn within(
        &self,
        pair: &FilledPair,
        (first, last): (SlotMs, SlotMs),
    ) -> Vec<(SlotMs, SlotMs)> {
        let Some(runs) = self.pairs.get(pair) else {
            return Vec::new();
        };
        let before = runs.range(..first).next_back();
        let behind = runs.range(first..=last);
        let all = before.into_iter().chain(behind);
        all.map(|(begin, run)| (*begin, run.last))
            .filter(|(_, end)| *end >= first)
            .collect()
    }

    fn insert_run(&mut self, pair: &FilledPair, (mut first, mut run): (SlotMs, Run)) {
        let runs = self.pairs.entry(pair.clone()).or_default();
        let step = i64::from(run.interval_ms.max(1));
        if let Some((begin, before)) = runs.range(..=first).next_back() {
            if before.last >= run.last {
                return;
            }
            if before.interval_ms == run.interval_ms && before.last.0 + step >= first.0 {
                first = *begin;
            }
        }
        let next = runs.get(&SlotMs(run.last.0 + step));
        if let Some(next) = next.filter(|next| next.interval_ms == run.interval_ms) {
            let next = *next;
            runs.remove(&SlotMs(run.last.0 + step));
            self.runs -= 1;
            run.last = next.last;
        }
        if runs.insert(first, run).is_none() {
            self.runs += 1;
            self.order.push_back((pair.clone(), first));
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.runs > self.runs_max
            && let Some((pair, first)) = self.order.pop_front()
        {
            let Some(runs) = self.pairs.get_mut(&pair) else {
                continue;
            };
            self.runs -= usize::from(runs.remove(&first).is_some());
            if runs.is_empty() {
                self.pairs.remove(&pair);
            }
        }
        // Runs that grew together leave their names behind.
        if self.order.len() > 2 * self.runs_max {
            let pairs = &self.pairs;
            self.order.retain(|(pair, first)| {
                pairs.get(pair).is_some_and(|runs| runs.contains_key(first))
            });
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs == 0
    }

    /// Appends all runs to a checkpoint.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        put_varint(into, self.pairs.len() as u64);
        for ((resource, plugin), runs) in &self.pairs {
            put_text(into, resource.as_str());
            put_text(into, plugin);
            put_varint(into, runs.len() as u64);
            for (first, run) in runs {
                put_zigzag(into, first.0);
                put_varint(into, run.last.0.saturating_sub(first.0).cast_unsigned());
                put_varint(into, u64::from(run.interval_ms));
            }
        }
    }

    /// Takes in the runs of a checkpoint.
    pub(crate) fn decode(&mut self, cursor: &mut Cursor<'_>) -> Result<(), WireError> {
        for _ in 0..cursor.varint_usize(self.runs_max, "pairs")? {
            let resource = cursor.text(NAME_BYTES_MAX, "a resource")?.parse();
            let resource = resource.map_err(|_| cursor.error("a resource"))?;
            let pair = (resource, cursor.text(NAME_BYTES_MAX, "a plugin")?.into());
            for _ in 0..cursor.varint_usize(self.runs_max, "runs")? {
                let first = SlotMs(cursor.zigzag("a slot")?);
                let last = first.0.saturating_add_unsigned(cursor.varint("a slot")?);
                let interval_ms = cursor.varint_u32("an interval")?;
                let last = SlotMs(last);
                self.insert_run(&pair, (first, Run { last, interval_ms }));
            }
        }
        Ok(())
    }
}
