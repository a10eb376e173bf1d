//! Carries out retention: what the decision named is removed, in an order that a crash may cut.
//!
//! Does: gather facts, save cursors, carry lane 1 over, unlink. Does not: decide (`retention`).
//! In: the log's map and the durable cursors. Out: fewer segments; lane 1 of those in segment 0.
//! Order: cursors and coverage durable, gaps durable, definitions durable, map, unlink, directory
//! durable. So no cursor falls back before what was unlinked, nothing removed is sent here again,
//! no definition is lost, no reader finds a hole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use ocelli_model::clock::WallMs;

use crate::coverage;
use crate::cursor_store::CursorState;
use crate::log::{LogMap, SegmentMeta};
use crate::record::{Lane, OriginId};
use crate::retention::{Limits, Removal, SegmentFacts, decide};
use crate::retention_gaps::OwedGaps;
use crate::segment::frame::Envelope;
use crate::segment::header::{HEADER_BYTES, SegmentHeader};
use crate::segment::index::SegmentIndex;
use crate::segment::scan::{Frames, scan};
use crate::segment::{LogPosition, SegmentNumber};
use crate::shared::Shared;
use crate::shares::{self, Caps, Holding, Owner};
use crate::statistics::Counters;
use crate::stored::StoredBlock;
use crate::thin::thin;
use crate::writer::segment_file::SegmentFile;

/// The segment of carried definitions: never removed, read first.
const DEFINITIONS: SegmentNumber = SegmentNumber(0);

/// Removes what may or must go now; what is lost with it is owed as gaps.
pub(crate) fn retire(shared: &Shared, owed: &mut OwedGaps) -> io::Result<()> {
    let now = shared.clock.wall();
    let facts = facts(shared, now);
    let Planned { removals, thinned } = plan(shared, &facts, now);
    if removals.is_empty() && thinned.is_empty() {
        return Ok(());
    }
    shared
        .cursors
        .save(shared.disk.as_ref(), &shared.directory.cursors())?;
    save_coverage(shared, &removals, &thinned)?;
    for removal in removals.iter().filter(|removal| removal.is_loss) {
        owed.note(shared, removal.number, None)?;
    }
    for (number, origins) in &thinned {
        let is_done = facts
            .iter()
            .any(|it| it.number == *number && it.is_done(limits(shared), now));
        if !is_done {
            owed.note(shared, *number, Some(origins))?;
        }
    }
    owed.pay(shared);
    for removal in &removals {
        remove(shared, *removal)?;
    }
    for (number, origins) in &thinned {
        thin(shared, *number, origins)?;
        tracing::warn!(
            segment = number.0,
            origins = origins.len(),
            "the oldest data of those furthest above their share was removed"
        );
    }
    shared.disk.sync_directory(&shared.directory.segments())
}

/// What goes.
struct Planned {
    removals: Vec<Removal>,
    /// Whose data of segments that stay.
    thinned: BTreeMap<SegmentNumber, BTreeSet<OriginId>>,
}

/// One owner alone loses its oldest segments; of several, those above their share lose.
fn plan(shared: &Shared, facts: &[SegmentFacts], now: WallMs) -> Planned {
    let (holdings, owners) = holdings(shared);
    let has_one = holdings
        .iter()
        .flat_map(|it| it.owned.keys())
        .collect::<BTreeSet<_>>()
        .len()
        <= 1;
    let mut limits = limits(shared);
    if has_one && shared.options.shares.is_empty() {
        return Planned {
            removals: decide(facts, limits, now),
            thinned: BTreeMap::new(),
        };
    }
    let caps = Caps {
        shares: &shared.options.shares,
        bytes_max: limits.bytes_max,
        step: shared.options.segment_bytes.min(limits.bytes_max / 8),
    };
    limits.bytes_max = u64::MAX;
    let mut removals = decide(facts, limits, now);
    let gone: BTreeSet<_> = removals.iter().map(|removal| removal.number).collect();
    let left: Vec<_> = holdings
        .into_iter()
        .filter(|it| !gone.contains(&it.number))
        .collect();
    let mut thinned = BTreeMap::new();
    for loss in shares::decide(&left, caps) {
        let facts = facts.iter().find(|facts| facts.number == loss.number);
        if loss.is_whole {
            removals.push(Removal {
                number: loss.number,
                is_loss: !facts.is_some_and(|facts| facts.is_done(limits, now)),
            });
        } else {
            let lose = owners
                .iter()
                .filter(|(_, owner)| loss.owners.contains(*owner));
            thinned.insert(loss.number, lose.map(|(origin, _)| *origin).collect());
        }
    }
    Planned { removals, thinned }
}

