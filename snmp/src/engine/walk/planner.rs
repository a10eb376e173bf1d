//! Where a walk stands and what it asks next: pure, one reply at a time.
//!
//! Does: ask several columns in one request so that rows come whole, take each cell once, end
//! columns at their end or at the first name that does not ascend, put lagging columns first, stop
//! at the plan's limits. Does not: send, wait, retry; know versions beyond "bulk or not".
//! In: [`Walk::reply`], [`Walk::status`], [`Walk::silence`]. Out: [`Asked`], cells to a sink.
//! Invariant: each reply delivers a cell, ends a column or halves the request; so a walk ends after
//! at most cells + columns × (1 + log2) replies.

use std::rc::Rc;

use ocelli_model::oid::Oid;

use super::outcome::{ColumnError, ColumnFailure, WalkEnd};
use super::plan::{WalkLimits, WalkPlan};
use crate::engine::repetitions::{Refusal, Repetitions};
use crate::engine::sink::{Received, VarbindSink};
use crate::oid::{EncodedOid, Index, Name, OidRef};
use crate::pdu::{ErrorStatus, PduView};
use crate::value::{Value, Varbind};

/// The shape of one request: the first columns of the walk, and how many rows of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Asked {
    /// Columns asked for.
    pub(crate) columns: u16,
    /// Rows asked for; 1 by GETNEXT.
    pub(crate) rows: u16,
}

/// One column of a walk in progress; as a [`Name`] it is where the next request goes on.
#[derive(Debug)]
pub(crate) struct Column {
    /// Position in the plan.
    position: u16,
    /// Octets of the column's own OID.
    octets: u16,
    /// The last name read, at first the column itself.
    cursor: EncodedOid,
    cells: u32,
    is_ended: bool,
}

/// A walk in progress.
#[derive(Debug)]
pub(crate) struct Walk {
    plan: Rc<[EncodedOid]>,
    limits: WalkLimits,
    /// Those not ended come first, the furthest behind at the front.
    columns: Vec<Column>,
    open: usize,
    /// Columns in one request at most; falls when the agent cannot stand more.
    columns_max: usize,
    /// Rows in one request at most, while a broken name is closed in on.
    rows_max: u16,
    cells: u64,
    bytes: u64,
    end: Option<WalkEnd>,
    failures: Vec<ColumnFailure>,
}

/// What one varbind is to its column.
enum Step<'a> {
    /// A cell with this index.
    Cell(Index<'a>),
    /// A hole that some agents answer with an exception instead of the next instance.
    Hole,
    /// The column has ended.
    End,
    /// The column has more cells than the limit of rows.
    BeyondLimit,
    /// The column ends here in error.
    Failed(ColumnError),
}

impl Name for Column {
    #[inline]
    fn oid(&self) -> OidRef<'_> {
        self.cursor.as_oid_ref()
    }
}

// === Asking ===

impl Walk {
    /// At the start of all columns.
    pub(crate) fn new(plan: &WalkPlan) -> Self {
        let column = |(position, oid): (usize, &EncodedOid)| Column {
            // A plan has at most `WALK_COLUMNS_MAX` columns, an OID 640 octets.
            position: u16::try_from(position).unwrap_or(u16::MAX),
            octets: u16::try_from(oid.as_oid_ref().as_ber().len()).unwrap_or(u16::MAX),
            cursor: oid.clone(),
            cells: 0,
            is_ended: false,
        };
        let columns: Vec<_> = plan.columns().iter().enumerate().map(column).collect();
        Self {
            open: columns.len(),
            columns_max: columns.len(),
            rows_max: u16::MAX,
            plan: plan.shared_columns(),
            limits: plan.limits(),
            columns,
            cells: 0,
            bytes: 0,
            end: None,
            failures: Vec::new(),
        }
    }

    /// What to ask next, by GETBULK or one row by GETNEXT; `None` when the walk has ended.
    pub(crate) fn next(&self, repetitions: &Repetitions, is_bulk: bool) -> Option<Asked> {
        if self.end.is_some() || self.open == 0 {
            return None;
        }
        let fitting = self.columns_max.min(repetitions.varbinds_per_reply());
        let columns = self.open.min(fitting.max(1));
        Some(Asked {
            columns: u16::try_from(columns).unwrap_or(u16::MAX),
            rows: if is_bulk {
                repetitions.rows_for(columns).min(self.rows_max)
            } else {
                1
            },
        })
    }

