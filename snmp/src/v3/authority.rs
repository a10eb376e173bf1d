//! The agent's side: the authoritative engine of RFC 3414 §3.2.
//!
//! Does: check a request in the order of the RFC, open it, sign and encrypt its response, and
//! write the report that tells a manager what was wrong.
//! Does not: answer the PDU (the agent does), limit what a user may see.
//! In: datagrams, the monotonic time. Out: [`AuthorityReceived`], messages, or [`AuthorityError`]
//! for datagrams to drop.

use std::sync::Arc;

use ocelli_model::clock::Monotonic;

use crate::ber::{BackWriter, BufferFull};
use crate::oid::OidRef;
use crate::pdu::{PduHead, PduKind, PduView};
use crate::usm::{
    BOOTS_MAX, EngineId, LocalUser, ReportReason, SecurityLevel, TIME_WINDOW_S, UsmUser,
};
use crate::value::{Value, Varbind};

use super::layout::{Layout, LayoutError};
use super::open::OpenError;
use super::seal::Envelope;

/// Reasons that are counted; the index is [`counter_index`].
const COUNTERS: usize = 6;

/// Why a datagram is dropped without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// No v3 message.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The scoped PDU is malformed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something is wrong and the sender wants no report.
    #[error("SNMPv3 message is refused ({}) and asks for no report", reason.name())]
    NotReportable {
        /// What is wrong.
        reason: ReportReason,
    },
    /// A PDU that asks nothing.
    #[error("SNMPv3 message carries {kind:?}, which asks nothing")]
    NoRequest {
        /// The kind of the PDU.
        kind: PduKind,
    },
}

/// Where a response goes: what it must repeat of its request.
#[derive(Debug, Clone, Copy)]
pub struct ReplyTo<'b> {
    id: i32,
    level: SecurityLevel,
    user: usize,
    /// What the manager takes, in octets.
    pub max_size: u32,
    /// `contextEngineID` of the request.
    pub context_engine_id: &'b [u8],
    /// `contextName` of the request.
    pub context_name: &'b [u8],
}

/// A report to be written by [`Authority::seal_report`].
#[derive(Debug, Clone, Copy)]
pub struct PendingReport {
    id: i32,
    request_id: i32,
    /// What is wrong.
    pub reason: ReportReason,
    /// The user as whom it is signed.
    signed_as: Option<usize>,
}

/// What came.
#[derive(Debug, Clone, Copy)]
pub enum AuthorityReceived<'b> {
    /// A request to answer.
    Request {
        /// For [`Authority::seal_response`].
        reply: ReplyTo<'b>,
        /// What is asked.
        pdu: PduView<'b>,
    },
    /// Something to be told.
    Report(PendingReport),
}

/// One agent's engine with its users.
#[derive(Debug)]
pub struct Authority {
    engine_id: EngineId,
    boots: u32,
    started: Monotonic,
    users: Arc<[UsmUser]>,
    /// Keys of the users, derived when a user first asks.
    keys: Box<[Option<Box<LocalUser>>]>,
    salt_counter: u64,
    counters: [u32; COUNTERS],
}

impl Authority {
    /// An engine that started at `started` for the `boots`th time. `salt_seed` must be random.
    #[must_use]
    pub fn new(
        engine_id: EngineId,
        boots: u32,
        started: Monotonic,
        users: Arc<[UsmUser]>,
        salt_seed: u64,
    ) -> Self {
        let keys = users.iter().map(|_| None).collect();
        let counters = [0; COUNTERS];
        Self {
            engine_id,
            boots,
            started,
            users,
            keys,
            salt_counter: salt_seed,
            counters,
        }
    }

    /// Its id.
    #[must_use]
    pub fn engine_id(&self) -> &EngineId {
        &self.engine_id
    }

    /// How often it has started.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// Starts again, as the `boots`th time.
    pub fn restart(&mut self, boots: u32, now: Monotonic) {
        self.boots = boots;
        self.started = now;
    }

