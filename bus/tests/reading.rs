//! Subscriptions over a real log: filters, cursors, last values, conflation, lines.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is the report"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ocelli_bus::block::Stamp;
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::disk::{Disk, RealDisk};
use ocelli_bus::encoder::{Encoder, Pair};
use ocelli_bus::payload::Payload;
use ocelli_bus::read::{
    Cursor, Include, Item, LineFormat, Mode, RecordRenderer, RecordSource, Selection, StartFrom,
    Subscription, SubscriptionError, SubscriptionRequest, render_cursor,
};
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{Bus, BusStatus, DiskState, ForeignBlock, LastKind, VOLATILE_MAX};
use ocelli_model::clock::WallMs;
use ocelli_model::event::{EventFacts, Severity};
use ocelli_model::gap::{Gap, GapKind};
use ocelli_model::panoptes::Projection;
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::slot::{Epoch, SlotMs};
use support::{FaultyDisk, events, open_on, quick_dir, runtime, small_options};
use switches::{Mix, switch_batch_of};

#[path = "support/switches.rs"]
mod switches;

struct Node {
    bus: Arc<Bus>,
    source: Arc<RecordSource>,
    encoder: Encoder,
    pairs: Vec<(Arc<Resource>, PairCache)>,
    plugin: Arc<str>,
    _directory: tempfile::TempDir,
}

fn resource(name: &str) -> Arc<Resource> {
    let fields = ResourceFields {
        identity: ["dc1", "network", "switch", "generic", name].map(str::to_owned),
        endpoint: name.to_owned(),
        plugin: "by-hand".to_owned(),
        ..ResourceFields::default()
    };
    Arc::new(Resource::new(fields).unwrap())
}

impl Node {
    fn new() -> Self {
        Self::on(Arc::new(RealDisk))
    }

    fn on(disk: Arc<dyn Disk>) -> Self {
        let directory = quick_dir();
        let (bus, ..) = open_on(directory.path(), small_options(), disk);
        let bus = Arc::new(bus);
        let mut encoder = Encoder::default();
        encoder.add_ids(bus.handle().reserve_ids(50_000).unwrap());
        Self {
            source: RecordSource::new(Arc::clone(&bus)),
            bus,
            encoder,
            pairs: ["sw1", "sw2"]
                .map(|name| (resource(name), PairCache::default()))
                .into(),
            plugin: Arc::from("interfaces"),
            _directory: directory,
        }
    }

    /// One batch of each switch, in one block.
    async fn poll(&mut self, tick: u64) {
        let batch = switch_batch_of(3, Mix::Busy, tick);
        for (resource, cache) in &mut self.pairs {
            self.encoder
                .push_batch(cache, resource, &self.plugin, &batch)
                .unwrap();
        }
        self.commit().await;
    }

    async fn commit(&mut self) {
        let blocks = self.encoder.seal();
        for block in blocks.definitions {
            self.bus
                .handle()
                .try_submit(Lane::Definitions, block)
                .unwrap()
                .await
                .unwrap();
        }
        if let Some(block) = blocks.data {
            self.bus
                .handle()
                .try_submit(Lane::Data, block)
                .unwrap()
                .await
                .unwrap();
        }
    }

    fn subscribe(&self, request: SubscriptionRequest) -> Subscription {
        Subscription::begin(&self.source, request).unwrap()
    }
}

fn of_resource(name: &str) -> Selection {
    let filter = format!("resource_id = \"{name}\"").parse().unwrap();
    Selection::new(Some(filter), Projection::default())
}

/// (resource, tick) of every batch held.
async fn held(subscription: &mut Subscription) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    while let Some(item) = subscription.next_held().await.unwrap() {
        if let Item::Record(record) = item
            && let Payload::Batch(batch) = &record.payload
        {
            let tick = (batch.slot.0 - switch_batch_of(1, Mix::Office, 0).slot.0) / 60_000;
            let name = record.resource.as_ref().unwrap().id().id().to_owned();
            found.push((name, u64::try_from(tick).unwrap()));
        }
    }
    found
}

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs
        .iter()
        .map(|(name, tick)| ((*name).to_owned(), *tick))
        .collect()
}

#[test]
fn a_subscriber_gets_what_its_filter_picks_and_goes_on_from_its_cursor() {
    runtime().block_on(async {
        let mut node = Node::new();
        node.poll(0).await;
        let request = SubscriptionRequest {
            selection: of_resource("sw2"),
            from: StartFrom::Oldest,
            ..SubscriptionRequest::default()
        };
        let mut first = node.subscribe(request.clone());
        assert_eq!(held(&mut first).await, named(&[("sw2", 0)]));
        let text = first.cursor().to_string();
        drop(first);
        node.poll(1).await;
        let cursor: Cursor = text.parse().unwrap();
        let request = SubscriptionRequest {
            from: StartFrom::Cursor(cursor),
            ..request
        };
        let mut second = node.subscribe(request);
        assert_eq!(
            held(&mut second).await,
            named(&[("sw2", 1)]),
            "neither lost nor twice"
        );
    });
}

