//! Panoptes' JSON, as spoken at the edges: metrics groups 0.2, resource sets 0.1, enrichment.
//!
//! Does: write batches as metrics groups, read and write each of Panoptes' messages, refuse what
//! breaks its rules with the place named. Does not: move messages (HTTP, Kafka, exec), hold data.
//! In: batches and resources, or bytes. Out: JSON in a fixed order (by name, then type), or types.
//! Limits: [`MESSAGE_BYTES_MAX`] a message; JSON nests 128 deep at most.

mod enrichment;
mod group;
mod place;
mod render;
mod resource_set;
mod status;

pub use enrichment::{
    EnrichmentGroupSet, parse_enrichment_group_set, parse_multi_group_set, parse_stored_group,
    write_enrichment_group_set, write_multi_group_set, write_stored_group,
};
pub use group::{Metric, MetricValue, MetricsGroup, parse_metrics_group, parse_metrics_groups};
pub use place::FormatError;
pub use render::{GroupRenderer, Projection, ResourceJson};
pub use resource_set::{ResourceSet, parse_resource_set, write_resource_set};
pub use status::{PollingStatus, StatusGroup, render_status};

/// Largest message read: Panoptes' consumers take 10 MiB at most.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
