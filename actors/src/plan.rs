//! What is to be done with a resource: the immutable snapshot that its actor follows.
//!
//! Does: name plugins in force, pairs, credentials and session settings of one resource.
//! Does not: decide them (`planner`), run them (`resource`).
//! In: catalog and configuration. Out: [`ResourcePlan`] behind an `Arc`, swapped whole at a reload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use ocelli_config::DeviceSettings;
use ocelli_model::gap::GapKind;
use ocelli_model::rate::RateState;
use ocelli_model::resource::{DeviceKey, Resource};
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_plugins::enrichment::Enrichment;
use ocelli_plugins::polling::Polling;
use ocelli_snmp::engine::Credential;

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
    /// Number of the cause; 0: the last slot is a batch, or there is none yet.
    gap: AtomicU8,
}

impl PairStatus {
    pub(crate) fn batch(&self, slot: SlotMs) {
        self.batch_slot_ms.store(slot.0, Ordering::Relaxed);
        self.gap.store(0, Ordering::Relaxed);
    }

    pub(crate) fn gap(&self, kind: GapKind) {
        self.gap.store(kind as u8, Ordering::Relaxed);
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
