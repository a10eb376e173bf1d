//! What comes in: which operation a datagram answers, whether it may, what it says.
//!
//! Does: accept a response only under our id, from the address asked (or listed), of the version
//! asked, authenticated in v3; hand its values to the sink; read ICMP errors.
//! Does not: let anything else end an operation: it is counted, and remembered as a clue for the
//! error if the answer never comes.
//! In: batches. Out: cells, the next request, or the end of an operation.

use std::hint::black_box;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use ocelli_model::clock::Monotonic;

use super::{Core, Now};
use crate::engine::error::{AuthFailure, ExchangeError};
use crate::engine::inbox::{Arrival, Inbox};
use crate::engine::limits::{BATCH_PACKETS, DRAIN_BATCHES_MAX};
use crate::engine::operation::{Attempt, Finish, Operation, Phase};
use crate::engine::session::SessionCore;
use crate::engine::sink::Received;
use crate::engine::trace::{MaskedPacket, TraceEvent};
use crate::message::{CommunityMessage, Version, version_of};
use crate::pdu::{ErrorStatus, PduKind, PduView, RequestId};
use crate::usm::ReportReason;
use crate::v3;
use crate::v3::{EngineEvent, NextStep, OpenError, ReceiveError, Report};

/// Reports answered by sending again, between two answers: discovery, time, and one to spare.
const RESYNCS_MAX: u8 = 3;
/// A kernel timestamp further from our clock than this is of another clock (a simulated one).
const STAMP_SKEW_MS_MAX: i64 = 60_000;
/// Unreadable datagrams per tick for which the table is searched by address.
const SEARCHES_PER_TICK_MAX: u8 = 16;
/// From "nobody listens at the port" to the next try: an agent that is restarted may be back by
/// then, and two tries are over in the time that a person does not notice.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);
const NANOS_PER_MILLI: u64 = 1_000_000;

/// The operation that a datagram answers.
struct Match {
    index: u32,
    id: RequestId,
    attempt: Attempt,
    session: Rc<SessionCore>,
}

impl Core {
    /// Receives all that waits; true if there may be more than one tick may take.
    pub(crate) fn drain(&mut self, inbox: &mut Inbox) -> bool {
        self.searches_left = SEARCHES_PER_TICK_MAX;
        let mut has_more = false;
        for number in 0..self.sockets.places() {
            let is_awaited = |core: &mut Self| {
                let place = core.sockets.get_mut(number);
                place.is_some_and(|place| place.in_flight > 0)
            };
            let mut batches = 0;
            while is_awaited(self) {
                let is_last = self.receive_batch(number, inbox);
                batches += 1;
                if is_last {
                    break;
                }
                if batches == DRAIN_BATCHES_MAX {
                    has_more = true;
                    break;
                }
            }
        }
        has_more
    }

    /// Takes one batch; true if it was not a full one.
    fn receive_batch(&mut self, number: usize, inbox: &mut Inbox) -> bool {
        let Some(place) = self.sockets.get_mut(number) else {
            return true;
        };
        if place.socket.receive(inbox).is_err() {
            self.read_errors(number);
            return false;
        }
        let count = inbox.len();
        if count > 0 {
            let now = self.now();
            self.counters.batches += 1;
            self.counters.received += count as u64;
            let warm = (0..count).fold(0, |sum: u64, position| {
                let found = inbox.datagram(position);
                sum.wrapping_add(found.map_or(0, |(_, datagram)| self.warm_up(datagram)))
            });
            black_box(warm);
            for position in 0..count {
                if let Some((arrival, datagram)) = inbox.datagram(position) {
                    self.arrived(&arrival, datagram, now);
                }
            }
        }
        count < BATCH_PACKETS
    }

    /// Reads what the answer to this datagram will need, so that the cache misses of a whole batch
    /// overlap instead of standing one after the other in front of each reply.
    fn warm_up(&self, datagram: &[u8]) -> u64 {
        let ticket = quoted_id(datagram).and_then(|id| self.tickets.open(id));
        let operation = ticket.and_then(|ticket| self.table.get(ticket.index as usize));
        let Some(Some(operation)) = operation else {
            return 0;
        };
        operation.warm_up()
    }

