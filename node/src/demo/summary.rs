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
use ocelli_bus::record::StreamId;
use ocelli_bus::{SeqRange, SeqRanges};
use ocelli_model::clock::WallMs;
use ocelli_model::resource::ResourceId;
use serde_json::{Value, json};

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
    resources: HashSet<ResourceId>,
    batches: u64,
    samples: u64,
    rates: u64,
    /// Slots by cause.
    gaps: BTreeMap<&'static str, u64>,
    duplicates: u64,
    seen: HashMap<StreamId, SeqRanges>,
    lags_ms: VecDeque<i64>,
    first_rate: Option<Duration>,
}

impl Summary {
    /// Counts a record that arrived at `at`, `since_start` after the demo began.
    pub(super) fn take(&mut self, record: &Record, at: WallMs, since_start: Duration) {
        let seen = self.seen.entry(record.stream).or_default();
        if seen.contains(record.seq) {
            self.duplicates += 1;
            return;
        }
        seen.insert(SeqRange {
            first: record.seq,
            last: record.seq,
        });
        match &record.payload {
            Payload::Batch(batch) => {
                let count = batch.sample_count();
                self.batches += 1;
                self.samples += (count.counters + count.gauges + count.rates) as u64;
                self.rates += count.rates as u64;
                if count.rates > 0 {
                    self.first_rate.get_or_insert(since_start);
                }
                self.resources
                    .extend(record.resource.as_ref().map(|of| of.id().clone()));
                self.note_lag((at.0 - record.time.0).max(0));
            }
            Payload::Gap(gap) => {
                *self.gaps.entry(gap.cause.kind.as_str()).or_default() += gap.slots();
            }
            _ => {}
        }
    }

    fn note_lag(&mut self, lag_ms: i64) {
        if self.lags_ms.len() == LAGS_MAX {
            self.lags_ms.pop_front();
        }
        self.lags_ms.push_back(lag_ms);
    }

    /// Nearest-rank percentiles of the lags, ms; `None` without a batch.
    fn percentiles<const N: usize>(&self, percents: [usize; N]) -> [Option<i64>; N] {
        let mut sorted: Vec<i64> = self.lags_ms.iter().copied().collect();
        sorted.sort_unstable();
        percents.map(|percent| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied()
        })
    }

    fn to_json(&self) -> Value {
        let [p50, p99] = self.percentiles([50, 99]);
        let first_rate = self.first_rate;
        let first_rate_ms = first_rate.and_then(|after| u64::try_from(after.as_millis()).ok());
        json!({
            "nodes": 1,
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
        let document = self.to_json();
        let listing = Listing {
            columns: COLUMNS,
            items: std::slice::from_ref(&document),
            document: Some(&document),
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

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
