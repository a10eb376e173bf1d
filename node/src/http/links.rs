//! `/v1/links`: links to other nodes, those that stand and those that do not, and since when.
//!
//! Does: list, get, forget; tell how far the other side is behind, in records, bytes and seconds an
//! origin, what it refuses, and what a peer holds that this node does not yet. Does not: dial.
//! In: a query. Out: a list. Lag counts records that are held here and not acknowledged there.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use ocelli_bus::record::OriginId;
use ocelli_bus::{CursorState, OriginDescription, SeqRange, SeqRanges};
use ocelli_federation::links::Refusal;
use ocelli_federation::uplink::ReplayState;
use ocelli_model::clock::WallMs;
use serde_json::{Value, json};

use super::list::document;
use super::{ApiError, ApiState, ListQuery};
use crate::assembly::lag::{LagSum, OneDisk, OriginLag, lag_of, one_disk, sum_of};
use crate::assembly::links::{Direction, LinkView, ReplayView};

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
    let shown = Shown::of(&state);
    let mut items = Vec::new();
    for view in all(&state) {
        items.push((view.id.clone(), json_of(&view, &state, &shown).await));
    }
    let mut document = document(&query, items.into_iter(), |item| item)?;
    let one_disk = one_disk(state.records.bus()).await;
    document["one_disk"] = json!({
        "records": one_disk.records,
        "bytes": one_disk.bytes,
        "seconds": one_disk.seconds,
    });
    Ok(HttpResponse::Ok().json(document))
}

async fn link(state: web::Data<ApiState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let all = all(&state);
    let found = all.iter().find(|view| view.id == *id);
    let view = found.ok_or_else(|| missing(&id))?;
    let shown = Shown::of(&state);
    Ok(HttpResponse::Ok().json(json_of(view, &state, &shown).await))
}

async fn forget(
    state: web::Data<ApiState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let links = state.view.links().ok_or_else(|| missing(&id))?;
    match links.forget(&id) {
        Some(true) => {
            if let Some(origins) = state.view.origins() {
                origins.forget(&id);
            }
            Ok(HttpResponse::NoContent().finish())
        }
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

/// Lag of links for `/metrics`.
pub(super) struct Lags {
    /// By id of the link.
    pub(super) by_link: BTreeMap<String, LagSum>,
    /// Own data that nobody else has.
    pub(super) one_disk: OneDisk,
}

impl Lags {
    /// Asks the bus.
    pub(super) async fn of(state: &ApiState) -> Self {
        let (bus, now) = (state.records.bus(), state.clock.wall());
        let mut by_link = BTreeMap::new();
        for view in all(state) {
            if let Some(lags) = lag_of(bus, &view.cursor, now).await {
                by_link.insert(view.id, sum_of(&lags));
            }
        }
        let one_disk = one_disk(bus).await;
        Self { by_link, one_disk }
    }
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

/// What all links of one answer share.
struct Shown {
    /// Who writes each origin.
    who: BTreeMap<OriginId, Option<Arc<OriginDescription>>>,
    /// Records that a neighbour that dialled in has and this node has not, by link and origin.
    ahead: Vec<(String, OriginId, u64)>,
}

impl Shown {
    fn of(state: &ApiState) -> Self {
        let facts = state.records.bus().origins().into_iter();
        let who = facts
            .map(|facts| (facts.origin, facts.description))
            .collect();
        let origins = state.view.origins();
        let ahead = origins.map(|origins| origins.held_elsewhere());
        let ahead = ahead.unwrap_or_default().into_iter();
        let ahead = ahead.map(|(link, stream, records)| (link, stream.origin, records));
        Self {
            who,
            ahead: ahead.collect(),
        }
    }

    fn named(&self, origin: OriginId) -> (String, Option<&str>, Option<&str>) {
        let who = self.who.get(&origin).and_then(Option::as_deref);
        let (site, node) = (
            who.map(|who| who.site.as_str()),
            who.map(|who| who.node.as_str()),
        );
        (origin.to_string(), site, node)
    }

    /// What the neighbour of a link has and this node has not, yet.
    fn ahead_of(&self, link: &str) -> Vec<Value> {
        let of_link = self.ahead.iter().filter(|(of, ..)| of == link);
        let item = |(_, origin, records): &(String, OriginId, u64)| {
            let (origin, site, node) = self.named(*origin);
            json!({"origin": origin, "site": site, "node": node, "records": records})
        };
        of_link.map(item).collect()
    }
}

fn refused_of(view: &LinkView, now: WallMs) -> Vec<Value> {
    let item = |refusal: Refusal| {
        json!({
            "reason": refusal.reason.to_string(),
            "since_ms": refusal.since.0,
            "last_ms": refusal.last.0,
            "records": refusal.records,
            "origin": refusal.origin.to_string(),
            "detail": refusal.detail,
            "hint": refusal.hint(),
        })
    };
    view.refused(now).into_iter().map(item).collect()
}

fn replay_of(view: &ReplayView) -> Value {
    let state = view.replay.state();
    let (plan, left) = match &state {
        ReplayState::Running { plan, left } => (Some(plan), Some(*left)),
        ReplayState::Planned(plan) => (Some(plan), Some(plan.records)),
        ReplayState::Done(plan) => (Some(plan), Some(0)),
        _ => (None, None),
    };
    let error = match &state {
        ReplayState::Failed { reason } => Some(reason),
        _ => None,
    };
    json!({
        "member": view.member,
        "state": state.as_str(),
        "since_ms": view.since.0,
        "records": plan.map(|plan| plan.records),
        "gone": plan.map(|plan| plan.gone),
        "left": left,
        "error": error,
    })
}

async fn json_of(view: &LinkView, state: &ApiState, shown: &Shown) -> Value {
    let now = state.clock.wall();
    let statistics = view.statistics();
    let lags = lag_of(state.records.bus(), &view.cursor, now).await;
    let sum = lags.as_deref().map(sum_of);
    let of_origin = |lag: &OriginLag| {
        let (origin, site, node) = shown.named(lag.origin);
        json!({
            "origin": origin,
            "site": site,
            "node": node,
            "records": lag.records,
            "bytes": lag.bytes,
            "seconds": lag.seconds,
        })
    };
    let lags = lags.map(|lags| lags.iter().map(of_origin).collect::<Vec<_>>());
    let ahead = shown.ahead_of(&view.id);
    let (behind, elsewhere) = match view.direction {
        Direction::Peer => (Vec::new(), ahead),
        _ => (ahead, Vec::new()),
    };
    json!({
        "id": view.id,
        "direction": view.direction.as_str(),
        "name": view.name,
        "neighbour": view.neighbour,
        "build": view.build,
        "member": view.member,
        "is_up": view.is_up,
        "since_ms": view.since.0,
        "for_ms": now.0.saturating_sub(view.since.0).max(0),
        "error": view.error,
        "refused": refused_of(view, now),
        "replay": view.replay.as_ref().map(replay_of),
        "lag_records": lag_records(&view.cursor, state),
        "lag_bytes": sum.map(|sum| sum.bytes),
        "lag_seconds": sum.map(|sum| sum.seconds),
        "lag": lags,
        "to_come": behind,
        "held_elsewhere": elsewhere,
        "rtt_ms": statistics.as_ref().map(|of| of.rtt.as_secs_f64() * 1_000.0),
        "bytes_sent": statistics.as_ref().map(|of| of.bytes_sent),
        "bytes_received": statistics.as_ref().map(|of| of.bytes_received),
        "packets_lost": statistics.as_ref().map(|of| of.packets_lost),
        "packets_sent": statistics.as_ref().map(|of| of.packets_sent),
    })
}
