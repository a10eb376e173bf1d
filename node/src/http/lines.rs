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
use futures_util::Stream;
use futures_util::future::{Either, select};
use futures_util::stream::unfold;
use ocelli_model::clock::Clock;
use tokio::sync::mpsc::{OwnedPermit, Sender, channel};

use super::access::Pace;

/// Bytes at which lines are sent even if more are at hand. A longer line is a chunk of its own,
/// which all who select alike share.
pub(super) const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on their way to a client.
const CHUNKS_MAX: usize = 2;
/// What a client that does not read holds, about: chunks on their way, one that fills, the task.
pub(super) const CLIENT_BYTES: u64 = 64 * 1024;
/// A client that does not read for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

const _: () = assert!((CHUNKS_MAX as u64 + 1) * CHUNK_BYTES as u64 <= CLIENT_BYTES);

/// The client left or stopped reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientGone;

/// Where the lines of a subscription go.
pub(super) trait LineSink {
    /// Takes whole lines; sends once they are a chunk.
    async fn push(&mut self, lines: Bytes) -> Result<(), ClientGone>;

    /// Sends what waits, if anything does.
    async fn flush(&mut self) -> Result<(), ClientGone>;

    /// Resolves when the client has left. Safe to cancel.
    async fn gone(&mut self);

    /// Says that the stream lives although nothing comes, by `words` unless it has others.
    async fn say_alive(&mut self, words: &'static [u8]) -> Result<(), ClientGone>;

    /// Says why nothing more comes, where the form has words for it.
    async fn end(&mut self, reason: &str);
}

/// Lines on their way to a client.
pub(super) struct LineSender {
    /// Lines that wait to be sent.
    pub(super) lines: Vec<u8>,
    sender: Sender<Result<Bytes, io::Error>>,
    pace: Option<(Arc<Pace>, Arc<dyn Clock>)>,
}

/// The other end of a [`LineSender`], for the body of a response.
pub(super) fn chunks() -> (LineSender, impl Stream<Item = Result<Bytes, io::Error>>) {
    let (sender, receiver) = channel(CHUNKS_MAX);
    let chunks = unfold(receiver, |mut receiver| async move {
        let chunk: Result<Bytes, io::Error> = receiver.recv().await?;
        Some((chunk, receiver))
    });
    let lines = LineSender {
        // An idle client holds no buffer.
        lines: Vec::new(),
        sender,
        pace: None,
    };
    (lines, chunks)
}

impl LineSender {
    /// A sender and the response that passes on what it sends.
    pub(super) fn open(content_type: &'static str) -> (Self, HttpResponse) {
        let (lines, chunks) = chunks();
        let response = HttpResponse::Ok()
            .content_type(content_type)
            .insert_header(("cache-control", "no-store"))
            .insert_header(("x-accel-buffering", "no"))
            .streaming(chunks);
        (lines, response)
    }

    /// The same, sent no faster than `pace` allows.
    pub(super) fn paced(mut self, pace: Option<Arc<Pace>>, clock: &Arc<dyn Clock>) -> Self {
        self.pace = pace.map(|pace| (pace, Arc::clone(clock)));
        self
    }

    /// Sends what waits, if anything does. Safe to cancel: then it waits still.
    ///
    /// # Errors
    /// [`ClientGone`].
    pub(super) async fn flush(&mut self) -> Result<(), ClientGone> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let place = self.place().await?;
        let chunk = Bytes::from(std::mem::take(&mut self.lines));
        let bytes = chunk.len();
        place.send(Ok(chunk));
        self.wait_for_pace(bytes).await
    }

    /// Sends what waits, and then `chunk` as it is.
    ///
    /// # Errors
    /// [`ClientGone`].
    pub(super) async fn send(&mut self, chunk: Bytes) -> Result<(), ClientGone> {
        self.flush().await?;
        let bytes = chunk.len();
        self.place().await?.send(Ok(chunk));
        self.wait_for_pace(bytes).await
    }

    async fn place(&self) -> Result<OwnedPermit<Result<Bytes, io::Error>>, ClientGone> {
        let place = self.sender.clone().reserve_owned();
        match tokio::time::timeout(SEND_TIMEOUT, place).await {
            Ok(Ok(place)) => Ok(place),
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
        match select(clock.sleep_until(now.after(wait)), pin!(self.left())).await {
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
    pub(super) async fn left(&self) {
        self.sender.closed().await;
    }
}

impl LineSink for LineSender {
    async fn push(&mut self, lines: Bytes) -> Result<(), ClientGone> {
        if lines.len() >= CHUNK_BYTES {
            return self.send(lines).await;
        }
        self.lines.extend_from_slice(&lines);
        self.flush_if_full().await
    }

    async fn flush(&mut self) -> Result<(), ClientGone> {
        LineSender::flush(self).await
    }

    async fn gone(&mut self) {
        self.left().await;
    }

    async fn say_alive(&mut self, words: &'static [u8]) -> Result<(), ClientGone> {
        self.lines.extend_from_slice(words);
        Ok(())
    }

    /// The end of the body says it.
    async fn end(&mut self, _reason: &str) {}
}
