//! Conflation: what a `latest` subscriber that is too slow gets of what waits for it.
//!
//! Does: keep the newest batch of each pair among the blocks that wait, count the others.
//! Does not: read more (`subscription`).
//! In: picked blocks. Out: the same blocks, less of them picked.

use std::collections::HashMap;

use super::{Picked, Subscription};
use crate::Entry;
use crate::record::{DefinitionId, EntryKind, Seq, StreamId};

type PairKey = (StreamId, DefinitionId, DefinitionId);

fn pair_of(entry: &Entry) -> PairKey {
    (entry.stream(), entry.head().resource, entry.head().plugin)
}

impl Subscription {
    pub(super) fn queued_bytes(&self) -> usize {
        let blocks = self.queue.iter();
        blocks.map(|picked| picked.block.memory_bytes()).sum()
    }

    /// Keeps the newest batch of each pair, and all that is no batch. What is passed over counts
    /// as taken with its block.
    pub(super) fn conflate(&mut self) {
        let mut newest: HashMap<PairKey, (i64, Seq)> = HashMap::new();
        let mut kept: Vec<Vec<Entry>> = Vec::with_capacity(self.queue.len());
        let mut queue = std::mem::take(&mut self.queue);
        for picked in &mut queue {
            let entries = std::iter::from_fn(|| picked.pop(self.include));
            kept.push(entries.filter(|entry| !self.is_taken(entry)).collect());
        }
        for entry in kept.iter().flatten().filter(|entry| is_batch(entry)) {
            let candidate = (entry.head().slot.0, entry.seq());
            let best = newest.entry(pair_of(entry)).or_insert(candidate);
            *best = (*best).max(candidate);
        }
        for (picked, mut entries) in queue.into_iter().zip(kept) {
            let before = entries.len();
            entries.retain(|entry| {
                let candidate = (entry.head().slot.0, entry.seq());
                !is_batch(entry) || newest.get(&pair_of(entry)) == Some(&candidate)
            });
            self.skipped += (before - entries.len()) as u64;
            let picks = entries.iter();
            let picks = picks.filter_map(|entry| u32::try_from(entry.index()).ok());
            self.queue.push_back(Picked {
                picks: picks.collect(),
                block: picked.block,
                next: 0,
            });
        }
        self.mark_passed();
    }
}

fn is_batch(entry: &Entry) -> bool {
    entry.head().kind == EntryKind::Batch
}
