//! The thread of links: the QUIC endpoint, diallers of upstreams and peers, nodes that dial in.
//!
//! Does: open the endpoint on a thread and current-thread runtime of its own, keep a link to each
//! upstream and peer, take or refuse who dials in, follow a reload, end in order.
//! Does not: decide whom to trust (`identity`), which member of a group is dialled (`link`).
//! In: a configuration, an identity. Out: [`Federation`]; [`Links`] for those who look.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use ocelli_bus::read::RecordSource;
use ocelli_bus::{Bus, OriginDescription};
use ocelli_config::Config;
use ocelli_config::sections::federation::OriginConfig;
use ocelli_federation::FromPeers;
use ocelli_federation::frame::{FEATURES, PROTOCOL, RefuseCode, Role};
use ocelli_federation::identity::{Expected, IdentityStore};
use ocelli_federation::ingest::{Audit, IngestEnd, IngestNode, run_ingest};
use ocelli_federation::link::{
    DialFacts, Dialer, DialerOptions, Link, MeshEndpoint, MeshOptions, NodeFacts, Offer, Offers,
    OpenEndpointError, RESET_KEY_BYTES, Standing, WelcomeFacts,
};
use ocelli_federation::subscribe::SubscriptionServer;
use ocelli_federation::uplink::{UplinkEnd, UplinkRun, run_uplink, uplink_cursor};
use ocelli_model::clock::Clock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle as Task;
use tracing::{info, warn};

use super::desk::Desk;
use super::links::{Direction, Links};
use super::membership;
use super::wanted::{Wanted, budget_of, policy_of, quota_of, wanted_of};
use crate::rng::RealRng;

