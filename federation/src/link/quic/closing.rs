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

/// What the TLS library writes before and behind the words of a refused certificate.
const TLS_BEFORE: &str = "invalid peer certificate: Other(OtherError(";
const TLS_BEHIND: &str = "))";

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
            let reason = shown(&close.reason);
            match refusal_in(&reason) {
                Some(refusal) => Closed::by_peer(CloseCode::Refused, refusal),
                None => {
                    let reason = format!("{}: {reason}", close.error_code);
                    Closed::by_peer(CloseCode::Protocol, reason)
                }
            }
        }
        ConnectionError::TransportError(error) => match refusal_in(&error.reason) {
            Some(refusal) => Closed::here(CloseCode::Refused, refusal),
            None => Closed::here(CloseCode::Protocol, error.to_string()),
        },
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => {
            Closed::here(CloseCode::Protocol, error.to_string())
        }
    }
}

/// The words of `identity` about a certificate, without what the TLS library puts around them.
fn refusal_in(reason: &str) -> Option<&str> {
    let (_, words) = reason.split_once(TLS_BEFORE)?;
    Some(words.strip_suffix(TLS_BEHIND).unwrap_or(words))
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
    fn a_refused_certificate_is_told_in_its_own_words_at_both_ends() {
        let words = "certificate of a was revoked; issue a new one (if wanted)";
        let reason = format!("invalid peer certificate: Other(OtherError({words}))");
        let code = TransportErrorCode::crypto(46);
        assert_eq!(
            refusal_in(&reason),
            Some(words),
            "as this end's error has it"
        );
        let cut = &reason[..reason.len() - 3];
        let told = |text: &str| {
            closed_of(&ConnectionError::ConnectionClosed(quinn::ConnectionClose {
                error_code: code,
                frame_type: None,
                reason: text.to_owned().into(),
            }))
        };
        assert_eq!(told(&reason), Closed::by_peer(CloseCode::Refused, words));
        assert_eq!(told(cut).reason, &words[..words.len() - 1]);
        let other = told("no application protocol");
        assert_eq!(other.code, CloseCode::Protocol);
        assert!(
            other.reason.ends_with(": no application protocol"),
            "{other}"
        );
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
