//! `/v1/values` and `/v1/samples`: what was measured last, and what the bus still holds.
//!
//! Does: turn batches into one object a sample, by selection, dimensions and time; end.
//! Does not: follow what comes (`subscribe`), keep an archive: the bus holds hours.
//! In: a query. Out: a list with ages, or lines (`ndjson`, `csv`) that end by naming the oldest
//! sample found.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_bus::decoder::Record;
use ocelli_bus::payload::Payload;
use ocelli_bus::read::{Item, StartFrom, Subscription, SubscriptionRequest};
use ocelli_model::batch::Batch;
use ocelli_model::clock::WallMs;
use ocelli_model::panoptes::Projection;
use serde_json::{Map, Value, json};

use super::access::Caller;
use super::lines::{ClientGone, LineSender};
use super::parameters::Parameters;
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

/// What of a batch is wanted.
struct Wanted {
    projection: Projection,
    /// (name, value), all of which a row must have.
    dimensions: Vec<(String, String)>,
    from: Option<WallMs>,
    to: Option<WallMs>,
}

impl Wanted {
    fn has_time(&self, time: WallMs) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time <= to)
    }
}

async fn values(
    state: web::Data<ApiState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &["dimension.", "limit", "after"])?;
    let limit = given.number("limit", VALUES_LIMIT)?;
    let after = match given.one("after") {
        None => 0,
        Some(text) => text.parse::<usize>().map_err(|_| {
            ApiError::bad_request(
                &format!("after is {text:?}"),
                "pass the next of the page before",
            )
        })?,
    };
    let mut selection = given.selection()?;
    let wanted = Wanted {
        projection: selection.projection().clone(),
        dimensions: given.dimensions(),
        from: None,
        to: None,
    };
    let now = state.clock.wall();
    let (mut items, mut place) = (Vec::new(), 0);
    for record in state.records.last_batches(|head| selection.has_entry(head)) {
        for_each_sample(&record, &wanted, &mut |sample| {
            // One more than the page tells whether there is a next one.
            if place >= after && items.len() <= limit {
                items.push(sample.to_json(Some(now)));
            }
            place += 1;
        });
        if items.len() > limit {
            break;
        }
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = has_more.then(|| (after + limit).to_string());
    Ok(HttpResponse::Ok().json(json!({"items": items, "next": next})))
}

async fn samples(
    state: web::Data<ApiState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &["dimension.", "from", "to", "limit", "format"])?;
    let now = state.clock.wall();
    let (from, to) = (given.time("from", now)?, given.time("to", now)?);
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
            for_each_sample(&record, wanted, &mut |sample| {
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

// === Samples of a batch ===

/// One value of one series at one time.
struct SampleView<'a> {
    record: &'a Record,
    group: &'a str,
    dimensions: &'a Map<String, Value>,
    metric: &'a str,
    kind: &'static str,
    value: Value,
    verdict: Option<&'static str>,
    time: WallMs,
}

impl SampleView<'_> {
    fn to_json(&self, now: Option<WallMs>) -> Value {
        let mut object = Map::new();
        let resource = self
            .record
            .resource
            .as_ref()
            .map(|resource| resource.id().as_str());
        object.insert("resource".into(), json!(resource));
        object.insert("plugin".into(), json!(self.record.plugin.as_deref()));
        object.insert("group".into(), json!(self.group));
        object.insert("dimensions".into(), Value::Object(self.dimensions.clone()));
        object.insert("metric".into(), json!(self.metric));
        object.insert("type".into(), json!(self.kind));
        object.insert("value".into(), self.value.clone());
        if let Some(verdict) = self.verdict {
            object.insert("verdict".into(), json!(verdict));
        }
        object.insert("time_ms".into(), json!(self.time.0));
        object.insert("slot_ms".into(), json!(self.record.slot.0));
        if let Some(now) = now {
            object.insert("age_ms".into(), json!(now.0.saturating_sub(self.time.0)));
        }
        Value::Object(object)
    }

    fn push_csv(&self, into: &mut Vec<u8>) {
        let resource = self
            .record
            .resource
            .as_ref()
            .map_or("", |resource| resource.id().as_str());
        let dimensions: Vec<String> = self
            .dimensions
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
            .collect();
        let cells = [
            self.time.0.to_string(),
            csv_cell(resource),
            csv_cell(self.record.plugin.as_deref().unwrap_or("")),
            csv_cell(self.group),
            csv_cell(&dimensions.join(";")),
            csv_cell(self.metric),
            self.kind.to_owned(),
            self.value.to_string(),
            self.verdict.unwrap_or("").to_owned(),
        ];
        into.extend_from_slice(cells.join(",").as_bytes());
        into.push(b'\n');
    }
}

