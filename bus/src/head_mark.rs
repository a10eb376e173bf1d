//! The mark of a record by which two nodes tell whether they hold the same one.
//!
//! Does: name the record and the block around it. Does not: find it (`Bus::head_mark`).
//! In: a block's header. Out: [`HeadMark`], small enough to be told for each stream.

use serde::{Deserialize, Serialize};

use crate::record::Seq;

/// A record of a stream, and the checksum of the block that holds it (design §6, "Rollback").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeadMark {
    /// The record.
    pub seq: Seq,
    /// First seq of its block.
    pub block_first: Seq,
    /// Checksum in the block's header (its bytes 76 to 80), which covers all the others.
    pub checksum: u32,
}
