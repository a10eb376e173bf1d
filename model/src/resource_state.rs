//! Slot accounting of one resource: which slot starts, and how each of them ends.
//!
//! Does: decide start, cut, gap and hand-over for every (resource, plugin) pair, so that the slots
//! of a pair tile: each is one batch or covered by one gap. Does not: run anything, read a clock,
//! know rows (`rate`) or budgets (`actors`).
//! In: [`ResourceEvent`] and slot time now. Out: [`Effects`], values that the actor carries out.
//! Invariant: all slots before [`Pair::next`] but the running one are accounted for; runs of a pair
//! never overlap, since a run is cut before the pair's next slot begins; nothing is caught up.
//! Cost: a step looks at each pair of the resource once; a resource has a handful.

use std::sync::Arc;

use crate::gap::{Gap, GapKind};
use crate::slot::SlotMs;

mod effect;
mod event;
mod pair;

pub use effect::{Effect, Effects};
pub use event::{Begin, PairPlan, ResourceEvent, RunEnd};
pub use pair::Pair;
use pair::{Mode, Running, advance_pair, cut_run, lose, start, switch_plan};

/// A due slot may start this share of its interval late; beyond it the slot is lost to `overload`.
/// A half leaves the run two fifths of the interval up to the default deadline.
pub const LATE_START_PERMILLE: u32 = 500;
/// The same for the slot in which a life begins: a tenth, so that a start does not bunch runs.
pub const FIRST_START_PERMILLE: u32 = 100;
/// The same for a slot that was held for want of a lease (design: run late inside the interval).
pub const HELD_START_PERMILLE: u32 = 500;
/// Deadline of a run after its slot's begin, by default.
pub const DEADLINE_PERMILLE: u32 = 900;
/// All pairs of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceState {
    /// Ascending by plugin, so that effects come in one order.
    pairs: Vec<Pair>,
    mode: Mode,
}

