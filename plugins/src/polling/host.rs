//! This Linux machine: cpu, load, memory, network, diskio, disk, uptime.
//!
//! Does: read /proc, /sys and file systems on the blocking pool, fill rows by the probe catalogue's
//! names. Does not: keep state: shares of CPU time are counters of ticks (1/100 s), whose rate per
//! second is the share in percent. In: a root path. Out: rows of seven groups; a file that cannot
//! be read leaves its group empty and makes the batch partial.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ocelli_model::clock::WallMs;
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::rate::{CounterPlan, GroupRatePlan, RatePlan, SourceChoice};
use ocelli_model::rows::{CounterWidth, GroupRows, Partial, Rows};
use ocelli_model::schema::{DimensionDef, GroupSchema, MetricDef, Schema, SchemaError};

use super::{PollError, PollNotes, PollRun, Polling, Scratch};
use crate::run::PluginFuture;

mod parse;
mod read;

use parse::CPU_STATES;
use read::HostReading;

/// `kind = "host"`.
#[derive(Debug, Clone)]
pub struct HostPolling {
    root: PathBuf,
    schema: Arc<Schema>,
    rates: Arc<RatePlan>,
}

/// Positions of the groups in the schema.
const CPU: usize = 0;
const LOAD: usize = 1;
const MEMORY: usize = 2;
const NETWORK: usize = 3;
const DISKIO: usize = 4;
const DISK: usize = 5;
const UPTIME: usize = 6;

/// (name, unit).
type Metrics = &'static [(&'static str, &'static str)];

/// Groups: name, dimensions (the first is the key), counters, gauges.
const GROUPS: [(&str, &[&str], Metrics, Metrics); 7] = [
    (
        "cpu",
        &["cpu"],
        &[
            ("user", "10.ms"),
            ("system", "10.ms"),
            ("idle", "10.ms"),
            ("iowait", "10.ms"),
            ("steal", "10.ms"),
            ("busy", "10.ms"),
        ],
        &[],
    ),
    (
        "load",
        &[],
        &[],
        &[("load1", ""), ("load5", ""), ("load15", "")],
    ),
    (
        "memory",
        &[],
        &[],
        &[
            ("total", "By"),
            ("available", "By"),
            ("used", "By"),
            ("used_percent", "%"),
            ("swap_total", "By"),
            ("swap_free", "By"),
            ("swap_used", "By"),
        ],
    ),
    (
        "network",
        &["interface"],
        &[
            ("rx_bytes", "By"),
            ("rx_packets", "{packet}"),
            ("rx_errors", "{packet}"),
            ("rx_dropped", "{packet}"),
            ("tx_bytes", "By"),
            ("tx_packets", "{packet}"),
            ("tx_errors", "{packet}"),
            ("tx_dropped", "{packet}"),
        ],
        &[],
    ),
    (
        "diskio",
        &["device"],
        &[
            ("reads", "{read}"),
            ("read_bytes", "By"),
            ("writes", "{write}"),
            ("written_bytes", "By"),
            ("io_time", "ns"),
        ],
        &[],
    ),
    (
        "disk",
        &["mount", "device", "fs_type"],
        &[],
        &[
            ("size", "By"),
            ("free", "By"),
            ("used", "By"),
            ("used_percent", "%"),
            ("inodes_total", "{inode}"),
            ("inodes_free", "{inode}"),
        ],
    ),
    ("uptime", &[], &[], &[("uptime", "ns"), ("boot_time", "ns")]),
];

/// States of /proc/stat that each counter of `cpu` sums: user, nice, system, idle, iowait, irq,
/// softirq, steal.
const CPU_SUMS: [&[u16]; 6] = [&[0, 1], &[2, 5, 6], &[3], &[4], &[7], &[0, 1, 2, 5, 6, 7]];

impl HostPolling {
    /// This machine, in slots of `every_ms`.
    ///
    /// # Errors
    /// Never: the schema is fixed and its rules are tested.
    pub fn new(every_ms: u32) -> Result<Self, SchemaError> {
        Self::with_root(PathBuf::from("/"), every_ms)
    }

