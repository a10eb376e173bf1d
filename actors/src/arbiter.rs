//! One collection arbiter: a thread with a station and the resource actors on it.
//!
//! Does: start the thread and its tasks, keep the resource actors of its device keys, replace one
//! that is lost, drain and stop them all. Does not: decide which resources are here (`node`).
//! In: [`StationCommand`] from the node actor. Out: answers; all data goes by the outlet.
//! Full: the command channel waits ([`COMMANDS_MAX`]); commands flow down only, so no cycle forms.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Arbiter};
use futures_util::future::join_all;
use ocelli_bus::BusHandle;
use ocelli_model::clock::{Clock, Rng};
use ocelli_model::resource::ResourceId;
use ocelli_plugins::run::BlockingPool;
use ocelli_snmp::engine::{Engine, Source};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::counters::RuntimeCounters;
use crate::events::Reporter;
use crate::outlet::Outlet;
use crate::plan::{ResourceMemory, ResourcePlan};
use crate::probe::{ProbeOrder, ProbeRefused, Probed};
use crate::resolver::{Lookup, Resolver};
use crate::resource::{ResourceCore, ResourceMessage, start_resource};
use crate::session::Sessions;
use crate::slot_time::SlotTime;
use crate::station::{Station, StationParts};
use crate::supervise::{Core, End, Envelope, Guarded, Obituary, Supervision};

/// Commands on their way to one arbiter: a discovery of 10,000 resources passes in some turns.
const COMMANDS_MAX: usize = 256;
/// News of crashed actors of one arbiter; more at one time are dropped and logged.
const OBITUARIES_MAX: usize = 256;
/// How often an outlet is looked at while it empties at a stop.
const EMPTY_CHECK: Duration = Duration::from_millis(5);
/// How long a stop waits for the outlet to empty: a full disk must not hold an end up.
const EMPTY_LIMIT: Duration = Duration::from_secs(5);
/// An actor that does not take a message is asked again after this time.
const FULL_RETRY: Duration = Duration::from_millis(20);
/// How often it is asked: two seconds, in which a living actor has emptied its mailbox.
const FULL_RETRIES: u32 = 100;

/// What one arbiter is told.
pub(crate) enum StationCommand {
    /// Follow this plan; a new resource goes on from what is remembered of it.
    Follow(Arc<ResourcePlan>, Box<ResourceMemory>),
    /// The resource is gone.
    Retire(ResourceId),
    /// The wall clock stepped.
    WallStepped {
        /// Positive: forward.
        by_ms: i64,
    },
    /// Run a plugin once beside the slots of the resource.
    Probe(ResourceId, ProbeOrder, oneshot::Sender<Probed>),
    /// Start no runs; answer when all have ended.
    Drain(oneshot::Sender<()>),
    /// Cut what runs, write sessions, hand all to the bus; answer when it is there.
    Stop(oneshot::Sender<()>),
}

/// What an arbiter is started with; the same for all.
#[derive(Clone)]
pub(crate) struct StationSeed {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Fn() -> Box<dyn Rng> + Send + Sync>,
    pub(crate) slots: SlotTime,
    pub(crate) bus: BusHandle,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) blocking: BlockingPool,
    pub(crate) counters: Arc<RuntimeCounters>,
    pub(crate) events: Reporter,
}

/// A running arbiter.
pub(crate) struct StationHandle {
    arbiter: Arbiter,
    commands: mpsc::Sender<StationCommand>,
}

impl StationHandle {
    /// Starts the thread, its station and its tasks.
    /// `number` is its place among the node's arbiters.
    pub(crate) fn start(seed: StationSeed, number: usize) -> Self {
        let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
        let arbiter = Arbiter::new();
        let is_started = arbiter.spawn_fn(move || {
            let (obituaries, obituaries_in) = mpsc::channel(OBITUARIES_MAX);
            let station = make_station(&seed, obituaries);
            actix::spawn(Rc::clone(&station).wake_sleepers());
            actix::spawn(Rc::clone(&station).flush_outlet());
            actix::spawn(Rc::clone(&station).show_engine(number));
            let keeper = Rc::new(Keeper {
                station,
                residents: RefCell::default(),
            });
            actix::spawn(Rc::clone(&keeper).bury(obituaries_in));
            actix::spawn(keeper.obey(commands_in));
        });
        debug_assert!(is_started, "a new arbiter takes work");
        Self { arbiter, commands }
    }

