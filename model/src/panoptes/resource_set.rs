//! The resource set 0.1: the message of a discovery to the resource manager.
//!
//! Does: read it (the version may be absent, as in Panoptes' own tests), write it. Does not: apply
//! it (`catalog`). In: JSON. Out: [`ResourceSet`], with bad resources refused by index, or
//! [`FormatError`].

use serde_json::{Value, json};

use super::place::{At, FormatError, parse_json};
use crate::resource::{Resource, ResourceDefaults, ResourceError};
use crate::unix_seconds::UnixSeconds;

/// Version written, and the only one read.
const SCHEMA_VERSION: &str = "0.1";

/// What a discovery saw at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceSet {
    /// The sound resources in their order.
    pub resources: Vec<Resource>,
    /// The others: index and rule.
    pub refusals: Vec<(usize, ResourceError)>,
    /// When it saw them.
    pub created: UnixSeconds,
}

/// Reads a resource set.
///
/// # Errors
/// A [`FormatError`] that names the place; single bad resources are refusals, not errors.
pub fn parse_resource_set(
    bytes: &[u8],
    defaults: &ResourceDefaults,
) -> Result<ResourceSet, FormatError> {
    let value = parse_json(bytes)?;
    let at = At::top(&value);
    if let Some(version) = at.get("resource_set_schema_version")?
        && version.value.as_str() != Some(SCHEMA_VERSION)
    {
        return Err(version.unexpected("the schema version \"0.1\""));
    }
    let created = at.field("resource_set_creation_timestamp")?.seconds()?;
    let mut set = ResourceSet {
        resources: Vec::new(),
        refusals: Vec::new(),
        created,
    };
    for (index, resource) in at.field("resources")?.items()?.enumerate() {
        match Resource::from_json(resource.value, defaults) {
            Ok(resource) => set.resources.push(resource),
            Err(reason) => set.refusals.push((index, reason)),
        }
    }
    Ok(set)
}

/// The JSON of a set of resources.
#[must_use]
pub fn write_resource_set(resources: &[Resource], created: UnixSeconds) -> Value {
    json!({
        "resources": resources,
        "resource_set_creation_timestamp": created,
        "resource_set_schema_version": SCHEMA_VERSION,
    })
}
