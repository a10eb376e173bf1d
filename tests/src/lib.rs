//! Table of contents of `ocelli-tests`: what several test files and benches share.
//!
//! Does: hold the tidy rules and the harness that starts real components. Does not: get imported
//! by any other crate. In: the tree and its binaries. Out: verdicts.

pub mod harness;
pub mod mesh_bed;
pub mod mesh_simulation;
pub mod record_lines;
pub mod tidy;
pub mod tiling;
