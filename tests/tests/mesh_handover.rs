//! Links that end on purpose, on real processes: a node that stops, a certificate that is renewed.
//!
//! Does: stop a site whose line is slow and see that all is above and the upper node knows at once;
//! renew a site's certificate and see that the end of the old one cuts nothing.
//! Does not: play faults (`mesh_faults`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real processes run on real time")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use ocelli_bus::record::{Lane, StreamId};
use ocelli_bus::{Bus, BusOptions};
use ocelli_federation::identity::Tier;
use ocelli_node::clock::RealClock;
use ocelli_node::rng::RealRng;
use ocelli_tests::harness::mesh::{Mesh, MeshNode, MeshNodeOptions};
use ocelli_tests::harness::relay::{Faults, Relay};
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::{say, wait_for};
use ocelli_tests::record_lines::RecordLines;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

const AGENTS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(40);
const SITE: &str = "dc1";
const REGION: &str = "emea";

/// A site that polls each second, a region, and a relay between them.
struct Bed {
    mesh: Mesh,
    line: Relay,
    _simulator: Simulator,
    _folder: TempDir,
}

impl Bed {
    /// `site_life`: how long the site's first certificate is good.
    fn new(base: &str, site_life: Duration) -> Self {
        let folder = tempdir().unwrap();
        let interfaces = ["--interfaces", "4", "--site", SITE];
        let simulator = Simulator::start(folder.path(), (base, AGENTS), &interfaces);
        let mut mesh = Mesh::new(folder.path());
        let region = options(Tier::Region, REGION, vec![], "");
        let region = mesh.start(&region).quic;
        let line = Relay::start(SocketAddr::from((Ipv4Addr::LOCALHOST, region)), 7);
        let site = options(
            Tier::Site,
            SITE,
            vec![line.address().port()],
            &polling(&simulator.resources),
        );
        mesh.certificate_life = site_life;
        mesh.start(&site);
        let mut bed = Self {
            mesh,
            line,
            _simulator: simulator,
            _folder: folder,
        };
        bed.measure_for(3);
        bed
    }

    fn node(&mut self, site: &str) -> &mut MeshNode {
        self.mesh.node(site)
    }

    /// Waits until the region has some more of the site's slots.
    fn measure_for(&mut self, seconds: u64) {
        let then = highest(self.node(REGION)).unwrap_or_default();
        let more = seconds * AGENTS as u64;
        wait_for("the region to get records", PATIENCE, || {
            highest(self.node(REGION)).filter(|seq| *seq >= then + more)
        });
    }
}

fn options(tier: Tier, site: &str, upstreams: Vec<u16>, config: &str) -> MeshNodeOptions {
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams,
        config: config.into(),
    }
}

fn polling(resources: &Path) -> String {
    format!(
        "[[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"1s\"\n\n\
         [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
    )
}

/// What the region has of the site.
fn highest(region: &MeshNode) -> Option<u64> {
    let nodes = region.client.json("/v1/nodes")?;
    let mut of_site = nodes["items"].as_array()?.iter();
    of_site.find(|origin| origin["site"] == SITE)?["highest_seq"].as_u64()
}

/// The region's link from the site.
fn link_below(region: &MeshNode) -> Option<Value> {
    let links = region.client.json("/v1/links")?;
    let mut links = links["items"].as_array()?.iter();
    links.find(|link| link["direction"] == "down").cloned()
}

#[test]
fn a_site_that_stops_leaves_nothing_unsent_and_the_region_knows_at_once() {
    let mut bed = Bed::new("127.8.20.1", Duration::from_secs(86_400));
    // Something is always on its way over such a line.
    let delay = Duration::from_millis(300);
    let slow = Faults {
        delay,
        ..Faults::default()
    };
    bed.line.set_both(slow);
    bed.measure_for(2);
    let site = bed.node(SITE);
    let data = site.data_dir();
    site.running.signal(Signal::SIGTERM);
    let status = site.running.wait(PATIENCE);
    let ended = Instant::now();
    assert!(status.success(), "{status}");
    let error = wait_for("the region to see the end", PATIENCE, || {
        let link = link_below(bed.node(REGION))?;
        link["error"].as_str().map(str::to_owned)
    });
    let seen = ended.elapsed();
    say(&format!("seen {seen:?} after the process ended: {error}"));
    assert!(error.contains("the peer: done: the node stops"), "{error}");
    assert!(seen < Duration::from_secs(2), "seen by silence, not told");

    let clock = Arc::new(RealClock);
    let rng = Box::new(RealRng::default());
    let (bus, _) = Bus::open(&data, BusOptions::default(), clock, rng).unwrap();
    for lane in Lane::ALL {
        let origin = bus.origin();
        let held = bus.coverage_of(StreamId { origin, lane }).highest();
        assert!(held.0 > 0);
        if lane == Lane::Data {
            assert_eq!(highest(bed.node(REGION)), Some(held.0), "not all is above");
        }
    }
}

#[test]
fn a_renewed_certificate_moves_the_link_before_the_old_one_ends() {
    let life = Duration::from_secs(25);
    let mut bed = Bed::new("127.8.21.1", life);
    let began = Instant::now();
    bed.mesh.certificate_life = Duration::from_secs(86_400);
    let first = link_below(bed.node(REGION)).unwrap();
    bed.mesh.reissue(&options(Tier::Site, SITE, vec![], ""));
    bed.node(SITE).running.signal(Signal::SIGHUP);
    let second = wait_for("the link to be made anew", PATIENCE, || {
        let link = link_below(bed.node(REGION))?;
        (link["is_up"] == true && link["since_ms"] != first["since_ms"]).then_some(link)
    });
    bed.measure_for(2);
    // Beyond the end of the first certificate and a round of the guard.
    wait_for("the first certificate to end", PATIENCE, || {
        (began.elapsed() > life + Duration::from_secs(3)).then_some(())
    });
    bed.measure_for(2);
    let last = link_below(bed.node(REGION)).unwrap();
    assert_eq!(last["since_ms"], second["since_ms"], "it was cut: {last}");
    let log = bed.node(REGION).running.stderr();
    assert!(!log.contains("certificates of their peers have ended"));
    let at_region = RecordLines::read(&bed.node(REGION).client);
    at_region.assert_in_order();
    let late = at_region.lines.iter().filter(|line| line.is_backfill);
    say(&format!("{} records came as backfill", late.count()));
}
