//! An SNMP session as plugins see it.
//!
//! Does: carry varbinds from the engine's tick to the sink of a run, as they come; turn errors
//! into causes. Does not: ask anything of its own.
//! In: [`Session`] of the engine. Out: [`SnmpAccess`].
//! Why a buffer: the engine's sink must outlive the tick, a run's sink is borrowed. Cells wait in
//! one arena for the time of a poll, so that a run that is cut has all that came.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ocelli_model::clock::{Clock, Monotonic, WallMs};
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::oid::Oid;
use ocelli_plugins::run::PluginFuture;
use ocelli_plugins::snmp_access::{SnmpAccess, SnmpFailure, VarbindSink};
use ocelli_snmp::engine::{
    ColumnError, GetPlan, Received, Session, VarbindSink as EngineSink, WalkEnd, WalkOutcome,
    WalkPlan,
};
use ocelli_snmp::oid::{EncodedOid, Index, OidRef};
use ocelli_snmp::value::Value;

/// A session for plugins.
pub(crate) struct SessionAccess {
    session: Session,
    clock: Arc<dyn Clock>,
}

impl SessionAccess {
    pub(crate) fn new(session: Session, clock: Arc<dyn Clock>) -> Self {
        Self { session, clock }
    }
}

impl SnmpAccess for SessionAccess {
    fn get<'run>(
        &'run self,
        instances: &'run [Oid],
        deadline: Monotonic,
        sink: &'run mut dyn VarbindSink,
    ) -> PluginFuture<'run, Result<(), SnmpFailure>> {
        Box::pin(async move {
            let plan = GetPlan::new(instances).map_err(|error| impossible(&error))?;
            let cells = Cells::new(plan.names());
            let run = self.session.get(&plan, deadline, cells.clone());
            let (result, _) = cells.forward(run, sink).await;
            result.map(|_| ()).map_err(|error| SnmpFailure {
                cause: error.gap_cause(),
                reached: String::new(),
            })
        })
    }

    fn walk<'run>(
        &'run self,
        columns: &'run [Oid],
        deadline: Monotonic,
        sink: &'run mut dyn VarbindSink,
    ) -> PluginFuture<'run, Result<(), SnmpFailure>> {
        Box::pin(async move {
            let plan = WalkPlan::new(columns).map_err(|error| impossible(&error))?;
            let cells = Cells::new(plan.columns());
            let run = self.session.walk(&plan, deadline, cells.clone());
            let (outcome, _) = cells.forward(run, sink).await;
            walk_failure(outcome).map_or(Ok(()), Err)
        })
    }

    fn engine(&self) -> Option<(u32, u32)> {
        self.session.engine_time(self.clock.monotonic())
    }
}

fn impossible(error: &dyn std::fmt::Display) -> SnmpFailure {
    let cause = GapCause::because(GapKind::PluginError, &error.to_string());
    SnmpFailure {
        cause,
        reached: String::new(),
    }
}

fn walk_failure(outcome: WalkOutcome) -> Option<SnmpFailure> {
    if outcome.is_complete() {
        return None;
    }
    let failed = outcome.failed_columns.first();
    let cause = match (&outcome.end, failed) {
        (WalkEnd::Failed(error), _) => error.gap_cause(),
        (WalkEnd::Complete, Some(failure)) => column_cause(&failure.error),
        _ => GapCause::because(
            GapKind::BadReply,
            &outcome
                .partial_reason()
                .unwrap_or_else(|| "the walk was cut short".to_owned()),
        ),
    };
    let column = failed.map(|failure| failure.last_oid.to_string());
    let last = outcome.last_oid.map(|oid| oid.to_string());
    let reached = match outcome.end {
        WalkEnd::Complete => column,
        _ => last,
    };
    Some(SnmpFailure {
        cause,
        reached: reached.unwrap_or_default(),
    })
}

fn column_cause(error: &ColumnError) -> GapCause {
    GapCause::because(GapKind::BadReply, &error.to_string())
}

// === Cells on their way ===

/// Cells that the engine delivered and the run has not taken yet.
#[derive(Clone)]
struct Cells {
    arena: Rc<RefCell<Arena>>,
    /// What was asked for: the columns that indexes follow.
    names: Rc<[EncodedOid]>,
}

