//! Feeds any bytes to `entries::block`.
//!
//! Does: bind libFuzzer to the entry. Does not: check anything itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocelli_bus_fuzz::entries::block(bytes));
