//! A map whose clones share what neither has changed.
//!
//! Does: keep entries in buckets behind reference counts, copy a bucket when it is written to while
//! shared. Does not: keep order by itself; iteration sorts by key. In and out: keys and values.
//! Why: each command is applied to a clone of the state that readers hold. With 100,000 resources
//! a clone costs some thousand reference counts instead of 100,000 entries.
//! Invariant: the bucket of a key is a stable hash of it, so equal maps have equal buckets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use crate::resource::{DeviceKey, ResourceId};

/// Buckets of a map that holds anything: about a hundred entries each at 100,000.
const BUCKETS: usize = 1_024;

/// A key whose bytes name its bucket.
pub(super) trait SharedKey: Ord + Clone {
    /// The same bytes for equal keys, on every node.
    fn bytes(&self) -> &[u8];
}

impl SharedKey for ResourceId {
    fn bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl SharedKey for DeviceKey {
    fn bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

/// A map that is cheap to clone and to change while cloned.
#[derive(Clone)]
pub(super) struct SharedMap<K, V> {
    /// None, or [`BUCKETS`] of them.
    buckets: Vec<Arc<BTreeMap<K, V>>>,
    len: usize,
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            len: 0,
        }
    }
}

impl<K: SharedKey, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        // A map that has lost its last entry keeps its buckets, a new one has none.
        let mut pairs = self.buckets.iter().zip(&other.buckets);
        self.len == other.len && pairs.all(|(one, two)| Arc::ptr_eq(one, two) || one == two)
    }
}

impl<K: SharedKey, V: Clone> SharedMap<K, V> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.bucket(key)?.get(key)
    }

    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Copies the key's bucket if it is shared, but only if the key is there.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if !self.contains_key(key) {
            return None;
        }
        self.bucket_mut(key).get_mut(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.bucket_mut(&key).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        if !self.contains_key(key) {
            return None;
        }
        let removed = self.bucket_mut(key).remove(key);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Entries by key. Sorts references: for lists and differences, not for single look-ups.
    pub(super) fn iter(&self) -> std::vec::IntoIter<(&K, &V)> {
        let entries = self.buckets.iter().flat_map(|bucket| bucket.iter());
        let mut sorted: Vec<(&K, &V)> = entries.collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        sorted.into_iter()
    }

    /// Keys in the order of buckets: the same for equal maps, but not sorted.
    pub(super) fn keys_unsorted(&self) -> impl Iterator<Item = &K> {
        self.buckets.iter().flat_map(|bucket| bucket.keys())
    }

    /// Values in the order of buckets.
    pub(super) fn values_unsorted(&self) -> impl Iterator<Item = &V> {
        self.buckets.iter().flat_map(|bucket| bucket.values())
    }

    fn bucket(&self, key: &K) -> Option<&BTreeMap<K, V>> {
        self.buckets.get(bucket_of(key)).map(|bucket| &**bucket)
    }

    fn bucket_mut(&mut self, key: &K) -> &mut BTreeMap<K, V> {
        if self.buckets.is_empty() {
            // All of them are one empty bucket until they are written to.
            self.buckets.resize(BUCKETS, Arc::default());
        }
        Arc::make_mut(&mut self.buckets[bucket_of(key)])
    }
}

fn bucket_of(key: &impl SharedKey) -> usize {
    let hash = xxh3_64(key.bytes()) % BUCKETS as u64;
    usize::try_from(hash).unwrap_or(0)
}

impl<K: SharedKey + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl<K: SharedKey, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: SharedKey + Serialize, V: Clone + Serialize> Serialize for SharedMap<K, V> {
    /// As a sorted map: the form does not know of buckets.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, K, V> Deserialize<'de> for SharedMap<K, V>
where
    K: SharedKey + Deserialize<'de>,
    V: Clone + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|entries| entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u16) -> DeviceKey {
        DeviceKey::of(&format!("device{number}"))
    }

    #[test]
    fn a_write_copies_one_bucket_and_leaves_the_clone_as_it_was() {
        let mut map: SharedMap<DeviceKey, u16> = (0..5_000).map(|n| (key(n), n)).collect();
        let before = map.clone();
        map.insert(key(7), 70);
        assert_eq!(
            (before.get(&key(7)), map.get(&key(7))),
            (Some(&7), Some(&70))
        );
        let shared = before.buckets.iter().zip(&map.buckets);
        let copied = shared.filter(|(old, new)| !Arc::ptr_eq(old, new)).count();
        assert_eq!(copied, 1);
        let mut same = before.clone();
        assert_eq!(
            (same.remove(&key(9_999)), same.get_mut(&key(9_999))),
            (None, None)
        );
        let mut shared = before.buckets.iter().zip(&same.buckets);
        assert!(
            shared.all(|(old, new)| Arc::ptr_eq(old, new)),
            "a miss copies nothing"
        );
    }

    proptest! {
        #[test]
        fn it_is_the_map_that_the_same_steps_make(
            steps in proptest::collection::vec((0u16..40, any::<Option<u8>>()), 0..120)
        ) {
            let mut shared = SharedMap::default();
            let mut plain = BTreeMap::new();
            for (number, value) in steps {
                let key = key(number);
                let found = match value {
                    Some(value) => (shared.insert(key.clone(), value), plain.insert(key, value)),
                    None => (shared.remove(&key), plain.remove(&key)),
                };
                prop_assert_eq!(found.0, found.1);
                prop_assert_eq!(shared.len(), plain.len());
            }
            prop_assert!(shared.iter().eq(plain.iter()));
            prop_assert_eq!(shared.keys_unsorted().count(), plain.len());
            prop_assert_eq!(shared.values_unsorted().count(), plain.len());
            let json = serde_json::to_string(&shared).unwrap();
            prop_assert_eq!(&json, &serde_json::to_string(&plain).unwrap());
            let read: SharedMap<DeviceKey, u8> = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), shared.iter().collect::<Vec<_>>());
        }
    }
}
