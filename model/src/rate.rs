//! Counter to rate: what each difference between two reads is worth.
//!
//! Does: keep the previous value of each source column of each row, judge the new one, derive the
//! counters of the schema (linear over sources), fill a batch's [`GroupValues`]. Does not: read
//! devices, know dimensions beyond a row's key hash, render gauges (`batch::rate_of`).
//! In: [`Rows`] of one run, interval. Out: one [`GroupValues`] a group; the state for the next run.
//! Invariant: an out-of-order read changes nothing; state is replaced only by a run that succeeded
//! (callers advance a state only with rows that they emit).
//! Cost: one pass a source column, no allocation in the steady state; about 130 B a row of 17
//! sources kept.

use serde::{Deserialize, Serialize};

use crate::batch::{CounterColumn, GroupValues, Verdict};
use crate::rows::{GroupRows, Rows, SessionFacts};

mod column;
mod judge;
mod previous;

pub use judge::Evidence;
use judge::{Cell, Judge};
use previous::{PreviousGroup, RowMatch};

/// Most source columns of one group.
pub const SOURCES_MAX: usize = 2_048;
/// More than this many intervals since the previous value is `stale` (Panoptes: exactly three
/// intervals still give a rate).
pub const STALE_INTERVALS: u32 = 3;

/// How the counters of a schema are made of what is read. Parallel to the schema.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RatePlan {
    /// One a group.
    pub groups: Vec<GroupRatePlan>,
}

/// How the counters of one group are made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupRatePlan {
    /// The group is read in each n-th slot: its interval is n slots. 0 counts as 1.
    pub every_nth: u32,
    /// How many source columns a row has.
    pub sources: usize,
    /// Leading dimensions that identify a row.
    pub key_columns: usize,
    /// Where values come from; counters refer to them by position, so that a sum and its parts
    /// always rest on the same source.
    pub choices: Vec<SourceChoice>,
    /// In the schema's order.
    pub counters: Vec<CounterPlan>,
}

/// Alternatives for one value (`hc ?? low`): the first that is there is taken, unless it stands
/// still while a later one moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceChoice {
    /// Source columns, preferred first; 1 to 8.
    pub sources: Vec<u16>,
    /// What one unit occupies on the line, bits: 8 for octets, 512 for frames (64 B, the least
    /// of IEEE 802.3 §3.2.8), 0 if speed says nothing about it.
    pub bits_per_unit: u32,
}

/// A counter: `Σ coefficient × choice`, modulo 2^64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterPlan {
    /// (coefficient, position in [`GroupRatePlan::choices`]); at least one.
    pub terms: Vec<(u64, u16)>,
}

impl GroupRatePlan {
    /// A plan in which each counter is one source column as it is read.
    #[must_use]
    pub fn identity(counters: usize, key_columns: usize, bits_per_unit: u32) -> Self {
        let positions = (0..counters).map(|position| u16::try_from(position).unwrap_or(u16::MAX));
        Self {
            every_nth: 1,
            sources: counters,
            key_columns,
            choices: positions
                .clone()
                .map(|source| SourceChoice {
                    sources: vec![source],
                    bits_per_unit,
                })
                .collect(),
            counters: positions
                .map(|choice| CounterPlan {
                    terms: vec![(1, choice)],
                })
                .collect(),
        }
    }
}

/// Previous values of one (resource, plugin). Serialisable: it goes into the `Session` record at a
/// drain, so that the next life's first values are rates.
#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct RateState {
    groups: Vec<PreviousGroup>,
    facts: SessionFactsAt,
}

/// A step of a [`RateState`] that may still be dropped, with the working memory for it. One serves
/// any number of states, one after the other; a step that finds it grown allocates nothing.
#[derive(Debug, Default)]
pub struct RateDraft {
    next: RateState,
    rows: RowMatch,
    cells: Vec<Vec<Cell>>,
}

/// Session facts with the wall time at which they were read, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct SessionFactsAt {
    sys_uptime_ticks: Option<u32>,
    engine_boots: Option<u32>,
    at_ms: i64,
}

impl Clone for RateState {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        clone.clone_from(self);
        clone
    }

    /// Keeps the memory of `self`.
    fn clone_from(&mut self, source: &Self) {
        self.groups.clone_from(&source.groups);
        self.facts = source.facts;
    }
}

impl RateState {
    /// Judges `rows` against the state and writes the groups of the batch into `into` (reused, any
    /// length); the state that follows stands in `draft` until [`RateState::take`]. `time` and
    /// `gauges` move from `rows` into the batch.
    ///
    /// `rows` must have a section for each group of `plan`, with `sources` columns each: what a
    /// plugin gives that was made for this plan. Missing columns count as absent. `interval_ms` is
    /// that of the slots; a group that is read in each n-th of them has n times as long, and keeps
    /// its previous values over the slots in which nothing of it was read.
    pub fn judge(
        &self,
        plan: &RatePlan,
        (rows, interval_ms): (&mut Rows, u32),
        draft: &mut RateDraft,
        into: &mut Vec<GroupValues>,
    ) {
        let times = rows.groups.iter().flat_map(|group| &group.time);
        let read_at = times.max().map(|time| time.0);
        let (facts, is_rebooted) = self.facts.after(rows.facts, read_at);
        let count = plan.groups.len();
        draft.next.facts = facts;
        draft.next.groups.resize_with(count, PreviousGroup::default);
        into.resize_with(count, GroupValues::default);
        rows.groups.resize_with(count, GroupRows::default);
        let nothing = PreviousGroup::default();
        let groups = plan.groups.iter().zip(&mut rows.groups).zip(into);
        for (position, ((plan, read), out)) in groups.enumerate() {
            let before = self.groups.get(position).unwrap_or(&nothing);
            let is_rebooted = !before.is_empty() && is_rebooted || before.is_before_restart();
            let judge = Judge {
                interval_ms: interval_ms.saturating_mul(plan.every_nth.max(1)),
                is_rebooted,
            };
            draft.judge_group(plan, read, before, judge);
            emit_group(plan, read, draft, out);
            let next = &mut draft.next.groups[position];
            if read.is_empty() {
                next.stand(before, is_rebooted);
            } else {
                next.follow(before, (plan, read), &draft.rows, judge);
            }
        }
    }

