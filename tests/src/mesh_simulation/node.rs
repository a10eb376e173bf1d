//! A simulated node: its disk, its uplinks, its ingests, and what survives a crash of it.
//!
//! Does: hold the state and make the cores anew after a start. Does not: time, lines (`world`).
//! In: a place in the mesh. Out: state for the world to drive.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_bus::SeqRanges;
use ocelli_bus::record::{OriginId, StreamId};
use ocelli_federation::ingest::{
    BlockNumber, IngestCore, IngestPolicy, LinkNumber, LiveOrigins, OriginClaim,
};
use ocelli_federation::uplink::{UplinkCore, UplinkPolicy};
use ocelli_model::clock::Monotonic;
use ocelli_model::tier::Tier;

use super::disk::{Block, Disk, Mutant};
use super::line::LineId;

/// One uplink of a node.
#[derive(Debug)]
pub(super) struct Uplink {
    /// The group; the first is preferred.
    pub(super) targets: Vec<usize>,
    pub(super) core: UplinkCore,
    /// Durable cursor, and what of it a crash leaves.
    pub(super) cursor: BTreeMap<StreamId, SeqRanges>,
    pub(super) saved: BTreeMap<StreamId, SeqRanges>,
    pub(super) line: Option<LineId>,
    pub(super) is_welcome: bool,
    pub(super) target: usize,
    pub(super) since: u64,
    /// When the line was welcome.
    pub(super) welcomed: u64,
}

/// One line from below.
#[derive(Debug)]
pub(super) struct Ingest {
    pub(super) core: IngestCore,
    pub(super) claim: Option<OriginClaim>,
    pub(super) is_admitted: bool,
    pub(super) blocks: BTreeMap<BlockNumber, Block>,
    pub(super) next_block: u64,
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) tier: Tier,
    pub(super) is_up: bool,
    /// Counts starts, so that what was meant for an earlier life is dropped.
    pub(super) life: u64,
    pub(super) skew_ms: u64,
    pub(super) origin: OriginId,
    pub(super) forsaken: BTreeSet<OriginId>,
    pub(super) disk: Disk,
    pub(super) old_copy: Option<(Disk, OriginId)>,
    pub(super) uplinks: Vec<Uplink>,
    pub(super) ingests: BTreeMap<LineId, Ingest>,
    pub(super) live: LiveOrigins,
    /// Streams' ranges that a peer sent, by peer: they do not go back there.
    pub(super) from_peer: BTreeMap<usize, BTreeMap<StreamId, SeqRanges>>,
    pub(super) commits_at: Option<u64>,
    /// Of the uplinks' policy; off in a mutant.
    pub(super) awaits_refill: bool,
}

impl Uplink {
    pub(super) fn new(targets: Vec<usize>) -> Self {
        Self {
            targets,
            core: UplinkCore::new(UplinkPolicy::new(OriginId(0))),
            cursor: BTreeMap::new(),
            saved: BTreeMap::new(),
            line: None,
            is_welcome: false,
            target: 0,
            since: 0,
            welcomed: 0,
        }
    }
}

impl Node {
    pub(super) fn new(tier: Tier, origin: OriginId, uplinks: Vec<Uplink>, skew_ms: u64) -> Self {
        let mut node = Self {
            tier,
            is_up: true,
            life: 0,
            skew_ms,
            origin,
            forsaken: BTreeSet::new(),
            disk: Disk::default(),
            old_copy: None,
            uplinks,
            ingests: BTreeMap::new(),
            live: LiveOrigins::default(),
            from_peer: BTreeMap::new(),
            commits_at: None,
            awaits_refill: true,
        };
        node.start();
        node
    }

    /// A new life from what the disk has.
    pub(super) fn start(&mut self) {
        self.is_up = true;
        self.life += 1;
        self.commits_at = None;
        self.ingests.clear();
        self.live = LiveOrigins::default();
        self.from_peer.clear();
        for uplink in &mut self.uplinks {
            let policy = UplinkPolicy {
                is_shared: uplink.targets.len() > 1,
                forsaken: self.forsaken.clone(),
                awaits_refill: self.awaits_refill,
                ..UplinkPolicy::new(self.origin)
            };
            uplink.core = UplinkCore::new(policy);
            uplink.cursor = uplink.saved.clone();
            uplink.line = None;
            uplink.is_welcome = false;
        }
    }

    /// Dead, with all that was not durable.
    pub(super) fn crash(&mut self) {
        self.is_up = false;
        self.life += 1;
        self.disk.crash();
        self.ingests.clear();
        for uplink in &mut self.uplinks {
            uplink.line = None;
            uplink.is_welcome = false;
        }
    }

    /// The node's own clock.
    pub(super) fn clock(&self, now_ms: u64) -> Monotonic {
        Monotonic((now_ms + self.skew_ms) * 1_000_000)
    }

    pub(super) fn add_ingest(&mut self, line: LineId, mutant: Option<Mutant>) {
        let has_definitions_first = mutant != Some(Mutant::DefinitionsAfterData);
        let ingest = Ingest {
            core: IngestCore::new(IngestPolicy {
                has_definitions_first,
            }),
            claim: None,
            is_admitted: false,
            blocks: BTreeMap::new(),
            next_block: 0,
        };
        self.ingests.insert(line, ingest);
    }
}

/// The claim of a dialler.
pub(super) fn claim(line: LineId, origin: OriginId) -> OriginClaim {
    OriginClaim {
        origin,
        link: LinkNumber(line.0),
    }
}
