//! A manager's view of one agent's engine: discovery, time, keys, trust.
//!
//! Does: find the engine's id, keep its boots and time from *authenticated* messages alone, write
//! requests, open answers, say what to do after a report.
//! Does not: send, retry, time out; the session does, with a bound on [`NextStep::SendAgain`].
//! In: requests, datagrams from the address asked, the monotonic time.
//! Out: messages, [`Received`], or [`ReceiveError`]: then nothing has changed, the wait goes on.
//!
//! What an unauthenticated report claims is used for the next request at most: it becomes
//! knowledge only when a reply authenticated under it comes back with the id of that request.

use std::sync::Arc;

use ocelli_model::clock::Monotonic;

use crate::ber::{BackWriter, BufferFull};
use crate::oid::{Name, OidRef};
use crate::pdu::{PduKind, Request, RequestId, RequestKind};
use crate::usm::{EngineId, EngineTime, LocalUser, ReportReason, SecurityLevel, UsmUser};

use super::layout::Layout;
use super::open::{OpenError, ScopedPdu};
use super::received::{EngineEvent, NextStep, Outgoing, ReceiveError, Received, Report};
use super::seal::Envelope;

/// One agent's engine, as known so far, and the user to ask it as.
#[derive(Debug)]
pub struct Peer {
    user: Arc<UsmUser>,
    context_name: Box<[u8]>,
    salt_counter: u64,
    engine: Option<Engine>,
    /// The engine before the one that an unsigned report named; returns if it was right.
    previous: Option<Box<Engine>>,
}

#[derive(Debug)]
struct Engine {
    id: EngineId,
    keys: LocalUser,
    /// From authenticated messages.
    known: Option<EngineTime>,
    /// From a report: sent, and believed once a reply is authenticated under it.
    candidate: Option<EngineTime>,
}

/// How the time of an authentic message relates to what is known of its engine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// Nothing is known, or the message is in the window.
    Fresh,
    /// Behind what is known, but as the candidate says.
    AsCandidate,
    /// Behind what is known.
    Stale,
}

impl Peer {
    /// An agent of which nothing is known. `salt_seed` must be random.
    #[must_use]
    pub fn new(user: Arc<UsmUser>, context_name: &[u8], salt_seed: u64) -> Self {
        let context_name = context_name.into();
        Self {
            user,
            context_name,
            salt_counter: salt_seed,
            engine: None,
            previous: None,
        }
    }

    /// The engine's id, once discovered. Proven only if [`Peer::engine_time`] is known too, or the
    /// user is at noAuthNoPriv.
    #[must_use]
    pub fn engine_id(&self) -> Option<&EngineId> {
        self.engine.as_ref().map(|engine| &engine.id)
    }

    /// The engine's boots and time, once authenticated.
    #[must_use]
    pub fn engine_time(&self) -> Option<EngineTime> {
        self.engine.as_ref().and_then(|engine| engine.known)
    }

    /// The user that is asked as.
    #[must_use]
    pub fn user(&self) -> &UsmUser {
        &self.user
    }

    // === Sending ===

