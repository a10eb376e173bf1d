//! Table of contents of `ocelli-plugins`: what talks to the outside.
//!
//! Does: discovery, enrichment and polling kinds; the built-in profiles as data.
//! Does not: schedule, keep state between runs, know actors.

#![forbid(unsafe_code)]

pub mod discovery;
pub mod enrichment;
pub mod polling;
pub mod profiles;
pub mod registry;
pub mod run;
pub mod snmp_access;
pub mod table_sink;

#[cfg(test)]
#[path = "testing_tests.rs"]
mod testing;
