//! The lines of one subscriber, in its format.
//!
//! Does: render items once for all who select and format alike, write cursors when they are due.
//! Does not: send (the shells over HTTP and QUIC do), pick (`subscription`).
//! In: items. Out: whole lines behind [`Bytes`].

use std::sync::Arc;

use bytes::Bytes;
use ocelli_model::clock::Monotonic;
use ocelli_model::influx::InfluxRenderer;
use ocelli_model::panoptes::{GroupRenderer, PollingStatus, StatusGroup, render_status};

use super::cursor_pace::CursorPace;
use super::line_format::LineFormat;
use super::records::{RecordRenderer, render_cursor};
use super::shared_selection::SharedSelection;
use super::source::RecordSource;
use super::subscription::{Item, Subscription};
use crate::decoder::Record;
use crate::payload::Payload;

/// Longest cursor that is an SSE id.
const EVENT_ID_BYTES_MAX: usize = 8 * 1024;
/// Panoptes' group and metric of a poll's outcome.
const STATUS_GROUP: &str = "status";
const STATUS_METRIC: &str = "polling_status";

/// Writes items in one format.
pub struct LineWriter {
    format: LineFormat,
    with_cursors: bool,
    /// Panoptes' `status` group was asked for by name.
    has_status: bool,
    source: Arc<RecordSource>,
    selection: Arc<SharedSelection>,
    groups: GroupRenderer,
    records: RecordRenderer,
    influx: InfluxRenderer,
    cursor: CursorPace,
}

impl LineWriter {
    /// A writer for one subscriber; cursors come only if it wants them.
    #[must_use]
    pub fn new(
        (format, with_cursors): (LineFormat, bool),
        source: &Arc<RecordSource>,
        selection: &Arc<SharedSelection>,
    ) -> Self {
        let projection = selection.projection().clone();
        Self {
            format,
            with_cursors,
            has_status: projection.groups.iter().any(|group| group == STATUS_GROUP),
            source: Arc::clone(source),
            selection: Arc::clone(selection),
            groups: GroupRenderer::new(projection.clone()),
            records: RecordRenderer::new(projection.clone()),
            influx: InfluxRenderer::new(projection),
            cursor: CursorPace::default(),
        }
    }

    /// The form of its lines.
    #[must_use]
    pub fn format(&self) -> LineFormat {
        self.format
    }

    /// An item as lines; those of records are rendered once for all who select and format alike.
    pub fn write(&mut self, item: &Item) -> Bytes {
        self.cursor.note_item();
        match item {
            Item::Record(record) => {
                let selection = Arc::clone(&self.selection);
                selection.line(self.format, record, |into| self.write_record(record, into))
            }
            item => {
                let mut line = Vec::new();
                self.put_line(&mut line, |line| self.records.render_item(item, line));
                Bytes::from(line)
            }
        }
    }

    fn write_record(&mut self, record: &Record, into: &mut Vec<u8>) {
        match self.format {
            LineFormat::Ndjson => self.write_groups(record, into),
            LineFormat::Influx if is_batch(record) => self.write_influx(record, into),
            _ => self.put_line(into, |line| self.records.render(record, line)),
        }
    }

    /// A line of `records` as the format has it; nothing if there is none.
    fn put_line(&self, into: &mut Vec<u8>, render: impl FnOnce(&mut Vec<u8>)) {
        let (before, after): (&[u8], &[u8]) = match self.format {
            LineFormat::Sse => (b"data: ", b"\n"),
            // Line protocol has comments; everything but data is one.
            LineFormat::Influx => (b"# ", b""),
            LineFormat::Ndjson | LineFormat::Records => (b"", b""),
        };
        let start = into.len();
        into.extend_from_slice(before);
        render(into);
        if into.len() == start + before.len() {
            return into.truncate(start);
        }
        into.extend_from_slice(after);
    }

    fn write_influx(&self, record: &Record, into: &mut Vec<u8>) {
        if let (Payload::Batch(batch), Some(resource)) = (&record.payload, &record.resource) {
            if record.is_volatile {
                into.extend_from_slice(b"# volatile\n");
            }
            self.influx.render(batch, resource, into);
        }
    }

    /// Panoptes' groups of a batch; of anything else its `records` line.
    fn write_groups(&mut self, record: &Record, into: &mut Vec<u8>) {
        let Some(resource) = &record.resource else {
            return self.records.render(record, into);
        };
        let json = self.source.resource_json(resource);
        let status = match &record.payload {
            Payload::Batch(batch) => {
                let start = into.len();
                self.groups.render(batch, &json, into);
                if record.is_volatile {
                    mark_volatile(into, start);
                }
                Some(PollingStatus::of_batch(batch))
            }
            Payload::Gap(gap) => {
                self.records.render(record, into);
                PollingStatus::of_gap(&gap.cause)
            }
            _ => {
                self.records.render(record, into);
                None
            }
        };
        if let Some(status) = status.filter(|_| self.has_status) {
            let (interval_ms, time) = (record.interval_ms, record.time);
            let group = StatusGroup {
                resource: &json,
                interval_ms,
                time,
                metric: STATUS_METRIC,
            };
            render_status(group, status, into);
            into.push(b'\n');
        }
    }

    /// A cursor line, or the id of an event: after each item while it is short, else each second.
    pub fn cursor(&mut self, of: &Subscription, now: Monotonic) -> Option<Bytes> {
        if !self.with_cursors || !of.has_cursor() || !self.cursor.is_due(now) {
            return None;
        }
        let cursor = of.cursor();
        let mut line = Vec::new();
        if self.format == LineFormat::Sse {
            let text = cursor.to_string();
            if text.len() <= EVENT_ID_BYTES_MAX {
                line.extend_from_slice(format!("id: {text}\n").as_bytes());
            }
        }
        self.put_line(&mut line, |line| render_cursor(&cursor, line));
        self.cursor.told(line.len(), now);
        Some(Bytes::from(line))
    }
}

fn is_batch(record: &Record) -> bool {
    matches!(record.payload, Payload::Batch(_))
}

/// Adds a member to each group that was written from `start` on: a full disk does not keep it.
fn mark_volatile(lines: &mut Vec<u8>, start: usize) {
    let groups = lines.split_off(start);
    for group in groups.split_inclusive(|byte| *byte == b'\n') {
        let open = group.strip_suffix(b"}\n").unwrap_or(group);
        lines.extend_from_slice(open);
        lines.extend_from_slice(b",\"volatile\":true}\n");
    }
}
