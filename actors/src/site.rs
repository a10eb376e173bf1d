//! The site's configuration as the runtime follows it, and what it means for each resource.
//!
//! Does: hold plugins, credentials and settings of one revision; plan a resource (pure).
//! Does not: read configuration texts, make plugins (`node`), start actors.
//! In: a validated configuration and instances made of it. Out: [`Site`] behind an `Arc`, swapped
//! whole at a reload; [`ResourcePlan`]s.

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
use crate::plan::{EnrichmentInstance, PairSetting, PollingInstance, ResourcePlan};

/// A configured discovery plugin.
pub struct DiscoveryInstance {
    /// Unique among discoveries; recorded as the resources' source.
    pub name: Arc<str>,
    /// What it does.
    pub plugin: Arc<dyn Discovery>,
    /// How often; `None`: once a revision, for what the configuration itself holds.
    pub every: Option<Duration>,
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
