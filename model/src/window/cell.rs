//! What a window keeps of one gauge of one row.
//!
//! Does: take values in the order of their slots, say last, least, largest, sum and number.
//! Does not: know names or rows (`group`).
//! In: whole or finite numbers. Out: cells of gauge columns.
//! Whole numbers stay whole, sum included while it fits 64 bit.

use crate::columns::{GaugeColumn, GaugeValues};

/// Which of a window's numbers a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Last,
    Least,
    Largest,
    Sum,
    Count,
}

impl Part {
    /// All of a gauge, `Last` under the gauge's own name.
    pub(super) const ALL: [(Part, &'static str); 5] = [
        (Part::Last, ""),
        (Part::Least, "_min"),
        (Part::Largest, "_max"),
        (Part::Sum, "_sum"),
        (Part::Count, "_count"),
    ];
}

/// A number as a gauge column holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The number of a cell, if it was read.
    pub(super) fn of(column: &GaugeColumn, row: usize) -> Option<Self> {
        if !column.presence.is_present(row) {
            return None;
        }
        match &column.values {
            GaugeValues::Int(values) => values.get(row).copied().map(Number::Int),
            GaugeValues::Float(values) => values.get(row).copied().map(Number::Float),
        }
    }

    fn float(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    fn push(self, into: &mut GaugeColumn) {
        match self {
            Number::Int(value) => into.push_int(value),
            Number::Float(value) => into.push_float(value),
        }
    }

    fn lesser(self, other: Self) -> Self {
        match (self, other) {
            (Number::Int(one), Number::Int(two)) => Number::Int(one.min(two)),
            (one, two) => Number::Float(one.float().min(two.float())),
        }
    }

    fn larger(self, other: Self) -> Self {
        match (self, other) {
            (Number::Int(one), Number::Int(two)) => Number::Int(one.max(two)),
            (one, two) => Number::Float(one.float().max(two.float())),
        }
    }
}

/// All that is kept of one cell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    count: u64,
    known: Option<Known>,
    /// Of whole numbers, as long as there are no others: 2^63 values of 64 bit fit.
    whole: i128,
    sum: f64,
    has_floats: bool,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    last: Number,
    least: Number,
    largest: Number,
}

impl Cell {
    /// Takes the next value, in the order of slots.
    pub(super) fn take(&mut self, number: Number) {
        self.count += 1;
        self.sum += number.float();
        match number {
            Number::Int(value) => self.whole += i128::from(value),
            Number::Float(_) => self.has_floats = true,
        }
        let known = self.known.unwrap_or(Known {
            last: number,
            least: number,
            largest: number,
        });
        self.known = Some(Known {
            last: number,
            least: known.least.lesser(number),
            largest: known.largest.larger(number),
        });
    }

    /// Appends one of its numbers; an absent cell if no value came.
    pub(super) fn push(&self, part: Part, into: &mut GaugeColumn) {
        let Some(known) = self.known else {
            return into.push_absent();
        };
        match part {
            Part::Last => known.last.push(into),
            Part::Least => known.least.push(into),
            Part::Largest => known.largest.push(into),
            Part::Sum => self.sum().push(into),
            Part::Count => into.push_int(i64::try_from(self.count).unwrap_or(i64::MAX)),
        }
    }

    fn sum(&self) -> Number {
        match i64::try_from(self.whole) {
            Ok(whole) if !self.has_floats => Number::Int(whole),
            _ => Number::Float(self.sum),
        }
    }
}
