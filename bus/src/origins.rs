//! What this node holds of each origin, for capacity, links and quotas.
//!
//! Does: sum up segments by origin, say who the own one is, what readers have yet to take.
//! Does not: forecast, enforce (`retention`).
//! In: the log's map, lane 1, cursors. Out: [`OriginFacts`], [`ReaderFacts`]; one definition.
//! Cost: one pass over the segments' streams; asked for by people and by a tick, not per block.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_model::clock::WallMs;

use crate::block::{BlockBuilder, EntryHead};
use crate::cursor_store::CursorState;
use crate::definition::OriginDescription;
use crate::derivation::Derivation;
use crate::log::LogMap;
use crate::record::{EntryKind, Lane, OriginId, Seq, StreamId};
use crate::seq_ranges::SeqRanges;
use crate::shared::Shared;
use crate::writer::queue::BusHandle;

/// What is held of an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginFacts {
    /// Which.
    pub origin: OriginId,
    /// Who it is, if its lane 1 says so.
    pub description: Option<Arc<OriginDescription>>,
    /// What it is made of, if it is derived.
    pub derivation: Option<Arc<Derivation>>,
    /// Whether this node itself appends under it.
    pub is_own: bool,
    /// Bytes of its frames on disk, both lanes.
    pub bytes: u64,
    /// Bytes of its frames that came since the process began, duplicates not counted.
    pub bytes_taken: u64,
    /// When this node took the oldest block of data that it holds; `None` if it holds none.
    pub first_received: Option<WallMs>,
    /// When this node took the newest block of data.
    pub last_received: Option<WallMs>,
    /// Highest seq of its data.
    pub highest: Seq,
    /// Seqs of data below the highest that are neither held nor were.
    pub missing: u64,
    /// Seqs of data that forwarding policies below withheld; more than there are where their ranges
    /// were too many to be told apart.
    pub skipped: u64,
}

/// What a durable cursor has yet to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderFacts {
    /// Its name.
    pub name: String,
    /// Who reads: `uplink`, `peer`, `sink`, `check`.
    pub kind: String,
    /// When this node took the oldest data that the reader has yet to take; `None`: it has all.
    pub oldest: Option<WallMs>,
    /// About how many bytes of held data it has yet to take.
    pub bytes: u64,
}

/// Data of one origin that somebody has yet to take, as far as it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untaken {
    /// Whose.
    pub origin: OriginId,
    /// Records.
    pub records: u64,
    /// About how many bytes they take on disk.
    pub bytes: u64,
    /// The first of them.
    pub oldest: Seq,
}

/// Says in lane 1 of the own origin who this node is, unless the last word on it says the same. The
/// first block of a new origin, since nothing else was submitted yet.
pub(crate) fn describe(shared: &Shared, handle: &BusHandle) {
    let Some(description) = &shared.options.description else {
        return;
    };
    let known = shared.views.definitions.origin_of(shared.origin);
    if known.as_deref() == Some(description) {
        return;
    }
    let now = shared.clock.wall();
    let definition = description.clone().into_definition(now);
    let mut body = Vec::new();
    let mut builder = BlockBuilder::new();
    let head = EntryHead::bare(EntryKind::Definition, now);
    let is_built = definition.encode(&mut body).is_ok() && builder.push(&head, &body).is_ok();
    let block = builder.seal().filter(|_| is_built);
    let sent = block.map(|block| handle.try_submit(Lane::Definitions, block).is_ok());
    if sent != Some(true) {
        tracing::error!("this node's description is too long: upper tiers cannot name its origin");
    }
}

