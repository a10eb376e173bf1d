//! How long this node's disk lasts: by origin and by reader, for `ocelli capacity`.
//!
//! Does: compute rates, ages and forecasts from facts taken at two times. Does not: gather them
//! (`origins`), ask the disk. In: [`OriginFacts`] then and now, [`ReaderFacts`], limits. Out: plain
//! numbers; `None` where they are not known, never a guess.

use std::time::Duration;

use ocelli_model::clock::WallMs;

use crate::origins::OriginFacts;
use crate::record::OriginId;

/// Seconds of a day.
const DAY_SECONDS: f64 = 86_400.0;

/// What a durable cursor has yet to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderFacts {
    /// Its name.
    pub name: String,
    /// Who reads: `uplink`, `peer`, `sink`, `check`.
    pub kind: String,
    /// When this node took the oldest data that the reader has yet to take; `None`: it has all.
    pub oldest: Option<WallMs>,
    /// About how many bytes of held data it has yet to take.
    pub bytes: u64,
}

/// How an origin fills the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginCapacity {
    /// Which.
    pub origin: OriginId,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that come in a day at the present rate; `None` where the origin is new, or the process
    /// began anew between the two times.
    pub bytes_per_day: Option<u64>,
    /// From the oldest to the newest data held.
    pub held: Duration,
}

/// How the disk fills as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// By origin, in the order of the facts.
    pub origins: Vec<OriginCapacity>,
    /// Bytes of all origins a day, of those whose rate is known.
    pub bytes_per_day: u64,
    /// For how long no required reader may take anything before data is lost at `bytes_max`; from
    /// now on, at the present rate. `None` where nothing comes.
    pub full_in: Option<Duration>,
}

/// Computes it from facts of all origins, `elapsed` apart. `bytes_max` is that of the bus.
#[must_use]
pub fn capacity(
    before: &[OriginFacts],
    now: &[OriginFacts],
    elapsed: Duration,
    bytes_max: u64,
) -> Capacity {
    let origins: Vec<_> = now
        .iter()
        .map(|facts| {
            let known = before.iter().find(|known| known.origin == facts.origin);
            let bytes = known.and_then(|it| facts.bytes_taken.checked_sub(it.bytes_taken));
            OriginCapacity {
                origin: facts.origin,
                bytes: facts.bytes,
                bytes_per_day: bytes.and_then(|bytes| per_day(bytes, elapsed)),
                held: held(facts),
            }
        })
        .collect();
    let bytes_per_day = origins.iter().filter_map(|it| it.bytes_per_day).sum();
    let room = bytes_max.saturating_sub(now.iter().map(|facts| facts.bytes).sum());
    Capacity {
        origins,
        bytes_per_day,
        full_in: time_for(room, bytes_per_day),
    }
}

fn held(facts: &OriginFacts) -> Duration {
    let span = facts.last_received.zip(facts.first_received);
    let span_ms = span.map_or(0, |(last, first)| last.0.saturating_sub(first.0));
    Duration::from_millis(u64::try_from(span_ms).unwrap_or(0))
}

fn per_day(bytes: u64, elapsed: Duration) -> Option<u64> {
    let seconds = elapsed.as_secs_f64();
    let rate = bytes as f64 / seconds * DAY_SECONDS;
    // Below the largest whole number that an f64 holds, so the cast is exact enough.
    let is_known = seconds > 0.0 && rate < 9.0e15;
    #[expect(clippy::cast_possible_truncation, reason = "checked one line above")]
    is_known.then_some((rate.round() as i64).unsigned_abs())
}

fn time_for(bytes: u64, bytes_per_day: u64) -> Option<Duration> {
    let days = bytes as f64 / bytes_per_day as f64;
    let is_filling = bytes_per_day > 0;
    let seconds = is_filling.then_some(days * DAY_SECONDS)?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Seq;

    fn facts(
        origin: u128,
        bytes: u64,
        bytes_taken: u64,
        span_ms: Option<(i64, i64)>,
    ) -> OriginFacts {
        OriginFacts {
            origin: OriginId(origin),
            description: None,
            is_own: false,
            bytes,
            bytes_taken,
            first_received: span_ms.map(|(first, _)| WallMs(first)),
            last_received: span_ms.map(|(_, last)| WallMs(last)),
            highest: Seq(9),
            missing: 0,
        }
    }

    #[test]
    fn rates_ages_and_the_time_until_full_follow_from_two_looks() {
        let hour = Duration::from_secs(3_600);
        let before = [facts(1, 500, 1_000, None), facts(2, 50, 700, None)];
        let now = [
            facts(1, 1_500, 2_000, Some((1_000, 61_000))),
            facts(2, 50, 700, Some((9, 9))),
            facts(3, 10, 10, None),
        ];
        let found = capacity(&before, &now, hour, 25_560);
        let rates: Vec<_> = found.origins.iter().map(|it| it.bytes_per_day).collect();
        assert_eq!(rates, [Some(24_000), Some(0), None], "the last one is new");
        assert_eq!(found.origins[0].held, Duration::from_secs(60));
        assert_eq!(found.origins[2].held, Duration::ZERO);
        assert_eq!(found.bytes_per_day, 24_000);
        assert_eq!(found.full_in, Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let hour = Duration::from_secs(3_600);
        let check = |name: &str, before: u64, now: u64, elapsed: Duration, bytes_max: u64| {
            let (before, now) = ([facts(1, 5, before, None)], [facts(1, 5, now, None)]);
            let found = capacity(&before, &now, elapsed, bytes_max);
            (
                name.to_owned(),
                found.origins[0].bytes_per_day,
                found.full_in,
            )
        };
        let none = |name: &str, rate| (name.to_owned(), rate, None);
        assert_eq!(
            check("a restart", 100, 10, hour, 99),
            none("a restart", None)
        );
        let at_once = check("at once", 10, 100, Duration::ZERO, 99);
        assert_eq!(at_once, none("at once", None));
        assert_eq!(check("silence", 10, 10, hour, 99), none("silence", Some(0)));
        let full = check("full", 10, 11, hour, 5);
        assert_eq!(full, ("full".to_owned(), Some(24), Some(Duration::ZERO)));
    }
}
