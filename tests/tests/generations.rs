//! A site whose disk was exchanged, a site that is gone for good, and a group that heals, played on
//! real processes.
//!
//! Does: wipe a data directory, adopt and forget on the command line; end and restart the preferred
//! region of a group `any`. Does not: cut lines (`mesh_faults`) or simulate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real processes run on real time")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use ocelli_federation::identity::Tier;
use ocelli_tests::harness::mesh::{Mesh, MeshNode, MeshNodeOptions};
use ocelli_tests::harness::{built_binary, wait_for};
use ocelli_tests::record_lines::{RecordLines, assert_holds_all};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(40);
const POLLING: &str = "[[polling]]\nname = \"machine\"\nkind = \"host\"\nevery = \"1s\"\n";

fn options(tier: Tier, site: &str, upstreams: Vec<u16>, config: &str) -> MeshNodeOptions {
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams,
        config: config.into(),
    }
}

fn ocelli(node: &MeshNode, arguments: &[&str]) -> Output {
    let mut command = Command::new(built_binary("ocelli"));
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(node.data_dir());
    command.output().unwrap()
}

fn words(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// Origins of a site that a node holds, with the highest seq of each.
fn origins(node: &MeshNode, site: &str) -> Option<Vec<(String, u64)>> {
    let nodes = node.client.json("/v1/nodes")?;
    let items = nodes["items"].as_array()?.iter();
    let of_site = items.filter(|item| item["site"] == site);
    let one = |item: &Value| {
        let origin = item["origin"].as_str()?.to_owned();
        Some((origin, item["highest_seq"].as_u64()?))
    };
    Some(of_site.filter_map(one).collect())
}

fn stop(node: &mut MeshNode) {
    node.running.signal(Signal::SIGTERM);
    assert!(node.running.wait(PATIENCE).success());
}

#[test]
fn an_exchanged_disk_is_refused_until_it_is_adopted_and_a_site_that_is_gone_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(folder.path());
    let port = mesh.start(&options(Tier::Region, "emea", vec![], "")).quic;
    mesh.start(&options(Tier::Site, "dc1", vec![port], POLLING));
    let first = wait_for("records of the first disk", PATIENCE, || {
        origins(mesh.node("emea"), "dc1")?
            .into_iter()
            .find(|(_, seq)| *seq > 2)
    });
    // A restart on the same disk is no second generation.
    stop(mesh.node("dc1"));
    mesh.node("dc1").start_again();
    wait_for("records after the restart", PATIENCE, || {
        let known = origins(mesh.node("emea"), "dc1")?;
        known.into_iter().find(|(_, seq)| *seq > first.1 + 3)
    });

    stop(mesh.node("dc1"));
    std::fs::remove_dir_all(mesh.node("dc1").data_dir()).unwrap();
    mesh.node("dc1").start_again();
    let status = wait_for("the refusal at the region", PATIENCE, || {
        let status = mesh.node("emea").client.json("/v1/status")?;
        (!status["second_generations"].as_array()?.is_empty()).then_some(status)
    });
    assert_eq!(
        status["second_generations"][0]["hint"],
        "ocelli mesh adopt dc1"
    );
    let tree = words(&ocelli(mesh.node("emea"), &["mesh", "status"]));
    assert!(
        tree.contains("refused: dc1/n1 comes with a new data directory"),
        "{tree}"
    );
    wait_for("the refusal in the site's own log", PATIENCE, || {
        let log = mesh.node("dc1").running.stderr();
        log.contains("`ocelli mesh adopt dc1` takes it")
            .then_some(())
    });
    shown_at_the_site(&mut mesh);
    // Nothing that it measures under the new generation is taken meanwhile.
    let taken = origins(mesh.node("emea"), "dc1").unwrap();
    let second = taken.iter().find(|(origin, _)| *origin != first.0);
    assert!(second.is_none_or(|(_, seq)| *seq == 0), "{taken:?}");
    let read_only = mesh.node("emea").client.clone();
    let posted = reqwest::blocking::Client::new()
        .post(read_only.url("/v1/mesh/adopt"))
        .header("content-type", "application/json")
        .body("{\"name\":\"dc1\"}")
        .send()
        .unwrap();
    assert_eq!(posted.status().as_u16(), 403, "the port is read-only");

    let unknown = ocelli(mesh.node("emea"), &["mesh", "adopt", "dc7"]);
    assert_eq!(unknown.status.code(), Some(4), "{}", words(&unknown));
    let adopted = ocelli(mesh.node("emea"), &["mesh", "adopt", "dc1"]);
    assert!(adopted.status.success(), "{}", words(&adopted));
    // The site has kept what it measured: all of it comes.
    let shown = RecordLines::read(&mesh.node("dc1").client).contents();
    assert!(!shown.is_empty());
    wait_for("records of the new disk", PATIENCE, || {
        let known = origins(mesh.node("emea"), "dc1")?;
        let new = known.into_iter().find(|(origin, _)| *origin != first.0);
        new.filter(|(_, seq)| *seq > 3)
    });
    let deadline = wait_for("all that was measured meanwhile", PATIENCE, || {
        let above = RecordLines::read(&mesh.node("emea").client).contents();
        shown
            .keys()
            .all(|key| above.contains_key(key))
            .then_some(above)
    });
    assert_holds_all(&shown, &deadline);
    let events = mesh.node("emea").client.json("/v1/events").unwrap();
    assert!(events.to_string().contains("node_adopted"), "{events}");

    forget(&mut mesh);
}

