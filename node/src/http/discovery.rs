//! `/v1/discovery`: what each discovery found last, what it holds back, why it fails.
//!
//! Does: list and get by the list rules; one item carries the difference of its last run, by ids.
//! Does not: run or approve (`control`). In: a query. Out: JSON.

use actix_web::{HttpResponse, web};

use super::{ApiError, ApiState, ListQuery, page};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/discovery", web::get().to(discoveries))
        .route("/v1/discovery/{id}", web::get().to(discovery));
}

async fn discoveries(
    state: web::Data<ApiState>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let all = state.view.discoveries();
    page(
        &query,
        all.into_iter()
            .map(|view| (view.name.clone(), view.to_json(false))),
    )
}

async fn discovery(
    state: web::Data<ApiState>,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let all = state.view.discoveries();
    let names: Vec<&str> = all.iter().map(|view| view.name.as_str()).collect();
    let found = all.iter().find(|view| view.name == *name);
    let view = found.ok_or_else(|| {
        let message = format!("no discovery {:?}", name.as_str());
        ApiError::not_found(&message, &format!("there are: {}", names.join(", ")))
    })?;
    Ok(HttpResponse::Ok().json(view.to_json(true)))
}
