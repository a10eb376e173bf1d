//! Forwarding policies on a mesh of real processes: an upstream with a filter, beside one without;
//! tiers that are left out or stand twice.
//!
//! Does: a site that polls simulated switches, nodes above it, filters that change. Does not: play
//! faults of lines (`mesh_faults`), prove orders of events (`mesh_simulation`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use ocelli_federation::identity::Tier;
use ocelli_tests::harness::mesh::{Mesh, MeshNode, MeshNodeOptions};
use ocelli_tests::harness::process::tail;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::wait_for;
use ocelli_tests::record_lines::{Contents, RecordLines, assert_holds_all};
use ocelli_tests::tiling::Ledger;
use serde_json::Value;
use tempfile::tempdir;

const AGENTS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(40);
const SITE: &str = "dc1";

fn options(tier: Tier, site: &str, upstreams: Vec<u16>, config: &str) -> MeshNodeOptions {
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams,
        config: config.into(),
    }
}

fn simulator(folder: &Path, base: &str) -> Simulator {
    let more = ["--interfaces", "2", "--site", SITE];
    Simulator::start(folder, (base, AGENTS), &more)
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

/// An upstream that gets what `filter` lets through.
fn filtered(port: u16, filter: &str) -> String {
    format!(
        "\n[[upstream]]\nname = \"some\"\nconnect = [\"127.0.0.1:{port}\"]\nfilter = '{filter}'\n"
    )
}

/// Names of the resources whose batches a node shows.
fn shown(node: &MeshNode) -> BTreeSet<String> {
    let ledger = Ledger::read(&node.client, "interfaces");
    let with_batches = ledger
        .pairs
        .iter()
        .filter(|(_, pair)| !pair.batches.is_empty());
    with_batches
        .map(|((resource, _), _)| resource.clone())
        .collect()
}

fn origin_of_site(node: &MeshNode) -> Option<Value> {
    let nodes = node.client.json("/v1/nodes")?;
    let nodes = nodes["items"].as_array()?;
    nodes.iter().find(|node| node["site"] == SITE).cloned()
}

/// Waits until a node covers of the site all that the site has now.
fn catch_up(mesh: &mut Mesh, nodes: &[&str]) {
    let own = wait_for("the site's own head", PATIENCE, || {
        origin_of_site(mesh.node(SITE))?["highest_seq"].as_u64()
    });
    for name in nodes {
        wait_for(
            &format!("{name} to cover {SITE} up to {own}"),
            PATIENCE,
            || {
                let origin = origin_of_site(mesh.node(name))?;
                let is_whole = origin["missing"] == 0 && origin["highest_seq"].as_u64()? >= own;
                is_whole.then_some(())
            },
        );
    }
}

fn contents(node: &MeshNode) -> Contents {
    RecordLines::read(&node.client).contents()
}

/// What is told of resources whose name ends so; the rest of a mesh's records is events.
fn of_agents(contents: &Contents, ends: &[&str]) -> Contents {
    let names = |text: &String| {
        let line: Value = serde_json::from_str(text).unwrap();
        let resource = line["resource"].as_str().unwrap_or_default().to_owned();
        ends.iter().any(|end| resource.ends_with(end))
    };
    let all = contents.iter().filter(|(_, text)| names(text));
    all.map(|(key, text)| (key.clone(), text.clone())).collect()
}

fn assert_tiles(node: &MeshNode) {
    let ledger = Ledger::read(&node.client, "interfaces");
    assert!(!ledger.pairs.is_empty());
    ledger.pairs.values().for_each(|pair| pair.assert_tiles());
}

fn assert_nobody_complained(mesh: &mut Mesh, nodes: &[&str]) {
    for name in nodes {
        let log = mesh.node(name).running.stderr();
        for word in ["panicked", "retention took", "are refused", "old copy"] {
            assert!(!log.contains(word), "{name} says {word:?}: {}", tail(&log));
        }
    }
}

#[test]
fn an_upstream_with_a_filter_gets_only_its_resources_and_all_tiers_above_tile() {
    let folder = tempdir().unwrap();
    let simulator = simulator(folder.path(), "127.8.41.1");
    let mut mesh = Mesh::new(folder.path());
    let top = mesh.start(&options(Tier::Global, "world", vec![], "")).quic;
    let region = mesh
        .start(&options(Tier::Region, "emea", vec![top], ""))
        .quic;
    let filter = |last: &str| {
        filtered(
            region,
            &format!("resource_endpoint LIKE \"127.8.41.{last}%\""),
        )
    };
    let config = polling(&simulator) + &filter("1");
    mesh.start(&options(Tier::Site, SITE, vec![], &config));
    let everybody = ["emea", "world"];
    let one = wait_for("a batch at the top", PATIENCE, || {
        let shown = shown(mesh.node("world"));
        (!shown.is_empty()).then_some(shown)
    });
    assert_eq!(one.len(), 1, "{one:?}");
    let highest = origin_of_site(mesh.node(SITE)).unwrap()["highest_seq"].as_u64();
    wait_for("some slots more", PATIENCE, || {
        let now = origin_of_site(mesh.node(SITE))?["highest_seq"].as_u64();
        (now > highest.map(|seq| seq + 8)).then_some(())
    });
    catch_up(&mut mesh, &everybody);
    let below = contents(mesh.node(SITE));
    let name = one.first().unwrap().clone();
    for node in everybody {
        assert_eq!(shown(mesh.node(node)), one, "{node}");
        assert_tiles(mesh.node(node));
        let passing = of_agents(&below, &[&name]);
        assert!(passing.len() >= 3, "{}", passing.len());
        assert_holds_all(&passing, &contents(mesh.node(node)));
        let skipped = origin_of_site(mesh.node(node)).unwrap()["skipped"].as_u64();
        assert!(skipped > Some(3), "{node}: {skipped:?}");
    }

    // Wider by a reload: from now on, and nothing of before.
    let path = folder.path().join(SITE).join("ocelli.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&filter("1"), &filter(""))).unwrap();
    let before = contents(mesh.node("world"));
    mesh.node(SITE).running.signal(Signal::SIGHUP);
    wait_for("the others at the top", PATIENCE, || {
        (shown(mesh.node("world")).len() == AGENTS).then_some(())
    });
    catch_up(&mut mesh, &everybody);
    let after = contents(mesh.node("world"));
    assert_holds_all(&before, &after);
    let everyone = shown(mesh.node("world"));
    let rest: Vec<&str> = everyone
        .iter()
        .map(String::as_str)
        .filter(|one| *one != name)
        .collect();
    let others = |all: &Contents| of_agents(all, &rest).len();
    let missed = others(&below);
    let below = contents(mesh.node(SITE));
    assert!(
        others(&after) + missed <= others(&below),
        "what was withheld came"
    );
    for node in everybody {
        assert_tiles(mesh.node(node));
    }
    assert_nobody_complained(&mut mesh, &[SITE, "emea", "world"]);
}

#[test]
fn what_one_path_withholds_another_brings_and_each_region_shows_its_own() {
    let folder = tempdir().unwrap();
    let simulator = simulator(folder.path(), "127.8.42.1");
    let mut mesh = Mesh::new(folder.path());
    let top = mesh.start(&options(Tier::Global, "world", vec![], "")).quic;
    let some = mesh
        .start(&options(Tier::Region, "some", vec![top], ""))
        .quic;
    let filter = "resource_endpoint LIKE \"127.8.42.2%\"";
    let config = polling(&simulator) + &filtered(some, filter);
    // The region that gets all comes later: what it brings fills what was withheld before.
    let all_port = ocelli_tests::harness::free_udp_port();
    mesh.start(&options(Tier::Site, SITE, vec![all_port], &config));
    let one = wait_for("a batch at the top", PATIENCE, || {
        let shown = shown(mesh.node("world"));
        (!shown.is_empty()).then_some(shown)
    });
    assert_eq!(one.len(), 1, "{one:?}");
    mesh.start_on(&options(Tier::Region, "all", vec![top], ""), all_port);
    wait_for("all resources at the top", PATIENCE, || {
        (shown(mesh.node("world")).len() == AGENTS).then_some(())
    });
    catch_up(&mut mesh, &["some", "all", "world"]);
    let below = contents(mesh.node(SITE));
    wait_for("all that was withheld at the top", PATIENCE, || {
        let above = contents(mesh.node("world"));
        below
            .keys()
            .all(|key| above.contains_key(key))
            .then_some(())
    });
    for node in ["all", "world"] {
        assert_holds_all(&below, &contents(mesh.node(node)));
        assert_tiles(mesh.node(node));
    }
    assert_eq!(shown(mesh.node("some")), one);
    assert_tiles(mesh.node("some"));
    // What stands in two halves is found again by a process that has just begun.
    mesh.node("world").kill_and_start();
    assert_holds_all(&below, &contents(mesh.node("world")));
    assert_nobody_complained(&mut mesh, &[SITE, "some", "all"]);
}

#[test]
fn tiers_may_be_left_out_and_stand_twice() {
    let folder = tempdir().unwrap();
    let simulator = simulator(folder.path(), "127.8.43.1");
    let mut mesh = Mesh::new(folder.path());
    let top = mesh.start(&options(Tier::Global, "world", vec![], "")).quic;
    let upper = mesh
        .start(&options(Tier::Region, "emea", vec![top], ""))
        .quic;
    let lower = mesh
        .start(&options(Tier::Region, "de", vec![upper], ""))
        .quic;
    mesh.start(&options(
        Tier::Site,
        SITE,
        vec![lower],
        &polling(&simulator),
    ));
    let machine = "[[polling]]\nname = \"machine\"\nkind = \"host\"\nevery = \"1s\"\n";
    mesh.start(&options(Tier::Site, "dc2", vec![top], machine));
    wait_for("both sites at the top", PATIENCE, || {
        let nodes = mesh.node("world").client.json("/v1/nodes")?;
        let nodes = nodes["items"].as_array()?.clone();
        let has = |site: &str| {
            let of_site = |node: &&Value| node["site"] == site;
            let node = nodes.iter().find(of_site);
            node.and_then(|node| node["highest_seq"].as_u64()) > Some(6)
        };
        (has(SITE) && has("dc2")).then_some(())
    });
    catch_up(&mut mesh, &["de", "emea", "world"]);
    let below = contents(mesh.node(SITE));
    for node in ["de", "emea", "world"] {
        let above = RecordLines::read(&mesh.node(node).client);
        above.assert_in_order();
        assert_holds_all(&below, &above.contents());
        assert_tiles(mesh.node(node));
    }
    let beside = contents(mesh.node("dc2"));
    assert_holds_all(&beside, &contents(mesh.node("world")));
    assert_nobody_complained(&mut mesh, &[SITE, "dc2", "de", "emea", "world"]);
}
