//! One object a sample: how `values`, `samples` and `poll` show what a batch holds.
//!
//! Does: go through a batch row by row, by selection, dimensions and time. Does not: read the bus.
//! In: a [`Source`]. Out: [`SampleView`]s, as JSON or CSV. Field names are stable: additions only.

use ocelli_bus::decoder::Record;
use ocelli_bus::payload::Payload;
use ocelli_model::batch::Batch;
use ocelli_model::clock::WallMs;
use ocelli_model::panoptes::Projection;
use ocelli_model::slot::SlotMs;
use serde_json::{Map, Value, json};

/// A batch and whose it is.
pub(crate) struct Source<'a> {
    /// Identity of the resource, where it is known.
    pub(crate) resource: Option<&'a str>,
    /// The plugin, where it is known.
    pub(crate) plugin: Option<&'a str>,
    /// The slot.
    pub(crate) slot: SlotMs,
    /// `None`: a record of another kind.
    pub(crate) batch: Option<&'a Batch>,
}

impl<'a> Source<'a> {
    /// A record of the bus.
    pub(crate) fn of(record: &'a Record) -> Self {
        let resource = record.resource.as_ref();
        Self {
            resource: resource.map(|resource| resource.id().as_str()),
            plugin: record.plugin.as_deref(),
            slot: record.slot,
            batch: match &record.payload {
                Payload::Batch(batch) => Some(batch),
                _ => None,
            },
        }
    }
}

/// What of a batch is wanted.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) projection: Projection,
    /// (name, value), all of which a row must have.
    pub(crate) dimensions: Vec<(String, String)>,
    pub(crate) from: Option<WallMs>,
    pub(crate) to: Option<WallMs>,
}

impl Wanted {
    fn has_time(&self, time: WallMs) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time <= to)
    }
}

/// One value of one series at one time.
pub(crate) struct SampleView<'a> {
    source: &'a Source<'a>,
    group: &'a str,
    dimensions: &'a Map<String, Value>,
    metric: &'a str,
    kind: &'static str,
    value: Value,
    verdict: Option<&'static str>,
    pub(crate) time: WallMs,
}

impl SampleView<'_> {
    pub(crate) fn to_json(&self, now: Option<WallMs>) -> Value {
        let mut object = Map::new();
        object.insert("resource".into(), json!(self.source.resource));
        object.insert("plugin".into(), json!(self.source.plugin));
        object.insert("group".into(), json!(self.group));
        object.insert("dimensions".into(), Value::Object(self.dimensions.clone()));
        object.insert("metric".into(), json!(self.metric));
        object.insert("type".into(), json!(self.kind));
        object.insert("value".into(), self.value.clone());
        if let Some(verdict) = self.verdict {
            object.insert("verdict".into(), json!(verdict));
        }
        object.insert("time_ms".into(), json!(self.time.0));
        object.insert("slot_ms".into(), json!(self.source.slot.0));
        if let Some(now) = now {
            object.insert("age_ms".into(), json!(now.0.saturating_sub(self.time.0)));
        }
        Value::Object(object)
    }

    /// Which of its pair's series it is: a text that stays the same while the device has it.
    pub(crate) fn series(&self) -> String {
        let dimensions = Value::Object(self.dimensions.clone());
        format!("{}|{dimensions}|{}|{}", self.group, self.metric, self.kind)
    }

    pub(crate) fn push_csv(&self, into: &mut Vec<u8>) {
        let dimensions: Vec<String> = self
            .dimensions
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
            .collect();
        let cells = [
            self.time.0.to_string(),
            csv_cell(self.source.resource.unwrap_or("")),
            csv_cell(self.source.plugin.unwrap_or("")),
            csv_cell(self.group),
            csv_cell(&dimensions.join(";")),
            csv_cell(self.metric),
            self.kind.to_owned(),
            self.value.to_string(),
            self.verdict.unwrap_or("").to_owned(),
        ];
        into.extend_from_slice(cells.join(",").as_bytes());
        into.push(b'\n');
    }
}

/// RFC 4180: quoted where it must be.
fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Hands each sample that is wanted to `take`; nothing if there is no batch.
pub(crate) fn for_each_sample(
    source: &Source<'_>,
    wanted: &Wanted,
    take: &mut dyn FnMut(SampleView<'_>),
) {
    let Some(batch) = source.batch else {
        return;
    };
    for group in 0..batch.groups.len() {
        let Some(schema) = batch.schema.groups.get(group) else {
            continue;
        };
        if !wanted.projection.has_group(&schema.name) {
            continue;
        }
        for row in 0..batch.groups[group].len() {
            let dimensions = dimensions_of(batch, group, row);
            let is_wanted = wanted.dimensions.iter().all(|(name, value)| {
                dimensions.get(name).and_then(Value::as_str) == Some(value.as_str())
            });
            if is_wanted && wanted.has_time(batch.groups[group].time[row]) {
                let row = Row {
                    source,
                    batch,
                    group,
                    row,
                    dimensions: &dimensions,
                };
                row.for_each(&wanted.projection, take);
            }
        }
    }
}

fn dimensions_of(batch: &Batch, group: usize, row: usize) -> Map<String, Value> {
    let dimensions = batch.dimensions_of(group, row);
    dimensions
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

/// A row of a batch.
struct Row<'a> {
    source: &'a Source<'a>,
    batch: &'a Batch,
    group: usize,
    row: usize,
    dimensions: &'a Map<String, Value>,
}

impl Row<'_> {
    fn for_each(&self, projection: &Projection, take: &mut dyn FnMut(SampleView<'_>)) {
        let (schema, row) = (&self.batch.schema.groups[self.group], self.row);
        let values = &self.batch.groups[self.group];
        for (index, (metric, column)) in schema.counters.iter().zip(&values.counters).enumerate() {
            if !projection.has_metric(&metric.name) || !column.presence.is_present(row) {
                continue;
            }
            let verdict = Some(column.verdicts[row].as_str());
            let value = json!(column.values[row]);
            take(self.sample(&metric.name, ("counter", value, verdict)));
            if let Some(rate) = values.rate(index, row) {
                take(self.sample(&metric.name, ("gauge", json!(rate), verdict)));
            }
        }
        for (metric, column) in schema.gauges.iter().zip(&values.gauges) {
            if !projection.has_metric(&metric.name) {
                continue;
            }
            if let Some(value) = column.get(row) {
                take(self.sample(&metric.name, ("gauge", number(value), None)));
            }
        }
    }

    fn sample<'a>(
        &'a self,
        metric: &'a str,
        (kind, value, verdict): (&'static str, Value, Option<&'static str>),
    ) -> SampleView<'a> {
        SampleView {
            source: self.source,
            group: &self.batch.schema.groups[self.group].name,
            dimensions: self.dimensions,
            metric,
            kind,
            value,
            verdict,
            time: self.batch.groups[self.group].time[self.row],
        }
    }
}

/// Whole numbers without a fraction, as they were measured.
fn number(value: f64) -> Value {
    /// Every integer up to 2^53 is a float.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return json!(value as i64);
    }
    json!(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_quoted_where_they_must_be() {
        assert_eq!(csv_cell("plain"), "plain");
        assert_eq!(csv_cell("a,b"), "\"a,b\"");
        assert_eq!(csv_cell("say \"x\""), "\"say \"\"x\"\"\"");
    }

    #[test]
    fn whole_gauges_have_no_fraction() {
        assert_eq!(number(1_500.0).to_string(), "1500");
        assert_eq!(number(0.5).to_string(), "0.5");
    }
}
