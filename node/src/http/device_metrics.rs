//! `/v1/metrics`: last values of the resources as an exposition.
//!
//! Does: turn batches into families and labels, by Panoptes' names or by those of snmp_exporter.
//! Does not: find the last values (the route does), print (`exposition`).
//! In: batches with their resources. Out: samples with the times at which they were measured.
//! Invariant: nothing older than three intervals is shown, so that a scraper sees it end.

use std::collections::BTreeMap;

use ocelli_model::batch::{Batch, GroupValues};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{DimensionTable, GaugeColumn};
use ocelli_model::resource::Resource;
use ocelli_model::schema::{GroupSchema, MetricKind};

use super::exposition::{Exposition, Labels, Number, Sample, TooManySeries};

/// A value is shown for so many intervals after it was measured.
const INTERVALS_SHOWN: i64 = 3;

/// Whose names are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// `GROUP_METRIC` with all dimensions.
    #[default]
    Panoptes,
    /// IF-MIB names as snmp_exporter gives them; groups without such names are left out.
    SnmpExporter,
}

/// What is shown of the batches.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// Only this group.
    pub group: Option<&'a str>,
    /// Whose names.
    pub naming: Naming,
    /// Wall clock now.
    pub now: WallMs,
}

/// (our metric, IF-MIB object, divisor): Panoptes counts bits, the MIB octets and megabits.
const IF_MIB: &[(&str, &str, u64)] = &[
    ("bits_in", "ifHCInOctets", 8),
    ("bits_out", "ifHCOutOctets", 8),
    ("unicast_packets_in", "ifHCInUcastPkts", 1),
    ("unicast_packets_out", "ifHCOutUcastPkts", 1),
    ("multicast_packets_in", "ifHCInMulticastPkts", 1),
    ("multicast_packets_out", "ifHCOutMulticastPkts", 1),
    ("broadcast_packets_in", "ifHCInBroadcastPkts", 1),
    ("broadcast_packets_out", "ifHCOutBroadcastPkts", 1),
    ("errors_in", "ifInErrors", 1),
    ("errors_out", "ifOutErrors", 1),
    ("discards_in", "ifInDiscards", 1),
    ("discards_out", "ifOutDiscards", 1),
    ("oper_state", "ifOperStatus", 1),
    ("admin_state", "ifAdminStatus", 1),
    ("mtu", "ifMtu", 1),
    ("configured_speed", "ifHighSpeed", 1_000_000),
];

/// What snmp_exporter's scrapes call the device.
const INSTANCE_LABEL: &str = "instance";

/// snmp_exporter's names of our dimensions.
const IF_MIB_LABELS: &[(&str, &str)] = &[
    ("interface_name", "ifName"),
    ("description", "ifDescr"),
    ("alias", "ifAlias"),
];

/// Adds what `batch` holds to `exposition`.
///
/// # Errors
/// [`TooManySeries`] at the limit of the exposition.
pub fn expose(
    exposition: &mut Exposition,
    resource: &Resource,
    batch: &Batch,
    selection: Selection<'_>,
) -> Result<(), TooManySeries> {
    let mut labels = Labels::default();
    push_resource(&mut labels, resource, selection.naming);
    let groups = batch
        .schema
        .groups
        .iter()
        .zip(&batch.groups)
        .zip(&batch.rows.groups);
    for ((schema, values), dimensions) in groups {
        let is_wanted = selection.group.is_none_or(|group| group == schema.name);
        let has_names = selection.naming == Naming::Panoptes || schema.name == "interface";
        if is_wanted && has_names {
            let mut group = GroupExposition {
                exposition,
                schema,
                tags: &batch.schema.tags,
                values,
                dimensions,
                selection,
                text: String::new(),
                family: String::new(),
            };
            group.expose(&mut labels, i64::from(schema.interval_ms))?;
        }
    }
    Ok(())
}

/// Adds whether a (resource, plugin) is up, and why not.
///
/// # Errors
/// [`TooManySeries`] at the limit of the exposition.
pub fn expose_up(
    exposition: &mut Exposition,
    resource: &Resource,
    (plugin, cause): (&str, Option<&str>),
    naming: Naming,
) -> Result<(), TooManySeries> {
    let mut labels = Labels::default();
    push_resource(&mut labels, resource, naming);
    labels.push("plugin", plugin);
    labels.push("cause", cause.unwrap_or(""));
    let mut text = String::new();
    labels.write_to(&mut text);
    exposition.push(Sample {
        family: "ocelli_resource_up",
        help: "1 while the plugin's slots of the resource fill, 0 with the cause while they do not",
        kind: MetricKind::Gauge,
        labels: &text,
        value: Number::Float(if cause.is_none() { 1.0 } else { 0.0 }),
        time: None,
    })
}

