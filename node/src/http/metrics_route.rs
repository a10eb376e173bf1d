//! `/v1/metrics` and `/metrics`: what devices said last, and ocelli itself, for scrapers.
//!
//! Does: read the query and `Accept`, collect last values from the bus, answer 413 with a hint.
//! Does not: name device metrics (`device_metrics`) or own ones (`own_metrics`), print them
//! (`exposition`). In: a scrape. Out: text, compressed where the scraper takes it.
//! Work goes to the blocking pool: a large scrape holds up neither probes nor collection.

use std::cmp::Reverse;

use actix_web::http::{StatusCode, header};
use actix_web::middleware::Compress;
use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_bus::payload::Payload;
use ocelli_bus::{LastEntry, LastKind};
use ocelli_model::filter::Filter;
use ocelli_model::resource::Resource;
use serde::Deserialize;

use super::device_metrics::{Naming, Selection, expose, expose_up};
use super::exposition::{Exposition, Format, TooManySeries};
use super::links::Lags;
use super::own_metrics;
use super::{ApiError, ApiState, ListQuery};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let of_devices = web::resource("/v1/metrics").route(web::get().to(devices));
    let of_node = web::resource("/metrics").route(web::get().to(node));
    config
        .service(of_devices.wrap(Compress::default()))
        .service(of_node.wrap(Compress::default()));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceQuery {
    filter: Option<String>,
    group: Option<String>,
    #[serde(default)]
    naming: Naming,
}

async fn devices(
    state: web::Data<ApiState>,
    query: web::Query<DeviceQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let query = query.into_inner();
    let list = ListQuery {
        filter: query.filter.clone(),
        ..ListQuery::default()
    };
    let filter = list.resource_filter(&request)?;
    let format = match query.naming {
        Naming::Panoptes => accepted(&request),
        Naming::SnmpExporter => Format::BareText004,
    };
    answer(format, move || {
        render_devices(&state, &query, (format, filter))
    })
    .await
}

async fn node(state: web::Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let format = accepted(&request);
    let lags = Lags::of(&state).await;
    answer(format, move || own_metrics::render(&state, &lags, format)).await
}

fn accepted(request: &HttpRequest) -> Format {
    let accept = request.headers().get(header::ACCEPT);
    Format::accepted(accept.and_then(|value| value.to_str().ok()))
}

async fn answer(
    format: Format,
    render: impl FnOnce() -> Result<String, TooManySeries> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let rendered = web::block(render).await.map_err(|error| {
        let message = format!("the exposition was not made: {error}");
        ApiError::unavailable(&message, "ask again; the node may be stopping")
    })?;
    let text = rendered.map_err(|error| {
        let hint =
            "scrape in parts, for example filter=resource_site = \"dc1\", or group=interface";
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        ApiError::new(status, "too_many_series", (&error.to_string(), hint))
    })?;
    Ok(HttpResponse::Ok()
        .content_type(format.content_type())
        .body(text))
}

fn render_devices(
    state: &ApiState,
    query: &DeviceQuery,
    (format, filter): (Format, Option<Filter>),
) -> Result<String, TooManySeries> {
    let mut exposition = Exposition::new(format);
    let is_wanted = |resource: &Resource| ListQuery::passes(filter.as_ref(), resource);
    let views = state.view.resources();
    for view in views.iter().filter(|view| is_wanted(&view.resource)) {
        for pair in &view.plugins {
            let of_pair = (pair.plugin.as_str(), pair.gap_cause.as_deref());
            expose_up(&mut exposition, &view.resource, of_pair, query.naming)?;
        }
    }
    let selection = Selection {
        group: query.group.as_deref(),
        naming: query.naming,
        now: state.clock.wall(),
    };
    let mut entries = state.records.bus().last_values().list(LastKind::Batch);
    entries.retain(|entry| is_wanted(&entry.resource));
    // Of two plugins that read the same series, the newest value is shown.
    entries.sort_by_key(|entry| Reverse(entry.head.time));
    for entry in &entries {
        expose_entry(&mut exposition, state, (entry, selection))?;
    }
    Ok(exposition.render())
}

/// One batch at a time is decoded, so that memory is that of the text.
fn expose_entry(
    exposition: &mut Exposition,
    state: &ApiState,
    (entry, selection): (&LastEntry, Selection<'_>),
) -> Result<(), TooManySeries> {
    let (stream, view) = entry.view();
    match state
        .records
        .bus()
        .definitions()
        .decode(stream, &view, &entry.body)
    {
        Ok(record) => match &record.payload {
            Payload::Batch(batch) => expose(exposition, &entry.resource, batch, selection),
            _ => Ok(()),
        },
        Err(error) => {
            tracing::warn!(%stream, seq = %entry.seq, %error, "a last value was left out");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;
    use actix_web::body::to_bytes;

    use super::*;

    #[actix_rt::test]
    async fn too_many_series_are_413_with_the_filter_to_add() {
        let refused = answer(Format::Text004, || Err(TooManySeries)).await;
        let response = refused.unwrap_err().error_response();
        assert_eq!(response.status().as_u16(), 413);
        let body = to_bytes(response.into_body()).await.unwrap();
        let error: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(error["error"]["code"], "too_many_series");
        assert!(
            error["error"]["hint"].as_str().unwrap().contains("filter="),
            "{error}"
        );
    }
}
