//! A subscription: what one reader gets, in order, with a cursor to go on from.
//!
//! Does: begin (now, latest, a time, a cursor), pick, conflate in `latest` mode, say what was
//! skipped. Does not: render, send, wait on a client.
//! In: [`SubscriptionRequest`]. Out: [`Item`]s one by one; [`Subscription::cursor`] covers exactly
//! those that were handed out.
//! Slow: `durable` reads from disk what it missed; `latest` keeps the newest batch of each pair
//! among [`CONFLATED_BYTES_MAX`] of blocks, and tells how many it passed over.
//! Cost: which entries of a block are wanted is found once for all who select alike.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::cursor::Cursor;
use super::selection::Selection;
use super::seq_order::SeqOrder;
use super::shared_selection::{Held, SharedSelection};
use super::source::RecordSource;
use super::start_from::StartFrom;
use crate::decoder::{Record, ResolvedHead};
use crate::payload::Payload;
use crate::record::{Lane, OriginId, Seq, StreamId};
use crate::stored::StoredBlock;
use crate::{
    BlockDelivery, BlockReader, Entry, LogPosition, ReadError, ReadFrom, SeqRange, SeqRanges,
    TooManyReaders,
};

mod conflate;
mod latest;
mod ordered;
mod picked;
mod resume;

use latest::taken_with;
use picked::Picked;
use resume::{Resumed, resume};

/// Blocks that a `latest` subscriber may have waiting, bytes; beyond it what is there is handed
/// out first.
const CONFLATED_BYTES_MAX: usize = 8 << 20;

/// What a subscriber that is too slow gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everything, late.
    #[default]
    Durable,
    /// The newest of each pair.
    Latest,
}

/// Which entries beside batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Include {
    /// Gaps, pending ranges, releases.
    pub gaps: bool,
    /// Events.
    pub events: bool,
}

/// What a subscriber asks for.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionRequest {
    /// Resources, groups, metrics.
    pub selection: Selection,
    /// Where to begin.
    pub from: StartFrom,
    /// What to do when slow.
    pub mode: Mode,
    /// What beside batches.
    pub include: Include,
    /// Take a cursor of another selection all the same.
    pub rebase: bool,
}

/// What a subscriber gets.
#[derive(Debug, Clone)]
pub enum Item {
    /// An entry.
    Record(Arc<Record>),
    /// Batches were passed over for newer ones of the same pair.
    Lag {
        /// How many.
        skipped: u64,
    },
    /// In the order of seqs: these were waited for in vain. They may still come, late.
    Missing {
        /// Of which stream.
        stream: StreamId,
        /// Which.
        range: SeqRange,
    },
    /// The cursor had not got these, and retention has taken them meanwhile.
    Removed {
        /// Of which stream.
        stream: StreamId,
        /// From the first to the last of them.
        range: SeqRange,
        /// How many.
        seqs: u64,
    },
    /// Retention was faster than the subscriber.
    Trimmed {
        /// Where it was.
        from: LogPosition,
        /// Where it goes on.
        to: LogPosition,
    },
}

