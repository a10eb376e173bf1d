//! Columns: the shapes in which values travel from a plugin to a batch.
//!
//! Does: presence bits, gauge columns, the arena of dimension texts. Does not: know what a column
//! means (`schema`), where it came from (`rows`) or how it is stored (`bus`).
//! In: cells row by row. Out: columns of equal length. Clearing keeps the memory, so that a
//! collection allocates nothing once its columns have grown to their size.

use xxhash_rust::xxh3::xxh3_64;

/// Most rows of one group in one batch; what is read beyond them makes the batch partial.
pub const ROWS_MAX: usize = 1 << 20;
/// Longest dimension value, bytes; what is longer is cut at a character.
pub const DIMENSION_BYTES_MAX: usize = 1_024;

// === Presence ===

/// Which cells of a column hold a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence {
    words: Vec<u64>,
    len: usize,
    absent: usize,
}

impl Presence {
    /// Forgets all cells, keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
        self.absent = 0;
    }

    /// Appends a cell.
    pub fn push(&mut self, is_present: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if is_present {
            self.words[self.len / 64] |= 1 << (self.len % 64);
        } else {
            self.absent += 1;
        }
        self.len += 1;
    }

    /// Appends `count` cells that hold a value.
    pub fn push_all_present(&mut self, count: usize) {
        if self.is_empty() {
            self.assign_all(true, count);
        } else {
            (0..count).for_each(|_| self.push(true));
        }
    }

    /// Replaces all cells by `count` that hold a value, or that hold none.
    pub fn assign_all(&mut self, is_present: bool, count: usize) {
        self.words.clear();
        self.words
            .resize(count.div_ceil(64), if is_present { u64::MAX } else { 0 });
        self.len = count;
        self.absent = if is_present { 0 } else { count };
        self.clear_behind_the_end();
    }

    /// Replaces all cells by `count` whose bits stand in `bitmap`, the first in the lowest bit of
    /// the first byte. Bytes that are missing are cells without a value; bits behind are ignored.
    pub fn assign_bits(&mut self, bitmap: &[u8], count: usize) {
        self.words.clear();
        self.words
            .extend(bitmap.chunks(8).take(count.div_ceil(64)).map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(word)
            }));
        self.words.resize(count.div_ceil(64), 0);
        self.len = count;
        self.clear_behind_the_end();
        let present: usize = self
            .words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum();
        self.absent = count - present;
    }

    fn clear_behind_the_end(&mut self) {
        let used = self.len % 64;
        if let Some(last) = self.words.last_mut().filter(|_| used > 0) {
            *last &= u64::MAX >> (64 - used);
        }
    }

    /// Whether cell `row` holds a value; `false` beyond the end.
    #[must_use]
    pub fn is_present(&self, row: usize) -> bool {
        self.words
            .get(row / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Cells appended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no cell was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether each cell holds a value.
    #[must_use]
    pub fn is_all_present(&self) -> bool {
        self.absent == 0
    }

    /// Whether no cell holds a value.
    #[must_use]
    pub fn is_all_absent(&self) -> bool {
        self.absent == self.len
    }

    /// How many cells hold a value.
    #[must_use]
    pub fn present_count(&self) -> usize {
        self.len - self.absent
    }

    /// 64 cells a word, the first cell in the lowest bit; bits beyond the end are zero.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

// === Gauges ===

/// Values of a gauge column. A column is of integers as long as all its values are.
#[derive(Debug, Clone, PartialEq)]
pub enum GaugeValues {
    /// Whole numbers.
    Int(Vec<i64>),
    /// Finite numbers.
    Float(Vec<f64>),
}

/// A gauge column: a value a row, present or not. Absent cells hold 0 and mean nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct GaugeColumn {
    /// The values.
    pub values: GaugeValues,
    /// Which of them were read.
    pub presence: Presence,
}

impl Default for GaugeColumn {
    fn default() -> Self {
        Self {
            values: GaugeValues::Int(Vec::new()),
            presence: Presence::default(),
        }
    }
}

impl GaugeColumn {
    /// Forgets all cells; the column is of integers again.
    pub fn clear(&mut self) {
        self.presence.clear();
        match &mut self.values {
            GaugeValues::Int(values) => values.clear(),
            GaugeValues::Float(_) => self.values = GaugeValues::Int(Vec::new()),
        }
    }

    /// Appends a whole number.
    pub fn push_int(&mut self, value: i64) {
        self.presence.push(true);
        match &mut self.values {
            GaugeValues::Int(values) => values.push(value),
            GaugeValues::Float(values) => values.push(value as f64),
        }
    }

    /// Appends a number; NaN and infinities are absent cells.
    pub fn push_float(&mut self, value: f64) {
        if !value.is_finite() {
            return self.push_absent();
        }
        self.presence.push(true);
        if let GaugeValues::Int(values) = &self.values {
            self.values = GaugeValues::Float(values.iter().map(|value| *value as f64).collect());
        }
        if let GaugeValues::Float(values) = &mut self.values {
            values.push(value);
        }
    }

    /// Appends a cell that was not read.
    pub fn push_absent(&mut self) {
        self.presence.push(false);
        match &mut self.values {
            GaugeValues::Int(values) => values.push(0),
            GaugeValues::Float(values) => values.push(0.0),
        }
    }

    /// The value of `row` as a float, if it was read.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<f64> {
        if !self.presence.is_present(row) {
            return None;
        }
        match &self.values {
            GaugeValues::Int(values) => values.get(row).map(|value| *value as f64),
            GaugeValues::Float(values) => values.get(row).copied(),
        }
    }
}

