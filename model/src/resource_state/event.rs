//! What can happen to a resource.
//!
//! Does: the closed list of events, and the plan of a pair. Does not: decide (`resource_state`).
//! In: the actor, the catalog, a reload. Out: [`ResourceEvent`], plain data, so that a history can
//! be printed and replayed.

use std::sync::Arc;

use crate::gap::GapCause;
use crate::slot::{Epoch, SlotGrid, SlotMs};

/// The plan of one pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairPlan {
    /// Name of the polling plugin.
    pub plugin: Arc<str>,
    /// Where its slots lie.
    pub grid: SlotGrid,
    /// The plan entry that gives the right to poll.
    pub epoch: Epoch,
    /// Deadline after the slot's begin, 1/1000 of the interval, at most 1,000.
    pub deadline_permille: u32,
}

/// Where a pair's accounting begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// The pair is new: its first slot is the next one.
    Fresh,
    /// All slots up to and with `last` are accounted for elsewhere; those between it and now have
    /// no batch for this cause.
    After {
        /// Last slot that is a batch or in a gap. Need not lie on the grid.
        last: SlotMs,
        /// Why the slots since then were not polled.
        cause: GapCause,
        /// The plan that `last` was polled under, if its slots lie elsewhere: they go on until
        /// the new plan's first slot time.
        before: Option<PairPlan>,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// With rows, maybe partial: a batch.
    Rows,
    /// Without: a gap.
    Failed(GapCause),
}

/// All that can happen to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceEvent {
    /// Time went on: the wake-up that was asked for, or an earlier one.
    Tick,
    /// A pair is assigned, or its plan changes from a slot time on (cut off at now).
    Plan {
        /// The new plan; replaces that of the same plugin.
        plan: PairPlan,
        /// First slot time of the new plan.
        from: SlotMs,
        /// Where accounting begins, if the pair is new here.
        begin: Begin,
    },
    /// The pair is no longer wanted: no slot after now.
    Remove {
        /// Its plugin.
        plugin: Arc<str>,
    },
    /// A run came to its end by itself.
    RunEnded {
        /// Its plugin.
        plugin: Arc<str>,
        /// Its slot.
        slot: SlotMs,
        /// How.
        end: RunEnd,
    },
    /// Slots of the plugin end as gaps of this cause until [`ResourceEvent::Unpark`].
    Park {
        /// Its plugin.
        plugin: Arc<str>,
        /// `parked`, `maintenance`, `resource_down` …
        cause: GapCause,
    },
    /// The plugin's slots run again.
    Unpark {
        /// Its plugin.
        plugin: Arc<str>,
    },
    /// The lease lapsed: due slots wait inside their interval.
    Hold,
    /// The lease is back.
    Release,
    /// The resource belongs to another node from this slot time on.
    HandOver {
        /// First slot time of the new owner.
        first_foreign: SlotMs,
    },
    /// The node stops as planned: nothing starts, what runs may end.
    Drain,
    /// Time is up: what still runs is cut; its slot is a gap `restart`.
    Stop,
}
