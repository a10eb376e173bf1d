//! Table of contents of `ocelli-model`: pure vocabulary and decisions of the collector mesh.
//!
//! Does: hold the words and the decisions that every other crate shares. Does not: I/O, async,
//! clocks, randomness; those come in as arguments.

pub mod batch;
pub mod breaker;
pub mod catalog;
pub mod clock;
pub mod codec;
pub mod columns;
pub mod enrichment;
pub mod event;
pub mod fence;
pub mod filter;
pub mod gap;
pub mod influx;
pub mod lease;
pub mod line_buffer;
pub mod oid;
pub mod panoptes;
pub mod placement;
pub mod profile;
pub mod rate;
pub mod resource;
pub mod resource_state;
pub mod rfc3339;
pub mod rows;
pub mod schema;
pub mod secret;
pub mod series;
pub mod slot;
pub mod slot_line;
pub mod suggest;
pub mod tier;
pub mod time_text;
pub mod units;
pub mod unix_seconds;
pub mod window;
