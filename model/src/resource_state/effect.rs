//! What a step of slot accounting asks its actor to do.
//!
//! Does: the closed list of effects. Does not: carry them out (`actors`).
//! In: `resource_state`. Out: [`Effects`], values that tests compare and simulation reorders.

use std::sync::Arc;

use crate::gap::Gap;
use crate::slot::{Epoch, SlotMs};

/// What the actor has to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Run the plugin for this slot.
    Start {
        /// The plugin.
        plugin: Arc<str>,
        /// The slot.
        slot: SlotMs,
        /// Interval of the slot, ms.
        interval_ms: u32,
        /// The run should have ended with what it has.
        deadline: SlotMs,
        /// The run is dropped.
        cut: SlotMs,
    },
    /// Drop the run of this slot; its gap follows.
    Cancel {
        /// The plugin.
        plugin: Arc<str>,
        /// The slot.
        slot: SlotMs,
    },
    /// The rows of the run that just ended are the slot's batch.
    Batch {
        /// The plugin.
        plugin: Arc<str>,
        /// The slot.
        slot: SlotMs,
        /// Interval of the slot, ms.
        interval_ms: u32,
        /// The plan entry that gave the right.
        epoch: Epoch,
    },
    /// These slots have no batch.
    Gap {
        /// The plugin.
        plugin: Arc<str>,
        /// Which and why.
        gap: Gap,
    },
    /// What just ended belongs to a slot already accounted for: throw it away, count it.
    Discard {
        /// The plugin.
        plugin: Arc<str>,
        /// The slot.
        slot: SlotMs,
    },
    /// The pair has ended: forget its state.
    Ended {
        /// The plugin.
        plugin: Arc<str>,
    },
    /// No pair and no run is left, or a drain is complete.
    Idle,
}

/// What a step decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effects {
    /// To be carried out in order.
    pub list: Vec<Effect>,
    /// When to send [`super::ResourceEvent::Tick`] at the latest; `None`: nothing is due.
    pub wake_at: Option<SlotMs>,
}
