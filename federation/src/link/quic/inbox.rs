//! Frames that were read and wait for the link's user.
//!
//! Does: bound their bytes over all streams of a link, and over all links by a pool, let urgent
//! streams in first, answer them in the order of urgency. Does not: read streams.
//! In: a place asked for before a payload is allocated, then the frame. Out: frames, then the end.
//! Full: the reader waits, the stream's window fills, the peer's sender waits.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::frame::{Channel, Frame};
use crate::link::close::Closed;
use crate::link::waiting::wait_for;

/// Queues: control, then the channels.
const QUEUES: usize = 1 + Channel::ALL.len();
/// Queue of the control stream.
pub(super) const CONTROL_QUEUE: usize = 0;

/// The frames of one link.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes_max: usize,
    /// Places of the frames of all links, one a byte.
    pool: Arc<Semaphore>,
    state: Mutex<State>,
    /// Rings after each change.
    changed: Notify,
    /// Rings at the end only, for those who wait for nothing else.
    over: Notify,
}

#[derive(Debug, Default)]
struct State {
    queues: [VecDeque<(usize, Frame)>; QUEUES],
    /// Of frames and of places given out.
    bytes: usize,
    /// Of them, what was taken from the pool.
    pooled: usize,
    is_waiting: [bool; QUEUES],
    end: Option<Closed>,
}

/// Where frames of a channel wait.
pub(super) fn queue_of(channel: Channel) -> usize {
    1 + channel.index()
}

impl Inbox {
    pub(super) fn new(bytes_max: usize, pool: Arc<Semaphore>) -> Self {
        Self {
            bytes_max,
            pool,
            state: Mutex::default(),
            changed: Notify::new(),
            over: Notify::new(),
        }
    }

