//! Events of a real node: on the bus, in the list, in subscriptions, over a restart; and a data
//! directory that was copied while it was in use.
//!
//! Does: make a discovery shrink, kill and copy. Does not: step the machine's clock.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ocelli_tests::harness::node::{Node, ocelli};
use ocelli_tests::harness::wait_for;
use ocelli_tests::tiling::Ledger;
use serde_json::{Value, json};
use tempfile::tempdir;

const PATIENCE: Duration = Duration::from_secs(30);
const HOST: &str = "[[polling]]\nname = \"this-host\"\nkind = \"host\"\nevery = \"1s\"\n\n";

fn write_resources(path: &Path, count: usize) {
    let resource = |number: usize| {
        json!({
            "resource_site": "dc1", "resource_class": "network", "resource_subclass": "switch",
            "resource_type": "none", "resource_id": format!("sw{number}"),
            "resource_endpoint": format!("192.0.2.{number}"), "resource_metadata": {},
        })
    };
    let resources: Vec<Value> = (1..=count).map(resource).collect();
    // Replaced whole: a reader never meets half of it.
    let beside = path.with_extension("new");
    std::fs::write(&beside, json!(resources).to_string()).unwrap();
    std::fs::rename(beside, path).unwrap();
}

fn events(node: &Node, query: &str) -> Vec<Value> {
    let list = node.client.json(&format!("/v1/events?{query}"));
    list.map_or_else(Vec::new, |list| list["items"].as_array().unwrap().clone())
}

fn wait_event(node: &Node, kind: &str) -> Value {
    wait_for(&format!("event {kind}"), PATIENCE, || {
        events(node, &format!("kind={kind}")).into_iter().next()
    })
}

/// Subscriptions of both formats carry the event.
fn assert_streamed(node: &Node, held: &Value) {
    for format in ["ndjson", "records"] {
        let path = format!("/v1/subscribe?from=oldest&format={format}&include=events");
        let lines: Vec<String> = node.client.lines_up_to_pause(&path).take(200).collect();
        let line = lines
            .iter()
            .find(|line| line.contains("\"discovery_held\""));
        let line: Value = serde_json::from_str(line.expect("the event in the stream")).unwrap();
        assert_eq!(
            (&line["type"], &line["text"]),
            (&json!("event"), &held["text"])
        );
        assert_eq!(line["seq"], held["seq"]);
    }
}

#[test]
fn a_held_discovery_is_an_event_in_list_stream_and_command_line_and_outlives_a_restart() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("resources.json");
    write_resources(&file, 40);
    let discovery = format!(
        "[[discovery]]\nname = \"cmdb\"\nkind = \"json\"\npath = {file:?}\nevery = \"1s\"\n\n"
    );
    let mut node = Node::start(folder.path(), &format!("{HOST}{discovery}"));
    wait_for("forty resources", PATIENCE, || {
        let status = node.client.json("/v1/status")?;
        (status["resources"].as_u64()? > 40).then_some(())
    });
    write_resources(&file, 3);
    let held = wait_event(&node, "discovery_held");
    assert_eq!(held["severity"], "warning");
    assert_eq!(held["fields"]["discovery"], "cmdb");
    assert_eq!(held["fields"]["removed"], "37");
    assert_eq!(
        (held["site"].as_str(), held["resource"].as_str()),
        (Some("dc1"), None)
    );

    let id = held["id"].as_str().unwrap();
    assert_eq!(node.client.json(&format!("/v1/events/{id}")).unwrap(), held);
    assert_eq!(node.client.get("/v1/events/1-2-3").unwrap().0, 404);
    assert_eq!(node.client.get("/v1/events?severity=fatal").unwrap().0, 400);
    assert_eq!(
        events(&node, "kind=discovery_held&severity=info"),
        [] as [Value; 0]
    );
    assert_eq!(
        events(&node, "kind=discovery_held&site=other"),
        [] as [Value; 0]
    );
    let of_switches = "kind=discovery_held&filter=resource_class%20%3D%20%22network%22";
    assert_eq!(events(&node, of_switches), [] as [Value; 0]);
    let times: Vec<i64> = events(&node, "")
        .iter()
        .map(|event| event["time_ms"].as_i64().unwrap())
        .collect();
    assert!(
        times.is_sorted() && times.len() >= 2,
        "started, held: {times:?}"
    );

    let at = node.client.url("");
    let listed = ocelli(&[
        "events",
        "list",
        "--at",
        &at,
        "--kind",
        "discovery_held",
        "-o",
        "json",
    ]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["items"][0], held);

    assert_streamed(&node, &held);
    node.running.kill();
    node.start_again();
    assert_eq!(wait_event(&node, "discovery_held"), held);
}

#[test]
fn a_copied_data_directory_takes_another_origin_and_ends_the_old_one_with_a_rollback_gap() {
    let folder = tempdir().unwrap();
    let mut node = Node::start(folder.path(), HOST);
    wait_for("three batches", PATIENCE, || {
        let ledger = Ledger::read_by(&node.client, "this-host", "load1");
        let batches = ledger.pairs.values().map(|pair| pair.batches.len());
        (batches.sum::<usize>() > 3).then_some(())
    });
    let before = node.client.json("/v1/status").unwrap()["origin"].clone();
    node.running.kill();

    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let mut command = Command::new("cp");
    command.arg("-a").arg(node.data_dir()).arg(&copy);
    assert!(command.status().unwrap().success());
    let copied = Node::start(&copy, HOST);
    let origin = copied.client.json("/v1/status").unwrap()["origin"].clone();
    assert_ne!(origin, before);
    let changed = wait_event(&copied, "origin_changed");
    assert_eq!(
        (&changed["fields"]["before"], &changed["fields"]["origin"]),
        (&before, &origin)
    );
    assert_eq!(changed["origin"], origin, "told under the new origin");

    let gap = wait_for("a gap of cause rollback", PATIENCE, || {
        let gaps = copied.client.json("/v1/gaps?cause=rollback")?;
        gaps["items"].as_array()?.first().cloned()
    });
    assert_eq!(gap["origin"], origin);
    assert_eq!(gap["plugin"], "this-host");
    let ledger = wait_for("batches of the new origin", PATIENCE, || {
        let ledger = Ledger::read_by(&copied.client, "this-host", "load1");
        let last = ledger.pairs.values().next()?.batches.last()?.slot_ms;
        (last > gap["last_slot_ms"].as_i64()? + 1_000).then_some(ledger)
    });
    let pair = ledger.pairs.values().next().unwrap();
    pair.assert_tiles();
    let before_gap = pair
        .batches
        .iter()
        .filter(|batch| batch.slot_ms < gap["slot_ms"].as_i64().unwrap());
    let last = before_gap.map(|batch| batch.slot_ms).max().unwrap();
    assert_eq!(
        gap["slot_ms"],
        last + 1_000,
        "from the old origin's last slot on"
    );
}
