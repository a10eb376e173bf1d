//! Names of things on the bus: origins, streams, sequence numbers, entry kinds.
//!
//! Does: hold the identities that blocks, cursors and readers share, with their text forms.
//! Does not: hold decoded payloads (`payload`), assign seqs (the writer).
//! In: numbers from disk or wire. Out: the same, typed, so that two bare `u64` never meet.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The identity of one data directory in one life. Prints as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OriginId(pub u128);

/// Not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no origin; give 32 hexadecimal digits")]
pub struct OriginIdError {
    /// The text as given, cut to 64 characters.
    pub text: String,
}

impl fmt::Display for OriginId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for OriginId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for OriginId {
    type Err = OriginIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten();
        number.map(Self).ok_or_else(|| OriginIdError {
            text: text.chars().take(64).collect(),
        })
    }
}

impl Serialize for OriginId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OriginId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Number of an entry in its stream, from 1 without holes. 0: before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The seq `count` later; stays at the end of numbers.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The seq that follows.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// What an origin's entries are told apart by (design §2). Live and backfill are no lanes of a
/// stream but of a link.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Batches, gaps and what belongs to them.
    #[default]
    Data = 0,
    /// Definitions and plan entries; shipped before everything else.
    Definitions = 1,
}

impl Lane {
    /// Both lanes, by number.
    pub const ALL: [Lane; 2] = [Lane::Data, Lane::Definitions];

    /// The lane with this number on disk.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// The entries of one (origin, lane). Prints as `ORIGIN` for lane 0, `ORIGIN/1` for lane 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct StreamId {
    /// Whose.
    pub origin: OriginId,
    /// Which.
    pub lane: Lane,
}

impl StreamId {
    /// The data stream of an origin.
    #[must_use]
    pub fn data(origin: OriginId) -> Self {
        Self {
            origin,
            lane: Lane::Data,
        }
    }

    /// The definition stream of an origin.
    #[must_use]
    pub fn definitions(origin: OriginId) -> Self {
        Self {
            origin,
            lane: Lane::Definitions,
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lane {
            Lane::Data => fmt::Display::fmt(&self.origin, formatter),
            Lane::Definitions => write!(formatter, "{}/1", self.origin),
        }
    }
}

/// What an entry is, by its number on disk. Unknown ones are carried and counted, never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A slot's data.
    Batch,
    /// A slot range without data, with its cause.
    Gap,
    /// A slot range whose owner died and may still hold the data.
    Pending,
    /// The old owner is done with a device.
    Released,
    /// Session facts and rate state of a device.
    Session,
    /// An enrichment value that changed.
    Enrich,
    /// Something worth knowing.
    Event,
    /// A range of seqs withheld by a forwarding policy.
    Skip,
    /// Lane 1: what ids mean.
    Definition,
    /// Lane 1: who may poll a shard from when on.
    Plan,
    /// Lane 1: the origin's stream is made of others, and how.
    Derivation,
    /// Of a later version.
    Unknown(u8),
}

impl EntryKind {
    /// Every kind that this version knows.
    pub const KNOWN: [EntryKind; 11] = [
        EntryKind::Batch,
        EntryKind::Gap,
        EntryKind::Pending,
        EntryKind::Released,
        EntryKind::Session,
        EntryKind::Enrich,
        EntryKind::Event,
        EntryKind::Skip,
        EntryKind::Definition,
        EntryKind::Plan,
        EntryKind::Derivation,
    ];

    /// The number on disk.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            EntryKind::Batch => 1,
            EntryKind::Gap => 2,
            EntryKind::Pending => 3,
            EntryKind::Released => 4,
            EntryKind::Session => 5,
            EntryKind::Enrich => 6,
            EntryKind::Event => 7,
            EntryKind::Skip => 8,
            EntryKind::Definition => 16,
            EntryKind::Plan => 17,
            EntryKind::Derivation => 18,
            EntryKind::Unknown(number) => number,
        }
    }

    /// The kind with this number on disk.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        let known = Self::KNOWN.iter().find(|kind| kind.number() == number);
        known.copied().unwrap_or(EntryKind::Unknown(number))
    }

    /// The name in records, counters and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Batch => "batch",
            EntryKind::Gap => "gap",
            EntryKind::Pending => "pending",
            EntryKind::Released => "released",
            EntryKind::Session => "session",
            EntryKind::Enrich => "enrich",
            EntryKind::Event => "event",
            EntryKind::Skip => "skip",
            EntryKind::Definition => "definition",
            EntryKind::Plan => "plan",
            EntryKind::Derivation => "derivation",
            EntryKind::Unknown(_) => "unknown",
        }
    }
}

/// An id of lane 1, local to an origin and never used again there. 0 stands for "none".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct DefinitionId(pub u32);

impl DefinitionId {
    /// No definition.
    pub const NONE: DefinitionId = DefinitionId(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_comes_back_from_its_text_and_nothing_else_passes() {
        let origin = OriginId(0x0123_4567_89ab_cdef_0000_0000_0000_00ff);
        assert_eq!(origin.to_string(), "0123456789abcdef00000000000000ff");
        assert_eq!(origin.to_string().parse(), Ok(origin));
        for text in [
            "",
            "12",
            "+123456789abcdef00000000000000ff",
            &"g".repeat(32),
        ] {
            assert!(text.parse::<OriginId>().is_err(), "{text:?}");
        }
        let json = serde_json::to_string(&origin).unwrap();
        assert_eq!(serde_json::from_str::<OriginId>(&json).unwrap(), origin);
    }

    #[test]
    fn every_kind_number_comes_back_known_or_not() {
        for number in 0..=u8::MAX {
            assert_eq!(EntryKind::from_number(number).number(), number);
        }
        assert_eq!(EntryKind::from_number(99), EntryKind::Unknown(99));
    }

    #[test]
    fn a_stream_prints_its_lane_only_if_it_is_not_the_data_lane() {
        let origin = OriginId(1);
        assert_eq!(StreamId::data(origin).to_string().len(), 32);
        assert!(StreamId::definitions(origin).to_string().ends_with("/1"));
    }
}