    /// The machine whose `proc`, `sys` and mounts lie below `root`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_root(root: PathBuf, every_ms: u32) -> Result<Self, SchemaError> {
        let groups = GROUPS
            .iter()
            .map(|(name, dimensions, counters, gauges)| GroupSchema {
                name: (*name).to_owned(),
                interval_ms: every_ms,
                dimensions: dimensions_of(dimensions),
                counters: metrics_of(counters),
                gauges: metrics_of(gauges),
            });
        let schema = Schema::new(groups.collect())?;
        let rates = schema.groups.iter().map(|group| match group.name.as_str() {
            "cpu" => cpu_rates(),
            _ => GroupRatePlan::identity(group.counters.len(), group.key_len(), 0),
        });
        let rates = RatePlan {
            groups: rates.collect(),
        };
        Ok(Self {
            root,
            schema: Arc::new(schema),
            rates: Arc::new(rates),
        })
    }

    /// The same machine with these attributes on every row.
    ///
    /// # Errors
    /// As [`Schema::with_tags`].
    pub fn with_tags(self, tags: BTreeMap<String, String>) -> Result<Self, SchemaError> {
        let schema = Arc::new(Schema::clone(&self.schema).with_tags(tags)?);
        Ok(Self { schema, ..self })
    }

    async fn run(&self, run: PollRun<'_>, rows: &mut Rows) -> Result<PollNotes, PollError> {
        let root = self.root.clone();
        let read = run.run.blocking.run(move || read::read(&root)).await;
        let reading = read.map_err(|error| PollError {
            cause: GapCause::because(GapKind::PluginError, &error.to_string()),
        })?;
        self.fill(&reading, run.run.clock.wall(), rows);
        let cause = reading
            .unreadable
            .as_ref()
            .map(|file| GapCause::because(GapKind::PluginError, file));
        if rows.row_count() == 0 {
            let cause = cause.unwrap_or_else(|| GapKind::NoData.into());
            return Err(PollError { cause });
        }
        rows.partial = cause.map(|cause| Partial {
            cause,
            reached: String::new(),
        });
        Ok(PollNotes::default())
    }

    fn fill(&self, reading: &HostReading, time: WallMs, rows: &mut Rows) {
        rows.facts = Default::default();
        // /proc/uptime is of the machine: a decrease is a reboot. In ticks of 1/100 s, modulo 2^32.
        let ticks = reading
            .uptime_ns
            .map(|uptime| uptime / 10_000_000 % (1 << 32));
        rows.facts.sys_uptime_ticks = ticks.and_then(|ticks| u32::try_from(ticks).ok());
        rows.partial = None;
        rows.groups.resize_with(GROUPS.len(), GroupRows::default);
        for ((group, schema), plan) in rows
            .groups
            .iter_mut()
            .zip(&self.schema.groups)
            .zip(&self.rates.groups)
        {
            *group = empty_rows(schema, plan.sources);
        }
        fill_counted(reading, time, &mut rows.groups);
        fill_gauges(reading, time, &mut rows.groups);
    }
}

impl Polling for HostPolling {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn rate_plan(&self) -> &Arc<RatePlan> {
        &self.rates
    }

    fn namespaces(&self) -> &[String] {
        &[]
    }

    fn needs_snmp(&self) -> bool {
        false
    }

    fn poll<'run>(
        &'run self,
        run: PollRun<'run>,
        rows: &'run mut Rows,
        _: &'run mut Scratch,
    ) -> PluginFuture<'run, Result<PollNotes, PollError>> {
        Box::pin(self.run(run, rows))
    }
}

// === Schema ===

fn dimensions_of(names: &[&str]) -> Vec<DimensionDef> {
    let defs = names.iter().enumerate().map(|(at, name)| DimensionDef {
        name: (*name).to_owned(),
        is_key: at == 0,
    });
    defs.collect()
}

fn metrics_of(metrics: Metrics) -> Vec<MetricDef> {
    let defs = metrics.iter().map(|(name, unit)| MetricDef {
        name: (*name).to_owned(),
        unit: (*unit).to_owned(),
    });
    defs.collect()
}

fn cpu_rates() -> GroupRatePlan {
    let choices = (0..).take(CPU_STATES).map(|source| SourceChoice {
        sources: vec![source],
        bits_per_unit: 0,
    });
    let sums = CPU_SUMS.iter().map(|states| CounterPlan {
        terms: states.iter().map(|state| (1, *state)).collect(),
    });
    GroupRatePlan {
        every_nth: 1,
        sources: CPU_STATES,
        key_columns: 1,
        choices: choices.collect(),
        counters: sums.collect(),
    }
}

// === Rows ===

