//! Whether a block of one link is taken: its entries, and the generation that they rest on.
//!
//! Does: have entries inspected, remember whose the link's origins are, ask the roster about each
//! plan. Does not: store, refuse or adopt. In: blocks in the order of acceptance, the sender's
//! certificate. Out: nothing, or why not. A plan comes before all data that rest on it (lane 1).

use std::collections::BTreeMap;

use ocelli_bus::record::OriginId;
use ocelli_bus::{Definitions, ForeignBlock};
use ocelli_model::clock::WallMs;
use ocelli_model::tier::Tier;

use super::inspect::{described_in, generation_of, inspect};
use super::roster::{Comer, NotAdmitted, Roster, RosterKey};
use crate::frame::RefusedReason;
use crate::identity::PeerIdentity;

/// Origins that a site's link describes: its nodes, and those before a disk was exchanged. Beyond
/// it a plan waits until the bus knows its origin.
const DESCRIBED_MAX: usize = 64;

/// What is remembered of one link.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Of a description that came just before, the bus may not know yet.
    described: BTreeMap<OriginId, RosterKey>,
}

impl Judge {
    /// Judges a block that is about to be stored.
    ///
    /// # Errors
    /// The reason for the sender and the detail for people.
    pub(super) async fn judge(
        &mut self,
        block: &ForeignBlock,
        peer: &PeerIdentity,
        (definitions, roster): (&Definitions, &Roster),
        now: WallMs,
    ) -> Result<(), (RefusedReason, String)> {
        inspect(block, peer, definitions)?;
        // What a region hands on it has judged itself: a site is adopted where it dials in.
        if peer.identity.tier != Tier::Site {
            return Ok(());
        }
        let origin = block.stream().origin;
        if let Some(key) = described_in(block)
            && self.described.len() < DESCRIBED_MAX
        {
            self.described.insert(origin, key);
        }
        let Some(generation) = generation_of(block) else {
            return Ok(());
        };
        let known = definitions.origin_of(origin);
        let known = known.map(|known| (known.site.clone(), known.node.clone()));
        let Some(key) = self.described.get(&origin).cloned().or(known) else {
            let text = format!("a plan of origin {origin}, which has not said whose it is");
            return Err((RefusedReason::Order, text));
        };
        let comer = Comer {
            key,
            generation,
            origin,
        };
        let admitted = roster.admit(comer, now).await;
        admitted.map_err(|error| {
            let reason = match error {
                NotAdmitted::Second { .. } => RefusedReason::SecondGeneration,
                NotAdmitted::Full | NotAdmitted::File(_) => RefusedReason::Busy,
            };
            (reason, error.to_string())
        })
    }
}
