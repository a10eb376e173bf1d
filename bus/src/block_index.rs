//! Blocks by stream and seq: from the map's ranges to a segment, from its directory to an offset.
//!
//! Does: list where the blocks of a segment stand, keep some lists, read blocks and marks.
//! Does not: follow the log (`block_reader`).
//! In: a stream and seqs. Out: blocks ascending in seq, or the mark of the block around a seq.
//! Cost: the first look into a segment reads the head of each of its blocks; then one read a block.
//! Full: beyond [`PLACES_MAX`] the list that was made first leaves.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::block::{BlockHeader, HEADER_BYTES as BLOCK_HEADER_BYTES};
use crate::disk::read_at;
use crate::head_mark::HeadMark;
use crate::log::{LogMap, SegmentMeta};
use crate::record::{Seq, StreamId};
use crate::segment::frame::{self, FRAME_HEAD_BYTES, FrameKind};
use crate::segment::header::HEADER_BYTES;
use crate::segment::index::SeqRange;
use crate::segment::{LogPosition, SegmentNumber};
use crate::shared::Shared;
use crate::statistics::Counters;
use crate::stored::StoredBlock;

/// Blocks listed at once: some 10 MiB, a hundred segments of large blocks.
const PLACES_MAX: usize = 256 * 1024;

/// Where a block stands in its segment.
#[derive(Debug, Clone, Copy)]
struct BlockPlace {
    range: SeqRange,
    offset: u64,
    bytes: usize,
}

/// The blocks of a segment, up to an offset.
#[derive(Debug, Clone, Default)]
struct Directory {
    /// Ascending in first seq.
    streams: BTreeMap<StreamId, Vec<BlockPlace>>,
    end: u64,
    count: usize,
}

/// Directories of segments that were looked into lately.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    known: BTreeMap<SegmentNumber, Arc<Directory>>,
    order: VecDeque<SegmentNumber>,
    count: usize,
}

impl Directories {
    /// Forgets a segment: it was removed or written anew.
    pub(crate) fn forget(&mut self, number: SegmentNumber) {
        if let Some(directory) = self.known.remove(&number) {
            self.count -= directory.count;
            self.order.retain(|known| *known != number);
        }
    }

    fn insert(&mut self, number: SegmentNumber, directory: &Arc<Directory>) {
        self.forget(number);
        self.known.insert(number, Arc::clone(directory));
        self.order.push_back(number);
        self.count += directory.count;
        // One list stays in any case.
        while self.count > PLACES_MAX && self.order.len() > 1 {
            let Some(oldest) = self.order.front().copied() else {
                break;
            };
            self.forget(oldest);
        }
    }
}

impl Directory {
    /// The block around `seq`.
    fn find(&self, stream: StreamId, seq: Seq) -> Option<BlockPlace> {
        let places = self.streams.get(&stream)?;
        let after = places.partition_point(|place| place.range.first <= seq);
        let before = places[..after].iter().rev();
        // Blocks may overlap where one was held in part; the nearest one that reaches is taken.
        let mut reaching = before.filter(|place| place.range.last >= seq);
        reaching.next().copied()
    }

    /// All blocks of exactly these seqs: where an entry was withheld, another block may have it.
    fn all_of(&self, stream: StreamId, range: SeqRange) -> impl Iterator<Item = BlockPlace> + '_ {
        let places = self.streams.get(&stream).map_or(&[][..], Vec::as_slice);
        let start = places.partition_point(|place| place.range.first < range.first);
        let of_first = places[start..].iter();
        let of_first = of_first.take_while(move |place| place.range.first == range.first);
        of_first.filter(move |place| place.range == range).copied()
    }

    /// Goes on to list what stands between its end and `end`.
    fn extend(&mut self, file: &File, end: u64) -> io::Result<()> {
        let mut head = [0u8; FRAME_HEAD_BYTES + BLOCK_HEADER_BYTES];
        let mut changed = false;
        // Each frame moves the place on, and one that is none ends the list.
        while self.end < end {
            let read = read_at(file, self.end, &mut head)?;
            let Some(of_frame) = frame::decode_head(0, &head[..read]) else {
                break;
            };
            let header = BlockHeader::read(head.get(FRAME_HEAD_BYTES..read).unwrap_or(&[]));
            if let Some(header) = header
                .ok()
                .filter(|_| of_frame.envelope.kind == FrameKind::Block)
            {
                let range = SeqRange {
                    first: header.first_seq,
                    last: header.last_seq(),
                };
                self.streams
                    .entry(header.stream)
                    .or_default()
                    .push(BlockPlace {
                        range,
                        offset: self.end,
                        bytes: of_frame.payload_bytes,
                    });
                self.count += 1;
                changed = true;
            }
            self.end += of_frame.frame_bytes();
        }
        self.end = end;
        if changed {
            let lists = self.streams.values_mut();
            lists.for_each(|places| places.sort_by_key(|place| (place.range.first, place.offset)));
        }
        Ok(())
    }
}

/// An open segment with its directory.
struct Opened {
    number: SegmentNumber,
    file: File,
    directory: Arc<Directory>,
}

