//! Answers that go on line by line, on a bounded channel, with a deadline for each send.
//!
//! Does: collect lines into chunks, hand them to the connection, notice that the client left or
//! stopped reading. Does not: make lines.
//! In: bytes. Out: a streaming response.
//! Full: a client that takes no chunk within [`SEND_TIMEOUT`] is cut off; its cursor goes on.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::unfold;
use ocelli_model::clock::Clock;
use tokio::sync::mpsc::{Sender, channel};

use super::access::Pace;

/// Bytes at which lines are sent even if more are at hand.
pub(super) const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on their way to a client.
const CHUNKS_MAX: usize = 16;
/// A client that does not read for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The client left or stopped reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientGone;

/// Lines on their way to a client.
pub(super) struct LineSender {
    /// Lines that wait to be sent.
    pub(super) lines: Vec<u8>,
    sender: Sender<Result<Bytes, io::Error>>,
    pace: Option<(Arc<Pace>, Arc<dyn Clock>)>,
}

impl LineSender {
    /// A sender and the response that passes on what it sends.
    pub(super) fn open(content_type: &'static str) -> (Self, HttpResponse) {
        let (sender, receiver) = channel(CHUNKS_MAX);
        let chunks = unfold(receiver, |mut receiver| async move {
            let chunk: Result<Bytes, io::Error> = receiver.recv().await?;
            Some((chunk, receiver))
        });
        let response = HttpResponse::Ok()
            .content_type(content_type)
            .insert_header(("cache-control", "no-store"))
            .insert_header(("x-accel-buffering", "no"))
            .streaming(chunks);
        (
            Self {
                lines: Vec::with_capacity(2 * CHUNK_BYTES),
                sender,
                pace: None,
            },
            response,
        )
    }

    /// The same, sent no faster than `pace` allows.
    pub(super) fn paced(mut self, pace: Option<Arc<Pace>>, clock: &Arc<dyn Clock>) -> Self {
        self.pace = pace.map(|pace| (pace, Arc::clone(clock)));
        self
    }

    /// Sends what waits, if anything does.
    ///
    /// # Errors
    /// [`ClientGone`].
    pub(super) async fn flush(&mut self) -> Result<(), ClientGone> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(
            &mut self.lines,
            Vec::with_capacity(2 * CHUNK_BYTES),
        ));
        let bytes = chunk.len();
        let sent = tokio::time::timeout(SEND_TIMEOUT, self.sender.send(Ok(chunk))).await;
        match sent {
            Ok(Ok(())) => self.wait_for_pace(bytes).await,
            _ => Err(ClientGone),
        }
    }

    /// Waits as long as the caller's pace says; a client that leaves ends the wait.
    async fn wait_for_pace(&self, bytes: usize) -> Result<(), ClientGone> {
        let Some((pace, clock)) = &self.pace else {
            return Ok(());
        };
        let now = clock.monotonic();
        let wait = pace.wait_after(bytes, now);
        if wait.is_zero() {
            return Ok(());
        }
        match select(clock.sleep_until(now.after(wait)), pin!(self.gone())).await {
            Either::Left(_) => Ok(()),
            Either::Right(_) => Err(ClientGone),
        }
    }

    /// Sends what waits once it is a chunk.
    ///
    /// # Errors
    /// [`ClientGone`].
    pub(super) async fn flush_if_full(&mut self) -> Result<(), ClientGone> {
        if self.lines.len() >= CHUNK_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Resolves when the client has left.
    pub(super) async fn gone(&self) {
        self.sender.closed().await;
    }
}
