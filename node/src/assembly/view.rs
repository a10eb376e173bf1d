//! The running node as the API shows it.
//!
//! Does: put together what the runtime follows, the configuration and the bus say. Does not: hold
//! state of its own but the moment of the start. In: snapshots. Out: [`NodeView`]. Never waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ocelli_actors::{Followed, PairingError, ResourcePlan, RuntimeCounters, RuntimeCounts, Site};
use ocelli_bus::{Bus, DiskState, LastKind};
use ocelli_config::sections::discovery::DiscoveryConfig;
use ocelli_config::sections::polling::PollingConfig;
use ocelli_federation::identity::{IdentityStore, PeerIdentity, Validity};
use ocelli_federation::ingest::{Roster, SecondGeneration};
use ocelli_federation::links::OriginState;
use ocelli_federation::membership::JoinState;
use ocelli_model::catalog::{CatalogLog, State};
use ocelli_model::clock::{Clock, Monotonic};
use ocelli_model::resource::Resource;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::links::Links;
use super::notices::limits_of;
use super::origins::Origins;
use super::site::{DISCOVERY, ENRICHMENT, POLLING, parked_id};
use crate::capacity::Limits;
use crate::http::discovery_view::DiscoveryView;
use crate::http::view::{Check, NodeView, PairView, PluginView, ResourceView, Unpaired};

/// What the API looks at.
pub struct AssembledView {
    /// What is polled.
    pub followed: Arc<ArcSwap<Followed>>,
    /// What the runtime counts.
    pub counters: Arc<RuntimeCounters>,
    /// What is agreed on.
    pub catalog: Arc<dyn CatalogLog>,
    /// The configuration in force.
    pub site: Arc<ArcSwap<Site>>,
    /// What is parked, by role and name.
    pub parked: Arc<ArcSwap<BTreeMap<String, String>>>,
    /// Polling plugins whose last change failed its trial, and why.
    pub rolled_back: Arc<ArcSwap<BTreeMap<String, String>>>,
    /// The bus.
    pub bus: Arc<Bus>,
    /// For ages.
    pub clock: Arc<dyn Clock>,
    /// When the node began.
    pub started: Monotonic,
    /// Who the node is to others; `None`: nobody.
    pub identity: Option<Arc<IdentityStore>>,
    /// Links; `None`: the node has none.
    pub links: Option<Arc<Links>>,
    /// What is known of the nodes below; `None`: the node has no links.
    pub roster: Option<Arc<Roster>>,
    /// How joining stands, where the node has no certificate yet.
    pub joining: Option<watch::Receiver<JoinState>>,
    /// How origins stand.
    pub origins: Arc<Origins>,
}

impl NodeView for AssembledView {
    fn runtime(&self) -> RuntimeCounts {
        self.counters.counts()
    }

    fn resources(&self) -> Arc<Vec<ResourceView>> {
        let followed = self.followed.load();
        let state = self.catalog.state();
        let names = self.bus.last_values().system_names();
        let view = |plan: &Arc<ResourcePlan>| ResourceView {
            id: plan.resource.id().to_string(),
            resource: Arc::clone(&plan.resource),
            device: plan.device.as_str().to_owned(),
            system_name: names.get(plan.resource.id()),
            duplicate_of: state
                .duplicate_of(plan.resource.id())
                .map(ToString::to_string),
            plugins: plan.pairs.iter().map(pair_view).collect(),
        };
        let mut all: BTreeMap<String, ResourceView> = self.heard_of();
        let followed = followed.resources.values().map(view);
        all.extend(followed.map(|view| (view.id.clone(), view)));
        Arc::new(all.into_values().collect())
    }

