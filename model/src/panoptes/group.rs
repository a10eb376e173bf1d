//! The metrics group 0.2 as a value: read from JSON, checked, written back sorted.
//!
//! Does: hold metrics unique by (name, type) and dimensions unique by name; finite numbers only.
//! Does not: render batches (`render` writes them without this type).
//! In: JSON of a group, or of a list of groups. Out: [`MetricsGroup`] or [`FormatError`].
//! Identity of a group includes its type (Panoptes forgets it and loses groups: defect D19).

use std::collections::BTreeMap;

use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::place::{At, FormatError, parse_json};
use crate::resource::{Resource, ResourceDefaults};
use crate::schema::{MetricKind, is_key_name};
use crate::unix_seconds::UnixSeconds;

/// Version written, and the only one read.
const SCHEMA_VERSION: &str = "0.2";
/// Groups in one list.
const GROUPS_MAX: usize = 100_000;

/// A named set of metrics with the same dimensions and interval.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsGroup {
    /// `metrics_group_type`, such as `interface`; not empty.
    pub group_type: String,
    /// `metrics_group_interval`, whole seconds above 0.
    pub interval_seconds: u64,
    /// When the group was made.
    pub created: UnixSeconds,
    /// What was measured.
    pub resource: Resource,
    /// By name, then type.
    pub metrics: BTreeMap<(String, MetricKind), Metric>,
    /// By name; values are not empty.
    pub dimensions: BTreeMap<String, String>,
}

/// Value and time of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// The number.
    pub value: MetricValue,
    /// When it was measured.
    pub time: UnixSeconds,
}

/// A finite number: whole ones stay whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetricValue {
    /// 0 to 2^64 − 1.
    Unsigned(u64),
    /// Below zero.
    Signed(i64),
    /// With a fraction, or too large for the others.
    Float(f64),
}

impl MetricValue {
    fn of_number(number: &Number) -> Option<Self> {
        let unsigned = number.as_u64().map(Self::Unsigned);
        let signed = unsigned.or_else(|| number.as_i64().map(Self::Signed));
        let float = || {
            number
                .as_f64()
                .filter(|float| float.is_finite())
                .map(Self::Float)
        };
        signed.or_else(float)
    }
}

/// Reads one group. `defaults` fill what the resource leaves out.
///
/// # Errors
/// A [`FormatError`] that names the place.
pub fn parse_metrics_group(
    bytes: &[u8],
    defaults: &ResourceDefaults,
) -> Result<MetricsGroup, FormatError> {
    read_group(&At::top(&parse_json(bytes)?), defaults)
}

/// Reads a list of groups, as test data and exec plugins hold them.
///
/// # Errors
/// A [`FormatError`] that names the place; then none is taken.
pub fn parse_metrics_groups(
    bytes: &[u8],
    defaults: &ResourceDefaults,
) -> Result<Vec<MetricsGroup>, FormatError> {
    let value = parse_json(bytes)?;
    let list = At::top(&value);
    if value
        .as_array()
        .is_some_and(|groups| groups.len() > GROUPS_MAX)
    {
        return Err(list.unexpected("at most 100000 groups"));
    }
    list.items()?
        .map(|group| read_group(&group, defaults))
        .collect()
}

fn read_group(at: &At<'_>, defaults: &ResourceDefaults) -> Result<MetricsGroup, FormatError> {
    let version = at.field("metrics_group_schema_version")?;
    if version.text()? != SCHEMA_VERSION {
        return Err(version.unexpected("the schema version \"0.2\""));
    }
    let resource = at.field("resource")?;
    let mut metrics = BTreeMap::new();
    for metric in at.field("metrics")?.items()? {
        let (name, kind, value) = read_metric(&metric)?;
        let shown = format!("{name:?} of type {}", kind.as_str());
        if metrics.insert((name, kind), value).is_some() {
            return Err(metric.duplicate(shown));
        }
    }
    let mut dimensions = BTreeMap::new();
    for dimension in at.field("dimensions")?.items()? {
        let name = key_name(&dimension.field("dimension_name")?)?;
        let value = dimension.field("dimension_value")?.text()?.to_owned();
        if dimensions.insert(name.clone(), value).is_some() {
            return Err(dimension.duplicate(format!("{name:?}")));
        }
    }
    Ok(MetricsGroup {
        group_type: at.field("metrics_group_type")?.text()?.to_owned(),
        interval_seconds: at.field("metrics_group_interval")?.positive()?,
        created: at.field("metrics_group_creation_timestamp")?.seconds()?,
        resource: Resource::from_json(resource.value, defaults)
            .map_err(|error| resource.part(&error))?,
        metrics,
        dimensions,
    })
}

fn read_metric(at: &At<'_>) -> Result<(String, MetricKind, Metric), FormatError> {
    let name = key_name(&at.field("metric_name")?)?;
    let kind = at.field("metric_type")?;
    let kind = match kind.value.as_str() {
        Some("counter") => MetricKind::Counter,
        Some("gauge") => MetricKind::Gauge,
        _ => return Err(kind.unexpected("\"gauge\" or \"counter\"")),
    };
    let value = at.field("metric_value")?;
    let number = match value.value {
        Value::Number(number) => MetricValue::of_number(number),
        _ => None,
    };
    let number = number.ok_or_else(|| value.unexpected("a finite number"))?;
    let time = at.field("metric_creation_timestamp")?.seconds()?;
    Ok((
        name,
        kind,
        Metric {
            value: number,
            time,
        },
    ))
}

fn key_name(at: &At<'_>) -> Result<String, FormatError> {
    let name = at.text()?;
    if is_key_name(name) {
        return Ok(name.to_owned());
    }
    Err(at.unexpected("a name: a letter or _, then letters, digits, _"))
}

// === Writing ===

#[derive(Serialize)]
struct MetricRecord<'a> {
    metric_creation_timestamp: UnixSeconds,
    metric_name: &'a str,
    metric_value: MetricValue,
    metric_type: MetricKind,
}

#[derive(Serialize)]
struct DimensionRecord<'a> {
    dimension_name: &'a str,
    dimension_value: &'a str,
}

impl Serialize for MetricsGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metrics: Vec<MetricRecord<'_>> = self
            .metrics
            .iter()
            .map(|((name, kind), metric)| MetricRecord {
                metric_creation_timestamp: metric.time,
                metric_name: name,
                metric_value: metric.value,
                metric_type: *kind,
            })
            .collect();
        let dimensions: Vec<DimensionRecord<'_>> = self
            .dimensions
            .iter()
            .map(|(name, value)| DimensionRecord {
                dimension_name: name,
                dimension_value: value,
            })
            .collect();
        let mut group = serializer.serialize_struct("MetricsGroup", 7)?;
        group.serialize_field("metrics_group_type", &self.group_type)?;
        group.serialize_field("metrics_group_interval", &self.interval_seconds)?;
        group.serialize_field("metrics_group_creation_timestamp", &self.created)?;
        group.serialize_field("metrics_group_schema_version", SCHEMA_VERSION)?;
        group.serialize_field("resource", &self.resource)?;
        group.serialize_field("metrics", &metrics)?;
        group.serialize_field("dimensions", &dimensions)?;
        group.end()
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
