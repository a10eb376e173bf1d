//! What the top knows of nodes far below: that their line is dead, since when and why, and what is
//! refused of what they send. Real processes, a relay on the line of the site.
//!
//! Does: cut lines, look at each place where it is to be seen, mend them. Does not: look at data
//! (`mesh_faults`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real processes run on real time")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ocelli_federation::identity::Tier;
use ocelli_tests::harness::http::Client;
use ocelli_tests::harness::mesh::{Mesh, MeshNodeOptions};
use ocelli_tests::harness::process::tail;
use ocelli_tests::harness::relay::Relay;
use ocelli_tests::harness::{built_binary, say, wait_for};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

const PATIENCE: Duration = Duration::from_secs(40);
/// A dead link is told at the top within 5 s; the rest is for a machine with other tests beside.
const TOLD_WITHIN: Duration = Duration::from_millis(6_500);
/// This machine, each second.
const POLLING: &str = "[[polling]]\nname = \"machine\"\nkind = \"host\"\nevery = \"1s\"\n";

struct Bed {
    mesh: Mesh,
    /// Site to region.
    lower: Relay,
    /// Region to global.
    upper: Relay,
    _folder: TempDir,
}

impl Bed {
    /// A global, a region that may speak for `sites` (none: for all), a site below it.
    fn new(sites: &[&str]) -> Self {
        let folder = tempdir().unwrap();
        let mut mesh = Mesh::new(folder.path());
        mesh.limit_scope("emea", sites);
        let global = mesh.start(&options(Tier::Global, "world", vec![])).quic;
        let upper = relay_to(global);
        let up = vec![upper.address().port()];
        let region = mesh.start(&options(Tier::Region, "emea", up)).quic;
        let lower = relay_to(region);
        let up = vec![lower.address().port()];
        mesh.start(&options(Tier::Site, "dc1", up));
        Self {
            mesh,
            lower,
            upper,
            _folder: folder,
        }
    }

    fn client(&mut self, site: &str) -> Client {
        self.mesh.node(site).client.clone()
    }

    /// Waits until the top says this of the node of a site; what it says, and how long that took.
    fn at_top(&mut self, site: &str, state: &str) -> (Value, Duration) {
        let (started, client) = (Instant::now(), self.client("world"));
        let what = format!("{site} to be {state} at the top");
        let node = wait_for(&what, PATIENCE, || {
            let nodes = client.json("/v1/nodes")?;
            let mut nodes = nodes["items"].as_array()?.iter();
            let node = nodes.find(|node| node["site"] == site)?;
            (node["state"] == state && !node["last_ms"].is_null()).then(|| node.clone())
        });
        (node, started.elapsed())
    }
}

impl Drop for Bed {
    /// A failure shows what each tier says of itself.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (site, node) in &self.mesh.nodes {
            for path in ["/v1/links", "/v1/nodes", "/v1/events"] {
                let (_, text) = node.client.get(path).unwrap_or_default();
                say(&format!("{site} {path}: {text}"));
            }
            say(&tail(&node.running.stderr()));
        }
    }
}

fn relay_to(port: u16) -> Relay {
    Relay::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 7)
}

fn options(tier: Tier, site: &str, upstreams: Vec<u16>) -> MeshNodeOptions {
    let config = if tier == Tier::Site { POLLING } else { "" };
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams,
        config: config.into(),
    }
}

fn items(client: &Client, path: &str) -> Vec<Value> {
    let list = client.json(path).unwrap_or_default();
    list["items"].as_array().cloned().unwrap_or_default()
}

