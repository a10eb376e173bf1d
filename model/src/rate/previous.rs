//! Previous values of one group, by row and source column.
//!
//! Does: keep value, time and chosen source of each row, match rows of two runs by key, carry rows
//! and cells over runs in which they were absent. Does not: judge (`judge`).
//! In: [`GroupRows`]. Out: lookups by (column, row).
//! Limits: a row that was not read for [`CARRY_INTERVALS`] intervals is forgotten, at most
//! [`CARRIED_ROWS_MAX`] are carried; beyond it the rest is forgotten and starts with `first`.

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use super::GroupRatePlan;
use crate::rows::{CounterWidth, GroupRows};

/// After so many intervals an absent row is forgotten. Past three its rate would be `stale` anyway;
/// keeping it a little longer tells `stale` from `first`.
const CARRY_INTERVALS: i64 = 10;
/// Absent rows kept beside those read; a churning table must not grow without end.
const CARRIED_ROWS_MAX: usize = 4_096;
/// No alternative was taken yet.
const NOT_CHOSEN: u8 = u8::MAX;
/// Where a row has no previous one.
const NO_ROW: u32 = u32::MAX;

/// Values of one source column in the width in which they were read: half of all counters are
/// 32 bits wide, and a big site keeps ten millions of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Values {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Default for Values {
    fn default() -> Self {
        Values::Narrow(Vec::new())
    }
}

impl Values {
    fn get(&self, row: usize) -> Option<u64> {
        match self {
            Values::Narrow(values) => values.get(row).map(|value| u64::from(*value)),
            Values::Wide(values) => values.get(row).copied(),
        }
    }

    fn reset(&mut self, width: CounterWidth) {
        match (&mut *self, width) {
            (Values::Narrow(values), CounterWidth::Bits32) => values.clear(),
            (Values::Wide(values), CounterWidth::Bits64) => values.clear(),
            (_, CounterWidth::Bits32) => *self = Values::Narrow(Vec::new()),
            (_, CounterWidth::Bits64) => *self = Values::Wide(Vec::new()),
        }
    }

    /// Appends; a value too wide for a narrow column widens it.
    fn push(&mut self, value: u64) {
        if let Values::Narrow(values) = self {
            if let Ok(narrow) = u32::try_from(value) {
                return values.push(narrow);
            }
            *self = Values::Wide(values.iter().map(|value| u64::from(*value)).collect());
        }
        if let Values::Wide(values) = self {
            values.push(value);
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Values::Narrow(values) => values.capacity() * size_of::<u32>(),
            Values::Wide(values) => values.capacity() * size_of::<u64>(),
        }
    }
}

/// One source column of the previous reads. Columns that were never read hold nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct PreviousColumn {
    values: Values,
    /// Rows without any previous value, ascending. Nearly always empty.
    never_read: Vec<u32>,
    /// (row, time ms) of values older than their row, ascending. Nearly always empty.
    older: Vec<(u32, i64)>,
    /// Set once a value was read.
    is_used: bool,
}

impl PreviousColumn {
    fn get(&self, row: usize, row_time_ms: i64) -> Option<(u64, i64)> {
        let key = u32::try_from(row).ok()?;
        if !self.is_used || self.never_read.binary_search(&key).is_ok() {
            return None;
        }
        let older = self.older.binary_search_by_key(&key, |(row, _)| *row);
        let time_ms = older.map_or(row_time_ms, |position| self.older[position].1);
        self.values.get(row).map(|value| (value, time_ms))
    }

    fn push(&mut self, cell: Option<(u64, i64)>, row_time_ms: i64, row: u32) {
        match cell {
            None => {
                self.never_read.push(row);
                self.values.push(0);
            }
            Some((value, time_ms)) => {
                self.is_used = true;
                if time_ms != row_time_ms {
                    self.older.push((row, time_ms));
                }
                self.values.push(value);
            }
        }
    }
}

/// Previous values of all rows of a group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct PreviousGroup {
    keys: Vec<u64>,
    time_ms: Vec<i64>,
    discontinuity_ticks: Vec<u32>,
    columns: Vec<PreviousColumn>,
    /// By choice with more than one alternative: the one taken, a row each.
    chosen: Vec<Vec<u8>>,
    /// The device started again since these were read, maybe in a slot without this group.
    is_before_restart: bool,
}

/// What the judge needs to know of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowFacts {
    pub(super) row: usize,
    pub(super) previous: Option<usize>,
    pub(super) time_ms: i64,
    pub(super) speed_bps: u64,
    pub(super) is_discontinuous: bool,
}

/// Which previous row each new row is.
#[derive(Debug, Clone, Default)]
pub(super) struct RowMatch {
    keys: Vec<u64>,
    previous: Vec<u32>,
    dt_ms: Vec<u32>,
    /// Rows that are not newer than their previous read: it stands.
    is_late: Vec<bool>,
    /// Previous rows that were not read now.
    absent: Vec<u32>,
    /// By choice with more than one alternative: the one taken now, a row each.
    chosen: Vec<Vec<u8>>,
}

