//! The bus of a node: opens the data directory, starts the threads, hands out its parts.
//!
//! Does: assemble. Does not: any of the parts' work.
//! In: a directory, options, clock, chance. Out: [`Bus`] and what recovery found.
//! Threads: one writer, one keeper, [`READ_THREADS`] for reads from disk. They end with
//! [`Bus::drain`], or after the queue is written when the bus is dropped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use ocelli_model::clock::{Clock, Rng};
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot, watch};

use crate::block_reader::BlockReader;
use crate::coverage::{self, CoverageFileError, StreamHead, StreamState};
use crate::cursor_store::{CursorFileError, CursorStore};
use crate::decoder::Record;
use crate::definitions::Definitions;
use crate::directory::{DataDirectory, DirectoryError};
use crate::disk::{Disk, RealDisk};
use crate::event_ledger::EventLedger;
use crate::foreign::ForeignBlock;
use crate::gap_ledger::GapLedger;
use crate::head_mark::HeadMark;
use crate::keeper::{self, Chore};
use crate::last_values::LastValues;
use crate::log::{Log, LogMap};
use crate::options::BusOptions;
use crate::origin::{self, Identity, OriginError};
use crate::origins::{self, OriginFacts, ReaderFacts, Untaken};
use crate::read_pool::ReadFrom;
use crate::read_pool::{self, ChunkCache, ReadRequest};
use crate::reader::{ReadError, Reader, ReaderOptions, TooManyReaders};
use crate::rebuild;
use crate::record::{OriginId, Seq, StreamId};
use crate::recovery::{RecoverError, Recovery, RecoveryReport};
use crate::retention_gaps::OwedGaps;
use crate::segment::LogPosition;
use crate::segment::index::SeqRange;
use crate::seq_ranges::SeqRanges;
use crate::shared::{BusStatus, Shared};
use crate::statistics::{BusStatistics, Counters};
use crate::stored::StoredBlock;
use crate::views::Views;
use crate::writer::Writer;
use crate::writer::queue::{BusHandle, SubmitError, channel_items};

/// Threads that read from disk: two, so that one slow read does not stop all readers.
const READ_THREADS: usize = 2;

