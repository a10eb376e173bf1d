//! A simulated line between two nodes: three channels and control, each in order, all together not.
//!
//! Does: delay, loss (as the delay of a retransmission), bandwidth, cuts in each direction.
//! Does not: deliver (the world does).
//! In: messages. Out: the time at which the next of a stream arrives.
//! As QUIC: within a stream nothing is lost, repeated or reordered while the line stands; when a
//! direction is dead for [`IDLE_MS`] the end that hears nothing gives up.

use std::collections::VecDeque;

use ocelli_bus::record::{OriginId, Seq, StreamId};
use ocelli_bus::{SeqRange, SeqRanges};
use ocelli_federation::frame::{Channel, RefusedReason};

use super::disk::Block;
use super::random::Random;

/// Silence after which an end gives the line up.
pub(super) const IDLE_MS: u64 = 4_000;

/// Number of a line; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LineId(pub(super) u64);

/// What goes over a line.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Hello(OriginId),
    Block(Channel, Block),
    Heads(Vec<(StreamId, Seq)>),
    Welcome,
    /// Ranges held and the content of the highest record.
    Coverage(StreamId, SeqRanges, Option<(Seq, u64)>),
    CoverageEnd,
    Durable(StreamId, SeqRange),
    Refused(StreamId, SeqRange, RefusedReason),
    /// The acceptor does not want the dialler.
    Refuse,
}

/// Streams of a line: control up, control down, then the channels.
pub(super) const STREAMS: usize = 5;

impl Message {
    /// Which stream carries it.
    pub(super) fn stream(&self) -> usize {
        match self {
            Self::Hello(_) | Self::Heads(_) => 0,
            Self::Block(channel, _) => 2 + channel.index(),
            _ => 1,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Block(_, block) => block.bytes,
            _ => 60,
        }
    }
}

/// How good a path is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quality {
    pub(super) delay_ms: u64,
    pub(super) loss_percent: u64,
    /// Bytes each millisecond.
    pub(super) bytes_per_ms: u64,
}

impl Quality {
    pub(super) const GOOD: Self = Self {
        delay_ms: 10,
        loss_percent: 0,
        bytes_per_ms: 100_000,
    };
}

/// A line that stands, or is being set up.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) dialler: usize,
    /// Which of its uplinks.
    pub(super) uplink: usize,
    pub(super) acceptor: usize,
    /// Whether each end still believes in it.
    pub(super) is_open: [bool; 2],
    /// Since when each direction has been dead: up, down.
    pub(super) dead_since: [Option<u64>; 2],
    pub(super) queues: [VecDeque<(u64, Message)>; STREAMS],
    free_at: [u64; 2],
}

impl Line {
    pub(super) fn new(dialler: usize, uplink: usize, acceptor: usize) -> Self {
        Self {
            dialler,
            uplink,
            acceptor,
            is_open: [true; 2],
            dead_since: [None; 2],
            queues: Default::default(),
            free_at: [0; 2],
        }
    }

    /// Direction of a stream: 0 up, 1 down.
    pub(super) fn direction(stream: usize) -> usize {
        usize::from(stream == 1)
    }

    /// Puts a message on its way; answers when it arrives.
    pub(super) fn send(
        &mut self,
        message: Message,
        quality: Quality,
        now: u64,
        random: &mut Random,
    ) -> u64 {
        let stream = message.stream();
        let direction = Self::direction(stream);
        let sent = self.free_at[direction].max(now) + message.bytes() / quality.bytes_per_ms;
        self.free_at[direction] = sent;
        let mut at = sent + quality.delay_ms + random.between(0, quality.delay_ms / 2 + 1);
        if random.chance(quality.loss_percent) {
            at += random.between(quality.delay_ms, 4 * quality.delay_ms + 200);
        }
        let after = self.queues[stream].back().map_or(0, |(at, _)| *at);
        let at = at.max(after);
        self.queues[stream].push_back((at, message));
        at
    }
}
