//! A link without a network: both ends in one process, with switches for its faults.
//!
//! Does: carry frames through the codec over bounded queues, in the order and at the time that the
//! switches say. Does not: lose single frames, since a link that stands never does: it is cut.
//! In: frames of two shells under test. Out: the same frames, or the end of the link.
//! Full: a queue of [`MEMORY_QUEUE_FRAMES`] makes its sender wait, as flow control does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ocelli_bus::limits::BLOCK_BYTES_MAX;
use ocelli_model::clock::{Clock, Monotonic};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::close::{CloseCode, Closed};
use super::contract::{BoxFuture, Link, SendError, Side};
use super::statistics::{FrameCounters, LinkStatistics};
use super::waiting::{wait_for, within};
use crate::frame::{
    Channel, Control, Frame, FrameError, FrameKind, HEAD_BYTES, Hello, Welcome, decode_control,
    encode_control,
};
use crate::identity::PeerIdentity;

/// Frames of a queue: enough to fill, few enough that a test reaches the limit at once.
pub const MEMORY_QUEUE_FRAMES: usize = 16;
/// Queues of a direction: control, then the channels.
const QUEUES: usize = 1 + Channel::ALL.len();

/// Who meets on the link.
#[derive(Debug, Clone)]
pub struct MemoryFacts {
    /// Of the dialler.
    pub hello: Hello,
    /// Of the acceptor.
    pub welcome: Welcome,
    /// What the acceptor sees in the dialler's certificate.
    pub dialler: Arc<PeerIdentity>,
    /// What the dialler sees in the acceptor's certificate.
    pub acceptor: Arc<PeerIdentity>,
}

/// One end. Dropping it closes the link.
pub struct MemoryLink {
    side: Side,
    facts: Arc<MemoryFacts>,
    wire: Arc<Wire>,
}

/// Faults of the link, for both directions.
#[derive(Clone)]
pub struct MemorySwitches(Arc<Wire>);

struct Wire {
    state: Mutex<State>,
    /// Rings after each change of `state`.
    changed: Notify,
    clock: Arc<dyn Clock>,
    counters: [FrameCounters; 2],
}

struct State {
    /// What the dialler and what the acceptor sent, still under way.
    directions: [Direction; 2],
    /// Who ended it, and how.
    end: Option<(Option<Side>, CloseCode, String)>,
    is_stalled: bool,
    is_held: [bool; QUEUES],
    /// In which order waiting queues are asked.
    order: [usize; QUEUES],
    delay: Duration,
    cut_after_frames: Option<usize>,
}

#[derive(Default)]
struct Direction {
    queues: [VecDeque<Sent>; QUEUES],
    bytes: u64,
}

struct Sent {
    kind: FrameKind,
    due: Monotonic,
    bytes: Bytes,
}

/// What a look at the queues found.
enum Look {
    Taken(usize, Sent),
    Ended(Closed),
    Nothing { until: Option<Monotonic> },
}

/// Two ends of a link that stands, and its switches.
#[must_use]
pub fn memory_pair(
    facts: MemoryFacts,
    clock: Arc<dyn Clock>,
) -> (MemoryLink, MemoryLink, MemorySwitches) {
    let wire = Arc::new(Wire {
        state: Mutex::new(State {
            directions: Default::default(),
            end: None,
            is_stalled: false,
            is_held: [false; QUEUES],
            order: std::array::from_fn(|index| index),
            delay: Duration::ZERO,
            cut_after_frames: None,
        }),
        changed: Notify::new(),
        clock,
        counters: Default::default(),
    });
    let facts = Arc::new(facts);
    let end = |side| MemoryLink {
        side,
        facts: Arc::clone(&facts),
        wire: Arc::clone(&wire),
    };
    (
        end(Side::Dialler),
        end(Side::Acceptor),
        MemorySwitches(wire),
    )
}

// === Switches ===

impl MemorySwitches {
    /// The network goes away: both ends see [`CloseCode::Lost`], what was under way is lost.
    pub fn cut(&self) {
        self.0.end(None, CloseCode::Lost, "the test cut the link");
    }

    /// Cuts after `frames` more frames were received, of both directions together; so a test can
    /// cut between any two of them.
    pub fn cut_after(&self, frames: usize) {
        self.0.change(|state| state.cut_after_frames = Some(frames));
    }

    /// Half-open: nothing arrives and nobody is told, until it is switched off again.
    pub fn stall(&self, is_stalled: bool) {
        self.0.change(|state| state.is_stalled = is_stalled);
    }

