//! Tests of subscriptions over real QUIC and a real bus: scopes, cursors, slow askers, refusals.

use bytes::Bytes;
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::Encoder;
use ocelli_bus::read::{Cursor, LineFormat, Mode, StartFrom};
use ocelli_bus::record::Lane;
use ocelli_bus::{Bus, BusOptions};
use ocelli_model::resource::{Resource, ResourceFields};
use serde_json::Value;

use super::*;
use crate::frame::Request;
use crate::identity::test_mesh::Counter;
use crate::link::CloseCode;
use crate::link::bed::{Node, linked, two_nodes};
use crate::subscribe::{FollowError, RemoteSubscription, SILENCE_MAX};
use switches::{Mix, switch_batch_of};

#[path = "../../../bus/tests/support/switches.rs"]
#[allow(dead_code, reason = "shared with tests that need every mix")]
mod switches;

/// A region's records: a switch of dc1 and one of dc2.
struct Region {
    bus: Arc<Bus>,
    encoder: Encoder,
    pairs: Vec<(Arc<Resource>, PairCache)>,
    server: Arc<SubscriptionServer>,
    _directory: tempfile::TempDir,
}

fn switch_of(site: &str) -> Arc<Resource> {
    let fields = ResourceFields {
        identity: [site, "network", "switch", "generic", "sw1"].map(str::to_owned),
        endpoint: "sw1".to_owned(),
        plugin: "by-hand".to_owned(),
        ..ResourceFields::default()
    };
    Arc::new(Resource::new(fields).unwrap())
}

impl Region {
    fn new(node: &Node, subscriptions_max: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::clone(&node.clock);
        let (root, rng) = (directory.path(), Box::new(Counter(7)));
        let options = BusOptions {
            spare_space_bytes: 0,
            low_space_bytes: 0,
            ..BusOptions::default()
        };
        let (bus, _) = Bus::open(root, options, clock.clone(), rng).unwrap();
        let bus = Arc::new(bus);
        let mut encoder = Encoder::default();
        encoder.add_ids(bus.handle().reserve_ids(50_000).unwrap());
        let records = RecordSource::new(Arc::clone(&bus));
        Self {
            bus,
            encoder,
            pairs: ["dc1", "dc2"]
                .map(|site| (switch_of(site), PairCache::default()))
                .into(),
            server: SubscriptionServer::new(records, clock, subscriptions_max),
            _directory: directory,
        }
    }

    /// A batch of each switch.
    async fn poll(&mut self, tick: u64) {
        let batch = switch_batch_of(48, Mix::Busy, tick);
        let plugin = Arc::from("interfaces");
        for (resource, cache) in &mut self.pairs {
            self.encoder
                .push_batch(cache, resource, &plugin, &batch)
                .unwrap();
        }
        let blocks = self.encoder.seal();
        let definitions = blocks.definitions.into_iter();
        let definitions = definitions.map(|block| (Lane::Definitions, block));
        let data = blocks.data.map(|block| (Lane::Data, block));
        for (lane, block) in definitions.chain(data) {
            let handle = self.bus.handle();
            handle.submit(lane, block).await.unwrap().await.unwrap();
        }
    }

    fn serve_link(&self, link: &Arc<QuicLink>) -> tokio::task::JoinHandle<Closed> {
        tokio::spawn(Arc::clone(&self.server).serve_link(Arc::clone(link)))
    }
}

fn oldest() -> Question {
    Question {
        from: StartFrom::Oldest,
        ..Question::default()
    }
}

fn request_of(question: &Question) -> (Request, RequestLimits) {
    let request = Request {
        kind: RequestKind::Subscribe,
        body: question.encode(),
    };
    let limits = RequestLimits {
        bytes_max: u64::MAX,
        piece_time_max: SILENCE_MAX,
    };
    (request, limits)
}

/// Site and seq of a batch, or the text of a cursor.
#[derive(Debug, PartialEq)]
enum Told {
    Batch(String, u64),
    Cursor(String),
}

fn told(line: &[u8]) -> Told {
    let line: Value = serde_json::from_slice(line).unwrap();
    match line["type"].as_str().unwrap() {
        "cursor" => Told::Cursor(line["cursor"].as_str().unwrap().to_owned()),
        "batch" => {
            let resource = line["resource"].as_str().unwrap();
            assert_eq!(line["groups"][0]["rows"].as_array().unwrap().len(), 48);
            let site = resource.split('/').next().unwrap().to_owned();
            Told::Batch(site, line["seq"].as_u64().unwrap())
        }
        other => panic!("{other}"),
    }
}

/// Reads until so many batches came: them, and the cursor after the last.
async fn read(from: &mut RemoteSubscription, count: usize) -> (Vec<(String, u64)>, String) {
    let (mut batches, mut cursor) = (Vec::new(), String::new());
    while batches.len() < count || cursor.is_empty() {
        match told(&from.next_line().await.unwrap().unwrap()) {
            Told::Batch(site, seq) => {
                batches.push((site, seq));
                cursor.clear();
            }
            Told::Cursor(text) => cursor = text,
        }
    }
    (batches, cursor)
}

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    let named = pairs.iter().map(|(site, seq)| ((*site).to_owned(), *seq));
    named.collect()
}

