//! Table of contents of `ocelli-federation`: what nodes of a mesh say to each other.
//!
//! Does: identity and scopes, joining and leaving, QUIC links, frames, uplink, ingest,
//! subscriptions, derived streams. Does not: store (`bus`), poll, read configuration files.
//! In: blocks of the bus, certificates, what assembly decided. Out: blocks for the bus, states of
//! links.

#![forbid(unsafe_code)]

pub mod derive;
pub mod frame;
mod from_peers;
pub mod identity;
pub mod ingest;
pub mod link;
pub mod links;
pub mod membership;
mod pace;
pub mod subscribe;
pub mod uplink;

pub use from_peers::FromPeers;
