//! A mesh under test: sites that poll simulated switches, tiers above, a relay before each of them.
//!
//! Does: start it, note what sites show, wait until all is above, hold it against what was shown.
//! Does not: choose faults. In: a shape. Out: [`Bed`]. What a site shows is durable there, so each
//! record must be at the top once, equal and in order, and slots must tile.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ocelli_federation::identity::Tier;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::harness::mesh::{Mesh, MeshNode, MeshNodeOptions};
use crate::harness::process::tail;
use crate::harness::relay::Relay;
use crate::harness::simulator::Simulator;
use crate::harness::{say, wait_for};
use crate::record_lines::{Contents, RecordLine, RecordLines, assert_holds_all, wall_ms};
use crate::tiling::Ledger;

/// Switches of the site.
pub const AGENTS: usize = 4;
/// Longest wait for anything, on a machine that runs other tests beside.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Records of a tail that its test has not looked at; an hour of the site's.
const TAIL_RECORDS_MAX: usize = 16_384;
/// The site.
pub const SITE: &str = "dc1";
/// The region, or the first of two.
pub const REGION: &str = "emea";
/// The second region of a pair.
pub const OTHER: &str = "emeb";
/// The top.
pub const GLOBAL: &str = "world";

/// What is to be made before the mesh starts, and what nodes are told beside.
#[derive(Default)]
pub struct Plan<'a> {
    /// More configuration of the region.
    pub region: &'a str,
    /// Whether two regions that are peers stand above the site, which sends to any of them.
    pub is_pair: bool,
    /// Called before a node is started.
    pub before: Option<&'a dyn Fn(&mut Mesh)>,
}

/// A mesh with one site, and all that the site has shown.
pub struct Bed {
    /// Its nodes.
    pub mesh: Mesh,
    /// The line to each upper node, by its name: what dials it goes through here.
    pub lines: BTreeMap<&'static str, Relay>,
    /// All that the site showed.
    pub shown: Contents,
    tiers: Vec<&'static str>,
    _simulator: Simulator,
    folder: TempDir,
}

impl Bed {
    /// Site, region and global; the switches' addresses begin at `base`.
    ///
    /// # Panics
    /// If a node does not start, or records do not reach the top.
    #[must_use]
    pub fn new(base: &str, plan: &Plan<'_>) -> Self {
        let folder = tempdir().expect("a folder");
        let simulator = Simulator::start(
            folder.path(),
            (base, AGENTS),
            &["--interfaces", "4", "--site", SITE],
        );
        let mut mesh = Mesh::new(folder.path());
        if let Some(before) = plan.before {
            before(&mut mesh);
        }
        let mut lines = BTreeMap::new();
        let global = mesh.start(&options(Tier::Global, GLOBAL, "")).quic;
        lines.insert(GLOBAL, relay_to(global));
        let regions: &[&'static str] = if plan.is_pair {
            &[REGION, OTHER]
        } else {
            &[REGION]
        };
        let ports = start_regions(&mut mesh, &mut lines, (regions, plan.region));
        let config = upstream(&ports) + &polling(&simulator);
        mesh.start(&options(Tier::Site, SITE, &config));
        let tiers = regions.iter().copied().chain([GLOBAL]).collect();
        let mut bed = Self {
            mesh,
            lines,
            shown: Contents::new(),
            tiers,
            _simulator: simulator,
            folder,
        };
        // Each switch has been polled then.
        bed.measure_for(3);
        bed.settle();
        bed
    }

    /// A node by its name.
    pub fn node(&mut self, name: &str) -> &mut MeshNode {
        self.mesh.node(name)
    }

    /// The line to an upper node.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn line(&self, to: &str) -> &Relay {
        self.lines.get(to).expect("each upper node has a line")
    }

    /// The test's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Notes what the site shows by now.
    ///
    /// # Panics
    /// If a record reads otherwise than before.
    pub fn note_shown(&mut self) {
        let now = RecordLines::read_held(&self.node(SITE).client).contents();
        for (key, content) in now {
            let before = self.shown.insert(key.clone(), content.clone());
            let is_same = before.is_none_or(|before| before == content);
            assert!(is_same, "{key:?} reads otherwise than before");
        }
    }

    /// Waits until the site has measured for `seconds` more.
    pub fn measure_for(&mut self, seconds: u64) {
        let site = &self.mesh.nodes[SITE];
        let then = highest_own(site).unwrap_or_default();
        let more = seconds * AGENTS as u64;
        wait_for("the site to go on measuring", PATIENCE, || {
            highest_own(site).filter(|seq| *seq >= then + more)
        });
    }

    /// Waits until all upper nodes hold what the site holds now.
    pub fn catch_up(&mut self) {
        let site = &self.mesh.nodes[SITE];
        let target = wait_for("the site's own head", PATIENCE, || highest_own(site));
        let origin = wait_for("the site's origin", PATIENCE, || own_origin(site));
        for tier in &self.tiers {
            let node = &self.mesh.nodes[*tier];
            let what = format!("{tier} to hold {SITE} up to {target}");
            wait_for(&what, PATIENCE, || {
                holds(node, &origin, target).then_some(())
            });
        }
    }

    /// All is above: each record once, equal and in order; slots tile; nobody crashed.
    ///
    /// # Panics
    /// If not.
    pub fn settle(&mut self) {
        self.note_shown();
        self.catch_up();
        for tier in self.tiers.clone() {
            let above = RecordLines::read_held(&self.node(tier).client);
            above.assert_in_order();
            assert_holds_all(&self.shown, &above.contents());
        }
        let ledger = Ledger::read_held(&self.node(GLOBAL).client);
        assert_eq!(ledger.pairs.len(), AGENTS, "switches at the top");
        ledger.pairs.values().for_each(|pair| pair.assert_tiles());
        self.assert_nobody_crashed();
    }

    /// # Panics
    /// If a node has.
    pub fn assert_nobody_crashed(&self) {
        for (name, node) in &self.mesh.nodes {
            let log = node.running.stderr();
            assert!(!log.contains("panicked"), "{name}: {}", tail(&log));
        }
    }

    /// Waits until a link of a node is up, or down.
    pub fn wait_link(&mut self, (name, direction): (&str, &str), is_up: bool) {
        let what = format!("link {direction} of {name} with is_up = {is_up}");
        let node = &self.mesh.nodes[name];
        wait_for(&what, PATIENCE, || {
            let links = links(node)?;
            let mut those = links.iter().filter(|link| link["direction"] == direction);
            those.any(|link| link["is_up"] == is_up).then_some(())
        });
    }

    /// The region that the site's link stands to.
    #[must_use]
    pub fn region(&self) -> Option<&'static str> {
        let links = links(&self.mesh.nodes[SITE])?;
        let up = links.iter().find(|link| link["is_up"] == true)?;
        let neighbour = up["neighbour"].as_str()?;
        let is_it = |tier: &&str| neighbour.contains(&format!("/{tier}/"));
        self.tiers.iter().copied().find(is_it)
    }
}

