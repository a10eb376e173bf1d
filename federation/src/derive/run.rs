//! The shell of a derived stream: follows the own bus, writes to an origin of its own on it.
//!
//! Does: feed the core with what becomes durable, make the windows that are due, move a durable
//! cursor that retention waits for. Does not: decide what is due (`core`), combine
//! (`ocelli_model::window`), send (`uplink`).
//! In: a bus, a policy. Out: blocks of the derived origin; an end only on a stop or a broken bus.
//! Crash: the derived stream itself says which windows were made, and the cursor stays before the
//! first block of a window that is open. Both are read again, so nothing is lost and nothing is
//! made twice. A new derived stream begins where its upstream's own cursor stands.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::block::{EntryFlags, EntryView};
use ocelli_bus::payload::Payload;
use ocelli_bus::record::{EntryKind, Lane, OriginId, StreamId};
use ocelli_bus::{
    BlockDelivery, Bus, CursorError, DurableCursor, Entry, OriginDescription, ReadError, ReadFrom,
    SeqRange, StoredBlock, SubmitError, TooManyReaders,
};
use ocelli_model::batch::Batch;
use ocelli_model::clock::Clock;
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::slot::SlotMs;
use ocelli_model::window::{Window, choose, downsample, facts_of};
use tokio::sync::watch;

use super::core::{DeriveCore, DerivePolicy, Due, Place, SourceBatch, SourceGap, WindowKey};
use super::cursor::open_cursor;
use super::policy::DerivedPolicy;
use super::sources::{Pairs, Sources};
use super::writer::{DerivedWriter, WriteError};

/// Windows that are open at once: five for each pair of ten thousand resources with five plugins.
const WINDOWS_MAX: usize = 262_144;
/// Windows made between two looks at what is new.
const DUE_MAX: usize = 64;
/// Origins that a derived stream names as its sources; others are derived from without being named.
const SOURCES_MAX: usize = 1_024;
/// Bytes of the derived stream read at once at a start.
const READ_BYTES: usize = 1024 * 1024;
/// Longest wait until time is looked at again.
const TICK: Duration = Duration::from_secs(1);
/// What a slot that passes by itself counts as.
const REV_OF_SLOT: u64 = 2;

/// What a derived stream needs.
pub struct DeriveRun {
    /// The own bus.
    pub bus: Arc<Bus>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What is derived.
    pub policy: DerivedPolicy,
    /// Who this node is.
    pub node: OriginDescription,
    /// True when the node stops: what is due is made, then it ends.
    pub stop: watch::Receiver<bool>,
}

/// Why no more is derived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveEnd {
    /// The node stops.
    #[error("this node stops")]
    Stopped,
    /// The bus cannot be followed.
    #[error(transparent)]
    Readers(#[from] TooManyReaders),
    /// The bus cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bus takes nothing.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// There is no place for its cursor.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// Whose the stream is cannot be said.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A name is too long.
    #[error("the description of a derived stream fits no block; shorten the upstream's name")]
    Description,
}

/// A block that was read and may be needed again after a crash.
struct Read {
    stream: StreamId,
    range: SeqRange,
    /// Its latest slot.
    until: SlotMs,
}

struct Deriver {
    bus: Arc<Bus>,
    clock: Arc<dyn Clock>,
    policy: DerivedPolicy,
    node: OriginDescription,
    origin: OriginId,
    cursor: DurableCursor,
    core: DeriveCore,
    pairs: Pairs,
    sources: Sources,
    writer: DerivedWriter,
    /// In the order of the log; as many as an hour has blocks.
    read: VecDeque<Read>,
    named: BTreeSet<OriginId>,
    is_named: bool,
}

/// Derives until the node stops.
///
/// Never answers but with the reason why it ended.
pub async fn run_derivation(run: DeriveRun) -> DeriveEnd {
    match derive(run).await {
        Ok(()) => DeriveEnd::Stopped,
        Err(end) => end,
    }
}

