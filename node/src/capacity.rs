//! How long the disk holds what comes in, and what outage above it can bridge.
//!
//! Does: turn bytes, times and limits into hours and seconds. Does not: read the bus, change
//! retention (`http::nodes` and `bus` do).
//! In: what is held of an origin, the limits. Out: [`OriginOutlook`],
//! [`NodeOutlook`]. Pure: rates come from what is held, or from what came since the start while too
//! little is held to tell.

mod idle;
mod warning;

use std::time::Duration;

use ocelli_model::clock::WallMs;

pub use idle::{IdleNews, IdleWatch, holds};
pub use warning::{Backlog, CapacityNews, CapacityWatch, Room, WARN_BEFORE, loss_in};

/// A shorter span of held data says little about a day.
const SPAN_MIN: Duration = Duration::from_secs(60);
/// Seconds of a day.
pub const SECONDS_A_DAY: f64 = 86_400.0;
const MS_A_HOUR: f64 = 3_600_000.0;

/// What is held of an origin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that came since the process began.
    pub bytes_taken: u64,
    /// When the oldest held block came.
    pub first: Option<WallMs>,
    /// When the newest came.
    pub last: Option<WallMs>,
}

/// What bounds the disk.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `bus.bytes_max`.
    pub bytes_max: u64,
    /// `bus.cursor_idle_max`: a reader silent for longer no longer holds segments.
    pub cursor_idle_max: Duration,
    /// `bus.retention`.
    pub retention: Duration,
    /// Bytes free in the file system.
    pub free_bytes: u64,
}

/// What can be said of one origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OriginOutlook {
    /// Bytes that it writes in a day at its present rate; `None`: not known yet.
    pub bytes_per_day: Option<f64>,
    /// Hours of its data that are held.
    pub hours_held: f64,
}

/// What can be said of the node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeOutlook {
    /// Bytes that all origins write in a day; `None`: not known yet.
    pub bytes_per_day: Option<f64>,
    /// Bytes that segments may take at most: the cap, or what the disk has.
    pub bytes_max: u64,
    /// Seconds until that is used up at the present rate, if no reader freed anything any more.
    pub full_in_s: Option<u64>,
    /// Seconds that an upstream may be away before data is lost to it, if it is up to date now.
    pub outage_s: Option<u64>,
}

/// The outlook of an origin, `uptime` after the process began.
#[must_use]
pub fn origin_outlook(held: Held, uptime: Duration) -> OriginOutlook {
    let span_ms = match (held.first, held.last) {
        (Some(first), Some(last)) => last.0.saturating_sub(first.0).max(0),
        _ => 0,
    };
    let span = Duration::from_millis(span_ms.unsigned_abs());
    let per_day = |bytes: u64, of: Duration| {
        (of >= SPAN_MIN).then(|| bytes as f64 / of.as_secs_f64() * SECONDS_A_DAY)
    };
    OriginOutlook {
        bytes_per_day: per_day(held.bytes, span).or_else(|| per_day(held.bytes_taken, uptime)),
        hours_held: span_ms as f64 / MS_A_HOUR,
    }
}

/// The outlook of the node that holds these.
#[must_use]
pub fn node_outlook(origins: &[Held], uptime: Duration, limits: Limits) -> NodeOutlook {
    let held: u64 = origins.iter().map(|origin| origin.bytes).sum();
    let rates = origins
        .iter()
        .filter_map(|held| origin_outlook(*held, uptime).bytes_per_day);
    let bytes_per_day: f64 = rates.sum();
    let bytes_max = limits.bytes_max.min(held.saturating_add(limits.free_bytes));
    let seconds_for = |bytes: u64| {
        let seconds = bytes as f64 / bytes_per_day * SECONDS_A_DAY;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let bridged = seconds_for(bytes_max).map(|full| full.min(limits.cursor_idle_max));
    NodeOutlook {
        bytes_per_day: (bytes_per_day > 0.0).then_some(bytes_per_day),
        bytes_max,
        full_in_s: seconds_for(bytes_max.saturating_sub(held)).map(|full| full.as_secs()),
        outage_s: bridged.map(|bridged| bridged.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY: Duration = Duration::from_secs(86_400);

    fn held(bytes: u64, hours: i64) -> Held {
        Held {
            bytes,
            bytes_taken: bytes,
            first: Some(WallMs(0)),
            last: Some(WallMs(hours * HOUR_MS)),
        }
    }

    fn limits(bytes_max: u64, free_bytes: u64) -> Limits {
        Limits {
            bytes_max,
            cursor_idle_max: DAY,
            retention: Duration::from_secs(6 * 3_600),
            free_bytes,
        }
    }

    #[test]
    fn the_rate_is_that_of_what_is_held_or_else_of_what_came() {
        let check = |held: Held, uptime: u64, expected: (Option<f64>, f64)| {
            let outlook = origin_outlook(held, Duration::from_secs(uptime));
            let got = (outlook.bytes_per_day, outlook.hours_held);
            assert_eq!(got, expected, "{held:?}");
        };
        check(held(1_000, 6), 10, (Some(4_000.0), 6.0));
        let new = Held {
            bytes_taken: 500,
            ..Held::default()
        };
        check(new, 43_200, (Some(1_000.0), 0.0));
        check(new, 10, (None, 0.0));
        check(held(1_000, -6), 10, (None, 0.0));
    }

    #[test]
    fn an_outage_is_bridged_until_the_disk_is_full_or_the_cursor_too_old() {
        let check = |bytes_max, free, expected: (Option<u64>, Option<u64>)| {
            let outlook = node_outlook(&[held(1_000, 12)], DAY, limits(bytes_max, free));
            assert_eq!(
                (outlook.full_in_s, outlook.outage_s),
                expected,
                "{bytes_max} {free}"
            );
        };
        // 2,000 bytes a day, 1,000 of them held.
        check(2_000, 1_000_000, (Some(43_200), Some(86_400)));
        check(1_500, 1_000_000, (Some(21_600), Some(64_800)));
        check(1_000_000, 500, (Some(21_600), Some(64_800)));
        check(1_000_000, 1_000_000, (Some(43_156_800), Some(86_400)));
    }

    #[test]
    fn without_a_rate_nothing_is_foretold() {
        let outlook = node_outlook(&[], DAY, limits(1_000, 1_000));
        assert_eq!(outlook.bytes_per_day, None);
        assert_eq!((outlook.full_in_s, outlook.outage_s), (None, None));
    }
}