    /// Checks and opens a datagram; decrypts in place.
    ///
    /// # Errors
    /// All variants of [`AuthorityError`].
    pub fn receive<'b>(
        &mut self,
        datagram: &'b mut [u8],
        now: Monotonic,
    ) -> Result<AuthorityReceived<'b>, AuthorityError> {
        let layout = Layout::decode(datagram)?;
        let user = match self.check(datagram, &layout, now) {
            Ok(user) => user,
            Err((reason, signed_as)) => return self.refuse(datagram, &layout, reason, signed_as),
        };
        let id = layout.id;
        let no_keys = LocalUser {
            auth: None,
            privacy: None,
        };
        let keys = self.keys[user].as_deref().unwrap_or(&no_keys);
        let scoped = match layout.open_verified(datagram, keys) {
            Err(OpenError::WrongPrivacyKey | OpenError::Privacy(_)) => {
                // The datagram is borrowed by the other arms: an encrypted one shows no id anyway.
                let (reason, request_id) = (ReportReason::DecryptionError, 0);
                if !layout.is_reportable {
                    return Err(AuthorityError::NotReportable { reason });
                }
                self.count(reason);
                let report = PendingReport {
                    id,
                    request_id,
                    reason,
                    signed_as: None,
                };
                return Ok(AuthorityReceived::Report(report));
            }
            opened => opened?,
        };
        let kind = scoped.pdu.kind();
        if !kind.is_confirmed() {
            return Err(AuthorityError::NoRequest { kind });
        }
        let reply = ReplyTo {
            id,
            level: layout.level,
            user,
            max_size: layout.max_size,
            context_engine_id: scoped.context_engine_id,
            context_name: scoped.context_name,
        };
        Ok(AuthorityReceived::Request {
            reply,
            pdu: scoped.pdu,
        })
    }

    /// Makes a response of the PDU that is all `writer` holds.
    ///
    /// # Errors
    /// [`BufferFull`].
    pub fn seal_response<'w>(
        &mut self,
        writer: BackWriter<'w>,
        reply: &ReplyTo<'_>,
        now: Monotonic,
    ) -> Result<&'w mut [u8], BufferFull> {
        self.salt_counter = self.salt_counter.wrapping_add(1);
        let envelope = Envelope {
            id: reply.id,
            level: reply.level,
            is_reportable: false,
            engine_id: self.engine_id.as_slice(),
            boots: self.boots,
            time: self.time(now),
            user: self.users[reply.user].name(),
            context_engine_id: reply.context_engine_id,
            context_name: reply.context_name,
            salt_counter: self.salt_counter,
        };
        let no_keys = LocalUser {
            auth: None,
            privacy: None,
        };
        let keys = self.keys[reply.user].as_deref().unwrap_or(&no_keys);
        envelope.seal(writer, keys)
    }

    /// Writes a report to the end of `buffer`.
    ///
    /// # Errors
    /// [`BufferFull`].
    pub fn seal_report<'w>(
        &mut self,
        buffer: &'w mut [u8],
        report: &PendingReport,
        now: Monotonic,
    ) -> Result<&'w mut [u8], BufferFull> {
        let mut writer = BackWriter::new(buffer);
        let name = report.reason.counter_ber();
        let count = counter_index(report.reason).map_or(0, |index| self.counters[index]);
        if let Ok(name) = OidRef::from_ber(&name) {
            Varbind {
                name,
                value: Value::Counter32(count),
            }
            .write(&mut writer);
        }
        let head = PduHead {
            kind: PduKind::Report,
            ..PduHead::response(report.request_id)
        };
        head.write(&mut writer, 0);
        let no_keys = LocalUser {
            auth: None,
            privacy: None,
        };
        let keys = report.signed_as.and_then(|user| self.keys[user].as_deref());
        let envelope = Envelope {
            id: report.id,
            level: match keys {
                Some(_) => SecurityLevel::AuthNoPriv,
                None => SecurityLevel::NoAuthNoPriv,
            },
            is_reportable: false,
            engine_id: self.engine_id.as_slice(),
            boots: self.boots,
            time: self.time(now),
            user: report.signed_as.map_or(&[], |user| self.users[user].name()),
            context_engine_id: self.engine_id.as_slice(),
            context_name: &[],
            salt_counter: 0,
        };
        envelope.seal(writer, keys.unwrap_or(&no_keys))
    }

    /// RFC 3414 §3.2, steps 3 to 7: which user asks, or what is wrong and as whom to say it.
    fn check(
        &mut self,
        datagram: &[u8],
        layout: &Layout,
        now: Monotonic,
    ) -> Result<usize, (ReportReason, Option<usize>)> {
        if layout.engine_id(datagram) != self.engine_id.as_slice() {
            return Err((ReportReason::UnknownEngineId, None));
        }
        let name = layout.user(datagram);
        let position = self.users.iter().position(|user| user.name() == name);
        let user = position.ok_or((ReportReason::UnknownUserName, None))?;
        if layout.level > self.users[user].level() {
            return Err((ReportReason::UnsupportedSecurityLevel, None));
        }
        if layout.level == SecurityLevel::NoAuthNoPriv {
            return Ok(user);
        }
        let (users, engine_id) = (&self.users, &self.engine_id);
        let keys = self.keys[user].get_or_insert_with(|| Box::new(users[user].localize(engine_id)));
        if !layout.verify(datagram, keys) {
            return Err((ReportReason::WrongDigest, None));
        }
        let is_timely = layout.boots == self.boots
            && self.boots != BOOTS_MAX
            && layout.time.abs_diff(self.time(now)) <= TIME_WINDOW_S;
        if is_timely {
            Ok(user)
        } else {
            Err((ReportReason::NotInTimeWindow, Some(user)))
        }
    }

    fn refuse<'b>(
        &mut self,
        datagram: &'b mut [u8],
        layout: &Layout,
        reason: ReportReason,
        signed_as: Option<usize>,
    ) -> Result<AuthorityReceived<'b>, AuthorityError> {
        if !layout.is_reportable {
            return Err(AuthorityError::NotReportable { reason });
        }
        self.count(reason);
        let request_id = match layout.level {
            // An encrypted request does not show its id: 0, as RFC 3412 §7.1 step 3 allows.
            SecurityLevel::AuthPriv => 0,
            _ => {
                let no_keys = LocalUser {
                    auth: None,
                    privacy: None,
                };
                layout
                    .open_verified(datagram, &no_keys)
                    .map_or(0, |scoped| scoped.pdu.request_id())
            }
        };
        let report = PendingReport {
            id: layout.id,
            request_id,
            reason,
            signed_as,
        };
        Ok(AuthorityReceived::Report(report))
    }

    fn count(&mut self, reason: ReportReason) {
        if let Some(index) = counter_index(reason) {
            self.counters[index] = self.counters[index].wrapping_add(1);
        }
    }

    fn time(&self, now: Monotonic) -> u32 {
        u32::try_from(now.since(self.started).as_secs())
            .unwrap_or(BOOTS_MAX)
            .min(BOOTS_MAX)
    }
}

fn counter_index(reason: ReportReason) -> Option<usize> {
    match reason {
        ReportReason::UnsupportedSecurityLevel => Some(0),
        ReportReason::NotInTimeWindow => Some(1),
        ReportReason::UnknownUserName => Some(2),
        ReportReason::UnknownEngineId => Some(3),
        ReportReason::WrongDigest => Some(4),
        ReportReason::DecryptionError => Some(5),
        _ => None,
    }
}
