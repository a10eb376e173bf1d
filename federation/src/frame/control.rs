//! Control frames of a standing link: coverage, acknowledgements, refusals, flow, farewell.
//!
//! Does: hold what is said, in pieces that fit a frame. Does not: decide what to say (`uplink`,
//! `ingest`). In: facts of the bus. Out: [`Control`] values whose sizes keep their limits.
//! Direction is beside each variant; "up" is the acceptor, "down" the dialler.

use ocelli_bus::record::{OriginId, Seq, StreamId};
use ocelli_bus::{HeadMark, SeqRange, SeqRanges};
use ocelli_model::clock::WallMs;
use serde::{Deserialize, Serialize};

use super::hello::{Hello, RefuseCode, Welcome};
use super::kind::{CONTROL_BYTES_MAX, FrameKind};
use super::number::numbered;
use super::wire;

/// Most streams of one Coverage or Durable frame.
pub const COVERAGE_STREAMS_MAX: usize = 64;
/// Most ranges of one Coverage or Durable frame, all streams together (20 bytes each at most).
pub const COVERAGE_RANGES_MAX: usize = 8 * 1_024;
/// Most streams of one Heads frame.
pub const HEADS_MAX: usize = 1_024;
/// Most origins of one Origins frame.
pub const ORIGIN_WORDS_MAX: usize = 512;
/// Most bytes of a cause in an Origins frame; longer ones are cut.
pub const ORIGIN_CAUSE_BYTES_MAX: usize = 256;
/// Most bytes of a signed revocation list.
pub const REVOCATIONS_BYTES_MAX: usize = CONTROL_BYTES_MAX - 1_024;

/// A range takes two numbers of ten bytes; the rest of a stream's entry takes under 64.
const _: () = assert!(COVERAGE_RANGES_MAX * 20 + COVERAGE_STREAMS_MAX * 64 < CONTROL_BYTES_MAX);
const _: () = assert!(HEADS_MAX * 48 < CONTROL_BYTES_MAX);
const _: () = assert!(ORIGIN_WORDS_MAX * (ORIGIN_CAUSE_BYTES_MAX + 48) < CONTROL_BYTES_MAX);

numbered! {
    /// Why a block was not taken.
    pub enum RefusedReason {
        /// The sender may not speak for this origin or one of its sites.
        Scope = 1, "scope";
        /// A checksum or a limit does not hold, or ids are undefined.
        Damaged = 2, "damaged";
        /// Lane 1 has not come as far as the block needs.
        NeedsDefinitions = 3, "needs_definitions";
        /// The origin is above its share.
        Quota = 4, "quota";
        /// A block of lane 1 that does not follow what is held.
        Order = 5, "order";
        /// The disk or the queue above is full.
        Busy = 6, "busy";
        /// A known node with a data directory that is new: a person must adopt it first.
        SecondGeneration = 7, "second_generation";
    }
}

impl RefusedReason {
    /// Whether the same block may be taken later, with nothing changed about it.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::Scope | Self::Damaged => false,
            Self::NeedsDefinitions
            | Self::Quota
            | Self::Order
            | Self::Busy
            | Self::SecondGeneration
            | Self::Other(_) => true,
        }
    }

    /// Whether it ends only when a person does something, so that it is told loudly.
    #[must_use]
    pub fn needs_a_person(self) -> bool {
        !self.is_transient() || self == Self::SecondGeneration
    }

    /// Whether who refuses writes an event: a person is needed, or set the limit.
    #[must_use]
    pub fn is_audited(self) -> bool {
        self.needs_a_person() || self == Self::Quota
    }
}

/// What the acceptor holds durably of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCoverage {
    /// The stream.
    #[serde(with = "wire::stream")]
    pub stream: StreamId,
    /// What is held, or was held and is done with. At most 1,024 ranges.
    #[serde(with = "wire::ranges")]
    pub ranges: SeqRanges,
    /// The highest record held, by which a rolled back disk shows.
    #[serde(with = "wire::head")]
    pub head: Option<HeadMark>,
}

/// Ranges of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRanges {
    /// The stream.
    #[serde(with = "wire::stream")]
    pub stream: StreamId,
    /// Ascending, disjoint.
    #[serde(with = "wire::ranges")]
    pub ranges: SeqRanges,
}

/// How far a stream goes at the dialler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// The stream.
    #[serde(with = "wire::stream")]
    pub stream: StreamId,
    /// Highest seq durable.
    pub highest: Seq,
    /// When it became so, by the dialler's wall clock.
    pub time: WallMs,
}

/// How an origin stands with the dialler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginWord {
    /// Which.
    #[serde(with = "wire::origin")]
    pub origin: OriginId,
    /// Since when, by the clock of the node that saw it.
    pub since: WallMs,
    /// Why there is no way to it, for people; `None`: there is one.
    pub cause: Option<String>,
}

/// A block, or part of one, that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedBlock {
    /// The stream.
    #[serde(with = "wire::stream")]
    pub stream: StreamId,
    /// Its seqs.
    #[serde(with = "wire::range")]
    pub range: SeqRange,
    /// Why.
    pub reason: RefusedReason,
    /// The same for people: what was found and what to do. At most 1,024 bytes are sent.
    pub detail: String,
}

