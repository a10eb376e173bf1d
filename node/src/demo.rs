//! `ocelli demo`: a mesh, simulated switches and this machine, in a minute of anybody's time.
//!
//! Does: start a mesh (`tiers`) or, here, one node with its simulator in a temporary directory on
//! free ports, subscribe to it, show live rates, sum up at the end. Does not: leave anything
//! behind.
//! In: [`DemoOptions`]. Out: tables on stdout while it runs and a summary; with `-o json` the
//! summary alone. Words go to stderr.
//! Full: the subscriber waits when the screen is slow; the bus keeps what it has not read yet.

mod authority;
mod child;
mod configuration;
mod feed;
mod hops;
mod human;
mod live;
mod mesh;
mod relay;
#[cfg(test)]
#[path = "demo/samples_tests.rs"]
mod samples;
mod story;
mod summary;
mod tiers;
mod wire;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::decoder::Record;
use ocelli_bus::read::{
    Include, Item, RecordSource, StartFrom, Subscription, SubscriptionError, SubscriptionRequest,
};
use ocelli_config::Loaded;
use ocelli_model::clock::{Clock, Monotonic, WallMs};
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::assembly::Node;
use crate::cli::demo::DemoOptions;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Streams};
use crate::clock::RealClock;
use crate::run::Signals;
use crate::simulate::{SimulateOptions, Simulator};

use live::Live;
use summary::Summary;

/// Interfaces of each simulated switch.
const INTERFACES: u32 = 48;
/// Address of the first switch.
const FIRST_SWITCH: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
/// Records between subscriber and screen: a slot of a thousand switches comes within one.
const RECORDS_WAITING_MAX: usize = 1_024;
/// Without an end by `--for` the demo ends at a signal, or after this.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Clears the screen and goes to its top.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Runs the demo to its end.
///
/// # Errors
/// A [`Failure`] if simulator or node do not start, or stdout is gone.
pub fn run(options: &DemoOptions, streams: &mut Streams) -> Result<Exit, Failure> {
    match (options.nodes, options.story) {
        (1, false) => one_node(options, streams),
        (1, true) => {
            let text = "a story needs a link to cut, and one node has none";
            Err(Failure::new(Exit::Usage, text).hint("leave --nodes out"))
        }
        _ => tiers::run(options, streams),
    }
}

fn temporary_directory() -> Result<TempDir, Failure> {
    let directory = tempfile::Builder::new().prefix("ocelli-demo-").tempdir();
    directory.map_err(|error| {
        let text = format!("cannot make a temporary directory: {error}");
        Failure::new(Exit::Failed, text).hint("set TMPDIR to a directory that you may write to")
    })
}

fn one_node(options: &DemoOptions, streams: &mut Streams) -> Result<Exit, Failure> {
    let directory = temporary_directory()?;
    let place = (configuration::SITE, FIRST_SWITCH);
    let simulator = simulate(options, directory.path(), place)?;
    let loaded = configuration::load(directory.path(), options.every)?;
    let system = actix_rt::System::new();
    let shown = system.block_on(show(options, streams, loaded, directory.path()));
    let stopped = simulator.stop().map_err(|error| failed(&error));
    let removed = directory.close().map_err(|error| failed(&error));
    let summary = shown?;
    stopped.and(removed)?;
    summary.print(options.output.format, streams)?;
    Ok(Exit::Done)
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error)
}

/// Starts the switches and writes the file that the node discovers them by.
fn simulate(
    options: &DemoOptions,
    directory: &Path,
    (site, base): (&str, Ipv4Addr),
) -> Result<Simulator, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let simulated = SimulateOptions {
        agents: options.switches,
        port: 0,
        interfaces: INTERFACES,
        site: site.to_owned(),
        base,
        // Else all sites would have the same traffic.
        seed: u64::from(base.octets()[1]),
        ..SimulateOptions::default()
    };
    let simulator = Simulator::start(&simulated, Arc::clone(&clock)).map_err(|e| failed(&e))?;
    let path = directory.join(configuration::RESOURCES_FILE);
    std::fs::write(&path, simulator.resources_json(clock.wall()))
        .map_err(|error| failed(&format!("cannot write {}: {error}", path.display())))?;
    Ok(simulator)
}

