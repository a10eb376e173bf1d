//! Series: the global name of one line of samples.
//!
//! Does: hash resource identity, group, key dimensions, metric and kind into 128 bits, the same on
//! every node and in every version. Does not: number series within an origin (`bus`, dictionary).
//! In: identity of a row, then a metric. Out: [`SeriesId`], printed as 32 hexadecimal digits.
//! Invariant: attributes, the order of dimensions and the schema's other columns do not count, so
//! an edited alias goes on in the same series.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

use crate::batch::Batch;
use crate::resource::ResourceId;
use crate::schema::MetricKind;

/// First byte of what is hashed: another way of hashing takes another number.
const HASH_VERSION: u8 = 1;

/// Global identity of a series.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u128);

/// Why a text is no series id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no series; write its 32 hexadecimal digits")]
pub struct SeriesIdError {
    /// The text as given.
    pub text: String,
}

/// The part of a series' identity that all metrics of a row share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowIdentity {
    /// What is hashed, as far as the row goes; a metric is appended and taken off again.
    bytes: Vec<u8>,
    row_len: usize,
}

impl RowIdentity {
    /// The row of `group` on `resource` with these key dimensions (name, value), in any order.
    #[must_use]
    pub fn new(resource: &ResourceId, group: &str, keys: &mut [(&str, &str)]) -> Self {
        keys.sort_unstable();
        let mut bytes = vec![HASH_VERSION];
        push_text(&mut bytes, resource.as_str());
        push_text(&mut bytes, group);
        for (name, value) in keys {
            push_text(&mut bytes, name);
            push_text(&mut bytes, value);
        }
        // Keys end here: a metric is not one more of them.
        bytes.push(0xff);
        let row_len = bytes.len();
        Self { bytes, row_len }
    }

    /// A row of a batch, or `None` if it has no such group.
    #[must_use]
    pub fn of_batch(
        resource: &ResourceId,
        batch: &Batch,
        group: usize,
        row: usize,
    ) -> Option<Self> {
        let schema = batch.schema.groups.get(group)?;
        let table = batch.rows.groups.get(group)?;
        let mut keys = Vec::with_capacity(schema.key_len());
        for (column, dimension) in schema.dimensions.iter().take(schema.key_len()).enumerate() {
            if let Some(value) = table.get(row, column) {
                keys.push((dimension.name.as_str(), value));
            }
        }
        Some(Self::new(resource, &schema.name, &mut keys))
    }

    /// The series of a metric in this row.
    #[must_use]
    pub fn series(&mut self, metric: &str, kind: MetricKind) -> SeriesId {
        self.bytes.truncate(self.row_len);
        self.bytes.push(match kind {
            MetricKind::Counter => 1,
            MetricKind::Gauge => 2,
        });
        self.bytes.extend_from_slice(metric.as_bytes());
        SeriesId(xxh3_128(&self.bytes))
    }
}

/// Length first, so that neighbours cannot run together.
fn push_text(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(&(text.len() as u64).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

impl fmt::Display for SeriesId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for SeriesId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SeriesId({self})")
    }
}

impl FromStr for SeriesId {
    type Err = SeriesIdError;

    fn from_str(text: &str) -> Result<Self, SeriesIdError> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(Self).ok_or_else(|| SeriesIdError {
            text: text.to_owned(),
        })
    }
}

