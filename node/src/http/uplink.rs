//! `POST /v1/uplink/replay`: a member of an upstream's group is sent what others acknowledged.
//!
//! Does: read the names, hand the order over, answer with what goes. Does not: decide who may ask
//! (`guard`: the node's socket, or the role `operate`), carry out (`assembly::federation`).
//! In: a JSON body. Out: JSON; how far it is shows in `/v1/links/{id}`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::control::{conflict, control_error, log};
use super::{ApiError, ApiState};
use crate::assembly::replaying::{ReplayError, ReplayOrder};
use crate::control::ControlRequest;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/v1/uplink/replay", web::post().to(replay));
}

/// Body of `/v1/uplink/replay`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody {
    upstream: String,
    member: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

async fn replay(
    state: web::Data<ApiState>,
    request: HttpRequest,
    body: web::Json<ReplayBody>,
) -> Result<HttpResponse, ApiError> {
    let ReplayBody {
        upstream,
        member,
        dry_run,
    } = body.into_inner();
    log(&request, "uplink replay", &upstream);
    let asked = state.control.ask(|answer| {
        ControlRequest::Replay(ReplayOrder {
            upstream,
            member,
            is_dry_run: dry_run,
            answer,
        })
    });
    let started = asked.await.map_err(control_error)??;
    Ok(HttpResponse::Ok().json(json!({
        "link": started.link,
        "member": started.member,
        "records": started.plan.records,
        "gone": started.plan.gone,
        "streams": started.plan.streams,
        "started": !dry_run,
    })))
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        let message = error.to_string();
        match error {
            ReplayError::NoUpstream
            | ReplayError::UnknownUpstream { .. }
            | ReplayError::UnknownMember { .. } => Self::not_found(&message, ""),
            ReplayError::WhichMember { .. } => Self::bad_request(&message, ""),
            ReplayError::UnderWay { .. } => conflict("under_way", &message, ""),
            ReplayError::Down { .. } | ReplayError::Unreached { .. } => {
                Self::unavailable(&message, "")
            }
        }
    }
}