/// Why a subscription does not begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// Too many readers.
    #[error(transparent)]
    Readers(#[from] TooManyReaders),
    /// The cursor was made under another filter or projection.
    #[error(
        "the cursor belongs to another filter, group or metric choice; repeat those of its \
         subscription, or add rebase=true and accept that entries passed over stay passed over"
    )]
    OtherSelection,
    /// The cursor's streams are not here.
    #[error(
        "this node knows none of the {streams} streams of the cursor, such as origin {origin}; go \
         on at a node that holds them, wait until it is filled, or add rebase=true to take all \
         that is held here"
    )]
    ForeignCursor {
        /// How many it names.
        streams: usize,
        /// One of them.
        origin: OriginId,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A subscription under way.
pub struct Subscription {
    source: Arc<RecordSource>,
    selection: Held,
    include: Include,
    mode: Mode,
    blocks: BlockReader,
    /// What is said before anything else.
    notices: VecDeque<Item>,
    /// Last values not handed out yet.
    first: VecDeque<Arc<Record>>,
    /// What counts as taken once they are.
    taken_with_first: BTreeMap<StreamId, SeqRanges>,
    queue: VecDeque<Picked>,
    skipped: u64,
    taken: BTreeMap<StreamId, SeqRanges>,
    /// What the cursor that it goes on from had: blocks are read whole, parts of them came before.
    came_before: BTreeMap<StreamId, SeqRanges>,
    /// Entries before the first one seen count as taken.
    begins_late: bool,
    may_repeat: bool,
    /// What a full disk has no room for; `None` for whoever wants durable entries alone.
    volatile: Option<broadcast::Receiver<Arc<Record>>>,
    /// `None`: as the log has them.
    order: Option<InOrder>,
}

/// What `order=seq` needs.
struct InOrder {
    order: SeqOrder<Entry>,
    /// Of blocks that came; taken once nothing of them is held back.
    seen: BTreeMap<StreamId, SeqRanges>,
}

impl Subscription {
    /// Begins a subscription.
    ///
    /// # Errors
    /// [`SubscriptionError`].
    pub fn begin(
        source: &Arc<RecordSource>,
        request: SubscriptionRequest,
    ) -> Result<Self, SubscriptionError> {
        let selection = source.hold(request.selection);
        let begins_late = !matches!(request.from, StartFrom::Oldest | StartFrom::Cursor(_));
        let mut resumed = Resumed::default();
        let read_from = match &request.from {
            StartFrom::Now | StartFrom::Latest => ReadFrom::Now,
            StartFrom::Oldest => ReadFrom::Oldest,
            StartFrom::Time(time) => ReadFrom::Time(*time),
            StartFrom::Cursor(cursor) => {
                let place = (selection.shared().hash(), request.rebase);
                resumed = resume(source.bus(), cursor, place)?;
                ReadFrom::Taken(resumed.taken.clone())
            }
        };
        let is_latest = request.from == StartFrom::Latest;
        // In this order, so that nothing falls between: what is held, where the reader stands, the
        // last values.
        let held = is_latest.then(|| source.bus().coverage());
        let blocks = source.bus().follow_blocks(read_from)?;
        let first: VecDeque<_> = match is_latest {
            true => source
                .last_batches(|head| selection.shared().has_entry(head))
                .into(),
            false => VecDeque::new(),
        };
        let taken_with_first = taken_with(&first, held.unwrap_or_default());
        Ok(Self {
            source: Arc::clone(source),
            selection,
            include: request.include,
            mode: request.mode,
            blocks,
            first,
            taken_with_first,
            queue: VecDeque::new(),
            skipped: 0,
            notices: resumed.notices,
            came_before: resumed.taken.clone(),
            taken: resumed.taken,
            begins_late,
            may_repeat: resumed.may_repeat,
            volatile: None,
            order: None,
        })
    }

    /// The same, with what a full disk has no room for: batches marked volatile, without seq, which
    /// the cursor does not know. For people who watch; never for what must not lose or repeat.
    #[must_use]
    pub fn with_volatile(mut self) -> Self {
        self.volatile = Some(self.source.bus().volatile());
        self
    }

    /// The same, each stream in the order of its seqs; a hole is waited for for `lag`. For
    /// [`Subscription::next`] alone, in [`Mode::Durable`].
    #[must_use]
    pub fn in_order(mut self, lag: Duration) -> Self {
        let mut order = SeqOrder::new(lag);
        for (stream, ranges) in &self.taken {
            for range in ranges.iter() {
                order.came(*stream, range);
            }
        }
        let seen = BTreeMap::new();
        self.order = Some(InOrder { order, seen });
        self
    }

    /// What is selected, shared with all who select the same.
    #[must_use]
    pub fn selection(&self) -> &Arc<SharedSelection> {
        self.selection.shared()
    }

    /// Whether anything counts as taken: until then a cursor would begin at the oldest entry, where
    /// this subscription may not have begun.
    #[must_use]
    pub fn has_cursor(&self) -> bool {
        !self.taken.is_empty()
    }

    /// What was handed out so far, as a cursor.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            selection: self.selection.shared().hash(),
            taken: self.taken.clone(),
            may_repeat: self.may_repeat,
        }
    }

    /// The next item, as soon as there is one. Not to be cancelled but to end the subscription.
    ///
    /// # Errors
    /// [`SubscriptionError::Read`]; the subscription is over.
    pub async fn next(&mut self) -> Result<Item, SubscriptionError> {
        if self.order.is_some() {
            return self.next_ordered().await;
        }
        loop {
            if let Some(item) = self.next_at_hand() {
                return Ok(item);
            }
            let delivery = match self.next_come().await? {
                Come::Blocks(delivery) => delivery,
                Come::Volatile(record) if self.wants(&record) => return Ok(Item::Record(record)),
                Come::Volatile(_) | Come::Skipped => continue,
            };
            if let Some(item) = self.take_delivery(delivery).await? {
                return Ok(item);
            }
        }
    }

    /// What comes first: blocks, or a volatile record. Only a reader at the live end waits for
    /// both: there it asks no disk, so that giving it up for a record costs nothing.
    async fn next_come(&mut self) -> Result<Come, SubscriptionError> {
        let volatile = self.volatile.as_mut().filter(|_| self.blocks.is_live());
        let Some(volatile) = volatile else {
            return Ok(Come::Blocks(self.blocks.next().await?));
        };
        tokio::select! {
            biased;
            delivery = self.blocks.next() => Ok(Come::Blocks(delivery?)),
            shown = volatile.recv() => Ok(match shown {
                Ok(record) => Come::Volatile(record),
                Err(RecvError::Lagged(behind)) => {
                    self.skipped += behind;
                    Come::Skipped
                }
                // The feed lives as long as the bus, and so as this subscription.
                Err(RecvError::Closed) => Come::Skipped,
            }),
        }
    }

    fn wants(&self, record: &Record) -> bool {
        let Payload::Batch(batch) = &record.payload else {
            return false;
        };
        self.selection.shared().has_entry(&ResolvedHead {
            resource: record.resource.clone(),
            plugin: record.plugin.clone(),
            columns: Some((Arc::clone(&batch.schema), Arc::clone(&batch.rows))),
        })
    }

    /// The next item among what is durable now; `None` at its end. For bounded reads.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_held(&mut self) -> Result<Option<Item>, SubscriptionError> {
        loop {
            if let Some(item) = self.next_at_hand() {
                return Ok(Some(item));
            }
            let Some(delivery) = self.blocks.next_held().await? else {
                return Ok(None);
            };
            if let Some(item) = self.take_delivery(delivery).await? {
                return Ok(Some(item));
            }
        }
    }

    fn next_at_hand(&mut self) -> Option<Item> {
        if let Some(notice) = self.notices.pop_front() {
            return Some(notice);
        }
        if let Some(record) = self.first.pop_front() {
            if self.first.is_empty() {
                self.taken = std::mem::take(&mut self.taken_with_first);
            }
            return Some(Item::Record(record));
        }
        if self.skipped > 0 {
            return Some(Item::Lag {
                skipped: std::mem::take(&mut self.skipped),
            });
        }
        while let Some(picked) = self.queue.front_mut() {
            let entry = picked.pop(self.include);
            let Some(entry) = entry.filter(|entry| !self.is_taken(entry)) else {
                self.mark_passed();
                continue;
            };
            let record = self.record_of(&entry);
            self.mark_taken(&entry);
            self.mark_passed();
            if let Some(record) = record {
                return Some(Item::Record(record));
            }
        }
        None
    }

    /// The record; what is damaged is passed over with a warning: one bad entry must not end all
    /// subscriptions.
    fn record_of(&self, entry: &Entry) -> Option<Arc<Record>> {
        let record = self.source.record(entry).inspect_err(|error| {
            tracing::warn!(stream = %entry.stream(), seq = %entry.seq(), %error,
                "an entry was passed over");
        });
        record.ok()
    }

    async fn take_delivery(
        &mut self,
        delivery: BlockDelivery,
    ) -> Result<Option<Item>, SubscriptionError> {
        match delivery {
            BlockDelivery::Trimmed { from, to } => return Ok(Some(Item::Trimmed { from, to })),
            BlockDelivery::Blocks(blocks) => self.queue_blocks(blocks),
        }
        if self.mode != Mode::Latest {
            return Ok(None);
        }
        self.conflate();
        let mut trimmed = None;
        while self.queued_bytes() < CONFLATED_BYTES_MAX
            && let Some(delivery) = self.blocks.next_held().await?
        {
            match delivery {
                BlockDelivery::Blocks(blocks) => self.queue_blocks(blocks),
                BlockDelivery::Trimmed { from, to } => trimmed = Some(Item::Trimmed { from, to }),
            }
            self.conflate();
        }
        Ok(trimmed)
    }

    fn queue_blocks(&mut self, blocks: Vec<Arc<StoredBlock>>) {
        let picked = self.picked_of(blocks);
        self.queue.extend(picked);
        self.mark_passed();
    }

    fn picked_of(&self, blocks: Vec<Arc<StoredBlock>>) -> Vec<Picked> {
        let definitions = self.source.bus().definitions();
        let data = blocks.into_iter();
        let data = data.filter(|block| block.header().stream.lane == Lane::Data);
        data.map(|block| Picked {
            picks: self.selection.shared().picks(definitions, &block),
            block,
            next: 0,
        })
        .collect()
    }

    /// Whether the entry came before this subscription. Not what counts as taken by now: what is
    /// before a late beginning does, and comes as backfill. What a filter had withheld counted as
    /// taken when its skip was passed, so what fills a skip is new.
    fn is_taken(&self, entry: &Entry) -> bool {
        if entry.block().is_fill() {
            return false;
        }
        let came = self.came_before.get(&entry.stream());
        came.is_some_and(|came| came.contains(entry.seq()))
    }

    /// The entry, and what of its block stands before it, counts as taken.
    fn mark_taken(&mut self, entry: &Entry) {
        let block_first = entry.block().header().first_seq;
        let range = SeqRange {
            first: block_first.min(entry.seq()),
            last: entry.seq(),
        };
        self.mark(entry.stream(), range);
    }

    /// Blocks at the head of the queue of which nothing more is wanted count as taken.
    fn mark_passed(&mut self) {
        while self.queue.front().is_some_and(Picked::is_done)
            && let Some(done) = self.queue.pop_front()
        {
            self.mark(done.block.header().stream, done.block.range());
        }
    }

    fn mark(&mut self, stream: StreamId, range: SeqRange) {
        let taken = self.taken.entry(stream).or_default();
        if taken.is_empty() && self.begins_late && range.first.0 > 1 {
            taken.insert(SeqRange {
                first: Seq(1),
                last: Seq(range.first.0 - 1),
            });
        }
        taken.insert(range);
    }
}

/// What a subscription waits for.
enum Come {
    Blocks(BlockDelivery),
    Volatile(Arc<Record>),
    Skipped,
}
