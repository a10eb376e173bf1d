//! Batches as metrics groups 0.2: one group a row, written straight into bytes.
//!
//! Does: write counters, rates (gauges beside their counters, stamped with the sample's time) and
//! gauges, sorted by name, then type; dimensions sorted by name; numbers in their shortest form.
//! Does not: build JSON trees, render gaps (`status` does what Panoptes knows of them).
//! In: [`Batch`], [`ResourceJson`], [`Projection`]. Out: lines, one group each.
//! Invariant: no group without a metric; a rate whose name a gauge of the schema bears is left out.
//! Cost: fixed parts are escaped once a schema; a sample is one number and two copies.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::batch::{Batch, GroupValues};
use crate::clock::WallMs;
use crate::columns::GaugeValues;
use crate::resource::Resource;
use crate::schema::{GroupSchema, MetricKind, Schema};

/// Schemas whose fixed parts are kept; a subscriber of more plugins re-makes them now and then.
const SCHEMAS_KEPT_MAX: usize = 64;

/// A resource as JSON, made once and used for each of its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceJson(Vec<u8>);

impl ResourceJson {
    /// The JSON of `resource`.
    #[must_use]
    pub fn of(resource: &Resource) -> Self {
        let mut json = Vec::with_capacity(512);
        write_json(resource, &mut json);
        Self(json)
    }

    /// The JSON object.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Which groups and metrics a reader wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    /// Group types; empty: all.
    pub groups: Vec<String>,
    /// Metric names, for counters, rates and gauges alike; empty: all.
    pub metrics: Vec<String>,
}

impl Projection {
    /// Whether the group is wanted.
    #[must_use]
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|wanted| wanted == name)
    }

    /// Whether the metric is wanted.
    #[must_use]
    pub fn has_metric(&self, name: &str) -> bool {
        self.metrics.is_empty() || self.metrics.iter().any(|wanted| wanted == name)
    }
}

/// Writes batches as groups; keeps what is the same for all batches of a schema.
#[derive(Debug, Clone, Default)]
pub struct GroupRenderer {
    projection: Projection,
    /// By address of the schema, which the `Arc` beside it keeps from being used again.
    plans: BTreeMap<usize, (Arc<Schema>, Vec<GroupPlan>)>,
}

/// The fixed parts of one group of a schema.
#[derive(Debug, Clone)]
struct GroupPlan {
    group: usize,
    /// `{"metrics_group_type":…,"metrics_group_interval":…,"metrics_group_creation_timestamp":`
    head: Vec<u8>,
    cells: Vec<CellPlan>,
    /// By name.
    dimensions: Vec<DimensionPlan>,
}

#[derive(Debug, Clone)]
enum DimensionPlan {
    /// Column and `{"dimension_name":…,"dimension_value":`.
    Column(usize, Vec<u8>),
    /// All of it: tags are the same in each row.
    Tag(Vec<u8>),
}

#[derive(Debug, Clone)]
struct CellPlan {
    source: CellSource,
    /// `,"metric_name":…,"metric_value":`
    name: Vec<u8>,
    kind: MetricKind,
}

#[derive(Debug, Clone, Copy)]
enum CellSource {
    Counter(usize),
    Rate(usize),
    Gauge(usize),
}

impl GroupRenderer {
    /// A renderer of the groups and metrics in `projection`.
    #[must_use]
    pub fn new(projection: Projection) -> Self {
        Self {
            projection,
            plans: BTreeMap::new(),
        }
    }

    /// Appends each row of the batch that has a metric as a group and a line feed; how many.
    pub fn render(&mut self, batch: &Batch, of: &ResourceJson, into: &mut Vec<u8>) -> usize {
        let mut count = 0;
        self.render_each(batch, of, |group| {
            count += 1;
            into.extend_from_slice(group);
            into.push(b'\n');
        });
        count
    }

