//! The keeper thread: all file work that must not delay an append.
//!
//! Does: prepare the next segment, seal ended ones, save cursors and checkpoints, carry out
//! retention, watch free space. Does not: append (`writer`), decide retention (`retention`).
//! In: [`Chore`] from the writer, a tick each second. Out: files; the status of the disk.
//! Full: the queue holds [`CHORES_MAX`]; a chore beyond it is dropped by the writer, which then
//! does the work itself (next segment) or leaves it to the next start (footer).

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::disk::LogFile;
use crate::log::LogMap;
use crate::retention_gaps::OwedGaps;
use crate::retire;
use crate::segment::SegmentNumber;
use crate::shared::{DiskState, Shared, Spare, is_full};
use crate::space::{AppendRate, full_in_seconds};
use crate::statistics::Counters;
use crate::writer::segment_file::SegmentFile;

/// Chores that wait at most: a writer that rolls faster than this many seals is I/O bound anyway.
pub(crate) const CHORES_MAX: usize = 16;
/// Places of the queue beside the writer's: ticks that are asked for, and the end.
pub(crate) const CONTROL_CHORES: usize = 16;
/// How often cursors are saved, retention is asked and space is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Work for the keeper.
pub(crate) enum Chore {
    /// Make this segment's file ready.
    PrepareSegment(SegmentNumber),
    /// Write the footer of an ended segment.
    Seal(SegmentFile),
    /// Do all that a tick does, now, and answer.
    Tick(oneshot::Sender<()>),
    /// Save everything, answer, end.
    End(oneshot::Sender<()>),
}

/// Runs until it is told to end or nobody can tell it any more.
pub(crate) fn run(shared: &Shared, chores: &Receiver<Chore>, mut owed: OwedGaps) {
    let mut rate = AppendRate::default();
    loop {
        match chores.recv_timeout(TICK) {
            Ok(Chore::PrepareSegment(number)) => {
                shared.chores_waiting.fetch_sub(1, Ordering::Relaxed);
                prepare(shared, number);
            }
            Ok(Chore::Seal(active)) => {
                shared.chores_waiting.fetch_sub(1, Ordering::Relaxed);
                if let Err(error) = seal(shared, active) {
                    tracing::warn!(%error, "no footer written; the next start scans the segment");
                }
                save_checkpoint(shared);
            }
            Ok(Chore::Tick(answer)) => {
                tick(shared, &mut owed, &mut rate);
                // A caller that no longer waits needs no answer.
                answer.send(()).ok();
            }
            Ok(Chore::End(answer)) => {
                end(shared);
                answer.send(()).ok();
                return;
            }
            Err(RecvTimeoutError::Timeout) => tick(shared, &mut owed, &mut rate),
            Err(RecvTimeoutError::Disconnected) => return end(shared),
        }
    }
}

fn tick(shared: &Shared, owed: &mut OwedGaps, rate: &mut AppendRate) {
    save_cursors(shared);
    owed.pay(shared);
    if let Err(error) = retire::retire(shared, owed) {
        tracing::warn!(%error, "retention did not finish; it goes on in a second");
    }
    look_at_space(shared, rate);
}

fn end(shared: &Shared) {
    save_cursors(shared);
    save_checkpoint(shared);
    if let Some(spare) = shared.spare.lock().take() {
        let path = shared.directory.segment(spare.number);
        if let Err(error) = shared.disk.remove(&path) {
            tracing::warn!(%error, ?path, "an unused segment stays; the next start removes it");
        }
    }
    shared.directory.release();
}

// === Segments ===

