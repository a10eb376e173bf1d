//! Table of contents of `ocelli-actors`: the supervised runtime of a node.
//!
//! Does: supervision, slots, budgets, credentials, discovery, the lone catalog log.
//! Does not: speak protocols (`plugins`, `snmp`), store (`bus`), read clocks (`node`).

#![forbid(unsafe_code)]

mod arbiter;
mod collection;
mod counters;
mod credential_choice;
mod credentials;
mod device;
mod discovery;
mod events;
mod learning;
mod lone_catalog;
mod node;
mod outlet;
mod plan;
mod plugin_breaker;
mod probe;
mod probe_alone;
mod publish;
mod reach;
mod recall;
mod resolver;
mod resource;
mod restart;
mod runtime;
mod saved;
mod session;
mod site;
mod slot_time;
mod station;
mod supervise;
#[cfg(test)]
mod testing;
mod wheel;

pub use counters::{ActorCounts, ENGINE_SHOWN_EVERY, RuntimeCounters, RuntimeCounts};
pub use credentials::{CredentialSet, Unusable};
pub use discovery::{DiscoveryOutcome, DiscoveryStatus, LastRun};
pub use events::Reporter;
pub use lone_catalog::{LoneCatalog, OpenCatalogError};
pub use node::Followed;
pub use plan::{
    EnrichmentInstance, NamedCredential, PairMemory, PairSetting, PairStatus, PluginCounters,
    PluginCounts, PollingInstance, ResourceMemory, ResourcePlan,
};
pub use plugin_breaker::PluginBreaker;
pub use probe::{ProbeOrder, ProbeRefused, ProbeReport, ProbeStep, Probed};
pub use probe_alone::{AloneParts, probe_alone};
pub use recall::{Former, RecallError, Recalled, recall};
pub use resolver::{Lookup, LookupFuture, SystemLookup};
pub use runtime::{ApproveError, OWN_SOURCE, Runtime, RuntimeParts, StartError};
pub use site::{DiscoveryInstance, PairingError, Site, SiteEnrichment, SiteParts, SitePolling};
pub use slot_time::SlotTime;
