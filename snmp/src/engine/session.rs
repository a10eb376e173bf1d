//! One device as the engine asks it: address, credential, budget, and what was learned of it.
//!
//! Does: gets and walks, each with a deadline; keep round trip, repetitions and v3 engine between
//! them. Does not: know resources or plugins; retry beyond its deadline.
//! In: plans, a deadline, a sink. Out: cells in the sink, an outcome. About 1 KiB while idle.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::Monotonic;

use super::budget::DeviceBudget;
use super::credential::{Credential, Security};
use super::driver::Engine;
use super::error::{ExchangeError, GetError, GetOutcome};
use super::get::{Get, GetPlan};
use super::limits::TRIES_MAX;
use super::operation::{Finish, Operation, Task};
use super::pending::Pending;
use super::repetitions::Repetitions;
use super::rtt::{RoundTrip, TimeoutBounds};
use super::sink::VarbindSink;
use super::trace::Tracer;
use super::walk::{Asked, Walk, WalkEnd, WalkOutcome, WalkPlan};
use crate::message::{EncodeError, Version, encode_request};
use crate::oid::Name;
use crate::pdu::{Request, RequestId, RequestKind};
use crate::usm::SecurityLevel;
use crate::v3::{EngineEvent, Outgoing, Peer};

/// Everything a session is made of.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// Where the agent listens; already resolved.
    pub address: SocketAddr,
    /// What it is asked with.
    pub credential: Arc<Credential>,
    /// The load that it can stand, shared by all sessions of the device.
    pub budget: DeviceBudget,
    /// How long to wait for an answer.
    pub timeout: TimeoutBounds,
    /// Transmissions of one request, the first included; 1 to [`TRIES_MAX`].
    pub tries: u8,
    /// Rows of one GETBULK at most.
    pub max_repetitions: u16,
    /// Walk by GETBULK; false walks by GETNEXT, as v1 always does.
    pub is_bulk: bool,
    /// Local address to send from; `None`, or one of another family: the engine's own.
    pub source: Option<IpAddr>,
    /// Operations in a row without an answer after which another source port is taken.
    pub silent_before_renewal: u8,
}

impl SessionSettings {
    /// The defaults: 2 s, 3 tries, 25 rows by GETBULK, one packet in flight, another port after
    /// 3 silent operations.
    #[must_use]
    pub fn new(address: SocketAddr, credential: Arc<Credential>) -> Self {
        Self {
            address,
            credential,
            budget: DeviceBudget::default(),
            timeout: TimeoutBounds::default(),
            tries: 3,
            max_repetitions: 25,
            is_bulk: true,
            source: None,
            silent_before_renewal: 3,
        }
    }
}

/// A device. Cheap to clone; clones are the same session.
#[derive(Clone)]
pub struct Session {
    engine: Rc<Engine>,
    core: Rc<SessionCore>,
    tracer: Option<Rc<dyn Tracer>>,
}

/// What operations of a session share.
pub(crate) struct SessionCore {
    pub(crate) address: SocketAddr,
    pub(crate) budget: DeviceBudget,
    pub(crate) tries: u8,
    pub(crate) silent_before_renewal: u8,
    credential: Arc<Credential>,
    is_bulk: bool,
    pub(crate) state: RefCell<SessionState>,
    engine: std::rc::Weak<Engine>,
}

/// What was learned of a device.
pub(crate) struct SessionState {
    pub(crate) round_trip: RoundTrip,
    pub(crate) repetitions: Repetitions,
    /// The agent's engine; `None` unless v3, and then large.
    pub(crate) peer: Option<Box<Peer>>,
    /// The socket that it is asked through.
    pub(crate) place: usize,
    pub(crate) silent_operations: u8,
    /// A report came, such as the answer to discovery.
    pub(crate) has_reported: bool,
    pub(crate) event: Option<EngineEvent>,
}

