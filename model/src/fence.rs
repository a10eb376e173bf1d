//! The fence: which batches count, by the plan and not by who was quick.
//!
//! Does: keep the plan entries of one site as they were told ([`PlanHistory`]), judge a batch by
//! its epoch, its node and its slot, and let one batch of a (resource, plugin, slot) count
//! ([`SlotClaims`]). Does not: ask for leases, read records, drop anything.
//! In: plan entries and heads of batches, in any order. Out: [`Verdict`], the same whatever the
//! order in which entries came, and however late the batch is.
//! Invariant: for one shard and one slot at most one node and epoch is rightful.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::catalog::{PlanEntry, SHARDS};
use crate::slot::{Epoch, SlotMs};

/// Plan entries of a site that are kept, each once for each shard that it covers. Moves are bounded
/// to some a minute, so this is weeks; beyond it [`PlanHistory::learn`] refuses and says so.
pub const ASSIGNMENTS_MAX: usize = 1 << 20;
/// Ranges of claimed slots of one pair that are kept: holes are gaps or slots to come, and both are
/// few. With that many held [`SlotClaims::claim`] refuses slots before the oldest one, which the
/// next new range makes it forget.
pub const CLAIM_RANGES_MAX: usize = 256;

/// What the fence says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Rightful,
    /// No entry of its epoch covers its shard, as far as is known here. Plan entries precede the
    /// batches that rest on them, so it never will.
    UnknownEpoch,
    /// The entry that it names gives the shard to another node.
    NotOwner {
        /// The one that it gives the shard to.
        owner: Arc<str>,
    },
    /// Its slot lies before the first one of the entry that it names.
    TooEarly {
        /// The first slot.
        from: SlotMs,
    },
    /// A later entry gives its slot to somebody else, or to the same node anew.
    Superseded {
        /// Epoch of that entry.
        by: Epoch,
        /// Who has the slot.
        owner: Arc<str>,
    },
}

impl Verdict {
    /// Whether the batch counts.
    #[must_use]
    pub fn is_rightful(&self) -> bool {
        *self == Self::Rightful
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rightful => write!(formatter, "rightful"),
            Self::UnknownEpoch => write!(formatter, "no plan entry of that epoch is known"),
            Self::NotOwner { owner } => write!(formatter, "its plan entry names {owner:?}"),
            Self::TooEarly { from } => write!(formatter, "its plan entry begins at {}", from.0),
            Self::Superseded { by, owner } => {
                write!(formatter, "the slot is {owner:?}'s since epoch {by}")
            }
        }
    }
}

/// Why a plan entry was not learnt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// Its range is none.
    #[error("shards {first}..={last} are no range below {SHARDS}; the entry is damaged")]
    BadRange {
        /// First shard.
        first: u16,
        /// Last shard.
        last: u16,
    },
    /// There is another entry of that epoch for a shard of it.
    #[error(
        "shard {shard} has another entry of epoch {epoch} already; two sites may bear one name"
    )]
    Contradiction {
        /// The shard.
        shard: u16,
        /// The epoch.
        epoch: Epoch,
    },
    /// Too much is kept.
    #[error(
        "the plan's history holds {ASSIGNMENTS_MAX} assignments, its limit; forget what is older \
         than the records that may still come"
    )]
    Full,
}

/// What one entry says of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Assignment {
    from: SlotMs,
    owner: Arc<str>,
}

/// The plan of one site over time, as one reader knows it.
#[derive(Debug, Clone, Default)]
pub struct PlanHistory {
    shards: BTreeMap<u16, BTreeMap<Epoch, Assignment>>,
    assignments: usize,
}

impl PlanHistory {
    /// Learns an entry. One that is known already changes nothing.
    ///
    /// # Errors
    /// [`LearnError`]; then nothing of the entry is learnt.
    pub fn learn(&mut self, entry: &PlanEntry) -> Result<(), LearnError> {
        let (first, last) = (entry.first_shard, entry.last_shard);
        if first > last || last >= SHARDS {
            return Err(LearnError::BadRange { first, last });
        }
        let epoch = entry.epoch;
        let mut added = 0;
        for shard in first..=last {
            match self.shards.get(&shard).and_then(|known| known.get(&epoch)) {
                Some(known) if known.from != entry.from || *known.owner != *entry.owner => {
                    return Err(LearnError::Contradiction { shard, epoch });
                }
                Some(_) => {}
                None => added += 1,
            }
        }
        if self.assignments + added > ASSIGNMENTS_MAX {
            return Err(LearnError::Full);
        }
        self.assignments += added;
        let owner = Arc::<str>::from(entry.owner.as_str());
        for shard in first..=last {
            let assignment = Assignment {
                from: entry.from,
                owner: Arc::clone(&owner),
            };
            self.shards
                .entry(shard)
                .or_default()
                .insert(epoch, assignment);
        }
        Ok(())
    }