    /// Waits for room here, then in the pool of all links; one frame always has room here where
    /// nothing else waits. The reader of a queue asks for one place at a time. `Err`: the link has
    /// ended.
    pub(super) async fn reserve(&self, queue: usize, bytes: usize) -> Result<(), Closed> {
        wait_for(&self.changed, || self.try_reserve(queue, bytes)).await?;
        // A frame is far smaller than either.
        let places = u32::try_from(bytes).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            taken = self.pool.acquire_many(places) => {
                if let Ok(taken) = taken {
                    taken.forget();
                    self.state.lock().pooled += bytes;
                }
                Ok(())
            }
            closed = self.closed() => Err(closed),
        }
    }

    fn give_back(&self, state: &mut State, bytes: usize) {
        state.bytes = state.bytes.saturating_sub(bytes);
        let pooled = bytes.min(state.pooled);
        state.pooled -= pooled;
        self.pool.add_permits(pooled);
    }

    fn try_reserve(&self, queue: usize, bytes: usize) -> Option<Result<(), Closed>> {
        let mut state = self.state.lock();
        if let Some(end) = &state.end {
            return Some(Err(end.clone()));
        }
        let more_urgent = state.is_waiting.iter().take(queue).any(|waits| *waits);
        let has_room = state.bytes == 0 || state.bytes + bytes <= self.bytes_max;
        let is_taken = has_room && !more_urgent;
        if let Some(waits) = state.is_waiting.get_mut(queue) {
            *waits = !is_taken;
        }
        if !is_taken {
            return None;
        }
        state.bytes += bytes;
        Some(Ok(()))
    }

    /// Puts a frame at the place that was reserved with the same number of bytes.
    pub(super) fn push(&self, queue: usize, bytes: usize, frame: Frame) {
        if let Some(waiting) = self.state.lock().queues.get_mut(queue) {
            waiting.push_back((bytes, frame));
        }
        self.changed.notify_waiters();
    }

    /// Gives a reserved place back: the frame is not for the link's user.
    pub(super) fn release(&self, bytes: usize) {
        self.give_back(&mut self.state.lock(), bytes);
        self.changed.notify_waiters();
    }

    /// The most urgent frame; after the end what is left, then the end.
    pub(super) async fn pop(&self) -> Result<Frame, Closed> {
        let (frame, frees) = wait_for(&self.changed, || self.try_pop()).await?;
        if frees {
            self.changed.notify_waiters();
        }
        Ok(frame)
    }

    fn try_pop(&self) -> Option<Result<(Frame, bool), Closed>> {
        let mut state = self.state.lock();
        let next = state.queues.iter_mut().find_map(VecDeque::pop_front);
        if let Some((bytes, frame)) = next {
            self.give_back(&mut state, bytes);
            let frees = state.is_waiting.contains(&true);
            return Some(Ok((frame, frees)));
        }
        state.end.clone().map(Err)
    }

    /// The link has ended; what has come is still answered. Whether this was the first word of it.
    pub(super) fn end(&self, closed: Closed) -> bool {
        let mut state = self.state.lock();
        let is_first = state.end.is_none();
        state.end.get_or_insert(closed);
        drop(state);
        self.changed.notify_waiters();
        self.over.notify_waiters();
        is_first
    }

    pub(super) fn ended(&self) -> Option<Closed> {
        self.state.lock().end.clone()
    }

    /// Waits for the end.
    pub(super) async fn closed(&self) -> Closed {
        wait_for(&self.over, || self.ended()).await
    }

    /// Bytes that wait, places given out included.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.pool.add_permits(self.state.get_mut().pooled);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::poll;

    use super::*;
    use crate::link::close::CloseCode;

    fn block(channel: Channel, text: &'static str) -> Frame {
        Frame::Block {
            channel,
            block: Bytes::from_static(text.as_bytes()),
        }
    }

    fn pool() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(10_000))
    }

    #[tokio::test]
    async fn frames_of_all_links_share_the_pool_and_an_ended_link_gives_its_part_back() {
        let pool = Arc::new(Semaphore::new(100));
        let (slow, other) = (
            Inbox::new(1_000, Arc::clone(&pool)),
            Inbox::new(1_000, Arc::clone(&pool)),
        );
        slow.reserve(3, 60).await.unwrap();
        slow.push(3, 60, block(Channel::Backfill, "b"));
        slow.reserve(3, 30).await.unwrap();
        let mut waiting = Box::pin(other.reserve(2, 50));
        assert!(poll!(&mut waiting).is_pending());
        slow.pop().await.unwrap();
        waiting.await.unwrap();
        let mut ended = Box::pin(other.reserve(2, 70));
        assert!(poll!(&mut ended).is_pending());
        let closed = Closed::here(CloseCode::Lost, "gone");
        other.end(closed.clone());
        assert_eq!(ended.await, Err(closed));
        drop((slow, other));
        assert_eq!(pool.available_permits(), 100);
    }

    #[tokio::test]
    async fn the_urgent_reader_gets_the_room_that_frees() {
        let inbox = Inbox::new(100, pool());
        inbox.reserve(3, 90).await.unwrap();
        let mut backfill = Box::pin(inbox.reserve(3, 90));
        let mut live = Box::pin(inbox.reserve(2, 90));
        assert!(poll!(&mut backfill).is_pending() && poll!(&mut live).is_pending());
        inbox.push(3, 90, block(Channel::Backfill, "b"));
        inbox.pop().await.unwrap();
        assert!(poll!(&mut backfill).is_pending());
        live.await.unwrap();
        assert_eq!(inbox.bytes(), 90);
    }

    #[tokio::test]
    async fn a_frame_above_the_limit_passes_alone() {
        let inbox = Inbox::new(10, pool());
        inbox.reserve(1, 1_000).await.unwrap();
        let mut second = Box::pin(inbox.reserve(1, 1));
        assert!(poll!(&mut second).is_pending());
        inbox.push(1, 1_000, block(Channel::Definitions, "d"));
        inbox.pop().await.unwrap();
        second.await.unwrap();
    }

    #[tokio::test]
    async fn the_end_comes_after_what_had_come_and_frees_the_readers() {
        let inbox = Inbox::new(10, pool());
        inbox.reserve(2, 10).await.unwrap();
        inbox.push(2, 10, block(Channel::Live, "l"));
        let mut waiting = Box::pin(inbox.reserve(2, 10));
        assert!(poll!(&mut waiting).is_pending());
        let closed = Closed::here(CloseCode::Lost, "gone");
        assert!(inbox.end(closed.clone()));
        assert_eq!(waiting.await, Err(closed.clone()));
        assert_eq!(inbox.pop().await.unwrap(), block(Channel::Live, "l"));
        assert_eq!(inbox.pop().await, Err(closed.clone()));
        assert_eq!(inbox.closed().await, closed);
    }
}