async fn show(
    options: &DemoOptions,
    streams: &mut Streams,
    loaded: Loaded,
    directory: &Path,
) -> Result<Summary, Failure> {
    // Before anything runs: a signal that comes during the start is not lost.
    let signals = Signals::new()?;
    let started = RealClock.monotonic();
    let node = Node::start(loaded, directory.to_owned()).await;
    let mut node = node.map_err(|error| failed(&error))?;
    // It takes no commands.
    drop(node.take_requests());
    streams.say(format!(
        "{} simulated switches with {INTERFACES} interfaces each, and this machine, every {} ms; \
         first rates after two slots",
        options.switches,
        options.every.as_millis(),
    ));
    let hint = format!(
        "API at http://{0} (try curl http://{0}/v1/values); Ctrl-C ends the demo",
        node.address()
    );
    streams.say(&hint);
    let (sender, receiver) = channel(RECORDS_WAITING_MAX);
    let subscriber = subscribe(&node)?;
    let subscriber = actix_rt::spawn(pass_on(subscriber, sender));
    let mut screen = Screen {
        started,
        hint,
        every: options.every,
        is_shown: matches!(options.output.format, Format::Table | Format::Wide),
        live: Live::default(),
        summary: Summary::new(1),
    };
    let until = started.after(options.duration.unwrap_or(DURATION_MAX));
    let followed = screen.follow(receiver, (signals, until), streams).await;
    subscriber.abort();
    node.drain().await;
    followed.map(|()| screen.summary)
}

// === The subscriber: what anybody gets from `/v1/subscribe` ===

/// A record and when it reached the subscriber.
struct Arrival {
    record: Arc<Record>,
    at: WallMs,
}

/// From the first record on, with gaps.
fn subscribe(node: &Node) -> Result<Subscription, Failure> {
    let source = RecordSource::new(Arc::clone(node.bus()));
    let request = SubscriptionRequest {
        from: StartFrom::Oldest,
        include: Include {
            gaps: true,
            events: false,
        },
        ..SubscriptionRequest::default()
    };
    Subscription::begin(&source, request).map_err(|error| failed(&error))
}

/// Hands records on until the bus closes or nobody looks any more.
async fn pass_on(
    mut subscription: Subscription,
    sender: Sender<Result<Arrival, SubscriptionError>>,
) {
    loop {
        let arrived = match subscription.next().await {
            Ok(Item::Record(record)) => Ok(Arrival {
                record,
                at: RealClock.wall(),
            }),
            // Neither conflated nor behind retention: a demo reads everything.
            Ok(
                Item::Lag { .. }
                | Item::Missing { .. }
                | Item::Removed { .. }
                | Item::Trimmed { .. },
            ) => continue,
            Err(error) => Err(error),
        };
        let is_over = arrived.is_err();
        if sender.send(arrived).await.is_err() || is_over {
            return;
        }
    }
}

// === The screen ===

struct Screen {
    started: Monotonic,
    /// Where the API is: a drawing over the terminal repeats it.
    hint: String,
    every: Duration,
    is_shown: bool,
    live: Live,
    summary: Summary,
}

impl Screen {
    /// Takes what comes and draws once a slot, until the end or a signal.
    async fn follow(
        &mut self,
        mut receiver: Receiver<Result<Arrival, SubscriptionError>>,
        (mut signals, until): (Signals, Monotonic),
        streams: &mut Streams,
    ) -> Result<(), Failure> {
        let clock = RealClock;
        let mut told = std::pin::pin!(signals.next());
        let mut draw_at = clock.monotonic();
        loop {
            let next = draw_at.min(until);
            tokio::select! {
                _ = &mut told => return Ok(()),
                arrived = receiver.recv() => match arrived {
                    None => return Ok(()),
                    Some(arrived) => self.take(&arrived.map_err(|error| failed(&error))?),
                },
                () = clock.sleep_until(next) => {
                    let now = clock.monotonic();
                    if now >= until {
                        return Ok(());
                    }
                    self.draw(streams)?;
                    draw_at = now.after(self.every);
                }
            }
        }
    }

    fn take(&mut self, arrived: &Arrival) {
        let since_start = RealClock.monotonic().since(self.started);
        self.summary.take(&arrived.record, arrived.at, since_start);
        if self.is_shown {
            self.live.take(&arrived.record);
        }
    }

    /// Draws over the last drawing on a terminal, below it elsewhere. Nothing before a first rate.
    fn draw(&self, streams: &mut Streams) -> Result<(), Failure> {
        if !self.is_shown || !self.live.has_rates() {
            return Ok(());
        }
        if streams.is_styled() {
            streams.print(CLEAR)?;
        }
        streams.print(&self.live.tables(streams.is_styled()))?;
        let below = if streams.is_styled() { &self.hint } else { "" };
        streams.print(&format!("{}\n{below}\n", self.summary))?;
        streams.flush()
    }
}
