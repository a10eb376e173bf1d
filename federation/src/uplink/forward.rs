//! What of a block goes to a neighbour, by the policy that its entry in the configuration has.
//!
//! Does: judge the entries of each block, put skips in the place of those that the filter refuses
//! and of those that a derived stream stands for; keep streams derived for others away.
//! Does not: derive (`derive`), look into bodies, or at lane 1: definitions go whole, since a hole
//! there would stop all data that follows. Entries of no resource (events of a node, gaps of a
//! shard) always go, and so do gaps: nothing of them is altered.
//! In: stored blocks. Out: the bytes to send, the block's own where all of it goes.
//! Cost: a look-up an entry; nothing at all without a policy.
//! Memory: a verdict for each of [`VERDICTS_MAX`] resources; beyond it they are made again.

use std::collections::HashMap;

use bytes::Bytes;
use ocelli_bus::block::{EntryView, withhold};
use ocelli_bus::record::{DefinitionId, EntryKind, Lane, OriginId};
use ocelli_bus::{Definitions, StoredBlock};
use ocelli_model::filter::Filter;

/// Verdicts that are kept: 5 MiB. An id is never given twice, so a verdict holds for ever.
const VERDICTS_MAX: usize = 128 * 1024;

/// What of the streams held here is for a neighbour.
#[derive(Debug, Clone, Default)]
pub struct Forward {
    /// Name of the upstream; empty: a peer.
    pub upstream: String,
    /// Which resources go there; `None`: all.
    pub filter: Option<Filter>,
    /// Whether a stream derived for it stands for the batches that are held here.
    pub is_derived: bool,
}

/// The policy of one neighbour.
#[derive(Debug)]
pub(super) struct Forwarding {
    forward: Forward,
    /// The origin that this node writes.
    own: OriginId,
    verdicts: HashMap<(OriginId, DefinitionId), bool>,
    /// An entry whose resource nobody defined is withheld; said once a link.
    has_warned: bool,
}

impl Forwarding {
    pub(super) fn new(forward: Forward, own: OriginId) -> Self {
        Self {
            forward,
            own,
            verdicts: HashMap::new(),
            has_warned: false,
        }
    }

    /// Whether all of each block goes.
    pub(super) fn is_plain(&self) -> bool {
        self.forward.filter.is_none() && !self.forward.is_derived
    }

    /// Whether a stream is for this neighbour at all: not what this node derived for another.
    pub(super) fn is_for(&self, origin: OriginId, definitions: &Definitions) -> bool {
        let derivation = definitions.derivation_of(origin);
        derivation.is_none_or(|it| it.by != self.own || it.upstream == self.forward.upstream)
    }

    /// The bytes of a block that go.
    pub(super) fn bytes_of(&mut self, block: &StoredBlock, definitions: &Definitions) -> Bytes {
        let stream = block.header().stream;
        if self.is_plain() || stream.lane == Lane::Definitions {
            return block.bytes().clone();
        }
        let origin = stream.origin;
        let is_source = self.forward.is_derived && definitions.derivation_of(origin).is_none();
        let refuses = |entry: &EntryView| {
            let is_derived_from = is_source && stands_in_derived(entry);
            is_derived_from || !self.passes(origin, entry, definitions)
        };
        match withhold(block.bytes(), refuses) {
            Ok(cut) => cut.unwrap_or_else(|| block.bytes().clone()),
            // It was sound when the bus read it; the neighbour says so if it is not any more.
            Err(_unsound) => block.bytes().clone(),
        }
    }

    fn passes(&mut self, origin: OriginId, entry: &EntryView, definitions: &Definitions) -> bool {
        let (id, Some(filter)) = (entry.head.resource, &self.forward.filter) else {
            return true;
        };
        if id == DefinitionId::NONE {
            return true;
        }
        if let Some(verdict) = self.verdicts.get(&(origin, id)) {
            return *verdict;
        }
        let resolved = definitions.resolve_pair(origin, &entry.head);
        let resource = match resolved {
            Ok(resolved) => resolved.resource,
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(%origin, %error, "an entry of no known resource is withheld");
                }
                return false;
            }
        };
        let verdict = resource.is_none_or(|resource| filter.matches(&*resource));
        if self.verdicts.len() >= VERDICTS_MAX {
            self.verdicts.clear();
        }
        self.verdicts.insert((origin, id), verdict);
        verdict
    }
}

/// Whether a derived stream says what the entry says, or the entry only serves who polls.
fn stands_in_derived(entry: &EntryView) -> bool {
    matches!(entry.head.kind, EntryKind::Batch | EntryKind::Session)
}
