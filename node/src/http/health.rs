//! Health: `/livez`, `/readyz?verbose`, `/healthz`.
//!
//! Does: answer probes of service managers and balancers, without detail unless asked.
//! Does not: measure; the node view knows. In: a probe. Out: 200 or 503 with one word.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::ApiState;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::get().to(live))
        .route("/-/healthy", web::get().to(live))
        .route("/readyz", web::get().to(ready))
        .route("/healthz", web::get().to(ready))
        .route("/-/ready", web::get().to(ready));
}

async fn live(state: web::Data<ApiState>) -> HttpResponse {
    answer(state.view.is_alive(), None)
}

async fn ready(state: web::Data<ApiState>, request: HttpRequest) -> HttpResponse {
    let checks = state.view.readiness();
    let is_ready = checks.iter().all(|check| check.is_ok);
    let is_verbose = request
        .query_string()
        .split('&')
        .any(|part| part.starts_with("verbose"));
    let lines = checks.iter().map(|check| {
        let mark = if check.is_ok { "+" } else { "-" };
        format!("[{mark}] {} {}\n", check.name, check.detail)
    });
    answer(is_ready, is_verbose.then(|| lines.collect()))
}

fn answer(is_ok: bool, detail: Option<String>) -> HttpResponse {
    let (status, word) = match is_ok {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    let body = detail.unwrap_or_default() + word;
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(body)
}
