//! Where varbinds go: straight from the receive buffer to whoever asked, without allocation.
//!
//! Does: name the trait and the time of receipt. Does not: keep anything.
//! In: nothing. Out: [`VarbindSink`], [`Received`]. A sink is called from the engine's tick: it
//! copies what it needs and returns; a panic in it ends its own operation and no other.

use ocelli_model::clock::{Monotonic, WallMs};

use crate::oid::Index;
use crate::value::Value;

/// When a reply came, by the kernel's clock where it stamps datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Received {
    /// Timestamp of the samples in the reply.
    pub wall: WallMs,
    /// The same instant for durations (rates); at most one tick off.
    pub monotonic: Monotonic,
}

/// Takes varbinds as they are decoded.
pub trait VarbindSink {
    /// One varbind.
    ///
    /// Of a walk: `column` is the position in the plan and `index` what follows the column's OID.
    /// Each cell comes once; per column the indexes ascend; cells of one row may come in several
    /// replies. Of a get: `column` is the position in the list asked for, `index` is empty, and
    /// `value` may be an exception (`NoSuchObject`, `NoSuchInstance`).
    fn varbind(&mut self, column: usize, index: Index<'_>, value: Value<'_>, received: Received);
}
