//! Enrichment: what learns slowly changing facts about a resource.
//!
//! Does: declare [`Enrichment`], what a run is given and how it fails. Does not: schedule, store or
//! record facts (`actors`, `model::enrichment`).
//! In: an [`EnrichRun`]. Out: whole groups of facts, or [`EnrichError`]: then what was known stays.
//! Invariant: a run that could not read everything fails; half a table of interfaces would look
//! like the removal of the other half.

use ocelli_model::enrichment::{EnrichmentError, EnrichmentGroup};
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::resource::Resource;

use crate::polling::Scratch;
use crate::run::{PluginFuture, Run};
use crate::snmp_access::{SnmpAccess, SnmpFailure};

mod device;
mod interfaces;
pub mod snmp;
mod variant;

/// What an enrichment run works on.
#[derive(Clone, Copy)]
pub struct EnrichRun<'run> {
    /// Clock, deadline, blocking pool.
    pub run: Run<'run>,
    /// Whose facts are sought.
    pub resource: &'run Resource,
    /// A session with the device, where [`Enrichment::needs_snmp`].
    pub snmp: Option<&'run dyn SnmpAccess>,
}

/// Why a run found no facts. What was known stays known and ages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrichError {
    /// The device did not answer, or not to the end.
    #[error("the device could not be read: {0}")]
    Snmp(#[from] SnmpFailure),
    /// The device has none of what the plugin reads.
    #[error("the device has none of the objects that {plugin} reads; exclude it by `filter`")]
    NoData {
        /// The kind of enrichment.
        plugin: &'static str,
    },
    /// More facts than a group holds.
    #[error(transparent)]
    Group(#[from] EnrichmentError),
    /// The node gave no session to a plugin that needs one.
    #[error("no SNMP session was given; add a credential that matches the resource")]
    NoSession,
}

impl EnrichError {
    /// The cause, as a gap would have it.
    #[must_use]
    pub fn gap_cause(&self) -> GapCause {
        match self {
            Self::Snmp(failure) => failure.cause.clone(),
            Self::NoData { .. } => GapKind::NoData.into(),
            Self::Group(error) => GapCause::because(GapKind::PluginError, &error.to_string()),
            Self::NoSession => GapCause::with(GapKind::Auth, "no_credential"),
        }
    }
}

/// A configured enrichment plugin.
pub trait Enrichment: Send + Sync {
    /// Whether it needs [`EnrichRun::snmp`].
    fn needs_snmp(&self) -> bool;

    /// Learns what it can about the resource: a group for each namespace that it fills.
    ///
    /// # Errors
    /// [`EnrichError`] if anything could not be read to its end.
    fn enrich<'run>(
        &'run self,
        run: EnrichRun<'run>,
        scratch: &'run mut Scratch,
    ) -> PluginFuture<'run, Result<Vec<EnrichmentGroup>, EnrichError>>;
}
