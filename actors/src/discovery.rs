//! Runs one discovery plugin and commits what it finds.
//!
//! Does: run the plugin on its schedule, decide by the catalog's pure rules, propose the commands,
//! wake the node actor when anything changed. Does not: read sources (`plugins`), decide (`model`).
//! In: its own timer; a word that a run is wanted now. Out: commands to the catalog; a notice to
//! the node actor; what the last run found, for whoever looks.
//! A run that fails, or whose set is held, changes nothing: the last good set stays in force.

use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext, SpawnHandle};
use arc_swap::ArcSwapOption;
use ocelli_model::catalog::{
    CatalogLog, Command, DiscoveryDecision, DiscoveryDifference, DiscoveryRun, Effect, State,
    decide_discovery, decide_failure,
};
use ocelli_model::clock::Clock;
use ocelli_model::event::Event;
use ocelli_model::resource::Refusal;
use ocelli_model::unix_seconds::UnixSeconds;
use ocelli_plugins::run::{BlockingPool, Run};
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

use crate::events::Reporter;
use crate::site::DiscoveryInstance;
use crate::supervise::{Core, Ending, Life, spawn};

/// An approval asks for a run, rarely. Full: refused, since one that waits does for all.
const MAILBOX_CAPACITY: usize = 2;
/// A run may take this long whatever its schedule says: a file of 100,000 rows takes a second.
const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// A proposal that failed for a while is tried again with the next run, or after this time.
const RETRY: Duration = Duration::from_secs(10);
/// Refused rows of a run that are shown; the log has all.
const REFUSALS_SHOWN_MAX: usize = 100;

/// What a discovery actor works with.
#[derive(Clone)]
pub(crate) struct DiscoveryWorld {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) catalog: Arc<dyn CatalogLog>,
    pub(crate) blocking: BlockingPool,
    /// Told when the catalog has changed; many notices are one.
    pub(crate) changed: Arc<Notify>,
    pub(crate) events: Reporter,
}

/// A discovery's core.
pub(crate) struct DiscoveryCore {
    instance: Arc<DiscoveryInstance>,
    world: DiscoveryWorld,
    /// The pause before the next run, while there is one.
    pause: Option<SpawnHandle>,
    is_running: bool,
    is_wanted: bool,
}

/// What a discovery actor is told.
pub(crate) enum DiscoveryMessage {
    /// Run now, or once more after the run under way.
    Run,
}

// === What the last run found ===

/// What the last run of a discovery came to, for whoever looks.
#[derive(Default)]
pub struct DiscoveryStatus {
    last: ArcSwapOption<LastRun>,
}

impl DiscoveryStatus {
    /// The last run; `None` before the first has ended.
    #[must_use]
    pub fn last(&self) -> Option<Arc<LastRun>> {
        self.last.load_full()
    }
}

/// A run that ended.
#[derive(Debug)]
pub struct LastRun {
    /// When.
    pub at: UnixSeconds,
    /// How.
    pub outcome: DiscoveryOutcome,
    /// What it would change, or changed.
    pub difference: DiscoveryDifference,
    /// Rows that are refused, in words.
    pub refused: Vec<String>,
}

/// How a run of a discovery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryOutcome {
    /// Its set is in force.
    Committed,
    /// Its set waits for approval.
    Held,
    /// It has no set.
    Failed(String),
}

impl DiscoveryCore {
    pub(crate) fn new(instance: Arc<DiscoveryInstance>, world: DiscoveryWorld) -> Self {
        Self {
            instance,
            world,
            pause: None,
            is_running: false,
            is_wanted: false,
        }
    }

    fn run(&mut self, life: &mut Life<Self>) {
        self.pause = None;
        self.is_running = true;
        let (instance, world) = (Arc::clone(&self.instance), self.world.clone());
        let run = Box::pin(async move { run_once(&instance, &world).await });
        spawn(life, run, |core: &mut Self, outcome, life| {
            let is_whole = match outcome {
                Ok(is_whole) => is_whole,
                Err(panic) => {
                    error!(plugin = %core.instance.name, error = %panic, "discovery panicked");
                    false
                }
            };
            core.is_running = false;
            if std::mem::take(&mut core.is_wanted) {
                core.run(life);
            } else {
                core.wait(is_whole, life);
            }
        });
    }

    fn wait(&mut self, is_whole: bool, life: &mut Life<Self>) {
        let pause = match (self.instance.every, is_whole) {
            (Some(every), _) => every,
            (None, false) => RETRY,
            (None, true) => return,
        };
        let over = self
            .world
            .clock
            .sleep_until(self.world.clock.monotonic().after(pause));
        self.pause = Some(spawn(life, over, |core: &mut Self, _, life| core.run(life)));
    }
}

impl Core for DiscoveryCore {
    type Message = DiscoveryMessage;
    const KIND: &'static str = "discovery";
    const MAILBOX_CAPACITY: usize = MAILBOX_CAPACITY;

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.instance.name)
    }

    fn started(&mut self, life: &mut Life<Self>) {
        self.run(life);
    }

    fn restarting(&mut self, _: &Ending) {
        self.pause = None;
        self.is_running = false;
    }

    fn handle(&mut self, message: DiscoveryMessage, life: &mut Life<Self>) {
        let DiscoveryMessage::Run = message;
        if self.is_running {
            self.is_wanted = true;
            return;
        }
        if let Some(pause) = self.pause.take() {
            life.cancel_future(pause);
        }
        self.run(life);
    }
}

