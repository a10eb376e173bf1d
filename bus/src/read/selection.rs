//! What a reader wants: which resources, groups and metrics.
//!
//! Does: judge what the ids of a head mean. Does not: remember answers (`shared_selection`),
//! render. In: a filter and a projection. Out: yes or no, and a stable text and hash of both.

use ocelli_model::filter::Filter;
use ocelli_model::panoptes::Projection;
use ocelli_model::resource::Resource;
use ocelli_model::schema::Schema;
use xxhash_rust::xxh3::xxh3_64;

use crate::decoder::ResolvedHead;

/// A filter on resources and a projection on what they measure.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    filter: Option<Filter>,
    projection: Projection,
}

impl Selection {
    /// A selection; without a filter every resource passes.
    #[must_use]
    pub fn new(filter: Option<Filter>, projection: Projection) -> Self {
        Self { filter, projection }
    }

    /// Groups and metrics wanted.
    #[must_use]
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Hash of what is selected: a cursor of another selection may have passed what this one wants.
    #[must_use]
    pub fn hash(&self) -> u64 {
        xxh3_64(self.text().as_bytes())
    }

    /// What is selected; two selections of one text select the same.
    pub(crate) fn text(&self) -> String {
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
        text
    }

    /// Whether a resource passes.
    #[must_use]
    pub fn has_resource(&self, resource: &Resource) -> bool {
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| filter.matches(resource))
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
    #[must_use]
    pub fn has_entry(&self, head: &ResolvedHead) -> bool {
        let schema = head.columns.as_ref().map(|(schema, _)| schema.as_ref());
        self.has_parts(head.resource.as_deref(), schema)
    }

    /// The same, of a resource and, of a batch, its schema.
    pub(crate) fn has_parts(&self, resource: Option<&Resource>, schema: Option<&Schema>) -> bool {
        let is_of_schema = schema.is_none_or(|schema| self.has_schema(schema));
        match resource {
            Some(resource) => is_of_schema && self.has_resource(resource),
            None => self.filter.is_none(),
        }
    }
}
