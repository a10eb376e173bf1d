//! Hello as the acceptor takes it: from a connection to an offer, from an offer to a link.
//!
//! Does: hold a dialler to its certificate, to one mesh, to what its tier may, and to a common
//! version, within 5 s; pass on who asks for a certificate in the place of Hello (`signing`).
//! Does not: decide whether an honest peer is wanted: the node does, by its [`Offer`].
//! In: a connection whose TLS handshake is over. Out: a link, or a refusal that both sides log.

use std::sync::Arc;

use ocelli_bus::record::OriginId;
use ocelli_model::clock::Clock;
use quinn::{Connection, SendStream};

use super::admission::Admitted;
use super::closing;
use super::guard::Guard;
use super::handshake::{NodeFacts, first_control, first_head, identity_of, write};
use super::link::{Established, LinkCore, QuicLink};
use super::reader::{FrameReader, ReadFrameError};
use super::shares::LinkShare;
use super::signing::{Asking, SigningDoor, read_request};
use crate::frame::{Control, Features, FrameError, FrameKind, Hello, RefuseCode, Request, Welcome};
use crate::identity::{NodeIdentity, PeerIdentity, Verdict, may_link};
use crate::link::close::{CloseCode, Closed};
use crate::link::contract::Side;
use crate::link::limits::{HELLO_MAX, REFUSE_MAX};
use crate::link::statistics::FrameCounters;
use crate::link::waiting::within;

/// What an acceptor says for one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WelcomeFacts {
    /// The origin that the node writes now.
    pub origin: OriginId,
    /// Most bytes of blocks in flight.
    pub ingest_bytes_in_flight_max: u64,
}

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
    counters: Arc<FrameCounters>,
    place: Admitted,
    reception: Reception,
}

/// What the endpoint gives to each handshake that it takes.
pub(super) struct Reception {
    pub(super) node: Arc<NodeFacts>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) share: LinkShare,
    pub(super) register: Register,
    pub(super) guard: Arc<Guard>,
    /// Where requests for certificates go, if anybody signs.
    pub(super) signing: Option<Arc<SigningDoor>>,
}

/// The first stream after its first frame.
struct Heard {
    send: SendStream,
    reader: FrameReader,
    counters: Arc<FrameCounters>,
    said: Said,
}

enum Said {
    /// Who says what, or what to refuse it for.
    Hello(Result<(Arc<PeerIdentity>, Hello), (RefuseCode, String)>),
    /// A request without a link, or what is wrong with it.
    Request(Result<Request, String>),
}

impl Reception {
    /// Takes Hello, or passes a request for a certificate on (`None`). On an error the peer was
    /// told and the connection closed.
    pub(super) async fn receive(
        self,
        connection: Connection,
        mut place: Admitted,
    ) -> Result<Option<Offer>, Closed> {
        let clock = Arc::clone(&self.clock);
        let heard = within(&*clock, HELLO_MAX, hear(&connection)).await;
        let heard = heard.unwrap_or_else(|| {
            let reason = format!("no hello within {} s", HELLO_MAX.as_secs());
            Err(Closed::here(CloseCode::HandshakeTimeout, reason))
        });
        let Heard {
            send,
            reader,
            counters,
            said,
        } = heard.inspect_err(|closed| closing::close(&connection, closed))?;
        place.handshaken();
        let hello = match said {
            Said::Hello(hello) => hello,
            Said::Request(asked) => {
                let asking = Asking {
                    connection,
                    send,
                    clock,
                    place,
                    asked,
                };
                asking.hand_over(self.signing).await?;
                return Ok(None);
            }
        };
        let verdict = hello.and_then(|(peer, hello)| {
            let agreed = self.judge(&peer, &hello)?;
            Ok((peer, hello, agreed))
        });
        match verdict {
            Ok((peer, hello, agreed)) => Ok(Some(Offer {
                connection,
                send,
                reader,
                peer,
                hello,
                agreed,
                counters,
                place,
                reception: self,
            })),
            Err((code, reason)) => {
                let words = (code, reason, "see the log of the peer".to_owned());
                Err(refuse(&connection, send, &*clock, words).await)
            }
        }
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

async fn hear(connection: &Connection) -> Result<Heard, Closed> {
    let opened = connection.accept_bi().await;
    let (send, receive) = opened.map_err(|error| closing::closed_of(&error))?;
    let counters = Arc::new(FrameCounters::default());
    let mut reader = FrameReader::new(receive, Arc::clone(&counters));
    let said = match first_said(&mut reader).await {
        Ok(First::Request(asked)) => Said::Request(asked),
        Ok(First::Control(Control::Hello(hello))) => {
            let peer = identity_of(connection);
            let peer = peer.map_err(|error| (RefuseCode::Identity, error.to_string()));
            Said::Hello(peer.map(|peer| (peer, hello)))
        }
        Ok(First::Control(other)) => {
            let reason = format!("frame {} stands where hello does", other.kind().name());
            Said::Hello(Err((RefuseCode::Malformed, reason)))
        }
        Err(ReadFrameError::Closed(closed)) => return Err(closed),
        Err(ReadFrameError::Frame(error @ FrameError::Version { .. })) => {
            Said::Hello(Err((RefuseCode::Version, error.to_string())))
        }
        Err(error) => Said::Hello(Err((RefuseCode::Malformed, error.to_string()))),
    };
    Ok(Heard {
        send,
        reader,
        counters,
        said,
    })
}

enum First {
    Control(Control),
    Request(Result<Request, String>),
}

async fn first_said(reader: &mut FrameReader) -> Result<First, ReadFrameError> {
    let head = first_head(reader).await?;
    if head.kind == FrameKind::Request {
        return read_request(reader, head).await.map(First::Request);
    }
    first_control(reader, head).await.map(First::Control)
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

    /// Takes the peer: the link stands once this is on its way. A peer that was revoked while it
    /// waited is refused.
    ///
    /// # Errors
    /// [`Closed`] where the connection has ended meanwhile, or the peer is not let in any more.
    pub async fn welcome(mut self, facts: WelcomeFacts) -> Result<Arc<QuicLink>, Closed> {
        if let Err(refused) = self.reception.guard.check(&self.connection) {
            let hint = "issue it a new certificate if the node is wanted".to_owned();
            let words = (RefuseCode::Revoked, refused.to_string(), hint);
            let clock = &*self.reception.clock;
            return Err(refuse(&self.connection, self.send, clock, words).await);
        }
        let node = &self.reception.node;
        let ours = &node.identity;
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
            build: node.build.clone(),
            extensions: Vec::new(),
        };
        write(&mut self.send, &Control::Welcome(welcome.clone())).await?;
        self.counters.sent(FrameKind::Welcome);
        let reception = self.reception;
        let established = Established {
            connection: self.connection,
            side: Side::Acceptor,
            peer: self.peer,
            hello: self.hello,
            welcome,
            counters: self.counters,
            clock: reception.clock,
            place: Some(self.place),
            share: reception.share,
            guard: reception.guard,
        };
        let (link, core) = QuicLink::start(established, self.send, self.reader);
        (reception.register)(&core);
        Ok(link)
    }

    /// Refuses the peer, which is told why; waits up to a second until it knows.
    pub async fn refuse(self, code: RefuseCode, reason: &str, hint: &str) {
        let words = (code, reason.to_owned(), hint.to_owned());
        let closed = refuse(&self.connection, self.send, &*self.reception.clock, words).await;
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
