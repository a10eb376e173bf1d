//! Owns one resource: its session, its due collections, its slots, its previous counters.
//!
//! Does: start a collection when its slot opens; end every slot as one batch or one gap.
//! Does not: speak protocols (`plugins`), judge counters (`model::rate`), decide slots
//! (`model::resource_state`), choose credentials (`credential_choice`).
//! In: [`ResourceMessage`] from the node actor and the wheel; ends of its own runs, which come
//! within this life and need no place in the mailbox.
//! Out: batches, gaps, sessions and enrichments to this arbiter's outlet; nothing else.
//! Full: a wake-up is refused and offered again by the station; a plan is refused, the node actor
//! offers the newest again. After a panic: a fresh core; previous counters survive, since they are
//! swapped in whole only by a run that succeeded.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Addr, AsyncContext, SpawnHandle};
use ocelli_model::breaker::Gate;
use ocelli_model::clock::Monotonic;
use ocelli_model::gap::{Gap, GapCause, GapKind};
use ocelli_model::resource::Resource;
use ocelli_model::resource_state::{Effect, Effects, ResourceEvent, ResourceState, RunEnd};
use ocelli_model::slot::SlotMs;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::collection::{Asking, Collected, Collection};
use crate::credential_choice::Answer;
use crate::device::Device;
use crate::learning::Learning;
use crate::outlet::{PairOf, Shed};
use crate::plan::{PairMemory, PairSetting, ResourceMemory, ResourcePlan};
use crate::probe::{ProbeOrder, Probed};
use crate::publish::{Publication, Publisher};
use crate::session::OpenSession;
use crate::station::Station;
use crate::supervise::{Core, Ending, Guarded, Life, spawn, start};
use crate::wheel::WakeKey;

mod breaker;
mod follow;
pub(crate) mod learn;
mod noticed;
mod probe;

pub(crate) use probe::longest_run;

/// Control messages alone pass through the mailbox: a wake-up, plans, a drain and a stop.
pub(crate) const MAILBOX_CAPACITY: usize = 8;

// === Messages: a closed list of all that can happen to a resource ===

/// What a resource actor is told.
pub(crate) enum ResourceMessage {
    /// The wheel: something is due.
    Wake,
    /// Follow this plan from its first slot on.
    Plan(Arc<ResourcePlan>),
    /// No slot after now: the resource is gone or another node's.
    Retire(oneshot::Sender<()>),
    /// The wall clock stepped: previous values move along.
    WallStepped {
        /// Positive: forward.
        by_ms: i64,
    },
    /// Run a plugin once beside its slots and tell what came; nothing is kept or written.
    Probe(ProbeOrder, oneshot::Sender<Probed>),
    /// Start nothing more; answer when all runs have ended.
    Drain(oneshot::Sender<()>),
    /// Cut what still runs and write the session records.
    Stop(oneshot::Sender<()>),
}

// === State: what decisions read, apart from what touches the world ===

/// A resource's core.
pub(crate) struct ResourceCore {
    /// Plain data of `model`: comparable, printable, replayable.
    state: ResourceState,
    plan: Arc<ResourcePlan>,
    /// What outlives a crash, by plugin.
    pairs: BTreeMap<Arc<str>, PairKept>,
    /// Why slots before this life have no batch.
    missed: GapCause,
    /// Where the slots of pairs without memory begin, for the first plan; `None`: now.
    lost_since: Option<SlotMs>,
    runs: Vec<InProgress>,
    learning: Learning,
    session: Option<Rc<OpenSession>>,
    device: Rc<Device>,
    station: Rc<Station>,
    key: Option<WakeKey>,
    waiting: Vec<oneshot::Sender<()>>,
    is_probed: bool,
    is_stopped: bool,
}

/// What is kept of a pair from run to run.
#[derive(Default)]
pub(crate) struct PairKept {
    pub(crate) memory: PairMemory,
    pub(crate) publisher: Publisher,
    /// The cause of the last slot's gap; `None` after a batch. For logging changes alone.
    last_gap: Option<GapKind>,
    /// Names that rows of the last run shared, told already.
    tied: Vec<String>,
}

