//! Hello and Welcome: from a connection to a link.
//!
//! Does: hold both sides to their certificates, to one mesh and to a common version, within 5 s.
//! Does not: decide whether an honest peer is wanted: the node does, by its [`Offer`].
//! In: a connection whose TLS handshake is over. Out: a link, or a refusal that both sides log.
//! A dialler counts as connected at Welcome, not before: TLS lets it believe so too early.

use std::sync::Arc;

use bytes::Bytes;
use ocelli_bus::record::OriginId;
use ocelli_model::clock::Clock;
use quinn::{Connection, SendStream};
use rustls_pki_types::CertificateDer;

use super::admission::Admitted;
use super::closing;
use super::link::{Established, LinkCore, QuicLink};
use super::reader::{FrameReader, ReadFrameError};
use super::streams::closed_of_write;
use crate::frame::{
    Control, Features, FrameError, FrameKind, Hello, RefuseCode, Role, VersionRange, Welcome,
    decode_control, encode_control,
};
use crate::identity::{NodeIdentity, PeerIdentity, PeerIdentityError, Verdict, may_link};
use crate::link::close::{CloseCode, Closed};
use crate::link::contract::Side;
use crate::link::limits::{HELLO_MAX, REFUSE_MAX};
use crate::link::statistics::FrameCounters;
use crate::link::waiting::within;

/// What a node says of itself on every link.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// As its certificate has it.
    pub identity: NodeIdentity,
    /// Release, for people.
    pub build: String,
    /// Protocol versions that it speaks: `frame::PROTOCOL`, but in tests of other releases.
    pub versions: VersionRange,
    /// Abilities that it has: `frame::FEATURES`.
    pub features: Features,
}

/// What a dialler says for one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialFacts {
    /// The origin that the node writes now.
    pub origin: OriginId,
    /// What it wants.
    pub role: Role,
}

/// What an acceptor says for one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WelcomeFacts {
    /// The origin that the node writes now.
    pub origin: OriginId,
    /// Most bytes of blocks in flight.
    pub ingest_bytes_in_flight_max: u64,
}

