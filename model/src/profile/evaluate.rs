//! A group's plan applied to what was read: raw table in, rows out.
//!
//! Does: compute `let` lines, filter, name, and emit each row's dimensions, sources and gauges.
//! Does not: ask, judge counters, know other groups.
//! In: [`GroupPlan`], [`Readings`], facts of enrichment. Out: `GroupRows`, filled in place.
//! Invariant: a missing cell, column or row makes only what rests on it missing; the rows that come
//! out do not depend on the order in which cells were put. Rows whose dimensions rest on a cell
//! that was not read (`unread`) are left out: they would be other series.
//! Cost: one pass over the rows (two where rows are named or filtered); no allocation once the
//! buffers have grown, but for rows that share a name.

use std::sync::Arc;

use super::identity::Names;
use super::lower::ENRICHED_MAX;
use super::plan::{DimensionPlan, DimensionValue, Format, GroupPlan, MissingPlan};
use super::program::{Cell, Input, Inputs, LETS_MAX, Program};
use super::render::render;
use super::table::RawTable;
use super::unread::Unread;
use crate::clock::WallMs;
use crate::columns::GaugeColumn;
use crate::enrichment::EnrichmentGroup;
use crate::filter::{Filter, Values};
use crate::rows::{CounterWidth, GroupRows, SourceColumn};
use crate::schema::DIMENSIONS_MAX;

/// Whole numbers of this size and above are not exact in an `f64`.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What was read for a group.
#[derive(Debug, Clone, Copy)]
pub struct Readings<'a> {
    /// One row: a column for each scalar of the group.
    pub scalars: &'a RawTable,
    /// A column for each of the group's columns.
    pub table: &'a RawTable,
    /// What enrichment knows of the resource; of two groups of one namespace the first counts.
    pub facts: &'a [Arc<EnrichmentGroup>],
}

/// The values of one row.
pub(super) struct Row<'a> {
    pub(super) readings: Readings<'a>,
    pub(super) row: usize,
    enriched: [Cell<'a>; ENRICHED_MAX],
}

impl<'a> Inputs<'a> for Row<'a> {
    fn input(&self, input: Input) -> Cell<'a> {
        match input {
            Input::Column(column) => self.readings.table.cell(usize::from(column), self.row),
            Input::Scalar(scalar) => self.readings.scalars.cell(usize::from(scalar), 0),
            Input::Index(arc) => {
                let arc = self
                    .readings
                    .table
                    .index(self.row)
                    .and_then(|index| index.get(usize::from(arc)).copied());
                arc.map_or(Cell::Missing, |arc| Cell::Number(f64::from(arc)))
            }
            Input::Enriched(at) => self
                .enriched
                .get(usize::from(at))
                .copied()
                .unwrap_or(Cell::Missing),
            Input::Let(_) => Cell::Missing,
        }
    }
}

type Lets<'a> = [Cell<'a>; LETS_MAX];

/// Buffers of an evaluation; any plan may use any.
#[derive(Debug, Default)]
pub struct Evaluator {
    /// Rows that pass the plan's filter, in table order.
    pub(super) selected: Vec<u32>,
    names: Names,
    label: String,
    /// Dimensions of one row, one after the other, and where each ends.
    texts: String,
    ends: Vec<usize>,
}

impl Evaluator {
    /// Replaces `into` by the rows of `group`. Rows without identity, and rows whose dimensions
    /// `keep` refuses (its vocabulary: the group's dimensions), are left out.
    pub fn evaluate(
        &mut self,
        group: &GroupPlan,
        readings: Readings<'_>,
        keep: Option<&Filter>,
        into: &mut GroupRows,
    ) {
        begin(group, into);
        self.select(group, readings);
        for position in 0..self.selected.len() {
            let row = self.row(group, readings, position);
            let lets = lets_of(group, &row);
            self.render_dimensions(group, (&row, &lets), position);
            if keep.is_some_and(|keep| !self.is_kept(keep)) {
                continue;
            }
            self.push_dimensions(into);
            push_values(group, (&row, &lets), into);
        }
    }

    /// Positions in the table of the rows that pass the plan's filter, have an identity and are
    /// kept by `keep`: what is worth reading further columns of.
    pub fn kept_rows(
        &mut self,
        group: &GroupPlan,
        readings: Readings<'_>,
        keep: &Filter,
        into: &mut Vec<usize>,
    ) {
        into.clear();
        self.select(group, readings);
        for position in 0..self.selected.len() {
            let row = self.row(group, readings, position);
            let lets = lets_of(group, &row);
            self.render_dimensions(group, (&row, &lets), position);
            if self.is_kept(keep) {
                into.push(row.row);
            }
        }
    }

