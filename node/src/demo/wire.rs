//! Lines of `/v1/subscribe?format=records`, as a demo reads them.
//!
//! Does: name the fields that a demo shows and counts. Does not: fetch or rank.
//! In: a line of JSON. Out: [`Line`]; its interfaces, its machine.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::live::{BITS, LOOPBACK, Link, Machine};

/// One record.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) origin: String,
    /// Absent while the disk is full: then nothing is stored.
    pub(super) seq: Option<u64>,
    /// `site/class/subclass/type/id`.
    #[serde(default)]
    pub(super) resource: String,
    /// When it was measured, ms.
    pub(super) time_ms: Option<i64>,
    #[serde(default)]
    pub(super) backfill: bool,
    /// Of a gap.
    pub(super) cause: Option<String>,
    /// Of a gap.
    pub(super) slots: Option<u64>,
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    /// In the schema's order: the first names the row.
    dimensions: Map<String, Value>,
    counters: BTreeMap<String, Counter>,
    gauges: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
struct Counter {
    verdict: String,
    rate: Option<f64>,
}

impl Line {
    /// Site of the resource.
    pub(super) fn site(&self) -> &str {
        self.resource.split('/').next().unwrap_or_default()
    }

    /// `site/id`.
    pub(super) fn device(&self) -> String {
        let id = self.resource.rsplit('/').next().unwrap_or_default();
        format!("{}/{id}", self.site())
    }

    /// (samples, of which rates).
    pub(super) fn counts(&self) -> (u64, u64) {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        rows.fold((0, 0), |(samples, rates), row| {
            let with_rate = row.counters.values().filter(|of| of.rate.is_some()).count();
            let all = row.counters.len() + row.gauges.len() + with_rate;
            (samples + all as u64, rates + with_rate as u64)
        })
    }

    /// Interfaces of a switch; `None` if it is none.
    pub(super) fn links(&self) -> Option<Vec<Link>> {
        Some(self.rows("interface")?.iter().map(Row::link).collect())
    }

    /// The machine; `None` if it is none.
    pub(super) fn machine(&self) -> Option<Machine> {
        let cpu = self.rows("cpu")?;
        let total = cpu.iter().find(|row| row.key() == "total");
        let gauge = |group: &str, name: &str| {
            let row = self.rows(group)?.first()?;
            row.gauges.get(name).copied()
        };
        let network = |counter: &str| {
            let rows = self.rows("network")?.iter();
            let rates = rows.filter(|row| row.key() != LOOPBACK);
            let bytes = rates
                .filter_map(|row| row.rate(counter))
                .reduce(|a, b| a + b);
            bytes.map(|bytes| bytes * BITS)
        };
        Some(Machine {
            load1: gauge("load", "load1"),
            cpu_percent: total.and_then(|row| row.rate("busy")),
            memory_percent: gauge("memory", "used_percent"),
            received: network("rx_bytes"),
            sent: network("tx_bytes"),
        })
    }

    fn rows(&self, group: &str) -> Option<&[Row]> {
        let found = self.groups.iter().find(|of| of.name == group)?;
        Some(&found.rows)
    }
}

impl Row {
    fn key(&self) -> &str {
        let first = self.dimensions.values().next();
        first.and_then(Value::as_str).unwrap_or("-")
    }

    fn rate(&self, counter: &str) -> Option<f64> {
        self.counters.get(counter)?.rate
    }

    fn link(&self) -> Link {
        let both = ["bits_in", "bits_out"].map(|name| self.counters.get(name));
        // The direction without a rate has the reason to show.
        let reason = both.into_iter().flatten().find(|of| of.rate.is_none());
        let verdict = reason.or(both[0]).or(both[1]);
        Link {
            name: self.key().to_owned(),
            inward: self.rate("bits_in"),
            outward: self.rate("bits_out"),
            verdict: verdict.map_or_else(|| "-".to_owned(), |of| of.verdict.clone()),
        }
    }
}
