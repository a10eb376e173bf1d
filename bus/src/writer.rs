//! The one writer thread: stamps blocks, appends them, makes them durable in groups, publishes.
//!
//! Does: seqs, needs_def, segments and their roll, group commit, what a failed write means.
//! Does not: encode bodies, delete (`keeper`), read.
//! In: [`Command`] from the queue. Out: bytes on disk, then the log's new durable end, the views
//! (last values, gaps), and an answer to each submitter; in this order.
//! Cost at 10,000 resources a minute: some 170 batches a second in 256 KiB blocks or 5 ms groups,
//! so at most 200 wake-ups, writes and fsyncs a second, and one pass of crc32c over the bytes.
//! Invariant: `window` holds all that was appended and is not yet durable, in order; a failed write
//! or fsync ends the segment, and the window goes into a new one under the same seqs.

mod foreign;
pub(crate) mod queue;
mod rescue;
pub(crate) mod segment_file;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use bytes::Bytes;
use ocelli_model::clock::{Monotonic, Rng};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::block::Stamp;
use crate::keeper::{CHORES_MAX, Chore};
use crate::log::SegmentMeta;
use crate::record::{Lane, Seq, StreamId};
use crate::segment::frame::Envelope;
use crate::segment::header::{HEADER_BYTES, SegmentHeader};
use crate::segment::index::SegmentIndex;
use crate::segment::{LogPosition, SegmentNumber};
use crate::shared::{DiskState, Shared};
use crate::statistics::Counters;
use crate::stored::StoredBlock;
use foreign::{Duplicate, ForeignStreams};
use queue::{AppendError, Command, Committed, Submission};
use segment_file::{SegmentFile, frame_bytes};

/// Blocks taken before the window is looked at again.
const BLOCKS_AT_ONCE_MAX: usize = 1_024;
/// Delays of a commit that a block of another node waits: it is durable below already, so that only
/// its latency is at stake, and an fsync costs more than all else that is done for it.
const FOREIGN_DELAYS: u32 = 2;
/// How often a writer with nothing to do looks whether space has returned.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// A block between its stamp and its fsync.
struct Pending {
    block: StoredBlock,
    answer: oneshot::Sender<Result<Committed, AppendError>>,
    room: OwnedSemaphorePermit,
}

/// State of the writer thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    chores: SyncSender<Chore>,
    rng: Box<dyn Rng>,
    next_seq: BTreeMap<StreamId, Seq>,
    last_number: SegmentNumber,
    active: Option<SegmentFile>,
    foreign: ForeignStreams,
    window: Vec<Pending>,
    /// Answered once the window that holds their seqs is durable or refused.
    duplicates: Vec<Duplicate>,
    /// How many of the window are in the active segment.
    written: usize,
    window_bytes: usize,
    /// When the window is made durable, at the latest.
    commit_at: Option<Monotonic>,
}

impl Writer {
    /// A writer behind what recovery found; it begins a segment with its first block.
    pub(crate) fn new(
        shared: Arc<Shared>,
        commands: Receiver<Command>,
        chores: SyncSender<Chore>,
        rng: Box<dyn Rng>,
    ) -> Self {
        let (last_number, next_seq) = shared.log.read(|map| {
            let last = map
                .segments
                .last_key_value()
                .map_or(SegmentNumber(0), |(last, _)| *last);
            let own = Lane::ALL.map(|lane| StreamId {
                origin: shared.origin,
                lane,
            });
            let next = own.map(|stream| (stream, map.highest(stream).next()));
            (last, BTreeMap::from(next))
        });
        Self {
            shared,
            commands,
            chores,
            rng,
            next_seq,
            last_number,
            active: None,
            foreign: ForeignStreams::default(),
            window: Vec::new(),
            duplicates: Vec::new(),
            written: 0,
            window_bytes: 0,
            commit_at: None,
        }
    }

