//! The types of settings that are numbers: counts, ports, durations, sizes.
//!
//! Does: carry the bounds in the type, so that the reference, the error and the code cannot
//! disagree. Does not: know which key it is for.
//! In: a [`Node`]. Out: the value, or an error recorded in [`Reading`].

use std::time::Duration;

use ocelli_model::units::{format_duration, format_size, parse_duration, parse_size};

use crate::reading::Reading;
use crate::section::Setting;
use crate::tree::{Node, Value};
use crate::value::{quoted, wrong_kind};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count<const MIN: u32, const MAX: u32>(u32);

/// A UDP or TCP port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(u16);

/// A duration from `MIN_MS` to `MAX_MS` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period<const MIN_MS: u64, const MAX_MS: u64>(Duration);

/// How often something runs: 1 s to 1 d. Shorter ones are no polling, longer ones no monitoring.
pub type Interval = Period<1_000, 86_400_000>;
/// How long one request or run may take: 10 ms to 1 h.
pub type Timeout = Period<10, 3_600_000>;
/// How long something is kept: 1 min to 366 d.
pub type Keep = Period<60_000, 31_622_400_000>;

/// A size in bytes, at least `MIN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size<const MIN: u64>(u64);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Port {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> Period<MIN_MS, MAX_MS> {
    /// The duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The duration if it lies within the bounds.
    #[must_use]
    pub fn new(duration: Duration) -> Option<Self> {
        let bounds = Duration::from_millis(MIN_MS)..=Duration::from_millis(MAX_MS);
        bounds.contains(&duration).then_some(Self(duration))
    }
}

impl<const MIN: u64> Size<MIN> {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

// === Reading them ===

/// An integer within bounds, else an error that names them.
fn integer<T: Setting>(
    node: &Node,
    bounds: std::ops::RangeInclusive<u32>,
    reading: &mut Reading<'_>,
) -> Option<u32> {
    let Value::Integer(integer) = node.value else {
        let reason = format!("expected {}, found {}", T::kind(), node.value.kind());
        reading.wrong(
            node.span,
            reason,
            "write it as a bare number, without quotes",
        );
        return None;
    };
    let number = u32::try_from(integer)
        .ok()
        .filter(|number| bounds.contains(number));
    if number.is_none() {
        let remedy = format!("choose {} to {}", bounds.start(), bounds.end());
        reading.wrong(node.span, format!("{integer} is out of range"), remedy);
    }
    number
}

impl<const MIN: u32, const MAX: u32> Setting for Count<MIN, MAX> {
    fn kind() -> String {
        format!("a number from {MIN} to {MAX}")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        integer::<Self>(node, MIN..=MAX, reading).map(Self)
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

impl Setting for Port {
    fn kind() -> String {
        String::from("a port from 1 to 65535")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let number = integer::<Self>(node, 1..=u32::from(u16::MAX), reading)?;
        u16::try_from(number).ok().map(Self)
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> Setting for Period<MIN_MS, MAX_MS> {
    fn kind() -> String {
        let format = |ms| format_duration(Duration::from_millis(ms));
        format!("a duration from {} to {}", format(MIN_MS), format(MAX_MS))
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let duration = match &node.value {
            Value::Text(text) => parse_duration(text).map_err(|error| error.to_string()),
            Value::Integer(seconds) => u64::try_from(*seconds)
                .map(Duration::from_secs)
                .map_err(|_| format!("{seconds} is no duration: it is negative")),
            _ => {
                wrong_kind::<Self>(node, reading);
                return None;
            }
        };
        let remedy = format!("give {}", Self::kind());
        let duration = duration
            .map_err(|error| reading.wrong(node.span, error, &remedy))
            .ok()?;
        let period = Self::new(duration);
        if period.is_none() {
            let reason = format!("{} is out of range", format_duration(duration));
            reading.wrong(node.span, reason, remedy);
        }
        period
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&format_duration(self.0)))
    }
}

impl<const MIN: u64> Setting for Size<MIN> {
    fn kind() -> String {
        format!("a size of at least {}", format_size(MIN))
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let bytes = match &node.value {
            Value::Text(text) => parse_size(text).map_err(|error| error.to_string()),
            Value::Integer(bytes) => {
                u64::try_from(*bytes).map_err(|_| format!("{bytes} is no size: it is negative"))
            }
            _ => {
                wrong_kind::<Self>(node, reading);
                return None;
            }
        };
        let remedy = format!("give {}", Self::kind());
        let bytes = bytes
            .map_err(|error| reading.wrong(node.span, error, &remedy))
            .ok()?;
        if bytes < MIN {
            reading.wrong(
                node.span,
                format!("{} is too small", format_size(bytes)),
                remedy,
            );
            return None;
        }
        Some(Self(bytes))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&format_size(self.0)))
    }
}