fn push_resource(labels: &mut Labels, resource: &Resource, naming: Naming) {
    let id = resource.id();
    if naming == Naming::SnmpExporter {
        return labels.push(INSTANCE_LABEL, resource.endpoint());
    }
    labels.push("resource_site", id.site());
    labels.push("resource_class", id.class());
    labels.push("resource_subclass", id.subclass());
    labels.push("resource_type", id.resource_type());
    labels.push("resource_id", id.id());
    labels.push("resource_endpoint", resource.endpoint());
}

/// One group of one batch on its way into the exposition.
struct GroupExposition<'a> {
    exposition: &'a mut Exposition,
    schema: &'a GroupSchema,
    tags: &'a BTreeMap<String, String>,
    values: &'a GroupValues,
    dimensions: &'a DimensionTable,
    selection: Selection<'a>,
    text: String,
    family: String,
}

impl GroupExposition<'_> {
    fn expose(&mut self, labels: &mut Labels, interval_ms: i64) -> Result<(), TooManySeries> {
        let mark = labels.mark();
        for row in 0..self.values.len() {
            let time = self.values.time[row];
            if self.selection.now.0.saturating_sub(time.0) > INTERVALS_SHOWN * interval_ms {
                continue;
            }
            labels.cut(mark);
            self.push_dimensions(labels, row);
            labels.write_to(&mut self.text);
            self.expose_row(row, time)?;
        }
        labels.cut(mark);
        Ok(())
    }

    fn push_dimensions(&self, labels: &mut Labels, row: usize) {
        for (column, dimension) in self.schema.dimensions.iter().enumerate() {
            let value = self.dimensions.get(row, column).unwrap_or("");
            match self.selection.naming {
                Naming::Panoptes => labels.push(&dimension.name, value),
                Naming::SnmpExporter => {
                    let names = IF_MIB_LABELS
                        .iter()
                        .find(|(ours, _)| *ours == dimension.name);
                    if let Some((_, theirs)) = names {
                        labels.push(theirs, value);
                    }
                }
            }
        }
        let is_free = |name: &str| match self.selection.naming {
            Naming::Panoptes => true,
            Naming::SnmpExporter => {
                name != INSTANCE_LABEL && IF_MIB_LABELS.iter().all(|(_, theirs)| *theirs != name)
            }
        };
        let tags = self.tags.iter().filter(|(name, _)| is_free(name));
        tags.for_each(|(name, value)| labels.push(name, value));
    }

    fn expose_row(&mut self, row: usize, time: WallMs) -> Result<(), TooManySeries> {
        for (column, metric) in self.schema.counters.iter().enumerate() {
            let counter = &self.values.counters[column];
            if !counter.presence.is_present(row) {
                continue;
            }
            let value = counter.values[row];
            self.sample(
                (&metric.name, ""),
                MetricKind::Counter,
                (Number::Unsigned(value), time),
            )?;
            let is_shown = self.selection.naming == Naming::Panoptes;
            if let Some(rate) = self.values.rate(column, row).filter(|_| is_shown) {
                let value = (Number::Float(rate), time);
                self.sample((&metric.name, "_rate"), MetricKind::Gauge, value)?;
            }
        }
        for (column, metric) in self.schema.gauges.iter().enumerate() {
            let gauge: &GaugeColumn = &self.values.gauges[column];
            if let Some(value) = gauge.get(row) {
                let value = (Number::Float(value), time);
                self.sample((&metric.name, ""), MetricKind::Gauge, value)?;
            }
        }
        Ok(())
    }

    fn sample(
        &mut self,
        (metric, suffix): (&str, &str),
        kind: MetricKind,
        (value, time): (Number, WallMs),
    ) -> Result<(), TooManySeries> {
        self.family.clear();
        let value = match self.selection.naming {
            Naming::Panoptes => {
                for part in [&self.schema.name, "_", metric, suffix] {
                    self.family.push_str(part);
                }
                value
            }
            Naming::SnmpExporter => {
                let Some((_, name, divisor)) = IF_MIB.iter().find(|(ours, ..)| *ours == metric)
                else {
                    return Ok(());
                };
                self.family.push_str(name);
                divided(value, *divisor)
            }
        };
        self.exposition.push(Sample {
            family: &self.family,
            help: "",
            kind,
            labels: &self.text,
            value,
            time: Some(time),
        })
    }
}

fn divided(value: Number, divisor: u64) -> Number {
    match value {
        Number::Unsigned(value) => Number::Unsigned(value / divisor),
        Number::Float(value) => Number::Float(value / divisor as f64),
    }
}

#[cfg(test)]
#[path = "device_metrics_tests.rs"]
mod tests;
