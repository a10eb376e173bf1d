//! Frames handed over that wait for one stream.
//!
//! Does: bound their bytes and number, put small ones together, hand whole frames to the stream's
//! writer. Does not: write. In: head and payload of frames. Out: chunks of at most 256 KiB.
//! Full: the sender waits. A sender that gives up waiting has sent nothing, so a stream is never
//! broken inside a frame.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::link::close::Closed;
use crate::link::limits::{COALESCE_BYTES, OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX, WRITE_BYTES};
use crate::link::waiting::wait_for;

/// The frames of one stream.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// Rings after each change.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Outgoing>,
    /// Of `frames`, and of what the writer has taken and not written.
    bytes: usize,
    is_writing: bool,
    is_finishing: bool,
    end: Option<Closed>,
}

/// A frame: its head, and a payload that is not copied if it is large.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) head: Bytes,
    pub(super) payload: Bytes,
}

impl Outgoing {
    fn bytes(&self) -> usize {
        self.head.len() + self.payload.len()
    }
}

/// What the writer does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Write these, then say so by [`Outbox::wrote`].
    Write(Vec<Bytes>),
    /// Nothing more will come: finish the stream.
    Finish,
}

impl Outbox {
    /// Waits for room and puts a frame there.
    pub(super) async fn push(&self, frame: Outgoing) -> Result<(), Closed> {
        let mut frame = Some(frame);
        wait_for(&self.changed, || self.try_push(&mut frame)).await?;
        self.changed.notify_waiters();
        Ok(())
    }

    fn try_push(&self, frame: &mut Option<Outgoing>) -> Option<Result<(), Closed>> {
        let mut state = self.state.lock();
        if let Some(end) = &state.end {
            return Some(Err(end.clone()));
        }
        let bytes = frame.as_ref().map_or(0, Outgoing::bytes);
        let has_room = state.bytes == 0
            || state.bytes + bytes <= OUTBOX_BYTES_MAX && state.frames.len() < OUTBOX_FRAMES_MAX;
        if !has_room {
            return None;
        }
        state.bytes += bytes;
        state.frames.extend(frame.take());
        Some(Ok(()))
    }

    /// What to write next; waits while nothing is there.
    pub(super) async fn work(&self) -> Result<Work, Closed> {
        wait_for(&self.changed, || self.try_work()).await
    }

    fn try_work(&self) -> Option<Result<Work, Closed>> {
        let mut state = self.state.lock();
        if let Some(end) = &state.end {
            return Some(Err(end.clone()));
        }
        if state.frames.is_empty() {
            return state.is_finishing.then_some(Ok(Work::Finish));
        }
        state.is_writing = true;
        Some(Ok(Work::Write(gather(&mut state.frames))))
    }

    /// The last work of so many bytes is in the transport's hands.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        state.is_writing = false;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Nothing more is pushed; the writer finishes the stream once it has written all.
    pub(super) fn finish(&self) {
        self.state.lock().is_finishing = true;
        self.changed.notify_waiters();
    }

    /// The link has ended.
    pub(super) fn end(&self, closed: &Closed) {
        let mut state = self.state.lock();
        state.end.get_or_insert_with(|| closed.clone());
        state.frames.clear();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Whether the transport has not taken what the writer gave it.
    pub(super) fn is_writing(&self) -> bool {
        self.state.lock().is_writing
    }
}

/// Whole frames, at least one, about [`WRITE_BYTES`]; neighbours that are small share a chunk.
fn gather(frames: &mut VecDeque<Outgoing>) -> Vec<Bytes> {
    let (mut chunks, mut small) = (Vec::new(), BytesMut::new());
    let mut total = 0;
    while frames
        .front()
        .is_some_and(|frame| total == 0 || total + frame.bytes() <= WRITE_BYTES)
    {
        let Some(frame) = frames.pop_front() else {
            break;
        };
        total += frame.bytes();
        small.extend_from_slice(&frame.head);
        if frame.payload.len() <= COALESCE_BYTES {
            small.extend_from_slice(&frame.payload);
        } else {
            chunks.push(small.split().freeze());
            chunks.push(frame.payload);
        }
    }
    if !small.is_empty() {
        chunks.push(small.freeze());
    }
    chunks
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;
    use crate::link::close::CloseCode;

    fn frame(bytes: usize) -> Outgoing {
        Outgoing {
            head: Bytes::from_static(b"head"),
            payload: Bytes::from(vec![7; bytes]),
        }
    }

    async fn chunks(outbox: &Outbox) -> Vec<usize> {
        match outbox.work().await.unwrap() {
            Work::Write(chunks) => {
                let sizes: Vec<_> = chunks.iter().map(Bytes::len).collect();
                outbox.wrote(sizes.iter().sum());
                sizes
            }
            Work::Finish => Vec::new(),
        }
    }

    #[tokio::test]
    async fn small_frames_share_a_chunk_and_large_ones_are_not_copied() {
        let outbox = Outbox::default();
        for bytes in [10, 20, COALESCE_BYTES + 1, 30] {
            outbox.push(frame(bytes)).await.unwrap();
        }
        assert_eq!(chunks(&outbox).await, [14 + 24 + 4, COALESCE_BYTES + 1, 34]);
        assert_eq!(outbox.bytes(), 0);
    }

    #[tokio::test]
    async fn a_write_is_bounded_and_a_full_outbox_makes_its_sender_wait() {
        let outbox = Outbox::default();
        let size = WRITE_BYTES - 4;
        for _ in 0..OUTBOX_BYTES_MAX / WRITE_BYTES {
            outbox.push(frame(size)).await.unwrap();
        }
        let mut waiting = Box::pin(outbox.push(frame(1)));
        assert!(poll!(&mut waiting).is_pending());
        assert_eq!(chunks(&outbox).await, [4, size]);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn many_tiny_frames_are_bounded_by_their_number() {
        let outbox = Outbox::default();
        for _ in 0..OUTBOX_FRAMES_MAX {
            outbox.push(frame(0)).await.unwrap();
        }
        let mut waiting = Box::pin(outbox.push(frame(0)));
        assert!(poll!(&mut waiting).is_pending());
    }

    #[tokio::test]
    async fn finishing_comes_after_the_last_frame_and_an_end_at_once() {
        let outbox = Outbox::default();
        outbox.push(frame(1)).await.unwrap();
        outbox.finish();
        assert_eq!(chunks(&outbox).await, [5]);
        assert_eq!(outbox.work().await, Ok(Work::Finish));
        let closed = Closed::here(CloseCode::Lost, "gone");
        outbox.end(&closed);
        assert_eq!(outbox.work().await, Err(closed.clone()));
        assert_eq!(outbox.push(frame(1)).await, Err(closed));
    }
}
