//! The demo of three tiers: two sites, a region and a global, read at the global.
//!
//! Does: start the mesh, subscribe at each tier, show rates and the lag of each hop, play the
//! story, sum up. Does not: start processes itself (`mesh`), leave anything behind.
//! In: [`DemoOptions`]. Out: tables while it runs and a summary; with `-o json` one object.
//! Full: subscribers wait when the screen is slow; the nodes keep what is not read yet.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use ocelli_model::clock::{Clock, Monotonic, WallMs};
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::AbortHandle;

use super::feed::{Told, follow};
use super::hops::{Arrived, Hops, TOP};
use super::live::Live;
use super::mesh::{GLOBAL, Mesh, NODES, REGION, SITES};
use super::story::Stage;
use super::summary::Summary;
use super::{CLEAR, DURATION_MAX, INTERFACES, RECORDS_WAITING_MAX, failed, temporary_directory};
use crate::cli::demo::DemoOptions;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Streams};
use crate::clock::RealClock;
use crate::run::Signals;

/// Lines of the story that wait to be shown.
const LINES_WAITING_MAX: usize = 16;

/// Runs the demo of three tiers to its end.
///
/// # Errors
/// As [`super::run`]; where a node failed, with the last lines of its log.
pub(super) fn run(options: &DemoOptions, streams: &mut Streams) -> Result<Exit, Failure> {
    let started = RealClock.monotonic();
    let directory = temporary_directory()?;
    let system = actix_rt::System::new();
    let screen = system.block_on(async {
        // Before anything runs: a signal that comes during the start is not lost.
        let signals = Signals::new()?;
        let mesh = Mesh::start(options, directory.path()).await?;
        show(options, streams, (mesh, signals, started)).await
    });
    let removed = directory.close().map_err(|error| failed(&error));
    let screen = screen?;
    removed?;
    screen.print(options.output.format, streams)?;
    Ok(Exit::Done)
}

async fn show(
    options: &DemoOptions,
    streams: &mut Streams,
    (mut mesh, signals, started): (Mesh, Signals, Monotonic),
) -> Result<Screen, Failure> {
    streams.say(format!(
        "sites {}, each with {} simulated switches of {INTERFACES} interfaces and this machine, \
         every {} ms → region {REGION} → global {GLOBAL}; first rates after two slots",
        SITES.join(" and "),
        options.switches,
        options.every.as_millis(),
    ));
    let hint = format!(
        "API of the global at {0} (try curl {0}/v1/values); Ctrl-C ends the demo",
        mesh.global.url
    );
    streams.say(&hint);
    let (sender, records) = channel(RECORDS_WAITING_MAX);
    let sites = mesh.sites.iter().map(|site| (&site.client, 0));
    let all = sites.chain([(&mesh.region.client, 1), (&mesh.global.client, TOP)]);
    let feeds =
        all.map(|(client, tier)| actix_rt::spawn(follow(Rc::clone(client), tier, sender.clone())));
    let mut tasks: Vec<AbortHandle> = feeds.map(|feed| feed.abort_handle()).collect();
    drop(sender);
    let mut screen = Screen::new(options, started, hint);
    let (say, lines) = channel(LINES_WAITING_MAX);
    let stage = Stage {
        line: Rc::clone(&mesh.line),
        site: Rc::clone(&mesh.sites[0].client),
        region: Rc::clone(&mesh.region.client),
        global: Rc::clone(&mesh.global.client),
        hops: Rc::clone(&screen.hops),
        say,
    };
    let story = options.story.then(|| actix_rt::spawn(stage.play()));
    tasks.extend(story.as_ref().map(JoinHandle::abort_handle));
    let coming = Coming {
        records,
        lines,
        story,
        signals,
    };
    let followed = screen.follow(coming, &mut mesh, streams).await;
    tasks.iter().for_each(AbortHandle::abort);
    // Their connections end with them: a node that drains waits for none.
    while tasks.iter().any(|task| !task.is_finished()) {
        tokio::task::yield_now().await;
    }
    let ended = mesh.end().await;
    followed.and(ended).map(|()| screen)
}

/// What a screen waits for.
struct Coming {
    records: Receiver<Result<Told, Failure>>,
    lines: Receiver<String>,
    story: Option<JoinHandle<Value>>,
    signals: Signals,
}

struct Screen {
    started: Monotonic,
    /// No end before this; `None`: the story's end, or the user's.
    until: Option<Monotonic>,
    /// Where the API is: a drawing over the terminal repeats it.
    hint: String,
    every: Duration,
    is_shown: bool,
    live: Live,
    summary: Summary,
    hops: Rc<RefCell<Hops>>,
    /// Lines of the story so far.
    told: Vec<String>,
    story: Option<Value>,
}