/// The file of segment `number`: the spare one, or a new one.
pub(crate) fn take_segment(shared: &Shared, number: SegmentNumber) -> io::Result<Box<dyn LogFile>> {
    let mut slot = shared.spare.lock();
    if let Some(spare) = slot.take_if(|spare| spare.number == number) {
        return Ok(spare.file);
    }
    // A full disk is found free by the keeper, not by trying again with each block.
    if shared.status.borrow().disk == DiskState::Full {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Counters::add(&shared.counters.segments_waited_for, 1);
    make_segment(shared, number)
}

/// Makes the next segment ready, unless the writer was faster.
fn prepare(shared: &Shared, number: SegmentNumber) {
    let mut slot = shared.spare.lock();
    let last = shared
        .log
        .read(|map| map.segments.last_key_value().map(|(last, _)| *last));
    if slot.is_some() || last.is_some_and(|last| last >= number) {
        return;
    }
    match make_segment(shared, number) {
        Ok(file) => {
            *slot = Some(Spare { number, file });
            drop(slot);
            if shared.status.borrow().disk == DiskState::Full {
                tracing::info!("the disk has space again");
                shared.set_disk(DiskState::Ok);
            }
        }
        Err(error) if is_full(&error) => {
            tracing::warn!(%error, "no space for the next segment");
            lower_to(shared, DiskState::Low);
        }
        Err(error) => tracing::warn!(%error, segment = number.0, "the next segment was not made"),
    }
}

fn make_segment(shared: &Shared, number: SegmentNumber) -> io::Result<Box<dyn LogFile>> {
    let folder = shared.directory.segments();
    let needed = shared.options.segment_bytes + shared.options.spare_space_bytes;
    if shared.disk.free_bytes(&folder)? < needed {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let path = shared.directory.segment(number);
    let file = shared.disk.create(&path, shared.options.segment_bytes)?;
    shared.disk.sync_directory(&folder)?;
    Ok(file)
}

/// Writes a segment's footer.
pub(crate) fn seal(shared: &Shared, active: SegmentFile) -> io::Result<()> {
    let number = active.number;
    let index = shared
        .log
        .read(|map| map.segments.get(&number).map(|meta| meta.index.clone()));
    let Some(index) = index else {
        return Ok(());
    };
    let bytes = active.seal(&index)?;
    shared.log.change(|map| {
        if let Some(meta) = map.segments.get_mut(&number) {
            meta.file_bytes = bytes;
            meta.index.forget_entries();
        }
    });
    Ok(())
}

// === Space ===

fn look_at_space(shared: &Shared, rate: &mut AppendRate) {
    let free_bytes = match shared.disk.free_bytes(&shared.directory.segments()) {
        Ok(free_bytes) => free_bytes,
        Err(error) => {
            tracing::warn!(%error, "cannot ask for free space");
            return;
        }
    };
    let full_in_seconds = forecast(shared, free_bytes, rate);
    shared.status.send_if_modified(|status| {
        let before = *status;
        (status.free_bytes, status.full_in_seconds) = (free_bytes, full_in_seconds);
        *status != before
    });
    let disk = shared.status.borrow().disk;
    match disk {
        DiskState::Full => {
            let last = shared
                .log
                .read(|map| map.segments.last_key_value().map(|(last, _)| *last));
            prepare(shared, last.unwrap_or_default().next());
        }
        DiskState::Ok if free_bytes < shared.options.low_space_bytes => {
            tracing::warn!(free_bytes, "the disk is nearly full");
            shared.set_disk(DiskState::Low);
        }
        DiskState::Low if free_bytes >= shared.options.low_space_bytes => {
            shared.set_disk(DiskState::Ok);
        }
        DiskState::Ok | DiskState::Low | DiskState::Failing => {}
    }
}

fn forecast(shared: &Shared, free_bytes: u64, rate: &mut AppendRate) -> Option<u64> {
    let appended = shared.counters.block_bytes.load(Ordering::Relaxed);
    let rate = rate.observe(shared.clock.monotonic(), appended)?;
    let sum = |map: &LogMap| map.segments.values().map(|meta| meta.file_bytes).sum();
    let held: u64 = shared.log.read(sum);
    full_in_seconds(rate, held, free_bytes, &shared.options)
}

fn lower_to(shared: &Shared, state: DiskState) {
    if shared.status.borrow().disk == DiskState::Ok {
        shared.set_disk(state);
    }
}

// === Small files ===

fn save_cursors(shared: &Shared) {
    let path = shared.directory.cursors();
    if let Err(error) = shared.cursors.save(shared.disk.as_ref(), &path) {
        tracing::warn!(%error, "cursors were not saved; readers may see entries again");
    }
}

fn save_checkpoint(shared: &Shared) {
    let path = shared.directory.checkpoint();
    let bytes = shared
        .views
        .last_values
        .checkpoint(shared.log.durable_end(), shared.views.gaps.filled());
    if let Err(error) = shared.disk.replace(&path, &bytes) {
        tracing::warn!(%error, "last values were not saved; the next start reads more segments");
    }
}
