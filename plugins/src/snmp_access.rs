//! The little of an SNMP session that plugins need.
//!
//! Does: name get and walk over plans encoded once, fill raw tables straight from the receive
//! buffer, turn errors into causes. Does not: send anything: a session of the engine does, and in
//! tests a table.
//! In: [`Request`]s made of a plan's OIDs. Out: a [`TableSink`] with what came, and why it ended
//! early if it did. The sink is owned by the operation meanwhile: the engine writes to it from its
//! tick, without a copy on the way.

use std::rc::Rc;
use std::sync::Arc;

use ocelli_model::clock::{Clock, Monotonic};
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::oid::Oid;
use ocelli_snmp::engine::{GetPlan, Session, Tracer, WalkEnd, WalkOutcome, WalkPlan};
use ocelli_snmp::v3::EngineEvent;

use crate::run::PluginFuture;
use crate::table_sink::TableSink;

/// Why an operation ended early. What the sink has got by then is good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}{}", behind(reached))]
pub struct SnmpFailure {
    /// The cause, as a gap would have it.
    pub cause: GapCause,
    /// The last thing read, an OID; empty if nothing was.
    pub reached: String,
    /// Whether asking on makes no sense: silence, a deadline passed. Otherwise a single column
    /// failed.
    pub ends_run: bool,
}

/// What came of an operation: the sink, and why it ended early if it did.
pub type Answer = (TableSink, Option<SnmpFailure>);

/// Instances or columns to ask for, encoded once for all devices of an arbiter.
#[derive(Debug, Clone)]
pub struct Request {
    oids: Vec<Oid>,
    encoded: Encoded,
}

#[derive(Debug, Clone)]
enum Encoded {
    Get(GetPlan),
    Walk(WalkPlan),
}

/// A session with one device.
pub trait SnmpAccess {
    /// Asks for the instances of `request`, or walks its columns side by side so that a reply
    /// holds whole rows, until `deadline` at most.
    fn ask<'run>(
        &'run self,
        request: &'run Request,
        deadline: Monotonic,
        sink: TableSink,
    ) -> PluginFuture<'run, Answer>;

    /// snmpEngineBoots and snmpEngineTime of the authoritative engine, where v3 is spoken.
    fn engine(&self) -> Option<(u32, u32)>;
}

impl Request {
    /// A request for these instances.
    ///
    /// # Errors
    /// [`GapKind::PluginError`] if one cannot be encoded, or there are too many.
    pub fn get(instances: Vec<Oid>) -> Result<Self, SnmpFailure> {
        let plan = GetPlan::new(&instances).map_err(|error| impossible(&error))?;
        Ok(Self {
            oids: instances,
            encoded: Encoded::Get(plan),
        })
    }

    /// A request for these columns, of the same table or at least of tables of one index.
    ///
    /// # Errors
    /// [`GapKind::PluginError`] if one cannot be encoded, or there are too many.
    pub fn walk(columns: Vec<Oid>) -> Result<Self, SnmpFailure> {
        let plan = WalkPlan::new(&columns).map_err(|error| impossible(&error))?;
        Ok(Self {
            oids: columns,
            encoded: Encoded::Walk(plan),
        })
    }

    /// What is asked for, in the order in which sinks count.
    #[must_use]
    pub fn oids(&self) -> &[Oid] {
        &self.oids
    }

    /// Whether the OIDs are columns to be walked.
    #[must_use]
    pub fn is_walk(&self) -> bool {
        matches!(self.encoded, Encoded::Walk(_))
    }
}

/// A session of the engine.
#[derive(Clone)]
pub struct SessionAccess {
    session: Session,
    clock: Arc<dyn Clock>,
}

impl SessionAccess {
    /// Gives plugins this session.
    #[must_use]
    pub fn new(session: Session, clock: Arc<dyn Clock>) -> Self {
        Self { session, clock }
    }

    /// Engine boots before and after, if the agent's went backwards since this was asked last.
    #[must_use]
    pub fn take_boots_regression(&self) -> Option<(u32, u32)> {
        match self.session.take_engine_event()? {
            EngineEvent::BootsRegressed { from, to } => Some((from, to)),
            _ => None,
        }
    }

