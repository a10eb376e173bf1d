//! Rebuilds at a start what is kept in memory: last values.
//!
//! Does: read the blocks that the checkpoint names, then what came after it. Does not: recover
//! segments (`recovery`).
//! In: checkpoint and log. Out: views as they were. A checkpoint is written at each roll and at a
//! drain, so what comes after it is one segment as a rule; without one, the newest
//! [`SEGMENTS_WITHOUT_CHECKPOINT`] are read; what stands before them shows up with its next slot.

use std::io;

use crate::last_values::{Checkpoint, Place};
use crate::log::start_of;
use crate::read_pool::{read_block, read_chunk};
use crate::segment::LogPosition;
use crate::shared::Shared;

/// Segments that are read where the checkpoint is missing: some minutes at full load.
const SEGMENTS_WITHOUT_CHECKPOINT: usize = 2;
/// Longest checkpoint that is read, bytes.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Rebuilds the views. Answers how many last entries there are.
pub(crate) fn run(shared: &Shared) -> io::Result<u64> {
    let checkpoint = load(shared)?;
    let mut position = match &checkpoint {
        Some(checkpoint) => {
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
    let end = shared.log.durable_end();
    // Each chunk moves the position on or is the last one.
    while position < end {
        let chunk = read_chunk(shared, position)?;
        for block in &chunk.blocks {
            shared.last_values.apply(block, &shared.counters);
        }
        if chunk.next <= position {
            break;
        }
        position = chunk.next;
    }
    Ok(shared.last_values.len() as u64)
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
        for place in of_block {
            shared
                .last_values
                .apply_entry(&block, place.index as usize, &shared.counters);
        }
    }
    Ok(())
}