struct InProgress {
    plugin: Arc<str>,
    slot: SlotMs,
    began: Monotonic,
    /// What the plugin's breaker said of it.
    gate: Gate,
    handle: SpawnHandle,
}

/// Starts a resource actor on the current arbiter.
pub(crate) fn start_resource(
    plan: Arc<ResourcePlan>,
    memory: ResourceMemory,
    station: &Rc<Station>,
) -> Addr<Guarded<ResourceCore>> {
    let device = station
        .devices
        .borrow_mut()
        .of(&plan, memory.credential.as_deref());
    let kept = |memory| PairKept {
        memory,
        ..PairKept::default()
    };
    let missed = match (memory.is_rolled_back, memory.is_drained) {
        (true, _) => GapKind::Rollback.into(),
        (false, true) => GapKind::Restart.into(),
        (false, false) => GapCause::with(GapKind::Restart, "unplanned"),
    };
    let core = ResourceCore {
        state: ResourceState::default(),
        plan,
        pairs: memory
            .pairs
            .into_iter()
            .map(|(name, memory)| (name, kept(memory)))
            .collect(),
        missed,
        lost_since: memory.lost_since,
        runs: Vec::new(),
        learning: Learning::default(),
        session: None,
        device,
        station: Rc::clone(station),
        key: None,
        waiting: Vec::new(),
        is_probed: false,
        is_stopped: false,
    };
    start(core, &station.supervision)
}

// === Lifecycle: start, restart, stop, and what each leaves behind ===

impl Core for ResourceCore {
    type Message = ResourceMessage;
    const KIND: &'static str = "resource";
    const MAILBOX_CAPACITY: usize = MAILBOX_CAPACITY;

    fn name(&self) -> Arc<str> {
        self.plan.resource.id().as_str().into()
    }

    fn resource(&self) -> Option<Arc<Resource>> {
        Some(Arc::clone(&self.plan.resource))
    }

    fn started(&mut self, life: &mut Life<Self>) {
        let station = Rc::clone(&self.station);
        self.key
            .get_or_insert_with(|| station.enlist(life.address().downgrade()));
        self.follow(life);
        self.lost_since = None;
        self.step(ResourceEvent::Tick, None, life);
    }

    /// Sessions are dropped, previous counters kept: the first sample afterwards has a rate.
    fn restarting(&mut self, ending: &Ending) {
        self.state = ResourceState::default();
        self.runs.clear();
        self.learning = Learning::default();
        self.session = None;
        self.is_probed = false;
        self.missed = match ending.is_parked {
            true => GapKind::Parked.into(),
            false => GapCause::because(GapKind::PluginError, &format!("crash: {}", ending.panic)),
        };
    }

    fn handle(&mut self, message: ResourceMessage, life: &mut Life<Self>) {
        match message {
            ResourceMessage::Wake => self.step(ResourceEvent::Tick, None, life),
            ResourceMessage::Plan(plan) => self.take_plan(plan, life),
            ResourceMessage::Retire(done) => self.retire(done, life),
            ResourceMessage::WallStepped { by_ms } => {
                for kept in self.pairs.values_mut() {
                    kept.memory.rate.wall_stepped(by_ms);
                }
            }
            ResourceMessage::Probe(order, done) => self.probe(&order, done, life),
            ResourceMessage::Drain(done) => {
                self.waiting.push(done);
                self.learning.end();
                self.step(ResourceEvent::Drain, None, life);
            }
            ResourceMessage::Stop(done) => {
                self.step(ResourceEvent::Stop, None, life);
                self.write_sessions();
                self.is_stopped = true;
                answer(done);
            }
        }
    }
}

impl Drop for ResourceCore {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.station.dismiss(key);
        }
    }
}

// === Handlers: read the clock once, ask, carry out ===

impl ResourceCore {
    fn step(&mut self, event: ResourceEvent, ended: Option<Box<Collected>>, life: &mut Life<Self>) {
        if self.is_stopped {
            return;
        }
        let now = self.station.slots.now();
        let Effects { list, wake_at } = self.state.step(event, now);
        let mut ended = ended;
        for effect in list {
            self.carry_out(effect, &mut ended, life);
        }
        if let Some(collected) = ended {
            self.station.reach.keep_memory(collected.memory);
        }
        self.learn(life);
        self.arm(wake_at);
    }

