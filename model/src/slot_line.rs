//! Slot time: a straight line over boot-time monotonic time, bent gently towards a reference.
//!
//! Does: convert both ways, steer towards the wall clock (of this node, or of the site's leader).
//! Does not: read a clock. In: monotonic now, reference now. Out: [`SlotLine`], swapped whole.
//! Invariant: slot time never steps and never runs back; it gains or loses at most
//! [`SLEW_PPM_MAX`], so a wall clock that jumps neither skips nor repeats a slot.

use crate::clock::{Monotonic, WallMs};
use crate::slot::SlotMs;

/// Most that slot time gains or loses on monotonic time: 0.1 %.
pub const SLEW_PPM_MAX: i64 = 1_000;
/// An error is to be gone after this time, as far as [`SLEW_PPM_MAX`] allows; about ten steers at
/// one a second, so that a single late reading does little.
const CORRECTION_MS: i64 = 10_000;

/// Slot time as a function of monotonic time, from `at` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotLine {
    at: Monotonic,
    /// Nanoseconds: whole milliseconds would lose half of one at each steer.
    slot_nanos: i128,
    slew_ppm: i64,
}

const NANOS_PER_MS: i128 = 1_000_000;

impl SlotLine {
    /// Slot time begins at the reference, but after the last slot on disk.
    #[must_use]
    pub fn begin(now: Monotonic, reference: WallMs, last_on_disk: Option<SlotMs>) -> Self {
        let floor = last_on_disk.map_or(i64::MIN, |last| last.0.saturating_add(1));
        let slot_nanos = i128::from(reference.0.max(floor)) * NANOS_PER_MS;
        Self {
            at: now,
            slot_nanos,
            slew_ppm: 0,
        }
    }

    /// Slot time at `now`; at the line's begin for what lies before it.
    #[must_use]
    pub fn slot_at(&self, now: Monotonic) -> SlotMs {
        let ms = self.nanos_at(now).div_euclid(NANOS_PER_MS);
        SlotMs(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// When slot time reaches `slot`, rounded up so that it has been reached then.
    #[must_use]
    pub fn monotonic_at(&self, slot: SlotMs) -> Monotonic {
        let ahead = (i128::from(slot.0) * NANOS_PER_MS - self.slot_nanos).max(0);
        let speed = i128::from(1_000_000 + self.slew_ppm);
        // One more nanosecond for what `nanos_at` rounds down.
        let nanos = ahead * 1_000_000 / speed + 1;
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        Monotonic(self.at.0.saturating_add(nanos))
    }

    /// The line that goes on from here towards `reference`.
    #[must_use]
    pub fn steer(&self, now: Monotonic, reference: WallMs) -> Self {
        let slot_nanos = self.nanos_at(now);
        let error_nanos = i128::from(reference.0) * NANOS_PER_MS - slot_nanos;
        let wanted = error_nanos / (i128::from(CORRECTION_MS) * NANOS_PER_MS / 1_000_000);
        let limit = i128::from(SLEW_PPM_MAX);
        let slew_ppm = i64::try_from(wanted.clamp(-limit, limit)).unwrap_or(0);
        Self {
            at: now,
            slot_nanos,
            slew_ppm,
        }
    }

    fn nanos_at(&self, now: Monotonic) -> i128 {
        let elapsed = i128::from(now.0.saturating_sub(self.at.0));
        self.slot_nanos + elapsed * i128::from(1_000_000 + self.slew_ppm) / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    proptest! {
        #[test]
        fn slot_time_never_runs_back_nor_faster_than_its_slew(
            steps in prop::collection::vec((1u64..10 * SECOND, -5_000_000i64..5_000_000), 1..60)
        ) {
            let mut now = Monotonic(77 * SECOND);
            let mut line = SlotLine::begin(now, WallMs(1_700_000_000_000), None);
            for (nanos, error_ms) in steps {
                let before = line.slot_at(now);
                now = Monotonic(now.0 + nanos);
                let after = line.slot_at(now);
                let passed_ms = i64::try_from(nanos / 1_000_000).unwrap();
                prop_assert!(after >= before);
                prop_assert!((after.0 - before.0 - passed_ms).abs() <= passed_ms / 1_000 + 2);
                line = line.steer(now, WallMs(after.0 + error_ms));
                prop_assert_eq!(line.slot_at(now), after, "steering does not step");
                let ahead = SlotMs(after.0 + 12_345);
                prop_assert!(line.slot_at(line.monotonic_at(ahead)) >= ahead);
            }
        }
    }

    #[test]
    fn a_clock_behind_the_disk_does_not_repeat_slots() {
        let line = SlotLine::begin(Monotonic(0), WallMs(1_000), Some(SlotMs(5_000)));
        assert_eq!(line.slot_at(Monotonic(SECOND)), SlotMs(6_001));
    }

    #[test]
    fn an_error_of_a_second_is_gone_after_a_thousand() {
        let mut line = SlotLine::begin(Monotonic(0), WallMs(0), None);
        for second in 1..=1_100 {
            let now = Monotonic(second * SECOND);
            line = line.steer(now, WallMs(i64::try_from(second).unwrap() * 1_000 + 1_000));
        }
        let error = 1_100_000 + 1_000 - line.slot_at(Monotonic(1_100 * SECOND)).0;
        assert!(error.abs() <= 5, "{error} ms left");
    }
}
