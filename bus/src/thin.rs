//! Writes a sealed segment anew without the data of some origins.
//!
//! Does: keep each other block at its offset, put one `removed` frame where a run of blocks was, so
//! that the file is sparse there; chain, footer and index anew. Does not: decide whose (`shares`).
//! In: a sealed segment. Out: a smaller one under the same number, in place by one rename, so that
//! a crash leaves the old or the new one. Lane 1 stays.
//! Readers: offsets mean what they meant. One that stands within a run finds the next frame
//! ([`boundary_after`]).

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use ocelli_model::clock::WallMs;

use crate::disk::read_at;
use crate::record::{Lane, OriginId};
use crate::segment::frame::{self, FRAME_HEAD_BYTES, FrameKind};
use crate::segment::header::HEADER_BYTES;
use crate::segment::index::SegmentIndex;
use crate::segment::scan::{Frames, Scanned, read_sealed};
use crate::segment::{LogPosition, SegmentNumber};
use crate::shared::Shared;
use crate::statistics::Counters;
use crate::stored::StoredBlock;
use crate::writer::segment_file::SegmentFile;

/// Bytes of a block of the file system, as `stat` counts them.
const STAT_BLOCK_BYTES: u64 = 512;

/// Takes the data of `origins` out of a segment; `false` if it has no footer yet.
pub(crate) fn thin(
    shared: &Shared,
    number: SegmentNumber,
    origins: &BTreeSet<OriginId>,
) -> io::Result<bool> {
    let path = shared.directory.segment(number);
    let old = File::open(&path)?;
    let Some(scanned) = read_sealed(&old).map_err(io::Error::other)? else {
        return Ok(false);
    };
    let beside = shared.directory.thinned();
    match shared.disk.remove(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut index = SegmentIndex::default();
    let file = shared.disk.create(&beside, 0)?;
    let mut segment = SegmentFile::begin(file, &scanned.header)?;
    copy_others((&old, &scanned), origins, &mut segment, &mut index)?;
    segment.seal(&index)?;
    shared.disk.rename(&beside, &path)?;
    shared.disk.sync_directory(&shared.directory.segments())?;
    let file_bytes = bytes_on_disk(&File::open(&path)?.metadata()?);
    index.forget_entries();
    shared.log.change(|map| {
        if let Some(meta) = map.segments.get_mut(&number) {
            (meta.file_bytes, meta.index) = (file_bytes, index);
        }
    });
    shared.directories.lock().forget(number);
    Counters::add(&shared.counters.segments_thinned, 1);
    Ok(true)
}

fn copy_others(
    (old, scanned): (&File, &Scanned),
    origins: &BTreeSet<OriginId>,
    segment: &mut SegmentFile,
    index: &mut SegmentIndex,
) -> io::Result<()> {
    let mut frames = Frames::new(old, HEADER_BYTES as u64, scanned.end);
    let mut removed_at = WallMs(0);
    // Each frame moves the place on.
    while frames.offset() < scanned.end {
        let Some(frame) = frames.next(0)? else {
            break;
        };
        let (envelope, offset) = (frame.head.envelope, frame.offset);
        let position = LogPosition {
            segment: scanned.header.number,
            offset,
        };
        let payload = Bytes::copy_from_slice(frame.payload);
        let block = (envelope.kind == FrameKind::Block)
            .then(|| StoredBlock::read(position, envelope, payload.clone()).ok())
            .flatten();
        let goes = match &block {
            Some(block) => {
                let stream = block.header().stream;
                stream.lane == Lane::Data && origins.contains(&stream.origin)
            }
            // Damaged blocks, and what an earlier round took. Of a later version: stays.
            None => matches!(envelope.kind, FrameKind::Block | FrameKind::Removed),
        };
        if goes {
            removed_at = envelope.received;
            continue;
        }
        segment.skip_to(offset, removed_at)?;
        segment.append(&[(envelope, payload)])?;
        if let Some(block) = block {
            index.add(offset, envelope.received, &block.facts());
        }
    }
    segment.skip_to(scanned.end, removed_at)
}

/// Where the first frame at or behind `offset` begins; `None` if the frames before it are damaged.
pub(crate) fn boundary_after(file: &File, offset: u64) -> io::Result<Option<u64>> {
    let mut at = HEADER_BYTES as u64;
    let mut head = [0u8; FRAME_HEAD_BYTES];
    // Each frame moves the place on.
    while at < offset {
        let read = read_at(file, at, &mut head)?;
        let Some(frame) = frame::decode_head(0, &head[..read]) else {
            return Ok(None);
        };
        at += frame.frame_bytes();
    }
    Ok(Some(at))
}

/// What a file takes on the disk: a sparse one less than it is long.
pub(crate) fn bytes_on_disk(metadata: &Metadata) -> u64 {
    metadata.len().min(metadata.blocks() * STAT_BLOCK_BYTES)
}
