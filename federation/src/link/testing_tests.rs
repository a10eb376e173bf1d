//! What tests of links share: a clock moved by hand, identities without certificates.
//!
//! Does: stand in for `node`'s clock. Does not: prove anything itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ocelli_model::clock::{Clock, Monotonic, Sleep, WallMs};
use tokio::sync::watch;

use crate::identity::{NodeIdentity, PeerIdentity, Serial, SiteScope};

/// Stands still until it is moved.
pub(crate) struct HandClock {
    now: AtomicU64,
    moved: watch::Sender<u64>,
}

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(0),
            moved: watch::Sender::new(0),
        })
    }

    pub(crate) fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap();
        let now = self.now.fetch_add(nanos, Ordering::SeqCst) + nanos;
        self.moved.send_replace(now);
    }
}

impl Clock for HandClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.now.load(Ordering::SeqCst))
    }

    fn wall(&self) -> WallMs {
        WallMs(i64::try_from(self.monotonic().0 / 1_000_000).unwrap())
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            // The clock outlives its sleepers in every test.
            moved.wait_for(|now| *now >= at.0).await.unwrap();
        })
    }
}

/// An identity as a certificate would state it.
pub(crate) fn peer(uri: &str) -> Arc<PeerIdentity> {
    let identity: NodeIdentity = uri.parse().unwrap();
    Arc::new(PeerIdentity {
        scope: SiteScope::of_site(&identity.name),
        identity,
        serial: Serial::from_bytes(&[1]).unwrap(),
        issuer: [0; 32],
        not_before_ms: 0,
        not_after_ms: i64::MAX,
        fingerprint: [0; 32],
    })
}
