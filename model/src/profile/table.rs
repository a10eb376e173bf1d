//! What a device answered, before it means anything: a table of raw cells joined by row index.
//!
//! Does: take cells in any order from any walk, find their row, keep texts in one arena.
//! Does not: know profiles (`evaluate` does) or SNMP's encoding (`plugins` translates values).
//! In: (column, index, value, time). Out: cells by (column, row). Clearing keeps the memory, so a
//! run that reads what the last one read allocates nothing.
//! Invariant: a cell belongs to the row of its index; a hole stays a hole and moves nothing else.

use xxhash_rust::xxh3::xxh3_64;

use super::program::Cell;
use crate::clock::WallMs;
use crate::columns::ROWS_MAX;
use crate::rows::CounterWidth;

/// Longest text of a cell, bytes; what follows is cut (`sysDescr` has 255 at most).
pub const CELL_BYTES_MAX: usize = 1_024;
/// Most bytes of texts and of indexes of one table; cells beyond it are refused.
pub const ARENA_BYTES_MAX: usize = 64 << 20;

/// A value as read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RawValue<'a> {
    /// Signed.
    Integer(i32),
    /// Gauges, ticks.
    Unsigned(u32),
    /// Wraps at 2^32.
    Counter32(u32),
    /// Wraps at 2^64.
    Counter64(u64),
    /// From `Opaque`.
    Float(f64),
    /// Octets, and whatever else has a text.
    Text(&'a [u8]),
}

/// Why a cell was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the table has more than {ROWS_MAX} rows or {ARENA_BYTES_MAX} bytes of text")]
pub struct TableFull;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
enum Tag {
    #[default]
    Missing,
    Integer,
    Unsigned,
    Counter32,
    Counter64,
    Float,
    Text,
}

#[derive(Debug, Clone, Default)]
struct RawColumn {
    tags: Vec<Tag>,
    /// The number's bits; offset (high half) and length of a text.
    bits: Vec<u64>,
    /// The row that the next cell of a walk most likely belongs to.
    expected_row: usize,
    /// Whether reading ended before the column's end.
    is_cut: bool,
}

/// Raw cells.
#[derive(Debug, Clone, Default)]
pub struct RawTable {
    columns: Vec<RawColumn>,
    texts: Vec<u8>,
    arcs: Vec<u32>,
    /// Per row: where its index ends in `arcs`.
    arc_ends: Vec<u32>,
    times: Vec<WallMs>,
    /// Per row: whether `times` is that of a counter.
    is_counter_time: Vec<bool>,
    /// Open addressing: row + 1 by hash of its index; a power of two of places, at most half full.
    places: Vec<u32>,
}

impl RawTable {
    /// Forgets all cells, keeps the memory, takes a number of columns.
    pub fn reset(&mut self, columns: usize) {
        self.columns.resize_with(columns, RawColumn::default);
        for column in &mut self.columns {
            column.tags.clear();
            column.bits.clear();
            column.expected_row = 0;
            column.is_cut = false;
        }
        self.texts.clear();
        self.arcs.clear();
        self.arc_ends.clear();
        self.times.clear();
        self.is_counter_time.clear();
        self.places.fill(0);
    }

