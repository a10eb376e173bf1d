//! The one UDP socket of a node: dials and is dialled.
//!
//! Does: open the socket, admit and greet those who dial, dial others, walk live links after a
//! change of trust, stop. Does not: decide who is wanted (whoever takes [`Offers`] does).
//! In: TLS configurations of `identity`, addresses. Out: links, offers, figures.
//! TLS configurations may change at any time; live links stay until they are told otherwise.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ocelli_model::clock::{Clock, Monotonic};
use parking_lot::Mutex;
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime, VarInt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::admission::{Admission, AdmissionStatistics, Admitted, Verdict};
use super::closing;
use super::guard::{Guard, GuardedLinks, end_if_refused};
use super::handshake::{DialFacts, GreetError, Greeting, NodeFacts};
use super::link::{LinkCore, QuicLink};
use super::reception::{Offer, Reception};
use super::shares::Shares;
use super::signing::{SigningDoor, Signings};
use super::socket::{bind, reaches};
use super::transport::{
    RESET_KEY_BYTES, TlsError, accepted, client_config, endpoint_config, server_config,
};
use super::turned_away::{TurnedAway, TurnedAwaySink};
use crate::identity::{IdentityStore, PeerIdentity, SERVER_NAME};
use crate::link::close::{CloseCode, Closed};
use crate::link::limits::{BudgetError, HANDSHAKE_MAX, LinkBudget, OFFERS_MAX};
use crate::link::waiting::within;

/// Least time between two lines about nodes that found no place.
const TELL_FULL_EVERY: Duration = Duration::from_secs(60);

/// What an endpoint needs to know.
pub struct MeshOptions {
    /// Where it listens; port 0 takes a free one. `[::]` takes IPv4 too.
    pub address: SocketAddr,
    /// Who the node is.
    pub node: NodeFacts,
    /// Bytes and links.
    pub budget: LinkBudget,
    /// Links from one address; a site behind address translation needs one for each of its nodes.
    pub links_per_address_max: usize,
    /// From `reset_key_of` the node's private key.
    pub reset_key: [u8; RESET_KEY_BYTES],
    /// The node's.
    pub clock: Arc<dyn Clock>,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenEndpointError {
    /// The socket.
    #[error("cannot listen on UDP {address}: {source}; free the port or set `listen.quic`")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The TLS configuration.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Memory.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nothing can be sent there.
    #[error("cannot dial {address}: {source}; check the address")]
    Address {
        /// Where.
        address: SocketAddr,
        /// What QUIC says.
        source: quinn::ConnectError,
    },
    /// The node's socket is of the other family of addresses.
    #[error(
        "cannot dial {address} from {local}, which reaches one family of addresses only; listen on \
         [::] (listen.quic), or dial an address of its own family"
    )]
    Family {
        /// Where.
        address: SocketAddr,
        /// Where this node listens.
        local: SocketAddr,
    },
    /// The TLS configuration.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No answer, or none in time.
    #[error("{address} does not answer within {} s; is it up and reachable by UDP?",
        HANDSHAKE_MAX.as_secs())]
    Timeout {
        /// Where.
        address: SocketAddr,
    },
    /// TLS or QUIC failed: a certificate was refused, there is no room, another protocol.
    #[error("handshake with {address} failed: {closed}")]
    Handshake {
        /// Where.
        address: SocketAddr,
        /// Why.
        closed: Closed,
    },
    /// The peer answers and is not what is wanted, or does not want us.
    #[error("{address}: {source}")]
    Greet {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: GreetError,
    },
}

impl DialError {
    /// Whether there was an answer: one of both ends wants no link.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Handshake { .. } | Self::Greet { .. } => true,
            Self::Address { .. } | Self::Family { .. } | Self::Tls(_) | Self::Timeout { .. } => {
                false
            }
        }
    }
}

