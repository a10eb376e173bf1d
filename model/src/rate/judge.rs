//! The verdict on one difference.
//!
//! Does: choose the source of a value, judge its difference, tell a reboot from a wrapped uptime.
//! Does not: keep state (`previous`), combine choices into counters (`rate`).
//! In: previous and new value with time, width, speed, evidence. Out: [`Cell`].
//! Order of judgement: clock, first, reset by evidence, stale, decrease, implausible. Time first,
//! since a read that is out of order says nothing at all.

use super::previous::{PreviousGroup, RowFacts};
use super::{STALE_INTERVALS, SourceChoice};
use crate::batch::Verdict;
use crate::rows::{CounterWidth, GroupRows};

/// How far sysUpTime may run from the poller's clock before it counts as a restart: five minutes,
/// in ticks, since agents cache it and clocks step. A shorter restart still shows by going back.
const UPTIME_SLACK_TICKS: i64 = 30_000;
/// Without a known speed a 32-bit decrease is a wrap only from the top quarter of the range …
const WRAP_FROM_MIN: u64 = 3 << 30;
/// … and by less than a quarter of it: anything else looks like a cleared counter.
const WRAP_DELTA_MAX: u64 = 1 << 30;
/// A rate above this many times the speed is no rate. Boxes that cache counters may exceed one.
const SPEED_FACTOR_MAX: u128 = 2;

/// One judged value of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cell {
    pub(super) value: u64,
    pub(super) delta: u64,
    pub(super) dt_ms: u32,
    pub(super) verdict: Verdict,
    pub(super) is_present: bool,
}

/// What two reads say about a restart of the device between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// sysUpTime at the previous read, hundredths of a second.
    pub uptime_before: Option<u32>,
    /// sysUpTime now.
    pub uptime_now: Option<u32>,
    /// snmpEngineBoots at the previous read.
    pub boots_before: Option<u32>,
    /// snmpEngineBoots now.
    pub boots_now: Option<u32>,
    /// Time between the two reads of sysUpTime, ms.
    pub elapsed_ms: i64,
}

impl Evidence {
    /// Whether the device started again. sysUpTime wraps after 497 days (RFC 3418): going back is
    /// no restart if it went where the elapsed time would take it.
    #[must_use]
    pub fn is_rebooted(self) -> bool {
        if let (Some(before), Some(now)) = (self.boots_before, self.boots_now)
            && before != now
        {
            return true;
        }
        let (Some(before), Some(now)) = (self.uptime_before, self.uptime_now) else {
            return false;
        };
        let elapsed_ticks = self.elapsed_ms.max(0) / 10;
        let range = 1i64 << 32;
        let expected = i64::from(before) + elapsed_ticks;
        let slack = UPTIME_SLACK_TICKS + elapsed_ticks / 20;
        if now < before {
            return (i64::from(now) + range - expected).abs() > slack;
        }
        // Up again for longer than before the outage: it advanced by less than the time that went.
        expected - i64::from(now) > slack
    }
}

/// What holds for a whole group of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge {
    pub(super) interval_ms: u32,
    pub(super) is_rebooted: bool,
}

/// A value that was read now.
#[derive(Debug, Clone, Copy)]
struct Read {
    value: u64,
    width: CounterWidth,
    /// Value of the previous read, and milliseconds since (negative: out of order).
    before: Option<(u64, i64)>,
}

impl Judge {
    /// Judges one choice of one row. Returns the cell and the alternative taken (if any was there).
    pub(super) fn cell(
        self,
        choice: &SourceChoice,
        read: &GroupRows,
        previous: &PreviousGroup,
        (position, facts): (usize, RowFacts),
    ) -> (Cell, Option<u8>) {
        let source = |alternative: usize| -> Option<Read> {
            let column = read.sources.get(usize::from(choice.sources[alternative]))?;
            let value = column.get(facts.row)?;
            let before = facts.previous.and_then(|row| {
                previous.value(usize::from(choice.sources[alternative]), row, facts.time_ms)
            });
            Some(Read {
                value,
                width: column.width,
                before,
            })
        };
        let last = facts
            .previous
            .and_then(|row| previous.chosen(position, row));
        let Some((alternative, found)) = choose(choice.sources.len(), last, source) else {
            return (Cell::default(), last);
        };
        let chosen = u8::try_from(alternative).unwrap_or(u8::MAX);
        let is_same_source = last.is_none_or(|last| last == chosen);
        let mut cell = self.judge(found, choice.bits_per_unit, facts);
        if !is_same_source && cell.verdict != Verdict::Clock {
            cell = Cell {
                delta: 0,
                verdict: Verdict::First,
                ..cell
            };
        }
        (cell, Some(chosen))
    }

