//! Writes TLVs from the back of a fixed buffer to its front.
//!
//! Does: one pass, no allocation; the contents stand before their length is written, so each
//! length has its shortest form. Does not: reorder; the caller writes the last element first.
//! In: values in reverse order. Out: the bytes at the end of the buffer, or [`BufferFull`] once
//! at the end: after a write that did not fit, all others are ignored.

use super::tag;

/// The buffer was too small for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message does not fit its buffer of {capacity} bytes; ask for fewer variables at once")]
pub struct BufferFull {
    /// Size of the buffer in bytes.
    pub capacity: usize,
}

/// Fills a buffer from its back.
#[derive(Debug)]
pub struct BackWriter<'b> {
    buffer: &'b mut [u8],
    start: usize,
    is_full: bool,
}

impl<'b> BackWriter<'b> {
    /// Writes before the end of `buffer`.
    #[must_use]
    pub fn new(buffer: &'b mut [u8]) -> Self {
        let start = buffer.len();
        Self {
            buffer,
            start,
            is_full: false,
        }
    }

    /// Takes the bytes of `buffer` from `start` on as written already.
    #[must_use]
    pub fn before(buffer: &'b mut [u8], start: usize) -> Self {
        let start = start.min(buffer.len());
        Self {
            buffer,
            start,
            is_full: false,
        }
    }

    /// Bytes written so far: a mark for [`BackWriter::wrap`], and a place counted from the end.
    #[must_use]
    #[inline]
    pub fn written(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Puts these bytes before what is written.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.is_full || bytes.len() > self.start {
            self.is_full = true;
            return;
        }
        let end = self.start;
        self.start -= bytes.len();
        self.buffer[self.start..end].copy_from_slice(bytes);
    }

    /// Makes an element of everything written since `mark` ([`BackWriter::written`] then).
    #[inline]
    pub fn wrap(&mut self, tag: u8, mark: usize) {
        let length = self.written().saturating_sub(mark);
        self.head(tag, length);
    }

    /// An element with these contents.
    #[inline]
    pub fn element(&mut self, tag: u8, contents: &[u8]) {
        self.bytes(contents);
        self.head(tag, contents.len());
    }

    /// An `INTEGER` in its shortest form.
    #[inline]
    pub fn integer(&mut self, value: i32) {
        let octets = value.to_be_bytes();
        let magnitude = if value < 0 { !value } else { value };
        // One sign bit more than the bits of the magnitude, rounded up to octets.
        let redundant = (magnitude.leading_zeros().saturating_sub(1) / 8) as usize;
        self.element(tag::INTEGER, &octets[redundant.min(3)..]);
    }

    /// An unsigned value in its shortest form, with a zero octet before a set top bit.
    #[inline]
    pub fn unsigned(&mut self, tag: u8, value: u64) {
        let mut octets = [0; 9];
        octets[1..].copy_from_slice(&value.to_be_bytes());
        // Nine octets hold 72 bits, of which the first must be clear.
        let redundant = value.leading_zeros().div_ceil(8) as usize;
        self.element(tag, &octets[redundant.min(8)..]);
    }

    /// The bytes written so far.
    pub(crate) fn written_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..]
    }

    /// Puts zeros *behind* what is written until its length is a multiple of `block`.
    pub(crate) fn pad_end_to_multiple(&mut self, block: usize) {
        let written = self.written();
        let padding = written.next_multiple_of(block) - written;
        let zeros = [0; 16];
        self.bytes(&zeros[..padding.min(zeros.len())]);
        if !self.is_full {
            let written = self.written_mut();
            written.rotate_left(padding);
        }
    }

    /// The bytes written, at the end of the buffer.
    ///
    /// # Errors
    /// [`BufferFull`] if any write did not fit.
    pub fn finish(self) -> Result<&'b mut [u8], BufferFull> {
        if self.is_full {
            return Err(BufferFull {
                capacity: self.buffer.len(),
            });
        }
        Ok(&mut self.buffer[self.start..])
    }

    /// Tag and length.
    #[inline]
    fn head(&mut self, tag: u8, length: usize) {
        match length {
            0..=0x7f => self.bytes(&[tag, u8::try_from(length).unwrap_or(0)]),
            0x80..=0xff => self.bytes(&[tag, 0x81, u8::try_from(length).unwrap_or(0)]),
            _ => {
                let [_, _, _, _, third, second, first, zeroth] = (length as u64).to_be_bytes();
                if length <= 0xffff {
                    self.bytes(&[tag, 0x82, first, zeroth]);
                } else {
                    self.bytes(&[tag, 0x84, third, second, first, zeroth]);
                }
            }
        }
    }
}