    fn arrived(&mut self, arrival: &Arrival, datagram: &mut [u8], now: Now) {
        if arrival.is_cut {
            self.counters.cut += 1;
            self.unreadable(
                arrival,
                "it is longer than the receive limit",
                now.monotonic,
            );
            return;
        }
        match version_of(datagram) {
            Ok(Version::V3) => self.arrived_v3(arrival, datagram, now),
            Ok(_) => match CommunityMessage::decode(datagram) {
                Ok(message) => self.arrived_community(arrival, &message, (datagram, now)),
                Err(error) => self.unreadable(arrival, &error.to_string(), now.monotonic),
            },
            Err(error) => self.unreadable(arrival, &error.to_string(), now.monotonic),
        }
    }

    fn arrived_community(
        &mut self,
        arrival: &Arrival,
        message: &CommunityMessage<'_>,
        (datagram, now): (&[u8], Now),
    ) {
        let response = message.pdu.standard();
        let response = response.filter(|pdu| pdu.kind() == PduKind::Response);
        let Some(response) = response else {
            self.counters.malformed += 1;
            return;
        };
        let Some(matched) = self.find(response.request_id(), arrival.from, now.monotonic) else {
            return;
        };
        if matched.session.version() != message.version {
            self.counters.unmatched += 1;
            return;
        }
        self.trace_received(&matched, arrival, datagram, now.monotonic);
        self.respond(&matched, response, datagram.len(), (arrival, now));
    }

    fn arrived_v3(&mut self, arrival: &Arrival, datagram: &mut [u8], now: Now) {
        let Ok(id) = v3::id_of(datagram) else {
            self.unreadable(arrival, "its header is no SNMPv3", now.monotonic);
            return;
        };
        let Some(matched) = self.find(id, arrival.from, now.monotonic) else {
            return;
        };
        let bytes = datagram.len();
        self.trace_received(&matched, arrival, datagram, now.monotonic);
        let received = {
            let mut state = matched.session.state.borrow_mut();
            let Some(peer) = state.peer.as_mut() else {
                self.counters.unmatched += 1;
                return;
            };
            peer.receive(datagram, matched.id, now.monotonic)
        };
        match received {
            Ok(v3::Received::Response { scoped, event }) => {
                if !self.note_event(&matched, event, now.monotonic) {
                    return;
                }
                if scoped.pdu.request_id() == matched.id.get() {
                    self.respond(&matched, &scoped.pdu, bytes, (arrival, now));
                } else {
                    self.counters.unmatched += 1;
                }
            }
            Ok(v3::Received::Report(report)) => self.reported(&matched, report, now.monotonic),
            Err(error) => self.unacceptable(&matched, &error, now.monotonic),
        }
    }

    /// The operation that waits for this id, if the sender may answer for it.
    fn find(&mut self, id: i32, from: SocketAddr, now: Monotonic) -> Option<Match> {
        let ticket = self.tickets.open(id);
        let found = ticket.and_then(|ticket| {
            let operation = self.operation(ticket.index)?;
            let attempt = operation.attempt(ticket.tag, ticket.attempt)?;
            let session = Rc::clone(&operation.session);
            if !session.accepts(from) {
                operation.clues.stranger = Some(from.ip());
                operation.trace(now, || TraceEvent::Stranger { from: from.ip() });
                return Some(None);
            }
            Some(Some(Match {
                index: ticket.index,
                id: RequestId::from_bits(id.cast_unsigned()),
                attempt,
                session,
            }))
        });
        match found {
            Some(Some(matched)) => Some(matched),
            Some(None) => {
                self.counters.wrong_source += 1;
                None
            }
            None => {
                self.counters.unmatched += 1;
                None
            }
        }
    }

