//! What several subscribers select alike, judged and rendered once for all of them.
//!
//! Does: pick the wanted entries of a block once a selection, keep rendered lines for who comes
//! next. Does not: read blocks, decode (`definitions`), send.
//! In: durable blocks, ids that lane 1 defines. Out: indexes of entries; lines behind [`Bytes`].
//! Full: answers, picks and lines of all selections share three budgets; what leaves is found
//! again. A selection of one subscriber keeps neither picks nor lines: nobody comes next.
//! Cost: a block that was judged costs a subscriber one look-up, whatever its filter.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use ocelli_model::panoptes::Projection;
use parking_lot::Mutex;

use super::line_format::LineFormat;
use super::selection::Selection;
use crate::block::EntryHead;
use crate::decoder::{Record, ResolvedHead};
use crate::definitions::Definitions;
use crate::record::{DefinitionId, EntryKind, OriginId, Seq, StreamId};
use crate::segment::LogPosition;
use crate::stored::StoredBlock;

/// Answers (resource and schema) that all selections remember, 48 bytes each.
const ANSWERS_TOTAL_MAX: usize = 1 << 20;
/// Each selection remembers some, however many there are.
const ANSWERS_MIN: usize = 256;
/// Indexes of picked entries that all selections keep, 4 bytes each.
const PICKS_TOTAL_MAX: usize = 4 << 20;
/// Blocks of which one selection keeps its picks: readers of the live end are this close.
const PICKED_BLOCKS_MAX: usize = 64;
/// Bytes of lines that all selections keep.
const LINES_TOTAL_BYTES_MAX: usize = 32 << 20;
/// Each selection keeps some, however many there are: a few lines of a switch.
const LINES_BYTES_MIN: usize = 16 << 10;

/// What sharing did since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SharingStatistics {
    /// Distinct selections that are read now.
    pub selections: u64,
    /// Times that a block was judged by a selection.
    pub blocks_judged: u64,
    /// Times that a subscriber took the picks of another.
    pub blocks_shared: u64,
    /// Lines rendered.
    pub lines_rendered: u64,
    /// Lines that a subscriber took from another.
    pub lines_shared: u64,
}

/// All selections of one source, by text.
#[derive(Debug, Default)]
pub(super) struct Selections {
    known: Mutex<HashMap<String, Weak<SharedSelection>>>,
    facts: Arc<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    selections: AtomicUsize,
    blocks_judged: AtomicU64,
    blocks_shared: AtomicU64,
    lines_rendered: AtomicU64,
    lines_shared: AtomicU64,
}

/// A selection, shared by its subscribers.
#[derive(Debug)]
pub struct SharedSelection {
    selection: Selection,
    hash: u64,
    subscribers: AtomicUsize,
    judge: Mutex<Judge>,
    lines: Mutex<Lines>,
    facts: Arc<Facts>,
}

/// One subscriber's hold on a selection; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct Held(Arc<SharedSelection>);

/// Whose entry it is and of which schema, as ids: an id means one thing for ever.
type AnswerKey = (OriginId, DefinitionId, DefinitionId);

#[derive(Debug, Default)]
struct Judge {
    answers: HashMap<AnswerKey, bool>,
    picks: HashMap<LogPosition, Arc<[u32]>>,
    /// Oldest first.
    order: VecDeque<LogPosition>,
    /// In `picks`.
    indexes: usize,
}

type LineKey = (LineFormat, StreamId, Seq, (bool, bool));

#[derive(Debug, Default)]
struct Lines {
    lines: HashMap<LineKey, Bytes>,
    /// Oldest first.
    order: VecDeque<LineKey>,
    bytes: usize,
}

impl Selections {
    /// A hold on the selection that others of this text hold too.
    pub(super) fn hold(&self, selection: Selection) -> Held {
        let shared = self.share(selection);
        shared.subscribers.fetch_add(1, Ordering::Relaxed);
        Held(shared)
    }

    fn share(&self, selection: Selection) -> Arc<SharedSelection> {
        let text = selection.text();
        let mut known = self.known.lock();
        if let Some(shared) = known.get(&text).and_then(Weak::upgrade) {
            return shared;
        }
        // Those that nobody holds any more leave, so the map is as large as what is read.
        known.retain(|_, shared| shared.strong_count() > 0);
        self.facts.selections.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(SharedSelection {
            hash: selection.hash(),
            selection,
            subscribers: AtomicUsize::new(0),
            judge: Mutex::default(),
            lines: Mutex::default(),
            facts: Arc::clone(&self.facts),
        });
        known.insert(text, Arc::downgrade(&shared));
        shared
    }

    pub(super) fn statistics(&self) -> SharingStatistics {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        SharingStatistics {
            selections: self.facts.selections.load(Ordering::Relaxed) as u64,
            blocks_judged: count(&self.facts.blocks_judged),
            blocks_shared: count(&self.facts.blocks_shared),
            lines_rendered: count(&self.facts.lines_rendered),
            lines_shared: count(&self.facts.lines_shared),
        }
    }
}

