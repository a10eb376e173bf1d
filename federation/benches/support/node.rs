//! A node as the assembly makes it, without its command line: bus, endpoint, ingest, uplink.
//!
//! Does: open a bus in a directory, take those who dial, keep an uplink.
//! Does not: poll, serve HTTP.
//! In: a directory, a card, who it is. Out: [`Node`]; its tasks end with the runtime.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ocelli_bus::record::StreamId;
use ocelli_bus::{Bus, BusOptions, OriginDescription};
use ocelli_federation::FromPeers;
use ocelli_federation::frame::{FEATURES, PROTOCOL, Role};
use ocelli_federation::ingest::{IngestNode, IngestParts, OriginQuota, run_ingest};
use ocelli_federation::link::{
    DialFacts, Link, LinkBudget, MeshEndpoint, MeshOptions, NodeFacts, Offers, QuicLink,
    WelcomeFacts, reset_key_of,
};
use ocelli_federation::uplink::{UplinkEnd, UplinkPolicy, UplinkRun, run_uplink, uplink_cursor};
use ocelli_model::clock::{Clock, Monotonic, Rng, Sleep, WallMs};
use ocelli_model::tier::Tier;
use tokio::sync::mpsc;

use super::cards::Card;

/// As the assembly tells it to diallers.
const IN_FLIGHT_MAX: u64 = 8 << 20;
/// As the assembly makes it of `node.memory_max = "2GiB"`.
pub(crate) const BUDGET: LinkBudget = LinkBudget {
    ingest_bytes_max: 512 << 20,
    links_max: 341,
};
/// Between two attempts to dial.
const DIAL_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct RealClock(pub(crate) Instant);

impl RealClock {
    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for RealClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }

    fn wall(&self) -> WallMs {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        WallMs(i64::try_from(since.as_millis()).unwrap())
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        Box::pin(tokio::time::sleep(at.since(self.monotonic())))
    }
}

/// Splitmix64 from a seed.
pub(crate) struct SeededRng(pub(crate) u64);

impl Rng for SeededRng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 31)
    }
}

/// Who a node is.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) tier: Tier,
    pub(crate) name: String,
}

impl Who {
    pub(crate) fn new(tier: Tier, name: &str) -> Self {
        let name = name.to_owned();
        Self { tier, name }
    }

    pub(crate) fn uri(&self) -> String {
        format!("ocelli://bench/{}/{}/a", self.tier, self.name)
    }
}

/// Options of a bus on a disk that others use too.
pub(crate) fn bus_options() -> BusOptions {
    BusOptions {
        low_space_bytes: 0,
        bytes_max: 8 << 30,
        ..BusOptions::default()
    }
}

pub(crate) struct Node {
    pub(crate) who: Who,
    pub(crate) bus: Arc<Bus>,
    pub(crate) clock: Arc<RealClock>,
    card: Card,
    from_peers: Arc<FromPeers>,
    ingest: Arc<IngestNode>,
}

impl Node {
    /// Opens the bus in `folder`.
    pub(crate) fn open(folder: &Path, who: Who, card: Card, options: BusOptions) -> Arc<Self> {
        let clock = RealClock::start();
        let description = OriginDescription {
            mesh: "bench".into(),
            tier: who.tier,
            site: who.name.clone(),
            node: "a".into(),
        };
        let options = BusOptions {
            description: Some(description),
            ..options
        };
        let seed = xxhash_rust::xxh3::xxh3_64(who.uri().as_bytes());
        let rng = Box::new(SeededRng(seed));
        let (bus, _) = Bus::open(folder, options, Arc::<RealClock>::clone(&clock), rng).unwrap();
        let bus = Arc::new(bus);
        let from_peers = Arc::new(FromPeers::default());
        let (audits, _none) = mpsc::channel(1);
        let quota_of = Box::new(|_, _: Option<&OriginDescription>| OriginQuota::default());
        let ingest = IngestNode::new(IngestParts {
            bus: Arc::clone(&bus),
            clock: Arc::<RealClock>::clone(&clock),
            from_peers: Arc::clone(&from_peers),
            quota_of,
            watch: Arc::new(audits),
            roster: Arc::default(),
            held_bytes_max: 64 << 20,
        });
        Arc::new(Self {
            who,
            bus,
            clock,
            card,
            from_peers,
            ingest,
        })
    }

