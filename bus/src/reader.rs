//! Readers: from a place in the log on, from disk first, then live, without a seam.
//!
//! Does: follow the durable end, pick entries by their heads, keep what was taken per stream.
//! Does not: read files itself (`read_pool`), decode bodies, wait on a sender.
//! In: [`ReaderOptions`]. Out: [`Delivery`]s in log order: within a stream, seqs ascend.
//! Slow: a reader that leaves the live tail reads from disk; it holds nothing back but its own
//! chunk. One that retention overtakes is told so ([`Delivery::Trimmed`]) and goes on.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;

use tokio::sync::{oneshot, watch};

use crate::block::EntryHead;
use crate::read_pool::{CHUNK_BYTES, Chunk, ReadFrom, ReadRequest};
use crate::record::{Lane, StreamId};
use crate::segment::LogPosition;
use crate::segment::index::SeqRange;
use crate::seq_ranges::SeqRanges;
use crate::shared::Shared;
use crate::statistics::Counters;
use crate::stored::{Entry, StoredBlock};

/// Most readers open at once.
pub const READERS_MAX: usize = 1_024;

/// Picks entries by what is known without their bodies.
pub type EntryFilter = Box<dyn FnMut(StreamId, &EntryHead) -> bool + Send>;

/// What a reader wants.
pub struct ReaderOptions {
    /// Where it begins.
    pub from: ReadFrom,
    /// Whether it wants the definitions too.
    pub has_definitions: bool,
    /// Which entries it wants; the others count as taken.
    pub wants: EntryFilter,
}

impl ReaderOptions {
    /// All data entries from a place on.
    #[must_use]
    pub fn from(from: ReadFrom) -> Self {
        Self {
            from,
            has_definitions: false,
            wants: Box::new(|_, _| true),
        }
    }

    /// The same, for entries that `wants` picks.
    #[must_use]
    pub fn only(
        mut self,
        wants: impl FnMut(StreamId, &EntryHead) -> bool + Send + 'static,
    ) -> Self {
        self.wants = Box::new(wants);
        self
    }

    /// The same, with lane 1.
    #[must_use]
    pub fn with_definitions(mut self) -> Self {
        self.has_definitions = true;
        self
    }
}

/// What a reader gets.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// Entries in log order, never none.
    Entries(Vec<Entry>),
    /// Retention was faster: what lay between is gone and covered by gaps in the log.
    Trimmed {
        /// Where the reader was.
        from: LogPosition,
        /// Where it goes on.
        to: LogPosition,
    },
}

/// Why a reader cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot open another reader: {READERS_MAX} is the limit; close one")]
pub struct TooManyReaders;

/// Why reading ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk refused.
    #[error("cannot read the log at {position}: {source}; check the disk")]
    Io {
        /// Where.
        position: LogPosition,
        /// As the kernel said.
        source: io::Error,
    },
    /// The bus is gone.
    #[error("the bus is closed; open it again")]
    Closed,
}

/// A reader. Cheap while it waits; dropping it ends it.
pub struct Reader {
    shared: Arc<Shared>,
    requests: SyncSender<ReadRequest>,
    open: Arc<AtomicUsize>,
    end: watch::Receiver<LogPosition>,
    /// Until the first read.
    start: Option<ReadFrom>,
    position: LogPosition,
    has_definitions: bool,
    wants: EntryFilter,
    taken: BTreeMap<StreamId, SeqRanges>,
}