impl Held {
    /// What is held.
    pub(super) fn shared(&self) -> &Arc<SharedSelection> {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for SharedSelection {
    fn drop(&mut self) {
        self.facts.selections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Facts {
    /// What one selection may keep of what all may.
    fn share_of(&self, total: usize) -> usize {
        total / self.selections.load(Ordering::Relaxed).max(1)
    }

    fn count(number: &AtomicU64) {
        number.fetch_add(1, Ordering::Relaxed);
    }
}

impl SharedSelection {
    /// What is selected.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Groups and metrics wanted.
    #[must_use]
    pub fn projection(&self) -> &Projection {
        self.selection.projection()
    }

    /// Of the selection, for cursors.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether an entry is wanted whose head is resolved.
    #[must_use]
    pub fn has_entry(&self, head: &ResolvedHead) -> bool {
        self.selection.has_entry(head)
    }

    fn has_several(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 1
    }

    /// Which entries of a block are wanted, of every kind that subscribers get, ascending. What
    /// the fence refused is not; what cannot be resolved is passed over with a warning: one bad
    /// entry must not end all subscriptions.
    pub(super) fn picks(&self, definitions: &Definitions, block: &StoredBlock) -> Arc<[u32]> {
        let mut judge = self.judge.lock();
        if let Some(picks) = judge.picks.get(&block.position()) {
            Facts::count(&self.facts.blocks_shared);
            return Arc::clone(picks);
        }
        Facts::count(&self.facts.blocks_judged);
        let picks = self.judge(&mut judge, definitions, block);
        // The lock is held, so nobody else begins to judge what is being judged.
        if self.has_several() {
            judge.keep(
                block.position(),
                &picks,
                self.facts.share_of(PICKS_TOTAL_MAX),
            );
        }
        picks
    }

    fn judge(
        &self,
        judge: &mut Judge,
        definitions: &Definitions,
        block: &StoredBlock,
    ) -> Arc<[u32]> {
        if block.is_fenced() {
            return Arc::from([]);
        }
        let origin = block.header().stream.origin;
        let mut picks = Vec::new();
        for (index, view) in (0u32..).zip(block.entries()) {
            if is_told(view.head.kind) && self.wants(judge, definitions, (origin, &view.head)) {
                picks.push(index);
            }
        }
        picks.into()
    }

    fn wants(
        &self,
        judge: &mut Judge,
        definitions: &Definitions,
        (origin, head): (OriginId, &EntryHead),
    ) -> bool {
        let is_batch = head.kind == EntryKind::Batch;
        let schema = if is_batch {
            head.schema
        } else {
            DefinitionId::NONE
        };
        let key = (origin, head.resource, schema);
        if let Some(answer) = judge.answers.get(&key) {
            return *answer;
        }
        let (resource, schema) = match definitions.resource_and_schema(origin, head) {
            Ok(parts) => parts,
            Err(error) => {
                tracing::warn!(%origin, %error, "an entry was passed over");
                return false;
            }
        };
        let answer = self
            .selection
            .has_parts(resource.as_deref(), schema.as_deref());
        let answers_max = self.facts.share_of(ANSWERS_TOTAL_MAX).max(ANSWERS_MIN);
        if judge.answers.len() >= answers_max {
            judge.answers.clear();
        }
        judge.answers.insert(key, answer);
        answer
    }

    /// A record as a line, or lines, of a format: rendered by the first of several subscribers.
    /// `render` appends it.
    pub fn line(
        &self,
        format: LineFormat,
        record: &Record,
        render: impl FnOnce(&mut Vec<u8>),
    ) -> Bytes {
        let rendered = || {
            let mut line = Vec::new();
            render(&mut line);
            Facts::count(&self.facts.lines_rendered);
            Bytes::from(line)
        };
        if !self.has_several() || record.is_volatile {
            return rendered();
        }
        let lane = (record.is_backfill, record.is_fill);
        let key = (format, record.stream, record.seq, lane);
        // Held while it is rendered: who waits needs that very line.
        let mut lines = self.lines.lock();
        if let Some(line) = lines.lines.get(&key) {
            Facts::count(&self.facts.lines_shared);
            return line.clone();
        }
        let line = rendered();
        let bytes_max = self.facts.share_of(LINES_TOTAL_BYTES_MAX);
        lines.keep(key, &line, bytes_max.max(LINES_BYTES_MIN));
        line
    }
}

impl Judge {
    fn keep(&mut self, at: LogPosition, picks: &Arc<[u32]>, indexes_max: usize) {
        self.picks.insert(at, Arc::clone(picks));
        self.order.push_back(at);
        self.indexes += picks.len();
        // One block of picks stays, whatever it has.
        while self.order.len() > PICKED_BLOCKS_MAX
            || (self.indexes > indexes_max && self.order.len() > 1)
        {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let left = self.picks.remove(&oldest);
            self.indexes -= left.map_or(0, |picks| picks.len());
        }
    }
}

impl Lines {
    fn keep(&mut self, key: LineKey, line: &Bytes, bytes_max: usize) {
        if line.len() > bytes_max {
            return;
        }
        self.lines.insert(key, line.clone());
        self.order.push_back(key);
        self.bytes += line.len();
        while self.bytes > bytes_max {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let left = self.lines.remove(&oldest);
            self.bytes -= left.map_or(0, |line| line.len());
        }
    }
}

/// Kinds that subscribers get at all.
fn is_told(kind: EntryKind) -> bool {
    matches!(
        kind,
        EntryKind::Batch
            | EntryKind::Gap
            | EntryKind::Pending
            | EntryKind::Released
            | EntryKind::Event
    )
}
