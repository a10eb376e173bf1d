//! Windows: many batches of one (resource, plugin) as one, for a tier that wants less.
//!
//! Does: choose groups of a batch, make one batch of those whose slots a window holds, read back
//! how much of its window such a batch knew. Does not: wait for slots, keep windows (`federation`).
//! In: batches in the order of their slots. Out: one batch on the grid of windows.
//! Invariant: the outcome depends on which batches there are alone, bit for bit; how they came, how
//! often and in what order does not show. Floats are added in the order of slots for that reason.
//! Columns: a gauge `x` is `x` (the last value), `x_min`, `x_max`, `x_sum` and `x_count`; a counter
//! `c` is its last value, without a rate, and the gauge `c_count`. A name that a source column has
//! already stays that column's; beyond `METRICS_MAX` a group has the last values alone.

mod cell;
mod group;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::batch::{Batch, GroupValues, RowSet};
use crate::columns::{DimensionTable, GaugeColumn};
use crate::gap::{GapCause, GapKind};
use crate::rows::Partial;
use crate::schema::{GroupSchema, MetricDef, Schema, SchemaError};
use crate::slot::SlotMs;

/// The group that says of a batch which window it stands for; one row, without dimensions.
pub const WINDOW_GROUP: &str = "ocelli_window";
/// Gauges of [`WINDOW_GROUP`]: of two batches of one window the one with the higher `rev` holds;
/// slots that the window has; batches that went into it.
const WINDOW_GAUGES: [&str; 3] = ["rev", "slots", "batches"];
/// Where a slot is missing and nothing says why, it had not arrived when the window was closed.
const LATE: GapCause = GapCause::with(GapKind::LostNode, "late");

/// A window and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its first millisecond, a multiple of its length.
    pub start: SlotMs,
    /// Milliseconds.
    pub length_ms: u32,
    /// Grows with what is known: of two batches of one window the higher one holds.
    pub rev: u64,
    /// Slots that it has.
    pub slots: u32,
    /// Why some of them have no batch, if that is known.
    pub missing: Option<GapCause>,
}

/// What a batch says of its own window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowFacts {
    /// As [`Window::rev`].
    pub rev: u64,
    /// As [`Window::slots`].
    pub slots: u32,
    /// Batches that went into it.
    pub batches: u32,
}

/// The start of the window that holds `slot`.
#[must_use]
pub fn start_of(slot: SlotMs, length_ms: u32) -> SlotMs {
    let length = i64::from(length_ms.max(1));
    SlotMs(slot.0.div_euclid(length) * length)
}

/// Whether slots of `interval_ms` make whole windows.
#[must_use]
pub fn divides(interval_ms: u32, length_ms: u32) -> bool {
    interval_ms > 0 && length_ms > interval_ms && length_ms.is_multiple_of(interval_ms)
}

/// The batch with those groups alone that `wanted` names; `None` if it has none of them.
#[must_use]
pub fn choose(batch: &Batch, wanted: &BTreeSet<String>) -> Option<Batch> {
    let of_schema = batch.schema.groups.iter().enumerate();
    let chosen: Vec<usize> = of_schema
        .filter(|(_, group)| wanted.contains(&group.name))
        .map(|(index, _)| index)
        .collect();
    if chosen.is_empty() {
        return None;
    }
    let mut schema = Schema::clone(&batch.schema);
    schema.groups = pick(&batch.schema.groups, &chosen);
    Some(Batch {
        schema: Arc::new(schema),
        rows: Arc::new(RowSet {
            groups: pick(&batch.rows.groups, &chosen),
        }),
        groups: pick(&batch.groups, &chosen),
        partial: batch.partial.clone(),
        ..*batch
    })
}

fn pick<T: Clone>(of: &[T], chosen: &[usize]) -> Vec<T> {
    let found = chosen.iter().filter_map(|index| of.get(*index));
    found.cloned().collect()
}

