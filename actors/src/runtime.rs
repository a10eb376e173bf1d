//! The runtime of a node: arbiters, node actor, discoveries; from start to drain.
//!
//! Does: bring the catalog to the configuration, write the plan to lane 1, start actors, reload,
//! drain in order. Does not: open the bus or listen (`node`), decide.
//! In: [`RuntimeParts`]. Out: [`Runtime`], the handle of the assembly. Runs inside an actix system.
//! Order at a stop: nothing new is planned, runs end or are cut at the limit, sessions and blocks
//! go to the bus, arbiters end; then the caller drains the bus.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use arc_swap::ArcSwap;
use futures_util::future::join_all;
use ocelli_bus::block::{BlockBuilder, EntryHead, PushError};
use ocelli_bus::record::{EntryKind, Lane};
use ocelli_bus::{AppendError, BusHandle, SubmitError};
use ocelli_model::catalog::{
    CatalogLog, Command, PlanEntry, ProposeError, Refused, Revision, SHARDS, State, shard_of,
};
use ocelli_model::clock::{Clock, Rng};
use ocelli_model::codec::{self, EncodeError, Kind};
use ocelli_model::resource::ResourceId;
use ocelli_plugins::run::BlockingPool;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{error, info, warn};

use crate::arbiter::{StationCommand, StationHandle, StationSeed};
use crate::counters::RuntimeCounters;
use crate::discovery::{DiscoveryCore, DiscoveryMessage, DiscoveryWorld};
use crate::events::{NodeNames, Reporter};
use crate::node::{Followed, NodeCore, NodeMessage, NodeWorld};
use crate::probe::{ProbeOrder, ProbeRefused, Probed};
use crate::recall::Recalled;
use crate::resolver::Lookup;
use crate::site::Site;
use crate::slot_time::SlotTime;
use crate::supervise::{End, Envelope, Guarded, Obituary, Supervision, start};

/// The discovery that the node itself comes from.
pub const OWN_SOURCE: &str = "node";
/// Largest plan entry: two names.
const PLAN_BYTES_MAX: usize = 4_096;
/// Version of plan entries in lane 1.
const PLAN_VERSION: u16 = 1;
/// News of crashed actors of the main thread.
const OBITUARIES_MAX: usize = 64;

/// What a runtime is made of.
pub struct RuntimeParts {
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// A generator for each thread that asks.
    pub rng: Arc<dyn Fn() -> Box<dyn Rng> + Send + Sync>,
    /// The way to the bus.
    pub bus: BusHandle,
    /// The catalog.
    pub catalog: Arc<dyn CatalogLog>,
    /// The configuration.
    pub site: Arc<Site>,
    /// What a former life left.
    pub recalled: Recalled,
    /// How names are looked up.
    pub lookup: Arc<dyn Lookup>,
    /// Collection threads, at least one.
    pub arbiters: usize,
}

