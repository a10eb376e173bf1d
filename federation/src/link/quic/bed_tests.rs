//! What tests of QUIC links share: a certificate authority, endpoints on loopback, raw peers.
//!
//! Does: make certificates as `identity` would, open real sockets, speak frames by hand. Does not:
//! prove anything itself. Time stands still unless a test moves it; the network is real.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use ocelli_bus::record::OriginId;
use ocelli_model::tier::Tier;
use quinn::{Connection, RecvStream, SendStream};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::frame::{
    Control, FEATURES, FrameHead, HEAD_BYTES, Hello, PROTOCOL, Role, VersionRange, decode_control,
    encode_control,
};
use crate::identity::{Admission, Expected, IdentityStore, SERVER_NAME};
use crate::link::limits::LinkBudget;
use crate::link::testing::HandClock;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A node's name and TLS.
pub(crate) struct Card {
    pub(crate) uri: String,
    server: rustls::ServerConfig,
    client: rustls::ClientConfig,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self { issuer, root }
    }

    pub(crate) fn issue(&self, uri: &str) -> Card {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI(uri.try_into().unwrap()));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let roots = Arc::new(roots);
        Card {
            uri: uri.to_owned(),
            server: server(&chain, &key, &roots),
            client: client(&chain, &key, &roots),
        }
    }
}

type Chain = [CertificateDer<'static>];
type Key = PrivateKeyDer<'static>;

fn server(chain: &Chain, key: &Key, roots: &Arc<RootCertStore>) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::clone(roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain.to_vec(), key.clone_key())
        .unwrap()
}

fn client(chain: &Chain, key: &Key, roots: &Arc<RootCertStore>) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(chain.to_vec(), key.clone_key())
        .unwrap()
}

impl Card {
    /// The card of a node that has a real identity.
    pub(crate) fn of_store(uri: &str, store: &Arc<IdentityStore>, expected: Expected) -> Self {
        Self {
            uri: uri.to_owned(),
            server: store.server_config(Admission::Nodes).unwrap(),
            client: store.client_config(expected).unwrap(),
        }
    }

    pub(crate) fn server(&self) -> rustls::ServerConfig {
        self.server.clone()
    }

    pub(crate) fn client(&self) -> rustls::ClientConfig {
        self.client.clone()
    }
}

/// An endpoint with its offers and its clock.
pub(crate) struct Node {
    pub(crate) card: Card,
    pub(crate) endpoint: Arc<MeshEndpoint>,
    pub(crate) offers: Offers,
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<HandClock>,
}

/// What a test may want otherwise.
pub(crate) struct Wanted {
    pub(crate) address: SocketAddr,
    pub(crate) versions: VersionRange,
    pub(crate) budget: LinkBudget,
    pub(crate) links_per_address_max: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            address: loopback(0),
            versions: PROTOCOL,
            budget: LinkBudget {
                ingest_bytes_max: 64 << 20,
                links_max: 16,
            },
            links_per_address_max: 16,
        }
    }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Node {
    pub(crate) fn open(card: Card, wanted: Wanted) -> Self {
        let clock = HandClock::new();
        let options = MeshOptions {
            address: wanted.address,
            node: NodeFacts {
                identity: card.uri.parse().unwrap(),
                build: "test".to_owned(),
                versions: wanted.versions,
                features: FEATURES,
            },
            budget: wanted.budget,
            links_per_address_max: wanted.links_per_address_max,
            reset_key: reset_key_of(card.uri.as_bytes()),
            clock: clock.clone(),
        };
        let (endpoint, offers) = MeshEndpoint::open(options, &card.server()).unwrap();
        let address = endpoint.local_address().unwrap();
        Self {
            card,
            endpoint: Arc::new(endpoint),
            offers,
            address,
            clock,
        }
    }

    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<Arc<QuicLink>, DialError> {
        self.endpoint
            .dial(address, &self.card.client(), facts())
            .await
    }

    pub(crate) async fn welcome(&mut self) -> Arc<QuicLink> {
        let offer = self.offers.next().await.unwrap();
        offer.welcome(welcome()).await.unwrap()
    }
}

pub(crate) fn facts() -> DialFacts {
    DialFacts {
        origin: OriginId(1),
        role: Role::Uplink,
    }
}

pub(crate) fn welcome() -> WelcomeFacts {
    WelcomeFacts {
        origin: OriginId(2),
        ingest_bytes_in_flight_max: 1 << 20,
    }
}

/// A region and a site of one mesh.
pub(crate) fn two_nodes() -> (Authority, Node, Node) {
    let authority = Authority::new();
    let region = authority.issue("ocelli://mesh/region/emea/r1");
    let site = authority.issue("ocelli://mesh/site/dc1/a");
    let region = Node::open(region, Wanted::default());
    let site = Node::open(site, Wanted::default());
    (authority, region, site)
}

