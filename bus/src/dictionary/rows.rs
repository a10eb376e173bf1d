//! Ids of the rows of one (resource, plugin).
//!
//! Does: find out which rows and which attributes are new since the last row set, and make the
//! definitions that say so. Does not: hand out ids, write blocks.
//! In: the last row set with its ids, a new one. Out: [`RowIds`] and definitions, rows first.
//! A row is known again by its key dimensions; an edited attribute is a new attribute version of
//! the same row (design §5).

use std::collections::HashMap;
use std::sync::Arc;

use ocelli_model::batch::{Batch, RowSet};
use ocelli_model::columns::DimensionTable;

use crate::definition::{Definition, RowGroup, Run, Texts};
use crate::record::DefinitionId;

/// Bytes of texts in one definition: well below what one may have.
const TEXTS_BYTES: usize = 64 * 1024;
/// Most runs of a row set; with more of them all rows get new ids, which makes one run a group.
const RUNS_MAX: usize = 16 * 1024;

/// (id of the row, id of its attributes).
type Pair = (DefinitionId, DefinitionId);

/// A row set and the ids in it.
#[derive(Debug, Clone)]
pub(super) struct RowIds {
    id: DefinitionId,
    rows: Arc<RowSet>,
    ids: Arc<[Vec<Pair>]>,
}

impl RowIds {
    /// Id of the row set.
    pub(super) fn id(&self) -> DefinitionId {
        self.id
    }

    /// Whether this is the very row set.
    pub(super) fn is_of(&self, rows: &Arc<RowSet>) -> bool {
        Arc::ptr_eq(&self.rows, rows)
    }

    /// Whether this is an equal row set.
    pub(super) fn has_content_of(&self, rows: &RowSet) -> bool {
        *self.rows == *rows
    }

    /// The same ids for an equal row set.
    pub(super) fn with_rows(&self, rows: Arc<RowSet>) -> Self {
        Self {
            rows,
            ..self.clone()
        }
    }

    /// Ids for the rows of `batch`, with the definitions that they need.
    pub(super) fn define(
        before: Option<&RowIds>,
        batch: &Batch,
        take_ids: &mut dyn FnMut(u32) -> DefinitionId,
        definitions: &mut Vec<Definition>,
    ) -> Self {
        let mut groups = Vec::with_capacity(batch.rows.groups.len());
        let mut ids = Vec::with_capacity(batch.rows.groups.len());
        for (index, table) in batch.rows.groups.iter().enumerate() {
            let keys = batch
                .schema
                .groups
                .get(index)
                .map_or(0, |group| group.key_len());
            let keys = keys.min(table.columns());
            let mut maker = Maker {
                table,
                keys,
                take_ids,
                definitions,
            };
            let mut of_group = maker.ids_like(before, index);
            let mut runs = runs_of(&of_group);
            if runs.len() > RUNS_MAX {
                of_group = maker.new_ids();
                runs = runs_of(&of_group);
            }
            let attributes = table.columns().saturating_sub(keys);
            groups.push(RowGroup {
                keys: width(keys),
                attributes: width(attributes),
                runs,
            });
            ids.push(of_group);
        }
        let id = take_ids(1);
        definitions.push(Definition::RowSet { id, groups });
        Self {
            id,
            rows: Arc::clone(&batch.rows),
            ids: ids.into(),
        }
    }
}

/// A schema has at most 64 dimensions a group.
fn width(columns: usize) -> u16 {
    u16::try_from(columns).unwrap_or(u16::MAX)
}

/// Makes ids for the rows of one group.
struct Maker<'a> {
    table: &'a DimensionTable,
    keys: usize,
    take_ids: &'a mut dyn FnMut(u32) -> DefinitionId,
    definitions: &'a mut Vec<Definition>,
}

