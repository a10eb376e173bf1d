//! `/v1/subscribe`: records and Panoptes' groups as they come.
//!
//! Does: read the request, run the subscription engine of `bus` for one client, write its lines.
//! Does not: filter or keep cursors itself.
//! In: GET, or POST where the cursor is long. Out: `ndjson`, `records`, `sse` or `influx`, endless.
//! Slow clients: see `lines`; `durable` goes on from disk, `latest` tells what it skipped.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::{Either, select};
use ocelli_bus::decoder::Record;
use ocelli_bus::payload::Payload;
use ocelli_bus::read::{
    Cursor, CursorPace, Include, Item, Mode, ORDER_LAG, RecordRenderer, StartFrom, Subscription,
    SubscriptionError, SubscriptionRequest, render_cursor,
};
use ocelli_model::clock::{Clock, Monotonic};
use ocelli_model::influx::InfluxRenderer;
use ocelli_model::panoptes::{
    GroupRenderer, PollingStatus, Projection, ResourceJson, StatusGroup, render_status,
};
use ocelli_model::resource::{Resource, ResourceId};

use super::access::Caller;
use super::lines::{ClientGone, LineSender};
use super::parameters::{Parameters, parse_time};
use super::{ApiError, ApiState};

/// Parameters beside the selecting ones.
const KNOWN: [&str; 7] = [
    "from", "cursor", "format", "mode", "order", "rebase", "include",
];
/// Longest cursor that is an SSE id.
const EVENT_ID_BYTES_MAX: usize = 8 * 1024;
/// An idle `sse` stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Panoptes' group and metric of a poll's outcome.
const STATUS_GROUP: &str = "status";
const STATUS_METRIC: &str = "polling_status";
/// Resources whose JSON is kept for `ndjson`.
const RESOURCES_KEPT_MAX: usize = 20_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/subscribe", web::get().to(subscribe))
        .route("/v1/subscribe", web::post().to(subscribe));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Ndjson,
    Records,
    Sse,
    Influx,
}

async fn subscribe(
    state: web::Data<ApiState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &KNOWN)?.with_body(&body, &KNOWN)?;
    let accepts = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let is_event_stream = accepts.is_some_and(|accept| accept.contains("text/event-stream"));
    let formats = [
        ("ndjson", Format::Ndjson),
        ("records", Format::Records),
        ("sse", Format::Sse),
        ("influx", Format::Influx),
    ];
    let format = match given.one("format") {
        None if is_event_stream => Format::Sse,
        _ => given.choice("format", &formats)?,
    };
    let is_in_order = given.choice("order", &[("log", false), ("seq", true)])?;
    let caller = Caller::of(&request);
    let last_event = request
        .headers()
        .get("last-event-id")
        .and_then(|id| id.to_str().ok());
    let from = start_from(&state, &given, last_event)?;
    let (include, with_cursors) = included(&given, format)?;
    let request = SubscriptionRequest {
        selection: given.selection()?,
        from,
        mode: given.choice(
            "mode",
            &[("durable", Mode::Durable), ("latest", Mode::Latest)],
        )?,
        include,
        rebase: given.switch("rebase")?,
    };
    if is_in_order && request.mode == Mode::Latest {
        let hint = "leave one of them out: `latest` passes over what `seq` would wait for";
        return Err(ApiError::bad_request("order=seq with mode=latest", hint));
    }
    let places = match &caller {
        Some(caller) => caller.subscribe()?,
        None => Vec::new(),
    };
    let subscription = Subscription::begin(&state.records, request).map_err(refused)?;
    let mut subscription = subscription.with_volatile();
    if is_in_order {
        subscription = subscription.in_order(ORDER_LAG);
    }
    let content_type = match format {
        Format::Ndjson | Format::Records => "application/x-ndjson",
        Format::Sse => "text/event-stream",
        Format::Influx => "text/plain; charset=utf-8",
    };
    let (lines, response) = LineSender::open(content_type);
    let pace = caller.and_then(|caller| caller.pace());
    let lines = lines.paced(pace, &state.clock);
    let projection = subscription.selection().projection().clone();
    let writer = Writer::new(format, with_cursors, projection);
    let clock = Arc::clone(&state.clock);
    actix_web::rt::spawn(async move {
        run(subscription, writer, lines, clock).await;
        drop(places);
    });
    Ok(response)
}

