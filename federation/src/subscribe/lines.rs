//! The lines of one subscription as they go out.
//!
//! Does: write items and cursors as `records` lines, hand them out in pieces. Does not: send.
//! In: [`Item`]s. Out: bytes of at most [`ITEM_BYTES`]; a line may go on in the next piece.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ocelli_bus::read::{
    CursorPace, Item, LineForm, RecordRenderer, SharedSelection, Subscription, render_cursor,
};
use ocelli_model::clock::Monotonic;

use super::ITEM_BYTES;

/// The one form that links have.
const RECORDS: LineForm = 0;

/// Of one subscriber.
pub(super) struct Lines {
    selection: Arc<SharedSelection>,
    renderer: RecordRenderer,
    cursor: CursorPace,
    line: Vec<u8>,
    waiting: BytesMut,
}

impl Lines {
    pub(super) fn new(selection: &Arc<SharedSelection>) -> Self {
        Self {
            selection: Arc::clone(selection),
            renderer: RecordRenderer::new(selection.projection().clone()),
            cursor: CursorPace::default(),
            line: Vec::new(),
            waiting: BytesMut::new(),
        }
    }

    pub(super) fn put(&mut self, item: &Item) {
        self.cursor.note_item();
        if let Item::Record(record) = item {
            let render = |into: &mut Vec<u8>| self.renderer.render(record, into);
            let line = self.selection.line(RECORDS, record, render);
            return self.waiting.extend_from_slice(&line);
        }
        self.line.clear();
        self.renderer.render_item(item, &mut self.line);
        self.waiting.extend_from_slice(&self.line);
    }

    /// The cursor, if one is due.
    pub(super) fn put_cursor(&mut self, of: &Subscription, now: Monotonic) {
        if !of.has_cursor() || !self.cursor.is_due(now) {
            return;
        }
        self.line.clear();
        render_cursor(&of.cursor(), &mut self.line);
        self.waiting.extend_from_slice(&self.line);
        self.cursor.told(self.line.len(), now);
    }

    /// An empty line: a sign of life.
    pub(super) fn put_alive(&mut self) {
        self.waiting.extend_from_slice(b"\n");
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