/// The two ends of a standing link, the site's first.
pub(crate) async fn linked(region: &mut Node, site: &Node) -> (Arc<QuicLink>, Arc<QuicLink>) {
    let (down, up) = tokio::join!(site.dial(region.address), region.welcome());
    (down.unwrap(), up)
}

// === A peer that speaks by hand ===

/// A connection without our code above QUIC.
pub(crate) struct Raw {
    /// Keeps the socket.
    _endpoint: quinn::Endpoint,
    pub(crate) connection: Connection,
}

pub(crate) fn hello_of(uri: &str) -> Hello {
    let identity: crate::identity::NodeIdentity = uri.parse().unwrap();
    Hello {
        version: 1,
        version_min: 1,
        features: FEATURES,
        mesh: identity.mesh,
        tier: identity.tier,
        name: identity.name,
        node: identity.node,
        origin: OriginId(7),
        role: Role::Uplink,
        build: "raw".to_owned(),
        extensions: Vec::new(),
    }
}

impl Raw {
    /// Dials without a word.
    pub(crate) async fn dial(card: &Card, address: SocketAddr) -> Self {
        let config = super::transport::client_config(&card.client(), 1 << 20).unwrap();
        let endpoint = quinn::Endpoint::client(loopback(0)).unwrap();
        let connecting = endpoint.connect_with(config, address, SERVER_NAME).unwrap();
        let connection = connecting.await.unwrap();
        Self {
            _endpoint: endpoint,
            connection,
        }
    }

    /// Says Hello as the card has it; the control stream.
    pub(crate) async fn hello(&self, uri: &str) -> (SendStream, RecvStream) {
        let (mut send, receive) = self.connection.open_bi().await.unwrap();
        let hello = encode_control(&Control::Hello(hello_of(uri))).unwrap();
        send.write_all(&hello).await.unwrap();
        (send, receive)
    }

    /// A channel's stream, its number written.
    pub(crate) async fn channel(&self, number: u8) -> SendStream {
        let mut send = self.connection.open_uni().await.unwrap();
        send.write_all(&[number]).await.unwrap();
        send
    }

    /// How the connection ended.
    pub(crate) async fn closed(&self) -> Closed {
        super::closing::closed_of(&self.connection.closed().await)
    }
}

/// A server that takes one connection and answers Hello with Welcome by hand.
pub(crate) struct RawServer {
    pub(crate) endpoint: quinn::Endpoint,
    pub(crate) address: SocketAddr,
    uri: String,
}

impl RawServer {
    pub(crate) fn open(card: &Card) -> Self {
        let config = super::transport::server_config(&card.server()).unwrap();
        let endpoint = quinn::Endpoint::server(config, loopback(0)).unwrap();
        let address = endpoint.local_addr().unwrap();
        Self {
            endpoint,
            address,
            uri: card.uri.clone(),
        }
    }

    /// Takes a connection and its Hello, answers whatever `answer` makes of it.
    pub(crate) async fn answer(
        &self,
        answer: impl FnOnce(Hello) -> Vec<u8>,
    ) -> (Connection, SendStream, RecvStream) {
        let connection = self.endpoint.accept().await.unwrap().await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        let Control::Hello(hello) = read_control(&mut receive).await else {
            panic!("no hello");
        };
        send.write_all(&answer(hello)).await.unwrap();
        (connection, send, receive)
    }

    /// A Welcome of this server.
    pub(crate) fn welcome(&self) -> crate::frame::Welcome {
        let identity: crate::identity::NodeIdentity = self.uri.parse().unwrap();
        crate::frame::Welcome {
            version: 1,
            features: FEATURES,
            mesh: identity.mesh,
            tier: Tier::Region,
            name: identity.name,
            node: identity.node,
            origin: OriginId(9),
            ingest_bytes_in_flight_max: 1,
            build: "raw".to_owned(),
            extensions: Vec::new(),
        }
    }
}

/// The next control frame of a raw stream.
pub(crate) async fn read_control(receive: &mut RecvStream) -> Control {
    let mut head = [0; HEAD_BYTES];
    receive.read_exact(&mut head).await.unwrap();
    let FrameHead::Known {
        kind,
        payload_bytes,
    } = FrameHead::read(head).unwrap()
    else {
        panic!("unknown frame");
    };
    let mut payload = vec![0; payload_bytes];
    receive.read_exact(&mut payload).await.unwrap();
    decode_control(kind, &payload).unwrap()
}

pub(crate) use crate::link::close::Closed;

/// A frame of any kind and claim.
pub(crate) fn raw_frame(kind: u8, claimed: usize, payload: &[u8]) -> Bytes {
    let claimed = u32::try_from(claimed).unwrap().to_le_bytes();
    Bytes::from([&claimed[..], &[kind, 0, 1, 0], payload].concat())
}