    /// Becomes what the last [`RateState::judge`] made of it.
    pub fn take(&mut self, draft: &RateDraft) {
        self.clone_from(&draft.next);
    }

    /// [`RateState::judge`] and [`RateState::take`] in one, with memory of its own.
    pub fn advance(
        &mut self,
        plan: &RatePlan,
        rows: &mut Rows,
        interval_ms: u32,
        into: &mut Vec<GroupValues>,
    ) {
        let mut draft = RateDraft::default();
        self.judge(plan, (rows, interval_ms), &mut draft, into);
        self.take(&draft);
    }

    /// The wall clock stepped by `by_ms`: differences to earlier reads stay what they are.
    pub fn wall_stepped(&mut self, by_ms: i64) {
        self.facts.at_ms = self.facts.at_ms.saturating_add(by_ms);
        self.groups
            .iter_mut()
            .for_each(|group| group.shift_time(by_ms));
    }

    /// Whether nothing was read yet: all verdicts of the next run are `first`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(PreviousGroup::is_empty)
    }

    /// Bytes held, for memory accounting.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.groups.iter().map(PreviousGroup::heap_bytes).sum()
    }
}

impl SessionFactsAt {
    /// The facts after a run, and whether the device started again since the last one.
    fn after(self, facts: SessionFacts, read_at_ms: Option<i64>) -> (Self, bool) {
        let at_ms = read_at_ms.unwrap_or(self.at_ms);
        let evidence = Evidence {
            uptime_before: self.sys_uptime_ticks,
            uptime_now: facts.sys_uptime_ticks,
            boots_before: self.engine_boots,
            boots_now: facts.engine_boots,
            elapsed_ms: at_ms.saturating_sub(self.at_ms),
        };
        let is_told = facts.sys_uptime_ticks.is_some();
        let after = Self {
            sys_uptime_ticks: facts.sys_uptime_ticks.or(self.sys_uptime_ticks),
            engine_boots: facts.engine_boots.or(self.engine_boots),
            at_ms: if is_told { at_ms } else { self.at_ms },
        };
        (after, evidence.is_rebooted())
    }
}

impl RateDraft {
    /// Judges each choice of each row into `cells`.
    fn judge_group(
        &mut self,
        plan: &GroupRatePlan,
        read: &GroupRows,
        previous: &PreviousGroup,
        judge: Judge,
    ) {
        self.rows.align(plan, read, previous);
        self.cells.resize_with(plan.choices.len(), Vec::new);
        for (position, choice) in plan.choices.iter().enumerate() {
            let cells = &mut self.cells[position];
            cells.clear();
            for row in 0..read.len() {
                let facts = self.rows.facts(read, previous, row);
                let (cell, chosen) = judge.cell(choice, read, previous, (position, facts));
                self.rows.choose(position, row, chosen);
                cells.push(cell);
            }
        }
    }
}

/// Derives the counters of the schema from the judged choices.
fn emit_group(
    plan: &GroupRatePlan,
    read: &mut GroupRows,
    draft: &RateDraft,
    out: &mut GroupValues,
) {
    out.dt_ms.clear();
    out.dt_ms
        .extend((0..read.len()).map(|row| draft.rows.dt_ms(row)));
    out.counters
        .resize_with(plan.counters.len(), CounterColumn::default);
    for (counter, column) in plan.counters.iter().zip(&mut out.counters) {
        column.clear();
        for row in 0..read.len() {
            push_counter(counter, &draft.cells, row, (out.dt_ms[row], &mut *column));
        }
    }
    out.time.clone_from(&read.time);
    std::mem::swap(&mut out.gauges, &mut read.gauges);
}

/// One cell of a derived counter: missing as soon as one part is, worth what its worst part is.
fn push_counter(
    counter: &CounterPlan,
    cells: &[Vec<Cell>],
    row: usize,
    (row_dt_ms, column): (u32, &mut CounterColumn),
) {
    let mut sum = Cell {
        verdict: Verdict::Rate,
        ..Cell::default()
    };
    for (position, (coefficient, choice)) in counter.terms.iter().enumerate() {
        let part = cells
            .get(usize::from(*choice))
            .and_then(|cells| cells.get(row));
        let Some(part) = part.filter(|part| part.is_present) else {
            return column.push_absent();
        };
        sum.value = sum
            .value
            .wrapping_add(part.value.wrapping_mul(*coefficient));
        sum.delta = sum
            .delta
            .wrapping_add(part.delta.wrapping_mul(*coefficient));
        sum.verdict = judge::worse(sum.verdict, part.verdict);
        if position > 0 && part.dt_ms != sum.dt_ms {
            // Parts over different times have no common rate.
            sum.verdict = judge::worse(sum.verdict, Verdict::First);
        }
        sum.dt_ms = part.dt_ms;
    }
    let has_rate = sum.verdict.has_rate();
    if has_rate && sum.dt_ms != row_dt_ms {
        let row = u32::try_from(column.values.len()).unwrap_or(u32::MAX);
        column.own_dt.push((row, sum.dt_ms));
    }
    column.push(sum.value, if has_rate { sum.delta } else { 0 }, sum.verdict);
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
