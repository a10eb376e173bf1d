//! Three tiers of real processes: what a site measures is read at the top, once and in order.

use std::collections::BTreeSet;
use std::time::Duration;

use ocelli_federation::identity::Tier;
use ocelli_tests::harness::mesh::{Mesh, MeshNodeOptions};
use ocelli_tests::harness::process::tail;
use ocelli_tests::harness::wait_for;
use serde_json::Value;

/// This machine, each second.
const POLLING: &str = "[[polling]]\nname = \"machine\"\nkind = \"host\"\nevery = \"1s\"\n";
const PATIENCE: Duration = Duration::from_secs(30);

fn options(tier: Tier, site: &str, upstreams: Vec<u16>) -> MeshNodeOptions {
    let config = if tier == Tier::Site { POLLING } else { "" };
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams,
        config: config.into(),
    }
}

/// A global, a region below it, a site below that.
fn three_tiers(mesh: &mut Mesh) {
    let global = mesh.start(&options(Tier::Global, "world", vec![])).quic;
    let region = mesh
        .start(&options(Tier::Region, "emea", vec![global]))
        .quic;
    mesh.start(&options(Tier::Site, "dc1", vec![region]));
}

/// (origin, seq) of the batches that a stream told, up to its first pause.
fn batches(lines: impl Iterator<Item = String>) -> (Vec<(String, u64)>, Option<String>) {
    let (mut found, mut cursor) = (Vec::new(), None);
    for line in lines {
        let line: Value = serde_json::from_str(&line).expect("records are JSON");
        match line["type"].as_str() {
            Some("batch") => {
                let origin = line["origin"].as_str().unwrap_or_default().to_owned();
                found.push((origin, line["seq"].as_u64().unwrap_or_default()));
            }
            Some("cursor") => cursor = line["cursor"].as_str().map(str::to_owned),
            _ => {}
        }
    }
    (found, cursor)
}

#[test]
fn what_a_site_measures_is_read_at_the_top_and_a_cursor_goes_from_tier_to_tier() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(folder.path());
    three_tiers(&mut mesh);
    for site in ["dc1", "emea"] {
        let node = mesh.node(site);
        wait_for("a link up", PATIENCE, || {
            let links = node.client.json("/v1/links")?;
            (links["items"][0]["is_up"] == true).then_some(())
        });
    }
    let top = &mesh.node("world").client;
    let values = wait_for("values at the top", PATIENCE, || {
        let values = top.json("/v1/values?limit=5")?;
        values["items"]
            .as_array()
            .filter(|items| !items.is_empty())?;
        Some(values)
    });
    let resource = values["items"][0]["resource"].as_str().unwrap();
    assert!(resource.starts_with("dc1/"), "{values}");
    let nodes = top.json("/v1/nodes").unwrap();
    let tiers: BTreeSet<&str> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|node| node["tier"].as_str())
        .collect();
    assert!(tiers.contains("site"), "{nodes}");

    // A cursor of the site goes on at the region: nothing twice, nothing left out.
    let path = "/v1/subscribe?format=records&from=oldest";
    let (first, cursor) = batches(mesh.node("dc1").client.lines_up_to_pause(path));
    let cursor = cursor.expect("records come with cursors");
    let last = first.last().expect("the site holds batches").clone();
    let region = &mesh.node("emea").client;
    let more = wait_for("a later batch at the region", PATIENCE, || {
        let path = format!("/v1/subscribe?format=records&from={cursor}");
        let (more, _) = batches(region.lines_up_to_pause(&path));
        (more.len() >= 2).then_some(more)
    });
    assert_eq!(more[0].0, last.0, "the same origin");
    assert_eq!(more[0].1, last.1 + 1, "the next record: {first:?} {more:?}");
    let both = first.len() + more.len();
    let distinct: BTreeSet<_> = first.into_iter().chain(more).collect();
    assert_eq!(distinct.len(), both, "nothing came twice");
}

#[test]
fn what_was_measured_while_the_region_was_down_is_above_once_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(folder.path());
    three_tiers(&mut mesh);
    let highest = |mesh: &mut Mesh, site: &str| {
        let nodes = mesh.node(site).client.json("/v1/nodes")?;
        let nodes = nodes["items"].as_array()?.clone();
        let of_site = nodes.iter().find(|node| node["site"] == "dc1")?;
        of_site["highest_seq"].as_u64()
    };
    wait_for("data at the top", PATIENCE, || {
        highest(&mut mesh, "world").filter(|seq| *seq > 1)
    });
    mesh.node("emea").running.kill();
    wait_for("the site to see that its link is gone", PATIENCE, || {
        let links = mesh.node("dc1").client.json("/v1/links")?;
        (links["items"][0]["is_up"] == false).then_some(())
    });
    let (status, ready) = mesh.node("dc1").client.get("/readyz?verbose").unwrap();
    assert_eq!(
        status, 200,
        "an upstream that is down does not make a node unready: {ready}"
    );
    assert!(ready.contains("up/up-"), "but it is told: {ready}");
    let then = highest(&mut mesh, "dc1").unwrap();
    let at_least = then + 3;
    wait_for("the site to go on", PATIENCE, || {
        highest(&mut mesh, "dc1").filter(|seq| *seq > at_least)
    });
    mesh.node("emea").start_again();
    wait_for("the outage at the top", PATIENCE, || {
        let nodes = mesh.node("world").client.json("/v1/nodes")?;
        let of_site = nodes["items"]
            .as_array()?
            .iter()
            .find(|node| node["site"] == "dc1")?
            .clone();
        let is_whole = of_site["missing"] == 0;
        (is_whole && of_site["highest_seq"].as_u64()? > at_least).then_some(())
    });
    let log = mesh.node("emea").running.stderr();
    assert!(!log.contains("panicked"), "{}", tail(&log));
}
