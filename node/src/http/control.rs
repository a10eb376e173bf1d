//! `POST /v1/poll`, `/v1/reload`, `/v1/discovery/{id}/approve`: commands to the node.
//!
//! Does: read the body, find what it names, hand the command over, answer with what came of it.
//! Does not: decide who may ask (`guard`: the node's socket, or the role `operate`), carry out.
//! In: JSON bodies. Out: JSON. Each command is logged with the asker's user id.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_actors::{ApproveError, ProbeOrder};
use ocelli_model::resource::{NameError, find_by_name};
use serde::Deserialize;
use serde_json::json;
use tracing::info;

use super::access::Caller;
use super::guard::peer_uid;
use super::{ApiError, ApiState};
use crate::assembly::reload::ReloadError;
use crate::control::{ControlError, ControlRequest};
use crate::poll_report::report_json;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/poll", web::post().to(poll))
        .route("/v1/reload", web::post().to(reload))
        .route("/v1/discovery/{id}/approve", web::post().to(approve));
}

/// Body of `/v1/poll`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PollBody {
    resource: String,
    plugin: String,
    #[serde(default)]
    trace: bool,
}

async fn poll(
    state: web::Data<ApiState>,
    request: HttpRequest,
    body: web::Json<PollBody>,
) -> Result<HttpResponse, ApiError> {
    let views = state.view.resources();
    let resource = Arc::clone(&find_by_name(&views, &body.resource)?.resource);
    state
        .view
        .pairing(&resource, &body.plugin)
        .map_err(|refused| refused.into_api())?;
    log(&request, "poll", resource.id().as_str());
    let order = ProbeOrder::new(&body.plugin, body.trace);
    let asked = state.control.ask(|answer| ControlRequest::Poll {
        resource: resource.id().clone(),
        order,
        answer,
    });
    let probed = asked.await.map_err(control_error)?;
    let report = probed.map_err(|error| conflict("not_run", &error.to_string(), "try again"))?;
    Ok(HttpResponse::Ok().json(report_json(&resource, &body.plugin, &report)))
}

/// Body of `/v1/reload`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReloadBody {
    #[serde(default)]
    dry_run: bool,
}

async fn reload(
    state: web::Data<ApiState>,
    request: HttpRequest,
    body: web::Json<ReloadBody>,
) -> Result<HttpResponse, ApiError> {
    log(
        &request,
        "reload",
        if body.dry_run { "dry run" } else { "" },
    );
    let is_dry_run = body.dry_run;
    let asked = state
        .control
        .ask(|answer| ControlRequest::Reload { is_dry_run, answer });
    match asked.await.map_err(control_error)? {
        Ok(report) => Ok(HttpResponse::Ok().json(report.to_json())),
        Err(error) => {
            let status = match error {
                ReloadError::Configuration { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                ReloadError::Node(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            let hint = "the configuration in force stays; mend the file and reload again";
            Err(ApiError::new(
                status,
                "configuration",
                (&error.to_string(), hint),
            ))
        }
    }
}

/// Body of `/v1/discovery/{id}/approve`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproveBody {
    hash: String,
}

async fn approve(
    state: web::Data<ApiState>,
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Json<ApproveBody>,
) -> Result<HttpResponse, ApiError> {
    let hash = u128::from_str_radix(&body.hash, 16).map_err(|_| {
        let message = format!("hash {:?} is no hexadecimal number", body.hash);
        ApiError::bad_request(&message, "take it from /v1/discovery/{id}")
    })?;
    log(&request, "approve", &name);
    let asked = state.control.ask(|answer| ControlRequest::Approve {
        discovery: name.to_string(),
        hash,
        answer,
    });
    match asked.await.map_err(control_error)? {
        Ok(()) => Ok(HttpResponse::Ok().json(json!({"approved": body.hash}))),
        Err(error @ ApproveError::Refused(_)) => {
            let hint = "look at `ocelli discovery diff` again";
            Err(conflict("not_held", &error.to_string(), hint))
        }
        Err(error) => Err(ApiError::unavailable(&error.to_string(), "try again")),
    }
}

// === Errors ===

/// 409: the node is not in the state that the command needs.
pub(super) fn conflict(code: &'static str, message: &str, hint: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, code, (message, hint))
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        let (message, hint) = (error.to_string(), error.hint());
        match error {
            NameError::Unknown { .. } => Self::not_found(&message, &hint),
            NameError::Ambiguous { .. } => Self::bad_request(&message, &hint),
        }
    }
}

pub(super) fn control_error(error: ControlError) -> ApiError {
    ApiError::unavailable(&error.to_string(), "ask a node started by `ocelli run`")
}

pub(super) fn log(request: &HttpRequest, command: &str, what: &str) {
    let (uid, caller) = (peer_uid(request), Caller::of(request));
    let caller = caller.map(|caller| caller.name.to_string());
    info!(?uid, ?caller, command, what, "command taken");
}
