//! Shards, epochs and plan entries: who polls what from which slot on.
//!
//! Does: map devices to shards, open generations, read and write epochs as text, lay a new entry
//! over older ones. Does not: choose owners (a lone node owns all; placement comes with `raft`).
//! In: device keys, assignments. Out: [`PlanEntry`]. Invariant: entries are disjoint, ascending.

use std::num::ParseIntError;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Command, State};
use crate::resource::DeviceKey;
use crate::slot::{Epoch, SlotMs};

/// Shards of one eligibility set.
pub const SHARDS: u16 = 1_024;

/// Who polls a range of shards. Written to lane 1 before any batch that rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEntry {
    /// First shard of the range.
    pub first_shard: u16,
    /// Last shard of the range, below [`SHARDS`].
    pub last_shard: u16,
    /// Epoch of the command that made it: batches name it.
    pub epoch: Epoch,
    /// Node that polls.
    pub owner: String,
    /// Node that follows its stream, to take over.
    pub standby: Option<String>,
    /// A pair belongs to the owner from its first slot at or after this.
    pub from: SlotMs,
}

/// Why a text is no epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no epoch; write it as GENERATION.INDEX, as 1532023709.12")]
pub struct EpochError {
    /// The text as given.
    pub text: String,
    /// Which number is none, if there are two.
    #[source]
    pub source: Option<ParseIntError>,
}

/// The shard of a device: the same on every node and in every version.
#[must_use]
pub fn shard_of(device: &DeviceKey) -> u16 {
    let hash = xxh3_64(device.as_str().as_bytes());
    u16::try_from(hash % u64::from(SHARDS)).unwrap_or(0)
}

/// The generation that bootstrap or recovery opens, given the highest that anyone reports.
#[must_use]
pub fn next_generation(now_seconds: u64, highest_known: Option<u64>) -> u64 {
    highest_known.map_or(now_seconds, |highest| {
        now_seconds.max(highest.saturating_add(1))
    })
}

/// The command by which a lone node takes all shards, unless it has them: at its first start, and
/// after it was renamed.
#[must_use]
pub fn decide_lone_plan(state: &State, node: &str, from: SlotMs) -> Option<Command> {
    let is_whole = |entry: &PlanEntry| {
        (entry.first_shard, entry.last_shard, entry.owner.as_str()) == (0, SHARDS - 1, node)
    };
    if let [entry] = state.plan()
        && is_whole(entry)
    {
        return None;
    }
    Some(Command::Assign {
        first_shard: 0,
        last_shard: SHARDS - 1,
        owner: node.to_owned(),
        standby: None,
        from,
    })
}

/// Reads `generation.index`, the text form of [`Epoch`].
///
/// # Errors
/// [`EpochError`] for anything else.
pub fn parse_epoch(text: &str) -> Result<Epoch, EpochError> {
    let number = |digits: &str| {
        let parsed = digits.parse::<u64>();
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        match parsed {
            Ok(number) if is_plain => Ok(number),
            Ok(_) => Err(EpochError {
                text: text.to_owned(),
                source: None,
            }),
            Err(source) => Err(EpochError {
                text: text.to_owned(),
                source: Some(source),
            }),
        }
    };
    let Some((generation, index)) = text.split_once('.') else {
        return Err(EpochError {
            text: text.to_owned(),
            source: None,
        });
    };
    Ok(Epoch {
        generation: number(generation)?,
        index: number(index)?,
    })
}

/// Lays `entry` over `plan`: what it covers is cut out of older entries.
pub(super) fn lay_over(plan: &mut Vec<PlanEntry>, entry: PlanEntry) {
    let mut laid = Vec::with_capacity(plan.len() + 2);
    for older in plan.drain(..) {
        if older.first_shard < entry.first_shard {
            let last_shard = older.last_shard.min(entry.first_shard - 1);
            laid.push(PlanEntry {
                last_shard,
                ..older.clone()
            });
        }
        if older.last_shard > entry.last_shard {
            let first_shard = older.first_shard.max(entry.last_shard + 1);
            laid.push(PlanEntry {
                first_shard,
                ..older
            });
        }
    }
    laid.push(entry);
    laid.sort_by_key(|entry| entry.first_shard);
    *plan = laid;
}
