//! When a resource's enrichments run: a schedule of their own, apart from slots.
//!
//! Does: spread first runs, keep the pace, try again sooner after a failure, never run one twice at
//! one time. Does not: run them (`resource`), keep facts (the station's store).
//! In: plans, ends of runs, now. Out: what is due. Pure. A run that is missed is not caught up.

use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::Monotonic;
use xxhash_rust::xxh3::xxh3_64;

use crate::plan::{EnrichmentInstance, ResourcePlan};

/// First runs are spread over this time, or over their interval if that is shorter: at 10,000
/// resources some 300 a second, and facts are there before the second slot of a minute.
const FIRST_SPREAD: Duration = Duration::from_secs(30);
/// After a failure the next try comes this soon, if not sooner by schedule.
const RETRY: Duration = Duration::from_secs(300);

/// The enrichments of one resource.
#[derive(Default)]
pub(crate) struct Learning {
    entries: Vec<Entry>,
}

struct Entry {
    instance: Arc<EnrichmentInstance>,
    next_at: Monotonic,
    is_running: bool,
}

impl Learning {
    /// Follows a plan: what was scheduled keeps its time.
    pub(crate) fn follow(&mut self, plan: &ResourcePlan, now: Monotonic) {
        let before = std::mem::take(&mut self.entries);
        let entry = |instance: &Arc<EnrichmentInstance>| {
            let known = before
                .iter()
                .find(|known| known.instance.name == instance.name);
            let first = || now.after(first_pause(plan.resource.id().as_str(), instance));
            Entry {
                instance: Arc::clone(instance),
                next_at: known.map_or_else(first, |known| known.next_at),
                is_running: known.is_some_and(|known| known.is_running),
            }
        };
        self.entries = plan.enrichments.iter().map(entry).collect();
    }

    /// Nothing runs any more.
    pub(crate) fn end(&mut self) {
        self.entries.clear();
    }

    /// When the next one is due.
    pub(crate) fn next_at(&self) -> Option<Monotonic> {
        let waiting = self.entries.iter().filter(|entry| !entry.is_running);
        waiting.map(|entry| entry.next_at).min()
    }

    /// What is due now; it counts as running until [`Learning::ended`].
    pub(crate) fn take_due(&mut self, now: Monotonic) -> Vec<Arc<EnrichmentInstance>> {
        let due = self
            .entries
            .iter_mut()
            .filter(|entry| !entry.is_running && entry.next_at <= now);
        due.map(|entry| {
            entry.is_running = true;
            Arc::clone(&entry.instance)
        })
        .collect()
    }

    /// A run has ended.
    pub(crate) fn ended(&mut self, name: &str, is_good: bool, now: Monotonic) {
        if let Some(entry) = self
            .entries
            .iter_mut()
            .find(|entry| &*entry.instance.name == name)
        {
            let every = entry.instance.every;
            entry.is_running = false;
            entry.next_at = now.after(if is_good { every } else { every.min(RETRY) });
        }
    }
}

fn first_pause(resource: &str, instance: &EnrichmentInstance) -> Duration {
    let spread = instance.every.min(FIRST_SPREAD);
    let hash = xxh3_64(resource.as_bytes()).rotate_left(17) ^ xxh3_64(instance.name.as_bytes());
    let millis = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(hash % millis)
}
