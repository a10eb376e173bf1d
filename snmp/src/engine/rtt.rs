//! How long to wait for one device: a time-out that follows its measured round trips.
//!
//! Does: RFC 6298's smoothed mean and deviation, doubling on silence, within a floor and a ceiling.
//! Does not: know packets or deadlines (the caller cuts the wait at the slot's deadline).
//! In: round trips and silences. Out: [`RoundTrip::timeout`]. Each try has its own request id, so
//! a late reply is measured against the try it answers and Karn's rule (RFC 6298 §3) is not needed.

use std::time::Duration;

/// RFC 6298 §2: the time-out is the mean plus this many mean deviations.
const DEVIATIONS: u32 = 4;
/// Doublings kept at most: the ceiling binds long before.
const DOUBLINGS_MAX: u8 = 6;

/// Bounds of the adaptive time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutBounds {
    /// Used until the first round trip is known.
    pub initial: Duration,
    /// Never less: agents pause for a garbage collection or a route update.
    pub floor: Duration,
    /// Never more, doublings included.
    pub ceiling: Duration,
}

impl TimeoutBounds {
    /// Bounds around a configured time-out: a floor of 200 ms (or less if the time-out is), a
    /// ceiling of four time-outs, so that a device slower than configured is still learned.
    #[must_use]
    pub fn around(timeout: Duration) -> Self {
        Self {
            initial: timeout,
            floor: timeout.min(Duration::from_millis(200)),
            ceiling: timeout.saturating_mul(4),
        }
    }
}

impl Default for TimeoutBounds {
    fn default() -> Self {
        Self::around(Duration::from_secs(2))
    }
}

/// The measured round trip of one device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundTrip {
    bounds: TimeoutBounds,
    /// Smoothed mean and mean deviation; `None` before the first reply.
    measured: Option<(Duration, Duration)>,
    doublings: u8,
}

impl RoundTrip {
    /// Nothing measured yet.
    #[must_use]
    pub(crate) fn new(bounds: TimeoutBounds) -> Self {
        Self {
            bounds,
            measured: None,
            doublings: 0,
        }
    }

    /// How long to wait for the next reply.
    #[must_use]
    pub(crate) fn timeout(&self) -> Duration {
        // Before the first answer nothing is known that doubling could correct; answers to any of
        // the tries count, so that slow devices are still heard.
        let Some((mean, deviation)) = self.measured else {
            return self.bounds.initial;
        };
        let base = mean + deviation * DEVIATIONS;
        // The floor comes before the doublings, or a fast device would retry three times within it.
        base.max(self.bounds.floor)
            .saturating_mul(1 << self.doublings)
            .min(self.bounds.ceiling)
    }

    /// The smoothed mean, or `None` before the first reply.
    #[must_use]
    pub(crate) fn mean(&self) -> Option<Duration> {
        self.measured.map(|(mean, _)| mean)
    }

    /// A reply came this long after the try that it answers.
    pub(crate) fn replied(&mut self, round_trip: Duration) {
        self.doublings = 0;
        self.measured = Some(match self.measured {
            None => (round_trip, round_trip / 2),
            Some((mean, deviation)) => {
                let error = mean.abs_diff(round_trip);
                ((mean * 7 + round_trip) / 8, (deviation * 3 + error) / 4)
            }
        });
    }

    /// A try was not answered in time.
    pub(crate) fn timed_out(&mut self) {
        self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_wait_is_the_configured_one_whatever_the_silence() {
        let mut round_trip = RoundTrip::new(TimeoutBounds::around(ms(500)));
        round_trip.timed_out();
        assert_eq!(round_trip.timeout(), ms(500));
    }

    #[test]
    fn silence_of_a_known_device_doubles_the_wait_up_to_the_ceiling() {
        let mut round_trip = RoundTrip::new(TimeoutBounds::around(ms(500)));
        for _ in 0..50 {
            round_trip.replied(ms(450));
        }
        let mut waits = Vec::new();
        for _ in 0..4 {
            waits.push(round_trip.timeout());
            round_trip.timed_out();
        }
        assert_eq!(waits[1], waits[0] * 2);
        assert_eq!(waits[2..], [waits[0] * 4, ms(2_000)]);
    }

    #[test]
    fn a_device_at_800_ms_needs_no_retry_from_its_third_slot() {
        let mut round_trip = RoundTrip::new(TimeoutBounds::around(ms(500)));
        round_trip.timed_out();
        round_trip.replied(ms(800));
        round_trip.replied(ms(810));
        assert!(round_trip.timeout() > ms(900), "{:?}", round_trip.timeout());
    }

    #[test]
    fn a_fast_steady_device_waits_the_floor_and_not_less() {
        let mut round_trip = RoundTrip::new(TimeoutBounds::default());
        for _ in 0..50 {
            round_trip.replied(ms(1));
        }
        assert_eq!(round_trip.timeout(), ms(200));
    }

    proptest! {
        #[test]
        fn the_wait_stays_within_its_bounds(events in prop::collection::vec(
            prop_oneof![Just(None), (0u64..100_000).prop_map(Some)], 0..200,
        )) {
            let bounds = TimeoutBounds::default();
            let mut round_trip = RoundTrip::new(bounds);
            for event in events {
                match event {
                    None => round_trip.timed_out(),
                    Some(millis) => round_trip.replied(ms(millis)),
                }
                prop_assert!(round_trip.timeout() >= bounds.floor);
                prop_assert!(round_trip.timeout() <= bounds.ceiling);
            }
        }
    }
}