#[test]
fn a_cursor_covers_exactly_what_was_handed_out() {
    runtime().block_on(async {
        let mut node = Node::new();
        node.poll(0).await;
        node.poll(1).await;
        let request = SubscriptionRequest {
            from: StartFrom::Oldest,
            ..SubscriptionRequest::default()
        };
        let mut first = node.subscribe(request.clone());
        // The first of two batches of one block, and then the connection breaks.
        assert!(matches!(first.next().await.unwrap(), Item::Record(_)));
        let cursor = first.cursor();
        let request = SubscriptionRequest {
            from: StartFrom::Cursor(cursor),
            ..request
        };
        let mut second = node.subscribe(request);
        let rest = named(&[("sw2", 0), ("sw1", 1), ("sw2", 1)]);
        assert_eq!(held(&mut second).await, rest);
    });
}

#[test]
fn from_now_leaves_out_what_was_before_also_after_a_resume() {
    runtime().block_on(async {
        let mut node = Node::new();
        node.poll(0).await;
        let mut first = node.subscribe(SubscriptionRequest::default());
        node.poll(1).await;
        assert_eq!(held(&mut first).await, named(&[("sw1", 1), ("sw2", 1)]));
        let from = StartFrom::Cursor(first.cursor());
        node.poll(2).await;
        let request = SubscriptionRequest {
            from,
            ..SubscriptionRequest::default()
        };
        let mut second = node.subscribe(request);
        assert_eq!(held(&mut second).await, named(&[("sw1", 2), ("sw2", 2)]));
    });
}

#[test]
fn a_cursor_of_another_selection_needs_rebase() {
    runtime().block_on(async {
        let mut node = Node::new();
        node.poll(0).await;
        let mut first = node.subscribe(SubscriptionRequest {
            selection: of_resource("sw1"),
            from: StartFrom::Oldest,
            ..SubscriptionRequest::default()
        });
        held(&mut first).await;
        let request = SubscriptionRequest {
            selection: of_resource("sw2"),
            from: StartFrom::Cursor(first.cursor()),
            ..SubscriptionRequest::default()
        };
        let refused = Subscription::begin(&node.source, request.clone());
        let error = refused.err().unwrap();
        assert!(
            matches!(error, SubscriptionError::OtherSelection),
            "{error}"
        );
        let mut rebased = node.subscribe(SubscriptionRequest {
            rebase: true,
            ..request
        });
        assert_eq!(
            held(&mut rebased).await,
            [],
            "what was passed over stays passed over"
        );
    });
}

#[test]
fn a_cursor_of_streams_that_nobody_here_knows_is_refused_with_the_remedy() {
    runtime().block_on(async {
        let (mut node, mut other) = (Node::new(), Node::new());
        node.poll(0).await;
        let mut there = other.subscribe(SubscriptionRequest {
            from: StartFrom::Oldest,
            ..SubscriptionRequest::default()
        });
        other.poll(0).await;
        held(&mut there).await;
        let (own, foreign) = (node.bus.origin(), there.cursor());
        // Nodes of one test draw the same origins.
        let stranger = OriginId(own.0 ^ 1);
        let of = |origins: &[OriginId]| {
            let ranges = foreign.taken.values().next().unwrap();
            let taken = origins
                .iter()
                .map(|it| (StreamId::data(*it), ranges.clone()));
            SubscriptionRequest {
                from: StartFrom::Cursor(Cursor {
                    taken: taken.collect(),
                    ..foreign.clone()
                }),
                ..SubscriptionRequest::default()
            }
        };
        let refused = Subscription::begin(&node.source, of(&[stranger]))
            .err()
            .unwrap();
        let text = refused.to_string();
        assert!(
            text.contains(&stranger.to_string()) && text.contains("rebase=true"),
            "{text}"
        );
        let all = named(&[("sw1", 0), ("sw2", 0)]);
        let mut rebased = node.subscribe(SubscriptionRequest {
            rebase: true,
            ..of(&[stranger])
        });
        assert_eq!(held(&mut rebased).await, all);
        // One of its streams is here: a site took a new origin, or came by another path too.
        let mut known = node.subscribe(of(&[stranger, own]));
        assert_eq!(held(&mut known).await, []);
        let mut empty = node.subscribe(of(&[]));
        assert_eq!(held(&mut empty).await, all);
    });
}