    fn arm(&self, wake_at: Option<SlotMs>) {
        let Some(key) = self.key else { return };
        let slot = wake_at.map(|slot| self.station.slots.monotonic_at(slot));
        if let Some(at) = slot.into_iter().chain(self.learning.next_at()).min() {
            self.station.wake_at(key, at);
        }
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        ended: &mut Option<Box<Collected>>,
        life: &mut Life<Self>,
    ) {
        match effect {
            Effect::Start {
                plugin,
                slot,
                deadline,
                ..
            } => {
                self.start_run(&plugin, slot, deadline, life);
            }
            Effect::Cancel { plugin, slot } => {
                self.runs.retain(|run| {
                    let is_it = run.plugin == plugin && run.slot == slot;
                    if is_it {
                        life.cancel_future(run.handle);
                    }
                    !is_it
                });
            }
            Effect::Batch {
                plugin,
                slot,
                interval_ms,
                epoch,
            } => {
                if let Some(collected) = ended.take() {
                    let of_slot = Gap::of_slot(slot, interval_ms, epoch, GapKind::Overload.into());
                    self.publish(&plugin, of_slot, *collected);
                }
            }
            Effect::Gap { plugin, gap } => self.emit_gap(&plugin, gap),
            Effect::Discard { plugin, slot } => {
                if let Some(setting) = self.setting(&plugin) {
                    setting.instance.counters.discarded();
                }
                debug!(plugin = %plugin, slot = slot.0, "late end of a collection discarded");
            }
            Effect::Ended { plugin } => self.release(&plugin),
            Effect::Idle => self.waiting.drain(..).for_each(answer),
        }
    }

    fn start_run(&mut self, name: &str, slot: SlotMs, deadline: SlotMs, life: &mut Life<Self>) {
        let Some(setting) = self.setting(name).cloned() else {
            return;
        };
        let began = self.station.clock.monotonic();
        let gate = setting.instance.breaker.gate(began);
        if gate != Gate::Parked {
            setting.instance.counters.run_started();
        }
        let plugin = Arc::clone(&setting.instance.name);
        let asking = Asking {
            plan: Arc::clone(&self.plan),
            reach: Rc::clone(&self.station.reach),
            device: Rc::clone(&self.device),
            session: self.session.clone(),
            credential: self.device.credential(&self.plan),
            port: setting.instance.port,
            timeout: setting.instance.timeout,
            deadline: self.station.slots.monotonic_at(deadline),
        };
        let collection = Collection {
            setting,
            slot,
            asking,
            log: None,
        };
        let name = Arc::clone(&plugin);
        let run: Pin<Box<dyn Future<Output = Collected>>> = match gate {
            Gate::Parked => Box::pin(ready(Collected::failed(breaker::PARKED))),
            Gate::Run | Gate::Try => Box::pin(collection.run()),
        };
        let handle = spawn(life, run, move |core: &mut Self, outcome, life| {
            core.run_ended(&plugin, slot, outcome, life);
        });
        self.runs.push(InProgress {
            plugin: name,
            slot,
            began,
            gate,
            handle,
        });
    }

    fn run_ended(
        &mut self,
        plugin: &Arc<str>,
        slot: SlotMs,
        outcome: Result<Collected, String>,
        life: &mut Life<Self>,
    ) {
        let now = self.station.clock.monotonic();
        let position = self
            .runs
            .iter()
            .position(|run| run.plugin == *plugin && run.slot == slot);
        if let Some(run) = position.map(|position| self.runs.swap_remove(position))
            && let Some(setting) = self.setting(plugin)
        {
            setting.instance.counters.run_ended(now.since(run.began));
            self.judge_plugin(&run, &outcome, now);
        }
        let (end, collected) = match outcome {
            Ok(collected) => {
                self.note_session(plugin, &collected, now);
                let failed = collected.result.as_ref().err().cloned();
                (
                    failed.map_or(RunEnd::Rows, RunEnd::Failed),
                    Some(Box::new(collected)),
                )
            }
            Err(panic) => {
                let resource = self.plan.resource.id();
                warn!(%resource, %plugin, slot = slot.0, error = %panic, "plugin panicked");
                let detail = format!("panic: {panic}");
                (
                    RunEnd::Failed(GapCause::because(GapKind::PluginError, &detail)),
                    None,
                )
            }
        };
        let plugin = Arc::clone(plugin);
        self.step(
            ResourceEvent::RunEnded { plugin, slot, end },
            collected,
            life,
        );
    }

