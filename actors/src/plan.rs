//! What is to be done with a resource: the immutable snapshot that its actor follows.
//!
//! Does: name plugins in force, pairs, credentials and session settings of one resource.
//! Does not: decide them (`planner`), run them (`resource`).
//! In: catalog and configuration. Out: [`ResourcePlan`] behind an `Arc`, swapped whole at a reload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ocelli_config::DeviceSettings;
use ocelli_model::gap::{Gap, GapKind};
use ocelli_model::rate::RateState;
use ocelli_model::resource::{DeviceKey, Resource};
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_plugins::enrichment::Enrichment;
use ocelli_plugins::polling::Polling;
use ocelli_snmp::engine::Credential;

use crate::plugin_breaker::PluginBreaker;

/// Gap causes are counted by their number; the largest is far below.
const GAP_NUMBERS: usize = 64;

// === Plugins in force ===

/// A configured polling plugin.
pub struct PollingInstance {
    /// Unique among pollings.
    pub name: Arc<str>,
    /// What it does.
    pub plugin: Arc<dyn Polling>,
    /// What it did; lives on over a reload.
    pub counters: Arc<PluginCounters>,
    /// Parks it while its runs fail everywhere.
    pub breaker: PluginBreaker,
    /// UDP port for resources that name none.
    pub port: Option<u16>,
    /// Longest wait for one reply, if it has one of its own.
    pub timeout: Option<Duration>,
}

/// A configured enrichment plugin.
pub struct EnrichmentInstance {
    /// Unique among enrichments.
    pub name: Arc<str>,
    /// What it does.
    pub plugin: Arc<dyn Enrichment>,
    /// How often, per resource.
    pub every: Duration,
    /// Longest run.
    pub deadline: Duration,
    /// UDP port for resources that name none.
    pub port: Option<u16>,
}

/// A credential with its name.
pub struct NamedCredential {
    /// For messages and lists.
    pub name: Arc<str>,
    /// With secrets.
    pub credential: Arc<Credential>,
}

// === One resource ===

/// One polling of one resource.
#[derive(Clone)]
pub struct PairSetting {
    /// What is run.
    pub instance: Arc<PollingInstance>,
    /// Length of a slot, ms.
    pub interval_ms: u32,
    /// Deadline after the slot's begin, 1/1000 of the interval.
    pub deadline_permille: u32,
    /// How its last slot ended; lives on over plans.
    pub status: Arc<PairStatus>,
}

/// How the last slot of a pair ended, for whoever looks.
#[derive(Debug, Default)]
pub struct PairStatus {
    /// 0: none yet.
    batch_slot_ms: AtomicI64,
    /// The last slot that is a batch or in a gap; 0: none yet.
    last_slot_ms: AtomicI64,
    /// Interval of that slot.
    interval_ms: AtomicU32,
    /// Number of the cause; 0: the last slot is a batch, or there is none yet.
    gap: AtomicU8,
}

impl PairStatus {
    pub(crate) fn batch(&self, slot: SlotMs, interval_ms: u32) {
        self.batch_slot_ms.store(slot.0, Ordering::Relaxed);
        self.gap.store(0, Ordering::Relaxed);
        self.ended(slot, interval_ms);
    }

    pub(crate) fn gap(&self, gap: &Gap) {
        self.gap.store(gap.cause.kind as u8, Ordering::Relaxed);
        self.ended(gap.last, gap.interval_ms);
    }

    fn ended(&self, slot: SlotMs, interval_ms: u32) {
        self.last_slot_ms.store(slot.0, Ordering::Relaxed);
        self.interval_ms.store(interval_ms, Ordering::Relaxed);
    }

    /// The last slot that is accounted for, with its interval.
    fn last(&self) -> Option<(SlotMs, u32)> {
        let slot = self.last_slot_ms.load(Ordering::Relaxed);
        (slot != 0).then(|| (SlotMs(slot), self.interval_ms.load(Ordering::Relaxed)))
    }

