//! Does one region hold 200 sites in its memory, and are all live again soon after it restarts?
//!
//! Does: 200 sites in one process, each with a bus and a QUIC connection of its own, at 1,000
//! samples/s (one interface batch a second), into a region in a process of its own; then `kill -9`
//! of the region, ten minutes of backlog at each site, and its start on the same disk. Prints the
//! region's memory, its CPU, and when the last site was live again (a block appended after its
//! link stood is durable above, whatever of the backlog is not).
//! Does not: serve readers. In: number of sites as the first argument. Out: lines for people.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads real clocks and paces itself"
)]
#![expect(clippy::cast_possible_truncation, reason = "figures of a bench")]

mod support;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ocelli_bus::BusOptions;
use ocelli_model::tier::Tier;
use support::cards::Authority;
use support::feed::{Feed, Kind};
use support::node::{BUDGET, Node, Who, bus_options};
use support::tier::{self, Region};
use support::{directory, load};

const SITES: usize = 200;
/// An interface batch has 1,056 samples.
const PERIOD: Duration = Duration::from_secs(1);
/// What the sites could not send, at one batch a second.
const BACKLOG_BATCHES: usize = 600;
const STEADY: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(300);
/// `node.memory_max` of which the budget of links is a quarter.
const MEMORY_MAX_MIB: u64 = 2_048;
const MIB: usize = 1 << 20;

/// A site and what it knows of its link.
struct Site {
    node: Arc<Node>,
    /// Highest seq when the link stood, if it stands.
    since: Cell<Option<u64>>,
}

fn small_bus() -> BusOptions {
    BusOptions {
        segment_bytes: MIB as u64,
        spare_space_bytes: 0,
        tail_bytes_max: MIB,
        read_cache_bytes_max: MIB,
        record_cache_bytes_max: MIB,
        queue_bytes_max: 4 * MIB,
        last_values_bytes_max: MIB,
        ..bus_options()
    }
}

impl Site {
    fn open(root: &Path, authority: &Authority, number: usize) -> Rc<Self> {
        let who = Who::new(Tier::Site, &format!("site{number}"));
        let card = authority.card(&who.uri());
        let node = Node::open(&root.join(&who.name), who, card, small_bus());
        let since = Cell::new(None);
        Rc::new(Self { node, since })
    }

    /// Keeps a link for ever.
    async fn keep(self: Rc<Self>, to: SocketAddr) {
        let (endpoint, _offers) = self.node.endpoint(0);
        loop {
            let link = self.node.dial(&endpoint, to).await;
            self.since.set(Some(self.node.highest()));
            self.node.uplink(link).await;
            self.since.set(None);
        }
    }

    /// Appends a batch a period for ever, those of all sites spread over it.
    async fn measure(self: Rc<Self>, mut feed: Feed, offset: Duration) {
        let mut next = Instant::now() + offset;
        loop {
            tokio::time::sleep_until(next.into()).await;
            next += PERIOD;
            drop(feed.append(&self.node.bus, 1).await);
        }
    }

    /// Whether a block that was appended after its link stood is above.
    fn is_live(&self) -> bool {
        let Some(since) = self.since.get() else {
            return false;
        };
        self.node.has_above(since)
    }

    fn is_caught_up(&self) -> bool {
        self.node.acknowledged() + 2 >= self.node.highest()
    }
}

/// Waits until all sites are as asked; how long that took, or `None` if it did not happen.
async fn all(sites: &[Rc<Site>], from: Instant, is_it: impl Fn(&Site) -> bool) -> Option<f64> {
    let mut left: Vec<_> = sites.iter().collect();
    while from.elapsed() < PATIENCE {
        left.retain(|site| !is_it(site));
        if left.is_empty() {
            return Some(from.elapsed().as_secs_f64());
        }
        tokio::time::sleep(LOOK).await;
    }
    None
}

fn main() {
    if let Some((_, folder, port)) = tier::role() {
        return tier::live(&folder, port);
    }
    let count = std::env::args().find_map(|one| one.parse().ok());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let tasks = tokio::task::LocalSet::new();
    runtime.block_on(tasks.run_until(measure(count.unwrap_or(SITES))));
}

async fn measure(count: usize) {
    println!("{count} sites at 1,056 samples/s, load {}", load());
    let (root, authority) = (directory(), Authority::new());
    let folder = root.path().join("region");
    std::fs::create_dir(&folder).unwrap();
    authority.card(&tier::who().uri()).write(&folder);
    let mut region = Region::start(&folder, 0);
    let empty = region.facts();
    let (port, address) = (region.port, region.address());
    let sites: Vec<_> = (0..count)
        .map(|number| Site::open(root.path(), &authority, number))
        .collect();
    let mut batches = Kind::Interfaces.batches();
    batches.truncate(1);
    let began = Instant::now();
    for (number, site) in sites.iter().enumerate() {
        tokio::task::spawn_local(Rc::clone(site).keep(address));
        let mut feed = Feed::of(&site.node.bus, &site.node.who.name, batches.clone());
        feed.append(&site.node.bus, 1).await.await.unwrap();
        let offset = PERIOD * u32::try_from(number).unwrap() / u32::try_from(count).unwrap();
        tokio::task::spawn_local(Rc::clone(site).measure(feed, offset));
    }
    let joined = all(&sites, began, Site::is_live).await;
    let before = (region.facts().cpu, Instant::now());
    tokio::time::sleep(STEADY).await;
    let steady = region.facts();
    let cpu = (steady.cpu - before.0).as_secs_f64() / before.1.elapsed().as_secs_f64();
    println!(
        "  joined in {joined:.1?} s; {} links, region {} MiB resident ({} before), {cpu:.2} core",
        steady.links,
        steady.resident_kib >> 10,
        empty.resident_kib >> 10,
    );
    region.kill();
    append_backlog(&sites, &batches).await;
    let began = Instant::now();
    let mut region = Region::start(&folder, port);
    let ready = began.elapsed().as_secs_f64();
    let live = all(&sites, began, Site::is_live).await;
    let drained = all(&sites, began, Site::is_caught_up).await;
    let after = region.facts();
    println!("  restarted: ready {ready:.1} s, all live {live:.1?} s, drained {drained:.1?} s");
    println!(
        "| {count} QUIC connections at 1,000 samples/s each into one region | memory within \
         `memory_max` ({MEMORY_MAX_MIB} MiB; links {} MiB) | {} MiB resident steady, {} MiB most \
         while {count} × 10 minutes of backlog came; {cpu:.2} core |",
        BUDGET.ingest_bytes_max >> 20,
        steady.resident_kib >> 10,
        after.resident_kib_max >> 10,
    );
    println!(
        "| all of them live after a restart of the region with 10 minutes of backlog | ≤ 30 s | \
         {:.1} s; all drained after {:.1} s |",
        live.unwrap_or(f64::NAN),
        drained.unwrap_or(f64::NAN),
    );
}

/// What each site measured while the region was away.
async fn append_backlog(sites: &[Rc<Site>], batches: &[ocelli_model::batch::Batch]) {
    for site in sites {
        let bus = &site.node.bus;
        let mut feed = Feed::of(bus, &site.node.who.name, batches.to_vec());
        for _ in 0..BACKLOG_BATCHES {
            drop(feed.append(bus, 1).await);
        }
        bus.handle().flush().await.unwrap();
    }
}