    /// Holds a channel back while others pass, so that they overtake it.
    pub fn hold(&self, channel: Channel, is_held: bool) {
        self.0.change(|state| {
            if let Some(held) = state.is_held.get_mut(1 + channel.index()) {
                *held = is_held;
            }
        });
    }

    /// In which order waiting queues are asked: 0 is control, a channel has its number. What is not
    /// named comes last.
    pub fn set_order(&self, first: &[usize]) {
        let rest = (0..QUEUES).filter(|queue| !first.contains(queue));
        let mut all = first
            .iter()
            .copied()
            .filter(|queue| *queue < QUEUES)
            .chain(rest);
        let order = std::array::from_fn(|_| all.next().unwrap_or(0));
        self.0.change(|state| state.order = order);
    }

    /// Each frame sent from now on takes so long to arrive.
    pub fn set_delay(&self, delay: Duration) {
        self.0.change(|state| state.delay = delay);
    }

    /// Frames under way from `side`.
    #[must_use]
    pub fn under_way(&self, side: Side) -> usize {
        let state = self.0.state.lock();
        let queues = &direction(&state.directions, side).queues;
        queues.iter().map(VecDeque::len).sum()
    }
}

// === The wire ===

impl Wire {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_waiters();
    }

    fn end(&self, by: Option<Side>, code: CloseCode, reason: &str) {
        self.change(|state| {
            if state.end.is_none() {
                state.end = Some((by, code, reason.to_owned()));
                state.directions = Default::default();
            }
        });
    }

    /// Puts a frame under way, or says that its queue is full.
    fn push(&self, side: Side, queue: usize, frame: &Sent) -> Option<Result<(), Closed>> {
        let mut state = self.state.lock();
        if let Some(closed) = state.closed_as(side) {
            return Some(Err(closed));
        }
        let due = self.clock.monotonic().after(state.delay);
        let direction = direction_mut(&mut state.directions, side);
        let places = direction.queues.get_mut(queue)?;
        if places.len() >= MEMORY_QUEUE_FRAMES {
            return None;
        }
        direction.bytes += (HEAD_BYTES + frame.bytes.len()) as u64;
        places.push_back(Sent {
            kind: frame.kind,
            due,
            bytes: frame.bytes.clone(),
        });
        drop(state);
        self.changed.notify_waiters();
        Some(Ok(()))
    }

    fn look(&self, side: Side) -> Look {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if state.cut_after_frames == Some(0) && state.end.is_none() {
            state.end = Some((None, CloseCode::Lost, "the test cut the link".to_owned()));
            state.directions = Default::default();
            self.changed.notify_waiters();
        }
        if let Some(closed) = state.closed_as(side) {
            return Look::Ended(closed);
        }
        if state.is_stalled {
            return Look::Nothing { until: None };
        }
        let (order, is_held) = (state.order, state.is_held);
        let incoming = direction_mut(&mut state.directions, side.other());
        let mut until = None;
        for queue in order.into_iter().filter(|queue| !is_held[*queue]) {
            match incoming.queues[queue].front().map(|sent| sent.due) {
                Some(due) if due <= now => {
                    let Some(sent) = incoming.queues[queue].pop_front() else {
                        continue;
                    };
                    if let Some(left) = &mut state.cut_after_frames {
                        *left = left.saturating_sub(1);
                    }
                    return Look::Taken(queue, sent);
                }
                Some(due) => until = Some(until.map_or(due, |other: Monotonic| other.min(due))),
                None => {}
            }
        }
        Look::Nothing { until }
    }

    /// Waits for a change, or for an instant.
    async fn wait(&self, changed: impl Future<Output = ()>, until: Option<Monotonic>) {
        match until {
            None => changed.await,
            Some(until) => tokio::select! {
                () = changed => {}
                () = self.clock.sleep_until(until) => {}
            },
        }
    }
}

impl State {
    fn closed_as(&self, side: Side) -> Option<Closed> {
        let (by, code, reason) = self.end.as_ref()?;
        Some(Closed {
            code: *code,
            reason: reason.clone(),
            is_by_peer: by.is_some_and(|by| by != side),
        })
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Dialler => 0,
            Self::Acceptor => 1,
        }
    }
}

fn direction(directions: &[Direction; 2], side: Side) -> &Direction {
    &directions[side.index()]
}

fn direction_mut(directions: &mut [Direction; 2], side: Side) -> &mut Direction {
    &mut directions[side.index()]
}

// === An end ===

