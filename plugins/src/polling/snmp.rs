//! Polling over SNMP: a collect plan run against a device.
//!
//! Does: ask the groups that are due, walk by walk, within the deadline; read conditional columns
//! only where a row wants them, and rows that a filter leaves out not at all where that is cheaper;
//! keep what was read when the device goes silent. Does not: judge counters, know sessions.
//! In: a session, the plan, facts. Out: [`Rows`] with the evidence of reboots, maybe partial.
//! Order: scalars and sysUpTime in one GET, then the walks, conditional ones last.

use std::sync::Arc;

use ocelli_model::filter::Filter;
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::profile::{Evaluator, GroupPlan, Profile, RawTable, Readings};
use ocelli_model::rate::RatePlan;
use ocelli_model::rows::{GroupRows, Partial, Rows};
use ocelli_model::schema::Schema;

use super::reading::GroupReader;
use super::{AMBIGUOUS_NAMES_MAX, PollError, PollNotes, PollRun, Polling, Scratch};
use crate::run::PluginFuture;
use crate::snmp_access::SnmpFailure;

/// A profile polled over SNMP.
#[derive(Debug)]
pub struct SnmpPolling {
    profile: Profile,
    /// By group: rows that are kept; its vocabulary is the group's dimensions.
    keep: Vec<Option<Filter>>,
    namespaces: Vec<String>,
}

impl SnmpPolling {
    /// A plugin for `profile`; `keep` is parallel to its groups, or empty to keep all rows.
    #[must_use]
    pub fn new(profile: Profile, keep: Vec<Option<Filter>>) -> Self {
        let groups = profile.plan.groups.iter();
        let mut namespaces: Vec<String> = groups
            .flat_map(|group| &group.enriched)
            .map(|enriched| enriched.namespace.clone())
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        Self {
            profile,
            keep,
            namespaces,
        }
    }

    async fn run(
        &self,
        run: PollRun<'_>,
        rows: &mut Rows,
        scratch: &mut Scratch,
    ) -> Result<PollNotes, PollError> {
        let plan = &self.profile.plan;
        begin(rows, plan.groups.len());
        let no_session = || PollError {
            cause: GapCause::with(GapKind::Auth, "no_credential"),
        };
        let snmp = run.snmp.ok_or_else(no_session)?;
        let requests = scratch.requests.of(plan).map_err(PollError::from)?;
        let mut notes = PollNotes::default();
        let mut failure = None;
        for (position, group) in plan.groups.iter().enumerate() {
            let is_due = run
                .slot_number
                .is_multiple_of(u64::from(group.every_nth.max(1)));
            let asked = requests
                .groups
                .get(position)
                .zip(rows.groups.get_mut(position));
            let Some((requests, into)) = asked.filter(|_| is_due) else {
                continue;
            };
            let keep = self.keep.get(position).and_then(Option::as_ref);
            let mut reader = GroupReader {
                group,
                requests,
                keep,
                run: &run,
                snmp,
                failure: None,
            };
            reader.read(scratch).await;
            let ends_run = reader.ends_run();
            failure = failure.or(reader.failure);
            let Scratch {
                scalars,
                table,
                evaluator,
                ..
            } = &mut *scratch;
            let ticks = uptime(group, &scalars.table);
            rows.facts.sys_uptime_ticks = rows.facts.sys_uptime_ticks.or(ticks);
            let readings = Readings {
                scalars: &scalars.table,
                table: &table.table,
                facts: run.facts,
            };
            evaluator.evaluate(group, readings, keep, into);
            note_ambiguous(evaluator, &mut notes);
            if ends_run {
                break;
            }
        }
        if let Some((boots, time_s)) = snmp.engine() {
            rows.facts.engine_boots = Some(boots);
            rows.facts.engine_time_s = Some(time_s);
        }
        finish(failure, rows)?;
        Ok(notes)
    }
}

impl Polling for SnmpPolling {
    fn schema(&self) -> &Arc<Schema> {
        &self.profile.schema
    }

    fn rate_plan(&self) -> &Arc<RatePlan> {
        &self.profile.rates
    }

    fn revision(&self) -> u128 {
        self.profile.revision
    }

    fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    fn needs_snmp(&self) -> bool {
        true
    }

    fn poll<'run>(
        &'run self,
        run: PollRun<'run>,
        rows: &'run mut Rows,
        scratch: &'run mut Scratch,
    ) -> PluginFuture<'run, Result<PollNotes, PollError>> {
        Box::pin(self.run(run, rows, scratch))
    }
}

/// Empties `rows`, keeping the memory of its groups.
fn begin(rows: &mut Rows, groups: usize) {
    rows.groups.resize_with(groups, GroupRows::default);
    for group in &mut rows.groups {
        group.time.clear();
        group.dimensions.reset(group.dimensions.columns());
        group.sources.iter_mut().for_each(|source| source.clear());
        group.gauges.iter_mut().for_each(|gauge| gauge.clear());
        group.speed_bps.clear();
        group.discontinuity_ticks.clear();
    }
    rows.facts = Default::default();
    rows.partial = None;
}

/// sysUpTime stands behind the scalars of a group.
fn uptime(group: &GroupPlan, scalars: &RawTable) -> Option<u32> {
    let (ticks, _) = scalars.counter(group.gets.len(), 0)?;
    u32::try_from(ticks).ok()
}

fn note_ambiguous(evaluator: &Evaluator, notes: &mut PollNotes) {
    let room = AMBIGUOUS_NAMES_MAX.saturating_sub(notes.ambiguous_identity.len());
    let names = evaluator.ambiguous_names().iter().take(room);
    notes.ambiguous_identity.extend(names.cloned());
}

/// What a run with rows lacks is a partial batch; without rows it is a gap.
fn finish(failure: Option<SnmpFailure>, rows: &mut Rows) -> Result<(), PollError> {
    let is_empty = rows.row_count() == 0;
    match failure {
        Some(failure) if is_empty => Err(failure.into()),
        None if is_empty => Err(PollError {
            cause: GapKind::NoData.into(),
        }),
        None => Ok(()),
        Some(failure) => {
            rows.partial = Some(Partial {
                cause: failure.cause,
                reached: failure.reached,
            });
            Ok(())
        }
    }
}

impl From<SnmpFailure> for PollError {
    fn from(failure: SnmpFailure) -> Self {
        Self {
            cause: failure.cause,
        }
    }
}

#[cfg(test)]
#[path = "snmp_tests.rs"]
mod tests;
