//! The root of the runtime: follows catalog and configuration, tells arbiters what to poll.
//!
//! Does: plan every resource in force, hand plans to the arbiter of its device, retire what is
//! gone, steer slot time, notice steps of the wall clock, end what has outlived its time to live.
//! Does not: poll, decide what is in force (`model::catalog`).
//! In: [`NodeMessage`]; notices of the catalog and a tick each second, within its life.
//! Out: [`StationCommand`]s. Full: what is to be told waits in `outbox`, the newest per resource,
//! so it holds at most one entry a resource; arbiters are told as fast as they take it.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ocelli_model::catalog::{CatalogLog, decide_expiry, shard_of};
use ocelli_model::clock::{Clock, Monotonic, WallMs};
use ocelli_model::event::Event;
use ocelli_model::resource::ResourceId;
use ocelli_model::unix_seconds::UnixSeconds;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info};

use crate::arbiter::{StationCommand, StationHandle};
use crate::events::Reporter;
use crate::plan::{PairSetting, ResourceMemory, ResourcePlan};
use crate::recall::Recalled;
use crate::site::Site;
use crate::slot_time::SlotTime;
use crate::supervise::{Core, Ending, Life, spawn};

/// Reloads and a drain, a few at one time.
const MAILBOX_CAPACITY: usize = 8;
/// How often slot time is steered and the clocks are compared.
const TICK: Duration = Duration::from_secs(1);
/// A wall clock that moves by more than this against monotonic time has stepped.
const STEP_MS_MAX: i64 = 500;
/// Ticks between two looks for resources that have outlived their time to live.
const EXPIRY_TICKS: u64 = 60;
/// Commands told in one turn of the outbox.
const TURN_COMMANDS_MAX: usize = 64;

// === Messages ===

/// What the node actor is told.
pub(crate) enum NodeMessage {
    /// Follow this revision; answered when all plans are made.
    Reload(Arc<Site>, oneshot::Sender<()>),
    /// Plan nothing more; answered at once.
    Drain(oneshot::Sender<()>),
}

/// What this node follows now, for whoever looks.
#[derive(Default)]
pub struct Followed {
    /// By identity.
    pub resources: BTreeMap<ResourceId, Arc<ResourcePlan>>,
}

/// What the node actor works with.
pub(crate) struct NodeWorld {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) slots: SlotTime,
    pub(crate) catalog: Arc<dyn CatalogLog>,
    pub(crate) changed: Arc<Notify>,
    pub(crate) stations: Rc<Vec<StationHandle>>,
    pub(crate) followed: Arc<ArcSwap<Followed>>,
    /// This node's name, as plan entries have it.
    pub(crate) name: Arc<str>,
    pub(crate) events: Reporter,
}

// === State ===

/// The node actor's core.
pub(crate) struct NodeCore {
    world: NodeWorld,
    site: Arc<Site>,
    memories: HashMap<ResourceId, ResourceMemory>,
    following: BTreeMap<ResourceId, Arc<ResourcePlan>>,
    outbox: BTreeMap<ResourceId, Arc<ResourcePlan>>,
    retired: BTreeMap<ResourceId, Arc<ResourcePlan>>,
    is_telling: bool,
    is_draining: bool,
    clocks: Option<(Monotonic, WallMs)>,
    ticks: u64,
}

impl NodeCore {
    pub(crate) fn new(world: NodeWorld, site: Arc<Site>, recalled: Recalled) -> Self {
        let memories = recalled.memories(&world.catalog.state());
        Self {
            world,
            site,
            memories,
            following: BTreeMap::new(),
            outbox: BTreeMap::new(),
            retired: BTreeMap::new(),
            is_telling: false,
            is_draining: false,
            clocks: None,
            ticks: 0,
        }
    }
}

// === Lifecycle ===

impl Core for NodeCore {
    type Message = NodeMessage;
    const KIND: &'static str = "node";
    const MAILBOX_CAPACITY: usize = MAILBOX_CAPACITY;

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.world.name)
    }

    fn started(&mut self, life: &mut Life<Self>) {
        self.tick(life);
        self.watch_catalog(life);
        self.reconcile(false, life);
    }

    /// Plans are made anew from the catalog; those that were on their way are told again.
    fn restarting(&mut self, _: &Ending) {
        self.following.clear();
        self.outbox.clear();
        self.is_telling = false;
    }

    fn handle(&mut self, message: NodeMessage, life: &mut Life<Self>) {
        match message {
            NodeMessage::Reload(site, done) => {
                self.site = site;
                self.reconcile(true, life);
                done.send(()).ok();
            }
            NodeMessage::Drain(done) => {
                self.is_draining = true;
                self.outbox.clear();
                self.retired.clear();
                done.send(()).ok();
            }
        }
    }
}

// === Handlers ===

impl NodeCore {
    fn watch_catalog(&self, life: &mut Life<Self>) {
        let changed = Arc::clone(&self.world.changed);
        spawn(
            life,
            async move { changed.notified().await },
            |core: &mut Self, _, life| {
                core.reconcile(false, life);
                core.watch_catalog(life);
            },
        );
    }

    fn tick(&mut self, life: &mut Life<Self>) {
        self.world.slots.steer();
        self.compare_clocks(life);
        self.ticks += 1;
        if self.ticks.is_multiple_of(EXPIRY_TICKS) {
            self.expire(life);
        }
        let clock = &self.world.clock;
        let over = clock.sleep_until(clock.monotonic().after(TICK));
        spawn(life, over, |core: &mut Self, _, life| core.tick(life));
    }

