//! A throw-away authority, and the files of each node of a demo.
//!
//! Does: make a root and certificates, choose free ports, write configurations as an operator
//! would. Does not: start anything. In: a temporary directory. Out: a folder for each node.
//! Keys live for a day and leave with the directory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ocelli_federation::identity::{
    AuthorityDirectory, IssueOrder, NodeIdentity, NodeKey, Tier, write_key,
};
use ocelli_model::clock::Clock;

use super::failed;
use crate::cli::exit::Failure;
use crate::clock::RealClock;
use crate::rng::RealRng;

/// Name of the mesh.
const MESH: &str = "demo";
/// Name of each node: there is one a site.
const NODE: &str = "n1";
/// File name of a node's configuration.
pub(super) const CONFIG_FILE: &str = "ocelli.toml";
/// Certificates are good for as long as a demo may last, the root a little longer.
const LIFE: Duration = Duration::from_secs(7 * 86_400);
const ROOT_DAYS: u32 = 8;

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    /// Its API, TCP.
    pub(super) http: u16,
    /// Its links, UDP.
    pub(super) links: u16,
}

/// What a node of the demo is.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// Its tier.
    pub(super) tier: Tier,
    /// Its site, region or global.
    pub(super) name: &'a str,
    /// Where it listens.
    pub(super) ports: Ports,
    /// Whom it sends to.
    pub(super) upstream: Option<SocketAddr>,
    /// Further configuration.
    pub(super) more: String,
}

/// The authority and the directory it lies in.
pub(super) struct Authority {
    directory: PathBuf,
    keeper: AuthorityDirectory,
}

impl Authority {
    /// Makes a root in `directory`.
    pub(super) fn new(directory: &Path) -> Result<Self, Failure> {
        let (now, mut rng) = (RealClock.wall(), RealRng::default());
        let path = directory.join("ca");
        let keeper = AuthorityDirectory::init(&path, MESH, ROOT_DAYS, (now, &mut rng));
        Ok(Self {
            directory: directory.to_owned(),
            keeper: keeper.map_err(|error| failed(&error))?,
        })
    }

    /// Writes certificate, key and configuration of a node; its folder.
    pub(super) fn settle(&self, place: &Place<'_>) -> Result<PathBuf, Failure> {
        let folder = self.directory.join(place.name);
        std::fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
        self.issue(place, &folder)?;
        write(&folder.join(CONFIG_FILE), &self.text_of(place))?;
        Ok(folder)
    }

    fn issue(&self, place: &Place<'_>, folder: &Path) -> Result<(), Failure> {
        let identity = NodeIdentity::new(MESH, place.tier, place.name, NODE);
        let identity = identity.map_err(|error| failed(&error))?;
        let key = NodeKey::generate().map_err(|error| failed(&error))?;
        let order = IssueOrder {
            identity,
            speaks_for: Vec::new(),
            valid_for: LIFE,
        };
        let (now, mut rng) = (RealClock.wall(), RealRng::default());
        let issued = self.keeper.issue_with_key(&key, order, (now, &mut rng));
        let issued = issued.map_err(|error| failed(&error))?;
        write(&folder.join("node.pem"), &issued.certificate_pem)?;
        write_key(&folder.join("node-key.pem"), &key.to_pem()).map_err(|error| failed(&error))
    }

    fn text_of(&self, place: &Place<'_>) -> String {
        let Ports { http, links } = place.ports;
        let (tier, name) = (place.tier, place.name);
        let mut text = format!(
            "[node]\nmesh = \"{MESH}\"\ntier = \"{tier}\"\nsite = \"{name}\"\nname = \"{NODE}\"\n\
             data_dir = \"data\"\n\n[identity]\ncertificate = \"node.pem\"\n\
             key = \"node-key.pem\"\nroots = [\"../ca/root.pem\"]\n\n\
             [listen]\nhttp = \"127.0.0.1:{http}\"\n"
        );
        if tier != Tier::Site {
            text += &format!("quic = \"127.0.0.1:{links}\"\n");
        }
        if let Some(address) = place.upstream {
            text += &format!("\n[[upstream]]\nname = \"above\"\nconnect = [\"{address}\"]\n");
        }
        text + "\n" + &place.more
    }
}

/// Writes a text.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| failed(&format!("cannot write {}: {error}", path.display())))
}

/// Ports on loopback that are free now, each another.
pub(super) fn free_ports<const N: usize>() -> Result<[Ports; N], Failure> {
    // All are held until all are known: none is given twice.
    let mut held = Vec::with_capacity(N);
    let mut ports = [Ports { http: 0, links: 0 }; N];
    for free in &mut ports {
        let bound = bind().map_err(|error| failed(&format!("no free port: {error}")))?;
        *free = bound.0;
        held.push(bound);
    }
    Ok(ports)
}

fn bind() -> std::io::Result<(Ports, TcpListener, UdpSocket)> {
    let anywhere = (Ipv4Addr::LOCALHOST, 0);
    let (stream, datagram) = (TcpListener::bind(anywhere)?, UdpSocket::bind(anywhere)?);
    let ports = Ports {
        http: stream.local_addr()?.port(),
        links: datagram.local_addr()?.port(),
    };
    Ok((ports, stream, datagram))
}
