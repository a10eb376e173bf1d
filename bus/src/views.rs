//! What is kept in memory of the log: definitions, last values, the ledgers of gaps and events.
//!
//! Does: feed each of them from durable blocks, in log order. Does not: hold state of its own.
//! In: each block right after its fsync, or as a start reads it. Out: answers for readers and HTTP.
//! Cost: a batch costs two look-ups of ids and a copy of its body; it is not decoded.

use std::sync::Arc;

use crate::block::{EntryFlags, EntryHead};
use crate::definitions::Definitions;
use crate::event_ledger::EventLedger;
use crate::filled_slots::FilledPair;
use crate::gap_ledger::GapLedger;
use crate::last_values::LastValues;
use crate::options::BusOptions;
use crate::record::{EntryKind, Lane};
use crate::statistics::Counters;
use crate::stored::{Entry, StoredBlock};
use crate::volatile::VolatileFeed;

/// All views.
#[derive(Debug)]
pub(crate) struct Views {
    pub(crate) definitions: Definitions,
    pub(crate) last_values: LastValues,
    pub(crate) gaps: GapLedger,
    pub(crate) events: EventLedger,
    /// Not of the log: what the disk had no room for.
    pub(crate) volatile: VolatileFeed,
}

impl Views {
    pub(crate) fn new(options: &BusOptions) -> Self {
        Self {
            definitions: Definitions::new(options.record_cache_bytes_max),
            last_values: LastValues::new(options.last_values_bytes_max),
            gaps: GapLedger::new(options.gap_ranges_max),
            events: EventLedger::new(options.events_max),
            volatile: VolatileFeed::default(),
        }
    }

    /// Takes a durable block in. `is_ahead`: older records of its stream may come yet.
    pub(crate) fn apply(&self, block: &Arc<StoredBlock>, is_ahead: bool, counters: &Counters) {
        match block.header().stream.lane {
            Lane::Definitions => {
                let (_, unusable) = self.definitions.apply(block);
                Counters::add(&counters.unusable_definitions, unusable);
            }
            Lane::Data => {
                for index in 0..block.entries().len() {
                    self.apply_entry(block, (index, is_ahead), counters);
                }
            }
        }
    }

    /// Takes an entry of lane 0 in. One whose ids mean nothing is left to its readers, who say so;
    /// a fenced one says nothing, since another stands for its slot.
    pub(crate) fn apply_entry(
        &self,
        block: &Arc<StoredBlock>,
        (index, is_ahead): (usize, bool),
        counters: &Counters,
    ) {
        let Some(entry) = Entry::new(block, index) else {
            return;
        };
        let head = entry.head();
        if block.is_fenced() {
            return;
        }
        match head.kind {
            EntryKind::Batch | EntryKind::Session | EntryKind::Enrich => {
                let origin = entry.stream().origin;
                let Ok(resolved) = self.definitions.resolve_pair(origin, head) else {
                    return;
                };
                self.last_values
                    .apply_entry(block, index, &resolved, counters);
                let may_heal = head.kind == EntryKind::Batch && (is_ahead || !self.gaps.is_empty());
                let pair = resolved.resource.as_ref().zip(resolved.plugin.as_ref());
                if let Some((resource, plugin)) = pair.filter(|_| may_heal) {
                    let pair = (resource.id().clone(), Arc::clone(plugin));
                    self.heal(pair, head, is_ahead);
                }
            }
            EntryKind::Gap | EntryKind::Pending | EntryKind::Released | EntryKind::Event => {
                self.note_statement(&entry);
            }
            _ => {}
        }
    }

    /// A batch fills its slot; one of a window that lacks some fills none that is known.
    fn heal(&self, pair: FilledPair, head: &EntryHead, is_ahead: bool) {
        let slot = (head.slot, head.interval_ms);
        if !head.flags.has(EntryFlags::WINDOW) {
            self.gaps.heal(pair, slot, is_ahead);
        } else if !head.flags.has(EntryFlags::PARTIAL) {
            self.gaps.heal_window(&pair, slot, is_ahead);
        }
    }

    /// Takes a gap, another statement on slots, or an event in.
    pub(crate) fn note_statement(&self, entry: &Entry) {
        if let Ok(record) = self.definitions.record(entry) {
            self.gaps.note(&record);
            self.events.note(&record);
        }
    }
}
