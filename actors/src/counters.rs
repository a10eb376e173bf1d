//! What the runtime counts beside its plugins: crashes, drops, refusals, the SNMP engines.
//!
//! Does: hold the numbers of all arbiters of a node, each with one writer's `fetch_add`.
//! Does not: name metrics (`node`), count what a plugin does (`plan`).
//! In: events on any arbiter. Out: [`RuntimeCounts`], plain data, for whoever looks.
//! Labels are bounded: actor kinds and reasons are closed lists, plugins those of the revision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use ocelli_bus::SubmitError;
use ocelli_snmp::engine::EngineCounters;

use crate::plan::{PluginCounters, PluginCounts};
use crate::site::Site;

/// Kinds of supervised actors; one that is missing here is counted as the last.
const KINDS: [&str; 4] = ["discovery", "node", "resource", "other"];

/// Running numbers of a runtime; shared by its arbiters.
#[derive(Debug)]
pub struct RuntimeCounters {
    actors: [ActorCounters; KINDS.len()],
    refusals: [AtomicU64; Refusal::ALL.len()],
    lost_slots: AtomicU64,
    dropped_notes: AtomicU64,
    dropped_gaps: AtomicU64,
    /// One an arbiter, swapped whole by its owner.
    engines: Vec<ArcSwap<EngineCounters>>,
    /// Those of the revision in force; swapped at a reload.
    plugins: ArcSwap<BTreeMap<Arc<str>, Arc<PluginCounters>>>,
}

#[derive(Debug, Default)]
struct ActorCounters {
    crashes: AtomicU64,
    parkings: AtomicU64,
    unparkings: AtomicU64,
    dropped_messages: AtomicU64,
    dropped_obituaries: AtomicU64,
}

/// Why the bus did not take a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    QueueFull,
    DiskFull,
    Closed,
}

impl Refusal {
    const ALL: [(Self, &str); 3] = [
        (Self::QueueFull, "queue_full"),
        (Self::DiskFull, "disk_full"),
        (Self::Closed, "closed"),
    ];
}

/// [`RuntimeCounters`] at one moment. All count from the start of the runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeCounts {
    /// By kind, ascending.
    pub actors: Vec<(&'static str, ActorCounts)>,
    /// Times that the bus did not take a block, by reason; offering it again counts again.
    pub refusals: Vec<(&'static str, u64)>,
    /// Slots whose block was taken and did not become durable; gaps stand for them.
    pub lost_slots: u64,
    /// Sessions, enrichments and events dropped because too many waited for the bus.
    pub dropped_notes: u64,
    /// Gap records dropped because too many waited for the bus.
    pub dropped_gaps: u64,
    /// Sum over the arbiters, at most [`ENGINE_SHOWN_EVERY`] old.
    pub engine: EngineCounters,
    /// By name, ascending.
    pub plugins: Vec<(Arc<str>, PluginCounts)>,
}

/// What befell actors of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActorCounts {
    /// Lives that ended in a panic; each is followed by another life.
    pub crashes: u64,
    /// Actors that are parked now.
    pub parked: u64,
    /// Messages given up because the mailbox stayed full.
    pub dropped_messages: u64,
    /// News of ends that the parent's mailbox had no place for.
    pub dropped_obituaries: u64,
}

/// How often an arbiter shows what its engine has counted: well below any scrape interval.
pub const ENGINE_SHOWN_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

impl RuntimeCounters {
    /// All zero.
    pub(crate) fn new(arbiters: usize) -> Arc<Self> {
        Arc::new(Self {
            actors: Default::default(),
            refusals: Default::default(),
            lost_slots: AtomicU64::new(0),
            dropped_notes: AtomicU64::new(0),
            dropped_gaps: AtomicU64::new(0),
            engines: (0..arbiters).map(|_| ArcSwap::default()).collect(),
            plugins: ArcSwap::default(),
        })
    }

    pub(crate) fn actor_crashed(&self, kind: &str) {
        add(&self.actor(kind).crashes, 1);
    }

    pub(crate) fn actor_parked(&self, kind: &str) {
        add(&self.actor(kind).parkings, 1);
    }

    pub(crate) fn actor_unparked(&self, kind: &str) {
        add(&self.actor(kind).unparkings, 1);
    }

    pub(crate) fn message_dropped(&self, kind: &str) {
        add(&self.actor(kind).dropped_messages, 1);
    }

    pub(crate) fn obituary_dropped(&self, kind: &str) {
        add(&self.actor(kind).dropped_obituaries, 1);
    }

