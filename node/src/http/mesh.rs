//! `POST /v1/mesh/adopt`, `/v1/mesh/forget`: orders about the nodes below.
//!
//! Does: read the name, hand the order over, answer with what was done. Does not: decide who may
//! ask (`guard`: the node's socket, or the role `operate`), carry out (`assembly::roster`).
//! In: JSON bodies. Out: JSON. Each order is logged with the asker's user id and told as an event.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::control::{conflict, control_error, log};
use super::{ApiError, ApiState};
use crate::assembly::roster::RosterOrderError;
use crate::control::ControlRequest;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/mesh/adopt", web::post().to(adopt))
        .route("/v1/mesh/forget", web::post().to(forget));
}

/// Body of `/v1/mesh/adopt`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdoptBody {
    name: String,
}

/// Body of `/v1/mesh/forget`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetBody {
    name: String,
    #[serde(default)]
    dry_run: bool,
}

async fn adopt(
    state: web::Data<ApiState>,
    request: HttpRequest,
    body: web::Json<AdoptBody>,
) -> Result<HttpResponse, ApiError> {
    let name = body.into_inner().name;
    log(&request, "adopt", &name);
    let asked = state
        .control
        .ask(|answer| ControlRequest::Adopt { name, answer });
    let adopted = asked.await.map_err(control_error)??;
    let adopted = adopted.iter().map(|one| {
        json!({
            "site": one.site,
            "node": one.node,
            "generation": one.generation,
            "before": one.known,
            "origin": one.origin.to_string(),
        })
    });
    let adopted: Vec<_> = adopted.collect();
    Ok(HttpResponse::Ok().json(json!({ "adopted": adopted })))
}

async fn forget(
    state: web::Data<ApiState>,
    request: HttpRequest,
    body: web::Json<ForgetBody>,
) -> Result<HttpResponse, ApiError> {
    let ForgetBody { name, dry_run } = body.into_inner();
    let command = if dry_run { "forget, dry run" } else { "forget" };
    log(&request, command, &name);
    let asked = state.control.ask(|answer| ControlRequest::Forget {
        name,
        is_dry_run: dry_run,
        answer,
    });
    let found = asked.await.map_err(control_error)??;
    let origins = found.origins.iter().map(|(origin, node, bytes)| {
        json!({ "origin": origin.to_string(), "node": node, "bytes": bytes })
    });
    let origins: Vec<_> = origins.collect();
    Ok(HttpResponse::Ok().json(json!({
        "forgotten": found.is_done,
        "origins": origins,
        "links": found.links,
        "values": found.values,
    })))
}

impl From<RosterOrderError> for ApiError {
    fn from(error: RosterOrderError) -> Self {
        let message = error.to_string();
        match error {
            RosterOrderError::NoLinks
            | RosterOrderError::NothingWaits { .. }
            | RosterOrderError::Unknown { .. } => Self::not_found(&message, ""),
            RosterOrderError::Connected { .. } => conflict("connected", &message, ""),
            RosterOrderError::File(_) => Self::unavailable(&message, "see to the data directory"),
        }
    }
}
