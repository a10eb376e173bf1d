//! Tests of the reading routes over real sockets and a real bus.

use std::net::TcpListener;

use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::{Encoder, Pair};
use ocelli_bus::record::Lane;
use ocelli_bus::{Bus, BusOptions};
use ocelli_model::batch::{Batch, CounterColumn, GroupValues, RowSet, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{DimensionTable, GaugeColumn};
use ocelli_model::gap::{Gap, GapKind};
use ocelli_model::schema::{DimensionDef, GroupSchema, MetricDef, Schema};
use ocelli_model::slot::{Epoch, SlotMs};
use serde_json::{Value, json};

use super::tests::{Fixed, plain, resource};
use super::*;
use crate::clock::RealClock;
use crate::rng::RealRng;

/// A text as a query takes it.
fn encoded(text: &str) -> String {
    let bytes = text.bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

/// Slots of the batches: a minute apart, the last one just over.
const INTERVAL_MS: i64 = 60_000;

pub(super) struct Node {
    pub(super) state: ApiState,
    _directory: tempfile::TempDir,
}

/// A bus with two batches and a gap of switch `a1`.
pub(super) async fn node() -> Node {
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let opened = Bus::open(
        directory.path(),
        BusOptions::default(),
        Arc::clone(&clock),
        Box::new(RealRng::default()),
    );
    let bus = Arc::new(opened.unwrap().0);
    let mut encoder = Encoder::default();
    encoder.add_ids(bus.handle().reserve_ids(1_000).unwrap());
    let (view, plugin) = (resource("a1"), Arc::from("interfaces"));
    let mut cache = PairCache::default();
    let now = clock.wall();
    for slot in [now.0 - 2 * INTERVAL_MS, now.0 - INTERVAL_MS] {
        let batch = batch(SlotMs(slot));
        encoder
            .push_batch(&mut cache, &view.resource, &plugin, &batch)
            .unwrap();
    }
    let gap = Gap::of_slot(
        SlotMs(now.0),
        60_000,
        Epoch::default(),
        GapKind::Timeout.into(),
    );
    let pair = Pair {
        resource: &view.resource,
        plugin: Some(&plugin),
    };
    encoder.push_gap(&mut cache, pair, &gap, now).unwrap();
    let blocks = encoder.seal();
    for block in blocks.definitions {
        bus.handle()
            .try_submit(Lane::Definitions, block)
            .unwrap()
            .await
            .unwrap();
    }
    bus.handle()
        .try_submit(Lane::Data, blocks.data.unwrap())
        .unwrap()
        .await
        .unwrap();
    let view: Arc<dyn NodeView> = Arc::new(Fixed { is_ready: true });
    let state = ApiState {
        view,
        records: RecordSource::new(bus),
        control: crate::control::Control::open().0,
        clock,
    };
    Node {
        state,
        _directory: directory,
    }
}

fn batch(slot: SlotMs) -> Batch {
    let metric = |name: &str| MetricDef {
        name: name.into(),
        unit: String::new(),
    };
    let group = GroupSchema {
        name: "interface".into(),
        interval_ms: 60_000,
        dimensions: vec![DimensionDef {
            name: "interface_name".into(),
            is_key: true,
        }],
        counters: vec![metric("bits_in")],
        gauges: vec![metric("mtu")],
    };
    let mut names = DimensionTable::new(1);
    names.push("lo");
    let mut counter = CounterColumn::default();
    counter.push(6_000, 600, Verdict::Rate);
    let mut gauge = GaugeColumn::default();
    gauge.push_int(1_500);
    Batch {
        slot,
        interval_ms: 60_000,
        epoch: Epoch {
            generation: 1,
            index: 2,
        },
        time: WallMs(slot.0 + 500),
        partial: None,
        schema: Arc::new(Schema::new(vec![group]).unwrap()),
        rows: Arc::new(RowSet {
            groups: vec![names],
        }),
        groups: vec![GroupValues {
            time: vec![WallMs(slot.0 + 400)],
            dt_ms: vec![60_000],
            counters: vec![counter],
            gauges: vec![gauge],
        }],
    }
}

/// A client that reads no authorities of the system: plain HTTP needs none.
pub(super) fn client() -> reqwest::Client {
    ocelli_federation::identity::install_provider();
    let builder = reqwest::Client::builder().tls_certs_only([]);
    builder.build().unwrap()
}

/// Status, content type and text of a scrape.
pub(super) async fn get_accepting(url: String, accept: &str) -> (u16, String, String) {
    let request = client().get(url).header("accept", accept);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (status, content_type, response.text().await.unwrap())
}

/// Runs `ask` against a server of `node`.
pub(super) async fn with_server<T>(node: &Node, ask: impl AsyncFnOnce(String) -> T) -> T {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", tcp.local_addr().unwrap());
    let running = serve(node.state.clone(), plain(tcp)).unwrap();
    let server = actix_rt::spawn(running.server);
    let answer = ask(base).await;
    running.handle.stop(false).await;
    server.await.unwrap().unwrap();
    answer
}

async fn get(url: String) -> (u16, String) {
    let response = client().get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The first `count` lines of a stream that does not end.
async fn lines(url: String, count: usize) -> Vec<String> {
    let mut response = client().get(url).send().await.unwrap();
    let mut text = String::new();
    while text.lines().count() < count || !text.ends_with('\n') {
        let chunk = response.chunk().await.unwrap().expect("the stream goes on");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    text.lines().take(count).map(str::to_owned).collect()
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[actix_rt::test]
async fn a_subscriber_gets_groups_records_and_a_cursor_that_goes_on() {
    let node = node().await;
    with_server(&node, async |base| {
        let groups = lines(format!("{base}/v1/subscribe?from=oldest"), 2).await;
        let group = parse(&groups[0]);
        assert_eq!(group["metrics_group_type"], "interface");
        assert_eq!(group["dimensions"][0]["dimension_value"], "lo");
        let records = lines(format!("{base}/v1/subscribe?from=-1h&format=records"), 6).await;
        let kinds: Vec<Value> = records
            .iter()
            .map(|line| parse(line)["type"].clone())
            .collect();
        assert_eq!(
            kinds,
            ["batch", "cursor", "batch", "cursor", "gap", "cursor"]
        );
        let cursor = parse(&records[1])["cursor"].as_str().unwrap().to_owned();
        let rest = lines(
            format!("{base}/v1/subscribe?format=records&from={cursor}"),
            3,
        )
        .await;
        assert_eq!(parse(&rest[0])["slot_ms"], parse(&records[2])["slot_ms"]);
        assert_eq!(parse(&rest[2])["cause"], "timeout");
        let events = lines(format!("{base}/v1/subscribe?format=sse&from=oldest"), 4).await;
        assert!(
            events[0].starts_with("data: {\"type\":\"batch\""),
            "{}",
            events[0]
        );
        assert!(events[2].starts_with("id: 1~"), "{}", events[2]);
        let ordered = "format=records&from=oldest&order=seq&include=gaps";
        let ordered = lines(format!("{base}/v1/subscribe?{ordered}"), 3).await;
        let seqs: Vec<Value> = ordered
            .iter()
            .map(|line| parse(line)["seq"].clone())
            .collect();
        assert_eq!(seqs, [1, 2, 3]);
        let all = "format=influx&from=oldest&include=gaps";
        let points = lines(format!("{base}/v1/subscribe?{all}"), 3).await;
        let point = "interface,interface_name=lo,resource_class=";
        assert!(points[0].starts_with(point), "{}", points[0]);
        assert!(
            points[1].contains(" bits_in__counter=6000i,bits_in__gauge=10,mtu__gauge=1500i "),
            "{}",
            points[1]
        );
        assert!(
            points[2].starts_with("# {\"type\":\"gap\""),
            "{}",
            points[2]
        );
    })
    .await;
}

#[actix_rt::test]
async fn values_samples_gaps_and_metrics_are_read() {
    let node = node().await;
    with_server(&node, async |base| {
        let (status, text) = get(format!("{base}/v1/values?dimension.interface_name=lo")).await;
        assert_eq!(status, 200, "{text}");
        let items = parse(&text)["items"].as_array().unwrap().clone();
        let metrics: Vec<_> = items.iter().map(|item| item["metric"].clone()).collect();
        assert_eq!(metrics, ["bits_in", "bits_in", "mtu"]);
        assert_eq!(items[1]["value"], 10.0);
        assert!(items[0]["age_ms"].as_i64().unwrap() >= INTERVAL_MS - 400);
        let (_, page) = get(format!("{base}/v1/values?limit=2")).await;
        let all = parse(&get(format!("{base}/v1/values")).await.1);
        let mut after = parse(&page)["next"].as_str().unwrap().to_owned();
        let mut paged = parse(&page)["items"].as_array().unwrap().clone();
        // Each page begins behind the series that the one before ended with.
        for _ in 2..all["items"].as_array().unwrap().len() {
            let after_text = encoded(&after);
            let (_, page) = get(format!("{base}/v1/values?limit=1&after={after_text}")).await;
            paged.extend(parse(&page)["items"].as_array().unwrap().clone());
            after = parse(&page)["next"].as_str().unwrap_or_default().to_owned();
        }
        assert_eq!(after, "", "the last page names no next one");
        let series = |items: &[Value]| -> Vec<Value> {
            let of = |item: &Value| json!([item["resource"], item["dimensions"], item["metric"]]);
            items.iter().map(of).collect()
        };
        assert_eq!(series(&paged), series(all["items"].as_array().unwrap()));
        let (status, text) = get(format!("{base}/v1/values?after=2")).await;
        assert!(
            status == 400 && text.contains("the next of the page"),
            "{text}"
        );
        let (_, samples) = get(format!("{base}/v1/samples?metric=mtu")).await;
        let all: Vec<Value> = samples.lines().map(parse).collect();
        assert_eq!((all.len(), all[2]["type"].as_str()), (3, Some("end")));
        let (_, csv) = get(format!("{base}/v1/samples?metric=mtu&format=csv")).await;
        assert!(csv.lines().count() == 3 && csv.contains(",interface_name=lo,mtu,gauge,1500,"));
        let (_, gaps) = get(format!("{base}/v1/gaps?cause=timeout&open=true")).await;
        assert_eq!(parse(&gaps)["items"][0]["slots"], 1);
        let item = &parse(&gaps)["items"][0];
        let id = item["id"].as_str().unwrap().replace('|', "%7C");
        let (status, one) = get(format!("{base}/v1/gaps/{id}")).await;
        assert_eq!((status, &parse(&one)), (200, item));
        let (status, text) = get(format!("{base}/v1/gaps/none")).await;
        assert!(
            status == 404 && text.contains("no gap \\\"none\\\""),
            "{text}"
        );
        let (_, none) = get(format!("{base}/v1/gaps?cause=auth")).await;
        assert_eq!(parse(&none)["items"].as_array().unwrap().len(), 0);
        let (_, grouped) = get(format!("{base}/v1/gaps?group_by=cause")).await;
        assert_eq!(parse(&grouped)["items"][0]["cause"], "timeout");
        let (status, devices) = get(format!("{base}/v1/metrics")).await;
        assert!(
            status == 200 && devices.contains("interface_bits_in_rate"),
            "{devices}"
        );
        let (_, own) = get(format!("{base}/metrics")).await;
        assert!(own.contains("ocelli_bus_appended_blocks_total 2"), "{own}");
    })
    .await;
}

#[actix_rt::test]
async fn what_cannot_be_read_is_refused_with_a_hint() {
    let node = node().await;
    with_server(&node, async |base| {
        let check = async |path: &str, expected: &str| {
            let (status, text) = get(format!("{base}{path}")).await;
            let error = &parse(&text)["error"];
            assert_eq!(status, 400, "{path}: {text}");
            assert!(
                error["message"].as_str().unwrap().contains(expected),
                "{path}: {text}"
            );
            assert!(!error["hint"].as_str().unwrap().is_empty(), "{path}");
        };
        check("/v1/subscribe?from=yesterday", "cursor").await;
        check("/v1/subscribe?from=1~0000000000000000", "another filter").await;
        check("/v1/subscribe?include=rain", "rain").await;
        check("/v1/subscribe?mode=slow", "mode").await;
        check("/v1/subscribe?filter=resource_id%20LIKE", "line 1").await;
        check("/v1/values?colour=red", "colour").await;
        check("/v1/samples?from=soon", "from").await;
        check("/v1/gaps?group_by=weather", "weather").await;
        check("/v1/gaps?open=maybe", "open").await;
        check("/v1/gaps?cause=tiemout", "tiemout").await;
        check("/v1/gaps?fields=casue", "casue").await;
    })
    .await;
}

#[actix_rt::test]
async fn a_body_that_is_too_large_is_an_error_like_all_others() {
    let node = node().await;
    with_server(&node, async |base| {
        let request = client().post(format!("{base}/v1/subscribe"));
        let response = request
            .body(vec![b'1'; body::BODY_BYTES_MAX + 1])
            .send()
            .await;
        let response = response.unwrap();
        assert_eq!(response.status().as_u16(), 413);
        let error = parse(&response.text().await.unwrap())["error"].clone();
        assert_eq!(error["code"], "body_too_large");
        assert!(error["message"].as_str().unwrap().contains("1048576"));
        assert!(!error["hint"].as_str().unwrap().is_empty());
    })
    .await;
}

/// Nobody waits: each deadline is over at once.
struct Hurried;

impl Clock for Hurried {
    fn monotonic(&self) -> ocelli_model::clock::Monotonic {
        RealClock.monotonic()
    }

    fn wall(&self) -> WallMs {
        RealClock.wall()
    }

    fn sleep_until(&self, _: ocelli_model::clock::Monotonic) -> ocelli_model::clock::Sleep {
        Box::pin(std::future::ready(()))
    }
}

/// What comes back for `request`, byte for byte.
async fn raw(base: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = request.replace("HOST", address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[actix_rt::test]
async fn a_body_that_does_not_come_is_cut_off() {
    let mut node = node().await;
    node.state.clock = Arc::new(Hurried);
    with_server(&node, async |base| {
        let head = "POST /v1/subscribe HTTP/1.1\r\nHost: HOST\r\nContent-Length: 9\r\n\r\n1~";
        let answer = raw(&base, head).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("\"body_timeout\""), "{answer}");
    })
    .await;
}

#[actix_rt::test]
async fn a_head_is_answered_as_its_get_without_the_body() {
    let node = node().await;
    with_server(&node, async |base| {
        let ask = async |path: &str| {
            let head = format!("HEAD {path} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n");
            raw(&base, &head).await
        };
        for path in ["/livez", "/v1/gaps", "/metrics"] {
            let answer = ask(path).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{path}: {answer}");
        }
        let answer = ask("/v1/subscribe").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    })
    .await;
}
