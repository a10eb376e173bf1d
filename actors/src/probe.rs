//! One run beside the slots: what a plugin reads of a resource now, and how it went about it.
//!
//! Does: run a collection once, judge its counters against a copy of the previous values, keep a
//! log of what it did if asked to. Does not: account for slots, write to the bus, keep anything.
//! In: a [`Collection`], previous values. Out: [`ProbeReport`].
//! Limits: a log holds at most [`STEPS_MAX`] steps; those beyond are counted.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::batch::Batch;
use ocelli_model::clock::{Monotonic, WallMs};
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::rate::RateState;
use ocelli_plugins::snmp_access::{Request, SnmpFailure, Watch};
use ocelli_plugins::table_sink::TableSink;
use ocelli_snmp::engine::{TraceEvent, Tracer};

use crate::collection::{Collected, Collection};
use crate::plan::ResourcePlan;
use crate::publish::{Publication, batch_of, row_set_of};

/// Steps of one log: a walk of a large chassis comes in some thousand requests.
const STEPS_MAX: usize = 20_000;
/// A run should end by itself at its deadline; this much later it is cut.
const CUT_AFTER: Duration = Duration::from_secs(1);

/// What is to be run.
#[derive(Clone)]
pub struct ProbeOrder {
    /// Name of the polling plugin.
    pub(crate) plugin: String,
    /// Keep a log of each step.
    pub(crate) is_traced: bool,
    /// The plan to follow in place of the one in force: a trial.
    pub(crate) plan: Option<Arc<ResourcePlan>>,
}

impl ProbeOrder {
    /// A run of `plugin` as it is in force.
    #[must_use]
    pub fn new(plugin: &str, is_traced: bool) -> Self {
        Self {
            plugin: plugin.to_owned(),
            is_traced,
            plan: None,
        }
    }

