//! May thousands read one node: do 1,000 subscribers with 50 distinct filters cost ≤ 2 × the filter
//! CPU of 50, and do 20 readers of old data move the live p99 by ≤ 2 ×?
//!
//! Does: append blocks of switches of 50 sites, hand each to all subscribers by turns, and print
//! (1) CPU of picking alone, by filters that pass nothing; (2) CPU of picking, decoding and
//! rendering; (3) the time from append to a live subscriber, alone and beside 20 readers from the
//! oldest on, all on one thread. Few and many take turns in one process; ratios are of medians.
//! Does not: send. In: `--quick` for a small round. Out: lines for people.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads real clocks, and paces itself"
)]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::Encoder;
use ocelli_bus::read::{
    Item, LineFormat, RecordRenderer, RecordSource, Selection, StartFrom, Subscription,
    SubscriptionRequest,
};
use ocelli_bus::record::Lane;
use ocelli_bus::{Bus, BusOptions};
use ocelli_model::panoptes::Projection;
use ocelli_model::resource::{Resource, ResourceFields};
use rustix::time::ClockId;
use support::{FixedRng, RealClock};
use switches::{Mix, switch_batch_of};

mod support;
#[path = "../tests/support/switches.rs"]
#[allow(dead_code, reason = "shared with tests that need every mix")]
mod switches;

/// Sites, and so distinct filters.
const SITES: usize = 50;
const FEW: usize = SITES;
const MANY: usize = 1_000;
/// Switches of a site; one of each site is polled in a block.
const SWITCHES: usize = 4;
const PORTS: usize = 8;
/// Readers of what is old.
const REPLAYS: usize = 20;
/// Bytes after which a reader of what is old gives others their turn, as an HTTP chunk does.
const TURN_BYTES: usize = 16 * 1024;
const PERIOD: Duration = Duration::from_millis(10);

/// Of this thread: the writer's own is not counted.
fn cpu() -> Duration {
    support::cpu(ClockId::ThreadCPUTime)
}

struct Node {
    bus: Arc<Bus>,
    source: Arc<RecordSource>,
    encoder: Encoder,
    pairs: Vec<(Arc<Resource>, PairCache)>,
    tick: u64,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(RealClock::new());
        let (options, rng) = (BusOptions::default(), Box::new(FixedRng(7)));
        let (bus, _) = Bus::open(folder.path(), options, clock, rng).unwrap();
        let bus = Arc::new(bus);
        let mut encoder = Encoder::default();
        encoder.add_ids(bus.handle().reserve_ids(1 << 20).unwrap());
        let switch = |number: usize| {
            let site = format!("dc{}", number % SITES);
            let name = format!("sw{}", number / SITES);
            let fields = ResourceFields {
                identity: [&site, "network", "switch", "generic", &name].map(ToString::to_string),
                endpoint: format!("{name}.{site}"),
                plugin: "bench".to_owned(),
                ..ResourceFields::default()
            };
            (
                Arc::new(Resource::new(fields).unwrap()),
                PairCache::default(),
            )
        };
        Self {
            source: RecordSource::new(Arc::clone(&bus)),
            bus,
            encoder,
            pairs: (0..SITES * SWITCHES).map(switch).collect(),
            tick: 0,
            _folder: folder,
        }
    }

    /// A durable block with one switch of each site.
    async fn poll(&mut self) {
        self.tick += 1;
        let batch = switch_batch_of(PORTS, Mix::Busy, self.tick);
        let plugin = Arc::from("interfaces");
        let turn = usize::try_from(self.tick).unwrap() % SWITCHES;
        for (resource, cache) in self.pairs.iter_mut().skip(turn * SITES).take(SITES) {
            let pushed = self.encoder.push_batch(cache, resource, &plugin, &batch);
            pushed.unwrap();
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

    fn subscribe(&self, filter: Option<&str>, from: StartFrom) -> Subscription {
        let filter = filter.map(|text| text.parse().unwrap());
        let request = SubscriptionRequest {
            selection: Selection::new(filter, Projection::default()),
            from,
            ..SubscriptionRequest::default()
        };
        Subscription::begin(&self.source, request).unwrap()
    }

    fn subscribers(&self, count: usize, is_empty: bool) -> Vec<Subscription> {
        let filter = |number: usize| {
            let site = number % SITES;
            let rest = if is_empty {
                " AND resource_id = \"absent\""
            } else {
                ""
            };
            format!("resource_site = \"dc{site}\"{rest}")
        };
        let all = (0..count).map(|number| self.subscribe(Some(&filter(number)), StartFrom::Now));
        all.collect()
    }
}

/// Takes all that is held; how many bytes its lines have.
async fn drain(subscription: &mut Subscription, renderer: &RecordRenderer) -> usize {
    let mut bytes = 0;
    while let Some(item) = subscription.next_held().await.unwrap() {
        if let Item::Record(record) = item {
            let selection = Arc::clone(subscription.selection());
            let line = selection.line(LineFormat::Records, &record, |into| {
                renderer.render(&record, into)
            });
            bytes += line.len();
        }
    }
    bytes
}

/// CPU of each block, for few and for many subscribers, by turns.
async fn costs(node: &mut Node, is_empty: bool, blocks: usize) -> (Vec<Duration>, Vec<Duration>) {
    let renderer = RecordRenderer::default();
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for round in 0..2 * blocks {
        let (count, costs) = match round % 2 {
            0 => (FEW, &mut few),
            _ => (MANY, &mut many),
        };
        let mut subscribers = node.subscribers(count, is_empty);
        // Answers are remembered for as long as someone selects so.
        for _ in 0..SWITCHES {
            node.poll().await;
            for subscriber in &mut subscribers {
                drain(subscriber, &renderer).await;
            }
        }
        node.poll().await;
        let before = cpu();
        for subscriber in &mut subscribers {
            drain(subscriber, &renderer).await;
        }
        costs.push(cpu().saturating_sub(before));
    }
    (few, many)
}

fn quantile(mut times: Vec<Duration>, of_hundred: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * of_hundred / 100).min(times.len() - 1)]
}