/// Why the bus cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The `origin` file.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The segments.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The cursors.
    #[error(transparent)]
    Cursors(#[from] CursorFileError),
    /// What retention removed.
    #[error(transparent)]
    Coverage(#[from] CoverageFileError),
    /// What the views hold cannot be read.
    #[error("cannot read the last values back: {0}; check the disk")]
    Rebuild(std::io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread of the bus: {0}; raise the limit of threads")]
    Thread(std::io::Error),
}

/// A node's bus. All methods take `&self`: share it behind an `Arc`.
pub struct Bus {
    shared: Arc<Shared>,
    handle: BusHandle,
    chores: SyncSender<Chore>,
    requests: SyncSender<ReadRequest>,
    readers: Arc<AtomicUsize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Bus {
    /// Opens the bus of `directory` on the real disk.
    ///
    /// # Errors
    /// [`OpenError`]; then nothing runs and the directory is free again.
    pub fn open(
        directory: &Path,
        options: BusOptions,
        clock: Arc<dyn Clock>,
        rng: Box<dyn Rng>,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        Self::open_on(directory, options, Arc::new(RealDisk), (clock, rng))
    }

    /// Opens the bus on any disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        directory: &Path,
        options: BusOptions,
        disk: Arc<dyn Disk>,
        edges: (Arc<dyn Clock>, Box<dyn Rng>),
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let (clock, mut rng) = edges;
        let directory = DataDirectory::open(directory)?;
        let identity = origin::identify(&directory.origin(), rng.as_mut())?;
        let removed = coverage::load(&directory.coverage())?;
        let (map, mut report) = Recovery::run(&directory, disk.as_ref(), removed)?;
        let cursors = CursorStore::load(&directory.cursors())?;
        let Identity {
            origin,
            before,
            is_forsaken,
            forsaken,
        } = identity;
        report.origin = origin;
        // Said at each start until something stands under the new one.
        let has_data = map.highest(StreamId::data(origin)) > Seq(0);
        report.copied_from = before.filter(|_| !has_data);
        report.is_rolled_back = is_forsaken && report.copied_from.is_some();
        let shared = Arc::new(Shared {
            directory,
            disk,
            clock,
            origin,
            forsaken,
            log: Log::new(map, options.tail_bytes_max),
            counters: Counters::default(),
            status: watch::Sender::new(BusStatus::default()),
            next_id: AtomicU32::new(1),
            chores_waiting: AtomicUsize::new(0),
            spare: Mutex::new(None),
            directories: Mutex::default(),
            views: Views::new(&options),
            cursors,
            options,
        });
        report.last_values = rebuild::run(&shared).map_err(OpenError::Rebuild)?;
        let bus = Self::start(shared, rng).map_err(OpenError::Thread)?;
        Ok((bus, report))
    }

    fn start(shared: Arc<Shared>, rng: Box<dyn Rng>) -> std::io::Result<Self> {
        let (commands, commands_in) = sync_channel(channel_items(shared.options.queue_bytes_max));
        let (chores, chores_in) = sync_channel(keeper::CHORES_MAX + keeper::CONTROL_CHORES);
        let (requests, requests_in) = sync_channel(2 * shared.options.readers_max);
        let writer = Writer::new(Arc::clone(&shared), commands_in, chores.clone(), rng);
        let mut threads = vec![spawn("bus-writer", move || writer.run())?];
        let keeper = Arc::clone(&shared);
        let handle = BusHandle::new(Arc::clone(&shared), commands);
        origins::describe(&shared, &handle);
        let owed = OwedGaps::new(handle.clone());
        let work = move || keeper::run(&keeper, &chores_in, owed);
        threads.push(spawn("bus-keeper", work)?);
        let requests_in = Arc::new(Mutex::new(requests_in));
        let cache = Arc::new(Mutex::new(ChunkCache::default()));
        for number in 0..READ_THREADS {
            let (shared, requests) = (Arc::clone(&shared), Arc::clone(&requests_in));
            let cache = Arc::clone(&cache);
            let work = move || read_pool::run(&shared, &requests, &cache);
            threads.push(spawn(&format!("bus-read-{number}"), work)?);
        }
        let readers = Arc::new(AtomicUsize::new(0));
        let threads = Mutex::new(threads);
        Ok(Self {
            shared,
            handle,
            chores,
            requests,
            readers,
            threads,
        })
    }

    /// The way to append.
    #[must_use]
    pub fn handle(&self) -> BusHandle {
        self.handle.clone()
    }

    /// Opens a reader.
    ///
    /// # Errors
    /// [`TooManyReaders`] beyond [`BusOptions::readers_max`].
    pub fn reader(&self, options: ReaderOptions) -> Result<Reader, TooManyReaders> {
        let blocks = self.follow_blocks(options.from.clone())?;
        Ok(Reader::new(blocks, options))
    }

    /// Opens a reader of whole blocks, lane 1 included. With [`ReadFrom::Taken`] it passes over the
    /// blocks all of whose seqs were taken.
    ///
    /// # Errors
    /// [`TooManyReaders`] beyond [`BusOptions::readers_max`].
    pub fn follow_blocks(&self, from: ReadFrom) -> Result<BlockReader, TooManyReaders> {
        let (shared, open) = (Arc::clone(&self.shared), Arc::clone(&self.readers));
        BlockReader::new(shared, self.requests.clone(), open, from)
    }

    /// Blocks of a stream that hold seqs of `range`, ascending, about `bytes_max` bytes of them but
    /// at least one, if any is held. What retention took, or never came, is absent. Two blocks may
    /// share seqs; of each seq at least one block is answered.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn blocks_of(
        &self,
        stream: StreamId,
        range: SeqRange,
        bytes_max: usize,
    ) -> Result<Vec<Arc<StoredBlock>>, ReadError> {
        let (answer, answered) = oneshot::channel();
        let request = ReadRequest::Blocks {
            stream,
            range,
            bytes_max,
            answer,
        };
        self.read(request, answered).await
    }

    /// The mark of a record; `None` if it is not held, whether it once was or not.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn mark_of(&self, stream: StreamId, seq: Seq) -> Result<Option<HeadMark>, ReadError> {
        let (answer, answered) = oneshot::channel();
        let request = ReadRequest::Mark {
            stream,
            seq,
            answer,
        };
        self.read(request, answered).await
    }

    async fn read<T>(
        &self,
        request: ReadRequest,
        answered: oneshot::Receiver<std::io::Result<T>>,
    ) -> Result<T, ReadError> {
        self.requests
            .try_send(request)
            .map_err(|error| match error {
                TrySendError::Full(_) => ReadError::Busy,
                TrySendError::Disconnected(_) => ReadError::Closed,
            })?;
        let answer = answered.await.map_err(|_| ReadError::Closed)?;
        answer.map_err(|source| ReadError::Io {
            position: LogPosition::default(),
            source,
        })
    }

    /// What of each stream is held durably, or was held and has been removed by retention since.
    #[must_use]
    pub fn coverage(&self) -> Vec<(StreamId, SeqRanges)> {
        let row = |(stream, state): (&StreamId, &StreamState)| (*stream, state.covered.clone());
        let log = &self.shared.log;
        log.read(|map| map.streams.iter().map(row).collect())
    }

    /// The same of one stream; nothing of one that is unknown.
    #[must_use]
    pub fn coverage_of(&self, stream: StreamId) -> SeqRanges {
        self.shared.log.read(|map| map.covered(stream))
    }

    /// What of each stream is covered by skips alone: policies on the way withheld it, and another
    /// path may still bring it. Streams of which nothing is are left out.
    #[must_use]
    pub fn skipped(&self) -> Vec<(StreamId, SeqRanges)> {
        let row = |(stream, state): (&StreamId, &StreamState)| (*stream, state.skipped.clone());
        let is_some = |(_, state): &(&StreamId, &StreamState)| !state.skipped.is_empty();
        let log = &self.shared.log;
        log.read(|map| map.streams.iter().filter(is_some).map(row).collect())
    }

    /// The same of one stream.
    #[must_use]
    pub fn skipped_of(&self, stream: StreamId) -> SeqRanges {
        self.shared.log.read(|map| map.skipped(stream))
    }

    /// The seqs of a stream whose entries stand here: neither skips nor removed by retention.
    #[must_use]
    pub fn held_of(&self, stream: StreamId) -> SeqRanges {
        self.shared.log.read(|map| map.held(stream))
    }

    /// What retention took of a stream before a reader had it that has `taken`.
    #[must_use]
    pub fn lost_to(&self, stream: StreamId, taken: &SeqRanges) -> SeqRanges {
        self.shared.log.read(|map| map.lost_to(stream, taken))
    }

    /// Whether all that a block would bring is held durably, or was.
    #[must_use]
    pub fn holds(&self, block: &ForeignBlock) -> bool {
        let (stream, range) = (block.stream(), block.range());
        let holds = |map: &LogMap| map.holds(stream, range, &block.skipped());
        self.shared.log.read(holds)
    }

    /// The newest record of a stream that is held, or was.
    #[must_use]
    pub fn head_mark(&self, stream: StreamId) -> Option<HeadMark> {
        self.head(stream).map(|head| head.mark)
    }

    /// The same, with the time at which this node took it.
    #[must_use]
    pub fn head(&self, stream: StreamId) -> Option<StreamHead> {
        self.shared.log.read(|map| map.streams.get(&stream)?.head)
    }

    /// What each durable cursor has yet to take, by name.
    #[must_use]
    pub fn reader_facts(&self) -> Vec<ReaderFacts> {
        origins::readers(&self.shared)
    }

    /// Data held that is not in `taken`, by origin.
    #[must_use]
    pub fn untaken(&self, taken: &BTreeMap<StreamId, SeqRanges>) -> Vec<Untaken> {
        origins::untaken(&self.shared, taken)
    }

    /// What is held of each origin, by origin.
    #[must_use]
    pub fn origins(&self) -> Vec<OriginFacts> {
        origins::facts(&self.shared)
    }

    /// [`BusOptions::readers_max`].
    #[must_use]
    pub fn readers_max(&self) -> usize {
        self.shared.options.readers_max
    }

    /// Readers that are open now, at most [`BusOptions::readers_max`].
    #[must_use]
    pub fn open_readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// The origin that appends here.
    #[must_use]
    pub fn origin(&self) -> OriginId {
        self.shared.origin
    }

    /// Former origins that upper tiers hold otherwise: they never go up. The latest last.
    #[must_use]
    pub fn forsaken(&self) -> &[OriginId] {
        &self.shared.forsaken
    }

    /// The last batch and session of each pair.
    #[must_use]
    pub fn last_values(&self) -> &LastValues {
        &self.shared.views.last_values
    }

    /// What ids mean, and the records of entries.
    #[must_use]
    pub fn definitions(&self) -> &Definitions {
        &self.shared.views.definitions
    }

    /// The gaps that are known.
    #[must_use]
    pub fn gaps(&self) -> &GapLedger {
        &self.shared.views.gaps
    }

    /// The newest events.
    #[must_use]
    pub fn events(&self) -> &EventLedger {
        &self.shared.views.events
    }

    /// The node's clock.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// What the disk has no room for, from now on.
    pub(crate) fn volatile(&self) -> broadcast::Receiver<Arc<Record>> {
        self.shared.views.volatile.follow()
    }

    /// The durable cursors.
    #[must_use]
    pub fn cursors(&self) -> &CursorStore {
        &self.shared.cursors
    }

    /// Where the durable part of the log ends.
    #[must_use]
    pub fn durable_end(&self) -> LogPosition {
        self.shared.log.durable_end()
    }

    /// How the bus is, and when that changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<BusStatus> {
        self.shared.status.subscribe()
    }

    /// The bus's numbers now.
    #[must_use]
    pub fn statistics(&self) -> BusStatistics {
        let mut statistics = self.shared.counters.snapshot();
        statistics.queue_bytes = self.handle.queue_bytes() as u64;
        statistics.queue_bytes_max = self.shared.options.queue_bytes_max as u64;
        statistics.tail_bytes = self.shared.log.tail_bytes() as u64;
        let sum = |map: &LogMap| {
            let bytes = map.segments.values().map(|meta| meta.file_bytes).sum();
            (map.segments.len() as u64, bytes)
        };
        (statistics.segments, statistics.segment_bytes) = self.shared.log.read(sum);
        statistics
    }

    /// Does now what is done each second: saves cursors, retires segments, looks at free space.
    ///
    /// # Errors
    /// [`SubmitError::QueueFull`] or [`SubmitError::Closed`].
    pub async fn tend(&self) -> Result<(), SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.chores
            .try_send(Chore::Tick(answer))
            .map_err(|_| SubmitError::QueueFull)?;
        answered.await.map_err(|_| SubmitError::Closed)
    }

    /// Writes what is queued, saves checkpoint and cursors, ends the threads. Handles and readers
    /// that are left answer `Closed`.
    ///
    /// # Errors
    /// [`SubmitError::Closed`] if it was drained before.
    pub async fn drain(&self) -> Result<(), SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.handle.send_drain(answer)?;
        answered.await.map_err(|_| SubmitError::Closed)?;
        let (answer, answered) = oneshot::channel();
        self.chores
            .try_send(Chore::End(answer))
            .map_err(|_| SubmitError::Closed)?;
        answered.await.map_err(|_| SubmitError::Closed)
    }
}

impl Drop for Bus {
    /// Ends writer and keeper if [`Bus::drain`] did not; waits for them, so that the directory is
    /// free afterwards.
    fn drop(&mut self) {
        let (answer, _) = oneshot::channel();
        let is_drained = self.handle.send_drain(answer).is_err();
        let (answer, _) = oneshot::channel();
        let threads: Vec<_> = self.threads.lock().drain(..).collect();
        let mut threads = threads.into_iter();
        if let Some(writer) = threads.next() {
            join(writer);
        }
        if !is_drained {
            // The keeper may have ended by itself; then there is nobody to tell.
            self.chores.try_send(Chore::End(answer)).ok();
        }
        if let Some(keeper) = threads.next() {
            join(keeper);
        }
        // The reading threads end with the last reader.
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the bus panicked");
    }
}