async fn derive(run: DeriveRun) -> Result<(), DeriveEnd> {
    let mut stop = run.stop.clone();
    // What a derivation that was left handed over before is durable, or will never be.
    run.bus.handle().flush().await?;
    let mut deriver = Deriver::open(run)?;
    let taken = deriver.cursor.taken();
    deriver.read_back().await?;
    deriver.name_sources().await?;
    let mut blocks = deriver.bus.follow_blocks(ReadFrom::Taken(taken))?;
    let clock = Arc::clone(&deriver.clock);
    loop {
        let is_stopping = *stop.borrow_and_update();
        if is_stopping {
            while let Some(BlockDelivery::Blocks(held)) = blocks.next_held().await? {
                held.iter().for_each(|block| deriver.feed(block));
                deriver.pump().await;
            }
        }
        deriver.pump().await;
        if is_stopping {
            return Ok(());
        }
        let wake = clock.monotonic().after(deriver.wait());
        let is_full = deriver.core.is_full();
        tokio::select! {
            delivery = blocks.next(), if !is_full => match delivery? {
                BlockDelivery::Blocks(blocks) => blocks.iter().for_each(|it| deriver.feed(it)),
                // What retention took is a gap in the log of its own.
                BlockDelivery::Trimmed { .. } => {}
            },
            changed = stop.changed() => if changed.is_err() {
                return Ok(());
            },
            () = clock.sleep_until(wake) => {}
        }
    }
}

impl Deriver {
    fn open(run: DeriveRun) -> Result<Self, DeriveEnd> {
        let own = run.bus.origin();
        let origin = run.policy.origin(own);
        let now = run.clock.wall();
        let cursor = open_cursor(&run.bus, (&run.policy.upstream, origin), now)?;
        let policy = DerivePolicy {
            window_ms: run.policy.window_ms,
            windows_max: WINDOWS_MAX,
        };
        let known = run.bus.definitions().derivation_of(origin);
        let named = known.map_or_else(|| BTreeSet::from([own]), |known| known.sources.clone());
        let description = run.policy.description(&run.node);
        let is_described = run.bus.definitions().origin_of(origin).as_deref() == Some(&description);
        Ok(Self {
            core: DeriveCore::new(policy),
            pairs: Pairs::default(),
            sources: Sources::new(Arc::clone(&run.bus)),
            writer: DerivedWriter::new(Arc::clone(&run.bus), origin),
            read: VecDeque::new(),
            named,
            is_named: is_described && run.bus.definitions().derivation_of(origin).is_some(),
            bus: run.bus,
            clock: run.clock,
            policy: run.policy,
            node: run.node,
            origin,
            cursor,
        })
    }

    fn now(&self) -> i64 {
        self.clock.wall().0
    }

    /// How long nothing is to be done if nothing comes.
    fn wait(&self) -> Duration {
        let Some(at) = self.core.next_at() else {
            return TICK;
        };
        let left = at.saturating_sub(self.now()).max(1);
        Duration::from_millis(left.unsigned_abs()).min(TICK)
    }

    // === What was made before ===

    /// Tells the core which windows the derived stream has, as far as they may yet change.
    async fn read_back(&mut self) -> Result<(), DeriveEnd> {
        let stream = StreamId::data(self.origin);
        let taken = self.cursor.taken().remove(&stream).unwrap_or_default();
        for range in self.bus.held_of(stream).without(&taken).iter() {
            let mut left = range;
            while left.first <= left.last {
                let blocks = self.bus.blocks_of(stream, left, READ_BYTES).await?;
                let Some(last) = blocks.last() else {
                    break;
                };
                left.first = last.range().last.next();
                blocks.iter().for_each(|block| self.made(block));
            }
        }
        Ok(())
    }

