//! `/v1/nodes` and `/v1/capacity`: whose data is held here, how old it is, for how long it fits.
//!
//! Does: list the origins that the bus holds, by who writes them; tell what the disk bridges.
//! Does not: dial nodes or know links. In: a query. Out: a list; one object.
//! A node with a new data directory is a new origin: its former one stays until retention ends it.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use ocelli_bus::{Derivation, OriginFacts};
use serde_json::{Value, json};

use super::standing::{since_and_cause, standings, word_of};
use super::{ApiError, ApiState, ListQuery, page};
use crate::assembly::origins::OriginStanding;
use crate::capacity::{
    Backlog, Held, Limits, Room, SECONDS_A_DAY, loss_in, node_outlook, origin_outlook,
};

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
    let all = standings(&state);
    let mut items: Vec<(String, Value)> = all
        .iter()
        .map(|one| (one.facts.origin.to_string(), json_of(one, &state)))
        .collect();
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    page(&query, items.into_iter())
}

/// By origin, else by the node's name if only one origin has it.
async fn node(state: web::Data<ApiState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let all = standings(&state);
    let is_named = |one: &&OriginStanding| {
        let description = one.facts.description.as_deref();
        description.is_some_and(|description| description.node == *id)
    };
    let mut of_origin = all.iter().filter(|one| one.facts.origin.to_string() == *id);
    let found: Vec<&OriginStanding> = match of_origin.next() {
        Some(one) => vec![one],
        None => all.iter().filter(is_named).collect(),
    };
    match found.as_slice() {
        [one] => Ok(HttpResponse::Ok().json(json_of(one, &state))),
        [] => Err(ApiError::not_found(
            &format!("no node {:?}", id.as_str()),
            "list them with /v1/nodes",
        )),
        several => {
            let origins: Vec<String> = several
                .iter()
                .map(|one| one.facts.origin.to_string())
                .collect();
            let message = format!("{:?} is the name of {} origins", id.as_str(), several.len());
            let hint = format!("name one of them: {}", origins.join(", "));
            Err(ApiError::bad_request(&message, &hint))
        }
    }
}

async fn capacity(state: web::Data<ApiState>) -> HttpResponse {
    let bus = state.records.bus();
    let all = standings(&state);
    let held: Vec<Held> = all.iter().map(|one| held_of(&one.facts)).collect();
    let limits = Limits {
        free_bytes: bus.status().borrow().free_bytes,
        ..state.view.limits()
    };
    let outlook = node_outlook(&held, state.view.uptime(), limits);
    let used: u64 = held.iter().map(|held| held.bytes).sum();
    let per_second = outlook.bytes_per_day.map(|bytes| bytes / SECONDS_A_DAY);
    let room = Room {
        bytes_max: outlook.bytes_max,
        idle_max: limits.cursor_idle_max,
    };
    let upstreams = bus.cursors().list().into_iter().map(|cursor| {
        let idle_ms = state.clock.wall().0.saturating_sub(cursor.moved.0).max(0);
        let bytes = bus
            .untaken(&cursor.taken)
            .iter()
            .map(|left| left.bytes)
            .sum();
        let reader = Backlog {
            reader: cursor.name,
            bytes,
            idle: Duration::from_millis(idle_ms.unsigned_abs()),
        };
        // If it takes nothing any more from now on; one that has all begins with nothing.
        let away = Backlog {
            bytes: bytes.max(1),
            ..reader.clone()
        };
        let left = loss_in(&away, per_second, room);
        json!({
            "name": reader.reader,
            "kind": cursor.kind,
            "idle_ms": idle_ms,
            "bytes": bytes,
            "outage_s": left.map(|left| left.as_secs()),
        })
    });
    let upstreams: Vec<Value> = upstreams.collect();
    let origins: Vec<Value> = all.iter().map(|one| json_of(one, &state)).collect();
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

/// How a stream is made of others.
fn derived_json(derivation: &Derivation) -> Value {
    let sources = derivation.sources.iter().map(ToString::to_string);
    json!({
        "by": derivation.by.to_string(),
        "upstream": derivation.upstream,
        "groups": derivation.groups,
        "window_s": f64::from(derivation.window_ms) / 1_000.0,
        "sources": sources.collect::<Vec<_>>(),
    })
}

fn held_of(facts: &OriginFacts) -> Held {
    Held {
        bytes: facts.bytes,
        bytes_taken: facts.bytes_taken,
        first: facts.first_received,
        last: facts.last_received,
    }
}

fn json_of(one: &OriginStanding, state: &ApiState) -> Value {
    let facts = &one.facts;
    let (since, cause) = since_and_cause(&one.state);
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
        "derived": facts.derivation.as_deref().map(derived_json),
        "state": word_of(one),
        "no_data_since_ms": since,
        "cause": cause,
        "replaced_by": one.replaced_by.map(|origin| origin.to_string()),
        "bytes": facts.bytes,
        "highest_seq": facts.highest.0,
        "missing": facts.missing,
        "skipped": facts.skipped,
        "first_ms": facts.first_received.map(|time| time.0),
        "last_ms": last.map(|time| time.0),
        "age_ms": last.map(|time| age(time.0)),
        "bytes_per_day": outlook.bytes_per_day.map(f64::round),
        "hours_held": outlook.hours_held,
    })
}
