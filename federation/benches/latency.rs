//! How long from an append at a site to a reader at the global, over three durable hops: does live
//! data stay quick while a backlog drains, and does the backlog drain much faster than it grew?
//!
//! Does: site, region and global in one process, a thread each, real QUIC on loopback, real fsync;
//! 50 blocks/s of four interface batches (211,000 samples/s), idle and while ten minutes of backlog
//! at that rate drain. Prints p50 and p99 of submission → seen, and backfill ÷ live rate.
//! Does not: render for subscribers. In: backlog minutes as the first argument. Out: lines.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads real clocks and paces itself"
)]
#![expect(clippy::cast_possible_truncation, reason = "figures of a bench")]

mod support;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use ocelli_bus::record::{OriginId, StreamId};
use ocelli_bus::{BlockDelivery, ReadFrom};
use ocelli_model::tier::Tier;
use support::cards::Authority;
use support::feed::{Feed, INTERFACE_SAMPLES, Kind};
use support::node::{Node, Who, bus_options};
use support::{directory, load, quantile};
use tokio::sync::watch;

/// Batches of a block, and between two blocks.
const BATCHES: usize = 4;
const PERIOD: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(20);
const SITE: &str = "dc1";
/// Longest wait for the last record of the backlog.
const PATIENCE: Duration = Duration::from_secs(600);

/// When the global's reader saw a block of the site.
#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    is_backfill: bool,
}

/// Blocks of the site by their last seq.
#[derive(Default)]
struct Log {
    sent: BTreeMap<u64, Instant>,
    seen: BTreeMap<u64, Seen>,
}

type Shared = Arc<Mutex<Log>>;

fn on_thread<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work());
    });
}

/// Takes links on a thread of its own and keeps one to `above` while `is_on`.
fn start(
    node: &Arc<Node>,
    above: Option<SocketAddr>,
    mut is_on: watch::Receiver<bool>,
) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    let node = Arc::clone(node);
    on_thread(move || async move {
        let (endpoint, offers) = node.endpoint(0);
        let address = endpoint.local_address().unwrap();
        tell.send(address.port()).unwrap();
        let serving = tokio::spawn(Arc::clone(&node).serve(offers));
        let Some(above) = above else {
            return serving.await.unwrap();
        };
        loop {
            is_on.wait_for(|on| *on).await.unwrap();
            let link = node.dial(&endpoint, above).await;
            tokio::select! {
                _end = node.uplink(link) => {}
                _ = is_on.wait_for(|on| !*on) => {}
            }
        }
    });
    (Ipv4Addr::LOCALHOST, told.recv().unwrap()).into()
}

/// A reader at the global that notes when it sees blocks of the site.
fn watch_blocks(global: &Arc<Node>, origin: OriginId, log: &Shared) {
    let (global, log) = (Arc::clone(global), Arc::clone(log));
    on_thread(move || async move {
        let mut blocks = global.bus.follow_blocks(ReadFrom::Oldest).unwrap();
        while let Ok(BlockDelivery::Blocks(blocks)) = blocks.next().await {
            let at = Instant::now();
            let mut log = log.lock().unwrap();
            for block in blocks {
                if block.header().stream == StreamId::data(origin) {
                    let is_backfill = block.is_backfill();
                    let seen = Seen { at, is_backfill };
                    log.seen.insert(block.range().last.0, seen);
                }
            }
        }
    });
}

/// Appends a block each period until `is_over`; the seqs of the first and the last.
async fn feed_live(site: &Node, feed: &mut Feed, log: &Shared, mut is_over: impl FnMut() -> bool) {
    let mut next = Instant::now();
    while !is_over() {
        tokio::time::sleep_until(next.into()).await;
        next += PERIOD;
        let at = Instant::now();
        let answer = feed.append(&site.bus, BATCHES).await;
        let log = Arc::clone(log);
        tokio::spawn(async move {
            let committed = answer.await.unwrap();
            log.lock().unwrap().sent.insert(committed.range.last.0, at);
        });
    }
}

