//! Reads of segments off the arbiters: a few threads, a bounded queue, a cache that readers share.
//!
//! Does: read a chunk of blocks from a position on, find where a reader begins.
//! Does not: filter, follow the live tail (`reader`).
//! In: [`ReadRequest`], at most one at a time from each reader. Out: [`Chunk`] behind an `Arc`.
//! Full: the queue has a place for each reader that may be open, so no request waits to be taken.
//! Invariant: nothing beyond the durable end is read.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use ocelli_model::clock::WallMs;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::block_index;
use crate::head_mark::HeadMark;
use crate::log::{SegmentMeta, start_of};
use crate::record::{Seq, StreamId};
use crate::segment::frame::FrameKind;
use crate::segment::index::{SegmentIndex, SeqRange, StreamFacts};
use crate::segment::scan::{Frames, read_sealed};
use crate::segment::{LogPosition, SegmentNumber};
use crate::seq_ranges::SeqRanges;
use crate::shared::Shared;
use crate::statistics::Counters;
use crate::stored::StoredBlock;
use crate::thin;

/// Blocks read at once for a reader, bytes.
pub(crate) const CHUNK_BYTES: usize = 512 * 1024;

/// Blocks from disk.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) blocks: Vec<Arc<StoredBlock>>,
    /// Where to go on.
    pub(crate) next: LogPosition,
    /// The place asked for was no longer held; `next` is the oldest that is.
    pub(crate) is_trimmed: bool,
}

/// Where a reader begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReadFrom {
    /// What becomes durable from now on.
    #[default]
    Now,
    /// The oldest block held.
    Oldest,
    /// The first block that this node took at that time or later.
    Time(WallMs),
    /// What of each stream was not yet taken; of streams not named, everything held.
    Taken(BTreeMap<StreamId, SeqRanges>),
    /// A place of this node's log.
    Position(LogPosition),
}

/// What a reader asks for.
pub(crate) enum ReadRequest {
    Chunk {
        from: LogPosition,
        answer: oneshot::Sender<io::Result<Arc<Chunk>>>,
    },
    Seek {
        from: ReadFrom,
        answer: oneshot::Sender<io::Result<LogPosition>>,
    },
    Blocks {
        stream: StreamId,
        range: SeqRange,
        bytes_max: usize,
        answer: oneshot::Sender<io::Result<Vec<Arc<StoredBlock>>>>,
    },
    Mark {
        stream: StreamId,
        seq: Seq,
        answer: oneshot::Sender<io::Result<Option<HeadMark>>>,
    },
}

/// Chunks that were read lately, by where they begin. Oldest out.
#[derive(Debug, Default)]
pub(crate) struct ChunkCache {
    chunks: BTreeMap<LogPosition, Arc<Chunk>>,
    order: VecDeque<LogPosition>,
    bytes: usize,
}

/// Serves requests until no reader can make one.
pub(crate) fn run(
    shared: &Shared,
    requests: &Mutex<Receiver<ReadRequest>>,
    cache: &Mutex<ChunkCache>,
) {
    loop {
        // The lock is held while waiting: one thread waits, the others work.
        let request = requests.lock().recv();
        match request {
            Ok(ReadRequest::Chunk { from, answer }) => {
                // A reader that was dropped meanwhile needs no answer.
                answer.send(cached_chunk(shared, cache, from)).ok();
            }
            Ok(ReadRequest::Seek { from, answer }) => {
                answer.send(seek(shared, &from)).ok();
            }
            Ok(ReadRequest::Blocks {
                stream,
                range,
                bytes_max,
                answer,
            }) => {
                let blocks = block_index::blocks(shared, stream, range, bytes_max);
                answer.send(blocks).ok();
            }
            Ok(ReadRequest::Mark {
                stream,
                seq,
                answer,
            }) => {
                answer.send(block_index::mark(shared, stream, seq)).ok();
            }
            Err(_) => return,
        }
    }
}

