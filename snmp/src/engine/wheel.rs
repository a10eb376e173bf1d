//! Timers of all operations of one engine: a wheel of one slot a tick, linked through arrays.
//!
//! Does: schedule, move, cancel and expire one timer per operation index, each in constant time.
//! Does not: wait (the tick does), know what a timer means.
//! In: operation indexes and instants. Out: the indexes that are due. Cost: about 10 ns a move
//! and no allocation, since each reply moves one timer (100,000 a second at full load).

use ocelli_model::clock::Monotonic;

/// Slots of the wheel: 4 s at a tick of 1 ms. What lies beyond waits in the last slot and is
/// looked at again there.
const SLOTS: usize = 4_096;
/// Width of a slot, nanoseconds.
const SLOT_NANOS: u64 = 1_000_000;
/// No neighbour, no slot.
const NONE: u32 = u32::MAX;

/// Where one timer hangs.
#[derive(Debug, Clone, Copy)]
struct Timer {
    due: Monotonic,
    slot: u32,
    previous: u32,
    next: u32,
}

/// The wheel; one timer per index below its capacity.
#[derive(Debug)]
pub(crate) struct Wheel {
    timers: Box<[Timer]>,
    heads: Box<[u32]>,
    /// All slots up to and with this one have been looked at.
    position: u64,
    scheduled: usize,
}

impl Wheel {
    /// A wheel for the indexes below `capacity`, starting at `now`.
    pub(crate) fn new(capacity: usize, now: Monotonic) -> Self {
        let idle = Timer {
            due: Monotonic(0),
            slot: NONE,
            previous: NONE,
            next: NONE,
        };
        Self {
            timers: vec![idle; capacity].into_boxed_slice(),
            heads: vec![NONE; SLOTS].into_boxed_slice(),
            position: now.0 / SLOT_NANOS,
            scheduled: 0,
        }
    }

    /// Sets the timer of `index` to `due`, in place of the one it had.
    pub(crate) fn schedule(&mut self, index: u32, due: Monotonic) {
        self.cancel(index);
        // Never the slot already looked at, and never more than one turn ahead.
        let earliest = self.position + 1;
        let turn = (due.0 / SLOT_NANOS + 1).clamp(earliest, self.position + SLOTS as u64 - 1);
        let slot = slot_of(turn);
        let head = self.heads[slot as usize];
        let Some(timer) = self.timers.get_mut(index as usize) else {
            debug_assert!(false, "timer index beyond the capacity");
            return;
        };
        *timer = Timer {
            due,
            slot,
            previous: NONE,
            next: head,
        };
        if let Some(next) = self.timers.get_mut(head as usize) {
            next.previous = index;
        }
        self.heads[slot as usize] = index;
        self.scheduled += 1;
    }

    /// Removes the timer of `index`, if it has one.
    pub(crate) fn cancel(&mut self, index: u32) {
        let Some(timer) = self.timers.get_mut(index as usize) else {
            return;
        };
        if timer.slot == NONE {
            return;
        }
        let Timer {
            slot,
            previous,
            next,
            ..
        } = *timer;
        timer.slot = NONE;
        self.scheduled -= 1;
        if let Some(next) = self.timers.get_mut(next as usize) {
            next.previous = previous;
        }
        match self.timers.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.heads[slot as usize] = next,
        }
    }

    /// Takes out all timers due at `now` and adds their indexes to `due`.
    pub(crate) fn expire(&mut self, now: Monotonic, due: &mut Vec<u32>) {
        let target = now.0 / SLOT_NANOS;
        // After a long sleep one whole turn covers all slots.
        let first = (self.position + 1).max((target + 1).saturating_sub(SLOTS as u64));
        for turn in first..=target {
            self.position = turn;
            let mut index = self.heads[slot_of(turn) as usize];
            while let Some(&timer) = self.timers.get(index as usize) {
                self.cancel(index);
                if timer.due <= now {
                    due.push(index);
                } else {
                    self.schedule(index, timer.due);
                }
                index = timer.next;
            }
        }
        self.position = self.position.max(target);
    }

    /// Timers set now.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.scheduled
    }
}

fn slot_of(turn: u64) -> u32 {
    u32::try_from(turn % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ms(millis: u64) -> Monotonic {
        Monotonic(millis * 1_000_000)
    }

    #[test]
    fn a_timer_fires_once_within_a_slot_of_its_time_and_never_early() {
        let mut wheel = Wheel::new(4, ms(1_000));
        let mut due = Vec::new();
        wheel.schedule(2, ms(1_005));
        wheel.expire(ms(1_004), &mut due);
        assert!(due.is_empty());
        wheel.expire(ms(1_006), &mut due);
        assert_eq!(due, [2]);
        wheel.expire(ms(20_000), &mut due);
        assert_eq!(due, [2]);
    }

    #[test]
    fn a_timer_beyond_the_wheel_waits_its_full_time() {
        let mut wheel = Wheel::new(1, ms(0));
        let mut due = Vec::new();
        wheel.schedule(0, ms(60_000));
        for now in (0..60_000).step_by(50) {
            wheel.expire(ms(now), &mut due);
            assert!(due.is_empty(), "early at {now} ms");
        }
        wheel.expire(ms(60_001), &mut due);
        assert_eq!(due, [0]);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_map(
            steps in prop::collection::vec(
                (0u32..32, prop::option::of(0u64..9_000), 0u64..700), 1..300,
            ),
        ) {
            let mut wheel = Wheel::new(32, ms(0));
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = 0;
            for (index, after, advance) in steps {
                match after {
                    Some(after) => {
                        wheel.schedule(index, ms(now + after));
                        model.insert(index, now + after);
                    }
                    None => {
                        wheel.cancel(index);
                        model.remove(&index);
                    }
                }
                now += advance;
                let mut due = Vec::new();
                wheel.expire(ms(now), &mut due);
                for index in &due {
                    let at = model.remove(index);
                    prop_assert!(at.is_some_and(|at| at <= now), "{index} early");
                }
                // A timer may be one slot late, never more.
                prop_assert!(model.values().all(|&at| at + 1 >= now), "late at {now}: {model:?}");
                prop_assert_eq!(wheel.len(), model.len());
            }
        }
    }
}
