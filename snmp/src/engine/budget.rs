//! The load of one device key, shared by all its sessions, whatever plugin they serve.
//!
//! Does: hold the [`Window`] and the operations that wait for it, first come first served.
//! Does not: send (`core` does when a place is free).
//! In: a [`LoadLimit`]. Out: [`DeviceBudget`], a handle to clone into each session of the device.
//! Full: the operation beyond [`WAITING_PER_DEVICE_MAX`] is refused at once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::limits::WAITING_PER_DEVICE_MAX;
use super::window::{LoadLimit, Window};

/// What one device can stand, shared. Cheap to clone; belongs to one engine.
#[derive(Debug, Clone)]
pub struct DeviceBudget(Rc<RefCell<Budget>>);

/// The window of one device and who waits for it.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) window: Window,
    waiting: VecDeque<u32>,
}

impl DeviceBudget {
    /// Nothing in flight, nobody waiting.
    #[must_use]
    pub fn new(limit: LoadLimit) -> Self {
        Self(Rc::new(RefCell::new(Budget {
            window: Window::new(limit),
            waiting: VecDeque::new(),
        })))
    }

    /// Holds another limit from now on; what is in flight stays so.
    pub fn set_limit(&self, limit: LoadLimit) {
        self.with(|budget| budget.window.set_limit(limit));
    }

    /// Packets in flight to the device now.
    #[must_use]
    pub fn in_flight(&self) -> u8 {
        self.0.borrow().window.in_flight()
    }

    /// Operations that wait for it now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.borrow().waiting.len()
    }

    /// Runs `change` on the budget. Never nested: nothing in here calls out.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Budget) -> R) -> R {
        change(&mut self.0.borrow_mut())
    }
}

impl Default for DeviceBudget {
    fn default() -> Self {
        Self::new(LoadLimit::default())
    }
}

impl Budget {
    /// Queues an operation; false if the queue is full.
    pub(crate) fn wait(&mut self, operation: u32) -> bool {
        if self.waiting.len() >= WAITING_PER_DEVICE_MAX {
            return false;
        }
        self.waiting.push_back(operation);
        true
    }

    /// The operation whose turn it is.
    pub(crate) fn first(&self) -> Option<u32> {
        self.waiting.front().copied()
    }

    /// Takes an operation out of the queue, wherever it stands.
    pub(crate) fn leave(&mut self, operation: u32) {
        if self.first() == Some(operation) {
            self.waiting.pop_front();
        } else {
            self.waiting.retain(|waiting| *waiting != operation);
        }
    }
}