fn cached_chunk(
    shared: &Shared,
    cache: &Mutex<ChunkCache>,
    from: LogPosition,
) -> io::Result<Arc<Chunk>> {
    if let Some(chunk) = cache.lock().chunks.get(&from) {
        return Ok(Arc::clone(chunk));
    }
    let chunk = Arc::new(read_chunk(shared, from)?);
    Counters::add(&shared.counters.disk_reads, 1);
    // Only a chunk that cannot grow is kept.
    let bytes: usize = chunk.blocks.iter().map(|block| block.memory_bytes()).sum();
    if bytes >= CHUNK_BYTES {
        cache
            .lock()
            .insert(from, &chunk, bytes, shared.options.read_cache_bytes_max);
    }
    Ok(chunk)
}

impl ChunkCache {
    fn insert(&mut self, from: LogPosition, chunk: &Arc<Chunk>, bytes: usize, bytes_max: usize) {
        if self.chunks.insert(from, Arc::clone(chunk)).is_none() {
            self.order.push_back(from);
            self.bytes += bytes;
        }
        while self.bytes > bytes_max {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(chunk) = self.chunks.remove(&oldest) {
                self.bytes -= chunk
                    .blocks
                    .iter()
                    .map(|block| block.memory_bytes())
                    .sum::<usize>();
            }
        }
    }
}

/// Reads durable blocks from `from` on, about [`CHUNK_BYTES`] of them, of one segment.
pub(crate) fn read_chunk(shared: &Shared, from: LogPosition) -> io::Result<Chunk> {
    let mut from = from;
    // Each round goes on to a later segment, so this ends.
    loop {
        let (here, following) = shared.log.read(|map| {
            let here = map.segments.get(&from.segment).map(|meta| meta.end);
            let following = map.segments.range(from.segment.next()..).next();
            (here, following.map(|(number, _)| *number))
        });
        match (here, following) {
            (Some(end), _) if from.offset < end => return read_part(shared, from, end),
            (Some(_), Some(following)) => from = start_of(following),
            (Some(_), None) => {
                return Ok(Chunk {
                    next: from,
                    ..Chunk::default()
                });
            }
            (None, _) => {
                let removed_end = shared.log.read(|map| map.removed_end);
                match following.filter(|_| from >= removed_end) {
                    Some(following) => from = start_of(following),
                    None => return Ok(trimmed(shared, from)),
                }
            }
        }
    }
}

/// `from` stands in a segment that is gone: reading goes on at the oldest one behind it.
fn trimmed(shared: &Shared, from: LogPosition) -> Chunk {
    let next = shared.log.read(|map| {
        let mut following = map.segments.range(from.segment.next()..);
        following.next().map(|(number, _)| start_of(*number))
    });
    Chunk {
        next: next.unwrap_or_else(|| shared.log.durable_end()),
        is_trimmed: true,
        ..Chunk::default()
    }
}

fn read_part(shared: &Shared, from: LogPosition, end: u64) -> io::Result<Chunk> {
    let file = match File::open(shared.directory.segment(from.segment)) {
        Ok(file) => file,
        // Retention was faster: the map already says so.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(trimmed(shared, from));
        }
        Err(error) => return Err(error),
    };
    let mut frames = Frames::new(&file, from.offset, end);
    let mut chunk = Chunk::default();
    let mut bytes = 0;
    let mut damaged = 0;
    while bytes < CHUNK_BYTES && frames.offset() < end {
        let at = frames.offset();
        let Some(frame) = frames.next(0)? else {
            // The frame that began here may have been taken out of the segment.
            let next = thin::boundary_after(&file, at)?.filter(|next| *next > at);
            if let Some(next) = next {
                frames = Frames::new(&file, next, end);
                continue;
            }
            damaged += 1;
            break;
        };
        if frame.head.envelope.kind == FrameKind::Removed {
            continue;
        }
        let position = LogPosition {
            segment: from.segment,
            offset: frame.offset,
        };
        let payload = Bytes::copy_from_slice(frame.payload);
        match StoredBlock::read(position, frame.head.envelope, payload) {
            Ok(block) => {
                bytes += block.memory_bytes();
                chunk.blocks.push(Arc::new(block));
            }
            Err(error) => {
                damaged += 1;
                tracing::error!(%position, %error, "a damaged block was passed over");
            }
        }
    }
    Counters::add(&shared.counters.damaged_blocks, damaged);
    let is_cut = bytes < CHUNK_BYTES && frames.offset() < end;
    let offset = if is_cut { end } else { frames.offset() };
    chunk.next = LogPosition {
        segment: from.segment,
        offset,
    };
    Ok(chunk)
}

