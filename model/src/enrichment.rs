//! Enrichment: slowly changing facts about resources, found by one plugin and read by others.
//!
//! Does: hold groups of labelled objects, hash their content, keep the last good one with its age,
//! say when a group must be recorded anew. Does not: run plugins, store bytes (`bus`), speak
//! Panoptes' JSON (`panoptes`). In: [`EnrichmentGroup`] of a run that succeeded; `now`.
//! Out: [`Offered`], and answers to lookups (`lookup`). A run that failed offers nothing, so that
//! what was known stays known and ages visibly.
//! Invariant: the hash covers labels and values alone: a run that finds the same changes nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use crate::resource::ResourceId;
use crate::unix_seconds::UnixSeconds;

mod lookup;

pub use lookup::{
    EnrichmentStore, Facts, LookupError, Offered, Reference, ReferenceError, resolve,
};

/// Most labels of a group: twice the largest interface table seen.
pub const LABELS_MAX: usize = 65_536;
/// Largest group, bytes of its canonical JSON.
pub const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest namespace or label, bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// The namespace of what a device says about itself.
pub const DEVICE_NAMESPACE: &str = "device";
/// The one label of it.
pub const SYSTEM_LABEL: &str = "system";
/// The field in which the device's own name (sysName) stands.
pub const SYSTEM_NAME_FIELD: &str = "sysname";

/// The object that stands under a label: field name to any JSON.
pub type LabelFacts = Map<String, Value>;

/// One namespace of facts about one resource, as one plugin found them.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrichmentGroup {
    namespace: String,
    labels: BTreeMap<String, LabelFacts>,
    /// When the run that found them ended.
    pub created: UnixSeconds,
    /// Seconds after which they are stale; they stay readable.
    pub ttl_seconds: u64,
    /// Seconds between two runs of the plugin.
    pub every_seconds: u64,
}

/// Why facts make no group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrichmentError {
    /// A namespace that is empty, too long, or holds what the stored key is split at.
    #[error(
        "enrichment namespace {namespace:?} is no name; use 1 to {NAME_BYTES_MAX} bytes without \
         : and *"
    )]
    Namespace {
        /// The namespace, cut if it was long.
        namespace: String,
    },
    /// A label that is empty or too long.
    #[error(
        "label {label:?} of enrichment {namespace:?} is empty or too long; use 1 to \
         {NAME_BYTES_MAX} bytes"
    )]
    Label {
        /// The namespace.
        namespace: String,
        /// The label, cut if it was long.
        label: String,
    },
    /// `ttl` or `every` of zero.
    #[error("enrichment {namespace:?} has {what} 0; give it whole seconds above 0")]
    Zero {
        /// The namespace.
        namespace: String,
        /// Which of the two.
        what: &'static str,
    },
    /// More labels than [`LABELS_MAX`].
    #[error("enrichment {namespace:?} has {found} labels; {LABELS_MAX} is the limit, split it")]
    TooManyLabels {
        /// The namespace.
        namespace: String,
        /// How many there are.
        found: usize,
    },
    /// More bytes than [`GROUP_BYTES_MAX`].
    #[error("enrichment {namespace:?} has {bytes} bytes; {GROUP_BYTES_MAX} is the limit, split it")]
    TooLarge {
        /// The namespace.
        namespace: String,
        /// Size of its canonical JSON.
        bytes: usize,
    },
    /// A recorded value that is no object of objects.
    #[error("the record of enrichment {namespace:?} cannot be read: {reason}; it is skipped")]
    Record {
        /// The namespace.
        namespace: String,
        /// What the JSON reader says.
        reason: String,
    },
}

/// Seconds that go with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When the run that found the facts ended.
    pub created: UnixSeconds,
    /// Seconds after which they are stale.
    pub ttl_seconds: u64,
    /// Seconds between two runs.
    pub every_seconds: u64,
}

impl EnrichmentGroup {
    /// A group of these labels.
    ///
    /// # Errors
    /// An [`EnrichmentError`] for the first rule that it breaks.
    pub fn new(
        namespace: &str,
        labels: BTreeMap<String, LabelFacts>,
        freshness: Freshness,
    ) -> Result<Self, EnrichmentError> {
        check_namespace(namespace)?;
        let Freshness {
            created,
            ttl_seconds,
            every_seconds,
        } = freshness;
        let owned = || namespace.to_owned();
        for (what, seconds) in [("ttl", ttl_seconds), ("every", every_seconds)] {
            if seconds == 0 {
                return Err(EnrichmentError::Zero {
                    namespace: owned(),
                    what,
                });
            }
        }
        if labels.len() > LABELS_MAX {
            let found = labels.len();
            return Err(EnrichmentError::TooManyLabels {
                namespace: owned(),
                found,
            });
        }
        let is_bad = |label: &&String| label.is_empty() || label.len() > NAME_BYTES_MAX;
        if let Some(label) = labels.keys().find(is_bad) {
            let label = label.chars().take(NAME_BYTES_MAX).collect();
            return Err(EnrichmentError::Label {
                namespace: owned(),
                label,
            });
        }
        let group = Self {
            namespace: owned(),
            labels,
            created,
            ttl_seconds,
            every_seconds,
        };
        let bytes = group.canonical_json().len();
        if bytes > GROUP_BYTES_MAX {
            return Err(EnrichmentError::TooLarge {
                namespace: owned(),
                bytes,
            });
        }
        Ok(group)
    }

