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
use super::column::PreviousColumn;
use super::judge::Judge;
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

/// Previous values of all rows of a group.
#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
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

impl Clone for PreviousGroup {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        clone.clone_from(self);
        clone
    }

    /// Keeps the memory of `self`: in the steady state nothing is allocated.
    fn clone_from(&mut self, source: &Self) {
        self.keys.clone_from(&source.keys);
        self.time_ms.clone_from(&source.time_ms);
        self.discontinuity_ticks
            .clone_from(&source.discontinuity_ticks);
        self.columns.clone_from(&source.columns);
        self.chosen.clone_from(&source.chosen);
        self.is_before_restart = source.is_before_restart;
    }
}

impl PreviousGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
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

    /// Becomes what `before` is after `read`. Rows that are out of order keep their old values;
    /// absent rows and cells are carried on, unless they are from before a restart.
    pub(super) fn follow(
        &mut self,
        before: &PreviousGroup,
        (plan, read): (&GroupRatePlan, &GroupRows),
        rows: &RowMatch,
        judge: Judge,
    ) {
        let newest_ms = read.time.iter().map(|time| time.0).max();
        let carried_ms = i64::from(judge.interval_ms) * CARRY_INTERVALS;
        let oldest_ms = newest_ms.unwrap_or(i64::MIN).saturating_sub(carried_ms);
        let is_kept = |row: &&u32| {
            let time_ms = before.time_ms.get(**row as usize);
            !judge.is_rebooted && time_ms.is_some_and(|time_ms| *time_ms >= oldest_ms)
        };
        let kept = rows.absent.iter().filter(is_kept).take(CARRIED_ROWS_MAX);
        let carried: Vec<usize> = kept.map(|row| *row as usize).collect();

        self.time_ms.clear();
        let time_of = |row: usize| {
            let late = rows.previous(row).filter(|_| rows.is_late[row]);
            let kept = late.and_then(|row| before.time_ms.get(row).copied());
            kept.unwrap_or(read.time[row].0)
        };
        self.time_ms.extend((0..read.len()).map(time_of));
        self.time_ms
            .extend(carried.iter().map(|row| before.time_ms[*row]));
        self.keys.clone_from(&rows.keys);
        self.keys
            .extend(carried.iter().map(|row| before.keys[*row]));
        self.columns
            .resize_with(plan.sources, PreviousColumn::default);
        self.follow_columns(before, read, rows, (&carried, judge.is_rebooted));
        self.follow_choices(before, rows, &carried);
        self.follow_discontinuity(before, read, rows, &carried);
        // Values that stand because their read was out of order are older than the restart still.
        self.is_before_restart = judge.is_rebooted && rows.is_late.contains(&true);
    }

    fn follow_columns(
        &mut self,
        before: &PreviousGroup,
        read: &GroupRows,
        rows: &RowMatch,
        (carried, is_before_restart): (&[usize], bool),
    ) {
        let time_ms = &self.time_ms;
        let unread = PreviousColumn::default();
        for (position, column) in self.columns.iter_mut().enumerate() {
            let source = read.sources.get(position);
            let old = before.columns.get(position).unwrap_or(&unread);
            column.reset(source.map_or(CounterWidth::Bits32, |source| source.width));
            column.is_used = old.is_used;
            if !old.is_used && source.is_none_or(|source| source.presence.is_all_absent()) {
                continue;
            }
            let old_cell = |row: usize| old.get(row, *before.time_ms.get(row)?);
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

    fn follow_choices(&mut self, before: &PreviousGroup, rows: &RowMatch, carried: &[usize]) {
        self.chosen.resize_with(rows.chosen.len(), Vec::new);
        for (choice, (next, taken)) in self.chosen.iter_mut().zip(&rows.chosen).enumerate() {
            next.clone_from(taken);
            let Some(old) = before.chosen.get(choice) else {
                continue;
            };
            if !taken.is_empty() || !carried.is_empty() && !old.is_empty() {
                next.resize(rows.keys.len(), NOT_CHOSEN);
                let of_row = |row: &usize| old.get(*row).copied().unwrap_or(NOT_CHOSEN);
                next.extend(carried.iter().map(of_row));
            }
        }
    }

    fn follow_discontinuity(
        &mut self,
        before: &PreviousGroup,
        read: &GroupRows,
        rows: &RowMatch,
        carried: &[usize],
    ) {
        self.discontinuity_ticks.clear();
        let old = &before.discontinuity_ticks;
        if read.discontinuity_ticks.is_empty() && old.is_empty() {
            return;
        }
        let old_of = |row: usize| old.get(row).copied().unwrap_or(0);
        let now = (0..rows.keys.len()).map(|row| {
            let read_now = read.discontinuity_ticks.get(row).copied();
            read_now.unwrap_or_else(|| rows.previous(row).map_or(0, old_of))
        });
        let carried = carried.iter().map(|row| old_of(*row));
        self.discontinuity_ticks.extend(now.chain(carried));
    }

    /// As [`Clone::clone_from`], for a run in which nothing of the group was read.
    pub(super) fn stand(&mut self, before: &PreviousGroup, is_before_restart: bool) {
        self.clone_from(before);
        self.is_before_restart = is_before_restart;
    }

    pub(super) fn shift_time(&mut self, by_ms: i64) {
        for time_ms in &mut self.time_ms {
            *time_ms = time_ms.saturating_add(by_ms);
        }
        let columns = self.columns.iter_mut();
        columns.for_each(|column| column.shift_time(by_ms));
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let columns = self.columns.iter().map(PreviousColumn::heap_bytes);
        let inline = self.columns.capacity() * size_of::<PreviousColumn>();
        let chosen = self.chosen.iter().map(Vec::capacity);
        inline
            + columns.sum::<usize>()
            + chosen.sum::<usize>()
            + self.keys.capacity() * size_of::<u64>()
            + self.time_ms.capacity() * size_of::<i64>()
            + self.discontinuity_ticks.capacity() * size_of::<u32>()
    }
}
