//! Unix seconds with a fraction: the timestamps of Panoptes' JSON.
//!
//! Does: hold a finite number of seconds, order it totally, convert from and to milliseconds.
//! Does not: read a clock. In: a number, text of a number (defect D12 of the files in use) or
//! [`WallMs`]. Out: a JSON number in shortest form, never text.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::WallMs;

/// Beyond the year 10,000 in either direction nothing is a time stamp; keeps milliseconds exact.
const SECONDS_MAX: f64 = 253_402_300_800.0;

/// A finite time before the year 10,000 in either direction, seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(transparent)]
pub struct UnixSeconds(f64);

impl UnixSeconds {
    /// `seconds`, or `None` if it is not finite or beyond the year 10,000.
    #[must_use]
    pub fn new(seconds: f64) -> Option<Self> {
        // Adding zero turns −0 into 0, so that equal times are equal bits.
        (seconds.abs() <= SECONDS_MAX).then_some(Self(seconds + 0.0))
    }

    /// Reads decimal text such as `1512629517.03121`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_decimal = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".-+eE".contains(&byte));
        is_decimal.then(|| text.parse().ok().and_then(Self::new))?
    }

    /// The number of seconds.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// To the nearest millisecond.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within 253,402,300,800,000 by `new`"
    )]
    pub fn to_wall(self) -> WallMs {
        WallMs((self.0 * 1_000.0).round() as i64)
    }
}

impl From<WallMs> for UnixSeconds {
    /// Times beyond the year 10,000 become its end.
    fn from(wall: WallMs) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact below 2^53 ms, clamped beyond"
        )]
        let seconds = wall.0 as f64 / 1_000.0;
        Self(seconds.clamp(-SECONDS_MAX, SECONDS_MAX))
    }
}

impl PartialEq for UnixSeconds {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for UnixSeconds {}

impl PartialOrd for UnixSeconds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnixSeconds {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl<'de> Deserialize<'de> for UnixSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Self::new(seconds).ok_or_else(|| {
            let found = serde::de::Unexpected::Float(seconds);
            serde::de::Error::invalid_value(found, &"Unix seconds before the year 10000")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_times_of_this_age_are_taken() {
        let check = |seconds: f64, is_taken: bool| {
            assert_eq!(UnixSeconds::new(seconds).is_some(), is_taken, "{seconds}");
        };
        check(0.0, true);
        check(-1.5, true);
        check(f64::NAN, false);
        check(f64::INFINITY, false);
        check(1e12, false);
        assert!(serde_json::from_str::<UnixSeconds>("1e300").is_err());
    }

    #[test]
    fn text_is_read_only_if_it_is_a_plain_number() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(
                UnixSeconds::parse(text).map(UnixSeconds::get),
                expected,
                "{text:?}"
            );
        };
        check("1512629517.03121", Some(1_512_629_517.031_21));
        check("1512629517", Some(1_512_629_517.0));
        check("", None);
        check("nan", None);
        check("inf", None);
        check("12 ", None);
    }

    #[test]
    fn milliseconds_survive_the_way_there_and_back() {
        for millis in [0, 1, 1_532_023_709_732, -5, 253_402_300_799_999] {
            assert_eq!(UnixSeconds::from(WallMs(millis)).to_wall(), WallMs(millis));
        }
        let text = serde_json::to_string(&UnixSeconds::from(WallMs(1_532_023_709_732))).unwrap();
        assert_eq!(text, "1532023709.732");
    }
}
