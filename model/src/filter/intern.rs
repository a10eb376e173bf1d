//! Tables of subjects as rows of numbers: each distinct value is stored once.
//!
//! Does: give each distinct text a number, keep subjects as rows of such numbers, one column a
//! field, in blocks of 64 rows so that a column of a block is contiguous. Does not: follow changes;
//! a table is built anew when its subjects change (100,000 resources: some tens of milliseconds).
//! In: subjects, the filters that will be asked. Out: [`InternedTable`], which
//! [`super::Compiled`] filters read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::vocabulary::{Field, Subject, Vocabulary};
use super::{Filter, compile};

/// Most distinct values: 250,000 resources with ids and endpoints of their own, eight times over.
pub const INTERNED_VALUES_MAX: u32 = 4_000_000;
/// The number that stands for "has no such field".
pub const ABSENT: u32 = u32::MAX;

/// Rows that are evaluated at once: the bits of a mask.
pub(super) const LANES: usize = 64;

/// Why a table cannot take a subject or a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// More distinct values than [`INTERNED_VALUES_MAX`].
    #[error(
        "the table holds {INTERNED_VALUES_MAX} distinct values, the limit; split the resources"
    )]
    Full,
    /// A filter asks for metadata that the table was not built with.
    #[error("the table has no column for metadata {key:?}; build it anew for this filter")]
    NoColumn {
        /// The key, in lower case.
        key: String,
    },
    /// A filter over other fields than the table's.
    #[error("the filter is about the fields {found}; this table has {held}")]
    OtherFields {
        /// The filter's fields.
        found: String,
        /// The table's fields.
        held: String,
    },
}

/// Distinct texts and their numbers, from 0 without holes.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Interner {
    /// The number of `text`, new if it was not known.
    ///
    /// # Errors
    /// [`TableError::Full`] for a new text beyond [`INTERNED_VALUES_MAX`].
    pub fn intern(&mut self, text: &str) -> Result<u32, TableError> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(ABSENT);
        if number >= INTERNED_VALUES_MAX {
            return Err(TableError::Full);
        }
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        Ok(number)
    }

    /// The texts by number.
    #[must_use]
    pub fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }
}

/// Subjects as rows of numbers, in the order in which they were added.
#[derive(Debug, Clone)]
pub struct InternedTable {
    vocabulary: Arc<Vocabulary>,
    /// Metadata keys with a column, in lower case, sorted; they follow the plain fields.
    keys: Vec<String>,
    interner: Interner,
    /// Blocks of [`LANES`] rows, column after column; unused lanes of the last are [`ABSENT`].
    blocks: Vec<u32>,
    len: usize,
}

impl InternedTable {
    /// An empty table over the fields of `vocabulary`, with columns for the metadata that `filters`
    /// ask for.
    pub fn new<'a>(
        vocabulary: &Arc<Vocabulary>,
        filters: impl IntoIterator<Item = &'a Filter>,
    ) -> Self {
        let mut keys = BTreeSet::new();
        for filter in filters {
            keys.extend(filter.expression().metadata_keys());
        }
        Self {
            vocabulary: Arc::clone(vocabulary),
            keys: keys.into_iter().map(str::to_owned).collect(),
            interner: Interner::default(),
            blocks: Vec::new(),
            len: 0,
        }
    }

    /// Adds a subject at the end.
    ///
    /// # Errors
    /// [`TableError::Full`]; the table is as before.
    pub fn push(&mut self, subject: &impl Subject) -> Result<(), TableError> {
        let plain = (0..self.vocabulary.names().len()).map(Field::Plain);
        let keyed = self.keys.iter().cloned().map(Field::Keyed);
        let mut values = Vec::with_capacity(self.columns());
        for field in plain.chain(keyed) {
            values.push(match subject.value(&field) {
                None => ABSENT,
                Some(value) => self.interner.intern(value)?,
            });
        }
        let lane = self.len % LANES;
        if lane == 0 {
            let fresh = self.blocks.len() + self.columns() * LANES;
            self.blocks.resize(fresh, ABSENT);
        }
        let block_start = self.len / LANES * self.columns() * LANES;
        for (column, value) in values.into_iter().enumerate() {
            self.blocks[block_start + column * LANES + lane] = value;
        }
        self.len += 1;
        Ok(())
    }

    /// Makes a filter ready for this table.
    ///
    /// # Errors
    /// [`TableError::NoColumn`], [`TableError::OtherFields`] if the table lacks what it asks for;
    /// [`TableError::Full`] if its values do not fit.
    pub fn compile(&mut self, filter: &Filter) -> Result<super::Compiled, TableError> {
        if filter.vocabulary() != &self.vocabulary {
            return Err(TableError::OtherFields {
                found: filter.vocabulary().list(),
                held: self.vocabulary.list(),
            });
        }
        compile::compile(filter.expression(), self)
    }

    /// How many subjects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no subject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The distinct values.
    #[must_use]
    pub fn interner(&self) -> &Interner {
        &self.interner
    }

    pub(super) fn interner_mut(&mut self) -> &mut Interner {
        &mut self.interner
    }

    pub(super) fn column_of(&self, field: &Field) -> Result<usize, TableError> {
        match field {
            Field::Plain(position) => Ok(*position),
            Field::Keyed(key) => match self.keys.binary_search(key) {
                Ok(position) => Ok(self.vocabulary.names().len() + position),
                Err(_) => Err(TableError::NoColumn { key: key.clone() }),
            },
        }
    }

    /// The values of `column` in a block of rows; empty beyond the last block.
    #[inline]
    pub(super) fn lanes(&self, block: usize, column: usize) -> &[u32] {
        let start = (block * self.columns() + column) * LANES;
        self.blocks.get(start..start + LANES).unwrap_or_default()
    }

    fn columns(&self) -> usize {
        self.vocabulary.names().len() + self.keys.len()
    }
}