    /// The last slot with a batch.
    #[must_use]
    pub fn last_batch(&self) -> Option<SlotMs> {
        let slot = self.batch_slot_ms.load(Ordering::Relaxed);
        (slot != 0).then_some(SlotMs(slot))
    }

    /// The cause of the open gap.
    #[must_use]
    pub fn open_gap(&self) -> Option<GapKind> {
        GapKind::from_number(self.gap.load(Ordering::Relaxed))
    }
}

/// All that a resource's actor follows.
#[derive(Clone)]
pub struct ResourcePlan {
    /// What is monitored.
    pub resource: Arc<Resource>,
    /// The budget that it shares.
    pub device: DeviceKey,
    /// The plan entry that gives the right to poll.
    pub epoch: Epoch,
    /// First slot time of this plan.
    pub from: SlotMs,
    /// Ascending by the plugin's name.
    pub pairs: Vec<PairSetting>,
    /// What is learnt about it.
    pub enrichments: Vec<Arc<EnrichmentInstance>>,
    /// How its sessions behave.
    pub settings: Arc<DeviceSettings>,
    /// Those whose filter it passes, in file order.
    pub credentials: Vec<Arc<NamedCredential>>,
}

/// What a former life of the node left of one pair.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairMemory {
    /// Last slot that is a batch or in a gap, with the interval and epoch of its slots.
    pub last: Option<(SlotMs, u32, Epoch)>,
    /// Previous counter values.
    pub rate: RateState,
    /// Whether a session record was the last word about it: that life ended as planned.
    pub is_saved: bool,
}

/// What a former life of the node left of a resource.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResourceMemory {
    /// By plugin.
    pub pairs: BTreeMap<Arc<str>, PairMemory>,
    /// Name of the credential that was answered last.
    pub credential: Option<String>,
    /// Whether that life ended as planned.
    pub is_drained: bool,
    /// Whether it was another origin's: the data directory is a copy or went back in time.
    pub is_rolled_back: bool,
    /// Pairs without memory begin after this slot, since a life that the disk lost may have polled
    /// them.
    pub lost_since: Option<SlotMs>,
}

impl ResourceMemory {
    /// What is left of an actor that went without a word: where its slots ended, so that those
    /// since then become a gap; no counters and no credential.
    pub(crate) fn of_lost(plan: &ResourcePlan) -> Self {
        let memory_of = |pair: &PairSetting| {
            let (slot, interval_ms) = pair.status.last()?;
            let memory = PairMemory {
                last: Some((slot, interval_ms, plan.epoch)),
                ..PairMemory::default()
            };
            Some((Arc::clone(&pair.instance.name), memory))
        };
        Self {
            pairs: plan.pairs.iter().filter_map(memory_of).collect(),
            ..Self::default()
        }
    }
}

// === Counters ===

/// What a plugin did since the node started.
#[derive(Debug, Default)]
pub struct PluginCounters {
    runs: AtomicU64,
    batches: AtomicU64,
    partial_batches: AtomicU64,
    samples: AtomicU64,
    rates: AtomicU64,
    discarded: AtomicU64,
    run_micros: AtomicU64,
    gap_slots: GapCounts,
}

#[derive(Debug)]
struct GapCounts([AtomicU64; GAP_NUMBERS]);

impl Default for GapCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// [`PluginCounters`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginCounts {
    /// Runs started.
    pub runs: u64,
    /// Slots that ended as a batch.
    pub batches: u64,
    /// Those of them that are partial.
    pub partial_batches: u64,
    /// Counters and gauges in them.
    pub samples: u64,
    /// Rates in them.
    pub rates: u64,
    /// Ends of runs whose slot was accounted for already.
    pub discarded: u64,
    /// Time of all ended runs together, µs.
    pub run_micros: u64,
    /// Slots without a batch, by cause; only causes that occurred.
    pub gap_slots: Vec<(GapKind, u64)>,
}

