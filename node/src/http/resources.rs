//! `/v1/resources`, `/v1/plugins`, `/v1/status`.
//!
//! Does: list and get, by the list rules. Does not: hold them (`view`). In: a query. Out: JSON.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::view::{PluginView, ResourceView};
use super::{ApiError, ApiState, ListQuery, page};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/resources", web::get().to(resources))
        .route("/v1/resources/{id:.*}", web::get().to(resource))
        .route("/v1/plugins", web::get().to(plugins))
        .route("/v1/plugins/{name}", web::get().to(plugin))
        .route("/v1/status", web::get().to(status));
}

async fn resources(
    state: web::Data<ApiState>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let filter = query.resource_filter()?;
    let all = state.view.resources();
    let matching = all
        .iter()
        .filter(|view| ListQuery::passes(filter.as_ref(), &view.resource));
    page(
        &query,
        matching.map(|view| (view.id.clone(), to_json(view))),
    )
}

/// By whole id, else `site/id`, else id, else endpoint; several of one name are listed.
async fn resource(
    state: web::Data<ApiState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let all = state.view.resources();
    let mut found: Vec<&ResourceView> = all.iter().filter(|view| view.id == *id).collect();
    if found.is_empty() {
        found = all.iter().filter(|view| answers_to(view, &id)).collect();
    }
    match found.as_slice() {
        [] => {
            let message = format!("no resource {id:?}");
            Err(ApiError::not_found(
                &message,
                "list them with /v1/resources",
            ))
        }
        [view] => Ok(HttpResponse::Ok().json(to_json(view))),
        several => {
            let ids: Vec<&str> = several
                .iter()
                .take(10)
                .map(|view| view.id.as_str())
                .collect();
            let message = format!("{id:?} is the name of {} resources", several.len());
            let hint = format!("name one of them: {}", ids.join(", "));
            Err(ApiError::bad_request(&message, &hint))
        }
    }
}

fn answers_to(view: &ResourceView, name: &str) -> bool {
    let id = view.resource.id();
    let of_site = name.split_once('/');
    of_site == Some((id.site(), id.id())) || id.id() == name || view.resource.endpoint() == name
}

async fn plugins(
    state: web::Data<ApiState>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let all = state.view.plugins();
    page(
        &query,
        all.iter()
            .map(|view: &PluginView| (view.name.clone(), to_json(view))),
    )
}

async fn plugin(
    state: web::Data<ApiState>,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let all = state.view.plugins();
    let found = all.iter().find(|view| view.name == *name);
    let view = found.ok_or_else(|| {
        ApiError::not_found(&format!("no plugin {name:?}"), "list them with /v1/plugins")
    })?;
    Ok(HttpResponse::Ok().json(to_json(view)))
}

async fn status(state: web::Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok().json(state.view.status())
}

fn to_json(view: &impl serde::Serialize) -> Value {
    serde_json::to_value(view).unwrap_or_else(|error| json!({"error": error.to_string()}))
}
