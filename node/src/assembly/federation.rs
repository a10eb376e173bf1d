//! The thread of links: the QUIC endpoint, diallers of upstreams and peers, nodes that dial in.
//!
//! Does: open the endpoint on a thread and current-thread runtime of its own, start diallers
//! (`diallers`) and who takes those who dial in (`acceptor`), follow a reload, end in order.
//! Does not: decide whom to trust (`identity`), which member of a group is dialled (`link`).
//! In: a configuration, an identity. Out: [`Federation`]; [`Links`] for those who look.

mod acceptor;
mod derivers;
mod diallers;
mod refilling;
mod telling;
mod watching;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use ocelli_actors::Reporter;
use ocelli_bus::read::RecordSource;
use ocelli_bus::{Bus, OriginDescription};
use ocelli_config::Config;
use ocelli_config::sections::federation::OriginConfig;
use ocelli_federation::FromPeers;
use ocelli_federation::frame::{FEATURES, PROTOCOL};
use ocelli_federation::identity::IdentityStore;
use ocelli_federation::ingest::{IngestNode, IngestParts, OpenRosterError, Roster};
use ocelli_federation::link::{
    MeshEndpoint, MeshOptions, NodeFacts, Offers, OpenEndpointError, RESET_KEY_BYTES, any_address,
};
use ocelli_federation::subscribe::SubscriptionServer;
use ocelli_model::clock::Clock;
use ocelli_model::event::Event;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;

use super::desk::Desk;
use super::links::Links;
use super::membership;
use super::node::subscriptions_of;
use super::origins::Origins;
use super::replaying::ReplayOrder;
use super::wanted::{budget_of, held_bytes_of, quota_of};
use acceptor::accept;
use diallers::Diallers;
use watching::Watching;

/// Links from one address: the nodes of a large site behind address translation.
const LINKS_PER_ADDRESS_MAX: usize = 64;
/// What is known of the nodes below, in the data directory.
const ROSTER_FILE: &str = "roster.json";
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
    /// What is known of the nodes below.
    #[error(transparent)]
    Roster(#[from] OpenRosterError),
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
    /// Where it is told what happens to links.
    pub events: Reporter,
    /// How origins stand.
    pub origins: Arc<Origins>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The thread of links.
pub struct Federation {
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
    links: Arc<Links>,
    roster: Arc<Roster>,
    address: SocketAddr,
    rolled_back: watch::Receiver<bool>,
}

enum Order {
    Follow(Box<Config>),
    Replay(Box<ReplayOrder>),
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
        let roster = Roster::open(config.node.data_dir.join(ROSTER_FILE))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        parts.origins.heed(Arc::clone(&roster));
        forget_values(&parts.bus, &roster);
        let config = Box::new(config.clone());
        let shown = (Arc::clone(&links), Arc::clone(&roster));
        let subscriptions_max = subscriptions_of(&config);
        let held_bytes_max = held_bytes_of(&config);
        let limits = (subscriptions_max, held_bytes_max);
        let shared = Arc::new(Shared::new(parts, shown, roll_back, limits));
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
            roster,
            address,
            rolled_back,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is known of the nodes below.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster)
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

    /// Has a member of an upstream refilled; the order is answered once it began.
    pub async fn replay(&self, order: ReplayOrder) {
        if self
            .orders
            .send(Order::Replay(Box::new(order)))
            .await
            .is_err()
        {
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

/// The last values of who is gone for good do not come back with a restart.
fn forget_values(bus: &Bus, roster: &Roster) {
    let all = bus.origins().into_iter();
    let gone = all.filter(|facts| roster.is_forgotten(facts.origin, facts.last_received));
    let gone: BTreeSet<_> = gone.map(|facts| facts.origin).collect();
    bus.last_values().forget(|origin| gone.contains(&origin));
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
    /// Becomes true when the node stops.
    stopping: watch::Sender<bool>,
}

impl Shared {
    fn new(
        parts: FederationParts,
        (links, roster): (Arc<Links>, Arc<Roster>),
        roll_back: watch::Sender<bool>,
        (subscriptions_max, held_bytes_max): (usize, u64),
    ) -> Self {
        let from_peers = Arc::new(FromPeers::default());
        let watching = Arc::new(Watching {
            events: parts.events.clone(),
            origins: Arc::clone(&parts.origins),
        });
        let (bus, clock) = (Arc::clone(&parts.bus), Arc::clone(&parts.clock));
        let quotas = Arc::<ArcSwap<Vec<OriginConfig>>>::default();
        let in_force = Arc::clone(&quotas);
        let quota_of = Box::new(move |_, described: Option<&OriginDescription>| {
            quota_of(&in_force.load(), described)
        });
        let ingest = IngestNode::new(IngestParts {
            bus,
            clock,
            from_peers: Arc::clone(&from_peers),
            quota_of,
            watch: watching,
            roster,
            held_bytes_max,
        });
        let records = RecordSource::new(Arc::clone(&parts.bus));
        let clock = Arc::clone(&parts.clock);
        Self {
            subscriptions: SubscriptionServer::new(records, clock, subscriptions_max),
            desk: Desk::new(Arc::clone(&parts.clock)),
            parts,
            links,
            ingest,
            from_peers,
            quotas,
            roll_back,
            stopping: watch::Sender::new(false),
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
    let events = shared.parts.events.clone();
    endpoint.tell_turned_away(Arc::new(move |address, reason| {
        events.report(Event::LinkRefused {
            link: format!("from {address}"),
            reason: reason.to_owned(),
        });
    }));
    let is_open = config.listen.quic.is_some();
    let accepting = tokio::spawn(accept(offers, Arc::clone(&shared), is_open));
    let membership = membership::start(&endpoint, &shared.parts, &config);
    let mut diallers = Diallers::new(Arc::clone(&shared), Arc::clone(&endpoint));
    diallers.follow(&config);
    let mut rolled_back = shared.roll_back.subscribe();
    let _nobody_waits = opened.send(Ok(address));
    let may_send = loop {
        tokio::select! {
            order = inbox.recv() => match order {
                Some(Order::Follow(config)) => diallers.follow(&config),
                Some(Order::Replay(order)) => diallers.replay(*order),
                Some(Order::Stop) | None => break true,
            },
            // Under an origin that is ahead above, nothing more may leave this node.
            _ = rolled_back.wait_for(|went_back| *went_back) => break false,
        }
    };
    accepting.abort();
    // From below first: what comes no more needs not be sent.
    shared.desk.dismiss("the node stops", STOP_PATIENCE).await;
    match may_send {
        true => diallers.drain().await,
        false => diallers.end().await,
    }
    drop(membership);
    if let Some(endpoint) = Arc::into_inner(endpoint) {
        endpoint.shutdown(STOP_PATIENCE).await;
    }
}

fn open(
    parts: &FederationParts,
    config: &Config,
) -> Result<(MeshEndpoint, Offers, SocketAddr), FederationError> {
    let options = MeshOptions {
        address: config.listen.quic.unwrap_or_else(any_address),
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
