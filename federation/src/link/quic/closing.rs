//! What QUIC says of a connection's end, in the words of `close`.
//!
//! Does: translate both ways, cut a peer's text. Does not: close by itself.
//! In: quinn's errors. Out: [`Closed`].

use quinn::{Connection, ConnectionError, TransportErrorCode, VarInt};

use crate::link::close::{CloseCode, Closed};
use crate::link::limits::CLOSE_REASON_MAX;

/// What a dialler is told that comes one too many: a peer that has no place says only so much.
const NO_PLACE: &str = "no place is free there: it has as many links as its node.memory_max \
                        allows, or as many as one address may have; it is tried again";

/// Why a connection ended.
pub(super) fn closed_of(error: &ConnectionError) -> Closed {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = CloseCode::from_number(close.error_code.into_inner());
            Closed::by_peer(code, shown(&close.reason))
        }
        ConnectionError::TimedOut => {
            Closed::here(CloseCode::Lost, "nothing was heard of the peer for 3.5 s")
        }
        ConnectionError::Reset => Closed::by_peer(
            CloseCode::Lost,
            "the peer restarted and forgot the connection",
        ),
        ConnectionError::LocallyClosed => Closed::here(CloseCode::Done, "closed by this node"),
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            Closed::by_peer(CloseCode::Refused, NO_PLACE)
        }
        ConnectionError::ConnectionClosed(close) => {
            let reason = format!("{}: {}", close.error_code, shown(&close.reason));
            Closed::by_peer(CloseCode::Protocol, reason)
        }
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::CidsExhausted => Closed::here(CloseCode::Protocol, error.to_string()),
    }
}

/// Closes a connection with a code and a text that the peer logs too.
pub(super) fn close(connection: &Connection, closed: &Closed) {
    let reason: String = closed.reason.chars().take(CLOSE_REASON_MAX).collect();
    connection.close(VarInt::from_u32(closed.code.number()), reason.as_bytes());
}

/// A peer's text: printable, and not long.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().map(printable).take(CLOSE_REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_is_cut_and_cannot_forge_lines_of_a_log() {
        assert_eq!(shown(b"a\nb\x1b[2J"), "a b [2J");
        assert_eq!(shown(&[b'x'; 9_999]).len(), CLOSE_REASON_MAX);
    }

    #[test]
    fn silence_and_a_restart_are_a_lost_link() {
        assert_eq!(closed_of(&ConnectionError::TimedOut).code, CloseCode::Lost);
        let reset = closed_of(&ConnectionError::Reset);
        assert_eq!((reset.code, reset.is_by_peer), (CloseCode::Lost, true));
        let mismatch = closed_of(&ConnectionError::VersionMismatch);
        assert_eq!(mismatch.code, CloseCode::Protocol);
    }
}