/// What came of writing a request.
pub(crate) enum Written {
    /// This many bytes at the end of the buffer.
    Message(usize),
    /// It does not fit.
    TooLong,
    /// It cannot be written at all.
    Impossible(&'static str),
}

// === What callers use ===

impl Session {
    pub(crate) fn new(
        engine: &Rc<Engine>,
        settings: SessionSettings,
        place: usize,
        salt_seed: u64,
    ) -> Self {
        let peer = match &settings.credential.security {
            Security::Community { .. } => None,
            Security::User {
                user, context_name, ..
            } => Some(Box::new(Peer::new(
                Arc::clone(user),
                context_name,
                salt_seed,
            ))),
        };
        let core = SessionCore {
            address: settings.address,
            budget: settings.budget,
            tries: settings.tries.clamp(1, TRIES_MAX),
            silent_before_renewal: settings.silent_before_renewal.max(1),
            credential: settings.credential,
            is_bulk: settings.is_bulk,
            state: RefCell::new(SessionState {
                round_trip: RoundTrip::new(settings.timeout),
                repetitions: Repetitions::new(settings.max_repetitions),
                peer,
                place,
                silent_operations: 0,
                has_reported: false,
                event: None,
            }),
            engine: Rc::downgrade(engine),
        };
        Self {
            engine: Rc::clone(engine),
            core: Rc::new(core),
            tracer: None,
        }
    }

    /// The same session, whose operations tell `tracer` what happens; those of other handles do
    /// not.
    #[must_use]
    pub fn traced(&self, tracer: Rc<dyn Tracer>) -> Self {
        Self {
            tracer: Some(tracer),
            ..self.clone()
        }
    }

    /// The device's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.core.address
    }

    /// The measured round trip, or `None` before the first answer.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.core.state.borrow().round_trip.mean()
    }

    /// The rows that the device stands in one GETBULK, as learned.
    #[must_use]
    pub fn repetitions(&self) -> u16 {
        self.core.state.borrow().repetitions.rows()
    }

    /// Boots of the agent's v3 engine and its time in seconds now, once authenticated.
    #[must_use]
    pub fn engine_time(&self, now: Monotonic) -> Option<(u32, u32)> {
        let state = self.core.state.borrow();
        let time = state.peer.as_ref()?.engine_time()?;
        Some((time.boots, time.time_at(now)))
    }

    /// What the last authentic message told about the agent's v3 engine, once.
    #[must_use]
    pub fn take_engine_event(&self) -> Option<EngineEvent> {
        self.core.state.borrow_mut().event.take()
    }

    /// Reads these names, in as many requests as they need; the sink gets each value as it comes.
    ///
    /// # Errors
    /// [`GetError::Exchange`]; what came before is in the sink.
    ///
    /// # Panics
    /// If the sink panics, with its payload.
    pub async fn get<S: VarbindSink + 'static>(
        &self,
        plan: &GetPlan,
        deadline: Monotonic,
        sink: S,
    ) -> (Result<GetOutcome, GetError>, S) {
        let task = Task::Get(Get::new(plan));
        let (finish, operation, sink) = self.run(task, deadline, sink).await;
        let result = match finish {
            Err(error) => Err(error.into()),
            Ok(()) => Ok(
                operation.map_or_else(GetOutcome::default, |operation| GetOutcome {
                    packets: operation.packets,
                    retries: operation.retries,
                    failed_names: operation.task.into_failed_names(),
                }),
            ),
        };
        (result, sink)
    }

    /// Walks the plan's columns together; the sink gets each cell once, as it comes. A walk always
    /// has an outcome: what was read stays read.
    ///
    /// # Panics
    /// If the sink panics, with its payload.
    pub async fn walk<S: VarbindSink + 'static>(
        &self,
        plan: &WalkPlan,
        deadline: Monotonic,
        sink: S,
    ) -> (WalkOutcome, S) {
        let task = Task::Walk(Walk::new(plan));
        let (finish, operation, sink) = self.run(task, deadline, sink).await;
        let mut outcome = WalkOutcome::default();
        if let Some(operation) = operation {
            outcome.packets = operation.packets;
            outcome.retries = operation.retries;
            if let Some(walk) = operation.task.into_walk() {
                outcome.cells = walk.cells();
                outcome.rows = walk.rows();
                outcome.last_oid = walk.last_oid();
                (outcome.end, outcome.failed_columns) = walk.into_end();
            }
        }
        if let Err(error) = finish {
            outcome.end = WalkEnd::Failed(error);
        }
        (outcome, sink)
    }

    async fn run<S: VarbindSink + 'static>(
        &self,
        task: Task,
        deadline: Monotonic,
        sink: S,
    ) -> (Result<(), ExchangeError>, Option<Operation>, S) {
        let sink = Rc::new(RefCell::new(sink));
        let session = Rc::clone(&self.core);
        let started = self.engine.now();
        let shared = Rc::clone(&sink) as Rc<RefCell<dyn VarbindSink>>;
        let mut operation = Operation::new(session, task, shared, started, deadline);
        operation.tracer.clone_from(&self.tracer);
        let (finish, operation) = match self.engine.begin(operation) {
            Err(error) => (Finish::Failed(error), None),
            Ok(index) => Pending::new(Rc::clone(&self.engine), index).await,
        };
        let operation = operation.map(Operation::without_sink);
        let Some(sink) = Rc::into_inner(sink) else {
            unreachable!("the operation held the only other handle and gave it up")
        };
        let result = match finish {
            Finish::Ended => Ok(()),
            Finish::Failed(error) => Err(error),
            Finish::Panicked(payload) => std::panic::resume_unwind(payload),
        };
        (result, operation, sink.into_inner())
    }
}

