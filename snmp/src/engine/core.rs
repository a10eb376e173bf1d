//! The moving parts of one engine: table of operations, timers, sockets; moved by the tick.
//!
//! Does: give operations their turn, send and retry, end them; `core::replies` takes what comes.
//! Does not: wait (`driver` does), decide sizes, times and rates (the pure parts do).
//! In: operations, the tick. Out: datagrams, cells to sinks, finished operations that are woken.
//! Cost: per reply one table access, one timer move, no allocation, no wake-up; at 10,000 devices
//! with 25 requests a minute each that is 4,200 a second, under 2 % of a core.

mod ends;
mod replies;

use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use ocelli_model::clock::{Clock, Monotonic, Rng, WallMs};

use super::budget::DeviceBudget;
use super::counters::EngineCounters;
use super::error::ExchangeError;
use super::limits::OPERATIONS_MAX;
use super::operation::{Attempt, Finish, Operation, Phase};
use super::session::Written;
use super::sockets::Sockets;
use super::ticket::{Ticket, Tickets};
use super::trace::{MaskedPacket, TraceEvent};
use super::walk::Asked;
use super::wheel::Wheel;
use super::window::Grant;
use crate::pdu::RequestId;

/// One reading of the clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) monotonic: Monotonic,
    pub(crate) wall: WallMs,
}

/// All state of an engine.
pub(crate) struct Core {
    clock: Arc<dyn Clock>,
    rng: Box<dyn Rng>,
    tickets: Tickets,
    pub(crate) sockets: Sockets,
    table: Vec<Option<Operation>>,
    free: Vec<u32>,
    wheel: Wheel,
    due: Vec<u32>,
    searches_left: u8,
    pub(crate) counters: EngineCounters,
}

/// What an operation got when it asked for its turn.
enum Turn {
    Now,
    Later,
    At(Monotonic),
    Refused,
}

impl Core {
    /// Nothing in progress.
    pub(crate) fn new(clock: Arc<dyn Clock>, mut rng: Box<dyn Rng>, sockets: Sockets) -> Self {
        let tickets = Tickets::new(low_bits(rng.next_u64()));
        let wheel = Wheel::new(OPERATIONS_MAX, clock.monotonic());
        Self {
            clock,
            rng,
            tickets,
            sockets,
            table: Vec::new(),
            free: Vec::new(),
            wheel,
            due: Vec::new(),
            searches_left: 0,
            counters: EngineCounters::default(),
        }
    }

    /// Both clocks now.
    pub(crate) fn now(&self) -> Now {
        Now {
            monotonic: self.clock.monotonic(),
            wall: self.clock.wall(),
        }
    }