/// The endpoint. Dropping it closes every link.
pub struct MeshEndpoint {
    core: Arc<EndpointCore>,
    accepting: tokio::task::JoinHandle<()>,
}

/// Peers that wait for the node's verdict. While nobody takes them, new handshakes wait.
pub struct Offers(mpsc::Receiver<Offer>);

struct EndpointCore {
    endpoint: Endpoint,
    node: Arc<NodeFacts>,
    shares: Arc<Shares>,
    /// For handshakes to come.
    server: Mutex<ServerConfig>,
    clock: Arc<dyn Clock>,
    admission: Arc<Admission>,
    links: Arc<LinkList>,
    guard: Arc<Guard>,
    signing: Mutex<Option<Arc<SigningDoor>>>,
    turned_away: TurnedAway,
}

/// Live links, for what concerns all of them.
#[derive(Default)]
pub(super) struct LinkList(Mutex<BTreeMap<usize, Weak<LinkCore>>>);

impl MeshEndpoint {
    /// Opens the socket and starts to take peers. Call it inside the runtime that is to carry them.
    ///
    /// # Errors
    /// [`OpenEndpointError`].
    pub fn open(
        options: MeshOptions,
        tls: &rustls::ServerConfig,
    ) -> Result<(Self, Offers), OpenEndpointError> {
        let budget = options.budget.check()?;
        let address = options.address;
        let refused = |source| OpenEndpointError::Socket { address, source };
        let socket = bind(address).map_err(refused)?;
        let server = server_config(tls)?;
        let endpoint = Endpoint::new(
            endpoint_config(&options.reset_key),
            Some(server.clone()),
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(refused)?;
        let links_max = usize::try_from(budget.links_max).unwrap_or(usize::MAX);
        let core = Arc::new(EndpointCore {
            endpoint,
            node: Arc::new(options.node),
            shares: Shares::new(budget),
            server: Mutex::new(server),
            clock: options.clock,
            admission: Admission::new(links_max, options.links_per_address_max),
            links: Arc::default(),
            guard: Arc::default(),
            signing: Mutex::default(),
            turned_away: TurnedAway::default(),
        });
        let (sender, offers) = mpsc::channel(OFFERS_MAX);
        let accepting = tokio::spawn(accept(Arc::clone(&core), sender));
        Ok((Self { core, accepting }, Offers(offers)))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.core.endpoint.local_addr()
    }

    /// New handshakes use this configuration; live links stay.
    ///
    /// # Errors
    /// [`TlsError`]; the former one stays in use.
    pub fn set_server_tls(&self, tls: &rustls::ServerConfig) -> Result<(), TlsError> {
        let config = server_config(tls)?;
        *self.core.server.lock() = config.clone();
        self.core.endpoint.set_server_config(Some(config));
        Ok(())
    }

    /// Dials a peer once; the link stands when this answers.
    ///
    /// # Errors
    /// [`DialError`], within 10 s.
    pub async fn dial(
        &self,
        address: SocketAddr,
        tls: &rustls::ClientConfig,
        facts: DialFacts,
    ) -> Result<Arc<QuicLink>, DialError> {
        let core = &self.core;
        if let Ok(local) = self.local_address()
            && !reaches(local, address)
        {
            return Err(DialError::Family { address, local });
        }
        let share = core.shares.take();
        let config = client_config(tls, share.window())?;
        let connecting = core.endpoint.connect_with(config, address, SERVER_NAME);
        let connecting = connecting.map_err(|source| DialError::Address { address, source })?;
        let connection = match within(&*core.clock, HANDSHAKE_MAX, connecting).await {
            Some(Ok(connection)) => connection,
            Some(Err(quinn::ConnectionError::TimedOut)) | None => {
                return Err(DialError::Timeout { address });
            }
            Some(Err(error)) => {
                let closed = closing::closed_of(&error);
                return Err(DialError::Handshake { address, closed });
            }
        };
        let greeting = Greeting {
            node: &core.node,
            clock: &core.clock,
            guard: &core.guard,
        };
        let greeted = greeting.dial(connection, (facts, share)).await;
        let (link, link_core) = greeted.map_err(|source| DialError::Greet { address, source })?;
        core.links.add(&link_core);
        // Trust may have changed since the handshake.
        end_if_refused(&link_core, core.guard.check(&link_core.connection));
        Ok(link)
    }

    /// From now on every peer is judged by `identity` before Welcome and once its link stands, and
    /// revocation lists travel on every link; `membership::guard_links` does the rest. `None`: the
    /// endpoint has its guard already.
    #[must_use]
    pub fn guard(&self, identity: Arc<IdentityStore>) -> Option<GuardedLinks> {
        let core = &self.core;
        let parts = (Arc::clone(&core.links), Arc::clone(&core.clock));
        core.guard.post(identity, parts)
    }

    /// From now on nodes may ask for certificates here, for `membership::run_issuer`. Nodes without
    /// one get so far only if TLS lets them in (`Admission::NodesAndJoining`).
    #[must_use]
    pub fn take_signings(&self, identity: Arc<IdentityStore>) -> Signings {
        let (door, signings) = SigningDoor::new(identity);
        *self.core.signing.lock() = Some(door);
        signings
    }

    /// From now on `sink` hears of those who dial in and are not let in, with the reason; of one
    /// that tries again and again only now and then.
    pub fn tell_turned_away(&self, sink: TurnedAwaySink) {
        self.core.turned_away.tell(sink);
    }

    /// Closes the links whose peers `judge` finds a reason against; how many there were. For a new
    /// revocation list, or trust that was reloaded.
    pub fn close_links(&self, judge: impl Fn(&PeerIdentity) -> Option<String>) -> usize {
        let mut closed = 0;
        for link in self.core.links.live() {
            if let Some(reason) = judge(&link.peer) {
                link.end(Closed::here(CloseCode::Revoked, reason));
                closed += 1;
            }
        }
        closed
    }

    /// Live links, both directions.
    #[must_use]
    pub fn links_open(&self) -> usize {
        self.core.links.live().len()
    }

    /// Figures of those who dial in.
    #[must_use]
    pub fn statistics(&self) -> AdmissionStatistics {
        self.core.admission.statistics()
    }

    /// Takes no more peers, closes what is left (finish links first by their own `finish`), and
    /// waits until the peers know or `patience` is over.
    pub async fn shutdown(self, patience: Duration) {
        let core = &self.core;
        core.endpoint.set_server_config(None);
        self.accepting.abort();
        for link in core.links.live() {
            link.end(Closed::here(CloseCode::Done, "the node stops"));
        }
        let code = VarInt::from_u32(CloseCode::Done.number());
        core.endpoint.close(code, b"the node stops");
        let idle = within(&*core.clock, patience, core.endpoint.wait_idle()).await;
        debug!(in_time = idle.is_some(), "endpoint stopped");
    }
}

impl Drop for MeshEndpoint {
    fn drop(&mut self) {
        self.accepting.abort();
        let code = VarInt::from_u32(CloseCode::Done.number());
        self.core.endpoint.close(code, b"the node stops");
    }
}

impl Offers {
    /// The next peer that waits; `None` when the endpoint has stopped.
    pub async fn next(&mut self) -> Option<Offer> {
        self.0.recv().await
    }
}

impl DialError {
    /// Whether trying again without a change at either end may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Handshake { .. } => true,
            Self::Greet { source, .. } => source.is_transient(),
            Self::Address { .. } | Self::Family { .. } | Self::Tls(_) => false,
        }
    }
}

