//! How a walk ended: complete, or partial with its reason and the last OID.
//!
//! Does: name each way. Does not: hold cells (the sink has them).
//! In: what the planner and the operation saw. Out: [`WalkOutcome`].

use ocelli_model::oid::Oid;

use crate::ber::BerError;
use crate::engine::error::ExchangeError;
use crate::pdu::ErrorStatus;

/// Why one column ended before its end; the others went on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// The agent went backwards or stood still.
    #[error("agent answered {after} with {got}, which does not come after it; its table loops")]
    NotIncreasing {
        /// What was asked for the successor of.
        after: Oid,
        /// What came.
        got: Oid,
    },
    /// The agent answered with an error about this column.
    #[error("agent answered {} ({})", .status.name(), .status.number())]
    Status {
        /// The error status.
        status: ErrorStatus,
    },
    /// "Too big" for a single varbind.
    #[error("agent says that one varbind is too big for a reply")]
    TooBig,
    /// A value that is no BER.
    #[error("agent sent a value that cannot be read: {0}")]
    BadValue(#[from] BerError),
    /// A reply without a varbind for the column, asked alone.
    #[error("agent sent a reply without the varbind asked for")]
    Missing,
}

/// A column that ended before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFailure {
    /// Its position in the plan.
    pub column: usize,
    /// The last OID read of it, or the column itself.
    pub last_oid: Oid,
    /// Why.
    pub error: ColumnError,
}

/// What ended the walk as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WalkEnd {
    /// All columns ended; each one at its end unless it is listed as failed.
    #[default]
    Complete,
    /// A column reached `rows_max`.
    RowLimit,
    /// All cells together reached `bytes_max`.
    ByteLimit,
    /// A request was not answered, or not usably.
    Failed(ExchangeError),
}

/// How a walk ended and what it cost.
#[derive(Debug, Clone, Default)]
pub struct WalkOutcome {
    /// What ended it.
    pub end: WalkEnd,
    /// Columns that ended before their end.
    pub failed_columns: Vec<ColumnFailure>,
    /// Cells delivered, all columns.
    pub cells: u64,
    /// Cells delivered of the longest column.
    pub rows: u32,
    /// The last OID read of the column that is furthest behind; `None` if nothing was read.
    pub last_oid: Option<Oid>,
    /// Datagrams sent, retries included.
    pub packets: u32,
    /// Datagrams sent again because no answer came in time.
    pub retries: u32,
}

impl WalkOutcome {
    /// Whether every column was read to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.end == WalkEnd::Complete && self.failed_columns.is_empty()
    }

    /// Why it is partial, as one line with the last OID; `None` if it is complete.
    #[must_use]
    pub fn partial_reason(&self) -> Option<String> {
        let reason = match &self.end {
            WalkEnd::Complete => self.failed_columns.first()?.error.to_string(),
            WalkEnd::RowLimit => format!("{} rows is the limit of a walk", self.rows),
            WalkEnd::ByteLimit => "the limit of bytes of a walk was reached".to_owned(),
            WalkEnd::Failed(error) => error.to_string(),
        };
        let last_oid = match &self.end {
            WalkEnd::Complete => self.failed_columns.first().map(|failure| &failure.last_oid),
            _ => self.last_oid.as_ref(),
        };
        Some(match last_oid {
            Some(oid) => format!("{reason}; last OID {oid}"),
            None => reason,
        })
    }
}