impl Screen {
    fn new(options: &DemoOptions, started: Monotonic, hint: String) -> Self {
        Self {
            started,
            until: options.duration.map(|duration| started.after(duration)),
            hint,
            every: options.every,
            is_shown: matches!(options.output.format, Format::Table | Format::Wide),
            live: Live::default(),
            summary: Summary::new(NODES),
            hops: Rc::default(),
            told: Vec::new(),
            story: None,
        }
    }

    /// Takes what comes and draws once a slot, until the end or a signal.
    async fn follow(
        &mut self,
        mut coming: Coming,
        mesh: &mut Mesh,
        streams: &mut Streams,
    ) -> Result<(), Failure> {
        let clock = RealClock;
        let mut draw_at = clock.monotonic();
        loop {
            let now = clock.monotonic();
            let until = self.until.unwrap_or(self.started.after(DURATION_MAX));
            if coming.story.is_none() && now >= until {
                return Ok(());
            }
            let next = if coming.story.is_none() {
                draw_at.min(until)
            } else {
                draw_at
            };
            tokio::select! {
                _ = coming.signals.next() => return Ok(()),
                Some(told) = coming.records.recv() => self.take(&told?),
                Some(line) = coming.lines.recv() => self.tell(line, streams),
                story = end_of(&mut coming.story) => {
                    coming.story = None;
                    self.story = Some(story?);
                    self.until.get_or_insert(clock.monotonic());
                    while let Ok(line) = coming.lines.try_recv() {
                        self.tell(line, streams);
                    }
                }
                () = clock.sleep_until(next) => {
                    mesh.check()?;
                    self.draw(streams)?;
                    draw_at = clock.monotonic().after(self.every);
                }
            }
        }
    }

    fn take(&mut self, told: &Told) {
        let Told { tier, line, at } = told;
        if *tier == TOP {
            let since_start = RealClock.monotonic().since(self.started);
            if !self.summary.take_line(line, *at, since_start) {
                return;
            }
            if self.is_shown {
                self.live.take_line(line);
            }
        }
        let (Some(seq), Some(taken)) = (line.seq, line.time_ms) else {
            return;
        };
        self.hops.borrow_mut().take(&Arrived {
            tier: *tier,
            site: line.site(),
            origin: &line.origin,
            seq,
            taken: WallMs(taken),
            at: *at,
            is_backfill: line.backfill,
        });
    }

    /// On a terminal the drawing repeats it; elsewhere it goes to stderr at once.
    fn tell(&mut self, line: String, streams: &mut Streams) {
        let after = RealClock.monotonic().since(self.started).as_secs_f64();
        let line = format!("{after:>5.1} s  {line}");
        if !self.is_shown || !streams.is_styled() {
            streams.say(&line);
        }
        self.told.push(line);
    }

    /// Draws over the last drawing on a terminal, below it elsewhere. Nothing before a first rate.
    fn draw(&self, streams: &mut Streams) -> Result<(), Failure> {
        if !self.is_shown || !self.live.has_rates() {
            return Ok(());
        }
        let is_styled = streams.is_styled();
        if is_styled {
            streams.print(CLEAR)?;
        }
        streams.print(&self.live.tables(is_styled))?;
        streams.print(&self.paths(is_styled))?;
        if is_styled {
            let told = self.told.iter().map(|line| format!("{line}\n"));
            streams.print(&told.collect::<String>())?;
            streams.print(&format!("{}\n", self.hint))?;
        }
        streams.flush()
    }

    fn paths(&self, is_styled: bool) -> String {
        let above = format!("{REGION} → {GLOBAL}");
        let table = self.hops.borrow().table(&above, is_styled);
        format!("{table}\n{}\n\n", self.summary)
    }

    /// The last words.
    fn print(&self, format: Format, streams: &mut Streams) -> Result<(), Failure> {
        if self.is_shown {
            if streams.is_styled() {
                let told = self.told.iter().map(|line| format!("{line}\n"));
                streams.print(&told.collect::<String>())?;
            }
            return streams.print(&self.paths(streams.is_styled()));
        }
        let mut document = self.summary.to_json();
        document["hops"] = self.hops.borrow().to_json();
        if let Some(story) = &self.story {
            document["story"] = story.clone();
        }
        Summary::print_object(&document, format, streams)
    }
}

/// Never, without a story.
async fn end_of(story: &mut Option<JoinHandle<Value>>) -> Result<Value, Failure> {
    match story {
        Some(story) => story.await.map_err(|error| failed(&error)),
        None => std::future::pending().await,
    }
}