/// Why there is no link to a peer that answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GreetError {
    /// The peer's certificate names no node.
    #[error("peer's certificate is of no use: {0}")]
    Certificate(#[from] PeerIdentityError),
    /// The peer is of another mesh.
    #[error("peer {peer} is not of mesh {mesh:?}; dial a node of your own mesh")]
    Mesh {
        /// Who answers.
        peer: Box<NodeIdentity>,
        /// Ours.
        mesh: String,
    },
    /// The peer says another name than its certificate.
    #[error("peer calls itself {said}, its certificate says {certified}; issue it another")]
    Identity {
        /// In Welcome.
        said: String,
        /// In the certificate.
        certified: Box<NodeIdentity>,
    },
    /// The peer's Refuse.
    #[error("peer refuses ({code}): {reason}; {hint}")]
    Refused {
        /// For programs.
        code: RefuseCode,
        /// For people.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The peer took a version that was not offered.
    #[error("peer speaks protocol version {version}, which was not offered; upgrade the older one")]
    Version {
        /// In Welcome.
        version: u16,
    },
    /// No Welcome in time.
    #[error("peer sent no welcome within {} s; it may be overloaded", HELLO_MAX.as_secs())]
    Timeout,
    /// The connection ended before Welcome; a refused certificate looks so.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The parts that both sides of the handshake need.
pub(super) struct Greeting<'a> {
    pub(super) node: &'a NodeFacts,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) inbox_bytes: usize,
}

// === Dialler ===

impl Greeting<'_> {
    /// Says Hello and waits for Welcome. On an error the connection is closed.
    pub(super) async fn dial(
        &self,
        connection: Connection,
        facts: DialFacts,
    ) -> Result<(Arc<QuicLink>, Arc<LinkCore>), GreetError> {
        let result = within(&**self.clock, HELLO_MAX, self.greet(&connection, facts)).await;
        let error = match result {
            Some(Ok(link)) => return Ok(link),
            Some(Err(error)) => error,
            None => GreetError::Timeout,
        };
        let code = match &error {
            GreetError::Timeout => CloseCode::HandshakeTimeout,
            GreetError::Refused { .. } => CloseCode::Done,
            _ => CloseCode::Refused,
        };
        closing::close(&connection, &Closed::here(code, error.to_string()));
        Err(error)
    }

    async fn greet(
        &self,
        connection: &Connection,
        facts: DialFacts,
    ) -> Result<(Arc<QuicLink>, Arc<LinkCore>), GreetError> {
        let peer = identity_of(connection)?;
        let identity = &self.node.identity;
        if peer.identity.mesh != identity.mesh {
            return Err(GreetError::Mesh {
                peer: Box::new(peer.identity.clone()),
                mesh: identity.mesh.clone(),
            });
        }
        let hello = Hello {
            version: self.node.versions.max,
            version_min: self.node.versions.min,
            features: self.node.features,
            mesh: identity.mesh.clone(),
            tier: identity.tier,
            name: identity.name.clone(),
            node: identity.node.clone(),
            origin: facts.origin,
            role: facts.role,
            build: self.node.build.clone(),
            extensions: Vec::new(),
        };
        let counters = Arc::new(FrameCounters::default());
        let opened = connection.open_bi().await;
        let (mut send, receive) = opened.map_err(|error| closing::closed_of(&error))?;
        write(&mut send, &Control::Hello(hello.clone())).await?;
        counters.sent(FrameKind::Hello);
        let mut reader = FrameReader::new(receive, Arc::clone(&counters));
        let answer = first_frame(&mut reader).await;
        let answer = answer.map_err(|error| error.into_closed("control stream"))?;
        let welcome = self.judge(answer, &peer)?;
        let established = Established {
            connection: connection.clone(),
            side: Side::Dialler,
            peer,
            hello,
            welcome,
            counters,
            clock: Arc::clone(self.clock),
            place: None,
            inbox_bytes: self.inbox_bytes,
        };
        Ok(QuicLink::start(established, send, reader))
    }

    fn judge(&self, answer: Control, peer: &PeerIdentity) -> Result<Welcome, GreetError> {
        let welcome = match answer {
            Control::Welcome(welcome) => welcome,
            Control::Refuse { code, reason, hint } => {
                return Err(GreetError::Refused { code, reason, hint });
            }
            other => {
                let reason = format!("frame {} stands where welcome does", other.kind().name());
                return Err(Closed::here(CloseCode::Protocol, reason).into());
            }
        };
        let said = NodeIdentity {
            mesh: welcome.mesh.clone(),
            tier: welcome.tier,
            name: welcome.name.clone(),
            node: welcome.node.clone(),
        };
        if said != peer.identity {
            return Err(GreetError::Identity {
                said: said.to_string(),
                certified: Box::new(peer.identity.clone()),
            });
        }
        let versions = self.node.versions;
        if !(versions.min..=versions.max).contains(&welcome.version) {
            return Err(GreetError::Version {
                version: welcome.version,
            });
        }
        Ok(welcome)
    }
}

impl GreetError {
    /// Whether trying again without a change at either end may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code.is_transient(),
            Self::Timeout | Self::Closed(_) => true,
            Self::Certificate(_)
            | Self::Mesh { .. }
            | Self::Identity { .. }
            | Self::Version { .. } => false,
        }
    }
}

// === Acceptor ===

/// Makes the endpoint know a link that stands.
pub(super) type Register = Arc<dyn Fn(&Arc<LinkCore>) + Send + Sync>;

/// A peer that has said an honest Hello and waits for the node's verdict. Dropping it closes the
/// connection without a word.
pub struct Offer {
    connection: Connection,
    send: SendStream,
    reader: FrameReader,
    peer: Arc<PeerIdentity>,
    hello: Hello,
    agreed: (u16, Features),
    node: Arc<NodeFacts>,
    counters: Arc<FrameCounters>,
    clock: Arc<dyn Clock>,
    place: Admitted,
    inbox_bytes: usize,
    register: Register,
}

/// What the endpoint gives to each handshake that it takes.
pub(super) struct Reception {
    pub(super) node: Arc<NodeFacts>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) inbox_bytes: usize,
    pub(super) register: Register,
}

