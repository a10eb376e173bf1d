//! When a window of a derived stream is made, and of which batches: a pure state machine.
//!
//! Does: put batches and gaps of sources into windows, close a window when its slots are tiled or
//! two windows after its end, open it again for what comes late, until [`LATE_MS`] of quiet.
//! Does not: hold batches (it names their places), read or write (`run`).
//! In: [`SourceBatch`], [`SourceGap`], what is durable of the derived stream, time. Out: [`Due`].
//! Invariant: `rev` counts what is known (two a batch, one a slot with a gap), so it depends on
//! neither order nor restarts, and of two revs of a window the higher one knows more.
//! Full: at [`DerivePolicy::windows_max`] the windows next in time are closed early, and
//! [`DeriveCore::is_full`] says to read no more of the sources until some are done.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_bus::record::{Seq, StreamId};
use ocelli_model::gap::GapKind;
use ocelli_model::slot::SlotMs;
use ocelli_model::window::{divides, start_of};

/// How long after its last change a window that lacks slots is kept open for late ones, ms. What
/// comes later still makes a rev lower than the one that stands, which readers pass over.
pub const LATE_MS: i64 = 3_600_000;
/// How long late data of a window is waited for once some came, ms: backfill comes in runs.
pub const LATE_QUIET_MS: i64 = 2_000;
/// How long after a window could not be made it is tried again, ms.
const AGAIN_MS: i64 = 1_000;
/// Gaps that are kept of a pair; beyond it the oldest is forgotten, and its slots count as late.
const GAPS_MAX: usize = 64;

/// A (resource, plugin), by the number that the shell gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairNumber(pub u32);

/// Where a batch of a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The stream.
    pub stream: StreamId,
    /// The entry.
    pub seq: Seq,
}

/// A batch of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceBatch {
    /// Whose.
    pub pair: PairNumber,
    /// Its slot.
    pub slot: SlotMs,
    /// Interval of the slots, ms.
    pub interval_ms: u32,
    /// Where it stands.
    pub place: Place,
}

/// A gap of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceGap {
    /// Whose.
    pub pair: PairNumber,
    /// First slot.
    pub first: SlotMs,
    /// Last slot.
    pub last: SlotMs,
    /// Interval of the slots, ms.
    pub interval_ms: u32,
    /// Why.
    pub kind: GapKind,
}

/// A window of a pair. Where slots make no whole windows, each slot is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowKey {
    /// Whose.
    pub pair: PairNumber,
    /// Its first millisecond.
    pub start: SlotMs,
    /// Its length, ms.
    pub length_ms: u32,
}

/// A window that is to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub key: WindowKey,
    /// Of two revs of one window the higher one holds.
    pub rev: u64,
    /// Slots that it has.
    pub slots: u32,
    /// Its batches, ascending by slot; at least one.
    pub places: Vec<Place>,
    /// Why others are missing: of several causes the first by number.
    pub missing: Option<GapKind>,
    /// Whether it is a window; else the one batch passes as it is.
    pub is_window: bool,
}

/// What is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DerivePolicy {
    /// Length of the windows, ms; `None`: each slot passes by itself.
    pub window_ms: Option<u32>,
    /// Windows that are open at once.
    pub windows_max: usize,
}

#[derive(Debug, Default)]
struct Window {
    slots: BTreeMap<SlotMs, (u32, Place)>,
    is_window: bool,
    /// When something was added last.
    changed: i64,
    done: u64,
    /// Since when it is being made: as of which rev.
    making: Option<u64>,
    /// When it is looked at next.
    at: i64,
}

/// What is known of a window now.
struct Standing {
    rev: u64,
    slots: u32,
    missing: Option<GapKind>,
    is_tiled: bool,
    is_whole: bool,
}

/// All windows of one derived stream.
#[derive(Debug)]
pub struct DeriveCore {
    policy: DerivePolicy,
    windows: BTreeMap<WindowKey, Window>,
    gaps: BTreeMap<PairNumber, Vec<SourceGap>>,
    /// By when they are looked at next; those that are being made are not here.
    agenda: BTreeSet<(i64, WindowKey)>,
    starts: BTreeMap<SlotMs, usize>,
}

impl DeriveCore {
    /// No window is open.
    #[must_use]
    pub fn new(policy: DerivePolicy) -> Self {
        Self {
            policy,
            windows: BTreeMap::new(),
            gaps: BTreeMap::new(),
            agenda: BTreeSet::new(),
            starts: BTreeMap::new(),
        }
    }

