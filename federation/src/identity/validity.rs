//! How long an identity lasts: when to renew, when to warn.
//!
//! Does: decide from begin, end and now. Does not: renew, log or count (assembly does).
//! In: [`PeerIdentity`] and the wall clock. Out: [`Validity`] for log, `/metrics` and doctor.

use std::time::Duration;

use ocelli_model::clock::WallMs;

use super::peer::PeerIdentity;

/// From so long before its end a certificate is warned about.
pub const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);

/// How a certificate stands in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It is not valid yet: a clock is wrong.
    NotYet {
        /// Until it is.
        begins_in: Duration,
    },
    /// All is well.
    Sound {
        /// Until it ends.
        expires_in: Duration,
    },
    /// It ends within [`WARN_BEFORE`].
    EndsSoon {
        /// Until it ends.
        expires_in: Duration,
    },
    /// It has ended: neighbours refuse this node.
    Expired {
        /// Since when.
        since: Duration,
    },
}

impl Validity {
    /// How `peer`'s certificate stands at `now`.
    #[must_use]
    pub fn of(peer: &PeerIdentity, now: WallMs) -> Self {
        Self::between((WallMs(peer.not_before_ms), WallMs(peer.not_after_ms)), now)
    }

    /// How a certificate that is valid from one time to another stands at `now`.
    #[must_use]
    pub fn between((not_before, not_after): (WallMs, WallMs), now: WallMs) -> Self {
        if now < not_before {
            let begins_in = span(now.0, not_before.0);
            return Self::NotYet { begins_in };
        }
        if now >= not_after {
            let since = span(not_after.0, now.0);
            return Self::Expired { since };
        }
        let expires_in = span(now.0, not_after.0);
        if expires_in <= WARN_BEFORE {
            Self::EndsSoon { expires_in }
        } else {
            Self::Sound { expires_in }
        }
    }

    /// Seconds until the end, negative after it: the gauge of `/metrics`.
    #[must_use]
    pub const fn expires_in_seconds(peer: &PeerIdentity, now: WallMs) -> i64 {
        peer.not_after_ms.saturating_sub(now.0).div_euclid(1_000)
    }
}

/// Whether a node should ask for a new certificate: from ⅔ of the life of this one.
#[must_use]
pub fn is_renewal_due(peer: &PeerIdentity, now: WallMs) -> bool {
    now >= renewal_at(peer)
}

/// From when on a node should ask.
#[must_use]
pub const fn renewal_at(peer: &PeerIdentity) -> WallMs {
    let life = peer.not_after_ms.saturating_sub(peer.not_before_ms);
    WallMs(peer.not_after_ms.saturating_sub(life / 3))
}

fn span(from_ms: i64, to_ms: i64) -> Duration {
    let ms = to_ms.saturating_sub(from_ms);
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
#[path = "validity_tests.rs"]
mod tests;
