//! How long to wait before a node is dialled again.
//!
//! Does: double from [`PAUSE_MIN`] to [`PAUSE_MAX`], spread clients by what is theirs alone.
//! Does not: wait, draw lots. In: attempts, a number of this client. Out: a duration.

use std::time::Duration;

/// Before the second attempt.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause: an outage of hours costs two dials a minute.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Doublings until the longest.
const DOUBLINGS_MAX: u32 = 7;
/// Pauses are between three and five quarters of the step.
const SPREAD: u64 = 512;

/// The pause after `failures` attempts in a row that brought nothing; the first is free.
pub(crate) fn pause(failures: u32, own: u64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let step = PAUSE_MIN * (1 << doublings.min(DOUBLINGS_MAX));
    let own = own
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(failures);
    let spread = u32::try_from(own % SPREAD).unwrap_or(0);
    (step * (768 + spread) / 1_024).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_ceiling_and_differ_between_clients() {
        assert_eq!(pause(0, 7), Duration::ZERO);
        let mut last = Duration::ZERO;
        for failures in 1..7 {
            let now = pause(failures, 7);
            assert!(now > last, "{failures}: {now:?}");
            assert!(now >= PAUSE_MIN * 3 / 4 && now <= PAUSE_MAX, "{now:?}");
            last = now;
        }
        assert!(pause(u32::MAX, 7) <= PAUSE_MAX);
        let pauses: std::collections::BTreeSet<_> = (0..20).map(|own| pause(3, own)).collect();
        assert!(pauses.len() > 15, "{pauses:?}");
    }
}
