//! Durations and sizes as people write them: `1h30m`, `250ms`, `64MiB`.
//!
//! Does: parse both forms with errors that say what to write instead, print them back so that
//! reading gives the same value, and lend both to serde. Does not: know what a setting allows.
//! In: text, or a bare integer (seconds; bytes). Out: [`Duration`], `u64` bytes.
//! Fractions are refused: `1.5s` is `1s500ms`, and nothing is rounded in silence.

use std::time::Duration;

/// No honest duration or size is longer; what is longer is not quoted back.
const TEXT_BYTES_MAX: usize = 64;

/// Units of a duration in nanoseconds, largest first: the order in which they are written.
const DURATION_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// What people write instead of the units above.
const DURATION_ALIASES: [(&str, &str); 24] = [
    ("days", "d"),
    ("day", "d"),
    ("hours", "h"),
    ("hour", "h"),
    ("hrs", "h"),
    ("hr", "h"),
    ("minutes", "m"),
    ("minute", "m"),
    ("mins", "m"),
    ("min", "m"),
    ("seconds", "s"),
    ("second", "s"),
    ("secs", "s"),
    ("sec", "s"),
    ("milliseconds", "ms"),
    ("millisecond", "ms"),
    ("millis", "ms"),
    ("msec", "ms"),
    ("msecs", "ms"),
    ("microseconds", "us"),
    ("usec", "us"),
    ("µs", "us"),
    ("nanoseconds", "ns"),
    ("nanos", "ns"),
];

/// Units of a size in bytes, largest first.
const SIZE_UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

// === Errors ===

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Empty, too long, or not numbers with units.
    #[error("{text:?} is no duration; write it as 30s, 5m, 250ms or 1h30m")]
    Malformed {
        /// The text, cut if it was long.
        text: String,
    },
    /// A fraction or a sign.
    #[error("{text:?} is no duration: only whole numbers; write 1.5s as 1s500ms")]
    NotWhole {
        /// The text as given.
        text: String,
    },
    /// A number inside a compound without a unit, as in `1h30`.
    #[error("{text:?} is no duration: {number} has no unit; did you mean {number}{suggestion}?")]
    NoUnit {
        /// The text as given.
        text: String,
        /// The bare number.
        number: String,
        /// The next smaller unit than the one before.
        suggestion: &'static str,
    },
    /// A unit that does not exist.
    #[error("{text:?} is no duration: unit {unit:?} is unknown{}; units are d h m s ms us ns",
        crate::suggest::did_you_mean(suggestion.as_deref()))]
    UnknownUnit {
        /// The text as given.
        text: String,
        /// The unit as written.
        unit: String,
        /// The whole text with the unit meant, if it can be guessed.
        suggestion: Option<String>,
    },
    /// `30m1h` or `1m1m`.
    #[error("{text:?} is no duration: units go from large to small, each once, as in 1d2h30m")]
    Disordered {
        /// The text as given.
        text: String,
    },
    /// Beyond 2^64 seconds.
    #[error("duration {text:?} is too long to count; the longest is about 200000000000000d")]
    TooLong {
        /// The text as given.
        text: String,
    },
}

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// Empty, too long, or not one number and one unit.
    #[error("{text:?} is no size; write it as 64MiB, 512KiB or a number of bytes")]
    Malformed {
        /// The text, cut if it was long.
        text: String,
    },
    /// A unit that does not exist; decimal ones (`MB`) are refused because people mean both.
    #[error("{text:?} is no size: unit {unit:?} is unknown{}; units are B KiB MiB GiB TiB",
        crate::suggest::did_you_mean(suggestion.as_deref()))]
    UnknownUnit {
        /// The text as given.
        text: String,
        /// The unit as written.
        unit: String,
        /// The whole text with the unit meant, if it can be guessed.
        suggestion: Option<String>,
    },
    /// 2^64 bytes or more.
    #[error("size {text:?} is 16 EiB or more; the largest is 16777215TiB")]
    TooLarge {
        /// The text as given.
        text: String,
    },
}

// === Durations ===

