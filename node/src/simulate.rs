//! Simulated SNMP agents: thousands on loopback addresses, from one thread and one socket.
//!
//! Does: serve v1, v2c and v3; generated switches whose counters are pure functions of time
//! (`truth`), or recordings; faults; counts of every request by device and OID.
//! Does not: SET, traps, anything beyond the loopback device.
//! In: [`SimulateOptions`]. Out: answers, the resources file, counts.
//!
//! # Faults
//!
//! `KIND[=VALUE][:KEY=VALUE[,KEY=VALUE]…]`, for instance `silence:agents=3-5+9,from=10s,for=20s`.
//! Kinds: `silence`, `loss=0.1`, `delay=200ms`, `reboot`, `reindex` (a reboot after which each
//! interface has the next ifIndex), `reset` (counters from zero, told by
//! `ifCounterDiscontinuityTime`), `wrap` (32-bit counters wrap 30 s after `from`), `wrong-source`,
//! `garbage`, `stuck` (walks do not advance), `endless` (tables do not end), `toobig=20` (more
//! variables than this: `tooBig`), `foreign-id`.
//! Keys: `agents` (from 1; absent: all), `from` (after the start; absent: at once), `for` (absent:
//! for ever), `boots` (with `reboot`: the new engine boots).
//!
//! # v3 users
//!
//! `NAME[,AUTH,PASSWORD[,PRIV,PASSWORD]]`, such as `monitor,SHA-1,secret123,AES-128,secret456`.

mod agent;
mod answer;
pub mod counts;
pub mod fault;
pub mod recording;
mod reply;
mod resources;
mod run;
mod server;
pub mod switch;
pub mod truth;
mod user;
mod view;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use ocelli_model::clock::{Clock, Monotonic, WallMs};
use ocelli_model::oid::Oid;
use ocelli_snmp::ber::{BackWriter, Reader};
use ocelli_snmp::oid::EncodedOid;
use ocelli_snmp::usm::UsmUser;
use ocelli_snmp::value::Value;
use parking_lot::Mutex;

use agent::{Agent, Shared};
use counts::{AgentCounts, Totals};
use fault::Fault;
use recording::{Recording, RecordingError};
use server::{Fleet, Server};
use switch::{Switch, SwitchError};
use view::View;

pub use fault::{FaultError, parse_fault};
pub use run::run;
pub use user::{UserError, parse_v3_user};

/// Most agents of one simulator: 127.0.0.0/8 has more addresses, memory has not.
pub const AGENTS_MAX: u32 = 100_000;
/// Largest answer: what fits an Ethernet frame of 1,500 octets.
pub const MESSAGE_OCTETS_MAX: usize = 1_472;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulateOptions {
    /// How many agents, from 1 to [`AGENTS_MAX`].
    pub agents: u32,
    /// Address of the first; the others follow it.
    pub base: Ipv4Addr,
    /// UDP port of all; 0 for any free one.
    pub port: u16,
    /// Interfaces of each generated switch.
    pub interfaces: u32,
    /// Community of v1 and v2c; others are not answered.
    pub community: String,
    /// v3 users of all agents.
    pub users: Vec<UsmUser>,
    /// Recordings, one agent after the other; none: generated switches.
    pub recordings: Vec<PathBuf>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Seed of counters and chance.
    pub seed: u64,
    /// Largest answer in octets.
    pub message_octets_max: usize,
    /// Where to write the resources (Panoptes' JSON array).
    pub resources_out: Option<PathBuf>,
    /// Where to write the counts, at the end and on SIGUSR1.
    pub counts_out: Option<PathBuf>,
    /// `resource_site` of the resources.
    pub site: String,
}

impl Default for SimulateOptions {
    /// One switch of 48 interfaces at 127.1.0.1:1161, community `public`.
    fn default() -> Self {
        Self {
            agents: 1,
            base: Ipv4Addr::new(127, 1, 0, 1),
            port: 1161,
            interfaces: 48,
            community: "public".to_owned(),
            users: Vec::new(),
            recordings: Vec::new(),
            faults: Vec::new(),
            seed: 1,
            message_octets_max: MESSAGE_OCTETS_MAX,
            resources_out: None,
            counts_out: None,
            site: "sim".to_owned(),
        }
    }
}