    /// Whether some row wants `column`, which has a condition; columns without one always are.
    #[must_use]
    pub fn wants_column(&self, group: &GroupPlan, column: usize, table: &RawTable) -> bool {
        (0..table.rows()).any(|row| wants_cell(group, (column, row), table))
    }

    /// Names that several rows of the last evaluation shared before they were told apart, and how
    /// many rows each.
    #[must_use]
    pub fn ambiguous_names(&self) -> &[(String, usize)] {
        self.names.ambiguous()
    }

    /// Bytes held, for memory accounting.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let words = self.selected.capacity() * size_of::<u32>();
        words + self.names.heap_bytes() + self.label.capacity() + self.texts.capacity()
    }

    /// Finds the rows that pass the filter and names them.
    fn select(&mut self, group: &GroupPlan, readings: Readings<'_>) {
        self.selected.clear();
        let rows = match group.walks.is_empty() {
            true => readings.scalars.rows().min(1),
            false => readings.table.rows(),
        };
        for row in 0..rows {
            // Rows are limited to 2^20.
            self.selected.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        if let Some(filter) = &group.filter {
            let mut kept = 0;
            for position in 0..self.selected.len() {
                let row = self.row(group, readings, position);
                if filter.run(&row, &lets_of(group, &row)).is_true() {
                    self.selected[kept] = self.selected[position];
                    kept += 1;
                }
            }
            self.selected.truncate(kept);
        }
        self.names.clear();
        if let Some(chain) = identity_of(group) {
            self.names
                .name_rows(group, readings.table, (chain, &mut self.selected));
        } else if readings.table.has_cuts() {
            let unread = Unread::of(group, readings.table);
            self.selected.retain(|row| !unread.touches(*row));
        }
    }

    fn row<'a>(&mut self, group: &GroupPlan, readings: Readings<'a>, position: usize) -> Row<'a> {
        let row = self.selected.get(position).map_or(0, |row| *row as usize);
        let mut enriched = [Cell::Missing; ENRICHED_MAX];
        if !group.enriched.is_empty() {
            write_label(readings.table.index(row).unwrap_or(&[]), &mut self.label);
            for (cell, plan) in enriched.iter_mut().zip(&group.enriched) {
                let known = readings
                    .facts
                    .iter()
                    .find(|facts| facts.namespace() == plan.namespace)
                    .and_then(|facts| facts.value(&self.label, &plan.key));
                *cell = known.map_or(Cell::Missing, cell_of_fact);
            }
        }
        Row {
            readings,
            row,
            enriched,
        }
    }

    fn render_dimensions<'a>(
        &mut self,
        group: &'a GroupPlan,
        (row, lets): (&Row<'a>, &Lets<'a>),
        position: usize,
    ) {
        self.texts.clear();
        self.ends.clear();
        for dimension in &group.dimensions {
            let before = self.texts.len();
            match &dimension.value {
                DimensionValue::Identity(_) => self.texts.push_str(self.names.of(position)),
                DimensionValue::Program(program) => {
                    let cell = program.run(row, lets);
                    let format = format_of(group, program);
                    render_dimension(cell, format, dimension, &mut self.texts);
                }
            }
            if let MissingPlan::Placeholder { text, .. } = &group.missing
                && self.texts.len() == before
            {
                self.texts.push_str(text);
            }
            self.ends.push(self.texts.len());
        }
    }

    fn is_kept(&self, keep: &Filter) -> bool {
        let mut values = [None; DIMENSIONS_MAX];
        let mut start = 0;
        for (value, end) in values.iter_mut().zip(&self.ends) {
            *value = self.texts.get(start..*end).filter(|text| !text.is_empty());
            start = *end;
        }
        keep.matches(&Values(&values[..self.ends.len().min(DIMENSIONS_MAX)]))
    }

    fn push_dimensions(&self, into: &mut GroupRows) {
        let mut start = 0;
        for end in &self.ends {
            into.dimensions
                .push(self.texts.get(start..*end).unwrap_or(""));
            start = *end;
        }
    }
}

/// Whether the (column, row) is worth reading: true for columns without a condition, and where it
/// is not known whether it holds.
pub(super) fn wants_cell(
    group: &GroupPlan,
    (column, row): (usize, usize),
    table: &RawTable,
) -> bool {
    let column = group.columns.get(column);
    let Some(condition) = column.and_then(|column| column.when.as_ref()) else {
        return true;
    };
    let nothing = RawTable::default();
    let readings = Readings {
        scalars: &nothing,
        table,
        facts: &[],
    };
    let row = Row {
        readings,
        row,
        enriched: [Cell::Missing; ENRICHED_MAX],
    };
    let wanted = condition.run(&row, &[]);
    wanted.is_missing() || wanted.is_true()
}