    /// Takes a batch of a source; the same again changes nothing.
    pub fn batch(&mut self, batch: SourceBatch, now: i64) {
        let key = self.key_of(batch.pair, batch.slot, batch.interval_ms);
        let is_window = Some(key.length_ms) == self.policy.window_ms
            && divides(batch.interval_ms, key.length_ms);
        let window = self.open(key);
        window.is_window = is_window;
        let known = window.slots.get(&batch.slot).map(|(_, place)| *place);
        // Of two for one slot the lower place stands, whichever came first.
        if known.is_none_or(|known| batch.place < known) {
            let entry = (batch.interval_ms, batch.place);
            window.slots.insert(batch.slot, entry);
            window.changed = now;
        }
        self.plan(key, now);
    }

    /// Takes a gap of a source.
    pub fn gap(&mut self, gap: SourceGap, now: i64) {
        let of_pair = self.gaps.entry(gap.pair).or_default();
        let step = i64::from(gap.interval_ms);
        let follows = |before: &SourceGap| {
            before.last.0 + step == gap.first.0
                && (before.kind, before.interval_ms) == (gap.kind, gap.interval_ms)
        };
        match of_pair.iter().position(follows) {
            Some(before) => of_pair[before].last = gap.last,
            None if of_pair.contains(&gap) => return,
            None => of_pair.push(gap),
        }
        if of_pair.len() > GAPS_MAX {
            let oldest = (0..of_pair.len()).min_by_key(|index| of_pair[*index].last);
            oldest.map(|oldest| of_pair.remove(oldest));
        }
        let reaches = |key: &WindowKey| {
            key.start.0 + i64::from(key.length_ms) > gap.first.0 && key.start <= gap.last
        };
        let of_pair = self
            .windows
            .range(first_of(gap.pair)..first_of(gap.pair.next()));
        let touched = of_pair.map(|(key, _)| *key).filter(reaches);
        for key in touched.collect::<Vec<_>>() {
            self.open(key).changed = now;
            self.plan(key, now);
        }
    }

    /// A window of that rev is durable: just now, or as a start finds it.
    pub fn done(&mut self, key: WindowKey, rev: u64, now: i64) {
        let window = self.open(key);
        window.done = window.done.max(rev);
        window.making = None;
        window.changed = window.changed.max(now);
        self.plan(key, now);
    }

    /// A window could not be made: again, a little later.
    pub fn failed(&mut self, key: WindowKey, now: i64) {
        let window = self.open(key);
        window.making = None;
        self.plan(key, now);
        self.look_at(key, now + AGAIN_MS);
    }

    /// The windows that are to be made now, at most `max`, the longest due first. Each is out until
    /// it is [`Self::done`] or [`Self::failed`].
    pub fn due(&mut self, now: i64, max: usize) -> Vec<Due> {
        let mut due = Vec::new();
        while due.len() < max {
            let is_over = self.windows.len() >= self.policy.windows_max;
            let Some((_, key)) = self.agenda.first().copied() else {
                break;
            };
            if !is_over && self.agenda.first().is_some_and(|(at, _)| *at > now) {
                break;
            }
            let standing = self.standing(key);
            let Some(window) = self.windows.get_mut(&key) else {
                self.agenda.pop_first();
                continue;
            };
            if standing.rev <= window.done || window.slots.is_empty() {
                // It waited for late data, and its time is over.
                self.forget(key);
                continue;
            }
            self.agenda.remove(&(window.at, key));
            window.making = Some(standing.rev);
            due.push(Due {
                key,
                rev: standing.rev,
                slots: standing.slots,
                places: window.slots.values().map(|(_, place)| *place).collect(),
                missing: standing.missing,
                is_window: window.is_window,
            });
        }
        due
    }