    fn made(&mut self, block: &Arc<StoredBlock>) {
        let now = self.now();
        for index in 0..block.entries().len() {
            let Some(entry) = Entry::new(block, index) else {
                continue;
            };
            let Some(rev) = self.rev_of(&entry) else {
                continue;
            };
            let head = entry.head();
            let resolved = self.bus.definitions().resolve_pair(self.origin, head);
            let pair = resolved.ok().and_then(|it| it.resource.zip(it.plugin));
            if let Some((resource, plugin)) = pair {
                let key = WindowKey {
                    pair: self.pairs.number(&resource, &plugin),
                    start: head.slot,
                    length_ms: head.interval_ms,
                };
                self.core.done(key, rev, now);
            }
        }
    }

    fn rev_of(&self, entry: &Entry) -> Option<u64> {
        if entry.head().kind != EntryKind::Batch {
            return None;
        }
        if !entry.head().flags.has(EntryFlags::WINDOW) {
            return Some(REV_OF_SLOT);
        }
        let record = self.bus.definitions().record(entry).ok()?;
        match &record.payload {
            Payload::Batch(batch) => facts_of(batch).map(|facts| facts.rev),
            _ => None,
        }
    }

    // === What becomes durable ===

    fn feed(&mut self, block: &Arc<StoredBlock>) {
        let (stream, range) = (block.header().stream, block.range());
        let mut until = SlotMs(i64::MIN);
        if stream.lane == Lane::Data {
            let is_derived = self
                .bus
                .definitions()
                .derivation_of(stream.origin)
                .is_some();
            if stream.origin == self.origin {
                let slots = block.entries().iter().map(|entry| entry.head.slot);
                until = slots.max().unwrap_or(until);
            } else if !is_derived && !block.is_fenced() {
                self.sources.keep(block);
                for (index, view) in block.entries().iter().enumerate() {
                    until = until.max(self.feed_entry(block, (index, view)));
                }
            }
        }
        self.read.push_back(Read {
            stream,
            range,
            until,
        });
    }

    /// Feeds an entry; the latest slot that it is about.
    fn feed_entry(
        &mut self,
        block: &Arc<StoredBlock>,
        (index, view): (usize, &EntryView),
    ) -> SlotMs {
        let none = SlotMs(i64::MIN);
        if !matches!(view.head.kind, EntryKind::Batch | EntryKind::Gap) {
            return none;
        }
        let stream = block.header().stream;
        let definitions = self.bus.definitions();
        let resolved = definitions.resolve_pair(stream.origin, &view.head);
        let Some((resource, plugin)) = resolved.ok().and_then(|it| it.resource.zip(it.plugin))
        else {
            return none;
        };
        let filter = self.policy.filter.as_ref();
        if filter.is_some_and(|filter| !filter.matches(&*resource)) {
            return none;
        }
        let gap = Entry::new(block, index).filter(|_| view.head.kind == EntryKind::Gap);
        let gap = gap.map(|entry| definitions.record(&entry));
        let (pair, now) = (self.pairs.number(&resource, &plugin), self.now());
        if self.named.len() < SOURCES_MAX && self.named.insert(stream.origin) {
            self.is_named = false;
        }
        match gap {
            None => {
                self.core.batch(
                    SourceBatch {
                        pair,
                        slot: view.head.slot,
                        interval_ms: view.head.interval_ms,
                        place: Place {
                            stream,
                            seq: view.seq,
                        },
                    },
                    now,
                );
                view.head.slot
            }
            Some(Ok(record)) => match &record.payload {
                Payload::Gap(gap) => {
                    self.core.gap(
                        SourceGap {
                            pair,
                            first: gap.first,
                            last: gap.last,
                            interval_ms: gap.interval_ms,
                            kind: gap.cause.kind,
                        },
                        now,
                    );
                    gap.last
                }
                _ => none,
            },
            Some(Err(_damaged)) => none,
        }
    }

    /// Lets go of the blocks that no open window needs.
    fn advance(&mut self) {
        let earliest = self.core.earliest();
        while let Some(read) = self.read.front() {
            if earliest.is_some_and(|earliest| read.until >= earliest) {
                return;
            }
            let now = self.clock.wall();
            self.cursor.advance(read.stream, read.range, now);
            self.read.pop_front();
        }
    }

    // === What is made ===

