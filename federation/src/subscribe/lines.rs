//! The lines of one subscription as they go out.
//!
//! Does: hold lines of items and cursors, hand them out in pieces. Does not: render (`bus::read`),
//! send.
//! In: [`Item`]s. Out: bytes of at most [`ITEM_BYTES`]; a line may go on in the next piece.

use bytes::{Bytes, BytesMut};
use ocelli_bus::read::{Item, LineWriter, Subscription};
use ocelli_model::clock::Monotonic;

use super::ITEM_BYTES;

/// Of one subscriber.
pub(super) struct Lines {
    writer: LineWriter,
    waiting: BytesMut,
}

impl Lines {
    pub(super) fn new(writer: LineWriter) -> Self {
        let waiting = BytesMut::new();
        Self { writer, waiting }
    }

    pub(super) fn put(&mut self, item: &Item) {
        let lines = self.writer.write(item);
        self.waiting.extend_from_slice(&lines);
    }

    /// The cursor, if one is wanted and due.
    pub(super) fn put_cursor(&mut self, of: &Subscription, now: Monotonic) {
        if let Some(line) = self.writer.cursor(of, now) {
            self.waiting.extend_from_slice(&line);
        }
    }

    /// An empty line: the question is understood.
    pub(super) fn put_understood(&mut self) {
        self.waiting.extend_from_slice(b"\n");
    }

    /// A sign of life: that of the format, else an empty line.
    pub(super) fn put_alive(&mut self) {
        let words = match self.writer.format().alive() {
            [] => b"\n",
            words => words,
        };
        self.waiting.extend_from_slice(words);
    }

    /// Whether a piece is full.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= ITEM_BYTES
    }

    /// The next piece; `None`: all is handed out.
    pub(super) fn piece(&mut self) -> Option<Bytes> {
        let bytes = self.waiting.len().min(ITEM_BYTES);
        (bytes > 0).then(|| self.waiting.split_to(bytes).freeze())
    }
}
