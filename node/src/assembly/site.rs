//! From configuration to a site: plugins, credentials, the node's own resource.
//!
//! Does: make each plugin, park what cannot be made, open secrets. Does not: run anything.
//! In: a loaded configuration. Out: [`Assembled`]: the site and what is parked, by name.
//! Takes a while with v3 passphrases (0.1 s each): for start and reload only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ocelli_actors::{
    CredentialSet, DiscoveryInstance, EnrichmentInstance, OWN_SOURCE, PluginBreaker,
    PluginCounters, PollingInstance, Site, SiteEnrichment, SiteParts, SitePolling,
};
use ocelli_config::sections::discovery::{DiscoveryConfig, EnrichmentConfig};
use ocelli_config::sections::polling::PollingConfig;
use ocelli_config::{Config, Parked, Problem, Sources, open_credentials};
use ocelli_model::resource::{Resource, ResourceError, ResourceFields};
use ocelli_model::unix_seconds::UnixSeconds;
use ocelli_plugins::profiles::ProfileLibrary;
use ocelli_plugins::registry;
use xxhash_rust::xxh3::Xxh3;

use crate::secrets::process_secrets;

/// Longest run of an enrichment where nothing else is said.
const ENRICHMENT_DEADLINE_MAX: Duration = Duration::from_secs(300);

/// Counters of polling plugins by name: they live on over a reload.
pub type Counters = BTreeMap<String, Arc<PluginCounters>>;

/// A site and what is left out of it.
pub struct Assembled {
    /// Ready to run.
    pub site: Site,
    /// `role/name` of a plugin, credential or resource, and why it is parked.
    pub parked: BTreeMap<String, String>,
}

/// The role of a plugin among what is parked.
pub const POLLING: &str = "polling";
/// The same of an enrichment.
pub const ENRICHMENT: &str = "enrichment";
/// The same of a discovery.
pub const DISCOVERY: &str = "discovery";
/// The same of a credential.
const CREDENTIAL: &str = "credential";

/// By what an item is known among what is parked: plugins of different roles may share a name.
#[must_use]
pub fn parked_id(role: &str, name: &str) -> String {
    format!("{role}/{name}")
}

/// What the configuration itself refused, in the form of [`Assembled::parked`].
pub fn refused_items(items: &[Parked]) -> impl Iterator<Item = (String, String)> {
    items.iter().map(|item| {
        let section = item.section.trim_matches(['[', ']']);
        let name = item.name.clone();
        let name = name.unwrap_or_else(|| format!("#{}", item.number));
        let reasons = item.problems.iter().map(|problem| {
            let Problem {
                place,
                reason,
                remedy,
                ..
            } = problem;
            format!("{place}: {reason}; {remedy}")
        });
        let reasons: Vec<String> = reasons.collect();
        (parked_id(section, &name), reasons.join(", "))
    })
}

/// Makes the site of a configuration. `directory` is what profile files are relative to.
///
/// # Errors
/// [`ResourceError`] if site and name of the node make no resource.
pub fn assemble(
    config: Config,
    sources: &Sources,
    directory: PathBuf,
    counters: &mut Counters,
) -> Result<Assembled, ResourceError> {
    let mut parked = BTreeMap::new();
    let own = own_resource(&config)?;
    let library = ProfileLibrary::with_directory(directory);
    let pollings = config.pollings.iter().filter_map(|polling| {
        let made = registry::polling(polling, &library);
        let id = parked_id(POLLING, polling.name());
        let plugin = keep(made, id, &mut parked)?;
        Some(site_polling(polling, plugin, counters))
    });
    let pollings = pollings.collect();
    let site_name = config.node.site.as_str();
    let discoveries = config.discoveries.iter().filter_map(|discovery| {
        let name = discovery.name().as_str();
        let made = registry::discovery(discovery, site_name);
        let plugin = keep(made, parked_id(DISCOVERY, name), &mut parked)?;
        let every = match discovery {
            DiscoveryConfig::Json(json) => Some(json.every.get()),
            DiscoveryConfig::Static(_) => None,
        };
        Some(Arc::new(DiscoveryInstance {
            name: name.into(),
            plugin,
            every,
            status: Arc::default(),
        }))
    });
    let discoveries = discoveries.collect();
    let enrichments = config.enrichments.iter().map(site_enrichment).collect();
    let opened = open_credentials(&config, &process_secrets());
    for (name, error) in opened.failed {
        parked.insert(parked_id(CREDENTIAL, &name), error.to_string());
    }
    let (credentials, unusable) = CredentialSet::new(opened.snmp);
    for (name, error) in unusable {
        parked.insert(parked_id(CREDENTIAL, &name), error.to_string());
    }
    let site = Site::new(SiteParts {
        config: Arc::new(config),
        revision: revision_of(sources),
        discoveries,
        pollings,
        enrichments,
        credentials,
        own: Arc::new(own),
    });
    Ok(Assembled { site, parked })
}

fn keep<T, E: std::fmt::Display>(
    made: Result<T, E>,
    id: String,
    parked: &mut BTreeMap<String, String>,
) -> Option<T> {
    made.map_err(|error| parked.insert(id, error.to_string()))
        .ok()
}

fn site_polling(
    config: &PollingConfig,
    plugin: Arc<dyn ocelli_plugins::polling::Polling>,
    counters: &mut Counters,
) -> SitePolling {
    let name = config.name().as_str();
    let (port, timeout) = match config {
        PollingConfig::Snmp(snmp) => (snmp.port, snmp.timeout),
        PollingConfig::Host(_) => (None, None),
    };
    SitePolling {
        config: config.clone(),
        instance: Arc::new(PollingInstance {
            name: name.into(),
            plugin,
            counters: Arc::clone(counters.entry(name.to_owned()).or_default()),
            breaker: PluginBreaker::default(),
            port: port.map(|port| port.get()),
            timeout: timeout.map(|timeout| timeout.get()),
        }),
    }
}

fn site_enrichment(config: &EnrichmentConfig) -> SiteEnrichment {
    let EnrichmentConfig::Snmp(snmp) = config;
    let every = snmp.every.get();
    let default = (every / 10 * 9).min(ENRICHMENT_DEADLINE_MAX);
    SiteEnrichment {
        config: config.clone(),
        instance: Arc::new(EnrichmentInstance {
            name: config.name().as_str().into(),
            plugin: registry::enrichment(config),
            every,
            deadline: snmp
                .deadline
                .map_or(default, |deadline| deadline.get().min(every)),
            port: snmp.port.map(|port| port.get()),
        }),
    }
}

/// The node itself, as a resource.
fn own_resource(config: &Config) -> Result<Resource, ResourceError> {
    let name = config.node.name.as_str();
    let identity = [config.node.site.as_str(), "system", "host", "generic", name];
    Resource::new(ResourceFields {
        identity: identity.map(str::to_owned),
        endpoint: name.to_owned(),
        metadata: BTreeMap::new(),
        // Always the same, so that a restart finds the resource unchanged.
        created: UnixSeconds::default(),
        plugin: OWN_SOURCE.to_owned(),
    })
}

/// Hash of all texts, in their order.
fn revision_of(sources: &Sources) -> u128 {
    let mut hash = Xxh3::new();
    for (_, source) in sources.iter() {
        hash.update(&(source.text.len() as u64).to_le_bytes());
        hash.update(source.text.as_bytes());
    }
    hash.digest128()
}
