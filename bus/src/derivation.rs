//! What a derived stream is made of: the reference to its sources, on lane 1.
//!
//! Does: hold and encode it. Does not: derive (`federation`).
//! In: the policy of an upstream. Out: one entry of kind 18 on lane 1 of the derived origin, the
//! last of which holds; a node that knows it not carries and counts it. Layout: `bus/FORMAT.md` §3.

use std::collections::BTreeSet;

use ocelli_model::clock::WallMs;
use ocelli_model::codec::{self, DecodeError, EncodeError, Kind};
use serde::{Deserialize, Serialize};

use crate::block::{BlockBuilder, EntryHead, SealedBlock};
use crate::definition::OriginDescription;
use crate::limits::DEFINITION_BYTES_MAX;
use crate::record::{EntryKind, OriginId};

/// Version of [`Derivation`] that is written.
const VERSION: u16 = 1;
/// What decoding may claim.
const DECODE_BYTES_MAX: usize = 4 * DEFINITION_BYTES_MAX;

/// How a stream is made of others. Frozen as version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    /// The origin of the node that makes it.
    pub by: OriginId,
    /// For which of its upstreams.
    pub upstream: String,
    /// Groups that were chosen; none: all.
    pub groups: BTreeSet<String>,
    /// Length of the windows, ms; 0: slots pass one by one.
    pub window_ms: u32,
    /// The origins that it is made of.
    pub sources: BTreeSet<OriginId>,
}

impl Derivation {
    /// The block of lane 1 that says whose the derived origin is and what it is made of; `None` if
    /// a name is too long for any block.
    #[must_use]
    pub fn block(&self, description: &OriginDescription, now: WallMs) -> Option<SealedBlock> {
        let mut builder = BlockBuilder::new();
        let mut body = Vec::new();
        let definition = description.clone().into_definition(now);
        definition.encode(&mut body).ok()?;
        let head = EntryHead::bare(EntryKind::Definition, now);
        builder.push(&head, &body).ok()?;
        body.clear();
        self.encode(&mut body).ok()?;
        let head = EntryHead::bare(EntryKind::Derivation, now);
        builder.push(&head, &body).ok()?;
        builder.seal()
    }

    fn encode(&self, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        codec::encode::<DEFINITION_BYTES_MAX>(Kind::DERIVATION, VERSION, self, into)
    }

    /// Reads an entry's body.
    ///
    /// # Errors
    /// A [`DecodeError`] for whatever is not exactly one derivation.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (derivation, rest) =
            codec::decode::<Self, DECODE_BYTES_MAX>(Kind::DERIVATION, VERSION, body)?;
        match rest.len() {
            0 => Ok(derivation),
            left => Err(DecodeError::Trailing {
                kind: Kind::DERIVATION.0,
                version: VERSION,
                left,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derivation_comes_back_and_bytes_behind_it_are_refused() {
        let derivation = Derivation {
            by: OriginId(7),
            upstream: "emea".to_owned(),
            groups: BTreeSet::from(["interface".to_owned()]),
            window_ms: 300_000,
            sources: BTreeSet::from([OriginId(7), OriginId(9)]),
        };
        let mut body = Vec::new();
        derivation.encode(&mut body).unwrap();
        assert_eq!(Derivation::decode(&body).unwrap(), derivation);
        body.push(0);
        let error = Derivation::decode(&body).unwrap_err();
        assert!(
            matches!(error, DecodeError::Trailing { left: 1, .. }),
            "{error}"
        );
    }
}
