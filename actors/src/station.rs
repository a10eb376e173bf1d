//! What all actors of one arbiter share: timers, devices, the reach of runs, outlet.
//!
//! Does: wake resource actors by one wheel, seal and submit what the outlet holds by one tick.
//! Does not: decide what a wake-up means (`resource`), cross threads: one station an arbiter.
//! In: wake-ups set by actors. Out: [`ResourceMessage::Wake`] to those due.
//! Full: a wake-up that a full mailbox refuses is offered again after [`REFUSED_RETRY`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakAddr;
use ocelli_model::clock::{Clock, Monotonic};
use ocelli_plugins::run::BlockingPool;
use std::collections::HashMap;
use tokio::sync::Notify;

use crate::counters::ENGINE_SHOWN_EVERY;
use crate::device::Devices;
use crate::outlet::Outlet;
use crate::reach::Reach;
use crate::resource::{ResourceCore, ResourceMessage};
use crate::session::Sessions;
use crate::slot_time::SlotTime;
use crate::supervise::{Envelope, Guarded, Supervision};
use crate::wheel::{WakeKey, Wheel};

/// A full mailbox holds what will wake the actor anyway; this is for the rest.
const REFUSED_RETRY: Duration = Duration::from_millis(50);
/// How long an entry may wait for others to share its block. Group commit adds 5 ms.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_millis(20);

/// One arbiter's common ground.
pub(crate) struct Station {
    /// The node's clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// The node's slot time.
    pub(crate) slots: SlotTime,
    /// For starting actors here.
    pub(crate) supervision: Rc<Supervision>,
    /// Devices of the resources here.
    pub(crate) devices: RefCell<Devices>,
    /// What runs need: SNMP, facts, memory.
    pub(crate) reach: Rc<Reach>,
    /// The way to the bus.
    pub(crate) outlet: RefCell<Outlet>,
    wheel: RefCell<Wheel>,
    wheel_changed: Notify,
    sleepers: RefCell<HashMap<WakeKey, WeakAddr<Guarded<ResourceCore>>>>,
    next_key: Cell<WakeKey>,
}

/// What a station is made of.
pub(crate) struct StationParts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) slots: SlotTime,
    pub(crate) supervision: Supervision,
    pub(crate) sessions: Sessions,
    pub(crate) outlet: Outlet,
    pub(crate) blocking: BlockingPool,
}

impl Station {
    /// A station without actors. Its tasks are [`Station::wake_sleepers`] and
    /// [`Station::flush_outlet`].
    pub(crate) fn new(parts: StationParts) -> Rc<Self> {
        let reach = Reach::new(Arc::clone(&parts.clock), parts.sessions, parts.blocking);
        Rc::new(Self {
            clock: parts.clock,
            slots: parts.slots,
            supervision: Rc::new(parts.supervision),
            devices: RefCell::default(),
            reach,
            outlet: RefCell::new(parts.outlet),
            wheel: RefCell::default(),
            wheel_changed: Notify::new(),
            sleepers: RefCell::default(),
            next_key: Cell::new(0),
        })
    }

    // === Wake-ups ===

    /// A key for an actor's wake-ups.
    pub(crate) fn enlist(&self, actor: WeakAddr<Guarded<ResourceCore>>) -> WakeKey {
        let key = self.next_key.get();
        self.next_key.set(key + 1);
        self.sleepers.borrow_mut().insert(key, actor);
        key
    }

    /// Takes an actor's key back.
    pub(crate) fn dismiss(&self, key: WakeKey) {
        self.sleepers.borrow_mut().remove(&key);
        self.wheel.borrow_mut().cancel(key);
    }

    /// Wakes the actor at `at`, and no longer when it was set before.
    pub(crate) fn wake_at(&self, key: WakeKey, at: Monotonic) {
        let mut wheel = self.wheel.borrow_mut();
        let is_earlier = wheel.next_at().is_none_or(|next| at < next);
        wheel.set(key, at);
        if is_earlier {
            self.wheel_changed.notify_one();
        }
    }

    /// Wakes whoever is due, for ever.
    pub(crate) async fn wake_sleepers(self: Rc<Self>) {
        let mut due = Vec::new();
        loop {
            let next = self.wheel.borrow().next_at();
            match next {
                None => self.wheel_changed.notified().await,
                Some(at) => tokio::select! {
                    () = self.clock.sleep_until(at) => {}
                    () = self.wheel_changed.notified() => {}
                },
            }
            let now = self.clock.monotonic();
            self.wheel.borrow_mut().take_due(now, &mut due);
            for key in due.drain(..) {
                self.wake(key, now);
            }
        }
    }

    fn wake(&self, key: WakeKey, now: Monotonic) {
        let sleepers = self.sleepers.borrow();
        let Some(actor) = sleepers.get(&key).and_then(WeakAddr::upgrade) else {
            return;
        };
        if actor.try_send(Envelope(ResourceMessage::Wake)).is_err() {
            self.wheel.borrow_mut().set(key, now.after(REFUSED_RETRY));
        }
    }

    /// Seals and submits what the outlet holds, every [`FLUSH_INTERVAL`] while it holds anything.
    pub(crate) async fn flush_outlet(self: Rc<Self>) {
        let pending = self.outlet.borrow().pending();
        loop {
            pending.notified().await;
            self.clock
                .sleep_until(self.clock.monotonic().after(FLUSH_INTERVAL))
                .await;
            self.outlet.borrow_mut().flush();
        }
    }

    /// Shows what the engine of the arbiter with that number has counted, for ever.
    pub(crate) async fn show_engine(self: Rc<Self>, arbiter: usize) {
        loop {
            let counters = &self.supervision.counters;
            counters.show_engine(arbiter, self.reach.sessions.counters());
            let next = self.clock.monotonic().after(ENGINE_SHOWN_EVERY);
            self.clock.sleep_until(next).await;
        }
    }
}
