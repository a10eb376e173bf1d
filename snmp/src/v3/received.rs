//! What a manager learns from a v3 message of an agent: the answer, a report, or why neither.
//!
//! Does: name the outcomes and what to do after each. Does not: decide them (`peer`).
//! In: nothing. Out: types.

use crate::pdu::PduKind;
use crate::usm::{EngineId, ReportReason, SecurityLevel};

use super::layout::LayoutError;
use super::open::{OpenError, ScopedPdu};

/// Something about an engine that its session must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineEvent {
    /// The first authenticated message of the engine.
    Discovered,
    /// Another engine answers at this address, authenticated.
    Replaced {
        /// The id of the engine before.
        from: EngineId,
    },
    /// The engine has started again.
    Rebooted {
        /// Boots before.
        from: u32,
        /// Boots now.
        to: u32,
    },
    /// Boots went backwards (`engine_boots_regressed`): the agent lost its memory, or was cloned.
    BootsRegressed {
        /// Boots before.
        from: u32,
        /// Boots now.
        to: u32,
    },
    /// Time went backwards at the same boots: the agent does not count its starts.
    TimeRegressed,
}

/// What to do after a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Encode the request anew, under a new id, and send it at once.
    SendAgain,
    /// Go on waiting: the report is not signed and contradicts what is known.
    Wait,
    /// The same request would fail again. The report may be forged if it is not signed.
    GiveUp,
}

/// A report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What the agent complains about.
    pub reason: ReportReason,
    /// Whether it is signed; the reasons that concern keys and users never are.
    pub is_authenticated: bool,
    /// What to do.
    pub next: NextStep,
    /// What a signed report tells about the engine.
    pub event: Option<EngineEvent>,
}

/// An acceptable message.
#[derive(Debug, Clone, Copy)]
pub enum Received<'b> {
    /// The answer, at the user's level.
    Response {
        /// Context and PDU; the PDU's request id is still to be compared.
        scoped: ScopedPdu<'b>,
        /// What it tells about the engine.
        event: Option<EngineEvent>,
    },
    /// A report.
    Report(Report),
}

/// Why a message is not acceptable. Whoever sent it, it must not end the wait for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// No v3 message.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Not signed as the user's messages are, not decryptable, or no PDU.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The message answers another request.
    #[error("SNMPv3 message id {found} is not the one asked under, {expected}")]
    WrongId {
        /// The id in the message.
        found: i32,
        /// Our id.
        expected: i32,
    },
    /// The message is of another engine.
    #[error("SNMPv3 message is of another engine than the one asked")]
    WrongEngine,
    /// The message is of another user.
    #[error("SNMPv3 message is for another user than the one that asked")]
    WrongUser,
    /// An answer at another level than the request.
    #[error("SNMPv3 answer is at {found:?}, the request was at {expected:?}")]
    WrongLevel {
        /// The level of the message.
        found: SecurityLevel,
        /// The level of the user.
        expected: SecurityLevel,
    },
    /// An authentic but old message: a replay, or an agent whose clock jumped.
    #[error("SNMPv3 message is outside the time window (boots {boots}, time {time})")]
    NotInTimeWindow {
        /// Boots in the message.
        boots: u32,
        /// Time in the message, in seconds.
        time: u32,
    },
    /// A PDU that answers nothing.
    #[error("SNMPv3 message carries {kind:?}, which answers no request")]
    NoAnswer {
        /// The kind of the PDU.
        kind: PduKind,
    },
}

/// What [`super::Peer::encode`] wrote.
#[derive(Debug)]
pub enum Outgoing<'b> {
    /// The engine is not known: the message asks for it. Its answer is a report that says
    /// [`NextStep::SendAgain`].
    Discovery(&'b mut [u8]),
    /// The request.
    Request(&'b mut [u8]),
}
