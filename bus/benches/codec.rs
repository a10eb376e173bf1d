//! Is the batch codec fast and small enough for 10,000 switches on a fraction of a core?
//!
//! Does: encode and decode batches of generated switches (48 ports × 22 metrics) over and over,
//! print M samples per CPU-second, the ratio to copying the same columns as raw bytes in the same
//! run, and bytes a sample with and without definitions. Median and best of 7 rounds, alternating.
//! Does not: disks. In: nothing. Out: lines for people. A sample is a counter, gauge or rate read.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::body::{BatchEncoder, BatchFrame, BodyView, empty_batch};
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::Encoder;
use ocelli_model::batch::Batch;
use ocelli_model::columns::GaugeValues;
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::unix_seconds::UnixSeconds;
use rustix::time::{ClockId, clock_gettime};
use switches::{Mix, switch_batch_of};

#[path = "../tests/support/switches.rs"]
mod switches;

/// Ports of a switch.
const PORTS: usize = 48;
/// Distinct batches in the loop: about 1 MiB decoded, more than a first-level cache holds.
const BATCHES: u64 = 32;
/// CPU time of one measurement.
const MEASURE: Duration = Duration::from_millis(150);
/// Measurements of each loop.
const ROUNDS: usize = 7;
/// Switches, and batches of each, for the figure with definitions: an hour of minutes.
const SWITCHES: usize = 20;
const MINUTES: u64 = 60;

fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// Calls per CPU-second.
fn rate(call: &mut dyn FnMut()) -> f64 {
    let (start, mut calls) = (cpu(), 0_u32);
    let mut elapsed = Duration::ZERO;
    while elapsed < MEASURE {
        (0..8).for_each(|_| call());
        calls += 8;
        elapsed = cpu().saturating_sub(start);
    }
    f64::from(calls) / elapsed.as_secs_f64()
}

/// (median, best) of each loop, run by turns so that all see the same neighbours.
fn compare<const N: usize>(mut loops: [&mut dyn FnMut(); N]) -> [(f64, f64); N] {
    let mut rates = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (call, rates) in loops.iter_mut().zip(&mut rates) {
            rates.push(rate(*call));
        }
    }
    rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        (rates[ROUNDS / 2], rates[ROUNDS - 1])
    })
}

fn samples(batch: &Batch) -> usize {
    let count = batch.sample_count();
    count.counters + count.gauges + count.rates
}

fn frame_of(batch: &Batch) -> BatchFrame {
    BatchFrame {
        slot: batch.slot,
        interval_ms: batch.interval_ms,
        epoch: batch.epoch,
        time: batch.time,
        is_partial: false,
        schema: Arc::clone(&batch.schema),
        rows: Arc::clone(&batch.rows),
    }
}

/// The columns as raw bytes: what a codec that does nothing would write.
fn copy_out(batch: &Batch, into: &mut Vec<u8>) {
    for group in &batch.groups {
        group
            .time
            .iter()
            .for_each(|time| into.extend_from_slice(&time.0.to_le_bytes()));
        group
            .dt_ms
            .iter()
            .for_each(|dt| into.extend_from_slice(&dt.to_le_bytes()));
        for column in &group.counters {
            for numbers in [&column.values, &column.deltas] {
                numbers
                    .iter()
                    .for_each(|cell| into.extend_from_slice(&cell.to_le_bytes()));
            }
            column
                .verdicts
                .iter()
                .for_each(|verdict| into.push(*verdict as u8));
        }
        for column in &group.gauges {
            if let GaugeValues::Int(values) = &column.values {
                values
                    .iter()
                    .for_each(|cell| into.extend_from_slice(&cell.to_le_bytes()));
            }
        }
    }
}

/// The raw numbers back into columns.
fn copy_in(raw: &[u8], columns: &mut [Vec<u64>]) {
    let mut cells = raw
        .as_chunks::<8>()
        .0
        .iter()
        .map(|cell| u64::from_le_bytes(*cell));
    for column in columns {
        column.clear();
        column.extend(cells.by_ref().take(PORTS));
    }
}

