//! Bytes of a stream as lines.
//!
//! Does: hold what is no whole line yet. Does not: read a connection.
//! In: chunks. Out: lines without their line feed.
//! Full: a line beyond [`LINE_BYTES_MAX`] is refused.

use bytes::{Bytes, BytesMut};

/// Longest line, bytes: a batch of 3,000 interfaces has 8 MiB.
pub const LINE_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: BytesMut,
    /// Bytes of `waiting` that are known to hold no line feed.
    searched: usize,
}

impl Lines {
    /// `false`: the line has no end.
    #[must_use]
    pub(crate) fn push(&mut self, chunk: &[u8]) -> bool {
        self.waiting.extend_from_slice(chunk);
        self.searched <= LINE_BYTES_MAX
    }

    /// The next whole line.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let unsearched = self.waiting.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.waiting.len();
            return None;
        };
        let mut line = self.waiting.split_to(self.searched + at + 1);
        self.searched = 0;
        line.truncate(line.len() - 1);
        Some(line.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for part in ["o", "ne\n\ntw", "o", "\nrest"] {
            assert!(lines.push(part.as_bytes()));
            found.extend(std::iter::from_fn(|| lines.pop()));
        }
        assert_eq!(found, ["one", "", "two"]);
        let part = vec![b'x'; 1 << 20];
        let is_refused = (0..70).any(|_| {
            let is_fine = lines.push(&part);
            assert!(lines.pop().is_none());
            !is_fine
        });
        assert!(is_refused);
    }
}
