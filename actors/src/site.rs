//! The site's configuration as the runtime follows it, and what it means for each resource.
//!
//! Does: hold plugins, credentials and settings of one revision; plan a resource (pure).
//! Does not: read configuration texts, make plugins (`node`), start actors.
//! In: a validated configuration and instances made of it. Out: [`Site`] behind an `Arc`, swapped
//! whole at a reload; [`ResourcePlan`]s.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ocelli_config::sections::discovery::EnrichmentConfig;
use ocelli_config::sections::polling::PollingConfig;
use ocelli_config::{Config, DeviceSettings, device_settings};
use ocelli_model::filter::Filter;
use ocelli_model::resource::{Resource, ResourceId};
use ocelli_model::slot::{Epoch, INTERVAL_MS_MAX, INTERVAL_MS_MIN, SlotMs};
use ocelli_plugins::discovery::Discovery;

use crate::credentials::CredentialSet;
use crate::discovery::DiscoveryStatus;
use crate::plan::{EnrichmentInstance, PairSetting, PollingInstance, ResourcePlan};

/// A configured discovery plugin.
pub struct DiscoveryInstance {
    /// Unique among discoveries; recorded as the resources' source.
    pub name: Arc<str>,
    /// What it does.
    pub plugin: Arc<dyn Discovery>,
    /// How often; `None`: once a revision, for what the configuration itself holds.
    pub every: Option<Duration>,
    /// What its last run came to.
    pub status: Arc<DiscoveryStatus>,
}

/// A polling of the configuration with its instance.
pub struct SitePolling {
    /// As configured.
    pub config: PollingConfig,
    /// As it runs.
    pub instance: Arc<PollingInstance>,
}

/// An enrichment of the configuration with its instance.
pub struct SiteEnrichment {
    /// As configured.
    pub config: EnrichmentConfig,
    /// As it runs.
    pub instance: Arc<EnrichmentInstance>,
}

/// One revision of the configuration, ready to run.
pub struct Site {
    /// The settings.
    pub config: Arc<Config>,
    /// Hash of what they were read from.
    pub revision: u128,
    /// In the order of the configuration.
    pub discoveries: Vec<Arc<DiscoveryInstance>>,
    /// In the order of the configuration; parked ones are left out.
    pub pollings: Vec<SitePolling>,
    /// In the order of the configuration.
    pub enrichments: Vec<SiteEnrichment>,
    /// In the order of the configuration.
    pub credentials: CredentialSet,
    /// The node itself, which `host` pollings without a filter run against.
    pub own: Arc<Resource>,
    /// Settings of devices that no `[[device]]` matches, shared.
    default_settings: Arc<DeviceSettings>,
}

/// What a revision is made of.
pub struct SiteParts {
    /// The settings.
    pub config: Arc<Config>,
    /// Hash of what they were read from.
    pub revision: u128,
    /// In the order of the configuration.
    pub discoveries: Vec<Arc<DiscoveryInstance>>,
    /// In the order of the configuration.
    pub pollings: Vec<SitePolling>,
    /// In the order of the configuration.
    pub enrichments: Vec<SiteEnrichment>,
    /// In the order of the configuration.
    pub credentials: CredentialSet,
    /// The node itself.
    pub own: Arc<Resource>,
}

/// Why a polling plugin does not run against a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairingError {
    /// No such plugin.
    #[error("no polling plugin is called {plugin:?}; there are: {}", known.join(", "))]
    Unknown {
        /// The name.
        plugin: String,
        /// Names that there are.
        known: Vec<String>,
    },
    /// Its filter says no.
    #[error(
        "plugin {plugin:?} does not poll {resource}: its filter is false by {term}, where \
         the resource has {found}"
    )]
    Unmatched {
        /// The plugin.
        plugin: String,
        /// The resource.
        resource: String,
        /// The condition that decided.
        term: String,
        /// What the resource has there.
        found: String,
    },
    /// Without a filter `host` is for the node itself and all other kinds for all others.
    #[error(
        "plugin {plugin:?} has no filter and so does not poll {resource}: `host` runs \
         against the node itself, others against discovered resources; give it a filter"
    )]
    OtherKind {
        /// The plugin.
        plugin: String,
        /// The resource.
        resource: String,
    },
}

impl Site {
    /// A revision.
    #[must_use]
    pub fn new(parts: SiteParts) -> Self {
        let default_settings = Arc::new(device_settings(&parts.config, |_| false));
        Self {
            config: parts.config,
            revision: parts.revision,
            discoveries: parts.discoveries,
            pollings: parts.pollings,
            enrichments: parts.enrichments,
            credentials: parts.credentials,
            own: parts.own,
            default_settings,
        }
    }

    /// Whether any polling runs against the node itself.
    #[must_use]
    pub fn wants_own(&self) -> bool {
        self.pollings
            .iter()
            .any(|polling| is_for_own(&polling.config))
    }

