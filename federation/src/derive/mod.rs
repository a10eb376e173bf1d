//! Table of contents of `derive`: streams made of others, for a tier that wants less.
//!
//! Does: decide which windows are made when (`core`) and make them (`run`). Does not: combine
//! batches (`ocelli_model::window`), send (`uplink`).
//! In: blocks of the own bus. Out: blocks of an origin of its own on the same bus.

mod core;
mod cursor;
mod policy;
mod run;
mod sources;
mod writer;

pub use self::core::{
    DeriveCore, DerivePolicy, Due, LATE_MS, LATE_QUIET_MS, PairNumber, Place, SourceBatch,
    SourceGap, WindowKey,
};
pub use self::policy::DerivedPolicy;
pub use self::run::{DeriveEnd, DeriveRun, run_derivation};
pub use self::writer::WriteError;

#[cfg(test)]
#[path = "testing_tests.rs"]
pub(crate) mod testing;
