//! Feeds any bytes to `entries::control`.
//!
//! Does: bind libFuzzer to the entry. Does not: check anything itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocelli_federation_fuzz::entries::control(bytes));
