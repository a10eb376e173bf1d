//! Feeds any bytes to `model::short_text`.
//!
//! Does: bind libFuzzer to the entry. Does not: check anything itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocelli_fuzz::model::short_text(bytes));
