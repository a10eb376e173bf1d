//! Table of contents of `ocelli-node`: the `ocelli` binary's parts.
//!
//! Does: the command line, and what it assembles. Does not: decide; decisions are in `model`.

#![forbid(unsafe_code)]

pub mod assembly;
pub mod capacity;
pub mod cli;
pub mod clock;
pub mod control;
pub mod demo;
pub mod doctor;
pub mod http;
pub mod poll_report;
pub mod rng;
pub mod run;
pub mod secrets;
pub mod simulate;

/// Where a node keeps its data if nothing names a place.
pub const DATA_DIR_DEFAULT: &str = "/var/lib/ocelli";