    /// The same session, telling `watch` what it is asked, what it sends and what comes.
    #[must_use]
    pub fn watched(&self, watch: Rc<dyn Watch>) -> WatchedAccess {
        let session = self.session.traced(Rc::clone(&watch) as _);
        let clock = Arc::clone(&self.clock);
        WatchedAccess {
            access: Self { session, clock },
            watch,
        }
    }
}

/// Who wants to know what a run asks, beside the requests on the wire.
pub trait Watch: Tracer {
    /// The run asks for this.
    fn asks(&self, at: Monotonic, request: &Request);

    /// What the sink holds now, and why it ended early if it did.
    fn answered(&self, at: Monotonic, sink: &TableSink, failure: Option<&SnmpFailure>);
}

/// A session under watch.
pub struct WatchedAccess {
    access: SessionAccess,
    watch: Rc<dyn Watch>,
}

impl SnmpAccess for WatchedAccess {
    fn ask<'run>(
        &'run self,
        request: &'run Request,
        deadline: Monotonic,
        sink: TableSink,
    ) -> PluginFuture<'run, Answer> {
        Box::pin(async move {
            let clock = &self.access.clock;
            self.watch.asks(clock.monotonic(), request);
            let (sink, failure) = self.access.ask(request, deadline, sink).await;
            let now = clock.monotonic();
            self.watch.answered(now, &sink, failure.as_ref());
            (sink, failure)
        })
    }

    fn engine(&self) -> Option<(u32, u32)> {
        self.access.engine()
    }
}

impl SnmpAccess for SessionAccess {
    fn ask<'run>(
        &'run self,
        request: &'run Request,
        deadline: Monotonic,
        sink: TableSink,
    ) -> PluginFuture<'run, Answer> {
        Box::pin(async move {
            match &request.encoded {
                Encoded::Get(plan) => {
                    let (result, sink) = self.session.get(plan, deadline, sink).await;
                    let failure = result.err().map(|error| SnmpFailure {
                        cause: error.gap_cause(),
                        reached: String::new(),
                        ends_run: true,
                    });
                    (sink, failure)
                }
                Encoded::Walk(plan) => {
                    let (outcome, sink) = self.session.walk(plan, deadline, sink).await;
                    (sink, walk_failure(&outcome))
                }
            }
        })
    }

    fn engine(&self) -> Option<(u32, u32)> {
        self.session.engine_time(self.clock.monotonic())
    }
}

/// Where an operation ended; nothing if it ended before it got anywhere.
fn behind(reached: &str) -> String {
    match reached {
        "" => String::new(),
        oid => format!(" behind {oid}"),
    }
}

fn impossible(error: &dyn std::fmt::Display) -> SnmpFailure {
    SnmpFailure {
        cause: GapCause::because(GapKind::PluginError, &error.to_string()),
        reached: String::new(),
        ends_run: false,
    }
}

fn walk_failure(outcome: &WalkOutcome) -> Option<SnmpFailure> {
    if outcome.is_complete() {
        return None;
    }
    let failed = outcome.failed_columns.first();
    let reason = || outcome.partial_reason().unwrap_or_default();
    let cause = match &outcome.end {
        WalkEnd::Failed(error) => error.gap_cause(),
        _ => GapCause::because(GapKind::BadReply, &reason()),
    };
    let reached = match (&outcome.end, failed) {
        (WalkEnd::Complete, Some(failure)) => Some(&failure.last_oid),
        _ => outcome.last_oid.as_ref(),
    };
    Some(SnmpFailure {
        cause,
        reached: reached.map(ToString::to_string).unwrap_or_default(),
        ends_run: matches!(outcome.end, WalkEnd::Failed(_)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_place_that_it_got_to_and_no_empty_one() {
        let text = |reached: &str| {
            let failure = SnmpFailure {
                cause: GapKind::Timeout.into(),
                reached: reached.to_owned(),
                ends_run: true,
            };
            failure.to_string()
        };
        assert_eq!(text("1.3.6.1.2.1.2"), "timeout behind 1.3.6.1.2.1.2");
        assert_eq!(text(""), "timeout");
    }
}
