//! The `records` format: one JSON object a line, with seqs, epochs and the verdict of each rate.
//!
//! Does: write batches, gaps, pending ranges, events, cursors and lags. Does not: Panoptes' groups
//! (`model::panoptes`). In: [`Record`]s. Out: lines, appended to a buffer. Field names are stable:
//! additions only (design §15).
//! Cost: a sample is a few copies and one number; no JSON tree is built.

use std::io::Write;

use ocelli_model::batch::Batch;
use ocelli_model::panoptes::Projection;
use ocelli_model::window::facts_of;
use serde::Serialize;

use super::cursor::Cursor;
use super::subscription::Item;
use crate::decoder::Record;
use crate::payload::Payload;
use crate::record::StreamId;
use crate::{LogPosition, SeqRange};

/// Writes records of a projection.
#[derive(Debug, Clone, Default)]
pub struct RecordRenderer {
    projection: Projection,
}

impl RecordRenderer {
    /// A renderer of the groups and metrics in `projection`.
    #[must_use]
    pub fn new(projection: Projection) -> Self {
        Self { projection }
    }

    /// Appends an item of a subscription as a line.
    pub fn render_item(&self, item: &Item, into: &mut Vec<u8>) {
        match item {
            Item::Record(record) => self.render(record, into),
            Item::Lag { skipped } => render_lag(*skipped, into),
            Item::Missing { stream, range } => render_missing(*stream, *range, into),
            Item::Removed {
                stream,
                range,
                seqs,
            } => render_removed((*stream, *range), *seqs, into),
            Item::Trimmed { from, to } => render_trimmed(*from, *to, into),
        }
    }

    /// Appends a record as a line. Kinds that have no line of their own are left out.
    pub fn render(&self, record: &Record, into: &mut Vec<u8>) {
        let start = into.len();
        match &record.payload {
            Payload::Batch(batch) => {
                begin("batch", record, into);
                member(into, "time_ms", &record.time.0);
                if let Some(partial) = &batch.partial {
                    member(into, "partial_cause", &partial.cause);
                    member(into, "reached", &partial.reached);
                }
                self.put_groups(batch, into);
            }
            Payload::Gap(gap) => {
                begin("gap", record, into);
                member(into, "last_slot_ms", &gap.last.0);
                member(into, "slots", &gap.slots());
                member(into, "cause", &gap.cause);
            }
            Payload::Pending(pending) => {
                begin("pending", record, into);
                member(into, "last_slot_ms", &pending.last.0);
            }
            Payload::Released => begin("released", record, into),
            Payload::Event(event) => {
                begin("event", record, into);
                member(into, "time_ms", &record.time.0);
                member(into, "kind", &event.kind);
                member(into, "severity", event.severity.as_str());
                member(into, "text", &event.text);
                let fields = event
                    .fields
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()));
                let fields: std::collections::BTreeMap<String, String> = fields.collect();
                member(into, "fields", &fields);
            }
            _ => return into.truncate(start),
        }
        into.extend_from_slice(b"}\n");
    }

    fn put_groups(&self, batch: &Batch, into: &mut Vec<u8>) {
        into.extend_from_slice(b",\"groups\":[");
        let empty = into.len();
        for (index, (schema, values)) in batch.schema.groups.iter().zip(&batch.groups).enumerate() {
            if values.is_empty() || !self.projection.has_group(&schema.name) {
                continue;
            }
            into.extend_from_slice(if into.len() == empty { b"{" } else { b",{" });
            into.extend_from_slice(b"\"name\":");
            put_json(into, &schema.name);
            member(into, "interval_ms", &schema.interval_ms);
            into.extend_from_slice(b",\"rows\":[");
            for row in 0..values.len() {
                into.extend_from_slice(if row == 0 { b"{" } else { b",{" });
                self.put_row((batch, index), row, into);
                into.push(b'}');
            }
            into.extend_from_slice(b"]}");
        }
        into.push(b']');
    }

    fn put_row(&self, (batch, group): (&Batch, usize), row: usize, into: &mut Vec<u8>) {
        let (schema, values) = (&batch.schema.groups[group], &batch.groups[group]);
        into.extend_from_slice(b"\"time_ms\":");
        put_json(into, &values.time[row].0);
        member(into, "dt_ms", &values.dt_ms[row]);
        into.extend_from_slice(b",\"dimensions\":{");
        let mut list = List::default();
        for (name, value) in batch.dimensions_of(group, row) {
            list.name(into, name);
            put_json(into, value);
        }
        into.extend_from_slice(b"},\"counters\":{");
        let mut list = List::default();
        for (index, (metric, column)) in schema.counters.iter().zip(&values.counters).enumerate() {
            if !column.presence.is_present(row) || !self.projection.has_metric(&metric.name) {
                continue;
            }
            list.name(into, &metric.name);
            into.extend_from_slice(b"{\"value\":");
            put_json(into, &column.values[row]);
            member(into, "verdict", column.verdicts[row].as_str());
            if let Some(rate) = values.rate(index, row) {
                member(into, "delta", &column.deltas[row]);
                member(into, "dt_ms", &values.dt_of(index, row));
                member(into, "rate", &rate);
            }
            into.push(b'}');
        }
        into.extend_from_slice(b"},\"gauges\":{");
        let mut list = List::default();
        for (metric, column) in schema.gauges.iter().zip(&values.gauges) {
            if !self.projection.has_metric(&metric.name) {
                continue;
            }
            if let Some(value) = column.get(row) {
                list.name(into, &metric.name);
                put_number(into, value);
            }
        }
        into.push(b'}');
    }
}