    /// Whether a batch of a resource on `shard` that `node` made for `slot` under `epoch` counts.
    #[must_use]
    pub fn judge(&self, shard: u16, (epoch, node): (Epoch, &str), slot: SlotMs) -> Verdict {
        let Some(known) = self.shards.get(&shard) else {
            return Verdict::UnknownEpoch;
        };
        let Some(own) = known.get(&epoch) else {
            return Verdict::UnknownEpoch;
        };
        if *own.owner != *node {
            let owner = Arc::clone(&own.owner);
            return Verdict::NotOwner { owner };
        }
        if slot < own.from {
            return Verdict::TooEarly { from: own.from };
        }
        match last_at(known, slot) {
            Some((by, later)) if *by != epoch => Verdict::Superseded {
                by: *by,
                owner: Arc::clone(&later.owner),
            },
            _ => Verdict::Rightful,
        }
    }

    /// Who polls a shard at a slot, and under which epoch.
    #[must_use]
    pub fn owner_at(&self, shard: u16, slot: SlotMs) -> Option<(Epoch, &str)> {
        let (epoch, assignment) = last_at(self.shards.get(&shard)?, slot)?;
        Some((*epoch, &assignment.owner))
    }

    /// Forgets entries that say nothing of slots at or after `slot`. Of batches for earlier slots
    /// [`Self::judge`] must not be asked afterwards.
    pub fn forget_before(&mut self, slot: SlotMs) {
        for known in self.shards.values_mut() {
            if let Some((in_force, _)) = last_at(known, slot) {
                // An older entry speaks only where no later one does: nowhere from `slot` on.
                let kept = known.split_off(&{ *in_force });
                self.assignments -= known.len();
                *known = kept;
            }
        }
    }
}

/// The last entry by epoch that speaks of `slot`: later slots of it do not take earlier ones away.
fn last_at(known: &BTreeMap<Epoch, Assignment>, slot: SlotMs) -> Option<(&Epoch, &Assignment)> {
    known.iter().rev().find(|(_, it)| it.from <= slot)
}

/// Slots of one (resource, plugin) that have a batch which counts; the first one made durable wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotClaims {
    /// Slots, by generation, as ranges without holes on the grid: first slot to last one.
    ranges: BTreeMap<(u64, SlotMs), SlotMs>,
}

impl SlotClaims {
    /// Claims a slot of a grid of `interval_ms`; false if a batch of that generation has it.
    pub fn claim(&mut self, generation: u64, slot: SlotMs, interval_ms: u32) -> bool {
        if self.is_claimed(generation, slot) || self.is_forgotten(generation, slot) {
            return false;
        }
        let interval = i64::from(interval_ms);
        let (mut first, mut last) = (slot, slot);
        if let Some((begin, _)) = self.range_to(generation, SlotMs(slot.0 - interval)) {
            first = begin;
        }
        let next = SlotMs(slot.0 + interval);
        if let Some(end) = self.ranges.remove(&(generation, next)) {
            last = end;
        }
        self.ranges.insert((generation, first), last);
        if self.ranges.len() > CLAIM_RANGES_MAX {
            self.ranges.pop_first();
        }
        true
    }

    /// Whether a batch of that generation has the slot.
    #[must_use]
    pub fn is_claimed(&self, generation: u64, slot: SlotMs) -> bool {
        self.range_at(generation, slot)
            .is_some_and(|(_, last)| slot <= last)
    }

    /// Whether the slot lies before all that is kept where ranges were forgotten.
    fn is_forgotten(&self, generation: u64, slot: SlotMs) -> bool {
        let is_full = self.ranges.len() >= CLAIM_RANGES_MAX;
        is_full
            && self
                .ranges
                .first_key_value()
                .is_some_and(|(first, _)| (generation, slot) < *first)
    }

    /// The range that begins at or before a slot.
    fn range_at(&self, generation: u64, slot: SlotMs) -> Option<(SlotMs, SlotMs)> {
        let mut before = self
            .ranges
            .range((generation, SlotMs(i64::MIN))..=(generation, slot));
        before.next_back().map(|((_, first), last)| (*first, *last))
    }

    /// The range that ends with a slot.
    fn range_to(&self, generation: u64, slot: SlotMs) -> Option<(SlotMs, SlotMs)> {
        self.range_at(generation, slot)
            .filter(|(_, last)| *last == slot)
    }
}

#[cfg(test)]
#[path = "fence_tests.rs"]
mod tests;
