//! The reader's side of lane 1: what the ids of one origin mean.
//!
//! Does: keep definitions as they arrive, rebuild shared `Resource`, `Schema`, `RowSet` from them.
//! Does not: read blocks from disk, decode bodies of lane 0 (`decoder`).
//! In: definitions in the order of lane 1, from a peer of unknown honesty. Out: `Arc`s.
//! Memory: texts once, row sets built when first asked for and dropped all together beyond
//! [`BUILT_BYTES_MAX`]; definitions beyond [`DEFINITIONS_BYTES_MAX`] are refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ocelli_model::batch::RowSet;
use ocelli_model::codec::DecodeError;
use ocelli_model::columns::{DimensionTable, ROWS_MAX};
use ocelli_model::resource::Resource;
use ocelli_model::schema::{DIMENSIONS_MAX, GROUPS_MAX, Schema, SchemaError};

use crate::definition::{Definition, OriginDescription, RowGroup, Run, Texts};
use crate::derivation::Derivation;
use crate::record::DefinitionId;

/// Most bytes of definitions kept of one origin: some ten thousand switches.
pub const DEFINITIONS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of built row sets at which they are dropped, to be built again when asked for.
pub const BUILT_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most bytes of one built row set: a run list may repeat rows, memory must not.
pub const ROW_SET_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why a definition or an id is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No definition.
    #[error("definition: {0}")]
    Decode(#[from] DecodeError),
    /// A schema that breaks a rule.
    #[error("schema {}: {source}", id.0)]
    Schema {
        /// Its id.
        id: DefinitionId,
        /// The rule.
        source: SchemaError,
    },
    /// A definition whose parts do not fit each other.
    #[error("definition {} is not whole: {reason}; the origin's writer is at fault", id.0)]
    Shape {
        /// Its id.
        id: DefinitionId,
        /// What does not fit.
        reason: &'static str,
    },
    /// An id that was not defined, or as something else.
    #[error("id {} is no {what}; lane 1 is behind or damaged", id.0)]
    Unknown {
        /// The id.
        id: DefinitionId,
        /// What it should be.
        what: &'static str,
    },
    /// More definitions than are kept.
    #[error("the origin has more than {DEFINITIONS_BYTES_MAX} bytes of definitions; split it")]
    TooLarge,
    /// A row set whose texts are more than one may have.
    #[error("row set {} has more than {ROW_SET_BYTES_MAX} bytes of dimensions; filter rows", id.0)]
    RowSetTooLarge {
        /// Its id.
        id: DefinitionId,
    },
}

/// Definitions of one origin.
#[derive(Debug, Default)]
pub struct Resolver {
    resources: HashMap<u32, Arc<Resource>>,
    plugins: HashMap<u32, Arc<str>>,
    schemas: HashMap<u32, Arc<Schema>>,
    rows: BTreeMap<u32, DimensionTable>,
    attributes: BTreeMap<u32, DimensionTable>,
    row_sets: HashMap<u32, Box<[RowGroup]>>,
    origin: Option<Arc<OriginDescription>>,
    derivation: Option<Arc<Derivation>>,
    highest: u32,
    built: HashMap<u32, Arc<RowSet>>,
    bytes: usize,
    built_bytes: usize,
}