/// What waits for a person above shows at the site too: its link, its tree and its events say so.
fn shown_at_the_site(mesh: &mut Mesh) {
    let site = mesh.node("dc1");
    let refused = wait_for("the refusal on the site's link", PATIENCE, || {
        let links = site.client.json("/v1/links")?;
        let refused = links["items"][0]["refused"].as_array()?.clone();
        refused
            .into_iter()
            .find(|one| one["reason"] == "second_generation")
    });
    let (detail, hint) = (&refused["detail"], &refused["hint"]);
    assert!(
        detail.to_string().contains("ocelli mesh adopt dc1"),
        "{refused}"
    );
    assert!(hint.to_string().contains("decide there"), "{refused}");
    wait_for("the event at the site", PATIENCE, || {
        let events = site.client.json("/v1/events")?;
        let events = events["items"].as_array()?.clone();
        let told = events
            .iter()
            .find(|event| event["kind"] == "records_refused")?;
        told.to_string()
            .contains("ocelli mesh adopt dc1")
            .then_some(())
    });
    let tree = words(&ocelli(site, &["mesh", "status"]));
    assert!(tree.contains("refused above: "), "{tree}");
    assert!(tree.contains("ocelli mesh adopt dc1"), "{tree}");
}

/// The site leaves for good.
fn forget(mesh: &mut Mesh) {
    let refused = ocelli(mesh.node("emea"), &["mesh", "forget", "dc1", "--yes"]);
    let text = words(&refused);
    assert!(
        !refused.status.success() && text.contains("stop that node first"),
        "{text}"
    );
    stop(mesh.node("dc1"));
    wait_for("the link's end", PATIENCE, || {
        let link = mesh.node("emea").client.json("/v1/links/down/dc1/n1")?;
        (link["is_up"] == false).then_some(())
    });
    let tried = ocelli(mesh.node("emea"), &["mesh", "forget", "dc1"]);
    let text = words(&tried);
    assert!(
        tried.status.success() && text.contains("repeat with --yes"),
        "{text}"
    );
    assert_eq!(
        origins(mesh.node("emea"), "dc1").unwrap().len(),
        2,
        "it was only asked"
    );
    let done = ocelli(mesh.node("emea"), &["mesh", "forget", "dc1", "--yes"]);
    assert!(done.status.success(), "{}", words(&done));
    assert_eq!(origins(mesh.node("emea"), "dc1").unwrap(), []);
    let values = mesh.node("emea").client.json("/v1/values").unwrap();
    assert_eq!(values["items"], serde_json::json!([]));
    assert_eq!(mesh.node("emea").client.json("/v1/links/down/dc1/n1"), None);
    let held = RecordLines::read(&mesh.node("emea").client).contents();
    assert!(!held.is_empty(), "records stay until retention");
    nobody_is_missed(mesh.node("emea"));
    // Also over a restart of the region.
    stop(mesh.node("emea"));
    mesh.node("emea").start_again();
    assert_eq!(origins(mesh.node("emea"), "dc1").unwrap(), []);
    nobody_is_missed(mesh.node("emea"));
    // It returns after all, on a third disk: it is new here, and nobody is asked.
    std::fs::remove_dir_all(mesh.node("dc1").data_dir()).unwrap();
    mesh.node("dc1").start_again();
    wait_for("a site that came back", PATIENCE, || {
        let known = origins(mesh.node("emea"), "dc1")?;
        known.into_iter().find(|(_, seq)| *seq > 1)
    });
}