/// One batch of those of a window, ascending by slot, each slot once; `None` of none.
///
/// # Errors
/// [`SchemaError`] where groups of different schemas do not stand together.
pub fn downsample(batches: &[Arc<Batch>], window: &Window) -> Result<Option<Batch>, SchemaError> {
    let Some(newest) = batches.last() else {
        return Ok(None);
    };
    let mut names: Vec<&str> = Vec::new();
    for batch in batches.iter().rev() {
        for group in &batch.schema.groups {
            if !names.contains(&group.name.as_str()) {
                names.push(&group.name);
            }
        }
    }
    let (mut schema, mut rows, mut groups) = (Vec::new(), RowSet::default(), Vec::new());
    let made = names
        .into_iter()
        .map(|name| group::merge(batches, name, window.length_ms));
    for made in made {
        schema.push(made.schema);
        rows.groups.push(made.rows);
        groups.push(made.values);
    }
    let time = batches.iter().map(|batch| batch.time).max();
    let time = time.unwrap_or(newest.time);
    schema.push(window_schema(window.length_ms));
    rows.groups.push(DimensionTable::new(0));
    groups.push(window_values(window, batches.len(), time));
    let schema = Schema::new(schema)?.with_tags(newest.schema.tags.clone())?;
    Ok(Some(Batch {
        slot: window.start,
        interval_ms: window.length_ms,
        epoch: newest.epoch,
        time,
        partial: partial_of(batches, window),
        schema: Arc::new(schema),
        rows: Arc::new(rows),
        groups,
    }))
}

/// Whether a batch stands for a window, not for a slot.
#[must_use]
pub fn is_window(batch: &Batch) -> bool {
    // It stands last: a batch of a plugin costs one comparison.
    let last = batch.schema.groups.last();
    last.is_some_and(|group| group.name == WINDOW_GROUP)
}

/// What a batch says of its window; `None` if it stands for a slot.
#[must_use]
pub fn facts_of(batch: &Batch) -> Option<WindowFacts> {
    let mut groups = batch.schema.groups.iter();
    let index = groups.position(|group| group.name == WINDOW_GROUP)?;
    let gauges = &batch.schema.groups[index].gauges;
    let number = |name: &str| {
        let column = gauges.iter().position(|gauge| gauge.name == name)?;
        match &batch.groups.get(index)?.gauges.get(column)?.values {
            crate::columns::GaugeValues::Int(values) => u64::try_from(*values.first()?).ok(),
            crate::columns::GaugeValues::Float(_) => None,
        }
    };
    let [rev, slots, batches] = WINDOW_GAUGES.map(number);
    Some(WindowFacts {
        rev: rev?,
        slots: u32::try_from(slots?).ok()?,
        batches: u32::try_from(batches?).ok()?,
    })
}

fn window_schema(length_ms: u32) -> GroupSchema {
    let gauge = |name: &str| MetricDef {
        name: name.to_owned(),
        unit: String::new(),
    };
    GroupSchema {
        name: WINDOW_GROUP.to_owned(),
        interval_ms: length_ms,
        dimensions: Vec::new(),
        counters: Vec::new(),
        gauges: WINDOW_GAUGES.map(gauge).to_vec(),
    }
}

fn window_values(window: &Window, batches: usize, time: crate::clock::WallMs) -> GroupValues {
    let numbers = [
        i64::try_from(window.rev).unwrap_or(i64::MAX),
        i64::from(window.slots),
        i64::try_from(batches).unwrap_or(i64::MAX),
    ];
    let gauges = numbers.map(|number| {
        let mut column = GaugeColumn::default();
        column.push_int(number);
        column
    });
    GroupValues {
        time: vec![time],
        dt_ms: vec![0],
        counters: Vec::new(),
        gauges: gauges.to_vec(),
    }
}

/// Slots that are missing are said first; else the first batch that was not whole.
fn partial_of(batches: &[Arc<Batch>], window: &Window) -> Option<Partial> {
    let slots = usize::try_from(window.slots).unwrap_or(usize::MAX);
    if batches.len() < slots {
        let cause = window.missing.clone().unwrap_or(LATE);
        let reached = format!("{} of {} slots", batches.len(), window.slots);
        return Some(Partial { cause, reached });
    }
    batches.iter().find_map(|batch| batch.partial.clone())
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
