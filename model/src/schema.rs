//! Schemas: what the columns of a batch mean.
//!
//! Does: name groups, dimensions (key or attribute), counters and gauges with kind and unit, hold
//! the tags that all rows share, and hash them stably. Does not: hold values (`batch`), say how
//! they are read (`profile`).
//! In: profiles and plugins, once at start or reload. Out: [`Schema`], shared behind an `Arc`.
//! Invariant: column order is the order of the lists here, in memory, on disk and on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::columns::DIMENSION_BYTES_MAX;

/// Most groups in one schema.
pub const GROUPS_MAX: usize = 64;
/// Most counters and gauges together in one group.
pub const METRICS_MAX: usize = 1_024;
/// Most dimensions of a group, tags included.
pub const DIMENSIONS_MAX: usize = 64;

/// Version of the formula that makes a rate of (delta, dt): `delta × 1000 / dt`, in f64,
/// per second, `dt` in milliseconds.
pub const RATE_FORMULA: u16 = 1;

/// Counter or gauge, in Panoptes' sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Only grows, modulo 2^64, but for resets. A rate is made of it where its verdict allows.
    Counter,
    /// Any finite number.
    Gauge,
}

impl MetricKind {
    /// `counter` or `gauge`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        }
    }
}

/// One metric of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetricDef {
    /// Panoptes' key pattern: letter or `_`, then letters, digits, `_`.
    pub name: String,
    /// UCUM-like unit, `By/s`, `bit/s`, `{packet}`; empty if it has none.
    #[serde(default)]
    pub unit: String,
}

/// One dimension of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DimensionDef {
    /// Panoptes' key pattern.
    pub name: String,
    /// Key dimensions identify the row; the others are attributes that may change.
    pub is_key: bool,
}

/// A metrics group: rows that share dimensions, metrics and interval.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupSchema {
    /// `metrics_group_type` at the edges.
    pub name: String,
    /// `metrics_group_interval` at the edges, ms here.
    pub interval_ms: u32,
    /// Key dimensions first.
    pub dimensions: Vec<DimensionDef>,
    /// Counter columns.
    pub counters: Vec<MetricDef>,
    /// Gauge columns.
    pub gauges: Vec<MetricDef>,
}

impl GroupSchema {
    /// How many of the leading dimensions are keys.
    #[must_use]
    pub fn key_len(&self) -> usize {
        self.dimensions
            .iter()
            .take_while(|dimension| dimension.is_key)
            .count()
    }
}

/// All groups that one plugin emits in one batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schema {
    /// 1 to [`GROUPS_MAX`] groups; a batch has a section for each, maybe without rows.
    pub groups: Vec<GroupSchema>,
    /// [`RATE_FORMULA`] of the writer.
    pub rate_formula: u16,
    /// Attributes that all rows of all groups share, by name. They stand here, once, and not in the
    /// rows: a sample carries nothing of them, and another value is another schema, not another
    /// series. Have a definition of their own on disk.
    #[serde(skip)]
    pub tags: BTreeMap<String, String>,
}

/// Why groups make no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// No group, or too many.
    #[error("a schema has {found} groups; 1 to {GROUPS_MAX} are possible")]
    Groups {
        /// How many there are.
        found: usize,
    },
    /// Too many columns.
    #[error("group {group:?} has {found} metrics; split it, {METRICS_MAX} is the limit")]
    Metrics {
        /// Name of the group.
        group: String,
        /// How many metrics it has.
        found: usize,
    },
    /// Too many dimensions.
    #[error("group {group:?} has {found} dimensions; {DIMENSIONS_MAX} is the limit")]
    Dimensions {
        /// Name of the group.
        group: String,
        /// How many dimensions it has.
        found: usize,
    },
    /// An attribute before a key.
    #[error("group {group:?} lists the key dimension {name:?} after an attribute; list keys first")]
    KeyAfterAttribute {
        /// Name of the group.
        group: String,
        /// The dimension.
        name: String,
    },
    /// Two columns or dimensions of one name.
    #[error("group {group:?} has {name:?} twice; rename one")]
    Duplicate {
        /// Name of the group.
        group: String,
        /// The name that recurs.
        name: String,
    },
    /// A tag that some group has as a dimension.
    #[error("tag {name:?} is a dimension of group {group:?}; rename the tag")]
    TagIsDimension {
        /// Name of the group.
        group: String,
        /// The tag.
        name: String,
    },
    /// A tag of no use.
    #[error(
        "tag {name:?} has no name, no value or one above {DIMENSION_BYTES_MAX} bytes; a name is a \
         letter or _, then letters, digits, _"
    )]
    BadTag {
        /// The tag.
        name: String,
    },
    /// A name outside Panoptes' key pattern.
    #[error("{name:?} in group {group:?} is no name; use a letter or _, then letters, digits, _")]
    BadName {
        /// Name of the group.
        group: String,
        /// The name.
        name: String,
    },
}