impl Resolver {
    /// Nothing is defined.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes held, built row sets included.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.bytes + self.built_bytes
    }

    /// Takes the body of a definition entry.
    ///
    /// # Errors
    /// [`ResolveError`]; what was defined before stays.
    pub fn apply(&mut self, body: &[u8]) -> Result<(), ResolveError> {
        let bytes = self.bytes.saturating_add(body.len());
        if bytes > DEFINITIONS_BYTES_MAX {
            return Err(ResolveError::TooLarge);
        }
        match Definition::decode(body)? {
            Definition::Resource { id, resource } => {
                self.resources.insert(id.0, Arc::new(resource));
            }
            Definition::Plugin { id, name } => {
                self.plugins.insert(id.0, name.into());
            }
            Definition::Schema { id, schema } => {
                self.take_schema(id, schema, BTreeMap::new())?;
            }
            Definition::TaggedSchema { id, schema, tags } => self.take_schema(id, schema, tags)?,
            Definition::Rows(texts) => {
                self.rows.insert(texts.first.0, table_of(&texts)?);
            }
            Definition::Attributes(texts) => {
                self.attributes.insert(texts.first.0, table_of(&texts)?);
            }
            Definition::RowSet { id, groups } => {
                check_row_set(id, &groups)?;
                self.row_sets.insert(id.0, groups.into());
            }
            Definition::Origin {
                mesh,
                tier,
                site,
                node,
                ..
            } => {
                let description = OriginDescription {
                    mesh,
                    tier,
                    site,
                    node,
                };
                self.origin = Some(Arc::new(description));
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    fn take_schema(
        &mut self,
        id: DefinitionId,
        read: Schema,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ResolveError> {
        let checked = Schema::new(read.groups).and_then(|schema| schema.with_tags(tags));
        let mut schema = checked.map_err(|source| ResolveError::Schema { id, source })?;
        schema.rate_formula = read.rate_formula;
        self.schemas.insert(id.0, Arc::new(schema));
        Ok(())
    }

    /// Takes the body of an entry that says what the stream is made of; the last one holds.
    ///
    /// # Errors
    /// [`ResolveError::Decode`]; what was said before stays.
    pub fn derive(&mut self, body: &[u8]) -> Result<(), ResolveError> {
        self.derivation = Some(Arc::new(Derivation::decode(body)?));
        Ok(())
    }

    /// What the stream is made of; `None` if it is not derived.
    #[must_use]
    pub fn derivation(&self) -> Option<Arc<Derivation>> {
        self.derivation.clone()
    }

    /// Notes that ids up to this one are given.
    pub(crate) fn note_highest(&mut self, id: u32) {
        self.highest = self.highest.max(id);
    }

    /// The highest id that was given a meaning; 0: none.
    #[must_use]
    pub fn highest(&self) -> u32 {
        self.highest
    }

    /// Who the origin is; `None` if it has not said so.
    #[must_use]
    pub fn origin(&self) -> Option<Arc<OriginDescription>> {
        self.origin.clone()
    }

    /// The resource of an entry; `None` for id 0.
    ///
    /// # Errors
    /// [`ResolveError::Unknown`].
    pub fn resource(&self, id: DefinitionId) -> Result<Option<Arc<Resource>>, ResolveError> {
        of_id(&self.resources, id, "resource")
    }

    /// The plugin of an entry; `None` for id 0.
    ///
    /// # Errors
    /// [`ResolveError::Unknown`].
    pub fn plugin(&self, id: DefinitionId) -> Result<Option<Arc<str>>, ResolveError> {
        of_id(&self.plugins, id, "plugin")
    }

    /// The schema of a batch.
    ///
    /// # Errors
    /// [`ResolveError::Unknown`].
    pub fn schema(&self, id: DefinitionId) -> Result<Arc<Schema>, ResolveError> {
        let schema = of_id(&self.schemas, id, "schema")?;
        schema.ok_or(ResolveError::Unknown { id, what: "schema" })
    }

    /// The rows of a batch; the same `Arc` for the same id while it is kept.
    ///
    /// # Errors
    /// [`ResolveError::Unknown`] or [`ResolveError::RowSetTooLarge`].
    pub fn row_set(&mut self, id: DefinitionId) -> Result<Arc<RowSet>, ResolveError> {
        if let Some(built) = self.built.get(&id.0) {
            return Ok(Arc::clone(built));
        }
        let unknown = ResolveError::Unknown {
            id,
            what: "row set",
        };
        let groups = self.row_sets.get(&id.0).ok_or(unknown)?;
        let mut rows = RowSet::default();
        let mut bytes = 0;
        for group in groups {
            rows.groups.push(self.build_group(id, group, &mut bytes)?);
        }
        let built = Arc::new(rows);
        if self.built_bytes + bytes > BUILT_BYTES_MAX {
            self.built.clear();
            self.built_bytes = 0;
        }
        self.built_bytes += bytes;
        self.built.insert(id.0, Arc::clone(&built));
        Ok(built)
    }

    fn build_group(
        &self,
        id: DefinitionId,
        group: &RowGroup,
        bytes: &mut usize,
    ) -> Result<DimensionTable, ResolveError> {
        let (keys, attributes) = (usize::from(group.keys), usize::from(group.attributes));
        let mut table = DimensionTable::new(keys + attributes);
        for run in &group.runs {
            for index in 0..run.count {
                push_row(&mut table, &self.rows, (run.row, index, keys), "row")?;
                let place = (run.attributes, index, attributes);
                push_row(&mut table, &self.attributes, place, "attributes")?;
            }
            if *bytes + table.heap_bytes() > ROW_SET_BYTES_MAX {
                return Err(ResolveError::RowSetTooLarge { id });
            }
        }
        table.shrink_to_fit();
        *bytes += table.heap_bytes();
        Ok(table)
    }
}

fn of_id<T: ?Sized>(
    known: &HashMap<u32, Arc<T>>,
    id: DefinitionId,
    what: &'static str,
) -> Result<Option<Arc<T>>, ResolveError> {
    if id == DefinitionId::NONE {
        return Ok(None);
    }
    let found = known.get(&id.0).ok_or(ResolveError::Unknown { id, what })?;
    Ok(Some(Arc::clone(found)))
}

/// Appends the `columns` cells of the row `index` behind `first`.
fn push_row(
    table: &mut DimensionTable,
    known: &BTreeMap<u32, DimensionTable>,
    (first, index, columns): (DefinitionId, u32, usize),
    what: &'static str,
) -> Result<(), ResolveError> {
    if columns == 0 {
        return Ok(());
    }
    let id = DefinitionId(first.0.saturating_add(index));
    let found = known.range(..=id.0).next_back();
    let place = found.map(|(start, texts)| (texts, (id.0 - start) as usize));
    let (texts, row) = place
        .filter(|(texts, row)| *row < texts.rows() && texts.columns() == columns)
        .ok_or(ResolveError::Unknown { id, what })?;
    for column in 0..columns {
        table.push(texts.get(row, column).unwrap_or(""));
    }
    Ok(())
}

fn table_of(texts: &Texts) -> Result<DimensionTable, ResolveError> {
    let columns = usize::from(texts.columns);
    let shape = |reason| ResolveError::Shape {
        id: texts.first,
        reason,
    };
    if columns == 0 || columns > DIMENSIONS_MAX {
        return Err(shape("a row has 1 to 64 dimensions"));
    }
    if !texts.cells.len().is_multiple_of(columns) {
        return Err(shape("the last row is cut"));
    }
    let mut table = DimensionTable::new(columns);
    texts.cells.iter().for_each(|cell| table.push(cell));
    table.shrink_to_fit();
    Ok(table)
}

fn check_row_set(id: DefinitionId, groups: &[RowGroup]) -> Result<(), ResolveError> {
    let count = |runs: &[Run]| runs.iter().map(|run| u64::from(run.count)).sum::<u64>();
    let columns = |group: &RowGroup| usize::from(group.keys) + usize::from(group.attributes);
    let rules = [
        ("too many groups", groups.len() <= GROUPS_MAX),
        (
            "too many dimensions",
            groups.iter().all(|group| columns(group) <= DIMENSIONS_MAX),
        ),
        (
            "too many rows",
            groups
                .iter()
                .all(|group| count(&group.runs) <= ROWS_MAX as u64),
        ),
        (
            "rows without dimensions",
            groups
                .iter()
                .all(|group| columns(group) > 0 || group.runs.is_empty()),
        ),
    ];
    match rules.iter().find(|(_, holds)| !holds) {
        Some((reason, _)) => Err(ResolveError::Shape { id, reason }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
