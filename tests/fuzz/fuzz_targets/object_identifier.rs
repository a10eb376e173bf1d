//! Feeds any bytes to `snmp::object_identifier`.
//!
//! Does: bind libFuzzer to the entry. Does not: check anything itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocelli_fuzz::snmp::object_identifier(bytes));
