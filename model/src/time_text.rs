//! Times as people write them in a query: RFC 3339, Unix seconds or milliseconds, so long ago.
//!
//! Does: read them. Does not: read a clock; the time now comes in.
//! In: text. Out: [`WallMs`], or `None` for what is no time.

use crate::clock::WallMs;
use crate::rfc3339::parse_rfc3339;
use crate::units::parse_duration;

/// Numbers above this are milliseconds, not seconds: the year 5138.
const SECONDS_MAX: f64 = 1e11;

/// Reads `2026-01-31T08:00:00Z`, `1532023709.5`, `1532023709500` or `-15m`; `None`: it is no time.
#[must_use]
pub fn parse_time(text: &str, now: WallMs) -> Option<WallMs> {
    if let Some(ago) = text.strip_prefix('-') {
        let ago_ms = parse_duration(ago).ok()?.as_millis();
        return Some(WallMs(now.0.saturating_sub(i64::try_from(ago_ms).ok()?)));
    }
    if let Ok(number) = text.parse::<f64>() {
        let ms = if number < SECONDS_MAX {
            number * 1_000.0
        } else {
            number
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of a float saturates"
        )]
        return number.is_finite().then_some(WallMs(ms as i64));
    }
    parse_rfc3339(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_each_of_their_forms() {
        let now = WallMs(1_800_000_000_000);
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(parse_time(text, now), expected.map(WallMs), "{text}");
        };
        check("-15m", Some(now.0 - 900_000));
        check("1532023709.5", Some(1_532_023_709_500));
        check("1532023709500", Some(1_532_023_709_500));
        check("1970-01-01T00:00:00Z", Some(0));
        check("yesterday", None);
        check("-x", None);
        check("NaN", None);
    }
}
