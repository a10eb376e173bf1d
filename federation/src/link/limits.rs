//! Limits of links, each with its unit, its reason, and what happens beyond it.
//!
//! Does: name them in one place and derive windows from a budget. Does not: hold limits of one
//! frame (`frame::kind`). In: the ingest budget and the links allowed. Out: [`LinkBudget`].
//! Promise P6: the windows of all links and the frames that wait in all inboxes stay below the
//! budget (`quic/shares`).

use std::time::Duration;

use crate::frame::FRAME_BYTES_MAX;

/// A connection that is silent for so long is lost (promise "QUIC": half-open is seen within 5 s).
pub(super) const IDLE_MAX: Duration = Duration::from_millis(3_500);
/// How often a silent side says that it lives.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// A TLS handshake that takes longer is given up.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Hello, Welcome or Refuse that take longer end the connection.
pub(super) const HELLO_MAX: Duration = Duration::from_secs(5);
/// How long a Refuse frame may take to reach the peer before the connection is closed over it.
pub(super) const REFUSE_MAX: Duration = Duration::from_secs(1);
/// Incoming handshakes that may wait; beyond it packets are dropped.
pub(super) const INCOMING_MAX: usize = 64;
/// Open handshakes above which a peer must prove its address first.
pub(super) const RETRY_ABOVE: usize = 16;
/// Bytes that waiting handshakes may hold together.
pub(super) const INCOMING_BYTES_MAX: u64 = 8 << 20;
/// Handshaken peers that wait for the verdict of the node; beyond it handshakes wait.
pub(super) const OFFERS_MAX: usize = 16;
/// Request streams that a peer may have open; it waits beyond.
pub(super) const REQUESTS_MAX: u32 = 16;
/// The first frame of a request stream that takes longer ends the stream.
pub(super) const REQUEST_FIRST_MAX: Duration = Duration::from_secs(5);
/// Frames of request streams that are read at once, of one link: 1 MiB each at most.
pub(super) const REQUEST_FRAMES_READ_MAX: usize = 2;
/// Bytes a link may have in flight towards a peer whose link this node dialled.
pub(super) const SEND_WINDOW_DIALLER: u64 = 16 << 20;
/// The same where the peer dialled: control and answers only.
pub(super) const SEND_WINDOW_ACCEPTOR: u64 = 1 << 20;
/// Most that a stream may have in flight towards us: bandwidth × delay of the worst link.
pub(super) const STREAM_WINDOW_MAX: u64 = 4 << 20;
/// Bounds of the window of a connection.
pub(super) const WINDOW_MIN: u64 = 64 << 10;
pub(super) const WINDOW_MAX: u64 = 16 << 20;
/// Each link gets this part of what is free above the least windows: the first sixty get the most.
const EXTRA_PART: u64 = 32;
/// Most bytes of received frames of one link that wait for its user: one frame at least.
const INBOX_MIN: usize = FRAME_BYTES_MAX;
const INBOX_MAX: usize = 8 << 20;
/// Of the pool of frames that wait, what one link may hold at most: a slow one leaves the rest.
const INBOX_PART: usize = 16;
/// Bytes of frames handed over that wait for one stream; beyond it the sender waits.
pub(super) const OUTBOX_BYTES_MAX: usize = 1 << 20;
/// Frames that wait for one stream, so that small ones cost bounded memory too.
pub(super) const OUTBOX_FRAMES_MAX: usize = 1_024;
/// Frames up to this size are written together with their neighbours: many small pieces make a
/// stream slow (512 B writes reach a third of the rate of 16 KiB ones).
pub(super) const COALESCE_BYTES: usize = 16 << 10;
/// Most bytes of one write to a stream.
pub(super) const WRITE_BYTES: usize = 256 << 10;
/// A link on which writers wait is given up when fewer than [`STALL_BYTES_MIN`] pass in this time.
pub(super) const STALL_TIME: Duration = Duration::from_secs(60);
/// Least bytes in [`STALL_TIME`]: 1 KiB/s, an eighth of the slowest line that is worth having.
pub(super) const STALL_BYTES_MIN: u64 = 60 << 10;
/// How often writers are looked at.
pub(super) const STALL_CHECK: Duration = Duration::from_secs(5);
/// Most letters of a peer's closing reason that are kept.
pub(super) const CLOSE_REASON_MAX: usize = 256;

