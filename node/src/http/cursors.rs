//! `/v1/cursors`: how far the durable readers of this node have come, and ending or resetting one.
//!
//! Does: list, get, reset, forget, and log who did. Does not: move a cursor forward; only its
//! reader does. In: names. Out: lists; a change, visible at once and on disk within a second.
//! A cursor that is forgotten holds no segment any more; its reader begins anew at its next start.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_bus::CursorState;
use serde_json::{Value, json};
use tracing::info;

use super::access::Caller;
use super::{ApiError, ApiState, ListQuery, page};

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
    json!({
        "name": cursor.name,
        "kind": cursor.kind,
        "moved_ms": cursor.moved.0,
        "idle_ms": state.clock.wall().0.saturating_sub(cursor.moved.0).max(0),
        "streams": streams,
    })
}
