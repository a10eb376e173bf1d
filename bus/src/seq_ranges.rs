//! Ranges of seqs: what of a stream is held, was taken, is on its way.
//!
//! Does: insert, ask, subtract, merge neighbours, fold the oldest holes at the limit.
//! Does not: know streams.
//! In: closed ranges in any order. Out: disjoint, ascending, non-adjacent ranges.
//! Full: beyond [`RANGES_MAX`] the two lowest ranges become one; what lay between counts as taken,
//! and the caller is told, since a reader may then miss it. Whoever must not lie asks
//! [`SeqRanges::touches`] first and refuses.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::record::Seq;
use crate::segment::index::SeqRange;

/// Most ranges of a stream (design §8, "Fairness").
pub const RANGES_MAX: usize = 1_024;

/// A set of seqs. Serialises as `[[first, last], …]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct SeqRanges {
    /// Ascending, disjoint and not adjacent.
    ranges: Vec<SeqRange>,
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
        self.insert_exact(range);
        (self.ranges.len() > RANGES_MAX)
            .then(|| self.fold_lowest())
            .flatten()
    }

    /// As [`Self::insert`] where something else bounds the number of ranges.
    pub(crate) fn insert_exact(&mut self, range: SeqRange) {
        let mut merged = SeqRange {
            first: range.first,
            last: range.last.max(range.first),
        };
        let touched = self.touched(merged);
        if let [lowest, ..] = &self.ranges[touched.clone()] {
            merged.first = merged.first.min(lowest.first);
        }
        if let [.., highest] = &self.ranges[touched.clone()] {
            merged.last = merged.last.max(highest.last);
        }
        self.ranges.splice(touched, [merged]);
    }

    /// As [`Self::insert_all`] where something else bounds the number of ranges.
    pub(crate) fn insert_all_exact(&mut self, other: &Self) {
        for range in other.iter() {
            self.insert_exact(range);
        }
    }

    /// Takes all of `other` in, as [`Self::insert`] does.
    pub fn insert_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.insert(range);
        }
    }

    /// The ranges that `range` overlaps or adjoins.
    fn touched(&self, range: SeqRange) -> Range<usize> {
        let start = self
            .ranges
            .partition_point(|held| held.last.next() < range.first);
        let count = self.ranges[start..].partition_point(|held| held.first <= range.last.next());
        start..start + count
    }

    fn fold_lowest(&mut self) -> Option<SeqRange> {
        let [first, second, ..] = self.ranges[..] else {
            return None;
        };
        self.ranges.remove(0);
        self.ranges[0].first = first.first;
        Some(SeqRange {
            first: first.last.next(),
            last: Seq(second.first.0 - 1),
        })
    }

    /// Whether taking `range` in makes no range more: it overlaps or adjoins one.
    #[must_use]
    pub fn touches(&self, range: SeqRange) -> bool {
        !self.touched(range).is_empty()
    }

    /// Whether `seq` was taken.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        self.contains_all(SeqRange {
            first: seq,
            last: seq,
        })
    }

    /// Whether each seq of `range` was taken.
    #[must_use]
    pub fn contains_all(&self, range: SeqRange) -> bool {
        let at = self
            .ranges
            .partition_point(|held| held.first <= range.first);
        at.checked_sub(1)
            .is_some_and(|at| self.ranges[at].last >= range.last)
    }

    /// Whether each seq of `other` was taken.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|range| self.contains_all(range))
    }

    /// The seqs of `range` that were taken.
    #[must_use]
    pub fn within(&self, range: SeqRange) -> Self {
        let cut = |held: &SeqRange| SeqRange {
            first: held.first.max(range.first),
            last: held.last.min(range.last),
        };
        let start = self.ranges.partition_point(|held| held.last < range.first);
        let cuts = self.ranges[start..].iter().map(cut);
        let ranges = cuts.take_while(|cut| cut.first <= cut.last).collect();
        Self { ranges }
    }

    /// The seqs that are here and not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        for range in self.iter() {
            let mut first = range.first;
            for hole in other.within(range).iter() {
                if first < hole.first {
                    let last = Seq(hole.first.0 - 1);
                    ranges.push(SeqRange { first, last });
                }
                first = hole.last.next();
            }
            // The end of numbers has no successor: what ends there was cut by the last hole.
            let is_cut = other.contains(range.last);
            if first <= range.last && !is_cut {
                let last = range.last;
                ranges.push(SeqRange { first, last });
            }
        }
        Self { ranges }
    }

    /// The lowest seq that was not taken.
    #[must_use]
    pub fn first_missing(&self) -> Seq {
        match self.ranges.first() {
            Some(lowest) if lowest.first.0 <= 1 => lowest.last.next(),
            _ => Seq(1),
        }
    }

    /// The lowest seq taken, if any was.
    #[must_use]
    pub fn lowest(&self) -> Option<Seq> {
        self.ranges.first().map(|range| range.first)
    }

    /// The highest seq taken; 0 if none was.
    #[must_use]
    pub fn highest(&self) -> Seq {
        self.ranges.last().map_or(Seq(0), |range| range.last)
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.ranges.iter().copied()
    }

    /// Number of ranges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Number of seqs.
    #[must_use]
    pub fn count(&self) -> u64 {
        let sum = |sum: u64, range: SeqRange| sum.saturating_add(range.count());
        self.iter().fold(0, sum)
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
        ranges
            .iter()
            .map(|range| (range.first.0, range.last.0))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn both(list: &[(u64, u64)]) -> (SeqRanges, BTreeSet<u64>) {
        let (mut ranges, mut model) = (SeqRanges::default(), BTreeSet::new());
        for (first, more) in list {
            let last = Seq(first + more);
            let first = Seq(*first);
            assert_eq!(ranges.insert(SeqRange { first, last }), None);
            model.extend(first.0..=last.0);
        }
        (ranges, model)
    }

    fn seqs(ranges: &SeqRanges) -> BTreeSet<u64> {
        ranges
            .iter()
            .flat_map(|range| range.first.0..=range.last.0)
            .collect()
    }

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_holds(
            list in proptest::collection::vec((1u64..200, 0u64..20), 0..40)
        ) {
            let (ranges, model) = both(&list);
            for seq in 1..230 {
                prop_assert_eq!(ranges.contains(Seq(seq)), model.contains(&seq), "{}", seq);
            }
            let missing = (1..).find(|seq| !model.contains(seq)).unwrap();
            prop_assert_eq!(ranges.first_missing(), Seq(missing));
            prop_assert_eq!(ranges.count(), model.len() as u64);
            let listed: Vec<_> = ranges.iter().collect();
            prop_assert!(listed.windows(2).all(|pair| pair[0].last.next() < pair[1].first));
            let text = serde_json::to_string(&ranges).unwrap();
            prop_assert_eq!(serde_json::from_str::<SeqRanges>(&text).unwrap(), ranges);
        }

        #[test]
        fn differences_and_cuts_are_those_of_sets(
            one in proptest::collection::vec((1u64..200, 0u64..20), 0..30),
            other in proptest::collection::vec((1u64..200, 0u64..20), 0..30),
            (first, more) in (1u64..200, 0u64..60)
        ) {
            let ((one, of_one), (other, of_other)) = (both(&one), both(&other));
            prop_assert_eq!(seqs(&one.without(&other)), &of_one - &of_other);
            prop_assert_eq!(one.covers(&other), of_other.is_subset(&of_one));
            let range = SeqRange { first: Seq(first), last: Seq(first + more) };
            let cut: BTreeSet<_> = of_one.range(first..=first + more).copied().collect();
            prop_assert_eq!(seqs(&one.within(range)), cut);
            let mut grown = one.clone();
            grown.insert(range);
            prop_assert_eq!(one.touches(range), grown.len() <= one.len());
        }
    }

    #[test]
    fn the_end_of_numbers_is_a_seq_like_others() {
        let end = Seq(u64::MAX);
        let all = SeqRanges::up_to(end);
        let last = SeqRanges::from(vec![(end.0, end.0)]);
        assert_eq!(
            seqs(&SeqRanges::up_to(Seq(3)).without(&all)),
            BTreeSet::new()
        );
        assert!(all.without(&all).is_empty() && last.without(&all).is_empty());
        assert_eq!(all.without(&last), SeqRanges::up_to(Seq(end.0 - 1)));
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