    /// Makes all that is due. What does not succeed is tried again later.
    async fn pump(&mut self) {
        loop {
            let due = self.core.due(self.now(), DUE_MAX);
            if due.is_empty() {
                break;
            }
            self.make(due).await;
        }
        self.advance();
    }

    async fn make(&mut self, due: Vec<Due>) {
        if !self.is_named
            && let Err(error) = self.name_sources().await
        {
            tracing::warn!(upstream = %self.policy.upstream, %error, "sources are not named");
        }
        let mut pushed = Vec::with_capacity(due.len());
        for one in due {
            match self.batch_of(&one).await {
                Ok(Some(batch)) => self.push(&one, &batch, &mut pushed).await,
                // None of the groups, or nothing is left of it.
                Ok(None) => self.core.done(one.key, one.rev, self.now()),
                Err(error) => {
                    tracing::warn!(upstream = %self.policy.upstream, %error, "cannot derive yet");
                    self.core.failed(one.key, self.now());
                }
            }
        }
        self.flush(&mut pushed).await;
    }

    /// Puts a batch into the block under construction, which is made durable once it is full.
    async fn push(&mut self, due: &Due, batch: &Batch, pushed: &mut Vec<(WindowKey, u64)>) {
        if !self.try_push(due, batch) {
            self.flush(pushed).await;
            // An empty block takes it, or it is told that none does.
            self.try_push(due, batch);
        }
        pushed.push((due.key, due.rev));
        if self.writer.is_due() {
            self.flush(pushed).await;
        }
    }

    fn try_push(&mut self, due: &Due, batch: &Batch) -> bool {
        self.pairs.get(due.key.pair).is_none_or(|pair| {
            let whose = (&pair.resource, &pair.plugin);
            self.writer.push(&mut pair.cache, whose, batch)
        })
    }

    /// Makes durable what was pushed.
    async fn flush(&mut self, pushed: &mut Vec<(WindowKey, u64)>) {
        let flushed = self.writer.flush().await;
        if let Err(error) = &flushed {
            tracing::warn!(upstream = %self.policy.upstream, %error, "cannot derive yet");
        }
        let now = self.now();
        for (key, rev) in pushed.drain(..) {
            match flushed {
                Ok(()) => self.core.done(key, rev, now),
                Err(_) => self.core.failed(key, now),
            }
        }
    }

    /// The batch of a window; `None` if it has none of the groups.
    async fn batch_of(&mut self, due: &Due) -> Result<Option<Batch>, ReadError> {
        let groups = &self.policy.groups;
        let (mut batches, mut is_gone) = (Vec::with_capacity(due.places.len()), false);
        for place in &due.places {
            let Some(batch) = self.sources.batch(*place).await? else {
                is_gone = true;
                continue;
            };
            if groups.is_empty() {
                batches.push(batch);
            } else if let Some(chosen) = choose(&batch, groups) {
                batches.push(Arc::new(chosen));
            }
        }
        if !due.is_window {
            return Ok(batches.pop().map(|batch| Batch::clone(&batch)));
        }
        let missing = due.missing.or(is_gone.then_some(GapKind::Retention));
        let window = Window {
            start: due.key.start,
            length_ms: due.key.length_ms,
            rev: due.rev,
            slots: due.slots,
            missing: missing.map(GapCause::from),
        };
        Ok(downsample(&batches, &window).unwrap_or_else(|error| {
            tracing::warn!(upstream = %self.policy.upstream, %error, "a window makes no batch");
            None
        }))
    }

    /// Says in lane 1 whose the stream is and what it is made of, unless that was said.
    async fn name_sources(&mut self) -> Result<(), DeriveEnd> {
        if self.is_named {
            return Ok(());
        }
        let derivation = self.policy.derivation(self.bus.origin(), &self.named);
        let description = self.policy.description(&self.node);
        let block = derivation.block(&description, self.clock.wall());
        let block = block.ok_or(DeriveEnd::Description)?;
        self.writer.append(Lane::Definitions, block).await?;
        self.is_named = true;
        Ok(())
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