// === What the engine uses ===

impl SessionCore {
    /// The version that it speaks.
    pub(crate) fn version(&self) -> Version {
        self.credential.version()
    }

    /// Whether it walks by GETBULK.
    pub(crate) fn is_bulk(&self) -> bool {
        self.is_bulk && self.version() != Version::V1
    }

    /// Whether an engine whose boots went backwards is refused.
    pub(crate) fn is_strict_about_boots(&self) -> bool {
        matches!(
            self.credential.security,
            Security::User {
                is_strict: true,
                ..
            }
        )
    }

    /// Whether the agent tells its engine's id, but was never heard under our keys. Agents of
    /// net-snmp drop without a word what the wrong privacy key made of a request; a wrong
    /// authentication key they report.
    pub(crate) fn is_deaf_to_privacy(&self) -> bool {
        let state = self.state.borrow();
        let peer = state.peer.as_ref().filter(|_| state.has_reported);
        peer.is_some_and(|peer| {
            peer.user().level() == SecurityLevel::AuthPriv && peer.engine_time().is_none()
        })
    }

    /// Whether an answer from there may be the device's.
    #[inline]
    pub(crate) fn accepts(&self, from: SocketAddr) -> bool {
        let is_asked = from.ip() == self.address.ip() && from.port() == self.address.port();
        is_asked || self.credential.reply_from.contains(&from.ip())
    }

    /// Writes the next request of a task to the end of the buffer.
    pub(crate) fn write(
        &self,
        state: &mut SessionState,
        (buffer, task, asked): (&mut [u8], &Task, Asked),
        id: RequestId,
        now: Monotonic,
    ) -> Written {
        match task {
            Task::Walk(walk) => {
                let kind = if self.is_bulk() {
                    RequestKind::GetBulk {
                        non_repeaters: 0,
                        max_repetitions: asked.rows,
                    }
                } else {
                    RequestKind::GetNext
                };
                let names = walk.names(asked);
                self.write_names(state, buffer, &Request { kind, id, names }, now)
            }
            Task::Get(get) => {
                let kind = RequestKind::Get;
                let names = get.names(asked.columns);
                self.write_names(state, buffer, &Request { kind, id, names }, now)
            }
        }
    }

    fn write_names<N: Name>(
        &self,
        state: &mut SessionState,
        buffer: &mut [u8],
        request: &Request<'_, N>,
        now: Monotonic,
    ) -> Written {
        match (&self.credential.security, &mut state.peer) {
            (Security::Community { version, community }, _) => {
                let version = (*version).into();
                match encode_request(buffer, version, community.expose(), request) {
                    Ok(message) => Written::Message(message.len()),
                    Err(EncodeError::Full(_)) => Written::TooLong,
                    Err(_) => Written::Impossible("the version has no such request"),
                }
            }
            (Security::User { .. }, Some(peer)) => match peer.encode(buffer, request, now) {
                Ok(Outgoing::Discovery(message) | Outgoing::Request(message)) => {
                    Written::Message(message.len())
                }
                Err(_) => Written::TooLong,
            },
            (Security::User { .. }, None) => Written::Impossible("the session has no v3 engine"),
        }
    }
}

impl Drop for SessionCore {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.leave(self.state.borrow().place);
        }
    }
}
