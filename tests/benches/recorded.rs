//! How many bytes does a sample of a real device take? (Design §13: at most 3.2 B in batches and
//! 3.6 B with definitions, on real recordings too.)
//!
//! Does: poll Panoptes' interface recordings with the `interfaces` profile once a minute for an
//! hour, judge, encode, and count the octets of bodies and of sealed blocks (one batch each: the
//! worst case). Does not: sockets, disks. In: `../shared/data/panoptes`. Out: lines for people.
//! A recording stands still, so its counters are moved: each goes on at the mean pace that gives
//! its recorded value after [`UP_FOR_S`] of uptime, times a factor of 0.5 to 1.5 drawn anew for
//! each counter and minute; what stands at 0 stays there. Speeds, states and names stand.
//! Replies come within [`REPLY_JITTER_MS`]. `cargo bench -p ocelli-tests --bench recorded`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use ocelli_bus::body::BatchEncoder;
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::Encoder;
use ocelli_model::batch::{Batch, GroupValues, RowSet};
use ocelli_model::clock::{Clock, Monotonic, Sleep, WallMs};
use ocelli_model::enrichment::EnrichmentGroup;
use ocelli_model::oid::Oid;
use ocelli_model::rate::RateState;
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::rows::Rows;
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_plugins::enrichment::snmp::SnmpEnrichment;
use ocelli_plugins::enrichment::{EnrichRun, Enrichment};
use ocelli_plugins::polling::snmp::SnmpPolling;
use ocelli_plugins::polling::{PollRun, Polling, Scratch};
use ocelli_plugins::profiles::ProfileLibrary;
use ocelli_plugins::run::{BlockingPool, PluginFuture, Run};
use ocelli_plugins::snmp_access::{Answer, Request, SnmpAccess};
use ocelli_plugins::table_sink::TableSink;
use ocelli_snmp::value::Value;
use ocelli_tests::harness::shared_data;

const RECORDINGS: [&str; 5] = [
    "enrichment-interface/juniper-mx",
    "enrichment-interface/juniper-qfx5200",
    "enrichment-interface/generic",
    "enrichment-interface/cisco",
    "polling/interface",
];
/// A plain uptime of a switch: thirty days.
const UP_FOR_S: u64 = 30 * 86_400;
const MINUTES: u64 = 60;
const MINUTE_MS: u32 = 60_000;
/// A walk of a small device over a local network takes this long, milliseconds.
const REPLY_JITTER_MS: u64 = 40;
/// When the hour begins, Unix milliseconds.
const BEGIN_MS: i64 = 1_700_000_040_000;

fn main() {
    let Some(data) = shared_data() else {
        return;
    };
    println!("recording: rows, samples; B a sample in bodies, in blocks, with definitions of 1 h");
    let mut all = Size::default();
    for name in RECORDINGS {
        let file = data.join("panoptes").join(name).join("recording.snmprec");
        let size = measure(&file);
        print(name, &size);
        all.add(&size);
    }
    print("all", &all);
}

#[derive(Debug, Default)]
struct Size {
    rows: usize,
    samples: usize,
    bodies: usize,
    blocks: usize,
    definitions: usize,
}

impl Size {
    fn add(&mut self, other: &Size) {
        self.rows += other.rows;
        self.samples += other.samples;
        self.bodies += other.bodies;
        self.blocks += other.blocks;
        self.definitions += other.definitions;
    }
}

fn print(name: &str, size: &Size) {
    let per_sample = |octets: usize| octets as f64 / size.samples.max(1) as f64;
    println!(
        "{name}: {} rows, {} samples; {:.2}, {:.2}, {:.2}",
        size.rows,
        size.samples,
        per_sample(size.bodies),
        per_sample(size.blocks),
        per_sample(size.blocks + size.definitions),
    );
}