/// Reads `30s`, `5m`, `250ms`, `1h30m`, or a bare integer of seconds. Blanks around are ignored.
///
/// # Errors
/// [`DurationError`], whose text says what to write instead.
///
/// ```
/// # use ocelli_model::units::parse_duration;
/// assert_eq!(parse_duration("1h30m")?.as_secs(), 5_400);
/// assert_eq!(parse_duration("90")?.as_secs(), 90);
/// # Ok::<(), ocelli_model::units::DurationError>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(DurationError::Malformed { text: quoted(text) });
    }
    let owned = || text.to_owned();
    if text.starts_with(['-', '+']) || text.contains(['.', ',']) {
        return Err(DurationError::NotWhole { text: owned() });
    }
    let too_long = || DurationError::TooLong { text: owned() };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse()
            .map(Duration::from_secs)
            .map_err(|_| too_long());
    }
    let mut nanos: u128 = 0;
    let mut units_used = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest);
        let (unit, tail) = split_unit(tail);
        let Ok(count) = number.parse::<u64>() else {
            return Err(if number.is_empty() {
                DurationError::Malformed { text: owned() }
            } else {
                too_long()
            });
        };
        let position = duration_unit(text, number, unit, units_used)?;
        if position < units_used {
            return Err(DurationError::Disordered { text: owned() });
        }
        units_used = position + 1;
        nanos += u128::from(count) * DURATION_UNITS[position].1;
        rest = tail;
    }
    duration_of_nanos(nanos).ok_or_else(too_long)
}

/// Writes a duration so that [`parse_duration`] reads the same: `1h30m`, `250ms`, `0s`.
///
/// ```
/// # use std::time::Duration;
/// # use ocelli_model::units::format_duration;
/// assert_eq!(format_duration(Duration::from_millis(90_250)), "1m30s250ms");
/// ```
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return String::from("0s");
    }
    let mut text = String::new();
    for (unit, nanos) in DURATION_UNITS {
        let count = rest / nanos;
        rest %= nanos;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    text
}

/// Place of `unit` in [`DURATION_UNITS`].
fn duration_unit(
    text: &str,
    number: &str,
    unit: &str,
    units_used: usize,
) -> Result<usize, DurationError> {
    if let Some(position) = DURATION_UNITS.iter().position(|(name, _)| *name == unit) {
        return Ok(position);
    }
    if unit.is_empty() {
        let (suggestion, _) = DURATION_UNITS[units_used.min(DURATION_UNITS.len() - 1)];
        return Err(DurationError::NoUnit {
            text: text.to_owned(),
            number: number.to_owned(),
            suggestion,
        });
    }
    let lower = unit.to_lowercase();
    let meant = DURATION_UNITS
        .iter()
        .map(|(name, _)| (*name, *name))
        .chain(DURATION_ALIASES)
        .find(|(alias, _)| *alias == lower)
        .map(|(_, name)| name);
    Err(DurationError::UnknownUnit {
        text: text.to_owned(),
        unit: unit.to_owned(),
        suggestion: meant.map(|name| text.replacen(unit, name, 1)),
    })
}

fn duration_of_nanos(nanos: u128) -> Option<Duration> {
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}

// === Sizes ===

/// Reads `64MiB`, `512KiB`, `10B`, or a bare integer of bytes. Blanks around are ignored.
///
/// # Errors
/// [`SizeError`], whose text says what to write instead.
///
/// ```
/// # use ocelli_model::units::parse_size;
/// assert_eq!(parse_size("64MiB")?, 67_108_864);
/// # Ok::<(), ocelli_model::units::SizeError>(())
/// ```
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let (number, unit) = split_number(text);
    if number.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(SizeError::Malformed { text: quoted(text) });
    }
    let unit = unit.trim_start();
    let owned = || text.to_owned();
    if unit.starts_with(['.', ',']) {
        return Err(SizeError::Malformed { text: owned() });
    }
    let scale = size_unit(text, number, unit)?;
    let count: Option<u64> = number.parse().ok();
    count
        .and_then(|count| count.checked_mul(scale))
        .ok_or_else(|| SizeError::TooLarge { text: owned() })
}

