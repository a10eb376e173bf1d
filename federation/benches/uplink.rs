//! May one link carry 1 M samples/s on 0.06 core a side, the receiver's fsync included?
//!
//! Does: append 1 M samples/s at a site (interface batches of 1,056 samples, then batches of 8),
//! send them by the real uplink over QUIC into a region in another process with its bus and fsync;
//! beside it a raw quinn stream of the same bytes, and the same samples as Panoptes JSON over HTTP
//! without TLS. Prints CPU a side and UDP payload bytes a sample.
//! Does not: measure the site's own append (`append` of the bus does). In: seconds as the first
//! argument. Out: lines for people. The sender's CPU is that of the thread of its link.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads real clocks and paces itself"
)]
#![expect(clippy::cast_possible_truncation, reason = "figures of a bench")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ocelli_federation::identity::SERVER_NAME;
use ocelli_federation::link::Link;
use ocelli_model::batch::Batch;
use ocelli_model::tier::Tier;
use serde_json::{Value, json};
use support::cards::{Authority, Card};
use support::feed::{Feed, Kind, TICK};
use support::node::{Node, Who, bus_options};
use support::tier::{self, Region};
use support::{directory, load, process_cpu, thread_cpu};
use tokio::sync::{mpsc, oneshot};

const SAMPLES_PER_SECOND: f64 = 1e6;
const SITE: &str = "dc1";
/// Before figures are taken: definitions are up and QUIC knows its line.
const WARM: Duration = Duration::from_secs(2);
/// JSON goes at a tenth of the rate, since no core carries it all; its CPU is told for 1 M.
const JSON_SHARE: f64 = 0.1;

/// What a way of sending costs at 1 M samples/s.
struct Cost {
    sender: f64,
    receiver: f64,
    bytes_per_sample: f64,
    samples_per_second: f64,
}

impl Cost {
    fn print(&self, name: &str) {
        println!(
            "  {name:<22} sender {:.4} core, receiver {:.4} core, {:.2} B a sample ({:.2} M/s)",
            self.sender,
            self.receiver,
            self.bytes_per_sample,
            self.samples_per_second / 1e6
        );
    }
}

/// Asks a thread for its CPU time.
type Question = oneshot::Sender<(Duration, u64)>;

/// The thread of a site's link: dials, sends, answers questions with its CPU and bytes sent.
fn link_thread(node: Arc<Node>, to: SocketAddr) -> mpsc::Sender<Question> {
    let (ask, mut questions) = mpsc::channel::<Question>(1);
    std::thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(async {
            let (endpoint, _offers) = node.endpoint(0);
            let link = node.dial(&endpoint, to).await;
            let (up, on) = (Arc::clone(&link), Arc::clone(&node));
            let uplink = tokio::spawn(async move { on.uplink(up).await });
            while let Some(question) = questions.recv().await {
                let bytes = link.statistics().bytes_sent;
                question.send((thread_cpu(), bytes)).unwrap();
            }
            uplink.abort();
            drop(link);
            endpoint.shutdown(Duration::from_secs(2)).await;
        });
    });
    ask
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn asked(ask: &mpsc::Sender<Question>) -> (Duration, u64) {
    let (question, answer) = oneshot::channel();
    ask.send(question).await.unwrap();
    answer.await.unwrap()
}

fn link_cost(kind: Kind, time: Duration) -> Cost {
    let authority = Authority::new();
    let root = directory();
    let mut region = region(&authority, root.path(), "node");
    let site = Who::new(Tier::Site, SITE);
    let card = authority.card(&site.uri());
    let node = Node::open(&root.path().join("site"), site, card, bus_options());
    let ask = link_thread(Arc::clone(&node), region.address());
    let batches_per_second = SAMPLES_PER_SECOND / kind.samples() as f64;
    runtime().block_on(async {
        let mut feed = Feed::new(&node.bus, SITE, kind);
        feed.run(&node.bus, batches_per_second, WARM).await;
        let (before, began) = (asked(&ask).await, Instant::now());
        let below = region.facts().cpu;
        let batches = feed.run(&node.bus, batches_per_second, time).await;
        let (after, took) = (asked(&ask).await, began.elapsed().as_secs_f64());
        let above = region.facts().cpu;
        feed.append(&node.bus, 1).await.await.unwrap();
        while node.acknowledged() < node.highest() {
            tokio::time::sleep(TICK).await;
        }
        let samples = (batches as usize * kind.samples()) as f64;
        let per_million = SAMPLES_PER_SECOND / (samples / took) / took;
        Cost {
            sender: (after.0 - before.0).as_secs_f64() * per_million,
            receiver: (above - below).as_secs_f64() * per_million,
            bytes_per_sample: (after.1 - before.1) as f64 / samples,
            samples_per_second: samples / took,
        }
    })
}

