//! `/v1/subscribe`: records and Panoptes' groups as they come.
//!
//! Does: read the request, run the subscription engine of `bus` for one client, send its lines.
//! Does not: filter, keep cursors or render itself (`bus::read`).
//! In: GET, POST where the cursor is long, or GET with an upgrade to a WebSocket. Out: `ndjson`,
//! `records`, `sse` or `influx`, endless; over a WebSocket a text frame for each line.
//! Slow clients: see `lines`; `durable` goes on from disk, `latest` tells what it skipped.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, UPGRADE};
use actix_web::web::Payload;
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::{Either, select};
use ocelli_bus::read::{
    Include, Item, LineFormat, LineWriter, Mode, ORDER_LAG, StartFrom, Subscription,
    SubscriptionError, SubscriptionRequest,
};
use ocelli_model::clock::Clock;

use super::access::{Caller, Pace, Slot};
use super::lines::{ClientGone, LineSender, LineSink};
use super::parameters::Parameters;
use super::socket::{SocketSender, upgrade};
use super::{ApiError, ApiState};

/// Parameters beside the selecting ones.
const KNOWN: [&str; 7] = [
    "from", "cursor", "format", "mode", "order", "rebase", "include",
];
/// An idle `sse` stream or socket says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/subscribe", web::get().to(subscribe))
        .route("/v1/subscribe", web::post().to(subscribe));
}

fn content_type(format: LineFormat) -> &'static str {
    match format {
        LineFormat::Ndjson | LineFormat::Records => "application/x-ndjson",
        LineFormat::Sse => "text/event-stream",
        LineFormat::Influx => "text/plain; charset=utf-8",
    }
}

async fn subscribe(
    state: web::Data<ApiState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &KNOWN)?;
    if wants_socket(&request) {
        return subscribe_socket(&state, &request, (given, payload));
    }
    // That of a GET means nothing; any other is in memory already.
    let body = match request.method() {
        &Method::GET => Bytes::new(),
        _ => {
            let body = Bytes::from_request(&request, &mut payload.into_inner()).await;
            body.map_err(|error| ApiError::of_body(&error))?
        }
    };
    let given = given.with_body(&body, &KNOWN)?;
    let format = format_of(&request, &given)?;
    let begun = begin(&state, &request, (&given, format))?;
    let (lines, response) = LineSender::open(content_type(format));
    let lines = lines.paced(begun.pace.clone(), &state.clock);
    actix_web::rt::spawn(begun.run(lines, Arc::clone(&state.clock)));
    Ok(response)
}

/// The same lines as text frames; what a socket sends is no body.
fn subscribe_socket(
    state: &ApiState,
    request: &HttpRequest,
    (given, payload): (Parameters, Payload),
) -> Result<HttpResponse, ApiError> {
    let format = format_of(request, &given)?;
    if format == LineFormat::Sse {
        let hint = "choose ndjson, records or influx, or ask without an upgrade";
        return Err(ApiError::bad_request("format=sse over a WebSocket", hint));
    }
    // The handshake is looked at first: one that fails takes no place.
    let upgrade = upgrade(request)?;
    let begun = begin(state, request, (&given, format))?;
    let (lines, response) = upgrade.open();
    let lines = lines.paced(begun.pace.clone(), &state.clock);
    let socket = SocketSender::new(lines, payload, &state.clock);
    // A batch in line protocol is many lines that belong together.
    let socket = socket.in_lines(format != LineFormat::Influx);
    actix_web::rt::spawn(begun.run(socket, Arc::clone(&state.clock)));
    Ok(response)
}