    /// A run of `plugin` as `plan` has it, before that is in force.
    #[must_use]
    pub fn trial(plugin: &str, plan: Arc<ResourcePlan>) -> Self {
        Self {
            plan: Some(plan),
            ..Self::new(plugin, false)
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct ProbeReport {
    /// When the run began.
    pub began: WallMs,
    /// How long it took.
    pub took: Duration,
    /// Name of the credential that it asked with; `None` where none is needed or fits.
    pub credential: Option<Arc<str>>,
    /// The batch that would have been written, or the cause of the gap.
    pub outcome: Result<Batch, GapCause>,
    /// Names that more than one row answers to, and how many.
    pub ambiguous: Vec<(String, usize)>,
    /// What it did, in order; empty unless traced.
    pub steps: Vec<ProbeStep>,
    /// Steps that found no place.
    pub steps_dropped: u64,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeStep {
    /// Since the run began.
    pub after: Duration,
    /// Its sort: `credential`, `ask`, `sent`, `reply`, `silence`, `table`, …; stable.
    pub kind: &'static str,
    /// In words; holds no secret.
    pub text: String,
}

/// Why nothing was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeRefused {
    /// No such resource here.
    #[error("the resource is not followed here any more; list resources and try again")]
    NoResource,
    /// The resource does not run that plugin.
    #[error("the resource does not run that plugin; its filter or the configuration has changed")]
    NoPlugin,
    /// Another one is under way.
    #[error("the resource is being polled by hand already; wait for that run to end")]
    Busy,
    /// The actor crashed or the node is stopping.
    #[error("the run was dropped: its actor crashed or the node is stopping; see the node's log")]
    Dropped,
}

/// The answer to a [`ProbeOrder`].
pub type Probed = Result<ProbeReport, ProbeRefused>;

/// Collects the steps of one run.
pub(crate) struct ProbeLog {
    began: Monotonic,
    steps: RefCell<Vec<ProbeStep>>,
    dropped: Cell<u64>,
}

impl ProbeLog {
    /// A log that begins now.
    pub(crate) fn begin(now: Monotonic) -> Rc<Self> {
        Rc::new(Self {
            began: now,
            steps: RefCell::default(),
            dropped: Cell::new(0),
        })
    }

    /// Adds a step.
    pub(crate) fn step(&self, at: Monotonic, kind: &'static str, text: String) {
        let mut steps = self.steps.borrow_mut();
        if steps.len() >= STEPS_MAX {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        let after = at.since(self.began);
        steps.push(ProbeStep { after, kind, text });
    }

    /// Takes what was collected, and how many steps found no place.
    pub(crate) fn take(&self) -> (Vec<ProbeStep>, u64) {
        (self.steps.take(), self.dropped.get())
    }
}

impl Tracer for ProbeLog {
    fn traced(&self, at: Monotonic, event: TraceEvent) {
        // Its size and sender stand in the line of the reply or report that it turned out to be.
        if !matches!(event, TraceEvent::Received { .. }) {
            self.step(at, event.kind(), event.to_string());
        }
    }
}

impl Watch for ProbeLog {
    fn asks(&self, at: Monotonic, request: &Request) {
        let sort = if request.is_walk() { "walk" } else { "get" };
        let count = request.oids().len();
        let first = request.oids().first().map(ToString::to_string);
        let first = first.unwrap_or_default();
        self.step(
            at,
            "ask",
            format!("{sort} of {count} names from {first} on"),
        );
    }

    fn answered(&self, at: Monotonic, sink: &TableSink, failure: Option<&SnmpFailure>) {
        let rows = sink.table.rows();
        let text = match failure {
            None => format!("{rows} rows"),
            Some(failure) => format!("{rows} rows; ended early: {failure}"),
        };
        self.step(at, "table", text);
    }
}

/// Runs `collection` to its end or its deadline; `rate` is a copy of the previous values.
pub(crate) async fn run_probe(collection: Collection, rate: RateState) -> (ProbeReport, Collected) {
    let reach = Rc::clone(&collection.asking.reach);
    let log = collection.log.clone();
    let setting = collection.setting.clone();
    let plan = Arc::clone(&collection.asking.plan);
    let slot = collection.slot;
    let credential = collection.credential_name();
    let (began, start) = (reach.clock.wall(), reach.clock.monotonic());
    if let Some(log) = &log {
        let text = credential.as_deref().unwrap_or("none").to_owned();
        log.step(start, "credential", text);
    }
    let cut_at = collection.asking.deadline.after(CUT_AFTER);
    let mut collected = tokio::select! {
        collected = collection.run() => collected,
        () = reach.clock.sleep_until(cut_at) => Collected::failed(GapKind::Overrun.into()),
    };
    let took = reach.clock.monotonic().since(start);
    let publication = Publication {
        resource: &plan.resource,
        instance: &setting.instance,
        slot,
        interval_ms: setting.interval_ms,
        epoch: plan.epoch,
        time: reach.clock.wall(),
    };
    let memory = &mut collected.memory;
    let outcome = match &collected.result {
        Err(cause) => Err(cause.clone()),
        Ok(_) => {
            let row_set = row_set_of(&memory.rows);
            Ok(batch_of(&publication, memory, row_set, &rate))
        }
    };
    let ambiguous = collected.result.as_ref().ok();
    let ambiguous = ambiguous.map(|notes| notes.ambiguous_identity.clone());
    if let Some(log) = &log {
        log.step(reach.clock.monotonic(), "end", end_text(&outcome));
    }
    let (steps, steps_dropped) = log.map(|log| log.take()).unwrap_or_default();
    let report = ProbeReport {
        began,
        took,
        credential,
        outcome,
        ambiguous: ambiguous.unwrap_or_default(),
        steps,
        steps_dropped,
    };
    (report, collected)
}

fn end_text(outcome: &Result<Batch, GapCause>) -> String {
    match outcome {
        Err(cause) => format!("no rows: {cause}"),
        Ok(batch) => {
            let rows: usize = batch.groups.iter().map(|group| group.len()).sum();
            match &batch.partial {
                None => format!("complete: {rows} rows"),
                Some(partial) => format!("partial: {rows} rows; {}", partial.cause),
            }
        }
    }
}
