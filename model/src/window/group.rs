//! One group of a window: rows and columns of many batches brought together by name.
//!
//! Does: match rows by their key dimensions and columns by their names, whatever order the batches
//! had them in; attributes, times and units are those of the newest batch that has the row.
//! Does not: add numbers (`cell`).
//! In: batches ascending by slot, a group's name. Out: schema, rows and values of the group.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::cell::{Cell, Number, Part};
use crate::batch::{Batch, CounterColumn, GroupValues, Verdict};
use crate::clock::WallMs;
use crate::columns::{DimensionTable, GaugeColumn};
use crate::schema::{DimensionDef, GroupSchema, METRICS_MAX, MetricDef};

/// A group of a window.
pub(super) struct Merged {
    pub(super) schema: GroupSchema,
    pub(super) rows: DimensionTable,
    pub(super) values: GroupValues,
}

/// A group as one batch has it.
struct Section<'a> {
    schema: &'a GroupSchema,
    rows: &'a DimensionTable,
    values: &'a GroupValues,
}

/// Last value and number of values of a counter.
#[derive(Clone, Copy, Default)]
struct Counted {
    last: Option<u64>,
    count: i64,
}

/// Rows found so far.
struct Rows {
    places: HashMap<Vec<String>, usize>,
    table: DimensionTable,
    time: Vec<WallMs>,
}

/// The group `name` of a window of `length_ms`.
pub(super) fn merge(batches: &[Arc<Batch>], name: &str, length_ms: u32) -> Merged {
    let sections: Vec<Section<'_>> = batches.iter().filter_map(|it| find(it, name)).collect();
    let newest_first = || sections.iter().rev();
    let dimensions = newest_first().next().map(|it| it.schema.dimensions.clone());
    let dimensions = dimensions.unwrap_or_default();
    let counters = union(newest_first().map(|it| &it.schema.counters));
    let gauges = union(newest_first().map(|it| &it.schema.gauges));
    let mut rows = Rows {
        places: HashMap::new(),
        table: DimensionTable::new(dimensions.len()),
        time: Vec::new(),
    };
    newest_first().for_each(|section| rows.take(section, &dimensions));
    let count = rows.time.len();
    let mut of_gauges = vec![vec![Cell::default(); count]; gauges.len()];
    let mut of_counters = vec![vec![Counted::default(); count]; counters.len()];
    for section in &sections {
        let places = rows.places_of(section, &dimensions);
        for (metric, cells) in gauges.iter().zip(&mut of_gauges) {
            take_gauge(section, &metric.name, (&places, cells));
        }
        for (metric, cells) in counters.iter().zip(&mut of_counters) {
            take_counter(section, &metric.name, (&places, cells));
        }
    }
    let counted = of_counters.iter().map(|cells| last_of(cells)).collect();
    let (defined, columns) = gauges_of((&gauges, &of_gauges), (&counters, &of_counters));
    let values = GroupValues {
        dt_ms: vec![0; count],
        time: rows.time,
        counters: counted,
        gauges: columns,
    };
    let schema = GroupSchema {
        name: name.to_owned(),
        interval_ms: length_ms,
        dimensions,
        counters,
        gauges: defined,
    };
    let rows = rows.table;
    Merged {
        schema,
        rows,
        values,
    }
}

fn find<'a>(batch: &'a Batch, name: &str) -> Option<Section<'a>> {
    let mut groups = batch.schema.groups.iter();
    let index = groups.position(|group| group.name == name)?;
    Some(Section {
        schema: &batch.schema.groups[index],
        rows: batch.rows.groups.get(index)?,
        values: batch.groups.get(index)?,
    })
}

/// All metrics by name, as the first list that has one says.
fn union<'a>(lists: impl Iterator<Item = &'a Vec<MetricDef>>) -> Vec<MetricDef> {
    let mut seen = BTreeSet::new();
    lists
        .flatten()
        .filter(|metric| seen.insert(metric.name.as_str()))
        .cloned()
        .collect()
}

impl Rows {
    /// Takes the rows of a section that no newer one had.
    fn take(&mut self, section: &Section<'_>, dimensions: &[DimensionDef]) {
        let columns = columns_of(section, dimensions);
        for row in 0..section.values.len() {
            let next = self.time.len();
            let place = *self
                .places
                .entry(key_of(section, (&columns, dimensions), row))
                .or_insert(next);
            if place == next {
                for column in &columns {
                    let value = column.and_then(|column| section.rows.get(row, column));
                    self.table.push(value.unwrap_or(""));
                }
                self.time.push(section.values.time[row]);
            }
        }
    }