/// The control stream after its first frame.
struct Heard {
    send: SendStream,
    reader: FrameReader,
    counters: Arc<FrameCounters>,
    /// Who says what, or what to refuse it for.
    hello: Result<(Arc<PeerIdentity>, Hello), (RefuseCode, String)>,
}

impl Reception {
    /// Takes Hello. On an error the peer was told and the connection closed.
    pub(super) async fn receive(
        self,
        connection: Connection,
        mut place: Admitted,
    ) -> Result<Offer, Closed> {
        let clock = Arc::clone(&self.clock);
        let hello = within(&*clock, HELLO_MAX, self.read_hello(&connection)).await;
        let Some(hello) = hello else {
            let reason = format!("no hello within {} s", HELLO_MAX.as_secs());
            let closed = Closed::here(CloseCode::HandshakeTimeout, reason);
            closing::close(&connection, &closed);
            return Err(closed);
        };
        let heard = match hello {
            Ok(heard) => heard,
            Err(closed) => {
                closing::close(&connection, &closed);
                return Err(closed);
            }
        };
        let Heard {
            send,
            reader,
            counters,
            hello,
        } = heard;
        let verdict = hello.and_then(|(peer, hello)| {
            let agreed = self.judge(&peer, &hello)?;
            Ok((peer, hello, agreed))
        });
        match verdict {
            Ok((peer, hello, agreed)) => {
                place.handshaken();
                Ok(Offer {
                    connection,
                    send,
                    reader,
                    peer,
                    hello,
                    agreed,
                    node: self.node,
                    counters,
                    clock,
                    place,
                    inbox_bytes: self.inbox_bytes,
                    register: self.register,
                })
            }
            Err((code, reason)) => Err(refuse(
                &connection,
                send,
                &*clock,
                (code, reason, "see the log of the peer".to_owned()),
            )
            .await),
        }
    }

    async fn read_hello(&self, connection: &Connection) -> Result<Heard, Closed> {
        let opened = connection.accept_bi().await;
        let (send, receive) = opened.map_err(|error| closing::closed_of(&error))?;
        let counters = Arc::new(FrameCounters::default());
        let mut reader = FrameReader::new(receive, Arc::clone(&counters));
        let hello = match first_frame(&mut reader).await {
            Ok(Control::Hello(hello)) => Ok(hello),
            Ok(other) => {
                let kind = other.kind().name();
                Err((
                    RefuseCode::Malformed,
                    format!("frame {kind} stands where hello does"),
                ))
            }
            Err(ReadFrameError::Closed(closed)) => return Err(closed),
            Err(ReadFrameError::Frame(error @ FrameError::Version { .. })) => {
                Err((RefuseCode::Version, error.to_string()))
            }
            Err(error) => Err((RefuseCode::Malformed, error.to_string())),
        };
        let both = hello.and_then(|hello| match identity_of(connection) {
            Ok(peer) => Ok((peer, hello)),
            Err(error) => Err((RefuseCode::Identity, error.to_string())),
        });
        Ok(Heard {
            send,
            reader,
            counters,
            hello: both,
        })
    }

    /// What any node judges alike: mesh, identity, version.
    fn judge(
        &self,
        peer: &PeerIdentity,
        hello: &Hello,
    ) -> Result<(u16, Features), (RefuseCode, String)> {
        let ours = &self.node.identity;
        if peer.identity.mesh != ours.mesh {
            let reason = format!("{} is not of mesh {:?}", peer.identity, ours.mesh);
            return Err((RefuseCode::Mesh, reason));
        }
        let said = NodeIdentity {
            mesh: hello.mesh.clone(),
            tier: hello.tier,
            name: hello.name.clone(),
            node: hello.node.clone(),
        };
        if said != peer.identity {
            let reason = format!("hello says {said}, the certificate {}", peer.identity);
            return Err((RefuseCode::Identity, reason));
        }
        if let Verdict::Refused(forbidden) = may_link(peer.identity.tier, ours.tier, hello.role) {
            return Err((RefuseCode::Role, forbidden.to_string()));
        }
        let version = self.node.versions.agree(hello.versions());
        let version = version.map_err(|error| (RefuseCode::Version, error.to_string()))?;
        Ok((version, self.node.features.common(hello.features)))
    }
}