    fn judge(self, read: Read, bits_per_unit: u32, facts: RowFacts) -> Cell {
        let without_rate = |verdict, dt_ms: i64| Cell {
            value: read.value,
            delta: 0,
            dt_ms: u32::try_from(dt_ms.max(0)).unwrap_or(u32::MAX),
            verdict,
            is_present: true,
        };
        let Some((before, dt_ms)) = read.before else {
            return without_rate(Verdict::First, 0);
        };
        if dt_ms <= 0 {
            return without_rate(Verdict::Clock, 0);
        }
        if self.is_rebooted || facts.is_discontinuous {
            return without_rate(Verdict::Reset, dt_ms);
        }
        if dt_ms > i64::from(self.interval_ms) * i64::from(STALE_INTERVALS) {
            return without_rate(Verdict::Stale, dt_ms);
        }
        let fits = |delta: u64, factor: u128| {
            fits_speed(delta, (bits_per_unit, facts.speed_bps), dt_ms, factor)
        };
        let (delta, verdict) = if read.value >= before {
            (read.value - before, Verdict::Rate)
        } else if read.width == CounterWidth::Bits32 && before <= u64::from(u32::MAX) {
            let delta = read.value + (1 << 32) - before;
            let looks_wrapped = match fits(delta, 1) {
                Some(fits) => fits,
                None => before >= WRAP_FROM_MIN && delta <= WRAP_DELTA_MAX,
            };
            if !looks_wrapped {
                return without_rate(Verdict::Reset, dt_ms);
            }
            (delta, Verdict::Wrapped)
        } else {
            return without_rate(Verdict::Reset, dt_ms);
        };
        if fits(delta, SPEED_FACTOR_MAX) == Some(false) {
            return without_rate(Verdict::Implausible, dt_ms);
        }
        Cell {
            delta,
            ..without_rate(verdict, dt_ms)
        }
    }
}

/// Whether `delta` fits in `factor` times the speed; `None` if the speed says nothing.
fn fits_speed(
    delta: u64,
    (bits_per_unit, speed_bps): (u32, u64),
    dt_ms: i64,
    factor: u128,
) -> Option<bool> {
    if bits_per_unit == 0 || speed_bps == 0 {
        return None;
    }
    let bits = u128::from(delta) * u128::from(bits_per_unit) * 1_000;
    let possible = u128::from(speed_bps) * u128::from(dt_ms.unsigned_abs()) * factor;
    Some(bits <= possible)
}

/// The first alternative that moves; if none does, the last one taken, else the first there is.
fn choose(
    alternatives: usize,
    last: Option<u8>,
    source: impl Fn(usize) -> Option<Read>,
) -> Option<(usize, Read)> {
    if alternatives == 1 {
        return source(0).map(|read| (0, read));
    }
    let mut first_there = None;
    let mut last_there = None;
    for alternative in 0..alternatives {
        let Some(read) = source(alternative) else {
            continue;
        };
        let moves = read.before.is_some_and(|(before, _)| before != read.value);
        let is_settled = first_there.is_none() && last.is_none();
        if moves || (is_settled && read.before.is_none()) {
            return Some((alternative, read));
        }
        if last.is_some_and(|last| usize::from(last) == alternative) {
            last_there = Some((alternative, read));
        }
        first_there = first_there.or(Some((alternative, read)));
    }
    last_there.or(first_there)
}

/// Of two parts of a sum the verdict that counts: what has no rate wins, then the stronger reason.
pub(super) fn worse(left: Verdict, right: Verdict) -> Verdict {
    let weight = |verdict| match verdict {
        Verdict::Rate => 0,
        Verdict::Wrapped => 1,
        Verdict::Implausible => 2,
        Verdict::First => 3,
        Verdict::Stale => 4,
        Verdict::Reset => 5,
        Verdict::Clock => 6,
    };
    if weight(right) > weight(left) {
        right
    } else {
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(before: u32, now: u32, elapsed_ms: i64) -> Evidence {
        Evidence {
            uptime_before: Some(before),
            uptime_now: Some(now),
            boots_before: None,
            boots_now: None,
            elapsed_ms,
        }
    }

    #[test]
    fn uptime_that_goes_back_is_a_reboot_unless_it_wrapped() {
        let check = |name: &str, evidence: Evidence, expected: bool| {
            assert_eq!(evidence.is_rebooted(), expected, "{name}");
        };
        check("one minute on", evidence(1_000, 7_000, 60_000), false);
        check("restarted", evidence(500_000, 2_000, 60_000), true);
        check(
            "wrapped after 497 days",
            evidence(u32::MAX - 999, 5_000, 60_000),
            false,
        );
        check(
            "restarted just before the wrap",
            evidence(u32::MAX - 999, 400_000, 60_000),
            true,
        );
        check(
            "up for longer than before, after two hours",
            evidence(100, 360_000, 7_200_000),
            true,
        );
        check("cached for a minute", evidence(1_000, 1_000, 60_000), false);
        let boots = Evidence {
            boots_before: Some(3),
            boots_now: Some(4),
            ..evidence(1, 2, 10)
        };
        check("engine boots grew", boots, true);
    }

    #[test]
    fn the_worst_part_decides_a_sum() {
        assert_eq!(worse(Verdict::Rate, Verdict::Wrapped), Verdict::Wrapped);
        assert_eq!(worse(Verdict::First, Verdict::Wrapped), Verdict::First);
        assert_eq!(worse(Verdict::Stale, Verdict::Reset), Verdict::Reset);
    }
}