#[derive(Default)]
struct Arena {
    bytes: Vec<u8>,
    cells: Vec<Cell>,
}

struct Cell {
    column: usize,
    name: Range<usize>,
    value: Kept,
    time: WallMs,
}

/// A value whose bytes, if it has any, lie in the arena.
enum Kept {
    Plain(Value<'static>),
    Octets(Range<usize>),
    Opaque(Range<usize>),
    ObjectId(Range<usize>),
}

impl EngineSink for Cells {
    fn varbind(&mut self, column: usize, index: Index<'_>, value: Value<'_>, received: Received) {
        let name = self
            .names
            .get(column)
            .map(|name| name.as_oid_ref().as_ber());
        let mut arena = self.arena.borrow_mut();
        let start = arena.bytes.len();
        arena.bytes.extend_from_slice(name.unwrap_or(&[]));
        arena.bytes.extend_from_slice(index.as_ber());
        let name = start..arena.bytes.len();
        arena.push(column, name, value, received.wall);
    }
}

impl Cells {
    fn new(names: &[EncodedOid]) -> Self {
        Self {
            arena: Rc::default(),
            names: names.into(),
        }
    }

    /// Polls `run` and after each poll hands what came to `sink`, before anything else happens.
    async fn forward<T>(&self, run: impl Future<Output = T>, sink: &mut dyn VarbindSink) -> T {
        let names = Rc::clone(&self.names);
        let mut run = pin!(run);
        poll_fn(move |context| {
            let polled = run.as_mut().poll(context);
            let mut arena = self.arena.borrow_mut();
            for cell in &arena.cells {
                arena.hand_over(cell, &names, sink);
            }
            arena.clear();
            match polled {
                Poll::Ready(output) => Poll::Ready(output),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

impl Arena {
    fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn push(&mut self, column: usize, name: Range<usize>, value: Value<'_>, time: WallMs) {
        let value = match value {
            Value::OctetString(octets) => Kept::Octets(self.keep(octets)),
            Value::Opaque(octets) => Kept::Opaque(self.keep(octets)),
            Value::ObjectId(oid) => Kept::ObjectId(self.keep(oid.as_ber())),
            Value::Null => Kept::Plain(Value::Null),
            Value::Integer(value) => Kept::Plain(Value::Integer(value)),
            Value::IpAddress(address) => Kept::Plain(Value::IpAddress(address)),
            Value::Counter32(value) => Kept::Plain(Value::Counter32(value)),
            Value::Gauge32(value) => Kept::Plain(Value::Gauge32(value)),
            Value::TimeTicks(value) => Kept::Plain(Value::TimeTicks(value)),
            Value::OpaqueFloat(value) => Kept::Plain(Value::OpaqueFloat(value)),
            Value::OpaqueDouble(value) => Kept::Plain(Value::OpaqueDouble(value)),
            Value::Counter64(value) => Kept::Plain(Value::Counter64(value)),
            Value::NoSuchObject => Kept::Plain(Value::NoSuchObject),
            Value::NoSuchInstance => Kept::Plain(Value::NoSuchInstance),
            Value::EndOfMibView => Kept::Plain(Value::EndOfMibView),
        };
        self.cells.push(Cell {
            column,
            name,
            value,
            time,
        });
    }

    fn hand_over(&self, cell: &Cell, names: &[EncodedOid], sink: &mut dyn VarbindSink) {
        let bytes = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or(&[]);
        let column = names.get(cell.column).map(EncodedOid::as_oid_ref);
        // What was kept is column and index joined, as the engine validated them.
        let name = OidRef::from_ber(bytes(&cell.name)).ok();
        let index = column
            .zip(name)
            .and_then(|(column, name)| name.index_under(column));
        let Some(index) = index else {
            return;
        };
        let value = match &cell.value {
            Kept::Plain(value) => *value,
            Kept::Octets(range) => Value::OctetString(bytes(range)),
            Kept::Opaque(range) => Value::Opaque(bytes(range)),
            Kept::ObjectId(range) => match OidRef::from_ber(bytes(range)) {
                Ok(oid) => Value::ObjectId(oid),
                Err(_) => return,
            },
        };
        sink.varbind(cell.column, index, value, cell.time);
    }
}