impl LinkList {
    fn add(&self, link: &Arc<LinkCore>) {
        let mut links = self.0.lock();
        links.retain(|_, link| {
            link.upgrade()
                .is_some_and(|link| link.inbox.ended().is_none())
        });
        links.insert(link.connection.stable_id(), Arc::downgrade(link));
    }

    pub(super) fn live(&self) -> Vec<Arc<LinkCore>> {
        let links = self.0.lock();
        let live = links.values().filter_map(Weak::upgrade);
        live.filter(|link| link.inbox.ended().is_none()).collect()
    }
}

// === Those who dial in ===

async fn accept(core: Arc<EndpointCore>, offers: mpsc::Sender<Offer>) {
    // Bounded by admission: at most `links_max` at once.
    let mut handshakes = JoinSet::new();
    let mut tell_at = Monotonic::default();
    loop {
        tokio::select! {
            incoming = core.endpoint.accept() => match incoming {
                Some(incoming) => {
                    let address = incoming.remote_address();
                    let is_refused = !admit(&core, incoming, &offers, &mut handshakes);
                    if is_refused && core.clock.monotonic() >= tell_at {
                        tell_at = core.clock.monotonic().after(TELL_FULL_EVERY);
                        tell_full(&core, address);
                    }
                }
                None => return,
            },
            Some(_) = handshakes.join_next() => {}
        }
    }
}

