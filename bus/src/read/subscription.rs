//! A subscription: what one reader gets, in order, with a cursor to go on from.
//!
//! Does: begin (now, latest, a time, a cursor), pick, conflate in `latest` mode, say what was
//! skipped. Does not: render, send, wait on a client.
//! In: [`SubscriptionRequest`]. Out: [`Item`]s one by one; [`Subscription::cursor`] covers exactly
//! those that were handed out.
//! Slow: `durable` reads from disk what it missed; `latest` keeps the newest batch of each pair
//! among what is held, and tells how many it passed over.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::WallMs;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::cursor::Cursor;
use super::selection::Selection;
use super::seq_order::SeqOrder;
use super::source::{RecordSource, SourceError};
use crate::block::EntryHead;
use crate::decoder::{Record, ResolvedHead};
use crate::payload::Payload;
use crate::record::{DefinitionId, EntryKind, Lane, Seq, StreamId};
use crate::{
    Delivery, Entry, LogPosition, ReadError, ReadFrom, Reader, ReaderOptions, SeqRange, SeqRanges,
    TooManyReaders,
};

mod latest;
mod ordered;

use latest::taken_with;

/// Entries that a `latest` subscriber may have waiting: one for each pair of a large node.
const CONFLATED_MAX: usize = 200_000;

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StartFrom {
    /// What comes from now on.
    #[default]
    Now,
    /// Last values first, then what comes.
    Latest,
    /// The oldest entry held.
    Oldest,
    /// What this node took at that time or later.
    Time(WallMs),
    /// Where another subscription ended.
    Cursor(Cursor),
}

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
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A subscription under way.
pub struct Subscription {
    source: Arc<RecordSource>,
    selection: Selection,
    mode: Mode,
    reader: Reader,
    /// Last values not handed out yet.
    first: VecDeque<Arc<Record>>,
    /// What counts as taken once they are.
    taken_with_first: BTreeMap<StreamId, SeqRanges>,
    queue: VecDeque<Entry>,
    skipped: u64,
    taken: BTreeMap<StreamId, SeqRanges>,
    /// Entries before the first one seen count as taken.
    begins_late: bool,
    may_repeat: bool,
    /// What a full disk has no room for; `None` for whoever wants durable entries alone.
    volatile: Option<broadcast::Receiver<Arc<Record>>>,
    /// `None`: as the log has them.
    order: Option<SeqOrder<Entry>>,
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
        let SubscriptionRequest {
            mut selection,
            from,
            mode,
            include,
            rebase,
        } = request;
        let hash = selection.hash();
        let begins_late = !matches!(from, StartFrom::Oldest | StartFrom::Cursor(_));
        let (mut taken, mut may_repeat) = (BTreeMap::new(), false);
        let read_from = match &from {
            StartFrom::Now | StartFrom::Latest => ReadFrom::Now,
            StartFrom::Oldest => ReadFrom::Oldest,
            StartFrom::Time(time) => ReadFrom::Time(*time),
            StartFrom::Cursor(cursor) => {
                if cursor.selection != hash && !rebase {
                    return Err(SubscriptionError::OtherSelection);
                }
                taken.clone_from(&cursor.taken);
                may_repeat = cursor.may_repeat;
                ReadFrom::Taken(cursor.taken.clone())
            }
        };
        let is_latest = from == StartFrom::Latest;
        // In this order, so that nothing falls between: what is held, where the reader stands, the
        // last values.
        let held = is_latest.then(|| source.bus().coverage());
        let options = ReaderOptions::from(read_from)
            .only(move |stream, head| stream.lane == Lane::Data && is_included(include, head));
        let reader = source.bus().reader(options)?;
        let first: VecDeque<_> = match is_latest {
            true => source.last_batches(|head| selection.has_entry(head)).into(),
            false => VecDeque::new(),
        };
        let taken_with_first = taken_with(&first, held.unwrap_or_default());
        Ok(Self {
            source: Arc::clone(source),
            selection,
            mode,
            reader,
            first,
            taken_with_first,
            queue: VecDeque::new(),
            skipped: 0,
            taken,
            begins_late,
            may_repeat,
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
        self.order = Some(SeqOrder::new(lag));
        self
    }

    /// What is selected.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Whether the next item is at hand, so that a shell may fill its buffer before it sends.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.queue.is_empty() || !self.first.is_empty() || self.skipped > 0
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
            selection: self.selection.hash(),
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
                Come::Delivery(delivery) => delivery,
                Come::Volatile(record) if self.wants(&record) => return Ok(Item::Record(record)),
                Come::Volatile(_) | Come::Skipped => continue,
            };
            if let Some(item) = self.take_delivery(delivery).await? {
                return Ok(item);
            }
        }
    }

    /// What comes first: entries, or a volatile record. Only a reader at the live end waits for
    /// both: there it asks no disk, so that giving it up for a record costs nothing.
    async fn next_come(&mut self) -> Result<Come, SubscriptionError> {
        let volatile = self.volatile.as_mut().filter(|_| self.reader.is_live());
        let Some(volatile) = volatile else {
            return Ok(Come::Delivery(self.reader.next().await?));
        };
        tokio::select! {
            biased;
            delivery = self.reader.next() => Ok(Come::Delivery(delivery?)),
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

    fn wants(&mut self, record: &Record) -> bool {
        let Payload::Batch(batch) = &record.payload else {
            return false;
        };
        self.selection.has_entry(&ResolvedHead {
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
            let Some(delivery) = self.reader.next_held().await? else {
                return Ok(None);
            };
            if let Some(item) = self.take_delivery(delivery).await? {
                return Ok(Some(item));
            }
        }
    }

    fn next_at_hand(&mut self) -> Option<Item> {
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
        while let Some(entry) = self.queue.pop_front() {
            let record = self.record_of(&entry);
            self.mark_taken(&entry);
            if self.queue.is_empty() {
                self.mark_passed_over();
            }
            if let Some(record) = record {
                return Some(Item::Record(record));
            }
        }
        None
    }

    /// The record, if it is wanted. What is damaged is passed over with a warning: one bad entry
    /// must not end all subscriptions. What the fence refused is passed over too.
    fn record_of(&mut self, entry: &Entry) -> Option<Arc<Record>> {
        if entry.block().is_fenced() {
            return None;
        }
        let resolved = match self.source.resolve(entry) {
            Ok(resolved) => resolved,
            Err(error) => {
                warn_passed_over(entry, &error);
                return None;
            }
        };
        if !self.selection.has_entry(&resolved) {
            return None;
        }
        match self.source.decode(entry, resolved) {
            Ok(record) => Some(record),
            Err(error) => {
                warn_passed_over(entry, &error);
                None
            }
        }
    }

    async fn take_delivery(
        &mut self,
        delivery: Delivery,
    ) -> Result<Option<Item>, SubscriptionError> {
        match delivery {
            Delivery::Trimmed { from, to } => return Ok(Some(Item::Trimmed { from, to })),
            Delivery::Entries(entries) => self.queue.extend(entries),
        }
        if self.mode == Mode::Latest {
            let mut is_trimmed = None;
            while self.queue.len() < CONFLATED_MAX
                && let Some(delivery) = self.reader.next_held().await?
            {
                match delivery {
                    Delivery::Entries(entries) => self.queue.extend(entries),
                    Delivery::Trimmed { from, to } => is_trimmed = Some(Item::Trimmed { from, to }),
                }
                self.conflate();
            }
            self.conflate();
            return Ok(is_trimmed);
        }
        Ok(None)
    }

    /// Keeps the newest batch of each pair, and all that is no batch.
    fn conflate(&mut self) {
        let mut newest: HashMap<PairKey, (i64, Seq)> = HashMap::new();
        for entry in self.queue.iter().filter(|entry| is_batch(entry)) {
            let candidate = (entry.head().slot.0, entry.seq());
            let kept = newest.entry(pair_of(entry)).or_insert(candidate);
            *kept = (*kept).max(candidate);
        }
        let before = self.queue.len();
        self.queue.retain(|entry| {
            let candidate = (entry.head().slot.0, entry.seq());
            !is_batch(entry) || newest.get(&pair_of(entry)) == Some(&candidate)
        });
        self.skipped += (before - self.queue.len()) as u64;
    }

    /// The entry, and what of its stream was passed over before it, counts as taken.
    fn mark_taken(&mut self, entry: &Entry) {
        let block_first = entry.block().header().first_seq;
        let taken = self.taken.entry(entry.stream()).or_default();
        if taken.is_empty() && self.begins_late && block_first.0 > 1 {
            taken.insert(SeqRange {
                first: Seq(1),
                last: Seq(block_first.0 - 1),
            });
        }
        taken.insert(SeqRange {
            first: block_first.min(entry.seq()),
            last: entry.seq(),
        });
    }

    /// Once all that was picked is handed out, what the reader passed over counts as taken too.
    fn mark_passed_over(&mut self) {
        for (stream, ranges) in self.reader.taken() {
            if stream.lane != Lane::Data {
                continue;
            }
            let taken = self.taken.entry(*stream).or_default();
            let first = ranges.iter().next().map_or(Seq(1), |range| range.first);
            if taken.is_empty() && self.begins_late && first.0 > 1 {
                taken.insert(SeqRange {
                    first: Seq(1),
                    last: Seq(first.0 - 1),
                });
            }
            for range in ranges.iter() {
                taken.insert(range);
            }
        }
    }
}

/// What a subscription waits for.
enum Come {
    Delivery(Delivery),
    Volatile(Arc<Record>),
    Skipped,
}

type PairKey = (StreamId, DefinitionId, DefinitionId);

fn pair_of(entry: &Entry) -> PairKey {
    (entry.stream(), entry.head().resource, entry.head().plugin)
}

fn is_batch(entry: &Entry) -> bool {
    entry.head().kind == EntryKind::Batch
}

fn is_included(include: Include, head: &EntryHead) -> bool {
    match head.kind {
        EntryKind::Batch => true,
        EntryKind::Gap | EntryKind::Pending | EntryKind::Released => include.gaps,
        EntryKind::Event => include.events,
        _ => false,
    }
}

fn warn_passed_over(entry: &Entry, error: &SourceError) {
    tracing::warn!(stream = %entry.stream(), seq = %entry.seq(), %error,
        "an entry was passed over");
}
