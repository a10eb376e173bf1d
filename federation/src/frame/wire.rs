//! Compact and checked forms of the bus's types inside frames.
//!
//! Does: write origins as numbers, lists with a ceiling, ranges ascending and disjoint, and refuse
//! anything else while reading, before memory is spent on it. Does not: know frames.
//! In: serde streams of bincode. Out: values that keep their type's invariants.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A sequence of at most `MAX` elements.
pub(super) fn bounded<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let claimed = list.size_hint().unwrap_or(0);
            if claimed > MAX {
                return Err(A::Error::invalid_length(claimed, &self));
            }
            let mut values = Vec::with_capacity(claimed);
            while let Some(value) = list.next_element()? {
                if values.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                values.push(value);
            }
            Ok(values)
        }
    }

    deserializer.deserialize_seq(Bounded::<T, MAX>(PhantomData))
}

/// An origin as one number.
pub(super) mod origin {
    use super::*;
    use ocelli_bus::record::OriginId;

    pub(in super::super) fn serialize<S: Serializer>(
        origin: &OriginId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u128(origin.0)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<OriginId, D::Error> {
        u128::deserialize(deserializer).map(OriginId)
    }
}

/// A stream as (origin, lane's number).
pub(super) mod stream {
    use super::*;
    use ocelli_bus::record::{Lane, OriginId, StreamId};

    pub(in super::super) fn serialize<S: Serializer>(
        stream: &StreamId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (stream.origin.0, stream.lane as u8).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<StreamId, D::Error> {
        let (origin, lane) = <(u128, u8)>::deserialize(deserializer)?;
        let lane = Lane::from_number(lane).ok_or_else(|| D::Error::custom("unknown lane"))?;
        Ok(StreamId {
            origin: OriginId(origin),
            lane,
        })
    }
}

/// A range as (first, last), from 1, not upside down.
pub(super) mod range {
    use super::*;
    use ocelli_bus::SeqRange;
    use ocelli_bus::record::Seq;

    pub(in super::super) fn serialize<S: Serializer>(
        range: &SeqRange,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (range.first.0, range.last.0).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SeqRange, D::Error> {
        let (first, last) = <(u64, u64)>::deserialize(deserializer)?;
        if first == 0 || last < first {
            return Err(D::Error::custom("range is empty or upside down"));
        }
        Ok(SeqRange {
            first: Seq(first),
            last: Seq(last),
        })
    }
}

/// Ranges as pairs: ascending, disjoint, not adjacent, as many as a set may have.
pub(super) mod ranges {
    use super::*;
    use ocelli_bus::{RANGES_MAX, SeqRanges};

    pub(in super::super) fn serialize<S: Serializer>(
        ranges: &SeqRanges,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let pairs = ranges.iter().map(|range| (range.first.0, range.last.0));
        serializer.collect_seq(pairs.collect::<Vec<_>>())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SeqRanges, D::Error> {
        // More than the set holds would be folded there: holes would count as taken.
        let pairs = bounded::<D, (u64, u64), RANGES_MAX>(deserializer)?;
        let mut floor = 0;
        for (first, last) in &pairs {
            if *first <= floor || last < first {
                return Err(D::Error::custom("ranges are not ascending and apart"));
            }
            floor = last.saturating_add(1);
        }
        Ok(SeqRanges::from(pairs))
    }
}

/// A head mark as (seq, first seq of its block, checksum).
pub(super) mod head {
    use super::*;
    use ocelli_bus::HeadMark;
    use ocelli_bus::record::Seq;

    pub(in super::super) fn serialize<S: Serializer>(
        head: &Option<HeadMark>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let fields = head.map(|head| (head.seq.0, head.block_first.0, head.checksum));
        fields.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<HeadMark>, D::Error> {
        let fields = <Option<(u64, u64, u32)>>::deserialize(deserializer)?;
        Ok(fields.map(|(seq, block_first, checksum)| HeadMark {
            seq: Seq(seq),
            block_first: Seq(block_first),
            checksum,
        }))
    }
}

/// Numbered facts of later versions, few of them.
pub(super) mod extensions {
    use super::*;
    use crate::frame::hello::EXTENSIONS_MAX;

    type Extensions = Vec<(u16, Vec<u8>)>;

    pub(in super::super) fn serialize<S: Serializer>(
        extensions: &Extensions,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        extensions.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Extensions, D::Error> {
        bounded::<D, (u16, Vec<u8>), EXTENSIONS_MAX>(deserializer)
    }
}
