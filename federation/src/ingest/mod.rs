//! Table of contents of `ingest`: how blocks of lower and neighbouring nodes come onto this bus.
//!
//! Does: tell copies of a node apart (`origins`), judge blocks (`core`, `inspect`), acknowledge
//! them once durable (`run`). Does not: listen, admit (`link`, `identity`), store (`bus`).
//! In: frames of a link. Out: blocks for the bus, acknowledgements and refusals for the link.

mod core;
mod inspect;
mod origins;
mod run;
mod types;

pub use self::core::{HELD_BYTES_MAX, HELD_FOR_MAX, IngestCore, REPORT_EVERY};
pub use self::inspect::inspect;
pub use self::origins::{
    CONTEST_WAIT, LinkNumber, LiveOrigins, OriginClaim, OriginEvent, QUARANTINE,
};
pub use self::run::{Audit, IngestEnd, IngestNode, QuotaOf, run_ingest};
pub use self::types::{Arrived, BlockNumber, IngestEffect, IngestInput, IngestPolicy, OriginQuota};