    /// Tells the arbiter; waits while it is behind.
    pub(crate) async fn tell(&self, command: StationCommand) {
        if self.commands.send(command).await.is_err() {
            error!("collection arbiter is gone; its resources are not polled");
        }
    }

    /// The way to the arbiter, for whoever waits elsewhere.
    pub(crate) fn commands(&self) -> mpsc::Sender<StationCommand> {
        self.commands.clone()
    }

    /// Ends the thread.
    pub(crate) fn end(self) {
        self.arbiter.stop();
        if self.arbiter.join().is_err() {
            error!("collection arbiter ended in a panic");
        }
    }
}

fn make_station(seed: &StationSeed, obituaries: mpsc::Sender<Obituary>) -> Rc<Station> {
    let clock = || Arc::clone(&seed.clock);
    // Requests leave from where the system chooses.
    let source = Source {
        v4: Ipv4Addr::UNSPECIFIED,
        v6: Ipv6Addr::UNSPECIFIED,
    };
    let engine = Engine::start(source, clock(), (seed.rng)());
    let resolver = Resolver::new(Arc::clone(&seed.lookup), clock());
    let rng = RefCell::new((seed.rng)());
    Station::new(StationParts {
        clock: clock(),
        slots: seed.slots.clone(),
        supervision: Supervision {
            clock: clock(),
            rng,
            obituaries,
            counters: Arc::clone(&seed.counters),
            events: seed.events.clone(),
        },
        sessions: Sessions::new(engine, resolver, clock()),
        outlet: Outlet::new(seed.bus.clone(), clock(), Arc::clone(&seed.counters)),
        blocking: seed.blocking.clone(),
    })
}

/// The resource actors of one arbiter.
struct Keeper {
    station: Rc<Station>,
    residents: RefCell<BTreeMap<Arc<str>, Resident>>,
}

struct Resident {
    actor: Addr<Guarded<ResourceCore>>,
    plan: Arc<ResourcePlan>,
}

impl Keeper {
    async fn obey(self: Rc<Self>, mut commands: mpsc::Receiver<StationCommand>) {
        while let Some(command) = commands.recv().await {
            match command {
                StationCommand::Follow(plan, memory) => self.follow(plan, *memory).await,
                StationCommand::Retire(id) => self.retire(id.as_str()),
                StationCommand::WallStepped { by_ms } => {
                    self.tell_all(|| (ResourceMessage::WallStepped { by_ms }, None))
                        .await;
                }
                StationCommand::Probe(id, order, done) => {
                    self.probe(id.as_str(), order, done).await;
                }
                StationCommand::Drain(done) => {
                    self.ask_all(ResourceMessage::Drain).await;
                    done.send(()).ok();
                }
                StationCommand::Stop(done) => {
                    self.stop().await;
                    done.send(()).ok();
                }
            }
        }
    }

    async fn follow(&self, plan: Arc<ResourcePlan>, memory: ResourceMemory) {
        let name: Arc<str> = plan.resource.id().as_str().into();
        let known = self
            .residents
            .borrow()
            .get(&name)
            .map(|resident| resident.actor.clone());
        let actor = match known {
            Some(actor) => {
                let message = ResourceMessage::Plan(Arc::clone(&plan));
                tell(&actor, message, &self.station).await;
                actor
            }
            None => start_resource(Arc::clone(&plan), memory, &self.station),
        };
        self.residents
            .borrow_mut()
            .insert(name, Resident { actor, plan });
    }

