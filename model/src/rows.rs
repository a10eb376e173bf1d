//! Rows: what one run of a polling plugin read, before rates.
//!
//! Does: hold raw source columns, gauges and dimensions, columnar, with the evidence that the rate
//! engine judges by. Does not: hold rates or previous values (`rate`), name resource or slot (the
//! actor knows them).
//! In: a plugin, cell by cell. Out: [`Rows`] to the actor that asked, which hands the memory back.
//! Invariant: in a [`GroupRows`] each column is as long as `time`.

use crate::clock::WallMs;
use crate::columns::{DimensionTable, GaugeColumn, Presence};
use crate::gap::GapCause;

/// How wide a counter is on the wire: what a wrap adds to a negative difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CounterWidth {
    /// Wraps at 2^32.
    Bits32,
    /// Wraps at 2^64, which no interface reaches: a decrease is a reset.
    #[default]
    Bits64,
}

/// One counter as the device gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceColumn {
    /// Values; absent cells hold 0 and mean nothing.
    pub values: Vec<u64>,
    /// Which of them were read.
    pub presence: Presence,
    /// Width by the wire type (Counter32 or Counter64).
    pub width: CounterWidth,
}

impl SourceColumn {
    /// Forgets all cells, keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.presence.clear();
    }

    /// Appends a cell.
    pub fn push(&mut self, value: Option<u64>) {
        self.presence.push(value.is_some());
        self.values.push(value.unwrap_or(0));
    }

    /// The value of `row`, if it was read.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<u64> {
        self.presence
            .is_present(row)
            .then(|| self.values.get(row).copied())
            .flatten()
    }
}

/// What was read of one group of the plugin's schema.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupRows {
    /// Dimensions of each row, in the schema's order; without columns for a group of one row.
    pub dimensions: DimensionTable,
    /// When the response that held the row came.
    pub time: Vec<WallMs>,
    /// Raw counters, in the order of the plan's sources.
    pub sources: Vec<SourceColumn>,
    /// Gauges, in the schema's order.
    pub gauges: Vec<GaugeColumn>,
    /// Speed of what the row counts, bit/s, 0 if not known; judges wraps and jumps. Empty: no row
    /// has one.
    pub speed_bps: Vec<u64>,
    /// `ifCounterDiscontinuityTime` (TimeTicks); a change between two reads is a reset.
    /// Empty: no row has one.
    pub discontinuity_ticks: Vec<u32>,
}

impl GroupRows {
    /// Rows read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether no row was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }
}

/// What the device said about its own life during the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionFacts {
    /// sysUpTime in hundredths of a second, modulo 2^32.
    pub sys_uptime_ticks: Option<u32>,
    /// snmpEngineBoots of the authoritative engine.
    pub engine_boots: Option<u32>,
    /// snmpEngineTime in seconds, when read.
    pub engine_time_s: Option<u32>,
}

/// Why a batch is not whole, and how far the run came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// The cause that would have been the gap's, had nothing been read.
    pub cause: GapCause,
    /// The last thing read: an OID, a file, a URL; empty if that says nothing.
    pub reached: String,
}

/// One run's reading.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// A section for each group of the schema, in its order.
    pub groups: Vec<GroupRows>,
    /// Evidence of reboots.
    pub facts: SessionFacts,
    /// Set if something that was asked for is missing.
    pub partial: Option<Partial>,
}

impl Rows {
    /// Rows in all groups together.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.groups.iter().map(GroupRows::len).sum()
    }
}