    /// Runs until drained, or until no handle is left.
    pub(crate) fn run(mut self) {
        let mut next = None;
        loop {
            let command = match next.take() {
                Some(command) => Ok(command),
                None => self.commands.recv_timeout(self.wait()),
            };
            match command {
                Ok(command @ (Command::Append(_) | Command::Ingest(_))) => {
                    next = self.take(command);
                }
                Ok(Command::Flush(answer)) => {
                    self.commit();
                    // A caller that no longer waits needs no answer.
                    answer.send(()).ok();
                }
                Ok(Command::Drain(answer)) => {
                    self.finish();
                    answer.send(()).ok();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.commit(),
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
        }
    }

    /// How long to wait for the next command.
    fn wait(&self) -> Duration {
        let now = || self.shared.clock.monotonic();
        self.commit_at.map_or(IDLE_WAIT, |at| at.since(now()))
    }

    /// Takes a block and all that waits behind it, up to a commit's worth; commits if it is time.
    /// Answers what is no block and waits behind them.
    fn take(&mut self, block: Command) -> Option<Command> {
        let mut next = Some(block);
        let mut control = None;
        // Duplicates take no bytes, so they are counted.
        for _ in 0..BLOCKS_AT_ONCE_MAX {
            match next.take() {
                Some(Command::Append(submission)) => self.stamp(submission),
                Some(Command::Ingest(ingestion)) => self.admit(ingestion),
                other => {
                    control = other;
                    break;
                }
            }
            if self.window_bytes >= self.shared.options.commit_bytes {
                break;
            }
            next = self.commands.try_recv().ok();
        }
        let control = control.or(next);
        let is_large = self.window_bytes >= self.shared.options.commit_bytes;
        if is_large || self.wait().is_zero() {
            self.commit();
        } else if let Err(error) = self.write_window() {
            self.rescue(error);
        }
        control
    }

    /// Gives a block its place in its stream.
    fn stamp(&mut self, submission: Submission) {
        let Submission {
            lane,
            mut block,
            answer,
            room,
        } = submission;
        let stream = StreamId {
            origin: self.shared.origin,
            lane,
        };
        let next_definition = self.next_of(self.shared.definitions());
        let first_seq = self.next_of(stream);
        let needs_def = match lane {
            Lane::Data => Seq(next_definition.0 - 1),
            Lane::Definitions => Seq(0),
        };
        block.stamp(&Stamp {
            stream,
            first_seq,
            needs_def,
        });
        let envelope = Envelope::of_block(self.shared.clock.wall());
        let bytes = Bytes::from(block.into_bytes());
        // If memory flipped a bit since the seal, this is the last place where nobody has seen it.
        let block = match StoredBlock::read(LogPosition::default(), envelope, bytes) {
            Ok(block) => block,
            Err(error) => {
                let reason = error.to_string();
                answer
                    .send(Err(AppendError::Disk {
                        attempts: 0,
                        reason,
                    }))
                    .ok();
                return;
            }
        };
        self.next_seq
            .insert(stream, block.header().last_seq().next());
        self.push(Pending {
            block,
            answer,
            room,
        });
    }

    fn push(&mut self, pending: Pending) {
        self.window_bytes += pending.block.bytes().len();
        let is_own = pending.block.header().stream.origin == self.shared.origin;
        let delay = self.shared.options.commit_delay * if is_own { 1 } else { FOREIGN_DELAYS };
        let due = self.shared.clock.monotonic().after(delay);
        self.commit_at = Some(self.commit_at.map_or(due, |at| at.min(due)));
        self.window.push(pending);
    }

    fn next_of(&self, stream: StreamId) -> Seq {
        self.next_seq.get(&stream).copied().unwrap_or(Seq(1))
    }

    // === Appending ===

    /// Appends what is in the window and not yet in the segment.
    fn write_window(&mut self) -> io::Result<()> {
        while self.written < self.window.len() {
            let fitting = self.fitting();
            if fitting == 0 {
                if self.active.is_some() {
                    self.sync_window()?;
                    self.end_segment();
                }
                self.begin_segment()?;
                continue;
            }
            let Some(active) = &mut self.active else {
                return Err(io::Error::other("no segment is open"));
            };
            let batch = &mut self.window[self.written..self.written + fitting];
            let mut offset = active.end();
            let mut payloads = Vec::with_capacity(batch.len());
            for pending in batch {
                pending.block.place(LogPosition {
                    segment: active.number,
                    offset,
                });
                offset = pending.block.next_position().offset;
                payloads.push((pending.block.envelope(), pending.block.bytes().clone()));
            }
            active.append(&payloads)?;
            self.written += fitting;
        }
        Ok(())
    }

    /// How many of the unwritten blocks go into the active segment. A segment that is empty takes
    /// one block in any case.
    fn fitting(&self) -> usize {
        let Some(active) = &self.active else {
            return 0;
        };
        let is_empty = active.end() == HEADER_BYTES as u64;
        let mut end = active.end();
        let fits = |pending: &&Pending| {
            end += frame_bytes(pending.block.bytes());
            end <= self.shared.options.segment_bytes
        };
        let count = self.window[self.written..].iter().take_while(fits).count();
        count.max(usize::from(is_empty))
    }

    /// Opens the next segment, which says where the one before it ends: what was written there
    /// and never became durable is no part of the log, whatever of it the disk kept.
    fn begin_segment(&mut self) -> io::Result<()> {
        let previous_end = self.end_of_last();
        let number = self.last_number.next();
        let file = crate::keeper::take_segment(&self.shared, number)?;
        self.last_number = number;
        let created = self.shared.clock.wall();
        let chain_seed = u32::try_from(self.rng.next_u64() >> 32).unwrap_or(0);
        let writer = self.shared.origin;
        let header = SegmentHeader {
            writer,
            number,
            created,
            chain_seed,
            previous_end,
        };
        self.active = Some(SegmentFile::begin(file, &header)?);
        let meta = SegmentMeta {
            created,
            end: HEADER_BYTES as u64,
            file_bytes: self.shared.options.segment_bytes,
            is_sealed: false,
            index: SegmentIndex::default(),
        };
        self.shared
            .log
            .change(|map| map.segments.insert(number, meta));
        Counters::add(&self.shared.counters.segments_opened, 1);
        self.chore(Chore::PrepareSegment(number.next()));
        Ok(())
    }

    /// Ends a whole segment; the keeper writes its footer.
    fn end_segment(&mut self) {
        if let Some(active) = self.active.take() {
            self.mark_sealed(active.number);
            self.chore(Chore::Seal(active));
        }
    }

    fn mark_sealed(&self, number: SegmentNumber) {
        self.shared.log.change(|map| {
            if let Some(meta) = map.segments.get_mut(&number) {
                meta.is_sealed = true;
            }
        });
    }

    /// Hands work to the keeper. If it is behind, the chore is dropped: a spare is then made by the
    /// writer, a footer by the next start.
    fn chore(&self, chore: Chore) {
        let waiting = &self.shared.chores_waiting;
        let has_place = waiting.fetch_add(1, Ordering::Relaxed) < CHORES_MAX;
        if !has_place || self.chores.try_send(chore).is_err() {
            waiting.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!("segment chores are behind; the next roll will be slower");
        }
    }

    // === Committing ===

    /// Makes the window durable and visible.
    fn commit(&mut self) {
        if self.window.is_empty() {
            return;
        }
        let outcome = self.write_window().and_then(|()| self.sync_window());
        if let Err(error) = outcome {
            self.rescue(error);
        }
    }

    /// One fsync over what is written, then publishes it.
    fn sync_window(&mut self) -> io::Result<()> {
        if self.written == 0 {
            return Ok(());
        }
        let Some(active) = &mut self.active else {
            return Err(io::Error::other("no segment is open"));
        };
        let before = self.shared.clock.monotonic();
        active.sync()?;
        let now = self.shared.clock.monotonic();
        self.shared.counters.fsync_took(now.since(before));
        Counters::add(&self.shared.counters.commits, 1);
        if self.shared.status.borrow().disk == DiskState::Failing {
            self.shared.set_disk(DiskState::Ok);
        }
        self.publish();
        let rest = !self.window.is_empty();
        self.commit_at = rest.then_some(now.after(self.shared.options.commit_delay));
        Ok(())
    }

    /// Shows what is durable: log, views, answers.
    fn publish(&mut self) {
        let mut blocks = Vec::with_capacity(self.written);
        let mut answers = Vec::with_capacity(self.written);
        for pending in self.window.drain(..self.written) {
            self.window_bytes -= pending.block.bytes().len();
            blocks.push(Arc::new(pending.block));
            answers.push((pending.answer, pending.room));
        }
        self.written = 0;
        let counters = &self.shared.counters;
        for block in &blocks {
            Counters::add(&counters.blocks, 1);
            Counters::add(&counters.entries, u64::from(block.header().count));
            Counters::add(&counters.block_bytes, block.bytes().len() as u64);
            let is_ahead = self.foreign.has_hole_before(block);
            self.shared.views.apply(block, is_ahead, counters);
            if block.is_fill() {
                let stream = block.header().stream;
                self.shared.cursors.reopen(stream, &block.brought());
            }
        }
        self.shared.log.publish(&blocks);
        for (block, (answer, _room)) in blocks.iter().zip(answers) {
            let committed = Committed {
                stream: block.header().stream,
                range: block.range(),
                is_duplicate: false,
            };
            // A submitter that no longer waits needs no answer.
            answer.send(Ok(committed)).ok();
        }
        self.answer_duplicates(None);
    }

    /// Commits, seals, ends.
    fn finish(&mut self) {
        self.commit();
        if let Some(active) = self.active.take() {
            self.mark_sealed(active.number);
            if let Err(error) = crate::keeper::seal(&self.shared, active) {
                tracing::warn!(%error, "no footer was written; the next start scans the segment");
            }
        }
        for pending in self.window.drain(..) {
            pending.answer.send(Err(AppendError::Closed)).ok();
        }
        self.answer_duplicates(Some(&AppendError::Closed));
    }
}
