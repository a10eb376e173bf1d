//! Table of contents of `frame`: what stands on a stream between two nodes.
//!
//! Does: frames, their numbers, limits, codec, and which version two neighbours speak. Does not:
//! streams, sockets, certificates (`link`, `identity`).
//! In: values, or bytes of a stream. Out: bytes, or values that keep their limits. The format is
//! described for other implementers in `federation/PROTOCOL.md`.

mod codec;
mod control;
mod hello;
mod kind;
mod number;
mod request;
mod version;
mod wire;

pub use codec::{
    FrameError, FrameHead, HEAD_BYTES, decode_control, decode_request, decode_trailer,
    encode_control, encode_head, encode_request, encode_trailer,
};
pub use control::{
    COVERAGE_RANGES_MAX, COVERAGE_STREAMS_MAX, Control, HEADS_MAX, ORIGIN_CAUSE_BYTES_MAX,
    ORIGIN_WORDS_MAX, OriginWord, REVOCATIONS_BYTES_MAX, RefusedBlock, RefusedReason,
    StreamCoverage, StreamHead, StreamRanges,
};
pub use hello::{Hello, RefuseCode, Role, Welcome};
pub use kind::{CONTROL_BYTES_MAX, FRAME_BYTES_MAX, FrameKind};
pub use request::{Request, RequestKind, Trailer};
pub use version::{FEATURES, Features, Incompatible, PROTOCOL, VersionRange};

use bytes::Bytes;

/// One of the three long-lived one-way streams for blocks, dialler → acceptor.
///
/// Order within a channel is kept, between channels nothing is; the lower number goes first where
/// the wire is the bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Channel {
    /// Lane 1 of all origins.
    Definitions = 1,
    /// Blocks as they become durable.
    Live = 2,
    /// Blocks that were missed.
    Backfill = 3,
}

impl Channel {
    /// All channels, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Definitions, Self::Live, Self::Backfill];

    /// Its number: the first byte of its stream.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Place in [`Channel::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.number()) - 1
    }

    /// The channel with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Definitions => "definitions",
            Self::Live => "live",
            Self::Backfill => "backfill",
        }
    }
}

/// What a link hands to its user: a frame, and on which stream it came.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A bus block, untouched; the link has checked its size, nothing else.
    Block {
        /// The stream that carried it.
        channel: Channel,
        /// The bytes.
        block: Bytes,
    },
    /// From the control stream.
    Control(Control),
}

#[cfg(test)]
mod golden_tests;