/// Who was forgotten is neither stale nor owed slots.
fn nobody_is_missed(region: &MeshNode) {
    let open = region.client.json("/v1/gaps?open=true").unwrap();
    assert!(!open.to_string().contains("lost_node"), "{open}");
    let metrics = region.client.get("/v1/metrics").unwrap().1;
    assert!(!metrics.contains("link_down"), "{metrics}");
    let values = region.client.json("/v1/values").unwrap();
    assert_eq!(values["items"], serde_json::json!([]));
}

/// Whom the site's uplink reaches now.
fn reached(mesh: &mut Mesh, but: Option<&str>) -> String {
    wait_for("a link of the group", PATIENCE, || {
        let link = mesh.node("dc1").client.json("/v1/links/up/group")?;
        let to = link["neighbour"]
            .as_str()
            .filter(|_| link["is_up"] == true)?;
        let region = Path::new(to).parent()?.file_name()?.to_str()?.to_owned();
        (but != Some(&region)).then_some(region)
    })
}

#[test]
fn a_group_moves_back_to_its_preferred_region_once_that_is_well_and_nothing_is_lost_or_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(folder.path());
    let top = mesh.start(&options(Tier::Global, "world", vec![], "")).quic;
    let ports =
        ["east", "west"].map(|name| mesh.start(&options(Tier::Region, name, vec![top], "")).quic);
    let group = format!(
        "[[upstream]]\nname = \"group\"\nconnect = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]\n\
         move_back_after = \"3s\"\n{POLLING}",
        ports[0], ports[1]
    );
    mesh.start(&options(Tier::Site, "dc1", vec![], &group));
    let preferred = reached(&mut mesh, None);
    mesh.node(&preferred).running.kill();
    let other = reached(&mut mesh, Some(&preferred));
    mesh.node(&preferred).start_again();
    assert_eq!(reached(&mut mesh, Some(&other)), preferred);
    let log = mesh.node("dc1").running.stderr();
    assert!(log.contains("moving back to a better member"), "{log}");
    // Some more through the preferred one, then all of it is at the top, each record once.
    let head = |mesh: &mut Mesh, node: &str| {
        let known = origins(mesh.node(node), "dc1")?;
        known.into_iter().map(|(_, seq)| seq).max()
    };
    let then = wait_for("the head of the site", PATIENCE, || head(&mut mesh, "dc1"));
    wait_for("some slots more", PATIENCE, || {
        head(&mut mesh, "dc1").filter(|seq| *seq > then + 3)
    });
    let shown = RecordLines::read(&mesh.node("dc1").client).contents();
    let above = wait_for("all of it at the top", PATIENCE, || {
        let above = RecordLines::read(&mesh.node("world").client);
        let contents = above.contents();
        shown
            .keys()
            .all(|key| contents.contains_key(key))
            .then_some(above)
    });
    above.assert_in_order();
    assert_holds_all(&shown, &above.contents());
}
