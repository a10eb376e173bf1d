//! The formats do not change by accident: blocks written today equal the files kept.
//!
//! Does: write one block of each kind, compare it with `tests/golden/*.bin`, read the kept file
//! back. Does not: judge a change; `UPDATE_GOLDEN=1` rewrites the files for a review.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is the report"
)]

use std::path::PathBuf;
use std::sync::Arc;

use ocelli_bus::block::{BlockView, SealedBlock, Stamp};
use ocelli_bus::body::BatchEncoder;
use ocelli_bus::decoder::record_of;
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::{Encoder, Pair, Place};
use ocelli_bus::payload::{Payload, Session, Skip};
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::resolver::Resolver;
use ocelli_model::batch::{Batch, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::event::{EventFacts, Severity};
use ocelli_model::gap::{Gap, GapCause, GapKind};
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::rows::{Partial, SessionFacts};
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_model::unix_seconds::UnixSeconds;
use support::{Mix, switch_batch_of};

#[path = "support/switches.rs"]
mod support;

fn check_golden(name: &str, bytes: &[u8]) {
    check_file(&format!("tests/golden/{name}"), bytes);
}

fn check_file(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(
        kept == bytes,
        "{name} differs from what is written now; a changed format needs a new version \
         (UPDATE_GOLDEN=1 rewrites the file for review)"
    );
}

fn stamped(mut block: SealedBlock, lane: Lane) -> Vec<u8> {
    let stream = StreamId {
        origin: OriginId(0x0c31_1100_0000_0000_0000_0000_0000_0001),
        lane,
    };
    let needs_def = Seq(if lane == Lane::Data { 7 } else { 0 });
    block.stamp(&Stamp {
        stream,
        first_seq: Seq(1),
        needs_def,
    });
    block.into_bytes()
}

fn resource() -> Arc<Resource> {
    let fields = ResourceFields {
        identity: ["dc1", "network", "switch", "cisco", "sw1"].map(str::to_owned),
        endpoint: "10.0.0.1".to_owned(),
        metadata: [("model".to_owned(), "WS-C4948".to_owned())].into(),
        created: UnixSeconds::new(1_532_023_709.5).unwrap(),
        plugin: "by-hand".to_owned(),
    };
    Arc::new(Resource::new(fields).unwrap())
}

/// A whole batch, one with every verdict and presence form, one that is partial.
fn batches() -> Vec<Batch> {
    let whole = switch_batch_of(16, Mix::Office, 1);
    let mut mixed = switch_batch_of(16, Mix::Busy, 2);
    let group = &mut mixed.groups[0];
    for (row, verdict) in Verdict::ALL.iter().enumerate() {
        group.counters[0].verdicts[row] = *verdict;
        if !verdict.has_rate() {
            group.counters[0].deltas[row] = 0;
        }
    }
    group.counters[1].clear();
    (0..16).for_each(|_| group.counters[1].push_absent());
    group.counters[2].own_dt = vec![(3, 180_000), (9, 120_000)];
    group.gauges[0].clear();
    group.gauges[1].clear();
    for row in 0..16 {
        match row % 4 {
            0 => group.gauges[0].push_absent(),
            _ => group.gauges[0].push_float(f64::from(row) + 0.25),
        }
        group.gauges[1].push_float(1.0 / f64::from(row + 3));
    }
    let mut partial = switch_batch_of(2, Mix::Office, 3);
    let cause = GapCause::with(GapKind::Timeout, "last_column");
    partial.partial = Some(Partial {
        cause,
        reached: "1.3.6.1.2.1.31.1.1.1.6.2".into(),
    });
    vec![whole, mixed, partial]
}

const SKIP: Skip = Skip {
    count: 12,
    source: None,
};

fn encode() -> (Vec<Payload>, Vec<u8>, Vec<u8>) {
    let mut encoder = Encoder::default();
    encoder.add_ids(1..10_000);
    let (resource, plugin) = (resource(), Arc::from("interfaces"));
    let mut cache = PairCache::default();
    let mut payloads = Vec::new();
    for batch in batches() {
        encoder
            .push_batch(&mut cache, &resource, &plugin, &batch)
            .unwrap();
        payloads.push(Payload::Batch(Arc::new(batch)));
    }
    let pair = Pair {
        resource: &resource,
        plugin: Some(&plugin),
    };
    let epoch = Epoch {
        generation: 1_760_000_000,
        index: 4,
    };
    let slot = SlotMs(1_760_000_240_000);
    let now = WallMs(slot.0 + 2_000);
    let cause = GapCause::with(GapKind::Auth, "wrong_digest");
    let gap = Gap {
        last: SlotMs(slot.0 + 60_000),
        ..Gap::of_slot(slot, 60_000, epoch, cause)
    };
    encoder.push_gap(&mut cache, pair, &gap, now).unwrap();
    payloads.push(Payload::Gap(gap));
    let facts = SessionFacts {
        sys_uptime_ticks: Some(777),
        engine_boots: Some(3),
        engine_time_s: None,
    };
    let session = Session {
        facts,
        rtt_us: Some(1_250),
        state: vec![9, 8, 7],
    };
    let place = Place {
        slot,
        interval_ms: 60_000,
        epoch,
        now,
    };
    encoder
        .push_session(&mut cache, pair, &session, place)
        .unwrap();
    payloads.push(Payload::Session(session));
    let event = EventFacts {
        kind: "clock_stepped".into(),
        severity: Severity::Warning,
        text: "the wall clock went back".into(),
        fields: vec![("step_ms".into(), "-2000".into())],
    };
    encoder.push_event(None, &event, now).unwrap();
    payloads.push(Payload::Event(event));
    encoder.push_skip(SKIP, now).unwrap();
    payloads.push(Payload::Skip(SKIP));
    encoder.push_released(&mut cache, pair, place).unwrap();
    payloads.push(Payload::Released);
    let mut blocks = encoder.seal();
    let definitions = stamped(blocks.definitions.remove(0), Lane::Definitions);
    (
        payloads,
        definitions,
        stamped(blocks.data.unwrap(), Lane::Data),
    )
}

#[test]
fn a_data_block_has_the_bytes_that_it_always_had() {
    let (_, _, data) = encode();
    check_golden("data_block_v1.bin", &data);
}

/// The block is compressed, and zstd may find shorter forms in later versions: its content counts.
#[test]
fn definitions_have_the_bytes_that_they_always_had() {
    let (_, definitions, _) = encode();
    let view = BlockView::parse(&definitions).unwrap();
    let bodies = view.bodies().unwrap();
    let content: Vec<u8> = view
        .entries()
        .flat_map(|entry| bodies.of(&entry).to_vec())
        .collect();
    check_golden("definitions_v1.bin", &content);
}

#[test]
fn the_kept_block_is_still_read_as_what_was_written() {
    let (payloads, definitions, _) = encode();
    let mut resolver = Resolver::new();
    let view = BlockView::parse(&definitions).unwrap();
    let bodies = view.bodies().unwrap();
    for entry in view.entries() {
        resolver.apply(bodies.of(&entry)).unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data_block_v1.bin");
    let kept = std::fs::read(path).unwrap();
    let view = BlockView::parse(&kept).unwrap();
    let bodies = view.bodies().unwrap();
    let stream = view.header().stream;
    let read: Vec<Payload> = view
        .entries()
        .map(|entry| {
            record_of(stream, &entry, bodies.of(&entry), &mut resolver)
                .unwrap()
                .payload
        })
        .collect();
    assert_eq!(read, payloads);
}

/// Seeds of the fuzz targets are of today's format, or fuzzing would stop at the first byte.
#[test]
fn the_corpus_of_the_fuzz_targets_is_what_is_written() {
    let (_, definitions, data) = encode();
    check_file("../tests/fuzz/corpus/block/data", &data);
    for (name, batch) in ["whole", "mixed", "partial"].iter().zip(batches()) {
        let rows = u8::try_from(batch.groups[0].len()).unwrap();
        let mut seed = vec![u8::from(batch.partial.is_some()), rows];
        BatchEncoder::default().encode(&batch, &mut seed).unwrap();
        check_file(&format!("../tests/fuzz/corpus/body/{name}"), &seed);
    }
    let view = BlockView::parse(&definitions).unwrap();
    let bodies = view.bodies().unwrap();
    for (index, entry) in view.entries().enumerate() {
        check_file(
            &format!("../tests/fuzz/corpus/definition/{index}"),
            bodies.of(&entry),
        );
    }
}