impl Schema {
    /// A schema of these groups.
    ///
    /// # Errors
    /// A [`SchemaError`] for the first rule that a group breaks.
    pub fn new(groups: Vec<GroupSchema>) -> Result<Self, SchemaError> {
        if groups.is_empty() || groups.len() > GROUPS_MAX {
            return Err(SchemaError::Groups {
                found: groups.len(),
            });
        }
        groups.iter().try_for_each(check_group)?;
        Ok(Self {
            groups,
            rate_formula: RATE_FORMULA,
            tags: BTreeMap::new(),
        })
    }

    /// The schema with these attributes on every row, in place of those it had.
    ///
    /// # Errors
    /// [`SchemaError::BadTag`], [`SchemaError::TagIsDimension`], or [`SchemaError::Dimensions`] for
    /// a group that would have too many together with its own.
    pub fn with_tags(mut self, tags: BTreeMap<String, String>) -> Result<Self, SchemaError> {
        let is_bad = |(name, value): &(&String, &String)| {
            !is_key_name(name) || value.is_empty() || value.len() > DIMENSION_BYTES_MAX
        };
        if let Some((name, _)) = tags.iter().find(is_bad) {
            return Err(SchemaError::BadTag { name: name.clone() });
        }
        for group in &self.groups {
            let mut dimensions = group.dimensions.iter();
            if let Some(taken) = dimensions.find(|own| tags.contains_key(&own.name)) {
                return Err(SchemaError::TagIsDimension {
                    group: group.name.clone(),
                    name: taken.name.clone(),
                });
            }
            let found = group.dimensions.len() + tags.len();
            if found > DIMENSIONS_MAX {
                let group = group.name.clone();
                return Err(SchemaError::Dimensions { group, found });
            }
        }
        self.tags = tags;
        Ok(self)
    }

    /// Stable 128-bit hash of the whole content; equal schemas share an id in a stream.
    #[must_use]
    pub fn content_hash(&self) -> u128 {
        let mut text = Vec::with_capacity(1_024);
        text.extend_from_slice(&self.rate_formula.to_le_bytes());
        for group in &self.groups {
            hash_text(&mut text, &group.name);
            text.extend_from_slice(&group.interval_ms.to_le_bytes());
            for dimension in &group.dimensions {
                text.push(1 + u8::from(dimension.is_key));
                hash_text(&mut text, &dimension.name);
            }
            for (tag, metrics) in [(3, &group.counters), (4, &group.gauges)] {
                for metric in metrics {
                    text.push(tag);
                    hash_text(&mut text, &metric.name);
                    hash_text(&mut text, &metric.unit);
                }
            }
            text.push(0);
        }
        for (name, value) in &self.tags {
            text.push(5);
            hash_text(&mut text, name);
            hash_text(&mut text, value);
        }
        xxh3_128(&text)
    }
}

/// Length first, so that neighbours cannot run together.
fn hash_text(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(&(text.len() as u64).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// Whether `name` follows Panoptes' key pattern `^[^\d\W]\w*$` (Unicode-aware, as Python's `\w`).
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    let is_word = |character: char| character == '_' || character.is_alphanumeric();
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| is_word(first) && !first.is_numeric())
        && characters.all(is_word)
}