impl ResourceState {
    /// The pairs, ascending by plugin.
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Whether a run is in progress.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pairs.iter().any(|pair| pair.running.is_some())
    }

    /// Takes in one event. Slots that became due until `now` are accounted for first, so that no
    /// event can overtake time.
    #[must_use]
    pub fn step(&mut self, event: ResourceEvent, now: SlotMs) -> Effects {
        let mut list = Vec::new();
        // An end that comes with the cut is an end: it is looked at before the cut.
        if let ResourceEvent::RunEnded { plugin, slot, end } = event {
            self.run_ended(&plugin, slot, end, &mut list);
            self.advance(now, &mut list);
        } else {
            self.advance(now, &mut list);
            self.apply(event, now, &mut list);
            self.advance(now, &mut list);
        }
        self.sweep(&mut list);
        let wake_at = self.wake_at(now);
        debug_assert_eq!(self.check(), Ok(()));
        Effects { list, wake_at }
    }

    /// The invariants of the state; the text names the one that is broken.
    ///
    /// # Errors
    /// The broken invariant and the pair.
    pub fn check(&self) -> Result<(), String> {
        let sorted = self
            .pairs
            .is_sorted_by(|a, b| a.plan.plugin < b.plan.plugin);
        if !sorted {
            return Err("pairs are not ascending by plugin".to_owned());
        }
        for pair in &self.pairs {
            let plugin = &pair.plan.plugin;
            if pair.plan.grid.at_or_before(pair.next) != pair.next {
                return Err(format!("{plugin}: the next slot is off the grid"));
            }
            if let Some(running) = &pair.running {
                let ends_in_time = running.cut <= pair.next || pair.end.is_some();
                if running.slot >= pair.next || !ends_in_time {
                    return Err(format!("{plugin}: the run may overlap the next slot"));
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: ResourceEvent, now: SlotMs, list: &mut Vec<Effect>) {
        match event {
            ResourceEvent::Tick | ResourceEvent::RunEnded { .. } => {}
            ResourceEvent::Plan { plan, from, begin } => self.plan(plan, from, begin, now),
            ResourceEvent::Remove { plugin } => {
                if let Some(pair) = self.pair_mut(&plugin) {
                    pair.end_at(SlotMs(now.0 + 1));
                }
            }
            ResourceEvent::Park { plugin, cause } => {
                if let Some(pair) = self.pair_mut(&plugin) {
                    pair.parked = Some(cause);
                }
            }
            ResourceEvent::Unpark { plugin } => {
                if let Some(pair) = self.pair_mut(&plugin) {
                    pair.parked = None;
                }
            }
            ResourceEvent::Hold if self.mode == Mode::Active => self.mode = Mode::Held,
            ResourceEvent::Release if self.mode == Mode::Held => self.release(now, list),
            ResourceEvent::Hold | ResourceEvent::Release => {}
            ResourceEvent::HandOver { first_foreign } => {
                for pair in &mut self.pairs {
                    pair.end_at(first_foreign);
                }
            }
            ResourceEvent::Drain => self.mode = Mode::Draining,
            ResourceEvent::Stop => {
                self.mode = Mode::Draining;
                for pair in &mut self.pairs {
                    cut_run(pair, GapKind::Restart.into(), list);
                }
            }
        }
    }

    fn plan(&mut self, plan: PairPlan, from: SlotMs, begin: Begin, now: SlotMs) {
        if let Some(pair) = self.pair_mut(&plan.plugin) {
            if pair.end.take().is_some_and(|end| end <= now) {
                // Slots since its end were nobody's here; accounting begins anew.
                pair.next = pair.next.max(pair.plan.grid.next_after(now));
            }
            if pair.plan != plan {
                // What is due up to now was accounted for under the old plan.
                pair.change = Some((plan, SlotMs(from.0.max(now.0 + 1))));
                switch_plan(pair);
            }
            return;
        }
        let pair = Pair::begin(plan, from, begin, now);
        let place = self
            .pairs
            .partition_point(|other| other.plan.plugin < pair.plan.plugin);
        self.pairs.insert(place, pair);
    }

    fn run_ended(&mut self, plugin: &str, slot: SlotMs, end: RunEnd, list: &mut Vec<Effect>) {
        let ended = self
            .pair_mut(plugin)
            .and_then(|pair| pair.running.take_if(|running| running.slot == slot));
        let plugin = Arc::from(plugin);
        list.push(match (ended, end) {
            (None, _) => Effect::Discard { plugin, slot },
            (
                Some(Running {
                    interval_ms, epoch, ..
                }),
                RunEnd::Rows,
            ) => Effect::Batch {
                plugin,
                slot,
                interval_ms,
                epoch,
            },
            (
                Some(Running {
                    interval_ms, epoch, ..
                }),
                RunEnd::Failed(cause),
            ) => Effect::Gap {
                plugin,
                gap: Gap::of_slot(slot, interval_ms, epoch, cause),
            },
        });
    }

    /// The lease is back: a held slot that is too old to run is lost to `no_owner`.
    fn release(&mut self, now: SlotMs, list: &mut Vec<Effect>) {
        self.mode = Mode::Active;
        for pair in &mut self.pairs {
            let slot = pair.plan.grid.at_or_before(now);
            if pair.next == slot && pair.is_ours(slot) && pair.parked.is_none() {
                let is_late = now.0 > slot.0 + pair.share_ms(HELD_START_PERMILLE);
                if is_late {
                    lose(pair, slot, GapKind::NoOwner.into(), list);
                } else {
                    start(pair, slot, list);
                }
            }
        }
    }

    /// Accounts for what became due until `now`.
    fn advance(&mut self, now: SlotMs, list: &mut Vec<Effect>) {
        for pair in &mut self.pairs {
            if pair
                .running
                .as_ref()
                .is_some_and(|running| running.cut <= now)
            {
                cut_run(pair, GapKind::Overrun.into(), list);
            }
            // At most two rounds: the plan in force, and the one that follows it.
            for _ in 0..2 {
                advance_pair(pair, self.mode, now, list);
                if !switch_plan(pair) {
                    break;
                }
            }
            pair.missed = None;
        }
    }

    /// Forgets pairs that have ended and says when nothing is left.
    fn sweep(&mut self, list: &mut Vec<Effect>) {
        let before = self.pairs.len();
        self.pairs.retain(|pair| {
            let has_ended = !pair.is_ours(pair.next) && pair.running.is_none();
            if has_ended {
                list.push(Effect::Ended {
                    plugin: Arc::clone(&pair.plan.plugin),
                });
            }
            !has_ended
        });
        let is_drained = self.mode == Mode::Draining && !self.is_running();
        if is_drained || (before > 0 && self.pairs.is_empty()) {
            list.push(Effect::Idle);
        }
    }

    fn wake_at(&self, now: SlotMs) -> Option<SlotMs> {
        let of_pair = |pair: &Pair| {
            let cut = pair.running.as_ref().map(|running| running.cut);
            let due = match self.mode {
                Mode::Draining => None,
                _ if pair.next > now => Some(pair.next),
                // A held slot waits for a release, at the longest until the next slot.
                _ => Some(pair.plan.grid.next_after(now)),
            };
            cut.into_iter().chain(due).min()
        };
        self.pairs.iter().filter_map(of_pair).min()
    }

    fn pair_mut(&mut self, plugin: &str) -> Option<&mut Pair> {
        self.pairs
            .iter_mut()
            .find(|pair| &*pair.plan.plugin == plugin)
    }
}

#[cfg(test)]
#[path = "resource_state_tests.rs"]
mod tests;
