//! `/v1/cursors`: how far the durable readers of this node have come, and ending or resetting one.
//!
//! Does: list, get, reset, forget, and log who did. Does not: move a cursor forward; only its
//! reader does. In: names. Out: lists; a change, visible at once and on disk within a second.
//! A cursor that is forgotten holds no segment any more; its reader begins anew at its next start.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_bus::CursorState;
use serde_json::{Value, json};
use tracing::info;

use super::access::Caller;
use super::{ApiError, ApiState, ListQuery, page};
use crate::capacity::holds;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/cursors", web::get().to(cursors))
        .route("/v1/cursors/{name:.*}", web::get().to(cursor))
        .route("/v1/cursors/{name:.*}", web::post().to(reset))
        .route("/v1/cursors/{name:.*}", web::delete().to(forget));
}

async fn cursors(
    state: web::Data<ApiState>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let all = state.records.bus().cursors().list();
    let items = all
        .iter()
        .map(|cursor| (cursor.name.clone(), json_of(cursor, &state)));
    page(&query, items)
}

async fn cursor(
    state: web::Data<ApiState>,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let found = find(&state, &name)?;
    Ok(HttpResponse::Ok().json(json_of(&found, &state)))
}

/// The cursor stands at the beginning afterwards: its reader reads all that is held once more.
async fn reset(
    state: web::Data<ApiState>,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let found = find(&state, &name)?;
    let store = state.records.bus().cursors();
    store.forget(&name);
    let opened = store.open(&name, &found.kind, state.clock.wall());
    opened.map_err(|error| ApiError::unavailable(&error.to_string(), "try again"))?;
    info!(cursor = %name, caller = %caller_name(&request), "cursor reset");
    let found = find(&state, &name)?;
    Ok(HttpResponse::Ok().json(json_of(&found, &state)))
}

async fn forget(
    state: web::Data<ApiState>,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    find(&state, &name)?;
    state.records.bus().cursors().forget(&name);
    info!(cursor = %name, caller = %caller_name(&request), "cursor forgotten");
    Ok(HttpResponse::NoContent().finish())
}

fn find(state: &ApiState, name: &str) -> Result<CursorState, ApiError> {
    let all = state.records.bus().cursors().list();
    let found = all.into_iter().find(|cursor| cursor.name == name);
    found.ok_or_else(|| {
        let message = format!("no cursor {name:?}");
        ApiError::not_found(&message, "list them with /v1/cursors")
    })
}

fn caller_name(request: &HttpRequest) -> Arc<str> {
    Caller::of(request).map_or_else(|| Arc::from(""), |caller| Arc::clone(&caller.name))
}

fn json_of(cursor: &CursorState, state: &ApiState) -> Value {
    let streams = cursor.taken.iter().map(|(stream, taken)| {
        json!({
            "stream": stream.to_string(),
            "highest": taken.highest().0,
            "ranges": taken.iter().count(),
        })
    });
    let streams: Vec<Value> = streams.collect();
    let bus = state.records.bus();
    let untaken = bus.untaken(&cursor.taken);
    let untaken_bytes: u64 = untaken.iter().map(|left| left.bytes).sum();
    let idle_ms = state.clock.wall().0.saturating_sub(cursor.moved.0).max(0);
    let idle = Duration::from_millis(idle_ms.unsigned_abs());
    let idle_max = state.view.limits().cursor_idle_max;
    json!({
        "name": cursor.name,
        "kind": cursor.kind,
        "moved_ms": cursor.moved.0,
        "idle_ms": idle_ms,
        "untaken_bytes": untaken_bytes,
        "holds_segments": holds(idle, idle_max),
        "lets_go_in_s": idle_max.saturating_sub(idle).as_secs(),
        "streams": streams,
    })
}
