//! Shares of a caller: open subscriptions, and how fast their streams are sent.
//!
//! Does: count places, spread bytes over time. Does not: wait; the sender does, as long as told.
//! In: a limit; the time. Out: a [`Slot`] or none; a duration to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ocelli_model::clock::Monotonic;
use parking_lot::Mutex;

/// A caller that sent nothing for a while may send so much at once.
const BURST: Duration = Duration::from_secs(1);

/// Places for subscriptions. Cheap to clone: all clones share the places.
#[derive(Debug, Clone)]
pub(in crate::http) struct Slots {
    taken: Arc<AtomicU32>,
    most: u32,
}

/// A place; free again when dropped.
#[derive(Debug)]
pub(in crate::http) struct Slot(Arc<AtomicU32>);

impl Slots {
    pub(in crate::http) fn new(most: u32) -> Self {
        let taken = Arc::new(AtomicU32::new(0));
        Self { taken, most }
    }

    /// A place, if one is free.
    pub(in crate::http) fn take(&self) -> Option<Slot> {
        let next = |taken: u32| (taken < self.most).then_some(taken + 1);
        let taken = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        taken.is_ok().then(|| Slot(Arc::clone(&self.taken)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Bytes a second, for all streams of a caller together.
#[derive(Debug)]
pub(in crate::http) struct Pace {
    bytes_per_second: u64,
    /// When all that was sent so far will have had its time.
    paid: Mutex<Option<Monotonic>>,
}

impl Pace {
    pub(in crate::http) const fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            paid: Mutex::new(None),
        }
    }

    /// Counts bytes that are about to be sent: how long to wait afterwards.
    pub(in crate::http) fn wait_after(&self, bytes: usize, now: Monotonic) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let micros = bytes.saturating_mul(1_000_000) / self.bytes_per_second.max(1);
        let mut paid = self.paid.lock();
        let from = paid.map_or(now, |paid| paid.max(now));
        let until = from.after(Duration::from_micros(micros));
        *paid = Some(until);
        until.since(now).saturating_sub(BURST)
    }
}
