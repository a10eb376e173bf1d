//! Question: what does a tier above a site pay to take other origins' blocks, fsync included,
//! beside a plain file that gets the same bytes in the same groups? It decides whether one region
//! holds 200 sites on a core.
//!
//! Does: 64 MiB in blocks of 20 interface batches, 16 origins in turn. Does not: network.
//! In: `OCELLI_BENCH_DIR` (default: the temporary directory). Out: MB/s, samples/s, and the ratio.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[path = "../tests/support/mod.rs"]
mod support;
#[path = "../tests/support/switches.rs"]
mod switches;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ocelli_bus::block::Stamp;
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::Encoder;
use ocelli_bus::record::{OriginId, Seq, StreamId};
use ocelli_bus::{Bus, BusOptions, ForeignBlock};
use ocelli_model::resource::{Resource, ResourceFields};
use switches::{Mix, switch_batch_of};

const BYTES: usize = 64 * 1024 * 1024;
const GROUP_BYTES: usize = 256 * 1024;
const ORIGINS: u64 = 16;
const PORTS: usize = 48;
/// Counters and gauges of a port.
const METRICS: usize = 22;
const ROUNDS: usize = 5;

/// A sealed block's bytes without a place, and how many samples it has.
fn body() -> (Vec<u8>, u64) {
    let mut encoder = Encoder::default();
    encoder.add_ids(1..1_000_000);
    let fields = ResourceFields {
        identity: ["s", "network", "switch", "generic", "sw"].map(str::to_owned),
        endpoint: "10.0.0.1".to_owned(),
        plugin: "bench".to_owned(),
        ..ResourceFields::default()
    };
    let resource = Arc::new(Resource::new(fields).unwrap());
    let mut cache = PairCache::default();
    let mut batches = 0;
    while batches < 20 {
        let mix = if batches % 4 == 0 {
            Mix::Busy
        } else {
            Mix::Office
        };
        let batch = switch_batch_of(PORTS, mix, batches);
        let plugin = "interfaces".into();
        encoder
            .push_batch(&mut cache, &resource, &plugin, &batch)
            .unwrap();
        batches += 1;
    }
    let block = encoder.seal().data.unwrap();
    (block.into_bytes(), batches * (PORTS * METRICS) as u64)
}

/// Blocks of all origins by turns. They need no definitions, so that data alone is measured.
fn blocks() -> (Vec<Bytes>, u64) {
    let (template, samples) = body();
    let count = (BYTES / template.len()) as u64;
    let entries = 20;
    let block = |number: u64| {
        let mut bytes = template.clone();
        let stamp = Stamp {
            stream: StreamId::data(OriginId(u128::from(number % ORIGINS) + 1)),
            first_seq: Seq(number / ORIGINS * entries + 1),
            needs_def: Seq(0),
        };
        restamp(&mut bytes, &stamp);
        Bytes::from(bytes)
    };
    ((0..count).map(block).collect(), samples * count)
}

/// As the writer stamps, on bytes.
fn restamp(bytes: &mut [u8], stamp: &Stamp) {
    bytes[8..24].copy_from_slice(&stamp.stream.origin.0.to_le_bytes());
    bytes[32..40].copy_from_slice(&stamp.first_seq.0.to_le_bytes());
    bytes[48..56].copy_from_slice(&stamp.needs_def.0.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..76]);
    bytes[76..80].copy_from_slice(&checksum.to_le_bytes());
}

fn directory() -> tempfile::TempDir {
    std::env::var_os("OCELLI_BENCH_DIR").map_or_else(
        || tempfile::tempdir().unwrap(),
        |folder| tempfile::tempdir_in(folder).unwrap(),
    )
}

/// Time on the clock and on the processor.
fn measured(work: impl FnOnce()) -> (Duration, Duration) {
    let cpu = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        // User and system time, in hundredths of a second.
        let ticks: u64 = fields[11..13]
            .iter()
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * 10)
    };
    let (began, used) = (Instant::now(), cpu());
    work();
    (began.elapsed(), cpu() - used)
}

fn ingest(blocks: &[Bytes]) -> (Duration, Duration) {
    let root = directory();
    let options = BusOptions {
        low_space_bytes: 0,
        ..BusOptions::default()
    };
    let (bus, _) = support::open(root.path(), options);
    let took = measured(|| support::runtime().block_on(take(&bus, blocks)));
    assert_eq!(bus.statistics().duplicate_blocks, 0);
    took
}

/// From bytes as they came to the last acknowledgement.
async fn take(bus: &Bus, blocks: &[Bytes]) {
    let handle = bus.handle();
    for bytes in blocks {
        let block = ForeignBlock::read(bytes.clone()).unwrap();
        handle.ingest(block).await.unwrap();
    }
    handle.flush().await.unwrap();
}

fn plain(blocks: &[Bytes]) -> (Duration, Duration) {
    let root = directory();
    let mut file = std::fs::File::create(root.path().join("plain")).unwrap();
    measured(|| {
        let mut group = Vec::with_capacity(2 * GROUP_BYTES);
        for bytes in blocks {
            group.extend_from_slice(bytes);
            if group.len() >= GROUP_BYTES {
                file.write_all(&group).unwrap();
                file.sync_data().unwrap();
                group.clear();
            }
        }
        file.write_all(&group).unwrap();
        file.sync_data().unwrap();
    })
}

fn main() {
    let (blocks, samples) = blocks();
    let bytes: usize = blocks.iter().map(Bytes::len).sum();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{} blocks of {} B, {samples} samples; load {load}",
        blocks.len(),
        blocks[0].len()
    );
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let (file, file_cpu) = plain(&blocks);
        let (bus, bus_cpu) = ingest(&blocks);
        let rate = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
        let per_core = samples as f64 / 1e6 / bus_cpu.as_secs_f64().max(0.01);
        println!(
            "{round}: plain {:.0} MB/s ({file_cpu:.2?} cpu), ingest {:.0} MB/s ({bus_cpu:.2?} \
             cpu), {per_core:.0} M samples/s a core",
            rate(file),
            rate(bus),
        );
        ratios.push(bus.as_secs_f64() / file.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "ingest takes {:.2} x the plain file's time (median of {ROUNDS})",
        ratios[ROUNDS / 2]
    );
}