/// What each owner has in each segment, and whose each origin is.
fn holdings(shared: &Shared) -> (Vec<Holding>, BTreeMap<OriginId, Owner>) {
    let origins: BTreeSet<OriginId> = shared
        .log
        .read(|map| map.streams.keys().map(|stream| stream.origin).collect());
    let owner = |origin: OriginId| match shared.views.definitions.origin_of(origin) {
        Some(description) => Owner::Site(description.site.clone()),
        None => Owner::Origin(origin),
    };
    let owners: BTreeMap<_, _> = origins.into_iter().map(|it| (it, owner(it))).collect();
    let holdings = shared.log.read(|map| {
        let all = map
            .segments
            .iter()
            .filter(|(number, _)| **number != DEFINITIONS);
        all.map(|(number, meta)| holding(*number, meta, &owners))
            .collect()
    });
    (holdings, owners)
}

fn holding(
    number: SegmentNumber,
    meta: &SegmentMeta,
    owners: &BTreeMap<OriginId, Owner>,
) -> Holding {
    let mut owned: BTreeMap<Owner, u64> = BTreeMap::new();
    let mut rest = meta.file_bytes;
    let data = meta.index.streams.iter();
    for (stream, facts) in data.filter(|(stream, _)| stream.lane == Lane::Data) {
        let Some(owner) = owners.get(&stream.origin) else {
            continue;
        };
        // A footer of version 1 tells no bytes; its segment had one writer.
        let bytes = if facts.bytes == 0 {
            rest
        } else {
            facts.bytes.min(rest)
        };
        rest -= bytes;
        *owned.entry(owner.clone()).or_default() += bytes;
    }
    Holding {
        number,
        is_sealed: meta.is_sealed,
        owned,
        other: rest,
    }
}

/// What goes stays covered, so that no lower tier sends it again.
fn save_coverage(
    shared: &Shared,
    removals: &[Removal],
    thinned: &BTreeMap<SegmentNumber, BTreeSet<OriginId>>,
) -> io::Result<()> {
    let goes = |number: SegmentNumber, origin: OriginId| {
        let is_thinned = thinned.get(&number).is_some_and(|it| it.contains(&origin));
        is_thinned || removals.iter().any(|removal| removal.number == number)
    };
    let streams = shared.log.change(|map| {
        let LogMap {
            segments, streams, ..
        } = map;
        for (number, meta) in segments {
            let data = meta.index.streams.iter();
            for (stream, facts) in data.filter(|(stream, _)| stream.lane == Lane::Data) {
                if goes(*number, stream.origin) {
                    streams.entry(*stream).or_default().remove(&facts.ranges);
                }
            }
        }
        streams.clone()
    });
    coverage::save(shared.disk.as_ref(), &shared.directory.coverage(), &streams)
}

fn limits(shared: &Shared) -> Limits {
    Limits {
        retention: shared.options.retention,
        bytes_max: shared.options.bytes_max,
    }
}

/// What the decision needs, of all segments but the carried definitions.
fn facts(shared: &Shared, now: WallMs) -> Vec<SegmentFacts> {
    let cursors = shared.cursors.list();
    let idle_max = shared.options.cursor_idle_max;
    let holding: Vec<_> = cursors
        .iter()
        .filter(|cursor| !is_idle(cursor, idle_max, now))
        .collect();
    shared.log.read(|map| {
        let rows = map
            .segments
            .iter()
            .filter(|(number, _)| **number != DEFINITIONS);
        let row = |(number, meta): (&SegmentNumber, &SegmentMeta)| SegmentFacts {
            number: *number,
            last: meta.index.received.map_or(meta.created, |(_, last)| last),
            file_bytes: meta.file_bytes,
            is_sealed: meta.is_sealed,
            is_passed: holding.iter().all(|cursor| has_passed(cursor, &meta.index)),
        };
        rows.map(row).collect()
    })
}

/// Whether a cursor stood still for so long that it no longer holds segments.
fn is_idle(cursor: &CursorState, idle_max: Duration, now: WallMs) -> bool {
    let idle_ms = u64::try_from(now.0.saturating_sub(cursor.moved.0)).unwrap_or(0);
    Duration::from_millis(idle_ms) > idle_max
}

fn has_passed(cursor: &CursorState, index: &SegmentIndex) -> bool {
    let mut data = index
        .streams
        .iter()
        .filter(|(stream, _)| stream.lane == Lane::Data);
    data.all(|(stream, facts)| {
        let taken = cursor.taken.get(stream);
        taken.is_some_and(|taken| taken.covers(&facts.ranges))
    })
}