/// The events that a subscription tells from now on.
fn events_of(client: &Client) -> mpsc::Receiver<Value> {
    let lines = client.stream("/v1/subscribe?format=records&include=events&from=now");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["type"] == "event" && sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn a_site_whose_line_is_dead_is_stale_at_the_top_in_seconds_with_the_cause_until_it_is_back() {
    let mut bed = Bed::new(&[]);
    bed.at_top("dc1", "live");
    let top = bed.client("world");
    wait_for("values at the top", PATIENCE, || {
        (!items(&top, "/v1/values?limit=5").is_empty()).then_some(())
    });
    let events = events_of(&top);
    bed.lower.cut(true);
    let (node, seen_after) = bed.at_top("dc1", "stale");
    say(&format!("dead link seen at the top after {seen_after:?}"));
    assert!(seen_after <= TOLD_WITHIN, "{seen_after:?}");
    let cause = node["cause"].as_str().unwrap().to_owned();
    assert!(cause.starts_with("emea/n1 lost dc1/n1: "), "{cause}");
    assert_eq!(node["no_data_since_ms"], node["last_ms"], "{node}");
    assert_eq!(bed.at_top("emea", "live").0["cause"], Value::Null);

    let event = wait_for("link_down of the region at the top", PATIENCE, || {
        let event = events.try_recv().ok()?;
        (event["kind"] == "link_down").then_some(event)
    });
    assert!(event.to_string().contains("down/dc1/n1"), "{event}");
    shows_no_data(&mut bed, &cause);
    lag_grows_and_shows(&mut bed);

    bed.lower.cut(false);
    let (node, _) = bed.at_top("dc1", "live");
    assert_eq!(node["cause"], Value::Null, "{node}");
    wait_for("nothing open at the top", PATIENCE, || {
        let values = items(&top, "/v1/values?limit=5");
        let is_fresh = values.iter().all(|value| value.get("stale").is_none());
        (is_fresh && items(&top, "/v1/gaps?open=true&cause=pending").is_empty()).then_some(())
    });
    wait_for("no lag at the site", PATIENCE, || {
        let links = bed.mesh.node("dc1").client.json("/v1/links")?;
        (links["items"][0]["lag_seconds"].as_f64()? < 2.0).then_some(())
    });
}

/// Each place at the top says that there is no data, and why.
fn shows_no_data(bed: &mut Bed, cause: &str) {
    let top = bed.client("world");
    let values = items(&top, "/v1/values?limit=5");
    let of_site = |value: &&Value| value["resource"].as_str().unwrap().starts_with("dc1/");
    let value = values.iter().find(of_site).expect("old values stay");
    assert_eq!(value["stale"]["state"], "stale", "{value}");
    assert_eq!(value["stale"]["cause"], cause, "{value}");
    let open = wait_for("an open item at the top", PATIENCE, || {
        let open = items(&top, "/v1/gaps?open=true&site=dc1");
        open.into_iter().find(|gap| gap["reason"] == cause)
    });
    assert_eq!(
        (&open["pending"], &open["plugin"]),
        (&Value::from(true), &Value::from("machine"))
    );
    let (_, metrics) = top.get("/v1/metrics").unwrap();
    let mut up = metrics
        .lines()
        .filter(|line| line.starts_with("ocelli_resource_up{"));
    let line = up
        .find(|line| line.contains("resource_site=\"dc1\""))
        .unwrap();
    assert!(
        line.contains("cause=\"link_down\"") && line.ends_with(" 0"),
        "{line}"
    );
    let (_, metrics) = top.get("/metrics").unwrap();
    assert!(
        metrics.contains("ocelli_origins{state=\"stale\"} 1"),
        "{metrics}"
    );
    let status = said(&top, &["mesh", "status"]);
    assert!(status.contains(&format!("stale: {cause}")), "{status}");
    let lines = said(&top, &["mesh", "status", "-o", "csv"]);
    let nodes: Vec<&str> = lines.lines().collect();
    assert_eq!(nodes.len(), 4, "a header and three nodes: {lines}");
    assert!(nodes[0].starts_with("tier,site,node,"), "{lines}");
    assert!(lines.contains("\nsite,dc1,n1,false,stale,"), "{lines}");
}

/// What a command prints of a node.
fn said(of: &Client, arguments: &[&str]) -> String {
    let url = of.url("");
    let done = Command::new(built_binary("ocelli"))
        .args(arguments)
        .args(["--at", url.trim_end_matches('/')])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// The site says how far the tier above is behind, and what stands on its disk alone.
fn lag_grows_and_shows(bed: &mut Bed) {
    let site = bed.client("dc1");
    let links = wait_for("three seconds of lag", PATIENCE, || {
        let links = site.json("/v1/links")?;
        (links["items"][0]["lag_seconds"].as_f64()? >= 3.0).then_some(links)
    });
    let link = &links["items"][0];
    let lag = &link["lag"][0];
    assert_eq!(
        (&lag["site"], &lag["node"]),
        (&Value::from("dc1"), &Value::from("n1")),
        "{link}"
    );
    assert!(link["build"].is_string(), "the version above: {link}");
    assert!(lag["records"].as_u64() >= Some(3), "{link}");
    assert!(lag["bytes"].as_u64() >= Some(100), "{link}");
    assert!(
        links["one_disk"]["seconds"].as_f64() >= Some(2.0),
        "{links}"
    );
    let (_, metrics) = site.get("/metrics").unwrap();
    let capacity = said(&site, &["capacity"]);
    for part in [
        "OUTAGE BRIDGED S",
        "uplink/up/",
        "BYTES A DAY",
        "HOURS HELD",
    ] {
        assert!(capacity.contains(part), "{part}: {capacity}");
    }
    let lines = said(&site, &["capacity", "-o", "csv"]);
    assert!(lines.contains("\nsite,dc1,n1,live,"), "{lines}");
    for family in ["records", "bytes", "seconds"] {
        let begin = format!("ocelli_link_lag_{family}{{link=\"up/");
        assert!(metrics.contains(&begin), "{begin} in {metrics}");
    }
    for family in [
        "ocelli_one_disk_seconds",
        "ocelli_certificate_not_after_seconds",
    ] {
        assert!(metrics.contains(family), "{family} in {metrics}");
    }
}

#[test]
fn a_region_that_is_cut_off_takes_its_sites_with_it_and_brings_them_back() {
    let mut bed = Bed::new(&[]);
    bed.at_top("dc1", "live");
    bed.at_top("emea", "live");
    bed.upper.cut(true);
    let (site, after) = bed.at_top("dc1", "stale");
    let (region, _) = bed.at_top("emea", "stale");
    assert!(after <= TOLD_WITHIN, "{after:?}");
    for node in [&site, &region] {
        let cause = node["cause"].as_str().unwrap();
        assert!(cause.starts_with("world/n1 lost emea/n1: "), "{cause}");
    }
    bed.upper.cut(false);
    bed.at_top("dc1", "live");
    bed.at_top("emea", "live");
}

#[test]
fn what_a_neighbour_refuses_for_its_scope_shows_at_the_sender_with_what_to_do() {
    let mut bed = Bed::new(&["emea", "dc2"]);
    let region = bed.client("emea");
    let (link, refused) = wait_for("a refusal of the global", PATIENCE, || {
        let links = items(&region, "/v1/links");
        let link = links.into_iter().find(|link| link["direction"] == "up")?;
        let refused = link["refused"].as_array()?.first()?.clone();
        Some((link, refused))
    });
    assert_eq!(
        (&refused["reason"], &link["is_up"]),
        (&Value::from("scope"), &Value::from(true))
    );
    assert!(refused["records"].as_u64() >= Some(1), "{refused}");
    let text = refused["detail"].as_str().unwrap();
    assert!(text.contains("dc1"), "{refused}");
    assert!(
        refused["hint"]
            .as_str()
            .unwrap()
            .contains("ocelli ca issue"),
        "{refused}"
    );
    for (tier, kind) in [("emea", "records_refused"), ("world", "ingest_refused")] {
        let client = bed.client(tier);
        let event = wait_for("the event of it", PATIENCE, || {
            items(&client, &format!("/v1/events?kind={kind}"))
                .into_iter()
                .next()
        });
        assert_eq!(event["fields"]["reason"], "scope", "{event}");
    }
    let (_, metrics) = region.get("/metrics").unwrap();
    let mut lines = metrics.lines();
    let line = lines
        .find(|line| line.starts_with("ocelli_link_refused_records{"))
        .unwrap();
    assert!(line.contains("reason=\"scope\""), "{line}");
}
