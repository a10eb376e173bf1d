//! Applying commands: the one place where the catalog changes.
//!
//! Does: carry out each command on the claims, then settle which resource of each touched id is in
//! force, so that effects are differences of what is in force. Does not: decide (the command is
//! decided), read clocks (times come in commands). In: [`Command`]. Out: [`Applied`].
//! Cost: O(log n) an id; `Configure` with another order of discoveries looks at every id.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::command::{Applied, Command, Effect, Refused};
use super::plan::{PlanEntry, SHARDS, lay_over};
use super::{Claim, Failure, InForce, Source, State};
use crate::resource::{Resource, ResourceId};
use crate::unix_seconds::UnixSeconds;

impl State {
    /// Applies the next command. Its index is one above the last, also if it is refused.
    pub fn apply(&mut self, command: Command) -> Applied {
        self.epoch.index = self.epoch.index.saturating_add(1);
        let mut effects = Vec::new();
        let refused = self.carry_out(command, &mut effects).err();
        debug_assert!(refused.is_none() || effects.is_empty());
        Applied {
            epoch: self.epoch,
            effects,
            refused,
        }
    }

    fn carry_out(&mut self, command: Command, effects: &mut Vec<Effect>) -> Result<(), Refused> {
        match command {
            Command::Open { generation } => self.open(generation),
            Command::Assign {
                first_shard,
                last_shard,
                owner,
                standby,
                from,
            } => {
                let epoch = self.epoch;
                let entry = PlanEntry {
                    first_shard,
                    last_shard,
                    epoch,
                    owner,
                    standby,
                    from,
                };
                self.assign(entry, effects)
            }
            Command::Configure {
                revision,
                discoveries,
            } => {
                self.revision = Some(revision);
                effects.push(Effect::Configured(revision));
                if self.order != discoveries {
                    self.order = discoveries;
                    self.settle_all(effects);
                }
                Ok(())
            }
            Command::Upsert { source, resources } => {
                self.upsert(source, resources, effects);
                Ok(())
            }
            Command::Remove { source, ids } => self.remove(&source, &ids, effects),
            Command::Keep { source, ids, since } => self.keep(&source, &ids, since),
            Command::Finish { source, at } => {
                let known = self.sources.entry(source).or_default();
                known.finished = Some(at);
                (known.failure, known.held, known.approved) = (None, None, None);
                Ok(())
            }
            Command::Fail { source, at, reason } => {
                self.fail(source, at, reason, effects);
                Ok(())
            }
            Command::Hold { source, held } => {
                let known = self.sources.entry(source.clone()).or_default();
                known.failure = None;
                known.held = Some(held.clone());
                effects.push(Effect::DiscoveryHeld { source, held });
                Ok(())
            }
            Command::Approve { source, hash } => self.approve(source, hash, effects),
            Command::Expire { now } => {
                self.expire(now, effects);
                Ok(())
            }
        }
    }

    fn open(&mut self, generation: u64) -> Result<(), Refused> {
        let current = self.epoch.generation;
        if generation <= current {
            return Err(Refused::OldGeneration {
                generation,
                current,
            });
        }
        self.epoch.generation = generation;
        Ok(())
    }

    fn assign(&mut self, entry: PlanEntry, effects: &mut Vec<Effect>) -> Result<(), Refused> {
        let (first, last) = (entry.first_shard, entry.last_shard);
        if first > last || last >= SHARDS {
            return Err(Refused::BadRange { first, last });
        }
        lay_over(&mut self.plan, entry.clone());
        effects.push(Effect::Planned(entry));
        Ok(())
    }

    fn upsert(&mut self, source: String, resources: Vec<Arc<Resource>>, effects: &mut Vec<Effect>) {
        let known = self.sources.entry(source).or_default();
        let mut touched = BTreeSet::new();
        for resource in resources {
            touched.insert(resource.id().clone());
            let claim = Claim {
                resource: Arc::clone(&resource),
                unseen_since: None,
            };
            known.claims.insert(resource.id().clone(), claim);
        }
        self.settle(&touched, effects);
    }

    fn remove(
        &mut self,
        source: &str,
        ids: &[ResourceId],
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let known = self.source(source)?;
        let is_gone = |id: &&ResourceId| known.claims.remove(*id).is_some();
        let touched: BTreeSet<ResourceId> = ids.iter().filter(is_gone).cloned().collect();
        self.settle(&touched, effects);
        Ok(())
    }

    fn keep(
        &mut self,
        source: &str,
        ids: &[ResourceId],
        since: UnixSeconds,
    ) -> Result<(), Refused> {
        let claims = &mut self.source(source)?.claims;
        for id in ids {
            if let Some(claim) = claims.get_mut(id) {
                claim.unseen_since.get_or_insert(since);
            }
        }
        Ok(())
    }

