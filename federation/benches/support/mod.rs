//! What the benches of links share: real nodes of a mesh without their command line.
//!
//! Does: certificates of one authority (`cards`), nodes with a bus and a QUIC endpoint (`node`),
//! generated batches (`feed`), a tier in a process of its own that tells its figures (`tier`).
//! Does not: measure; each bench does. In: directories, names. Out: nodes, blocks, figures.

#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod cards;
pub(crate) mod feed;
pub(crate) mod node;
pub(crate) mod tier;

#[path = "../../../bus/tests/support/switches.rs"]
mod switches;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// CPU time of this process.
pub(crate) fn process_cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// Load of the machine, for the line that a reader judges figures by.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The value below which `share` of the values lie.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values[at.min(values.len() - 1)]
}

/// Where benches write: `OCELLI_BENCH_DIR`, else the temporary directory.
pub(crate) fn directory() -> tempfile::TempDir {
    std::env::var_os("OCELLI_BENCH_DIR").map_or_else(
        || tempfile::tempdir().unwrap(),
        |folder| tempfile::tempdir_in(folder).unwrap(),
    )
}