    /// Rows of which at least one cell was read.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.arc_ends.len()
    }

    /// Puts a cell; a later one replaces it. Columns out of range are ignored.
    ///
    /// # Errors
    /// [`TableFull`] beyond [`ROWS_MAX`] or [`ARENA_BYTES_MAX`]: nothing is put.
    pub fn put(
        &mut self,
        column: usize,
        index: &[u32],
        value: RawValue<'_>,
        time: WallMs,
    ) -> Result<(), TableFull> {
        let Some(expected) = self.columns.get(column).map(|column| column.expected_row) else {
            return Ok(());
        };
        let row = match self.index(expected) == Some(index) {
            true => expected,
            false => self.find_or_add(index, time)?,
        };
        let (tag, bits) = match value {
            RawValue::Integer(value) => (Tag::Integer, i64::from(value).cast_unsigned()),
            RawValue::Unsigned(value) => (Tag::Unsigned, u64::from(value)),
            RawValue::Counter32(value) => (Tag::Counter32, u64::from(value)),
            RawValue::Counter64(value) => (Tag::Counter64, value),
            RawValue::Float(value) => (Tag::Float, value.to_bits()),
            RawValue::Text(octets) => (Tag::Text, self.keep_text(octets)?),
        };
        self.set((column, row), (tag, bits), time);
        self.columns[column].expected_row = row + 1;
        Ok(())
    }

    /// Puts at `to` (column, row that there is) what stands at `from` (column, row) of another
    /// table, if anything does.
    ///
    /// # Errors
    /// [`TableFull`] as [`Self::put`].
    pub fn copy_cell(
        &mut self,
        to: (usize, usize),
        other: &RawTable,
        from: (usize, usize),
    ) -> Result<(), TableFull> {
        let Some((tag, mut bits)) = other.raw(from.0, from.1) else {
            return Ok(());
        };
        if tag == Tag::Text {
            bits = self.keep_text(other.text_at(bits))?;
        }
        if tag != Tag::Missing && to.1 < self.rows() {
            self.set(to, (tag, bits), other.time(from.1));
        }
        Ok(())
    }

    /// Notes that reading of `column` ended before its end: where it has no cell behind the last
    /// one that was put, nobody knows whether there is one. Columns out of range are ignored.
    pub fn cut(&mut self, column: usize) {
        if let Some(column) = self.columns.get_mut(column) {
            column.is_cut = true;
        }
    }

    /// Whether any column was cut.
    #[must_use]
    pub fn has_cuts(&self) -> bool {
        self.columns.iter().any(|column| column.is_cut)
    }

    /// Whether the cell is not there because it was not read. Agents answer in the order of
    /// indexes, so a hole before the last cell of a column is one of the agent's.
    #[must_use]
    pub fn is_unread(&self, column: usize, row: usize) -> bool {
        let Some(cut) = self.columns.get(column).filter(|column| column.is_cut) else {
            return false;
        };
        let is_missing = cut.tags.get(row).is_none_or(|tag| *tag == Tag::Missing);
        let last = cut.expected_row.checked_sub(1);
        is_missing && last.is_none_or(|last| self.index(row) > self.index(last))
    }

    /// The index of `row`.
    #[must_use]
    pub fn index(&self, row: usize) -> Option<&[u32]> {
        let end = *self.arc_ends.get(row)? as usize;
        let start = match row {
            0 => 0,
            _ => self.arc_ends[row - 1] as usize,
        };
        self.arcs.get(start..end)
    }

    /// When the reply came that held the row's first counter, or its first cell.
    #[must_use]
    pub fn time(&self, row: usize) -> WallMs {
        self.times.get(row).copied().unwrap_or_default()
    }

    /// A cell; counters as numbers. Above 2^53 they are rounded: see [`RawTable::counter`].
    #[must_use]
    pub fn cell(&self, column: usize, row: usize) -> Cell<'_> {
        let Some((tag, bits)) = self.raw(column, row) else {
            return Cell::Missing;
        };
        match tag {
            Tag::Missing => Cell::Missing,
            Tag::Integer => Cell::Number(bits.cast_signed() as f64),
            Tag::Unsigned | Tag::Counter32 | Tag::Counter64 => Cell::Number(bits as f64),
            Tag::Float => match f64::from_bits(bits) {
                number if number.is_finite() => Cell::Number(number),
                _ => Cell::Missing,
            },
            Tag::Text => Cell::Text(self.text_at(bits)),
        }
    }

    /// A cell as a counter, exactly. Gauges and integers that are not negative count as 32 bits
    /// wide: some agents give counters so.
    #[must_use]
    pub fn counter(&self, column: usize, row: usize) -> Option<(u64, CounterWidth)> {
        let (tag, bits) = self.raw(column, row)?;
        match tag {
            Tag::Counter64 => Some((bits, CounterWidth::Bits64)),
            Tag::Counter32 | Tag::Unsigned => Some((bits, CounterWidth::Bits32)),
            Tag::Integer if bits.cast_signed() >= 0 => Some((bits, CounterWidth::Bits32)),
            _ => None,
        }
    }

    /// Whether any row has a cell in `column`.
    #[must_use]
    pub fn has_column(&self, column: usize) -> bool {
        self.columns
            .get(column)
            .is_some_and(|column| !column.tags.is_empty())
    }

    /// Bytes held, for memory accounting.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let columns = self.columns.iter();
        let cells: usize = columns
            .map(|column| column.tags.capacity() + column.bits.capacity() * size_of::<u64>())
            .sum();
        let words = self.arcs.capacity() + self.arc_ends.capacity() + self.places.capacity();
        let times = self.times.capacity() * size_of::<WallMs>() + self.is_counter_time.capacity();
        cells + words * size_of::<u32>() + times + self.texts.capacity()
    }

    fn raw(&self, column: usize, row: usize) -> Option<(Tag, u64)> {
        let column = self.columns.get(column)?;
        Some((*column.tags.get(row)?, *column.bits.get(row)?))
    }

    /// Sets a cell of a row that there is; columns out of range are ignored.
    fn set(&mut self, (column, row): (usize, usize), (tag, bits): (Tag, u64), time: WallMs) {
        let Some(column) = self.columns.get_mut(column) else {
            return;
        };
        if column.tags.len() <= row {
            column.tags.resize(row + 1, Tag::Missing);
            column.bits.resize(row + 1, 0);
        }
        column.tags[row] = tag;
        column.bits[row] = bits;
        if matches!(tag, Tag::Counter32 | Tag::Counter64) && !self.is_counter_time[row] {
            self.is_counter_time[row] = true;
            self.times[row] = time;
        }
    }

    fn text_at(&self, bits: u64) -> &[u8] {
        let place = |half: u64| usize::try_from(half & u64::from(u32::MAX)).unwrap_or(0);
        let (offset, length) = (place(bits >> 32), place(bits));
        self.texts.get(offset..offset + length).unwrap_or(&[])
    }

    fn keep_text(&mut self, octets: &[u8]) -> Result<u64, TableFull> {
        let octets = &octets[..octets.len().min(CELL_BYTES_MAX)];
        if self.texts.len() + octets.len() > ARENA_BYTES_MAX {
            return Err(TableFull);
        }
        let offset = self.texts.len() as u64;
        self.texts.extend_from_slice(octets);
        Ok(offset << 32 | octets.len() as u64)
    }

    fn find_or_add(&mut self, index: &[u32], time: WallMs) -> Result<usize, TableFull> {
        if self.places.len() < (self.rows() + 1) * 2 {
            self.grow_places();
        }
        let mask = self.places.len() - 1;
        let mut place = hash_of(index) & mask;
        // Ends at a free place: at most half of them are taken.
        loop {
            match self.places[place] {
                0 => break,
                row if self.index(row as usize - 1) == Some(index) => return Ok(row as usize - 1),
                _ => place = (place + 1) & mask,
            }
        }
        let arcs_end = self.arcs.len() + index.len();
        if self.rows() >= ROWS_MAX || arcs_end * size_of::<u32>() > ARENA_BYTES_MAX {
            return Err(TableFull);
        }
        self.arcs.extend_from_slice(index);
        // Both fit: they are bounded by the limits above.
        self.arc_ends
            .push(u32::try_from(arcs_end).unwrap_or(u32::MAX));
        self.places[place] = u32::try_from(self.rows()).unwrap_or(u32::MAX);
        self.times.push(time);
        self.is_counter_time.push(false);
        Ok(self.rows() - 1)
    }

    fn grow_places(&mut self) {
        let wanted = (self.places.len() * 2).max(64);
        self.places.clear();
        self.places.resize(wanted, 0);
        for row in 0..self.rows() {
            let mut place = hash_of(self.index(row).unwrap_or(&[])) & (wanted - 1);
            while self.places[place] != 0 {
                place = (place + 1) & (wanted - 1);
            }
            self.places[place] = u32::try_from(row + 1).unwrap_or(u32::MAX);
        }
    }
}

fn hash_of(index: &[u32]) -> usize {
    // Most indexes are one arc: a multiplication spreads them better than a copy and a hash.
    let hash = match index {
        [arc] => u64::from(*arc).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20,
        arcs => {
            let mut hash = arcs.len() as u64;
            for arc in arcs {
                hash = xxh3_64(&(hash ^ u64::from(*arc)).to_le_bytes());
            }
            hash
        }
    };
    usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