    /// Random bits.
    pub(crate) fn chance(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Operations in the table, ended ones that were not looked at included.
    pub(crate) fn operations(&self) -> usize {
        self.table.len() - self.free.len()
    }

    // === Operations come and go ===

    /// Puts an operation into the table and asks for its turn.
    pub(crate) fn begin(&mut self, operation: Operation) -> Result<u32, ExchangeError> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.table.len() < OPERATIONS_MAX => {
                self.table.push(None);
                u32::try_from(self.table.len() - 1).unwrap_or(u32::MAX)
            }
            None => {
                self.counters.operations_refused += 1;
                return Err(ExchangeError::EngineFull);
            }
        };
        let now = operation.started;
        if let Some(place) = self.table.get_mut(index as usize) {
            *place = Some(operation);
        }
        self.ask_turn(index, now);
        Ok(index)
    }

    /// How the operation ended; wakes `waker` once it has if it has not.
    pub(crate) fn poll(&mut self, index: u32, waker: &Waker) -> Option<Finish> {
        let operation = self.operation(index)?;
        if operation.finish.is_none() {
            operation.waker = Some(waker.clone());
        }
        operation.finish.take()
    }

    /// Takes the operation out of the table, wherever it stands.
    pub(crate) fn remove(&mut self, index: u32) -> Option<Operation> {
        let now = self.clock.monotonic();
        self.settle(index, now);
        let operation = self.table.get_mut(index as usize)?.take()?;
        self.free.push(index);
        Some(operation)
    }

    /// Ends all operations.
    pub(crate) fn stop(&mut self) {
        for index in 0..u32::try_from(self.table.len()).unwrap_or(0) {
            self.finish(index, Finish::Failed(ExchangeError::Stopped), Monotonic(0));
        }
    }

    fn operation(&mut self, index: u32) -> Option<&mut Operation> {
        self.table.get_mut(index as usize)?.as_mut()
    }

    // === Turns ===

    /// Begins the next request of an operation as soon as its device's budget allows.
    fn ask_turn(&mut self, index: u32, now: Monotonic) {
        let tag = Tickets::tag(low_bits(self.chance()));
        let Some(operation) = self.operation(index) else {
            return;
        };
        operation.begin_request(tag);
        operation.wait(now);
        let deadline = operation.deadline;
        let budget = operation.session.budget.clone();
        let address = operation.session.address;
        let turn = budget.with(|budget| {
            if budget.first().is_none() {
                match budget.window.take(now) {
                    Grant::Go => return Turn::Now,
                    Grant::Until(at) if budget.wait(index) => return Turn::At(at),
                    Grant::Full if budget.wait(index) => return Turn::Later,
                    Grant::Full | Grant::Until(_) => return Turn::Refused,
                }
            }
            if budget.wait(index) {
                Turn::Later
            } else {
                Turn::Refused
            }
        });
        match turn {
            Turn::Now => self.transmit_first(index, now),
            Turn::Later => self.wheel.schedule(index, deadline),
            Turn::At(at) => self.wheel.schedule(index, at.min(deadline)),
            Turn::Refused => {
                self.counters.operations_refused += 1;
                let error = ExchangeError::DeviceQueueFull { address };
                self.finish(index, Finish::Failed(error), now);
            }
        }
    }

    /// Lets those that wait for a device go, as far as its budget allows.
    fn pump(&mut self, budget: &DeviceBudget, now: Monotonic) {
        // Each turn takes one out of the queue, or ends.
        while let Some(index) = budget.with(|budget| budget.first()) {
            let overdue = self
                .operation(index)
                .filter(|operation| now >= operation.deadline)
                .map(|operation| {
                    operation.phase = Phase::Done;
                    operation.overdue(now)
                });
            if let Some(error) = overdue {
                budget.with(|budget| budget.leave(index));
                self.finish(index, Finish::Failed(error), now);
                continue;
            }
            match budget.with(|budget| budget.window.take(now)) {
                Grant::Go => {
                    budget.with(|budget| budget.leave(index));
                    self.transmit_first(index, now);
                }
                Grant::Full => return,
                Grant::Until(at) => {
                    if let Some(operation) = self.operation(index) {
                        let at = at.min(operation.deadline);
                        self.wheel.schedule(index, at);
                    }
                    return;
                }
            }
        }
    }

    // === Sending ===

    /// Sends a request for the first time; its place in the window is taken.
    fn transmit_first(&mut self, index: u32, now: Monotonic) {
        let Some(operation) = self.table.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        operation.take_turn(now);
        let place = operation.session.state.borrow().place;
        if let Some(place) = self.sockets.get_mut(place) {
            place.in_flight += 1;
        }
        self.transmit(index, now);
    }

    /// Writes one try into the outbox and starts its timer.
    fn transmit(&mut self, index: u32, now: Monotonic) {
        let Some(operation) = self.table.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let session = operation.session.clone();
        let mut state = session.state.borrow_mut();
        let Some(place) = self.sockets.get_mut(state.place) else {
            return;
        };
        if place.socket.outbox.is_full() {
            let (outbox, socket) = place.socket.sending();
            let flushed = outbox.flush(socket, |_| self.counters.refused += 1);
            self.counters.sent += flushed.sent as u64;
            self.counters.send_dropped += flushed.dropped as u64;
        }
        let ticket = Ticket {
            index,
            tag: operation.tag,
            attempt: operation.attempt_count(),
        };
        let id = RequestId::from_bits(self.tickets.seal(ticket));
        // Each turn sends, or asks for half as much.
        let error = loop {
            let Some(asked) = operation.task.next(&state.repetitions, session.is_bulk()) else {
                drop(state);
                self.finish(index, Finish::Ended, now);
                return;
            };
            let buffer = place.socket.outbox.buffer();
            match session.write(&mut state, (buffer, &operation.task, asked), id, now) {
                Written::Message(len) => {
                    let buffer = place.socket.outbox.buffer();
                    let message = &buffer[buffer.len().saturating_sub(len)..];
                    operation.trace(now, || sent_event(operation, asked, message));
                    place.socket.outbox.push(len, session.address, index);
                    operation.sent(Attempt {
                        sent_at: now,
                        asked,
                    });
                    operation.phase = Phase::InFlight;
                    let at = now.after(state.round_trip.timeout());
                    self.wheel.schedule(index, at.min(operation.deadline));
                    return;
                }
                Written::TooLong if operation.task.narrow(asked) => {}
                Written::TooLong => break "a single name does not fit one request",
                Written::Impossible(reason) => break reason,
            }
        };
        drop(state);
        let error = ExchangeError::Unsendable {
            address: session.address,
            reason: error.to_owned(),
        };
        self.finish(index, Finish::Failed(error), now);
    }

    /// Sends what is collected.
    pub(crate) fn flush(&mut self) {
        let mut refused = Vec::new();
        for place in self.sockets.iter_mut() {
            if place.socket.outbox.is_empty() {
                continue;
            }
            let (outbox, socket) = place.socket.sending();
            let flushed = outbox.flush(socket, |one| refused.push(one));
            self.counters.sent += flushed.sent as u64;
            self.counters.send_dropped += flushed.dropped as u64;
        }
        for one in refused {
            self.counters.refused += 1;
            if let Some(operation) = self.operation(one.owner) {
                let errno = nix::errno::Errno::from_raw(one.errno.raw_os_error());
                operation.clues.unreachable = Some(errno);
            }
        }
    }

    // === Timers ===

    /// Handles all timers that are due.
    pub(crate) fn expire(&mut self, now: Monotonic) {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        self.wheel.expire(now, &mut due);
        for &index in &due {
            self.timer(index, now);
        }
        self.due = due;
    }

    fn timer(&mut self, index: u32, now: Monotonic) {
        let Some(operation) = self.operation(index) else {
            return;
        };
        let session = operation.session.clone();
        if now >= operation.deadline {
            let error = operation.overdue(now);
            self.finish(index, Finish::Failed(error), now);
            return;
        }
        match operation.phase {
            Phase::Waiting => {
                // Its turn may have to wait for one ahead of it: then its deadline wakes it again.
                let deadline = operation.deadline;
                self.wheel.schedule(index, deadline);
                self.pump(&session.budget, now);
                return;
            }
            Phase::Done => return,
            Phase::RetryPaced => {}
            Phase::InFlight => {
                note_try_without_answer(operation, now);
                if operation.is_given_up() {
                    let error = operation.silence(now);
                    self.counters.timeouts += u64::from(!operation.is_refused());
                    self.finish(index, Finish::Failed(error), now);
                    return;
                }
            }
        }
        self.retry(index, now);
    }

    /// Sends the present request again, when the rate of its device allows.
    fn retry(&mut self, index: u32, now: Monotonic) {
        let Some(operation) = self.operation(index) else {
            return;
        };
        let budget = operation.session.budget.clone();
        match budget.with(|budget| budget.window.take_packet(now)) {
            Grant::Until(at) => {
                operation.phase = Phase::RetryPaced;
                let at = at.min(operation.deadline);
                self.wheel.schedule(index, at);
            }
            Grant::Go | Grant::Full => {
                if operation.attempt_count() > 0 {
                    operation.retries += 1;
                    self.counters.retries += 1;
                }
                self.transmit(index, now);
            }
        }
    }

    /// After an answer: the next request, or the end.
    fn go_on(&mut self, index: u32, now: Monotonic) {
        let Some(operation) = self.operation(index) else {
            return;
        };
        let session = operation.session.clone();
        let next = {
            let state = session.state.borrow();
            operation.task.next(&state.repetitions, session.is_bulk())
        };
        if next.is_none() {
            self.finish(index, Finish::Ended, now);
        } else if now >= operation.deadline {
            let error = operation.overdue(now);
            self.finish(index, Finish::Failed(error), now);
        } else {
            operation.phase = Phase::Waiting;
            self.release(&session);
            self.ask_turn(index, now);
            self.pump(&session.budget, now);
        }
    }

    /// After a report: the same request under a new id, at once, in the same place of the window.
    fn resend(&mut self, index: u32, now: Monotonic) {
        let tag = Tickets::tag(low_bits(self.chance()));
        if let Some(operation) = self.operation(index) {
            operation.begin_request(tag);
        }
        self.retry(index, now);
    }
}

/// The try under way has no answer. Silence says that requests are too quick or too large; that
/// nobody was there says neither.
fn note_try_without_answer(operation: &mut Operation, now: Monotonic) {
    let silences = operation.attempt_count();
    let Attempt { asked, sent_at } = operation.last_attempt();
    operation.trace(now, || TraceEvent::Silent {
        attempt: silences,
        waited: now.since(sent_at),
    });
    if operation.is_refused() {
        return;
    }
    let session = Rc::clone(&operation.session);
    let mut state = session.state.borrow_mut();
    state.round_trip.timed_out();
    operation
        .task
        .silence(asked, silences, &mut state.repetitions);
}

fn sent_event(operation: &Operation, asked: Asked, message: &[u8]) -> TraceEvent {
    let (names, name_count) = operation.task.told_names(asked);
    TraceEvent::Sent {
        to: operation.session.address,
        request: operation.task.request_name(operation.session.is_bulk()),
        attempt: operation.attempt_count() + 1,
        names,
        name_count,
        rows: asked.rows,
        packet: MaskedPacket::of(message),
    }
}

fn low_bits(chance: u64) -> u32 {
    u32::try_from(chance & u64::from(u32::MAX)).unwrap_or(0)
}
