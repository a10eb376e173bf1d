//! The one wrapper by which every actor survives its own panics.
//!
//! Does: run each handler, future and timer body of a [`Core`] inside `catch_unwind`; on a panic
//! stop, pause (`restart`), and live again with a fresh core behind the same address and queue;
//! after too many crashes refuse messages and tell the parent. Does not: know what an actor does.
//! In: messages to [`Guarded`]. Out: calls to the core; [`Obituary`] to the parent.
//! Why so: actix restarts after `stop`, never after a panic, which would end actor and address.
//! Invariant: no panic of a core leaves its actor; a core that panicked is never called again
//! before [`Core::restarting`] has replaced what may be broken.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message,
    SpawnHandle, Supervised, Supervisor, WrapFuture,
};
use futures_util::FutureExt;
use ocelli_model::clock::{Clock, Rng};
use ocelli_model::event::Event;
use ocelli_model::resource::Resource;
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::counters::RuntimeCounters;
use crate::events::Reporter;
use crate::restart::{Crashes, Pause};

/// Longest panic text that is logged and reported, bytes.
const PANIC_TEXT_BYTES_MAX: usize = 200;

// === What an actor is ===

/// What one actor decides and does; one file each.
pub(crate) trait Core: Sized + Unpin + 'static {
    /// All that can happen to it, a closed list.
    type Message: Send + 'static;
    /// The field `actor` of logs and counters.
    const KIND: &'static str;
    /// Places in the mailbox; the file's header says why, and what happens beyond.
    const MAILBOX_CAPACITY: usize;

    /// Which one of its kind.
    fn name(&self) -> Arc<str>;
    /// Whose actor it is, if it is a resource's: events of its crashes are then the resource's.
    fn resource(&self) -> Option<Arc<Resource>> {
        None
    }
    /// A life begins, the first or another: arm timers, start what must run.
    fn started(&mut self, life: &mut Life<Self>);
    /// The last life ended in a panic: replace all that may be broken. Futures and timers of that
    /// life are gone already.
    fn restarting(&mut self, ending: &Ending);
    /// One message.
    fn handle(&mut self, message: Self::Message, life: &mut Life<Self>);
}

/// The context of a core.
pub(crate) type Life<C> = Context<Guarded<C>>;

/// Why a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// What the panic said, cut to [`PANIC_TEXT_BYTES_MAX`].
    pub(crate) panic: String,
    /// Whether the actor is parked now.
    pub(crate) is_parked: bool,
}

/// An actor did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Down {
    /// This message made it panic.
    #[error("the actor crashed on this message; the log names the panic")]
    Crashed,
    /// It crashed too often and is tried again later.
    #[error("the actor is parked after too many crashes; the log names the panic")]
    Parked,
}

/// News of an actor's end for its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obituary {
    /// [`Core::KIND`].
    pub(crate) kind: &'static str,
    /// [`Core::name`].
    pub(crate) name: Arc<str>,
    /// How.
    pub(crate) end: End,
}

/// How an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Parked; it lives again by itself.
    Parked,
    /// Parked before, alive again.
    Unparked,
    /// A panic got past the wrapper: the actor is gone, the parent makes a new one.
    Lost,
}

/// What supervision needs from outside; one per arbiter.
pub(crate) struct Supervision {
    /// Time for pauses.
    pub(crate) clock: Arc<dyn Clock>,
    /// Chance for jitter.
    pub(crate) rng: RefCell<Box<dyn Rng>>,
    /// To the parent. Full: the obituary is dropped and logged; the parent also meets `Closed`.
    pub(crate) obituaries: mpsc::Sender<Obituary>,
    /// Where crashes are counted; the node's.
    pub(crate) counters: Arc<RuntimeCounters>,
    /// Where crashes are told.
    pub(crate) events: Reporter,
}

// === The wrapper ===

/// A core under supervision.
pub(crate) struct Guarded<C: Core> {
    core: C,
    crashes: Crashes,
    pause: Option<Pause>,
    is_parked: bool,
    supervision: Rc<Supervision>,
    /// Last field: dropped when all else is.
    witness: Witness,
}

/// Tells the parent of an end that nobody asked for.
struct Witness {
    kind: &'static str,
    name: Arc<str>,
    resource: Option<Arc<Resource>>,
    obituaries: mpsc::Sender<Obituary>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = Arc::clone(&self.name);
            let obituary = Obituary {
                kind: self.kind,
                name,
                end: End::Lost,
            };
            // Full: see `Supervision::obituaries`. Nothing that can panic may stand here.
            drop(self.obituaries.try_send(obituary));
        }
    }
}

/// A message for a core.
pub(crate) struct Envelope<M>(pub(crate) M);

impl<M> Message for Envelope<M> {
    type Result = Result<(), Down>;
}

/// Starts a core under supervision on the current arbiter. Dropping the last address ends it.
pub(crate) fn start<C: Core>(core: C, supervision: &Rc<Supervision>) -> Addr<Guarded<C>> {
    let witness = Witness {
        kind: C::KIND,
        name: core.name(),
        resource: core.resource(),
        obituaries: supervision.obituaries.clone(),
    };
    let supervision = Rc::clone(supervision);
    Supervisor::start(move |_| Guarded {
        core,
        crashes: Crashes::default(),
        pause: None,
        is_parked: false,
        supervision,
        witness,
    })
}

