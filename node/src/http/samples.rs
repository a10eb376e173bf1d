//! `/v1/values` and `/v1/samples`: what was measured last, and what the bus still holds.
//!
//! Does: turn batches into one object a sample, by selection, dimensions and time; end.
//! Does not: follow what comes (`subscribe`), keep an archive: the bus holds hours.
//! In: a query. Out: a list with ages, or lines (`ndjson`, `csv`) that end by naming the oldest
//! sample found.

use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_bus::decoder::ResolvedHead;
use ocelli_bus::read::{Item, StartFrom, Subscription, SubscriptionRequest};
use ocelli_model::clock::WallMs;
use serde_json::{Value, json};

use super::access::Caller;
use super::lines::{ClientGone, LineSender};
use super::parameters::Parameters;
use super::sample_view::{Source, Wanted, for_each_sample};
use super::standing::{mark, not_live};
use super::value_key::ValueKey;
use super::{ApiError, ApiState};

/// Values a page unless asked otherwise, and at most.
const VALUES_LIMIT: (usize, usize) = (10_000, 100_000);
/// Samples in one answer unless asked otherwise, and at most.
const SAMPLES_LIMIT: (usize, usize) = (100_000, 10_000_000);
/// Columns of `csv`.
const CSV_HEAD: &[u8] = b"time_ms,resource,plugin,group,dimensions,metric,type,value,verdict\n";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/values", web::get().to(values))
        .route("/v1/samples", web::get().to(samples));
}

async fn values(
    state: web::Data<ApiState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &["dimension.", "limit", "after"])?;
    let limit = given.number("limit", VALUES_LIMIT)?;
    let after = given.one("after").map(ValueKey::parse).transpose()?;
    let selection = given.selection()?;
    let wanted = Wanted {
        projection: selection.projection().clone(),
        dimensions: given.dimensions(),
        ..Wanted::default()
    };
    let now = state.clock.wall();
    let states = not_live(&state);
    let is_ahead = |head: &ResolvedHead| after.as_ref().is_none_or(|after| after.may_precede(head));
    let wants = |head: &ResolvedHead| is_ahead(head) && selection.has_entry(head);
    let mut values: Vec<(ValueKey, Value)> = Vec::new();
    for record in state.records.last_batches(wants) {
        let stale = mark(&states, record.stream.origin);
        let begin = values.len();
        for_each_sample(&Source::of(&record), &wanted, &mut |sample| {
            let key = ValueKey::of(&record, sample.series());
            if after.as_ref().is_some_and(|after| key <= *after) {
                return;
            }
            let mut item = sample.to_json(Some(now));
            if let (Value::Object(item), Some(stale)) = (&mut item, &stale) {
                item.insert("stale".to_owned(), stale.clone());
            }
            values.push((key, item));
        });
        // Pairs come in order; the rows of a batch stand as the device told them.
        values[begin..].sort_by(|(a, _), (b, _)| a.cmp(b));
        if values.len() > limit {
            break;
        }
    }
    let has_more = values.len() > limit;
    values.truncate(limit);
    let last = values.last().filter(|_| has_more);
    let next = last.map(|(key, _)| key.to_string());
    let items: Vec<Value> = values.into_iter().map(|(_, item)| item).collect();
    Ok(HttpResponse::Ok().json(json!({"items": items, "next": next})))
}

async fn samples(
    state: web::Data<ApiState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &["dimension.", "from", "to", "limit", "format"])?;
    let now = state.clock.wall();
    let (from, to) = given.span(now)?;
    let limit = given.number("limit", SAMPLES_LIMIT)?;
    let is_csv = given.choice("format", &[("ndjson", false), ("csv", true)])?;
    let selection = given.selection()?;
    let wanted = Wanted {
        projection: selection.projection().clone(),
        dimensions: given.dimensions(),
        from,
        to,
    };
    // A sample is taken by the node after it was measured: reading from its own time on finds it.
    let from = from.map_or(StartFrom::Oldest, StartFrom::Time);
    let wanted_records = SubscriptionRequest {
        selection,
        from,
        ..SubscriptionRequest::default()
    };
    let subscription = Subscription::begin(&state.records, wanted_records)
        .map_err(|error| ApiError::unavailable(&error.to_string(), "try again later"))?;
    let content_type = if is_csv {
        "text/csv"
    } else {
        "application/x-ndjson"
    };
    let (lines, response) = LineSender::open(content_type);
    let pace = Caller::of(&request).and_then(|caller| caller.pace());
    let lines = lines.paced(pace, &state.clock);
    let reading = Reading {
        wanted,
        is_csv,
        left: limit,
        oldest: None,
    };
    actix_web::rt::spawn(run(subscription, reading, lines));
    Ok(response)
}

/// A bounded read under way.
struct Reading {
    wanted: Wanted,
    is_csv: bool,
    left: usize,
    oldest: Option<WallMs>,
}

async fn run(mut subscription: Subscription, mut reading: Reading, mut lines: LineSender) {
    if reading.is_csv {
        lines.lines.extend_from_slice(CSV_HEAD);
    }
    let ended = read_all(&mut subscription, &mut reading, &mut lines).await;
    if ended.is_ok() && !reading.is_csv {
        let oldest = reading.oldest.map(|time| time.0);
        let end = json!({"type": "end", "oldest_ms": oldest, "is_cut": reading.left == 0});
        push_line(&end, &mut lines.lines);
    }
    if ended.is_ok() && lines.flush().await.is_err() {
        tracing::debug!("a reader of samples left before the end");
    }
}

async fn read_all(
    subscription: &mut Subscription,
    reading: &mut Reading,
    lines: &mut LineSender,
) -> Result<(), ClientGone> {
    while reading.left > 0 {
        let item = match subscription.next_held().await {
            Ok(Some(item)) => item,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "reading samples ended");
                return Ok(());
            }
        };
        if let Item::Record(record) = item {
            let Reading {
                wanted,
                is_csv,
                left,
                oldest,
            } = &mut *reading;
            for_each_sample(&Source::of(&record), wanted, &mut |sample| {
                if *left == 0 {
                    return;
                }
                *left -= 1;
                *oldest = Some(oldest.map_or(sample.time, |oldest| oldest.min(sample.time)));
                if *is_csv {
                    sample.push_csv(&mut lines.lines);
                } else {
                    push_line(&sample.to_json(None), &mut lines.lines);
                }
            });
            lines.flush_if_full().await?;
        }
    }
    Ok(())
}

fn push_line(value: &Value, into: &mut Vec<u8>) {
    into.extend_from_slice(value.to_string().as_bytes());
    into.push(b'\n');
}
