//! Reading: subscriptions and last values, free of any transport.
//!
//! Does: filter, projection, cursors, conflation, and the lines that shells send (`ndjson` is
//! `model::panoptes`, `records` is here). Does not: HTTP (`node`), QUIC (`federation`).
//! In: a [`SubscriptionRequest`]. Out: [`Item`]s and cursors. Decoded batches are shared by all
//! readers of a node.

mod cursor;
mod cursor_pace;
mod records;
mod selection;
mod seq_order;
mod shared_selection;
mod source;
mod subscription;

pub use cursor::{CURSOR_BYTES_MAX, CURSOR_TEXT_BYTES_MAX, Cursor, CursorTextError};
pub use cursor_pace::CursorPace;
pub use records::{RecordRenderer, render_cursor};
pub use selection::Selection;
pub use seq_order::{ORDER_HELD_MAX, ORDER_HOLES_MAX, ORDER_LAG, Ordered, SeqOrder};
pub use shared_selection::{LineForm, SharedSelection, SharingStatistics};
pub use source::{RecordSource, SourceError};
pub use subscription::{
    Include, Item, Mode, StartFrom, Subscription, SubscriptionError, SubscriptionRequest,
};
