//! Readers: from a place in the log on, from disk first, then live, without a seam.
//!
//! Does: pick entries by their heads, keep what was taken per stream. Does not: find blocks
//! (`block_reader`), decode bodies, wait on a sender.
//! In: [`ReaderOptions`]. Out: [`Delivery`]s in log order: of a stream each seq once; what came
//! live ascends, and so does what came as backfill, each for itself.
//! Slow: a reader that leaves the live tail reads from disk; it holds nothing back but its own
//! chunk. One that retention overtakes is told so ([`Delivery::Trimmed`]) and goes on.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::block::EntryHead;
use crate::block_reader::{BlockDelivery, BlockReader};
use crate::read_pool::ReadFrom;
use crate::record::{Lane, StreamId};
use crate::segment::LogPosition;
use crate::seq_ranges::SeqRanges;
use crate::stored::{Entry, StoredBlock};

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
#[error("cannot open another reader of the log: {limit} is the limit; close one")]
pub struct TooManyReaders {
    /// [`crate::BusOptions::readers_max`].
    pub limit: usize,
}

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
    /// Too many reads wait.
    #[error("more reads of the log wait than may; try again")]
    Busy,
    /// The bus is gone.
    #[error("the bus is closed; open it again")]
    Closed,
}

/// A reader. Cheap while it waits; dropping it ends it.
pub struct Reader {
    blocks: BlockReader,
    has_definitions: bool,
    wants: EntryFilter,
    taken: BTreeMap<StreamId, SeqRanges>,
}

impl Reader {
    /// A reader over `blocks`, which begins where `from` says.
    pub(crate) fn new(blocks: BlockReader, options: ReaderOptions) -> Self {
        let taken = match options.from {
            ReadFrom::Taken(taken) => taken,
            _ => BTreeMap::new(),
        };
        Self {
            blocks,
            has_definitions: options.has_definitions,
            wants: options.wants,
            taken,
        }
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
            self.blocks.wait().await?;
        }
    }

    /// The next entries among those that are durable now; `None` once there are no more. For
    /// bounded reads.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it was.
    pub async fn next_held(&mut self) -> Result<Option<Delivery>, ReadError> {
        // Ends with what is durable now.
        while let Some(delivery) = self.blocks.next_held().await? {
            match delivery {
                BlockDelivery::Trimmed { from, to } => {
                    return Ok(Some(Delivery::Trimmed { from, to }));
                }
                BlockDelivery::Blocks(blocks) => {
                    if let Some(delivery) = self.pick(&blocks) {
                        return Ok(Some(delivery));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Where the next block will be read.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.blocks.position()
    }

    /// What of each stream was delivered or passed over: a cursor to go on from.
    #[must_use]
    pub fn taken(&self) -> &BTreeMap<StreamId, SeqRanges> {
        &self.taken
    }

    /// Whether it reads what has just been written, not from disk.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.blocks.is_live()
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
                // What a filter had withheld counted as taken when its skip was passed.
                let is_new = block.is_fill() || !taken.contains(view.seq);
                if is_new && (self.wants)(stream, &view.head) {
                    entries.extend(Entry::new(block, index));
                }
            }
            taken.insert(block.range());
        }
        (!entries.is_empty()).then_some(Delivery::Entries(entries))
    }
}
