//! What those who look after a node hear from its ingests.
//!
//! Does: name it. Does not: store or tell it (assembly). In: refusals for good, frames that say how
//! things stand below. Out: calls, never awaited: whoever takes them must not block.

use std::sync::Arc;

use ocelli_bus::record::OriginId;
use tokio::sync::mpsc;

use super::node::Audit;
use crate::frame::{OriginWord, StreamHead};
use crate::identity::NodeIdentity;
use crate::link::Link;

/// Hears what ingests of a node have to say to others than the bus.
pub trait IngestWatch: Send + Sync + 'static {
    /// Blocks were refused.
    fn refused(&self, audit: Audit);

    /// An origin that a dialler sends is above its rate, bytes a second.
    fn reached(&self, _peer: &NodeIdentity, _origin: OriginId, _rate: u64) {}

    /// How far the dialler's streams go.
    fn heads(&self, _link: &Arc<dyn Link>, _heads: &[StreamHead]) {}

    /// How origins stand with the dialler.
    fn origins(&self, _link: &Arc<dyn Link>, _words: &[OriginWord]) {}
}

/// A queue of refusals; beyond its capacity they are dropped.
impl IngestWatch for mpsc::Sender<Audit> {
    fn refused(&self, audit: Audit) {
        self.try_send(audit).ok();
    }
}
