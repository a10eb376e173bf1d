//! Request streams: a question and its answer beside the blocks, in bounded frames.
//!
//! Does: open, take, send and read pieces, with limits of bytes and time. Does not: know what is
//! asked (subscriptions, `identity`, `uplink` do).
//! In: a [`Request`]. Out: [`Piece`]s until the peer's trailer.
//! Not cancel safe inside a frame: a call that is dropped leaves the stream broken, and dropping a
//! [`RequestStream`] resets it, which disturbs nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{SendStream, VarInt};

use super::closing;
use super::link::{LinkCore, Streams};
use super::reader::{FrameReader, Head, ReadFrameError};
use super::streams::closed_of_write;
use crate::frame::{
    FrameError, FrameKind, Request, Trailer, decode_request, decode_trailer, encode_head,
    encode_request, encode_trailer,
};
use crate::identity::{Forbidden, Verdict, may_request};
use crate::link::close::{CloseCode, Closed};
use crate::link::limits::REQUEST_FIRST_MAX;
use crate::link::waiting::within;

/// What one side may cost the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Most bytes of pieces received.
    pub bytes_max: u64,
    /// Most time for one piece to come or to go.
    pub piece_time_max: Duration,
}

/// A part of a question or answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The owner's bytes.
    Item(Bytes),
    /// A bus block, untouched.
    Block(Bytes),
}

/// Why a request stream is of no more use; the link stands but for `Closed`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The link has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// A piece took longer than allowed.
    #[error("request stream stood still for {0:?}; the peer or the line is too slow, ask again")]
    Timeout(Duration),
    /// The peer sent more than allowed.
    #[error("request brought over {bytes_max} bytes; ask for less or raise the limit")]
    TooMuch {
        /// The limit.
        bytes_max: u64,
    },
    /// The peer's own word for it.
    #[error("the peer answered {code}: {reason}")]
    Failed {
        /// For programs.
        code: u16,
        /// For people.
        reason: String,
    },
    /// The stream does not keep the protocol, or was given up by the peer.
    #[error("request stream is broken: {0}; ask again")]
    Broken(String),
    /// What was to be sent passes a limit.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A request of the peer.
pub struct IncomingRequest {
    /// What is asked.
    pub request: Request,
    send: SendStream,
    reader: FrameReader,
    core: Arc<LinkCore>,
}

/// One side of a request.
pub struct RequestStream {
    send: SendStream,
    reader: FrameReader,
    core: Arc<LinkCore>,
    limits: RequestLimits,
    received: u64,
    is_ended: bool,
}

impl IncomingRequest {
    /// Goes on with the stream under these limits.
    #[must_use]
    pub fn accept(self, limits: RequestLimits) -> (Request, RequestStream) {
        let stream = RequestStream {
            send: self.send,
            reader: self.reader,
            core: self.core,
            limits,
            received: 0,
            is_ended: false,
        };
        (self.request, stream)
    }
}

impl RequestStream {
    pub(super) async fn open(
        core: Arc<LinkCore>,
        request: &Request,
        limits: RequestLimits,
    ) -> Result<Self, RequestError> {
        let first = encode_request(request)?;
        let opened = within(
            &*core.clock,
            limits.piece_time_max,
            core.connection.open_bi(),
        );
        let (send, receive) = opened
            .await
            .ok_or(RequestError::Timeout(limits.piece_time_max))?
            .map_err(|error| closing::closed_of(&error))?;
        let reader = FrameReader::new(receive, Arc::clone(&core.counters));
        let mut stream = Self {
            send,
            reader,
            core,
            limits,
            received: 0,
            is_ended: false,
        };
        stream.write(FrameKind::Request, &[first]).await?;
        Ok(stream)
    }

    /// Sends a piece; waits while the peer's window is full.
    ///
    /// # Errors
    /// [`RequestError`]; the stream is of no more use but for [`RequestError::Frame`].
    pub async fn send(&mut self, piece: Piece) -> Result<(), RequestError> {
        let (kind, payload) = match piece {
            Piece::Item(bytes) => (FrameKind::Item, bytes),
            Piece::Block(bytes) => (FrameKind::Block, bytes),
        };
        let head = encode_head(kind, payload.len())?;
        let head = Bytes::copy_from_slice(&head);
        self.write(kind, &[head, payload]).await
    }

