//! What an ingest is told and what it asks for.
//!
//! Does: the closed lists of inputs and effects. Does not: decide (`core`), do (`run`).
//! In and out: plain values; blocks appear by number, the shell keeps their bytes.

use ocelli_bus::SeqRange;
use ocelli_bus::record::{OriginId, Seq, StreamId};

use crate::frame::{Channel, RefusedReason};

/// Bytes that a sample takes on the wire, definitions included: turns a quota of samples into one
/// of bytes without opening a body (design §13: at most 3.6).
const SAMPLE_BYTES: u64 = 4;

/// What an origin may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OriginQuota {
    /// Samples a second; counted as bytes, four to a sample.
    pub samples_per_second: Option<u64>,
    /// Bytes a second.
    pub bytes_per_second: Option<u64>,
}

impl OriginQuota {
    /// Bytes a second that it comes to; `None`: no limit.
    #[must_use]
    pub fn rate(self) -> Option<u64> {
        let samples = self
            .samples_per_second
            .map(|rate| rate.saturating_mul(SAMPLE_BYTES));
        match (samples, self.bytes_per_second) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

/// Settings of the decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngestPolicy {
    /// Whether data wait for the definitions that they need. Never off but in simulation, to see
    /// that its checks find what follows.
    pub has_definitions_first: bool,
}

impl Default for IngestPolicy {
    fn default() -> Self {
        Self {
            has_definitions_first: true,
        }
    }
}

/// A block that came over a link, by the number that the shell gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(pub u64);

/// A block that came over a link, its header and checksums sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// The shell's number of it.
    pub block: BlockNumber,
    /// On which channel.
    pub channel: Channel,
    /// Its stream.
    pub stream: StreamId,
    /// Its seqs.
    pub range: SeqRange,
    /// Its bytes.
    pub bytes: u64,
    /// Last seq of lane 1 that it needs.
    pub needs_def: Seq,
    /// Whether this node holds all of it durably.
    pub is_held: bool,
    /// Last seq of the origin's lane 1 that is durable here.
    pub definitions_to: Seq,
    /// Bytes that all links of the node together may still hold of what waits for definitions.
    pub held_room: u64,
    /// What the origin may send.
    pub quota: OriginQuota,
}

/// What happens to an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestInput {
    /// A block came.
    Arrived(Arrived),
    /// A block came that is none: its header says this much of it.
    Damaged {
        /// Its stream, as far as the header can be read.
        stream: StreamId,
        /// Its seqs.
        range: SeqRange,
        /// What is wrong with it.
        detail: String,
    },
    /// An accepted block is durable here.
    Stored(BlockNumber),
    /// An accepted block was not stored.
    Rejected {
        /// Which.
        block: BlockNumber,
        /// Why.
        reason: RefusedReason,
        /// The same for people.
        detail: String,
    },
    /// Lane 1 of an origin is durable here up to a seq.
    DefinitionsAt {
        /// Whose.
        origin: OriginId,
        /// How far.
        to: Seq,
    },
    /// The dialler holds this stream.
    Head(StreamId),
    /// A block of another link became durable here.
    StoredElsewhere {
        /// Its stream.
        stream: StreamId,
        /// Its seqs.
        range: SeqRange,
    },
    /// What an origin may send now, asked again for those that have a rate: a reload may have
    /// changed it while nothing comes.
    Quota {
        /// Whose.
        origin: OriginId,
        /// How much.
        quota: OriginQuota,
    },
    /// Time passed; at least each second.
    Tick,
}

/// What an ingest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestEffect {
    /// Check the block's entries and hand it to the bus; then say `Stored` or `Rejected`.
    Accept {
        /// Which.
        block: BlockNumber,
        /// Whether it came over the channel of backfill. What came live and is late all the same is
        /// told by the bus, where the blocks of all links meet.
        is_backfill: bool,
    },
    /// Forget the block.
    Drop(BlockNumber),
    /// Tell the dialler that a range is durable here.
    Durable {
        /// The stream.
        stream: StreamId,
        /// What of it.
        range: SeqRange,
    },
    /// Tell the dialler that a block was not taken.
    Refuse {
        /// Its stream.
        stream: StreamId,
        /// Its seqs.
        range: SeqRange,
        /// Why.
        reason: RefusedReason,
        /// The same for people.
        detail: String,
    },
    /// Tell the dialler the rate of an origin.
    Throttle {
        /// Whose blocks.
        origin: OriginId,
        /// How much; `None`: no limit any more.
        bytes_per_second: Option<u64>,
    },
    /// Log, and write an event: an origin sends more than its rate. At most one a minute each.
    Reached {
        /// Whose blocks.
        origin: OriginId,
        /// Its rate.
        bytes_per_second: u64,
    },
    /// Log, and write an event: blocks were refused for good. At most one a minute for each reason.
    Audit {
        /// Why.
        reason: RefusedReason,
        /// Whose the last one was.
        origin: OriginId,
        /// How many since the last time.
        count: u64,
        /// What the last one was.
        detail: String,
    },
}