#[tokio::test]
async fn a_site_reads_its_own_records_at_its_region_and_goes_on_by_cursor() {
    let (_, mut node, site) = two_nodes();
    let mut region = Region::new(&node, 8);
    let (down, up) = linked(&mut node, &site).await;
    let serving = region.serve_link(&up);
    region.poll(1).await;
    region.poll(2).await;
    let mut asked = RemoteSubscription::begin(&down, &oldest()).await.unwrap();
    let (batches, cursor) = read(&mut asked, 2).await;
    assert_eq!(batches, named(&[("dc1", 1), ("dc1", 3)]), "dc2 is not its");
    region.poll(3).await;
    assert_eq!(read(&mut asked, 1).await.0, named(&[("dc1", 5)]), "live");
    drop(asked);
    let question = Question {
        from: StartFrom::Cursor(cursor.parse::<Cursor>().unwrap()),
        ..Question::default()
    };
    let mut asked = RemoteSubscription::begin(&down, &question).await.unwrap();
    assert_eq!(read(&mut asked, 1).await.0, named(&[("dc1", 5)]));
    down.close(CloseCode::Done, "over");
    serving.await.unwrap();
    let error = asked.next_line().await.unwrap_err();
    let is_closed = matches!(error, FollowError::Request(RequestError::Closed(_)));
    assert!(is_closed, "{error}");
}

#[tokio::test]
async fn subscribers_of_one_selection_get_each_their_own_format() {
    let (_, mut node, site) = two_nodes();
    let mut region = Region::new(&node, 8);
    let (down, up) = linked(&mut node, &site).await;
    let serving = region.serve_link(&up);
    let mut asked = Vec::new();
    for (_, format) in LineFormat::ALL {
        let question = Question {
            format,
            cursors: false,
            ..oldest()
        };
        asked.push(RemoteSubscription::begin(&down, &question).await.unwrap());
    }
    region.poll(1).await;
    let mut lines = Vec::new();
    for asked in &mut asked {
        let line = asked.next_line().await.unwrap().unwrap();
        lines.push(String::from_utf8(line.into()).unwrap());
    }
    let [ndjson, records, sse, influx] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(ndjson.starts_with("{\"metrics_group_type\":"), "{ndjson}");
    assert!(records.starts_with("{\"type\":\"batch\""), "{records}");
    assert_eq!(sse.strip_prefix("data: "), Some(records.as_str()));
    assert!(influx.starts_with("interface,"), "{influx}");
    let separator = asked[2].next_line().await.unwrap().unwrap();
    assert!(separator.is_empty(), "an event ends with an empty line");
    down.close(CloseCode::Done, "over");
    serving.await.unwrap();
}

#[tokio::test]
async fn filter_and_projection_hold_at_the_serving_node() {
    let (_, mut node, site) = two_nodes();
    let mut region = Region::new(&node, 8);
    let (down, up) = linked(&mut node, &site).await;
    region.poll(1).await;
    let mut question = oldest();
    question.filter = Some("resource_site = \"dc2\"".parse().unwrap());
    question.projection.metrics = vec!["bits_in".to_owned()];
    let serve = async {
        let request = up.accept_request().await.unwrap();
        region.server.serve(request, &SiteScope::Every).await
    };
    let ask = async {
        let mut asked = RemoteSubscription::begin(&down, &question).await.unwrap();
        asked.next_line().await.unwrap().unwrap()
    };
    let (served, line) = tokio::join!(serve, ask);
    assert!(matches!(served, Served::Left), "{served:?}");
    assert_eq!(told(&line), Told::Batch("dc2".to_owned(), 2));
    let line: Value = serde_json::from_slice(&line).unwrap();
    let counters = line["groups"][0]["rows"][0]["counters"].as_object();
    let names: Vec<_> = counters.unwrap().keys().collect();
    assert_eq!(names, ["bits_in"]);
}

#[tokio::test]
async fn an_asker_that_does_not_read_delays_nobody_and_is_let_go() {
    let (_, mut node, site) = two_nodes();
    let mut region = Region::new(&node, 8);
    let (down, up) = linked(&mut node, &site).await;
    // More than the window of a stream holds, so that the serving side has to wait.
    for tick in 1..=60 {
        region.poll(tick).await;
    }
    let (request, limits) = request_of(&oldest());
    let slow = down.open_request(&request, limits).await.unwrap();
    let request = up.accept_request().await.unwrap();
    let server = Arc::clone(&region.server);
    let serving = tokio::spawn(async move { server.serve(request, &SiteScope::Every).await });
    let rest = region.serve_link(&up);
    let mut quick = RemoteSubscription::begin(&down, &oldest()).await.unwrap();
    let (batches, _) = read(&mut quick, 60).await;
    assert_eq!(batches.last(), named(&[("dc1", 119)]).last());
    region.poll(61).await;
    assert_eq!(read(&mut quick, 1).await.0, named(&[("dc1", 121)]));
    assert!(!serving.is_finished(), "the slow asker is still waited for");
    node.clock.advance(TAKEN_WITHIN);
    let served = serving.await.unwrap();
    let is_let_go = matches!(served, Served::Lost(RequestError::Timeout(_)));
    assert!(is_let_go, "{served:?}");
    drop(slow);
    region.poll(62).await;
    assert_eq!(read(&mut quick, 1).await.0, named(&[("dc1", 123)]));
    down.close(CloseCode::Done, "over");
    rest.await.unwrap();
}

