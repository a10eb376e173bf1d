//! The real clock of a node: boot-time monotonic, wall, and sleeping on the runtime.
//!
//! Does: read the kernel's clocks. Does not: decide anything; decisions take times as arguments.
//! In: nothing. Out: [`RealClock`], shared by all threads. The only place beside `rng` where the
//! world enters without a message.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ocelli_model::clock::{Clock, Monotonic, Sleep, WallMs};
use rustix::time::{ClockId, clock_gettime};

/// The clocks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

impl Clock for RealClock {
    /// `CLOCK_BOOTTIME`: counts while the machine is suspended, so that a lease or a deadline does
    /// not outlive a suspension.
    fn monotonic(&self) -> Monotonic {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Monotonic(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the real clock")]
    fn wall(&self) -> WallMs {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        WallMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        let clock = *self;
        Box::pin(async move {
            // The runtime's timers stand still during a suspension: look again after each.
            loop {
                let left = at.since(clock.monotonic());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(SLEEP_MAX)).await;
            }
        })
    }
}

/// Longest sleep without looking at the clock; bounds how late a sleeper is after a suspension.
const SLEEP_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_after_its_time_and_never_before() {
        let clock = RealClock;
        let at = clock.monotonic().after(Duration::from_millis(3));
        clock.sleep_until(at).await;
        assert!(clock.monotonic() >= at);
        assert!(
            clock.wall() > WallMs(1_600_000_000_000),
            "the wall clock stands before 2020"
        );
    }
}