/// Links from one address: the nodes of a large site behind address translation.
const LINKS_PER_ADDRESS_MAX: usize = 64;
/// Most bytes of blocks in flight that a dialler is allowed.
const IN_FLIGHT_MAX: u64 = 8 << 20;
/// Subscriptions over links, of all who dial in: what HTTP has without a setting.
const SUBSCRIPTIONS_MAX: usize = 256;
/// Refusals that wait to be told; more are only counted.
const AUDITS_MAX: usize = 64;
/// Orders to the thread; a reload is one.
const ORDERS_MAX: usize = 4;
/// How long an orderly end may take.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Why links cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FederationError {
    /// The endpoint.
    #[error(transparent)]
    Endpoint(#[from] OpenEndpointError),
    /// The TLS library.
    #[error("TLS of links cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A thread.
    #[error("cannot start the thread of links: {0}; raise the limit of threads")]
    Thread(#[from] std::io::Error),
}

/// What links need.
#[derive(Clone)]
pub struct FederationParts {
    /// Who the node is and whom it trusts.
    pub identity: Arc<IdentityStore>,
    /// From the node's key.
    pub reset_key: [u8; RESET_KEY_BYTES],
    /// What is sent and stored.
    pub bus: Arc<Bus>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The thread of links.
pub struct Federation {
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
    links: Arc<Links>,
    address: SocketAddr,
    rolled_back: watch::Receiver<bool>,
}

enum Order {
    Follow(Box<Config>),
    Stop,
}

impl Federation {
    /// Opens the endpoint and begins to dial.
    ///
    /// # Errors
    /// [`FederationError`]; nothing runs then.
    pub async fn start(parts: FederationParts, config: &Config) -> Result<Self, FederationError> {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (opened, answer) = oneshot::channel();
        let (roll_back, rolled_back) = watch::channel(false);
        let links = Arc::new(Links::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let config = Box::new(config.clone());
        let shared = Arc::new(Shared::new(parts, (Arc::clone(&links), roll_back)));
        let thread = std::thread::Builder::new()
            .name("mesh".to_owned())
            .spawn(move || {
                // Diallers hold a generator of their own and stay on this thread.
                let tasks = tokio::task::LocalSet::new();
                runtime.block_on(tasks.run_until(run(shared, config, inbox, opened)));
            })?;
        let gone = || std::io::Error::other("the thread of links ended at once");
        let address = answer.await.map_err(|_| gone())??;
        Ok(Self {
            orders,
            thread: Some(thread),
            links,
            address,
            rolled_back,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its links.
    #[must_use]
    pub fn links(&self) -> Arc<Links> {
        Arc::clone(&self.links)
    }

    /// Becomes true once a neighbour holds records of the own origin that this disk has not: the
    /// node takes a new origin before it appends again.
    #[must_use]
    pub fn rolled_back(&self) -> watch::Receiver<bool> {
        self.rolled_back.clone()
    }

    /// Follows another configuration: upstreams and peers that changed are dialled anew, the others
    /// keep their links.
    pub async fn follow(&self, config: &Config) {
        let order = Order::Follow(Box::new(config.clone()));
        if self.orders.send(order).await.is_err() {
            warn!("the thread of links has ended; restart the node");
        }
    }

    /// Ends links in order.
    pub async fn stop(mut self) {
        let _ended_already = self.orders.send(Order::Stop).await;
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
            if !matches!(joined, Ok(true)) {
                warn!("the thread of links crashed");
            }
        }
    }
}

// === On the thread ===

/// What all links of a node share.
struct Shared {
    parts: FederationParts,
    links: Arc<Links>,
    ingest: Arc<IngestNode>,
    from_peers: Arc<FromPeers>,
    subscriptions: Arc<SubscriptionServer>,
    desk: Arc<Desk>,
    /// `[[origin]]` of the configuration in force.
    quotas: Arc<ArcSwap<Vec<OriginConfig>>>,
    roll_back: watch::Sender<bool>,
    audits: parking_lot::Mutex<Option<mpsc::Receiver<Audit>>>,
}

impl Shared {
    fn new(parts: FederationParts, (links, roll_back): (Arc<Links>, watch::Sender<bool>)) -> Self {
        let from_peers = Arc::new(FromPeers::default());
        let (audits, told) = mpsc::channel(AUDITS_MAX);
        let (bus, clock) = (Arc::clone(&parts.bus), Arc::clone(&parts.clock));
        let quotas = Arc::<ArcSwap<Vec<OriginConfig>>>::default();
        let in_force = Arc::clone(&quotas);
        let quota_of = Box::new(move |_, described: Option<&OriginDescription>| {
            quota_of(&in_force.load(), described)
        });
        let ingest = IngestNode::new(bus, clock, Arc::clone(&from_peers), quota_of, audits);
        let records = RecordSource::new(Arc::clone(&parts.bus));
        let clock = Arc::clone(&parts.clock);
        Self {
            subscriptions: SubscriptionServer::new(records, clock, SUBSCRIPTIONS_MAX),
            desk: Desk::new(Arc::clone(&parts.clock)),
            parts,
            links,
            ingest,
            from_peers,
            quotas,
            roll_back,
            audits: parking_lot::Mutex::new(Some(told)),
        }
    }
}

async fn run(
    shared: Arc<Shared>,
    config: Box<Config>,
    mut inbox: mpsc::Receiver<Order>,
    opened: oneshot::Sender<Result<SocketAddr, FederationError>>,
) {
    let (endpoint, offers, address) = match open(&shared.parts, &config) {
        Ok(open) => open,
        Err(error) => {
            let _nobody_waits = opened.send(Err(error));
            return;
        }
    };
    let endpoint = Arc::new(endpoint);
    let is_open = config.listen.quic.is_some();
    let accepting = tokio::spawn(accept(offers, Arc::clone(&shared), is_open));
    let auditing = tokio::spawn(audit(Arc::clone(&shared)));
    let membership = membership::start(&endpoint, &shared.parts, &config);
    let mut diallers = Diallers {
        shared,
        endpoint: Arc::clone(&endpoint),
        tasks: BTreeMap::new(),
    };
    diallers.follow(&config);
    let mut rolled_back = diallers.shared.roll_back.subscribe();
    let _nobody_waits = opened.send(Ok(address));
    loop {
        tokio::select! {
            order = inbox.recv() => match order {
                Some(Order::Follow(config)) => diallers.follow(&config),
                Some(Order::Stop) | None => break,
            },
            // Under an origin that is ahead above, nothing more may leave this node.
            _ = rolled_back.wait_for(|went_back| *went_back) => break,
        }
    }
    accepting.abort();
    auditing.abort();
    drop(membership);
    diallers.end().await;
    if let Some(endpoint) = Arc::into_inner(endpoint) {
        endpoint.shutdown(STOP_PATIENCE).await;
    }
}

/// Tells what was refused for good: at most one a minute for each reason and link.
async fn audit(shared: Arc<Shared>) {
    let told = shared.audits.lock().take();
    let Some(mut told) = told else { return };
    while let Some(audit) = told.recv().await {
        warn!(
            peer = %audit.peer, reason = ?audit.reason, origin = %audit.origin,
            blocks = audit.count, detail = %audit.detail, "blocks refused"
        );
    }
}

fn open(
    parts: &FederationParts,
    config: &Config,
) -> Result<(MeshEndpoint, Offers, SocketAddr), FederationError> {
    let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let options = MeshOptions {
        address: config.listen.quic.unwrap_or(anywhere),
        node: NodeFacts {
            identity: parts.identity.own().identity.clone(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            versions: PROTOCOL,
            features: FEATURES,
        },
        budget: budget_of(config),
        links_per_address_max: LINKS_PER_ADDRESS_MAX,
        reset_key: parts.reset_key,
        clock: Arc::clone(&parts.clock),
    };
    let tls = parts
        .identity
        .server_config(membership::admission(config))?;
    let (endpoint, offers) = MeshEndpoint::open(options, &tls)?;
    let address = endpoint.local_address()?;
    Ok((endpoint, offers, address))
}

// === Those who dial in ===

async fn accept(mut offers: Offers, shared: Arc<Shared>, is_open: bool) {
    while let Some(offer) = offers.next().await {
        if !is_open {
            let hint = "set listen.quic there, or dial another node";
            let reason = "this node takes no links";
            offer.refuse(RefuseCode::Role, reason, hint).await;
            continue;
        }
        // Bounded by the endpoint: it lets no more in than there may be links.
        match offer.hello().role {
            Role::Client => tokio::spawn(serve(offer, Arc::clone(&shared))),
            _ => tokio::spawn(take(offer, Arc::clone(&shared))),
        };
    }
}

/// Answers the subscriptions of a client. It writes no origin and sends no blocks.
async fn serve(offer: Offer, shared: Arc<Shared>) {
    let peer = offer.peer().identity.to_string();
    match offer.welcome(welcome_of(&shared)).await {
        Ok(link) => {
            let closed = Arc::clone(&shared.subscriptions).serve_link(link).await;
            info!(%peer, reason = %closed, "a client has left");
        }
        Err(closed) => info!(%peer, error = %closed, "a client left before it was welcomed"),
    }
}

fn welcome_of(shared: &Shared) -> WelcomeFacts {
    WelcomeFacts {
        origin: shared.parts.bus.origin(),
        ingest_bytes_in_flight_max: IN_FLIGHT_MAX,
    }
}

async fn take(offer: Offer, shared: Arc<Shared>) {
    let peer = offer.peer().identity.to_string();
    let (origin, role) = (offer.hello().origin, offer.hello().role);
    let Some(seat) = shared.desk.claim(origin).await else {
        warn!(%peer, %origin, "two live nodes state one origin; both are refused");
        let reason = "a live link states the same origin already";
        let hint = "one of both data directories is a copy: give it a new origin, or remove it";
        return offer
            .refuse(RefuseCode::DuplicateOrigin, reason, hint)
            .await;
    };
    let link = match offer.welcome(welcome_of(&shared)).await {
        Ok(link) => link,
        Err(closed) => {
            return info!(%peer, error = %closed, "a node left before it was welcomed");
        }
    };
    let serving = Arc::clone(&shared.subscriptions).serve_link(Arc::clone(&link));
    let serving = tokio::spawn(serving);
    let link: Arc<dyn Link> = link;
    seat.take(&link);
    let direction = match role {
        Role::Peer => Direction::Peer,
        _ => Direction::Down,
    };
    let clock = &shared.parts.clock;
    let id = shared.links.taken(direction, &link, clock.wall());
    info!(%peer, link = %id, "link taken");
    let end = run_ingest(Arc::clone(&link), Arc::clone(&shared.ingest)).await;
    serving.abort();
    shared
        .links
        .ended(&id, &link, (&end.to_string(), clock.wall()));
    warn!(%peer, link = %id, error = %end, "link ended");
    if matches!(end, IngestEnd::RolledBack { .. }) {
        shared.roll_back.send_replace(true);
    }
}

// === Those that are dialled ===

struct Diallers {
    shared: Arc<Shared>,
    endpoint: Arc<MeshEndpoint>,
    tasks: BTreeMap<String, (Wanted, Task<()>)>,
}

impl Diallers {
    fn follow(&mut self, config: &Config) {
        self.shared.quotas.store(Arc::new(config.origins.clone()));
        let wanted = wanted_of(config);
        let gone: Vec<String> = self
            .tasks
            .iter()
            .filter(|(_, (running, _))| !wanted.contains(running))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            if let Some((_, task)) = self.tasks.remove(&id) {
                task.abort();
                self.shared.links.unwant(&id);
            }
        }
        let site = config.node.site.as_str();
        for wanted in wanted {
            if !self.tasks.contains_key(&wanted.id) {
                self.begin(wanted, site);
            }
        }
    }

    fn begin(&mut self, wanted: Wanted, site: &str) {
        let (expected, role) = match wanted.direction {
            Direction::Peer => (Expected::Peer, Role::Peer),
            _ => (Expected::Upstream, Role::Uplink),
        };
        let tls = match self.shared.parts.identity.client_config(expected) {
            // It follows the identity by itself: one is enough for all attempts.
            Ok(tls) => Arc::new(tls),
            Err(error) => return warn!(link = %wanted.id, %error, "cannot be dialled"),
        };
        let origin = self.shared.parts.bus.origin();
        let options = DialerOptions {
            site: site.to_owned(),
            members: wanted.members.clone(),
            tls: Arc::new(move || Arc::clone(&tls)),
            facts: Arc::new(move || DialFacts { origin, role }),
            clock: Arc::clone(&self.shared.parts.clock),
            rng: Box::new(RealRng::default()),
        };
        let who = (wanted.direction, wanted.name.as_str());
        self.shared
            .links
            .want(&wanted.id, who, self.shared.parts.clock.wall());
        let dialer = Dialer::new(Arc::clone(&self.endpoint), options);
        let task = tokio::task::spawn_local(keep(dialer, wanted.clone(), Arc::clone(&self.shared)));
        self.tasks.insert(wanted.id.clone(), (wanted, task));
    }

    async fn end(self) {
        for (_, task) in self.tasks.into_values() {
            task.abort();
            let _it_was_told_to_end = task.await;
        }
    }
}

/// Keeps a link for as long as it is wanted.
async fn keep(mut dialer: Dialer, wanted: Wanted, shared: Arc<Shared>) {
    let clock = Arc::clone(&shared.parts.clock);
    let id = wanted.id.as_str();
    let cursor = match uplink_cursor(&shared.parts.bus, id, clock.wall()) {
        Ok(cursor) => cursor,
        Err(error) => {
            shared.links.down(id, &error.to_string(), clock.wall());
            return warn!(link = %id, %error, "cannot be dialled");
        }
    };
    loop {
        let standing = connect(&mut dialer, id, &shared).await;
        info!(link = %id, member = %standing.member, "link stands");
        let link: Arc<dyn Link> = standing.link;
        shared.links.up(id, Arc::clone(&link), clock.wall());
        let end = run_uplink(UplinkRun {
            link,
            bus: Arc::clone(&shared.parts.bus),
            cursor: cursor.clone(),
            clock: Arc::clone(&clock),
            policy: policy_of(&wanted, &shared.parts.bus),
            from_peers: Arc::clone(&shared.from_peers),
            is_replay: false,
        })
        .await;
        warn!(link = %id, error = %end, "link ended");
        shared.links.down(id, &end.to_string(), clock.wall());
        if matches!(end, UplinkEnd::RolledBack { .. }) {
            shared.roll_back.send_replace(true);
        }
        dialer.lost();
    }
}

/// Dials until a link stands, and shows why it does not yet.
async fn connect(dialer: &mut Dialer, id: &str, shared: &Shared) -> Standing {
    let mut states = dialer.states();
    let connecting = dialer.connect();
    tokio::pin!(connecting);
    loop {
        tokio::select! {
            standing = &mut connecting => return standing,
            Ok(()) = states.changed() => {
                let members = states.borrow_and_update();
                let error = members.iter().find_map(|member| member.error.as_deref());
                if let Some(error) = error {
                    shared.links.down(id, error, shared.parts.clock.wall());
                }
            }
        }
    }
}