    /// The names of that request.
    pub(crate) fn names(&self, asked: Asked) -> &[Column] {
        let columns = usize::from(asked.columns).min(self.open);
        self.columns.get(..columns).unwrap_or(&[])
    }

    /// Not more than half of these columns from now on; false if it was only one.
    pub(crate) fn narrow(&mut self, asked: Asked) -> bool {
        self.columns_max = (usize::from(asked.columns) / 2).max(1);
        asked.columns > 1
    }
}

// === What came ===

impl Walk {
    /// A response without error: delivers its cells and moves on. Returns the varbinds read.
    pub(crate) fn reply(
        &mut self,
        asked: Asked,
        reply: &PduView<'_>,
        sink: &mut dyn VarbindSink,
        received: Received,
    ) -> usize {
        let width = usize::from(asked.columns).min(self.open);
        let mut varbinds = reply.varbinds();
        let mut count = 0;
        let (mut has_ended, mut has_advanced, mut is_uneven) = (false, false, false);
        'rows: for _ in 0..asked.rows {
            for column in self.columns.iter_mut().take(width) {
                let Some(varbind) = varbinds.next() else {
                    is_uneven = true;
                    break 'rows;
                };
                count += 1;
                if column.is_ended {
                    continue;
                }
                let varbind = match varbind {
                    Ok(varbind) => varbind,
                    Err(error) => {
                        self.failures.push(column.fail(error.into()));
                        has_ended = true;
                        continue;
                    }
                };
                match column.step(&varbind, &self.plan, self.limits.rows_max) {
                    Step::Cell(index) => {
                        has_advanced = true;
                        self.cells += 1;
                        self.bytes += value_bytes(index.as_ber().len(), &varbind.value);
                        let position = usize::from(column.position);
                        sink.varbind(position, index, varbind.value, received);
                    }
                    Step::Hole => has_advanced = true,
                    Step::BeyondLimit => self.end = Some(WalkEnd::RowLimit),
                    Step::End => {
                        column.is_ended = true;
                        has_ended = true;
                    }
                    Step::Failed(error) => {
                        self.failures.push(column.fail(error));
                        has_ended = true;
                    }
                }
            }
        }
        if self.bytes >= self.limits.bytes_max {
            self.end = Some(WalkEnd::ByteLimit);
        }
        if has_ended || is_uneven {
            self.align();
        }
        if !has_ended && !has_advanced && self.end.is_none() {
            self.shrink_or_fail(asked, ColumnError::Missing);
        }
        count
    }

    /// A response with an error status.
    pub(crate) fn status(
        &mut self,
        asked: Asked,
        reply: &PduView<'_>,
        repetitions: &mut Repetitions,
    ) {
        let status = reply.error_status();
        if status == ErrorStatus::TooBig {
            if asked.rows > 1 {
                repetitions.refused(asked.rows, Refusal::TooBig);
            } else {
                self.shrink_or_fail(asked, ColumnError::TooBig);
            }
            return;
        }
        if asked.rows > 1 {
            // The error may be about a name beyond the end of the column that is told.
            self.rows_max = asked.rows / 2;
            return;
        }
        let named = usize::try_from(reply.error_index()).unwrap_or(0);
        let width = usize::from(asked.columns).min(self.open);
        if named == 0 || named > width {
            self.shrink_or_fail(asked, ColumnError::Status { status });
            return;
        }
        if status == ErrorStatus::NoSuchName {
            // RFC 1157 §4.1.3: v1 says so at the end of the view.
            self.columns[named - 1].is_ended = true;
        } else {
            self.fail(named - 1, ColumnError::Status { status });
        }
        self.align();
    }

    /// No answer to the `silences`-th try in a row: fewer rows, from the second fewer columns.
    pub(crate) fn silence(&mut self, asked: Asked, silences: u8, repetitions: &mut Repetitions) {
        if asked.rows > 1 {
            repetitions.refused(asked.rows, Refusal::Silence);
        } else if silences > 1 {
            self.narrow(asked);
        }
    }

    fn fail(&mut self, column: usize, error: ColumnError) {
        if let Some(column) = self.columns.get_mut(column) {
            self.failures.push(column.fail(error));
        }
    }

    /// Asks for half the columns next time; a single one is at fault itself.
    fn shrink_or_fail(&mut self, asked: Asked, error: ColumnError) {
        if !self.narrow(asked) {
            self.fail(0, error);
            self.align();
        }
    }

    /// Ended columns to the back, the furthest behind to the front.
    fn align(&mut self) {
        self.rows_max = u16::MAX;
        let plan = &self.plan;
        self.columns.sort_by(|left, right| {
            (left.is_ended.cmp(&right.is_ended))
                .then_with(|| left.row(plan).cmp(right.row(plan)))
                .then(left.position.cmp(&right.position))
        });
        self.open = self
            .columns
            .iter()
            .filter(|column| !column.is_ended)
            .count();
    }
}

