//! When a link is to be made anew, since one of its ends has, or should have, another certificate.
//!
//! Does: wait for a new certificate of this node, or for the time to look for one of the peer.
//! Does not: dial, end links (`guard` cuts those whose certificate has ended).
//! In: what both ends showed in the handshake, changes of the identity, time. Out: [`Outdated`].
//! Why: a connection shows the certificates of its handshake for as long as it stands, and the
//! guard of the other end judges by those. The dialler makes it anew in time, since it alone can.

use std::time::Duration;

use ocelli_model::clock::{Clock, WallMs};

use crate::identity::{IdentityStore, PeerIdentity};
use crate::link::Link;

/// The clock is looked at so often at least: it may be set.
const LOOK_MAX: Duration = Duration::from_secs(3_600);
/// A link is not made anew for the sake of a certificate that ends so soon, milliseconds.
const LEFT_MS_MIN: i64 = 2_000;

/// Why a link is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outdated {
    /// This node has another certificate.
    #[error("this node has a new certificate")]
    Own,
    /// The peer's ends before long; it should have another by now.
    #[error("the peer's certificate ends soon")]
    Peer,
}

/// Waits until a link that this node dialled is to be made anew. `shown` is what the node was when
/// it dialled. Cancel safe.
pub async fn outdated(
    link: &dyn Link,
    shown: &PeerIdentity,
    (identity, clock): (&IdentityStore, &dyn Clock),
) -> Outdated {
    let mut changes = identity.changes();
    let stands_since = clock.wall();
    loop {
        if identity.own().fingerprint != shown.fingerprint {
            return Outdated::Own;
        }
        let now = clock.wall();
        let due = anew_at(link.peer(), stands_since);
        if due.is_some_and(|due| due <= now) {
            return Outdated::Peer;
        }
        let left = due.map_or(i64::MAX, |due| due.0.saturating_sub(now.0));
        let left = u64::try_from(left).map_or(LOOK_MAX, Duration::from_millis);
        tokio::select! {
            () = clock.sleep_until(clock.monotonic().after(left.min(LOOK_MAX))) => {}
            // The store outlives its links.
            Ok(()) = changes.changed() => {}
        }
    }
}

/// When to look whether the peer has another certificate: half-way between the time from which it
/// asks for one and the end; where a new link shows the old one still, half-way from there, and so
/// on. `None`: there is too little left to be worth a break.
fn anew_at(peer: &PeerIdentity, stands_since: WallMs) -> Option<WallMs> {
    let life = peer.not_after_ms.saturating_sub(peer.not_before_ms);
    let ripe = peer.not_after_ms.saturating_sub(life / 6);
    let left = peer.not_after_ms.saturating_sub(stands_since.0);
    let half = peer.not_after_ms.saturating_sub(left / 2);
    (left / 2 >= LEFT_MS_MIN).then(|| WallMs(ripe.max(half)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::testing::peer;

    #[test]
    fn a_peers_new_certificate_is_looked_for_in_time_and_then_ever_sooner() {
        let mut certificate = (*peer("ocelli://mesh/region/emea/a")).clone();
        (certificate.not_before_ms, certificate.not_after_ms) = (0, 6_000_000);
        let mut looks = Vec::new();
        let mut since = WallMs(1_000_000);
        // Whenever it is looked, the peer shows the same.
        while let Some(at) = anew_at(&certificate, since) {
            assert!(at > since && at.0 < certificate.not_after_ms, "{at:?}");
            looks.push(at.0);
            since = at;
        }
        assert_eq!(looks[..4], [5_000_000, 5_500_000, 5_750_000, 5_875_000]);
        assert!((8..12).contains(&looks.len()), "{looks:?}");
    }
}
