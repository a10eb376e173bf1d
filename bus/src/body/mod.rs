//! Batch bodies: one slot's data of one (resource, plugin), columnar, readable without history.
//!
//! Does: encode a batch into a caller's buffer, decode it into a reusable one, read one group or
//! column alone. Does not: hold what the head table has (ids, slot, epoch), resolve schemas.
//! In: batches; or bodies of unknown honesty with their schema and rows. Out: the other.
//! Cost: no allocation per sample; columns are written where they will stand.
//! Layout: `bus/FORMAT.md` §4.

mod bits;
mod decode;
mod encode;
mod gauges;
mod ints;
mod section;
mod walk;

use ocelli_model::columns::ROWS_MAX;

pub use decode::{BatchFrame, BodyView, SectionView, empty_batch};
pub use encode::BatchEncoder;

use crate::limits::BATCH_CELLS_MAX;
use crate::wire::WireError;

/// Longest "how far it came" of a partial batch, bytes; what is longer is cut at a character.
pub const REACHED_BYTES_MAX: usize = 1_024;

/// Why a batch is not encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Groups, rows or columns are not those of schema and row set.
    #[error("group {group} has {what} of another length than its schema and rows; fix the plugin")]
    Shape {
        /// Index of the group.
        group: usize,
        /// What does not fit.
        what: &'static str,
    },
    /// More cells than a body may have.
    #[error("a batch of {cells} cells is too large, {BATCH_CELLS_MAX} is the limit; filter rows")]
    TooLarge {
        /// Rows × metrics of all groups.
        cells: usize,
    },
}

/// Why a body is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The bytes do not say what they should.
    #[error("batch body: {0}")]
    Wire(#[from] WireError),
    /// A number of rows that the row set does not have.
    #[error("group {group} has {found} rows in the body, {expected} in its row set")]
    Rows {
        /// Index of the group.
        group: usize,
        /// In the body.
        found: usize,
        /// In the row set.
        expected: usize,
    },
    /// More cells than a body may have.
    #[error("a body claims {cells} cells; {BATCH_CELLS_MAX} is the limit")]
    TooLarge {
        /// Rows × metrics of all groups.
        cells: usize,
    },
}

const _: () = assert!(BATCH_CELLS_MAX >= ROWS_MAX);

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
