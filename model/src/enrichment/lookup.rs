//! Lookups: whose facts a reference such as `self:interface` means, and what is known of them.
//!
//! Does: read references, resolve `id:namespace` by the rule of the design, keep the last good
//! group of each (resource, namespace, plugin) and answer with its age. Does not: fetch from other
//! nodes. In: references from configuration, groups, `now`. Out: [`Facts`].
//! Rule: `self` is the asking resource; another id means the resource of that id in the asker's
//! site, class, subclass and type, else the only one of the site with that id.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

use super::{EnrichmentGroup, EnrichmentRecord, LabelFacts};
use crate::resource::ResourceId;
use crate::unix_seconds::UnixSeconds;

/// Most candidates named when an id is ambiguous.
const CANDIDATES_SHOWN_MAX: usize = 8;

// === References ===

/// `self:interface`, `sw1:neighbor`, `self:*`: whose facts, of which namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `None`: the asking resource.
    pub id: Option<String>,
    /// `None`: all namespaces (`*`).
    pub namespace: Option<String>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no enrichment; write self:NAMESPACE, ID:NAMESPACE or self:*")]
pub struct ReferenceError {
    /// The text as given.
    pub text: String,
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Panoptes' `preload` items: split at the last `:`, since ids may hold one (`[::1]`, MACs).
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let parts = text
            .rsplit_once(':')
            .map(|(id, namespace)| (id.trim(), namespace.trim()));
        match parts {
            Some((id, namespace)) if !id.is_empty() && !namespace.is_empty() => Ok(Self {
                id: (id != "self").then(|| id.to_owned()),
                namespace: (namespace != "*").then(|| namespace.to_owned()),
            }),
            _ => Err(ReferenceError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("self");
        let namespace = self.namespace.as_deref().unwrap_or("*");
        write!(formatter, "{id}:{namespace}")
    }
}

/// Why a reference has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No resource of the asker's site has the id.
    #[error("no resource of site {site:?} has the id {id:?}; correct the reference")]
    Unknown {
        /// The asker's site.
        site: String,
        /// The id asked for.
        id: String,
    },
    /// Several have it, none of the asker's class, subclass and type. Worth an event.
    #[error("id {id:?} is ambiguous: {}; give the resources different ids", candidates.join(", "))]
    Ambiguous {
        /// The id asked for.
        id: String,
        /// Some of the resources that have it.
        candidates: Vec<String>,
    },
    /// The resource is known, facts of this namespace are not.
    #[error(
        "nothing is known of {resource} in namespace {namespace:?}; its enrichment has not run"
    )]
    NoFacts {
        /// The resource.
        resource: ResourceId,
        /// The namespace, or `*`.
        namespace: String,
    },
}

/// Which of `candidates` (all resources that have `id`, in any site) the `asking` one means.
///
/// # Errors
/// [`LookupError::Unknown`] or [`LookupError::Ambiguous`].
pub fn resolve<'a>(
    asking: &ResourceId,
    id: &str,
    candidates: impl IntoIterator<Item = &'a ResourceId>,
) -> Result<&'a ResourceId, LookupError> {
    let kind = |of: &ResourceId| [of.class(), of.subclass(), of.resource_type()].map(str::to_owned);
    let asking_kind = kind(asking);
    let mut of_site = Vec::new();
    for candidate in candidates {
        if candidate.id() != id || candidate.site() != asking.site() {
            continue;
        }
        if kind(candidate) == asking_kind {
            return Ok(candidate);
        }
        of_site.push(candidate);
    }
    match of_site.as_slice() {
        [only] => Ok(only),
        [] => Err(LookupError::Unknown {
            site: asking.site().to_owned(),
            id: id.to_owned(),
        }),
        several => {
            let shown = several.iter().take(CANDIDATES_SHOWN_MAX);
            let candidates = shown.map(ToString::to_string).collect();
            Err(LookupError::Ambiguous {
                id: id.to_owned(),
                candidates,
            })
        }
    }
}

// === What is known ===

/// What became of an offered group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// The same facts as before: only their age begins anew.
    Unchanged,
    /// New facts: to be recorded.
    Changed(Box<EnrichmentRecord>),
    /// Older than what is known: nothing happened.
    Outdated,
}

/// The last good groups of resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EnrichmentStore {
    resources: BTreeMap<ResourceId, BTreeMap<(String, String), Kept>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Kept {
    group: Arc<EnrichmentGroup>,
    hash: u128,
}

