//! What the node hears from its ingests, and what it tells of it.
//!
//! Does: turn refusals into events, pass what neighbours say of streams and origins on.
//! Does not: judge a word (`origins`), limit a flood (`actors::events` and the ingest itself do).
//! In: calls of ingests. Out: reports; changes of [`Origins`]. Nothing waits here.

use std::sync::Arc;

use ocelli_actors::Reporter;
use ocelli_bus::record::OriginId;
use ocelli_federation::frame::{OriginWord, RefusedBlock, StreamHead};
use ocelli_federation::identity::NodeIdentity;
use ocelli_federation::ingest::{Audit, IngestWatch};
use ocelli_federation::link::Link;
use ocelli_model::clock::Clock;
use ocelli_model::event::Event;

use crate::assembly::links::{Links, id_of_taken};
use crate::assembly::origins::Origins;

/// Hears the ingests of a node.
pub(super) struct Watching {
    pub(super) events: Reporter,
    pub(super) origins: Arc<Origins>,
}

impl IngestWatch for Watching {
    fn refused(&self, audit: Audit) {
        self.events.report(Event::IngestRefused {
            peer: audit.peer,
            reason: audit.reason.to_string(),
            of_origin: audit.origin.to_string(),
            blocks: audit.count,
            detail: audit.detail,
        });
    }

    fn reached(&self, peer: &NodeIdentity, origin: OriginId, rate: u64) {
        self.events.report(Event::OriginThrottled {
            of_origin: origin.to_string(),
            peer: peer.to_string(),
            bytes_per_second: rate,
        });
    }

    fn heads(&self, link: &Arc<dyn Link>, heads: &[StreamHead]) {
        self.origins.heads(&id_of_taken(&**link), heads);
    }

    fn origins(&self, link: &Arc<dyn Link>, words: &[OriginWord]) {
        let id = id_of_taken(&**link);
        self.origins.told(&id, link.peer(), words);
    }
}

/// What hears the refusals of a neighbour above or beside: the list of links shows them, those for
/// good are told.
pub(super) fn refusals_of(
    id: &str,
    (links, events): (&Arc<Links>, &Reporter),
    clock: &Arc<dyn Clock>,
) -> Arc<dyn Fn(&RefusedBlock) + Send + Sync> {
    let (id, links, events) = (id.to_owned(), Arc::clone(links), events.clone());
    let clock = Arc::clone(clock);
    Arc::new(move |block| {
        let Some(told) = links.refused(&id, block, clock.wall()) else {
            return;
        };
        events.report(Event::RecordsRefused {
            link: id.clone(),
            reason: told.refusal.reason.to_string(),
            of_origin: told.refusal.origin.to_string(),
            records: told.records,
            hint: told.refusal.hint().to_owned(),
            detail: told.refusal.detail,
        });
    })
}
