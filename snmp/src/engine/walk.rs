//! Walks of several columns at once: what to read (`plan`), how to go on (`planner`), how it ended
//! (`outcome`).
//!
//! Does: hold the parts together. Does not: send, wait, or retry (`operation` does).
//! In: columns of one or more tables. Out: requests, cells, an outcome.

mod outcome;
mod plan;
mod planner;

pub use outcome::{ColumnError, ColumnFailure, WalkEnd, WalkOutcome};
pub use plan::{WalkLimits, WalkPlan, WalkPlanError};
pub(crate) use planner::{Asked, Walk};
