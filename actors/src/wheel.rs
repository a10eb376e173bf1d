//! Wake-ups of all actors of one arbiter: buckets of time instead of a timer an actor.
//!
//! Does: keep who wants to be woken when, hand out who is due. Does not: wait (`station`), send.
//! In: keys and instants. Out: keys that are due, in order of time, each once.
//! Invariant: a key has at most one wake-up, the one set last. Cost: a tree of at most
//! interval ÷ [`BUCKET`] buckets; setting and taking touch one bucket each.

use std::collections::BTreeMap;

use ocelli_model::clock::Monotonic;
use std::collections::HashMap;

/// Width of a bucket, nanoseconds: slots start at most this late, and 10,000 resources at 60 s
/// cost at most 200 wake-ups a second.
const BUCKET_NANOS: u64 = 5_000_000;

/// Names an actor on its arbiter; never used again.
pub(crate) type WakeKey = u64;

/// Wake-ups of one arbiter.
#[derive(Debug, Default)]
pub(crate) struct Wheel {
    buckets: BTreeMap<u64, Vec<WakeKey>>,
    /// In which bucket a key stands; entries elsewhere are stale.
    places: HashMap<WakeKey, u64>,
}

impl Wheel {
    /// Wakes `key` at `at` and no longer when it was set before.
    pub(crate) fn set(&mut self, key: WakeKey, at: Monotonic) {
        // Rounded up: nobody is woken early.
        let bucket = at.0.div_ceil(BUCKET_NANOS);
        if self.places.insert(key, bucket) != Some(bucket) {
            self.buckets.entry(bucket).or_default().push(key);
        }
    }

    /// Wakes `key` no longer.
    pub(crate) fn cancel(&mut self, key: WakeKey) {
        self.places.remove(&key);
    }

    /// When the first bucket is due. It may hold stale keys only.
    pub(crate) fn next_at(&self) -> Option<Monotonic> {
        let (bucket, _) = self.buckets.first_key_value()?;
        Some(Monotonic(bucket.saturating_mul(BUCKET_NANOS)))
    }

    /// Takes out who is due at `now`.
    pub(crate) fn take_due(&mut self, now: Monotonic, due: &mut Vec<WakeKey>) {
        while let Some(bucket) = self.buckets.first_entry() {
            let number = *bucket.key();
            if number.saturating_mul(BUCKET_NANOS) > now.0 {
                return;
            }
            let current = bucket.remove().into_iter();
            due.extend(current.filter(|key| {
                let is_here = self.places.get(key) == Some(&number);
                if is_here {
                    self.places.remove(key);
                }
                is_here
            }));
        }
    }

    /// Keys with a wake-up.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_key_is_woken_once_by_its_last_setting_and_never_early(
            settings in prop::collection::vec((0u64..20, 0u64..5_000, any::<bool>()), 1..200)
        ) {
            let mut wheel = Wheel::default();
            let mut expected = BTreeMap::new();
            for (key, at_ms, is_set) in settings {
                if is_set {
                    wheel.set(key, Monotonic(at_ms * 1_000_000));
                    expected.insert(key, at_ms);
                } else {
                    wheel.cancel(key);
                    expected.remove(&key);
                }
            }
            prop_assert_eq!(wheel.len(), expected.len());
            let mut now_ms = 0;
            let mut due = Vec::new();
            while let Some(next) = wheel.next_at() {
                now_ms = now_ms.max(next.0 / 1_000_000);
                wheel.take_due(Monotonic(now_ms * 1_000_000), &mut due);
                for key in due.drain(..) {
                    let at_ms = expected.remove(&key);
                    let is_on_time = at_ms.is_some_and(|at| at <= now_ms && now_ms <= at + 5);
                    prop_assert!(is_on_time, "key {} at {} for {:?}", key, now_ms, at_ms);
                }
            }
            prop_assert!(expected.is_empty(), "never woken: {:?}", expected);
        }
    }
}