    fn fail(&mut self, source: String, at: UnixSeconds, reason: String, effects: &mut Vec<Effect>) {
        let known = self.sources.entry(source.clone()).or_default();
        let since = known.failure.as_ref().map_or(at, |failure| failure.since);
        known.failure = Some(Failure {
            since,
            reason: reason.clone(),
        });
        effects.push(Effect::DiscoveryFailed { source, reason });
    }

    fn approve(
        &mut self,
        source: String,
        hash: u128,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let known = self.source(&source)?;
        if known.held.as_ref().is_none_or(|held| held.hash != hash) {
            return Err(Refused::NotHeld { origin: source });
        }
        known.approved = Some(hash);
        effects.push(Effect::DiscoveryApproved { source, hash });
        Ok(())
    }

    /// A claim ends when its row has been refused, or its discovery has been out of the
    /// configuration, for its time to live. A discovery that fails ends nothing.
    fn expire(&mut self, now: UnixSeconds, effects: &mut Vec<Effect>) {
        let mut touched = BTreeSet::new();
        for (name, source) in &mut self.sources {
            let is_configured = self.order.contains(name);
            let finished = source.finished;
            let orphaned = if is_configured { None } else { finished };
            let mut ended = Vec::new();
            for claim in source.claims.values_unsorted() {
                if claim.expires(orphaned).is_some_and(|at| at <= now.get()) {
                    ended.push(claim.resource.id().clone());
                }
            }
            for id in ended {
                source.claims.remove(&id);
                touched.insert(id);
            }
        }
        let order = &self.order;
        self.sources
            .retain(|name, source| !source.claims.is_empty() || order.contains(name));
        self.settle(&touched, effects);
    }

    fn source(&mut self, name: &str) -> Result<&mut Source, Refused> {
        let known = self.sources.get_mut(name);
        known.ok_or_else(|| Refused::UnknownSource {
            origin: name.to_owned(),
        })
    }

    // === Which resource of an id is in force ===

    pub(super) fn settle_all(&mut self, effects: &mut Vec<Effect>) {
        let mut touched: BTreeSet<ResourceId> = self.in_force.keys_unsorted().cloned().collect();
        for source in self.sources.values() {
            touched.extend(source.claims.keys_unsorted().cloned());
        }
        self.settle(&touched, effects);
    }

    fn settle(&mut self, touched: &BTreeSet<ResourceId>, effects: &mut Vec<Effect>) {
        for id in touched {
            let winner = self.winner(id);
            let before = self.in_force.get(id);
            if winner.as_ref() == before {
                continue;
            }
            let is_same = |before: &InForce| {
                winner
                    .as_ref()
                    .is_some_and(|winner| winner.resource == before.resource)
            };
            let is_change = !before.is_some_and(is_same);
            if let Some(before) = self.in_force.remove(id) {
                self.leave_device(&before.resource);
            }
            let Some(winner) = winner else {
                effects.push(Effect::ResourceGone { id: id.clone() });
                continue;
            };
            self.join_device(&winner.resource);
            if is_change {
                let resource = Arc::clone(&winner.resource);
                effects.push(Effect::ResourceUp {
                    resource,
                    source: winner.source.to_string(),
                });
            }
            self.in_force.insert(id.clone(), winner);
        }
    }

    /// The claim of the earliest discovery.
    pub(super) fn winner(&self, id: &ResourceId) -> Option<InForce> {
        let claims = self.sources.iter().filter_map(|(name, source)| {
            let claim = source.claims.get(id)?;
            Some((self.rank(name), claim))
        });
        let ((_, source), claim) = claims.min_by_key(|(rank, _)| *rank)?;
        Some(InForce {
            resource: Arc::clone(&claim.resource),
            source: source.into(),
        })
    }

    fn join_device(&mut self, resource: &Resource) {
        let key = resource.device_key();
        let id = resource.id().clone();
        match self.devices.get_mut(&key) {
            Some(device) => {
                device.insert(id);
            }
            None => {
                self.devices.insert(key, BTreeSet::from([id]));
            }
        }
    }

    fn leave_device(&mut self, resource: &Resource) {
        let key = resource.device_key();
        let Some(device) = self.devices.get_mut(&key) else {
            return;
        };
        device.remove(resource.id());
        if device.is_empty() {
            self.devices.remove(&key);
        }
    }
}

impl Claim {
    /// When it ends, if nothing sees it again; `orphaned` is when its discovery last finished, if
    /// that is no longer configured.
    pub(super) fn expires(&self, orphaned: Option<UnixSeconds>) -> Option<f64> {
        let since = self.unseen_since.or(orphaned)?;
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 seconds")]
        let ttl = self.resource.ttl_seconds() as f64;
        Some(since.get() + ttl)
    }
}
