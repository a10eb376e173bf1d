//! Hello as the acceptor takes it: from a connection to an offer, from an offer to a link.
//!
//! Does: hold a dialler to its certificate, to one mesh, to what its tier may, and to a common
//! version, within 5 s. Does not: decide whether an honest peer is wanted: the node does, by its
//! [`Offer`]. In: a connection whose TLS handshake is over. Out: a link, or a refusal that both
//! sides log.

use std::sync::Arc;

use ocelli_bus::record::OriginId;
use ocelli_model::clock::Clock;
use quinn::{Connection, SendStream};

use super::admission::Admitted;
use super::closing;
use super::handshake::{NodeFacts, first_frame, identity_of, write};
use super::link::{Established, LinkCore, QuicLink};
use super::reader::{FrameReader, ReadFrameError};
use crate::frame::{Control, Features, FrameError, FrameKind, Hello, RefuseCode, Welcome};
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