/// Writes a size in the largest unit that loses nothing: `64MiB`, `1500B`, `0B`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    SIZE_UNITS
        .iter()
        .find(|(_, scale)| bytes >= *scale && bytes.is_multiple_of(*scale))
        .map_or_else(
            || String::from("0B"),
            |(unit, scale)| format!("{}{unit}", bytes / scale),
        )
}

fn size_unit(text: &str, number: &str, unit: &str) -> Result<u64, SizeError> {
    if unit.is_empty() {
        return Ok(1);
    }
    if let Some((_, scale)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        return Ok(*scale);
    }
    let initial = unit
        .chars()
        .next()
        .map(|letter| letter.to_ascii_uppercase());
    let is_size_like = unit.len() <= 3 && unit.chars().all(char::is_alphabetic);
    let meant = SIZE_UNITS
        .iter()
        .find(|(name, _)| is_size_like && name.chars().next() == initial);
    Err(SizeError::UnknownUnit {
        text: text.to_owned(),
        unit: unit.to_owned(),
        suggestion: meant.map(|(name, _)| format!("{number}{name}")),
    })
}

// === Shared ===

fn split_number(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|letter: char| letter.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn quoted(text: &str) -> String {
    text.chars().take(TEXT_BYTES_MAX).collect()
}

// === Serde: `#[serde(with = "ocelli_model::units::duration")]` and its kin ===

/// A value that reads from a bare integer or from text.
struct IntegerOrText<T> {
    expecting: &'static str,
    of_integer: fn(u64) -> T,
    of_text: fn(&str) -> Result<T, String>,
}

impl<T> serde::de::Visitor<'_> for IntegerOrText<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.expecting)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<T, E> {
        Ok((self.of_integer)(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        let unexpected = serde::de::Unexpected::Signed(value);
        let value = u64::try_from(value).map_err(|_| E::invalid_value(unexpected, &self))?;
        Ok((self.of_integer)(value))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.of_text)(text).map_err(E::custom)
    }
}

macro_rules! serde_forms {
    ($name:ident, $value:ty, $about:literal, $visitor:expr, $format:path) => {
        #[doc = $about]
        pub mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            use super::*; // style: the macro's arguments name items of the parent

            /// Writes the value as text.
            ///
            /// # Errors
            /// Those of the serializer.
            pub fn serialize<S: Serializer>(value: &$value, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&$format(*value))
            }

            /// Reads the value from a bare integer or text.
            ///
            /// # Errors
            /// A negative integer, or text that does not parse.
            pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$value, D::Error> {
                from.deserialize_any($visitor)
            }

            /// The same for an optional value: `with = "….::option"` beside `default`.
            pub mod option {
                use super::*; // style: the macro's arguments name items of the parent

                #[derive(Deserialize)]
                struct Present(#[serde(with = "super")] $value);

                /// Writes the value as text, or nothing.
                ///
                /// # Errors
                /// Those of the serializer.
                pub fn serialize<S: Serializer>(
                    value: &Option<$value>,
                    to: S,
                ) -> Result<S::Ok, S::Error> {
                    match value {
                        Some(value) => super::serialize(value, to),
                        None => to.serialize_none(),
                    }
                }

                /// Reads the value if there is one.
                ///
                /// # Errors
                /// As for the value itself.
                pub fn deserialize<'de, D: Deserializer<'de>>(
                    from: D,
                ) -> Result<Option<$value>, D::Error> {
                    Ok(Option::<Present>::deserialize(from)?.map(|present| present.0))
                }
            }
        }
    };
}

serde_forms!(
    duration,
    Duration,
    "Serde form of a duration: text, or a bare integer of seconds on reading.",
    IntegerOrText {
        expecting: "a duration such as 30s or 1h30m, or a number of seconds",
        of_integer: Duration::from_secs,
        of_text: |text| parse_duration(text).map_err(|error| error.to_string()),
    },
    format_duration
);

serde_forms!(
    size,
    u64,
    "Serde form of a size: text, or a bare integer of bytes on reading.",
    IntegerOrText {
        expecting: "a size such as 64MiB, or a number of bytes",
        of_integer: |bytes| bytes,
        of_text: |text| parse_size(text).map_err(|error| error.to_string()),
    },
    format_size
);

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
