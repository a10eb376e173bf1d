//! What tests of the assembly share: a clock moved by hand, links in memory.
//!
//! Does: stand in for clock, certificates and the network. Does not: prove anything itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ocelli_bus::record::OriginId;
use ocelli_federation::frame::{Features, Hello, Role, Welcome};
use ocelli_federation::identity::{NodeIdentity, PeerIdentity, Serial, SiteScope};
use ocelli_federation::link::{MemoryFacts, MemoryLink, memory_pair};
use ocelli_model::clock::{Clock, Monotonic, Sleep, WallMs};
use tokio::sync::watch;

/// Stands still until it is moved; both of its times begin at zero.
pub(super) struct HandClock {
    now: AtomicU64,
    moved: watch::Sender<u64>,
}

impl HandClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(0),
            moved: watch::Sender::new(0),
        })
    }

    pub(super) fn advance(&self, duration: Duration) {
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

/// An identity as a certificate would state it; it may speak for its own site.
pub(super) fn peer(uri: &str) -> Arc<PeerIdentity> {
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

/// Both ends of a link from a node of `site` that writes `origin` to a region.
pub(super) fn link_of(
    (site, origin): (&str, OriginId),
    role: Role,
    clock: Arc<HandClock>,
) -> (MemoryLink, MemoryLink) {
    let dialler = peer(&format!("ocelli://mesh/site/{site}/n1"));
    let acceptor = peer("ocelli://mesh/region/emea/r1");
    let (below, above) = (&dialler.identity, &acceptor.identity);
    let facts = MemoryFacts {
        hello: Hello {
            version: 1,
            version_min: 1,
            features: Features::default(),
            mesh: "mesh".into(),
            tier: below.tier,
            name: below.name.clone(),
            node: below.node.clone(),
            origin,
            role,
            build: "test".into(),
            extensions: Vec::new(),
        },
        welcome: Welcome {
            version: 1,
            features: Features::default(),
            mesh: "mesh".into(),
            tier: above.tier,
            name: above.name.clone(),
            node: above.node.clone(),
            origin: OriginId(2),
            ingest_bytes_in_flight_max: 1 << 20,
            build: "test".into(),
            extensions: Vec::new(),
        },
        dialler,
        acceptor,
    };
    let (down, up, _) = memory_pair(facts, clock);
    (down, up)
}
