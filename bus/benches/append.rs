//! Does the writer add little to what the disk costs: may one thread carry 10,000 switches?
//!
//! Does: append blocks of generated switches (48 ports × 22 metrics) durably and print (1) M
//! samples per CPU-second, encoding included, beside a bare write + fdatasync of the same bytes;
//! (2) commit latency at ≤ 20 MB/s beside a bare fdatasync of the same sizes; (3) the tail of it
//! with segment rolls inside. Bare and bus run by turns in one process on one file system.
//! Does not: read. In: nothing. Out: lines for people. A sample is a counter, gauge or rate read.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads real clocks, and paces itself"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ocelli_bus::block::SealedBlock;
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::Encoder;
use ocelli_bus::record::Lane;
use ocelli_bus::{Bus, BusOptions, SEGMENT_BYTES};
use ocelli_model::batch::Batch;
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::unix_seconds::UnixSeconds;
use rustix::time::ClockId;
use support::{FixedRng, RealClock};
use switches::{Mix, switch_batch_of};

mod support;
#[path = "../tests/support/switches.rs"]
mod switches;

/// Ports of a switch.
const PORTS: usize = 48;
/// Distinct batches.
const BATCHES: u64 = 32;
/// Bytes of each throughput round.
const ROUND_BYTES: usize = 96 * 1024 * 1024;
const ROUNDS: usize = 3;
/// Commits of each latency round.
const COMMITS: usize = 1_500;
/// Bytes of a paced commit, and its period: 16 MB/s.
const COMMIT_BYTES: usize = 128 * 1024;
const COMMIT_PERIOD: Duration = Duration::from_millis(8);

fn cpu() -> Duration {
    support::cpu(ClockId::ProcessCPUTime)
}

fn samples_of(batch: &Batch) -> u64 {
    let of_group = |group: &ocelli_model::batch::GroupValues| {
        // A counter is read twice: value and rate.
        group.len() * (2 * group.counters.len() + group.gauges.len())
    };
    batch.groups.iter().map(of_group).sum::<usize>() as u64
}

/// Every other switch is an office's.
fn mix_of(seed: u64) -> Mix {
    if seed.is_multiple_of(2) {
        Mix::Busy
    } else {
        Mix::Office
    }
}

/// An arbiter: encodes blocks of switches.
struct Arbiter {
    encoder: Encoder,
    caches: Vec<PairCache>,
    resource: Arc<Resource>,
    plugin: Arc<str>,
    batches: Vec<Batch>,
    next: usize,
}

impl Arbiter {
    fn new(bus: &Bus) -> Self {
        let fields = ResourceFields {
            identity: ["dc1", "network", "switch", "generic", "sw1"].map(str::to_owned),
            endpoint: "10.0.0.1".to_owned(),
            metadata: [("_resource_ttl".to_owned(), "900".to_owned())].into(),
            created: UnixSeconds::new(0.0).unwrap(),
            plugin: "bench".to_owned(),
        };
        let mut encoder = Encoder::default();
        encoder.add_ids(bus.handle().reserve_ids(1 << 20).unwrap());
        let batches: Vec<_> = (0..BATCHES)
            .map(|seed| switch_batch_of(PORTS, mix_of(seed), seed))
            .collect();
        Self {
            encoder,
            caches: vec![PairCache::default(); batches.len()],
            resource: Arc::new(Resource::new(fields).unwrap()),
            plugin: "interfaces".into(),
            batches,
            next: 0,
        }
    }

    /// A block of about `bytes`, its definitions first, and its samples.
    fn block(&mut self, bytes: usize) -> (Vec<SealedBlock>, SealedBlock, u64) {
        let (mut samples, mut held) = (0, 0);
        while held < bytes && !self.encoder.is_due() {
            let index = self.next % self.batches.len();
            self.next += 1;
            let batch = &self.batches[index];
            let cache = &mut self.caches[index];
            self.encoder
                .push_batch(cache, &self.resource, &self.plugin, batch)
                .unwrap();
            samples += samples_of(batch);
            // About 2.6 B a sample.
            held += usize::try_from(samples_of(batch)).unwrap() * 26 / 10;
        }
        let sealed = self.encoder.seal();
        (sealed.definitions, sealed.data.unwrap(), samples)
    }
}

fn open(root: &Path) -> Bus {
    let options = BusOptions {
        bytes_max: 8 << 30,
        ..BusOptions::default()
    };
    let clock = Arc::new(RealClock::new());
    Bus::open(root, options, clock, Box::new(FixedRng(1)))
        .unwrap()
        .0
}

