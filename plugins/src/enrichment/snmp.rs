//! Enrichment over SNMP: the device and its interfaces, in one run.
//!
//! Does: ask the system scalars and walk the interface columns, make the groups `device` and
//! `interface`. Does not: keep what was known (the store does).
//! In: a session. Out: both groups, or the one that the device has; an error if either was cut.

use std::collections::BTreeMap;

use ocelli_model::enrichment::{DEVICE_NAMESPACE, EnrichmentGroup, Freshness, LabelFacts};
use ocelli_model::profile::ValueMap;
use ocelli_model::unix_seconds::UnixSeconds;

use super::variant::Variant;
use super::{EnrichError, EnrichRun, Enrichment, device, interfaces};
use crate::polling::Scratch;
use crate::profiles::if_types;
use crate::run::PluginFuture;
use crate::snmp_access::{Request, SnmpAccess};
use crate::table_sink::TableSink;

/// Facts live for this many runs without being found again, as with Panoptes' 300 s and 900 s.
const RUNS_TO_LIVE: u64 = 3;

/// `kind = "snmp"`.
#[derive(Debug, Clone)]
pub struct SnmpEnrichment {
    every_seconds: u64,
    types: ValueMap,
}

impl SnmpEnrichment {
    /// A plugin that runs every so many seconds (at least one).
    #[must_use]
    pub fn new(every_seconds: u64) -> Self {
        Self {
            every_seconds: every_seconds.max(1),
            types: if_types(),
        }
    }

    async fn run(&self, run: EnrichRun<'_>) -> Result<Vec<EnrichmentGroup>, EnrichError> {
        let snmp = run.snmp.ok_or(EnrichError::NoSession)?;
        let mut system = TableSink::default();
        let instances = device::instances();
        system.table.reset(instances.len());
        let system = ask(snmp, &run, &Request::get(instances)?, system).await?;
        let mut ports = TableSink::default();
        ports.table.reset(interfaces::COLUMNS);
        for (oids, columns) in interfaces::walks() {
            ports.columns = columns;
            ports = ask(snmp, &run, &Request::walk(oids)?, ports).await?;
        }
        let object_id = device::sys_object_id(&system.table);
        let variant = Variant::of(object_id.as_deref(), run.resource.id().resource_type());
        let model = run.resource.metadata_value("model").unwrap_or("");
        let found = [
            (DEVICE_NAMESPACE, device::labels(&system.table)),
            (
                interfaces::NAMESPACE,
                interfaces::labels(&ports.table, (variant, model), &self.types),
            ),
        ];
        self.groups(found, UnixSeconds::from(run.run.clock.wall()))
    }

    fn groups(
        &self,
        found: [(&str, BTreeMap<String, LabelFacts>); 2],
        created: UnixSeconds,
    ) -> Result<Vec<EnrichmentGroup>, EnrichError> {
        let freshness = Freshness {
            created,
            ttl_seconds: self.every_seconds.saturating_mul(RUNS_TO_LIVE),
            every_seconds: self.every_seconds,
        };
        let mut groups = Vec::with_capacity(found.len());
        for (namespace, labels) in found {
            if !labels.is_empty() {
                groups.push(EnrichmentGroup::new(namespace, labels, freshness)?);
            }
        }
        match groups.is_empty() {
            true => Err(EnrichError::NoData { plugin: "snmp" }),
            false => Ok(groups),
        }
    }
}

async fn ask(
    snmp: &dyn SnmpAccess,
    run: &EnrichRun<'_>,
    request: &Request,
    sink: TableSink,
) -> Result<TableSink, EnrichError> {
    let (sink, failure) = snmp.ask(request, run.run.deadline, sink).await;
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(sink),
    }
}

impl Enrichment for SnmpEnrichment {
    fn needs_snmp(&self) -> bool {
        true
    }

    fn enrich<'run>(
        &'run self,
        run: EnrichRun<'run>,
        _: &'run mut Scratch,
    ) -> PluginFuture<'run, Result<Vec<EnrichmentGroup>, EnrichError>> {
        Box::pin(self.run(run))
    }
}

#[cfg(test)]
#[path = "snmp_tests.rs"]
mod tests;
