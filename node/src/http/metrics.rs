//! `/v1/metrics` and `/metrics`: expositions for a scraper.
//!
//! Does: find the last values and render them; render what the node counts about itself.
//! Does not: name device metrics (`device_metrics`), print (`exposition`).
//! In: a scrape. Out: OpenMetrics, or the older text format where that is asked for.
//! Limit: `exposition::SERIES_MAX` series; beyond it 413 with the filter to add.

#![expect(clippy::unused_async, reason = "actix takes async handlers only")]

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use ocelli_bus::payload::Payload;
use ocelli_bus::read::Selection as ReadSelection;
use ocelli_bus::{BusStatistics, FSYNC_BUCKETS_US};
use ocelli_model::panoptes::Projection;
use ocelli_model::schema::MetricKind;

use super::device_metrics::{Naming, Selection, expose, expose_up};
use super::exposition::{Exposition, Format, Number, Sample, TooManySeries};
use super::parameters::Parameters;
use super::{ApiError, ApiState};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/metrics", web::get().to(devices))
        .route("/metrics", web::get().to(own));
}

fn format_of(request: &HttpRequest) -> Format {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    Format::accepted(accept)
}

async fn devices(
    state: web::Data<ApiState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let given = Parameters::of_query(&request, &["naming"])?;
    let names = [
        ("panoptes", Naming::Panoptes),
        ("snmp_exporter", Naming::SnmpExporter),
    ];
    let naming = given.choice("naming", &names)?;
    let format = match naming {
        Naming::Panoptes => format_of(&request),
        // Its dashboards ask for counters by their bare names, which OpenMetrics forbids.
        Naming::SnmpExporter => Format::BareText004,
    };
    let filter = given.filter()?;
    let groups = given.many("group");
    let group = groups.first().map(String::as_str);
    let selection = Selection {
        group,
        naming,
        now: state.clock.wall(),
    };
    let projection = Projection {
        groups: groups.clone(),
        metrics: Vec::new(),
    };
    let mut wanted = ReadSelection::new(filter, projection);
    let mut exposition = Exposition::new(format);
    for record in state.records.last_batches(|head| wanted.has_entry(head)) {
        let (Payload::Batch(batch), Some(resource)) = (&record.payload, &record.resource) else {
            continue;
        };
        expose(&mut exposition, resource, batch, selection).map_err(too_many)?;
    }
    for view in state.view.resources().iter() {
        if !wanted.has_resource(&view.resource) {
            continue;
        }
        for pair in &view.plugins {
            let pair = (pair.plugin.as_str(), pair.gap_cause.as_deref());
            expose_up(&mut exposition, &view.resource, pair, naming).map_err(too_many)?;
        }
    }
    Ok(answer(exposition, format))
}

fn too_many(error: TooManySeries) -> ApiError {
    let hint = "add filter='resource_id = \"…\"' or group=NAME";
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_many_series",
        (&error.to_string(), hint),
    )
}

fn answer(exposition: Exposition, format: Format) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(format.content_type())
        .body(exposition.render())
}

async fn own(state: web::Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let format = format_of(&request);
    let mut exposition = Exposition::new(format);
    push_bus(&mut exposition, &state.records.bus().statistics()).map_err(too_many)?;
    for own in state.view.own_metrics() {
        let sample = Sample {
            family: &own.name,
            help: "",
            kind: own.kind,
            labels: &own.labels,
            value: Number::Float(own.value),
            time: None,
        };
        exposition.push(sample).map_err(too_many)?;
    }
    Ok(answer(exposition, format))
}

/// A number of the bus: family, help, kind, where it stands.
type BusNumber = (
    &'static str,
    &'static str,
    MetricKind,
    fn(&BusStatistics) -> u64,
);

/// The bus's numbers, by the names of the API.
const BUS_NUMBERS: &[BusNumber] = &[
    ("ocelli_bus_blocks", "Blocks made durable", COUNTER, |bus| {
        bus.blocks
    }),
    (
        "ocelli_bus_entries",
        "Entries made durable",
        COUNTER,
        |bus| bus.entries,
    ),
    (
        "ocelli_bus_block_bytes",
        "Bytes of blocks made durable",
        COUNTER,
        |bus| bus.block_bytes,
    ),
    ("ocelli_bus_commits", "Group commits", COUNTER, |bus| {
        bus.commits
    }),
    (
        "ocelli_bus_commit_failures",
        "Commits that failed",
        COUNTER,
        |bus| bus.commit_failures,
    ),
    (
        "ocelli_bus_disk_full_blocks",
        "Blocks refused: full",
        COUNTER,
        |bus| bus.disk_full_blocks,
    ),
    (
        "ocelli_bus_segments_opened",
        "Segments begun",
        COUNTER,
        |bus| bus.segments_opened,
    ),
    (
        "ocelli_bus_segments_removed",
        "Segments removed",
        COUNTER,
        |bus| bus.segments_removed,
    ),
    (
        "ocelli_bus_segments_forced",
        "Removed before read",
        COUNTER,
        |bus| bus.segments_forced,
    ),
    (
        "ocelli_bus_tail_reads",
        "Reads from the live tail",
        COUNTER,
        |bus| bus.tail_reads,
    ),
    ("ocelli_bus_disk_reads", "Reads from disk", COUNTER, |bus| {
        bus.disk_reads
    }),
    (
        "ocelli_bus_damaged_blocks",
        "Blocks that fail checks",
        COUNTER,
        |bus| bus.damaged_blocks,
    ),
    (
        "ocelli_bus_queue_bytes",
        "Bytes before the writer",
        GAUGE,
        |bus| bus.queue_bytes,
    ),
    ("ocelli_bus_segments", "Segments held", GAUGE, |bus| {
        bus.segments
    }),
    (
        "ocelli_bus_segment_bytes",
        "Bytes of segments",
        GAUGE,
        |bus| bus.segment_bytes,
    ),
];

const COUNTER: MetricKind = MetricKind::Counter;
const GAUGE: MetricKind = MetricKind::Gauge;

fn push_bus(into: &mut Exposition, bus: &BusStatistics) -> Result<(), TooManySeries> {
    for (family, help, kind, number) in BUS_NUMBERS {
        into.push(Sample {
            family,
            help,
            kind: *kind,
            labels: "",
            value: Number::Unsigned(number(bus)),
            time: None,
        })?;
    }
    push_fsync(into, bus)
}

/// Commits by fsync time, cumulative as scrapers add them up.
fn push_fsync(into: &mut Exposition, bus: &BusStatistics) -> Result<(), TooManySeries> {
    let mut commits = 0;
    for (bucket, count) in bus.fsync_buckets.iter().enumerate() {
        commits += count;
        let bound = FSYNC_BUCKETS_US.get(bucket);
        let bound = bound.map_or("+Inf".to_owned(), |bound| (*bound as f64 / 1e6).to_string());
        into.push(Sample {
            family: "ocelli_bus_commits_within",
            help: "Commits whose fsync took at most so many seconds",
            kind: MetricKind::Counter,
            labels: &format!("{{seconds=\"{bound}\"}}"),
            value: Number::Unsigned(commits),
            time: None,
        })?;
    }
    into.push(Sample {
        family: "ocelli_bus_fsync_seconds",
        help: "Time spent in fsync",
        kind: MetricKind::Counter,
        labels: "",
        value: Number::Float(bus.fsync_us_total as f64 / 1e6),
        time: None,
    })
}
