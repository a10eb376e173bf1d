//! When the disk will be full: so that it is seen coming.
//!
//! Does: measure the rate of appending, extrapolate it against free space, cap and retention.
//! Does not: ask the disk (`keeper`), act.
//! In: bytes appended so far, at some time. Out: seconds until full, or `None` where the cap or the
//! age of retention comes first.

use std::time::Duration;

use ocelli_model::clock::Monotonic;

use crate::options::BusOptions;

/// Over how long the rate is measured before it is believed, and then taken anew.
const WINDOW: Duration = Duration::from_secs(60);

/// Rate of appending.
#[derive(Debug, Default)]
pub(crate) struct AppendRate {
    since: Option<(Monotonic, u64)>,
    bytes_per_second: Option<f64>,
}

impl AppendRate {
    /// Takes in how many bytes were appended so far. Answers the rate of the last whole window.
    pub(crate) fn observe(&mut self, now: Monotonic, bytes: u64) -> Option<f64> {
        let (since, before) = *self.since.get_or_insert((now, bytes));
        let elapsed = now.since(since);
        if elapsed >= WINDOW {
            let appended = bytes.saturating_sub(before) as f64;
            self.bytes_per_second = Some(appended / elapsed.as_secs_f64());
            self.since = Some((now, bytes));
        }
        self.bytes_per_second
    }
}

/// Seconds until `free_bytes` are used up at that rate, if neither the cap nor the age of retention
/// stops the growth before.
pub(crate) fn full_in_seconds(
    bytes_per_second: f64,
    held_bytes: u64,
    free_bytes: u64,
    options: &BusOptions,
) -> Option<u64> {
    let by_age = bytes_per_second * options.retention.as_secs_f64();
    let most = by_age.min(options.bytes_max as f64);
    let growth = most - held_bytes as f64;
    let room = free_bytes.saturating_sub(options.spare_space_bytes) as f64;
    if bytes_per_second <= 0.0 || growth <= room {
        return None;
    }
    let seconds = Duration::try_from_secs_f64(room / bytes_per_second).ok()?;
    Some(seconds.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_disk_that_fills_before_retention_helps_is_forecast() {
        let options = BusOptions {
            retention: Duration::from_secs(1_000),
            bytes_max: 5_000 * MIB,
            spare_space_bytes: 0,
            ..BusOptions::default()
        };
        let check = |name: &str, rate: u64, held: u64, free: u64, expected| {
            let found = full_in_seconds((rate * MIB) as f64, held * MIB, free * MIB, &options);
            assert_eq!(found, expected, "{name}");
        };
        check("nothing is written", 0, 10, 1, None);
        check("age stops it", 1, 500, 600, None);
        check("age comes too late", 1, 500, 400, Some(400));
        check("the cap stops it", 100, 4_000, 1_500, None);
        check("the cap comes too late", 100, 4_000, 500, Some(5));
    }

    #[test]
    fn the_rate_is_that_of_whole_windows() {
        let mut rate = AppendRate::default();
        let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
        assert_eq!(rate.observe(at(0), 1_000), None);
        assert_eq!(rate.observe(at(30), 9_000), None, "too early");
        assert_eq!(rate.observe(at(60), 7_000), Some(100.0));
        assert_eq!(
            rate.observe(at(61), 99_000),
            Some(100.0),
            "until the next window ends"
        );
    }
}
