//! Fuzz targets of the federation: `cargo fuzz run NAME` in `federation/`.
//!
//! Does: hold the functions that `fuzz_targets/` hand to libFuzzer. Does not: run in CI as such;
//! `tests/robustness.rs` of the federation runs the same functions over `corpus/`.

pub mod entries;
