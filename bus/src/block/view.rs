//! Reads a block of unknown honesty.
//!
//! Does: check header, checksums and head table; hand out entries and bodies in place.
//! Does not: resolve ids, decode bodies.
//! In: bytes from disk or wire. Out: [`BlockView`], borrowed. Only a compressed block's bodies are
//! copied (inflated), to at most `BLOCK_RAW_BYTES_MAX`.
//! Invariant: a parsed view's head table is whole, and its bodies fill the bodies' bytes exactly.

use std::borrow::Cow;
use std::ops::Range;

use ocelli_model::slot::Epoch;

use super::head::{EntryHead, read_head};
use super::header::{BlockHeader, HEADER_BYTES};
use crate::record::Seq;
use crate::wire::{Cursor, WireError};

/// Why bytes are no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Fewer bytes than the header says.
    #[error("a block needs {needed} bytes, {found} are there; it was cut off")]
    Short {
        /// Bytes of the whole.
        needed: usize,
        /// Bytes at hand.
        found: usize,
    },
    /// Not a block.
    #[error("no block begins here: the magic is wrong; look for the next frame")]
    Magic,
    /// The header's bytes changed since they were stamped.
    #[error("the block header fails its checksum; read the block from another copy")]
    HeaderChecksum,
    /// Of a later version.
    #[error("the block has version {found}; this ocelli reads version 1, update it")]
    Version {
        /// The version found.
        found: u16,
    },
    /// A field whose value no writer writes.
    #[error("the block header's {field} is out of range; read the block from another copy")]
    Header {
        /// Name of the field.
        field: &'static str,
    },
    /// The head table changed since it was sealed.
    #[error("the head table fails its checksum; read the block from another copy")]
    HeadChecksum,
    /// The bodies changed since they were sealed.
    #[error("the bodies fail their checksum; read the block from another copy")]
    BodiesChecksum,
    /// The head table does not say what it should.
    #[error("head table: {0}")]
    Head(#[from] WireError),
    /// The bodies' lengths do not add up.
    #[error("the head table's bodies have {claimed} bytes, the block holds {found}")]
    BodiesLength {
        /// Sum of the head table.
        claimed: usize,
        /// By the header.
        found: usize,
    },
    /// The bodies do not inflate to what the header says.
    #[error("the compressed bodies do not inflate to {expected} bytes; read another copy")]
    Inflate {
        /// Bytes by the header.
        expected: usize,
    },
}

/// A block in place.
#[derive(Debug, Clone)]
pub struct BlockView<'a> {
    header: BlockHeader,
    bytes: &'a [u8],
    epochs: Vec<Epoch>,
    head_table: &'a [u8],
    bodies: &'a [u8],
}

/// An entry of a block, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryView {
    /// Its number in the stream.
    pub seq: Seq,
    /// What is known without the body.
    pub head: EntryHead,
    /// Where its body stands in [`Bodies`].
    pub body: Range<usize>,
}

/// The bodies of a block: borrowed from it, or inflated.
#[derive(Debug, Clone)]
pub struct Bodies<'a>(Cow<'a, [u8]>);

impl Bodies<'_> {
    /// The body of an entry of the same block.
    #[must_use]
    pub fn of(&self, entry: &EntryView) -> &[u8] {
        self.0.get(entry.body.clone()).unwrap_or(&[])
    }
}

impl<'a> BlockView<'a> {
    /// Parses and checks a whole block; `bytes` may go on behind it.
    ///
    /// Cost: one crc32c over the bytes, one pass over the head table.
    ///
    /// # Errors
    /// Any [`BlockError`] but [`BlockError::Inflate`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BlockError> {
        let view = Self::parse_head(bytes)?;
        if crc32c::crc32c(view.bodies) != view.header.bodies_crc {
            return Err(BlockError::BodiesChecksum);
        }
        Ok(view)
    }

    /// As [`Self::parse`], without the bodies' checksum: for readers that look at heads only.
    ///
    /// # Errors
    /// As [`Self::parse`], but for [`BlockError::BodiesChecksum`].
    pub fn parse_head(bytes: &'a [u8]) -> Result<Self, BlockError> {
        let header = BlockHeader::read(bytes)?;
        let needed = header.block_bytes();
        let short = BlockError::Short {
            needed,
            found: bytes.len(),
        };
        let bytes = bytes.get(..needed).ok_or(short)?;
        let (head, bodies) = bytes[HEADER_BYTES..].split_at(header.head_bytes as usize);
        if crc32c::crc32c(head) != header.head_crc {
            return Err(BlockError::HeadChecksum);
        }
        let mut cursor = Cursor::new(head);
        let mut epochs = Vec::with_capacity(usize::from(header.epochs));
        for _ in 0..header.epochs {
            let generation = u64::from_le_bytes(cursor.array("an epoch's generation")?);
            let index = u64::from_le_bytes(cursor.array("an epoch's index")?);
            epochs.push(Epoch { generation, index });
        }
        let head_table = &head[cursor.offset()..];
        let view = Self {
            header,
            bytes,
            epochs,
            head_table,
            bodies,
        };
        view.check_head_table()?;
        Ok(view)
    }

    fn check_head_table(&self) -> Result<(), BlockError> {
        let mut cursor = Cursor::new(self.head_table);
        let mut claimed = 0usize;
        for _ in 0..self.header.count {
            let (_, body) = read_head(&mut cursor, self.header.t_base, &self.epochs)?;
            claimed = claimed.saturating_add(body);
        }
        cursor.finish("the end of the head table")?;
        let found = self.header.raw_bytes as usize;
        if claimed == found {
            Ok(())
        } else {
            Err(BlockError::BodiesLength { claimed, found })
        }
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// The block's own bytes, nothing behind them: what is forwarded.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The entries in order, without bodies.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            cursor: Cursor::new(self.head_table),
            header: self.header,
            epochs: &self.epochs,
            next: 0,
            body_at: 0,
        }
    }

    /// The epochs that its entries rest on, in their order.
    pub(super) fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The bodies, inflated if they are compressed.
    ///
    /// # Errors
    /// [`BlockError::Inflate`].
    pub fn bodies(&self) -> Result<Bodies<'a>, BlockError> {
        if !self.header.is_compressed {
            return Ok(Bodies(Cow::Borrowed(self.bodies)));
        }
        let expected = self.header.raw_bytes as usize;
        let inflated = zstd::bulk::decompress(self.bodies, expected);
        let whole = inflated.ok().filter(|raw| raw.len() == expected);
        let raw = whole.ok_or(BlockError::Inflate { expected })?;
        Ok(Bodies(Cow::Owned(raw)))
    }
}

/// Walks a head table.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    cursor: Cursor<'a>,
    header: BlockHeader,
    epochs: &'a [Epoch],
    next: u32,
    body_at: usize,
}

impl Iterator for Entries<'_> {
    type Item = EntryView;

    fn next(&mut self) -> Option<EntryView> {
        if self.next >= self.header.count {
            return None;
        }
        // The table was read once by `parse`: it is whole.
        let (head, len) = read_head(&mut self.cursor, self.header.t_base, self.epochs).ok()?;
        let seq = self.header.first_seq.plus(u64::from(self.next));
        let body = self.body_at..self.body_at + len;
        self.next += 1;
        self.body_at = body.end;
        Some(EntryView { seq, head, body })
    }
}