#[test]
fn from_latest_begins_with_last_values_and_goes_on_live() {
    runtime().block_on(async {
        let mut node = Node::new();
        for tick in 0..5 {
            node.poll(tick).await;
        }
        let request = SubscriptionRequest {
            from: StartFrom::Latest,
            ..SubscriptionRequest::default()
        };
        let mut subscription = node.subscribe(request);
        assert!(!subscription.has_cursor(), "it would begin at the oldest");
        assert_eq!(
            held(&mut subscription).await,
            named(&[("sw1", 4), ("sw2", 4)])
        );
        let after_last_values = subscription.cursor();
        node.poll(5).await;
        let Item::Record(record) = subscription.next().await.unwrap() else {
            panic!("a record");
        };
        assert_eq!(record.slot, switch_batch_of(1, Mix::Busy, 5).slot);
        // Whoever comes back with the cursor of the last values gets what came since, not all.
        let mut resumed = node.subscribe(SubscriptionRequest {
            from: StartFrom::Cursor(after_last_values),
            ..SubscriptionRequest::default()
        });
        assert_eq!(held(&mut resumed).await, named(&[("sw1", 5), ("sw2", 5)]));
    });
}

#[test]
fn a_cursor_is_told_only_once_all_last_values_are_handed_out() {
    runtime().block_on(async {
        let mut node = Node::new();
        node.poll(0).await;
        let mut subscription = node.subscribe(SubscriptionRequest {
            from: StartFrom::Latest,
            ..SubscriptionRequest::default()
        });
        let mut has_cursor = Vec::new();
        while subscription.next_held().await.unwrap().is_some() {
            has_cursor.push(subscription.has_cursor());
        }
        assert_eq!(has_cursor, [false, true]);
    });
}

#[test]
fn in_latest_mode_the_newest_of_each_pair_comes_and_the_rest_is_counted() {
    runtime().block_on(async {
        let mut node = Node::new();
        for tick in 0..4 {
            node.poll(tick).await;
        }
        let mut subscription = node.subscribe(SubscriptionRequest {
            from: StartFrom::Oldest,
            mode: Mode::Latest,
            ..SubscriptionRequest::default()
        });
        let Item::Lag { skipped } = subscription.next().await.unwrap() else {
            panic!("the lag comes first");
        };
        assert_eq!(skipped, 6);
        assert_eq!(
            held(&mut subscription).await,
            named(&[("sw1", 3), ("sw2", 3)])
        );
    });
}

#[test]
fn two_subscribers_share_one_decoded_batch() {
    runtime().block_on(async {
        let mut node = Node::new();
        node.poll(0).await;
        let mut batches = Vec::new();
        for _ in 0..2 {
            let request = SubscriptionRequest {
                from: StartFrom::Oldest,
                ..SubscriptionRequest::default()
            };
            let Item::Record(record) = node.subscribe(request).next().await.unwrap() else {
                panic!("a record");
            };
            batches.push(record);
        }
        assert!(Arc::ptr_eq(&batches[0], &batches[1]));
    });
}

fn clock_event() -> EventFacts {
    EventFacts {
        kind: "clock_stepped".into(),
        severity: Severity::Warning,
        text: "the wall clock went \"back\"".into(),
        fields: vec![("step_ms".into(), "-2000".into())],
    }
}

