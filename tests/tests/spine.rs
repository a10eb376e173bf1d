//! The spine: a real device, a node, the durable bus, a subscriber.
//!
//! Does: snmpd and this machine polled by one `ocelli run`; an outage with its gaps and causes; a
//! planned restart. Does not: simulate anything. All reading goes by the contract for scripts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::snmpd::{COMMUNITY, Snmpd};
use ocelli_tests::harness::wait_for;
use ocelli_tests::tiling::{Ledger, Pair};
use serde_json::Value;
use tempfile::tempdir;

const PATIENCE: Duration = Duration::from_secs(60);

fn config(agent: &Snmpd) -> String {
    let (host, port) = agent
        .address()
        .split_once(':')
        .map(|(h, p)| (h.to_owned(), p.to_owned()))
        .unwrap();
    format!(
        "[snmp]\ntimeout = \"500ms\"\nretries = 1\n\n\
         [[discovery]]\nname = \"by-hand\"\nkind = \"static\"\n\
         [[discovery.resource]]\nendpoint = \"{host}:{port}\"\n\n\
         [[enrichment]]\nname = \"interfaces\"\nkind = \"snmp\"\nevery = \"5m\"\n\
         filter = 'resource_class = \"network\"'\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"2s\"\nfilter = 'resource_class = \"network\"'\n\n\
         [[polling]]\nname = \"this-host\"\nkind = \"host\"\nevery = \"2s\"\n\n\
         [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"{COMMUNITY}\" }}\n"
    )
}

/// Records from the beginning of the bus on, as the ledger keeps them.
fn ledger(node: &Node) -> Ledger {
    Ledger::read(&node.client, "interfaces")
}

fn interfaces(ledger: &Ledger) -> Option<&Pair> {
    ledger
        .pairs
        .iter()
        .find(|(key, _)| key.1 == "interfaces")
        .map(|(_, pair)| pair)
}

#[test]
fn a_subscriber_sees_rates_of_a_device_and_of_this_machine() {
    let folder = tempdir().unwrap();
    let agent = Snmpd::start(folder.path());
    let node = Node::start(folder.path(), &config(&agent));
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    for line in node.client.stream("/v1/subscribe?from=now&format=ndjson") {
        let group: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let kind = group["metrics_group_type"].as_str().unwrap().to_owned();
        let metrics = group["metrics"].as_array().unwrap();
        let has_rate = metrics
            .iter()
            .any(|metric| metric["metric_name"] == "bits_in" && metric["metric_type"] == "gauge");
        if kind != "interface" || has_rate {
            seen.insert(kind, group);
        }
        if seen.contains_key("interface") && seen.contains_key("load") {
            break;
        }
    }
    let interface = &seen["interface"];
    assert_eq!(interface["metrics_group_schema_version"], "0.2");
    assert_eq!(interface["resource"]["resource_site"], "dc1");
    let names: Vec<&str> = interface["dimensions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dimension| dimension["dimension_name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"interface_name") && names.contains(&"media_type"),
        "{names:?}"
    );
}

#[test]
fn an_outage_shows_as_gaps_with_their_cause_and_then_as_data_without_a_false_rate() {
    let folder = tempdir().unwrap();
    let mut agent = Snmpd::start(folder.path());
    let node = Node::start(folder.path(), &config(&agent));
    let batches_after = |count: usize| {
        wait_for("batches of the device", PATIENCE, || {
            let ledger = ledger(&node);
            let batches = interfaces(&ledger)?.batches.len();
            (batches >= count).then_some(batches)
        })
    };
    let before = batches_after(3);
    agent.stop();
    wait_for("gaps of the device", PATIENCE, || {
        let ledger = ledger(&node);
        (interfaces(&ledger)?.gap_slots() >= 2).then_some(())
    });
    agent.start_again();
    batches_after(before + 3);

    let ledger = ledger(&node);
    let pair = interfaces(&ledger).unwrap();
    pair.assert_tiles();
    let causes: Vec<&str> = pair.gaps.iter().map(|gap| gap.cause.as_str()).collect();
    let is_network =
        |cause: &&str| cause.starts_with("timeout") || cause.starts_with("unreachable");
    assert!(causes.iter().any(is_network), "{causes:?}");
    // The restarted agent's uptime went back: whatever its counters say, the first slot has none.
    let first_back = pair
        .batches
        .iter()
        .find(|batch| batch.slot_ms > pair.gaps[0].last_ms)
        .unwrap();
    assert!(
        !first_back.verdicts.contains("rate"),
        "{:?}",
        first_back.verdicts
    );
    let last = pair.batches.last().unwrap();
    assert!(last.verdicts.contains("rate"), "{:?}", last.verdicts);
}

#[test]
fn a_planned_restart_costs_at_most_one_slot_and_goes_on_with_rates() {
    let folder = tempdir().unwrap();
    let agent = Snmpd::start(folder.path());
    let mut node = Node::start(folder.path(), &config(&agent));
    wait_for("batches", PATIENCE, || {
        (interfaces(&ledger(&node))?.batches.len() >= 3).then_some(())
    });
    assert_eq!(node.drain(), Some(0), "{}", node.running.stderr());
    let before = wait_restart(&mut node);
    let ledger = ledger(&node);
    let pair = interfaces(&ledger).unwrap();
    pair.assert_tiles();
    let first = pair
        .batches
        .iter()
        .find(|batch| batch.slot_ms > before)
        .unwrap();
    assert!(!first.verdicts.contains("first"), "{:?}", first.verdicts);
    assert!(first.verdicts.contains("rate"), "{:?}", first.verdicts);
    let restart: u64 = pair
        .gaps
        .iter()
        .filter(|gap| gap.cause.starts_with("restart"))
        .map(|gap| gap.slots)
        .sum();
    assert!(restart <= 1, "{restart} slots lost: {:?}", pair.gaps);
}

/// Starts the drained node again; the last slot before, once a later one is there.
fn wait_restart(node: &mut Node) -> i64 {
    node.start_again();
    let before = ledger(node);
    let last = interfaces(&before).unwrap().batches.last().unwrap().slot_ms;
    wait_for("a batch of the new life", PATIENCE, || {
        let newest = interfaces(&ledger(node))?.batches.last()?.slot_ms;
        (newest > last).then_some(())
    });
    last
}