    fn compare_clocks(&mut self, life: &mut Life<Self>) {
        let now = (self.world.clock.monotonic(), self.world.clock.wall());
        let before = self.clocks.replace(now);
        let Some(by_ms) = before.and_then(|before| step_between(before, now)) else {
            return;
        };
        self.world.events.report(Event::ClockStepped { by_ms });
        let stations = Rc::clone(&self.world.stations);
        let tell = async move {
            for station in &*stations {
                station.tell(StationCommand::WallStepped { by_ms }).await;
            }
        };
        spawn(life, tell, |_, _, _| {});
    }

    fn expire(&self, life: &mut Life<Self>) {
        let catalog = Arc::clone(&self.world.catalog);
        let now = UnixSeconds::from(self.world.clock.wall());
        let Some(command) = decide_expiry(&catalog.state(), now) else {
            return;
        };
        let propose = async move { catalog.propose(command).await };
        spawn(life, propose, |core: &mut Self, outcome, _| match outcome {
            Ok(Ok(_)) => core.world.changed.notify_one(),
            Ok(Err(error)) => error!(%error, "resources that outlived their time are kept"),
            Err(panic) => error!(error = %panic, "catalog panicked"),
        });
    }

    /// Brings what is followed to what the catalog and the configuration say.
    fn reconcile(&mut self, is_new_site: bool, life: &mut Life<Self>) {
        if self.is_draining {
            return;
        }
        let state = self.world.catalog.state();
        let from = self.world.slots.now();
        let mut gone = std::mem::take(&mut self.following);
        let (mut told, mut kept) = (0_usize, BTreeMap::new());
        for (resource, _) in state.resources() {
            let ours = state
                .plan_of(resource)
                .filter(|entry| entry.owner == *self.world.name);
            let Some(entry) = ours else { continue };
            let id = resource.id();
            let known = gone.remove(id);
            let is_same = |plan: &&Arc<ResourcePlan>| {
                !is_new_site && plan.resource == *resource && plan.epoch == entry.epoch
            };
            if let Some(plan) = known.as_ref().filter(is_same) {
                kept.insert(id.clone(), Arc::clone(plan));
                continue;
            }
            let mut plan = self.site.plan(resource, entry.epoch, from);
            if let Some(known) = &known {
                carry_status(known, &mut plan.pairs);
            }
            let plan = Arc::new(plan);
            kept.insert(id.clone(), Arc::clone(&plan));
            self.outbox.insert(id.clone(), plan);
            told += 1;
        }
        let retired = gone.len();
        for (id, plan) in gone {
            self.outbox.remove(&id);
            self.retired.insert(id, plan);
        }
        if told + retired > 0 {
            info!(
                resources = kept.len(),
                planned = told,
                retired,
                "resources followed"
            );
        }
        self.following = kept;
        let resources = self.following.clone();
        self.world.followed.store(Arc::new(Followed { resources }));
        self.empty_outbox(life);
    }

    /// Tells arbiters what is new, one turn at a time.
    fn empty_outbox(&mut self, life: &mut Life<Self>) {
        if self.is_telling {
            return;
        }
        let mut turn = Vec::new();
        while turn.len() < TURN_COMMANDS_MAX {
            let Some(command) = self.next_command() else {
                break;
            };
            turn.push(command);
        }
        if turn.is_empty() {
            return;
        }
        self.is_telling = true;
        let stations = Rc::clone(&self.world.stations);
        let tell = async move {
            for (station, command) in turn {
                if let Some(station) = stations.get(station) {
                    station.tell(command).await;
                }
            }
        };
        spawn(life, tell, |core: &mut Self, _, life| {
            core.is_telling = false;
            core.empty_outbox(life);
        });
    }

    fn next_command(&mut self) -> Option<(usize, StationCommand)> {
        let count = self.world.stations.len().max(1);
        let station_of = |plan: &ResourcePlan| usize::from(shard_of(&plan.device)) % count;
        if let Some((id, plan)) = self.retired.pop_first() {
            return Some((station_of(&plan), StationCommand::Retire(id)));
        }
        let (id, plan) = self.outbox.pop_first()?;
        let memory = Box::new(self.memories.remove(&id).unwrap_or_default());
        Some((station_of(&plan), StationCommand::Follow(plan, memory)))
    }
}

// === Decisions ===

/// How far the wall clock moved against monotonic time, if that is a step.
fn step_between(before: (Monotonic, WallMs), now: (Monotonic, WallMs)) -> Option<i64> {
    let passed = i64::try_from(now.0.since(before.0).as_millis()).unwrap_or(i64::MAX);
    let by_ms = now.1.0.saturating_sub(before.1.0).saturating_sub(passed);
    (by_ms.abs() > STEP_MS_MAX).then_some(by_ms)
}

fn carry_status(known: &ResourcePlan, pairs: &mut [PairSetting]) {
    for pair in pairs {
        let before = known
            .pairs
            .iter()
            .find(|known| known.instance.name == pair.instance.name);
        if let Some(before) = before {
            pair.status = Arc::clone(&before.status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_move_of_more_than_half_a_second_is_a_step() {
        let at = |seconds: u64, wall_ms: i64| (Monotonic(seconds * 1_000_000_000), WallMs(wall_ms));
        let check = |wall_ms, expected| {
            assert_eq!(
                step_between(at(10, 50_000), at(11, wall_ms)),
                expected,
                "{wall_ms}"
            );
        };
        check(51_000, None);
        check(51_500, None);
        check(50_500, None);
        check(51_501, Some(501));
        check(10_000, Some(-41_000));
    }
}