/// Why a simulator does not start or ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// No agents, or more than there can be.
    #[error("{agents} agents cannot be simulated; ask for 1 to {AGENTS_MAX}")]
    BadAgents {
        /// How many were asked for.
        agents: u32,
    },
    /// Addresses outside 127.0.0.0/8.
    #[error("agents from {base} to {last} do not all lie in 127.0.0.0/8; choose another base")]
    BadBase {
        /// The first address.
        base: Ipv4Addr,
        /// The last address.
        last: Ipv4Addr,
    },
    /// The port cannot be had.
    #[error("cannot bind UDP port {port}: {source}; is another simulator running?")]
    Bind {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// A recording cannot be read.
    #[error("cannot read the recording {}: {source}", path.display())]
    ReadRecording {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A recording is malformed.
    #[error("{}: {source}", path.display())]
    BadRecording {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: RecordingError,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The generated objects are malformed: a defect.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// The thread cannot be started, or its socket failed.
    #[error("simulator stopped: {0}")]
    Serve(#[from] io::Error),
}

/// Running agents; dropping it stops them.
pub struct Simulator {
    fleet: Arc<Fleet>,
    clock: Arc<dyn Clock>,
    port: u16,
    site: String,
    worker: Option<JoinHandle<io::Result<()>>>,
}

impl Simulator {
    /// Binds the port and starts to serve.
    ///
    /// # Errors
    /// All variants of [`SimulateError`] but [`SimulateError::Write`].
    pub fn start(options: &SimulateOptions, clock: Arc<dyn Clock>) -> Result<Self, SimulateError> {
        let fleet = Arc::new(build_fleet(options, clock.monotonic())?);
        let bind_error = |source| SimulateError::Bind {
            port: options.port,
            source,
        };
        let socket = server::bind(options.port).map_err(bind_error)?;
        let bound = socket.local_addr().map_err(bind_error)?;
        let port = bound
            .as_socket()
            .map_or(options.port, |address| address.port());
        let server = Server::new(Arc::clone(&fleet), Arc::clone(&clock), socket);
        let worker = Builder::new()
            .name("simulate".to_owned())
            .spawn(move || server.run())?;
        Ok(Self {
            fleet,
            clock,
            port,
            site: options.site.clone(),
            worker: Some(worker),
        })
    }

    /// How many agents there are.
    #[must_use]
    pub fn agents(&self) -> u32 {
        u32::try_from(self.fleet.agents.len()).unwrap_or(u32::MAX)
    }

    /// Where an agent (from 1) listens.
    #[must_use]
    pub fn address(&self, agent: u32) -> Option<SocketAddrV4> {
        let address = self.agent(agent)?.lock().address;
        Some(SocketAddrV4::new(address, self.port))
    }

    /// The port of all agents.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a fault; its `from` counts from now.
    pub fn inject(&self, fault: &Fault) {
        let elapsed = self.clock.monotonic().since(self.fleet.shared.started);
        let fault = Fault {
            from: fault.from.saturating_add(elapsed),
            ..fault.clone()
        };
        for agent in &self.fleet.agents {
            let mut agent = agent.lock();
            if fault.is_of(agent.number) {
                agent.add_fault(fault.clone());
            }
        }
    }

    /// Ends all faults that have not ended, except what has already happened to the agents.
    pub fn heal(&self) {
        let elapsed = self.clock.monotonic().since(self.fleet.shared.started);
        for agent in &self.fleet.agents {
            agent.lock().end_faults(elapsed);
        }
    }

    /// What an agent (from 1) would answer to a GET of `name` at `at`, faults of the network apart;
    /// `None` if it has no such variable. `look` sees the value.
    pub fn truth<T>(
        &self,
        agent: u32,
        name: &Oid,
        at: Monotonic,
        look: impl FnOnce(&Value<'_>) -> T,
    ) -> Option<T> {
        let agent = self.agent(agent)?.lock();
        let name = EncodedOid::new(name).ok()?;
        let place = agent.view.get(name.as_oid_ref()).ok()?;
        let moment = agent.moment(at.since(self.fleet.shared.started));
        let mut buffer = vec![0; ocelli_snmp::message::MESSAGE_BYTES_MAX];
        let mut writer = BackWriter::new(&mut buffer);
        agent.view.write_value(&mut writer, place, &moment);
        let (tag, contents) = Reader::new(writer.finish().ok()?).element().ok()?;
        Value::from_ber(tag, contents)
            .ok()
            .map(|value| look(&value))
    }

    /// What each agent was asked so far.
    #[must_use]
    pub fn counts(&self) -> Vec<AgentCounts> {
        let counts = |agent: &Mutex<Agent>| {
            let agent = agent.lock();
            agent
                .counts
                .to_counts(agent.number, agent.address.to_string())
        };
        self.fleet.agents.iter().map(counts).collect()
    }

    /// The sums of one agent (from 1), cheaply.
    #[must_use]
    pub fn totals(&self, agent: u32) -> Option<Totals> {
        Some(self.agent(agent)?.lock().counts.totals)
    }

    /// Answers that could not be sent, or not be held back for later.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.fleet.dropped.load(Ordering::Relaxed)
    }

    /// The agents as a Panoptes discovery file: a JSON array of resources.
    #[must_use]
    pub fn resources_json(&self, wall: WallMs) -> String {
        resources::to_json(&self.fleet, (&self.site, self.port), wall)
    }

    /// Stops to serve.
    ///
    /// # Errors
    /// [`SimulateError::Serve`] if the socket had failed.
    pub fn stop(mut self) -> Result<(), SimulateError> {
        self.end()
    }

    /// Whether the thread still serves.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.worker
            .as_ref()
            .is_some_and(|worker| !worker.is_finished())
    }

    fn end(&mut self) -> Result<(), SimulateError> {
        self.fleet.stop.store(true, Ordering::Relaxed);
        match self.worker.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(ended)) => Ok(ended?),
            Some(Err(_)) => Err(io::Error::other("its thread panicked").into()),
        }
    }

    fn agent(&self, number: u32) -> Option<&Mutex<Agent>> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.fleet.agents.get(index)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "simulator ended badly");
        }
    }
}

