//! Commands: the only way in which the catalog changes, and what they bring about.
//!
//! Does: list both. Does not: apply them (`apply`), make them of a discovery run (`discovery`).
//! Rules: commands go through `codec`, so variants and fields are only added at the end, and no
//! type in them is recursive. In and out: values.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Held, PlanEntry, Revision};
use crate::resource::{Resource, ResourceId};
use crate::slot::{Epoch, SlotMs};
use crate::unix_seconds::UnixSeconds;

/// Largest command, bytes: what Raft copies between two heartbeats without delaying them.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// One change of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Opens a generation: the first command of a lone node, or a recovery.
    Open {
        /// Above every earlier one.
        generation: u64,
    },
    /// Gives a range of shards to a node.
    Assign {
        /// First shard.
        first_shard: u16,
        /// Last shard.
        last_shard: u16,
        /// Node that polls.
        owner: String,
        /// Node that follows.
        standby: Option<String>,
        /// From this slot on.
        from: SlotMs,
    },
    /// Puts a configuration revision in force.
    Configure {
        /// The revision.
        revision: Revision,
        /// Names of its discoveries, in order: the earlier one wins on equal ids.
        discoveries: Vec<String>,
    },
    /// A discovery has found these, new or changed.
    Upsert {
        /// Name of the discovery.
        source: String,
        /// What it found.
        resources: Vec<Arc<Resource>>,
    },
    /// A discovery no longer finds these.
    Remove {
        /// Name of the discovery.
        source: String,
        /// What is gone.
        ids: Vec<ResourceId>,
    },
    /// A discovery could not read the rows of these: they stay, and their time to live runs.
    Keep {
        /// Name of the discovery.
        source: String,
        /// What stays.
        ids: Vec<ResourceId>,
        /// When they were last seen.
        since: UnixSeconds,
    },
    /// A discovery run ended well and its difference is committed: all it found is fresh.
    Finish {
        /// Name of the discovery.
        source: String,
        /// When.
        at: UnixSeconds,
    },
    /// A discovery run failed: nothing changes but that it is known.
    Fail {
        /// Name of the discovery.
        source: String,
        /// When.
        at: UnixSeconds,
        /// Why.
        reason: String,
    },
    /// A discovery run ended well, but its set is held for approval.
    Hold {
        /// Name of the discovery.
        source: String,
        /// What is held.
        held: Held,
    },
    /// An operator accepts a held set.
    Approve {
        /// Name of the discovery.
        source: String,
        /// Hash of the set.
        hash: u128,
    },
    /// Removes what has outlived its time to live.
    Expire {
        /// Now.
        now: UnixSeconds,
    },
}

/// Something that follows from a command. Nodes act on these and on nothing else.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A resource is new or another than before.
    ResourceUp {
        /// It.
        resource: Arc<Resource>,
        /// The discovery that it comes from.
        source: String,
    },
    /// A resource is no more.
    ResourceGone {
        /// It.
        id: ResourceId,
    },
    /// A plan entry holds: to be written to lane 1 before a batch rests on it.
    Planned(PlanEntry),
    /// A configuration revision is in force.
    Configured(Revision),
    /// A discovery's set is held: worth an event.
    DiscoveryHeld {
        /// Name of the discovery.
        source: String,
        /// What is held.
        held: Held,
    },
    /// A held set is accepted: the discovery may commit it now.
    DiscoveryApproved {
        /// Name of the discovery.
        source: String,
        /// Hash of the set.
        hash: u128,
    },
    /// A discovery began to fail: worth an event.
    DiscoveryFailed {
        /// Name of the discovery.
        source: String,
        /// Why.
        reason: String,
    },
}

/// Why a command changed nothing. It has its index all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refused {
    /// `Open` with a generation that is not above the present one.
    #[error("generation {generation} is not above {current}; take the next one")]
    OldGeneration {
        /// The generation asked for.
        generation: u64,
        /// The present one.
        current: u64,
    },
    /// `Assign` outside the shards, or backwards.
    #[error(
        "shards {first}..={last} are no range below {}; correct the assignment",
        super::SHARDS
    )]
    BadRange {
        /// First shard asked for.
        first: u16,
        /// Last shard asked for.
        last: u16,
    },
    /// `Approve` of a set that is not held (any more).
    #[error("discovery {origin:?} holds no set with that hash; look at its difference again")]
    NotHeld {
        /// Name of the discovery.
        origin: String,
    },
    /// A command about a discovery that is not known and claims nothing.
    #[error("discovery {origin:?} is not known; it has never finished a run")]
    UnknownSource {
        /// Name of the discovery.
        origin: String,
    },
}

/// What applying a command did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The command's place: generation and index.
    pub epoch: Epoch,
    /// What follows, in order.
    pub effects: Vec<Effect>,
    /// Set if it changed nothing.
    pub refused: Option<Refused>,
}