/// The block whose frame begins at `position`, if it is held and whole.
pub(crate) fn read_block(
    shared: &Shared,
    position: LogPosition,
) -> io::Result<Option<StoredBlock>> {
    let end = shared
        .log
        .read(|map| map.segments.get(&position.segment).map(|meta| meta.end));
    let Some(end) = end.filter(|end| position.offset < *end) else {
        return Ok(None);
    };
    let file = File::open(shared.directory.segment(position.segment))?;
    let mut frames = Frames::new(&file, position.offset, end);
    let Some(frame) = frames.next(0)? else {
        return Ok(None);
    };
    let payload = Bytes::copy_from_slice(frame.payload);
    Ok(StoredBlock::read(position, frame.head.envelope, payload).ok())
}

// === Seeking ===

/// Where a reader begins.
pub(crate) fn seek(shared: &Shared, from: &ReadFrom) -> io::Result<LogPosition> {
    match from {
        ReadFrom::Now => Ok(shared.log.durable_end()),
        ReadFrom::Oldest => Ok(shared.log.oldest()),
        ReadFrom::Position(position) => Ok(*position),
        ReadFrom::Time(time) => {
            let number = shared.log.read(|map| {
                let is_late =
                    |meta: &SegmentMeta| meta.index.received.is_some_and(|(_, last)| last >= *time);
                map.segments
                    .iter()
                    .find(|(_, meta)| is_late(meta))
                    .map(|(number, _)| *number)
            });
            seek_in(shared, number, |index| index.seek_time(*time))
        }
        ReadFrom::Taken(taken) => seek_untaken(shared, taken),
    }
}

/// The lowest place that holds something of any stream that was not taken.
fn seek_untaken(shared: &Shared, taken: &BTreeMap<StreamId, SeqRanges>) -> io::Result<LogPosition> {
    let none = SeqRanges::default();
    let missing = |(stream, facts): (&StreamId, &StreamFacts)| {
        let taken = taken.get(stream).unwrap_or(&none);
        let untaken = facts.ranges.without(taken).lowest();
        untaken.map(|seq| (*stream, seq))
    };
    let number = shared.log.read(|map| {
        let has_missing =
            |meta: &SegmentMeta| meta.index.streams.iter().any(|it| missing(it).is_some());
        let mut segments = map.segments.iter();
        segments
            .find(|(_, meta)| has_missing(meta))
            .map(|(number, _)| *number)
    });
    seek_in(shared, number, |index| {
        let places = index.streams.iter().filter_map(missing);
        places
            .filter_map(|(stream, seq)| index.seek(stream, seq))
            .min()
    })
}

/// Looks into the index of a segment, the footer's where the map holds it without entries.
fn seek_in(
    shared: &Shared,
    number: Option<SegmentNumber>,
    look: impl Fn(&SegmentIndex) -> Option<u64>,
) -> io::Result<LogPosition> {
    let Some(number) = number else {
        return Ok(shared.log.durable_end());
    };
    let sealed = match File::open(shared.directory.segment(number)) {
        Ok(file) => read_sealed(&file).ok().flatten().map(|sealed| sealed.index),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let offset = match sealed {
        Some(index) => look(&index),
        None => shared
            .log
            .read(|map| map.segments.get(&number).and_then(|meta| look(&meta.index))),
    };
    let start = start_of(number);
    Ok(LogPosition {
        segment: number,
        offset: offset.unwrap_or(start.offset),
    })
}
