//! A discovery as the API shows it: catalog's word and last run, side by side.
//!
//! Does: render one, with or without the ids of its difference. Does not: decide what is held
//! (`model::catalog`). In: snapshots. Out: JSON; field names are stable: additions only.
//! Limit: `IDS_MAX` ids of each sort.

use std::sync::Arc;

use ocelli_actors::{DiscoveryOutcome, LastRun};
use ocelli_model::catalog::Source;
use ocelli_model::resource::{Resource, ResourceId};
use serde_json::{Map, Value, json};

/// Ids of one sort that are shown; the counts say how many there are.
const IDS_MAX: usize = 5_000;

/// A configured discovery.
#[derive(Debug, Clone)]
pub struct DiscoveryView {
    /// Its name.
    pub name: String,
    /// Kind in the configuration.
    pub kind: &'static str,
    /// Interval, ms; 0: once a revision.
    pub interval_ms: u64,
    /// What the catalog has of it; empty before its first run.
    pub source: Source,
    /// Its last run; `None` before that has ended.
    pub last: Option<Arc<LastRun>>,
    /// Why it does not run at all.
    pub parked: Option<String>,
}

impl DiscoveryView {
    /// `committed`, `held`, `failed`, `parked`, or `running` before the first run has ended.
    #[must_use]
    pub fn state(&self) -> &'static str {
        let outcome = self.last.as_ref().map(|last| &last.outcome);
        match outcome {
            _ if self.parked.is_some() => "parked",
            None => "running",
            Some(DiscoveryOutcome::Committed) => "committed",
            Some(DiscoveryOutcome::Held) => "held",
            Some(DiscoveryOutcome::Failed(_)) => "failed",
        }
    }

    /// One object; with `has_ids` the difference of the last run names its resources.
    #[must_use]
    pub fn to_json(&self, has_ids: bool) -> Value {
        let failure = self.source.failure.as_ref();
        let held = self.source.held.as_ref();
        let mut object = json!({
            "name": self.name,
            "kind": self.kind,
            "interval_ms": self.interval_ms,
            "state": self.state(),
            "resources": self.source.len(),
            "finished_s": self.source.finished.map(|at| at.get()),
            "last_run_s": self.last.as_ref().map(|last| last.at.get()),
            "failure": failure.map(|failure| json!({
                "since_s": failure.since.get(),
                "reason": failure.reason,
            })),
            "held": held.map(|held| json!({
                "since_s": held.at.get(),
                "hash": hash_text(held.hash),
                "reason": held.reason,
                "added": held.counts.added,
                "changed": held.counts.changed,
                "removed": held.counts.removed,
                "current": held.counts.current,
                "is_approved": self.source.approved == Some(held.hash),
            })),
            "refused": self.last.as_ref().map_or(0, |last| last.refused.len()),
        });
        if let (Some(fields), Some(parked)) = (object.as_object_mut(), &self.parked) {
            fields.insert("parked".to_owned(), json!(parked));
        }
        if let (Some(fields), Some(last), true) = (object.as_object_mut(), &self.last, has_ids) {
            fields.insert("difference".to_owned(), difference_json(last));
            fields.insert("refusals".to_owned(), json!(last.refused));
        }
        object
    }
}

/// A hash as approvals name it.
#[must_use]
pub fn hash_text(hash: u128) -> String {
    format!("{hash:032x}")
}

fn difference_json(last: &LastRun) -> Value {
    let difference = &last.difference;
    let of_resources = |resources: &[Arc<Resource>]| {
        let ids = resources.iter().take(IDS_MAX);
        ids.map(|resource| json!(resource.id().as_str())).collect()
    };
    let of_ids = |ids: &[ResourceId]| {
        let ids = ids.iter().take(IDS_MAX);
        ids.map(|id| json!(id.as_str())).collect()
    };
    let sorts: [(&str, usize, Vec<Value>); 4] = [
        (
            "added",
            difference.added.len(),
            of_resources(&difference.added),
        ),
        (
            "changed",
            difference.changed.len(),
            of_resources(&difference.changed),
        ),
        (
            "removed",
            difference.removed.len(),
            of_ids(&difference.removed),
        ),
        ("kept", difference.kept.len(), of_ids(&difference.kept)),
    ];
    let mut object = Map::new();
    object.insert("unchanged".to_owned(), json!(difference.unchanged));
    for (name, count, ids) in sorts {
        object.insert(name.to_owned(), json!({"count": count, "ids": ids}));
    }
    Value::Object(object)
}
