//! A native profile lowered to the plan, the schema and the rate plan that it stands for.
//!
//! Does: resolve names, compile programs, split counters into source columns, plan walks.
//! Does not: read text (`native`) or run anything.
//! In: [`NativeProfile`], the plugin's interval, named value maps. Out: [`Profile`], or every
//! [`Diagnostic`] found.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic};
use super::native::{NativeGroup, NativeProfile};
use super::plan::{CollectPlan, GroupPlan, ValueMap};
use super::reader::Reader;
use crate::rate::{GroupRatePlan, RatePlan};
use crate::schema::{GroupSchema, Schema};

mod counters;
mod dimensions;
mod scope;
mod walks;

pub(crate) use scope::ENRICHED_MAX;
use scope::GroupScope;

/// What a profile needs from outside.
pub struct LowerContext<'a> {
    /// Interval of the plugin's slots, ms, above zero.
    pub every_ms: u32,
    /// Value maps by name (`iana_if_type`).
    pub maps: &'a BTreeMap<String, Arc<ValueMap>>,
}

/// A profile ready to run. The three parts are parallel.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What to ask and how to read it.
    pub plan: Arc<CollectPlan>,
    /// What the columns mean.
    pub schema: Arc<Schema>,
    /// How counters are made of source columns.
    pub rates: Arc<RatePlan>,
    /// Stable hash of the text that it was made of.
    pub revision: u128,
}

/// The parts of one group.
struct Lowered {
    plan: GroupPlan,
    schema: GroupSchema,
    rates: GroupRatePlan,
}

impl NativeProfile {
    /// Lowers the profile for slots of `context.every_ms`.
    ///
    /// # Errors
    /// Everything found wrong.
    pub fn lower(&self, context: &LowerContext<'_>) -> Result<Profile, Vec<Diagnostic>> {
        let mut reader = Reader::default();
        let mut groups: Vec<&NativeGroup> = self.groups.iter().collect();
        groups.sort_by_key(|group| (group.interval_ms, &group.name.value));
        let nth_of = |group: &NativeGroup| group.interval_ms.div_ceil(context.every_ms.max(1));
        let nth_least = groups.iter().map(|group| nth_of(group)).min().unwrap_or(1);
        let mut lowered = Vec::with_capacity(groups.len());
        for group in groups {
            // The group that is wanted most often is read in every slot.
            let every_nth = match nth_of(group) {
                nth if nth == nth_least => 1,
                nth => nth,
            };
            let interval_ms = context.every_ms.saturating_mul(every_nth);
            lowered.extend(lower_group(
                &mut reader,
                group,
                context,
                (every_nth, interval_ms),
            ));
        }
        if !reader.findings.is_empty() {
            return Err(reader.into_diagnostics(&self.file));
        }
        let schemas = lowered.iter().map(|group| group.schema.clone()).collect();
        let schema = Schema::new(schemas).map_err(|error| {
            reader.fault(
                Code::Schema,
                Default::default(),
                "groups",
                error.to_string(),
            );
            std::mem::take(&mut reader).into_diagnostics(&self.file)
        })?;
        let rates = RatePlan {
            groups: lowered.iter().map(|group| group.rates.clone()).collect(),
        };
        let plan = CollectPlan {
            profile: self.name.clone(),
            bulk: true,
            groups: lowered.into_iter().map(|group| group.plan).collect(),
        };
        Ok(Profile {
            plan: Arc::new(plan),
            schema: Arc::new(schema),
            rates: Arc::new(rates),
            revision: self.revision,
        })
    }
}

fn lower_group(
    reader: &mut Reader,
    group: &NativeGroup,
    context: &LowerContext<'_>,
    (every_nth, interval_ms): (u32, u32),
) -> Option<Lowered> {
    let mut scope = GroupScope::new(reader, group, interval_ms);
    let columns = walks::columns(reader, &mut scope, group);
    let lets = scope.compile_lets(reader, group);
    let filter = scope.compile_optional(reader, group.rows.as_ref());
    let (dimension_plans, dimension_defs) =
        dimensions::dimensions(reader, &mut scope, group, context.maps);
    let counters = counters::counters(reader, &mut scope, group);
    let gauges = scope.compile_metrics(reader, &group.gauges);
    let speed = scope.compile_optional(reader, group.speed.as_ref());
    let discontinuity = scope.compile_optional(reader, group.discontinuity.as_ref());
    let counters = counters?;
    let mut plan = GroupPlan {
        name: group.name.value.clone(),
        every_nth,
        gets: walks::gets(group),
        walks: walks::walks(&columns),
        columns,
        enriched: scope.enriched,
        lets,
        filter,
        dimensions: dimension_plans,
        sources: counters.sources,
        gauges,
        speed,
        discontinuity,
        missing: group.missing.clone(),
    };
    walks::put_naming_first(&mut plan);
    let schema = GroupSchema {
        name: group.name.value.clone(),
        interval_ms,
        dimensions: dimension_defs,
        counters: scope::metric_defs(&group.counters),
        gauges: scope::metric_defs(&group.gauges),
    };
    let rates = GroupRatePlan {
        every_nth,
        sources: plan.sources.len(),
        key_columns: schema.key_len(),
        choices: counters.choices,
        counters: counters.plans,
    };
    Some(Lowered {
        plan,
        schema,
        rates,
    })
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
