//! Table of contents of `ocelli-bus`: the durable bus of a node.
//!
//! Does: blocks, bodies, definitions, segments, group commit, readers, cursors. Does not: network,
//! clocks, polling. The formats are described for other implementers in `bus/FORMAT.md`.

#![forbid(unsafe_code)]

pub mod block;
pub mod body;
pub mod decoder;
pub mod definition;
pub mod dictionary;
pub mod encoder;
pub mod limits;
pub mod payload;
pub mod record;
pub mod resolver;
mod wire;

pub use wire::WireError;

#[cfg(test)]
#[path = "strategies_tests.rs"]
mod testing;