/// Appends the cursor as a line.
pub fn render_cursor(cursor: &Cursor, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"type\":\"cursor\",\"cursor\":");
    put_json(into, &cursor.to_string());
    into.extend_from_slice(b"}\n");
}

/// Appends a line that says how many batches were passed over for newer ones.
fn render_lag(skipped: u64, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"type\":\"lag\"");
    member(into, "skipped", &skipped);
    into.extend_from_slice(b"}\n");
}

/// Appends a line that says that retention was faster than the reader.
fn render_trimmed(from: LogPosition, to: LogPosition, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"type\":\"gap\",\"cause\":\"retention\"");
    member(into, "from", &from.to_string());
    member(into, "to", &to.to_string());
    into.extend_from_slice(b"}\n");
}

/// Appends a line that says what retention took of a stream before a cursor came back for it.
fn render_removed((stream, range): (StreamId, SeqRange), seqs: u64, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"type\":\"gap\",\"cause\":\"retention\"");
    member(into, "origin", &stream.origin);
    member(into, "first_seq", &range.first.0);
    member(into, "last_seq", &range.last.0);
    member(into, "seqs", &seqs);
    into.extend_from_slice(b"}\n");
}

/// Appends a line that says which seqs of a stream `order=seq` waited for in vain.
fn render_missing(stream: StreamId, range: SeqRange, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"type\":\"lag\"");
    member(into, "origin", &stream.origin);
    member(into, "missing_first_seq", &range.first.0);
    member(into, "missing_last_seq", &range.last.0);
    into.extend_from_slice(b"}\n");
}

/// What all lines of entries have.
fn begin(kind: &str, record: &Record, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"type\":");
    put_json(into, kind);
    member(into, "origin", &record.stream.origin);
    if record.is_volatile {
        member(into, "volatile", &true);
    } else {
        member(into, "seq", &record.seq.0);
    }
    if let Some(resource) = &record.resource {
        member(into, "resource", resource.id().as_str());
    }
    if let Some(plugin) = &record.plugin {
        member(into, "plugin", plugin.as_ref());
    }
    if record.interval_ms > 0 {
        member(into, "slot_ms", &record.slot.0);
        member(into, "interval_ms", &record.interval_ms);
        member(into, "epoch", &record.epoch.to_string());
    }
    member(into, "backfill", &record.is_backfill);
    if record.is_fill {
        member(into, "fill", &true);
    }
    member(into, "partial", &record.is_partial);
    if let Payload::Batch(batch) = &record.payload
        && let Some(window) = facts_of(batch)
    {
        member(into, "rev", &window.rev);
    }
}

/// Members of an object of which any may be missing.
#[derive(Default)]
struct List {
    has_some: bool,
}

impl List {
    fn name(&mut self, into: &mut Vec<u8>, name: &str) {
        if self.has_some {
            into.push(b',');
        }
        self.has_some = true;
        put_json(into, name);
        into.push(b':');
    }
}

/// `,"name":value`.
fn member(into: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    into.extend_from_slice(b",\"");
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(b"\":");
    put_json(into, value);
}

/// Whole numbers without a fraction.
fn put_number(into: &mut Vec<u8>, value: f64) {
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        write!(into, "{value:.0}").expect("a Vec takes all bytes");
    } else {
        put_json(into, &value);
    }
}

fn put_json(into: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(into, value).expect("numbers and texts have a JSON form");
}