impl Reader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        requests: SyncSender<ReadRequest>,
        open: Arc<AtomicUsize>,
        options: ReaderOptions,
    ) -> Result<Self, TooManyReaders> {
        let take = |count: usize| (count < READERS_MAX).then_some(count + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|_| TooManyReaders)?;
        let end = shared.log.watch_end();
        // "Now" is when the reader was opened, not when it first reads.
        let (start, position) = match options.from {
            ReadFrom::Now => (None, shared.log.durable_end()),
            from => (Some(from), LogPosition::default()),
        };
        let taken = match &start {
            Some(ReadFrom::Taken(taken)) => taken.clone(),
            _ => BTreeMap::new(),
        };
        let (has_definitions, wants) = (options.has_definitions, options.wants);
        Ok(Self {
            shared,
            requests,
            open,
            end,
            start,
            position,
            has_definitions,
            wants,
            taken,
        })
    }

    /// The next entries, as soon as there are some that the reader wants. Safe to cancel: what was
    /// not delivered is delivered by the next call.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it was.
    pub async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            if let Some(delivery) = self.next_held().await? {
                return Ok(delivery);
            }
            self.end.changed().await.map_err(|_| ReadError::Closed)?;
        }
    }

    /// The next entries among those that are durable now; `None` once there are no more. For
    /// bounded reads.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it was.
    pub async fn next_held(&mut self) -> Result<Option<Delivery>, ReadError> {
        self.begin().await?;
        // Marked as seen before reading, so that a commit in between wakes the next wait.
        let end = *self.end.borrow_and_update();
        while self.position < end {
            if let Some(blocks) = self.shared.log.tail_from(self.position, CHUNK_BYTES) {
                Counters::add(&self.shared.counters.tail_reads, 1);
                let Some(last) = blocks.last() else {
                    self.position = end;
                    break;
                };
                self.position = last.next_position();
                if let Some(delivery) = self.pick(&blocks) {
                    return Ok(Some(delivery));
                }
                continue;
            }
            let from = self.position;
            let chunk = self.chunk(from).await?;
            self.position = chunk.next;
            if chunk.is_trimmed {
                return Ok(Some(Delivery::Trimmed {
                    from,
                    to: chunk.next,
                }));
            }
            if let Some(delivery) = self.pick(&chunk.blocks) {
                return Ok(Some(delivery));
            }
            if chunk.blocks.is_empty() && chunk.next == from {
                break;
            }
        }
        Ok(None)
    }

    /// Where the next block will be read.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// What of each stream was delivered or passed over: a cursor to go on from.
    #[must_use]
    pub fn taken(&self) -> &BTreeMap<StreamId, SeqRanges> {
        &self.taken
    }

    /// Whether it reads what has just been written, not from disk.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.start.is_none() && self.shared.log.tail_from(self.position, 0).is_some()
    }

    async fn begin(&mut self) -> Result<(), ReadError> {
        let Some(from) = self.start.clone() else {
            return Ok(());
        };
        let (answer, answered) = oneshot::channel();
        self.ask(ReadRequest::Seek { from, answer })?;
        let position = answered.await.map_err(|_| ReadError::Closed)?;
        self.position = position.map_err(|source| self.io_error(source))?;
        self.start = None;
        Ok(())
    }

    async fn chunk(&self, from: LogPosition) -> Result<Arc<Chunk>, ReadError> {
        let (answer, answered) = oneshot::channel();
        self.ask(ReadRequest::Chunk { from, answer })?;
        let chunk = answered.await.map_err(|_| ReadError::Closed)?;
        chunk.map_err(|source| self.io_error(source))
    }

    fn ask(&self, request: ReadRequest) -> Result<(), ReadError> {
        // The queue has two places a reader: a request cancelled may still wait beside a new one.
        self.requests
            .try_send(request)
            .map_err(|_| ReadError::Closed)
    }

    fn io_error(&self, source: io::Error) -> ReadError {
        ReadError::Io {
            position: self.position,
            source,
        }
    }

    /// The wanted entries of `blocks`; all of them count as taken.
    fn pick(&mut self, blocks: &[Arc<StoredBlock>]) -> Option<Delivery> {
        let mut entries = Vec::new();
        for block in blocks {
            let stream = block.header().stream;
            if stream.lane == Lane::Definitions && !self.has_definitions {
                continue;
            }
            let taken = self.taken.entry(stream).or_default();
            for (index, view) in block.entries().iter().enumerate() {
                let is_new = !taken.contains(view.seq);
                if is_new && (self.wants)(stream, &view.head) {
                    entries.extend(Entry::new(block, index));
                }
            }
            let header = block.header();
            taken.insert(SeqRange {
                first: header.first_seq,
                last: header.last_seq(),
            });
        }
        (!entries.is_empty()).then_some(Delivery::Entries(entries))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
