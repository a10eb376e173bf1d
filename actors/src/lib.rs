//! Table of contents of `ocelli-actors`: the supervised runtime of a node.
//!
//! Does: supervision, slots, budgets, credentials, discovery, the lone catalog log.
//! Does not: speak protocols (`plugins`, `snmp`), store (`bus`), read clocks (`node`).

#![forbid(unsafe_code)]

mod restart;
mod supervise;
#[cfg(test)]
mod testing;