impl RowMatch {
    /// Matches by key hash. Rows mostly come in the order of the last run: then no map is built.
    pub(super) fn align(
        &mut self,
        plan: &GroupRatePlan,
        read: &GroupRows,
        previous: &PreviousGroup,
    ) {
        self.keys.clear();
        self.previous.clear();
        self.dt_ms.clear();
        self.is_late.clear();
        self.absent.clear();
        let keys = (0..read.len()).map(|row| read.dimensions.row_hash(row, plan.key_columns));
        self.keys.extend(keys);
        if self.keys == previous.keys {
            let rows = u32::try_from(read.len()).unwrap_or(NO_ROW);
            self.previous.extend(0..rows);
        } else {
            self.align_by_map(previous);
        }
        for row in 0..read.len() {
            let before = self.previous(row).and_then(|row| previous.time_ms.get(row));
            let dt_ms = before.map(|before| read.time[row].0.saturating_sub(*before));
            self.is_late.push(dt_ms.is_some_and(|dt_ms| dt_ms <= 0));
            self.dt_ms
                .push(u32::try_from(dt_ms.unwrap_or(0).max(0)).unwrap_or(u32::MAX));
        }
        self.chosen.resize_with(plan.choices.len(), Vec::new);
        for (choice, taken) in plan.choices.iter().zip(&mut self.chosen) {
            taken.clear();
            if choice.sources.len() > 1 {
                taken.resize(read.len(), NOT_CHOSEN);
            }
        }
    }

    /// Keeps which alternative `choice` took in `row`.
    pub(super) fn choose(&mut self, choice: usize, row: usize, alternative: Option<u8>) {
        let place = self
            .chosen
            .get_mut(choice)
            .and_then(|taken| taken.get_mut(row));
        if let (Some(place), Some(alternative)) = (place, alternative) {
            *place = alternative;
        }
    }

    fn align_by_map(&mut self, previous: &PreviousGroup) {
        let rows = previous.keys.iter().zip(0u32..);
        let mut by_key: AHashMap<u64, u32> = rows.map(|(key, row)| (*key, row)).collect();
        // Taken out, so that two new rows of one key cannot both go on from one counter.
        let found = self
            .keys
            .iter()
            .map(|key| by_key.remove(key).unwrap_or(NO_ROW));
        self.previous.extend(found);
        self.absent.extend(by_key.into_values());
        self.absent.sort_unstable();
    }

    fn previous(&self, row: usize) -> Option<usize> {
        self.previous
            .get(row)
            .filter(|row| **row != NO_ROW)
            .map(|row| *row as usize)
    }

    pub(super) fn dt_ms(&self, row: usize) -> u32 {
        self.dt_ms.get(row).copied().unwrap_or(0)
    }

    pub(super) fn facts(&self, read: &GroupRows, previous: &PreviousGroup, row: usize) -> RowFacts {
        let previous_row = self.previous(row);
        let now = read.discontinuity_ticks.get(row);
        let before = previous_row.and_then(|row| previous.discontinuity_ticks.get(row));
        RowFacts {
            row,
            previous: previous_row,
            time_ms: read.time[row].0,
            speed_bps: read.speed_bps.get(row).copied().unwrap_or(0),
            is_discontinuous: now.is_some() && before.is_some() && now != before,
        }
    }
}

