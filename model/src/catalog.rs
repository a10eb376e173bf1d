//! The catalog: what a site has agreed on. Resources, discoveries, plan, configuration revision.
//!
//! Does: hold the state that commands build, answer what it holds. Does not: order or store
//! commands (a lone node's log, later `raft`), run discoveries, read clocks.
//! In: [`Command`], one after the other, through [`State::apply`]. Out: [`Applied`] with effects.
//! Invariants: equal commands in equal order give equal states and effects on every node; each is
//! checked by [`State::check`]. The resource in force of an id is that of its earliest discovery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::resource::{DeviceKey, Resource, ResourceId};
use crate::slot::{Epoch, SlotMs};
use crate::unix_seconds::UnixSeconds;

mod apply;
mod check;
mod command;
mod discovery;
mod log;
mod plan;
mod shared_map;

pub use command::{Applied, COMMAND_BYTES_MAX, Command, Effect, Refused};
pub use discovery::{
    DiscoveryDecision, DiscoveryDifference, DiscoveryRun, SHRINK_COUNT_FREE, SHRINK_PERMILLE_MAX,
    decide_discovery, decide_expiry, decide_failure,
};
pub use log::{CatalogLog, Proposal, ProposeError};
pub use plan::{
    EpochError, PlanEntry, SHARDS, decide_lone_plan, next_generation, parse_epoch, shard_of,
};
use shared_map::SharedMap;

/// The agreed state of one site. A clone shares what is not changed afterwards: some thousand
/// reference counts, whatever the number of resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    epoch: Epoch,
    /// Disjoint shard ranges, ascending.
    plan: Vec<PlanEntry>,
    revision: Option<Revision>,
    /// Discovery plugins in the order of the configuration.
    order: Vec<String>,
    sources: BTreeMap<String, Source>,
    /// Made of `sources` and `order`: the resource in force of each id, with its discovery.
    in_force: SharedMap<ResourceId, InForce>,
    /// Made of `in_force`.
    devices: SharedMap<DeviceKey, BTreeSet<ResourceId>>,
}

/// The site-wide configuration in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Hash of its canonical text.
    pub content_hash: u128,
    /// It holds for slots from here on.
    pub from: SlotMs,
}

/// What one discovery plugin has found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    claims: SharedMap<ResourceId, Claim>,
    /// When its last good run ended.
    pub finished: Option<UnixSeconds>,
    /// Why the runs since then failed.
    pub failure: Option<Failure>,
    /// A good run whose set was not taken.
    pub held: Option<Held>,
    /// Hash of the held set that an operator has accepted.
    pub approved: Option<u128>,
}

/// A discovery's word that a resource exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Claim {
    resource: Arc<Resource>,
    /// Set while the source is read without it, because its row is refused.
    unseen_since: Option<UnixSeconds>,
}

/// The first failure since a discovery's last good run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was first seen.
    pub since: UnixSeconds,
    /// What happened.
    pub reason: String,
}

/// A set that the shrink guard has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// When the run ended.
    pub at: UnixSeconds,
    /// Hash of the ids that it would remove: what an approval names.
    pub hash: u128,
    /// How many it would add, change and remove.
    pub counts: HeldCounts,
    /// Which rule stopped it, in words.
    pub reason: String,
}

/// Sizes of a held set's difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeldCounts {
    /// Resources that it would add.
    pub added: u64,
    /// Resources that it would change.
    pub changed: u64,
    /// Resources that it would remove.
    pub removed: u64,
    /// Resources of the source now.
    pub current: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct InForce {
    resource: Arc<Resource>,
    source: Arc<str>,
}

/// What of a [`State`] is stored; the rest is made anew from it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    epoch: Epoch,
    plan: Vec<PlanEntry>,
    revision: Option<Revision>,
    order: Vec<String>,
    sources: BTreeMap<String, Source>,
}