impl PluginCounters {
    pub(crate) fn run_started(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn run_ended(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.run_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn batch(&self, is_partial: bool, samples: usize, rates: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.partial_batches
            .fetch_add(u64::from(is_partial), Ordering::Relaxed);
        self.samples.fetch_add(samples as u64, Ordering::Relaxed);
        self.rates.fetch_add(rates as u64, Ordering::Relaxed);
    }

    pub(crate) fn gap(&self, kind: GapKind, slots: u64) {
        if let Some(count) = self.gap_slots.0.get(kind as usize) {
            count.fetch_add(slots, Ordering::Relaxed);
        }
    }

    pub(crate) fn discarded(&self) {
        self.discarded.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> PluginCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let gap_of = |kind: &GapKind| {
            let slots = self.gap_slots.0.get(*kind as usize).map_or(0, of);
            (slots > 0).then_some((*kind, slots))
        };
        PluginCounts {
            runs: of(&self.runs),
            batches: of(&self.batches),
            partial_batches: of(&self.partial_batches),
            samples: of(&self.samples),
            rates: of(&self.rates),
            discarded: of(&self.discarded),
            run_micros: of(&self.run_micros),
            gap_slots: GapKind::ALL.iter().filter_map(gap_of).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ocelli_config::sections::polling::PollingConfig;
    use ocelli_config::{LoadOptions, Source, Sources, load};
    use ocelli_model::gap::GapCause;
    use ocelli_model::resource::ResourceFields;
    use ocelli_plugins::profiles::ProfileLibrary;
    use ocelli_plugins::registry;

    use super::*;

    /// A plan with one pair a name.
    fn plan(names: &[&str]) -> ResourcePlan {
        let section = |name: &&str| format!("[[polling]]\nname = \"{name}\"\nkind = \"host\"\n");
        let mut sources = Sources::new();
        let text: String = names.iter().map(section).collect();
        sources.push(Source::file("/etc/ocelli/a.toml", text));
        let options = LoadOptions {
            hostname: "n1",
            is_strict: true,
        };
        let config = load(sources, options).unwrap().config;
        let resource = Resource::new(ResourceFields {
            identity: ["dc1", "system", "host", "generic", "n1"].map(str::to_owned),
            endpoint: "n1".to_owned(),
            plugin: "node".to_owned(),
            ..ResourceFields::default()
        });
        let resource = Arc::new(resource.unwrap());
        let pair = |polling: &PollingConfig| PairSetting {
            instance: Arc::new(PollingInstance {
                name: polling.name().as_str().into(),
                plugin: registry::polling(polling, &ProfileLibrary::built_in()).unwrap(),
                counters: Arc::default(),
                breaker: PluginBreaker::default(),
                port: None,
                timeout: None,
            }),
            interval_ms: 60_000,
            deadline_permille: 900,
            status: Arc::default(),
        };
        ResourcePlan {
            device: resource.device_key(),
            epoch: Epoch {
                generation: 3,
                index: 9,
            },
            from: SlotMs(0),
            pairs: config.pollings.iter().map(pair).collect(),
            enrichments: Vec::new(),
            settings: Arc::new(ocelli_config::device_settings(&config, |_| false)),
            credentials: Vec::new(),
            resource,
        }
    }

    #[test]
    fn a_lost_actor_leaves_where_the_slots_of_each_pair_ended() {
        let plan = plan(&["batches", "gaps", "new"]);
        plan.pairs[0].status.batch(SlotMs(60_000), 60_000);
        plan.pairs[1].status.batch(SlotMs(60_000), 60_000);
        let cause = GapCause::from(GapKind::Timeout);
        let mut gap = Gap::of_slot(SlotMs(120_000), 30_000, plan.epoch, cause);
        gap.last = SlotMs(180_000);
        plan.pairs[1].status.gap(&gap);
        let left = ResourceMemory::of_lost(&plan);
        let last = |name: &str| left.pairs.get(name).and_then(|memory| memory.last);
        assert_eq!(last("batches"), Some((SlotMs(60_000), 60_000, plan.epoch)));
        assert_eq!(last("gaps"), Some((SlotMs(180_000), 30_000, plan.epoch)));
        assert_eq!(last("new"), None, "it owes no slot");
        assert!(!left.is_drained, "the gap is one of an unplanned end");
    }
}
