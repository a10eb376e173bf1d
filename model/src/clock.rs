//! Where time enters: the trait that the edges implement, and the types that decisions take.
//!
//! Does: name the three clocks apart so that they cannot be mixed. Does not: read any clock;
//! the real one stands in `node`, the simulated one in `tests`.
//! In: nothing. Out: [`Monotonic`] (durations, leases, deadlines) and [`WallMs`] (timestamps).
//! Slot time is a third one: [`crate::slot::SlotMs`].

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Boot-time monotonic clock, nanoseconds. Comparable within one boot of one machine only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// The instant `duration` later, at most the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long after `earlier` this is; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Wall clock: milliseconds since 1970-01-01T00:00:00Z. Sample timestamps follow it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallMs(pub i64);

/// A future that ends at an instant; cancelled by dropping it.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// The clock of a node. One instance serves all threads.
pub trait Clock: Send + Sync + 'static {
    /// Boot-time monotonic now (counts while suspended).
    fn monotonic(&self) -> Monotonic;
    /// Wall clock now; may step.
    fn wall(&self) -> WallMs;
    /// Ends at `at` or at once if that has passed.
    fn sleep_until(&self, at: Monotonic) -> Sleep;
}

/// Chance enters here: jitter of back-offs, request ids, salts, origin ids.
pub trait Rng: Send + 'static {
    /// 64 uniformly distributed bits. Unpredictable where the real one stands (`node`).
    fn next_u64(&mut self) -> u64;
}
