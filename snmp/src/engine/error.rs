//! Why a request got no usable answer, and what that means for a slot.
//!
//! Does: one enum for exchanges, one for gets; cause of the gap and "try again?" for each variant.
//! Does not: decide about retries within an operation (`operation`).
//! In: what the engine saw. Out: texts that name device, value and remedy; [`GapCause`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ocelli_model::gap::{GapCause, GapKind};

use super::limits::{OPERATIONS_MAX, WAITING_PER_DEVICE_MAX};
use crate::pdu::ErrorStatus;

/// What an agent objects to in our credentials (RFC 3414 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthFailure {
    /// No such user.
    UnknownUser,
    /// Another authentication password or protocol.
    WrongDigest,
    /// Another privacy password or protocol (or key extension, for AES-192 and AES-256).
    Decrypt,
    /// The user may not use this security level.
    Level,
    /// Boots and time stay outside the window after one synchronisation.
    NotInWindow,
    /// The engine's boots went backwards and the credential is strict about it.
    BootsRegressed,
}

impl AuthFailure {
    /// The detail of the gap: `wrong_digest` in `auth/wrong_digest`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::WrongDigest => "wrong_digest",
            Self::Decrypt => "decrypt",
            Self::Level => "level",
            Self::NotInWindow => "not_in_window",
            Self::BootsRegressed => "engine_boots_regressed",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::UnknownUser => "the agent does not know the user; check `user`",
            Self::WrongDigest => "check the `auth` protocol and secret",
            Self::Decrypt => "check the `priv` protocol, its key extension and secret",
            Self::Level => "the agent does not allow this security level; check `auth` and `priv`",
            Self::NotInWindow => "its clock and ours do not agree after synchronising; reboot it?",
            Self::BootsRegressed => "its engine boots went backwards; clear `strict` to accept it",
        }
    }
}

/// Why one exchange with a device failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// Silence: every try went without an answer.
    #[error(
        "{address} did not answer {tries} tries in {elapsed:?}; check address, community and \
         access list, or raise `snmp.timeout`"
    )]
    Timeout {
        /// Whom we asked.
        address: SocketAddr,
        /// Transmissions, the first included.
        tries: u8,
        /// From the first transmission.
        elapsed: Duration,
    },
    /// The deadline passed while the device was still answering, or while waiting for its budget.
    #[error("deadline passed after {elapsed:?} at {address}; lengthen the interval or read less")]
    Deadline {
        /// Whom we asked.
        address: SocketAddr,
        /// From the start of the operation.
        elapsed: Duration,
        /// Whether at least half of it went by waiting for the device's budget.
        is_starved: bool,
    },
    /// Our id came back from an address that we did not ask.
    #[error(
        "reply with our request id came from {from} instead of {address}; if that is the same \
         device list it in the credential's `reply_from`"
    )]
    WrongSource {
        /// Whom we asked.
        address: SocketAddr,
        /// Who answered.
        from: IpAddr,
    },
    /// The device refuses our credentials.
    #[error("{address} refuses the credential ({}): {}", .failure.as_str(), .failure.remedy())]
    Auth {
        /// Whom we asked.
        address: SocketAddr,
        /// What it objects to.
        failure: AuthFailure,
    },
    /// An answer that is none.
    #[error("{address} sent no valid answer: {reason}; capture it and report a bug of the agent")]
    BadReply {
        /// Whom we asked.
        address: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel says that nobody can be reached there.
    #[error("{address} is unreachable: {reason}; check that its agent runs and the route exists")]
    Unreachable {
        /// Whom we asked.
        address: SocketAddr,
        /// The kernel's words.
        reason: String,
    },
    /// A request that cannot be written, such as one name longer than a frame.
    #[error("request to {address} cannot be written: {reason}")]
    Unsendable {
        /// Whom we would ask.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// More operations at one time than the engine holds.
    #[error("engine holds {OPERATIONS_MAX} operations, which is its limit; spread the phases")]
    EngineFull,
    /// More operations waiting for one device than its queue holds.
    #[error("{WAITING_PER_DEVICE_MAX} operations wait for {address}, which is the limit")]
    DeviceQueueFull {
        /// Whom we would ask.
        address: SocketAddr,
    },
    /// The engine was stopped.
    #[error("SNMP engine was stopped")]
    Stopped,
}

impl ExchangeError {
    /// Whether the same request may succeed in a later slot with nobody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Deadline { .. }
            | Self::Unreachable { .. }
            | Self::BadReply { .. }
            | Self::EngineFull
            | Self::DeviceQueueFull { .. } => true,
            Self::Auth { failure, .. } => *failure == AuthFailure::NotInWindow,
            Self::WrongSource { .. } | Self::Unsendable { .. } | Self::Stopped => false,
        }
    }

    /// The cause of a slot that this costs.
    #[must_use]
    pub fn gap_cause(&self) -> GapCause {
        match self {
            Self::Timeout { .. } => GapKind::Timeout.into(),
            Self::Deadline { is_starved, .. } => {
                if *is_starved {
                    GapKind::Budget.into()
                } else {
                    GapKind::Overrun.into()
                }
            }
            Self::WrongSource { from, .. } => GapCause::because(
                GapKind::Timeout,
                &format!("reply with our request id came from {from}"),
            ),
            Self::Auth { failure, .. } => GapCause::with(GapKind::Auth, failure.as_str()),
            Self::BadReply { reason, .. } => GapCause::because(GapKind::BadReply, reason),
            Self::Unreachable { reason, .. } => GapCause::because(GapKind::Unreachable, reason),
            Self::Unsendable { reason, .. } => GapCause::because(GapKind::PluginError, reason),
            Self::EngineFull => GapCause::with(GapKind::Overload, "engine_full"),
            Self::DeviceQueueFull { .. } => GapCause::with(GapKind::Budget, "queue_full"),
            Self::Stopped => GapKind::Restart.into(),
        }
    }
}

/// Why a get brought not all it was asked for; what came before is with the sink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// A request got no usable answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl GetError {
    /// Whether the same get may succeed in a later slot with nobody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Exchange(error) => error.is_transient(),
        }
    }

    /// The cause of a slot that this costs.
    #[must_use]
    pub fn gap_cause(&self) -> GapCause {
        match self {
            Self::Exchange(error) => error.gap_cause(),
        }
    }
}

/// Why one name of a get has no value; the others have theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFailure {
    /// Its position in the list asked for.
    pub position: usize,
    /// What the agent said about it.
    pub status: ErrorStatus,
}

/// How a get ended and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetOutcome {
    /// Names that the agent answered with an error; exceptions such as `noSuchInstance` are values.
    pub failed_names: Vec<NameFailure>,
    /// Datagrams sent, retries included.
    pub packets: u32,
    /// Datagrams sent again because no answer came in time.
    pub retries: u32,
}