    fn plugins(&self) -> Arc<Vec<PluginView>> {
        let site = self.site.load();
        let parked = self.parked.load();
        let rolled_back = self.rolled_back.load();
        let followed = self.followed.load();
        let state = self.catalog.state();
        let mut plugins = Vec::new();
        for polling in &site.config.pollings {
            let name = polling.name().as_str();
            let is_polled = |plan: &&Arc<ResourcePlan>| {
                plan.pairs.iter().any(|pair| &*pair.instance.name == name)
            };
            let kind = match polling {
                PollingConfig::Snmp(_) => "snmp",
                PollingConfig::Host(_) => "host",
            };
            plugins.push(PluginView {
                id: parked_id(POLLING, name),
                name: name.to_owned(),
                role: POLLING,
                kind: kind.to_owned(),
                interval_ms: millis(polling.every().get()),
                filter: polling
                    .filter()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                resources: followed.resources.values().filter(is_polled).count(),
                parked: self.why_parked(&site, name),
                rolled_back: rolled_back.get(name).cloned(),
            });
        }
        for enrichment in &site.config.enrichments {
            let name = enrichment.name().as_str();
            let is_learnt = |plan: &&Arc<ResourcePlan>| {
                plan.enrichments
                    .iter()
                    .any(|instance| &*instance.name == name)
            };
            plugins.push(PluginView {
                id: parked_id(ENRICHMENT, name),
                name: name.to_owned(),
                role: ENRICHMENT,
                kind: "snmp".to_owned(),
                interval_ms: millis(enrichment.every().get()),
                filter: enrichment
                    .filter()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                resources: followed.resources.values().filter(is_learnt).count(),
                parked: parked.get(&parked_id(ENRICHMENT, name)).cloned(),
                rolled_back: None,
            });
        }
        for discovery in &site.config.discoveries {
            let name = discovery.name().as_str();
            let source = state.sources().get(name);
            let mut view = discovery_plugin(discovery, &parked);
            view.resources = source.map_or(0, |source| source.len());
            plugins.push(view);
        }
        plugins.extend(left_out(&parked, &plugins));
        Arc::new(plugins)
    }

    fn discoveries(&self) -> Vec<DiscoveryView> {
        let site = self.site.load();
        let parked = self.parked.load();
        let state = self.catalog.state();
        let view = |config: &DiscoveryConfig| {
            let name = config.name().as_str();
            let (kind, interval_ms) = discovery_kind(config);
            let mut running = site.discoveries.iter();
            let instance = running.find(|instance| *instance.name == *name);
            DiscoveryView {
                name: name.to_owned(),
                kind,
                interval_ms,
                source: state.sources().get(name).cloned().unwrap_or_default(),
                last: instance.and_then(|instance| instance.status.last()),
                parked: parked.get(&parked_id(DISCOVERY, name)).cloned(),
            }
        };
        let mut views: Vec<_> = site.config.discoveries.iter().map(view).collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    fn pairing(&self, resource: &Resource, plugin: &str) -> Result<(), Unpaired> {
        if let Some(reason) = self.parked.load().get(&parked_id(POLLING, plugin)) {
            let text = format!("plugin {plugin:?} is parked: {reason}");
            return Err(Unpaired::Refused(text));
        }
        let paired = self.site.load().pairing(resource, plugin);
        paired.map_err(|error| match error {
            PairingError::Unknown { .. } => Unpaired::Unknown(error.to_string()),
            _ => Unpaired::Refused(error.to_string()),
        })
    }

    fn status(&self) -> Value {
        let site = self.site.load();
        let state = self.catalog.state();
        let followed = self.followed.load();
        let pairs: usize = followed
            .resources
            .values()
            .map(|plan| plan.pairs.len())
            .sum();
        let (statistics, bus) = (self.bus.statistics(), *self.bus.status().borrow());
        let mut totals = BTreeMap::<&str, u64>::new();
        let mut gaps = BTreeMap::<&str, u64>::new();
        for polling in &site.pollings {
            let counts = polling.instance.counters.counts();
            *totals.entry("runs").or_default() += counts.runs;
            *totals.entry("batches").or_default() += counts.batches;
            *totals.entry("partial_batches").or_default() += counts.partial_batches;
            *totals.entry("samples").or_default() += counts.samples;
            *totals.entry("rates").or_default() += counts.rates;
            for (kind, slots) in counts.gap_slots {
                *gaps.entry(kind.as_str()).or_default() += slots;
            }
        }
        let uptime = self.uptime();
        json!({
            "node": site.config.node.name.as_str(),
            "site": site.config.node.site.as_str(),
            "tier": site.config.node.tier.as_str(),
            "mesh": site.config.node.mesh.as_str(),
            "version": env!("CARGO_PKG_VERSION"),
            "origin": self.bus.origin(),
            "epoch": state.epoch().to_string(),
            "revision": format!("{:032x}", site.revision),
            "uptime_s": uptime.as_secs(),
            "identity": self.identity().map(|own| json!({
                "name": own.identity.to_string(),
                "not_after_ms": own.not_after_ms,
                "expires_in_s": Validity::expires_in_seconds(&own, self.clock.wall()),
            })),
            "second_generations": self.roster.as_ref().map(|roster| second_generations(roster)),
            "resources": followed.resources.len(),
            "pairs": pairs,
            "collections": totals,
            "gaps": gaps,
            "parked": &**self.parked.load(),
            "rolled_back": &**self.rolled_back.load(),
            "discovery": troubled(&state),
            "bus": {
                "segments": statistics.segments,
                "segment_bytes": statistics.segment_bytes,
                "queue_bytes": statistics.queue_bytes,
                "disk": bus.disk.as_str(),
                "free_bytes": bus.free_bytes,
                "full_in_s": bus.full_in_seconds,
            },
        })
    }

    fn readiness(&self) -> Vec<Check> {
        let disk = self.bus.status().borrow().disk;
        let is_writable = matches!(disk, DiskState::Ok | DiskState::Low);
        let owns = self
            .catalog
            .state()
            .plan()
            .iter()
            .any(|entry| entry.owner == self.site.load().config.node.name.as_str());
        let down = self.links.as_ref().map(|links| links.list());
        let down = down.unwrap_or_default().into_iter();
        // Told, but no reason to send readers away: what is held is served all the same.
        let down = down.filter(|view| !view.is_up && !view.cursor.is_empty());
        let links = down.map(|view| {
            let for_ms = self.clock.wall().0.saturating_sub(view.since.0).max(0);
            let reason = view.error.as_deref().unwrap_or("not reached yet");
            format!("{} is down for {} s: {reason}", view.id, for_ms / 1_000)
        });
        let links: Vec<String> = links.collect();
        let joining = self.joining.as_ref().map(|states| Check {
            name: "identity",
            is_ok: false,
            detail: joining_detail(&states.borrow()),
        });
        let checks = vec![
            Check {
                name: "links",
                is_ok: true,
                detail: links.join("; "),
            },
            check(
                "bus",
                is_writable,
                "the disk takes nothing; free space or replace it",
            ),
            check(
                "plan",
                owns,
                "no plan entry gives this node the right to poll",
            ),
        ];
        joining.into_iter().chain(checks).collect()
    }

    fn identity(&self) -> Option<Arc<PeerIdentity>> {
        self.identity.as_ref().map(|store| store.own())
    }

    fn links(&self) -> Option<Arc<Links>> {
        self.links.clone()
    }

    fn roster(&self) -> Option<Arc<Roster>> {
        self.roster.clone()
    }

    fn origins(&self) -> Option<Arc<Origins>> {
        Some(Arc::clone(&self.origins))
    }

    fn refused_peers(&self) -> BTreeMap<&'static str, u64> {
        let store = self.identity.as_ref();
        store.map(|store| store.refusals()).unwrap_or_default()
    }

