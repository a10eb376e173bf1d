//! Columns of a group and the walks that read them.
//!
//! Does: group columns by the table that they stand in, so that replies hold whole rows; put
//! columns with a condition into late walks; put what rows are named by first. Does not: ask.
//! In: the group as written. Out: [`ColumnPlan`]s, [`ScalarGet`]s, [`TableWalk`]s.

use std::collections::BTreeMap;

use super::scope::{GroupScope, position};
use crate::oid::Oid;
use crate::profile::diagnostic::Code;
use crate::profile::native::NativeGroup;
use crate::profile::plan::{ColumnPlan, GroupPlan, ScalarGet, TableWalk};
use crate::profile::program::Input;
use crate::profile::reader::Reader;

/// Most columns of one group: their positions have 16 bits, and no table of a MIB has as many.
const COLUMNS_MAX: usize = 1_024;
/// Most columns of one walk. A reply of 1,472 bytes holds about 60 cells: of 16 columns three rows
/// and 12 wasted places, of twice 8 seven rows each. 48 interfaces of the shipped profile then take
/// about 28 requests instead of 31.
const WALK_COLUMNS_MAX: usize = 14;

pub(super) fn gets(group: &NativeGroup) -> Vec<ScalarGet> {
    let gets = group
        .scalars
        .iter()
        .map(|(_, oid)| ScalarGet { oid: oid.clone() });
    gets.collect()
}

pub(super) fn columns(
    reader: &mut Reader,
    scope: &mut GroupScope<'_>,
    group: &NativeGroup,
) -> Vec<ColumnPlan> {
    let mut columns = Vec::with_capacity(group.columns.len());
    for column in group.columns.iter() {
        if columns.len() == COLUMNS_MAX {
            let message = format!("more than {COLUMNS_MAX} columns in one group");
            reader.fault(Code::Limit, column.name.place, &column.name.path, message);
            break;
        }
        let when = scope.compile_optional(reader, column.when.as_ref());
        let reads = when.iter().flat_map(|when| when.inputs());
        let is_late = |input: Input| match input {
            Input::Column(at) => {
                let read = group.columns.get(usize::from(at));
                read.is_some_and(|read| read.when.is_some())
            }
            _ => false,
        };
        if reads.into_iter().any(is_late) {
            let message = "`when` may read only columns without a `when` of their own";
            reader.fault(
                Code::UnknownName,
                column.name.place,
                &column.name.path,
                message,
            );
        }
        columns.push(ColumnPlan {
            oid: column.oid.clone(),
            format: column.format,
            when,
        });
    }
    columns
}

pub(super) fn walks(columns: &[ColumnPlan]) -> Vec<TableWalk> {
    let mut tables: BTreeMap<(bool, Oid), Vec<u16>> = BTreeMap::new();
    for (at, column) in columns.iter().enumerate() {
        let arcs = column.oid.arcs();
        let parent = arcs.split_last().map_or(arcs, |(_, parent)| parent);
        // A part of a valid identifier is no longer than it.
        let key = Oid::from_arcs(parent).unwrap_or_default();
        let walk = tables.entry((column.when.is_some(), key)).or_default();
        walk.push(position(at));
    }
    let mut walks = Vec::with_capacity(tables.len());
    for ((is_late, key), mut positions) in tables {
        positions.sort_by_key(|at| &columns[usize::from(*at)].oid);
        // Parts of nearly equal size: 16 columns make twice 8, not 14 and 2.
        let parts = positions.len().div_ceil(WALK_COLUMNS_MAX);
        for part in positions.chunks(positions.len().div_ceil(parts)) {
            walks.push(TableWalk {
                key: key.clone(),
                columns: part.to_vec(),
                is_late,
            });
        }
    }
    walks
}

/// Orders the walks so that a run that is cut short has names for as many rows as can be: a row
/// without its name is worth nothing, a row without its least counters is.
pub(super) fn put_naming_first(plan: &mut GroupPlan) {
    let naming = plan.naming_columns();
    let names = |walk: &TableWalk| walk.columns.iter().any(|at| naming.contains(at));
    plan.walks.sort_by_key(|walk| (walk.is_late, !names(walk)));
}