/// RFC 4180: quoted where it must be.
fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn for_each_sample(record: &Arc<Record>, wanted: &Wanted, take: &mut dyn FnMut(SampleView<'_>)) {
    let Payload::Batch(batch) = &record.payload else {
        return;
    };
    for group in 0..batch.groups.len() {
        let Some(schema) = batch.schema.groups.get(group) else {
            continue;
        };
        if !wanted.projection.has_group(&schema.name) {
            continue;
        }
        for row in 0..batch.groups[group].len() {
            let dimensions = dimensions_of(batch, group, row);
            let is_wanted = wanted.dimensions.iter().all(|(name, value)| {
                dimensions.get(name).and_then(Value::as_str) == Some(value.as_str())
            });
            if is_wanted && wanted.has_time(batch.groups[group].time[row]) {
                let row = Row {
                    record,
                    batch,
                    group,
                    row,
                    dimensions: &dimensions,
                };
                row.for_each(&wanted.projection, take);
            }
        }
    }
}

fn dimensions_of(batch: &Batch, group: usize, row: usize) -> Map<String, Value> {
    let names = batch.schema.groups[group].dimensions.iter().enumerate();
    let table = batch.rows.groups.get(group);
    let present = names.filter_map(|(column, dimension)| {
        let value = table?.get(row, column)?;
        Some((dimension.name.clone(), json!(value)))
    });
    present.collect()
}

/// A row of a batch.
struct Row<'a> {
    record: &'a Record,
    batch: &'a Batch,
    group: usize,
    row: usize,
    dimensions: &'a Map<String, Value>,
}

impl Row<'_> {
    fn for_each(&self, projection: &Projection, take: &mut dyn FnMut(SampleView<'_>)) {
        let (schema, row) = (&self.batch.schema.groups[self.group], self.row);
        let values = &self.batch.groups[self.group];
        for (index, (metric, column)) in schema.counters.iter().zip(&values.counters).enumerate() {
            if !projection.has_metric(&metric.name) || !column.presence.is_present(row) {
                continue;
            }
            let verdict = Some(column.verdicts[row].as_str());
            let value = json!(column.values[row]);
            take(self.sample(&metric.name, ("counter", value, verdict)));
            if let Some(rate) = values.rate(index, row) {
                take(self.sample(&metric.name, ("gauge", json!(rate), verdict)));
            }
        }
        for (metric, column) in schema.gauges.iter().zip(&values.gauges) {
            if !projection.has_metric(&metric.name) {
                continue;
            }
            if let Some(value) = column.get(row) {
                take(self.sample(&metric.name, ("gauge", number(value), None)));
            }
        }
    }

    fn sample<'a>(
        &'a self,
        metric: &'a str,
        (kind, value, verdict): (&'static str, Value, Option<&'static str>),
    ) -> SampleView<'a> {
        SampleView {
            record: self.record,
            group: &self.batch.schema.groups[self.group].name,
            dimensions: self.dimensions,
            metric,
            kind,
            value,
            verdict,
            time: self.batch.groups[self.group].time[self.row],
        }
    }
}

/// Whole numbers without a fraction, as they were measured.
fn number(value: f64) -> Value {
    /// Every integer up to 2^53 is a float.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return json!(value as i64);
    }
    json!(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_quoted_where_they_must_be() {
        assert_eq!(csv_cell("plain"), "plain");
        assert_eq!(csv_cell("a,b"), "\"a,b\"");
        assert_eq!(csv_cell("say \"x\""), "\"say \"\"x\"\"\"");
    }

    #[test]
    fn whole_gauges_have_no_fraction() {
        assert_eq!(number(1_500.0).to_string(), "1500");
        assert_eq!(number(0.5).to_string(), "0.5");
    }
}