    fn limits(&self) -> Limits {
        limits_of(&self.site.load().config)
    }

    fn uptime(&self) -> Duration {
        self.clock.monotonic().since(self.started)
    }

    fn is_alive(&self) -> bool {
        true
    }
}

impl AssembledView {
    /// Why a polling plugin is parked: it could not be made, or its breaker is open.
    fn why_parked(&self, site: &Site, name: &str) -> Option<String> {
        if let Some(reason) = self.parked.load().get(&parked_id(POLLING, name)) {
            return Some(reason.clone());
        }
        let mut pollings = site.pollings.iter();
        let polling = pollings.find(|polling| *polling.instance.name == *name)?;
        let tries_at = polling.instance.breaker.state().tries_at()?;
        let seconds = tries_at.since(self.clock.monotonic()).as_secs();
        Some(format!(
            "its runs fail on every resource (see its event plugin_parked); one is tried in \
             {seconds} s"
        ))
    }

    /// Resources that other nodes poll, as their last batches show them.
    fn heard_of(&self) -> BTreeMap<String, ResourceView> {
        let mut all = BTreeMap::new();
        let states = self.origins.states();
        for entry in self.bus.last_values().list(LastKind::Batch) {
            if entry.origin == self.bus.origin() {
                continue;
            }
            let id = entry.resource.id().to_string();
            let view = all.entry(id.clone()).or_insert_with(|| ResourceView {
                id,
                device: entry.resource.device_key().as_str().to_owned(),
                system_name: self
                    .bus
                    .last_values()
                    .system_names()
                    .get(entry.resource.id()),
                resource: Arc::clone(&entry.resource),
                duplicate_of: None,
                plugins: Vec::new(),
            });
            view.plugins.push(PairView {
                plugin: entry.key.plugin.to_string(),
                last_batch_slot_ms: Some(entry.head.slot.0),
                interval_ms: entry.head.interval_ms,
                gap_cause: states.get(&entry.origin).and_then(cause_of),
            });
        }
        all
    }
}

