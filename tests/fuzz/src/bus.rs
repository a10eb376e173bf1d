//! Ways into the bus: blocks, bodies, definitions, whole segments, cursors.
//!
//! Does: decode, walk through everything that came out, check what must hold then. Checksums are
//! put right first where they would end the reading before it began.
//! Does not: choose the bytes; libFuzzer and `tests/robustness.rs` do.
//! In: bytes. Out: nothing, or a panic that is a defect.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use ocelli_bus::block::{BlockView, HEADER_BYTES};
use ocelli_bus::body::{BatchEncoder, BatchFrame, BodyView, empty_batch};
use ocelli_bus::decoder::record_of;
use ocelli_bus::read::Cursor;
use ocelli_bus::record::DefinitionId;
use ocelli_bus::resolver::Resolver;
use ocelli_bus::{Bus, BusOptions, RecoveryReport};
use ocelli_model::batch::{Batch, CounterColumn, RowSet};
use ocelli_model::clock::{Clock, Monotonic, Rng, Sleep, WallMs};
use ocelli_model::columns::GaugeColumn;

use switches::{Mix, switch_batch_of};

#[path = "../../../bus/tests/support/switches.rs"]
mod switches;

/// Row counts that a body's second byte chooses from.
const ROW_COUNTS: usize = 64;

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
    if seal_block(&mut sealed) {
        walk_block(&sealed);
    }
}

/// Puts the checksums of a block right; `false` if it is too short to have any.
fn seal_block(sealed: &mut [u8]) -> bool {
    if sealed.len() < HEADER_BYTES {
        return false;
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
    true
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

/// The text of a cursor.
pub fn cursor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(cursor) = text.parse::<Cursor>() {
        let again: Cursor = cursor
            .to_string()
            .parse()
            .expect("what was read is written");
        assert_eq!(again.selection, cursor.selection);
        assert!(again == cursor || again.may_repeat);
    }
}

// === Segments ===

/// Where the frames of a segment begin.
const SEGMENT_HEADER_BYTES: usize = 64;
/// Before the payload of a frame.
const FRAME_HEAD_BYTES: usize = 24;
/// What the length of a frame counts beside its payload.
const ENVELOPE_BYTES: usize = 16;
/// Number of the kind of frame whose payload is a block.
const FRAME_OF_BLOCK: u8 = 1;
/// Number of the kind of frame that stands for blocks taken out.
const FRAME_REMOVED: u8 = 3;
/// Last in a sealed segment.
const TRAILER_BYTES: usize = 20;

/// A segment as a crash may leave it, recovered by a start of the whole bus: as it is if the first
/// byte is even, else with header, chain, blocks and trailer put right. A second start finds the
/// same and has nothing to mend.
pub fn segment(bytes: &[u8]) {
    let Some((first, segment)) = bytes.split_first() else {
        return;
    };
    let mut segment = segment.to_vec();
    if first % 2 == 1 {
        seal_segment(&mut segment);
    }
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("this machine has a place for files");
    let segments = folder.path().join("bus/segments");
    std::fs::create_dir_all(&segments).expect("an empty folder");
    std::fs::write(segments.join("0000000000000001.seg"), &segment).expect("an empty folder");
    let Some(found) = start(folder.path()) else {
        return;
    };
    let again = start(folder.path()).expect("what was recovered opens");
    assert_eq!(again.moved_aside, [], "what was wrong is aside already");
    for (stream, head) in &found.heads {
        assert!(again.heads.get(stream) >= Some(head), "{stream:?} is held");
    }
}

/// What a start finds; `None` if a later version wrote the segment.
fn start(folder: &Path) -> Option<RecoveryReport> {
    let options = BusOptions {
        segment_bytes: 64 * 1024,
        spare_space_bytes: 0,
        low_space_bytes: 0,
        ..BusOptions::default()
    };
    let (clock, rng) = (Arc::new(StillClock), Box::new(Counting(7)));
    let opened = Bus::open(folder, options, clock, rng).ok()?;
    Some(opened.1)
}

fn seal_segment(segment: &mut Vec<u8>) {
    if segment.len() < SEGMENT_HEADER_BYTES {
        segment.resize(SEGMENT_HEADER_BYTES, 0);
    }
    segment[..8].copy_from_slice(b"ocelliSG");
    segment[8..10].copy_from_slice(&1u16.to_le_bytes());
    segment[32..40].copy_from_slice(&1u64.to_le_bytes());
    let header_crc = crc32c::crc32c(&segment[..60]);
    segment[60..64].copy_from_slice(&header_crc.to_le_bytes());
    let mut chain = u32_at(segment, 12);
    let mut at = SEGMENT_HEADER_BYTES;
    // Each round takes a frame's head at least.
    while at + FRAME_HEAD_BYTES <= segment.len() {
        let kind = segment[at + 8];
        let payload = (u32_at(segment, at) as usize).saturating_sub(ENVELOPE_BYTES);
        let covered = if kind == FRAME_REMOVED { 0 } else { payload };
        let end = at + FRAME_HEAD_BYTES + covered;
        let Some(frame) = segment.get_mut(at..end) else {
            break;
        };
        let (head, payload) = frame.split_at_mut(FRAME_HEAD_BYTES);
        if kind == FRAME_OF_BLOCK {
            seal_block(payload);
        }
        let before = chain;
        for part in [&head[..4], &head[8..], payload] {
            chain = crc32c::crc32c_append(chain, part);
        }
        head[4..8].copy_from_slice(&chain.to_le_bytes());
        if end + TRAILER_BYTES == segment.len() {
            seal_trailer(segment, (at, before));
            break;
        }
        at = end;
    }
}

/// The trailer of a segment whose last frame begins at `at`, with the chain before it.
fn seal_trailer(segment: &mut [u8], (at, chain): (usize, u32)) {
    let from = segment.len() - TRAILER_BYTES;
    let trailer = &mut segment[from..];
    trailer[..8].copy_from_slice(&(at as u64).to_le_bytes());
    trailer[8..12].copy_from_slice(&chain.to_le_bytes());
    trailer[12..16].copy_from_slice(b"SEAL");
    let crc = crc32c::crc32c(&trailer[..16]);
    trailer[16..20].copy_from_slice(&crc.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let field = bytes
        .get(at..at + 4)
        .and_then(|field| field.try_into().ok());
    u32::from_le_bytes(field.unwrap_or_default())
}

struct StillClock;

impl Clock for StillClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(0)
    }

    fn wall(&self) -> WallMs {
        WallMs(1_000_000)
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }
}

struct Counting(u64);

impl Rng for Counting {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0 ^ (self.0 >> 29)
    }
}
