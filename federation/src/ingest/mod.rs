//! Table of contents of `ingest`: how blocks of lower and neighbouring nodes come onto this bus.
//!
//! Does: tell copies of a node apart (`origins`), a new disk from a known one (`roster`),
//! judge blocks (`core`, `inspect`, `judge`), acknowledge them once durable (`run`).
//! Does not: listen, admit (`link`, `identity`), store (`bus`).
//! In: frames of a link. Out: blocks for the bus, acknowledgements and refusals for the link.

mod core;
mod elsewhere;
mod inspect;
mod judge;
mod node;
mod origins;
mod roster;
mod run;
mod types;
mod watch;

pub use self::core::{HELD_BYTES_MAX, HELD_FOR_MAX, IngestCore, REPORT_EVERY};
pub use self::inspect::inspect;
pub use self::node::{Audit, IngestNode, IngestParts, QuotaOf};
pub use self::origins::{
    CONTEST_WAIT, LinkNumber, LiveOrigins, OriginClaim, OriginEvent, QUARANTINE,
};
pub use self::roster::{
    Comer, NotAdmitted, OpenRosterError, ROSTER_NODES_MAX, Roster, RosterKey, SecondGeneration,
};
pub use self::run::{IngestEnd, run_ingest};
pub use self::types::{Arrived, BlockNumber, IngestEffect, IngestInput, IngestPolicy, OriginQuota};
pub use self::watch::IngestWatch;
