//! The sections of the configuration, one file a family.
//!
//! Does: list them. Does not: read texts (`load`) or carry out what they say.

pub mod credentials;
pub mod discovery;
pub mod federation;
pub mod http;
pub mod node;
pub mod polling;
pub mod snmp;
