//! One get or walk in progress: what it asks, which tries wait for an answer, what went wrong.
//!
//! Does: hold the state that `core` moves; choose the error that explains a silence best.
//! Does not: send, receive, keep time. In: a task, a sink, a deadline. Out: [`Finish`].

use std::any::Any;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use nix::errno::Errno;
use ocelli_model::clock::Monotonic;

use super::error::{AuthFailure, ExchangeError, NameFailure};
use super::get::Get;
use super::limits::TRIES_MAX;
use super::repetitions::{Refusal, Repetitions};
use super::session::SessionCore;
use super::sink::{Received, VarbindSink};
use super::trace::{NAMES_TOLD_MAX, TraceEvent, Tracer};
use super::walk::{Asked, Walk};
use crate::oid::{Index, Name};
use crate::pdu::{ErrorStatus, PduView};
use crate::value::Value;

/// Tries of one request that may find nobody at the port: an agent that is restarted just then
/// gets a second one.
const REFUSALS_MAX: u8 = 2;

/// A sink that the engine and the caller hold.
pub(crate) type SharedSink = Rc<RefCell<dyn VarbindSink>>;

/// What an operation does.
#[derive(Debug)]
pub(crate) enum Task {
    Walk(Walk),
    Get(Get),
}

/// One transmission.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attempt {
    pub(crate) sent_at: Monotonic,
    pub(crate) asked: Asked,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Queued at its device's budget.
    Waiting,
    /// A request is out.
    InFlight,
    /// A retry is due, the rate of the device does not allow it yet.
    RetryPaced,
    /// Ended; the caller has not looked yet.
    Done,
}

/// How an operation ended.
pub(crate) enum Finish {
    /// Everything was answered, or the walk met a limit.
    Ended,
    /// An exchange failed.
    Failed(ExchangeError),
    /// The sink panicked with this.
    Panicked(Box<dyn Any + Send>),
}

/// What was seen while waiting that may explain a silence.
#[derive(Debug, Default)]
pub(crate) struct Clues {
    pub(crate) stranger: Option<IpAddr>,
    pub(crate) unreachable: Option<Errno>,
    pub(crate) auth: Option<AuthFailure>,
    pub(crate) bad_reply: Option<String>,
}

/// One operation in the engine's table.
pub(crate) struct Operation {
    pub(crate) session: Rc<SessionCore>,
    pub(crate) sink: SharedSink,
    pub(crate) task: Task,
    pub(crate) phase: Phase,
    /// Of the present request; chance.
    pub(crate) tag: u32,
    /// Tries of the present request.
    attempts: [Attempt; TRIES_MAX as usize],
    attempt_count: u8,
    /// Tries of the present request that found nobody at the port.
    refusals: u8,
    /// Whether the last try is one of them.
    is_refused: bool,
    /// Requests sent anew because of a report, since the last answer.
    pub(crate) resyncs: u8,
    pub(crate) started: Monotonic,
    pub(crate) deadline: Monotonic,
    /// Since when it is queued at its device's budget.
    waiting_since: Option<Monotonic>,
    /// How long it was queued there before.
    waited: Duration,
    pub(crate) has_reply: bool,
    pub(crate) packets: u32,
    pub(crate) retries: u32,
    pub(crate) clues: Clues,
    pub(crate) finish: Option<Finish>,
    pub(crate) waker: Option<Waker>,
    /// Whoever wants to know what happens.
    pub(crate) tracer: Option<Rc<dyn Tracer>>,
}

/// Stands where a sink was given back.
struct NoSink;

impl VarbindSink for NoSink {
    fn varbind(&mut self, _: usize, _: Index<'_>, _: Value<'_>, _: Received) {}
}

impl Operation {
    /// An operation that has not asked yet.
    pub(crate) fn new(
        session: Rc<SessionCore>,
        task: Task,
        sink: SharedSink,
        started: Monotonic,
        deadline: Monotonic,
    ) -> Self {
        Self {
            session,
            sink,
            task,
            phase: Phase::Waiting,
            tag: 0,
            attempts: [Attempt::default(); TRIES_MAX as usize],
            attempt_count: 0,
            refusals: 0,
            is_refused: false,
            resyncs: 0,
            started,
            deadline,
            waiting_since: None,
            waited: Duration::ZERO,
            has_reply: false,
            packets: 0,
            retries: 0,
            clues: Clues::default(),
            finish: None,
            waker: None,
            tracer: None,
        }
    }

