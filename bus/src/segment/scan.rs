//! Reads a segment back: frame by frame, or at once by its footer.
//!
//! Does: walk frames through a bounded buffer, find the longest valid prefix, measure what lies
//! behind it. Does not: change files (`recovery`).
//! In: an open file. Out: [`Frames`] for those who read blocks, [`Scanned`] for a start.

use std::fs::File;
use std::io;

use bytes::Bytes;

use crate::disk::read_at;
use crate::segment::LogPosition;
use crate::segment::footer::{self, TRAILER_BYTES, Trailer};
use crate::segment::frame::{self, FRAME_HEAD_BYTES, FrameHead, FrameKind, PAYLOAD_BYTES_MAX};
use crate::segment::header::{HEADER_BYTES, HeaderError, SegmentHeader};
use crate::segment::index::SegmentIndex;
use crate::stored::StoredBlock;

/// Bytes read at once; a larger frame grows the buffer to its own size, at most
/// [`PAYLOAD_BYTES_MAX`] and its head.
const READ_BYTES: usize = 256 * 1024;

// === Frames ===

/// Walks the frames of a file from an offset on. Holds one buffer.
pub(crate) struct Frames<'a> {
    file: &'a File,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

/// A frame in the buffer. Its checksum has not been compared: see [`FrameHead::verify`].
pub(crate) struct Frame<'a> {
    pub(crate) offset: u64,
    pub(crate) head: FrameHead,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The frames that begin at `at` or later and end by `end`.
    pub(crate) fn new(file: &'a File, at: u64, end: u64) -> Self {
        Self {
            file,
            at,
            end,
            buffer: Vec::new(),
            buffer_at: 0,
        }
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.at
    }

    /// The next frame as it stands; `None` where none begins or the last one is cut. `chain` is the
    /// checksum chain so far, or anything for those who rely on the block's own checksums.
    pub(crate) fn next(&mut self, chain: u32) -> io::Result<Option<Frame<'_>>> {
        let Some(head) = self.bytes(FRAME_HEAD_BYTES)? else {
            return Ok(None);
        };
        let Some(head) = frame::decode_head(chain, head) else {
            return Ok(None);
        };
        let offset = self.at;
        let frame_bytes = FRAME_HEAD_BYTES + head.payload_bytes;
        if head.envelope.kind == FrameKind::Removed {
            self.at += head.frame_bytes();
            let payload = &[];
            let frame = Frame {
                offset,
                head,
                payload,
            };
            return Ok((self.at <= self.end).then_some(frame));
        }
        if self.bytes(frame_bytes)?.is_none() {
            return Ok(None);
        }
        self.at += frame_bytes as u64;
        let from = usize::try_from(offset - self.buffer_at).unwrap_or(usize::MAX);
        let payload = self
            .buffer
            .get(from + FRAME_HEAD_BYTES..from + frame_bytes)
            .unwrap_or(&[]);
        Ok(Some(Frame {
            offset,
            head,
            payload,
        }))
    }

    /// `count` bytes at the present place, if the file has them.
    fn bytes(&mut self, count: usize) -> io::Result<Option<&[u8]>> {
        debug_assert!(
            count <= FRAME_HEAD_BYTES + PAYLOAD_BYTES_MAX,
            "bounded by decode_head"
        );
        if self.at + count as u64 > self.end {
            return Ok(None);
        }
        let held = self.buffer_at..=self.buffer_at + self.buffer.len() as u64;
        if !held.contains(&self.at) || !held.contains(&(self.at + count as u64)) {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            self.buffer.resize(count.max(READ_BYTES.min(left)), 0);
            let read = read_at(self.file, self.at, &mut self.buffer)?;
            self.buffer.truncate(read);
            self.buffer_at = self.at;
        }
        let from = usize::try_from(self.at - self.buffer_at).unwrap_or(usize::MAX);
        Ok(self.buffer.get(from..from + count))
    }
}

// === A whole segment ===

/// What stands behind the valid frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing but zeroes.
    Clean,
    /// A sealed segment's footer.
    Sealed,
    /// Bytes that are no valid frame: they end before `end`.
    Torn { end: u64 },
}

