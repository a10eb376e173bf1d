//! When a crashed actor lives again: jittered back-off, and parking after too many crashes.
//!
//! Does: decide the pause before the next life from the crashes so far. Does not: wait or restart
//! (`supervise`). In: instants of crashes, chance. Out: [`Pause`].
//! Invariant: pauses stay within [`BACKOFF_MIN`] and [`BACKOFF_MAX`] (or are [`PARKED_RETRY`]);
//! the history holds at most [`CRASHES_MAX`] + 1 instants.

use std::collections::VecDeque;
use std::time::Duration;

use ocelli_model::clock::Monotonic;

/// Pause after the first crash: shorter would spin on a cause that is still there.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest pause: a slot of the usual interval.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Crashes in [`CRASH_WINDOW`] that are borne; one more parks the actor.
pub(crate) const CRASHES_MAX: usize = 5;
/// Crashes older than this count no longer.
pub(crate) const CRASH_WINDOW: Duration = Duration::from_secs(60);
/// A parked actor is tried again after this time.
pub(crate) const PARKED_RETRY: Duration = Duration::from_secs(300);
/// Jitter: pauses are this much longer or shorter at most, 1/1000.
const JITTER_PERMILLE: u64 = 250;

const _: () = assert!(BACKOFF_MIN.as_millis() < BACKOFF_MAX.as_millis());
const _: () = assert!(JITTER_PERMILLE < 1_000);

/// What follows a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// A new life after this pause.
    Backoff(Duration),
    /// Too many crashes: refuse all messages, tell the parent, try again after this time.
    Parked(Duration),
}

/// The crashes of one actor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Crashes {
    recent: VecDeque<Monotonic>,
    /// Crashes without a quiet [`CRASH_WINDOW`] between them; the exponent of the back-off.
    in_a_row: u32,
    total: u64,
}

impl Crashes {
    /// Notes a crash at `now`; `chance` is uniform over all 64 bits.
    pub(crate) fn note(&mut self, now: Monotonic, chance: u64) -> Pause {
        let is_quiet = |last: &Monotonic| now.since(*last) > CRASH_WINDOW;
        if self.recent.back().is_none_or(is_quiet) {
            self.in_a_row = 0;
        }
        while self.recent.front().is_some_and(is_quiet) {
            self.recent.pop_front();
        }
        self.total += 1;
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.recent.push_back(now);
        if self.recent.len() > CRASHES_MAX {
            self.recent.clear();
            return Pause::Parked(PARKED_RETRY);
        }
        // 2^20 × 100 ms is far above the ceiling.
        let doubled = BACKOFF_MIN * 2u32.pow((self.in_a_row - 1).min(20));
        let base = doubled.min(BACKOFF_MAX);
        let spread = chance % (2 * JITTER_PERMILLE + 1);
        let permille = u32::try_from(1_000 - JITTER_PERMILLE + spread).unwrap_or(1_000);
        Pause::Backoff((base * permille / 1_000).clamp(BACKOFF_MIN, BACKOFF_MAX))
    }

    /// All crashes ever.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms * 1_000_000)
    }

    /// The middle of the jitter.
    const MIDDLE: u64 = JITTER_PERMILLE;

    #[test]
    fn pauses_double_and_the_sixth_crash_in_a_minute_parks() {
        let mut crashes = Crashes::default();
        let pauses: Vec<_> = (0..6)
            .map(|n| crashes.note(at(n * 1_000), MIDDLE))
            .collect();
        let backoff = |ms| Pause::Backoff(Duration::from_millis(ms));
        let expected = [100, 200, 400, 800, 1_600].map(backoff);
        assert_eq!(pauses[..5], expected);
        assert_eq!(pauses[5], Pause::Parked(PARKED_RETRY));
        assert_eq!(crashes.total(), 6);
    }

    #[test]
    fn a_quiet_minute_forgives() {
        let mut crashes = Crashes::default();
        for n in 0..5 {
            crashes.note(at(n * 100), MIDDLE);
        }
        let after_quiet = crashes.note(at(400 + 60_001), MIDDLE);
        assert_eq!(after_quiet, Pause::Backoff(BACKOFF_MIN));
    }

    proptest! {
        #[test]
        fn pauses_stay_within_their_bounds(
            steps in prop::collection::vec((0u64..30_000, any::<u64>()), 1..200)
        ) {
            let mut crashes = Crashes::default();
            let mut now = 0;
            for (ms, chance) in steps {
                now += ms;
                match crashes.note(at(now), chance) {
                    Pause::Backoff(pause) => {
                        prop_assert!((BACKOFF_MIN..=BACKOFF_MAX).contains(&pause));
                    }
                    Pause::Parked(pause) => prop_assert_eq!(pause, PARKED_RETRY),
                }
                prop_assert!(crashes.recent.len() <= CRASHES_MAX);
            }
        }
    }
}