/// Times from append to a live subscriber.
async fn live(node: &mut Node, count: usize) -> Vec<Duration> {
    let renderer = RecordRenderer::default();
    let mut live = node.subscribe(Some("resource_site = \"dc1\""), StartFrom::Now);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        tokio::time::sleep(PERIOD).await;
        let begun = Instant::now();
        let (_, item) = tokio::join!(node.poll(), live.next());
        if let Item::Record(record) = item.unwrap() {
            let mut line = Vec::new();
            renderer.render(&record, &mut line);
            times.push(begun.elapsed());
        }
    }
    times
}

/// Reads from the oldest on, again and again.
async fn replay(source: Arc<RecordSource>, read: Rc<Cell<u64>>) {
    let renderer = RecordRenderer::default();
    loop {
        let request = SubscriptionRequest {
            from: StartFrom::Oldest,
            ..SubscriptionRequest::default()
        };
        let mut subscription = Subscription::begin(&source, request).unwrap();
        let mut line = Vec::new();
        while let Some(item) = subscription.next_held().await.unwrap() {
            renderer.render_item(&item, &mut line);
            read.set(read.get() + 1);
            if line.len() > TURN_BYTES {
                line.clear();
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn run(is_quick: bool) {
    let (blocks, count) = if is_quick { (3, 50) } else { (40, 1_000) };
    let mut node = Node::new();
    for (is_empty, what) in [
        (true, "picking alone"),
        (false, "picked, decoded, rendered"),
    ] {
        let (few, many) = costs(&mut node, is_empty, blocks).await;
        let (few, many) = (quantile(few, 50), quantile(many, 50));
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!("{what}: {FEW} subscribers {few:?}, {MANY} {many:?} a block: {ratio:.2} ×");
    }
    println!("shared: {:?}", node.source.sharing());
    let alone = live(&mut node, count).await;
    let read = Rc::new(Cell::new(0));
    let replays: Vec<_> = (0..REPLAYS)
        .map(|_| tokio::task::spawn_local(replay(Arc::clone(&node.source), Rc::clone(&read))))
        .collect();
    let beside = live(&mut node, count).await;
    for replay in replays {
        replay.abort();
    }
    for of_hundred in [50, 99] {
        let (alone, beside) = (
            quantile(alone.clone(), of_hundred),
            quantile(beside.clone(), of_hundred),
        );
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        println!(
            "live p{of_hundred}: alone {alone:?}, beside {REPLAYS} readers of old data {beside:?}: \
             {ratio:.2} × ({} old records read)",
            read.get()
        );
    }
}

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, run(is_quick));
}