    /// Gives up its handle on the sink.
    pub(crate) fn without_sink(mut self) -> Self {
        self.sink = Rc::new(RefCell::new(NoSink));
        self
    }

    /// It queues at its device's budget.
    pub(crate) fn wait(&mut self, now: Monotonic) {
        self.phase = Phase::Waiting;
        self.waiting_since = Some(now);
    }

    /// Its turn has come.
    pub(crate) fn take_turn(&mut self, now: Monotonic) {
        self.phase = Phase::InFlight;
        self.waited = self.waited_until(now);
        self.waiting_since = None;
    }

    fn waited_until(&self, now: Monotonic) -> Duration {
        let waiting = self.waiting_since.map(|since| now.since(since));
        self.waited + waiting.unwrap_or_default()
    }

    /// The next request begins: no try yet, ids with another tag.
    pub(crate) fn begin_request(&mut self, tag: u32) {
        self.tag = tag;
        self.attempt_count = 0;
        self.refusals = 0;
        self.is_refused = false;
    }

    /// Notes a transmission.
    pub(crate) fn sent(&mut self, attempt: Attempt) {
        if let Some(slot) = self.attempts.get_mut(usize::from(self.attempt_count)) {
            *slot = attempt;
            self.attempt_count += 1;
        }
        self.is_refused = false;
        self.packets += 1;
    }

    /// The kernel says that nobody listens where the try of this number went. True if no other try
    /// is under way, so that waiting out its timer is in vain.
    pub(crate) fn refused(&mut self, number: u8) -> bool {
        let is_last = number + 1 == self.attempt_count;
        if self.phase != Phase::InFlight || !is_last || self.is_refused {
            return false;
        }
        self.is_refused = true;
        self.refusals += 1;
        true
    }

    /// Whether the last try was refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Whether the present request is not worth another try.
    pub(crate) fn is_given_up(&self) -> bool {
        self.attempt_count >= self.session.tries || self.refusals >= REFUSALS_MAX
    }

    /// How often the present request was sent.
    pub(crate) fn attempt_count(&self) -> u8 {
        self.attempt_count
    }

    /// The try of this number, if a request with this tag is out.
    pub(crate) fn attempt(&self, tag: u32, number: u8) -> Option<Attempt> {
        let is_out = matches!(self.phase, Phase::InFlight | Phase::RetryPaced);
        if !is_out || tag != self.tag || number >= self.attempt_count {
            return None;
        }
        self.attempts.get(usize::from(number)).copied()
    }

    /// The last try.
    pub(crate) fn last_attempt(&self) -> Attempt {
        let last = usize::from(self.attempt_count).saturating_sub(1);
        self.attempts.get(last).copied().unwrap_or_default()
    }

    /// Reads a word of each cache line that an answer needs.
    pub(crate) fn warm_up(&self) -> u64 {
        let cells = match &self.task {
            Task::Walk(walk) => walk.warm_up(),
            Task::Get(_) => 0,
        };
        let session =
            u64::from(self.session.address.port()) + self.session.state.borrow().place as u64;
        cells + session + u64::from(self.tag) + u64::from(self.session.budget.in_flight())
    }

    /// Why there was no answer, in the order of what explains it best.
    pub(crate) fn silence(&mut self, now: Monotonic) -> ExchangeError {
        let address = self.session.address;
        let clues = std::mem::take(&mut self.clues);
        if let Some(failure) = clues.auth {
            return ExchangeError::Auth { address, failure };
        }
        if let Some(from) = clues.stranger {
            return ExchangeError::WrongSource { address, from };
        }
        if let Some(errno) = clues.unreachable {
            let reason = errno.desc().to_lowercase();
            return ExchangeError::Unreachable { address, reason };
        }
        if let Some(reason) = clues.bad_reply {
            return ExchangeError::BadReply { address, reason };
        }
        if self.session.is_deaf_to_privacy() {
            let failure = AuthFailure::Decrypt;
            return ExchangeError::Auth { address, failure };
        }
        let first = self.attempts.first().copied().unwrap_or_default();
        ExchangeError::Timeout {
            address,
            tries: self.attempt_count,
            elapsed: now.since(first.sent_at),
        }
    }