/// A frame of the control stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// Down → up, first.
    Hello(Hello),
    /// Up → down, first.
    Welcome(Welcome),
    /// Up → down, in the place of Welcome; the connection ends with it.
    Refuse {
        /// Why, for programs.
        code: RefuseCode,
        /// Why, for people.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// Up → down, after Welcome: what is held durably. Build it by [`Control::coverage`].
    Coverage(Vec<StreamCoverage>),
    /// Up → down: there is no more coverage to tell; the dialler may send.
    CoverageEnd,
    /// Up → down: newly durable. Build it by [`Control::durable`].
    Durable(Vec<StreamRanges>),
    /// Up → down: a block was refused, for good or for now.
    Refused(RefusedBlock),
    /// Up → down: rate of an origin. `None`: no cap. Zero: no backfill at all.
    Throttle {
        /// Whose blocks.
        origin: OriginId,
        /// Most bytes of its blocks a second.
        bytes_per_second: Option<u64>,
    },
    /// Down → up: how far streams go below. Build it by [`Control::heads`].
    Heads(Vec<StreamHead>),
    /// Down → up: how origins stand with the dialler; each word replaces the last one on its
    /// origin. Build it by [`Control::origins`].
    Origins(Vec<OriginWord>),
    /// Both ways: a signed list, opaque here; at most [`REVOCATIONS_BYTES_MAX`] bytes.
    Revocations(Vec<u8>),
    /// Both ways, last: the sender ends the link on purpose.
    Goodbye {
        /// Why, for people.
        reason: String,
    },
    /// Up → down, between the coverage and its end: what of it is skips alone. Whoever has it whole
    /// may send it. Build it by [`Control::skipped`].
    Skipped(Vec<StreamRanges>),
}

impl Control {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> FrameKind {
        match self {
            Self::Hello(_) => FrameKind::Hello,
            Self::Welcome(_) => FrameKind::Welcome,
            Self::Refuse { .. } => FrameKind::Refuse,
            Self::Coverage(_) => FrameKind::Coverage,
            Self::CoverageEnd => FrameKind::CoverageEnd,
            Self::Durable(_) => FrameKind::Durable,
            Self::Refused(_) => FrameKind::Refused,
            Self::Throttle { .. } => FrameKind::Throttle,
            Self::Heads(_) => FrameKind::Heads,
            Self::Origins(_) => FrameKind::Origins,
            Self::Revocations(_) => FrameKind::Revocations,
            Self::Goodbye { .. } => FrameKind::Goodbye,
            Self::Skipped(_) => FrameKind::Skipped,
        }
    }

    /// Coverage in pieces that each fit a frame, then [`Control::CoverageEnd`].
    #[must_use]
    pub fn coverage(streams: Vec<StreamCoverage>) -> Vec<Self> {
        let mut frames: Vec<Self> = pieces(streams, |one| one.ranges.len())
            .into_iter()
            .map(Self::Coverage)
            .collect();
        frames.push(Self::CoverageEnd);
        frames
    }

    /// Newly durable ranges in pieces that each fit a frame.
    #[must_use]
    pub fn durable(streams: Vec<StreamRanges>) -> Vec<Self> {
        pieces(streams, |one| one.ranges.len())
            .into_iter()
            .map(Self::Durable)
            .collect()
    }

    /// Ranges that are skips alone, in pieces that each fit a frame.
    #[must_use]
    pub fn skipped(streams: Vec<StreamRanges>) -> Vec<Self> {
        pieces(streams, |one| one.ranges.len())
            .into_iter()
            .map(Self::Skipped)
            .collect()
    }

    /// Heads in pieces that each fit a frame.
    #[must_use]
    pub fn heads(streams: &[StreamHead]) -> Vec<Self> {
        streams
            .chunks(HEADS_MAX)
            .map(|piece| Self::Heads(piece.to_vec()))
            .collect()
    }

    /// Words on origins in pieces that each fit a frame.
    #[must_use]
    pub fn origins(words: &[OriginWord]) -> Vec<Self> {
        let pieces = words.chunks(ORIGIN_WORDS_MAX);
        pieces.map(|piece| Self::Origins(piece.to_vec())).collect()
    }
}

/// Splits a list so that no piece passes the limits of streams and ranges. One stream has at most
/// 1,024 ranges (`bus::RANGES_MAX`), so it always fits.
fn pieces<T>(list: Vec<T>, ranges_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut pieces = Vec::new();
    let (mut piece, mut ranges) = (Vec::new(), 0);
    for one in list {
        let more = ranges_of(&one);
        let is_full = piece.len() == COVERAGE_STREAMS_MAX || ranges + more > COVERAGE_RANGES_MAX;
        if is_full && !piece.is_empty() {
            pieces.push(std::mem::take(&mut piece));
            ranges = 0;
        }
        ranges += more;
        piece.push(one);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

const _: () = assert!(ocelli_bus::RANGES_MAX <= COVERAGE_RANGES_MAX);
