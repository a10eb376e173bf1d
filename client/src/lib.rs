//! Table of contents of `ocelli-client`: following the records of ocelli nodes.
//!
//! Does: subscribe over HTTP, HTTPS or QUIC, go on by cursor after an interruption, at the same
//! node or at another that holds the streams, drop repeats by (origin, seq), hand out typed
//! records.
//! Does not: keep cursors on disk, conflate, change anything at a node.
//! In: [`Settings`], a clock. Out: [`Item`]s. `examples/follow.rs` is a whole program.

#![forbid(unsafe_code)]

mod backoff;
mod follow;
mod http;
#[cfg(feature = "quic")]
mod quic;
mod record;
mod seen;
mod settings;

pub use follow::{FollowError, Follower, Statistics};
#[cfg(feature = "quic")]
pub use quic::{LinkLines, LinkLinesError};
pub use record::{Body, Counter, Group, Item, Record, RecordTextError, Row};
pub use seen::SEEN_MAX;
pub use settings::{NodeUrl, Proofs, Settings, SettingsError};
