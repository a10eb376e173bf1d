//! Bytes of a stream as lines.
//!
//! Does: hold what is no whole line yet. Does not: read a connection, know what stands in a line.
//! In: chunks, however they are cut. Out: lines without their line feed.
//! Full: beyond [`LINE_BYTES_MAX`] without a line feed the stream is refused. Cost: each byte is
//! looked at once.

use bytes::{Bytes, BytesMut};

/// Longest line that may wait for its end, bytes: a batch of 3,000 interfaces has 8 MiB.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// A line without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line has over {LINE_BYTES_MAX} bytes; ask for fewer groups or metrics")]
pub struct LineTooLong;

/// What came of a stream and is not handed out yet.
#[derive(Debug, Default)]
pub struct LineBuffer {
    waiting: BytesMut,
    /// Bytes of `waiting` that are known to hold no line feed.
    searched: usize,
}

impl LineBuffer {
    /// The next bytes of the stream; [`LineBuffer::pop`] until nothing comes before the next ones.
    pub fn push(&mut self, chunk: &[u8]) {
        self.waiting.extend_from_slice(chunk);
    }

    /// The next whole line; `None`: more bytes are needed.
    ///
    /// # Errors
    /// [`LineTooLong`]: what waits has no end and is beyond [`LINE_BYTES_MAX`].
    pub fn pop(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        let unsearched = self.waiting.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.waiting.len();
            return if self.searched > LINE_BYTES_MAX {
                Err(LineTooLong)
            } else {
                Ok(None)
            };
        };
        let mut line = self.waiting.split_to(self.searched + at + 1);
        self.searched = 0;
        line.truncate(line.len() - 1);
        Ok(Some(line.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut lines = LineBuffer::default();
        let mut found = Vec::new();
        for part in ["o", "ne\n\ntw", "o", "\nrest"] {
            lines.push(part.as_bytes());
            found.extend(std::iter::from_fn(|| lines.pop().unwrap()));
        }
        assert_eq!(found, ["one", "", "two"]);
    }

    #[test]
    fn a_line_at_the_limit_is_taken_and_one_byte_more_is_refused() {
        let mut lines = LineBuffer::default();
        lines.push(&vec![b'x'; LINE_BYTES_MAX]);
        assert_eq!(lines.pop(), Ok(None));
        lines.push(b"\n");
        assert_eq!(lines.pop().unwrap().unwrap().len(), LINE_BYTES_MAX);
        lines.push(&vec![b'x'; LINE_BYTES_MAX]);
        assert_eq!(lines.pop(), Ok(None));
        lines.push(b"x");
        assert_eq!(lines.pop(), Err(LineTooLong));
    }
}
