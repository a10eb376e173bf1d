//! Polling: what reads rows of a resource, slot by slot.
//!
//! Does: declare [`Polling`], what a run is given and how it fails. Does not: schedule, compute
//! rates or keep previous values (`actors`, `model::rate`).
//! In: a [`PollRun`] and memory to fill. Out: [`Rows`], maybe partial, or [`PollError`].

use std::sync::Arc;

use ocelli_model::enrichment::EnrichmentGroup;
use ocelli_model::gap::GapCause;
use ocelli_model::profile::Evaluator;
use ocelli_model::rate::RatePlan;
use ocelli_model::resource::Resource;
use ocelli_model::rows::Rows;
use ocelli_model::schema::Schema;

use crate::run::{PluginFuture, Run};
use crate::snmp_access::SnmpAccess;
use crate::table_sink::TableSink;

pub mod host;
mod reading;
mod requests;
pub mod snmp;

pub(crate) use requests::RequestCache;

/// Most ambiguous names that one run reports; beyond them a device has a fault to be seen anyway.
pub const AMBIGUOUS_NAMES_MAX: usize = 16;

/// What a polling run works on.
#[derive(Clone, Copy)]
pub struct PollRun<'run> {
    /// Clock, deadline, blocking pool.
    pub run: Run<'run>,
    /// What is monitored.
    pub resource: &'run Resource,
    /// Number of the slot on its grid (slot time ÷ interval): groups with a longer interval are
    /// read in each n-th slot.
    pub slot_number: u64,
    /// A session with the device, where [`Polling::needs_snmp`].
    pub snmp: Option<&'run dyn SnmpAccess>,
    /// What enrichment knows of the resource in the [`Polling::namespaces`]; none is no fault.
    pub facts: &'run [Arc<EnrichmentGroup>],
}

/// Memory that a run fills and hands back; a run that finds it grown allocates nothing.
/// Belongs to no plugin: any run of an arbiter may use any.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) scalars: TableSink,
    pub(crate) table: TableSink,
    pub(crate) evaluator: Evaluator,
    /// Rows that a filter keeps.
    pub(crate) kept: Vec<usize>,
    pub(crate) requests: RequestCache,
}

/// A run that read no row. Its cause becomes the gap's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("polling failed: {cause}")]
pub struct PollError {
    /// Why there is no row.
    pub cause: GapCause,
}

impl PollError {
    /// The cause of the slot's gap.
    #[must_use]
    pub fn gap_cause(&self) -> GapCause {
        self.cause.clone()
    }
}

/// What a run noticed beside its rows: an event each. Empty nearly always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollNotes {
    /// Two interfaces or more answer to one name and had to be told apart by the next key: the
    /// name and how many; at most [`AMBIGUOUS_NAMES_MAX`] names.
    pub ambiguous_identity: Vec<(String, usize)>,
}

/// A configured polling plugin. Immutable; one instance serves all arbiters and resources.
pub trait Polling: Send + Sync {
    /// What its columns mean; the same for every run.
    fn schema(&self) -> &Arc<Schema>;

    /// How the schema's counters are made of the source columns that it reads.
    fn rate_plan(&self) -> &Arc<RatePlan>;

    /// Stable hash of what it does beyond its section of the configuration: the text of its
    /// profile. Another one at a reload is a change that is tried first.
    fn revision(&self) -> u128 {
        self.schema().content_hash()
    }

    /// Namespaces of enrichment that it reads.
    fn namespaces(&self) -> &[String];

    /// Whether it needs [`PollRun::snmp`].
    fn needs_snmp(&self) -> bool;

    /// Reads one slot into `rows` (cleared first, in the order of the schema). Missing columns,
    /// rows and tables are absent cells; a run cut short leaves what it read with
    /// [`Rows::partial`] set.
    ///
    /// # Errors
    /// [`PollError`] if not a single row was read.
    fn poll<'run>(
        &'run self,
        run: PollRun<'run>,
        rows: &'run mut Rows,
        scratch: &'run mut Scratch,
    ) -> PluginFuture<'run, Result<PollNotes, PollError>>;
}
