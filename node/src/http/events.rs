//! `/v1/events`: what happened on the nodes whose streams are held, oldest first.
//!
//! Does: list the bus's ledger of events by time, kind, severity, site and resource; show one.
//! Does not: decide what is an event (`model::event`). In: a query. Out: a list, or one event.
//! An event of a node has no resource: it passes only where no resource filter is given, and its
//! site is the one that it names.

use std::str::FromStr;

use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_bus::record::{OriginId, Seq};
use ocelli_bus::{EventKey, EventRow};
use ocelli_model::clock::WallMs;
use ocelli_model::event::Severity;
use serde_json::{Map, Value, json};

use super::access::Caller;
use super::list::{ListQuery, page_of};
use super::parameters::Parameters;
use super::{ApiError, ApiState};

/// Parameters beside the selecting ones.
const KNOWN: [&str; 8] = [
    "from", "to", "kind", "severity", "site", "limit", "after", "fields",
];
/// Most events that are looked at for one answer: more than the ledger holds.
const EVENTS_MAX: usize = 200_000;
/// The field by which an event of a node names its site.
const SITE_FIELD: &str = "site";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/events", web::get().to(events))
        .route("/v1/events/{id}", web::get().to(event));
}

async fn events(
    state: web::Data<ApiState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &KNOWN)?;
    let query = ListQuery {
        limit: match given.one("limit") {
            Some(_) => Some(given.number("limit", (1, usize::MAX))?),
            None => None,
        },
        after: given.one("after").map(str::to_owned),
        filter: None,
        fields: given.one("fields").map(str::to_owned),
    };
    let rows = matching(&state, &given)?;
    page_of(
        &query,
        rows.iter().map(|row| (id_of(&row.key), row)),
        json_of,
    )
}

async fn event(
    state: web::Data<ApiState>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let own = Caller::filter_of(&request);
    let missing = || {
        let message = format!("no event {:?} is known", id.as_str());
        ApiError::not_found(&message, "list them with /v1/events; the oldest leave")
    };
    let key = key_of(&id).ok_or_else(missing)?;
    let ledger = state.records.bus().events();
    let found = ledger.list(1, None, |row| row.key == key);
    let row = found.first().ok_or_else(missing)?;
    let resource = row.resource.as_deref();
    if own.is_some_and(|own| !resource.is_some_and(|resource| own.matches(resource))) {
        return Err(missing());
    }
    Ok(HttpResponse::Ok().json(json_of(row)))
}

fn matching(state: &ApiState, given: &Parameters) -> Result<Vec<EventRow>, ApiError> {
    let now = state.clock.wall();
    let (from, to) = given.span(now)?;
    let (kinds, site) = (given.many("kind"), given.one("site"));
    let severities = severities(given)?;
    let filter = given.filter()?;
    let ledger = state.records.bus().events();
    Ok(ledger.list(EVENTS_MAX, None, |row| {
        let resource = row.resource.as_deref();
        from.is_none_or(|from| row.key.time >= from)
            && to.is_none_or(|to| row.key.time <= to)
            && (kinds.is_empty() || kinds.contains(&row.facts.kind))
            && (severities.is_empty() || severities.contains(&row.facts.severity))
            && site.is_none_or(|site| site_of(row) == Some(site))
            && filter
                .as_ref()
                .is_none_or(|filter| resource.is_some_and(|resource| filter.matches(resource)))
    }))
}

fn severities(given: &Parameters) -> Result<Vec<Severity>, ApiError> {
    let names = given.many("severity");
    let read = |name: &String| {
        Severity::from_name(name).ok_or_else(|| {
            let all: Vec<&str> = Severity::ALL.iter().map(|one| one.as_str()).collect();
            let message = format!("severity is {name:?}");
            ApiError::bad_request(&message, &format!("choose of {}", all.join(", ")))
        })
    };
    names.iter().map(read).collect()
}

fn site_of(row: &EventRow) -> Option<&str> {
    match &row.resource {
        Some(resource) => Some(resource.id().site()),
        None => {
            let mut fields = row.facts.fields.iter();
            let field = fields.find(|(name, _)| name == SITE_FIELD);
            field.map(|(_, site)| site.as_str())
        }
    }
}

/// Ascends by time. The first part is as long for every time until the year 2286.
fn id_of(key: &EventKey) -> String {
    format!("{:013}-{}-{:020}", key.time.0.max(0), key.origin, key.seq.0)
}

fn key_of(id: &str) -> Option<EventKey> {
    let mut parts = id.splitn(3, '-');
    let time = parts.next()?.parse().ok()?;
    let origin = OriginId::from_str(parts.next()?).ok()?;
    let seq = parts.next()?.parse().ok()?;
    Some(EventKey {
        time: WallMs(time),
        origin,
        seq: Seq(seq),
    })
}

fn json_of(row: &EventRow) -> Value {
    let fields = row.facts.fields.iter();
    let fields: Map<String, Value> = fields
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    json!({
        "id": id_of(&row.key),
        "time_ms": row.key.time.0,
        "kind": row.facts.kind,
        "severity": row.facts.severity.as_str(),
        "text": row.facts.text,
        "site": site_of(row),
        "resource": row.resource.as_ref().map(|resource| resource.id().as_str()),
        "plugin": row.plugin.as_deref(),
        "fields": fields,
        "origin": row.key.origin.to_string(),
        "seq": row.key.seq.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_event_and_ids_ascend_with_time() {
        let key = |time, seq| EventKey {
            time: WallMs(time),
            origin: OriginId(9),
            seq: Seq(seq),
        };
        let one = key(1_700_000_000_000, 20);
        assert_eq!(key_of(&id_of(&one)), Some(one));
        assert!(id_of(&key(999, 1)) < id_of(&one));
        assert!(id_of(&key(1_700_000_000_000, 3)) < id_of(&one));
        for text in ["", "1", "1-2-3", "x-00000000000000000000000000000009-1"] {
            assert_eq!(key_of(text), None, "{text:?}");
        }
    }
}