#[test]
fn gaps_and_events_come_where_they_were_asked_for() {
    runtime().block_on(async {
        let mut node = Node::new();
        let (resource, cache) = &mut node.pairs[0];
        let epoch = Epoch {
            generation: 3,
            index: 4,
        };
        let gap = Gap::of_slot(SlotMs(120_000), 60_000, epoch, GapKind::Timeout.into());
        let pair = Pair {
            resource,
            plugin: Some(&node.plugin),
        };
        node.encoder
            .push_gap(cache, pair, &gap, WallMs(125_000))
            .unwrap();
        let event = clock_event();
        node.encoder
            .push_event(None, &event, WallMs(126_000))
            .unwrap();
        node.commit().await;
        node.poll(0).await;
        let lines = async |include: Include| {
            let request = SubscriptionRequest {
                from: StartFrom::Oldest,
                include,
                ..SubscriptionRequest::default()
            };
            let mut subscription = node.subscribe(request);
            let mut into = Vec::new();
            let renderer = RecordRenderer::default();
            while let Some(item) = subscription.next_held().await.unwrap() {
                if let Item::Record(record) = item {
                    renderer.render(&record, &mut into);
                }
            }
            render_cursor(&subscription.cursor(), &mut into);
            let text = String::from_utf8(into).unwrap();
            let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
            text.lines().map(parse).collect::<Vec<_>>()
        };
        let all = lines(Include {
            gaps: true,
            events: true,
        })
        .await;
        let kinds: Vec<_> = all
            .iter()
            .map(|line| line["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["gap", "event", "batch", "batch", "cursor"]);
        assert_eq!(all[0]["cause"], "timeout");
        assert_eq!(all[0]["epoch"], "3.4");
        assert_eq!(all[0]["slot_ms"], 120_000);
        assert_eq!(all[1]["fields"]["step_ms"], "-2000");
        let row = &all[2]["groups"][0]["rows"][0];
        assert_eq!(row["dimensions"]["interface_name"], "GigabitEthernet1/0/1");
        assert_eq!(row["counters"]["bits_in"]["verdict"], "rate");
        assert_eq!(row["gauges"]["mtu"], 1_500);
        let delta = row["counters"]["bits_in"]["delta"].as_f64().unwrap();
        let rate = delta * 1_000.0 / row["dt_ms"].as_f64().unwrap();
        assert_eq!(row["counters"]["bits_in"]["rate"].as_f64(), Some(rate));
        assert_eq!(
            lines(Include::default()).await.len(),
            3,
            "two batches and the cursor"
        );
    });
}

/// Fills two segments, until the disk is known to be full.
async fn fill(bus: &Bus) {
    let refused = |status: BusStatus| status.disk == DiskState::Full;
    for number in 0..100 {
        let block = events(number, 1, 9_000);
        match bus.handle().submit(Lane::Data, block).await {
            // Refused or durable: the state says when it is enough.
            Ok(acknowledgement) => drop(acknowledgement.await),
            Err(_full) => break,
        }
        if refused(*bus.status().borrow()) {
            break;
        }
    }
    assert!(refused(*bus.status().borrow()), "two segments hold fewer");
}

#[test]
fn on_a_full_disk_subscribers_alone_get_volatile_batches_and_cursors_stand_still() {
    runtime().block_on(async {
        let disk = FaultyDisk::default();
        let faults = Arc::clone(&disk.0);
        let mut node = Node::on(Arc::new(disk));
        node.poll(0).await;
        let request = |name: &str| SubscriptionRequest {
            selection: of_resource(name),
            from: StartFrom::Oldest,
            ..SubscriptionRequest::default()
        };
        let mut watching = node.subscribe(request("sw1")).with_volatile();
        let mut durable = node.subscribe(request("sw1"));
        assert_eq!(held(&mut watching).await, named(&[("sw1", 0)]));
        faults.free_bytes.store(0, Ordering::SeqCst);
        fill(&node.bus).await;
        assert_eq!(held(&mut watching).await, []);
        let cursor = watching.cursor();

        let batch = switch_batch_of(3, Mix::Busy, 1);
        let (bus, plugin) = (node.bus.handle(), Arc::clone(&node.plugin));
        for (resource, _) in &node.pairs {
            bus.show_volatile(resource, &plugin, &batch);
        }
        let Item::Record(record) = watching.next().await.unwrap() else {
            panic!("a record");
        };
        assert!(record.is_volatile && record.resource.as_ref().unwrap().id().id() == "sw1");
        assert_eq!(record.slot, batch.slot);
        let mut line = Vec::new();
        RecordRenderer::default().render(&record, &mut line);
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&line["volatile"], line.get("seq")), (&true.into(), None));
        assert_eq!(watching.cursor(), cursor, "it stands still");
        let last = node.bus.last_values().list(LastKind::Batch);
        assert!(
            last.iter().all(|last| last.head.slot < batch.slot),
            "no last value"
        );

        faults.free_bytes.store(u64::MAX, Ordering::SeqCst);
        node.bus.tend().await.unwrap();
        bus.show_volatile(&node.pairs[0].0, &plugin, &batch);
        node.poll(2).await;
        assert_eq!(held(&mut durable).await, named(&[("sw1", 0), ("sw1", 2)]));
        let Item::Record(next) = watching.next().await.unwrap() else {
            panic!("a record");
        };
        assert!(
            !next.is_volatile,
            "nothing is shown once the disk takes data"
        );
        assert_eq!(
            held(&mut node.subscribe(request("sw1"))).await.len(),
            2,
            "not stored"
        );
    });
}

