//! `/v1/gaps`: slots without a batch, with their causes.
//!
//! Does: list the bus's ledger of gaps by time, plugin, cause, site; count them by one of these.
//! Does not: find gaps (`bus::GapLedger`). In: a query. Out: a list, newest knowledge.
//! An open gap is one that reaches to the pair's newest statement: no batch came after it. A
//! pending range is open until a late batch, a gap or a release closes it. With `open=true` the
//! slots since the last batch of a pair whose origin is stale stand there too, as pending.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_bus::{GapRow, LastKey, LastKind};
use ocelli_model::filter::Filter;
use ocelli_model::gap::GapKind;
use ocelli_model::slot::SlotMs;
use serde_json::{Value, json};

use super::list::{ListQuery, page, page_of};
use super::parameters::Parameters;
use super::standing::open_ranges;
use super::{ApiError, ApiState};

/// Parameters beside the selecting ones.
const KNOWN: [&str; 10] = [
    "from", "to", "plugin", "cause", "site", "open", "group_by", "limit", "after", "fields",
];
/// What stands for the cause of slots that may still come.
const PENDING: &str = "pending";
/// Most ranges that are looked at for one answer.
const RANGES_MAX: usize = 200_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/gaps", web::get().to(gaps))
        .route("/v1/gaps/{id:.*}", web::get().to(gap));
}

async fn gaps(state: web::Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &KNOWN)?;
    let rows = matching(&state, &given)?;
    let query = ListQuery {
        limit: match given.one("limit") {
            Some(_) => Some(given.number("limit", (1, usize::MAX))?),
            None => None,
        },
        after: given.one("after").map(str::to_owned),
        filter: None,
        fields: given.one("fields").map(str::to_owned),
    };
    match given.one("group_by") {
        None => page_of(&query, rows.iter().map(|row| (id_of(row), row)), json_of),
        Some(by) => {
            let mut groups: BTreeMap<String, (u64, u64)> = BTreeMap::new();
            for row in &rows {
                let (ranges, slots) = groups.entry(group_key(row, by)?).or_default();
                *ranges += 1;
                *slots += row.gap.slots();
            }
            let item = |(key, (ranges, slots)): (String, (u64, u64))| {
                let item = json!({by: &key, "gaps": ranges, "slots": slots});
                (key, item)
            };
            page(&query, groups.into_iter().map(item))
        }
    }
}

/// A range by its id; it lasts as long as the range begins where it began.
async fn gap(
    state: web::Data<ApiState>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &[])?;
    let rows = matching(&state, &given)?;
    // The path has lost the percent signs of the resource.
    let is_it = |row: &&GapRow| {
        let own = id_of(row);
        own == *id || decoded(&own) == *id
    };
    let found = rows.iter().find(is_it);
    let row = found.ok_or_else(|| {
        let message = format!("no gap {:?}", id.as_str());
        ApiError::not_found(&message, "list them with /v1/gaps; late data heals gaps")
    })?;
    Ok(HttpResponse::Ok().json(json_of(row)))
}

fn matching(state: &ApiState, given: &Parameters) -> Result<Vec<GapRow>, ApiError> {
    let now = state.clock.wall();
    let (from, to) = given.span(now)?;
    let is_open_only = given.switch("open")?;
    let (plugin, site) = (given.one("plugin"), given.one("site"));
    let cause = known_cause(given)?;
    let filter = given.filter()?;
    let passing = filter
        .as_ref()
        .map(|filter| passing_resources(state, filter));
    let wants = |row: &GapRow| {
        let site_of = row.resource.as_ref().map(|resource| resource.site());
        from.is_none_or(|from| row.gap.last >= SlotMs(from.0))
            && to.is_none_or(|to| row.gap.first <= SlotMs(to.0))
            && plugin.is_none_or(|plugin| row.plugin.as_deref() == Some(plugin))
            && cause.is_none_or(|cause| is_cause(row, cause))
            && site.is_none_or(|site| site_of == Some(site))
            && passing.as_ref().is_none_or(|passing| {
                let id = row.resource.as_ref().map(|resource| resource.as_str());
                id.is_some_and(|id| passing.contains(id))
            })
    };
    let rows = state.records.bus().gaps().list(RANGES_MAX, wants);
    let mut rows: Vec<GapRow> = rows
        .into_iter()
        .filter(|row| !is_open_only || is_open(state, row))
        .collect();
    if is_open_only {
        rows.extend(open_ranges(state).into_iter().filter(wants));
        rows.sort_by_cached_key(id_of);
        rows.dedup_by_key(|row| id_of(row));
    }
    Ok(rows)
}

