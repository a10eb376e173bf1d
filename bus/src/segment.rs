//! Segments: the files of the log, each of one writer, 64 MiB long, frames behind a header.
//!
//! Does: name the parts (`header`, `frame`, `footer`), read a file back (`scan`), know what is in
//! which file (`index`). Does not: append or sync (`writer`), decide what goes (`retention`).
//! In: bytes of unknown honesty. Out: what of them is valid, and where the rest begins.

pub(crate) mod footer;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod index;
pub(crate) mod scan;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Length of a segment when it is opened, bytes; a sealed one is cut to what it holds.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Distance of two entries of the sparse index, bytes.
pub const INDEX_STEP_BYTES: u64 = 256 * 1024;

/// Number of a segment in its data directory, from 1, never used again.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    /// The number that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// A place in the log of one data directory: where a frame begins, or where the next one will.
/// Ordered as the frames were written. Means nothing on another node.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LogPosition {
    /// Which file.
    pub segment: SegmentNumber,
    /// Offset in it, bytes.
    pub offset: u64,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.segment, self.offset)
    }
}
