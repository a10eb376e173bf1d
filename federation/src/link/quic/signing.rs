//! A connection that asks for a certificate and does nothing else: its acceptor's side.
//!
//! Does: take one request as the first frame of the first stream, from a node of the mesh or from
//! one that has a join token only; carry the answer. Does not: sign (`membership`).
//! In: a connection whose TLS handshake is over, its first frame. Out: [`SigningOffer`].
//! Bounded: [`SIGNINGS_MAX`] at once, each holds a link's place, 17 KiB are read within 5 s, one
//! answer is given. A connection without a certificate has no other way in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ocelli_model::clock::Clock;
use quinn::{Connection, SendStream};
use rustls_pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::admission::Admitted;
use super::closing;
use super::handshake::{chain_of, identity_of};
use super::reader::{FrameReader, Head, ReadFrameError};
use crate::frame::{
    FrameKind, Request, RequestKind, Role, Trailer, decode_request, encode_head, encode_trailer,
};
use crate::identity::{
    End, IdentityStore, PeerIdentity, REQUEST_BYTES_MAX, SigningRequest, Standing, Verdict,
    may_request,
};
use crate::link::close::{CloseCode, Closed};
use crate::link::waiting::within;

/// Connections at once that ask for a certificate; beyond it they are told to come again. A
/// signature takes about 1 ms, writing it down a few more.
const SIGNINGS_MAX: usize = 8;
/// Most bytes of a request: a CSR, a token, their envelope.
const SIGNING_BYTES_MAX: usize = REQUEST_BYTES_MAX + 1_024;
/// How long an answer may take to reach the peer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// As HTTP has them.
const BUSY: u16 = 503;
const FORBIDDEN: u16 = 403;
const MALFORMED: u16 = 400;
const NO_ISSUER: u16 = 404;

/// Nodes that wait for a certificate. Dropping it makes the endpoint refuse them.
pub struct Signings(mpsc::Receiver<SigningOffer>);

/// A node that waits for a certificate. Dropping it closes the connection without a word.
pub struct SigningOffer {
    request: SigningRequest,
    peer: Option<Arc<PeerIdentity>>,
    answer: Answer,
    _seat: OwnedSemaphorePermit,
    _place: Admitted,
}

/// The way back.
struct Answer {
    connection: Connection,
    send: SendStream,
    clock: Arc<dyn Clock>,
}

/// Where an endpoint hands requests to.
pub(super) struct SigningDoor {
    identity: Arc<IdentityStore>,
    seats: Arc<Semaphore>,
    offers: mpsc::Sender<SigningOffer>,
}

impl SigningDoor {
    pub(super) fn new(identity: Arc<IdentityStore>) -> (Arc<Self>, Signings) {
        let (offers, waiting) = mpsc::channel(SIGNINGS_MAX);
        let seats = Arc::new(Semaphore::new(SIGNINGS_MAX));
        let door = Arc::new(Self {
            identity,
            seats,
            offers,
        });
        (door, Signings(waiting))
    }

    fn is_joining(&self, chain: &[CertificateDer<'static>]) -> bool {
        self.identity.is_joining(chain)
    }
}

/// A connection that began with a request.
pub(super) struct Asking {
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) place: Admitted,
    /// What was read, or why not.
    pub(super) asked: Result<Request, String>,
}

/// Reads the request that a connection began with.
pub(super) async fn read_request(
    reader: &mut FrameReader,
    head: Head,
) -> Result<Result<Request, String>, ReadFrameError> {
    if head.payload_bytes > SIGNING_BYTES_MAX {
        let bytes = head.payload_bytes;
        return Ok(Err(format!(
            "request for a certificate has {bytes} bytes; {SIGNING_BYTES_MAX} is the limit"
        )));
    }
    let payload = reader.payload(head).await?;
    Ok(decode_request(&payload).map_err(|error| error.to_string()))
}

impl Asking {
    /// Hands a sound request to the issuer; answers any other. The reason of a refusal.
    pub(super) async fn hand_over(self, door: Option<Arc<SigningDoor>>) -> Result<(), Closed> {
        let answer = Answer {
            connection: self.connection,
            send: self.send,
            clock: self.clock,
        };
        let judged = judge(&answer.connection, self.asked, door);
        let (door, seat, peer, request) = match judged {
            Ok(judged) => judged,
            Err((code, reason)) => return Err(answer.refuse(code, &reason).await),
        };
        let offer = SigningOffer {
            request,
            peer,
            answer,
            _seat: seat,
            _place: self.place,
        };
        // There is a place for each seat: refused only when nobody signs any more.
        match door.offers.try_send(offer) {
            Ok(()) => Ok(()),
            Err(refused) => {
                let offer = refused.into_inner();
                Err(offer.answer.refuse(BUSY, "this issuer stops").await)
            }
        }
    }
}