impl State {
    /// Epoch of the last command applied.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The configuration in force.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// The plan: disjoint shard ranges, ascending.
    #[must_use]
    pub fn plan(&self) -> &[PlanEntry] {
        &self.plan
    }

    /// The plan entry that covers a resource, by its device's shard.
    #[must_use]
    pub fn plan_of(&self, resource: &Resource) -> Option<&PlanEntry> {
        let shard = shard_of(&resource.device_key());
        let after = self
            .plan
            .partition_point(|entry| entry.first_shard <= shard);
        let entry = self.plan.get(after.checked_sub(1)?)?;
        (shard <= entry.last_shard).then_some(entry)
    }

    /// Discoveries by name.
    #[must_use]
    pub fn sources(&self) -> &BTreeMap<String, Source> {
        &self.sources
    }

    /// Resources in force by identity, each with the discovery that it comes from.
    pub fn resources(&self) -> impl Iterator<Item = (&Arc<Resource>, &str)> {
        let entries = self.in_force.iter();
        entries.map(|(_, entry)| (&entry.resource, &*entry.source))
    }

    /// What a node acts on that starts with this state: as if all of it had just been agreed.
    #[must_use]
    pub fn standing_effects(&self) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.revision.map(Effect::Configured).into_iter().collect();
        effects.extend(self.plan.iter().cloned().map(Effect::Planned));
        effects.extend(
            self.resources()
                .map(|(resource, source)| Effect::ResourceUp {
                    resource: Arc::clone(resource),
                    source: source.to_owned(),
                }),
        );
        effects
    }

    /// How many resources are in force.
    #[must_use]
    pub fn resource_count(&self) -> usize {
        self.in_force.len()
    }

    /// The resource in force of an identity.
    #[must_use]
    pub fn resource(&self, id: &ResourceId) -> Option<&Arc<Resource>> {
        self.in_force.get(id).map(|entry| &entry.resource)
    }

    /// Identities whose last part is `id`, in order: the candidates of `id:namespace`.
    pub fn with_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a ResourceId> {
        let entries = self.in_force.values_unsorted();
        let found = entries.filter(|entry| entry.resource.id().id() == id);
        let mut ids: Vec<&ResourceId> = found.map(|entry| entry.resource.id()).collect();
        ids.sort_unstable();
        ids.into_iter()
    }

    /// The resource that `id` doubles: the first on the same device key, by discovery, then id.
    #[must_use]
    pub fn duplicate_of(&self, id: &ResourceId) -> Option<&ResourceId> {
        let key = self.in_force.get(id)?.resource.device_key();
        let on_device = self.devices.get(&key)?;
        let rank = |id: &&ResourceId| {
            let source = self.in_force.get(*id).map_or("", |entry| &*entry.source);
            (self.rank(source).0, (*id).clone())
        };
        on_device
            .iter()
            .min_by_key(rank)
            .filter(|first| *first != id)
    }

    /// Place of a discovery in the configuration; those that are not in it come last, by name.
    fn rank<'a>(&self, source: &'a str) -> (usize, &'a str) {
        let place = self.order.iter().position(|known| known == source);
        (place.unwrap_or(usize::MAX), source)
    }
}

impl Source {
    /// How many resources it has found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether it has found none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// What it has found, by identity.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.claims.iter().map(|(_, claim)| &claim.resource)
    }
}

impl Serialize for State {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            epoch: self.epoch,
            plan: self.plan.clone(),
            revision: self.revision,
            order: self.order.clone(),
            sources: self.sources.clone(),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for State {
    /// Refuses a stored state that breaks an invariant.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored {
            epoch,
            plan,
            revision,
            order,
            sources,
        } = Stored::deserialize(deserializer)?;
        let mut state = Self {
            epoch,
            plan,
            revision,
            order,
            sources,
            ..Self::default()
        };
        state.settle_all(&mut Vec::new());
        state.check().map_err(serde::de::Error::custom)?;
        Ok(state)
    }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