/// Why a pair that another node polls shows nothing new: a word of few, for labels.
fn cause_of(state: &OriginState) -> Option<String> {
    match state {
        OriginState::Live => None,
        OriginState::Stale { .. } => Some("link_down".to_owned()),
        OriginState::Silent { .. } => Some("silent".to_owned()),
    }
}

/// Kind and interval, ms.
fn discovery_plugin(config: &DiscoveryConfig, parked: &BTreeMap<String, String>) -> PluginView {
    let name = config.name().as_str();
    let (kind, interval_ms) = discovery_kind(config);
    PluginView {
        id: parked_id(DISCOVERY, name),
        name: name.to_owned(),
        role: DISCOVERY,
        kind: kind.to_owned(),
        interval_ms,
        filter: String::new(),
        resources: 0,
        parked: parked.get(&parked_id(DISCOVERY, name)).cloned(),
        rolled_back: None,
    }
}

/// Plugins that the configuration refused: nothing is known of them but the reason.
fn left_out(parked: &BTreeMap<String, String>, known: &[PluginView]) -> Vec<PluginView> {
    let refused = parked.iter().filter_map(|(id, reason)| {
        let (role, name) = id.split_once('/')?;
        let roles = [POLLING, ENRICHMENT, DISCOVERY];
        let role = roles.into_iter().find(|known| *known == role)?;
        let is_new = known.iter().all(|view| view.id != *id);
        is_new.then(|| PluginView {
            id: id.clone(),
            name: name.to_owned(),
            role,
            kind: String::new(),
            interval_ms: 0,
            filter: String::new(),
            resources: 0,
            parked: Some(reason.clone()),
            rolled_back: None,
        })
    });
    refused.collect()
}

fn discovery_kind(discovery: &DiscoveryConfig) -> (&'static str, u64) {
    match discovery {
        DiscoveryConfig::Json(json) => ("json", millis(json.every.get())),
        DiscoveryConfig::Static(_) => ("static", 0),
    }
}

/// Discoveries that are not as they should be, by name.
fn troubled(state: &State) -> BTreeMap<&str, Value> {
    let sources = state.sources().iter().filter_map(|(name, source)| {
        let held = source.held.as_ref().map(|held| ("held", &held.reason));
        let failed = source.failure.as_ref();
        let failed = failed.map(|failure| ("failed", &failure.reason));
        let (what, reason) = failed.or(held)?;
        Some((name.as_str(), json!({"state": what, "reason": reason})))
    });
    sources.collect()
}

/// Data directories that are refused until a person adopts them.
fn second_generations(roster: &Roster) -> Vec<Value> {
    let json = |one: SecondGeneration| {
        json!({
            "site": one.site,
            "node": one.node,
            "generation": one.generation,
            "known": one.known,
            "origin": one.origin.to_string(),
            "since_ms": one.since.0,
            "hint": format!("ocelli mesh adopt {}", one.site),
        })
    };
    roster.waiting().into_iter().map(json).collect()
}

/// Why a node that wants to join is not somebody yet.
fn joining_detail(state: &JoinState) -> String {
    match state {
        JoinState::Asking { error: None } => "waits for its certificate".to_owned(),
        JoinState::Asking { error: Some(error) } => format!("waits for its certificate: {error}"),
        JoinState::Joined => "has its certificate and starts again".to_owned(),
        JoinState::Refused { error } => format!("has no certificate: {error}"),
    }
}

fn check(name: &'static str, is_ok: bool, otherwise: &str) -> Check {
    let detail = if is_ok {
        String::new()
    } else {
        otherwise.to_owned()
    };
    Check {
        name,
        is_ok,
        detail,
    }
}

fn pair_view(pair: &ocelli_actors::PairSetting) -> PairView {
    PairView {
        plugin: pair.instance.name.to_string(),
        interval_ms: pair.interval_ms,
        last_batch_slot_ms: pair.status.last_batch().map(|slot| slot.0),
        gap_cause: pair.status.open_gap().map(|kind| kind.as_str().to_owned()),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
