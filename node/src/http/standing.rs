//! How origins stand, as routes show it: live, silent, stale or ended; what is stale is marked.
//!
//! Does: ask the node once for a request, put state, moment and cause into JSON, turn pairs of
//! stale origins into open ranges. Does not: judge (`assembly::origins`, `federation::links`).
//! In: [`ApiState`]. Out: values to show.

use std::collections::BTreeMap;

use ocelli_bus::record::{OriginId, Seq};
use ocelli_bus::{GapRow, LastEntry, LastKind};
use ocelli_federation::links::OriginState;
use ocelli_model::gap::{Gap, GapCause, GapKind};
use ocelli_model::slot::SlotMs;
use serde_json::{Value, json};

use super::ApiState;
use crate::assembly::origins::OriginStanding;

/// The word for an origin whose node writes another one now.
const ENDED: &str = "ended";

/// Every origin with its state; where nobody looks after it, all are live.
pub(super) fn standings(state: &ApiState) -> Vec<OriginStanding> {
    match state.view.origins() {
        Some(origins) => origins.list(),
        None => {
            let live = |facts| OriginStanding {
                facts,
                state: OriginState::Live,
                replaced_by: None,
            };
            state
                .records
                .bus()
                .origins()
                .into_iter()
                .map(live)
                .collect()
        }
    }
}

/// The states of origins that are not live.
pub(super) fn not_live(state: &ApiState) -> BTreeMap<OriginId, OriginState> {
    let origins = state.view.origins();
    let mut states = origins.map(|all| all.states()).unwrap_or_default();
    states.retain(|_, state| *state != OriginState::Live);
    states
}

/// Its state as a word.
pub(super) fn word_of(one: &OriginStanding) -> &'static str {
    match one.replaced_by {
        Some(_) => ENDED,
        None => one.state.as_str(),
    }
}

/// Since when there is no data, and why.
pub(super) fn since_and_cause(state: &OriginState) -> (Option<i64>, Option<&str>) {
    match state {
        OriginState::Live => (None, None),
        OriginState::Silent { since } => (Some(since.0), None),
        OriginState::Stale { since, cause } => (Some(since.0), Some(cause)),
    }
}

/// What is added to a value of an origin that is not live.
pub(super) fn mark(states: &BTreeMap<OriginId, OriginState>, origin: OriginId) -> Option<Value> {
    let state = states.get(&origin)?;
    let (since, cause) = since_and_cause(state);
    Some(json!({"state": state.as_str(), "since_ms": since, "cause": cause}))
}

/// The slots that pairs of stale origins have not shown yet, as ranges that wait: they come late,
/// or the node below is lost.
pub(super) fn open_ranges(state: &ApiState) -> Vec<GapRow> {
    let states = not_live(state);
    let now = SlotMs(state.clock.wall().0);
    let entries = match states.is_empty() {
        true => Vec::new(),
        false => state.records.bus().last_values().list(LastKind::Batch),
    };
    let range = |entry: &LastEntry| match states.get(&entry.origin)? {
        OriginState::Stale { cause, .. } => open_range(entry, cause, now),
        _ => None,
    };
    entries.iter().filter_map(range).collect()
}

fn open_range(entry: &LastEntry, cause: &str, now: SlotMs) -> Option<GapRow> {
    let interval_ms = entry.head.interval_ms;
    let interval = i64::from(interval_ms);
    if interval == 0 || now.0 < entry.head.slot.0 + interval {
        return None;
    }
    let slots = (now.0 - entry.head.slot.0) / interval;
    Some(GapRow {
        resource: Some(entry.key.resource.clone()),
        plugin: Some(entry.key.plugin.clone()),
        gap: Gap {
            first: SlotMs(entry.head.slot.0 + interval),
            last: SlotMs(entry.head.slot.0 + slots * interval),
            interval_ms,
            cause: GapCause::because(GapKind::LostNode, cause),
            epoch: entry.head.epoch,
        },
        is_pending: true,
        origin: entry.origin,
        seq: Seq(0),
    })
}