/// The chain of the dimension that tells rows apart, if the group has one.
pub(super) fn identity_of(group: &GroupPlan) -> Option<&[Input]> {
    group
        .dimensions
        .iter()
        .find_map(|dimension| match &dimension.value {
            DimensionValue::Identity(chain) => Some(&chain[..]),
            DimensionValue::Program(_) => None,
        })
}

/// The format of the column that a program hands through.
fn format_of(group: &GroupPlan, program: &Program) -> Format {
    match program.handed_through() {
        Some(Input::Column(column)) => {
            let column = group.columns.get(usize::from(column));
            column.map_or(Format::Text, |column| column.format)
        }
        _ => Format::Text,
    }
}

fn render_dimension(cell: Cell<'_>, format: Format, plan: &DimensionPlan, into: &mut String) {
    if let (Some(map), Cell::Number(number)) = (&plan.map, cell)
        && number.fract() == 0.0
        && number.abs() < EXACT_MAX
        && let Some(name) = map.get(&whole(number))
    {
        return into.push_str(name);
    }
    render(cell, format, plan.is_ascii, into);
}

fn lets_of<'a>(group: &'a GroupPlan, row: &Row<'a>) -> Lets<'a> {
    let mut lets = [Cell::Missing; LETS_MAX];
    for (position, program) in group.lets.iter().enumerate().take(LETS_MAX) {
        lets[position] = program.run(row, &lets[..position]);
    }
    lets
}

fn cell_of_fact(fact: &serde_json::Value) -> Cell<'_> {
    match fact {
        serde_json::Value::Number(number) => number.as_f64().map_or(Cell::Missing, Cell::Number),
        serde_json::Value::String(text) => Cell::Text(text.as_bytes()),
        _ => Cell::Missing,
    }
}

fn write_label(index: &[u32], label: &mut String) {
    use std::fmt::Write as _;
    label.clear();
    for (position, arc) in index.iter().enumerate() {
        let dot = if position == 0 { "" } else { "." };
        // Writing to a string cannot fail.
        write!(label, "{dot}{arc}").unwrap_or_default();
    }
}

/// Clears `into` and gives it the group's columns.
fn begin(group: &GroupPlan, into: &mut GroupRows) {
    into.dimensions.reset(group.dimensions.len());
    into.time.clear();
    into.sources
        .resize_with(group.sources.len(), SourceColumn::default);
    for source in &mut into.sources {
        source.clear();
        source.width = CounterWidth::Bits32;
    }
    into.gauges
        .resize_with(group.gauges.len(), GaugeColumn::default);
    into.gauges.iter_mut().for_each(GaugeColumn::clear);
    into.speed_bps.clear();
    into.discontinuity_ticks.clear();
}

fn push_values<'a>(group: &'a GroupPlan, (row, lets): (&Row<'a>, &Lets<'a>), into: &mut GroupRows) {
    into.time.push(time_of(group, row));
    for (plan, column) in group.sources.iter().zip(&mut into.sources) {
        let read = row
            .readings
            .table
            .counter(usize::from(plan.column), row.row);
        let is_open = || {
            plan.guards
                .iter()
                .all(|guard| guard.run(row, lets).is_true())
        };
        let read = read.filter(|_| is_open());
        if let Some((_, CounterWidth::Bits64)) = read {
            column.width = CounterWidth::Bits64;
        }
        column.push(read.map(|(value, _)| value));
    }
    for (program, column) in group.gauges.iter().zip(&mut into.gauges) {
        match (program.run(row, lets), &group.missing) {
            (Cell::Number(number), _) => push_number(column, number),
            (_, MissingPlan::Placeholder { value, .. }) => push_number(column, *value),
            (_, MissingPlan::Skip) => column.push_absent(),
        }
    }
    if let Some(speed) = &group.speed {
        let number = speed.run(row, lets).number().unwrap_or(0.0);
        into.speed_bps
            .push(whole(number.clamp(0.0, EXACT_MAX)).unsigned_abs());
    }
    if let Some(discontinuity) = &group.discontinuity {
        let number = discontinuity.run(row, lets).number().unwrap_or(0.0);
        let ticks = whole(number.clamp(0.0, f64::from(u32::MAX)));
        into.discontinuity_ticks
            .push(u32::try_from(ticks).unwrap_or(0));
    }
}

fn time_of(group: &GroupPlan, row: &Row<'_>) -> WallMs {
    match group.walks.is_empty() {
        true => row.readings.scalars.time(0),
        false => row.readings.table.time(row.row),
    }
}

fn push_number(column: &mut GaugeColumn, number: f64) {
    if number.fract() == 0.0 && number.abs() < EXACT_MAX {
        column.push_int(whole(number));
    } else {
        column.push_float(number);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "callers checked: at most 2^53 either way"
)]
pub(super) fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
