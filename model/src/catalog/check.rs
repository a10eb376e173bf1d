//! The invariants of the catalog as code: run after each step in tests, and on a stored state.
//!
//! Does: compare what is derived with what it is derived from, look the plan over.
//! Does not: repair. In: [`State`]. Out: nothing, or the first broken invariant in words.

use std::collections::{BTreeMap, BTreeSet};

use super::State;
use super::plan::SHARDS;
use crate::resource::{DeviceKey, ResourceId};

impl State {
    /// Whether all invariants hold.
    ///
    /// # Errors
    /// The first that does not, and on what.
    pub fn check(&self) -> Result<(), String> {
        self.check_claims()?;
        self.check_in_force()?;
        self.check_devices()?;
        self.check_plan()
    }

    fn check_claims(&self) -> Result<(), String> {
        for (name, source) in &self.sources {
            for (id, claim) in source.claims.iter() {
                if claim.resource.id() != id {
                    return Err(format!("{name} claims {} under {id}", claim.resource.id()));
                }
            }
        }
        Ok(())
    }

    fn check_in_force(&self) -> Result<(), String> {
        let claimed: BTreeSet<&ResourceId> = self
            .sources
            .values()
            .flat_map(|source| source.claims.keys_unsorted())
            .collect();
        for id in &claimed {
            if self.winner(id).as_ref() != self.in_force.get(*id) {
                return Err(format!(
                    "{id} in force is not that of its earliest discovery"
                ));
            }
        }
        match self
            .in_force
            .keys_unsorted()
            .find(|id| !claimed.contains(id))
        {
            Some(id) => Err(format!("{id} is in force, but no discovery claims it")),
            None => Ok(()),
        }
    }

    fn check_devices(&self) -> Result<(), String> {
        let mut devices: BTreeMap<DeviceKey, BTreeSet<ResourceId>> = BTreeMap::new();
        for (id, entry) in self.in_force.iter() {
            devices
                .entry(entry.resource.device_key())
                .or_default()
                .insert(id.clone());
        }
        if devices.iter().eq(self.devices.iter()) {
            return Ok(());
        }
        Err(String::from(
            "the index of devices differs from the resources in force",
        ))
    }

    fn check_plan(&self) -> Result<(), String> {
        let mut next = 0;
        for entry in &self.plan {
            let (first, last) = (entry.first_shard, entry.last_shard);
            if first < next || first > last || last >= SHARDS {
                return Err(format!(
                    "plan entry {first}..={last} overlaps or is out of range"
                ));
            }
            if entry.epoch > self.epoch {
                return Err(format!("plan entry {first}..={last} is of the future"));
            }
            next = last + 1;
        }
        Ok(())
    }
}
