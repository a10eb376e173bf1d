//! The breaker of a plugin: when to stop running what fails everywhere.
//!
//! Does: decide from how runs end, over all resources of a plugin, whether the next run starts.
//! Does not: know resources, read clocks, hold locks: the whole state is 64 bits, so that arbiters
//! share it as one atomic number.
//! In: ends of runs and questions, with time. Out: [`Gate`], and whether an end changed it.
//! Rule: it opens when for [`INTERVALS_MIN`] of the plugin's longest intervals each end was a
//! fault of the plugin, [`FAULTS_MIN`] at least: in that time every resource had its run. Open, one
//! run is tried after a pause that doubles from [`PAUSE_S_MIN`] to [`PAUSE_S_MAX`]; one end that is
//! no fault closes it.

use crate::clock::Monotonic;

/// Faults in a row below which it stays closed: one bad minute of one device is none.
pub const FAULTS_MIN: u8 = 5;
/// Longest intervals that must pass without an end that is no fault.
pub const INTERVALS_MIN: u32 = 3;
/// Before the first try of an open breaker, seconds.
pub const PAUSE_S_MIN: u32 = 30;
/// Before later tries, seconds: as long as a parked actor waits.
pub const PAUSE_S_MAX: u32 = 300;

/// Longest interval that is told apart, seconds: 12 days.
const INTERVAL_S_MAX: u32 = (1 << 20) - 1;
/// Openings in a row that are told apart; the pause is longest long before.
const OPENINGS_MAX: u8 = 15;

/// The state of one plugin's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    /// Faults in a row, as far as they count.
    faults: u8,
    /// Times in a row that it opened or a try failed; 0: closed.
    openings: u8,
    /// The longest interval of a run that ended, seconds.
    interval_s: u32,
    /// Closed: when the first of the faults in a row was. Open: when to try again. Seconds.
    time_s: u32,
}

/// How a run ended, for its plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// The plugin broke: a panic, or an error of its own.
    Fault,
    /// It worked, even if the device did not.
    Worked,
}

/// Whether a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It does.
    Run,
    /// It does, to see whether the plugin works again.
    Try,
    /// Its slot is a gap `parked`.
    Parked,
}

/// What an end changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing that anybody must know.
    None,
    /// Runs are parked from now on.
    Opened,
    /// Runs start again.
    Closed,
}

impl Breaker {
    /// Whether runs are parked but for a try now and then.
    #[must_use]
    pub const fn is_open(self) -> bool {
        self.openings > 0
    }

    /// When an open breaker lets a run through; `None` if it is closed.
    #[must_use]
    pub fn tries_at(self) -> Option<Monotonic> {
        let nanos = u64::from(self.time_s) * 1_000_000_000;
        self.is_open().then_some(Monotonic(nanos))
    }

    /// Asks for a run. Of an open breaker one run is let through when the pause is over, and then
    /// none for one more pause, should that one never end.
    #[must_use]
    pub fn gate(self, now: Monotonic) -> (Self, Gate) {
        if !self.is_open() {
            return (self, Gate::Run);
        }
        if seconds(now) < self.time_s {
            return (self, Gate::Parked);
        }
        let time_s = seconds(now).saturating_add(self.pause_s());
        (Self { time_s, ..self }, Gate::Try)
    }

    /// Takes the end of a run that was let through as `gate` says; `interval_ms` is that of its
    /// slots.
    #[must_use]
    pub fn ended(
        self,
        gate: Gate,
        outcome: RunOutcome,
        interval_ms: u32,
        now: Monotonic,
    ) -> (Self, Turn) {
        let interval_s = interval_ms.div_ceil(1_000).min(INTERVAL_S_MAX);
        let mut next = Self {
            interval_s: self.interval_s.max(interval_s),
            ..self
        };
        if outcome == RunOutcome::Worked {
            (next.faults, next.openings, next.time_s) = (0, 0, 0);
            return (
                next,
                if self.is_open() {
                    Turn::Closed
                } else {
                    Turn::None
                },
            );
        }
        if self.is_open() {
            // Runs from before it opened say nothing new.
            if gate != Gate::Try {
                return (next, Turn::None);
            }
        } else {
            next.faults = self.faults.saturating_add(1);
            if self.faults == 0 {
                next.time_s = seconds(now);
            }
            let lasting_s = seconds(now).saturating_sub(next.time_s);
            let is_long = lasting_s >= next.interval_s.saturating_mul(INTERVALS_MIN);
            if !is_long || next.faults < FAULTS_MIN {
                return (next, Turn::None);
            }
        }
        next.openings = self.openings.saturating_add(1).min(OPENINGS_MAX);
        next.time_s = seconds(now).saturating_add(next.pause_s());
        (
            next,
            if self.is_open() {
                Turn::None
            } else {
                Turn::Opened
            },
        )
    }

    /// Doubles with each opening in a row.
    fn pause_s(self) -> u32 {
        let doublings = u32::from(self.openings.saturating_sub(1));
        PAUSE_S_MIN
            .saturating_mul(1 << doublings.min(8))
            .min(PAUSE_S_MAX)
    }

    /// The state as one number.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.faults)
            | u64::from(self.openings) << 8
            | u64::from(self.interval_s) << 12
            | u64::from(self.time_s) << 32
    }

    /// The state of [`Self::to_bits`].
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let field = |shift: u32, width: u32| {
            let part = bits >> shift & ((1 << width) - 1);
            u32::try_from(part).unwrap_or(u32::MAX)
        };
        let small = |part: u32| u8::try_from(part).unwrap_or(u8::MAX);
        Self {
            faults: small(field(0, 8)),
            openings: small(field(8, 4)),
            interval_s: field(12, 20),
            time_s: field(32, 32),
        }
    }
}

/// Whole seconds of monotonic time: 136 years of them fit.
fn seconds(now: Monotonic) -> u32 {
    u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