    /// What is to be done with `resource` from the slot time `from` on, under `epoch`.
    #[must_use]
    pub fn plan(&self, resource: &Arc<Resource>, epoch: Epoch, from: SlotMs) -> ResourcePlan {
        let settings = self.settings_of(resource);
        let mut pairs: Vec<PairSetting> = self
            .pollings
            .iter()
            .filter(|polling| is_wanted(&polling.config, resource, self.own.id()))
            .map(|polling| pair_of(polling, &settings))
            .collect();
        pairs.sort_by(|a, b| a.instance.name.cmp(&b.instance.name));
        let is_own = resource.id() == self.own.id();
        let fits = |enrichment: &&SiteEnrichment| match enrichment.config.filter() {
            Some(filter) => filter.matches(&**resource),
            None => !is_own,
        };
        let enrichments = self.enrichments.iter().filter(fits);
        ResourcePlan {
            enrichments: enrichments
                .map(|fitting| Arc::clone(&fitting.instance))
                .collect(),
            resource: Arc::clone(resource),
            device: resource.device_key(),
            epoch,
            from,
            pairs,
            settings,
            credentials: self.credentials.of(resource),
        }
    }

    /// Whether the polling plugin of that name runs against `resource`.
    ///
    /// # Errors
    /// [`PairingError`] with what decided.
    pub fn pairing(&self, resource: &Resource, plugin: &str) -> Result<(), PairingError> {
        let mut pollings = self.pollings.iter();
        let Some(polling) = pollings.find(|polling| *polling.instance.name == *plugin) else {
            let known = self.pollings.iter();
            return Err(PairingError::Unknown {
                plugin: plugin.to_owned(),
                known: known
                    .map(|polling| polling.instance.name.to_string())
                    .collect(),
            });
        };
        if is_wanted(&polling.config, resource, self.own.id()) {
            return Ok(());
        }
        let (plugin, id) = (plugin.to_owned(), resource.id().to_string());
        let Some(filter) = polling.config.filter() else {
            return Err(PairingError::OtherKind {
                plugin,
                resource: id,
            });
        };
        let explanation = filter.explain(resource);
        let deciding = explanation.deciding();
        let found = deciding.and_then(|node| node.found.clone().flatten());
        Err(PairingError::Unmatched {
            plugin,
            resource: id,
            term: deciding.map(|node| node.text.clone()).unwrap_or_default(),
            found: found.map_or("nothing".to_owned(), |found| format!("{found:?}")),
        })
    }

    /// The same revision with these polling plugins as `old` has them.
    #[must_use]
    pub fn rolled_back(mut self, old: &Self, plugins: &BTreeSet<String>) -> Self {
        for polling in &mut self.pollings {
            let name = &*polling.instance.name;
            let before = old.pollings.iter().find(|old| *old.instance.name == *name);
            let Some(before) = before.filter(|_| plugins.contains(name)) else {
                continue;
            };
            let mut in_config = self.config.pollings.iter();
            let place = in_config.position(|config| config.name().as_str() == name);
            if let Some(place) = place {
                Arc::make_mut(&mut self.config).pollings[place] = before.config.clone();
            }
            *polling = SitePolling {
                config: before.config.clone(),
                instance: Arc::clone(&before.instance),
            };
        }
        self
    }

    fn settings_of(&self, resource: &Resource) -> Arc<DeviceSettings> {
        let settings = device_settings(&self.config, |filter: &Filter| filter.matches(resource));
        if settings == *self.default_settings {
            Arc::clone(&self.default_settings)
        } else {
            Arc::new(settings)
        }
    }
}

/// `host` without a filter is for the node itself; all else is not, unless a filter names it.
fn is_for_own(config: &PollingConfig) -> bool {
    matches!(config, PollingConfig::Host(_)) && config.filter().is_none()
}

fn is_wanted(config: &PollingConfig, resource: &Resource, own: &ResourceId) -> bool {
    match config.filter() {
        Some(filter) => filter.matches(resource),
        None => is_for_own(config) == (resource.id() == own),
    }
}

fn pair_of(polling: &SitePolling, settings: &DeviceSettings) -> PairSetting {
    let every = settings.every_of(&polling.config);
    let deadline = polling.config.deadline_of(every);
    let interval_ms = u32::try_from(every.as_millis()).unwrap_or(INTERVAL_MS_MAX);
    let interval_ms = interval_ms.clamp(INTERVAL_MS_MIN, INTERVAL_MS_MAX);
    let permille = deadline.as_millis() * 1_000 / u128::from(interval_ms);
    PairSetting {
        instance: Arc::clone(&polling.instance),
        interval_ms,
        deadline_permille: u32::try_from(permille).unwrap_or(1_000).min(1_000),
        status: Arc::default(),
    }
}
