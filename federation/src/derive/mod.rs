//! Table of contents of `derive`: streams made of others, for a tier that wants less.
//!
//! Does: decide which windows are made when (`core`). Does not: combine batches
//! (`ocelli_model::window`), send (`uplink`).
//! In: blocks of the own bus. Out: blocks of an origin of its own on the same bus.

mod core;

pub use self::core::{
    DeriveCore, DerivePolicy, Due, LATE_MS, LATE_QUIET_MS, PairNumber, Place, SourceBatch,
    SourceGap, WindowKey,
};