    /// For each row of a section, its place here.
    fn places_of(&self, section: &Section<'_>, dimensions: &[DimensionDef]) -> Vec<usize> {
        let columns = columns_of(section, dimensions);
        let place = |row| {
            let key = key_of(section, (&columns, dimensions), row);
            // Each row of each section was taken.
            self.places.get(&key).copied().unwrap_or(usize::MAX)
        };
        (0..section.values.len()).map(place).collect()
    }
}

/// Where a section has each of the dimensions.
fn columns_of(section: &Section<'_>, dimensions: &[DimensionDef]) -> Vec<Option<usize>> {
    let of_section = &section.schema.dimensions;
    let find = |wanted: &DimensionDef| of_section.iter().position(|it| it.name == wanted.name);
    dimensions.iter().map(find).collect()
}

fn key_of(
    section: &Section<'_>,
    (columns, dimensions): (&[Option<usize>], &[DimensionDef]),
    row: usize,
) -> Vec<String> {
    let keys = columns.iter().zip(dimensions).filter(|(_, it)| it.is_key);
    keys.map(|(column, _)| {
        let value = column.and_then(|column| section.rows.get(row, column));
        value.unwrap_or("").to_owned()
    })
    .collect()
}

fn take_gauge(section: &Section<'_>, name: &str, (places, cells): (&[usize], &mut [Cell])) {
    let of_section = &section.schema.gauges;
    let index = of_section.iter().position(|metric| metric.name == name);
    let Some(column) = index.and_then(|index| section.values.gauges.get(index)) else {
        return;
    };
    for (row, place) in places.iter().enumerate() {
        if let (Some(cell), Some(number)) = (cells.get_mut(*place), Number::of(column, row)) {
            cell.take(number);
        }
    }
}

fn take_counter(section: &Section<'_>, name: &str, (places, cells): (&[usize], &mut [Counted])) {
    let of_section = &section.schema.counters;
    let index = of_section.iter().position(|metric| metric.name == name);
    let Some(column) = index.and_then(|index| section.values.counters.get(index)) else {
        return;
    };
    for (row, place) in places.iter().enumerate() {
        if let Some(cell) = cells.get_mut(*place)
            && column.presence.is_present(row)
        {
            cell.last = column.values.get(row).copied();
            cell.count += 1;
        }
    }
}

/// A window has no rate of its own: two of them give it.
fn last_of(cells: &[Counted]) -> CounterColumn {
    let mut column = CounterColumn::default();
    for cell in cells {
        match cell.last {
            Some(value) => column.push(value, 0, Verdict::First),
            None => column.push_absent(),
        }
    }
    column
}

/// Definitions and cells of all gauge columns.
fn gauges_of(
    (gauges, of_gauges): (&[MetricDef], &[Vec<Cell>]),
    (counters, of_counters): (&[MetricDef], &[Vec<Counted>]),
) -> (Vec<MetricDef>, Vec<GaugeColumn>) {
    let (parts, counts) = extra_columns(gauges, counters);
    let (mut defined, mut columns) = (Vec::new(), Vec::new());
    for (source, part, def) in parts {
        let mut column = GaugeColumn::default();
        let cells = of_gauges[source].iter();
        cells.for_each(|cell| cell.push(part, &mut column));
        columns.push(column);
        defined.push(def);
    }
    for (source, def) in counts {
        let mut column = GaugeColumn::default();
        for cell in &of_counters[source] {
            match cell.count {
                0 => column.push_absent(),
                count => column.push_int(count),
            }
        }
        columns.push(column);
        defined.push(def);
    }
    (defined, columns)
}

type GaugeParts = Vec<(usize, Part, MetricDef)>;
type Counts = Vec<(usize, MetricDef)>;

/// The gauge columns: each part of each gauge, then the number of values of each counter.
fn extra_columns(gauges: &[MetricDef], counters: &[MetricDef]) -> (GaugeParts, Counts) {
    let all = gauges.len() * Part::ALL.len() + 2 * counters.len();
    let is_room = all <= METRICS_MAX;
    let mut taken: BTreeSet<String> = gauges.iter().map(|it| it.name.clone()).collect();
    let mut parts = Vec::new();
    for (source, metric) in gauges.iter().enumerate() {
        for (part, suffix) in Part::ALL {
            let name = format!("{}{suffix}", metric.name);
            let is_own = part == Part::Last;
            if is_own || (is_room && taken.insert(name.clone())) {
                let unit = match part {
                    Part::Count => String::new(),
                    _ => metric.unit.clone(),
                };
                parts.push((source, part, MetricDef { name, unit }));
            }
        }
    }
    let mut counts = Vec::new();
    for (source, metric) in counters.iter().enumerate().filter(|_| is_room) {
        let name = format!("{}_count", metric.name);
        if taken.insert(name.clone()) {
            let unit = String::new();
            counts.push((source, MetricDef { name, unit }));
        }
    }
    (parts, counts)
}