    /// The actor ends with its last address, once its runs have ended.
    fn retire(&self, name: &str) {
        let Some(resident) = self.residents.borrow_mut().remove(name) else {
            return;
        };
        let station = Rc::clone(&self.station);
        actix::spawn(async move {
            let (done, is_done) = oneshot::channel();
            tell(&resident.actor, ResourceMessage::Retire(done), &station).await;
            // An actor that crashed meanwhile drops the answer: nothing is left to wait for.
            is_done.await.ok();
            drop(resident);
        });
    }

    /// The actor answers when the run has ended; one that crashed drops the answer.
    async fn probe(&self, name: &str, order: ProbeOrder, done: oneshot::Sender<Probed>) {
        let actor = {
            let residents = self.residents.borrow();
            residents.get(name).map(|resident| resident.actor.clone())
        };
        let Some(actor) = actor else {
            done.send(Err(ProbeRefused::NoResource)).ok();
            return;
        };
        tell(&actor, ResourceMessage::Probe(order, done), &self.station).await;
    }

    /// Replaces actors that a panic got past the wrapper of.
    async fn bury(self: Rc<Self>, mut obituaries: mpsc::Receiver<Obituary>) {
        while let Some(Obituary { kind, name, end }) = obituaries.recv().await {
            match end {
                // Supervision told the event.
                End::Parked | End::Unparked => {}
                End::Lost => {
                    error!(actor = kind, %name, "actor lost; a new one is made");
                    let mut residents = self.residents.borrow_mut();
                    if let Some(resident) = residents.get_mut(&name) {
                        let plan = Arc::clone(&resident.plan);
                        let memory = ResourceMemory::of_lost(&plan);
                        resident.actor = start_resource(plan, memory, &self.station);
                    }
                }
            }
        }
    }

    // === All at once ===

    async fn ask_all(&self, message: impl Fn(oneshot::Sender<()>) -> ResourceMessage) {
        self.tell_all(|| {
            let (done, is_done) = oneshot::channel();
            (message(done), Some(is_done))
        })
        .await;
    }

    async fn tell_all(
        &self,
        message: impl Fn() -> (ResourceMessage, Option<oneshot::Receiver<()>>),
    ) {
        let actors: Vec<_> = {
            let residents = self.residents.borrow();
            residents
                .values()
                .map(|resident| resident.actor.clone())
                .collect()
        };
        let mut answers = Vec::new();
        for actor in actors {
            let (message, answer) = message();
            tell(&actor, message, &self.station).await;
            answers.extend(answer);
        }
        // One whose actor crashed ends too: its sender is dropped.
        join_all(answers).await;
    }

    async fn stop(&self) {
        self.ask_all(ResourceMessage::Stop).await;
        self.station.reach.sessions.stop();
        let clock = &self.station.clock;
        self.station.outlet.borrow_mut().flush();
        let until = clock.monotonic().after(EMPTY_LIMIT);
        while !self.station.outlet.borrow().is_empty() {
            if clock.monotonic() > until {
                error!("the bus takes nothing; what waits for it ends with the process");
                return;
            }
            clock
                .sleep_until(clock.monotonic().after(EMPTY_CHECK))
                .await;
            self.station.outlet.borrow_mut().flush();
        }
    }
}

/// Offers a message until the actor takes it; gives up on one that does not for two seconds.
async fn tell(
    actor: &Addr<Guarded<ResourceCore>>,
    mut message: ResourceMessage,
    station: &Station,
) {
    for _ in 0..FULL_RETRIES {
        match actor.try_send(Envelope(message)) {
            Ok(()) => return,
            Err(actix::prelude::SendError::Closed(_)) => return,
            Err(actix::prelude::SendError::Full(Envelope(refused))) => {
                message = refused;
                station
                    .clock
                    .sleep_until(station.clock.monotonic().after(FULL_RETRY))
                    .await;
            }
        }
    }
    let counters = &station.supervision.counters;
    counters.message_dropped(ResourceCore::KIND);
    warn!("resource actor does not take messages");
}
