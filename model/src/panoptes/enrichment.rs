//! Enrichment as Panoptes writes it: group sets, multi group sets, and the stored form.
//!
//! Does: read and write the three, labels and keys sorted. Does not: keep them (`enrichment`).
//! In: JSON. Out: [`EnrichmentGroupSet`] or [`FormatError`]. Of labels given twice the later one
//! holds, as in Panoptes; of namespaces given twice the message is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::place::{At, FormatError, parse_json};
use crate::enrichment::{EnrichmentGroup, Freshness, LabelFacts};
use crate::resource::{Resource, ResourceDefaults};
use crate::unix_seconds::UnixSeconds;

const CREATED_KEY: &str = "_enrichment_group_creation_timestamp";
const TTL_KEY: &str = "_enrichment_ttl";
const EVERY_KEY: &str = "_execute_frequency";

/// The groups of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrichmentGroupSet {
    /// Whose facts they are.
    pub resource: Resource,
    /// When the set was made.
    pub created: UnixSeconds,
    /// One a namespace.
    pub groups: Vec<EnrichmentGroup>,
}

/// Reads a group set.
///
/// # Errors
/// A [`FormatError`] that names the place.
pub fn parse_enrichment_group_set(
    bytes: &[u8],
    defaults: &ResourceDefaults,
) -> Result<EnrichmentGroupSet, FormatError> {
    read_set(&At::top(&parse_json(bytes)?), defaults)
}

/// Reads `{"group_sets":[…]}`.
///
/// # Errors
/// A [`FormatError`] that names the place.
pub fn parse_multi_group_set(
    bytes: &[u8],
    defaults: &ResourceDefaults,
) -> Result<Vec<EnrichmentGroupSet>, FormatError> {
    let value = parse_json(bytes)?;
    let sets = At::top(&value).field("group_sets")?;
    sets.items()?.map(|set| read_set(&set, defaults)).collect()
}

/// Reads the stored form of one namespace: `{"data":{label:{…}},"metadata":{…}}`.
///
/// # Errors
/// A [`FormatError`] that names the place.
pub fn parse_stored_group(bytes: &[u8], namespace: &str) -> Result<EnrichmentGroup, FormatError> {
    let value = parse_json(bytes)?;
    let at = At::top(&value);
    let data = at.field("data")?;
    let mut labels = BTreeMap::new();
    for (label, facts) in data.object()? {
        labels.insert(label.clone(), data.child(facts, label).object()?.clone());
    }
    make_group(&at, namespace, labels)
}

fn read_set(at: &At<'_>, defaults: &ResourceDefaults) -> Result<EnrichmentGroupSet, FormatError> {
    let resource = at.field("resource")?;
    let mut namespaces = BTreeSet::new();
    let mut groups = Vec::new();
    for group in at.field("enrichment")?.items()? {
        let namespace = group.field("namespace")?.text()?;
        if !namespaces.insert(namespace) {
            return Err(group.duplicate(format!("namespace {namespace:?}")));
        }
        let mut labels: BTreeMap<String, LabelFacts> = BTreeMap::new();
        for set in group.field("data")?.items()? {
            for (label, facts) in set.object()? {
                labels.insert(label.clone(), set.child(facts, label).object()?.clone());
            }
        }
        if labels.is_empty() {
            return Err(group.field("data")?.unexpected("at least one label"));
        }
        groups.push(make_group(&group, namespace, labels)?);
    }
    Ok(EnrichmentGroupSet {
        resource: Resource::from_json(resource.value, defaults)
            .map_err(|error| resource.part(&error))?,
        created: at
            .field("enrichment_group_set_creation_timestamp")?
            .seconds()?,
        groups,
    })
}

fn make_group(
    at: &At<'_>,
    namespace: &str,
    labels: BTreeMap<String, LabelFacts>,
) -> Result<EnrichmentGroup, FormatError> {
    let metadata = at.field("metadata")?;
    let freshness = Freshness {
        created: metadata.field(CREATED_KEY)?.seconds()?,
        ttl_seconds: metadata.field(TTL_KEY)?.positive()?,
        every_seconds: metadata.field(EVERY_KEY)?.positive()?,
    };
    EnrichmentGroup::new(namespace, labels, freshness).map_err(|error| at.part(&error))
}

// === Writing ===

/// The JSON of a group set.
#[must_use]
pub fn write_enrichment_group_set(set: &EnrichmentGroupSet) -> Value {
    let groups: Vec<Value> = set.groups.iter().map(group_json).collect();
    json!({
        "resource": set.resource,
        "enrichment_group_set_creation_timestamp": set.created,
        "enrichment": groups,
    })
}

/// `{"group_sets":[…]}`.
#[must_use]
pub fn write_multi_group_set(sets: &[EnrichmentGroupSet]) -> Value {
    let sets: Vec<Value> = sets.iter().map(write_enrichment_group_set).collect();
    json!({ "group_sets": sets })
}

/// The stored form of one namespace.
#[must_use]
pub fn write_stored_group(group: &EnrichmentGroup) -> Value {
    json!({ "data": group.labels(), "metadata": metadata_json(group) })
}

fn group_json(group: &EnrichmentGroup) -> Value {
    let label = |(label, facts): (&String, &LabelFacts)| {
        let mut object = Map::new();
        object.insert(label.clone(), Value::Object(facts.clone()));
        Value::Object(object)
    };
    let data: Vec<Value> = group.labels().iter().map(label).collect();
    json!({ "namespace": group.namespace(), "metadata": metadata_json(group), "data": data })
}

fn metadata_json(group: &EnrichmentGroup) -> Value {
    json!({
        CREATED_KEY: group.created,
        TTL_KEY: group.ttl_seconds,
        EVERY_KEY: group.every_seconds,
    })
}

#[cfg(test)]
#[path = "enrichment_tests.rs"]
mod tests;
