//! Blocks: the unit of encoding, commit, checksum and network frame.
//!
//! Does: header, head table, builder (arbiter), stamp (writer), view (readers), skips in the place
//! of entries. Does not: know what bodies hold (`body`, `payload`), nor files and frames around
//! blocks (`segment`).
//! In: entries in order. Out: bytes that are forwarded untouched at every tier.
//! Invariant: entry `i` of a block has seq `first_seq + i`. Layout: `bus/FORMAT.md` §2.

mod builder;
mod head;
mod header;
mod view;
mod withheld;

pub use builder::{BlockBuilder, PushError, SealedBlock};
pub use head::{EntryFlags, EntryHead};
pub use header::{BlockHeader, HEADER_BYTES, Stamp};
pub use view::{BlockError, BlockView, Bodies, Entries, EntryView};
pub(crate) use withheld::source_of;
pub use withheld::{put_back, withhold};

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