/// Nodes that find no place are a matter for a person: at most once a minute, with the counts.
fn tell_full(core: &EndpointCore, address: SocketAddr) {
    let AdmissionStatistics {
        admitted_open,
        refused_full,
        refused_address,
        ..
    } = core.admission.statistics();
    warn!(
        %address, links = admitted_open, refused_full, refused_address,
        "handshakes refused: no place is free; raise node.memory_max, or add a node"
    );
}

/// `false`: there is no place.
fn admit(
    core: &Arc<EndpointCore>,
    incoming: Incoming,
    offers: &mpsc::Sender<Offer>,
    handshakes: &mut JoinSet<()>,
) -> bool {
    let address = incoming.remote_address();
    let is_proved = incoming.remote_address_validated();
    match core.admission.judge(address.ip(), is_proved) {
        Verdict::Admit(place) => {
            let greeted = greet(Arc::clone(core), incoming, place, offers.clone());
            handshakes.spawn(greeted);
        }
        Verdict::Retry => {
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
        }
        Verdict::Full | Verdict::AddressFull => {
            incoming.refuse();
            return false;
        }
    }
    true
}

async fn greet(
    core: Arc<EndpointCore>,
    incoming: Incoming,
    place: Admitted,
    offers: mpsc::Sender<Offer>,
) {
    let address = incoming.remote_address();
    let share = core.shares.take();
    let mut config = core.server.lock().clone();
    config.transport_config(accepted(share.window()));
    let Ok(connecting) = incoming.accept_with(Arc::new(config)) else {
        return;
    };
    let connection = match within(&*core.clock, HANDSHAKE_MAX, connecting).await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => {
            return turned_away(&core, address, &closing::closed_of(&error).to_string());
        }
        None => return turned_away(&core, address, "the handshake was not finished in time"),
    };
    let (links, guard) = (Arc::clone(&core.links), Arc::clone(&core.guard));
    let reception = Reception {
        node: Arc::clone(&core.node),
        clock: Arc::clone(&core.clock),
        share,
        register: Arc::new(move |link| {
            links.add(link);
            end_if_refused(link, guard.check(&link.connection));
        }),
        guard: Arc::clone(&core.guard),
        signing: core.signing.lock().clone(),
    };
    match reception.receive(connection, place).await {
        Ok(None) => debug!(%address, "a node asks for a certificate"),
        Ok(Some(offer)) => {
            // Nobody takes offers any more: the endpoint stops, dropping closes the connection.
            if offers.send(offer).await.is_err() {
                debug!(%address, "peer came while the endpoint stops");
            }
        }
        Err(closed) => turned_away(&core, address, &closed.reason),
    }
}

fn turned_away(core: &EndpointCore, address: SocketAddr, reason: &str) {
    let now = core.clock.monotonic();
    core.turned_away.note(address, reason, now);
}
