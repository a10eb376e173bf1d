//! The ledger of events: what happened on the nodes whose streams are held, for `/v1/events`.
//!
//! Does: keep the newest, list them by time. Does not: decide what is an event (`model`).
//! In: durable entries in log order. Out: [`EventRow`]s. Full: beyond its number of events, or
//! beyond [`EVENT_LEDGER_BYTES_MAX`], the oldest leaves (the log still holds it), counted.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use ocelli_model::clock::WallMs;
use ocelli_model::event::EventFacts;
use ocelli_model::resource::Resource;
use parking_lot::RwLock;

use crate::decoder::Record;
use crate::payload::Payload;
use crate::record::{OriginId, Seq};

/// Memory of all texts that the ledger holds, bytes: ten thousand long events.
pub const EVENT_LEDGER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What an event takes beside its texts, about.
const ROW_BYTES: usize = 256;

/// Names an event and orders events by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// When it happened.
    pub time: WallMs,
    /// Who told it.
    pub origin: OriginId,
    /// Its entry.
    pub seq: Seq,
}

/// An event that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// When, whose, which.
    pub key: EventKey,
    /// The resource; `None` for an event of a node.
    pub resource: Option<Arc<Resource>>,
    /// The plugin, if one has a part in it.
    pub plugin: Option<Arc<str>>,
    /// What happened.
    pub facts: EventFacts,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<EventKey, EventRow>,
    bytes: usize,
    dropped: u64,
}

/// The newest events.
#[derive(Debug)]
pub struct EventLedger {
    inner: RwLock<Inner>,
    events_max: usize,
}

impl EventLedger {
    pub(crate) fn new(events_max: usize) -> Self {
        Self {
            inner: RwLock::default(),
            events_max,
        }
    }

    /// The events behind `after` that `wants` picks, oldest first; at most `limit`.
    #[must_use]
    pub fn list(
        &self,
        limit: usize,
        after: Option<EventKey>,
        mut wants: impl FnMut(&EventRow) -> bool,
    ) -> Vec<EventRow> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let inner = self.inner.read();
        let rows = inner.rows.range((begin, Bound::Unbounded));
        let rows = rows.map(|(_, row)| row).filter(|row| wants(row));
        rows.take(limit).cloned().collect()
    }

    /// How many events are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().rows.len()
    }

    /// Whether no event is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events have left at the limit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.read().dropped
    }

    /// Takes an event in; other records say nothing here.
    pub(crate) fn note(&self, record: &Record) {
        let Payload::Event(facts) = &record.payload else {
            return;
        };
        let key = EventKey {
            time: record.time,
            origin: record.stream.origin,
            seq: record.seq,
        };
        let row = EventRow {
            key,
            resource: record.resource.clone(),
            plugin: record.plugin.clone(),
            facts: facts.clone(),
        };
        self.inner.write().note(row, self.events_max);
    }
}

impl Inner {
    fn note(&mut self, row: EventRow, events_max: usize) {
        self.bytes += bytes_of(&row);
        if let Some(known) = self.rows.insert(row.key, row) {
            self.bytes -= bytes_of(&known);
        }
        while self.rows.len() > events_max || self.bytes > EVENT_LEDGER_BYTES_MAX {
            let Some((_, oldest)) = self.rows.pop_first() else {
                break;
            };
            self.bytes -= bytes_of(&oldest);
            self.dropped += 1;
        }
    }
}

fn bytes_of(row: &EventRow) -> usize {
    let facts = &row.facts;
    let fields = facts.fields.iter();
    let fields: usize = fields.map(|(name, value)| name.len() + value.len()).sum();
    ROW_BYTES + facts.kind.len() + facts.text.len() + fields
}

#[cfg(test)]
mod tests {
    use ocelli_model::event::Severity;

    use super::*;

    fn row(time: i64, seq: u64, text_bytes: usize) -> EventRow {
        EventRow {
            key: EventKey {
                time: WallMs(time),
                origin: OriginId(1),
                seq: Seq(seq),
            },
            resource: None,
            plugin: None,
            facts: EventFacts {
                kind: "clock_stepped".to_owned(),
                severity: Severity::Warning,
                text: "x".repeat(text_bytes),
                fields: Vec::new(),
            },
        }
    }

    #[test]
    fn the_newest_events_stay_in_the_order_of_their_times() {
        let ledger = EventLedger::new(3);
        for (time, seq) in [(50, 1), (10, 2), (40, 3), (30, 4), (30, 4)] {
            ledger.inner.write().note(row(time, seq, 10), 3);
        }
        let times: Vec<i64> = ledger
            .list(10, None, |_| true)
            .iter()
            .map(|row| row.key.time.0)
            .collect();
        assert_eq!(times, [30, 40, 50]);
        assert_eq!((ledger.len(), ledger.dropped()), (3, 1));
        let first = ledger.list(1, None, |_| true)[0].key;
        let next = ledger.list(1, Some(first), |_| true)[0].key.time;
        assert_eq!(next, WallMs(40));
    }

    #[test]
    fn long_events_leave_when_their_bytes_are_too_many() {
        let mut inner = Inner::default();
        for seq in 0..40 {
            inner.note(row(1, seq, 1_000_000), 1_000);
        }
        assert!(inner.bytes <= EVENT_LEDGER_BYTES_MAX && inner.rows.len() == 16);
        let counted: usize = inner.rows.values().map(bytes_of).sum();
        assert_eq!(inner.bytes, counted);
    }
}