fn build_fleet(options: &SimulateOptions, started: Monotonic) -> Result<Fleet, SimulateError> {
    let (count, base) = (options.agents, options.base);
    if !(1..=AGENTS_MAX).contains(&count) {
        return Err(SimulateError::BadAgents { agents: count });
    }
    let last = Ipv4Addr::from(u32::from(base).saturating_add(count - 1));
    if !base.is_loopback() || !last.is_loopback() {
        return Err(SimulateError::BadBase { base, last });
    }
    let views = build_views(options)?;
    let shared = Shared {
        community: options.community.as_bytes().into(),
        users: options.users.clone().into(),
        message_octets_max: options.message_octets_max,
        started,
    };
    let mut agents = Vec::with_capacity(options.agents as usize);
    for (number, view) in (1..=count).zip(views.iter().cycle()) {
        let address = Ipv4Addr::from(u32::from(base) + number - 1);
        let mut agent = Agent::new(number, address, options.seed, view.clone());
        for fault in options.faults.iter().filter(|fault| fault.is_of(number)) {
            agent.add_fault(fault.clone());
        }
        agents.push(Mutex::new(agent));
    }
    let (stop, dropped) = (AtomicBool::new(false), AtomicU64::new(0));
    Ok(Fleet {
        base,
        agents,
        shared,
        stop,
        dropped,
    })
}

fn build_views(options: &SimulateOptions) -> Result<Vec<View>, SimulateError> {
    if options.recordings.is_empty() {
        return Ok(vec![View::Switch(Arc::new(Switch::new(
            options.interfaces,
        )?))]);
    }
    let read = |path: &PathBuf| {
        let text = std::fs::read(path).map_err(|source| SimulateError::ReadRecording {
            path: path.clone(),
            source,
        })?;
        let recording = Recording::parse(&text).map_err(|source| SimulateError::BadRecording {
            path: path.clone(),
            source,
        })?;
        Ok(View::Recording(Arc::new(recording)))
    };
    options.recordings.iter().map(read).collect()
}

#[cfg(test)]
#[path = "simulate_tests.rs"]
mod tests;
