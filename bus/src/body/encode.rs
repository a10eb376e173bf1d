//! Encodes a batch into a caller's buffer.
//!
//! Does: check shapes against schema and rows, write the partial prefix and a section a group.
//! Does not: write heads (`block`), assign ids (`dictionary`).
//! In: `&Batch`. Out: bytes appended to a `Vec<u8>`. Scratch memory is kept between batches;
//! nothing is allocated per sample.

use ocelli_model::batch::{Batch, CounterColumn, GroupValues, Verdict};
use ocelli_model::columns::{GaugeColumn, Presence};
use ocelli_model::rows::Partial;
use ocelli_model::schema::GroupSchema;

use super::gauges::{Form, to_cells};
use super::ints::put_ints;
use super::section::{Cells, VERDICT_MIXED, counter_shape, gauge_shape};
use super::{EncodeError, REACHED_BYTES_MAX};
use crate::limits::BATCH_CELLS_MAX;
use crate::wire::{put_text, put_varint, put_zigzag};

/// Encodes batches; holds scratch memory only.
#[derive(Debug, Default)]
pub struct BatchEncoder {
    cells: Vec<u64>,
    section: Vec<u8>,
}

impl BatchEncoder {
    /// Appends the body of `batch` to `into`.
    ///
    /// # Errors
    /// [`EncodeError`]; `into` is as before.
    pub fn encode(&mut self, batch: &Batch, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        check_shape(batch)?;
        if let Some(partial) = &batch.partial {
            put_partial(into, partial);
        }
        for group in &batch.groups {
            self.section.clear();
            self.put_section(group, batch.time.0);
            put_varint(into, self.section.len() as u64);
            into.extend_from_slice(&self.section);
        }
        Ok(())
    }

    fn put_section(&mut self, group: &GroupValues, batch_time: i64) {
        put_varint(&mut self.section, group.len() as u64);
        if group.is_empty() {
            return;
        }
        self.section.push(0); // Flags, none yet: bit 0 is kept for nanosecond times.
        self.put_times(group, batch_time);
        let verdict = uniform_verdict(&group.counters);
        if !group.counters.is_empty() {
            self.section
                .push(verdict.map_or(VERDICT_MIXED, |verdict| verdict as u8));
        }
        for column in &group.counters {
            self.put_counter(column, verdict.is_none());
        }
        for column in &group.gauges {
            self.put_gauge(column);
        }
        put_own_dt(&mut self.section, &group.counters);
    }

    /// Row times relative to the batch's, then the rows' intervals.
    fn put_times(&mut self, group: &GroupValues, batch_time: i64) {
        let least = group
            .time
            .iter()
            .map(|time| time.0)
            .min()
            .unwrap_or(batch_time);
        put_zigzag(&mut self.section, least.wrapping_sub(batch_time));
        self.cells.clear();
        let since_least = |time: i64| time.wrapping_sub(least).cast_unsigned();
        self.cells
            .extend(group.time.iter().map(|time| since_least(time.0)));
        self.put_cells();
        self.cells.clear();
        self.cells
            .extend(group.dt_ms.iter().map(|dt_ms| u64::from(*dt_ms)));
        self.put_cells();
    }

    /// Mode byte and column.
    fn put_cells(&mut self) {
        let shape_at = self.section.len();
        self.section.push(0);
        self.section[shape_at] = put_ints(&mut self.section, &self.cells) as u8;
    }

    fn put_counter(&mut self, column: &CounterColumn, is_mixed: bool) {
        let cells = cells_of(&column.presence);
        let shape_at = self.section.len();
        self.section.push(0);
        if cells == Cells::Bitmap {
            put_presence(&mut self.section, &column.presence);
        }
        if is_mixed && cells != Cells::None {
            put_verdicts(&mut self.section, column);
        }
        let [values, deltas] = [&column.values, &column.deltas].map(|numbers| {
            if cells == Cells::All {
                put_ints(&mut self.section, numbers)
            } else {
                let present = numbers.iter().enumerate();
                let present = present.filter(|(row, _)| column.presence.is_present(*row));
                self.cells.clear();
                self.cells.extend(present.map(|(_, number)| *number));
                put_ints(&mut self.section, &self.cells)
            }
        });
        self.section[shape_at] = counter_shape(values, deltas, cells);
    }

    fn put_gauge(&mut self, column: &GaugeColumn) {
        let cells = cells_of(&column.presence);
        let is_present = |row: usize| cells == Cells::All || column.presence.is_present(row);
        let (form, base) = to_cells(&column.values, is_present, &mut self.cells);
        let shape_at = self.section.len();
        self.section.push(0);
        if cells == Cells::Bitmap {
            put_presence(&mut self.section, &column.presence);
        }
        if let Form::Decimal { exponent } = form {
            self.section.push(exponent);
        }
        if form != Form::Raw && cells != Cells::None {
            put_zigzag(&mut self.section, base);
        }
        let mode = put_ints(&mut self.section, &self.cells);
        self.section[shape_at] = gauge_shape(mode, form, cells);
    }
}

fn cells_of(presence: &Presence) -> Cells {
    if presence.is_all_present() {
        Cells::All
    } else if presence.is_all_absent() {
        Cells::None
    } else {
        Cells::Bitmap
    }
}

fn put_presence(into: &mut Vec<u8>, presence: &Presence) {
    let start = into.len();
    for word in presence.words() {
        into.extend_from_slice(&word.to_le_bytes());
    }
    into.truncate(start + presence.len().div_ceil(8));
}

