//! `/v1/nodes` and `/v1/capacity`: whose data is held here, how old it is, for how long it fits.
//!
//! Does: list the origins that the bus holds, by who writes them; tell what the disk bridges.
//! Does not: dial nodes or know links. In: a query. Out: a list; one object.
//! A node with a new data directory is a new origin: its former one stays until retention ends it.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use ocelli_bus::OriginFacts;
use serde_json::{Value, json};

use super::{ApiError, ApiState, ListQuery, page};
use crate::capacity::{Held, Limits, node_outlook, origin_outlook};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/nodes", web::get().to(nodes))
        .route("/v1/nodes/{id}", web::get().to(node))
        .route("/v1/capacity", web::get().to(capacity));
}

async fn nodes(
    state: web::Data<ApiState>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let facts = state.records.bus().origins();
    let roster = state.view.roster();
    let is_expected = |facts: &&OriginFacts| {
        let last = facts.last_received;
        !roster
            .as_ref()
            .is_some_and(|roster| roster.is_forgotten(facts.origin, last))
    };
    let mut items: Vec<(String, Value)> = facts
        .iter()
        .filter(is_expected)
        .map(|facts| (facts.origin.to_string(), json_of(facts, &state)))
        .collect();
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    page(&query, items.into_iter())
}

/// By origin, else by the node's name if only one origin has it.
async fn node(state: web::Data<ApiState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let facts = state.records.bus().origins();
    let is_named = |facts: &&OriginFacts| {
        let description = facts.description.as_deref();
        description.is_some_and(|description| description.node == *id)
    };
    let found: Vec<&OriginFacts> = match facts.iter().find(|one| one.origin.to_string() == *id) {
        Some(one) => vec![one],
        None => facts.iter().filter(is_named).collect(),
    };
    match found.as_slice() {
        [one] => Ok(HttpResponse::Ok().json(json_of(one, &state))),
        [] => Err(ApiError::not_found(
            &format!("no node {:?}", id.as_str()),
            "list them with /v1/nodes",
        )),
        several => {
            let origins: Vec<String> = several.iter().map(|one| one.origin.to_string()).collect();
            let message = format!("{:?} is the name of {} origins", id.as_str(), several.len());
            let hint = format!("name one of them: {}", origins.join(", "));
            Err(ApiError::bad_request(&message, &hint))
        }
    }
}

async fn capacity(state: web::Data<ApiState>) -> HttpResponse {
    let bus = state.records.bus();
    let facts = bus.origins();
    let held: Vec<Held> = facts.iter().map(held_of).collect();
    let limits = Limits {
        free_bytes: bus.status().borrow().free_bytes,
        ..state.view.limits()
    };
    let outlook = node_outlook(&held, state.view.uptime(), limits);
    let used: u64 = held.iter().map(|held| held.bytes).sum();
    let upstreams = bus.cursors().list().into_iter().map(|cursor| {
        let idle_ms = state.clock.wall().0.saturating_sub(cursor.moved.0).max(0);
        json!({
            "name": cursor.name,
            "kind": cursor.kind,
            "idle_ms": idle_ms,
            "outage_s": outlook.outage_s.map(|whole| {
                whole.saturating_sub(Duration::from_millis(idle_ms.unsigned_abs()).as_secs())
            }),
        })
    });
    let upstreams: Vec<Value> = upstreams.collect();
    let origins: Vec<Value> = facts.iter().map(|facts| json_of(facts, &state)).collect();
    HttpResponse::Ok().json(json!({
        "bytes": used,
        "bytes_max": outlook.bytes_max,
        "free_bytes": limits.free_bytes,
        "bytes_per_day": outlook.bytes_per_day.map(f64::round),
        "full_in_s": outlook.full_in_s,
        "outage_s": outlook.outage_s,
        "retention_s": limits.retention.as_secs(),
        "readers": upstreams,
        "origins": origins,
    }))
}

fn held_of(facts: &OriginFacts) -> Held {
    Held {
        bytes: facts.bytes,
        bytes_taken: facts.bytes_taken,
        first: facts.first_received,
        last: facts.last_received,
    }
}

fn json_of(facts: &OriginFacts, state: &ApiState) -> Value {
    let who = facts.description.as_deref();
    let outlook = origin_outlook(held_of(facts), state.view.uptime());
    let last = facts.last_received;
    let age = |then: i64| state.clock.wall().0.saturating_sub(then).max(0);
    json!({
        "origin": facts.origin.to_string(),
        "mesh": who.map(|who| who.mesh.as_str()),
        "tier": who.map(|who| who.tier.as_str()),
        "site": who.map(|who| who.site.as_str()),
        "node": who.map(|who| who.node.as_str()),
        "is_own": facts.is_own,
        "bytes": facts.bytes,
        "highest_seq": facts.highest.0,
        "missing": facts.missing,
        "first_ms": facts.first_received.map(|time| time.0),
        "last_ms": last.map(|time| time.0),
        "age_ms": last.map(|time| age(time.0)),
        "bytes_per_day": outlook.bytes_per_day.map(f64::round),
        "hours_held": outlook.hours_held,
    })
}
