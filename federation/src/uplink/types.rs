//! What an uplink is told and what it asks for.
//!
//! Does: the closed lists of inputs, effects and reports. Does not: decide (`core`), do (`run`).
//! In and out: plain values; blocks appear by name and size only.

use std::collections::BTreeSet;

use ocelli_bus::record::{OriginId, Seq, StreamId};
use ocelli_bus::{SeqRange, SeqRanges};

use crate::frame::{Channel, RefusedReason};

/// Settings of an uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkPolicy {
    /// The origin that this node writes.
    pub own: OriginId,
    /// Live blocks on their way, bytes; half of what the neighbour allows at most.
    pub live_bytes_max: u64,
    /// Backfill on its way, bytes; a quarter of what the neighbour allows at most.
    pub backfill_bytes_max: u64,
    /// Rate of backfill; `None`: as fast as the line takes it without delaying live blocks.
    pub backfill_bytes_per_second: Option<u64>,
    /// Whether the upstream is a group `any`: what one member acknowledged is done for all.
    pub is_shared: bool,
    /// Origins that this node gave up because its disk went back in time. What it has of them may
    /// differ from what the mesh has, down to the meaning of ids: nothing of them is sent.
    pub forsaken: BTreeSet<OriginId>,
    /// Whether backfill waits for what may come below it from lower tiers. Never off but in
    /// simulation, to see that its checks find what follows.
    pub awaits_refill: bool,
    /// Whether what others withheld from the neighbour is sent: not where a policy withholds
    /// entries here too, since what it withheld itself cannot be told from that.
    pub fills_skips: bool,
}

impl UplinkPolicy {
    /// The defaults for a node that writes `own`.
    #[must_use]
    pub fn new(own: OriginId) -> Self {
        Self {
            own,
            live_bytes_max: 8 * 1024 * 1024,
            backfill_bytes_max: 8 * 1024 * 1024,
            backfill_bytes_per_second: None,
            is_shared: false,
            forsaken: BTreeSet::new(),
            awaits_refill: true,
            fills_skips: true,
        }
    }
}

/// A block, by what the decisions need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its seqs.
    pub range: SeqRange,
    /// Its bytes.
    pub bytes: u64,
    /// Last seq of lane 1 that it needs; 0 on lane 1.
    pub needs_def: Seq,
}

/// How a block came onto this node's bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// As it was made, or live from below.
    Live,
    /// As backfill from below: it goes on as backfill.
    Backfill,
    /// From a peer that took it first and copies it to the others by itself.
    SecondHand,
    /// It brings what was withheld when its seqs came first: they go up again.
    Fill,
}

/// What the highest record held above says of the own disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadCheck {
    /// The same record is here, or there is nothing to compare.
    Same,
    /// Another record stands there: the disk went back in time, or was copied.
    Different,
}

/// Why a block is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// For the channel of definitions.
    Definitions,
    /// It waited for room on the live channel.
    Live,
    /// For the channel of backfill.
    Backfill,
}

/// A link stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connected {
    /// What the neighbour allows on its way.
    pub in_flight_bytes_max: u64,
    /// What this node holds, read after it began to follow its bus.
    pub local: Vec<(StreamId, SeqRanges)>,
    /// What members of the group acknowledged before: the durable cursor.
    pub done: Vec<(StreamId, SeqRanges)>,
}

/// What happens to an uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The neighbour welcomed this node.
    Connected(Connected),
    /// What it holds durably of a stream.
    Coverage {
        /// The stream.
        stream: StreamId,
        /// What of it.
        ranges: SeqRanges,
        /// Whether its highest record is the one that stands here.
        head: HeadCheck,
    },
    /// What of its coverage of a stream is skips alone there, where this node has more or may yet
    /// get it.
    Skipped {
        /// The stream.
        stream: StreamId,
        /// What of it.
        ranges: SeqRanges,
    },
    /// All coverage was told.
    CoverageEnd,
    /// A block became durable here.
    Committed {
        /// Its stream.
        stream: StreamId,
        /// The block.
        found: Found,
        /// How it came.
        delivered: Delivered,
    },
    /// Answer to [`Effect::Fetch`]: ascending; what retention took is absent. None at all: nothing
    /// of the range is left.
    Fetched {
        /// As asked.
        purpose: Purpose,
        /// As asked.
        stream: StreamId,
        /// As asked.
        asked: SeqRange,
        /// What was found.
        found: Vec<Found>,
    },
    /// The read did not succeed.
    FetchFailed {
        /// As asked.
        purpose: Purpose,
        /// As asked.
        stream: StreamId,
    },
    /// A range is durable above, whoever sent it.
    Durable {
        /// The stream.
        stream: StreamId,
        /// What of it.
        range: SeqRange,
    },
    /// A block was not taken.
    Refused {
        /// Its stream.
        stream: StreamId,
        /// Its seqs.
        range: SeqRange,
        /// Why.
        reason: RefusedReason,
    },
    /// A cap on an origin, or its end.
    Throttle {
        /// Whose blocks.
        origin: OriginId,
        /// `None`: no cap. 0: nothing but what is on its way.
        bytes_per_second: Option<u64>,
    },
    /// Send what other members of the group acknowledged too (`uplink replay`).
    Replay,
    /// The link is gone.
    Disconnected,
    /// Time passed; at least each 250 ms.
    Tick,
}

/// What an uplink asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send the block that the input just named.
    Send {
        /// On which channel.
        channel: Channel,
        /// Its stream.
        stream: StreamId,
        /// Its seqs.
        range: SeqRange,
    },
    /// Read blocks of a range, in order, at least one if any is left, then up to `bytes_max`.
    Fetch {
        /// What for; there is one read for each purpose at a time.
        purpose: Purpose,
        /// Of which stream.
        stream: StreamId,
        /// What of it.
        range: SeqRange,
        /// How much, beside the first block.
        bytes_max: u64,
    },
    /// The durable cursor has dealt with a range.
    Advance {
        /// The stream.
        stream: StreamId,
        /// What of it.
        range: SeqRange,
    },
    /// Tell how far streams go here.
    Heads(Vec<(StreamId, Seq)>),
    /// The neighbour holds records of the own origin that this disk lacks or has otherwise: take a
    /// new origin before the next append.
    NewOrigin {
        /// The stream that told.
        stream: StreamId,
        /// The highest seq above.
        above: Seq,
    },
    /// Something to log and count.
    Report(Report),
}

/// What people want to know of an uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Retention took a range before it was sent here.
    Gone {
        /// The stream.
        stream: StreamId,
        /// What of it.
        range: SeqRange,
    },
    /// The neighbour will never take a block.
    Refused {
        /// Its stream.
        stream: StreamId,
        /// Its seqs.
        range: SeqRange,
        /// Why.
        reason: RefusedReason,
    },
    /// The line does not keep up with what is measured: the newest goes live, the rest follows.
    LiveBehind,
}

/// How far the neighbour is behind in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The stream.
    pub stream: StreamId,
    /// Seqs held here and not above.
    pub records: u64,
}
