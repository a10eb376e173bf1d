//! What `ocelli poll` answers: one object, the same from a node and from the command itself.
//!
//! Does: render a [`ProbeReport`]. Does not: run anything. In: a report and whose it is. Out: JSON.
//! Field names are stable: additions only. Names of credentials are shown, secrets never are.

use std::time::Duration;

use ocelli_actors::{ProbeReport, ProbeStep};
use ocelli_model::gap::GapCause;
use ocelli_model::resource::Resource;
use serde_json::{Value, json};

use crate::http::sample_view::{Source, Wanted, for_each_sample};

/// The report as an object: `resource plugin outcome cause began_ms took_ms credential tables items
/// ambiguous steps steps_dropped`.
#[must_use]
pub fn report_json(resource: &Resource, plugin: &str, report: &ProbeReport) -> Value {
    let batch = report.outcome.as_ref().ok();
    let partial = batch.and_then(|batch| batch.partial.as_ref());
    let outcome = match (&report.outcome, partial) {
        (Err(_), _) => "gap",
        (Ok(_), Some(_)) => "partial",
        (Ok(_), None) => "complete",
    };
    let cause = report.outcome.as_ref().err();
    let cause = cause.or(partial.map(|partial| &partial.cause));
    let source = Source {
        resource: Some(resource.id().as_str()),
        plugin: Some(plugin),
        slot: batch.map(|batch| batch.slot).unwrap_or_default(),
        batch,
    };
    let mut items = Vec::new();
    for_each_sample(&source, &Wanted::default(), &mut |sample| {
        let mut item = sample.to_json(None);
        // A run beside the slots has no slot.
        item.as_object_mut().map(|fields| fields.remove("slot_ms"));
        items.push(item);
    });
    let groups = batch.into_iter().flat_map(|batch| {
        let schemas = batch.schema.groups.iter().zip(&batch.groups);
        schemas.map(|(schema, values)| json!({"group": schema.name, "rows": values.len()}))
    });
    let ambiguous = report.ambiguous.iter();
    let ambiguous = ambiguous.map(|(name, rows)| json!({"name": name, "rows": rows}));
    json!({
        "resource": resource.id().as_str(),
        "endpoint": resource.endpoint(),
        "plugin": plugin,
        "outcome": outcome,
        "cause": cause.map(GapCause::to_string),
        "reached": partial.map(|partial| partial.reached.as_str()),
        "began_ms": report.began.0,
        "took_ms": millis(report.took),
        "credential": report.credential.as_deref(),
        "tables": groups.collect::<Vec<_>>(),
        "items": items,
        "ambiguous": ambiguous.collect::<Vec<_>>(),
        "steps": report.steps.iter().map(step_json).collect::<Vec<_>>(),
        "steps_dropped": report.steps_dropped,
    })
}

fn step_json(step: &ProbeStep) -> Value {
    json!({"after_ms": millis(step.after), "kind": step.kind, "text": step.text})
}

/// With three decimals: loopback answers in less than one.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