impl EnrichmentStore {
    /// Takes the group of a run that succeeded.
    pub fn offer(
        &mut self,
        resource: &ResourceId,
        plugin: &str,
        group: EnrichmentGroup,
    ) -> Offered {
        let kept = self.resources.entry(resource.clone()).or_default();
        let key = (group.namespace().to_owned(), plugin.to_owned());
        let hash = group.content_hash();
        if let Some(known) = kept.get_mut(&key) {
            if group.created < known.group.created {
                return Offered::Outdated;
            }
            if known.hash == hash {
                known.group = Arc::new(group);
                return Offered::Unchanged;
            }
        }
        let record = EnrichmentRecord::of(resource, plugin, &group);
        let group = Arc::new(group);
        kept.insert(key, Kept { group, hash });
        Offered::Changed(Box::new(record))
    }

    /// Forgets a resource that is gone.
    pub fn remove(&mut self, resource: &ResourceId) {
        self.resources.remove(resource);
    }

    /// What is known of `resource`, in one namespace or (`None`) in all.
    ///
    /// # Errors
    /// [`LookupError::NoFacts`].
    pub fn facts(
        &self,
        resource: &ResourceId,
        namespace: Option<&str>,
    ) -> Result<Facts<'_>, LookupError> {
        let kept = self.resources.get(resource);
        let groups: Vec<&EnrichmentGroup> = kept
            .into_iter()
            .flatten()
            .filter(|((found, _), _)| namespace.is_none_or(|wanted| wanted == found))
            .map(|(_, kept)| &*kept.group)
            .collect();
        if groups.is_empty() {
            let namespace = namespace.unwrap_or("*").to_owned();
            return Err(LookupError::NoFacts {
                resource: resource.clone(),
                namespace,
            });
        }
        Ok(Facts { groups })
    }

    /// The groups that are known of `resource` in these namespaces, shared: for runs that outlive
    /// a borrow of the store.
    #[must_use]
    pub fn shared(
        &self,
        resource: &ResourceId,
        namespaces: &[String],
    ) -> Vec<Arc<EnrichmentGroup>> {
        let kept = self.resources.get(resource).into_iter().flatten();
        kept.filter(|((found, _), _)| namespaces.contains(found))
            .map(|(_, kept)| Arc::clone(&kept.group))
            .collect()
    }

    /// What a reference of `asking` means; `candidates` are all resources of the id it names.
    ///
    /// # Errors
    /// Those of [`resolve`] and [`Self::facts`].
    pub fn lookup<'a>(
        &self,
        asking: &'a ResourceId,
        reference: &Reference,
        candidates: impl IntoIterator<Item = &'a ResourceId>,
    ) -> Result<Facts<'_>, LookupError> {
        let resource = match &reference.id {
            None => asking,
            Some(id) => resolve(asking, id, candidates)?,
        };
        self.facts(resource, reference.namespace.as_deref())
    }
}

/// Facts of one resource: one group a plugin that fills the namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    groups: Vec<&'a EnrichmentGroup>,
}

impl<'a> Facts<'a> {
    /// The groups by namespace and plugin.
    #[must_use]
    pub fn groups(&self) -> &[&'a EnrichmentGroup] {
        &self.groups
    }

    /// The object under `label`; of several plugins the most recent one's.
    #[must_use]
    pub fn label(&self, label: &str) -> Option<&'a LabelFacts> {
        let holders = self
            .groups
            .iter()
            .filter(|group| group.labels().contains_key(label));
        holders
            .max_by_key(|group| group.created)?
            .labels()
            .get(label)
    }

    /// One field of one label.
    #[must_use]
    pub fn value(&self, label: &str, field: &str) -> Option<&'a Value> {
        self.label(label)?.get(field)
    }

    /// Seconds since the oldest of the groups was found; 0 if the clock ran back.
    #[must_use]
    pub fn age_seconds(&self, now: UnixSeconds) -> f64 {
        let oldest = self.groups.iter().map(|group| group.created).min();
        oldest.map_or(0.0, |created| (now.get() - created.get()).max(0.0))
    }

    /// Whether a group is older than its time to live: still the last that was good.
    #[must_use]
    pub fn is_stale(&self, now: UnixSeconds) -> bool {
        self.groups.iter().any(|group| {
            let age = now.get() - group.created.get();
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 seconds")]
            let ttl = group.ttl_seconds as f64;
            age > ttl
        })
    }
}
