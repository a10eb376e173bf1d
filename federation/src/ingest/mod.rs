//! Table of contents of `ingest`: how blocks of lower and neighbouring nodes come onto this bus.
//!
//! Does: admit dialers (`admission`, `origins`), judge blocks (`core`, `inspect`), acknowledge
//! them once durable. Does not: listen (`link`), store (`bus`).
//! In: frames of a link. Out: blocks for the bus, acknowledgements and refusals for the link.

mod admission;
mod core;
mod origins;
mod types;

pub use self::admission::{Acceptor, AdmissionError, check_hello};
pub use self::core::{HELD_BYTES_MAX, HELD_FOR_MAX, IngestCore, REPORT_EVERY};
pub use self::origins::{
    CONTEST_WAIT, LinkNumber, LiveOrigins, OriginClaim, OriginEvent, QUARANTINE,
};
pub use self::types::{Arrived, BlockNumber, IngestEffect, IngestInput, IngestPolicy, OriginQuota};
