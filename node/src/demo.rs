//! `ocelli demo`: a node, simulated switches and this machine, in a minute of anybody's time.
//!
//! Does: start simulator and node in a temporary directory on free ports, show live rates as they
//! become durable, sum up at the end. Does not: leave anything behind.
//! In: [`DemoOptions`]. Out: lines on stdout; with `-o json` one object at the end.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::decoder::Record;
use ocelli_bus::payload::Payload;
use ocelli_bus::{Delivery, Entry, ReadFrom, ReaderOptions};
use ocelli_config::{LoadOptions, Loaded, Source, Sources, load};
use ocelli_model::batch::Batch;
use ocelli_model::clock::{Clock, WallMs};
use serde_json::{Value, json};

use crate::assembly::Node;
use crate::cli::demo::DemoOptions;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Streams};
use crate::clock::RealClock;
use crate::simulate::{SimulateOptions, Simulator};

/// Interfaces of each simulated switch.
const INTERFACES: u32 = 48;
/// Lags kept for the percentiles: an hour of 1,000 pairs at 2 s would be more, and no better.
const LAGS_MAX: usize = 100_000;
/// Slots remembered to count duplicates; beyond it the oldest demo data is not compared.
const SLOTS_MAX: usize = 1_000_000;
/// Without an end by `--for` the demo ends at Ctrl-C, or after this.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Runs the demo to its end.
///
/// # Errors
/// A [`Failure`] if simulator or node do not start, or stdout is gone.
pub fn run(options: &DemoOptions, streams: &mut Streams) -> Result<Exit, Failure> {
    let directory = tempfile::tempdir().map_err(|error| failed(&error))?;
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let simulated = SimulateOptions {
        agents: options.switches,
        port: 0,
        interfaces: INTERFACES,
        site: "demo".to_owned(),
        ..SimulateOptions::default()
    };
    let simulator = Simulator::start(&simulated, Arc::clone(&clock)).map_err(|e| failed(&e))?;
    let resources = directory.path().join("resources.json");
    let written = std::fs::write(&resources, simulator.resources_json(clock.wall()));
    written.map_err(|error| failed(&error))?;
    let loaded = configuration(options, directory.path(), &simulated.community)?;
    let system = actix_rt::System::new();
    let shown = system.block_on(show(options, streams, loaded, directory.path()));
    let stopped = simulator.stop().map_err(|error| failed(&error));
    let summary = shown?;
    stopped?;
    summary.print(options, streams)?;
    Ok(Exit::Done)
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn configuration(
    options: &DemoOptions,
    directory: &Path,
    community: &str,
) -> Result<Loaded, Failure> {
    let every = options.every.as_millis();
    let directory = directory.display();
    let text = format!(
        r#"
[node]
name = "demo"
site = "demo"
data_dir = "{directory}/data"
[listen]
http = "127.0.0.1:0"
[snmp]
packets_per_second = 1000
[[discovery]]
name = "simulated"
kind = "json"
path = "{directory}/resources.json"
[[polling]]
name = "interfaces"
kind = "snmp"
profile = "interfaces"
every = "{every}ms"
[[polling]]
name = "host"
kind = "host"
every = "{every}ms"
[[credentials.snmp]]
name = "demo"
version = "2c"
community = {{ value = "{community}" }}
"#
    );
    let mut sources = Sources::new();
    sources.push(Source::file("demo", text));
    let loaded = load(
        sources,
        LoadOptions {
            hostname: "demo",
            is_strict: true,
        },
    );
    loaded.map_err(|invalid| Failure::new(Exit::Configuration, invalid))
}

// === While it runs ===

async fn show(
    options: &DemoOptions,
    streams: &mut Streams,
    loaded: Loaded,
    directory: &Path,
) -> Result<Summary, Failure> {
    let started = Node::start(loaded, directory.to_owned()).await;
    let node = started.map_err(|error| failed(&error))?;
    let is_quiet = options.output.format == Format::Json;
    if !is_quiet {
        streams.say(format!(
            "API at http://{}; Ctrl-C ends the demo",
            node.address()
        ));
    }
    let clock = RealClock;
    let until = clock
        .monotonic()
        .after(options.duration.unwrap_or(DURATION_MAX));
    let bus = Arc::clone(node.bus());
    let reader = bus.reader(ReaderOptions::from(ReadFrom::Oldest));
    let mut reader = reader.map_err(|error| failed(&error))?;
    let mut summary = Summary::default();
    loop {
        let delivery = tokio::select! {
            delivery = reader.next() => delivery.map_err(|error| failed(&error))?,
            () = clock.sleep_until(until) => break,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Delivery::Entries(entries) = delivery else {
            continue;
        };
        for entry in &entries {
            let line = take(&bus, entry, &mut summary, clock.wall());
            if let Some(line) = line.filter(|_| !is_quiet) {
                streams.print(&line)?;
            }
        }
        streams.flush()?;
    }
    summary.resources = node.resource_count();
    node.drain().await;
    Ok(summary)
}

fn take(
    bus: &ocelli_bus::Bus,
    entry: &Entry,
    summary: &mut Summary,
    now: WallMs,
) -> Option<String> {
    let record = bus.definitions().record(entry);
    let record = record
        .inspect_err(|error| tracing::warn!(%error, "record not shown"))
        .ok()?;
    summary.take(&record, now);
    let Payload::Batch(batch) = &record.payload else {
        return None;
    };
    live_line(&record, batch)
}

/// One line a batch with rates: who, how many, and the largest.
fn live_line(record: &Record, batch: &Batch) -> Option<String> {
    let mut largest: Option<(f64, String)> = None;
    let mut rates = 0;
    for (index, group) in batch.groups.iter().enumerate() {
        let schema = batch.schema.groups.get(index)?;
        for (counter, metric) in schema.counters.iter().enumerate() {
            for row in 0..group.len() {
                let Some(rate) = group.rate(counter, row) else {
                    continue;
                };
                rates += 1;
                if largest.as_ref().is_none_or(|(known, _)| *known < rate) {
                    let table = batch.rows.groups.get(index);
                    let of = table.and_then(|table| table.get(row, 0)).unwrap_or("-");
                    largest = Some((rate, format!("{} {of}", metric.name)));
                }
            }
        }
    }
    let (rate, name) = largest?;
    let resource = record
        .resource
        .as_ref()
        .map_or("-", |resource| resource.id().id());
    let plugin = record.plugin.as_deref().unwrap_or("-");
    Some(format!(
        "{resource:<16} {plugin:<12} {rates:>6} rates; {name}: {rate:.0}/s\n"
    ))
}

// === At the end ===

/// What a demo has seen. Field names of its JSON are stable.
#[derive(Debug, Default)]
struct Summary {
    resources: usize,
    batches: u64,
    samples: u64,
    rates: u64,
    gaps: BTreeMap<&'static str, u64>,
    duplicates: u64,
    lags_ms: Vec<i64>,
    slots: HashSet<(String, String, i64)>,
}

impl Summary {
    fn take(&mut self, record: &Record, now: WallMs) {
        match &record.payload {
            Payload::Batch(batch) => {
                let count = batch.sample_count();
                self.batches += 1;
                self.samples += (count.counters + count.gauges + count.rates) as u64;
                self.rates += count.rates as u64;
                if self.lags_ms.len() < LAGS_MAX {
                    self.lags_ms.push((now.0 - record.time.0).max(0));
                }
                self.note_slot(record);
            }
            Payload::Gap(gap) => {
                *self.gaps.entry(gap.cause.kind.as_str()).or_default() += gap.slots();
            }
            _ => {}
        }
    }

    fn note_slot(&mut self, record: &Record) {
        let resource = record
            .resource
            .as_ref()
            .map(|resource| resource.id().to_string());
        let plugin = record.plugin.as_deref().unwrap_or_default().to_owned();
        let key = (resource.unwrap_or_default(), plugin, record.slot.0);
        if self.slots.len() < SLOTS_MAX && !self.slots.insert(key) {
            self.duplicates += 1;
        }
    }

    fn percentile(&self, percent: usize) -> i64 {
        let mut sorted = self.lags_ms.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or(0)
    }

    fn to_json(&self) -> Value {
        json!({
            "nodes": 1,
            "resources": self.resources,
            "batches": self.batches,
            "samples": self.samples,
            "rates": self.rates,
            "gaps": self.gaps,
            "duplicates": self.duplicates,
            "lag_ms": { "p50": self.percentile(50), "p99": self.percentile(99) },
        })
    }

    fn print(&self, options: &DemoOptions, streams: &mut Streams) -> Result<(), Failure> {
        if options.output.format == Format::Json {
            streams.print(&format!("{}\n", self.to_json()))?;
            return streams.flush();
        }
        let gaps: Vec<String> = self
            .gaps
            .iter()
            .map(|(cause, slots)| format!("{slots} {cause}"))
            .collect();
        let gaps = if gaps.is_empty() {
            "none".to_owned()
        } else {
            gaps.join(", ")
        };
        streams.print(&format!(
            "{} resources, {} batches, {} samples ({} rates); gaps: {gaps}; duplicates: {}; \
             durable {} ms after the collection (p99 {} ms)\n",
            self.resources,
            self.batches,
            self.samples,
            self.rates,
            self.duplicates,
            self.percentile(50),
            self.percentile(99),
        ))?;
        streams.flush()
    }
}