fn check_group(group: &GroupSchema) -> Result<(), SchemaError> {
    let name_of_group = || group.name.clone();
    let metrics = group.counters.len() + group.gauges.len();
    if metrics > METRICS_MAX {
        return Err(SchemaError::Metrics {
            group: name_of_group(),
            found: metrics,
        });
    }
    if group.dimensions.len() > DIMENSIONS_MAX {
        let found = group.dimensions.len();
        return Err(SchemaError::Dimensions {
            group: name_of_group(),
            found,
        });
    }
    if let Some(late) = group.dimensions[group.key_len()..]
        .iter()
        .find(|late| late.is_key)
    {
        let name = late.name.clone();
        return Err(SchemaError::KeyAfterAttribute {
            group: name_of_group(),
            name,
        });
    }
    check_names(
        &group.name,
        group.dimensions.iter().map(|dimension| &dimension.name),
    )?;
    check_names(
        &group.name,
        group.counters.iter().map(|metric| &metric.name),
    )?;
    check_names(&group.name, group.gauges.iter().map(|metric| &metric.name))
}

/// Dimensions, counters and gauges are name spaces of their own (unique by name and type).
fn check_names<'a>(
    group: &str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), SchemaError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !is_key_name(name) {
            return Err(SchemaError::BadName {
                group: group.to_owned(),
                name: name.clone(),
            });
        }
        if !seen.insert(name) {
            return Err(SchemaError::Duplicate {
                group: group.to_owned(),
                name: name.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> GroupSchema {
        let dimension = |name: &str, is_key| DimensionDef {
            name: name.into(),
            is_key,
        };
        let metric = |name: &str| MetricDef {
            name: name.into(),
            unit: String::new(),
        };
        GroupSchema {
            name: "interface".into(),
            interval_ms: 60_000,
            dimensions: vec![dimension("interface_name", true), dimension("alias", false)],
            counters: vec![metric("bits_in")],
            gauges: vec![metric("bits_in"), metric("mtu")],
        }
    }

    #[test]
    fn a_group_that_breaks_a_rule_is_refused_with_the_place() {
        let check = |change: fn(&mut GroupSchema), expected: &str| {
            let mut changed = group();
            change(&mut changed);
            let error = Schema::new(vec![changed]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(|group| group.dimensions.reverse(), "after an attribute");
        check(|group| group.gauges[0].name = "mtu".into(), "\"mtu\" twice");
        check(|group| group.counters[0].name = "1st".into(), "\"1st\"");
        check(
            |group| group.counters = vec![group.counters[0].clone(); 1_025],
            "1027 metrics",
        );
        check(
            |group| group.dimensions = vec![group.dimensions[0].clone(); 65],
            "65 dimensions",
        );
        assert!(matches!(
            Schema::new(vec![]),
            Err(SchemaError::Groups { found: 0 })
        ));
    }

    #[test]
    fn the_hash_changes_with_each_part_and_not_with_a_copy() {
        let schema = Schema::new(vec![group()]).unwrap();
        assert_eq!(schema.content_hash(), schema.clone().content_hash());
        let changes: [fn(&mut GroupSchema); 5] = [
            |group| group.interval_ms = 30_000,
            |group| group.dimensions[0].is_key = false,
            |group| group.counters[0].name = "bits_out".into(),
            |group| group.gauges[1].unit = "By".into(),
            |group| group.gauges.swap(0, 1),
        ];
        for change in changes {
            let mut other = schema.clone();
            change(&mut other.groups[0]);
            assert_ne!(schema.content_hash(), other.content_hash());
        }
        let tagged = |value: &str| schema.clone().with_tags(tags(&[("team", value)])).unwrap();
        assert_ne!(schema.content_hash(), tagged("a").content_hash());
        assert_ne!(tagged("a").content_hash(), tagged("b").content_hash());
    }

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_tag_that_is_no_attribute_of_every_group_is_refused() {
        let check = |pairs: &[(&str, &str)], expected: &str| {
            let schema = Schema::new(vec![group()]).unwrap();
            let error = schema.with_tags(tags(pairs)).unwrap_err().to_string();
            assert!(error.contains(expected), "{pairs:?}: {error}");
        };
        check(
            &[("alias", "a")],
            "\"alias\" is a dimension of group \"interface\"",
        );
        check(
            &[("interface_name", "a")],
            "\"interface_name\" is a dimension",
        );
        check(&[("team", "")], "\"team\" has no name, no value");
        check(&[("my team", "a")], "\"my team\" has no name");
        let names: Vec<String> = (0..63).map(|index| format!("tag_{index}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        check(&many, "has 65 dimensions");
        let schema = Schema::new(vec![group()]).unwrap();
        assert!(
            schema.with_tags(tags(&many[..62])).is_ok(),
            "64 dimensions fit"
        );
    }
}
