//! How a link ended: a number and a text that both sides see and log.
//!
//! Does: name each cause once. Does not: close anything.
//! In: what a side found. Out: [`Closed`]; the code travels as QUIC's application error code, the
//! text as its reason.

use std::fmt;

/// Why a link ended. Numbers are on the wire and never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseCode {
    /// On purpose, all was said.
    Done,
    /// The handshake was refused; a Refuse frame says why.
    Refused,
    /// No Hello or Welcome in time.
    HandshakeTimeout,
    /// Bytes that are no frame, or a frame at a wrong place.
    Protocol,
    /// More streams, or streams of another kind, than the protocol has.
    Streams,
    /// The peer takes no bytes, or too few to be alive.
    Stalled,
    /// The certificate was revoked, or expired, while the link stood.
    Revoked,
    /// A newer link of the same peer took its place.
    Replaced,
    /// A defect of this node.
    Internal,
    /// The peer hears nothing of this node, while this node may hear it.
    Unheard,
    /// Nothing was heard for the idle time, or the peer restarted: no code came.
    Lost,
    /// A newer neighbour's, or the transport's own.
    Other(u32),
}

impl CloseCode {
    /// The codes with a number of their own.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Refused,
        Self::HandshakeTimeout,
        Self::Protocol,
        Self::Streams,
        Self::Stalled,
        Self::Revoked,
        Self::Replaced,
        Self::Internal,
        Self::Unheard,
        Self::Lost,
    ];

    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::HandshakeTimeout => 2,
            Self::Protocol => 3,
            Self::Streams => 4,
            Self::Stalled => 5,
            Self::Revoked => 6,
            Self::Replaced => 7,
            Self::Internal => 8,
            Self::Lost => 9,
            Self::Unheard => 10,
            Self::Other(number) => number,
        }
    }

    /// The code with this number.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        let known = Self::ALL
            .into_iter()
            .find(|code| u64::from(code.number()) == number);
        known.unwrap_or_else(|| Self::Other(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Protocol => "protocol",
            Self::Streams => "streams",
            Self::Stalled => "stalled",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Internal => "internal",
            Self::Lost => "lost",
            Self::Unheard => "unheard",
            Self::Other(_) => "other",
        }
    }
}

/// The end of a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Closed {
    /// Why.
    pub code: CloseCode,
    /// Why, for people.
    pub reason: String,
    /// Whether the peer ended it.
    pub is_by_peer: bool,
}

impl Closed {
    /// Ended by this side.
    #[must_use]
    pub fn here(code: CloseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            is_by_peer: false,
        }
    }

    /// Ended by the peer.
    #[must_use]
    pub fn by_peer(code: CloseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            is_by_peer: true,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.is_by_peer {
            "the peer"
        } else {
            "this node"
        };
        let (name, reason) = (self.code.name(), &self.reason);
        write!(formatter, "link ended by {side}: {name}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_read_back_from_its_number_and_unknown_ones_are_kept() {
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_number(code.number().into()), code);
        }
        assert_eq!(CloseCode::from_number(77), CloseCode::Other(77));
        assert_eq!(CloseCode::from_number(u64::MAX), CloseCode::Other(u32::MAX));
    }

    #[test]
    fn the_text_says_who_ended_it_and_why() {
        let text = Closed::by_peer(CloseCode::Stalled, "no byte taken for 60 s").to_string();
        let expected = "link ended by the peer: stalled: no byte taken for 60 s";
        assert_eq!(text, expected);
    }
}
