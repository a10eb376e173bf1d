//! What to ask a device and what to make of the answers: the one type that all dialects lower to.
//!
//! Does: hold scalars, walks, programs, dimensions and sources, resolved to positions.
//! Does not: read files (`native`), ask (`plugins`), evaluate (`evaluate`).
//! In: a profile, lowered once at start or reload. Out: [`CollectPlan`], shared behind an `Arc`.
//! Order is meaningful: groups by (interval, name), gets before walks; walks that names rest on,
//! then the others, each by first column OID.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::program::{Input, Program};
use crate::oid::Oid;

/// Names for numbers: `{6: ethernetCsmacd}`. A number without a name stands for itself.
pub type ValueMap = BTreeMap<i64, Arc<str>>;

/// A profile, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectPlan {
    /// The profile's name.
    pub profile: String,
    /// GETBULK may be used; otherwise GETNEXT.
    pub bulk: bool,
    /// In the order of the schema.
    pub groups: Vec<GroupPlan>,
}

/// One metrics group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupPlan {
    /// `metrics_group_type`.
    pub name: String,
    /// Read in each n-th slot, from 1.
    pub every_nth: u32,
    /// Scalars, asked with one GET.
    pub gets: Vec<ScalarGet>,
    /// Columns of the row; walks and programs refer to them by position.
    pub columns: Vec<ColumnPlan>,
    /// Tables to walk; empty for a group of scalars, which has one row.
    pub walks: Vec<TableWalk>,
    /// Facts of the resource's enrichment, by the row's index.
    pub enriched: Vec<EnrichedPlan>,
    /// Named parts, in order of use.
    pub lets: Vec<Program>,
    /// Rows for which this is not true are left out.
    pub filter: Option<Program>,
    /// In the schema's order, key dimensions first.
    pub dimensions: Vec<DimensionPlan>,
    /// Source columns of the group's counters, in the order of `GroupRows::sources`.
    pub sources: Vec<SourcePlan>,
    /// In the schema's order.
    pub gauges: Vec<Program>,
    /// Speed of what the row counts, bit/s.
    pub speed: Option<Program>,
    /// Time ticks that change when the row's counters begin anew.
    pub discontinuity: Option<Program>,
    /// What stands for values that are not there.
    pub missing: MissingPlan,
}

impl GroupPlan {
    /// Columns that dimensions and the filter rest on: a row that lacks one because it was not
    /// read is not known well enough to be emitted. Conditional columns are among them.
    #[must_use]
    pub fn naming_columns(&self) -> BTreeSet<u16> {
        let mut columns = BTreeSet::new();
        if let Some(filter) = &self.filter {
            self.add_columns(&filter.inputs(), &mut columns);
        }
        for dimension in &self.dimensions {
            match &dimension.value {
                DimensionValue::Program(program) => {
                    self.add_columns(&program.inputs(), &mut columns);
                }
                DimensionValue::Identity(chain) => self.add_columns(chain, &mut columns),
            }
        }
        columns
    }

    fn add_columns(&self, inputs: &[Input], columns: &mut BTreeSet<u16>) {
        for input in inputs {
            match input {
                Input::Column(at) => {
                    columns.insert(*at);
                }
                // A `let` reads only earlier ones, so this ends.
                Input::Let(at) => {
                    if let Some(part) = self.lets.get(usize::from(*at)) {
                        self.add_columns(&part.inputs(), columns);
                    }
                }
                Input::Scalar(_) | Input::Index(_) | Input::Enriched(_) => {}
            }
        }
    }
}

/// A scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalarGet {
    /// The instance.
    pub oid: Oid,
}

/// A walk over columns of one table (the arcs before the column's own), so that a reply holds
/// whole rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableWalk {
    /// The parent that the columns share.
    pub key: Oid,
    /// Positions in [`GroupPlan::columns`], ascending by OID.
    pub columns: Vec<u16>,
    /// Walked after the others, and only if one of its columns is wanted ([`ColumnPlan::when`]).
    pub is_late: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnPlan {
    /// Without an index.
    pub oid: Oid,
    /// How octets become text.
    pub format: Format,
    /// Asked only if this is true for a row, or missing; reads only columns without a condition.
    pub when: Option<Program>,
}

/// How octets become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// UTF-8 without control characters as it is, trailing zeros cut; anything else as `0x…`.
    #[default]
    Text,
    /// `AA:BB:CC:DD:EE:FF`.
    MacAddress,
}

/// A fact that enrichment knows about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrichedPlan {
    /// Namespace.
    pub namespace: String,
    /// Key within the label, which is the row's index with dots.
    pub key: String,
}

/// Where a dimension comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct DimensionPlan {
    /// The value.
    pub value: DimensionValue,
    /// Names for numbers.
    pub map: Option<Arc<ValueMap>>,
    /// Leave out what is not ASCII, as Panoptes does.
    pub is_ascii: bool,
}

/// The value of a dimension.
#[derive(Debug, Clone, PartialEq)]
pub enum DimensionValue {
    /// One value.
    Program(Program),
    /// What tells rows apart: the first of these that is there; rows that share it are told apart
    /// by the next that differs, at last by their index.
    Identity(Vec<Input>),
}

/// A counter as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcePlan {
    /// Position in [`GroupPlan::columns`].
    pub column: u16,
    /// The value counts as absent unless all of these are true.
    pub guards: Vec<Program>,
}

/// What stands for values that are not there.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum MissingPlan {
    /// Nothing.
    #[default]
    Skip,
    /// Panoptes' placeholders, in gauges and dimensions. Counters have none here: −1 is no count;
    /// whoever renders Panoptes' JSON puts it for an absent counter.
    Placeholder {
        /// For gauges.
        value: f64,
        /// For dimensions.
        text: String,
    },
}
