//! Feeds any bytes to `entries::object_identifier`.
//!
//! Does: bind libFuzzer to the entry. Does not: check anything itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ocelli_snmp_fuzz::entries::object_identifier(bytes));
