//! Feeds any bytes to `bus::definition`.
//!
//! Does: bind libFuzzer to the entry. Does not: check anything itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocelli_fuzz::bus::definition(bytes));