#[test]
fn a_subscriber_too_slow_for_volatile_batches_is_told_how_many_it_lost() {
    runtime().block_on(async {
        let disk = FaultyDisk::default();
        let faults = Arc::clone(&disk.0);
        let mut node = Node::on(Arc::new(disk));
        node.poll(0).await;
        let mut slow = node
            .subscribe(SubscriptionRequest::default())
            .with_volatile();
        faults.free_bytes.store(0, Ordering::SeqCst);
        fill(&node.bus).await;
        let batch = switch_batch_of(1, Mix::Busy, 1);
        for _ in 0..VOLATILE_MAX + 10 {
            let bus = node.bus.handle();
            bus.show_volatile(&node.pairs[0].0, &node.plugin, &batch);
        }
        assert!(matches!(slow.next().await, Ok(Item::Lag { skipped: 10 })));
        assert!(matches!(slow.next().await, Ok(Item::Record(record)) if record.is_volatile));
    });
}

/// A block of one event of another origin, as a site would have sent it.
fn foreign(seq: u64, kind: &str) -> ForeignBlock {
    let mut encoder = Encoder::default();
    let facts = EventFacts {
        kind: kind.to_owned(),
        severity: Severity::Info,
        text: String::new(),
        fields: Vec::new(),
    };
    encoder.push_event(None, &facts, WallMs(5)).unwrap();
    let mut block = encoder.seal().data.unwrap();
    let (stream, first_seq) = (StreamId::data(OriginId(77)), Seq(seq));
    let needs_def = Seq(0);
    block.stamp(&Stamp {
        stream,
        first_seq,
        needs_def,
    });
    ForeignBlock::read(block.into_bytes().into()).unwrap()
}

#[test]
fn in_order_a_stream_waits_for_its_holes_and_says_what_was_missing() {
    runtime().block_on(async {
        let node = Node::new();
        let request = SubscriptionRequest {
            from: StartFrom::Oldest,
            include: Include {
                events: true,
                gaps: false,
            },
            ..SubscriptionRequest::default()
        };
        let mut ordered = node.subscribe(request).in_order(Duration::ZERO);
        for seq in [1, 3, 2, 6] {
            let took = node.bus.handle().ingest(foreign(seq, "x")).await.unwrap();
            took.await.unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 5 {
            match ordered.next().await.unwrap() {
                Item::Record(record) => seen.push((record.seq.0, record.seq.0)),
                Item::Missing { range, .. } => seen.push((range.first.0, range.last.0)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, [(1, 1), (2, 2), (3, 3), (4, 5), (6, 6)]);
    });
}

/// Of `count` subscribers that select alike, all items of what is held.
async fn read_alike(node: &Node, count: usize) -> Vec<Vec<(String, u64)>> {
    let request = || SubscriptionRequest {
        selection: of_resource("sw1"),
        from: StartFrom::Oldest,
        ..SubscriptionRequest::default()
    };
    let mut all: Vec<Subscription> = (0..count).map(|_| node.subscribe(request())).collect();
    let mut found = Vec::new();
    for subscription in &mut all {
        found.push(held(subscription).await);
    }
    found
}

#[test]
fn what_is_selected_alike_is_judged_and_rendered_once() {
    runtime().block_on(async {
        let mut node = Node::new();
        for tick in 1..=5 {
            node.poll(tick).await;
        }
        let found = read_alike(&node, 1).await;
        let alone = node.source.sharing();
        assert_eq!((alone.blocks_judged, alone.blocks_shared), (5, 0));
        assert_eq!(alone.selections, 0, "who is gone keeps nothing");
        let same = read_alike(&node, 20).await;
        assert!(same.iter().all(|one| *one == found[0]), "{same:?}");
        let shared = node.source.sharing();
        assert_eq!(shared.blocks_judged, 10, "five for one, five for twenty");
        assert_eq!(shared.blocks_shared, 19 * 5);

        let request = SubscriptionRequest {
            selection: of_resource("sw2"),
            from: StartFrom::Oldest,
            ..SubscriptionRequest::default()
        };
        let (mut one, mut other) = (node.subscribe(request.clone()), node.subscribe(request));
        let mut lines = Vec::new();
        for subscription in [&mut one, &mut other] {
            let item = subscription.next_held().await.unwrap().unwrap();
            let Item::Record(record) = item else {
                panic!("{item:?}");
            };
            let renderer = RecordRenderer::default();
            let line = subscription
                .selection()
                .line(LineFormat::Influx, &record, |into| {
                    renderer.render(&record, into);
                });
            lines.push(line);
        }
        assert_eq!(lines[0].as_ptr(), lines[1].as_ptr(), "the very same bytes");
        let shared = node.source.sharing();
        assert_eq!((shared.lines_rendered, shared.lines_shared), (1, 1));
        assert_eq!(shared.selections, 1);
    });
}