    pub(crate) fn block_refused(&self, error: SubmitError) {
        let refusal = match error {
            SubmitError::DiskFull => Refusal::DiskFull,
            SubmitError::Closed => Refusal::Closed,
            _ => Refusal::QueueFull,
        };
        add(&self.refusals[refusal as usize], 1);
    }

    pub(crate) fn slots_lost(&self, slots: usize) {
        add(&self.lost_slots, slots as u64);
    }

    pub(crate) fn note_dropped(&self) {
        add(&self.dropped_notes, 1);
    }

    pub(crate) fn gap_dropped(&self) {
        add(&self.dropped_gaps, 1);
    }

    /// Shows what the engine of an arbiter has counted.
    pub(crate) fn show_engine(&self, arbiter: usize, counters: EngineCounters) {
        if let Some(engine) = self.engines.get(arbiter) {
            engine.store(Arc::new(counters));
        }
    }

    /// Shows the plugins of a revision; their counters live on over revisions by themselves.
    pub(crate) fn show_plugins(&self, site: &Site) {
        let instances = site.pollings.iter().map(|polling| &polling.instance);
        let named = instances.map(|one| (Arc::clone(&one.name), Arc::clone(&one.counters)));
        self.plugins.store(Arc::new(named.collect()));
    }

    fn actor(&self, kind: &str) -> &ActorCounters {
        let found = KINDS.iter().position(|known| *known == kind);
        &self.actors[found.unwrap_or(KINDS.len() - 1)]
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> RuntimeCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let actor_of = |(kind, actor): (&&'static str, &ActorCounters)| {
            let counts = ActorCounts {
                crashes: of(&actor.crashes),
                parked: of(&actor.parkings).saturating_sub(of(&actor.unparkings)),
                dropped_messages: of(&actor.dropped_messages),
                dropped_obituaries: of(&actor.dropped_obituaries),
            };
            (*kind, counts)
        };
        let refusal_of =
            |(refusal, name): (Refusal, &'static str)| (name, of(&self.refusals[refusal as usize]));
        let engines = self.engines.iter().map(|engine| **engine.load());
        let plugins = self.plugins.load();
        let plugin_of = |(name, counters): (&Arc<str>, &Arc<PluginCounters>)| {
            (Arc::clone(name), counters.counts())
        };
        RuntimeCounts {
            actors: KINDS.iter().zip(&self.actors).map(actor_of).collect(),
            refusals: Refusal::ALL.map(refusal_of).to_vec(),
            lost_slots: of(&self.lost_slots),
            dropped_notes: of(&self.dropped_notes),
            dropped_gaps: of(&self.dropped_gaps),
            engine: engines.fold(EngineCounters::default(), EngineCounters::plus),
            plugins: plugins.iter().map(plugin_of).collect(),
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_that_lives_again_is_not_counted_as_parked() {
        let counters = RuntimeCounters::new(1);
        counters.actor_crashed("resource");
        counters.actor_parked("resource");
        counters.actor_parked("resource");
        counters.actor_unparked("resource");
        counters.actor_crashed("unheard of");
        let counts = counters.counts();
        let of = |kind: &str| {
            let found = counts.actors.iter().find(|(known, _)| *known == kind);
            found.unwrap().1
        };
        assert_eq!((of("resource").crashes, of("resource").parked), (1, 1));
        assert_eq!(of("node"), ActorCounts::default());
        assert_eq!(of("other").crashes, 1);
    }

    #[test]
    fn each_reason_of_a_refusal_has_its_own_count() {
        let counters = RuntimeCounters::new(1);
        counters.block_refused(SubmitError::DiskFull);
        counters.block_refused(SubmitError::QueueFull);
        counters.block_refused(SubmitError::DiskFull);
        let refusals = counters.counts().refusals;
        assert_eq!(
            refusals,
            [("queue_full", 1), ("disk_full", 2), ("closed", 0)]
        );
    }

    #[test]
    fn engines_of_all_arbiters_add_up_and_each_shows_its_last_word() {
        let counters = RuntimeCounters::new(2);
        let sent = |sent| EngineCounters {
            sent,
            retries: 1,
            ..EngineCounters::default()
        };
        counters.show_engine(0, sent(5));
        counters.show_engine(1, sent(2));
        counters.show_engine(0, sent(7));
        let engine = counters.counts().engine;
        assert_eq!((engine.sent, engine.retries), (9, 2));
    }
}
