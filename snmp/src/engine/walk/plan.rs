//! What one walk reads: its columns, encoded once, and how much of them at most.
//!
//! Does: check and encode. Does not: know where a walk stands (`planner`).
//! In: OIDs of columns (or of any subtree). Out: [`WalkPlan`], shared by all devices of a profile.

use std::rc::Rc;

use ocelli_model::oid::Oid;

use crate::engine::limits::WALK_COLUMNS_MAX;
use crate::oid::{EncodedOid, OidEncodeError};

/// How much one walk may bring; beyond it ends partial, with what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkLimits {
    /// Cells of any one column.
    pub rows_max: u32,
    /// Bytes of indexes and values, as encoded, all columns together.
    pub bytes_max: u64,
}

impl Default for WalkLimits {
    /// 100,000 rows (a chassis has 20,000 sub-interfaces), 64 MiB.
    fn default() -> Self {
        Self {
            rows_max: 100_000,
            bytes_max: 64 << 20,
        }
    }
}

/// Why columns make no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalkPlanError {
    /// Nothing to read.
    #[error("walk has no column; name at least one OID")]
    NoColumn,
    /// More than [`WALK_COLUMNS_MAX`].
    #[error("walk has {columns} columns; {WALK_COLUMNS_MAX} is the limit, make two walks of it")]
    TooManyColumns {
        /// How many were given.
        columns: usize,
    },
    /// A column that BER cannot write.
    #[error(transparent)]
    BadOid(#[from] OidEncodeError),
}

/// Columns to be read together, so that rows come whole. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WalkPlan {
    columns: Rc<[EncodedOid]>,
    limits: WalkLimits,
}

impl WalkPlan {
    /// A plan of these columns with the default limits. A column may be any subtree.
    ///
    /// # Errors
    /// All variants of [`WalkPlanError`].
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a Oid>) -> Result<Self, WalkPlanError> {
        let columns = columns
            .into_iter()
            .map(EncodedOid::new)
            .collect::<Result<Rc<[_]>, _>>()?;
        match columns.len() {
            0 => Err(WalkPlanError::NoColumn),
            1..=WALK_COLUMNS_MAX => Ok(Self {
                columns,
                limits: WalkLimits::default(),
            }),
            columns => Err(WalkPlanError::TooManyColumns { columns }),
        }
    }

    /// The same columns with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: WalkLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The columns, in the order in which sinks count them.
    #[must_use]
    pub fn columns(&self) -> &[EncodedOid] {
        &self.columns
    }

    /// The columns, shared.
    pub(super) fn shared_columns(&self) -> Rc<[EncodedOid]> {
        Rc::clone(&self.columns)
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> WalkLimits {
        self.limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_make_no_plan_are_refused_with_the_reason() {
        let check = |columns: &[Oid], expected: &str| {
            let error = WalkPlan::new(columns).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let column: Oid = "1.3.6.1".parse().unwrap();
        check(&[], "no column");
        check(&vec![column; 257], "257 columns");
        check(&["3.1".parse().unwrap()], "no BER form");
    }
}
