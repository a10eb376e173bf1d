//! Walks the columns of a section in order, decoding some and stepping over others.
//!
//! Does: times, verdicts, counters, gauges, exceptions, each checked before memory is taken.
//! Does not: find sections (`decode`), unpack numbers (`ints`).
//! In: a section's bytes behind its number of rows. Out: columns as long as that number.

use ocelli_model::batch::{CounterColumn, GroupValues, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{GaugeColumn, GaugeValues};

use super::bits::{bit_at, spread};
use super::gauges::{Form, is_exponent, to_float};
use super::ints::{Mode, read_bitmap, read_ints, set_rows, skip_ints};
use super::section::{Cells, VERDICT_MIXED, read_counter_shape, read_gauge_shape};
use crate::wire::{Cursor, WireError};

/// Where a walk begins.
pub(super) struct SectionStart<'a> {
    pub(super) body: &'a [u8],
    pub(super) rows: usize,
    pub(super) batch_time: i64,
    pub(super) has_counters: bool,
}

/// Walks a section's columns in order.
pub(super) struct Walk<'a> {
    pub(super) cursor: Cursor<'a>,
    rows: usize,
    verdict: u8,
    cells: Vec<u64>,
}

impl<'a> Walk<'a> {
    /// Begins behind the number of rows: reads or steps over times and the group's verdict.
    pub(super) fn begin(
        start: &SectionStart<'a>,
        times: Option<&mut GroupValues>,
    ) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(start.body);
        let unknown_flags = cursor.error("section flags of this version");
        if cursor.u8("section flags")? != 0 {
            return Err(unknown_flags);
        }
        let rows = start.rows;
        let mut walk = Self {
            cursor,
            rows,
            verdict: 0,
            cells: Vec::new(),
        };
        match times {
            Some(group) => walk.read_times(start.batch_time, group)?,
            None => walk.skip_times()?,
        }
        if start.has_counters {
            let error = walk.cursor.error("a verdict");
            walk.verdict = walk.cursor.u8("a verdict")?;
            if walk.verdict != VERDICT_MIXED && Verdict::from_number(walk.verdict).is_none() {
                return Err(error);
            }
        }
        Ok(walk)
    }

    fn mode(&mut self) -> Result<Mode, WireError> {
        let error = self.cursor.error("a column mode");
        Mode::from_number(self.cursor.u8("a column mode")?).ok_or(error)
    }

    fn read_times(&mut self, batch_time: i64, group: &mut GroupValues) -> Result<(), WireError> {
        let least = self
            .cursor
            .zigzag("the first row time")?
            .wrapping_add(batch_time);
        let mode = self.mode()?;
        read_ints(&mut self.cursor, mode, self.rows, &mut self.cells)?;
        let time = |cell: &u64| WallMs(least.wrapping_add(cell.cast_signed()));
        group.time.extend(self.cells.iter().map(time));
        self.cells.clear();
        let error = self.cursor.error("intervals below 2^32 ms");
        let mode = self.mode()?;
        read_ints(&mut self.cursor, mode, self.rows, &mut self.cells)?;
        let all_bits = self.cells.iter().fold(0, |bits, cell| bits | cell);
        if all_bits > u64::from(u32::MAX) {
            return Err(error);
        }
        group.dt_ms.extend(
            self.cells
                .iter()
                .map(|cell| u32::try_from(*cell).unwrap_or(0)),
        );
        Ok(())
    }

    fn skip_times(&mut self) -> Result<(), WireError> {
        self.cursor.zigzag("the first row time")?;
        for _ in 0..2 {
            let mode = self.mode()?;
            skip_ints(&mut self.cursor, mode, self.rows)?;
        }
        Ok(())
    }

    fn presence(&mut self, cells: Cells) -> Result<(Option<&'a [u8]>, usize), WireError> {
        match cells {
            Cells::All => Ok((None, self.rows)),
            Cells::None => Ok((None, 0)),
            Cells::Bitmap => {
                let (bitmap, ones) = read_bitmap(&mut self.cursor, self.rows)?;
                Ok((Some(bitmap), ones))
            }
        }
    }

    fn counter_shape(&mut self) -> Result<(Mode, Mode, Cells), WireError> {
        let error = self.cursor.error("a counter's shape");
        read_counter_shape(self.cursor.u8("a counter's shape")?).ok_or(error)
    }

    pub(super) fn read_counter(&mut self, into: &mut CounterColumn) -> Result<(), WireError> {
        let (values, deltas, cells) = self.counter_shape()?;
        let (bitmap, count) = self.presence(cells)?;
        match bitmap {
            Some(bitmap) => into.presence.assign_bits(bitmap, self.rows),
            None => into.presence.assign_all(cells == Cells::All, self.rows),
        }
        self.read_verdicts(cells, bitmap, &mut into.verdicts)?;
        for (mode, numbers) in [(values, &mut into.values), (deltas, &mut into.deltas)] {
            read_ints(&mut self.cursor, mode, count, numbers)?;
            match bitmap {
                Some(bitmap) => spread(numbers, 0, bitmap, self.rows),
                None => numbers.resize(self.rows, 0),
            }
        }
        Ok(())
    }

    pub(super) fn skip_counter(&mut self) -> Result<(), WireError> {
        let (values, deltas, cells) = self.counter_shape()?;
        let (_, count) = self.presence(cells)?;
        self.verdict_codes(cells)?;
        skip_ints(&mut self.cursor, values, count)?;
        skip_ints(&mut self.cursor, deltas, count)
    }

    /// The column's code, and for mixed ones the bitmap and nibbles.
    fn verdict_codes(&mut self, cells: Cells) -> Result<VerdictCodes<'a>, WireError> {
        if self.verdict != VERDICT_MIXED || cells == Cells::None {
            let verdict = Verdict::from_number(self.verdict).unwrap_or(Verdict::First);
            return Ok(VerdictCodes::One(verdict));
        }
        let error = self.cursor.error("a verdict");
        let code = self.cursor.u8("a verdict")?;
        if code != VERDICT_MIXED {
            return Verdict::from_number(code)
                .map(VerdictCodes::One)
                .ok_or(error);
        }
        let (bitmap, ones) = read_bitmap(&mut self.cursor, self.rows)?;
        let nibbles = self.cursor.take(ones.div_ceil(2), "verdicts")?;
        Ok(VerdictCodes::Mixed { bitmap, nibbles })
    }

    fn read_verdicts(
        &mut self,
        cells: Cells,
        presence: Option<&[u8]>,
        into: &mut Vec<Verdict>,
    ) -> Result<(), WireError> {
        let error = self.cursor.error("verdicts");
        match self.verdict_codes(cells)? {
            VerdictCodes::One(verdict) => {
                let verdict = if cells == Cells::None {
                    Verdict::First
                } else {
                    verdict
                };
                into.resize(self.rows, verdict);
            }
            VerdictCodes::Mixed { bitmap, nibbles } => {
                into.resize(self.rows, Verdict::Rate);
                for (index, row) in set_rows(bitmap, self.rows).enumerate() {
                    let code = nibbles[index / 2] >> (index % 2 * 4) & 0xF;
                    into[row] = Verdict::from_number(code).ok_or_else(|| error.clone())?;
                }
            }
        }
        if let Some(presence) = presence {
            for row in (0..self.rows).filter(|row| !bit_at(presence, *row)) {
                into[row] = Verdict::First;
            }
        }
        Ok(())
    }

    fn gauge_head(&mut self) -> Result<GaugeHead<'a>, WireError> {
        let error = self.cursor.error("a gauge's shape");
        let shape = self.cursor.u8("a gauge's shape")?;
        let (mode, mut form, cells) = read_gauge_shape(shape).ok_or(error)?;
        let (bitmap, count) = self.presence(cells)?;
        if let Form::Decimal { exponent } = &mut form {
            let error = self.cursor.error("a decimal exponent of 0 to 9");
            *exponent = self.cursor.u8("a decimal exponent")?;
            if !is_exponent(*exponent) {
                return Err(error);
            }
        }
        let has_base = form != Form::Raw && cells != Cells::None;
        let base = if has_base {
            self.cursor.zigzag("a gauge's base")?
        } else {
            0
        };
        Ok(GaugeHead {
            mode,
            form,
            cells,
            bitmap,
            count,
            base,
        })
    }

    pub(super) fn skip_gauge(&mut self) -> Result<(), WireError> {
        let head = self.gauge_head()?;
        skip_ints(&mut self.cursor, head.mode, head.count)
    }

    pub(super) fn read_gauge(&mut self, into: &mut GaugeColumn) -> Result<(), WireError> {
        let head = self.gauge_head()?;
        match head.bitmap {
            Some(bitmap) => into.presence.assign_bits(bitmap, self.rows),
            None => into
                .presence
                .assign_all(head.cells == Cells::All, self.rows),
        }
        self.cells.clear();
        let error = self.cursor.error("finite numbers");
        read_ints(&mut self.cursor, head.mode, head.count, &mut self.cells)?;
        let base = head.base.cast_unsigned();
        match head.form {
            Form::Int => {
                let mut values = take_ints(&mut into.values);
                values.extend(
                    self.cells
                        .iter()
                        .map(|cell| cell.wrapping_add(base).cast_signed()),
                );
                fill_rows(&mut values, &head, self.rows);
                into.values = GaugeValues::Int(values);
            }
            Form::Decimal { exponent } => {
                let value = |cell: &u64| to_float(cell.wrapping_add(base).cast_signed(), exponent);
                let mut values = take_floats(&mut into.values);
                values.extend(self.cells.iter().map(value));
                fill_rows(&mut values, &head, self.rows);
                into.values = GaugeValues::Float(values);
            }
            Form::Raw => {
                let mut values = take_floats(&mut into.values);
                values.extend(self.cells.iter().map(|cell| f64::from_bits(*cell)));
                if !values.iter().all(|value| value.is_finite()) {
                    return Err(error);
                }
                fill_rows(&mut values, &head, self.rows);
                into.values = GaugeValues::Float(values);
            }
        }
        Ok(())
    }

    pub(super) fn read_own_dt(&mut self, columns: &mut [CounterColumn]) -> Result<(), WireError> {
        let with_own = self
            .cursor
            .varint_usize(columns.len(), "a number of columns")?;
        let mut next_column = 0;
        for _ in 0..with_own {
            let error = self.cursor.error("an ascending column index");
            let index = self.cursor.varint_usize(columns.len(), "a column index")?;
            let column = columns
                .get_mut(index)
                .filter(|_| index >= next_column)
                .ok_or(error)?;
            next_column = index + 1;
            let count = self
                .cursor
                .varint_usize(self.rows, "a number of intervals")?;
            let mut next_row = 0u64;
            for _ in 0..count {
                let error = self.cursor.error("a row of the section");
                let row = next_row.saturating_add(self.cursor.varint("a row")?);
                let row = u32::try_from(row)
                    .ok()
                    .filter(|row| (*row as usize) < self.rows);
                let row = row.ok_or(error)?;
                column
                    .own_dt
                    .push((row, self.cursor.varint_u32("an interval")?));
                next_row = u64::from(row) + 1;
            }
        }
        Ok(())
    }
}