/// Whether a client asks for a WebSocket.
fn wants_socket(request: &HttpRequest) -> bool {
    let wanted = request.headers().get(UPGRADE);
    wanted.is_some_and(|wanted| wanted.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn format_of(request: &HttpRequest, given: &Parameters) -> Result<LineFormat, ApiError> {
    let accepts = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let is_event_stream = accepts.is_some_and(|accept| accept.contains("text/event-stream"));
    match given.one("format") {
        None if is_event_stream => Ok(LineFormat::Sse),
        _ => given.choice("format", &LineFormat::ALL),
    }
}

/// A subscription that was let in.
struct Begun {
    subscription: Subscription,
    writer: LineWriter,
    pace: Option<Arc<Pace>>,
    places: Vec<Slot>,
}

fn begin(
    state: &ApiState,
    request: &HttpRequest,
    (given, format): (&Parameters, LineFormat),
) -> Result<Begun, ApiError> {
    let is_in_order = given.choice("order", &[("log", false), ("seq", true)])?;
    let caller = Caller::of(request);
    let last_event = request
        .headers()
        .get("last-event-id")
        .and_then(|id| id.to_str().ok());
    let from = start_from(state, given, last_event)?;
    let (include, with_cursors) = included(given, format)?;
    let modes = [("durable", Mode::Durable), ("latest", Mode::Latest)];
    let wanted = SubscriptionRequest {
        selection: given.selection()?,
        from,
        mode: given.choice("mode", &modes)?,
        include,
        rebase: given.switch("rebase")?,
    };
    if is_in_order && wanted.mode == Mode::Latest {
        let hint = "leave one of them out: `latest` passes over what `seq` would wait for";
        return Err(ApiError::bad_request("order=seq with mode=latest", hint));
    }
    let places = caller
        .as_ref()
        .map_or(Ok(Vec::new()), |it| it.subscribe())?;
    let subscription = Subscription::begin(&state.records, wanted).map_err(refused)?;
    let mut subscription = subscription.with_volatile();
    if is_in_order {
        subscription = subscription.in_order(ORDER_LAG);
    }
    let form = (format, with_cursors);
    Ok(Begun {
        writer: LineWriter::new(form, &state.records, subscription.selection()),
        subscription,
        pace: caller.and_then(|caller| caller.pace()),
        places,
    })
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
    StartFrom::of_text(text, state.clock.wall())
        .map_err(|error| ApiError::bad_request(&error.to_string(), "see /v1/openapi.json"))
}

/// `ndjson` and `influx` are data alone unless asked; the others have every kind unless asked.
fn included(given: &Parameters, format: LineFormat) -> Result<(Include, bool), ApiError> {
    let included = format.included(&given.many("include"));
    included.map_err(|error| ApiError::bad_request(&error.to_string(), "see /v1/openapi.json"))
}

fn refused(error: SubscriptionError) -> ApiError {
    match error {
        SubscriptionError::OtherSelection => {
            ApiError::bad_request(&error.to_string(), "add rebase=true to go on all the same")
        }
        SubscriptionError::ForeignCursor { .. } => {
            let hint = "ask the node that gave the cursor, or one that holds its streams";
            ApiError::unavailable(&error.to_string(), hint)
        }
        error => ApiError::unavailable(&error.to_string(), "try again later"),
    }
}

impl Begun {
    /// Runs until the client leaves or the bus closes.
    async fn run(self, mut lines: impl LineSink, clock: Arc<dyn Clock>) {
        let Self {
            mut subscription,
            mut writer,
            pace: _,
            places,
        } = self;
        let ended = loop {
            if let Err(ended) = step(&mut subscription, &mut writer, &mut lines, &clock).await {
                break ended;
            }
        };
        if let Ended::Bus(error) = ended {
            tracing::warn!(%error, "a subscription ended");
            lines.end(&error.to_string()).await;
        }
        drop(places);
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
    writer: &mut LineWriter,
    lines: &mut impl LineSink,
    clock: &Arc<dyn Clock>,
) -> Result<(), Ended> {
    let item = next_or_gone(subscription, writer.format(), lines, clock).await?;
    lines.push(writer.write(&item)).await?;
    if let Some(cursor) = writer.cursor(subscription, clock.monotonic()) {
        lines.push(cursor).await?;
    }
    Ok(())
}

/// The next item. Before it waits, what is written is sent; while it waits, it sees the client
/// leave, and says from time to time that the stream lives.
async fn next_or_gone(
    subscription: &mut Subscription,
    format: LineFormat,
    lines: &mut impl LineSink,
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
        lines.say_alive(format.alive()).await?;
    }
}
