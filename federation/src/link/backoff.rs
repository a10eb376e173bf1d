//! How long to wait before dialling again.
//!
//! Does: double from 100 ms to 10 s, with jitter, as a pure function. Does not: sleep, or draw.
//! In: attempts that failed in a row, 64 random bits. Out: a pause between half and all of its
//! step, so that neighbours that lost the same link do not come back at one instant.

use std::time::Duration;

/// The first step.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// No step is longer: after an outage of any length a node that is back has all its neighbours
/// within this and one handshake, of which a node takes hundreds a second.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Doublings after which the longest step is reached for certain.
const DOUBLINGS_MAX: u32 = 9;

/// The pause after `failures` failed attempts in a row.
#[must_use]
pub fn backoff(failures: u32, random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
    let step = (BACKOFF_MIN * (1 << doublings)).min(BACKOFF_MAX);
    let half = step / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    half + Duration::from_nanos(random % nanos.max(1))
}

const _: () = assert!(BACKOFF_MIN.as_millis() << DOUBLINGS_MAX >= BACKOFF_MAX.as_millis());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_from_100_ms_to_10_s_and_jitter_takes_at_most_half() {
        let steps = [
            (0, 100),
            (1, 100),
            (2, 200),
            (3, 400),
            (7, 6_400),
            (8, 10_000),
        ];
        for (failures, ms) in steps.into_iter().chain([(u32::MAX, 10_000)]) {
            let step = Duration::from_millis(ms);
            for random in [0, 1, 12_345_678_901, u64::MAX] {
                let pause = backoff(failures, random);
                let is_within = pause >= step / 2 && pause < step;
                assert!(is_within, "{failures} failures, {random}: {pause:?}");
            }
        }
        assert_ne!(backoff(5, 1), backoff(5, 1 << 20));
    }
}
