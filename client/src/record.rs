//! Records as types: what a node tells, line by line.
//!
//! Does: read the `records` lines of an ocelli node. Does not: fetch them. Unknown members are
//! passed over and unknown types are [`Item::Other`]: nodes only add.
//! In: a line. Out: an [`Item`].

use std::collections::BTreeMap;

use serde::Deserialize;

/// A line that is no record.
#[derive(Debug, thiserror::Error)]
#[error("a node sent a line that is no record: {0}; upgrade the older of both")]
pub struct RecordTextError(#[from] serde_json::Error);

/// What a follower gets.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// A record, once.
    Record(Box<Record>),
    /// Where to go on from: all before it was handed out. Keep it, if anything.
    Cursor(String),
    /// Batches were passed over, or a seq was waited for in vain; the node's line.
    Lag(String),
    /// The node's retention was faster than this follower; the node's line.
    Trimmed(String),
    /// A line of a newer node.
    Other(String),
}

/// A batch, a gap, or what else happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Who wrote it; with `seq` its name in the whole mesh.
    pub origin: String,
    /// Its number there; `None`: volatile, it is on no disk.
    pub seq: Option<u64>,
    /// `site/class/subclass/type/id`; `None`: the node's own.
    pub resource: Option<String>,
    /// Read by which plugin.
    pub plugin: Option<String>,
    /// The slot, of a range its first, ms since 1970.
    pub slot_ms: Option<i64>,
    /// Interval of the slots, ms.
    pub interval_ms: Option<u32>,
    /// `generation.index` of the plan; with `slot_ms` the order of a series.
    pub epoch: Option<String>,
    /// When it came to be, ms since 1970.
    pub time_ms: Option<i64>,
    /// It came beside what is live.
    pub is_backfill: bool,
    /// Something that was asked for is missing.
    pub is_partial: bool,
    /// The rest.
    pub body: Body,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Values of one slot.
    Batch(Vec<Group>),
    /// Slots without data.
    Gap {
        /// The last of them, ms since 1970.
        last_slot_ms: i64,
        /// Why.
        cause: String,
    },
    /// Slots that are not decided yet, up to this one.
    Pending {
        /// The last of them, ms since 1970.
        last_slot_ms: i64,
    },
    /// The plugin does not read the resource any more.
    Released,
    /// Something happened.
    Event {
        /// Which kind.
        kind: String,
        /// `info`, `warn` or `error`.
        severity: String,
        /// In words.
        text: String,
        /// What it is about.
        fields: BTreeMap<String, String>,
    },
}

/// A metrics group of a batch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its own interval, ms.
    pub interval_ms: u32,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// One row of a group.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// When it was measured, ms since 1970.
    pub time_ms: i64,
    /// By name.
    pub dimensions: BTreeMap<String, String>,
    /// By metric.
    pub counters: BTreeMap<String, Counter>,
    /// By metric.
    pub gauges: BTreeMap<String, f64>,
}

/// A counter, with the verdict of its rate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Counter {
    /// As read.
    pub value: u64,
    /// `rate`, or why there is none.
    pub verdict: String,
    /// Since the value before.
    pub delta: Option<u64>,
    /// Over how long, ms.
    pub dt_ms: Option<u32>,
    /// A second.
    pub rate: Option<f64>,
}

/// All members that a line may have.
#[derive(Deserialize)]
struct Line {
    r#type: Option<String>,
    origin: Option<String>,
    seq: Option<u64>,
    resource: Option<String>,
    plugin: Option<String>,
    slot_ms: Option<i64>,
    interval_ms: Option<u32>,
    epoch: Option<String>,
    time_ms: Option<i64>,
    #[serde(default)]
    backfill: bool,
    #[serde(default)]
    partial: bool,
    #[serde(default)]
    groups: Vec<Group>,
    last_slot_ms: Option<i64>,
    cause: Option<String>,
    kind: Option<String>,
    severity: Option<String>,
    text: Option<String>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    cursor: Option<String>,
}