    /// Says how it ended; nothing more can be sent, answers may still come.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn end(&mut self, trailer: &Trailer) -> Result<(), RequestError> {
        let bytes = encode_trailer(trailer)?;
        self.write(FrameKind::Trailer, &[bytes]).await?;
        let broken = |_| RequestError::Broken("it was ended twice".to_owned());
        self.send.finish().map_err(broken)?;
        self.is_ended = true;
        Ok(())
    }

    /// The next piece; `None`: the peer has said all.
    ///
    /// # Errors
    /// [`RequestError`]; `Failed` is the peer's own trailer.
    pub async fn receive(&mut self) -> Result<Option<Piece>, RequestError> {
        let limits = self.limits;
        let core = Arc::clone(&self.core);
        let read = self.read_piece();
        match within(&*core.clock, limits.piece_time_max, read).await {
            Some(result) => result,
            None => Err(RequestError::Timeout(limits.piece_time_max)),
        }
    }

    /// Ends when the peer takes no more, or the link has ended. Cancel safe.
    pub async fn gone(&self) {
        // Either way nothing that is sent arrives.
        self.send.stopped().await.ok();
    }

    async fn read_piece(&mut self) -> Result<Option<Piece>, RequestError> {
        let head = self.reader.head().await.map_err(broken)?;
        let Some(head) = head else {
            let reason = "it ended without a trailer";
            return Err(RequestError::Broken(reason.to_owned()));
        };
        self.received += head.payload_bytes as u64;
        if self.received > self.limits.bytes_max {
            self.reader.stop(CloseCode::Done);
            let bytes_max = self.limits.bytes_max;
            return Err(RequestError::TooMuch { bytes_max });
        }
        let payload = read_payload(&self.core, &mut self.reader, head)
            .await
            .map_err(broken)?;
        match head.kind {
            FrameKind::Item => Ok(Some(Piece::Item(payload))),
            FrameKind::Block => Ok(Some(Piece::Block(payload))),
            FrameKind::Trailer => match decode_trailer(&payload)? {
                Trailer::Done => Ok(None),
                Trailer::Failed { code, reason } => Err(RequestError::Failed { code, reason }),
            },
            other => {
                let reason = format!("frame {} stands where pieces are", other.name());
                Err(RequestError::Broken(reason))
            }
        }
    }

    async fn write(&mut self, kind: FrameKind, chunks: &[Bytes]) -> Result<(), RequestError> {
        let mut chunks: Vec<Bytes> = chunks.to_vec();
        let patience = self.limits.piece_time_max;
        let written = self.send.write_all_chunks(&mut chunks);
        let result = within(&*self.core.clock, patience, written).await;
        let Some(result) = result else {
            return Err(RequestError::Timeout(patience));
        };
        match result {
            Ok(()) => {
                self.core.counters.sent(kind);
                Ok(())
            }
            Err(quinn::WriteError::Stopped(code)) => {
                let reason = format!("the peer takes no more (code {code})");
                Err(RequestError::Broken(reason))
            }
            Err(other) => Err(RequestError::Closed(closed_of_write(other))),
        }
    }
}

impl Drop for RequestStream {
    fn drop(&mut self) {
        if self.is_ended {
            return;
        }
        // quinn finishes a dropped stream as if all was said; half an answer must not look whole.
        let code = VarInt::from_u32(CloseCode::Done.number());
        if self.send.reset(code).is_err() {
            tracing::trace!("request stream had ended");
        }
    }
}

/// Reads what a new two-way stream asks. `None`: it gave up or was too slow, which harms nobody.
/// `Err`: the peer does not keep the protocol.
pub(super) async fn begin(
    core: &Arc<LinkCore>,
    (mut send, receive): Streams,
) -> Result<Option<IncomingRequest>, Closed> {
    let mut reader = FrameReader::new(receive, Arc::clone(&core.counters));
    let first = within(
        &*core.clock,
        REQUEST_FIRST_MAX,
        first_request(core, &mut reader),
    )
    .await;
    match first {
        Some(Ok(request)) => match may_request(core.peer_standing(), request.kind) {
            Verdict::Allowed => Ok(Some(IncomingRequest {
                request,
                send,
                reader,
                core: Arc::clone(core),
            })),
            Verdict::Refused(forbidden) => {
                reader.stop(CloseCode::Refused);
                deny(core, send, forbidden).await;
                Ok(None)
            }
        },
        Some(Err(ReadFrameError::Reset { .. } | ReadFrameError::Truncated { .. })) => Ok(None),
        Some(Err(error)) => Err(error.into_closed("request stream")),
        None => {
            let code = CloseCode::HandshakeTimeout;
            reader.stop(code);
            // It may have ended meanwhile.
            if send.reset(code.number().into()).is_err() {
                tracing::trace!("request stream had ended");
            }
            Ok(None)
        }
    }
}

/// HTTP's 403, as a trailer.
const FORBIDDEN: u16 = 403;

async fn deny(core: &LinkCore, mut send: SendStream, forbidden: Forbidden) {
    let reason = forbidden.to_string();
    let trailer = Trailer::Failed {
        code: FORBIDDEN,
        reason,
    };
    let told = async {
        let Ok(bytes) = encode_trailer(&trailer) else {
            return;
        };
        // Told or not, the stream is over.
        if send.write_chunk(bytes).await.is_ok() && send.finish().is_ok() {
            core.counters.sent(FrameKind::Trailer);
        }
    };
    if within(&*core.clock, REQUEST_FIRST_MAX, told)
        .await
        .is_none()
    {
        tracing::debug!("a refused request does not read its refusal");
    }
}

async fn first_request(
    core: &LinkCore,
    reader: &mut FrameReader,
) -> Result<Request, ReadFrameError> {
    let Some(head) = reader.head().await? else {
        return Err(ReadFrameError::Truncated {
            found: 0,
            needed: crate::frame::HEAD_BYTES,
        });
    };
    if head.kind != FrameKind::Request {
        return Err(ReadFrameError::Frame(FrameError::Misplaced {
            kind: head.kind.name(),
            place: "first on a second two-way stream; there is one control stream",
        }));
    }
    let payload = read_payload(core, reader, head).await?;
    Ok(decode_request(&payload)?)
}

/// Reads a payload once few others of this link are being read: bounds their memory.
async fn read_payload(
    core: &LinkCore,
    reader: &mut FrameReader,
    head: Head,
) -> Result<Bytes, ReadFrameError> {
    let internal = |_| Closed::here(CloseCode::Internal, "a link's semaphore was closed");
    let _place = core.request_frames.acquire().await.map_err(internal)?;
    reader.payload(head).await
}

fn broken(error: ReadFrameError) -> RequestError {
    match error {
        ReadFrameError::Closed(closed) => RequestError::Closed(closed),
        other => RequestError::Broken(other.to_string()),
    }
}
