//! What an agent was asked: requests by kind, and by OID.
//!
//! Does: count, with a bound on distinct OIDs. Does not: count what was answered (`server`).
//! In: requests as they come, lost ones too. Out: [`AgentCounts`], serialisable.

use std::collections::HashMap;

use ahash::RandomState;
use ocelli_snmp::oid::OidRef;
use ocelli_snmp::pdu::PduKind;
use serde::Serialize;

/// Most distinct OIDs counted for one agent; the rest is counted together.
pub const COUNTED_OIDS_MAX: usize = 65_536;

/// Counts in the making.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) totals: Totals,
    names: HashMap<Box<[u8]>, u64, RandomState>,
    other_names: u64,
}

/// Numbers without names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Well-formed requests, answered or not.
    pub requests: u64,
    /// GETs among them.
    pub get: u64,
    /// GETNEXTs among them.
    pub get_next: u64,
    /// GETBULKs among them.
    pub get_bulk: u64,
    /// SETs among them; refused.
    pub set: u64,
    /// Names asked for, in all requests.
    pub names: u64,
    /// Variables answered.
    pub varbinds: u64,
    /// v3 messages answered by a report: discovery, time, keys.
    pub reports: u64,
    /// Messages not answered because of a fault.
    pub faulted: u64,
    /// Messages dropped because of their community.
    pub wrong_community: u64,
    /// Messages that could not be decoded, or ask nothing.
    pub malformed: u64,
}

/// What one agent was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentCounts {
    /// Its number, from 1.
    pub agent: u32,
    /// Its address.
    pub address: String,
    /// Sums.
    #[serde(flatten)]
    pub totals: Totals,
    /// How often each OID was asked for, by OID. A GETBULK asks for its names once.
    pub oids: Vec<(String, u64)>,
    /// How often OIDs beyond [`COUNTED_OIDS_MAX`] distinct ones were asked for.
    pub other_oids: u64,
}

impl Counts {
    /// Nothing yet. `seed` spreads the names; peers are local, so it need not be secret.
    pub(super) fn new(seed: u64) -> Self {
        let spread = RandomState::with_seeds(seed, 1, 2, 3);
        let names = HashMap::with_hasher(spread);
        Self {
            totals: Totals::default(),
            names,
            other_names: 0,
        }
    }

    pub(super) fn request(&mut self, kind: PduKind) {
        self.totals.requests += 1;
        match kind {
            PduKind::Get => self.totals.get += 1,
            PduKind::GetNext => self.totals.get_next += 1,
            PduKind::GetBulk => self.totals.get_bulk += 1,
            PduKind::Set => self.totals.set += 1,
            _ => {}
        }
    }

    pub(super) fn name(&mut self, name: OidRef<'_>) {
        self.totals.names += 1;
        if let Some(count) = self.names.get_mut(name.as_ber()) {
            *count += 1;
        } else if self.names.len() < COUNTED_OIDS_MAX {
            self.names.insert(name.as_ber().into(), 1);
        } else {
            self.other_names += 1;
        }
    }

    /// A copy for people, OIDs in order.
    pub(super) fn to_counts(&self, agent: u32, address: String) -> AgentCounts {
        let mut names: Vec<(OidRef<'_>, u64)> = self
            .names
            .iter()
            .filter_map(|(name, count)| Some((OidRef::from_ber(name).ok()?, *count)))
            .collect();
        names.sort_unstable();
        let oids = names
            .into_iter()
            .map(|(name, count)| (name.to_string(), count))
            .collect();
        AgentCounts {
            agent,
            address,
            totals: self.totals,
            oids,
            other_oids: self.other_names,
        }
    }
}