impl Column {
    /// Moves on by one varbind.
    #[inline]
    fn step<'a>(&mut self, varbind: &Varbind<'a>, plan: &[EncodedOid], rows_max: u32) -> Step<'a> {
        if matches!(varbind.value, Value::EndOfMibView) {
            return Step::End;
        }
        if self.cells >= rows_max {
            return match self.index_of(varbind.name, plan) {
                Some(_) => Step::BeyondLimit,
                None => Step::End,
            };
        }
        // Nearly always the next row. Before the first cell the last octet is the column's own.
        let index = if self.cells > 0 && self.cursor.step_to(varbind.name) {
            varbind.name.index_behind(usize::from(self.octets))
        } else {
            let Some(index) = self.index_of(varbind.name, plan) else {
                return Step::End;
            };
            let cursor = self.cursor.as_oid_ref();
            if varbind.name <= cursor {
                return Step::Failed(ColumnError::NotIncreasing {
                    after: cursor.to_oid(),
                    got: varbind.name.to_oid(),
                });
            }
            self.cursor.set(varbind.name);
            index
        };
        if varbind.value.is_exception() {
            return Step::Hole;
        }
        self.cells += 1;
        Step::Cell(index)
    }

    fn index_of<'a>(&self, name: OidRef<'a>, plan: &[EncodedOid]) -> Option<Index<'a>> {
        name.index_under(plan[usize::from(self.position)].as_oid_ref())
    }

    fn fail(&mut self, error: ColumnError) -> ColumnFailure {
        self.is_ended = true;
        ColumnFailure {
            column: usize::from(self.position),
            last_oid: self.cursor.as_oid_ref().to_oid(),
            error,
        }
    }

    /// The arcs of the row last read; none before the first.
    fn row<'a>(&'a self, plan: &[EncodedOid]) -> impl Iterator<Item = u32> + use<'a> {
        let prefix = plan[usize::from(self.position)].as_oid_ref();
        let index = self.cursor.as_oid_ref().index_under(prefix);
        index.into_iter().flat_map(Index::arcs)
    }
}

// === How it stands ===

impl Walk {
    /// The last name read of the column furthest behind; `None` before the first cell.
    pub(crate) fn last_oid(&self) -> Option<Oid> {
        let open = self.columns.get(..self.open).unwrap_or(&[]);
        let behind = open.first().or(self.columns.first())?;
        (self.cells > 0).then(|| behind.cursor.as_oid_ref().to_oid())
    }

    /// Reads a word of each column.
    pub(crate) fn warm_up(&self) -> u64 {
        self.columns
            .iter()
            .map(|column| u64::from(column.cells))
            .sum()
    }

    /// Cells delivered.
    pub(crate) fn cells(&self) -> u64 {
        self.cells
    }

    /// Cells of the longest column.
    pub(crate) fn rows(&self) -> u32 {
        let cells = self.columns.iter().map(|column| column.cells);
        cells.max().unwrap_or(0)
    }

    /// What ended it, and the columns that failed.
    pub(crate) fn into_end(self) -> (WalkEnd, Vec<ColumnFailure>) {
        (self.end.unwrap_or(WalkEnd::Complete), self.failures)
    }
}

/// What a cell counts towards the limit of bytes.
#[inline]
fn value_bytes(index_bytes: usize, value: &Value<'_>) -> u64 {
    let contents = match value {
        Value::OctetString(octets) | Value::Opaque(octets) => octets.len(),
        Value::ObjectId(oid) => oid.as_ber().len(),
        _ => 8,
    };
    (index_bytes + contents) as u64
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