    /// Hands each group to `take`, without a line feed.
    pub fn render_each(&mut self, batch: &Batch, of: &ResourceJson, mut take: impl FnMut(&[u8])) {
        let mut line = Vec::with_capacity(4_096);
        for plan in self.plans_of(&batch.schema) {
            let Some(values) = batch.groups.get(plan.group) else {
                continue;
            };
            for row in 0..values.len() {
                line.clear();
                if plan.write_row(batch, row, (values, of), &mut line) {
                    take(&line);
                }
            }
        }
    }

    fn plans_of(&mut self, schema: &Arc<Schema>) -> &[GroupPlan] {
        let address = Arc::as_ptr(schema).addr();
        if !self.plans.contains_key(&address) && self.plans.len() >= SCHEMAS_KEPT_MAX {
            self.plans.clear();
        }
        let projection = &self.projection;
        let (_, plans) = self.plans.entry(address).or_insert_with(|| {
            let groups = schema.groups.iter().enumerate();
            let wanted = groups.filter(|(_, group)| projection.has_group(&group.name));
            let plans = wanted.map(|(at, _)| GroupPlan::new(schema, at, projection));
            (Arc::clone(schema), plans.collect())
        });
        plans
    }
}

impl GroupPlan {
    fn new(schema: &Schema, position: usize, projection: &Projection) -> Self {
        let group = &schema.groups[position];
        let mut cells = Vec::new();
        let mut add = |name: &str, kind: MetricKind, source: CellSource| {
            if projection.has_metric(name) {
                let text = fragment(&[b",\"metric_name\":"], name, b",\"metric_value\":");
                cells.push((
                    name.to_owned(),
                    CellPlan {
                        source,
                        name: text,
                        kind,
                    },
                ));
            }
        };
        for (column, metric) in group.counters.iter().enumerate() {
            add(
                &metric.name,
                MetricKind::Counter,
                CellSource::Counter(column),
            );
            if !group.gauges.iter().any(|gauge| gauge.name == metric.name) {
                add(&metric.name, MetricKind::Gauge, CellSource::Rate(column));
            }
        }
        for (column, metric) in group.gauges.iter().enumerate() {
            add(&metric.name, MetricKind::Gauge, CellSource::Gauge(column));
        }
        cells.sort_by(|(name, cell), (other, second)| (name, cell.kind).cmp(&(other, second.kind)));
        Self {
            group: position,
            head: group_head(&group.name, group.interval_ms),
            cells: cells.into_iter().map(|(_, cell)| cell).collect(),
            dimensions: dimension_plans(group, &schema.tags),
        }
    }

    /// Writes a row as a group; `false`, and a part of it, if it has no metric.
    fn write_row(
        &self,
        batch: &Batch,
        row: usize,
        (values, of): (&GroupValues, &ResourceJson),
        into: &mut Vec<u8>,
    ) -> bool {
        into.extend_from_slice(&self.head);
        write_seconds(batch.time, into);
        into.extend_from_slice(b",\"metrics_group_schema_version\":\"0.2\",\"resource\":");
        into.extend_from_slice(of.as_bytes());
        into.extend_from_slice(b",\"metrics\":[");
        let empty = into.len();
        let time = values.time.get(row).copied().unwrap_or(batch.time);
        for cell in &self.cells {
            let start = into.len();
            into.extend_from_slice(if start == empty { b"{" } else { b",{" });
            into.extend_from_slice(b"\"metric_creation_timestamp\":");
            write_seconds(time, into);
            into.extend_from_slice(&cell.name);
            if cell.source.write_value(values, row, into) {
                into.extend_from_slice(metric_tail(cell.kind));
            } else {
                into.truncate(start);
            }
        }
        if into.len() == empty {
            return false;
        }
        into.extend_from_slice(b"],\"dimensions\":[");
        let empty = into.len();
        let table = batch.rows.groups.get(self.group);
        for dimension in &self.dimensions {
            let (text, value) = match dimension {
                DimensionPlan::Tag(whole) => (whole, None),
                DimensionPlan::Column(column, name) => {
                    let Some(value) = table.and_then(|table| table.get(row, *column)) else {
                        continue;
                    };
                    (name, Some(value))
                }
            };
            into.extend_from_slice(if into.len() == empty { b"" } else { b"," });
            into.extend_from_slice(text);
            if let Some(value) = value {
                write_json(value, into);
                into.push(b'}');
            }
        }
        into.extend_from_slice(b"]}");
        true
    }
}