/// An hour of one device.
fn measure(file: &Path) -> Size {
    let device = Device::read(file);
    let profile = ProfileLibrary::built_in().load("interfaces", MINUTE_MS);
    let plugin = SnmpPolling::new(profile.expect("the built-in profile is good"), Vec::new());
    let resource = resource();
    let facts = device.enrich(&resource);
    let (mut rate, mut encoder, mut bodies) = (
        RateState::default(),
        Encoder::default(),
        BatchEncoder::default(),
    );
    encoder.add_ids(1..1_000_000);
    let (mut cache, name): (PairCache, Arc<str>) = (PairCache::default(), "interfaces".into());
    let mut size = Size::default();
    for minute in 0..MINUTES {
        device.minute.set(minute);
        let mut rows = device.poll(&plugin, &resource, &facts);
        let batch = batch(&plugin, &mut rows, &mut rate, minute);
        let count = batch.sample_count();
        size.rows = batch.groups.iter().map(|group| group.len()).sum();
        size.samples += count.counters + count.gauges + count.rates;
        let mut body = Vec::new();
        bodies
            .encode(&batch, &mut body)
            .expect("the batch fits its schema");
        size.bodies += body.len();
        let pushed = encoder.push_batch(&mut cache, &resource, &name, &batch);
        pushed.expect("one batch fits a block");
        let sealed = encoder.seal();
        size.blocks += sealed.data.map_or(0, |block| block.len());
        let definitions = sealed.definitions.iter().map(|block| block.len());
        size.definitions += definitions.sum::<usize>();
    }
    size
}

fn batch(plugin: &SnmpPolling, rows: &mut Rows, rate: &mut RateState, minute: u64) -> Batch {
    let mut groups: Vec<GroupValues> = Vec::new();
    rate.advance(plugin.rate_plan(), rows, MINUTE_MS, &mut groups);
    let dimensions = rows.groups.iter().map(|group| group.dimensions.clone());
    let slot = BEGIN_MS + i64::from(MINUTE_MS) * i64::try_from(minute).unwrap_or(0);
    Batch {
        slot: SlotMs(slot),
        interval_ms: MINUTE_MS,
        epoch: Epoch {
            generation: 1,
            index: 1,
        },
        time: WallMs(slot + 45),
        partial: None,
        schema: Arc::clone(plugin.schema()),
        rows: Arc::new(RowSet {
            groups: dimensions.collect(),
        }),
        groups,
    }
}

fn resource() -> Arc<Resource> {
    let fields = ResourceFields {
        identity: ["dc1", "network", "switch", "juniper", "sw1.example.com"].map(str::to_owned),
        endpoint: "sw1.example.com".to_owned(),
        metadata: BTreeMap::from([("model".to_owned(), "MX480".to_owned())]),
        plugin: "cmdb".to_owned(),
        ..ResourceFields::default()
    };
    Arc::new(Resource::new(fields).expect("a plain resource"))
}

// === The device: a recording whose counters move ===

#[derive(Debug)]
enum Recorded {
    Integer(i32),
    Octets(Vec<u8>),
    Counter32(u32),
    Gauge32(u32),
    Ticks(u32),
    Counter64(u64),
}

struct Device {
    variables: BTreeMap<Oid, Recorded>,
    minute: Cell<u64>,
}

impl Device {
    fn read(file: &Path) -> Self {
        let octets = std::fs::read(file).expect("the recording is readable");
        let text = String::from_utf8_lossy(&octets);
        let variables = text.lines().filter_map(variable).collect();
        Self {
            variables,
            minute: Cell::new(0),
        }
    }

