//! `/v1/resources`, `/v1/plugins`, `/v1/status`.
//!
//! Does: list and get, by the list rules. Does not: hold them (`view`). In: a query. Out: JSON.

use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_model::resource::find_by_name;
use serde_json::{Value, json};

use super::access::Caller;
use super::view::{PluginView, ResourceView};
use super::{ApiError, ApiState, ListQuery, page, page_of};

const POLLING: &str = "polling";
/// What `/v1/status` tells a caller with a filter, beside the number of resources it sees.
const STATUS_OF_ALL: [&str; 5] = ["node", "site", "tier", "version", "uptime_s"];

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/resources", web::get().to(resources))
        .route("/v1/resources/{id:.*}", web::get().to(resource))
        .route("/v1/plugins", web::get().to(plugins))
        .route("/v1/plugins/{id:.*}", web::get().to(plugin))
        .route("/v1/status", web::get().to(status));
}

async fn resources(
    state: web::Data<ApiState>,
    query: web::Query<ListQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let filter = query.resource_filter(&request)?;
    let all = state.view.resources();
    let matching = all
        .iter()
        .filter(|view| ListQuery::passes(filter.as_ref(), &view.resource));
    page_of(
        &query,
        matching.map(|view| (view.id.clone(), view)),
        to_json,
    )
}

/// By any name of it; several of one name are listed.
async fn resource(
    state: web::Data<ApiState>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let own = Caller::filter_of(&request);
    let all = state.view.resources();
    let passes = |view: &&ResourceView| ListQuery::passes(own.as_ref(), &view.resource);
    let seen: Vec<&ResourceView> = all.iter().filter(passes).collect();
    let view = find_by_name(&seen, &id)?;
    Ok(HttpResponse::Ok().json(to_json(view)))
}

async fn plugins(
    state: web::Data<ApiState>,
    query: web::Query<ListQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let all = plugins_seen(&state, &request);
    page(
        &query,
        all.iter()
            .map(|view: &PluginView| (view.id.clone(), to_json(view))),
    )
}

/// Of a caller with a filter: the plugins that work on a resource that passes, counting these.
fn plugins_seen(state: &ApiState, request: &HttpRequest) -> Vec<PluginView> {
    let mut plugins = state.view.plugins().to_vec();
    let Some(own) = Caller::filter_of(request) else {
        return plugins;
    };
    let resources = state.view.resources();
    let seen = resources
        .iter()
        .filter(|view| own.matches(view.resource.as_ref()));
    let pairs: Vec<&str> = seen
        .flat_map(|view| view.plugins.iter().map(|pair| pair.plugin.as_str()))
        .collect();
    plugins.retain_mut(|plugin| {
        let working = pairs.iter().filter(|name| **name == plugin.name);
        plugin.resources = working.count();
        // Its filter and its troubles may speak of resources that this caller does not see.
        plugin.filter.clear();
        plugin.parked = None;
        plugin.resources > 0
    });
    plugins
}

/// By `role/name`; a name alone is that of a polling plugin where one has it.
async fn plugin(
    state: web::Data<ApiState>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let all = plugins_seen(&state, &request);
    let id = id.as_str();
    let mut named: Vec<_> = all
        .iter()
        .filter(|view| view.id == id || view.name == id)
        .collect();
    named.sort_by_key(|view| (view.id != id, view.role != POLLING));
    let view = named.first().ok_or_else(|| {
        ApiError::not_found(&format!("no plugin {id:?}"), "list them with /v1/plugins")
    })?;
    Ok(HttpResponse::Ok().json(to_json(*view)))
}

async fn status(state: web::Data<ApiState>, request: HttpRequest) -> HttpResponse {
    let mut status = state.view.status();
    if let Value::Object(status) = &mut status {
        // Above a site most of them are polled elsewhere; the list has them all.
        status.insert("resources".to_owned(), json!(state.view.resources().len()));
    }
    if let (Some(own), Value::Object(status)) = (Caller::filter_of(&request), &mut status) {
        // Counts of the whole node would tell of what lies outside the filter.
        status.retain(|key, _| STATUS_OF_ALL.contains(&key.as_str()));
        let resources = state.view.resources();
        let seen = resources
            .iter()
            .filter(|view| own.matches(view.resource.as_ref()));
        status.insert("resources".to_owned(), json!(seen.count()));
    }
    HttpResponse::Ok().json(status)
}

fn to_json(view: &impl serde::Serialize) -> Value {
    serde_json::to_value(view).unwrap_or_else(|error| json!({"error": error.to_string()}))
}
