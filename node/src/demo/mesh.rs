//! The nodes of a demo's mesh: two sites, a region, a global, each a process of its own.
//!
//! Does: settle and start them from the top, with switches at each site and a line that can be cut
//! below the region; look whether they live; end them. Does not: read from them.
//! In: a temporary directory, options. Out: [`Mesh`], whose processes end when it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

use ocelli_federation::identity::Tier;

use super::authority::{Authority, Place, Ports, free_ports};
use super::child::Child;
use super::configuration::site_part;
use super::relay::Relay;
use super::{failed, simulate};
use crate::cli::demo::DemoOptions;
use crate::cli::exit::Failure;
use crate::simulate::Simulator;

/// Names of the sites. The line of the first can be cut.
pub(super) const SITES: [&str; 2] = ["north", "south"];
/// Name of the region.
pub(super) const REGION: &str = "emea";
/// Name of the global.
pub(super) const GLOBAL: &str = "world";
/// Nodes altogether.
pub(super) const NODES: usize = SITES.len() + 2;

/// A running mesh.
pub(super) struct Mesh {
    pub(super) global: Child,
    pub(super) region: Child,
    /// As [`SITES`].
    pub(super) sites: Vec<Child>,
    /// Between the first site and the region.
    pub(super) line: Rc<Relay>,
    simulators: Vec<Simulator>,
}

impl Mesh {
    /// Starts all, from the top: whoever dials finds somebody.
    pub(super) async fn start(options: &DemoOptions, directory: &Path) -> Result<Self, Failure> {
        let authority = Authority::new(directory)?;
        let [above, middle, first, second] = free_ports::<NODES>()?;
        let upper = |tier, name, ports, upstream| Place {
            tier,
            name,
            ports,
            upstream,
            more: String::new(),
        };
        let mut global = begin(&authority, &upper(Tier::Global, GLOBAL, above, None))?;
        global.ready().await?;
        let above = Some(on_loopback(above.links));
        let mut region = begin(&authority, &upper(Tier::Region, REGION, middle, above))?;
        region.ready().await?;
        let line = Relay::start(middle.links).map_err(|error| failed(&error))?;
        let mut mesh = Self {
            global,
            region,
            sites: Vec::with_capacity(SITES.len()),
            line: Rc::new(line),
            simulators: Vec::with_capacity(SITES.len()),
        };
        let ways = [mesh.line.address(), on_loopback(middle.links)];
        for (index, ports) in [first, second].into_iter().enumerate() {
            mesh.add_site(&authority, options, (index, ports, ways[index]))?;
        }
        for site in &mut mesh.sites {
            site.ready().await?;
        }
        Ok(mesh)
    }

    fn add_site(
        &mut self,
        authority: &Authority,
        options: &DemoOptions,
        (index, ports, upstream): (usize, Ports, SocketAddr),
    ) -> Result<(), Failure> {
        let name = SITES[index];
        let place = Place {
            tier: Tier::Site,
            name,
            ports,
            upstream: Some(upstream),
            more: site_part(options.every),
        };
        let folder = authority.settle(&place)?;
        let network = u8::try_from(index + 1).unwrap_or(u8::MAX);
        let base = Ipv4Addr::new(127, network, 0, 1);
        self.simulators
            .push(simulate(options, &folder, (name, base))?);
        self.sites.push(Child::start(name, &folder, ports.http)?);
        Ok(())
    }

    /// Fails if a node has ended, with what it said last.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        self.global.check()?;
        self.region.check()?;
        self.sites.iter_mut().try_for_each(Child::check)
    }

    /// Drains all nodes, those below first: they need not see their upstream leave. Stops the
    /// switches.
    pub(super) async fn end(self) -> Result<(), Failure> {
        for tier in [self.sites, vec![self.region], vec![self.global]] {
            tier.iter().for_each(Child::ask_to_end);
            for child in tier {
                child.end().await;
            }
        }
        let stopped = self.simulators.into_iter().map(Simulator::stop);
        let stopped: Result<Vec<()>, _> = stopped.collect();
        stopped.map(|_| ()).map_err(|error| failed(&error))
    }
}

fn begin(authority: &Authority, place: &Place<'_>) -> Result<Child, Failure> {
    let folder = authority.settle(place)?;
    Child::start(place.name, &folder, place.ports.http)
}

fn on_loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
