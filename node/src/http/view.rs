//! The node as the API shows it: what the assembly implements and the routes read.
//!
//! Does: name the shapes of resources, plugins, status and readiness. Does not: hold them.
//! In: nothing. Out: [`NodeView`]. Field names are stable: additions only.
//! Invariant: no method waits; what it gives is a snapshot, swapped whole by its owner.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ocelli_actors::RuntimeCounts;
use ocelli_federation::identity::PeerIdentity;
use ocelli_federation::ingest::Roster;
use ocelli_model::resource::{Named, Resource};
use serde::Serialize;
use serde_json::Value;

use super::ApiError;
use super::control::conflict;
use super::discovery_view::DiscoveryView;
use crate::assembly::links::Links;
use crate::assembly::origins::Origins;
use crate::capacity::Limits;

/// A resource with what this node knows of it.
#[derive(Debug, Clone, Serialize)]
pub struct ResourceView {
    /// `site/class/subclass/type/id`.
    pub id: String,
    /// The resource itself, as Panoptes writes it.
    pub resource: Arc<Resource>,
    /// Normalised endpoint host, by which load is budgeted.
    pub device: String,
    /// What the device calls itself (sysName), once enrichment has found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_name: Option<Arc<str>>,
    /// The resource that has the same device, if this one came later.
    pub duplicate_of: Option<String>,
    /// Polling plugins whose filter it passes.
    pub plugins: Vec<PairView>,
}

impl Named for ResourceView {
    fn resource(&self) -> &Resource {
        &self.resource
    }

    fn system_name(&self) -> Option<&str> {
        self.system_name.as_deref()
    }
}

/// One (resource, plugin).
#[derive(Debug, Clone, Default, Serialize)]
pub struct PairView {
    /// Name of the plugin.
    pub plugin: String,
    /// Interval of its slots, ms.
    pub interval_ms: u32,
    /// Last slot with a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_batch_slot_ms: Option<i64>,
    /// Cause of the open gap, absent while data comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_cause: Option<String>,
}

/// A configured plugin.
#[derive(Debug, Clone, Serialize)]
pub struct PluginView {
    /// `role/name`: plugins of different roles may share a name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `discovery`, `enrichment` or `polling`.
    pub role: &'static str,
    /// Kind in the configuration: `snmp`, `host`, `json`, …
    pub kind: String,
    /// Interval, ms.
    pub interval_ms: u64,
    /// The filter as written, empty if it has none.
    pub filter: String,
    /// Resources that it works on.
    pub resources: usize,
    /// Why it does not run, null if it does.
    pub parked: Option<String>,
    /// Why its last change is not in force: the trial of it failed. Null if it is.
    pub rolled_back: Option<String>,
}

/// Why a plugin does not poll a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpaired {
    /// No such plugin.
    Unknown(String),
    /// It is parked, or its filter says no.
    Refused(String),
}

impl Unpaired {
    /// 404 or 409.
    #[must_use]
    pub fn into_api(self) -> ApiError {
        match self {
            Self::Unknown(message) => ApiError::not_found(&message, "list them with /v1/plugins"),
            Self::Refused(message) => conflict("not_matched", &message, ""),
        }
    }
}

/// One condition of readiness.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What is looked at.
    pub name: &'static str,
    /// Whether it holds.
    pub is_ok: bool,
    /// What is the matter; empty if nothing is.
    pub detail: String,
}

/// What the routes ask of the node.
pub trait NodeView: Send + Sync + 'static {
    /// All resources, ascending by id.
    fn resources(&self) -> Arc<Vec<ResourceView>>;
    /// All plugins.
    fn plugins(&self) -> Arc<Vec<PluginView>>;
    /// All discoveries, ascending by name.
    fn discoveries(&self) -> Vec<DiscoveryView>;
    /// Whether a polling plugin runs against a resource.
    ///
    /// # Errors
    /// [`Unpaired`] with what decided.
    fn pairing(&self, resource: &Resource, plugin: &str) -> Result<(), Unpaired>;
    /// Name, site, version, counts, warnings: one object.
    fn status(&self) -> Value;
    /// Conditions of readiness: bus recovered, listeners bound, right to poll.
    fn readiness(&self) -> Vec<Check>;
    /// What the runtime counted, for `/metrics`; all zero before it starts.
    fn runtime(&self) -> RuntimeCounts;
    /// Who the node is to others; `None`: nobody.
    fn identity(&self) -> Option<Arc<PeerIdentity>>;
    /// Links to others; `None`: the node has none.
    fn links(&self) -> Option<Arc<Links>>;
    /// What is known of the nodes below; `None`: the node has no links.
    fn roster(&self) -> Option<Arc<Roster>>;
    /// How origins stand; `None`: the node does not look after it.
    fn origins(&self) -> Option<Arc<Origins>>;
    /// Neighbours that were refused since the start, by reason.
    fn refused_peers(&self) -> BTreeMap<&'static str, u64>;
    /// What bounds the disk; free bytes are the bus's to say.
    fn limits(&self) -> Limits;
    /// How long the process has run.
    fn uptime(&self) -> Duration;
    /// Whether every arbiter answered lately.
    fn is_alive(&self) -> bool;
}