// === Dimensions ===

/// Dimension values of many rows in one arena, row by row. An empty text is an absent dimension
/// (Panoptes knows no empty ones).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DimensionTable {
    columns: usize,
    ends: Vec<u32>,
    text: String,
}

impl DimensionTable {
    /// A table without rows, of `columns` dimensions a row.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            ends: Vec::new(),
            text: String::new(),
        }
    }

    /// Forgets all rows, keeps the memory, takes a new number of dimensions.
    pub fn reset(&mut self, columns: usize) {
        self.columns = columns;
        self.ends.clear();
        self.text.clear();
    }

    /// Appends a cell (empty: absent); cells come row by row. Cut to [`DIMENSION_BYTES_MAX`].
    pub fn push(&mut self, value: &str) {
        let mut end = value.len().min(DIMENSION_BYTES_MAX);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&value[..end]);
        let total = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.ends.push(total);
    }

    /// Dimensions of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whole rows; a table without dimensions has none (its group has one row at most).
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ends.len().checked_div(self.columns).unwrap_or(0)
    }

    /// The value at (row, column), `None` if it is absent or out of range.
    #[must_use]
    pub fn get(&self, row: usize, column: usize) -> Option<&str> {
        if column >= self.columns {
            return None;
        }
        let cell = row * self.columns + column;
        let text = self.slice(cell, cell + 1)?;
        (!text.is_empty()).then_some(text)
    }

    /// Stable hash of the first `columns` dimensions of a row: its identity within the group when
    /// they are the key dimensions, its content when they are all.
    #[must_use]
    pub fn row_hash(&self, row: usize, columns: usize) -> u64 {
        let first = row * self.columns;
        let columns = columns.min(self.columns);
        let text = self.slice(first, first + columns).unwrap_or("");
        let base = if first == 0 { 0 } else { self.ends[first - 1] };
        // Lengths go in too, or ("ab", "") and ("a", "b") would be one row.
        let mut hash = xxh3_64(text.as_bytes());
        for end in self.ends.iter().skip(first).take(columns) {
            hash =
                (hash.rotate_left(5) ^ u64::from(end - base)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        hash
    }

    /// Bytes held, for memory accounting.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Gives memory beyond the content back; for tables that are kept.
    pub fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    fn slice(&self, first_cell: usize, end_cell: usize) -> Option<&str> {
        let start = if first_cell == 0 {
            0
        } else {
            *self.ends.get(first_cell - 1)? as usize
        };
        let end = if end_cell == 0 {
            0
        } else {
            *self.ends.get(end_cell - 1)? as usize
        };
        self.text.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_counts_across_words() {
        let mut presence = Presence::default();
        for row in 0..130 {
            presence.push(row % 3 != 0);
        }
        assert_eq!((presence.len(), presence.present_count()), (130, 86));
        assert!(!presence.is_present(129) && presence.is_present(128) && !presence.is_present(500));
        assert!(!presence.is_all_present() && !presence.is_all_absent());
    }

    #[test]
    fn presence_assigned_at_once_equals_presence_pushed_cell_by_cell() {
        for count in [0usize, 1, 63, 64, 65, 200] {
            let mut pushed = Presence::default();
            (0..count).for_each(|row| pushed.push(row % 3 == 0));
            let bytes: Vec<u8> = pushed
                .words()
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            let mut assigned = Presence::default();
            assigned.push(true);
            let dirty: Vec<u8> = bytes.iter().copied().chain([0xFF]).collect();
            assigned.assign_bits(&dirty, count);
            assert_eq!(assigned, pushed, "{count} cells");
            for is_present in [true, false] {
                let mut pushed = Presence::default();
                (0..count).for_each(|_| pushed.push(is_present));
                assigned.assign_all(is_present, count);
                assert_eq!(assigned, pushed, "{count} cells, all {is_present}");
            }
        }
    }

    #[test]
    fn a_gauge_column_turns_to_floats_at_the_first_fraction_and_refuses_nan() {
        let mut column = GaugeColumn::default();
        column.push_int(7);
        column.push_absent();
        column.push_float(f64::NAN);
        assert!(matches!(column.values, GaugeValues::Int(_)));
        column.push_float(0.5);
        let read: Vec<_> = (0..5).map(|row| column.get(row)).collect();
        assert_eq!(read, [Some(7.0), None, None, Some(0.5), None]);
    }

    #[test]
    fn rows_that_differ_only_in_where_a_cell_ends_have_other_hashes() {
        let mut table = DimensionTable::new(2);
        for cell in ["ab", "", "a", "b", "ab", "x", "ab", ""] {
            table.push(cell);
        }
        assert_eq!(table.rows(), 4);
        assert_ne!(table.row_hash(0, 2), table.row_hash(1, 2));
        assert_eq!(
            table.row_hash(0, 2),
            table.row_hash(3, 2),
            "equal rows, equal hash"
        );
        assert_eq!(
            table.row_hash(0, 1),
            table.row_hash(2, 1),
            "equal keys, equal identity"
        );
        assert_eq!((table.get(0, 1), table.get(2, 1)), (None, Some("x")));
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let mut table = DimensionTable::new(1);
        table.push(&"ä".repeat(DIMENSION_BYTES_MAX));
        table.push(&format!("x{}", "ä".repeat(DIMENSION_BYTES_MAX)));
        assert_eq!(table.get(0, 0).map(str::len), Some(DIMENSION_BYTES_MAX));
        assert_eq!(table.get(1, 0).map(str::len), Some(DIMENSION_BYTES_MAX - 1));
    }
}
