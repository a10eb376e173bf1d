//! What a reader wants: which resources, groups and metrics.
//!
//! Does: judge heads once their ids are resolved, and remember the answer for a resource.
//! Does not: render. In: a filter and a projection. Out: yes or no, and a stable hash of both.
//! Full: beyond [`KNOWN_MAX`] answers they are forgotten and found again.

use std::collections::HashMap;
use std::sync::Arc;

use ocelli_model::filter::Filter;
use ocelli_model::panoptes::Projection;
use ocelli_model::resource::{Resource, ResourceId};
use ocelli_model::schema::Schema;
use xxhash_rust::xxh3::xxh3_64;

use crate::decoder::ResolvedHead;

/// Resources whose answer is remembered.
const KNOWN_MAX: usize = 65_536;

/// A filter on resources and a projection on what they measure.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    filter: Option<Filter>,
    projection: Projection,
    /// The resource judged and the answer: metadata may change, then the `Arc` is another.
    known: HashMap<ResourceId, (Arc<Resource>, bool)>,
}

impl Selection {
    /// A selection; without a filter every resource passes.
    #[must_use]
    pub fn new(filter: Option<Filter>, projection: Projection) -> Self {
        Self {
            filter,
            projection,
            known: HashMap::new(),
        }
    }

    /// Groups and metrics wanted.
    #[must_use]
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Hash of what is selected: a cursor of another selection may have passed what this one wants.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut text = self
            .filter
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        for names in [&self.projection.groups, &self.projection.metrics] {
            let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
            names.sort_unstable();
            names.dedup();
            // No name holds a line feed.
            text.push('\n');
            text.push_str(&names.join(","));
        }
        xxh3_64(text.as_bytes())
    }

    /// Whether a resource passes.
    pub fn has_resource(&mut self, resource: &Arc<Resource>) -> bool {
        let Some(filter) = &self.filter else {
            return true;
        };
        if let Some((judged, answer)) = self.known.get(resource.id())
            && Arc::ptr_eq(judged, resource)
        {
            return *answer;
        }
        let answer = filter.matches(resource.as_ref());
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known
            .insert(resource.id().clone(), (Arc::clone(resource), answer));
        answer
    }

    /// Whether a batch of this schema can hold something wanted.
    #[must_use]
    pub fn has_schema(&self, schema: &Schema) -> bool {
        schema.groups.iter().any(|group| {
            let mut metrics = group.counters.iter().chain(&group.gauges);
            self.projection.has_group(&group.name)
                && metrics.any(|metric| self.projection.has_metric(&metric.name))
        })
    }

    /// Whether an entry is wanted. Entries of no resource (a node's events) pass only where no
    /// filter was given.
    pub fn has_entry(&mut self, head: &ResolvedHead) -> bool {
        let is_of_schema = head
            .columns
            .as_ref()
            .is_none_or(|(schema, _)| self.has_schema(schema));
        match &head.resource {
            Some(resource) => is_of_schema && self.has_resource(resource),
            None => self.filter.is_none(),
        }
    }
}
