//! The segment that is written to, and the sealing of those that no longer are.
//!
//! Does: header, frames behind one another with their chain, footer. Does not: sync (the writer
//! decides when), choose numbers. In: payloads. Out: bytes on a [`LogFile`].
//! Invariant: frames are written in one piece behind `end`; a failed write leaves `end` as it was.

use std::io::{self, IoSlice};

use bytes::Bytes;
use ocelli_model::clock::WallMs;

use crate::disk::LogFile;
use crate::segment::SegmentNumber;
use crate::segment::footer::{self, Trailer};
use crate::segment::frame::{Envelope, FRAME_HEAD_BYTES, FrameKind, encode_head, encode_removed};
use crate::segment::header::{HEADER_BYTES, SegmentHeader};
use crate::segment::index::SegmentIndex;

/// A segment under construction.
pub(crate) struct SegmentFile {
    pub(crate) number: SegmentNumber,
    file: Box<dyn LogFile>,
    /// Where the next frame goes.
    end: u64,
    chain: u32,
}

impl SegmentFile {
    /// Writes the header of a new segment.
    pub(crate) fn begin(mut file: Box<dyn LogFile>, header: &SegmentHeader) -> io::Result<Self> {
        file.write_at(0, &mut [IoSlice::new(&header.encode())])?;
        Ok(Self {
            number: header.number,
            file,
            end: HEADER_BYTES as u64,
            chain: header.chain_seed,
        })
    }

    /// A segment that recovery found whole up to `end`.
    pub(crate) fn resume(
        number: SegmentNumber,
        file: Box<dyn LogFile>,
        end: u64,
        chain: u32,
    ) -> Self {
        Self {
            number,
            file,
            end,
            chain,
        }
    }

    /// Where the next frame goes.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Appends a frame around each payload, in one write.
    pub(crate) fn append(&mut self, payloads: &[(Envelope, Bytes)]) -> io::Result<()> {
        let mut chain = self.chain;
        let mut heads = Vec::with_capacity(payloads.len());
        for (envelope, payload) in payloads {
            let (head, after) = encode_head(chain, *envelope, payload);
            heads.push(head);
            chain = after;
        }
        let mut parts = Vec::with_capacity(2 * payloads.len());
        for (head, (_, payload)) in heads.iter().zip(payloads) {
            parts.push(IoSlice::new(head));
            parts.push(IoSlice::new(payload));
        }
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        self.file.write_at(self.end, &mut parts)?;
        self.end += bytes as u64;
        self.chain = chain;
        Ok(())
    }

    /// Leaves out what stands before `offset`: a frame says that it was removed. Nothing to do
    /// where the next frame goes there anyway.
    pub(crate) fn skip_to(&mut self, offset: u64, received: WallMs) -> io::Result<()> {
        let Some(bytes) = offset.checked_sub(self.end).filter(|bytes| *bytes > 0) else {
            return Ok(());
        };
        let (head, chain) = encode_removed(self.chain, received, bytes);
        self.file.write_at(self.end, &mut [IoSlice::new(&head)])?;
        (self.end, self.chain) = (offset, chain);
        Ok(())
    }

    /// Makes all frames durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Ends the segment: footer, trailer, cut to length, durable. Answers the file's bytes.
    pub(crate) fn seal(mut self, index: &SegmentIndex) -> io::Result<u64> {
        let trailer = Trailer {
            footer_offset: self.end,
            chain: self.chain,
        }
        .encode();
        let received = index.received.unwrap_or_default().1;
        let envelope = Envelope {
            kind: FrameKind::Footer,
            flags: 0,
            received,
        };
        self.append(&[(envelope, Bytes::from(footer::encode(index)))])?;
        self.file
            .write_at(self.end, &mut [IoSlice::new(&trailer)])?;
        let bytes = self.end + trailer.len() as u64;
        self.file.set_len(bytes)?;
        self.file.sync_data()?;
        Ok(bytes)
    }
}

/// Bytes of the frame around a payload.
pub(crate) fn frame_bytes(payload: &[u8]) -> u64 {
    (FRAME_HEAD_BYTES + payload.len()) as u64
}
