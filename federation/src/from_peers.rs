//! What this node has from which peer: it does not go back there, and others wait for that peer.
//!
//! Does: note ranges as they are taken in, answer. Does not: outlive the process: after a start
//! the peers' coverage says the same.
//! In: ingest of peers' links. Out: answers for uplinks. Memory: ranges, at most 1,024 a stream and
//! peer; what is folded there is at worst not sent by this node, and by its peer it is.

use std::collections::BTreeMap;

use ocelli_bus::record::StreamId;
use ocelli_bus::{SeqRange, SeqRanges};
use parking_lot::Mutex;

use crate::identity::NodeIdentity;

/// Ranges by peer. Shared by all links of a node.
#[derive(Debug, Default)]
pub struct FromPeers(Mutex<BTreeMap<NodeIdentity, BTreeMap<StreamId, SeqRanges>>>);

impl FromPeers {
    /// A peer sent a range.
    pub(crate) fn note(&self, peer: &NodeIdentity, stream: StreamId, range: SeqRange) {
        let mut peers = self.0.lock();
        if !peers.contains_key(peer) {
            peers.insert(peer.clone(), BTreeMap::new());
        }
        if let Some(streams) = peers.get_mut(peer) {
            streams.entry(stream).or_default().insert(range);
        }
    }

    /// Whether this peer sent it.
    pub(crate) fn is_from(&self, peer: &NodeIdentity, stream: StreamId, range: SeqRange) -> bool {
        let peers = self.0.lock();
        let streams = peers.get(peer).and_then(|streams| streams.get(&stream));
        streams.is_some_and(|ranges| ranges.contains_all(range))
    }

    /// Whether any peer sent it.
    pub(crate) fn is_from_any(&self, stream: StreamId, range: SeqRange) -> bool {
        let peers = self.0.lock();
        let mut streams = peers.values().filter_map(|streams| streams.get(&stream));
        streams.any(|ranges| ranges.contains_all(range))
    }
}
