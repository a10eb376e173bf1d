//! The requests of one group, in their order.
//!
//! Does: the GET of scalars, the walks, the choice between walking and asking kept rows one by one,
//! the conditional columns. Does not: evaluate. In: a session and a group's plan. Out: raw cells in
//! the scratch tables, and the first thing that went wrong.
//! A column that fails alone (its agent loops, or refuses it) does not keep the others from being
//! read; a silent device or a passed deadline ends the run.

use std::collections::BTreeSet;

use ocelli_model::filter::Filter;
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::oid::Oid;
use ocelli_model::profile::{GroupPlan, Readings, TableWalk};

use super::requests::GroupRequests;
use super::{PollRun, Scratch};
use crate::snmp_access::{Request, SnmpAccess, SnmpFailure};
use crate::table_sink::TableSink;

/// Instances in one GET of kept rows; the engine cuts them into PDUs.
const GET_INSTANCES_MAX: usize = 1_024;
/// Kept rows are asked by name if they are at most one of this many: a GETBULK reply brings its
/// names from the agent and a GET must send them, but a walk brings what nobody wants.
const KEPT_SHARE: usize = 2;

pub(super) struct GroupReader<'run> {
    pub(super) group: &'run GroupPlan,
    pub(super) requests: &'run GroupRequests,
    pub(super) keep: Option<&'run Filter>,
    pub(super) run: &'run PollRun<'run>,
    pub(super) snmp: &'run dyn SnmpAccess,
    /// The first thing that went wrong.
    pub(super) failure: Option<SnmpFailure>,
}