/// Blocks of a stream that hold seqs of `range`, ascending, about `bytes_max` of them but at least
/// one, if any is held.
pub(crate) fn blocks(
    shared: &Shared,
    stream: StreamId,
    range: SeqRange,
    bytes_max: usize,
) -> io::Result<Vec<Arc<StoredBlock>>> {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    let mut next = range.first;
    let mut opened: Option<Opened> = None;
    // Each round moves `next` on, and ends at the range's end or at the limit of bytes.
    while next <= range.last && (blocks.is_empty() || bytes < bytes_max) {
        let rest = SeqRange {
            first: next,
            last: range.last,
        };
        let here = opened.as_ref().map(|opened| opened.number);
        let Some((number, seq)) = shared.log.read(|map| lowest(map, stream, rest, here)) else {
            break;
        };
        if here != Some(number) {
            opened = open(shared, number)?;
        }
        let found = opened.as_ref().and_then(|opened| {
            let place = opened.directory.find(stream, seq)?;
            Some((opened, place))
        });
        // What the map holds and the file does not is damaged, or was removed a moment ago.
        let Some((segment, place)) = found else {
            next = seq.next();
            continue;
        };
        if let Some(block) = read(shared, segment, place)? {
            let block = filled(shared, block)?;
            bytes += block.bytes().len();
            blocks.push(Arc::new(block));
        }
        if place.range.last == Seq(u64::MAX) {
            break;
        }
        next = place.range.last.next();
    }
    Ok(blocks)
}

/// The block with those of its withheld entries that came by another path.
fn filled(shared: &Shared, block: StoredBlock) -> io::Result<StoredBlock> {
    let (stream, range) = (block.header().stream, block.range());
    let skipped = block.skipped();
    if skipped.is_empty() || shared.log.read(|map| map.skipped(stream).covers(&skipped)) {
        return Ok(block);
    }
    let with_it = shared.log.read(|map| {
        let has = |meta: &SegmentMeta| {
            let facts = meta.index.streams.get(&stream);
            facts.is_some_and(|facts| facts.ranges.contains_all(range))
        };
        let all = map.segments.iter();
        let with_it = all.filter(|(_, meta)| has(meta)).map(|(number, _)| *number);
        with_it.collect::<Vec<_>>()
    });
    let mut whole = block;
    for number in with_it {
        let Some(opened) = open(shared, number)? else {
            continue;
        };
        for place in opened.directory.all_of(stream, range) {
            if let Some(other) = read(shared, &opened, place)? {
                whole = whole.put_back(&other).unwrap_or(whole);
            }
        }
    }
    Ok(whole)
}

/// The mark of the block around `seq`, if it is held.
pub(crate) fn mark(shared: &Shared, stream: StreamId, seq: Seq) -> io::Result<Option<HeadMark>> {
    let range = SeqRange {
        first: seq,
        last: seq,
    };
    let blocks = blocks(shared, stream, range, 0)?;
    Ok(blocks.first().map(|block| HeadMark {
        seq,
        block_first: block.header().first_seq,
        checksum: block.checksum(),
    }))
}

/// The lowest held seq of `range`, and a segment that has it: `here`, if that one does.
fn lowest(
    map: &LogMap,
    stream: StreamId,
    range: SeqRange,
    here: Option<SegmentNumber>,
) -> Option<(SegmentNumber, Seq)> {
    let held = |number: &SegmentNumber| {
        let facts = map.segments.get(number)?.index.streams.get(&stream)?;
        facts.ranges.within(range).lowest()
    };
    let at_hand = here.and_then(|number| Some((number, held(&number)?)));
    if let Some(found) = at_hand.filter(|(_, seq)| *seq == range.first) {
        return Some(found);
    }
    let all = map.segments.keys();
    let candidates = all.filter_map(|number| Some((*number, held(number)?)));
    candidates.min_by_key(|(_, seq)| *seq)
}

fn open(shared: &Shared, number: SegmentNumber) -> io::Result<Option<Opened>> {
    let end = shared
        .log
        .read(|map| map.segments.get(&number).map(|meta| meta.end));
    let Some(end) = end else {
        return Ok(None);
    };
    let file = match File::open(shared.directory.segment(number)) {
        Ok(file) => file,
        // Retention was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let known = shared.directories.lock().known.get(&number).cloned();
    if let Some(directory) = known.as_ref().filter(|known| known.end >= end) {
        let directory = Arc::clone(directory);
        return Ok(Some(Opened {
            number,
            file,
            directory,
        }));
    }
    let mut directory = known.as_deref().cloned().unwrap_or_else(|| Directory {
        end: HEADER_BYTES as u64,
        ..Directory::default()
    });
    directory.extend(&file, end)?;
    let directory = Arc::new(directory);
    shared.directories.lock().insert(number, &directory);
    Ok(Some(Opened {
        number,
        file,
        directory,
    }))
}

fn read(shared: &Shared, segment: &Opened, place: BlockPlace) -> io::Result<Option<StoredBlock>> {
    let mut bytes = vec![0u8; FRAME_HEAD_BYTES + place.bytes];
    let read = read_at(&segment.file, place.offset, &mut bytes)?;
    bytes.truncate(read);
    Counters::add(&shared.counters.disk_reads, 1);
    let position = LogPosition {
        segment: segment.number,
        offset: place.offset,
    };
    let envelope = frame::decode_head(0, &bytes).map(|head| head.envelope);
    let block = envelope.and_then(|envelope| {
        let payload = Bytes::from(bytes).slice(FRAME_HEAD_BYTES..);
        StoredBlock::read(position, envelope, payload).ok()
    });
    if block.is_none() {
        Counters::add(&shared.counters.damaged_blocks, 1);
        tracing::error!(%position, "a damaged block was passed over");
    }
    Ok(block)
}

/// The lists, shared by all who look.
pub(crate) type SharedDirectories = Mutex<Directories>;
