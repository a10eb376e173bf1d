//! A running node: bus, runtime and API, started and drained in order.
//!
//! Does: what its parts need of each other. Does not: parse, decide, follow signals (`run`).
//! In: a loaded configuration. Out: [`Node`]. Must live inside an actix system.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use arc_swap::ArcSwap;
use ocelli_actors::{
    ApproveError, Former, LoneCatalog, OpenCatalogError, ProbeOrder, Probed, RecallError, Reporter,
    Runtime, RuntimeParts, Site, StartError, SystemLookup, recall,
};
use ocelli_bus::read::RecordSource;
use ocelli_bus::record::StreamId;
use ocelli_bus::{
    Bus, BusOptions, ForsakeError, OpenError, OriginDescription, OriginShare, RecoveryReport,
    forsake_origin,
};
use ocelli_config::{Config, Loaded, Parked, Sources, write_last_good};
use ocelli_federation::membership::JoinState;
use ocelli_model::clock::{Clock, Rng};
use ocelli_model::resource::{ResourceError, ResourceId};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::access::HttpAccess;
use super::federation::{Federation, FederationError, FederationParts};
use super::joining::Joining;
use super::mesh::{MeshIdentity, MeshIdentityError};
use super::notices;
use super::origins::Origins;
use super::site::{Counters, assemble, refused_items};
use super::view::AssembledView;
use crate::clock::RealClock;
use crate::control::{Control, ControlRequest};
use crate::http::access::memory_places;
use crate::http::tls::TlsError;
use crate::http::{self, ApiState, Listeners};
use crate::rng::RealRng;