fn remove(shared: &Shared, removal: Removal) -> io::Result<()> {
    let number = removal.number;
    carry_definitions(shared, number)?;
    shared.log.remove(number);
    shared.directories.lock().forget(number);
    shared.disk.remove(&shared.directory.segment(number))?;
    Counters::add(&shared.counters.segments_removed, 1);
    if removal.is_loss {
        Counters::add(&shared.counters.segments_forced, 1);
        tracing::warn!(
            segment = number.0,
            "the bus is at `bus.bytes_max`: unread data was removed"
        );
    }
    Ok(())
}

// === Definitions ===

/// Copies the blocks of lane 1, byte for byte, behind those that were carried before.
fn carry_definitions(shared: &Shared, number: SegmentNumber) -> io::Result<()> {
    let (end, highest) = shared.log.read(|map| {
        let carried = map.segments.get(&DEFINITIONS);
        let streams = carried
            .map(|meta| meta.index.streams.clone())
            .unwrap_or_default();
        (map.segments.get(&number).map(|meta| meta.end), streams)
    });
    let has_any = shared.log.read(|map| {
        let streams = map.segments.get(&number).map(|meta| &meta.index.streams);
        streams.is_some_and(|streams| streams.keys().any(|it| it.lane == Lane::Definitions))
    });
    let Some(end) = end.filter(|_| has_any) else {
        return Ok(());
    };
    let file = File::open(shared.directory.segment(number))?;
    let mut frames = Frames::new(&file, HEADER_BYTES as u64, end);
    let mut payloads = Vec::new();
    while let Some(frame) = frames.next(0)? {
        let envelope = frame.head.envelope;
        let bytes = Bytes::copy_from_slice(frame.payload);
        let place = LogPosition {
            segment: number,
            offset: frame.offset,
        };
        let Ok(block) = StoredBlock::read(place, envelope, bytes) else {
            continue;
        };
        let header = block.header();
        let is_carried = highest
            .get(&header.stream)
            .is_some_and(|facts| facts.ranges.highest() >= header.last_seq());
        if header.stream.lane == Lane::Definitions && !is_carried {
            payloads.push((block.envelope(), block.bytes().clone()));
        }
    }
    append_carried(shared, &payloads)
}

fn append_carried(shared: &Shared, payloads: &[(Envelope, Bytes)]) -> io::Result<()> {
    let (mut carried, mut index) = open_carried(shared)?;
    let mut places = Vec::new();
    for payload in payloads {
        places.push(carried.end());
        carried.append(std::slice::from_ref(payload))?;
    }
    carried.sync()?;
    for ((envelope, bytes), offset) in payloads.iter().zip(places) {
        let place = LogPosition {
            segment: DEFINITIONS,
            offset,
        };
        if let Ok(block) = StoredBlock::read(place, *envelope, bytes.clone()) {
            index.add(offset, envelope.received, &block.facts());
        }
    }
    let meta = SegmentMeta {
        created: index.received.unwrap_or_default().0,
        end: carried.end(),
        file_bytes: carried.end(),
        is_sealed: true,
        index,
    };
    shared
        .log
        .change(|map| map.segments.insert(DEFINITIONS, meta));
    Ok(())
}

/// The file of carried definitions, ready to append; it is made with the first ones. It is scanned
/// each time: it is small, and nothing but its bytes says where its chain stands.
fn open_carried(shared: &Shared) -> io::Result<(SegmentFile, SegmentIndex)> {
    let path = shared.directory.definitions();
    if !path.exists() {
        let file = shared.disk.create(&path, 0)?;
        let header = SegmentHeader {
            writer: shared.origin,
            number: DEFINITIONS,
            created: shared.clock.wall(),
            chain_seed: crc32c::crc32c(&shared.origin.0.to_le_bytes()),
            previous_end: 0,
        };
        let mut carried = SegmentFile::begin(file, &header)?;
        carried.sync()?;
        if let Some(folder) = path.parent() {
            shared.disk.sync_directory(folder)?;
        }
        return Ok((carried, SegmentIndex::default()));
    }
    let scanned = scan(&File::open(&path)?, None, &mut |_| true).map_err(io::Error::other)?;
    let file = shared.disk.open(&path)?;
    let carried = SegmentFile::resume(DEFINITIONS, file, scanned.end, scanned.chain);
    Ok((carried, scanned.index))
}
