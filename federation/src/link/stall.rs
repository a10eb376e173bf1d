//! Whether a peer that takes bytes takes enough of them to be alive.
//!
//! Does: judge progress while writers wait, as a pure function of time. Does not: read counters.
//! In: bytes written so far, whether a writer waits, now. Out: healthy or stalled.
//! One channel may rightly stand still while a more urgent one uses the whole line, so the
//! judgement is over all streams of a link together.

use ocelli_model::clock::Monotonic;

use super::limits::{STALL_BYTES_MIN, STALL_TIME};

/// Progress of a link since writers began to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StallWatch {
    /// When the present window began and what was written then; `None`: nobody waits.
    since: Option<(Monotonic, u64)>,
}

impl StallWatch {
    /// Takes a look. Answers `true` when the link is to be given up.
    pub(super) fn look(&mut self, written: u64, is_waiting: bool, now: Monotonic) -> bool {
        let Some((began, before)) = self.since.filter(|_| is_waiting) else {
            self.since = is_waiting.then_some((now, written));
            return false;
        };
        if now.since(began) < STALL_TIME {
            return false;
        }
        self.since = Some((now, written));
        written.saturating_sub(before) < STALL_BYTES_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000_000)
    }

    #[test]
    fn a_peer_is_given_up_only_when_it_takes_too_little_while_somebody_waits() {
        // (seconds, bytes written, does a writer wait, given up)
        let check = |name: &str, looks: &[(u64, u64, bool, bool)]| {
            let mut watch = StallWatch::default();
            for (seconds, written, is_waiting, expected) in looks {
                let found = watch.look(*written, *is_waiting, at(*seconds));
                assert_eq!(found, *expected, "{name} at {seconds} s");
            }
        };
        check(
            "nothing taken",
            &[
                (0, 9, true, false),
                (59, 9, true, false),
                (60, 9, true, true),
            ],
        );
        check(
            "one byte a second",
            &[(0, 0, true, false), (60, 60, true, true)],
        );
        check(
            "slow but alive",
            &[(0, 0, true, false), (60, 61_440, true, false)],
        );
        check("idle", &[(0, 5, false, false), (600, 5, false, false)]);
        let pause = [
            (0, 0, true, false),
            (50, 0, false, false),
            (100, 0, true, false),
        ];
        check("a pause begins anew", &pause);
        let later = [
            (0, 0, true, false),
            (60, 90_000, true, false),
            (120, 90_001, true, true),
        ];
        check("alive, then not", &later);
    }
}