/// A segment as found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) header: SegmentHeader,
    pub(crate) index: SegmentIndex,
    /// Where the valid blocks end.
    pub(crate) end: u64,
    /// Chain of checksums there.
    pub(crate) chain: u32,
    pub(crate) tail: Tail,
    /// Valid frames of a kind that this version does not know.
    pub(crate) unknown_frames: u64,
}

/// Why a file cannot be read as a segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a segment's header.
pub(crate) fn read_header(file: &File) -> Result<SegmentHeader, ScanError> {
    let mut bytes = [0u8; HEADER_BYTES];
    let read = read_at(file, 0, &mut bytes)?;
    Ok(SegmentHeader::decode(&bytes[..read])?)
}

/// Reads a sealed segment by its footer alone; `None` if it has no valid one.
pub(crate) fn read_sealed(file: &File) -> Result<Option<Scanned>, ScanError> {
    let header = read_header(file)?;
    let len = file.metadata()?.len();
    let Some(trailer_at) = len.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(None);
    };
    let mut bytes = [0u8; TRAILER_BYTES];
    if read_at(file, trailer_at, &mut bytes)? < TRAILER_BYTES {
        return Ok(None);
    }
    let Some(trailer) = Trailer::decode(&bytes) else {
        return Ok(None);
    };
    let mut frames = Frames::new(file, trailer.footer_offset, trailer_at);
    let Some(frame) = frames.next(trailer.chain)? else {
        return Ok(None);
    };
    let is_footer = frame.head.envelope.kind == FrameKind::Footer;
    let is_valid = is_footer && frame.head.verify(frame.payload).is_some();
    let index = is_valid.then(|| footer::decode(frame.payload)).flatten();
    Ok(index.map(|index| Scanned {
        header,
        index,
        end: trailer.footer_offset,
        chain: trailer.chain,
        tail: Tail::Sealed,
        unknown_frames: 0,
    }))
}

/// Reads a segment frame by frame up to the first that is not valid, at most to `limit`, showing
/// each block to `visit`, which ends the scan before a block by answering `false`.
pub(crate) fn scan(
    file: &File,
    limit: Option<u64>,
    visit: &mut dyn FnMut(&StoredBlock) -> bool,
) -> Result<Scanned, ScanError> {
    let header = read_header(file)?;
    let len = file.metadata()?.len();
    let limit = limit.unwrap_or(len).min(len);
    let mut frames = Frames::new(file, HEADER_BYTES as u64, limit);
    let mut scanned = Scanned {
        header,
        index: SegmentIndex::default(),
        end: HEADER_BYTES as u64,
        chain: header.chain_seed,
        tail: Tail::Clean,
        unknown_frames: 0,
    };
    while let Some(frame) = frames.next(scanned.chain)? {
        let Some(chain) = frame.head.verify(frame.payload) else {
            break;
        };
        match frame.head.envelope.kind {
            FrameKind::Footer => break,
            FrameKind::Removed => {}
            FrameKind::Unknown(_) => scanned.unknown_frames += 1,
            FrameKind::Block => {
                let envelope = frame.head.envelope;
                let position = LogPosition {
                    segment: header.number,
                    offset: frame.offset,
                };
                let bytes = Bytes::copy_from_slice(frame.payload);
                let Ok(block) = StoredBlock::read(position, envelope, bytes) else {
                    break;
                };
                if !visit(&block) {
                    break;
                }
                scanned
                    .index
                    .add(frame.offset, envelope.received, &block.facts());
            }
        }
        scanned.chain = chain;
        scanned.end = frame.offset + frame.head.frame_bytes();
    }
    if let Some(end) = last_nonzero(file, scanned.end, len)? {
        scanned.tail = Tail::Torn { end };
    }
    Ok(scanned)
}

/// The end of the last byte in `from..to` that is not zero.
pub(crate) fn last_nonzero(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut buffer = vec![0u8; READ_BYTES];
    let mut end = to;
    while end > from {
        let start = end.saturating_sub(READ_BYTES as u64).max(from);
        let count = usize::try_from(end - start).unwrap_or(READ_BYTES);
        let read = read_at(file, start, &mut buffer[..count])?;
        if let Some(last) = buffer[..read].iter().rposition(|byte| *byte != 0) {
            return Ok(Some(start + last as u64 + 1));
        }
        end = start;
    }
    Ok(None)
}