fn measure(mix: Mix) {
    let batches: Vec<Batch> = (0..BATCHES)
        .map(|tick| switch_batch_of(PORTS, mix, tick))
        .collect();
    let count: usize = batches.iter().map(samples).sum();
    let mut encoder = BatchEncoder::default();
    let bodies: Vec<Vec<u8>> = batches
        .iter()
        .map(|batch| {
            let mut body = Vec::new();
            encoder.encode(batch, &mut body).unwrap();
            body
        })
        .collect();
    let frames: Vec<BatchFrame> = batches.iter().map(frame_of).collect();
    let raws: Vec<Vec<u8>> = batches
        .iter()
        .map(|batch| {
            let mut raw = Vec::new();
            copy_out(batch, &mut raw);
            raw
        })
        .collect();
    let (mut body, mut raw) = (Vec::new(), Vec::new());
    let mut read = empty_batch();
    let mut columns = vec![Vec::new(); 17 * 2 + 5 + 2];
    let [encode, copy_encode, decode, copy_decode] = compare([
        &mut || {
            for batch in &batches {
                body.clear();
                encoder.encode(black_box(batch), &mut body).unwrap();
                black_box(&body);
            }
        },
        &mut || {
            for batch in &batches {
                raw.clear();
                copy_out(black_box(batch), &mut raw);
                black_box(&raw);
            }
        },
        &mut || {
            for (body, frame) in bodies.iter().zip(&frames) {
                BodyView::parse(black_box(body), frame)
                    .unwrap()
                    .decode_into(&mut read)
                    .unwrap();
                black_box(&read);
            }
        },
        &mut || {
            for raw in &raws {
                copy_in(black_box(raw), &mut columns);
                black_box(&columns);
            }
        },
    ]);
    let rates = [
        ("encode", encode, copy_encode),
        ("decode", decode, copy_decode),
    ];
    for (name, codec, copy) in rates {
        print_rates(&format!("{mix:?} {name}"), codec, copy, count as f64 / 1e6);
    }
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    println!(
        "{mix:?} size: {:.2} B a sample in bodies",
        bytes as f64 / count as f64
    );
}

fn print_rates(name: &str, codec: (f64, f64), copy: (f64, f64), millions: f64) {
    let (median, best, raw) = (codec.0 * millions, codec.1 * millions, copy.1 * millions);
    println!(
        "{name}: median {median:.0}, best {best:.0} M samples/s; raw copy {raw:.0}; ratio {:.2}",
        best / raw,
    );
}

/// Blocks of an hour of some switches, lane 1 and headers counted.
fn measure_with_definitions(mix: Mix) {
    let mut encoder = Encoder::default();
    encoder.add_ids(1..10_000_000);
    let plugin: Arc<str> = Arc::from("interfaces");
    let mut pairs: Vec<_> = (0..SWITCHES)
        .map(|number| (resource(number), PairCache::default()))
        .collect();
    let (mut data, mut definitions, mut count) = (0, 0, 0);
    for minute in 0..MINUTES {
        let batch = switch_batch_of(PORTS, mix, minute);
        for (resource, cache) in &mut pairs {
            encoder
                .push_batch(cache, resource, &plugin, &batch)
                .unwrap();
            count += samples(&batch);
        }
        let blocks = encoder.seal();
        data += blocks.data.map_or(0, |block| block.len());
        definitions += blocks
            .definitions
            .iter()
            .map(|block| block.len())
            .sum::<usize>();
    }
    println!(
        "{mix:?} size: {:.2} B a sample in blocks, {:.2} B with definitions over an hour",
        data as f64 / count as f64,
        (data + definitions) as f64 / count as f64,
    );
}

fn resource(number: usize) -> Arc<Resource> {
    let name = format!("10.1.{}.{}", number / 250, number % 250);
    let fields = ResourceFields {
        identity: ["dc1", "network", "switch", "cisco", &name].map(str::to_owned),
        endpoint: name.clone(),
        created: UnixSeconds::new(1_532_023_709.0).unwrap(),
        plugin: "cmdb".to_owned(),
        ..ResourceFields::default()
    };
    Arc::new(Resource::new(fields).unwrap())
}

fn main() {
    println!("a switch: {PORTS} ports, 17 counters with rates and 5 gauges each");
    println!(
        "Office: of 16 ports 8 unused, 4 quiet, 3 access, 1 uplink; Busy: 13 access, 3 uplink"
    );
    for mix in [Mix::Office, Mix::Busy] {
        measure(mix);
        measure_with_definitions(mix);
    }
}
