//! Batches: what one collection produced, columnar, with rates judged.
//!
//! Does: hold values, deltas, verdicts and gauges of one slot, and compute the rate of a cell.
//! Does not: encode (`bus`), judge (`rate`), render JSON (`panoptes`).
//! In: the rate engine, or the decoder of a block. Out: readers, row by row or column by column.
//! Invariant: in a [`GroupValues`] each column is as long as `time`, and as the row set's section.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::WallMs;
use crate::columns::{DimensionTable, GaugeColumn, Presence};
use crate::rows::Partial;
use crate::schema::Schema;
use crate::slot::{Epoch, SlotMs};

/// What a counter's difference to its previous value is worth. Numbers are those on disk (a
/// nibble).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Verdict {
    /// A plain difference: emits a gauge.
    #[default]
    Rate = 0,
    /// A 32-bit counter passed zero, plausibly by its speed: emits a gauge.
    Wrapped = 1,
    /// No previous value, or another source than before.
    First = 2,
    /// The device, the line card or the counter started again.
    Reset = 3,
    /// More than three intervals since the previous value.
    Stale = 4,
    /// Time did not advance.
    Clock = 5,
    /// More than twice what the interface can carry.
    Implausible = 6,
}

impl Verdict {
    /// Every verdict, by number.
    pub const ALL: [Verdict; 7] = [
        Verdict::Rate,
        Verdict::Wrapped,
        Verdict::First,
        Verdict::Reset,
        Verdict::Stale,
        Verdict::Clock,
        Verdict::Implausible,
    ];

    /// Whether a gauge is emitted.
    #[must_use]
    pub fn has_rate(self) -> bool {
        matches!(self, Verdict::Rate | Verdict::Wrapped)
    }

    /// The name in records and explanations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Rate => "rate",
            Verdict::Wrapped => "wrapped",
            Verdict::First => "first",
            Verdict::Reset => "reset",
            Verdict::Stale => "stale",
            Verdict::Clock => "clock",
            Verdict::Implausible => "implausible",
        }
    }

    /// The verdict with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// A counter column: value, difference to the previous value, and what the difference is worth.
/// Cells that are absent hold 0, 0 and [`Verdict::First`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CounterColumn {
    /// Values, modulo 2^64.
    pub values: Vec<u64>,
    /// Differences to the previous value, wraps corrected; 0 where the verdict has no rate.
    pub deltas: Vec<u64>,
    /// One a row.
    pub verdicts: Vec<Verdict>,
    /// Which rows have a value.
    pub presence: Presence,
    /// (row, dt in ms), ascending by row: cells whose previous value is not of the row's previous
    /// time, because the cell was absent then. Nearly always empty.
    pub own_dt: Vec<(u32, u32)>,
}

impl CounterColumn {
    /// Forgets all cells, keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.deltas.clear();
        self.verdicts.clear();
        self.presence.clear();
        self.own_dt.clear();
    }

    /// Appends a cell without a value.
    pub fn push_absent(&mut self) {
        self.presence.push(false);
        self.values.push(0);
        self.deltas.push(0);
        self.verdicts.push(Verdict::First);
    }

    /// Appends a value; `delta` must be 0 where the verdict has no rate.
    pub fn push(&mut self, value: u64, delta: u64, verdict: Verdict) {
        debug_assert!(
            verdict.has_rate() || delta == 0,
            "{verdict:?} carries no delta"
        );
        self.presence.push(true);
        self.values.push(value);
        self.deltas.push(delta);
        self.verdicts.push(verdict);
    }
}

/// Values of one group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupValues {
    /// When the response that held the row came.
    pub time: Vec<WallMs>,
    /// Milliseconds since the row's previous values; 0 for a row that has none.
    pub dt_ms: Vec<u32>,
    /// In the schema's order.
    pub counters: Vec<CounterColumn>,
    /// In the schema's order.
    pub gauges: Vec<GaugeColumn>,
}

impl GroupValues {
    /// Rows of the group.
    #[must_use]
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether the group has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Milliseconds over which `counter` grew by its delta in `row`.
    #[must_use]
    pub fn dt_of(&self, counter: usize, row: usize) -> u32 {
        let own = self
            .counters
            .get(counter)
            .map_or(&[][..], |column| &column.own_dt);
        let of_row = || self.dt_ms.get(row).copied().unwrap_or(0);
        let found = own.iter().find(|(own_row, _)| *own_row as usize == row);
        found.map_or_else(of_row, |(_, dt_ms)| *dt_ms)
    }

