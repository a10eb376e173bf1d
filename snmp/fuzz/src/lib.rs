//! Fuzz targets of the SNMP codec: `cargo fuzz run NAME` in `snmp/`.
//!
//! Does: hold the functions that `fuzz_targets/` hand to libFuzzer. Does not: run in CI as such;
//! `tests/robustness.rs` of the codec runs the same functions over `corpus/`.

pub mod entries;