/// Why a runtime does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The catalog takes no command.
    #[error(transparent)]
    Catalog(#[from] ProposeError),
    /// A plan entry cannot be written.
    #[error("plan entry: {0}")]
    Encode(#[from] EncodeError),
    /// A plan entry fits no block.
    #[error("plan entry: {0}")]
    Push(#[from] PushError),
    /// The bus does not take the plan.
    #[error("plan is not taken: {0}")]
    Submit(#[from] SubmitError),
    /// The bus did not make the plan durable.
    #[error("plan is not durable: {0}")]
    Append(#[from] AppendError),
}

/// Why a held set is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApproveError {
    /// The catalog takes no command.
    #[error(transparent)]
    Catalog(#[from] ProposeError),
    /// No such discovery, or it holds another set or none.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A running runtime. Belongs to the thread that started it.
pub struct Runtime {
    clock: Arc<dyn Clock>,
    catalog: Arc<dyn CatalogLog>,
    slots: SlotTime,
    site: RefCell<Arc<Site>>,
    followed: Arc<ArcSwap<Followed>>,
    node: Addr<Guarded<NodeCore>>,
    stations: Rc<Vec<StationHandle>>,
    discoveries: RefCell<BTreeMap<Arc<str>, Addr<Guarded<DiscoveryCore>>>>,
    supervision: Rc<Supervision>,
    discovery_world: DiscoveryWorld,
    counters: Arc<RuntimeCounters>,
    events: Reporter,
}

impl Runtime {
    /// Starts all actors. Must be called inside an actix system.
    ///
    /// # Errors
    /// [`StartError`]; nothing polls then.
    pub async fn start(parts: RuntimeParts) -> Result<Self, StartError> {
        let RuntimeParts {
            clock,
            rng,
            bus,
            catalog,
            site,
            recalled,
            lookup,
            arbiters,
        } = parts;
        let slots = SlotTime::begin(Arc::clone(&clock), recalled.last_slot);
        let name: Arc<str> = site.config.node.name.as_str().into();
        bring_catalog(&*catalog, &site, &name, &slots).await?;
        write_plan(&bus, catalog.state().plan(), &*clock).await?;
        let (blocking, arbiters) = (BlockingPool::default(), arbiters.max(1));
        let counters = RuntimeCounters::new(arbiters);
        counters.show_plugins(&site);
        let about = (NodeNames::of(&site.config), Arc::clone(&counters));
        let events = Reporter::start(bus.clone(), Arc::clone(&clock), about);
        let seed = StationSeed {
            clock: Arc::clone(&clock),
            rng,
            slots: slots.clone(),
            bus,
            lookup,
            blocking: blocking.clone(),
            counters: Arc::clone(&counters),
            events: events.clone(),
        };
        let stations = start_stations(&seed, arbiters);
        let supervision = supervise(&seed);
        let changed = Arc::new(Notify::new());
        let followed = Arc::new(ArcSwap::from_pointee(Followed::default()));
        let world = NodeWorld {
            clock: Arc::clone(&clock),
            slots: slots.clone(),
            catalog: Arc::clone(&catalog),
            changed: Arc::clone(&changed),
            stations: Rc::clone(&stations),
            followed: Arc::clone(&followed),
            name,
            events: events.clone(),
        };
        let core = NodeCore::new(world, Arc::clone(&site), recalled);
        let node = start(core, &supervision);
        let discovery_world = DiscoveryWorld {
            clock: Arc::clone(&clock),
            catalog: Arc::clone(&catalog),
            blocking,
            changed,
            events: events.clone(),
        };
        let runtime = Self {
            clock,
            catalog,
            slots,
            site: RefCell::new(site),
            followed,
            node,
            stations,
            discoveries: RefCell::default(),
            supervision,
            discovery_world,
            counters,
            events,
        };
        runtime.start_discoveries();
        Ok(runtime)
    }

    /// What is followed now; a snapshot that is swapped, to be kept by whoever shows it.
    #[must_use]
    pub fn followed(&self) -> Arc<ArcSwap<Followed>> {
        Arc::clone(&self.followed)
    }

    /// What is counted; may be read from any thread, also after a drain.
    #[must_use]
    pub fn counters(&self) -> Arc<RuntimeCounters> {
        Arc::clone(&self.counters)
    }

    /// Where events are reported.
    #[must_use]
    pub fn events(&self) -> Reporter {
        self.events.clone()
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> Arc<dyn CatalogLog> {
        Arc::clone(&self.catalog)
    }

    /// Runs a plugin once beside the slots of a resource, on the arbiter that owns it. The future
    /// does not borrow the runtime.
    ///
    /// # Errors
    /// [`ProbeRefused`]: nothing was run.
    pub fn probe(
        &self,
        resource: &ResourceId,
        order: ProbeOrder,
    ) -> impl Future<Output = Probed> + use<> {
        let followed = self.followed.load();
        let count = self.stations.len().max(1);
        let plan = followed.resources.get(resource);
        let station = plan.map(|plan| usize::from(shard_of(&plan.device)) % count);
        let station = station.and_then(|number| self.stations.get(number));
        let commands = station.map(StationHandle::commands);
        let resource = resource.clone();
        async move {
            let commands = commands.ok_or(ProbeRefused::NoResource)?;
            let (done, is_done) = oneshot::channel();
            let told = commands.send(StationCommand::Probe(resource, order, done));
            told.await.map_err(|_| ProbeRefused::Dropped)?;
            is_done.await.unwrap_or(Err(ProbeRefused::Dropped))
        }
    }

    /// Accepts the set that discovery `name` holds under `hash`, and has it run at once.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing changed.
    pub async fn approve(&self, name: &str, hash: u128) -> Result<(), ApproveError> {
        let source = name.to_owned();
        let applied = self
            .catalog
            .propose(Command::Approve { source, hash })
            .await?;
        if let Some(refused) = applied.refused {
            return Err(refused.into());
        }
        let runs = self.discoveries.borrow();
        let actor = runs.get(name);
        if let Some(actor) = actor {
            // A mailbox that is full holds a run already.
            actor.try_send(Envelope(DiscoveryMessage::Run)).ok();
        }
        Ok(())
    }

    /// Follows another revision as a difference: pairs that stay go on without a gap.
    ///
    /// # Errors
    /// [`StartError::Catalog`]; the revision before stays in force.
    pub async fn reload(&self, site: Arc<Site>) -> Result<(), StartError> {
        let name = site.config.node.name.as_str();
        bring_catalog(&*self.catalog, &site, name, &self.slots).await?;
        *self.site.borrow_mut() = Arc::clone(&site);
        self.counters.show_plugins(&site);
        let (done, is_done) = oneshot::channel();
        let told = self
            .node
            .send(Envelope(NodeMessage::Reload(site, done)))
            .await;
        if told.is_err() || is_done.await.is_err() {
            warn!("node actor did not take the revision; it follows it after its restart");
        }
        self.start_discoveries();
        Ok(())
    }

    /// Ends all: runs get `limit` to end, then are cut. Afterwards all is with the bus.
    pub async fn drain(self, limit: Duration) {
        let (done, is_done) = oneshot::channel();
        if self
            .node
            .send(Envelope(NodeMessage::Drain(done)))
            .await
            .is_ok()
        {
            is_done.await.ok();
        }
        self.discoveries.borrow_mut().clear();
        let until = self.clock.monotonic().after(limit);
        tokio::select! {
            () = self.ask_stations(StationCommand::Drain) => {}
            () = self.clock.sleep_until(until) => {
                info!(limit_ms = limit.as_millis(), "drain limit reached; runs are cut");
            }
        }
        self.ask_stations(StationCommand::Stop).await;
        self.events.drain().await;
        drop(self.node);
        match Rc::try_unwrap(self.stations) {
            Ok(stations) => stations.into_iter().for_each(StationHandle::end),
            // Its actor still holds them; the threads end with the process.
            Err(_) => info!("collection arbiters end with the process"),
        }
    }

    async fn ask_stations(&self, command: impl Fn(oneshot::Sender<()>) -> StationCommand) {
        let mut answers = Vec::new();
        for station in &*self.stations {
            let (done, is_done) = oneshot::channel();
            station.tell(command(done)).await;
            answers.push(is_done);
        }
        join_all(answers).await;
    }

    /// Starts the discoveries of the revision in force; those of the last one end.
    fn start_discoveries(&self) {
        let site = self.site.borrow();
        let cores = site.discoveries.iter().map(|instance| {
            let core = DiscoveryCore::new(Arc::clone(instance), self.discovery_world.clone());
            (Arc::clone(&instance.name), start(core, &self.supervision))
        });
        *self.discoveries.borrow_mut() = cores.collect();
    }
}

fn start_stations(seed: &StationSeed, arbiters: usize) -> Rc<Vec<StationHandle>> {
    let start = |number| StationHandle::start(seed.clone(), number);
    Rc::new((0..arbiters).map(start).collect())
}

/// Supervision of the actors of the main thread.
fn supervise(seed: &StationSeed) -> Rc<Supervision> {
    let (obituaries, obituaries_in) = mpsc::channel(OBITUARIES_MAX);
    actix::spawn(log_obituaries(obituaries_in));
    Rc::new(Supervision {
        clock: Arc::clone(&seed.clock),
        rng: RefCell::new((seed.rng)()),
        obituaries,
        counters: Arc::clone(&seed.counters),
        events: seed.events.clone(),
    })
}

async fn log_obituaries(mut obituaries: mpsc::Receiver<Obituary>) {
    while let Some(obituary) = obituaries.recv().await {
        let Obituary { kind, name, end } = obituary;
        // Supervision told the event of the others.
        if end == End::Lost {
            error!(actor = kind, %name, "actor lost; it comes back with the next start");
        }
    }
}

// === The catalog ===

/// Proposes what the catalog lacks of what the configuration says.
async fn bring_catalog(
    catalog: &dyn CatalogLog,
    site: &Site,
    name: &str,
    slots: &SlotTime,
) -> Result<(), StartError> {
    for command in missing_commands(&catalog.state(), site, name, slots) {
        catalog.propose(command).await?;
    }
    Ok(())
}

fn missing_commands(state: &State, site: &Site, name: &str, slots: &SlotTime) -> Vec<Command> {
    let mut commands = Vec::new();
    let from = slots.now();
    if state.plan().iter().all(|entry| entry.owner != name) {
        let owner = name.to_owned();
        let last_shard = SHARDS - 1;
        commands.push(Command::Assign {
            first_shard: 0,
            last_shard,
            owner,
            standby: None,
            from,
        });
    }
    if state.revision().map(|revision| revision.content_hash) != Some(site.revision) {
        let revision = Revision {
            content_hash: site.revision,
            from,
        };
        let configured = site
            .discoveries
            .iter()
            .map(|discovery| discovery.name.to_string());
        let discoveries = std::iter::once(OWN_SOURCE.to_owned())
            .chain(configured)
            .collect();
        commands.push(Command::Configure {
            revision,
            discoveries,
        });
    }
    let known = state.sources().get(OWN_SOURCE);
    let of_own: Vec<_> = known
        .into_iter()
        .flat_map(|source| source.resources())
        .collect();
    let is_there = of_own.iter().any(|resource| ***resource == *site.own);
    let source = || OWN_SOURCE.to_owned();
    let stale = of_own
        .iter()
        .filter(|resource| !site.wants_own() || resource.id() != site.own.id());
    let ids: Vec<_> = stale.map(|resource| resource.id().clone()).collect();
    if !ids.is_empty() {
        commands.push(Command::Remove {
            source: source(),
            ids,
        });
    }
    if site.wants_own() && !is_there {
        let resources = vec![Arc::clone(&site.own)];
        commands.push(Command::Upsert {
            source: source(),
            resources,
        });
    }
    commands
}

/// Writes the plan to lane 1 and waits until it is durable: no batch goes before it.
async fn write_plan(
    bus: &BusHandle,
    plan: &[PlanEntry],
    clock: &dyn Clock,
) -> Result<(), StartError> {
    let mut block = BlockBuilder::new();
    for entry in plan {
        let mut body = Vec::new();
        codec::encode::<PLAN_BYTES_MAX>(Kind::PLAN_ENTRY, PLAN_VERSION, entry, &mut body)?;
        let head = EntryHead {
            slot: entry.from,
            epoch: entry.epoch,
            ..EntryHead::bare(EntryKind::Plan, clock.wall())
        };
        block.push(&head, &body)?;
    }
    if let Some(block) = block.seal() {
        let submitted = bus.submit(Lane::Definitions, block).await;
        submitted.map_err(|refused| refused.error)?.await?;
    }
    Ok(())
}