impl PreviousGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The device started again: differences to what stands here are worth nothing.
    pub(super) fn note_restart(&mut self) {
        self.is_before_restart = !self.is_empty();
    }

    /// Whether the device started again since these were read.
    pub(super) fn is_before_restart(&self) -> bool {
        self.is_before_restart
    }

    /// The previous value of a cell and the milliseconds from it to `now_ms`.
    pub(super) fn value(&self, column: usize, row: usize, now_ms: i64) -> Option<(u64, i64)> {
        let row_time_ms = *self.time_ms.get(row)?;
        let (value, time_ms) = self.columns.get(column)?.get(row, row_time_ms)?;
        Some((value, now_ms.saturating_sub(time_ms)))
    }

    /// The alternative that a choice took last in this row.
    pub(super) fn chosen(&self, choice: usize, row: usize) -> Option<u8> {
        let taken = self.chosen.get(choice)?.get(row).copied()?;
        (taken != NOT_CHOSEN).then_some(taken)
    }

    /// Puts what was read in the place of the previous values. Rows that are out of order keep
    /// their old ones; absent rows and cells are carried on, unless they are from before a restart.
    pub(super) fn replace(
        &mut self,
        plan: &GroupRatePlan,
        read: &GroupRows,
        rows: &mut RowMatch,
        interval_ms: u32,
    ) {
        self.columns
            .resize_with(plan.sources, PreviousColumn::default);
        let newest_ms = read
            .time
            .iter()
            .map(|time| time.0)
            .max()
            .unwrap_or(i64::MIN);
        let oldest_ms = newest_ms.saturating_sub(i64::from(interval_ms) * CARRY_INTERVALS);
        let is_kept = |row: &&u32| {
            self.time_ms
                .get(**row as usize)
                .is_some_and(|time_ms| *time_ms >= oldest_ms)
                && !self.is_before_restart
        };
        let carried: Vec<usize> = rows
            .absent
            .iter()
            .filter(is_kept)
            .take(CARRIED_ROWS_MAX)
            .map(|row| *row as usize)
            .collect();
        let time_of = |row: usize| {
            let before = rows.previous(row).filter(|_| rows.is_late[row]);
            let kept = before.and_then(|row| self.time_ms.get(row).copied());
            kept.unwrap_or(read.time[row].0)
        };
        let mut time_ms: Vec<i64> = (0..read.len()).map(time_of).collect();
        time_ms.extend(carried.iter().map(|row| self.time_ms[*row]));

        self.replace_columns(read, rows, (&carried, &time_ms));
        self.replace_choices(rows, &carried);
        self.replace_discontinuity(read, rows, &carried);
        let carried_keys: Vec<u64> = carried.iter().map(|row| self.keys[*row]).collect();
        self.keys.clone_from(&rows.keys);
        self.keys.extend(carried_keys);
        self.time_ms = time_ms;
        // Values that stand because their read was out of order are older than the restart still.
        self.is_before_restart &= rows.is_late.contains(&true);
    }

    fn replace_columns(
        &mut self,
        read: &GroupRows,
        rows: &RowMatch,
        (carried, time_ms): (&[usize], &[i64]),
    ) {
        let (old_times, is_before_restart) = (&self.time_ms, self.is_before_restart);
        for (position, column) in self.columns.iter_mut().enumerate() {
            let source = read.sources.get(position);
            if !column.is_used && source.is_none_or(|source| source.presence.is_all_absent()) {
                continue;
            }
            let before = std::mem::take(column);
            let old_cell = |row: usize| before.get(row, *old_times.get(row)?);
            column.is_used = before.is_used;
            column
                .values
                .reset(source.map_or(CounterWidth::Bits32, |source| source.width));
            for (row, number) in (0..read.len()).zip(0u32..) {
                let is_newer = !rows.is_late[row];
                let fresh = source
                    .and_then(|source| source.get(row))
                    .filter(|_| is_newer);
                let cell = match fresh {
                    Some(value) => Some((value, time_ms[row])),
                    None if is_newer && is_before_restart => None,
                    None => rows.previous(row).and_then(old_cell),
                };
                column.push(cell, time_ms[row], number);
            }
            for (row, new_row) in carried.iter().zip(read.len()..) {
                let number = u32::try_from(new_row).unwrap_or(NO_ROW);
                column.push(old_cell(*row), time_ms[new_row], number);
            }
        }
    }

    fn replace_choices(&mut self, rows: &mut RowMatch, carried: &[usize]) {
        self.chosen.resize_with(rows.chosen.len(), Vec::new);
        for (old, new) in self.chosen.iter_mut().zip(&mut rows.chosen) {
            if !new.is_empty() || !carried.is_empty() && !old.is_empty() {
                new.resize(rows.keys.len(), NOT_CHOSEN);
                new.extend(
                    carried
                        .iter()
                        .map(|row| old.get(*row).copied().unwrap_or(NOT_CHOSEN)),
                );
            }
            std::mem::swap(old, new);
        }
    }

    fn replace_discontinuity(&mut self, read: &GroupRows, rows: &RowMatch, carried: &[usize]) {
        if read.discontinuity_ticks.is_empty() && self.discontinuity_ticks.is_empty() {
            return;
        }
        let old = std::mem::take(&mut self.discontinuity_ticks);
        let old_of = |row: usize| old.get(row).copied().unwrap_or(0);
        let now = (0..rows.keys.len()).map(|row| {
            let read_now = read.discontinuity_ticks.get(row).copied();
            read_now.unwrap_or_else(|| rows.previous(row).map_or(0, old_of))
        });
        let carried = carried.iter().map(|row| old_of(*row));
        self.discontinuity_ticks = now.chain(carried).collect();
    }

    pub(super) fn shift_time(&mut self, by_ms: i64) {
        let older = self.columns.iter_mut().flat_map(|column| &mut column.older);
        let times = self
            .time_ms
            .iter_mut()
            .chain(older.map(|(_, time_ms)| time_ms));
        times.for_each(|time_ms| *time_ms = time_ms.saturating_add(by_ms));
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let columns = self.columns.iter().map(|column| {
            column.values.heap_bytes()
                + column.never_read.capacity() * size_of::<u32>()
                + column.older.capacity() * size_of::<(u32, i64)>()
        });
        let chosen = self.chosen.iter().map(Vec::capacity);
        columns.sum::<usize>()
            + chosen.sum::<usize>()
            + self.keys.capacity() * size_of::<u64>()
            + self.time_ms.capacity() * size_of::<i64>()
            + self.discontinuity_ticks.capacity() * size_of::<u32>()
    }
}