fn start_from(
    state: &ApiState,
    given: &Parameters,
    last_event: Option<&str>,
) -> Result<StartFrom, ApiError> {
    let text = last_event
        .or(given.one("cursor"))
        .or(given.one("from"))
        .unwrap_or("now");
    match text {
        "now" => Ok(StartFrom::Now),
        "latest" => Ok(StartFrom::Latest),
        "oldest" => Ok(StartFrom::Oldest),
        text => {
            if let Some(time) = parse_time(text, state.clock.wall()) {
                return Ok(StartFrom::Time(time));
            }
            let cursor = text.parse::<Cursor>().map_err(|error| {
                let hint = "from is now, latest, oldest, a time or a cursor";
                ApiError::bad_request(&error.to_string(), hint)
            })?;
            Ok(StartFrom::Cursor(cursor))
        }
    }
}

/// `ndjson` and `influx` are data alone unless asked; the others have every kind unless asked.
fn included(given: &Parameters, format: Format) -> Result<(Include, bool), ApiError> {
    let kinds = given.many("include");
    if let Some(unknown) = kinds
        .iter()
        .find(|kind| !["gaps", "events", "cursors"].contains(&kind.as_str()))
    {
        let message = format!("include has {unknown:?}");
        return Err(ApiError::bad_request(
            &message,
            "choose of gaps, events, cursors",
        ));
    }
    if kinds.is_empty() && !matches!(format, Format::Ndjson | Format::Influx) {
        return Ok((
            Include {
                gaps: true,
                events: true,
            },
            true,
        ));
    }
    let has = |kind: &str| kinds.iter().any(|given| given == kind);
    Ok((
        Include {
            gaps: has("gaps"),
            events: has("events"),
        },
        has("cursors"),
    ))
}

fn refused(error: SubscriptionError) -> ApiError {
    match error {
        SubscriptionError::OtherSelection => {
            ApiError::bad_request(&error.to_string(), "add rebase=true to go on all the same")
        }
        error => ApiError::unavailable(&error.to_string(), "try again later"),
    }
}

/// Runs until the client leaves or the bus closes.
async fn run(
    mut subscription: Subscription,
    mut writer: Writer,
    mut lines: LineSender,
    clock: Arc<dyn Clock>,
) {
    loop {
        match step(&mut subscription, &mut writer, &mut lines, &clock).await {
            Ok(()) => {}
            Err(Ended::Client) => return,
            Err(Ended::Bus(error)) => {
                tracing::warn!(%error, "a subscription ended");
                return;
            }
        }
    }
}

enum Ended {
    Client,
    Bus(SubscriptionError),
}

impl From<ClientGone> for Ended {
    fn from(_: ClientGone) -> Self {
        Self::Client
    }
}

/// One item, sent together with those that follow at once.
async fn step(
    subscription: &mut Subscription,
    writer: &mut Writer,
    lines: &mut LineSender,
    clock: &Arc<dyn Clock>,
) -> Result<(), Ended> {
    let item = next_or_gone(subscription, writer.format, lines, clock).await?;
    writer.write(&item, &mut lines.lines);
    writer.write_cursor(subscription, clock.monotonic(), &mut lines.lines);
    Ok(lines.flush_if_full().await?)
}

/// The next item. Before it waits, what is written is sent; while it waits, it sees the client
/// leave, and says from time to time that the stream lives.
async fn next_or_gone(
    subscription: &mut Subscription,
    format: Format,
    lines: &mut LineSender,
    clock: &Arc<dyn Clock>,
) -> Result<Item, Ended> {
    let mut next = pin!(subscription.next());
    let at_hand = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
    if let Poll::Ready(item) = at_hand {
        return item.map_err(Ended::Bus);
    }
    loop {
        lines.flush().await?;
        let idle = clock.sleep_until(clock.monotonic().after(KEEP_ALIVE));
        {
            let gone = pin!(lines.gone());
            match select(next.as_mut(), select(gone, idle)).await {
                Either::Left((item, _)) => return item.map_err(Ended::Bus),
                Either::Right((Either::Left(_), _)) => return Err(Ended::Client),
                Either::Right((Either::Right(_), _)) => {}
            }
        }
        if format == Format::Sse {
            lines.lines.extend_from_slice(b": alive\n\n");
        }
    }
}

/// Writes items in one format.
struct Writer {
    format: Format,
    with_cursors: bool,
    /// Panoptes' `status` group was asked for by name.
    has_status: bool,
    groups: GroupRenderer,
    records: RecordRenderer,
    influx: InfluxRenderer,
    resources: HashMap<ResourceId, (Arc<Resource>, ResourceJson)>,
    line: Vec<u8>,
    cursor: CursorPace,
}