enum VerdictCodes<'a> {
    One(Verdict),
    Mixed { bitmap: &'a [u8], nibbles: &'a [u8] },
}

struct GaugeHead<'a> {
    mode: Mode,
    form: Form,
    cells: Cells,
    bitmap: Option<&'a [u8]>,
    count: usize,
    base: i64,
}

/// The integer values' memory, emptied.
fn take_ints(values: &mut GaugeValues) -> Vec<i64> {
    match std::mem::replace(values, GaugeValues::Int(Vec::new())) {
        GaugeValues::Int(mut values) => {
            values.clear();
            values
        }
        GaugeValues::Float(_) => Vec::new(),
    }
}

/// The float values' memory, emptied.
fn take_floats(values: &mut GaugeValues) -> Vec<f64> {
    match std::mem::replace(values, GaugeValues::Int(Vec::new())) {
        GaugeValues::Float(mut values) => {
            values.clear();
            values
        }
        GaugeValues::Int(_) => Vec::new(),
    }
}

/// Absent cells hold zero.
fn fill_rows<T: Copy + Default>(values: &mut Vec<T>, head: &GaugeHead<'_>, rows: usize) {
    match head.bitmap {
        Some(bitmap) => spread(values, 0, bitmap, rows),
        None => values.resize(rows, T::default()),
    }
}