/// The verdict that all cells with a value have, of all columns together.
fn uniform_verdict(columns: &[CounterColumn]) -> Option<Verdict> {
    let mut found = None;
    for column in columns {
        let of_column = uniform_verdict_of(column)?;
        match (found, of_column) {
            (Some(one), Some(other)) if one != other => return None,
            (None, Some(other)) => found = Some(other),
            _ => {}
        }
    }
    Some(found.unwrap_or_default())
}

/// Outer `None`: they differ; inner `None`: there is no cell.
fn uniform_verdict_of(column: &CounterColumn) -> Option<Option<Verdict>> {
    if column.presence.is_all_present() {
        let first = column.verdicts.first().copied();
        let number = first.unwrap_or_default() as u8;
        // No short circuit: a whole column is compared in a few vector instructions.
        let difference = column
            .verdicts
            .iter()
            .fold(0, |bits, verdict| bits | (*verdict as u8 ^ number));
        return (difference == 0).then_some(first);
    }
    let cells = column.verdicts.iter().enumerate();
    let mut present = cells.filter(|(row, _)| column.presence.is_present(*row));
    let Some((_, first)) = present.next() else {
        return Some(None);
    };
    present
        .all(|(_, verdict)| verdict == first)
        .then_some(Some(*first))
}

/// One code, or a bitmap of the cells that are no plain rate and a nibble for each of them.
fn put_verdicts(into: &mut Vec<u8>, column: &CounterColumn) {
    if let Some(one) = uniform_verdict_of(column) {
        into.push(one.unwrap_or_default() as u8);
        return;
    }
    into.push(VERDICT_MIXED);
    let other = |row: usize| {
        let verdict = column.verdicts.get(row).copied().unwrap_or_default();
        let is_other = column.presence.is_present(row) && verdict != Verdict::Rate;
        is_other.then_some(verdict)
    };
    let rows = 0..column.verdicts.len();
    super::bits::put_bitmap(into, rows.clone().map(|row| other(row).is_some()));
    let mut half = None;
    for verdict in rows.filter_map(other) {
        match half.take() {
            None => half = Some(verdict as u8),
            Some(low) => into.push(low | (verdict as u8) << 4),
        }
    }
    into.extend(half);
}

/// Columns that have cells with an interval of their own.
fn put_own_dt(into: &mut Vec<u8>, columns: &[CounterColumn]) {
    let with_own = columns
        .iter()
        .filter(|column| !column.own_dt.is_empty())
        .count();
    put_varint(into, with_own as u64);
    for (index, column) in columns
        .iter()
        .enumerate()
        .filter(|(_, c)| !c.own_dt.is_empty())
    {
        put_varint(into, index as u64);
        put_varint(into, column.own_dt.len() as u64);
        let mut next_row = 0;
        for (row, dt_ms) in &column.own_dt {
            put_varint(into, u64::from(row - next_row));
            put_varint(into, u64::from(*dt_ms));
            next_row = row + 1;
        }
    }
}

fn put_partial(into: &mut Vec<u8>, partial: &Partial) {
    into.push(partial.cause.kind as u8);
    put_text(into, partial.cause.detail());
    let mut end = partial.reached.len().min(REACHED_BYTES_MAX);
    while !partial.reached.is_char_boundary(end) {
        end -= 1;
    }
    put_text(into, &partial.reached[..end]);
}

// === Shape ===

fn check_shape(batch: &Batch) -> Result<(), EncodeError> {
    let groups = batch.schema.groups.len();
    if batch.groups.len() != groups || batch.rows.groups.len() != groups {
        return Err(EncodeError::Shape {
            group: batch.groups.len(),
            what: "groups",
        });
    }
    let mut cells = 0usize;
    for (index, group) in batch.groups.iter().enumerate() {
        let schema = &batch.schema.groups[index];
        check_group(group, schema).map_err(|what| EncodeError::Shape { group: index, what })?;
        let table = &batch.rows.groups[index];
        let has_rows = if table.columns() == 0 {
            group.len() <= 1
        } else {
            group.len() == table.rows() && table.columns() == schema.dimensions.len()
        };
        if !has_rows {
            return Err(EncodeError::Shape {
                group: index,
                what: "rows",
            });
        }
        let columns = group.counters.len() + group.gauges.len();
        cells = cells.saturating_add(group.len().saturating_mul(columns.max(1)));
    }
    if cells > BATCH_CELLS_MAX {
        Err(EncodeError::TooLarge { cells })
    } else {
        Ok(())
    }
}

fn check_group(group: &GroupValues, schema: &GroupSchema) -> Result<(), &'static str> {
    let rows = group.len();
    if group.dt_ms.len() != rows {
        return Err("intervals");
    }
    if group.counters.len() != schema.counters.len() || group.gauges.len() != schema.gauges.len() {
        return Err("columns");
    }
    for column in &group.counters {
        let lengths = [
            column.values.len(),
            column.deltas.len(),
            column.verdicts.len(),
            column.presence.len(),
        ];
        if lengths.iter().any(|len| *len != rows) {
            return Err("a counter column");
        }
        if !is_ascending(&column.own_dt, rows) {
            return Err("own intervals");
        }
    }
    for column in &group.gauges {
        let len = match &column.values {
            ocelli_model::columns::GaugeValues::Int(values) => values.len(),
            ocelli_model::columns::GaugeValues::Float(values) => values.len(),
        };
        if len != rows || column.presence.len() != rows {
            return Err("a gauge column");
        }
    }
    Ok(())
}

fn is_ascending(own_dt: &[(u32, u32)], rows: usize) -> bool {
    own_dt.windows(2).all(|pair| pair[0].0 < pair[1].0)
        && own_dt.last().is_none_or(|(row, _)| (*row as usize) < rows)
}