/// (p50, p99, blocks, share that came as backfill) of blocks submitted in a time, ms.
fn latency(log: &Shared, from: Instant, to: Instant) -> (f64, f64, usize, f64) {
    let log = log.lock().unwrap();
    let those = log.sent.iter().filter(|(_, at)| **at >= from && **at < to);
    let pairs: Vec<_> = those
        .filter_map(|(seq, at)| log.seen.get(seq).map(|seen| (*at, *seen)))
        .collect();
    let ms = |(at, seen): &(Instant, Seen)| seen.at.duration_since(*at).as_secs_f64() * 1e3;
    let mut values: Vec<f64> = pairs.iter().map(ms).collect();
    let late = pairs.iter().filter(|(_, seen)| seen.is_backfill).count();
    let share = late as f64 / pairs.len() as f64;
    let p50 = quantile(&mut values, 0.5);
    (p50, quantile(&mut values, 0.99), pairs.len(), share)
}

fn print(name: &str, (p50, p99, blocks, late): (f64, f64, usize, f64)) {
    println!(
        "  {name:<22} p50 {p50:.1} ms, p99 {p99:.1} ms over {blocks} blocks, {:.1} % late",
        late * 100.0
    );
}

fn main() {
    let minutes: Option<u64> = std::env::args().find_map(|one| one.parse().ok());
    let backlog = Duration::from_secs(60 * minutes.unwrap_or(10));
    println!("load {}", load());
    let (root, authority) = (directory(), Authority::new());
    let open = |tier, name: &str| {
        let who = Who::new(tier, name);
        let card = authority.card(&who.uri());
        Node::open(&root.path().join(name), who, card, bus_options())
    };
    let global = open(Tier::Global, "world");
    let region = open(Tier::Region, "emea");
    let site = open(Tier::Site, SITE);
    let (switch, is_on) = watch::channel(true);
    let (_always, on) = watch::channel(true);
    let top = start(&global, None, on.clone());
    let middle = start(&region, Some(top), on);
    start(&site, Some(middle), is_on);
    let log = Shared::default();
    watch_blocks(&global, site.bus.origin(), &log);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(&site, &log, &switch, backlog));
}

async fn measure(site: &Node, log: &Shared, switch: &watch::Sender<bool>, backlog: Duration) {
    let mut feed = Feed::new(&site.bus, SITE, Kind::Interfaces);
    let for_time = |time: Duration| {
        let began = Instant::now();
        move || began.elapsed() >= time
    };
    feed_live(site, &mut feed, log, for_time(Duration::from_secs(3))).await;
    let began = Instant::now();
    feed_live(site, &mut feed, log, for_time(IDLE)).await;
    let idle = latency(log, began, Instant::now());
    print("idle", idle);

    switch.send_replace(false);
    let blocks = backlog.as_millis() / PERIOD.as_millis();
    for _ in 0..blocks {
        drop(feed.append(&site.bus, BATCHES).await);
    }
    site.bus.handle().flush().await.unwrap();
    let last = site.highest();
    let has_last = || {
        let log = log.lock().unwrap();
        log.seen.keys().rev().any(|seq| *seq == last)
    };
    let began = Instant::now();
    switch.send_replace(true);
    let is_drained = || has_last() || began.elapsed() > PATIENCE;
    feed_live(site, &mut feed, log, is_drained).await;
    let drained = Instant::now();
    // The last live blocks are on their way still.
    feed_live(site, &mut feed, log, for_time(Duration::from_secs(2))).await;
    let busy = latency(log, began, drained);
    print("while a backlog drains", busy);
    let took = drained.duration_since(began).as_secs_f64();
    let ratio = backlog.as_secs_f64() / took;
    let rate = blocks as f64 * (BATCHES * INTERFACE_SAMPLES) as f64 / took / 1e6;
    println!("  backlog of {backlog:?} drained in {took:.1} s: {rate:.1} M samples/s");
    println!(
        "| append at the site → reader at the global, three durable hops, 0.2 M samples/s | \
         p99 ≤ 60 ms | {:.0} ms (p50 {:.0}) |",
        idle.1, idle.0
    );
    println!(
        "| the same while {} minutes of backlog drain | p99 ≤ 120 ms | {:.0} ms (p50 {:.0}), \
         {:.1} % of the live blocks came late |",
        backlog.as_secs() / 60,
        busy.1,
        busy.0,
        busy.3 * 100.0
    );
    println!("| backfill ÷ live rate beside it | ≥ 5 | {ratio:.1} |");
}
