//! Reading: subscriptions and last values, free of any transport.
//!
//! Does: filter, projection, cursors, conflation, and the lines that shells send, in each format
//! (`ndjson` is `model::panoptes`, `records` is here). Does not: send (`node`, `federation`).
//! In: a [`SubscriptionRequest`]. Out: [`Item`]s and cursors. Decoded batches are shared by all
//! readers of a node.

mod cursor;
mod cursor_pace;
mod line_format;
mod line_writer;
mod records;
mod selection;
mod seq_order;
mod shared_selection;
mod source;
mod start_from;
mod subscription;

pub use cursor::{CURSOR_BYTES_MAX, CURSOR_TEXT_BYTES_MAX, Cursor, CursorTextError};
pub use cursor_pace::CursorPace;
pub use line_format::{LineFormat, UnknownKind};
pub use line_writer::LineWriter;
pub use records::{RecordRenderer, render_cursor};
pub use selection::Selection;
pub use seq_order::{ORDER_HELD_MAX, ORDER_HOLES_MAX, ORDER_LAG, Ordered, SeqOrder};
pub use shared_selection::{SharedSelection, SharingStatistics};
pub use source::{RecordSource, SourceError};
pub use start_from::{StartFrom, StartTextError};
pub use subscription::{Include, Item, Mode, Subscription, SubscriptionError, SubscriptionRequest};
