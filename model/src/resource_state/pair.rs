//! Slot accounting of one (resource, plugin).
//!
//! Does: start, cut, lose and replan the slots of one pair. Does not: look at other pairs.
//! In: slot time now and what the resource may do. Out: effects, in order, for this pair.
//! Invariant: all slots before `next` but the running one are accounted for, and a run is cut
//! before the next slot begins.

use std::sync::Arc;

use super::effect::Effect;
use super::event::{Begin, PairPlan};
use super::{FIRST_START_PERMILLE, LATE_START_PERMILLE};
use crate::gap::{Gap, GapCause, GapKind};
use crate::slot::{Epoch, SlotMs};

/// After its deadline a run has this share of the interval to hand over what it read.
const CUT_GRACE_PERMILLE: u32 = 50;

/// What the whole resource is allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    #[default]
    Active,
    Held,
    Draining,
}

/// A run in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) slot: SlotMs,
    pub(super) interval_ms: u32,
    pub(super) epoch: Epoch,
    pub(super) cut: SlotMs,
}

/// One pair's accounting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub(super) plan: PairPlan,
    pub(super) next: SlotMs,
    pub(super) running: Option<Running>,
    /// The plan that follows, and its first slot time.
    pub(super) change: Option<(PairPlan, SlotMs)>,
    /// First slot time that is no longer ours.
    pub(super) end: Option<SlotMs>,
    pub(super) parked: Option<GapCause>,
    /// Why slots before the first step have no batch; only during that step.
    pub(super) missed: Option<GapCause>,
}

impl Pair {
    /// First slot that is neither running nor accounted for.
    #[must_use]
    pub fn next(&self) -> SlotMs {
        self.next
    }

    /// The plan in force.
    #[must_use]
    pub fn plan(&self) -> &PairPlan {
        &self.plan
    }

    /// The slot that runs.
    #[must_use]
    pub fn running(&self) -> Option<SlotMs> {
        self.running.as_ref().map(|running| running.slot)
    }
}

impl Pair {
    /// Whether `slot` of the plan in force is this node's.
    pub(super) fn is_ours(&self, slot: SlotMs) -> bool {
        self.end.is_none_or(|end| slot < end)
    }

    pub(super) fn begin(plan: PairPlan, from: SlotMs, begin: Begin, now: SlotMs) -> Self {
        let before_from = SlotMs(from.0.saturating_sub(1));
        let (plan, next, change, missed) = match begin {
            Begin::Fresh => {
                let next = plan.grid.next_after(before_from.max(now));
                (plan, next, None, None)
            }
            Begin::After {
                last,
                cause,
                before: Some(before),
            } => {
                let next = before.grid.next_after(last);
                (before, next, Some((plan, from)), Some(cause))
            }
            Begin::After {
                last,
                cause,
                before: None,
            } => {
                // The same slots go on, whenever the plan that names them began.
                let next = plan.grid.next_after(last);
                (plan, next, None, Some(cause))
            }
        };
        let mut pair = Self {
            plan,
            next,
            running: None,
            change,
            end: None,
            parked: None,
            missed,
        };
        switch_plan(&mut pair);
        pair
    }

    pub(super) fn end_at(&mut self, end: SlotMs) {
        self.end = Some(self.end.map_or(end, |earlier| earlier.min(end)));
    }

    /// Where the slots of the plan in force, or this node's right to them, end.
    pub(super) fn limit(&self) -> SlotMs {
        let change = self.change.as_ref().map(|(_, from)| *from);
        self.end
            .into_iter()
            .chain(change)
            .min()
            .unwrap_or(SlotMs(i64::MAX))
    }

    /// The last slot at or before `now` that belongs to the plan in force and to this node.
    pub(super) fn last_due(&self, now: SlotMs) -> SlotMs {
        self.plan
            .grid
            .at_or_before(SlotMs(now.0.min(self.limit().0 - 1)))
    }

    pub(super) fn share_ms(&self, permille: u32) -> i64 {
        share_ms(self.plan.grid.interval_ms(), permille)
    }
}

fn share_ms(interval_ms: u32, permille: u32) -> i64 {
    i64::from(interval_ms) * i64::from(permille) / 1_000
}