impl Item {
    /// Reads a line of `records`.
    ///
    /// # Errors
    /// [`RecordTextError`].
    pub fn parse(text: &[u8]) -> Result<Self, RecordTextError> {
        let mut line: Line = serde_json::from_slice(text)?;
        let told = || String::from_utf8_lossy(text).into_owned();
        let kind = line.r#type.take().unwrap_or_default();
        if let (Some(cursor), "cursor") = (line.cursor.take(), kind.as_str()) {
            return Ok(Self::Cursor(cursor));
        }
        if kind == "lag" {
            return Ok(Self::Lag(told()));
        }
        if kind == "gap" && line.seq.is_none() {
            return Ok(Self::Trimmed(told()));
        }
        let Some(origin) = line.origin.take() else {
            return Ok(Self::Other(told()));
        };
        let Some(body) = body_of(&kind, &mut line) else {
            return Ok(Self::Other(told()));
        };
        Ok(Self::Record(Box::new(Record {
            origin,
            seq: line.seq,
            resource: line.resource,
            plugin: line.plugin,
            slot_ms: line.slot_ms,
            interval_ms: line.interval_ms,
            epoch: line.epoch,
            time_ms: line.time_ms,
            is_backfill: line.backfill,
            is_partial: line.partial,
            body,
        })))
    }
}

/// `None`: a kind that this release does not know.
fn body_of(kind: &str, line: &mut Line) -> Option<Body> {
    let last_slot_ms = line.last_slot_ms;
    Some(match kind {
        "batch" => Body::Batch(std::mem::take(&mut line.groups)),
        "gap" => Body::Gap {
            last_slot_ms: last_slot_ms?,
            cause: line.cause.take()?,
        },
        "pending" => Body::Pending {
            last_slot_ms: last_slot_ms?,
        },
        "released" => Body::Released,
        "event" => Body::Event {
            kind: line.kind.take()?,
            severity: line.severity.take()?,
            text: line.text.take()?,
            fields: std::mem::take(&mut line.fields),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Item {
        Item::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn lines_are_read_as_what_they_are() {
        let batch = r#"{"type":"batch","origin":"o1","seq":7,"resource":"dc1/a/b/c/d",
            "plugin":"host","slot_ms":60000,"interval_ms":1000,"epoch":"1.0","backfill":true,
            "partial":false,"time_ms":60400,"groups":[{"name":"cpu","interval_ms":1000,"rows":[
            {"time_ms":60400,"dt_ms":1000,"dimensions":{"cpu":"0"},"counters":{"ticks":{"value":9,
            "verdict":"rate","delta":3,"dt_ms":1000,"rate":3.0}},"gauges":{"load":0.5}}]}]}"#;
        let Item::Record(record) = parse(batch) else {
            panic!("a batch is a record");
        };
        assert_eq!((record.origin.as_str(), record.seq), ("o1", Some(7)));
        assert!(record.is_backfill && !record.is_partial);
        let Body::Batch(groups) = &record.body else {
            panic!("{record:?}");
        };
        let row = &groups[0].rows[0];
        assert_eq!(
            (row.counters["ticks"].rate, row.gauges["load"]),
            (Some(3.0), 0.5)
        );

        let gap = r#"{"type":"gap","origin":"o1","seq":8,"slot_ms":1,"last_slot_ms":3,
            "cause":"timeout"}"#;
        assert!(matches!(parse(gap), Item::Record(it) if matches!(it.body, Body::Gap { .. })));
        let trimmed = r#"{"type":"gap","cause":"retention","from":"1:0","to":"2:0"}"#;
        assert!(matches!(parse(trimmed), Item::Trimmed(_)));
        let removed = r#"{"type":"gap","cause":"retention","origin":"o1","first_seq":1,
            "last_seq":9,"seqs":9}"#;
        assert!(matches!(parse(removed), Item::Trimmed(_)));
        let cursor = r#"{"type":"cursor","cursor":"1~00"}"#;
        assert_eq!(parse(cursor), Item::Cursor("1~00".to_owned()));
        let lag = r#"{"type":"lag","origin":"o1","missing_first_seq":1,"missing_last_seq":2}"#;
        assert!(matches!(parse(lag), Item::Lag(_)));
        let newer = r#"{"type":"dream","origin":"o1","seq":9}"#;
        assert!(matches!(parse(newer), Item::Other(_)));
        assert!(Item::parse(b"{\"type\":").is_err());
    }
}
