//! How many packets one device may have in flight, and how many it may get per second.
//!
//! Does: grant or refuse one transmission; say when a refused one may be tried again.
//! Does not: queue (`budget` does), know requests or sessions. Pure: time comes in.
//! In: takes and releases. Out: [`Grant`]. Invariant: in flight never passes the limit, and in
//! any span of `n` intervals of the rate at most `n + 1` packets go out.

use std::num::NonZeroU32;

use ocelli_model::clock::Monotonic;

use super::limits::IN_FLIGHT_MAX;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What one device can stand; the sum over all plugins that poll it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadLimit {
    /// Requests without an answer yet, 1 to [`IN_FLIGHT_MAX`]; values outside are pulled in.
    pub in_flight: u8,
    /// Packets sent per second, retries included; `None` is no limit.
    pub packets_per_second: Option<NonZeroU32>,
}

impl Default for LoadLimit {
    fn default() -> Self {
        Self {
            in_flight: 1,
            packets_per_second: None,
        }
    }
}

/// The answer to "may I send one packet now?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Yes; it counts as in flight until released.
    Go,
    /// No: wait until one in flight is released.
    Full,
    /// No: the rate allows the next one then.
    Until(Monotonic),
}

/// The load of one device now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    in_flight: u8,
    in_flight_max: u8,
    /// Nanoseconds between two packets; 0 is no limit.
    interval_nanos: u64,
    /// The next packet may go at this time (generic cell rate algorithm without burst).
    next_at: Monotonic,
}

impl Window {
    /// Nothing in flight, nothing sent yet.
    #[must_use]
    pub(crate) fn new(limit: LoadLimit) -> Self {
        let mut window = Self {
            in_flight: 0,
            in_flight_max: 1,
            interval_nanos: 0,
            next_at: Monotonic::default(),
        };
        window.set_limit(limit);
        window
    }

    /// Holds another limit from now on; what is in flight stays so.
    pub(crate) fn set_limit(&mut self, limit: LoadLimit) {
        self.in_flight_max = limit.in_flight.clamp(1, IN_FLIGHT_MAX);
        self.interval_nanos = limit
            .packets_per_second
            .map_or(0, |rate| NANOS_PER_SECOND / u64::from(rate.get()));
    }

    /// Asks for one place in flight and one packet of the rate.
    pub(crate) fn take(&mut self, now: Monotonic) -> Grant {
        if self.in_flight >= self.in_flight_max {
            return Grant::Full;
        }
        let grant = self.take_packet(now);
        if grant == Grant::Go {
            self.in_flight += 1;
        }
        grant
    }

    /// Asks for one packet of the rate alone: a retry keeps its place in flight.
    pub(crate) fn take_packet(&mut self, now: Monotonic) -> Grant {
        if self.interval_nanos > 0 {
            if now < self.next_at {
                return Grant::Until(self.next_at);
            }
            self.next_at = Monotonic(now.0.saturating_add(self.interval_nanos));
        }
        Grant::Go
    }

    /// Gives one place in flight back.
    pub(crate) fn release(&mut self) {
        debug_assert!(self.in_flight > 0, "released more than was taken");
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Requests without an answer now.
    #[must_use]
    pub(crate) fn in_flight(&self) -> u8 {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(in_flight: u8, rate: u32) -> LoadLimit {
        LoadLimit {
            in_flight,
            packets_per_second: NonZeroU32::new(rate),
        }
    }

    #[test]
    fn the_default_lets_one_packet_in_flight_and_a_release_lets_the_next() {
        let mut window = Window::new(LoadLimit::default());
        assert_eq!(window.take(Monotonic(0)), Grant::Go);
        assert_eq!(window.take(Monotonic(0)), Grant::Full);
        window.release();
        assert_eq!(window.take(Monotonic(0)), Grant::Go);
    }

    #[test]
    fn a_limit_outside_its_range_is_pulled_in() {
        let check = |asked: u8, granted: u8| {
            let mut window = Window::new(limit(asked, 0));
            let count = (0..20)
                .filter(|_| window.take(Monotonic(0)) == Grant::Go)
                .count();
            assert_eq!(count, usize::from(granted), "asked for {asked}");
        };
        check(0, 1);
        check(3, 3);
        check(200, IN_FLIGHT_MAX);
    }

    #[test]
    fn a_refused_packet_learns_when_the_rate_allows_it() {
        let mut window = Window::new(limit(4, 100));
        assert_eq!(window.take(Monotonic(5)), Grant::Go);
        assert_eq!(
            window.take(Monotonic(6)),
            Grant::Until(Monotonic(10_000_005))
        );
        assert_eq!(window.take_packet(Monotonic(10_000_005)), Grant::Go);
        assert_eq!(window.in_flight(), 1, "a retry takes no second place");
    }

    proptest! {
        #[test]
        fn no_second_carries_more_than_the_rate(
            rate in 1u32..500,
            steps in prop::collection::vec(0u64..20_000_000, 1..400),
        ) {
            let mut window = Window::new(limit(1, rate));
            let mut now = 0;
            let mut sent: Vec<u64> = Vec::new();
            for step in steps {
                now += step;
                if window.take(Monotonic(now)) == Grant::Go {
                    window.release();
                    sent.push(now);
                }
            }
            for &start in &sent {
                let in_second = sent.iter().filter(|at| (start..start + NANOS_PER_SECOND)
                    .contains(at)).count();
                prop_assert!(in_second <= rate as usize + 1, "{in_second} > {rate}");
            }
        }
    }
}
