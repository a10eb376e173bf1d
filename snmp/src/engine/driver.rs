//! The engine of one arbiter: its handle and the task that ticks it.
//!
//! Does: tick each millisecond while any operation is in progress, sleep without timer otherwise;
//! make sessions. Does not: decide anything about requests (`core`).
//! In: settings, clock, chance. Out: [`Engine`], [`Session`]. Single-threaded: `!Send` by `Rc`.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use ocelli_model::clock::{Clock, Monotonic, Rng};
use tokio::sync::Notify;

use super::core::Core;
use super::counters::EngineCounters;
use super::error::ExchangeError;
use super::inbox::Inbox;
use super::limits::{OPERATIONS_MAX, TICK};
use super::operation::{Finish, Operation};
use super::session::{Session, SessionSettings};
use super::socket::OpenError;
use super::sockets::{Sockets, Source};

/// An SNMP engine. Lives as long as its handles and sessions do.
pub struct Engine {
    core: RefCell<Core>,
    inbox: RefCell<Inbox>,
    clock: Arc<dyn Clock>,
    /// Wakes the ticking task out of its sleep; `Rc` so that it outlives the engine's end.
    wake: Rc<Notify>,
    is_stopped: Cell<bool>,
    /// Operations dropped while the core was at work (by a sink), at most one per operation.
    cancelled: RefCell<Vec<u32>>,
}

impl Engine {
    /// An engine that sends from `source`, ticked by a task on this thread.
    ///
    /// # Panics
    /// Outside a `tokio::task::LocalSet` (an actix arbiter is one).
    #[must_use]
    pub fn start(source: Source, clock: Arc<dyn Clock>, rng: Box<dyn Rng>) -> Rc<Self> {
        let core = Core::new(Arc::clone(&clock), rng, Sockets::new(source));
        let wake = Rc::new(Notify::new());
        let engine = Rc::new(Self {
            core: RefCell::new(core),
            inbox: RefCell::new(Inbox::new()),
            clock,
            wake: Rc::clone(&wake),
            is_stopped: Cell::new(false),
            cancelled: RefCell::new(Vec::new()),
        });
        tokio::task::spawn_local(run(Rc::downgrade(&engine), wake));
        engine
    }

    /// A session with a device.
    ///
    /// # Errors
    /// [`OpenError`] if the first socket of its address family cannot be opened.
    pub fn session(self: &Rc<Self>, settings: SessionSettings) -> Result<Session, OpenError> {
        let mut core = self.core.borrow_mut();
        let place = core.sockets.join(settings.address.ip(), settings.source)?;
        let salt_seed = core.chance();
        drop(core);
        Ok(Session::new(self, settings, place, salt_seed))
    }

    /// What it has counted so far.
    #[must_use]
    pub fn counters(&self) -> EngineCounters {
        self.core.borrow().counters
    }

    /// Operations in progress.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.core.borrow().operations()
    }

    /// Ends all operations with [`ExchangeError::Stopped`] and refuses new ones.
    pub fn stop(&self) {
        self.is_stopped.set(true);
        self.core.borrow_mut().stop();
        self.wake.notify_one();
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.clock.monotonic()
    }

    /// Puts an operation into the table; its first request leaves with the next tick.
    pub(crate) fn begin(&self, operation: Operation) -> Result<u32, ExchangeError> {
        if self.is_stopped.get() {
            return Err(ExchangeError::Stopped);
        }
        let mut core = self.core.borrow_mut();
        let was_idle = core.operations() == 0;
        let index = core.begin(operation)?;
        if was_idle {
            self.wake.notify_one();
        }
        Ok(index)
    }

    pub(crate) fn poll(&self, index: u32, waker: &std::task::Waker) -> Option<Finish> {
        self.core.borrow_mut().poll(index, waker)
    }

    pub(crate) fn remove(&self, index: u32) -> Option<Operation> {
        self.core.borrow_mut().remove(index)
    }

    /// Takes back an operation whose future was dropped.
    pub(crate) fn cancel(&self, index: u32) {
        let removed = match self.core.try_borrow_mut() {
            Ok(mut core) => core.remove(index),
            Err(_) => {
                let mut cancelled = self.cancelled.borrow_mut();
                debug_assert!(cancelled.len() < OPERATIONS_MAX);
                cancelled.push(index);
                None
            }
        };
        // Its session may be the last handle of one: it takes its leave of the core.
        drop(removed);
    }

    pub(crate) fn leave(&self, place: usize) {
        if let Ok(mut core) = self.core.try_borrow_mut() {
            core.sockets.leave(place);
        }
    }

    /// One tick: receive, expire, send. True if more waits to be received.
    fn tick(&self) -> bool {
        let cancelled = std::mem::take(&mut *self.cancelled.borrow_mut());
        for index in cancelled {
            self.cancel(index);
        }
        let mut core = self.core.borrow_mut();
        let has_more = core.drain(&mut self.inbox.borrow_mut());
        let now = core.now().monotonic;
        core.expire(now);
        core.flush();
        has_more
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// Ticks the engine until it is gone.
async fn run(engine: Weak<Engine>, wake: Rc<Notify>) {
    while let Some(engine) = engine.upgrade() {
        let clock = Arc::clone(&engine.clock);
        let is_idle = engine.operations() == 0;
        let has_more = !is_idle && engine.tick();
        drop(engine);
        if is_idle {
            wake.notified().await;
        } else if has_more {
            tokio::task::yield_now().await;
        } else {
            clock.sleep_until(clock.monotonic().after(TICK)).await;
        }
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
