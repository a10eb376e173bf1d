//! Table of contents of `ocelli-snmp`: codec, security and engine of SNMP v1, v2c and v3.
//!
//! Does: the wire format without I/O (`ber` to `v3`), usable on its own; sockets, sessions and
//! walks on top of it.
//! Does not: metrics, profiles, plugins, any clock of its own.

#![forbid(unsafe_code)]

pub mod ber;
pub mod engine;
pub mod message;
pub mod oid;
pub mod pdu;
pub mod usm;
pub mod v3;
pub mod value;
