//! Slot time of the node, shared by all arbiters.
//!
//! Does: hold the present [`SlotLine`], let its one owner steer it. Does not: decide the slew
//! (`model::slot_line`). In: steering once a second by the node actor. Out: conversions, anywhere.
//! Invariant: the line is swapped whole; a reader sees the old one or the new one.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ocelli_model::clock::{Clock, Monotonic};
use ocelli_model::slot::SlotMs;
use ocelli_model::slot_line::SlotLine;

/// Slot time. Clones share it.
#[derive(Clone)]
pub struct SlotTime {
    clock: Arc<dyn Clock>,
    line: Arc<ArcSwap<SlotLine>>,
}

impl SlotTime {
    /// Begins at the wall clock, but after the last slot on disk.
    #[must_use]
    pub fn begin(clock: Arc<dyn Clock>, last_on_disk: Option<SlotMs>) -> Self {
        let line = SlotLine::begin(clock.monotonic(), clock.wall(), last_on_disk);
        Self {
            clock,
            line: Arc::new(ArcSwap::from_pointee(line)),
        }
    }

    /// Slot time now.
    #[must_use]
    pub fn now(&self) -> SlotMs {
        self.line.load().slot_at(self.clock.monotonic())
    }

    /// When slot time reaches `slot`.
    #[must_use]
    pub fn monotonic_at(&self, slot: SlotMs) -> Monotonic {
        self.line.load().monotonic_at(slot)
    }

    /// Bends the line towards the wall clock. For its one owner.
    pub(crate) fn steer(&self) {
        let line = self
            .line
            .load()
            .steer(self.clock.monotonic(), self.clock.wall());
        self.line.store(Arc::new(line));
    }
}
