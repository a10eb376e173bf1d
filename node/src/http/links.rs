//! `/v1/links`: links to other nodes, those that stand and those that do not, and since when.
//!
//! Does: list, get, forget; tell how far the other side is behind. Does not: dial.
//! In: a query. Out: a list. Lag counts records that are held here and not acknowledged there.

use actix_web::{HttpResponse, web};
use ocelli_bus::{CursorState, SeqRange, SeqRanges};
use serde_json::{Value, json};

use super::{ApiError, ApiState, ListQuery, page};
use crate::assembly::links::LinkView;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/links", web::get().to(links))
        .route("/v1/links/{id:.*}", web::get().to(link))
        .route("/v1/links/{id:.*}", web::delete().to(forget));
}

async fn links(
    state: web::Data<ApiState>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let all = all(&state);
    page(
        &query,
        all.iter()
            .map(|view| (view.id.clone(), json_of(view, &state))),
    )
}

async fn link(state: web::Data<ApiState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let all = all(&state);
    let found = all.iter().find(|view| view.id == *id);
    let view = found.ok_or_else(|| missing(&id))?;
    Ok(HttpResponse::Ok().json(json_of(view, &state)))
}

async fn forget(
    state: web::Data<ApiState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let links = state.view.links().ok_or_else(|| missing(&id))?;
    match links.forget(&id) {
        Some(true) => Ok(HttpResponse::NoContent().finish()),
        Some(false) => Err(missing(&id)),
        None => Err(ApiError::bad_request(
            &format!("link {:?} stands", id.as_str()),
            "only what has ended is forgotten",
        )),
    }
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(&format!("no link {id:?}"), "list them with /v1/links")
}

fn all(state: &ApiState) -> Vec<LinkView> {
    state
        .view
        .links()
        .map(|links| links.list())
        .unwrap_or_default()
}

/// Records held here that the reader of a cursor has not acknowledged.
pub(super) fn lag_records(cursor: &str, state: &ApiState) -> Option<u64> {
    let bus = state.records.bus();
    let all = bus.cursors().list();
    let cursor: &CursorState = all.iter().find(|known| known.name == cursor)?;
    let behind = |(stream, held): (_, SeqRanges)| {
        let taken = cursor.taken.get(&stream).map_or(0, seqs_of);
        seqs_of(&held).saturating_sub(taken)
    };
    Some(bus.coverage().into_iter().map(behind).sum())
}

fn seqs_of(ranges: &SeqRanges) -> u64 {
    let of_range = |range: SeqRange| (range.last.0 + 1).saturating_sub(range.first.0);
    ranges.iter().map(of_range).sum()
}

fn json_of(view: &LinkView, state: &ApiState) -> Value {
    let since_ms = state.clock.wall().0.saturating_sub(view.since.0).max(0);
    let statistics = view.statistics();
    json!({
        "id": view.id,
        "direction": view.direction.as_str(),
        "name": view.name,
        "neighbour": view.neighbour,
        "build": view.build,
        "is_up": view.is_up,
        "since_ms": view.since.0,
        "for_ms": since_ms,
        "error": view.error,
        "lag_records": lag_records(&view.cursor, state),
        "rtt_ms": statistics.as_ref().map(|of| of.rtt.as_secs_f64() * 1_000.0),
        "bytes_sent": statistics.as_ref().map(|of| of.bytes_sent),
        "bytes_received": statistics.as_ref().map(|of| of.bytes_received),
        "packets_lost": statistics.as_ref().map(|of| of.packets_lost),
        "packets_sent": statistics.as_ref().map(|of| of.packets_sent),
    })
}
