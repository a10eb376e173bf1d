//! Which rows of a table that was not read to its end are known well enough to be emitted.
//!
//! Does: tell a cell that was not read from one that the device does not have, for the columns that
//! names and other dimensions rest on. Does not: judge values: an unread counter is an absent one.
//! In: a group's plan, its raw table with the columns that were cut. Out: a yes or no for each row.
//! Why: a row without its ifName would go by its ifDescr, and be another series for one slot.

use super::evaluate::wants_cell;
use super::plan::GroupPlan;
use super::table::RawTable;

/// What was not read of one table.
pub(super) struct Unread<'a> {
    group: &'a GroupPlan,
    table: &'a RawTable,
    /// Columns that dimensions or the filter rest on.
    naming: Vec<usize>,
}

impl<'a> Unread<'a> {
    pub(super) fn of(group: &'a GroupPlan, table: &'a RawTable) -> Self {
        let naming = group.naming_columns().into_iter().map(usize::from);
        Self {
            group,
            table,
            naming: naming.collect(),
        }
    }

    /// Whether something is unread that the dimensions of `row` rest on.
    pub(super) fn touches(&self, row: u32) -> bool {
        let row = row as usize;
        self.naming.iter().any(|column| {
            self.table.is_unread(*column, row) && wants_cell(self.group, (*column, row), self.table)
        })
    }
}