/// Runs `future` within this life; `then` gets its output, or `Err` with the text of its panic,
/// which harms nobody else. A panic in `then` is the core's. The end of the life drops the future.
pub(crate) fn spawn<C: Core, T: 'static>(
    life: &mut Life<C>,
    future: impl Future<Output = T> + 'static,
    then: impl FnOnce(&mut C, Result<T, String>, &mut Life<C>) + 'static,
) -> SpawnHandle {
    let caught = AssertUnwindSafe(future).catch_unwind();
    let ended = wrap_future::<_, Guarded<C>>(caught).map(
        |outcome, guarded: &mut Guarded<C>, life: &mut Life<C>| {
            let outcome = outcome.map_err(|payload| panic_text(&*payload));
            guarded.guard(life, |core, life| then(core, outcome, life));
        },
    );
    life.spawn(ended)
}

impl<C: Core> Guarded<C> {
    /// Whether the core lived through `body`.
    fn guard(&mut self, life: &mut Life<C>, body: impl FnOnce(&mut C, &mut Life<C>)) -> bool {
        let core = &mut self.core;
        let outcome = catch_unwind(AssertUnwindSafe(|| body(core, life)));
        if let Err(payload) = &outcome {
            self.crash(panic_text(&**payload));
            life.stop();
        }
        outcome.is_ok()
    }

    /// Decides the pause and lets the core replace what may be broken.
    fn crash(&mut self, panic: String) {
        let chance = self.supervision.rng.borrow_mut().next_u64();
        let pause = self
            .crashes
            .note(self.supervision.clock.monotonic(), chance);
        let is_parked = matches!(pause, Pause::Parked(_));
        self.supervision.counters.actor_crashed(C::KIND);
        let (crashes, error) = (self.crashes.total(), panic.clone());
        self.tell(|actor, name| match is_parked {
            true => Event::ActorParked { actor, name, error },
            false => Event::ActorRestarted {
                actor,
                name,
                crashes,
                error,
            },
        });
        let ending = Ending { panic, is_parked };
        let core = &mut self.core;
        if catch_unwind(AssertUnwindSafe(|| core.restarting(&ending))).is_err() {
            // What cannot be replaced is not called again until an operator or time helps.
            let (actor, name) = (C::KIND, &self.witness.name);
            error!(actor, %name, "actor crashed while it replaced its core");
        }
        if is_parked && !self.is_parked {
            self.supervision.counters.actor_parked(C::KIND);
            self.report(End::Parked);
        }
        self.is_parked = is_parked;
        self.pause = Some(pause);
    }

    /// The name is the witness's: the core may be broken.
    fn tell(&self, event: impl FnOnce(String, String) -> Event) {
        let event = event(C::KIND.to_owned(), self.witness.name.to_string());
        match &self.witness.resource {
            Some(resource) => self.supervision.events.report_of(resource, None, event),
            None => self.supervision.events.report(event),
        }
    }

    fn report(&self, end: End) {
        let name = Arc::clone(&self.witness.name);
        let obituary = Obituary {
            kind: C::KIND,
            name,
            end,
        };
        if let Err(error) = self.supervision.obituaries.try_send(obituary) {
            self.supervision.counters.obituary_dropped(C::KIND);
            warn!(actor = C::KIND, name = %self.witness.name, %error, "obituary dropped");
        }
    }

    fn begin_life(&mut self, life: &mut Life<C>) {
        self.guard(life, |core, life| core.started(life));
    }
}

impl<C: Core> Actor for Guarded<C> {
    type Context = Context<Self>;

    fn started(&mut self, life: &mut Self::Context) {
        life.set_mailbox_capacity(C::MAILBOX_CAPACITY);
        let clock = &self.supervision.clock;
        match self.pause.take() {
            None => self.begin_life(life),
            Some(Pause::Backoff(pause)) => {
                // Holds the mailbox closed: senders meet its capacity meanwhile.
                let over = clock.sleep_until(clock.monotonic().after(pause));
                life.wait(over.into_actor(self).map(|(), guarded, life| {
                    guarded.begin_life(life);
                }));
            }
            Some(Pause::Parked(pause)) => {
                let over = clock.sleep_until(clock.monotonic().after(pause));
                life.spawn(over.into_actor(self).map(|(), guarded: &mut Self, life| {
                    guarded.tell(|actor, name| Event::ActorRecovered { actor, name });
                    guarded.is_parked = false;
                    guarded.supervision.counters.actor_unparked(C::KIND);
                    guarded.report(End::Unparked);
                    guarded.begin_life(life);
                }));
            }
        }
    }
}

impl<C: Core> Supervised for Guarded<C> {}

impl<C: Core> Drop for Guarded<C> {
    fn drop(&mut self) {
        if self.is_parked {
            self.supervision.counters.actor_unparked(C::KIND);
        }
    }
}

impl<C: Core> Handler<Envelope<C::Message>> for Guarded<C> {
    type Result = Result<(), Down>;

    fn handle(&mut self, message: Envelope<C::Message>, life: &mut Self::Context) -> Self::Result {
        if self.is_parked {
            return Err(Down::Parked);
        }
        let has_lived = self.guard(life, |core, life| core.handle(message.0, life));
        if has_lived {
            Ok(())
        } else {
            Err(Down::Crashed)
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let said = payload.downcast_ref::<&str>().copied();
    let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = said.unwrap_or("a panic without text");
    let mut end = text.len().min(PANIC_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
#[path = "supervise_tests.rs"]
mod tests;