    /// Writes the request to the end of `buffer`, or a discovery while the engine is unknown. The
    /// message has the id of the request.
    ///
    /// # Errors
    /// [`BufferFull`].
    pub fn encode<'b, N: Name>(
        &mut self,
        buffer: &'b mut [u8],
        request: &Request<'_, N>,
        now: Monotonic,
    ) -> Result<Outgoing<'b>, BufferFull> {
        let Some(engine) = &self.engine else {
            return encode_discovery(buffer, request.id).map(Outgoing::Discovery);
        };
        let level = self.user.level();
        let sent_time = match engine.candidate.or(engine.known) {
            Some(time) if level > SecurityLevel::NoAuthNoPriv => (time.boots, time.time_at(now)),
            _ => (0, 0),
        };
        self.salt_counter = self.salt_counter.wrapping_add(1);
        let mut writer = BackWriter::new(buffer);
        request.write(&mut writer);
        let envelope = Envelope {
            id: request.id.get(),
            level,
            is_reportable: true,
            engine_id: engine.id.as_slice(),
            boots: sent_time.0,
            time: sent_time.1,
            user: self.user.name(),
            context_engine_id: engine.id.as_slice(),
            context_name: &self.context_name,
            salt_counter: self.salt_counter,
        };
        envelope.seal(writer, &engine.keys).map(Outgoing::Request)
    }

    // === Receiving ===

    /// Takes a datagram from the agent's address while the request of this id waits. It verifies
    /// before it changes anything, and decrypts in place.
    ///
    /// # Errors
    /// All variants of [`ReceiveError`]; the datagram and what is known are unchanged then.
    pub fn receive<'b>(
        &mut self,
        datagram: &'b mut [u8],
        id: RequestId,
        now: Monotonic,
    ) -> Result<Received<'b>, ReceiveError> {
        let layout = Layout::decode(datagram)?;
        if layout.id != id.get() {
            return Err(ReceiveError::WrongId {
                found: layout.id,
                expected: id.get(),
            });
        }
        if layout.level == SecurityLevel::NoAuthNoPriv {
            return self.receive_unsigned(datagram, &layout, now);
        }
        self.receive_signed(datagram, &layout, now)
    }

    fn receive_signed<'b>(
        &mut self,
        datagram: &'b mut [u8],
        layout: &Layout,
        now: Monotonic,
    ) -> Result<Received<'b>, ReceiveError> {
        let expected = self.user.level();
        if layout.level > expected {
            return Err(ReceiveError::WrongLevel {
                found: layout.level,
                expected,
            });
        }
        let name = self.user.name();
        let engine = self.engine.as_mut().ok_or(ReceiveError::WrongEngine)?;
        engine.check_sender(layout, datagram, name)?;
        if !layout.verify(datagram, &engine.keys) {
            return Err(OpenError::WrongDigest.into());
        }
        let (boots, time) = (layout.boots, layout.time);
        let stale = ReceiveError::NotInTimeWindow { boots, time };
        let freshness = engine.judge(boots, time, now);
        let scoped = layout.open_verified(datagram, &engine.keys)?;
        match (scoped.pdu.kind(), freshness) {
            (PduKind::Report, _) => {
                let reason = reason_of(&scoped);
                self.signed_report(reason, freshness, (boots, time), now)
                    .map(Received::Report)
            }
            (_, Freshness::Stale) => Err(stale),
            (PduKind::Response, _) if layout.level < expected => Err(ReceiveError::WrongLevel {
                found: layout.level,
                expected,
            }),
            (PduKind::Response, _) => {
                let event = engine.adopt(boots, time, now);
                let event = self.forget_previous().or(event);
                Ok(Received::Response { scoped, event })
            }
            (kind, _) => Err(ReceiveError::NoAnswer { kind }),
        }
    }

    fn signed_report(
        &mut self,
        reason: ReportReason,
        freshness: Freshness,
        (boots, time): (u32, u32),
        now: Monotonic,
    ) -> Result<Report, ReceiveError> {
        let engine = self.engine.as_mut().ok_or(ReceiveError::WrongEngine)?;
        let event = match freshness {
            Freshness::Fresh => {
                let event = engine.adopt(boots, time, now);
                self.forget_previous().or(event)
            }
            Freshness::AsCandidate | Freshness::Stale
                if reason == ReportReason::NotInTimeWindow =>
            {
                engine.candidate = Some(EngineTime {
                    boots,
                    time,
                    at: now,
                });
                None
            }
            Freshness::AsCandidate | Freshness::Stale => {
                return Err(ReceiveError::NotInTimeWindow { boots, time });
            }
        };
        let next = match reason {
            ReportReason::NotInTimeWindow => NextStep::SendAgain,
            _ => NextStep::GiveUp,
        };
        Ok(Report {
            reason,
            is_authenticated: true,
            next,
            event,
        })
    }

    fn receive_unsigned<'b>(
        &mut self,
        datagram: &'b mut [u8],
        layout: &Layout,
        now: Monotonic,
    ) -> Result<Received<'b>, ReceiveError> {
        let engine_id = EngineId::new(layout.engine_id(datagram));
        let is_of_engine = self
            .engine
            .as_mut()
            .map(|engine| engine.check_sender(layout, datagram, self.user.name()));
        let no_keys = LocalUser {
            auth: None,
            privacy: None,
        };
        let scoped = layout.open_verified(datagram, &no_keys)?;
        match scoped.pdu.kind() {
            PduKind::Report => {
                let engine_id = engine_id.map_err(|_| ReceiveError::WrongEngine)?;
                let reason = reason_of(&scoped);
                let claimed = EngineTime {
                    boots: layout.boots,
                    time: layout.time,
                    at: now,
                };
                let next = self.hint(reason, engine_id, claimed);
                let report = Report {
                    reason,
                    is_authenticated: false,
                    next,
                    event: None,
                };
                Ok(Received::Report(report))
            }
            PduKind::Response => {
                let expected = self.user.level();
                if expected > SecurityLevel::NoAuthNoPriv {
                    return Err(ReceiveError::WrongLevel {
                        found: layout.level,
                        expected,
                    });
                }
                is_of_engine.ok_or(ReceiveError::WrongEngine)??;
                let event = self.forget_previous();
                Ok(Received::Response { scoped, event })
            }
            kind => Err(ReceiveError::NoAnswer { kind }),
        }
    }

    /// What an unsigned report makes of the next request. What is known stays known.
    fn hint(&mut self, reason: ReportReason, id: EngineId, claimed: EngineTime) -> NextStep {
        match (reason, &mut self.engine) {
            (ReportReason::UnknownEngineId, Some(engine)) if engine.id == id => NextStep::GiveUp,
            (ReportReason::UnknownEngineId, engine) => {
                let replaced = engine.take();
                let returns = self.previous.take_if(|previous| previous.id == id);
                // Only an engine that has proven itself is worth to return to.
                if let Some(replaced) = replaced.filter(|engine| engine.known.is_some()) {
                    self.previous = Some(Box::new(replaced));
                }
                self.engine = Some(returns.map_or_else(
                    || Engine {
                        id,
                        keys: self.user.localize(&id),
                        known: None,
                        candidate: (claimed.boots > 0 || claimed.time > 0).then_some(claimed),
                    },
                    |previous| *previous,
                ));
                NextStep::SendAgain
            }
            (ReportReason::NotInTimeWindow, Some(engine)) if engine.known.is_none() => {
                engine.candidate = Some(claimed);
                NextStep::SendAgain
            }
            (ReportReason::NotInTimeWindow, _) => NextStep::Wait,
            _ => NextStep::GiveUp,
        }
    }

    /// After proof that the present engine is the right one.
    fn forget_previous(&mut self) -> Option<EngineEvent> {
        self.previous
            .take()
            .map(|previous| EngineEvent::Replaced { from: previous.id })
    }
}