/// The socket of the command line in the data directory.
const SOCKET_FILE: &str = "ocelli.sock";
/// Readers of the log beside subscriptions: links, sinks, what a start recalls.
const READERS_OF_NODE: usize = 256;
/// Runs under way get this long to end at a stop; service managers wait 90 s.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Why a node does not start, or does not take a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The data directory cannot be made.
    #[error("cannot make data directory {path:?}: {source}; check the path and who owns it")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// As the kernel said.
        source: std::io::Error,
    },
    /// The bus.
    #[error(transparent)]
    Bus(#[from] OpenError),
    /// A port in use, or no address of this machine.
    #[error("cannot listen on {address}: {source}; stop who does or change `listen.http`")]
    Listen {
        /// The address or path.
        address: String,
        /// As the kernel said.
        source: std::io::Error,
    },
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] OpenCatalogError),
    /// The past.
    #[error(transparent)]
    Recall(#[from] RecallError),
    /// The runtime.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node's own resource.
    #[error("node name and site make no resource: {0}; change `node.name` or `node.site`")]
    Own(#[from] ResourceError),
    /// The API's certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Who the node is to others.
    #[error(transparent)]
    Identity(#[from] MeshIdentityError),
    /// Links to others.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// The API server.
    #[error("cannot serve the API: {0}")]
    Serve(std::io::Error),
    /// The data directory of a disk that went back in time.
    #[error(transparent)]
    Forsake(#[from] ForsakeError),
}

/// A running node.
pub struct Node {
    bus: Arc<Bus>,
    pub(super) runtime: Runtime,
    http: ServerHandle,
    pub(super) access: HttpAccess,
    pub(super) identity: MeshIdentity,
    /// While the node has no certificate yet.
    pub(super) joining: Option<Joining>,
    pub(super) federation: Option<Federation>,
    address: SocketAddr,
    pub(super) site: Arc<ArcSwap<Site>>,
    pub(super) parked: Arc<ArcSwap<BTreeMap<String, String>>>,
    /// Those of them that the configuration itself left out.
    pub(super) refused: Vec<Parked>,
    /// Polling plugins whose last change failed its trial, and why.
    pub(super) rolled_back: Arc<ArcSwap<BTreeMap<String, String>>>,
    pub(super) counters: Counters,
    pub(super) directory: PathBuf,
    requests: Option<mpsc::Receiver<ControlRequest>>,
}

impl Node {
    /// Starts a node. `directory` is what relative paths of the configuration refer to.
    ///
    /// # Errors
    /// [`NodeError`]; nothing runs then.
    pub async fn start(loaded: Loaded, directory: PathBuf) -> Result<Self, NodeError> {
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        let rng = || Box::new(RealRng::default()) as Box<dyn Rng>;
        let (config, sources, refused) = (loaded.config, loaded.sources, loaded.parked);
        let data_dir = config.node.data_dir.clone();
        let (bus, report) = open_bus(&config, Arc::clone(&clock), rng())?;
        let access = HttpAccess::open(&config)?;
        let (joining, identity) = identify(&config, &clock).await?;
        let (listeners, address) = listen(&config, &data_dir, &access)?;
        let recalled = recall(&bus, former_of(&report, &bus)).await?;
        let catalog = Arc::new(LoneCatalog::open(&data_dir, &*clock)?);
        let mut counters = Counters::new();
        let assembled = assemble(config, &sources, directory.clone(), &mut counters)?;
        let (site, mut parked) = (Arc::new(assembled.site), assembled.parked);
        parked.extend(refused_items(&refused));
        let runtime = Runtime::start(RuntimeParts {
            clock: Arc::clone(&clock),
            rng: Arc::new(rng),
            bus: bus.handle(),
            catalog: Arc::clone(&catalog) as _,
            site: Arc::clone(&site),
            recalled,
            lookup: Arc::new(SystemLookup),
            arbiters: arbiters_of(&site.config),
        })
        .await?;
        keep_last_good(&data_dir, &sources);
        let whole = (&identity, &bus, &clock);
        let (federation, origins) = link_up(whole, runtime.events(), &site.config).await?;
        notices::tell_start(&runtime.events(), &report, &parked);
        let site = Arc::new(ArcSwap::new(site));
        notices::watch((&bus, &clock), &site, runtime.events());
        let (parked, rolled_back) = (Arc::new(ArcSwap::from_pointee(parked)), Arc::default());
        let view = AssembledView {
            followed: runtime.followed(),
            counters: runtime.counters(),
            catalog,
            site: Arc::clone(&site),
            parked: Arc::clone(&parked),
            rolled_back: Arc::clone(&rolled_back),
            bus: Arc::clone(&bus),
            clock: Arc::clone(&clock),
            started: clock.monotonic(),
            identity: identity.store(),
            links: federation.as_ref().map(Federation::links),
            roster: federation.as_ref().map(Federation::roster),
            joining: joining.as_ref().map(Joining::states),
            origins,
        };
        let (control, requests) = Control::open();
        let http = serve_api(view, control, listeners)?;
        info!(%address, "API listens");
        Ok(Self {
            bus,
            runtime,
            http,
            access,
            identity,
            joining,
            federation,
            address,
            site,
            parked,
            refused,
            rolled_back,
            counters,
            directory,
            requests: Some(requests),
        })
    }

    /// Where the API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// Resources that are followed now.
    #[must_use]
    pub fn resource_count(&self) -> usize {
        self.runtime.followed().load().resources.len()
    }

    /// The configuration in force.
    #[must_use]
    pub fn site(&self) -> Arc<Site> {
        self.site.load_full()
    }

    /// Requests that change the node, once; dropped, the node takes none.
    #[must_use]
    pub fn take_requests(&mut self) -> Option<mpsc::Receiver<ControlRequest>> {
        self.requests.take()
    }

    /// Runs a plugin once beside the slots of a resource. The future does not borrow the node.
    ///
    /// # Errors
    /// As [`Runtime::probe`].
    pub fn probe(
        &self,
        resource: &ResourceId,
        order: ProbeOrder,
    ) -> impl Future<Output = Probed> + use<> {
        self.runtime.probe(resource, order)
    }

    /// Accepts the set that a discovery holds under `hash`.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing changed.
    pub async fn approve(&self, discovery: &str, hash: u128) -> Result<(), ApproveError> {
        self.runtime.approve(discovery, hash).await
    }

    /// Resolves once a neighbour holds records of the own origin that this disk lacks. The future
    /// does not borrow the node.
    pub fn rolled_back(&self) -> impl Future<Output = ()> + use<> {
        let told = self.federation.as_ref().map(Federation::rolled_back);
        async move {
            if let Some(mut told) = told
                && told
                    .wait_for(|is_rolled_back| *is_rolled_back)
                    .await
                    .is_ok()
            {
                return;
            }
            std::future::pending().await
        }
    }

    /// Resolves once a node that started without a certificate has joined its mesh: it starts again
    /// to be who it is. The future does not borrow the node.
    pub fn joined(&self) -> impl Future<Output = ()> + use<> {
        let states = self.joining.as_ref().map(Joining::states);
        async move {
            let is_joined = |state: &JoinState| *state == JoinState::Joined;
            if let Some(mut states) = states
                && states.wait_for(is_joined).await.is_ok()
            {
                return;
            }
            std::future::pending().await
        }
    }

    /// Ends all in order and gives the data directory a new origin: what is held stays under the
    /// old one (design §6, "Rollback").
    ///
    /// # Errors
    /// [`NodeError::Forsake`]; the directory is then as it was.
    pub async fn forsake(self) -> Result<(), NodeError> {
        let data_dir = self.site.load().config.node.data_dir.clone();
        self.drain().await;
        let forsaken = forsake_origin(&data_dir, &mut RealRng::default())?;
        warn!(before = %forsaken.before, origin = %forsaken.origin, "a new origin");
        Ok(())
    }

    /// Ends all in order; afterwards everything measured is on disk.
    pub async fn drain(self) {
        self.http.stop(true).await;
        self.runtime.drain(DRAIN_LIMIT).await;
        if let Some(federation) = self.federation {
            federation.stop().await;
        }
        if let Err(error) = self.bus.drain().await {
            error!(%error, "bus not drained");
        }
        info!("drained");
    }
}

/// Who the node is, and how it joins if it is nobody yet.
async fn identify(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(Option<Joining>, MeshIdentity), MeshIdentityError> {
    let mut joining = Joining::begin(config, clock)?;
    if let Some(begun) = &joining
        && begun.first_wait().await
    {
        joining = None;
    }
    let identity = MeshIdentity::open(config)?;
    Ok((joining, identity))
}

/// The thread of links, where the node is somebody to others; how origins stand in any case.
async fn link_up(
    (identity, bus, clock): (&MeshIdentity, &Arc<Bus>, &Arc<dyn Clock>),
    events: Reporter,
    config: &Config,
) -> Result<(Option<Federation>, Arc<Origins>), FederationError> {
    let who = format!("{}/{}", config.node.site, config.node.name);
    let origins = Arc::new(Origins::new(Arc::clone(bus), Arc::clone(clock), who));
    identity.watch(Arc::clone(clock), events.clone());
    let Some(store) = identity.store() else {
        return Ok((None, origins));
    };
    let parts = FederationParts {
        identity: store,
        reset_key: identity.reset_key(),
        bus: Arc::clone(bus),
        events,
        origins: Arc::clone(&origins),
        clock: Arc::clone(clock),
    };
    let federation = Federation::start(parts, config).await?;
    info!(address = %federation.address(), "links listen");
    Ok((Some(federation), origins))
}

/// Serves what the view shows; the server ends with its handle.
fn serve_api(
    view: AssembledView,
    control: Control,
    listeners: Listeners,
) -> Result<ServerHandle, NodeError> {
    let state = ApiState {
        records: RecordSource::new(Arc::clone(&view.bus)),
        clock: Arc::clone(&view.clock),
        view: Arc::new(view),
        control,
    };
    let running = http::serve(state, listeners).map_err(NodeError::Serve)?;
    actix_rt::spawn(running.server);
    Ok(running.handle)
}

/// What a start falls back to when the configuration cannot be used.
pub(super) fn keep_last_good(data_dir: &Path, sources: &Sources) {
    if let Err(error) = write_last_good(data_dir, sources) {
        warn!(%error, "last good configuration not kept");
    }
}

fn open_bus(
    config: &Config,
    clock: Arc<dyn Clock>,
    rng: Box<dyn Rng>,
) -> Result<(Arc<Bus>, RecoveryReport), NodeError> {
    let data_dir = &config.node.data_dir;
    make_directory(data_dir)?;
    let (bus, report) = Bus::open(data_dir, options_of(config), clock, rng)?;
    info!(origin = %report.origin, segments = report.segments, "bus open");
    Ok((Arc::new(bus), report))
}

/// Whose slots go on here, and how far those above know them.
fn former_of(report: &RecoveryReport, bus: &Bus) -> Option<Former> {
    let origin = report.copied_from?;
    let held_above = || {
        bus.cursors()
            .taken_by_each("uplink", StreamId::data(origin))
    };
    Some(Former {
        origin,
        held_above: report.is_rolled_back.then(held_above),
    })
}

fn make_directory(path: &Path) -> Result<(), NodeError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|source| NodeError::Directory {
        path: path.to_owned(),
        source,
    })
}

/// How the bus is to behave.
pub(super) fn options_of(config: &Config) -> BusOptions {
    let default = BusOptions::default();
    let node = &config.node;
    let shares = config.origins.iter().map(|origin| OriginShare {
        site: origin.site.to_string(),
        bytes_min: origin.bytes_min.map(|size| size.bytes()),
        bytes_max: origin.bytes_max.map(|size| size.bytes()),
    });
    BusOptions {
        description: Some(OriginDescription {
            mesh: node.mesh.to_string(),
            tier: node.tier,
            site: node.site.to_string(),
            node: node.name.to_string(),
        }),
        retention: config.bus.retention.get(),
        bytes_max: config
            .bus
            .bytes_max
            .map_or(default.bytes_max, |size| size.bytes()),
        cursor_idle_max: config.bus.cursor_idle_max.get(),
        segment_bytes: config.bus.segment_bytes.bytes(),
        shares: shares.collect(),
        // Over HTTP and over links.
        readers_max: 2 * subscriptions_of(config) + READERS_OF_NODE,
        ..default
    }
}

/// Subscriptions over HTTP that may be open: what is configured, and what memory has room for.
pub(super) fn subscriptions_of(config: &Config) -> usize {
    let configured = config.http.subscriptions_max.get();
    let places = configured.min(memory_places(config));
    usize::try_from(places).unwrap_or(usize::MAX)
}

fn arbiters_of(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let configured = config.node.arbiters.map(|count| count.get());
    configured
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(cores)
}

fn listen(
    config: &Config,
    data_dir: &Path,
    access: &HttpAccess,
) -> Result<(Listeners, SocketAddr), NodeError> {
    let wanted = config.listen.http;
    let refused = |source| NodeError::Listen {
        address: wanted.to_string(),
        source,
    };
    let tcp = TcpListener::bind(wanted).map_err(refused)?;
    let address = tcp.local_addr().map_err(refused)?;
    let path = data_dir.join(SOCKET_FILE);
    let unix = bind_socket(&path).map_err(|source| NodeError::Listen {
        address: path.display().to_string(),
        source,
    })?;
    Ok((
        Listeners {
            tcp,
            unix: Some(unix),
            tls: access.server_config()?,
            subscriptions_max: subscriptions_of(config),
            access: access.list(),
        },
        address,
    ))
}

/// The directory's lock is ours, so a socket that is there is a former life's.
fn bind_socket(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(socket)
}
