//! Which segments go: by age once every required reader has passed, by bytes whatever they say.
//!
//! Does: decide. Does not: unlink, write gaps (`retire`).
//! In: [`SegmentFacts`] in the order of their numbers, limits, the time. Out: [`Removal`]s, oldest
//! first. Invariant: what goes is always the oldest part of the log, and never the segment that is
//! written to; so a reader that is not behind the oldest segment has a log without holes. Where
//! several sites share the disk, `shares` decides at the cap instead.

use std::time::Duration;

use ocelli_model::clock::WallMs;

use crate::segment::SegmentNumber;

/// What the decision needs to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    pub(crate) number: SegmentNumber,
    /// When its last block was taken; of an empty one, when it was made.
    pub(crate) last: WallMs,
    pub(crate) file_bytes: u64,
    pub(crate) is_sealed: bool,
    /// Whether every required reader has taken all of its data.
    pub(crate) is_passed: bool,
}

impl SegmentFacts {
    /// Whether it may go by age: nothing is lost with it.
    pub(crate) fn is_done(&self, limits: Limits, now: WallMs) -> bool {
        age(self, now) > limits.retention && self.is_passed
    }
}

/// Settings of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) retention: Duration,
    pub(crate) bytes_max: u64,
}

/// A segment that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) number: SegmentNumber,
    /// Whether something is lost: a required reader had not passed it, or it was younger than the
    /// retention promised. It leaves `Gap(retention)`.
    pub(crate) is_loss: bool,
}

/// Decides what goes now.
pub(crate) fn decide(segments: &[SegmentFacts], limits: Limits, now: WallMs) -> Vec<Removal> {
    let mut bytes: u64 = segments.iter().map(|segment| segment.file_bytes).sum();
    let mut removals = Vec::new();
    for segment in segments {
        let is_done = segment.is_done(limits, now);
        let is_over = bytes > limits.bytes_max;
        if !segment.is_sealed || !(is_done || is_over) {
            break;
        }
        bytes -= segment.file_bytes;
        removals.push(Removal {
            number: segment.number,
            is_loss: !is_done,
        });
    }
    removals
}

/// How long ago its last block was taken; a clock that stepped back makes nothing old.
fn age(segment: &SegmentFacts, now: WallMs) -> Duration {
    let age_ms = u64::try_from(now.0.saturating_sub(segment.last.0)).unwrap_or(0);
    Duration::from_millis(age_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter a segment: `o`ld, `y`oung, capital if passed, `*` not sealed. 10 bytes each.
    fn check(name: &str, segments: &str, bytes_max: u64, expected: &[(u64, bool)]) {
        let facts: Vec<_> = (1..)
            .zip(segments.chars())
            .map(|(number, letter)| SegmentFacts {
                number: SegmentNumber(number),
                last: WallMs(if letter.eq_ignore_ascii_case(&'o') {
                    0
                } else {
                    9_000
                }),
                file_bytes: 10,
                is_sealed: letter != '*',
                is_passed: letter.is_ascii_uppercase(),
            })
            .collect();
        let limits = Limits {
            retention: Duration::from_secs(5),
            bytes_max,
        };
        let found: Vec<_> = decide(&facts, limits, WallMs(10_000))
            .into_iter()
            .map(|removal| (removal.number.0, removal.is_loss))
            .collect();
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn only_old_segments_that_all_have_passed_go_and_at_the_cap_the_oldest_go_anyway() {
        check("nothing", "", 100, &[]);
        check("old and passed", "OOY*", 100, &[(1, false), (2, false)]);
        check("young", "YYY*", 100, &[]);
        check("old but not passed", "ooY*", 100, &[]);
        check("a held one keeps those behind it", "oOO*", 100, &[]);
        check("at the cap a held one is lost", "ooY*", 30, &[(1, true)]);
        check(
            "at the cap a young one is lost",
            "YYY*",
            20,
            &[(1, true), (2, true)],
        );
        check("the open one never goes", "*", 1, &[]);
        check(
            "first by age, then by bytes",
            "OYY*",
            25,
            &[(1, false), (2, true)],
        );
    }

    #[test]
    fn a_clock_that_stepped_back_makes_nothing_old() {
        let segment = SegmentFacts {
            number: SegmentNumber(1),
            last: WallMs(i64::MAX),
            file_bytes: 1,
            is_sealed: true,
            is_passed: true,
        };
        let limits = Limits {
            retention: Duration::ZERO,
            bytes_max: 10,
        };
        assert_eq!(decide(&[segment], limits, WallMs(i64::MIN)), []);
    }
}