pub(super) fn advance_pair(pair: &mut Pair, mode: Mode, now: SlotMs, list: &mut Vec<Effect>) {
    let due = pair.last_due(now);
    if mode == Mode::Draining || pair.next > due {
        return; // What becomes due in a drain is accounted for by the next start (`restart`).
    }
    if let Some(cause) = pair.parked.clone() {
        return lose(pair, due, cause, list);
    }
    let interval = i64::from(pair.plan.grid.interval_ms());
    let is_current = pair.plan.grid.at_or_before(now) == due && now < pair.limit();
    let may_run = is_current
        && match mode {
            Mode::Held => true,
            _ if pair.missed.is_some() => now.0 - due.0 <= pair.share_ms(FIRST_START_PERMILLE),
            _ => now.0 - due.0 <= pair.share_ms(LATE_START_PERMILLE),
        };
    let default = match mode {
        Mode::Held => GapCause::from(GapKind::NoOwner),
        _ => GapCause::with(GapKind::Overload, "late"),
    };
    let lost = if may_run {
        SlotMs(due.0 - interval)
    } else {
        due
    };
    if pair.next <= lost {
        let cause = pair.missed.clone().unwrap_or(default);
        lose(pair, lost, cause, list);
    }
    if may_run && mode == Mode::Active {
        start(pair, due, list);
    }
}

/// The slots from the next one to `last` have no batch.
pub(super) fn lose(pair: &mut Pair, last: SlotMs, cause: GapCause, list: &mut Vec<Effect>) {
    let interval_ms = pair.plan.grid.interval_ms();
    let gap = Gap {
        first: pair.next,
        last,
        interval_ms,
        epoch: pair.plan.epoch,
        cause,
    };
    pair.next = pair.plan.grid.next_after(last);
    list.push(Effect::Gap {
        plugin: Arc::clone(&pair.plan.plugin),
        gap,
    });
}

pub(super) fn start(pair: &mut Pair, slot: SlotMs, list: &mut Vec<Effect>) {
    let interval_ms = pair.plan.grid.interval_ms();
    let deadline_permille = pair.plan.deadline_permille.min(1_000);
    let deadline = SlotMs(slot.0 + share_ms(interval_ms, deadline_permille));
    let cut_permille = (deadline_permille + CUT_GRACE_PERMILLE).min(1_000);
    let planned = slot.0 + share_ms(interval_ms, cut_permille);
    let changes_at = pair.change.as_ref().map_or(i64::MAX, |(_, from)| from.0);
    let cut = SlotMs(planned.min(changes_at));
    pair.next = pair.plan.grid.next_after(slot);
    let epoch = pair.plan.epoch;
    pair.running = Some(Running {
        slot,
        interval_ms,
        epoch,
        cut,
    });
    let plugin = Arc::clone(&pair.plan.plugin);
    list.push(Effect::Start {
        plugin,
        slot,
        interval_ms,
        deadline: deadline.min(cut),
        cut,
    });
}

pub(super) fn cut_run(pair: &mut Pair, cause: GapCause, list: &mut Vec<Effect>) {
    let Some(Running {
        slot,
        interval_ms,
        epoch,
        ..
    }) = pair.running.take()
    else {
        return;
    };
    let plugin = Arc::clone(&pair.plan.plugin);
    list.push(Effect::Cancel {
        plugin: Arc::clone(&plugin),
        slot,
    });
    list.push(Effect::Gap {
        plugin,
        gap: Gap::of_slot(slot, interval_ms, epoch, cause),
    });
}

/// Puts the following plan in force once all slots of the present one are accounted for.
pub(super) fn switch_plan(pair: &mut Pair) -> bool {
    let Some((plan, from)) = pair.change.take_if(|(_, from)| pair.next >= *from) else {
        // The slot that runs is cut short where the new plan begins.
        if let (Some((_, from)), Some(running)) = (&pair.change, &mut pair.running) {
            running.cut = running.cut.min(*from);
        }
        return false;
    };
    pair.next = plan.grid.next_after(SlotMs(from.0 - 1));
    pair.plan = plan;
    if let Some(running) = &mut pair.running {
        running.cut = running.cut.min(pair.next);
    }
    true
}