fn empty_rows(schema: &GroupSchema, sources: usize) -> GroupRows {
    let mut rows = GroupRows::default();
    rows.dimensions.reset(schema.dimensions.len());
    rows.sources.resize_with(sources, Default::default);
    for source in &mut rows.sources {
        source.width = CounterWidth::Bits64;
    }
    rows.gauges
        .resize_with(schema.gauges.len(), Default::default);
    rows
}

fn push_counters(rows: &mut GroupRows, time: WallMs, name: &str, counters: &[u64]) {
    rows.time.push(time);
    rows.dimensions.push(name);
    for (column, counter) in rows.sources.iter_mut().zip(counters) {
        column.push(Some(*counter));
    }
}

fn fill_counted(reading: &HostReading, time: WallMs, groups: &mut [GroupRows]) {
    for cpu in &reading.cpus {
        push_counters(&mut groups[CPU], time, &cpu.name, &cpu.ticks);
    }
    for (line, speed_bps) in &reading.network {
        push_counters(&mut groups[NETWORK], time, &line.interface, &line.counters);
        groups[NETWORK].speed_bps.push(*speed_bps);
    }
    for disk in &reading.disks {
        push_counters(&mut groups[DISKIO], time, &disk.device, &disk.counters);
    }
}

fn push_gauges(rows: &mut GroupRows, time: WallMs, gauges: &[Option<f64>]) {
    rows.time.push(time);
    for (column, gauge) in rows.gauges.iter_mut().zip(gauges) {
        match gauge {
            Some(gauge) => column.push_float(*gauge),
            None => column.push_absent(),
        }
    }
}

/// Whole numbers stay whole: nanoseconds since 1970 are beyond an `f64`'s 53 bits.
fn push_whole(rows: &mut GroupRows, at: usize, value: Option<u64>) {
    let Some(column) = rows.gauges.get_mut(at) else {
        return;
    };
    match value.and_then(|value| i64::try_from(value).ok()) {
        Some(value) => column.push_int(value),
        None => column.push_absent(),
    }
}

fn percent(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    let whole = whole.filter(|whole| *whole > 0)?;
    Some(part? as f64 * 100.0 / whole as f64)
}

fn push_row(
    rows: &mut GroupRows,
    time: WallMs,
    whole: &[(usize, Option<u64>)],
    share: (usize, Option<f64>),
) {
    rows.time.push(time);
    for (at, value) in whole {
        push_whole(rows, *at, *value);
    }
    if let Some(column) = rows.gauges.get_mut(share.0) {
        match share.1 {
            Some(share) => column.push_float(share),
            None => column.push_absent(),
        }
    }
}

fn fill_gauges(reading: &HostReading, time: WallMs, groups: &mut [GroupRows]) {
    if let Some(loads) = reading.loads {
        push_gauges(&mut groups[LOAD], time, &loads.map(Some));
    }
    let memory = reading.memory;
    if memory.total.is_some() {
        let used = memory.total.zip(memory.available);
        let used = used.map(|(total, available)| total.saturating_sub(available));
        let swap = memory.swap_total.zip(memory.swap_free);
        let swap_used = swap.map(|(total, free)| total.saturating_sub(free));
        let whole = [
            (0, memory.total),
            (1, memory.available),
            (2, used),
            (4, memory.swap_total),
            (5, memory.swap_free),
            (6, swap_used),
        ];
        push_row(
            &mut groups[MEMORY],
            time,
            &whole,
            (3, percent(used, memory.total)),
        );
    }
    for (mount, space) in &reading.mounts {
        let used = space.size.saturating_sub(space.free);
        let whole = [
            (0, Some(space.size)),
            (1, Some(space.available)),
            (2, Some(used)),
            (4, Some(space.inodes_total)),
            (5, Some(space.inodes_free)),
        ];
        // As df(1): of what those who are not root can use.
        let usable = used.checked_add(space.available);
        let rows = &mut groups[DISK];
        push_row(rows, time, &whole, (3, percent(Some(used), usable)));
        for text in [&mount.path, &mount.device, &mount.kind] {
            rows.dimensions.push(text);
        }
    }
    if reading.uptime_ns.is_some() || reading.boot_s.is_some() {
        let boot_ns = reading
            .boot_s
            .and_then(|boot| boot.checked_mul(1_000_000_000));
        groups[UPTIME].time.push(time);
        push_whole(&mut groups[UPTIME], 0, reading.uptime_ns);
        push_whole(&mut groups[UPTIME], 1, boot_ns);
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
