//! Gaps that no fault of a device makes: a load budget that is too small, a name that is none.
//!
//! Does: five plugins on one simulated device behind one budget, and a device without address;
//! the simulator's own counts are the witness. Does not: look at the engine's window.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::wait_for;
use ocelli_tests::tiling::{Ledger, Pair};
use serde_json::Value;
use tempfile::tempdir;

const PLUGINS: [&str; 5] = ["one", "two", "three", "four", "five"];
/// A run would take some 70 packets, so five of them some 350 in each ten seconds.
const INTERFACES: &str = "96";
const PACKETS_PER_SECOND: u32 = 20;
/// Slots of each plugin that are looked at, after the first, which has no full competition.
const SLOTS: usize = 3;
/// Samples that a packet of the last walk brings: 19 counters of 7 interfaces. Names are read first
/// and rows without a name are left out, so the packets before bring none.
const SAMPLES_PER_PACKET: f64 = 133.0;
/// Packets that a plugin may send in the slots that are looked at: its fifth of 20 a second in
/// three slots of ten seconds.
const PACKETS_ALLOTTED: f64 = 120.0;
/// What two plugins get may differ by so much of the packets that each may send.
const UNFAIR_MAX: f64 = 0.10;
const PATIENCE: Duration = Duration::from_secs(120);

/// A name that is promised to be nobody's (RFC 6761).
const NOBODY: &str = "no-such-device.invalid";
/// All records from the beginning.
const RECORDS: &str = "/v1/subscribe?from=1970-01-01T00:00:00Z&format=records&include=gaps";

/// Requests that the simulator has counted, after it wrote the file anew.
#[expect(
    clippy::disallowed_methods,
    reason = "compared with the simulator's own time"
)]
fn requests(simulator: &Simulator, counts: &Path) -> (Instant, u64) {
    // A missing file is one that was not written yet.
    let _absent = std::fs::remove_file(counts).is_err();
    simulator.running.signal(Signal::SIGUSR1);
    let written = wait_for("the simulator's counts", PATIENCE, || {
        serde_json::from_slice::<Value>(&std::fs::read(counts).ok()?).ok()
    });
    (Instant::now(), written[0]["requests"].as_u64().unwrap())
}

#[test]
fn five_plugins_share_the_budget_of_one_device_and_the_device_never_sees_more() {
    let folder = tempdir().unwrap();
    let counts = folder.path().join("counts.json");
    let more = [
        "--interfaces",
        INTERFACES,
        "--counts-out",
        counts.to_str().unwrap(),
    ];
    let simulator = Simulator::start(folder.path(), ("127.8.0.1", 1), &more);
    let resources = &simulator.resources;
    let polling = |name: &&str| {
        format!(
            "[[polling]]\nname = \"{name}\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
             every = \"10s\"\n\n"
        )
    };
    let pollings: String = PLUGINS.iter().map(polling).collect();
    let node = Node::start(
        folder.path(),
        &format!(
            "[snmp]\npackets_per_second = {PACKETS_PER_SECOND}\nin_flight = 1\n\n\
             [[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
             {pollings}\
             [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
        ),
    );
    let first = requests(&simulator, &counts);
    let mut last = first;
    let pairs = wait_for("slots of each plugin", PATIENCE, || {
        let now = requests(&simulator, &counts);
        // Any window, long or short: the rate over it, and one packet that stood at its edge.
        for (since, before) in [first, last] {
            let allowed = (now.0 - since).as_secs_f64() * f64::from(PACKETS_PER_SECOND) + 1.5;
            let seen = (now.1 - before) as f64;
            assert!(
                seen <= allowed,
                "{seen} packets where {allowed:.1} are allowed"
            );
        }
        last = now;
        let slots = slots(&node);
        let has_enough = |name: &&str| slots.get(*name).is_some_and(|slots| slots.len() > SLOTS);
        PLUGINS.iter().all(has_enough).then_some(slots)
    });
    let shares: Vec<f64> = pairs
        .values()
        .map(|slots| {
            let slots = slots.values().skip(1).take(SLOTS);
            let samples = slots.map(|slot| {
                assert_eq!(
                    slot.cause.as_deref(),
                    Some("budget"),
                    "every slot is starved: {pairs:?}"
                );
                slot.samples
            });
            samples.sum::<usize>() as f64
        })
        .collect();
    let (least, most) = (
        shares.iter().copied().fold(f64::MAX, f64::min),
        shares.iter().copied().fold(0.0, f64::max),
    );
    assert!(
        most - least <= UNFAIR_MAX * PACKETS_ALLOTTED * SAMPLES_PER_PACKET,
        "shared unfairly: {pairs:?}"
    );
    Ledger::read(&node.client, PLUGINS[0])
        .pairs
        .values()
        .for_each(Pair::assert_tiles);
}

/// What became of a slot.
#[derive(Debug, Default)]
struct Slot {
    samples: usize,
    /// Of the gap, or of what is missing from the batch.
    cause: Option<String>,
}

/// Slots by plugin and time.
fn slots(node: &Node) -> BTreeMap<String, BTreeMap<i64, Slot>> {
    let mut slots: BTreeMap<String, BTreeMap<i64, Slot>> = BTreeMap::new();
    for line in node.client.lines_up_to_pause(RECORDS) {
        let Ok(record) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let rows = record["groups"][0]["rows"].as_array();
        let values = |row: &Value| {
            ["counters", "gauges"]
                .map(|kind| row[kind].as_object().map_or(0, |values| values.len()))
        };
        let samples = rows.into_iter().flatten().flat_map(values).sum();
        let cause = ["cause", "partial_cause"]
            .iter()
            .find_map(|name| record[*name].as_str());
        let slot = Slot {
            samples,
            cause: cause.map(str::to_owned),
        };
        if let (Some(plugin), Some(slot_ms)) =
            (record["plugin"].as_str(), record["slot_ms"].as_i64())
        {
            slots
                .entry(plugin.to_owned())
                .or_default()
                .insert(slot_ms, slot);
        }
    }
    slots
}

#[test]
fn a_name_that_does_not_resolve_is_a_gap_of_its_own_cause_and_harms_nobody() {
    let folder = tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), ("127.8.1.1", 1), &["--interfaces", "2"]);
    let resources = &simulator.resources;
    let node = Node::start(
        folder.path(),
        &format!(
            "[[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
             [[discovery]]\nname = \"by-hand\"\nkind = \"static\"\n\
             [[discovery.resource]]\nendpoint = \"{NOBODY}\"\n\n\
             [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
             every = \"2s\"\n\n\
             [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
        ),
    );
    let ledger = wait_for("three slots of each", PATIENCE, || {
        let ledger = Ledger::read(&node.client, "interfaces");
        let slots = |pair: &Pair| pair.batches.len() as u64 + pair.gap_slots();
        let has_all = ledger.pairs.len() == 2 && ledger.pairs.values().all(|pair| slots(pair) >= 3);
        has_all.then_some(ledger)
    });
    for ((resource, _), pair) in &ledger.pairs {
        pair.assert_tiles();
        let causes: Vec<&str> = pair.gaps.iter().map(|gap| gap.cause.as_str()).collect();
        if resource.contains(NOBODY) {
            assert!(pair.batches.is_empty(), "{resource}");
            let is_dns = |cause: &&str| *cause == "dns" || cause.starts_with("dns/");
            assert!(causes.iter().all(is_dns), "{causes:?}");
        } else {
            assert!(causes.is_empty(), "{resource}: {causes:?}");
        }
    }
}
