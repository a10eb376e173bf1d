//! What all ingests of a node share.
//!
//! Does: hold bus, quotas, roster, and the sums over all links. Does not: take blocks (`run`).
//! In: the parts of a node. Out: [`IngestNode`].
//! Memory: blocks that wait for definitions stay below
//! [`IngestParts::held_bytes_max`] over all links (promise P6).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ocelli_bus::record::OriginId;
use ocelli_bus::{Bus, OriginDescription};
use ocelli_model::clock::Clock;

use super::elsewhere::Elsewhere;
use super::roster::Roster;
use super::types::OriginQuota;
use super::watch::IngestWatch;
use crate::frame::RefusedReason;
use crate::from_peers::FromPeers;

/// A refusal that people and the own origin's events should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Who sent it, as a URI.
    pub peer: String,
    /// Why.
    pub reason: RefusedReason,
    /// Whose records.
    pub origin: OriginId,
    /// How many blocks since the last time.
    pub count: u64,
    /// What the last one was.
    pub detail: String,
}

/// What an origin may send, by who it is.
pub type QuotaOf = dyn Fn(OriginId, Option<&OriginDescription>) -> OriginQuota + Send + Sync;

/// What all ingests of a node share.
pub struct IngestNode {
    pub(super) bus: Arc<Bus>,
    pub(super) clock: Arc<dyn Clock>,
    quota_of: Box<QuotaOf>,
    pub(super) watch: Arc<dyn IngestWatch>,
    pub(super) from_peers: Arc<FromPeers>,
    pub(super) roster: Arc<Roster>,
    pub(super) elsewhere: Arc<Elsewhere>,
    held_bytes_max: u64,
    /// Bytes that wait for definitions, over all links.
    held_bytes: AtomicU64,
}

/// What an ingest needs of its node.
pub struct IngestParts {
    /// Where blocks are stored.
    pub bus: Arc<Bus>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What came from peers; the node's uplinks leave it to them.
    pub from_peers: Arc<FromPeers>,
    /// Quotas, asked for each block and each second.
    pub quota_of: Box<QuotaOf>,
    /// Hears what is refused and what diallers say of how things stand below.
    pub watch: Arc<dyn IngestWatch>,
    /// Which generations of sites are known.
    pub roster: Arc<Roster>,
    /// Most bytes of blocks of all links that wait for definitions; beyond it they are refused for
    /// now.
    pub held_bytes_max: u64,
}

impl IngestNode {
    /// What the links of this node share.
    #[must_use]
    pub fn new(parts: IngestParts) -> Arc<Self> {
        Arc::new(Self {
            bus: parts.bus,
            clock: parts.clock,
            quota_of: parts.quota_of,
            watch: parts.watch,
            from_peers: parts.from_peers,
            roster: parts.roster,
            elsewhere: Arc::default(),
            held_bytes_max: parts.held_bytes_max,
            held_bytes: AtomicU64::new(0),
        })
    }

    /// What an origin may send now.
    pub(super) fn quota_of(&self, origin: OriginId) -> OriginQuota {
        let described = self.bus.definitions().origin_of(origin);
        (self.quota_of)(origin, described.as_deref())
    }

    /// Bytes that may still be held of what waits for definitions.
    pub(super) fn held_room(&self) -> u64 {
        let held = self.held_bytes.load(Ordering::Relaxed);
        self.held_bytes_max.saturating_sub(held)
    }

    /// A link holds `now` bytes where it held `before`; answers `now`.
    pub(super) fn note_held(&self, before: u64, now: u64) -> u64 {
        self.held_bytes.fetch_add(now, Ordering::Relaxed);
        self.held_bytes.fetch_sub(before, Ordering::Relaxed);
        now
    }
}