/// A group's dimensions and the tags, sorted by name.
fn dimension_plans(group: &GroupSchema, tags: &BTreeMap<String, String>) -> Vec<DimensionPlan> {
    let head = |name: &str| fragment(&[b"{\"dimension_name\":"], name, b",\"dimension_value\":");
    let columns = group.dimensions.iter().enumerate().map(|(column, of)| {
        let plan = DimensionPlan::Column(column, head(&of.name));
        (of.name.as_str(), plan)
    });
    let tags = tags.iter().map(|(name, value)| {
        let mut whole = head(name);
        write_json(value, &mut whole);
        whole.push(b'}');
        (name.as_str(), DimensionPlan::Tag(whole))
    });
    let mut plans: Vec<(&str, DimensionPlan)> = columns.chain(tags).collect();
    plans.sort_by_key(|(name, _)| *name);
    plans.into_iter().map(|(_, plan)| plan).collect()
}

impl CellSource {
    /// Writes the value; `false` and nothing written if the row has none.
    fn write_value(self, values: &GroupValues, row: usize, into: &mut Vec<u8>) -> bool {
        match self {
            Self::Counter(column) => {
                let column = values.counters.get(column);
                let Some(column) = column.filter(|column| column.presence.is_present(row)) else {
                    return false;
                };
                write_json(&column.values[row], into);
            }
            Self::Rate(column) => match values.rate(column, row) {
                Some(rate) if rate.is_finite() => write_json(&rate, into),
                _ => return false,
            },
            Self::Gauge(column) => {
                let column = values.gauges.get(column);
                let Some(column) = column.filter(|column| column.presence.is_present(row)) else {
                    return false;
                };
                match &column.values {
                    GaugeValues::Int(values) => write_json(&values[row], into),
                    GaugeValues::Float(values) if values[row].is_finite() => {
                        write_json(&values[row], into);
                    }
                    GaugeValues::Float(_) => return false,
                }
            }
        }
        true
    }
}

// === Parts shared with `status` ===

/// The beginning of a group up to its timestamp. Panoptes' interval is whole seconds, at least one.
pub(super) fn group_head(name: &str, interval_ms: u32) -> Vec<u8> {
    let seconds = ((u64::from(interval_ms) + 500) / 1_000).max(1);
    let tail =
        format!(",\"metrics_group_interval\":{seconds},\"metrics_group_creation_timestamp\":");
    fragment(&[b"{\"metrics_group_type\":"], name, tail.as_bytes())
}

/// What follows a metric's value.
pub(super) fn metric_tail(kind: MetricKind) -> &'static [u8] {
    match kind {
        MetricKind::Counter => b",\"metric_type\":\"counter\"}",
        MetricKind::Gauge => b",\"metric_type\":\"gauge\"}",
    }
}

/// Seconds with at most three decimals and at least one, as Panoptes' rounded floats print.
pub(super) fn write_seconds(time: WallMs, into: &mut Vec<u8>) {
    let (whole, millis) = (time.0.unsigned_abs() / 1_000, time.0.unsigned_abs() % 1_000);
    into.extend_from_slice(if time.0 < 0 { b"-" } else { b"" });
    write_json(&whole, into);
    into.push(b'.');
    let text = format!("{millis:03}");
    let kept = text.trim_end_matches('0').len().max(1);
    into.extend_from_slice(&text.as_bytes()[..kept]);
}

/// Appends `value` as JSON: integers in full, floats in shortest form, texts escaped.
pub(super) fn write_json(value: &(impl Serialize + ?Sized), into: &mut Vec<u8>) {
    serde_json::to_writer(into, value)
        .expect("numbers, texts and resources have a JSON form, and a Vec takes all bytes");
}

fn fragment(before: &[&[u8]], name: &str, after: &[u8]) -> Vec<u8> {
    let mut text = before.concat();
    write_json(name, &mut text);
    text.extend_from_slice(after);
    text
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