/// Facts of all origins.
pub(crate) fn facts(shared: &Shared) -> Vec<OriginFacts> {
    let mut facts = shared.log.read(|map| {
        let mut facts = BTreeMap::new();
        for stream in map.streams.keys() {
            let origin = stream.origin;
            let of_origin = facts.entry(origin);
            of_origin.or_insert_with(|| begin(map, origin));
        }
        for meta in map.segments.values() {
            for (stream, of_stream) in &meta.index.streams {
                let Some(of_origin) = facts.get_mut(&stream.origin) else {
                    continue;
                };
                of_origin.bytes += of_stream.bytes;
                if stream.lane == Lane::Data {
                    widen(of_origin, of_stream.received);
                }
            }
        }
        facts
    });
    for (origin, of_origin) in &mut facts {
        of_origin.is_own = *origin == shared.origin;
        of_origin.description = shared.views.definitions.origin_of(*origin);
        of_origin.derivation = shared.views.definitions.derivation_of(*origin);
    }
    facts.into_values().collect()
}

/// What each durable cursor has yet to take.
pub(crate) fn readers(shared: &Shared) -> Vec<ReaderFacts> {
    let none = SeqRanges::default();
    let of_cursor = |cursor: CursorState, map: &LogMap| {
        let mut facts = ReaderFacts {
            name: cursor.name,
            kind: cursor.kind,
            oldest: None,
            bytes: 0,
        };
        let streams = map.segments.values().flat_map(|meta| &meta.index.streams);
        for (stream, held) in streams.filter(|(stream, _)| stream.lane == Lane::Data) {
            let taken = cursor.taken.get(stream).unwrap_or(&none);
            let untaken = held.ranges.without(taken).count();
            if untaken > 0 {
                let first = held.received.0;
                facts.oldest = Some(facts.oldest.map_or(first, |oldest| oldest.min(first)));
                let count = held.ranges.count().max(1);
                facts.bytes += held.bytes.saturating_mul(untaken.min(count)) / count;
            }
        }
        facts
    };
    let cursors = shared.cursors.list();
    shared
        .log
        .read(|map| cursors.into_iter().map(|it| of_cursor(it, map)).collect())
}

/// What of the data held is not in `taken`, by origin; origins without such data are left out.
pub(crate) fn untaken(shared: &Shared, taken: &BTreeMap<StreamId, SeqRanges>) -> Vec<Untaken> {
    let none = SeqRanges::default();
    let mut all: BTreeMap<OriginId, Untaken> = BTreeMap::new();
    shared.log.read(|map| {
        let streams = map.segments.values().flat_map(|meta| &meta.index.streams);
        for (stream, held) in streams.filter(|(stream, _)| stream.lane == Lane::Data) {
            let left = held.ranges.without(taken.get(stream).unwrap_or(&none));
            let Some(oldest) = left.lowest() else {
                continue;
            };
            let origin = stream.origin;
            let of_origin = all.entry(origin).or_insert(Untaken {
                origin,
                records: 0,
                bytes: 0,
                oldest,
            });
            let (records, count) = (left.count(), held.ranges.count().max(1));
            of_origin.records += records;
            of_origin.bytes += held.bytes.saturating_mul(records.min(count)) / count;
            of_origin.oldest = of_origin.oldest.min(oldest);
        }
    });
    all.into_values().collect()
}

fn begin(map: &LogMap, origin: OriginId) -> OriginFacts {
    let data = map.streams.get(&StreamId::data(origin));
    let highest = data.map_or(Seq(0), |state| state.covered.highest());
    let covered = data.map_or(0, |state| state.covered.count());
    let taken = |lane| {
        let state = map.streams.get(&StreamId { origin, lane });
        state.map_or(0, |state| state.bytes_taken)
    };
    OriginFacts {
        origin,
        description: None,
        derivation: None,
        is_own: false,
        bytes: 0,
        bytes_taken: Lane::ALL.map(taken).iter().sum(),
        first_received: None,
        last_received: data.and_then(|state| state.head).map(|head| head.received),
        highest,
        missing: highest.0 - covered,
        skipped: data.map_or(0, |state| state.skipped.count()),
    }
}

fn widen(facts: &mut OriginFacts, (first, last): (WallMs, WallMs)) {
    let known = facts.first_received.unwrap_or(first);
    facts.first_received = Some(known.min(first));
    let known = facts.last_received.unwrap_or(last);
    facts.last_received = Some(known.max(last));
}
