//! Frames off one stream.
//!
//! Does: judge heads, skip unknown kinds, read payloads once their memory is granted. Does not:
//! decide what a frame means, or where it may stand.
//! In: a receiving stream. Out: [`Head`] and payloads, or why there are none.
//! Not cancel safe inside a frame: one task reads a stream from its start to its end.

use std::sync::Arc;

use bytes::Bytes;
use quinn::{ReadError, ReadExactError, RecvStream};

use crate::frame::{FrameError, FrameHead, FrameKind, HEAD_BYTES};
use crate::link::close::{CloseCode, Closed};
use crate::link::statistics::FrameCounters;

/// Bytes of an unknown frame that are read, and dropped, at once.
const SKIP_BYTES: usize = 1 << 10;

/// A frame whose payload comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: FrameKind,
    pub(super) payload_bytes: usize,
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadFrameError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("stream ends inside a frame, {found} bytes into a part of {needed}")]
    Truncated { found: usize, needed: usize },
    #[error("the peer reset the stream with code {code}")]
    Reset { code: u64 },
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl ReadFrameError {
    /// How the connection ends with it.
    pub(super) fn into_closed(self, stream: &str) -> Closed {
        match self {
            Self::Closed(closed) => closed,
            other => Closed::here(CloseCode::Protocol, format!("{stream}: {other}")),
        }
    }
}

/// Reads one stream.
pub(super) struct FrameReader {
    stream: RecvStream,
    counters: Arc<FrameCounters>,
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream, counters: Arc<FrameCounters>) -> Self {
        Self { stream, counters }
    }

    /// The next frame that this code knows; `None`: the stream ended between two frames.
    pub(super) async fn head(&mut self) -> Result<Option<Head>, ReadFrameError> {
        loop {
            let mut bytes = [0; HEAD_BYTES];
            match self.stream.read_exact(&mut bytes).await {
                Ok(()) => {}
                Err(ReadExactError::FinishedEarly(0)) => return Ok(None),
                Err(error) => return Err(error_of(error, HEAD_BYTES)),
            }
            match FrameHead::read(bytes)? {
                FrameHead::Known {
                    kind,
                    payload_bytes,
                } => {
                    self.counters.received(kind);
                    return Ok(Some(Head {
                        kind,
                        payload_bytes,
                    }));
                }
                FrameHead::Unknown { payload_bytes, .. } => {
                    self.counters.unknown();
                    self.skip(payload_bytes).await?;
                }
            }
        }
    }

    /// The payload of the last head; the caller was granted its memory.
    pub(super) async fn payload(&mut self, head: Head) -> Result<Bytes, ReadFrameError> {
        let mut bytes = vec![0; head.payload_bytes];
        match self.stream.read_exact(&mut bytes).await {
            Ok(()) => Ok(Bytes::from(bytes)),
            Err(error) => Err(error_of(error, head.payload_bytes)),
        }
    }

    /// One byte, the first of a channel's stream.
    pub(super) async fn byte(&mut self) -> Result<u8, ReadFrameError> {
        let mut byte = [0];
        match self.stream.read_exact(&mut byte).await {
            Ok(()) => Ok(byte[0]),
            Err(error) => Err(error_of(error, 1)),
        }
    }

    /// Tells the peer to send no more.
    pub(super) fn stop(&mut self, code: CloseCode) {
        // A stream that has ended already needs no stop.
        if self.stream.stop(code.number().into()).is_err() {
            tracing::trace!("stream ended before it was stopped");
        }
    }

    async fn skip(&mut self, bytes: usize) -> Result<(), ReadFrameError> {
        let mut dropped = [0; SKIP_BYTES];
        let mut left = bytes;
        while left > 0 {
            let step = left.min(SKIP_BYTES);
            match self.stream.read_exact(&mut dropped[..step]).await {
                Ok(()) => left -= step,
                Err(error) => return Err(error_of(error, bytes)),
            }
        }
        Ok(())
    }
}

fn error_of(error: ReadExactError, needed: usize) -> ReadFrameError {
    match error {
        ReadExactError::FinishedEarly(found) => ReadFrameError::Truncated { found, needed },
        ReadExactError::ReadError(ReadError::Reset(code)) => ReadFrameError::Reset {
            code: code.into_inner(),
        },
        ReadExactError::ReadError(ReadError::ConnectionLost(error)) => {
            ReadFrameError::Closed(super::closing::closed_of(&error))
        }
        ReadExactError::ReadError(other) => {
            ReadFrameError::Closed(Closed::here(CloseCode::Internal, other.to_string()))
        }
    }
}