impl MemoryLink {
    async fn send(&self, queue: usize, kind: FrameKind, bytes: Bytes) -> Result<(), SendError> {
        let frame = Sent {
            kind,
            due: Monotonic(0),
            bytes,
        };
        let push = || self.wire.push(self.side, queue, &frame);
        wait_for(&self.wire.changed, push).await?;
        self.wire.counters[self.side.index()].sent(kind);
        Ok(())
    }

    async fn next(&self) -> Result<Frame, Closed> {
        loop {
            let changed = self.wire.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.wire.look(self.side) {
                Look::Taken(queue, sent) => {
                    self.wire.changed.notify_waiters();
                    self.wire.counters[self.side.index()].received(sent.kind);
                    return self.read(queue, sent);
                }
                Look::Ended(closed) => return Err(closed),
                Look::Nothing { until } => self.wire.wait(changed, until).await,
            }
        }
    }

    fn read(&self, queue: usize, sent: Sent) -> Result<Frame, Closed> {
        let channel = u8::try_from(queue).ok().and_then(Channel::from_number);
        if let Some(channel) = channel {
            let block = sent.bytes;
            return Ok(Frame::Block { channel, block });
        }
        let payload = sent.bytes.get(HEAD_BYTES..).unwrap_or_default();
        decode_control(sent.kind, payload)
            .map(Frame::Control)
            .map_err(|error| {
                let reason = error.to_string();
                self.wire.end(Some(self.side), CloseCode::Protocol, &reason);
                Closed::here(CloseCode::Protocol, reason)
            })
    }

    async fn drained(&self) {
        wait_for(&self.wire.changed, || {
            let state = self.wire.state.lock();
            let queues = &direction(&state.directions, self.side).queues;
            (state.end.is_some() || queues.iter().all(VecDeque::is_empty)).then_some(())
        })
        .await;
    }
}

impl Link for MemoryLink {
    fn peer(&self) -> &Arc<PeerIdentity> {
        match self.side {
            Side::Dialler => &self.facts.acceptor,
            Side::Acceptor => &self.facts.dialler,
        }
    }

    fn side(&self) -> Side {
        self.side
    }

    fn hello(&self) -> &Hello {
        &self.facts.hello
    }

    fn welcome(&self) -> &Welcome {
        &self.facts.welcome
    }

    fn send_control(&self, control: Control) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async move {
            let bytes = encode_control(&control)?;
            self.send(0, control.kind(), bytes).await
        })
    }

    fn send_block(&self, channel: Channel, block: Bytes) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async move {
            if self.side == Side::Acceptor {
                return Err(SendError::WrongSide);
            }
            if block.len() > BLOCK_BYTES_MAX {
                return Err(SendError::Frame(FrameError::TooLarge {
                    kind: FrameKind::Block.name(),
                    bytes: block.len(),
                    bytes_max: BLOCK_BYTES_MAX,
                }));
            }
            self.send(1 + channel.index(), FrameKind::Block, block)
                .await
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<Frame, Closed>> {
        Box::pin(self.next())
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.wire.end(Some(self.side), code, reason);
    }

    fn finish(&self, reason: &str, patience: Duration) -> BoxFuture<'_, ()> {
        let reason = reason.to_owned();
        Box::pin(async move {
            let goodbye = Control::Goodbye {
                reason: reason.clone(),
            };
            let said = async {
                // A link that has ended has nothing left to say.
                if self.send_control(goodbye).await.is_ok() {
                    self.drained().await;
                }
            };
            // Done or not, the link ends now; the queues' state says no more.
            within(&*self.wire.clock, patience, said).await;
            self.close(CloseCode::Done, &reason);
        })
    }

    fn closed(&self) -> BoxFuture<'_, Closed> {
        Box::pin(async move {
            let look = || self.wire.state.lock().closed_as(self.side);
            wait_for(&self.wire.changed, look).await
        })
    }

    fn statistics(&self) -> LinkStatistics {
        let state = self.wire.state.lock();
        let sent = direction(&state.directions, self.side);
        let received = direction(&state.directions, self.side.other());
        let waiting = sent
            .queues
            .iter()
            .flatten()
            .map(|one| one.bytes.len() as u64);
        LinkStatistics {
            rtt: 2 * state.delay,
            bytes_sent: sent.bytes,
            bytes_received: received.bytes,
            queued_bytes: waiting.sum(),
            frames: self.wire.counters[self.side.index()].snapshot(),
            ..LinkStatistics::default()
        }
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let side = Some(self.side);
        self.wire
            .end(side, CloseCode::Done, "the link's handle was dropped");
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