    /// What a deadline means: silence if the device never said anything, else not enough time,
    /// which the budget took if most of it went by in its queue.
    pub(crate) fn overdue(&mut self, now: Monotonic) -> ExchangeError {
        if self.packets > 0 && !self.has_reply {
            return self.silence(now);
        }
        ExchangeError::Deadline {
            address: self.session.address,
            elapsed: self.elapsed(now),
            is_starved: self.waited_until(now) * 2 >= self.elapsed(now),
        }
    }

    /// Tells the tracer, if there is one.
    pub(crate) fn trace(&self, at: Monotonic, event: impl FnOnce() -> TraceEvent) {
        if let Some(tracer) = &self.tracer {
            tracer.traced(at, event());
        }
    }

    fn elapsed(&self, now: Monotonic) -> Duration {
        now.since(self.started)
    }
}

impl Task {
    /// What to ask next; `None` when it has ended.
    pub(crate) fn next(&self, repetitions: &Repetitions, is_bulk: bool) -> Option<Asked> {
        match self {
            Self::Walk(walk) => walk.next(repetitions, is_bulk),
            Self::Get(get) => get
                .next(repetitions)
                .map(|columns| Asked { columns, rows: 1 }),
        }
    }

    /// The first names of a request and their whole number, for people.
    pub(crate) fn told_names(&self, asked: Asked) -> (Vec<String>, usize) {
        let told = |name: &dyn Name| name.oid().to_string();
        match self {
            Self::Walk(walk) => {
                let names = walk.names(asked).iter().take(NAMES_TOLD_MAX);
                (
                    names.map(|name| told(name)).collect(),
                    walk.names(asked).len(),
                )
            }
            Self::Get(get) => {
                let names = get.names(asked.columns).iter().take(NAMES_TOLD_MAX);
                (
                    names.map(|name| told(name)).collect(),
                    get.names(asked.columns).len(),
                )
            }
        }
    }

    /// What its requests are called.
    pub(crate) fn request_name(&self, is_bulk: bool) -> &'static str {
        match self {
            Self::Walk(_) if is_bulk => "GETBULK",
            Self::Walk(_) => "GETNEXT",
            Self::Get(_) => "GET",
        }
    }

    /// Asks for half as much; false if it was a single name.
    pub(crate) fn narrow(&mut self, asked: Asked) -> bool {
        match self {
            Self::Walk(walk) => walk.narrow(asked),
            Self::Get(get) => get.narrow(asked.columns),
        }
    }

    /// No answer to the `silences`-th try in a row.
    pub(crate) fn silence(&mut self, asked: Asked, silences: u8, repetitions: &mut Repetitions) {
        match self {
            Self::Walk(walk) => walk.silence(asked, silences, repetitions),
            Self::Get(get) => get.silence(asked.columns, silences),
        }
    }

    /// The datagram with the answer was cut.
    pub(crate) fn cut(&mut self, asked: Asked, repetitions: &mut Repetitions) -> bool {
        if asked.rows > 1 {
            repetitions.refused(asked.rows, Refusal::TooBig);
            return true;
        }
        self.narrow(asked)
    }

    /// A response; delivers its values. The text says why it is none.
    pub(crate) fn respond(
        &mut self,
        (asked, bytes): (Asked, usize),
        reply: &PduView<'_>,
        repetitions: &mut Repetitions,
        (sink, received): (&mut dyn VarbindSink, Received),
    ) -> Result<(), String> {
        let is_error = reply.error_status() != ErrorStatus::NoError;
        match self {
            Self::Walk(walk) if is_error => walk.status(asked, reply, repetitions),
            Self::Walk(walk) => {
                let varbinds = walk.reply(asked, reply, sink, received);
                repetitions.answered(asked.rows, varbinds, bytes);
            }
            Self::Get(get) if is_error => get.status(asked.columns, reply, sink, received),
            Self::Get(get) => {
                get.reply(asked.columns, reply, sink, received)
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// The walk; `None` for a get.
    pub(crate) fn into_walk(self) -> Option<Walk> {
        match self {
            Self::Walk(walk) => Some(walk),
            Self::Get(_) => None,
        }
    }

    /// Names that a get failed at; none for a walk.
    pub(crate) fn into_failed_names(self) -> Vec<NameFailure> {
        match self {
            Self::Walk(_) => Vec::new(),
            Self::Get(get) => get.into_failures(),
        }
    }
}
