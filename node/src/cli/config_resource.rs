//! `config show --resource R`: what applies to one resource of the configured discoveries.
//!
//! Does: find the resource in static entries and JSON files, ask each filter, list the values.
//! Does not: ask a node, so what only enrichment knows, sysName as well, is absent.
//! In: a [`Loaded`] configuration and a name. Out: lines for `config show`.

use std::path::Path;

use ocelli_config::sections::discovery::{DiscoveryConfig, StaticResource};
use ocelli_config::{Loaded, effective};
use ocelli_model::resource::{
    DEVICE_METADATA_KEY, Resource, ResourceDefaults, ResourceFields, find_by_name,
    parse_resource_file,
};
use ocelli_model::unix_seconds::UnixSeconds;
use serde_json::Value;

use super::config::value_item;
use super::exit::{Exit, Failure};
use super::poll::name_failure;

/// The values that apply to the resource called `name`.
pub(crate) fn effective_values(loaded: &Loaded, name: &str) -> Result<Vec<Value>, Failure> {
    let resources = resources_of(loaded)?;
    let resource = find_by_name(&resources, name).map_err(name_failure)?;
    let values = effective(loaded, |filter| filter.matches(resource));
    Ok(values
        .iter()
        .map(|value| value_item(&value.key, &value.value, value.place.as_ref()))
        .collect())
}

/// All resources that the configuration itself or its JSON files name.
fn resources_of(loaded: &Loaded) -> Result<Vec<Resource>, Failure> {
    let mut resources = Vec::new();
    for discovery in &loaded.config.discoveries {
        let plugin = discovery.name().to_string();
        match discovery {
            DiscoveryConfig::Json(json) => resources.extend(read_json(&json.path, plugin)?),
            DiscoveryConfig::Static(discovery) => {
                let site = &loaded.config.node.site;
                let rows = discovery.resources.iter();
                resources.extend(rows.filter_map(|row| resource_of(row, site, &plugin)));
            }
        }
    }
    Ok(resources)
}

fn read_json(path: &Path, plugin: String) -> Result<Vec<Resource>, Failure> {
    let failure = |reason: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Failed,
            format!("cannot read resources from {}: {reason}", path.display()),
        )
    };
    let bytes = std::fs::read(path).map_err(|error| failure(&error))?;
    let defaults = ResourceDefaults {
        plugin,
        now: UnixSeconds::default(),
    };
    let file = parse_resource_file(&bytes, &defaults).map_err(|error| failure(&error))?;
    Ok(file.resources)
}

/// A row that breaks a rule is refused by discovery and cannot be meant here.
fn resource_of(row: &StaticResource, site: &str, plugin: &str) -> Option<Resource> {
    let or = |given: &Option<ocelli_config::Name>, default: &str| {
        given
            .as_ref()
            .map_or_else(|| default.to_owned(), ToString::to_string)
    };
    let mut metadata = row.metadata.clone();
    if let Some(device) = &row.device {
        metadata.insert(DEVICE_METADATA_KEY.to_owned(), device.to_string());
    }
    let fields = ResourceFields {
        identity: [
            or(&row.site, site),
            row.class.to_string(),
            row.subclass.to_string(),
            row.kind.to_string(),
            or(&row.id, row.endpoint.as_str()),
        ],
        endpoint: row.endpoint.to_string(),
        metadata,
        created: UnixSeconds::default(),
        plugin: plugin.to_owned(),
    };
    Resource::new(fields).ok()
}
