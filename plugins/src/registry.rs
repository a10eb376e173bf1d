//! From configured sections to plugins.
//!
//! Does: make each kind of discovery, enrichment and polling that the configuration names, check
//! what needs the profile (the fields of `rows`). Does not: schedule or run them.
//! In: typed sections. Out: shared plugins, or why the section is parked.

use std::sync::Arc;

use ocelli_config::sections::discovery::{DiscoveryConfig, EnrichmentConfig};
use ocelli_config::sections::polling::{self, PollingConfig};
use ocelli_model::filter::{Filter, FilterError, Vocabulary};
use ocelli_model::profile::Profile;
use ocelli_model::schema::{Schema, SchemaError};

use crate::discovery::Discovery;
use crate::discovery::by_hand::{StaticDiscovery, StaticError};
use crate::discovery::json::JsonDiscovery;
use crate::enrichment::Enrichment;
use crate::enrichment::snmp::SnmpEnrichment;
use crate::polling::Polling;
use crate::polling::host::HostPolling;
use crate::polling::snmp::SnmpPolling;
use crate::profiles::{ProfileError, ProfileLibrary};

/// Why a section makes no plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No such profile, or one with faults.
    #[error("polling {name:?}: {source}")]
    Profile {
        /// The section's name.
        name: String,
        /// Why.
        source: ProfileError,
    },
    /// A `rows` filter with fields that no group of the profile has.
    #[error("polling {name:?}: `rows` fits no group of the profile: {source}")]
    Rows {
        /// The section's name.
        name: String,
        /// Why, for the profile's first group.
        source: Box<FilterError>,
    },
    /// A resource by hand that is none.
    #[error(transparent)]
    Static(#[from] StaticError),
    /// A schema that breaks the model's rules.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Tags that do not fit beside the dimensions of a group.
    #[error("polling {name:?}: {source}")]
    Tags {
        /// The section's name.
        name: String,
        /// Which, and why.
        source: SchemaError,
    },
}

impl RegistryError {
    /// The key of the section that is at fault; `name` where it is no single one.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Profile { .. } => "profile",
            Self::Rows { .. } => "rows",
            Self::Tags { .. } => "tags",
            Self::Static(_) | Self::Schema(_) => "name",
        }
    }
}

/// The plugin of a `[[discovery]]`; `site` is that of resources by hand which name none.
///
/// # Errors
/// [`RegistryError::Static`].
pub fn discovery(
    config: &DiscoveryConfig,
    site: &str,
) -> Result<Arc<dyn Discovery>, RegistryError> {
    Ok(match config {
        DiscoveryConfig::Json(json) => Arc::new(JsonDiscovery::new(
            json.name.as_str().to_owned(),
            json.path.clone(),
        )),
        DiscoveryConfig::Static(by_hand) => Arc::new(StaticDiscovery::new(
            by_hand.name.as_str(),
            &by_hand.resources,
            site,
        )?),
    })
}

/// The plugin of an `[[enrichment]]`.
#[must_use]
pub fn enrichment(config: &EnrichmentConfig) -> Arc<dyn Enrichment> {
    let EnrichmentConfig::Snmp(snmp) = config;
    Arc::new(SnmpEnrichment::new(snmp.every.get().as_secs()))
}

/// The plugin of a `[[polling]]`. Reads a profile file where one is named: for start and reload.
///
/// # Errors
/// [`RegistryError::Profile`], [`RegistryError::Rows`], [`RegistryError::Tags`].
pub fn polling(
    config: &PollingConfig,
    library: &ProfileLibrary,
) -> Result<Arc<dyn Polling>, RegistryError> {
    let every_ms = u32::try_from(config.every().get().as_millis()).unwrap_or(u32::MAX);
    let tags = config.tags().as_map().clone();
    let misfit = |source| RegistryError::Tags {
        name: config.name().as_str().to_owned(),
        source,
    };
    match config {
        PollingConfig::Host(_) => {
            let host = HostPolling::new(every_ms)?.with_tags(tags);
            Ok(Arc::new(host.map_err(misfit)?))
        }
        PollingConfig::Snmp(snmp) => {
            let name = snmp.name.as_str();
            let profile = library.load(snmp.profile.as_str(), every_ms);
            let mut profile = profile.map_err(|source| RegistryError::Profile {
                name: name.to_owned(),
                source,
            })?;
            let keep = filters(snmp, &profile)?;
            let tagged = Schema::clone(&profile.schema).with_tags(tags);
            profile.schema = Arc::new(tagged.map_err(misfit)?);
            Ok(Arc::new(SnmpPolling::new(profile, keep)))
        }
    }
}

/// `rows` for each group that has its fields; groups that lack them are read whole, but one must
/// have them.
fn filters(
    snmp: &polling::SnmpPolling,
    profile: &Profile,
) -> Result<Vec<Option<Filter>>, RegistryError> {
    let Some(rows) = &snmp.rows else {
        return Ok(Vec::new());
    };
    let mut filters = Vec::with_capacity(profile.schema.groups.len());
    let mut first_error = None;
    for group in &profile.schema.groups {
        let names = group
            .dimensions
            .iter()
            .map(|dimension| dimension.name.as_str());
        match rows.with(&Vocabulary::dimensions(names)) {
            Ok(filter) => filters.push(Some(filter)),
            Err(error) => {
                first_error = first_error.or(Some(error));
                filters.push(None);
            }
        }
    }
    match first_error {
        Some(source) if filters.iter().all(Option::is_none) => Err(RegistryError::Rows {
            name: snmp.name.as_str().to_owned(),
            source: Box::new(source),
        }),
        _ => Ok(filters),
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