/// Whether the run ended well and all it found is committed.
async fn run_once(instance: &DiscoveryInstance, world: &DiscoveryWorld) -> bool {
    let name = &instance.name;
    let limit = instance
        .every
        .map_or(DEADLINE_MAX, |every| every.min(DEADLINE_MAX));
    let clock = &*world.clock;
    let deadline = clock.monotonic().after(limit);
    let run = Run {
        clock,
        deadline,
        blocking: &world.blocking,
    };
    let found = tokio::select! {
        found = instance.plugin.discover(run) => found.map_err(|error| error.to_string()),
        () = clock.sleep_until(deadline) => Err(format!("no result after {limit:?}")),
    };
    let at = UnixSeconds::from(clock.wall());
    let state = world.catalog.state();
    let (commands, is_whole, last) = match found {
        Err(reason) => {
            debug!(plugin = %name, error = %reason, "discovery failed; the last good set stays");
            let commands = decide_failure(&state, name, at, &reason);
            let last = LastRun {
                at,
                outcome: DiscoveryOutcome::Failed(reason),
                difference: DiscoveryDifference::default(),
                refused: Vec::new(),
            };
            (commands.into_iter().collect(), false, last)
        }
        Ok(file) => {
            let refused = refused_rows(&file.refusals, instance.plugin.source());
            tell_refused(name, &refused, instance.status.last().as_deref());
            let run = DiscoveryRun {
                source: name.to_string(),
                at,
                undated: file.undated,
                resources: file.resources,
                refusals: file.refusals,
            };
            let (commands, outcome, difference) = decided(name, decide_discovery(&state, &run));
            let is_committed = outcome == DiscoveryOutcome::Committed;
            if is_committed && !difference.removed.is_empty() && is_approved(&state, name) {
                let discovery = name.to_string();
                world.events.report(Event::DiscoveryApproved { discovery });
            }
            let last = LastRun {
                at,
                outcome,
                difference,
                refused,
            };
            (commands, true, last)
        }
    };
    // Shown before it is committed: whoever sees the catalog's word finds its difference.
    instance.status.last.store(Some(Arc::new(last)));
    commit(commands, world).await && is_whole
}

/// In words, with the source that the rows stand in.
fn refused_rows(refusals: &[Refusal], source: Option<&str>) -> Vec<String> {
    let refusals = refusals.iter().take(REFUSALS_SHOWN_MAX);
    let place = source.map(|source| format!("{source}: "));
    let place = place.unwrap_or_default();
    refusals
        .map(|refusal| format!("{place}{refusal}"))
        .collect()
}

/// Once: rows that the run before refused for the same reason are in the log already.
fn tell_refused(name: &str, refused: &[String], before: Option<&LastRun>) {
    let known = before.map_or(&[][..], |last| &last.refused);
    for error in refused.iter().filter(|text| !known.contains(text)) {
        warn!(plugin = %name, %error, "resource refused");
    }
}

fn decided(
    name: &str,
    decision: DiscoveryDecision,
) -> (Vec<Command>, DiscoveryOutcome, DiscoveryDifference) {
    match decision {
        DiscoveryDecision::Commit {
            commands,
            difference,
        } => {
            let (added, changed) = (difference.added.len(), difference.changed.len());
            let removed = difference.removed.len();
            if added + changed + removed > 0 {
                info!(plugin = %name, added, changed, removed, "resources discovered");
            }
            (commands, DiscoveryOutcome::Committed, difference)
        }
        DiscoveryDecision::Hold {
            command,
            difference,
        } => {
            let removed = difference.removed.len();
            debug!(plugin = %name, removed, "discovery held");
            (
                command.into_iter().collect(),
                DiscoveryOutcome::Held,
                difference,
            )
        }
    }
}

async fn commit(commands: Vec<Command>, world: &DiscoveryWorld) -> bool {
    for command in commands {
        match world.catalog.propose(command).await {
            Ok(applied) => {
                let events = applied.effects.into_iter().filter_map(event_of);
                events.for_each(|event| world.events.report(event));
                if let Some(refused) = applied.refused {
                    error!(error = %refused, "catalog refused a command of a discovery");
                }
                world.changed.notify_one();
            }
            Err(error) => {
                error!(%error, "catalog did not take a command of a discovery");
                return false;
            }
        }
    }
    true
}

/// A held set that an operator accepted is committed by the run that finds it again.
fn is_approved(state: &State, name: &str) -> bool {
    let source = state.sources().get(name);
    source.is_some_and(|source| source.approved.is_some())
}

/// What of a command's effects is worth an event.
fn event_of(effect: Effect) -> Option<Event> {
    match effect {
        Effect::DiscoveryHeld { source, held } => Some(Event::DiscoveryHeld {
            discovery: source,
            added: held.counts.added,
            removed: held.counts.removed,
            current: held.counts.current,
            reason: held.reason,
        }),
        Effect::DiscoveryFailed { source, reason } => Some(Event::DiscoveryFailed {
            discovery: source,
            reason,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ocelli_model::resource::{ResourceDefaults, parse_resource_file};

    use super::*;

    #[test]
    fn a_refused_row_is_named_with_the_file_that_it_stands_in() {
        let good = r#"{"resource_site":"s","resource_class":"c","resource_subclass":"u",
            "resource_type":"t","resource_id":"i","resource_endpoint":"e","resource_metadata":{},
            "resource_creation_timestamp":1,"resource_plugin":"p"}"#;
        let defaults = ResourceDefaults {
            plugin: "p".to_owned(),
            now: UnixSeconds::default(),
        };
        let file = parse_resource_file(format!("[{good},\n7]").as_bytes(), &defaults).unwrap();
        let rows = |source| refused_rows(&file.refusals, source);
        assert!(rows(Some("r.json"))[0].starts_with("r.json: line 4 column 1: "));
        assert!(rows(None)[0].starts_with("line 4 column 1: "));
    }
}