/// The cause asked for, if its kind is one: a misspelt one would have no gaps, and look well.
fn known_cause(given: &Parameters) -> Result<Option<&str>, ApiError> {
    let Some(cause) = given.one("cause") else {
        return Ok(None);
    };
    let kind = cause.split('/').next().unwrap_or(cause);
    if kind == PENDING || GapKind::from_name(kind).is_some() {
        return Ok(Some(cause));
    }
    let all: Vec<&str> = GapKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let message = format!("cause is {cause:?}, which is none");
    let hint = format!("choose of {PENDING}, {}", all.join(", "));
    Err(ApiError::bad_request(&message, &hint))
}

/// Texts of the resources that pass; gaps know the identity of theirs only.
fn passing_resources(state: &ApiState, filter: &Filter) -> std::collections::BTreeSet<String> {
    let all = state.view.resources();
    let passing = all
        .iter()
        .filter(|view| filter.matches(view.resource.as_ref()));
    passing.map(|view| view.id.clone()).collect()
}

/// `auth` is every refusal, `auth/wrong_digest` one of them.
fn is_cause(row: &GapRow, cause: &str) -> bool {
    cause_of(row) == cause || (!row.is_pending && row.gap.cause.kind.as_str() == cause)
}

/// A pending range has no cause yet.
fn cause_of(row: &GapRow) -> String {
    match row.is_pending {
        true => PENDING.to_owned(),
        false => row.gap.cause.to_string(),
    }
}

fn is_open(state: &ApiState, row: &GapRow) -> bool {
    if row.is_pending {
        return true;
    }
    let (Some(resource), Some(plugin)) = (&row.resource, &row.plugin) else {
        return false;
    };
    let key = LastKey {
        kind: LastKind::Batch,
        resource: resource.clone(),
        plugin: plugin.clone(),
    };
    let last = state.records.bus().last_values().get(&key);
    last.is_none_or(|last| last.head.slot < row.gap.first)
}

fn group_key(row: &GapRow, by: &str) -> Result<String, ApiError> {
    let resource = row.resource.as_ref();
    match by {
        "cause" => Ok(cause_of(row)),
        "plugin" => Ok(row.plugin.as_deref().unwrap_or("").to_owned()),
        "resource" => Ok(resource.map_or(String::new(), |resource| resource.to_string())),
        "site" => Ok(resource.map_or(String::new(), |resource| resource.site().to_owned())),
        other => {
            let message = format!("group_by is {other:?}");
            Err(ApiError::bad_request(
                &message,
                "choose cause, plugin, resource or site",
            ))
        }
    }
}

/// Of one pair, ids ascend with time.
fn id_of(row: &GapRow) -> String {
    let resource = row
        .resource
        .as_ref()
        .map_or("", |resource| resource.as_str());
    let plugin = row.plugin.as_deref().unwrap_or("");
    format!("{resource}|{plugin}|{:020}|{}", row.gap.first.0, row.origin)
}

fn decoded(id: &str) -> String {
    id.replace("%2F", "/").replace("%25", "%")
}

fn json_of(row: &GapRow) -> Value {
    json!({
        "id": id_of(row),
        "resource": row.resource.as_ref().map(|resource| resource.as_str()),
        "plugin": row.plugin.as_deref(),
        "slot_ms": row.gap.first.0,
        "last_slot_ms": row.gap.last.0,
        "slots": row.gap.slots(),
        "interval_ms": row.gap.interval_ms,
        "cause": cause_of(row),
        "reason": row.gap.cause.detail(),
        "pending": row.is_pending,
        "epoch": row.gap.epoch.to_string(),
        "origin": row.origin.to_string(),
        "seq": row.seq.0,
    })
}