fn region(authority: &Authority, root: &Path, role: &str) -> Region {
    let folder = root.join("region");
    std::fs::create_dir(&folder).unwrap();
    authority.card(&tier::who().uri()).write(&folder);
    Region::start_as(&folder, 0, role)
}

// === The same bytes over a raw stream ===

fn raw_cost(bytes_per_second: f64, time: Duration) -> Cost {
    let authority = Authority::new();
    let root = directory();
    let mut region = region(&authority, root.path(), "raw");
    let card = authority.card("ocelli://bench/site/dc1/a");
    let address = region.address();
    let (cpu, bytes, took, received) = runtime().block_on(async {
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(Arc::new(card.client()));
        let config = quinn::ClientConfig::new(Arc::new(tls.unwrap()));
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let connecting = endpoint.connect_with(config, address, SERVER_NAME);
        let connection = connecting.unwrap().await.unwrap();
        let mut stream = connection.open_uni().await.unwrap();
        let zeros = bytes::Bytes::from(vec![0x5a; 1 << 20]);
        let (began, cpu, before) = (Instant::now(), thread_cpu(), region.facts().cpu);
        let mut sent = 0;
        while began.elapsed() < time {
            let due = (began.elapsed().as_secs_f64() * bytes_per_second) as usize;
            let piece = zeros.slice(..due.saturating_sub(sent).min(zeros.len()));
            sent += piece.len();
            stream.write_chunk(piece).await.unwrap();
            tokio::time::sleep(TICK).await;
        }
        let took = began.elapsed().as_secs_f64();
        let received = region.facts().cpu - before;
        let bytes = connection.stats().udp_tx.bytes;
        (thread_cpu() - cpu, bytes, took, received)
    });
    let samples = SAMPLES_PER_SECOND * took;
    Cost {
        sender: cpu.as_secs_f64() / took,
        receiver: received.as_secs_f64() / took,
        bytes_per_sample: bytes as f64 / samples,
        samples_per_second: SAMPLES_PER_SECOND,
    }
}

fn live_raw(folder: &Path) {
    let card = Card::read(folder);
    runtime().block_on(async {
        let tls = quinn::crypto::rustls::QuicServerConfig::try_from(Arc::new(card.server()));
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls.unwrap()));
        let endpoint = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        tier::say_ready(endpoint.local_addr().unwrap().port());
        let reading = async {
            let connection = endpoint.accept().await.unwrap().await.unwrap();
            let mut stream = connection.accept_uni().await.unwrap();
            let mut buffer = vec![0; 256 << 10];
            while let Ok(Some(_)) = stream.read(&mut buffer).await {}
            // Figures are asked for after the last byte too.
            std::future::pending::<()>().await;
        };
        let mut orders = tier::orders();
        let answering = async {
            while orders.recv().await.is_some() {
                tier::say_facts(0);
            }
        };
        tokio::select! {
            () = reading => {}
            () = answering => {}
        }
    });
}

// === The same samples as JSON over HTTP ===

/// One Panoptes metrics group a row, as its exporters send them: an array a batch.
fn groups_of(batch: &Batch, resource: &Value) -> Vec<u8> {
    let (schema, values) = (&batch.schema.groups[0], &batch.groups[0]);
    let dimensions = batch.rows.groups[0].clone();
    let metric = |name: &str, value: Value, kind: &str, row: usize| {
        json!({"metric_creation_timestamp": values.time[row].0 as f64 / 1e3, "metric_name": name,
               "metric_value": value, "metric_type": kind})
    };
    let group = |row: usize| {
        let counters = schema.counters.iter().zip(&values.counters);
        let counters =
            counters.map(|(def, column)| (&def.name, column.values[row].into(), "counter"));
        let gauges = schema.gauges.iter().zip(&values.gauges);
        let gauges = gauges.map(|(def, column)| (&def.name, json!(column.get(row)), "gauge"));
        let metrics = counters.chain(gauges);
        let metrics: Vec<_> = metrics
            .map(|(name, value, kind)| metric(name, value, kind, row))
            .collect();
        let names = schema.dimensions.iter().enumerate();
        let dimensions: Vec<_> = names
            .map(|(at, def)| {
                let value = dimensions.get(row, at);
                json!({"dimension_name": &*def.name, "dimension_value": value})
            })
            .collect();
        json!({"metrics_group_type": &*schema.name, "metrics_group_interval": 60,
               "metrics_group_creation_timestamp": batch.time.0 as f64 / 1e3,
               "metrics_group_schema_version": "0.2", "resource": resource, "metrics": metrics,
               "dimensions": dimensions})
    };
    let groups: Vec<_> = (0..values.time.len()).map(group).collect();
    serde_json::to_vec(&groups).unwrap()
}