    /// Takes the answer to a request: its values, then the next request or the end.
    fn respond(
        &mut self,
        matched: &Match,
        reply: &PduView<'_>,
        bytes: usize,
        (arrival, now): (&Arrival, Now),
    ) {
        let received = received(arrival, now, matched.attempt.sent_at);
        let Some(operation) = self.operation(matched.index) else {
            return;
        };
        let is_first = !operation.has_reply;
        operation.has_reply = true;
        operation.resyncs = 0;
        if is_first && reply.error_status() == ErrorStatus::AuthorizationError {
            // So agents of net-snmp answer a user below the level that its access needs.
            let error = ExchangeError::Auth {
                address: matched.session.address,
                failure: AuthFailure::Level,
            };
            self.finish(matched.index, Finish::Failed(error), now.monotonic);
            return;
        }
        operation.trace(now.monotonic, || {
            let status = reply.error_status();
            TraceEvent::Replied {
                round_trip: received.monotonic.since(matched.attempt.sent_at),
                varbinds: reply.varbinds().count(),
                error: (status != ErrorStatus::NoError).then(|| status.name()),
            }
        });
        let sink = Rc::clone(&operation.sink);
        let result = {
            let mut state = matched.session.state.borrow_mut();
            let round_trip = received.monotonic.since(matched.attempt.sent_at);
            state.round_trip.replied(round_trip);
            state.silent_operations = 0;
            let asked = (matched.attempt.asked, bytes);
            let task = &mut operation.task;
            let repetitions = &mut state.repetitions;
            // The sink is a plugin's: its panic must not end the tick of all the others.
            catch_unwind(AssertUnwindSafe(|| {
                let mut sink = sink.borrow_mut();
                task.respond(asked, reply, repetitions, (&mut *sink, received))
            }))
        };
        match result {
            Ok(Ok(())) => self.go_on(matched.index, now.monotonic),
            Ok(Err(reason)) => {
                let address = matched.session.address;
                let error = ExchangeError::BadReply { address, reason };
                self.finish(matched.index, Finish::Failed(error), now.monotonic);
            }
            Err(payload) => self.panicked(matched.index, payload, now.monotonic),
        }
    }

    fn trace_received(&self, matched: &Match, arrival: &Arrival, datagram: &[u8], now: Monotonic) {
        if let Some(Some(operation)) = self.table.get(matched.index as usize) {
            operation.trace(now, || TraceEvent::Received {
                from: arrival.from,
                packet: MaskedPacket::of(datagram),
            });
        }
    }

    // === What is no answer ===

    /// A report of v3: ask again under what it tells, wait, or give up.
    fn reported(&mut self, matched: &Match, report: Report, now: Monotonic) {
        if !self.note_event(matched, report.event, now) {
            return;
        }
        let Some(operation) = self.operation(matched.index) else {
            return;
        };
        let can_resend = operation.resyncs < RESYNCS_MAX;
        matched.session.state.borrow_mut().has_reported = true;
        operation.trace(now, || TraceEvent::Reported {
            reason: report.reason.name(),
            is_sent_again: can_resend && matches!(report.next, NextStep::SendAgain),
        });
        match report.next {
            NextStep::Wait => self.counters.unacceptable += 1,
            NextStep::SendAgain if can_resend => {
                operation.resyncs += 1;
                self.resend(matched.index, now);
            }
            NextStep::SendAgain | NextStep::GiveUp => {
                let address = matched.session.address;
                let error = match failure_of(report.reason) {
                    Some(failure) => ExchangeError::Auth { address, failure },
                    None => ExchangeError::BadReply {
                        address,
                        reason: format!("it reports {}", report.reason.name()),
                    },
                };
                self.finish(matched.index, Finish::Failed(error), now);
            }
        }
    }

    /// A message of v3 that proves nothing: remembered in case that the answer never comes.
    fn unacceptable(&mut self, matched: &Match, error: &ReceiveError, now: Monotonic) {
        self.counters.unacceptable += 1;
        let Some(operation) = self.operation(matched.index) else {
            return;
        };
        operation.trace(now, || TraceEvent::Unacceptable {
            reason: error.to_string(),
        });
        match error {
            ReceiveError::Open(OpenError::WrongDigest) => {
                operation.clues.auth = Some(AuthFailure::WrongDigest);
            }
            ReceiveError::WrongLevel { .. } => operation.clues.auth = Some(AuthFailure::Level),
            ReceiveError::NotInTimeWindow { .. } => {
                operation.clues.auth = Some(AuthFailure::NotInWindow);
            }
            other => operation.clues.bad_reply = Some(other.to_string()),
        }
    }

    /// Keeps what an authentic message tells about the engine for the session's owner; false if
    /// it ends the operation.
    fn note_event(&mut self, matched: &Match, event: Option<EngineEvent>, now: Monotonic) -> bool {
        let Some(event) = event else {
            return true;
        };
        matched.session.state.borrow_mut().event = Some(event);
        let is_refused = matches!(event, EngineEvent::BootsRegressed { .. })
            && matched.session.is_strict_about_boots();
        if is_refused {
            let error = ExchangeError::Auth {
                address: matched.session.address,
                failure: AuthFailure::BootsRegressed,
            };
            self.finish(matched.index, Finish::Failed(error), now);
        }
        !is_refused
    }

