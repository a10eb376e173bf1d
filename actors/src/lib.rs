//! Table of contents of `ocelli-actors`: the supervised runtime of a node.
//!
//! Does: supervision, slots, budgets, credentials, discovery, the lone catalog log.
//! Does not: speak protocols (`plugins`, `snmp`), store (`bus`), read clocks (`node`).

#![forbid(unsafe_code)]

mod credential_choice;
mod credentials;
mod device;
mod plan;
mod resolver;
mod restart;
mod session;
mod slot_time;
mod supervise;
#[cfg(test)]
mod testing;
mod wheel;

pub use credentials::{CredentialSet, Unusable};
pub use plan::{
    NamedCredential, PairMemory, PairSetting, PluginCounters, PluginCounts, PollingInstance,
    ResourceMemory, ResourcePlan,
};
pub use resolver::{Lookup, LookupFuture, SystemLookup};
pub use slot_time::SlotTime;
