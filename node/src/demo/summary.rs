//! What a demo has seen, as its last words.
//!
//! Does: count batches, samples, rates, gaps and duplicates; keep lags for their percentiles.
//! Does not: draw. In: [`Record`]s with the time of their arrival. Out: one object, or a line.
//! Field names of the object are stable (additions only).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use ocelli_bus::decoder::Record;
use ocelli_bus::payload::Payload;
use ocelli_bus::record::Seq;
use ocelli_bus::{SeqRange, SeqRanges};
use ocelli_model::clock::WallMs;
use serde_json::{Value, json};

use super::wire::Line;
use crate::cli::exit::Failure;
use crate::cli::output::{Column, Format, Listing, Streams, column};

/// The newest lags, for the percentiles: 0.8 MB.
const LAGS_MAX: usize = 100_000;

const COLUMNS: &[Column] = &[
    column("NODES", "nodes"),
    column("RESOURCES", "resources"),
    column("BATCHES", "batches"),
    column("SAMPLES", "samples"),
    column("RATES", "rates"),
    column("GAPS", "gaps"),
    column("DUPLICATES", "duplicates"),
    column("LAG P50 MS", "lag_ms.p50"),
    column("LAG P99 MS", "lag_ms.p99"),
    column("FIRST RATE MS", "first_rate_ms"),
];

/// Counts of a demo.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Nodes of the demo.
    nodes: usize,
    resources: HashSet<String>,
    batches: u64,
    samples: u64,
    rates: u64,
    /// Slots by cause.
    gaps: BTreeMap<String, u64>,
    duplicates: u64,
    seen: HashMap<String, SeqRanges>,
    lags_ms: VecDeque<i64>,
    first_rate: Option<Duration>,
}

impl Summary {
    /// Of so many nodes, before the first record.
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// Counts a record that arrived at `at`, `since_start` after the demo began.
    pub(super) fn take(&mut self, record: &Record, at: WallMs, since_start: Duration) {
        if !self.is_new(format!("{:?}", record.stream), record.seq) {
            return;
        }
        let resource = record.resource.as_ref();
        let resource = resource.map_or("", |of| of.id().as_str());
        match &record.payload {
            Payload::Batch(batch) => {
                let count = batch.sample_count();
                let samples = (count.counters + count.gauges + count.rates) as u64;
                self.take_batch(resource, (samples, count.rates as u64), since_start);
                self.note_lag((at.0 - record.time.0).max(0));
            }
            Payload::Gap(gap) => self.take_gap(gap.cause.kind.as_str(), gap.slots()),
            _ => {}
        }
    }

    /// Counts a line of the API; `false`: it came before. The lag is that of live records: what an
    /// outage held back is late by the outage.
    pub(super) fn take_line(&mut self, line: &Line, at: WallMs, since_start: Duration) -> bool {
        let seq = line.seq.map(Seq);
        if seq.is_some_and(|seq| !self.is_new(line.origin.clone(), seq)) {
            return false;
        }
        match (line.kind.as_str(), line.time_ms) {
            ("batch", time) => {
                self.take_batch(&line.resource, line.counts(), since_start);
                if let Some(time) = time.filter(|_| !line.backfill) {
                    self.note_lag((at.0 - time).max(0));
                }
            }
            ("gap", _) => {
                let cause = line.cause.as_deref().unwrap_or_default();
                let kind = cause.split('/').next().unwrap_or_default();
                self.take_gap(kind, line.slots.unwrap_or_default());
            }
            _ => {}
        }
        true
    }

    fn is_new(&mut self, stream: String, seq: Seq) -> bool {
        let seen = self.seen.entry(stream).or_default();
        if seen.contains(seq) {
            self.duplicates += 1;
            return false;
        }
        seen.insert(SeqRange {
            first: seq,
            last: seq,
        });
        true
    }

    fn take_batch(&mut self, resource: &str, (samples, rates): (u64, u64), since_start: Duration) {
        self.batches += 1;
        self.samples += samples;
        self.rates += rates;
        if rates > 0 {
            self.first_rate.get_or_insert(since_start);
        }
        if !self.resources.contains(resource) {
            self.resources.insert(resource.to_owned());
        }
    }

    fn take_gap(&mut self, cause: &str, slots: u64) {
        *self.gaps.entry(cause.to_owned()).or_default() += slots;
    }

    fn note_lag(&mut self, lag_ms: i64) {
        if self.lags_ms.len() == LAGS_MAX {
            self.lags_ms.pop_front();
        }
        self.lags_ms.push_back(lag_ms);
    }

    fn percentiles<const N: usize>(&self, percents: [usize; N]) -> [Option<i64>; N] {
        percentiles_of(&self.lags_ms, percents)
    }

    /// The object of `-o json`.
    pub(super) fn to_json(&self) -> Value {
        let [p50, p99] = self.percentiles([50, 99]);
        let first_rate = self.first_rate;
        let first_rate_ms = first_rate.and_then(|after| u64::try_from(after.as_millis()).ok());
        json!({
            "nodes": self.nodes,
            "resources": self.resources.len(),
            "batches": self.batches,
            "samples": self.samples,
            "rates": self.rates,
            "gaps": self.gaps,
            "duplicates": self.duplicates,
            "lag_ms": { "p50": p50, "p99": p99 },
            "first_rate_ms": first_rate_ms,
        })
    }

    /// Writes the end of a demo in `format`.
    ///
    /// # Errors
    /// As [`Streams::print`].
    pub(super) fn print(&self, format: Format, streams: &mut Streams) -> Result<(), Failure> {
        if matches!(format, Format::Table | Format::Wide) {
            return streams.print(&format!("{self}\n"));
        }
        Self::print_object(&self.to_json(), format, streams)
    }

    /// Writes the object, or one with more members.
    ///
    /// # Errors
    /// As [`Streams::print`].
    pub(super) fn print_object(
        document: &Value,
        format: Format,
        streams: &mut Streams,
    ) -> Result<(), Failure> {
        let listing = Listing {
            columns: COLUMNS,
            items: std::slice::from_ref(document),
            document: Some(document),
        };
        streams.list(format, &listing)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} resources, {} batches, {} samples of which {} rates; gaps: ",
            self.resources.len(),
            self.batches,
            self.samples,
            self.rates,
        )?;
        if self.gaps.is_empty() {
            formatter.write_str("none")?;
        }
        for (index, (cause, slots)) in self.gaps.iter().enumerate() {
            let between = if index == 0 { "" } else { ", " };
            write!(formatter, "{between}{slots} {cause}")?;
        }
        write!(formatter, "; duplicates: {}", self.duplicates)?;
        if let [Some(p50), Some(p99)] = self.percentiles([50, 99]) {
            write!(
                formatter,
                "; durable and delivered {p50} ms after the collection (p99 {p99} ms)"
            )?;
        }
        Ok(())
    }
}

/// Nearest-rank percentiles of lags, ms; `None` without one.
pub(super) fn percentiles_of<const N: usize>(
    lags_ms: &VecDeque<i64>,
    percents: [usize; N],
) -> [Option<i64>; N] {
    let mut sorted: Vec<i64> = lags_ms.iter().copied().collect();
    sorted.sort_unstable();
    percents.map(|percent| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    })
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