impl GroupReader<'_> {
    /// Whether asking on makes no sense.
    pub(super) fn ends_run(&self) -> bool {
        self.failure
            .as_ref()
            .is_some_and(|failure| failure.ends_run)
    }

    /// Reads the group into the tables of `scratch`.
    pub(super) async fn read(&mut self, scratch: &mut Scratch) {
        scratch.scalars.table.reset(self.group.gets.len() + 1);
        scratch.table.table.reset(self.group.columns.len());
        self.ask_scalars(scratch).await;
        match self.keep {
            None => {
                for (walk, request) in self.group.walks.iter().zip(&self.requests.walks) {
                    if !walk.is_late {
                        self.ask(request, walk.columns.clone(), scratch).await;
                    }
                }
            }
            Some(keep) => self.read_kept(keep, scratch).await,
        }
        self.read_late(scratch).await;
    }

    async fn ask_scalars(&mut self, scratch: &mut Scratch) {
        let mut sink = std::mem::take(&mut scratch.scalars);
        sink.columns.clear();
        let deadline = self.run.run.deadline;
        let (sink, failure) = self.snmp.ask(&self.requests.get, deadline, sink).await;
        scratch.scalars = sink;
        self.note(failure);
    }

    /// Asks for `columns`, which `request` names in this order.
    async fn ask(&mut self, request: &Request, columns: Vec<u16>, scratch: &mut Scratch) {
        if self.ends_run() {
            return cut(&columns, scratch);
        }
        let mut sink = std::mem::take(&mut scratch.table);
        sink.columns = columns;
        sink.is_full = false;
        let deadline = self.run.run.deadline;
        let (mut sink, failure) = self.snmp.ask(request, deadline, sink).await;
        let is_full = sink.is_full;
        let columns = std::mem::take(&mut sink.columns);
        scratch.table = sink;
        self.note(failure);
        if is_full || self.ends_run() {
            cut(&columns, scratch);
        }
        if is_full {
            self.note(Some(SnmpFailure {
                cause: GapCause::with(GapKind::BadReply, "table_too_large"),
                reached: String::new(),
                ends_run: false,
            }));
        }
    }

    fn note(&mut self, failure: Option<SnmpFailure>) {
        let is_worse = failure.as_ref().is_some_and(|failure| failure.ends_run);
        if self.failure.is_none() || (is_worse && !self.ends_run()) {
            self.failure = failure.or(self.failure.take());
        }
    }

    // === Rows that a filter keeps ===

    /// First what the filter reads, then the rest of the rows that it keeps.
    async fn read_kept(&mut self, keep: &Filter, scratch: &mut Scratch) {
        let naming = self.group.naming_columns();
        for walk in self.group.walks.iter().filter(|walk| !walk.is_late) {
            self.walk_part(walk, |column| naming.contains(&column), scratch)
                .await;
        }
        let readings = Readings {
            scalars: &scratch.scalars.table,
            table: &scratch.table.table,
            facts: self.run.facts,
        };
        scratch
            .evaluator
            .kept_rows(self.group, readings, keep, &mut scratch.kept);
        let rows = scratch.table.table.rows();
        let is_cheaper = scratch.kept.len() * KEPT_SHARE <= rows;
        if is_cheaper {
            return self.get_kept(&naming, scratch).await;
        }
        for walk in self.group.walks.iter().filter(|walk| !walk.is_late) {
            self.walk_part(walk, |column| !naming.contains(&column), scratch)
                .await;
        }
    }

    /// Walks the columns of `walk` that `wants`.
    async fn walk_part(
        &mut self,
        walk: &TableWalk,
        wants: impl Fn(u16) -> bool,
        scratch: &mut Scratch,
    ) {
        let columns: Vec<u16> = walk
            .columns
            .iter()
            .copied()
            .filter(|at| wants(*at))
            .collect();
        let oids = columns
            .iter()
            .filter_map(|at| self.oid_of(*at))
            .collect::<Vec<_>>();
        if oids.is_empty() {
            return;
        }
        match Request::walk(oids) {
            Ok(request) => self.ask(&request, columns, scratch).await,
            Err(failure) => self.note(Some(failure)),
        }
    }

    /// Asks for the cells of kept rows that are not read yet, a row after the other.
    async fn get_kept(&mut self, naming: &BTreeSet<u16>, scratch: &mut Scratch) {
        let walks = self.group.walks.iter().filter(|walk| !walk.is_late);
        let columns: Vec<u16> = walks
            .flat_map(|walk| walk.columns.iter().copied())
            .filter(|column| !naming.contains(column))
            .collect();
        let kept = std::mem::take(&mut scratch.kept);
        let cells = kept
            .iter()
            .flat_map(|row| columns.iter().map(|column| (*column, *row)));
        let cells: Vec<(u16, usize)> = cells.collect();
        for part in cells.chunks(GET_INSTANCES_MAX) {
            self.get_cells(part, scratch).await;
        }
        scratch.kept = kept;
    }

    async fn get_cells(&mut self, cells: &[(u16, usize)], scratch: &mut Scratch) {
        if self.ends_run() {
            return;
        }
        let instance = |(column, row): &(u16, usize)| {
            let index = scratch.table.table.index(*row)?;
            self.oid_of(*column)?.child(index).ok()
        };
        let instances: Option<Vec<Oid>> = cells.iter().map(instance).collect();
        let request = match instances.map(Request::get) {
            Some(Ok(request)) => request,
            Some(Err(failure)) => return self.note(Some(failure)),
            // An index that makes an instance too long: nothing can be asked for.
            None => return,
        };
        // Cells of a get have no index: they come as columns of one row, and are moved.
        let mut sink = TableSink::default();
        sink.table.reset(cells.len());
        let deadline = self.run.run.deadline;
        let (sink, failure) = self.snmp.ask(&request, deadline, sink).await;
        for (position, (column, row)) in cells.iter().enumerate() {
            let to = (usize::from(*column), *row);
            let into = &mut scratch.table;
            into.is_full |= into
                .table
                .copy_cell(to, &sink.table, (position, 0))
                .is_err();
        }
        self.note(failure);
    }

    // === Conditional columns ===

    async fn read_late(&mut self, scratch: &mut Scratch) {
        for (walk, request) in self.group.walks.iter().zip(&self.requests.walks) {
            if !walk.is_late {
                continue;
            }
            if self.ends_run() {
                cut(&walk.columns, scratch);
                continue;
            }
            let table = &scratch.table.table;
            let evaluator = &scratch.evaluator;
            let wanted: BTreeSet<u16> = walk
                .columns
                .iter()
                .copied()
                .filter(|at| evaluator.wants_column(self.group, usize::from(*at), table))
                .collect();
            if wanted.len() == walk.columns.len() {
                self.ask(request, walk.columns.clone(), scratch).await;
            } else {
                self.walk_part(walk, |column| wanted.contains(&column), scratch)
                    .await;
            }
        }
    }

    fn oid_of(&self, column: u16) -> Option<Oid> {
        let column = self.group.columns.get(usize::from(column))?;
        Some(column.oid.clone())
    }
}

/// Notes that the cells of `columns` behind the last one are unread, not absent.
fn cut(columns: &[u16], scratch: &mut Scratch) {
    for column in columns {
        scratch.table.table.cut(usize::from(*column));
    }
}