    /// The rate of `counter` in `row`, per second, if its verdict has one.
    #[must_use]
    pub fn rate(&self, counter: usize, row: usize) -> Option<f64> {
        let column = self.counters.get(counter)?;
        let has_rate = column.verdicts.get(row)?.has_rate() && column.presence.is_present(row);
        has_rate.then(|| rate_of(column.deltas[row], self.dt_of(counter, row)))
    }
}

/// Rate formula 1: `delta × 1000 / dt`, per second, each operand rounded to f64 once.
/// The same on every reader, bit for bit.
#[must_use]
pub fn rate_of(delta: u64, dt_ms: u32) -> f64 {
    if dt_ms == 0 {
        0.0
    } else {
        delta as f64 * 1_000.0 / f64::from(dt_ms)
    }
}

/// The rows of a batch: dimensions of each row of each group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowSet {
    /// A section for each group of the schema. A group without dimensions has one row at most,
    /// which stands in no table.
    pub groups: Vec<DimensionTable>,
}

/// One slot's data of one (resource, plugin); who they are stands in the record around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The slot that it fills.
    pub slot: SlotMs,
    /// Interval of the slots, ms.
    pub interval_ms: u32,
    /// The plan entry that gave the poller the right.
    pub epoch: Epoch,
    /// When the collection ended.
    pub time: WallMs,
    /// Set if something that was asked for is missing.
    pub partial: Option<Partial>,
    /// What the columns mean.
    pub schema: Arc<Schema>,
    /// What the rows mean.
    pub rows: Arc<RowSet>,
    /// A section for each group of the schema.
    pub groups: Vec<GroupValues>,
}

impl Batch {
    /// Names and values of a row's dimensions: its own in the schema's order, without those that
    /// are absent, then the schema's tags by name.
    pub fn dimensions_of(&self, group: usize, row: usize) -> impl Iterator<Item = (&str, &str)> {
        let table = self.rows.groups.get(group);
        let defined = self.schema.groups.get(group);
        let columns = defined.map_or(&[][..], |group| &group.dimensions);
        let own = columns.iter().enumerate().filter_map(move |(column, of)| {
            let value = table?.get(row, column)?;
            Some((of.name.as_str(), value))
        });
        let tags = self.schema.tags.iter();
        own.chain(tags.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Samples in the batch: counters, gauges and rates that readers see.
    #[must_use]
    pub fn sample_count(&self) -> SampleCount {
        let mut count = SampleCount::default();
        for group in &self.groups {
            for column in &group.counters {
                count.counters += column.presence.present_count();
                let cells = column.verdicts.iter().enumerate();
                count.rates += cells
                    .filter(|(row, verdict)| verdict.has_rate() && column.presence.is_present(*row))
                    .count();
            }
            count.gauges += group
                .gauges
                .iter()
                .map(|column| column.presence.present_count())
                .sum::<usize>();
        }
        count
    }
}

/// How many values of each sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SampleCount {
    /// Counter values.
    pub counters: usize,
    /// Gauges that were read.
    pub gauges: usize,
    /// Gauges made of counters.
    pub rates: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_a_verdict_and_takes_the_cells_own_dt_first() {
        let mut column = CounterColumn::default();
        column.push(600, 600, Verdict::Rate);
        column.push(5, 0, Verdict::Reset);
        column.push(90, 90, Verdict::Wrapped);
        column.push_absent();
        column.own_dt.push((2, 180_000));
        let group = GroupValues {
            time: vec![WallMs(0); 4],
            dt_ms: vec![60_000; 4],
            counters: vec![column],
            gauges: vec![],
        };
        let rates: Vec<_> = (0..5).map(|row| group.rate(0, row)).collect();
        assert_eq!(rates, [Some(10.0), None, Some(0.5), None, None]);
    }

    #[test]
    fn a_rate_is_not_cut_to_an_integer() {
        assert_eq!(
            rate_of(59, 60_000).to_bits(),
            (59.0_f64 * 1_000.0 / 60_000.0).to_bits()
        );
        assert_eq!(rate_of(1, 0), 0.0);
    }
}
