//! Feeds any bytes to `snmp::v3_manager`.
//!
//! Does: bind libFuzzer to the entry. Does not: check anything itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocelli_fuzz::snmp::v3_manager(bytes));
