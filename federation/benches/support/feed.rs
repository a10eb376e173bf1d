//! Generated batches, encoded as an arbiter does and appended at a stated pace.
//!
//! Does: interface batches of switches (48 ports × 22 metrics), or batches of 8 samples of many
//! small devices; a block each 5 ms. Does not: poll. In: a bus. Out: sealed blocks, appended.
//! A sample is a counter or a gauge; rates come free of charge.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ocelli_bus::block::SealedBlock;
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::Encoder;
use ocelli_bus::record::Lane;
use ocelli_bus::{Acknowledgement, Bus};
use ocelli_model::batch::{Batch, CounterColumn, GroupValues, RowSet, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{DimensionTable, GaugeColumn};
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::schema::{GroupSchema, MetricDef, Schema};
use ocelli_model::unix_seconds::UnixSeconds;

use super::switches::{Mix, switch_batch_of};

/// Counters and gauges of an interface batch.
pub(crate) const INTERFACE_SAMPLES: usize = 48 * 22;
/// Counters and gauges of a small batch.
pub(crate) const SMALL_SAMPLES: usize = 8;
/// How often an arbiter seals.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// Distinct interface batches, and devices that send small ones.
const DISTINCT: [usize; 2] = [32, 2_048];

/// Which batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 48 ports × 22 metrics.
    Interfaces,
    /// Four counters and four gauges of a device.
    Small,
}

impl Kind {
    pub(crate) fn samples(self) -> usize {
        match self {
            Self::Interfaces => INTERFACE_SAMPLES,
            Self::Small => SMALL_SAMPLES,
        }
    }

    pub(crate) fn batches(self) -> Vec<Batch> {
        match self {
            Self::Interfaces => (0..DISTINCT[0] as u64).map(switch).collect(),
            Self::Small => (0..DISTINCT[1] as u64).map(small).collect(),
        }
    }
}

/// Every other switch is an office's.
fn switch(number: u64) -> Batch {
    let mix = if number.is_multiple_of(2) {
        Mix::Busy
    } else {
        Mix::Office
    };
    switch_batch_of(48, mix, number)
}

fn small(number: u64) -> Batch {
    let like = switch_batch_of(1, Mix::Busy, number);
    let metric = |name: &str| MetricDef {
        name: name.into(),
        unit: String::new(),
    };
    let group = GroupSchema {
        name: "device".into(),
        interval_ms: like.interval_ms,
        dimensions: Vec::new(),
        counters: ["in", "out", "errors", "restarts"].map(metric).to_vec(),
        gauges: ["load", "memory", "temperature", "state"]
            .map(metric)
            .to_vec(),
    };
    let mut values = GroupValues {
        time: vec![WallMs(like.slot.0 + 200)],
        dt_ms: vec![like.interval_ms],
        counters: vec![CounterColumn::default(); 4],
        gauges: vec![GaugeColumn::default(); 4],
    };
    for (at, column) in values.counters.iter_mut().enumerate() {
        let delta = number * 977 % 60_000 * (at as u64 + 1);
        column.push(number * 1_000_003 + delta, delta, Verdict::Rate);
    }
    for (at, column) in values.gauges.iter_mut().enumerate() {
        column.push_int(i64::try_from(number * 31 % 97).unwrap() + at as i64);
    }
    Batch {
        schema: Arc::new(Schema::new(vec![group]).unwrap()),
        rows: Arc::new(RowSet {
            groups: vec![DimensionTable::new(0)],
        }),
        groups: vec![values],
        ..like
    }
}

/// A device of a site.
pub(crate) fn device(site: &str, number: usize) -> Arc<Resource> {
    let name = format!("sw{number}");
    let fields = ResourceFields {
        identity: [site, "network", "switch", "generic", &name].map(str::to_owned),
        endpoint: "10.0.0.1".to_owned(),
        metadata: [("_resource_ttl".to_owned(), "900".to_owned())].into(),
        created: UnixSeconds::new(0.0).unwrap(),
        plugin: "bench".to_owned(),
    };
    Arc::new(Resource::new(fields).unwrap())
}

/// Appends batches of a kind to the bus of a site.
pub(crate) struct Feed {
    encoder: Encoder,
    devices: Vec<(Arc<Resource>, PairCache, Batch)>,
    plugin: Arc<str>,
    next: usize,
}

impl Feed {
    pub(crate) fn new(bus: &Bus, site: &str, kind: Kind) -> Self {
        Self::of(bus, site, kind.batches())
    }

    /// A feed of these batches by turns, each of a device of its own.
    pub(crate) fn of(bus: &Bus, site: &str, batches: Vec<Batch>) -> Self {
        let mut encoder = Encoder::default();
        encoder.add_ids(bus.handle().reserve_ids(1 << 18).unwrap());
        let devices = batches.into_iter().enumerate();
        let devices = devices.map(|(number, batch)| {
            let resource = device(site, number);
            (resource, PairCache::default(), batch)
        });
        Self {
            encoder,
            devices: devices.collect(),
            plugin: "bench".into(),
            next: 0,
        }
    }

    /// A block of `count` batches, its definitions first.
    fn seal(&mut self, count: usize) -> (Vec<SealedBlock>, Option<SealedBlock>) {
        for _ in 0..count {
            let at = self.next % self.devices.len();
            self.next += 1;
            let (resource, cache, batch) = &mut self.devices[at];
            let encoder = &mut self.encoder;
            let pushed = encoder.push_batch(cache, resource, &self.plugin, batch);
            pushed.unwrap();
        }
        let sealed = self.encoder.seal();
        (sealed.definitions, sealed.data)
    }

    /// Appends a block of `count` batches; answers when it is durable, if it is waited for.
    pub(crate) async fn append(&mut self, bus: &Bus, count: usize) -> Acknowledgement {
        let (definitions, data) = self.seal(count);
        for block in definitions {
            bus.handle().submit(Lane::Definitions, block).await.unwrap();
        }
        let submitted = bus.handle().submit(Lane::Data, data.unwrap()).await;
        submitted.unwrap()
    }

    /// Appends `batches_per_second` for a while, a block a tick. Late ticks are made up for, so
    /// the mean holds. The batches that were appended.
    pub(crate) async fn run(&mut self, bus: &Bus, batches_per_second: f64, time: Duration) -> u64 {
        let began = Instant::now();
        let mut appended = 0;
        while began.elapsed() < time {
            let due = began.elapsed().as_secs_f64() * batches_per_second;
            // A block holds 256 KiB; a feed that is far behind fills several.
            let count = (due as u64).saturating_sub(appended).min(1_250);
            if count > 0 {
                drop(self.append(bus, count as usize).await);
                appended += count;
            }
            tokio::time::sleep(TICK).await;
        }
        appended
    }
}
