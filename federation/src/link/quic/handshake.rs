//! Hello as the dialler says it: from a connection to a link.
//!
//! Does: hold the acceptor to its certificate, to one mesh and to an offered version, within 5 s.
//! Does not: take those who dial in (`reception`).
//! In: a connection whose TLS handshake is over. Out: a link, or why there is none.
//! A dialler is connected at Welcome, not before: TLS lets it believe so too early.

use std::sync::Arc;

use bytes::Bytes;
use ocelli_bus::record::OriginId;
use ocelli_model::clock::Clock;
use quinn::{Connection, SendStream};
use rustls_pki_types::CertificateDer;

use super::closing;
use super::guard::Guard;
use super::link::{Established, LinkCore, QuicLink};
use super::reader::{FrameReader, Head, ReadFrameError};
use super::shares::LinkShare;
use super::streams::closed_of_write;
use crate::frame::{
    Control, Features, FrameError, FrameKind, Hello, RefuseCode, Role, VersionRange, Welcome,
    decode_control, encode_control,
};
use crate::identity::{NodeIdentity, PeerIdentity, PeerIdentityError};
use crate::link::close::{CloseCode, Closed};
use crate::link::contract::Side;
use crate::link::limits::HELLO_MAX;
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
    pub(super) guard: &'a Arc<Guard>,
}

impl Greeting<'_> {
    /// Says Hello and waits for Welcome. On an error the connection is closed.
    pub(super) async fn dial(
        &self,
        connection: Connection,
        words: (DialFacts, LinkShare),
    ) -> Result<(Arc<QuicLink>, Arc<LinkCore>), GreetError> {
        let result = within(&**self.clock, HELLO_MAX, self.greet(&connection, words)).await;
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
        (facts, share): (DialFacts, LinkShare),
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
            share,
            guard: Arc::clone(self.guard),
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

// === Both sides ===

/// Who the peer is; TLS has verified its certificate.
pub(super) fn identity_of(connection: &Connection) -> Result<Arc<PeerIdentity>, PeerIdentityError> {
    let chain = chain_of(connection);
    let leaf = chain.first().ok_or(PeerIdentityError::NoIdentity)?;
    PeerIdentity::from_certificate(leaf).map(Arc::new)
}

/// What the peer showed in the TLS handshake, its own certificate first.
pub(super) fn chain_of(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let chain = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    chain.map_or_else(Vec::new, |chain| *chain)
}

/// The frame that begins a control stream, of either side.
pub(super) async fn first_frame(reader: &mut FrameReader) -> Result<Control, ReadFrameError> {
    let head = first_head(reader).await?;
    first_control(reader, head).await
}

/// The head of the first frame of a stream.
pub(super) async fn first_head(reader: &mut FrameReader) -> Result<Head, ReadFrameError> {
    let needed = crate::frame::HEAD_BYTES;
    let head = reader.head().await?;
    head.ok_or(ReadFrameError::Truncated { found: 0, needed })
}

/// The first frame itself, if it may begin a control stream.
pub(super) async fn first_control(
    reader: &mut FrameReader,
    head: Head,
) -> Result<Control, ReadFrameError> {
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

/// Writes one control frame whole.
pub(super) async fn write(send: &mut SendStream, control: &Control) -> Result<(), Closed> {
    let internal = |error: FrameError| Closed::here(CloseCode::Internal, error.to_string());
    let bytes: Bytes = encode_control(control).map_err(internal)?;
    send.write_chunk(bytes).await.map_err(closed_of_write)
}