impl Serialize for SeriesId {
    /// Text where people read, 128 bits in binary encodings.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for SeriesId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u128::deserialize(deserializer).map(Self);
        }
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::RowSet;
    use crate::clock::WallMs;
    use crate::codec::{Kind, decode, encode};
    use crate::columns::DimensionTable;
    use crate::schema::{DimensionDef, GroupSchema, Schema};
    use crate::slot::{Epoch, SlotMs};

    fn id(text: &str) -> ResourceId {
        text.parse().unwrap()
    }

    fn series(resource: &str, group: &str, keys: &[(&str, &str)], metric: &str) -> SeriesId {
        let mut row = RowIdentity::new(&id(resource), group, &mut keys.to_vec());
        row.series(metric, MetricKind::Counter)
    }

    #[test]
    fn the_id_of_a_series_stays_what_it_is() {
        let keys = [("interface_name", "Gi0/1")];
        let found = series(
            "dc1/network/switch/cisco/sw1",
            "interface",
            &keys,
            "bits_in",
        );
        assert_eq!(found.to_string(), "4b0af51672a5ddf46f7cde2adc857699");
        assert_eq!(found.to_string().parse(), Ok(found));
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(json, format!("\"{found}\""));
        assert_eq!(serde_json::from_str::<SeriesId>(&json).unwrap(), found);
        let mut bytes = Vec::new();
        encode::<64>(Kind::TEST, 1, &found, &mut bytes).unwrap();
        assert_eq!(
            decode::<SeriesId, 64>(Kind::TEST, 1, &bytes).unwrap().0,
            found
        );
    }

    #[test]
    fn each_part_of_the_identity_counts_and_the_order_of_dimensions_does_not() {
        let base = series("s/c/sc/t/r", "g", &[("a", "1"), ("b", "2")], "m");
        let swapped = series("s/c/sc/t/r", "g", &[("b", "2"), ("a", "1")], "m");
        assert_eq!(base, swapped);
        let others = [
            series("s/c/sc/t/x", "g", &[("a", "1"), ("b", "2")], "m"),
            series("s/c/sc/t/r", "x", &[("a", "1"), ("b", "2")], "m"),
            series("s/c/sc/t/r", "g", &[("a", "2"), ("b", "1")], "m"),
            series("s/c/sc/t/r", "g", &[("a", "1")], "m"),
            series("s/c/sc/t/r", "g", &[("a", "1"), ("b", "2")], "x"),
            series("s/c/sc/t/r", "g", &[("a", "1b"), ("", "2")], "m"),
        ];
        assert!(others.iter().all(|other| *other != base));
        let mut row = RowIdentity::new(&id("s/c/sc/t/r"), "g", &mut [("a", "1"), ("b", "2")]);
        assert_ne!(row.series("m", MetricKind::Gauge), base);
        assert_eq!(
            row.series("m", MetricKind::Counter),
            base,
            "a row serves many metrics"
        );
    }

    #[test]
    fn attributes_of_a_batch_row_do_not_count() {
        let dimension = |name: &str, is_key| DimensionDef {
            name: name.into(),
            is_key,
        };
        let schema = Schema::new(vec![GroupSchema {
            name: "interface".into(),
            interval_ms: 1_000,
            dimensions: vec![dimension("interface_name", true), dimension("alias", false)],
            counters: vec![],
            gauges: vec![],
        }]);
        let mut table = DimensionTable::new(2);
        ["Gi0/1", "old", "Gi0/1", "new"]
            .iter()
            .for_each(|cell| table.push(cell));
        let batch = Batch {
            slot: SlotMs(0),
            interval_ms: 1_000,
            epoch: Epoch::default(),
            time: WallMs(0),
            partial: None,
            schema: Arc::new(schema.unwrap()),
            rows: Arc::new(RowSet {
                groups: vec![table],
            }),
            groups: vec![],
        };
        let resource = id("s/c/sc/t/r");
        let row = |row| RowIdentity::of_batch(&resource, &batch, 0, row);
        assert_eq!(row(0), row(1));
        let expected = RowIdentity::new(&resource, "interface", &mut [("interface_name", "Gi0/1")]);
        assert_eq!(row(0), Some(expected));
        assert_eq!(RowIdentity::of_batch(&resource, &batch, 1, 0), None);
    }

    #[test]
    fn a_text_that_is_no_series_is_refused() {
        for text in ["", "12", &"g".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert!(text.parse::<SeriesId>().is_err(), "{text:?}");
        }
    }
}