impl Writer {
    fn new(format: Format, with_cursors: bool, projection: Projection) -> Self {
        Self {
            format,
            with_cursors,
            has_status: projection.groups.iter().any(|group| group == STATUS_GROUP),
            groups: GroupRenderer::new(projection.clone()),
            records: RecordRenderer::new(projection.clone()),
            influx: InfluxRenderer::new(projection),
            resources: HashMap::new(),
            line: Vec::new(),
            cursor: CursorPace::default(),
        }
    }

    fn write(&mut self, item: &Item, into: &mut Vec<u8>) {
        self.cursor.note_item();
        self.line.clear();
        match item {
            Item::Record(record) if self.format == Format::Ndjson => {
                return self.write_groups(record, into);
            }
            Item::Record(record) if self.format == Format::Influx && is_batch(record) => {
                return self.write_influx(record, into);
            }
            item => self.records.render_item(item, &mut self.line),
        }
        if self.line.is_empty() {
            return;
        }
        into.extend_from_slice(match self.format {
            Format::Sse => b"data: ",
            // Line protocol has comments; everything but data is one.
            Format::Influx => b"# ",
            Format::Ndjson | Format::Records => b"",
        });
        into.extend_from_slice(&self.line);
        if self.format == Format::Sse {
            into.push(b'\n');
        }
    }

    fn write_influx(&self, record: &Record, into: &mut Vec<u8>) {
        if let (Payload::Batch(batch), Some(resource)) = (&record.payload, &record.resource) {
            if record.is_volatile {
                into.extend_from_slice(b"# volatile\n");
            }
            self.influx.render(batch, resource, into);
        }
    }

    /// Panoptes' groups of a batch; of anything else its `records` line.
    fn write_groups(&mut self, record: &Record, into: &mut Vec<u8>) {
        let Some(resource) = &record.resource else {
            return self.records.render(record, into);
        };
        if self.resources.len() >= RESOURCES_KEPT_MAX {
            self.resources.clear();
        }
        let known = self.resources.entry(resource.id().clone());
        let (of, json) =
            known.or_insert_with(|| (Arc::clone(resource), ResourceJson::of(resource)));
        if !Arc::ptr_eq(of, resource) {
            (*of, *json) = (Arc::clone(resource), ResourceJson::of(resource));
        }
        let status = match &record.payload {
            Payload::Batch(batch) => {
                let start = into.len();
                self.groups.render(batch, json, into);
                if record.is_volatile {
                    mark_volatile(into, start);
                }
                Some(PollingStatus::of_batch(batch))
            }
            Payload::Gap(gap) => {
                self.records.render(record, into);
                PollingStatus::of_gap(&gap.cause)
            }
            _ => {
                self.records.render(record, into);
                None
            }
        };
        if let Some(status) = status.filter(|_| self.has_status) {
            let (interval_ms, time) = (record.interval_ms, record.time);
            let group = StatusGroup {
                resource: json,
                interval_ms,
                time,
                metric: STATUS_METRIC,
            };
            render_status(group, status, into);
            into.push(b'\n');
        }
    }

    /// A cursor line, or the id of an event: after each item while it is short, else each second.
    fn write_cursor(&mut self, of: &Subscription, now: Monotonic, into: &mut Vec<u8>) {
        if !self.with_cursors || !of.has_cursor() || !self.cursor.is_due(now) {
            return;
        }
        self.line.clear();
        let cursor = of.cursor();
        if self.format == Format::Sse {
            let text = cursor.to_string();
            if text.len() <= EVENT_ID_BYTES_MAX {
                self.line
                    .extend_from_slice(format!("id: {text}\n").as_bytes());
            }
            self.line.extend_from_slice(b"data: ");
        }
        if self.format == Format::Influx {
            self.line.extend_from_slice(b"# ");
        }
        render_cursor(&cursor, &mut self.line);
        if self.format == Format::Sse {
            self.line.push(b'\n');
        }
        into.extend_from_slice(&self.line);
        self.cursor.told(self.line.len(), now);
    }
}

fn is_batch(record: &Record) -> bool {
    matches!(record.payload, Payload::Batch(_))
}

/// Adds a member to each group that was written from `start` on: a full disk does not keep it.
fn mark_volatile(lines: &mut Vec<u8>, start: usize) {
    let groups = lines.split_off(start);
    for group in groups.split_inclusive(|byte| *byte == b'\n') {
        let open = group.strip_suffix(b"}\n").unwrap_or(group);
        lines.extend_from_slice(open);
        lines.extend_from_slice(b",\"volatile\":true}\n");
    }
}