    /// When something is due next.
    #[must_use]
    pub fn next_at(&self) -> Option<i64> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Whether nothing more should be read of the sources for now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.windows.len() >= self.policy.windows_max
    }

    /// Open windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether no window is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Start of the earliest open window: entries of earlier slots are never asked for again.
    #[must_use]
    pub fn earliest(&self) -> Option<SlotMs> {
        self.starts.keys().next().copied()
    }

    /// The window that a slot belongs to.
    #[must_use]
    pub fn key_of(&self, pair: PairNumber, slot: SlotMs, interval_ms: u32) -> WindowKey {
        let window = self.policy.window_ms;
        let window = window.filter(|length| divides(interval_ms, *length));
        let (start, length_ms) = match window {
            Some(length) => (start_of(slot, length), length),
            None => (slot, interval_ms),
        };
        WindowKey {
            pair,
            start,
            length_ms,
        }
    }

    fn open(&mut self, key: WindowKey) -> &mut Window {
        let starts = &mut self.starts;
        self.windows.entry(key).or_insert_with(|| {
            *starts.entry(key.start).or_default() += 1;
            let at = i64::MAX;
            Window {
                at,
                ..Window::default()
            }
        })
    }

    fn forget(&mut self, key: WindowKey) {
        let Some(window) = self.windows.remove(&key) else {
            return;
        };
        self.agenda.remove(&(window.at, key));
        if let Some(count) = self.starts.get_mut(&key.start) {
            *count -= 1;
            if *count == 0 {
                self.starts.remove(&key.start);
            }
        }
        let of_pair = self
            .windows
            .range(first_of(key.pair)..first_of(key.pair.next()));
        let earliest = of_pair.map(|(key, _)| key.start).next();
        let end = key.start.0 + i64::from(key.length_ms);
        // Gaps before all that is open, and long before what may open, say nothing any more.
        if let Some(gaps) = self.gaps.get_mut(&key.pair) {
            let limit = earliest.map_or(end, |it| it.0.min(end)) - LATE_MS;
            gaps.retain(|gap| gap.last.0 >= limit);
            if gaps.is_empty() {
                self.gaps.remove(&key.pair);
            }
        }
    }

    fn look_at(&mut self, key: WindowKey, at: i64) {
        if let Some(window) = self.windows.get_mut(&key) {
            self.agenda.remove(&(window.at, key));
            window.at = at;
            self.agenda.insert((at, key));
        }
    }

    /// Puts a window where it belongs after a change, or away if nothing can change it any more.
    fn plan(&mut self, key: WindowKey, now: i64) {
        let standing = self.standing(key);
        let Some(window) = self.windows.get(&key).filter(|it| it.making.is_none()) else {
            return;
        };
        let is_done = standing.rev <= window.done;
        if is_done && standing.is_whole {
            return self.forget(key);
        }
        let length = i64::from(key.length_ms);
        let deadline = key.start.0 + 3 * length;
        let at = if is_done {
            window.changed.max(deadline) + LATE_MS
        } else if standing.is_tiled {
            now
        } else if window.changed < deadline {
            deadline
        } else {
            window.changed + LATE_QUIET_MS
        };
        self.look_at(key, at);
    }

    fn standing(&self, key: WindowKey) -> Standing {
        let none = BTreeMap::new();
        let slots = self.windows.get(&key).map_or(&none, |it| &it.slots);
        let end = key.start.0 + i64::from(key.length_ms);
        let mut gaps: BTreeMap<SlotMs, (GapKind, u32)> = BTreeMap::new();
        for gap in self.gaps.get(&key.pair).into_iter().flatten() {
            let step = i64::from(gap.interval_ms.max(1));
            let skipped = (key.start.0 - gap.first.0).max(0);
            let mut at = gap.first.0 + (skipped + step - 1) / step * step;
            while at < end && at <= gap.last.0 {
                if !slots.contains_key(&SlotMs(at)) {
                    let known = gaps
                        .entry(SlotMs(at))
                        .or_insert((gap.kind, gap.interval_ms));
                    known.0 = known.0.min(gap.kind);
                }
                at += step;
            }
        }
        let of_gaps: u64 = gaps
            .values()
            .map(|(_, interval)| u64::from(*interval))
            .sum();
        let of_slots: u64 = slots
            .values()
            .map(|(interval, _)| u64::from(*interval))
            .sum();
        let length = u64::from(key.length_ms);
        let interval = slots.values().next_back().map_or(key.length_ms, |it| it.0);
        Standing {
            rev: 2 * slots.len() as u64 + gaps.len() as u64,
            slots: key.length_ms / interval.max(1),
            missing: gaps.values().map(|(kind, _)| *kind).min(),
            is_tiled: !slots.is_empty() && of_gaps + of_slots >= length,
            is_whole: !slots.is_empty() && of_slots >= length,
        }
    }
}

impl PairNumber {
    fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Before all windows of a pair.
fn first_of(pair: PairNumber) -> WindowKey {
    WindowKey {
        pair,
        start: SlotMs(i64::MIN),
        length_ms: 0,
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