    /// A datagram without a readable id. If a device is waited for at its address that device
    /// sends garbage: its operation remembers it, or asks for less if the datagram was cut.
    fn unreadable(&mut self, arrival: &Arrival, reason: &str, now: Monotonic) {
        self.counters.malformed += u64::from(!arrival.is_cut);
        // A flood of garbage must not cost a look at the whole table for each datagram.
        if self.searches_left == 0 {
            return;
        }
        self.searches_left -= 1;
        let is_of = |operation: &Operation| {
            operation.attempt_count() > 0
                && matches!(operation.phase, Phase::InFlight | Phase::RetryPaced)
                && operation.session.accepts(arrival.from)
        };
        let mut places = (0..).zip(&mut self.table);
        let found = places.find_map(|(index, place)| {
            let operation = place.as_mut()?;
            is_of(operation).then_some((index, operation))
        });
        let Some((index, operation)) = found else {
            return;
        };
        operation.trace(now, || TraceEvent::Unacceptable {
            reason: reason.to_owned(),
        });
        operation.clues.bad_reply = Some(reason.to_owned());
        if !arrival.is_cut {
            return;
        }
        let asked = operation.last_attempt().asked;
        let session = Rc::clone(&operation.session);
        let is_smaller = {
            let mut state = session.state.borrow_mut();
            operation.task.cut(asked, &mut state.repetitions)
        };
        if is_smaller {
            self.resend(index, now);
        } else {
            let error = operation.silence(now);
            self.finish(index, Finish::Failed(error), now);
        }
    }

    /// Reads what ICMP says about our requests and lets their operations know. That nobody listens
    /// at the port cuts the wait for an answer short. It does not end the operation by itself: who
    /// forges it has to know the id of the request under way, and an answer still counts.
    fn read_errors(&mut self, number: usize) {
        let mut told: Vec<(i32, Errno)> = Vec::new();
        if let Some(place) = self.sockets.get_mut(number) {
            place.socket.errors(|error| {
                if let Some(id) = quoted_id(error.quoted) {
                    told.push((id, error.errno));
                }
            });
        }
        let now = self.now().monotonic;
        for (id, errno) in told {
            self.counters.unreachable += 1;
            let ticket = self.tickets.open(id);
            if let Some(ticket) = ticket
                && let Some(operation) = self.operation(ticket.index)
                && operation.attempt(ticket.tag, ticket.attempt).is_some()
            {
                operation.clues.unreachable = Some(errno);
                if errno == Errno::ECONNREFUSED && operation.refused(ticket.attempt) {
                    let timeout = operation.session.state.borrow().round_trip.timeout();
                    let pause = REFUSED_PAUSE.min(timeout);
                    let at = now.after(pause).min(operation.deadline);
                    self.wheel.schedule(ticket.index, at);
                }
            }
        }
    }
}

/// The id of a request of ours that an ICMP error quotes.
fn quoted_id(quoted: &[u8]) -> Option<i32> {
    match version_of(quoted).ok()? {
        Version::V3 => v3::id_of(quoted).ok(),
        _ => {
            let message = CommunityMessage::decode(quoted).ok()?;
            message.pdu.standard().map(PduView::request_id)
        }
    }
}

/// What a report says about our credentials.
fn failure_of(reason: ReportReason) -> Option<AuthFailure> {
    match reason {
        ReportReason::UnknownUserName => Some(AuthFailure::UnknownUser),
        ReportReason::WrongDigest => Some(AuthFailure::WrongDigest),
        ReportReason::DecryptionError => Some(AuthFailure::Decrypt),
        ReportReason::UnsupportedSecurityLevel => Some(AuthFailure::Level),
        ReportReason::NotInTimeWindow => Some(AuthFailure::NotInWindow),
        _ => None,
    }
}

/// When the kernel got it, on both clocks: between the request and now.
fn received(arrival: &Arrival, now: Now, sent_at: Monotonic) -> Received {
    let stamp = arrival
        .stamp
        .filter(|stamp| (now.wall.0 - stamp.0).abs() <= STAMP_SKEW_MS_MAX)
        .unwrap_or(now.wall);
    let age_ms = u64::try_from(now.wall.0 - stamp.0).unwrap_or(0);
    let monotonic = now.monotonic.0.saturating_sub(age_ms * NANOS_PER_MILLI);
    Received {
        wall: stamp,
        monotonic: Monotonic(monotonic.max(sent_at.0)),
    }
}