    /// Keeps the session for later runs; drops it if another credential is to be used.
    fn note_session(&mut self, plugin: &Arc<str>, collected: &Collected, now: Monotonic) {
        let Some(session) = &collected.session else {
            return;
        };
        let said = match &collected.result {
            Ok(_) => Answer::Answered,
            Err(cause) => Answer::of_gap(cause.kind),
        };
        let is_changed = self.device.note(session.credential, said, now);
        self.session = (!is_changed).then(|| Rc::clone(session));
        let next = is_changed.then(|| self.device.credential(&self.plan));
        let mut unknown = Vec::new();
        let kept = self.pairs.get_mut(plugin);
        let tied = kept.map_or(&mut unknown, |kept| &mut kept.tied);
        let next = next.flatten();
        for event in noticed::events_of(&self.plan, collected, session, next, tied) {
            let events = &self.station.supervision.events;
            events.report_of(&self.plan.resource, Some(plugin), event);
        }
    }

    /// The rows become the slot's batch, or the slot's gap if nothing takes them.
    fn publish(&mut self, plugin: &Arc<str>, mut of_slot: Gap, mut collected: Collected) {
        let Some(setting) = self.setting(plugin).cloned() else {
            return;
        };
        let publication = Publication {
            resource: &self.plan.resource,
            instance: &setting.instance,
            slot: of_slot.first,
            interval_ms: of_slot.interval_ms,
            epoch: of_slot.epoch,
            time: self.station.clock.wall(),
        };
        let kept = self.pairs.entry(Arc::clone(plugin)).or_default();
        let memory = &mut collected.memory;
        let mut outlet = self.station.outlet.borrow_mut();
        let rate = &mut kept.memory.rate;
        let published = kept
            .publisher
            .publish(&publication, memory, rate, &mut outlet);
        drop(outlet);
        self.station.reach.keep_memory(collected.memory);
        match published {
            Ok(()) => {
                kept.memory.last = Some((of_slot.last, of_slot.interval_ms, of_slot.epoch));
                setting.status.batch(of_slot.last, of_slot.interval_ms);
                if let Some(cause) = kept.last_gap.take() {
                    let (resource, cause) = (self.plan.resource.id(), cause.as_str());
                    info!(%resource, %plugin, slot = of_slot.first.0, cause, "batches again");
                }
            }
            Err(Shed { cause }) => {
                of_slot.cause = cause;
                self.emit_gap(plugin, of_slot);
            }
        }
    }

    fn emit_gap(&mut self, plugin: &Arc<str>, gap: Gap) {
        if let Some(setting) = self.setting(plugin) {
            setting.instance.counters.gap(gap.cause.kind, gap.slots());
            setting.status.gap(&gap);
        }
        let resource = self.plan.resource.id();
        let kept = self.pairs.entry(Arc::clone(plugin)).or_default();
        let (slot, slots, cause) = (gap.first.0, gap.slots(), &gap.cause);
        if kept.last_gap == Some(gap.cause.kind) {
            debug!(%resource, %plugin, slot, slots, %cause, "slots without a batch");
        } else {
            warn!(%resource, %plugin, slot, slots, %cause, "slots without a batch");
        }
        kept.last_gap = Some(gap.cause.kind);
        kept.memory.last = Some((gap.last, gap.interval_ms, gap.epoch));
        let cache = &mut kept.publisher.cache;
        let mut of = PairOf {
            cache,
            resource: &self.plan.resource,
            plugin,
        };
        self.station.outlet.borrow_mut().gap(&mut of, gap);
    }

    fn setting(&self, plugin: &str) -> Option<&PairSetting> {
        self.plan
            .pairs
            .iter()
            .find(|pair| &*pair.instance.name == plugin)
    }
}

// === Decisions ===

/// Whoever asked may be gone; then nobody needs the answer.
fn answer(done: oneshot::Sender<()>) {
    done.send(()).ok();
}
