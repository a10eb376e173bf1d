//! What all threads of the bus share: the map of segments, the live tail, the durable end.
//!
//! Does: publish commits in one step, answer where a stream or a time begins.
//! Does not: write or read files.
//! In: commits of the writer. Out: positions, blocks of the tail, a watch on the durable end.
//! Invariant: the durable end moves only after fsync, and after map and tail hold all before it, so
//! that whoever sees the end finds what lies before.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_model::clock::WallMs;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::coverage::StreamState;
use crate::record::{Seq, StreamId};
use crate::segment::header::HEADER_BYTES;
use crate::segment::index::{SegmentIndex, SeqRange};
use crate::segment::{LogPosition, SegmentNumber};
use crate::seq_ranges::SeqRanges;
use crate::stored::StoredBlock;
use crate::tail::Tail;

/// A segment in the map.
#[derive(Debug, Clone)]
pub(crate) struct SegmentMeta {
    pub(crate) created: WallMs,
    /// Where its durable blocks end.
    pub(crate) end: u64,
    /// Bytes of the file.
    pub(crate) file_bytes: u64,
    /// Whether nothing will be appended.
    pub(crate) is_sealed: bool,
    /// Without sparse entries once sealed: they stand in the footer.
    pub(crate) index: SegmentIndex,
}

/// Segments and what they hold together.
#[derive(Debug, Default)]
pub(crate) struct LogMap {
    pub(crate) segments: BTreeMap<SegmentNumber, SegmentMeta>,
    /// What is held of each stream, or was.
    pub(crate) streams: BTreeMap<StreamId, StreamState>,
    /// Where the last segment that retention removed ended; a reader before it has lost something.
    pub(crate) removed_end: LogPosition,
}

impl LogMap {
    /// What is held of a stream, or was.
    pub(crate) fn covered(&self, stream: StreamId) -> SeqRanges {
        let state = self.streams.get(&stream);
        state.map(|state| state.covered.clone()).unwrap_or_default()
    }

    /// What of that is covered by skips alone.
    pub(crate) fn skipped(&self, stream: StreamId) -> SeqRanges {
        let state = self.streams.get(&stream);
        state.map(|state| state.skipped.clone()).unwrap_or_default()
    }

    /// What of it stands here: neither skips nor removed by retention.
    pub(crate) fn held(&self, stream: StreamId) -> SeqRanges {
        let state = self.streams.get(&stream);
        let held = state.map(|it| it.covered.without(&it.removed).without(&it.skipped));
        held.unwrap_or_default()
    }

    /// What retention took of it, but for `taken`.
    pub(crate) fn lost_to(&self, stream: StreamId, taken: &SeqRanges) -> SeqRanges {
        let Some(state) = self.streams.get(&stream) else {
            return SeqRanges::default();
        };
        let mut lost = state.removed.without(taken);
        // What was removed is told without holes beyond a number of ranges.
        let segments = self.segments.values();
        for facts in segments.filter_map(|meta| meta.index.streams.get(&stream)) {
            if lost.is_empty() {
                break;
            }
            lost = lost.without(&facts.ranges);
        }
        lost
    }

    /// Whether a block of `range`, but for `without`, brings nothing: all is held, or was.
    pub(crate) fn holds(&self, stream: StreamId, range: SeqRange, without: &SeqRanges) -> bool {
        let Some(state) = self.streams.get(&stream) else {
            return false;
        };
        let wanted = || state.skipped.within(range).without(without);
        state.covered.contains_all(range) && (state.skipped.is_empty() || wanted().is_empty())
    }

    /// The highest seq of a stream's backfill that is held; 0 if none.
    pub(crate) fn backfilled(&self, stream: StreamId) -> Seq {
        let state = self.streams.get(&stream);
        state.map_or(Seq(0), |state| state.backfilled)
    }

    /// The highest seq of a stream that is held, or was; 0 if none.
    pub(crate) fn highest(&self, stream: StreamId) -> Seq {
        let state = self.streams.get(&stream);
        state.map_or(Seq(0), |state| state.covered.highest())
    }
}

/// State of the log, shared.
#[derive(Debug)]
pub(crate) struct Log {
    map: RwLock<LogMap>,
    tail: Mutex<Tail>,
    durable_end: watch::Sender<LogPosition>,
}

impl Log {
    /// The log as recovery found it.
    pub(crate) fn new(map: LogMap, tail_bytes_max: usize) -> Self {
        let end = map
            .segments
            .last_key_value()
            .map_or(LogPosition::default(), |(number, meta)| LogPosition {
                segment: *number,
                offset: meta.end,
            });
        Self {
            map: RwLock::new(map),
            tail: Mutex::new(Tail::new(end, tail_bytes_max)),
            durable_end: watch::Sender::new(end),
        }
    }

    /// Looks at the map.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&LogMap) -> T) -> T {
        look(&self.map.read())
    }

    /// Changes the map; for the writer and the executor of retention.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut LogMap) -> T) -> T {
        change(&mut self.map.write())
    }

    /// Makes committed blocks visible. Called after their fsync, by the writer alone.
    pub(crate) fn publish(&self, blocks: &[Arc<StoredBlock>]) {
        let Some(last) = blocks.last() else {
            return;
        };
        let end = last.next_position();
        self.change(|map| {
            for block in blocks {
                let facts = block.facts();
                map.streams.entry(facts.stream).or_default().take(block);
                if let Some(meta) = map.segments.get_mut(&block.position().segment) {
                    meta.index
                        .add(block.position().offset, block.received(), &facts);
                    meta.end = block.next_position().offset;
                }
            }
        });
        {
            let mut tail = self.tail.lock();
            for block in blocks {
                tail.push(Arc::clone(block));
            }
        }
        self.durable_end.send_replace(end);
    }

    /// Forgets a segment that retention takes.
    pub(crate) fn remove(&self, number: SegmentNumber) {
        let end = self.change(|map| {
            let meta = map.segments.remove(&number)?;
            let end = LogPosition {
                segment: number,
                offset: meta.end,
            };
            map.removed_end = map.removed_end.max(end);
            Some(end)
        });
        if let Some(end) = end {
            self.tail.lock().trim(end);
        }
    }

    /// Where the durable blocks end.
    pub(crate) fn durable_end(&self) -> LogPosition {
        *self.durable_end.borrow()
    }

    /// Tells when the durable end moves.
    pub(crate) fn watch_end(&self) -> watch::Receiver<LogPosition> {
        self.durable_end.subscribe()
    }

    /// Blocks of the live tail from `position` on; `None` if it no longer reaches back so far.
    pub(crate) fn tail_from(
        &self,
        position: LogPosition,
        bytes_max: usize,
    ) -> Option<Vec<Arc<StoredBlock>>> {
        self.tail.lock().from(position, bytes_max)
    }

    /// Bytes of the live tail.
    pub(crate) fn tail_bytes(&self) -> usize {
        self.tail.lock().bytes()
    }

    /// The oldest place held; the durable end if nothing is.
    pub(crate) fn oldest(&self) -> LogPosition {
        let first = self.read(|map| map.segments.first_key_value().map(|(number, _)| *number));
        first.map_or_else(|| self.durable_end(), start_of)
    }
}

/// Where the first frame of a segment stands.
pub(crate) fn start_of(segment: SegmentNumber) -> LogPosition {
    LogPosition {
        segment,
        offset: HEADER_BYTES as u64,
    }
}