impl Maker<'_> {
    /// Ids of the last row set where rows and attributes are the same, new ones elsewhere.
    fn ids_like(&mut self, before: Option<&RowIds>, group: usize) -> Vec<Pair> {
        let known = before.and_then(|before| {
            let table = before.rows.groups.get(group)?;
            Some((table, before.ids.get(group)?))
        });
        let Some((old, old_ids)) = known.filter(|(old, _)| old.columns() == self.table.columns())
        else {
            return self.new_ids();
        };
        let hashes = (0..old.rows()).map(|row| (old.row_hash(row, self.keys), row));
        let by_key: HashMap<u64, usize> = hashes.collect();
        let mut ids = vec![(DefinitionId::NONE, DefinitionId::NONE); self.table.rows()];
        let (mut new_rows, mut new_attributes) = (Vec::new(), Vec::new());
        for (row, id) in ids.iter_mut().enumerate() {
            let found = by_key.get(&self.table.row_hash(row, self.keys));
            let found = found.filter(|at| self.is_same(old, **at, row, 0..self.keys));
            let found_id = found.and_then(|at| Some((*at, *old_ids.get(*at)?)));
            let Some((at, old_id)) = found_id else {
                new_rows.push(row);
                new_attributes.push(row);
                continue;
            };
            id.0 = old_id.0;
            if self.is_same(old, at, row, self.keys..self.table.columns()) {
                id.1 = old_id.1;
            } else {
                new_attributes.push(row);
            }
        }
        self.fill(&mut ids, &new_rows, &new_attributes);
        ids
    }

    fn new_ids(&mut self) -> Vec<Pair> {
        let all: Vec<usize> = (0..self.table.rows()).collect();
        let mut ids = vec![(DefinitionId::NONE, DefinitionId::NONE); all.len()];
        self.fill(&mut ids, &all, &all);
        ids
    }

    fn is_same(
        &self,
        old: &DimensionTable,
        old_row: usize,
        row: usize,
        columns: std::ops::Range<usize>,
    ) -> bool {
        columns
            .into_iter()
            .all(|column| old.get(old_row, column) == self.table.get(row, column))
    }

    /// Gives consecutive ids to new rows and to new attributes, and defines them.
    fn fill(&mut self, ids: &mut [Pair], new_rows: &[usize], new_attributes: &[usize]) {
        let row_ids = self.define_texts(new_rows, 0..self.keys, Definition::Rows);
        for (row, id) in new_rows.iter().zip(row_ids) {
            ids[*row].0 = id;
        }
        let columns = self.keys..self.table.columns();
        let attribute_ids = self.define_texts(new_attributes, columns, Definition::Attributes);
        for (row, id) in new_attributes.iter().zip(attribute_ids) {
            ids[*row].1 = id;
        }
    }

    /// Without columns there is nothing to define, and no ids.
    fn define_texts(
        &mut self,
        rows: &[usize],
        columns: std::ops::Range<usize>,
        kind: fn(Texts) -> Definition,
    ) -> impl Iterator<Item = DefinitionId> + use<> {
        let rows = if columns.is_empty() { &[] } else { rows };
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let first = if count == 0 {
            DefinitionId::NONE
        } else {
            (self.take_ids)(count)
        };
        let mut part = Texts {
            first,
            columns: width(columns.len()),
            cells: Vec::new(),
        };
        let mut bytes = 0;
        for (row, id) in rows.iter().zip(first.0..) {
            if bytes >= TEXTS_BYTES {
                let next = Texts {
                    first: DefinitionId(id),
                    cells: Vec::new(),
                    ..part
                };
                self.definitions
                    .push(kind(std::mem::replace(&mut part, next)));
                bytes = 0;
            }
            for column in columns.clone() {
                let cell = self.table.get(*row, column).unwrap_or("");
                bytes += cell.len() + 1;
                part.cells.push(cell.to_owned());
            }
        }
        if !part.cells.is_empty() {
            self.definitions.push(kind(part));
        }
        (first.0..first.0.saturating_add(count)).map(DefinitionId)
    }
}

fn runs_of(ids: &[Pair]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (row, attributes) in ids {
        let goes_on = runs.last_mut().filter(|run| {
            *row == nth(run.row, run.count) && *attributes == nth(run.attributes, run.count)
        });
        match goes_on {
            Some(run) => run.count += 1,
            None => runs.push(Run {
                row: *row,
                attributes: *attributes,
                count: 1,
            }),
        }
    }
    runs
}

/// The id `count` behind `first`; none stays none.
fn nth(first: DefinitionId, count: u32) -> DefinitionId {
    match first {
        DefinitionId::NONE => DefinitionId::NONE,
        first => DefinitionId(first.0.wrapping_add(count)),
    }
}
