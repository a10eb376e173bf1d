//! What benches of the bus share: the real clock, numbers that are the same in each run, CPU time.
//!
//! Does: answer the bus's questions of the world. Does not: measure or pace; nobody sleeps by this
//! clock. In: nothing. Out: [`RealClock`], [`FixedRng`], [`cpu`].

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench reads real clocks; a failure is the report"
)]

use std::time::{Duration, Instant};

use ocelli_model::clock::{Clock, Monotonic, Rng, Sleep, WallMs};
use rustix::time::{ClockId, clock_gettime};

/// Begins at a fixed time of the wall, so that all runs write alike.
pub(crate) struct RealClock(Instant);

impl RealClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for RealClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }

    fn wall(&self) -> WallMs {
        WallMs(1_700_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }

    fn sleep_until(&self, _at: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }
}

/// The same numbers in each run.
pub(crate) struct FixedRng(pub(crate) u64);

impl Rng for FixedRng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0
    }
}

/// Time that the processor gave to this thread or process.
pub(crate) fn cpu(of: ClockId) -> Duration {
    clock_gettime(of).try_into().unwrap()
}
