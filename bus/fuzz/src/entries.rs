//! What is fuzzed: one function for each decoder, fed with any bytes.
//!
//! Does: decode, walk through everything that came out, check what must hold then. Checksums are
//! put right first where they would end the reading before it began.
//! Does not: choose the bytes; libFuzzer does (`cargo fuzz run NAME`), and so does the ordinary
//! test `tests/robustness.rs`, over `corpus/` and mutations of it.
//! In: bytes. Out: nothing, or a panic that is a defect.

use std::sync::{Arc, LazyLock};

use ocelli_bus::block::{BlockView, HEADER_BYTES};
use ocelli_bus::body::{BatchEncoder, BatchFrame, BodyView, empty_batch};
use ocelli_bus::decoder::record_of;
use ocelli_bus::record::DefinitionId;
use ocelli_bus::resolver::Resolver;
use ocelli_model::batch::{Batch, CounterColumn, RowSet};
use ocelli_model::columns::GaugeColumn;

use switches::{Mix, switch_batch_of};

#[path = "../../tests/support/switches.rs"]
mod switches;

/// Row counts that a body's second byte chooses from.
const ROW_COUNTS: usize = 64;

/// A function that takes any bytes.
pub type Entry = fn(&[u8]);

/// All of them, by the name of their corpus.
pub const ENTRIES: [(&str, Entry); 3] =
    [("block", block), ("body", body), ("definition", definition)];

static SWITCH: LazyLock<Batch> = LazyLock::new(|| switch_batch_of(1, Mix::Busy, 1));
static ROWS: LazyLock<Vec<Arc<RowSet>>> = LazyLock::new(|| {
    (0..ROW_COUNTS)
        .map(|rows| switch_batch_of(rows, Mix::Office, 0).rows)
        .collect()
});

/// A whole block, as it is and with its checksums put right.
pub fn block(bytes: &[u8]) {
    walk_block(bytes);
    let mut sealed = bytes.to_vec();
    if sealed.len() < HEADER_BYTES {
        return;
    }
    let size = |at: usize| {
        let field = sealed[at..at + 4].try_into().unwrap_or_default();
        u32::from_le_bytes(field) as usize
    };
    let head_end = HEADER_BYTES.saturating_add(size(56)).min(sealed.len());
    let bodies_end = head_end.saturating_add(size(60)).min(sealed.len());
    let head_crc = crc32c::crc32c(&sealed[HEADER_BYTES..head_end]);
    let bodies_crc = crc32c::crc32c(&sealed[head_end..bodies_end]);
    sealed[68..72].copy_from_slice(&head_crc.to_le_bytes());
    sealed[72..76].copy_from_slice(&bodies_crc.to_le_bytes());
    let header_crc = crc32c::crc32c(&sealed[..76]);
    sealed[76..80].copy_from_slice(&header_crc.to_le_bytes());
    walk_block(&sealed);
}

fn walk_block(bytes: &[u8]) {
    let Ok(view) = BlockView::parse(bytes) else {
        return;
    };
    assert_eq!(view.entries().count(), view.header().count as usize);
    let last = view.entries().last();
    assert_eq!(last.map(|entry| entry.seq), Some(view.header().last_seq()));
    let Ok(bodies) = view.bodies() else {
        return;
    };
    let mut resolver = Resolver::new();
    for entry in view.entries() {
        let body = bodies.of(&entry);
        assert_eq!(body.len(), entry.body.len());
        // An entry that does not decode is an error of its own; the walk goes on.
        drop(record_of(view.header().stream, &entry, body, &mut resolver));
    }
}

/// A batch body of a switch; the first byte says whether it is partial, the second how many rows.
pub fn body(bytes: &[u8]) {
    let [partial, rows, body @ ..] = bytes else {
        return;
    };
    let frame = BatchFrame {
        slot: SWITCH.slot,
        interval_ms: SWITCH.interval_ms,
        epoch: SWITCH.epoch,
        time: SWITCH.time,
        is_partial: partial % 2 == 1,
        schema: Arc::clone(&SWITCH.schema),
        rows: Arc::clone(&ROWS[usize::from(*rows) % ROW_COUNTS]),
    };
    let Ok(view) = BodyView::parse(body, &frame) else {
        return;
    };
    let mut batch = empty_batch();
    if view.decode_into(&mut batch).is_err() {
        return;
    }
    let section = view.section(0).expect("the schema has one group");
    for (index, column) in batch.groups[0].counters.iter().enumerate() {
        let mut alone = CounterColumn::default();
        section
            .read_counter(index, &mut alone)
            .expect("it was read as part of the whole");
        alone.own_dt.clone_from(&column.own_dt);
        assert_eq!(&alone, column);
    }
    for (index, column) in batch.groups[0].gauges.iter().enumerate() {
        let mut alone = GaugeColumn::default();
        section
            .read_gauge(index, &mut alone)
            .expect("it was read as part of the whole");
        assert_eq!(&alone, column);
    }
    let mut again = Vec::new();
    BatchEncoder::default()
        .encode(&batch, &mut again)
        .expect("what was read can be written");
}

/// A definition, with its checksum put right.
pub fn definition(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    if sealed.len() >= 16 {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&sealed[4..12]), &sealed[16..]);
        sealed[12..16].copy_from_slice(&crc.to_le_bytes());
    }
    let mut resolver = Resolver::new();
    if resolver.apply(&sealed).is_err() {
        return;
    }
    for id in (0..64).map(DefinitionId) {
        drop(resolver.row_set(id));
        drop(resolver.resource(id));
    }
    assert!(resolver.heap_bytes() >= sealed.len());
}
