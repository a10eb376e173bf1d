//! Definitions: what the ids in head tables mean (lane 1).
//!
//! Does: the closed list of definitions and their binary form. Does not: hand out ids
//! (`dictionary`), keep what they mean (`resolver`).
//! In: values of `model`. Out: one entry of lane 1 each, in the envelope of `model::codec`.
//! Invariant: an id is given once per origin and never changes its meaning; rows and attributes of
//! one definition have consecutive ids, so that a row set is a few runs.

use std::collections::BTreeMap;

use ocelli_model::clock::WallMs;
use ocelli_model::codec::{self, DecodeError, EncodeError, Kind};
use ocelli_model::resource::Resource;
use ocelli_model::schema::Schema;
use ocelli_model::tier::Tier;
use serde::{Deserialize, Serialize};

use crate::limits::DEFINITION_BYTES_MAX;
use crate::record::DefinitionId;

/// Version of [`Definition`] that is written.
pub const DEFINITION_VERSION: u16 = 1;
/// What decoding may claim: four times the largest honest definition.
const DECODE_BYTES_MAX: usize = 4 * DEFINITION_BYTES_MAX;

/// What an id means. Frozen as version 1; grows at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Definition {
    /// A resource with its metadata; changed metadata are a new id.
    Resource {
        /// Its id.
        id: DefinitionId,
        /// All of it.
        resource: Resource,
    },
    /// A plugin.
    Plugin {
        /// Its id.
        id: DefinitionId,
        /// Name in the configuration.
        name: String,
    },
    /// What the columns of batches mean.
    Schema {
        /// Its id.
        id: DefinitionId,
        /// All of it.
        schema: Schema,
    },
    /// Key dimensions of rows.
    Rows(Texts),
    /// Attributes of rows, in one version.
    Attributes(Texts),
    /// The rows of batches, in order.
    RowSet {
        /// Its id.
        id: DefinitionId,
        /// One for each group of the schema.
        groups: Vec<RowGroup>,
    },
    /// Who the origin is. Has no id; the last one says.
    Origin {
        /// Always none: kept so that all definitions but runs of texts begin alike.
        id: DefinitionId,
        /// Name of the mesh.
        mesh: String,
        /// Tier of the node.
        tier: Tier,
        /// Name of its site or region.
        site: String,
        /// Name of the node.
        node: String,
        /// When it began to append under this description, wall clock.
        started_ms: WallMs,
    },
    /// What the columns of batches mean whose rows share tags.
    TaggedSchema {
        /// Its id, of the same kind as that of a schema without.
        id: DefinitionId,
        /// All of it but the tags.
        schema: Schema,
        /// Names and values, at least one.
        tags: BTreeMap<String, String>,
    },
}

/// Who appends under an origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OriginDescription {
    /// Name of the mesh.
    pub mesh: String,
    /// Tier of the node.
    pub tier: Tier,
    /// Name of its site or region.
    pub site: String,
    /// Name of the node.
    pub node: String,
}

/// Dimension values of many rows, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Texts {
    /// Id of the first row; the others follow.
    pub first: DefinitionId,
    /// Values of a row, at least 1.
    pub columns: u16,
    /// A multiple of `columns`; empty texts are absent values.
    pub cells: Vec<String>,
}

/// The rows of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowGroup {
    /// Key dimensions of a row; 0 for a group without dimensions, which has no runs.
    pub keys: u16,
    /// Attributes of a row.
    pub attributes: u16,
    /// The rows.
    pub runs: Vec<Run>,
}

/// Rows whose ids follow each other, and those of their attributes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Id of the first row's key dimensions.
    pub row: DefinitionId,
    /// Id of the first row's attributes; none in a group without attributes.
    pub attributes: DefinitionId,
    /// How many rows.
    pub count: u32,
}

impl OriginDescription {
    /// The definition that tells of it.
    #[must_use]
    pub fn into_definition(self, started_ms: WallMs) -> Definition {
        let Self {
            mesh,
            tier,
            site,
            node,
        } = self;
        Definition::Origin {
            id: DefinitionId::NONE,
            mesh,
            tier,
            site,
            node,
            started_ms,
        }
    }
}

impl Definition {
    /// The definition of `schema`, tags and all.
    #[must_use]
    pub fn of_schema(id: DefinitionId, schema: &Schema) -> Self {
        let (schema, tags) = (schema.clone(), schema.tags.clone());
        if tags.is_empty() {
            return Self::Schema { id, schema };
        }
        Self::TaggedSchema { id, schema, tags }
    }

    /// Appends the entry's body to `into`.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] above `DEFINITION_BYTES_MAX`.
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        codec::encode::<DEFINITION_BYTES_MAX>(Kind::DEFINITION, DEFINITION_VERSION, self, into)
    }

    /// Reads an entry's body.
    ///
    /// # Errors
    /// A [`DecodeError`] for whatever is not exactly one definition.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (definition, rest) =
            codec::decode::<Self, DECODE_BYTES_MAX>(Kind::DEFINITION, DEFINITION_VERSION, body)?;
        match rest.len() {
            0 => Ok(definition),
            left => Err(DecodeError::Trailing {
                kind: Kind::DEFINITION.0,
                version: DEFINITION_VERSION,
                left,
            }),
        }
    }
}
