//! Fuzz targets of the bus: `cargo fuzz run NAME` in `bus/`.
//!
//! Does: hold the functions that `fuzz_targets/` hand to libFuzzer. Does not: run in CI as such;
//! `tests/robustness.rs` of the bus runs the same functions over `corpus/`.

pub mod entries;
