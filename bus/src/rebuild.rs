//! Rebuilds at a start what is kept in memory: definitions, last values, gaps, events.
//!
//! Does: read lane 1, the blocks that checkpoint and indexes name, then what came after it.
//! Does not: recover segments (`recovery`).
//! In: checkpoint and log. Out: views as they were. A checkpoint is written at each roll and at a
//! drain, so what comes after it is one segment as a rule; without one, the newest
//! [`SEGMENTS_WITHOUT_CHECKPOINT`] are read; what stands before them shows up with its next slot.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::block_index;
use crate::last_values::{Checkpoint, Place};
use crate::log::{SegmentMeta, start_of};
use crate::read_pool::{read_block, read_chunk};
use crate::record::Lane;
use crate::segment::index::{SegmentIndex, SeqRange};
use crate::segment::{LogPosition, SegmentNumber};
use crate::shared::Shared;
use crate::statistics::Counters;
use crate::stored::{Entry, is_statement};

/// Segments that are read where the checkpoint is missing: some minutes at full load.
const SEGMENTS_WITHOUT_CHECKPOINT: usize = 2;
/// Longest checkpoint that is read, bytes.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Rebuilds the views. Answers how many last entries there are.
pub(crate) fn run(shared: &Shared) -> io::Result<u64> {
    let highest_id = read_definitions(shared)?;
    shared
        .next_id
        .store(highest_id.saturating_add(1), Ordering::Relaxed);
    let checkpoint = load(shared)?;
    let mut position = match &checkpoint {
        Some(checkpoint) => {
            if let Err(error) = shared.views.gaps.restore_filled(&checkpoint.filled) {
                tracing::warn!(%error, "gaps that were healed show again");
            }
            restore(shared, &checkpoint.places)?;
            checkpoint.end
        }
        None => shared.log.read(|map| {
            let newest = map
                .segments
                .keys()
                .rev()
                .take(SEGMENTS_WITHOUT_CHECKPOINT)
                .min();
            newest.map_or(LogPosition::default(), |number| start_of(*number))
        }),
    };
    read_gaps(shared, position)?;
    read_heads(shared)?;
    let end = shared.log.durable_end();
    // Each chunk moves the position on or is the last one.
    while position < end {
        let chunk = read_chunk(shared, position)?;
        let data = chunk
            .blocks
            .iter()
            .filter(|block| block.header().stream.lane == Lane::Data);
        for block in data {
            // Which holes there were as it came is not known any more.
            let is_ahead = block.header().stream.origin != shared.origin;
            shared.views.apply(block, is_ahead, &shared.counters);
            // Cursors may have been saved before it came; what was taken since comes again.
            if block.is_fill() {
                let stream = block.header().stream;
                shared.cursors.reopen(stream, &block.brought());
            }
        }
        if chunk.next <= position {
            break;
        }
        position = chunk.next;
    }
    shared.log.change(|map| {
        map.segments
            .values_mut()
            .for_each(|meta| meta.index.forget_entries());
    });
    Ok(shared.views.last_values.len() as u64)
}

/// Reads all of lane 1. Answers the highest id of this origin.
fn read_definitions(shared: &Shared) -> io::Result<u32> {
    let places = places(shared, |index| &index.definition_blocks);
    let mut highest = 0;
    for place in places {
        if let Some(block) = read_block(shared, place)? {
            let (id, unusable) = shared.views.definitions.apply(&block);
            Counters::add(&shared.counters.unusable_definitions, unusable);
            if block.header().stream.origin == shared.origin {
                highest = highest.max(id);
            }
        }
    }
    Ok(highest)
}

/// Reads the newest block of each stream whose segments were sealed by a version that did not note
/// its mark.
fn read_heads(shared: &Shared) -> io::Result<()> {
    let unknown: Vec<_> = shared.log.read(|map| {
        let without = map.streams.iter().filter(|(_, state)| state.head.is_none());
        let last = without.map(|(stream, state)| (*stream, state.covered.highest()));
        last.collect()
    });
    for (stream, seq) in unknown {
        let range = SeqRange {
            first: seq,
            last: seq,
        };
        for block in block_index::blocks(shared, stream, range, 0)? {
            shared.log.change(|map| {
                let state = map.streams.entry(stream).or_default();
                state.note_head(&block);
            });
        }
    }
    Ok(())
}

/// Reads the newest blocks with gaps or events before `until`, as many as the ledger may have
/// ranges.
fn read_gaps(shared: &Shared, until: LogPosition) -> io::Result<()> {
    let mut places = places(shared, |index| &index.gap_blocks);
    places.retain(|place| *place < until);
    let surplus = places.len().saturating_sub(shared.options.gap_ranges_max);
    for place in places.into_iter().skip(surplus) {
        let Some(block) = read_block(shared, place)? else {
            continue;
        };
        let block = Arc::new(block);
        for (index, view) in block.entries().iter().enumerate() {
            if is_statement(view.head.kind) && !block.is_fenced() {
                Entry::new(&block, index)
                    .iter()
                    .for_each(|entry| shared.views.note_statement(entry));
            }
        }
    }
    Ok(())
}

/// Places of noted blocks in log order.
fn places(shared: &Shared, noted: impl Fn(&SegmentIndex) -> &Vec<u64>) -> Vec<LogPosition> {
    shared.log.read(|map| {
        let segments = map.segments.iter();
        let of_segment = |(number, meta): (&SegmentNumber, &SegmentMeta)| {
            let segment = *number;
            let offsets = noted(&meta.index).clone().into_iter();
            offsets.map(move |offset| LogPosition { segment, offset })
        };
        segments.flat_map(of_segment).collect()
    })
}

fn load(shared: &Shared) -> io::Result<Option<Checkpoint>> {
    let path = shared.directory.checkpoint();
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() > CHECKPOINT_BYTES_MAX => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let checkpoint = Checkpoint::decode(&std::fs::read(&path)?);
    if checkpoint.is_none() {
        tracing::warn!(
            ?path,
            "the checkpoint of last values is damaged; segments are read instead"
        );
    }
    // One that is ahead of the log belongs to a log that lost its end.
    Ok(checkpoint.filter(|checkpoint| checkpoint.end <= shared.log.durable_end()))
}

/// Places ascend, so each block is read once.
fn restore(shared: &Shared, places: &[Place]) -> io::Result<()> {
    for of_block in places.chunk_by(|one, other| one.block == other.block) {
        let Some(block) = of_block.first().map(|place| place.block) else {
            continue;
        };
        // Retention may have taken it since.
        let Some(block) = read_block(shared, block)? else {
            continue;
        };
        let block = Arc::new(block);
        for place in of_block {
            shared
                .views
                .apply_entry(&block, (place.index as usize, false), &shared.counters);
        }
    }
    Ok(())
}