    /// The value of this minute.
    fn value<'a>(&self, oid: &Oid, recorded: &'a Recorded) -> Value<'a> {
        match recorded {
            Recorded::Integer(value) => Value::Integer(*value),
            Recorded::Octets(octets) => Value::OctetString(octets),
            Recorded::Gauge32(value) => Value::Gauge32(*value),
            Recorded::Ticks(value) => {
                let passed = u32::try_from(self.minute.get() * 6_000).unwrap_or(0);
                Value::TimeTicks(value.wrapping_add(passed))
            }
            Recorded::Counter64(value) => Value::Counter64(self.moved(oid, *value)),
            #[expect(clippy::cast_possible_truncation, reason = "32-bit counters wrap")]
            Recorded::Counter32(value) => {
                Value::Counter32(self.moved(oid, u64::from(*value)) as u32)
            }
        }
    }

    /// Where a counter that took [`UP_FOR_S`] to come to `value` stands now.
    fn moved(&self, oid: &Oid, value: u64) -> u64 {
        let a_minute = u128::from(value) * 60 / u128::from(UP_FOR_S);
        let moved: u128 = (0..self.minute.get())
            .map(|minute| a_minute * u128::from(500 + draw(oid, minute, 1_001)) / 1_000)
            .sum();
        value.wrapping_add(u64::try_from(moved).unwrap_or(u64::MAX))
    }

    fn enrich(&self, resource: &Resource) -> Vec<Arc<EnrichmentGroup>> {
        let blocking = BlockingPool::default();
        let run = EnrichRun {
            run: run_with(&blocking),
            resource,
            snmp: Some(self),
        };
        let groups = block_on(SnmpEnrichment::new(300).enrich(run, &mut Scratch::default()));
        groups
            .unwrap_or_default()
            .into_iter()
            .map(Arc::new)
            .collect()
    }

    fn poll(
        &self,
        plugin: &SnmpPolling,
        resource: &Resource,
        facts: &[Arc<EnrichmentGroup>],
    ) -> Rows {
        let blocking = BlockingPool::default();
        let run = PollRun {
            run: run_with(&blocking),
            resource,
            slot_number: self.minute.get(),
            snmp: Some(self),
            facts,
        };
        let (mut rows, mut scratch) = (Rows::default(), Scratch::default());
        let polled = block_on(plugin.poll(run, &mut rows, &mut scratch));
        polled.expect("the recording has interfaces");
        rows
    }

    /// When the reply with this row came: rows come by the handful.
    fn time_of(&self, index: &[u32]) -> WallMs {
        let minute = self.minute.get();
        let packet = index.last().copied().unwrap_or(0) / 5;
        let late = draw(&packet, minute, REPLY_JITTER_MS);
        let since = minute * u64::from(MINUTE_MS) + late;
        WallMs(BEGIN_MS + i64::try_from(since).unwrap_or(0))
    }
}

impl SnmpAccess for Device {
    fn ask<'run>(
        &'run self,
        request: &'run Request,
        _: Monotonic,
        mut sink: TableSink,
    ) -> PluginFuture<'run, Answer> {
        Box::pin(async move {
            for (position, asked) in request.oids().iter().enumerate() {
                if !request.is_walk() {
                    let found = self.variables.get(asked);
                    let value =
                        found.map_or(Value::NoSuchInstance, |found| self.value(asked, found));
                    sink.put(position, &[], value, self.time_of(&[]));
                    continue;
                }
                for (oid, recorded) in self.variables.range(asked.clone()..) {
                    let Some(index) = oid.index_under(asked) else {
                        break;
                    };
                    sink.put(
                        position,
                        index,
                        self.value(oid, recorded),
                        self.time_of(index),
                    );
                }
            }
            (sink, None)
        })
    }

    fn engine(&self) -> Option<(u32, u32)> {
        None
    }
}

/// A variable of a line; kinds that the interface tables do not have are left out.
fn variable(line: &str) -> Option<(Oid, Recorded)> {
    let mut parts = line.splitn(3, '|');
    let (oid, tag, value) = (parts.next()?, parts.next()?, parts.next()?);
    let recorded = match tag {
        "2" => Recorded::Integer(value.parse().ok()?),
        "4" => Recorded::Octets(value.as_bytes().to_vec()),
        "4x" => Recorded::Octets(from_hex(value)?),
        "65" => Recorded::Counter32(value.parse().ok()?),
        "66" => Recorded::Gauge32(value.parse().ok()?),
        "67" => Recorded::Ticks(value.parse().ok()?),
        "70" => Recorded::Counter64(value.parse().ok()?),
        _ => return None,
    };
    Some((oid.parse().ok()?, recorded))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(octet).collect()
}

/// 0 to `below` − 1, the same at each run of the bench.
fn draw(of: &impl Hash, minute: u64, below: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    minute.hash(&mut hasher);
    hasher.finish() % below
}

// === What a run needs beside the device ===

struct StoppedClock;

impl Clock for StoppedClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(1)
    }

    fn wall(&self) -> WallMs {
        WallMs(BEGIN_MS)
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::pending())
    }
}

fn run_with(blocking: &BlockingPool) -> Run<'_> {
    Run {
        clock: &StoppedClock,
        deadline: Monotonic(u64::MAX),
        blocking,
    }
}

/// Nothing here waits: the first poll ends it.
fn block_on<T>(future: PluginFuture<'_, T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without drivers").block_on(future)
}
