//! `ocelli uplink replay` on real processes: a member of a group gets what the other acknowledged.
//!
//! Does: a site with two regions that are no peers; one of them takes records and loses its disk,
//! the other never had them; both are refilled by the command.
//! Does not: move back by itself (`generations`), simulate (`mesh_simulation`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use nix::sys::signal::Signal;
use ocelli_federation::identity::Tier;
use ocelli_tests::harness::mesh::{Mesh, MeshNode, MeshNodeOptions};
use ocelli_tests::harness::{built_binary, wait_for};
use ocelli_tests::mesh_bed::PATIENCE;
use ocelli_tests::record_lines::{Contents, RecordLines, assert_holds_all};
use serde_json::Value;

/// A plugin that needs no device.
const POLLING: &str = "[[polling]]\nname = \"machine\"\nkind = \"host\"\nevery = \"1s\"\n";

fn options(tier: Tier, site: &str, config: &str) -> MeshNodeOptions {
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams: Vec::new(),
        config: config.into(),
    }
}

/// The site's command line.
fn replay(site: &MeshNode, arguments: &[&str]) -> Output {
    let mut command = Command::new(built_binary("ocelli"));
    command.args(["uplink", "replay"]).args(arguments);
    command.arg("--data-dir").arg(site.data_dir());
    command.output().unwrap()
}

/// What it said as JSON.
fn replayed(site: &MeshNode, arguments: &[&str]) -> Value {
    let output = replay(site, &[arguments, &["-o", "json"]].concat());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {words}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stop(node: &mut MeshNode) {
    node.running.signal(Signal::SIGTERM);
    assert!(node.running.wait(PATIENCE).success());
}

fn held(node: &MeshNode) -> Contents {
    RecordLines::read_held(&node.client).contents()
}

/// To which region the site's link stands.
fn reached(site: &MeshNode) -> Option<&'static str> {
    let link = site.client.json("/v1/links/up/group")?;
    let neighbour = link["neighbour"].as_str()?;
    let is_it = |name: &&&str| neighbour.contains(&format!("/{name}/"));
    let found = ["east", "west"].iter().find(is_it).copied();
    found.filter(|_| link["is_up"] == true)
}

#[test]
fn a_region_without_what_the_other_acknowledged_is_refilled_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(folder.path());
    let ports = ["east", "west"].map(|name| mesh.start(&options(Tier::Region, name, "")).quic);
    let address = |region: &str| {
        let port = if region == "east" { ports[0] } else { ports[1] };
        format!("127.0.0.1:{port}")
    };
    let group = format!(
        "[[upstream]]\nname = \"group\"\nconnect = [\"{}\", \"{}\"]\n{POLLING}",
        address("east"),
        address("west")
    );
    mesh.start(&options(Tier::Site, "dc1", &group));
    let first = wait_for("a link of the group", PATIENCE, || {
        reached(mesh.node("dc1"))
    });
    let other = if first == "east" { "west" } else { "east" };
    let early = wait_for("records at the first region", PATIENCE, || {
        let (site, region) = (held(mesh.node("dc1")), held(mesh.node(first)));
        let are_there = site.len() > 4 && site.keys().all(|key| region.contains_key(key));
        are_there.then_some(site)
    });

    // The other takes over, and what the first acknowledged does not go there by itself.
    stop(mesh.node(first));
    wait_for("the other region", PATIENCE, || {
        let later = held(mesh.node(other));
        let is_newer = later.keys().any(|key| !early.contains_key(key));
        (reached(mesh.node("dc1")) == Some(other) && is_newer).then_some(())
    });
    let lacks = |mesh: &mut Mesh| {
        let there = held(mesh.node(other));
        early.keys().filter(|key| !there.contains_key(key)).count()
    };
    assert!(lacks(&mut mesh) > 0, "there is nothing to refill");
    let planned = replayed(mesh.node("dc1"), &["group", "--dry-run"]);
    assert_eq!(planned["state"], "planned", "{planned}");
    assert!(
        planned["records"].as_u64() >= Some(early.len() as u64 / 2),
        "{planned}"
    );
    assert!(lacks(&mut mesh) > 0, "it was only asked");
    let done = replayed(mesh.node("dc1"), &["group"]);
    assert_eq!((&done["state"], &done["left"]), (&"done".into(), &0.into()));
    assert_eq!(done["member"], address(other).as_str(), "{done}");
    assert_holds_all(&early, &held(mesh.node(other)));

    // The first one returns with an empty disk: a member that no link stands to.
    std::fs::remove_dir_all(mesh.node(first).data_dir()).unwrap();
    mesh.node(first).start_again();
    for (arguments, text) in [
        (vec!["nobody"], "no [[upstream]] is named"),
        (vec!["group", "--member", "127.0.0.1:1"], "is no member"),
    ] {
        let refused = replay(mesh.node("dc1"), &arguments);
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(4), "{words}");
        assert!(words.contains(text), "{words}");
    }
    let shown = held(mesh.node("dc1"));
    let done = replayed(mesh.node("dc1"), &["group", "--member", &address(first)]);
    assert_eq!(done["state"], "done", "{done}");
    assert!(done["records"].as_u64() > Some(0), "{done}");
    assert_holds_all(&shown, &held(mesh.node(first)));
    // The group's own link is as before, or went back to its preferred region.
    wait_for("live records of the group", PATIENCE, || {
        let region = reached(mesh.node("dc1"))?;
        let now = held(mesh.node(region));
        now.keys().any(|key| !shown.contains_key(key)).then_some(())
    });
    for name in ["dc1", "east", "west"] {
        let log = mesh.node(name).running.stderr();
        assert!(!log.contains("panicked"), "{name}: {log}");
    }
}