fn resource_json(number: usize) -> Value {
    json!({"resource_site": SITE, "resource_class": "network", "resource_subclass": "switch",
           "resource_type": "generic", "resource_id": format!("sw{number}"),
           "resource_endpoint": "10.0.0.1", "resource_plugin": "bench",
           "resource_creation_timestamp": 0.0, "resource_metadata": {"_resource_ttl": "900"}})
}

fn json_cost(kind: Kind, time: Duration) -> Cost {
    let root = directory();
    let mut region = Region::start_as(root.path(), 0, "http");
    let batches = kind.batches();
    let resources: Vec<_> = (0..batches.len()).map(resource_json).collect();
    let mut stream = TcpStream::connect(region.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let rate = SAMPLES_PER_SECOND * JSON_SHARE / kind.samples() as f64;
    let (began, cpu, before) = (Instant::now(), process_cpu(), region.facts().cpu);
    let (mut sent, mut bytes) = (0, 0);
    while began.elapsed() < time {
        if (began.elapsed().as_secs_f64() * rate) as usize <= sent {
            std::thread::sleep(TICK);
            continue;
        }
        let at = sent % batches.len();
        let body = groups_of(&batches[at], &resources[at]);
        let head = format!(
            "POST /groups HTTP/1.1\r\nHost: region\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        bytes += head.len() + body.len();
        // "HTTP/1.1 204 No Content" and an empty line.
        for _ in 0..2 {
            answers.read_line(&mut String::new()).unwrap();
        }
        sent += 1;
    }
    let samples = (sent * kind.samples()) as f64;
    Cost {
        sender: (process_cpu() - cpu).as_secs_f64() / samples * SAMPLES_PER_SECOND,
        receiver: (region.facts().cpu - before).as_secs_f64() / samples * SAMPLES_PER_SECOND,
        bytes_per_sample: bytes as f64 / samples,
        samples_per_second: samples / began.elapsed().as_secs_f64(),
    }
}

/// Reads requests, parses their groups, answers; stores nothing.
fn live_http() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    tier::say_ready(listener.local_addr().unwrap().port());
    let groups = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&groups);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut requests = BufReader::with_capacity(256 << 10, stream.try_clone().unwrap());
        while let Some(body) = body_of(&mut requests) {
            let parsed: Vec<Value> = serde_json::from_slice(&body).unwrap();
            counted.fetch_add(parsed.len() as u64, Ordering::Relaxed);
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .unwrap();
        }
    });
    let mut orders = tier::orders();
    while orders.blocking_recv().is_some() {
        tier::say_facts(0);
    }
}

fn body_of(requests: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    requests.read_exact(&mut body).ok()?;
    Some(body)
}

fn main() {
    match tier::role() {
        Some((role, folder, _)) if role == "raw" => return live_raw(&folder),
        Some((role, _, _)) if role == "http" => return live_http(),
        Some((_, folder, port)) => return tier::live(&folder, port),
        None => {}
    }
    let seconds = std::env::args().find_map(|one| one.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(10));
    println!("1 M samples/s for {time:?}, load {}", load());
    for (kind, target) in [(Kind::Interfaces, 0.06), (Kind::Small, 0.3)] {
        println!("batches of {} samples:", kind.samples());
        let link = link_cost(kind, time);
        link.print("link, fsync above");
        let raw = raw_cost(link.bytes_per_sample * SAMPLES_PER_SECOND, time);
        raw.print("raw stream, no disk");
        let json = json_cost(kind, time);
        json.print("JSON over HTTP, parsed");
        println!(
            "| link, 1 M samples/s in batches of {} | ≤ {target} core a side, ≤ 3.6 B a sample | \
             {:.3} core sent, {:.3} received with fsync, {:.2} B; raw stream {:.3} and {:.3}; \
             JSON {:.1} and {:.1} cores, {:.0} B |",
            kind.samples(),
            link.sender,
            link.receiver,
            link.bytes_per_sample,
            raw.sender,
            raw.receiver,
            json.sender,
            json.receiver,
            json.bytes_per_sample,
        );
    }
}