    /// An endpoint on a port of loopback; 0: any. Within a runtime.
    pub(crate) fn endpoint(&self, port: u16) -> (MeshEndpoint, Offers) {
        let uri = self.who.uri();
        let options = MeshOptions {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            node: NodeFacts {
                identity: uri.parse().unwrap(),
                build: "bench".to_owned(),
                versions: PROTOCOL,
                features: FEATURES,
            },
            budget: BUDGET,
            links_per_address_max: 341,
            reset_key: reset_key_of(uri.as_bytes()),
            clock: Arc::<RealClock>::clone(&self.clock),
        };
        MeshEndpoint::open(options, &self.card.server()).unwrap()
    }

    /// Takes those who dial, until the runtime ends.
    pub(crate) async fn serve(self: Arc<Self>, mut offers: Offers) {
        while let Some(offer) = offers.next().await {
            let node = Arc::clone(&self);
            tokio::spawn(async move {
                let facts = WelcomeFacts {
                    origin: node.bus.origin(),
                    ingest_bytes_in_flight_max: IN_FLIGHT_MAX,
                };
                if let Ok(link) = offer.welcome(facts).await {
                    run_ingest(link, Arc::clone(&node.ingest)).await;
                }
            });
        }
    }

    /// A link to a node above.
    pub(crate) async fn dial(&self, endpoint: &MeshEndpoint, to: SocketAddr) -> Arc<QuicLink> {
        let facts = DialFacts {
            origin: self.bus.origin(),
            role: Role::Uplink,
        };
        let tls = self.card.client();
        loop {
            match endpoint.dial(to, &tls, facts).await {
                Ok(link) => return link,
                Err(_not_there_yet) => tokio::time::sleep(DIAL_PAUSE).await,
            }
        }
    }

    /// Sends what is missing above until the link ends.
    pub(crate) async fn uplink(&self, link: Arc<QuicLink>) -> UplinkEnd {
        let cursor = uplink_cursor(&self.bus, "up", self.clock.wall()).unwrap();
        let link: Arc<dyn Link> = link;
        run_uplink(UplinkRun {
            link,
            bus: Arc::clone(&self.bus),
            cursor,
            clock: Arc::<RealClock>::clone(&self.clock),
            policy: UplinkPolicy::new(self.bus.origin()),
            forward: Default::default(),
            from_peers: Arc::clone(&self.from_peers),
            refused: Arc::new(|_| {}),
            replay: Arc::default(),
            stop: tokio::sync::watch::channel(false).1,
        })
        .await
    }

    /// Highest seq of the own data that the tier above has durably, without a hole below.
    pub(crate) fn acknowledged(&self) -> u64 {
        let cursor = uplink_cursor(&self.bus, "up", self.clock.wall()).unwrap();
        let taken = cursor.taken();
        let own = taken.get(&StreamId::data(self.bus.origin()));
        own.map_or(0, |ranges| ranges.first_missing().0 - 1)
    }

    /// Whether own data beyond a seq is durable above.
    pub(crate) fn has_above(&self, seq: u64) -> bool {
        let cursor = uplink_cursor(&self.bus, "up", self.clock.wall()).unwrap();
        let taken = cursor.taken();
        let own = taken.get(&StreamId::data(self.bus.origin()));
        own.is_some_and(|ranges| ranges.highest().0 > seq)
    }

    /// Highest seq of the own data.
    pub(crate) fn highest(&self) -> u64 {
        let own = self.bus.coverage_of(StreamId::data(self.bus.origin()));
        own.highest().0
    }
}