impl Drop for Bed {
    /// A failure shows what each node says of itself.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (name, node) in &self.mesh.nodes {
            for path in ["/v1/links", "/v1/nodes"] {
                let (_, text) = node.client.get(path).unwrap_or_default();
                say(&format!("{name} {path}: {text}"));
            }
            say(&tail(&node.running.stderr()));
        }
    }
}

/// Records of a node from now on, each with when it was read, until the receiver is dropped.
#[must_use]
pub fn tail_of(node: &MeshNode, from: &str) -> mpsc::Receiver<(i64, RecordLine)> {
    let path = format!("/v1/subscribe?format=records&from={from}");
    let lines = node.client.stream(&path);
    let (sender, receiver) = mpsc::sync_channel(TAIL_RECORDS_MAX);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(line) = RecordLine::parse(&line)
                && sender.send((wall_ms(), line)).is_err()
            {
                return;
            }
        }
    });
    receiver
}

/// Items of `/v1/links`.
#[must_use]
pub fn links(node: &MeshNode) -> Option<Vec<Value>> {
    node.client.json("/v1/links")?["items"].as_array().cloned()
}

/// Items of `/v1/nodes`.
#[must_use]
pub fn origins(node: &MeshNode) -> Option<Vec<Value>> {
    node.client.json("/v1/nodes")?["items"].as_array().cloned()
}

fn own(node: &MeshNode) -> Option<Value> {
    let origins = origins(node)?.into_iter();
    origins.into_iter().find(|origin| origin["is_own"] == true)
}

/// Highest seq of what a node wrote itself.
#[must_use]
pub fn highest_own(node: &MeshNode) -> Option<u64> {
    own(node)?["highest_seq"].as_u64()
}

/// The origin that a node writes.
#[must_use]
pub fn own_origin(node: &MeshNode) -> Option<String> {
    own(node)?["origin"].as_str().map(str::to_owned)
}

/// Whether a node holds all of an origin, up to a seq at least.
#[must_use]
pub fn holds(node: &MeshNode, origin: &str, up_to: u64) -> bool {
    let origins = origins(node).unwrap_or_default();
    let mut those = origins.iter().filter(|one| one["origin"] == origin);
    those.any(|one| one["missing"] == 0 && one["highest_seq"].as_u64() >= Some(up_to))
}

/// Regions, each told of the others as its peers.
fn start_regions(
    mesh: &mut Mesh,
    lines: &mut BTreeMap<&'static str, Relay>,
    (names, config): (&[&'static str], &str),
) -> Vec<u16> {
    let top = lines[GLOBAL].address().port();
    let mut ports = Vec::new();
    for name in names {
        let text = upstream(&[top]) + config;
        let port = mesh.start(&options(Tier::Region, name, &text)).quic;
        let relay = relay_to(port);
        ports.push(relay.address().port());
        lines.insert(name, relay);
    }
    for (name, other) in names.iter().zip(names.iter().rev()) {
        if name != other {
            // Not through the relay: a region that its sites cannot reach is still one of two.
            let port = mesh.nodes[*other].quic;
            let peer = format!("\n[[peer]]\nname = \"{other}\"\nconnect = \"127.0.0.1:{port}\"\n");
            mesh.node(name).add_config(&peer);
        }
    }
    ports
}

fn upstream(ports: &[u16]) -> String {
    let connect: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    format!("\n[[upstream]]\nname = \"up\"\nconnect = {connect:?}\n\n")
}

fn relay_to(port: u16) -> Relay {
    Relay::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 7)
}

fn options(tier: Tier, site: &str, config: &str) -> MeshNodeOptions {
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams: Vec::new(),
        config: config.into(),
    }
}

fn polling(simulator: &Simulator) -> String {
    let resources = &simulator.resources;
    format!(
        "[[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"1s\"\n\n\
         [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
    )
}