/// Durable appends as fast as they go; answers (CPU-seconds, wall seconds, samples, bytes).
async fn throughput(bus: &Bus, arbiter: &mut Arbiter) -> (f64, f64, u64, usize) {
    let handle = bus.handle();
    let (start_cpu, start) = (cpu(), Instant::now());
    let (mut samples, mut bytes) = (0, 0);
    let mut last = None;
    while bytes < ROUND_BYTES {
        let (definitions, block, count) = arbiter.block(256 * 1024);
        for block in definitions {
            handle.submit(Lane::Definitions, block).await.unwrap();
        }
        samples += count;
        bytes += block.len();
        last = Some(handle.submit(Lane::Data, block).await.unwrap());
    }
    last.unwrap().await.unwrap();
    let took = cpu() - start_cpu;
    (
        took.as_secs_f64(),
        start.elapsed().as_secs_f64(),
        samples,
        bytes,
    )
}

/// The same bytes by a bare write and fdatasync of 256 KiB each.
fn bare_throughput(root: &Path, bytes: usize) -> (f64, f64) {
    let file = bare_file(root);
    let piece = vec![0xA5u8; 256 * 1024];
    let (start_cpu, start) = (cpu(), Instant::now());
    let mut at = 0;
    while at < bytes {
        file.write_all_at(&piece, at as u64).unwrap();
        file.sync_data().unwrap();
        at += piece.len();
    }
    (
        (cpu() - start_cpu).as_secs_f64(),
        start.elapsed().as_secs_f64(),
    )
}

fn bare_file(root: &Path) -> File {
    let path = root.join("bare");
    let file = File::create(path).unwrap();
    let all = rustix::fs::FallocateFlags::empty();
    rustix::fs::fallocate(&file, all, 0, 4 * SEGMENT_BYTES).unwrap();
    file
}

/// Latency of paced commits through the bus, submission to acknowledgement.
async fn paced(bus: &Bus, arbiter: &mut Arbiter) -> Vec<Duration> {
    let handle = bus.handle();
    let start = Instant::now();
    let mut took = Vec::with_capacity(COMMITS);
    for number in 0..COMMITS {
        let (definitions, block, _) = arbiter.block(COMMIT_BYTES);
        wait_until(start + COMMIT_PERIOD * u32::try_from(number).unwrap());
        for block in definitions {
            handle.submit(Lane::Definitions, block).await.unwrap();
        }
        let before = Instant::now();
        handle
            .submit(Lane::Data, block)
            .await
            .unwrap()
            .await
            .unwrap();
        took.push(before.elapsed());
    }
    took
}

/// Latency of a bare write and fdatasync, paced alike.
fn bare_paced(root: &Path) -> Vec<Duration> {
    let file = bare_file(root);
    let piece = vec![0xA5u8; COMMIT_BYTES];
    let start = Instant::now();
    let mut took = Vec::with_capacity(COMMITS);
    for number in 0..COMMITS {
        wait_until(start + COMMIT_PERIOD * u32::try_from(number).unwrap());
        let before = Instant::now();
        file.write_all_at(&piece, (number * COMMIT_BYTES) as u64)
            .unwrap();
        file.sync_data().unwrap();
        took.push(before.elapsed());
    }
    took
}

fn wait_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

fn percentile(took: &mut [Duration], per_mille: usize) -> f64 {
    took.sort_unstable();
    let index = took.len() * per_mille / 1_000;
    took[index.min(took.len() - 1)].as_secs_f64() * 1_000.0
}

fn print_latency(name: &str, took: &mut [Duration]) {
    println!(
        "{name}: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms over {} commits",
        percentile(took, 500),
        percentile(took, 990),
        percentile(took, 999),
        percentile(took, 1_000),
        took.len()
    );
}

fn main() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let bus = open(root.path());
    let mut arbiter = Arbiter::new(&bus);
    for round in 0..ROUNDS {
        let (used, wall, samples, bytes) = runtime.block_on(throughput(&bus, &mut arbiter));
        let (bare_used, bare_wall) = bare_throughput(root.path(), bytes);
        let rate = samples as f64 / used / 1e6;
        println!(
            "append round {round}: {rate:.1} M samples/CPU-s, {:.2} B/sample, {:.0} MB/s; \
             CPU {:.2} \
             of bare write+fdatasync ({:.0} MB/s), bus {used:.3} s, bare {bare_used:.3} s",
            bytes as f64 / samples as f64,
            bytes as f64 / wall / 1e6,
            used / bare_used,
            bytes as f64 / bare_wall / 1e6,
        );
    }
    let before = bus.statistics().segments_opened;
    for round in 0..2 {
        print_latency(
            &format!("bare commit, round {round}"),
            &mut bare_paced(root.path()),
        );
        let mut took = runtime.block_on(paced(&bus, &mut arbiter));
        print_latency(&format!("bus commit, round {round}"), &mut took);
    }
    let statistics = bus.statistics();
    println!(
        "{} segment rolls during the paced rounds, {} waited for; {} commits in all",
        statistics.segments_opened - before,
        statistics.segments_waited_for,
        statistics.commits
    );
    runtime.block_on(bus.drain()).unwrap();
}