type Judged = (
    Arc<SigningDoor>,
    OwnedSemaphorePermit,
    Option<Arc<PeerIdentity>>,
    SigningRequest,
);

fn judge(
    connection: &Connection,
    asked: Result<Request, String>,
    door: Option<Arc<SigningDoor>>,
) -> Result<Judged, (u16, String)> {
    let request = asked.map_err(|reason| (MALFORMED, reason))?;
    let no_issuer = "this node issues no certificates; ask a node with `ca.issuer = true`";
    let door = door.ok_or_else(|| (NO_ISSUER, no_issuer.to_owned()))?;
    let peer = if door.is_joining(&chain_of(connection)) {
        None
    } else {
        let peer = identity_of(connection);
        Some(peer.map_err(|error| (FORBIDDEN, error.to_string()))?)
    };
    let standing = Standing {
        dialler: peer.as_ref().map(|peer| peer.identity.tier),
        acceptor: door.identity.own().identity.tier,
        role: Role::Client,
        sender: End::Dialler,
    };
    if let Verdict::Refused(forbidden) = may_request(standing, request.kind) {
        return Err((FORBIDDEN, forbidden.to_string()));
    }
    if request.kind != RequestKind::SignCertificate {
        let reason = "only a certificate can be asked for without a link; open one first";
        return Err((FORBIDDEN, reason.to_owned()));
    }
    let signing = SigningRequest::decode(&request.body);
    let signing = signing.map_err(|error| (MALFORMED, error.to_string()))?;
    if peer.is_none() && signing.token.is_none() {
        let reason = "a node without a certificate needs a join token (`ocelli ca token`)";
        return Err((FORBIDDEN, reason.to_owned()));
    }
    let seat = Arc::clone(&door.seats).try_acquire_owned();
    let busy = "as many nodes as may ask for certificates now; ask again";
    let seat = seat.map_err(|_| (BUSY, busy.to_owned()))?;
    Ok((door, seat, peer, signing))
}

impl Signings {
    /// The next node that waits; `None` when the endpoint has stopped.
    pub async fn next(&mut self) -> Option<SigningOffer> {
        self.0.recv().await
    }
}

impl SigningOffer {
    /// What is asked.
    #[must_use]
    pub const fn request(&self) -> &SigningRequest {
        &self.request
    }

    /// Who asks, by a certificate that this node trusts; `None`: a node that has a token only.
    #[must_use]
    pub const fn peer(&self) -> Option<&Arc<PeerIdentity>> {
        self.peer.as_ref()
    }

    /// Where it asks from.
    #[must_use]
    pub fn remote_address(&self) -> std::net::SocketAddr {
        self.answer.connection.remote_address()
    }

    /// Sends the chain and ends the connection once it has arrived, or after 5 s.
    ///
    /// # Errors
    /// [`Closed`] where it did not arrive; the node asks again.
    pub async fn grant(self, chain_pem: Bytes) -> Result<(), Closed> {
        let internal = |text: String| Closed::here(CloseCode::Internal, text);
        let head = encode_head(FrameKind::Item, chain_pem.len());
        let head = head.map_err(|error| internal(error.to_string()))?;
        let done = encode_trailer(&Trailer::Done).map_err(|error| internal(error.to_string()))?;
        let chunks = [Bytes::copy_from_slice(&head), chain_pem, done];
        self.answer.say(chunks.to_vec()).await
    }

    /// Refuses, with a code as HTTP has them and what to do.
    pub async fn refuse(self, code: u16, reason: &str) {
        self.answer.refuse(code, reason).await;
    }
}

impl Answer {
    async fn refuse(self, code: u16, reason: &str) -> Closed {
        let closed = Closed::here(CloseCode::Refused, format!("{code}: {reason}"));
        let trailer = Trailer::Failed {
            code,
            reason: reason.to_owned(),
        };
        match encode_trailer(&trailer) {
            Ok(bytes) => self.say(vec![bytes]).await.err().unwrap_or(closed),
            Err(_too_long) => closed,
        }
    }

    async fn say(mut self, mut chunks: Vec<Bytes>) -> Result<(), Closed> {
        let said = async {
            let written = self.send.write_all_chunks(&mut chunks).await;
            let is_open = written.is_ok() && self.send.finish().is_ok();
            is_open && matches!(self.send.stopped().await, Ok(None))
        };
        let said = within(&*self.clock, ANSWER_MAX, said).await;
        let closed = Closed::here(CloseCode::Done, "the request was answered");
        closing::close(&self.connection, &closed);
        match said {
            Some(true) => Ok(()),
            Some(false) => Err(Closed::by_peer(CloseCode::Lost, "the node left unanswered")),
            None => {
                let reason = format!("the answer did not arrive in {} s", ANSWER_MAX.as_secs());
                Err(Closed::here(CloseCode::Stalled, reason))
            }
        }
    }
}
