//! Runs one discovery plugin and commits what it finds.
//!
//! Does: run the plugin on its schedule, decide by the catalog's pure rules, propose the commands,
//! wake the node actor when anything changed. Does not: read sources (`plugins`), decide (`model`).
//! In: its own timer. Out: commands to the catalog; a notice to the node actor.
//! A run that fails, or whose set is held, changes nothing: the last good set stays in force.

use std::sync::Arc;
use std::time::Duration;

use ocelli_model::catalog::{
    CatalogLog, Command, DiscoveryDecision, DiscoveryRun, Effect, State, decide_discovery,
    decide_failure,
};
use ocelli_model::clock::Clock;
use ocelli_model::event::Event;
use ocelli_model::unix_seconds::UnixSeconds;
use ocelli_plugins::run::{BlockingPool, Run};
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

use crate::events::Reporter;
use crate::site::DiscoveryInstance;
use crate::supervise::{Core, Ending, Life, spawn};

/// Nothing is sent to it but the end of its own runs, which need no place.
const MAILBOX_CAPACITY: usize = 2;
/// A run may take this long whatever its schedule says: a file of 100,000 rows takes a second.
const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// A proposal that failed for a while is tried again with the next run, or after this time.
const RETRY: Duration = Duration::from_secs(10);

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
}

/// No message comes from outside.
pub(crate) enum DiscoveryMessage {}

impl DiscoveryCore {
    pub(crate) fn new(instance: Arc<DiscoveryInstance>, world: DiscoveryWorld) -> Self {
        Self { instance, world }
    }

    fn run(&self, life: &mut Life<Self>) {
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
            core.wait(is_whole, life);
        });
    }

    fn wait(&self, is_whole: bool, life: &mut Life<Self>) {
        let pause = match (self.instance.every, is_whole) {
            (Some(every), _) => every,
            (None, false) => RETRY,
            (None, true) => return,
        };
        let over = self
            .world
            .clock
            .sleep_until(self.world.clock.monotonic().after(pause));
        spawn(life, over, |core: &mut Self, _, life| core.run(life));
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

    fn restarting(&mut self, _: &Ending) {}

    fn handle(&mut self, message: DiscoveryMessage, _: &mut Life<Self>) {
        match message {}
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
    let (commands, is_whole) = match found {
        Err(reason) => {
            debug!(plugin = %name, error = %reason, "discovery failed; the last good set stays");
            (
                decide_failure(&state, name, at, &reason)
                    .into_iter()
                    .collect(),
                false,
            )
        }
        Ok(file) => {
            for refusal in &file.refusals {
                warn!(plugin = %name, error = %refusal, "resource refused");
            }
            let run = DiscoveryRun {
                source: name.to_string(),
                at,
                undated: Some(at),
                resources: file.resources,
                refusals: file.refusals,
            };
            match decide_discovery(&state, &run) {
                DiscoveryDecision::Commit {
                    commands,
                    difference,
                } => {
                    let (added, changed) = (difference.added.len(), difference.changed.len());
                    let removed = difference.removed.len();
                    if removed > 0 && is_approved(&state, name) {
                        let discovery = name.to_string();
                        world.events.report(Event::DiscoveryApproved { discovery });
                    }
                    if added + changed + removed > 0 {
                        info!(plugin = %name, added, changed, removed, "resources discovered");
                    }
                    (commands, true)
                }
                DiscoveryDecision::Hold {
                    command,
                    difference,
                } => {
                    let removed = difference.removed.len();
                    debug!(plugin = %name, removed, "discovery held");
                    (command.into_iter().collect(), true)
                }
            }
        }
    };
    commit(commands, world).await && is_whole
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
