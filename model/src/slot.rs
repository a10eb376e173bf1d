//! Slots: planned starts of collections on the phase grid of (resource, plugin).
//!
//! Does: name slot time, place a pair on its grid, step along it. Does not: read a clock; slot time
//! is monotonic time plus an offset that the caller slews (slots never step, never run back).
//! In: stable identity texts, an interval, slot time now. Out: [`SlotMs`], [`SlotGrid`].
//! Invariant: of one grid, each slot is `k × interval + phase` for an integer `k`.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Shortest interval of a polling plugin.
pub const INTERVAL_MS_MIN: u32 = 1_000;
/// Longest interval of a polling plugin: one week.
pub const INTERVAL_MS_MAX: u32 = 7 * 24 * 3_600_000;

/// Slot time, milliseconds since 1970-01-01T00:00:00Z as the site's leader counts them.
/// Names a slot by its planned start. Not the wall clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SlotMs(pub i64);

/// An epoch: which plan entry a poller rests on. Compared generation first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Epoch {
    /// Opened by bootstrap or guarded recovery, Unix seconds or more.
    pub generation: u64,
    /// Index of the command (Raft log index, or the lone node's command number).
    pub index: u64,
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.generation, self.index)
    }
}

/// The slots of one (resource, plugin).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotGrid {
    phase_ms: u32,
    interval_ms: u32,
}

/// Why an interval makes no grid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "interval {interval_ms} ms is out of range; choose {INTERVAL_MS_MIN} ms to {INTERVAL_MS_MAX} ms"
)]
pub struct IntervalError {
    /// The interval as given.
    pub interval_ms: u32,
}

impl SlotGrid {
    /// The grid of `resource` (its identity text) and `plugin` (its name): the phase is a stable
    /// hash of both, so that many pairs of one interval spread evenly over it.
    ///
    /// # Errors
    /// [`IntervalError`] outside [`INTERVAL_MS_MIN`]..=[`INTERVAL_MS_MAX`].
    pub fn new(resource: &str, plugin: &str, interval_ms: u32) -> Result<Self, IntervalError> {
        if !(INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&interval_ms) {
            return Err(IntervalError { interval_ms });
        }
        let hash = xxh3_64(resource.as_bytes()).rotate_left(17) ^ xxh3_64(plugin.as_bytes());
        // The multiply-shift reduction needs mixed high bits: hash once more.
        let mixed = xxh3_64(&hash.to_le_bytes());
        let phase = (u128::from(mixed) * u128::from(interval_ms)) >> 64;
        // A hash scaled to a u32 range fits it.
        let phase_ms = u32::try_from(phase).unwrap_or(0);
        Ok(Self {
            phase_ms,
            interval_ms,
        })
    }

    /// Milliseconds between two slots.
    #[must_use]
    pub fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    /// Offset of the slots from multiples of the interval, below the interval.
    #[must_use]
    pub fn phase_ms(&self) -> u32 {
        self.phase_ms
    }

    /// The last slot that begins at or before `now`.
    #[must_use]
    pub fn at_or_before(&self, now: SlotMs) -> SlotMs {
        let interval = i64::from(self.interval_ms);
        let phase = i64::from(self.phase_ms);
        SlotMs((now.0 - phase).div_euclid(interval) * interval + phase)
    }

    /// The slot after `slot` (which need not lie on the grid).
    #[must_use]
    pub fn next_after(&self, slot: SlotMs) -> SlotMs {
        SlotMs(self.at_or_before(slot).0 + i64::from(self.interval_ms))
    }

    /// How many slots lie in `first..=last`; both on the grid.
    #[must_use]
    pub fn count(&self, first: SlotMs, last: SlotMs) -> u64 {
        let span = (last.0 - first.0).max(-i64::from(self.interval_ms));
        u64::try_from(span / i64::from(self.interval_ms) + 1).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_slot_at_or_before_now_is_less_than_an_interval_old(
            now in -4_000_000_000_000i64..4_000_000_000_000,
            interval in INTERVAL_MS_MIN..=INTERVAL_MS_MAX
        ) {
            let grid = SlotGrid::new("dc1/network/switch/cisco/sw1", "if", interval).unwrap();
            let slot = grid.at_or_before(SlotMs(now));
            prop_assert!(slot.0 <= now && now - slot.0 < i64::from(interval));
            prop_assert_eq!(grid.at_or_before(slot), slot);
            let next = grid.next_after(slot);
            prop_assert_eq!(next.0 - slot.0, i64::from(interval));
            prop_assert_eq!(grid.count(slot, next), 2);
        }
    }

    #[test]
    fn a_thousand_pairs_spread_over_a_minute_below_twice_the_mean() {
        let mut per_second = [0u32; 60];
        for resource in 0..1_000 {
            let name = format!("dc1/network/switch/generic/10.0.0.{resource}");
            let grid = SlotGrid::new(&name, "interfaces", 60_000).unwrap();
            per_second[(grid.phase_ms() / 1_000) as usize] += 1;
        }
        let busiest = per_second.iter().max().unwrap();
        assert!(
            f64::from(*busiest) <= 2.2 * 1_000.0 / 60.0,
            "busiest second holds {busiest}"
        );
    }

    #[test]
    fn an_interval_out_of_range_is_refused() {
        assert!(SlotGrid::new("r", "p", 999).is_err());
        assert!(SlotGrid::new("r", "p", INTERVAL_MS_MAX + 1).is_err());
    }
}
