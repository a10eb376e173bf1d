//! Device profiles: text to a collect plan, and the plan applied to what a device answered.
//!
//! Does: read the native dialect strictly, lower it to [`CollectPlan`], [`Schema`] and rate plan,
//! evaluate raw tables to rows. Does not: ask devices (`plugins`), open files, judge counters.
//! In: YAML text; raw cells by row index. Out: [`Profile`] or [`Diagnostic`]s; `GroupRows`.
//! Invariant: a hole in a table (cell, row, column) makes only what rests on it missing.
//!
//! [`Schema`]: crate::schema::Schema

mod diagnostic;
mod evaluate;
mod expression;
mod identity;
mod linear;
mod lower;
mod native;
mod plan;
mod program;
mod reader;
mod render;
mod table;
mod unread;
mod yaml;

pub use diagnostic::{Code, Diagnostic, Place, Severity};
pub use evaluate::{Evaluator, Readings};
pub use lower::{LowerContext, Profile};
pub use native::NativeProfile;
pub use plan::{
    CollectPlan, ColumnPlan, DimensionPlan, DimensionValue, EnrichedPlan, Format, GroupPlan,
    MissingPlan, ScalarGet, SourcePlan, TableWalk, ValueMap,
};
pub use program::{Cell, Input, Inputs, LETS_MAX, Program};
pub use table::{ARENA_BYTES_MAX, CELL_BYTES_MAX, RawTable, RawValue, TableFull};