impl Engine {
    fn check_sender(
        &self,
        layout: &Layout,
        datagram: &[u8],
        user: &[u8],
    ) -> Result<(), ReceiveError> {
        if layout.engine_id(datagram) != self.id.as_slice() {
            return Err(ReceiveError::WrongEngine);
        }
        if layout.user(datagram) != user {
            return Err(ReceiveError::WrongUser);
        }
        Ok(())
    }

    fn judge(&self, boots: u32, time: u32, now: Monotonic) -> Freshness {
        let is_candidate = |candidate: &EngineTime| {
            candidate.boots == boots && candidate.accepts(boots, time, now)
        };
        match &self.known {
            Some(known) if known.accepts(boots, time, now) => Freshness::Fresh,
            Some(_) if self.candidate.as_ref().is_some_and(is_candidate) => Freshness::AsCandidate,
            Some(_) => Freshness::Stale,
            None => Freshness::Fresh,
        }
    }

    /// Takes boots and time of an authenticated message that is not stale.
    fn adopt(&mut self, boots: u32, time: u32, now: Monotonic) -> Option<EngineEvent> {
        let fresh = EngineTime {
            boots,
            time,
            at: now,
        };
        self.candidate = None;
        let Some(known) = &mut self.known else {
            self.known = Some(fresh);
            return Some(EngineEvent::Discovered);
        };
        let from = known.boots;
        if known.accepts(boots, time, now) {
            known.advance(boots, time, now);
            return (boots > from).then_some(EngineEvent::Rebooted { from, to: boots });
        }
        *known = fresh;
        Some(if boots < from {
            EngineEvent::BootsRegressed { from, to: boots }
        } else {
            EngineEvent::TimeRegressed
        })
    }
}

/// RFC 3414 §4: no engine id, no user, no varbinds, reportable.
fn encode_discovery(buffer: &mut [u8], id: RequestId) -> Result<&mut [u8], BufferFull> {
    let mut writer = BackWriter::new(buffer);
    let names: [OidRef<'_>; 0] = [];
    Request {
        kind: RequestKind::Get,
        id,
        names: &names,
    }
    .write(&mut writer);
    let envelope = Envelope {
        id: id.get(),
        level: SecurityLevel::NoAuthNoPriv,
        is_reportable: true,
        engine_id: &[],
        boots: 0,
        time: 0,
        user: &[],
        context_engine_id: &[],
        context_name: &[],
        salt_counter: 0,
    };
    envelope.seal(
        writer,
        &LocalUser {
            auth: None,
            privacy: None,
        },
    )
}

/// The reason by the first varbind of a report.
fn reason_of(scoped: &ScopedPdu<'_>) -> ReportReason {
    match scoped.pdu.varbinds().next() {
        Some(Ok(bind)) => ReportReason::from_oid(bind.name),
        _ => ReportReason::Other,
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
