//! A site that runs inside the test: a bus, an endpoint and an uplink, without polling.
//!
//! Does: what no configuration can say: speak another release's versions and abilities, append as
//! much as the test wants. Does not: serve HTTP. In: an identity of the mesh, where to send to.
//! Out: [`OwnSite`]; its thread ends when it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::block::{BlockBuilder, EntryHead};
use ocelli_bus::record::{EntryKind, Lane, StreamId};
use ocelli_bus::{Bus, BusOptions, OriginDescription};
use ocelli_federation::FromPeers;
use ocelli_federation::frame::{Features, Role, VersionRange};
use ocelli_federation::identity::{Admission, Expected, IdentityMaterial, IdentityStore, Tier};
use ocelli_federation::link::{
    DialFacts, Link, LinkBudget, MeshEndpoint, MeshOptions, NodeFacts, reset_key_of,
};
use ocelli_federation::uplink::{UplinkPolicy, UplinkRun, run_uplink, uplink_cursor};
use ocelli_model::clock::{Clock as _, WallMs};
use ocelli_node::clock::RealClock;
use ocelli_node::rng::RealRng;
use rustls::time_provider::DefaultTimeProvider;
use tokio::sync::oneshot;

use super::mesh::{MESH, Mesh};
use super::wait_for;

/// Kind of entry that no release knows; it is carried like any other.
const KIND: u8 = 200;
/// Entries of a block.
const ENTRIES: usize = 64;
const CURSOR: &str = "up/own";
const CURSOR_NAME: &str = "uplink/up/own";

/// A site inside the test.
pub struct OwnSite {
    bus: Arc<Bus>,
    runtime: tokio::runtime::Runtime,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<u16>>,
}

/// What of a site is another release's.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// Versions that it speaks.
    pub versions: VersionRange,
    /// Abilities that it has.
    pub features: Features,
}

impl OwnSite {
    /// Opens a site's bus and keeps a link to a port of loopback.
    ///
    /// # Panics
    /// If the bus, the identity or the endpoint cannot be opened.
    #[must_use]
    pub fn start(mesh: &Mesh, site: &str, release: Release, to: u16) -> Self {
        let material = mesh.material(Tier::Site, site);
        let bus = open(&mesh.folder_of(site).join("data"), site);
        let (stop, stopped) = oneshot::channel();
        let on = Arc::clone(&bus);
        let uri = format!("ocelli://{MESH}/site/{site}/n1");
        let thread = std::thread::spawn(move || {
            let runtime = runtime();
            runtime.block_on(live(on, (material, uri), release, (to, stopped)))
        });
        Self {
            bus,
            runtime: runtime(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Appends blocks until `bytes` are held, and waits until they are durable here.
    ///
    /// # Panics
    /// If the bus takes nothing more.
    pub fn append(&self, bytes: usize) {
        let block_bytes = 512 << 10;
        let body = vec![0x5a; block_bytes / ENTRIES];
        self.runtime.block_on(async {
            for _ in 0..bytes.div_ceil(block_bytes) {
                let mut builder = BlockBuilder::new();
                for _ in 0..ENTRIES {
                    let head = EntryHead::bare(EntryKind::Unknown(KIND), RealClock.wall());
                    builder.push(&head, &body).expect("the block has room");
                }
                let block = builder.seal().expect("the block has entries");
                let answer = self.bus.handle().submit(Lane::Data, block).await;
                drop(answer.expect("the bus is open"));
            }
            self.bus.handle().flush().await.expect("the bus is open");
        });
    }

    /// Waits until all that it holds is durable above.
    ///
    /// # Panics
    /// If that takes longer than `patience`.
    pub fn wait_above(&self, patience: Duration) {
        let own = StreamId::data(self.bus.origin());
        wait_for("all of the test's own site to be above", patience, || {
            let cursors = self.bus.cursors().list();
            let cursor = cursors.iter().find(|one| one.name == CURSOR_NAME)?;
            let taken = cursor.taken.get(&own)?;
            taken.covers(&self.bus.coverage_of(own)).then_some(())
        });
    }

    /// Ends the link; the version that it spoke.
    ///
    /// # Panics
    /// If its thread did.
    #[must_use]
    pub fn end(mut self) -> u16 {
        drop(self.stop.take());
        let thread = self.thread.take().expect("it ends once");
        thread.join().expect("the site's thread does not panic")
    }

    /// Highest seq of what it appended.
    #[must_use]
    pub fn highest(&self) -> u64 {
        let own = StreamId::data(self.bus.origin());
        self.bus.coverage_of(own).highest().0
    }

    /// Its origin, as lists spell it.
    #[must_use]
    pub fn origin(&self) -> String {
        self.bus.origin().to_string()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime starts")
}

fn open(data: &Path, site: &str) -> Arc<Bus> {
    let description = OriginDescription {
        mesh: MESH.into(),
        tier: Tier::Site,
        site: site.into(),
        node: "n1".into(),
    };
    let options = BusOptions {
        description: Some(description),
        low_space_bytes: 0,
        ..BusOptions::default()
    };
    let rng = Box::new(RealRng::default());
    let opened = Bus::open(data, options, Arc::new(RealClock), rng);
    Arc::new(opened.expect("a new folder takes a bus").0)
}

/// One link for as long as it stands or until it is stopped.
async fn live(
    bus: Arc<Bus>,
    (material, uri): (IdentityMaterial, String),
    release: Release,
    (to, mut stopped): (u16, oneshot::Receiver<()>),
) -> u16 {
    let store = IdentityStore::new(&material, Arc::new(DefaultTimeProvider));
    let store = store.expect("the mesh's own identity");
    let server = store.server_config(Admission::Nodes).expect("TLS");
    let client = store.client_config(Expected::Upstream).expect("TLS");
    let options = MeshOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        node: NodeFacts {
            identity: uri.parse().expect("a URI of the mesh"),
            build: "another release".to_owned(),
            versions: release.versions,
            features: release.features,
        },
        budget: LinkBudget {
            ingest_bytes_max: 64 << 20,
            links_max: 8,
        },
        links_per_address_max: 8,
        reset_key: reset_key_of(uri.as_bytes()),
        clock: Arc::new(RealClock),
    };
    let (endpoint, _offers) = MeshEndpoint::open(options, &server).expect("loopback");
    let facts = DialFacts {
        origin: bus.origin(),
        role: Role::Uplink,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, to));
    let link = endpoint.dial(address, &client, facts).await;
    let link = link.expect("the region takes the site");
    let version = link.welcome().version;
    let held: Arc<dyn Link> = link;
    let run = UplinkRun {
        link: held,
        cursor: uplink_cursor(&bus, CURSOR, WallMs(0)).expect("a new cursor"),
        clock: Arc::new(RealClock),
        policy: UplinkPolicy::new(bus.origin()),
        forward: Default::default(),
        from_peers: Arc::new(FromPeers::default()),
        refused: Arc::new(|_| {}),
        replay: Arc::default(),
        stop: tokio::sync::watch::channel(false).1,
        bus,
    };
    tokio::select! {
        end = run_uplink(run) => panic!("the region ended the link: {end}"),
        _ = &mut stopped => {}
    }
    endpoint.shutdown(Duration::from_secs(2)).await;
    version
}