/// What links may hold of incoming bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkBudget {
    /// For all links together, bytes.
    pub ingest_bytes_max: u64,
    /// Most links at once, both directions.
    pub links_max: u32,
}

/// A budget that cannot carry its links.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{links_max} links need {needed} bytes of ingest budget at least, it has {ingest_bytes_max}; \
     raise `node.memory_max` or allow fewer links"
)]
pub struct BudgetError {
    /// Links allowed.
    pub links_max: u32,
    /// Bytes that they need.
    pub needed: u64,
    /// Bytes there.
    pub ingest_bytes_max: u64,
}

impl LinkBudget {
    /// Least bytes that a link costs: its least window, as much again of what few links share, and
    /// as much as both of the pool of frames that wait.
    pub const LINK_BYTES_MIN: u64 = 4 * WINDOW_MIN;

    /// Whether the links fit.
    ///
    /// # Errors
    /// [`BudgetError`] names what they need.
    pub fn check(self) -> Result<Self, BudgetError> {
        let of_links = Self::LINK_BYTES_MIN * u64::from(self.links_max.max(1));
        let needed = of_links.max(2 * FRAME_BYTES_MAX as u64);
        if needed > self.ingest_bytes_max {
            return Err(BudgetError {
                links_max: self.links_max,
                needed,
                ingest_bytes_max: self.ingest_bytes_max,
            });
        }
        Ok(self)
    }

    /// Bytes of received frames of all links that may wait, half of the budget.
    #[must_use]
    pub fn pool_bytes(self) -> usize {
        let half = usize::try_from(self.ingest_bytes_max / 2).unwrap_or(usize::MAX);
        half.max(FRAME_BYTES_MAX)
    }

    /// What is there for windows above the least ones.
    pub(super) fn extra_bytes(self) -> u64 {
        let least = WINDOW_MIN * u64::from(self.links_max.max(1));
        (self.ingest_bytes_max / 2).saturating_sub(least)
    }

    /// What a link gets of `free` bytes above its least window.
    pub(super) fn extra_of(free: u64) -> u64 {
        (free / EXTRA_PART).min(WINDOW_MAX - WINDOW_MIN)
    }

    /// QUIC's receive window of the first link; later ones get less.
    #[must_use]
    pub fn receive_window(self) -> u64 {
        WINDOW_MIN + Self::extra_of(self.extra_bytes())
    }

    /// Bytes of received frames of one link that may wait for its user.
    #[must_use]
    pub fn inbox_bytes(self) -> usize {
        (self.pool_bytes() / INBOX_PART).clamp(INBOX_MIN, INBOX_MAX)
    }
}

const _: () = assert!(OUTBOX_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(RETRY_ABOVE < INCOMING_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_too_small_for_its_links_is_refused_with_what_it_needs() {
        let budget = LinkBudget {
            ingest_bytes_max: 40 << 20,
            links_max: 200,
        };
        let error = budget.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "200 links need 52428800 bytes of ingest budget at least, it has 41943040; raise \
             `node.memory_max` or allow fewer links"
        );
        let (links_max, ingest_bytes_max) = (160, error.ingest_bytes_max);
        let fewer = LinkBudget {
            ingest_bytes_max,
            links_max,
        };
        assert!(fewer.check().is_ok(), "{error}");
    }

    #[test]
    fn one_frame_of_any_size_fits_the_smallest_budget() {
        let links_max = 1;
        for (ingest_bytes_max, fits) in [(1 << 20, false), (4 << 20, true)] {
            let budget = LinkBudget {
                ingest_bytes_max,
                links_max,
            };
            assert_eq!(budget.check().is_ok(), fits, "{ingest_bytes_max}");
            assert!(budget.pool_bytes() >= FRAME_BYTES_MAX);
            assert!(budget.inbox_bytes() >= FRAME_BYTES_MAX);
        }
    }
}