#[tokio::test]
async fn a_quiet_subscription_shows_that_the_node_lives() {
    let (_, mut node, site) = two_nodes();
    let region = Region::new(&node, 8);
    let (down, up) = linked(&mut node, &site).await;
    let _serving = region.serve_link(&up);
    let (request, limits) = request_of(&Question::default());
    let mut asked = down.open_request(&request, limits).await.unwrap();
    let alive = Some(Piece::Item(Bytes::from_static(b"\n")));
    let understood = asked.receive().await.unwrap();
    assert_eq!(understood, alive);
    let next = asked.receive();
    tokio::pin!(next);
    loop {
        // The serving task may not have begun to wait yet.
        node.clock.advance(ALIVE_EVERY);
        tokio::select! {
            piece = &mut next => break assert_eq!(piece.unwrap(), alive),
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_its_reason() {
    let (_, mut node, site) = two_nodes();
    let region = Region::new(&node, 1);
    let (down, up) = linked(&mut node, &site).await;
    let _serving = region.serve_link(&up);
    let refusal = async |kind: RequestKind, body: Vec<u8>| {
        let (_, limits) = request_of(&Question::default());
        let asked = down.open_request(&Request { kind, body }, limits).await;
        match asked.unwrap().receive().await {
            Err(RequestError::Failed { code, reason }) => (code, reason),
            other => panic!("{other:?}"),
        }
    };
    let subscribe = RequestKind::Subscribe;
    let of_other = Question {
        from: StartFrom::Cursor(Cursor::default()),
        ..Question::default()
    };
    let both = Question {
        is_in_order: true,
        mode: Mode::Latest,
        ..Question::default()
    };
    let sign = RequestKind::SignCertificate;
    for (kind, body, code, reason) in [
        (subscribe, b"what?".to_vec(), 400, "malformed"),
        (subscribe, both.encode(), 400, "leave one out"),
        (subscribe, of_other.encode(), 400, "another filter"),
        (sign, Vec::new(), 501, "SignCertificate"),
    ] {
        let (found, text) = refusal(kind, body).await;
        assert_eq!(found, code, "{text}");
        assert!(text.contains(reason), "{text}");
    }
    let _only = RemoteSubscription::begin(&down, &oldest()).await.unwrap();
    let (code, text) = refusal(subscribe, oldest().encode()).await;
    assert_eq!(code, 429, "{text}");
}

#[tokio::test]
async fn what_is_no_line_ends_the_following_with_its_reason() {
    let (_, mut node, site) = two_nodes();
    let (down, up) = linked(&mut node, &site).await;
    let alive = || Piece::Item(Bytes::from_static(b"\n"));
    let ask = async || {
        let (question, limits) = (oldest(), request_of(&oldest()).1);
        let begin = RemoteSubscription::begin(&down, &question);
        let serve = async {
            let (_, mut stream) = up.accept_request().await.unwrap().accept(limits);
            stream.send(alive()).await.unwrap();
            stream
        };
        let (asked, stream) = tokio::join!(begin, serve);
        (asked.unwrap(), stream)
    };
    let (mut asked, mut stream) = ask().await;
    let block = Piece::Block(Bytes::from_static(b"x"));
    stream.send(block).await.unwrap();
    let error = asked.next_line().await.unwrap_err();
    assert!(matches!(error, FollowError::Block), "{error}");

    let (mut asked, mut stream) = ask().await;
    for part in [&b"one\n\ntw"[..], b"o", b"\nrest"] {
        let part = Bytes::from_static(part);
        stream.send(Piece::Item(part)).await.unwrap();
    }
    stream.end(&Trailer::Done).await.unwrap();
    for expected in [Some("one"), Some("two"), None] {
        let line = asked.next_line().await.unwrap();
        assert_eq!(line, expected.map(Bytes::from));
    }

    let (mut asked, mut stream) = ask().await;
    let endless = tokio::spawn(async move {
        let part = Bytes::from(vec![b'x'; 1 << 20]);
        while stream.send(Piece::Item(part.clone())).await.is_ok() {}
    });
    let error = asked.next_line().await.unwrap_err();
    assert!(matches!(error, FollowError::LongLine(_)), "{error}");
    drop(asked);
    endless.await.unwrap();
}