    /// Such as `interface`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Labels in order, each with its object.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, LabelFacts> {
        &self.labels
    }

    /// One field of one label.
    #[must_use]
    pub fn value(&self, label: &str, field: &str) -> Option<&Value> {
        self.labels.get(label)?.get(field)
    }

    /// The labels as one JSON object, all keys at all depths sorted: equal facts, equal bytes.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        let mut text = String::new();
        write_sorted(self.labels.iter(), &mut text, &mut |facts, text| {
            write_sorted(facts.iter(), text, &mut write_canonical);
        });
        text
    }

    /// Hash of namespace and [`Self::canonical_json`].
    #[must_use]
    pub fn content_hash(&self) -> u128 {
        let text = format!("{}\n{}", self.namespace, self.canonical_json());
        xxh3_128(text.as_bytes())
    }
}

/// What is recorded when a group's content has changed. Facts travel as JSON text, since no
/// recursive type goes through the binary encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrichmentRecord {
    /// Whose facts they are.
    pub resource: ResourceId,
    /// Which plugin found them: two plugins may fill one namespace.
    pub plugin: String,
    /// Their namespace.
    pub namespace: String,
    /// [`EnrichmentGroup::content_hash`].
    pub content_hash: u128,
    /// When the run that found them ended.
    pub created: UnixSeconds,
    /// Seconds after which they are stale.
    pub ttl_seconds: u64,
    /// Seconds between two runs.
    pub every_seconds: u64,
    /// [`EnrichmentGroup::canonical_json`].
    pub facts_json: String,
}

impl EnrichmentRecord {
    /// The record of a group.
    #[must_use]
    pub fn of(resource: &ResourceId, plugin: &str, group: &EnrichmentGroup) -> Self {
        Self {
            resource: resource.clone(),
            plugin: plugin.to_owned(),
            namespace: group.namespace.clone(),
            content_hash: group.content_hash(),
            created: group.created,
            ttl_seconds: group.ttl_seconds,
            every_seconds: group.every_seconds,
            facts_json: group.canonical_json(),
        }
    }

    /// The group in it.
    ///
    /// # Errors
    /// [`EnrichmentError::Record`] if the JSON is none; else the rules of a group.
    pub fn group(&self) -> Result<EnrichmentGroup, EnrichmentError> {
        let labels = serde_json::from_str(&self.facts_json).map_err(|error| {
            let reason = error.to_string();
            EnrichmentError::Record {
                namespace: self.namespace.clone(),
                reason,
            }
        })?;
        let freshness = Freshness {
            created: self.created,
            ttl_seconds: self.ttl_seconds,
            every_seconds: self.every_seconds,
        };
        EnrichmentGroup::new(&self.namespace, labels, freshness)
    }
}

fn check_namespace(namespace: &str) -> Result<(), EnrichmentError> {
    let is_name = (1..=NAME_BYTES_MAX).contains(&namespace.len())
        && !namespace.contains([':', '*'])
        && namespace.trim() == namespace;
    if is_name {
        return Ok(());
    }
    let namespace = namespace.chars().take(NAME_BYTES_MAX).collect();
    Err(EnrichmentError::Namespace { namespace })
}

// === Canonical JSON: recursion is as deep as the JSON reader allowed (128) ===

fn write_canonical(value: &Value, into: &mut String) {
    match value {
        Value::Object(object) => write_sorted(object.iter(), into, &mut write_canonical),
        Value::Array(items) => {
            into.push('[');
            for (position, item) in items.iter().enumerate() {
                into.push_str(if position > 0 { "," } else { "" });
                write_canonical(item, into);
            }
            into.push(']');
        }
        leaf => write_display(leaf, into),
    }
}

fn write_sorted<'a, T: 'a>(
    pairs: impl Iterator<Item = (&'a String, &'a T)>,
    into: &mut String,
    write: &mut impl FnMut(&'a T, &mut String),
) {
    let sorted: BTreeMap<&String, &T> = pairs.collect();
    into.push('{');
    for (position, (key, value)) in sorted.into_iter().enumerate() {
        into.push_str(if position > 0 { "," } else { "" });
        write_display(&Value::String(key.clone()), into);
        into.push(':');
        write(value, into);
    }
    into.push('}');
}

fn write_display(value: &dyn fmt::Display, into: &mut String) {
    fmt::Write::write_fmt(into, format_args!("{value}")).expect("writing to a String never fails");
}

#[cfg(test)]
#[path = "enrichment_tests.rs"]
mod tests;
