//! The `status` group: what Panoptes says of each poll, made of a batch or a gap.
//!
//! Does: give outcome its code (0 to 8), write the group. Does not: store it; it exists at the
//! edges only. In: [`Batch`] or [`GapCause`]. Out: [`PollingStatus`], a group's JSON.
//! A gap in which nobody asked the device (hand-over, restart, retention, …) has no code, since
//! Panoptes, too, says nothing where it did not poll.

use super::render::{ResourceJson, group_head, metric_tail, write_json, write_seconds};
use crate::batch::Batch;
use crate::clock::WallMs;
use crate::gap::{GapCause, GapKind};
use crate::schema::MetricKind;

/// Code of a poll's outcome. Numbers are Panoptes'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PollingStatus {
    /// All parts succeeded.
    Success = 0,
    /// The device refused the credential.
    AuthenticationFailure = 1,
    /// No way to the device.
    NetworkFailure = 2,
    /// The device did not answer.
    Timeout = 3,
    /// Some part succeeded, some failed.
    PartialMetricFailure = 4,
    /// Anything else.
    InternalFailure = 5,
    /// The device answered, with nothing.
    MissingMetrics = 6,
    /// The device is known to be down.
    PingFailure = 7,
    /// Enrichment missing or unreadable.
    EnrichmentFailure = 8,
}

impl PollingStatus {
    /// The outcome of a collection that produced `batch`.
    #[must_use]
    pub fn of_batch(batch: &Batch) -> Self {
        if batch.groups.iter().all(|group| group.is_empty()) {
            return Self::MissingMetrics;
        }
        match batch.partial {
            Some(_) => Self::PartialMetricFailure,
            None => Self::Success,
        }
    }

    /// The outcome of a slot that ended as a gap, or `None` if the device was not asked.
    #[must_use]
    pub fn of_gap(cause: &GapCause) -> Option<Self> {
        Some(match cause.kind {
            GapKind::Auth => Self::AuthenticationFailure,
            GapKind::Dns | GapKind::Unreachable => Self::NetworkFailure,
            GapKind::Timeout | GapKind::Overrun => Self::Timeout,
            GapKind::PluginError if cause.detail().starts_with("enrichment") => {
                Self::EnrichmentFailure
            }
            GapKind::PluginError | GapKind::BadReply => Self::InternalFailure,
            GapKind::NoData => Self::MissingMetrics,
            GapKind::ResourceDown => Self::PingFailure,
            GapKind::Budget
            | GapKind::NoOwner
            | GapKind::Handover
            | GapKind::Restart
            | GapKind::LostNode
            | GapKind::Retention
            | GapKind::Rollback
            | GapKind::Maintenance
            | GapKind::Overload
            | GapKind::DiskFull
            | GapKind::Parked => return None,
        })
    }
}

/// What a status group says besides its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusGroup<'a> {
    /// The resource that was polled.
    pub resource: &'a ResourceJson,
    /// Interval of the polling plugin.
    pub interval_ms: u32,
    /// When the poll ended.
    pub time: WallMs,
    /// `polling_status`, or what the plugin calls it (`interface_polling_status`).
    pub metric: &'a str,
}

/// Appends the group, without a line feed.
pub fn render_status(group: StatusGroup<'_>, status: PollingStatus, into: &mut Vec<u8>) {
    into.extend_from_slice(&group_head("status", group.interval_ms));
    write_seconds(group.time, into);
    into.extend_from_slice(b",\"metrics_group_schema_version\":\"0.2\",\"resource\":");
    into.extend_from_slice(group.resource.as_bytes());
    into.extend_from_slice(b",\"metrics\":[{\"metric_creation_timestamp\":");
    write_seconds(group.time, into);
    into.extend_from_slice(b",\"metric_name\":");
    write_json(group.metric, into);
    into.extend_from_slice(b",\"metric_value\":");
    write_json(&(status as u8), into);
    into.extend_from_slice(metric_tail(MetricKind::Gauge));
    into.extend_from_slice(b"],\"dimensions\":[]}");
}
