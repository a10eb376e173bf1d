//! Ranges of seqs: what of a stream a reader has taken.
//!
//! Does: insert, ask, merge neighbours, fold the oldest holes at the limit. Does not: know streams.
//! In: closed ranges in any order. Out: disjoint, ascending, non-adjacent ranges.
//! Full: beyond [`RANGES_MAX`] the two lowest ranges become one; what lay between counts as taken,
//! and the caller is told, since a reader may then miss it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Seq;
use crate::segment::index::SeqRange;

/// Most ranges of a stream (design §8, "Fairness").
pub const RANGES_MAX: usize = 1_024;

/// A set of seqs. Serialises as `[[first, last], …]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct SeqRanges {
    /// First to last, disjoint and not adjacent.
    ranges: BTreeMap<u64, u64>,
}

impl SeqRanges {
    /// All seqs from 1 to `last`.
    #[must_use]
    pub fn up_to(last: Seq) -> Self {
        let mut ranges = Self::default();
        if last.0 > 0 {
            ranges.insert(SeqRange {
                first: Seq(1),
                last,
            });
        }
        ranges
    }

    /// Takes a range in. Answers the hole that was given up to stay within [`RANGES_MAX`], if any.
    pub fn insert(&mut self, range: SeqRange) -> Option<SeqRange> {
        let (mut first, mut last) = (range.first.0, range.last.0.max(range.first.0));
        // Each round removes a range, so this ends.
        while let Some((low, high)) = self.ranges.range(..=last.saturating_add(1)).next_back() {
            let (low, high) = (*low, *high);
            if high.saturating_add(1) < first {
                break;
            }
            first = first.min(low);
            last = last.max(high);
            self.ranges.remove(&low);
        }
        self.ranges.insert(first, last);
        (self.ranges.len() > RANGES_MAX)
            .then(|| self.fold_lowest())
            .flatten()
    }

    fn fold_lowest(&mut self) -> Option<SeqRange> {
        let (first, first_end) = self.ranges.pop_first()?;
        let (second, last) = self.ranges.pop_first()?;
        self.ranges.insert(first, last);
        Some(SeqRange {
            first: Seq(first_end + 1),
            last: Seq(second - 1),
        })
    }

    /// Whether `seq` was taken.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        let below = self.ranges.range(..=seq.0).next_back();
        below.is_some_and(|(_, last)| *last >= seq.0)
    }

    /// Whether each seq of `range` was taken.
    #[must_use]
    pub fn contains_all(&self, range: SeqRange) -> bool {
        let below = self.ranges.range(..=range.first.0).next_back();
        below.is_some_and(|(_, last)| *last >= range.last.0)
    }

    /// The lowest seq that was not taken.
    #[must_use]
    pub fn first_missing(&self) -> Seq {
        match self.ranges.first_key_value() {
            Some((first, last)) if *first <= 1 => Seq(last.saturating_add(1)),
            _ => Seq(1),
        }
    }

    /// The highest seq taken; 0 if none was.
    #[must_use]
    pub fn highest(&self) -> Seq {
        Seq(self.ranges.last_key_value().map_or(0, |(_, last)| *last))
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = SeqRange> + '_ {
        let range = |(first, last): (&u64, &u64)| SeqRange {
            first: Seq(*first),
            last: Seq(*last),
        };
        self.ranges.iter().map(range)
    }

    /// Number of ranges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl From<Vec<(u64, u64)>> for SeqRanges {
    fn from(list: Vec<(u64, u64)>) -> Self {
        let mut ranges = Self::default();
        for (first, last) in list {
            ranges.insert(SeqRange {
                first: Seq(first),
                last: Seq(last),
            });
        }
        ranges
    }
}

impl From<SeqRanges> for Vec<(u64, u64)> {
    fn from(ranges: SeqRanges) -> Self {
        ranges.ranges.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_holds(
            list in proptest::collection::vec((1u64..200, 0u64..20), 0..40)
        ) {
            let mut ranges = SeqRanges::default();
            let mut model = BTreeSet::new();
            for (first, more) in list {
                let range = SeqRange { first: Seq(first), last: Seq(first + more) };
                prop_assert_eq!(ranges.insert(range), None);
                model.extend(first..=first + more);
            }
            for seq in 1..230 {
                prop_assert_eq!(ranges.contains(Seq(seq)), model.contains(&seq), "{}", seq);
            }
            let missing = (1..).find(|seq| !model.contains(seq)).unwrap();
            prop_assert_eq!(ranges.first_missing(), Seq(missing));
            let listed: Vec<_> = ranges.iter().collect();
            prop_assert!(listed.windows(2).all(|pair| pair[0].last.next() < pair[1].first));
            let text = serde_json::to_string(&ranges).unwrap();
            prop_assert_eq!(serde_json::from_str::<SeqRanges>(&text).unwrap(), ranges);
        }
    }

    #[test]
    fn the_lowest_hole_is_given_up_at_the_limit_and_named() {
        let mut ranges = SeqRanges::default();
        for number in 1..=RANGES_MAX as u64 {
            let seq = Seq(number * 3);
            assert_eq!(
                ranges.insert(SeqRange {
                    first: seq,
                    last: seq
                }),
                None
            );
        }
        let hole = ranges.insert(SeqRange {
            first: Seq(9_999),
            last: Seq(10_000),
        });
        assert_eq!(
            hole,
            Some(SeqRange {
                first: Seq(4),
                last: Seq(5)
            })
        );
        assert_eq!(ranges.len(), RANGES_MAX);
    }
}
