//! Whole blocks in log order, lane 1 too: from disk first, then live, without a seam.
//!
//! Does: follow the durable end, pass over blocks that a cursor names. Does not: look into blocks
//! (`reader` does), read files (`read_pool`).
//! In: [`ReadFrom`]. Out: [`BlockDelivery`]s. Within a stream the blocks of each lane of delivery
//! (live, backfill) ascend in seq; a block whose seqs were held in part may repeat some.
//! Slow: one that leaves the live tail reads from disk; one that retention overtakes is told so.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;

use tokio::sync::{oneshot, watch};

use crate::read_pool::{CHUNK_BYTES, Chunk, ReadFrom, ReadRequest};
use crate::reader::{ReadError, TooManyReaders};
use crate::record::StreamId;
use crate::segment::LogPosition;
use crate::seq_ranges::SeqRanges;
use crate::shared::Shared;
use crate::statistics::Counters;
use crate::stored::StoredBlock;

/// What a block reader gets.
#[derive(Debug, Clone)]
pub enum BlockDelivery {
    /// Blocks in log order, never none.
    Blocks(Vec<Arc<StoredBlock>>),
    /// Retention was faster: what lay between is gone and covered by gaps in the log.
    Trimmed {
        /// Where the reader was.
        from: LogPosition,
        /// Where it goes on.
        to: LogPosition,
    },
}

/// A reader of whole blocks. Cheap while it waits; dropping it ends it.
pub struct BlockReader {
    shared: Arc<Shared>,
    requests: SyncSender<ReadRequest>,
    open: Arc<AtomicUsize>,
    end: watch::Receiver<LogPosition>,
    /// Until the first read.
    start: Option<ReadFrom>,
    position: LogPosition,
    /// Blocks of these seqs are not delivered.
    passed: BTreeMap<StreamId, SeqRanges>,
}

impl BlockReader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        requests: SyncSender<ReadRequest>,
        open: Arc<AtomicUsize>,
        from: ReadFrom,
    ) -> Result<Self, TooManyReaders> {
        let limit = shared.options.readers_max;
        let take = |count: usize| (count < limit).then_some(count + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|_| TooManyReaders { limit })?;
        let end = shared.log.watch_end();
        // "Now" is when the reader was opened, not when it first reads.
        let (start, position) = match from {
            ReadFrom::Now => (None, shared.log.durable_end()),
            from => (Some(from), LogPosition::default()),
        };
        let passed = match &start {
            Some(ReadFrom::Taken(taken)) => taken.clone(),
            _ => BTreeMap::new(),
        };
        Ok(Self {
            shared,
            requests,
            open,
            end,
            start,
            position,
            passed,
        })
    }

    /// The next blocks, as soon as there are some. Safe to cancel: what was not delivered is
    /// delivered by the next call.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it was.
    pub async fn next(&mut self) -> Result<BlockDelivery, ReadError> {
        loop {
            if let Some(delivery) = self.next_held().await? {
                return Ok(delivery);
            }
            self.wait().await?;
        }
    }

    /// Waits until more than was looked at is durable. Safe to cancel.
    ///
    /// # Errors
    /// [`ReadError::Closed`].
    pub(crate) async fn wait(&mut self) -> Result<(), ReadError> {
        self.end.changed().await.map_err(|_| ReadError::Closed)
    }

    /// The next blocks among those that are durable now; `None` once there are no more. Safe to
    /// cancel.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it was.
    pub async fn next_held(&mut self) -> Result<Option<BlockDelivery>, ReadError> {
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
                if let Some(delivery) = self.deliver(blocks) {
                    return Ok(Some(delivery));
                }
                continue;
            }
            let from = self.position;
            let chunk = self.chunk(from).await?;
            self.position = chunk.next;
            if chunk.is_trimmed {
                let to = chunk.next;
                return Ok(Some(BlockDelivery::Trimmed { from, to }));
            }
            if let Some(delivery) = self.deliver(chunk.blocks.clone()) {
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

    /// Whether it reads what has just been written, not from disk.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.start.is_none() && self.shared.log.tail_from(self.position, 0).is_some()
    }

    fn deliver(&self, mut blocks: Vec<Arc<StoredBlock>>) -> Option<BlockDelivery> {
        if !self.passed.is_empty() {
            blocks.retain(|block| {
                let passed = self.passed.get(&block.header().stream);
                block.is_fill() || !passed.is_some_and(|it| it.contains_all(block.range()))
            });
        }
        (!blocks.is_empty()).then_some(BlockDelivery::Blocks(blocks))
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
}

impl Drop for BlockReader {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