impl Offer {
    /// Who it is, by certificate.
    #[must_use]
    pub fn peer(&self) -> &Arc<PeerIdentity> {
        &self.peer
    }

    /// What it says.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Takes the peer: the link stands once this is on its way.
    ///
    /// # Errors
    /// [`Closed`] where the connection has ended meanwhile.
    pub async fn welcome(mut self, facts: WelcomeFacts) -> Result<Arc<QuicLink>, Closed> {
        let ours = &self.node.identity;
        let (version, features) = self.agreed;
        let welcome = Welcome {
            version,
            features,
            mesh: ours.mesh.clone(),
            tier: ours.tier,
            name: ours.name.clone(),
            node: ours.node.clone(),
            origin: facts.origin,
            ingest_bytes_in_flight_max: facts.ingest_bytes_in_flight_max,
            build: self.node.build.clone(),
            extensions: Vec::new(),
        };
        write(&mut self.send, &Control::Welcome(welcome.clone())).await?;
        self.counters.sent(FrameKind::Welcome);
        let established = Established {
            connection: self.connection,
            side: Side::Acceptor,
            peer: self.peer,
            hello: self.hello,
            welcome,
            counters: self.counters,
            clock: self.clock,
            place: Some(self.place),
            inbox_bytes: self.inbox_bytes,
        };
        let (link, core) = QuicLink::start(established, self.send, self.reader);
        (self.register)(&core);
        Ok(link)
    }

    /// Refuses the peer, which is told why; waits up to a second until it knows.
    pub async fn refuse(self, code: RefuseCode, reason: &str, hint: &str) {
        let words = (code, reason.to_owned(), hint.to_owned());
        let closed = refuse(&self.connection, self.send, &*self.clock, words).await;
        tracing::info!(peer = %self.peer.identity, reason = %closed.reason, "peer refused");
    }
}

async fn refuse(
    connection: &Connection,
    mut send: SendStream,
    clock: &dyn Clock,
    (code, reason, hint): (RefuseCode, String, String),
) -> Closed {
    let closed = Closed::here(CloseCode::Refused, format!("{code}: {reason}"));
    let told = async {
        write(&mut send, &Control::Refuse { code, reason, hint }).await?;
        // The stream is open: nobody else has it.
        if send.finish().is_ok() && send.stopped().await.is_err() {
            tracing::trace!("connection ended before the refusal was read");
        }
        Ok::<(), Closed>(())
    };
    // Told or not, the connection ends; its reason says the same.
    if !matches!(within(clock, REFUSE_MAX, told).await, Some(Ok(()))) {
        tracing::debug!(reason = %closed.reason, "refusal could not be told");
    }
    closing::close(connection, &closed);
    closed
}

// === Both ===

/// Who the peer is; TLS has verified its certificate.
pub(super) fn identity_of(connection: &Connection) -> Result<Arc<PeerIdentity>, PeerIdentityError> {
    let chain = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let leaf = chain.as_ref().and_then(|chain| chain.first());
    let leaf = leaf.ok_or(PeerIdentityError::NoIdentity)?;
    PeerIdentity::from_certificate(leaf).map(Arc::new)
}

async fn first_frame(reader: &mut FrameReader) -> Result<Control, ReadFrameError> {
    let Some(head) = reader.head().await? else {
        return Err(ReadFrameError::Truncated {
            found: 0,
            needed: crate::frame::HEAD_BYTES,
        });
    };
    if !matches!(
        head.kind,
        FrameKind::Hello | FrameKind::Welcome | FrameKind::Refuse
    ) {
        return Err(ReadFrameError::Frame(FrameError::Misplaced {
            kind: head.kind.name(),
            place: "in the handshake",
        }));
    }
    let payload = reader.payload(head).await?;
    Ok(decode_control(head.kind, &payload)?)
}

async fn write(send: &mut SendStream, control: &Control) -> Result<(), Closed> {
    let internal = |error: FrameError| Closed::here(CloseCode::Internal, error.to_string());
    let bytes: Bytes = encode_control(control).map_err(internal)?;
    send.write_chunk(bytes).await.map_err(closed_of_write)
}
