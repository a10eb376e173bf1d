//! Bad devices beside good ones, at the level of a node: each harms itself only.
//!
//! Does: twenty simulated switches of which eight misbehave in their own way; the others' slots are
//! all batches, those of the bad tile with batches or gaps that name the cause.
//! Does not: look at the engine's own handling of each fault (its tests do).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::wait_for;
use ocelli_tests::tiling::{Ledger, Pair};
use tempfile::tempdir;

const AGENTS: usize = 20;
const FAULTS: &[&str] = &[
    "silence:agents=2",
    "garbage:agents=3",
    "stuck:agents=4",
    "endless:agents=5",
    "foreign-id:agents=6",
    "wrong-source:agents=7",
    "toobig=5:agents=8",
    "loss=0.2:agents=9",
];
/// Agents without a fault.
const HEALTHY: [usize; 12] = [1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

/// The pair of agent `number`, counted from 1.
fn of_agent(ledger: &Ledger, number: usize) -> Option<&Pair> {
    let ending = format!("{number:05}");
    ledger
        .pairs
        .iter()
        .find(|(key, _)| key.0.ends_with(&ending))
        .map(|(_, pair)| pair)
}

#[test]
fn eight_bad_devices_disturb_none_of_the_twelve_good_ones() {
    let folder = tempdir().unwrap();
    let mut more = vec!["--interfaces", "8"];
    more.extend(FAULTS.iter().flat_map(|fault| ["--fault", fault]));
    let simulator = Simulator::start(folder.path(), ("127.5.0.1", AGENTS), &more);
    let resources = &simulator.resources;
    let node = Node::start(
        folder.path(),
        &format!(
            "[snmp]\ntimeout = \"300ms\"\nretries = 1\n\n\
             [[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
             [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
             every = \"2s\"\n\n\
             [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
        ),
    );
    let ledger = wait_for("six slots of each agent", Duration::from_secs(60), || {
        let ledger = Ledger::read(&node.client, "interfaces");
        let slots = |pair: &Pair| pair.batches.len() as u64 + pair.gap_slots();
        let has_all = (1..=AGENTS)
            .all(|number| of_agent(&ledger, number).is_some_and(|pair| slots(pair) >= 6));
        has_all.then_some(ledger)
    });
    ledger.pairs.values().for_each(Pair::assert_tiles);
    for number in HEALTHY {
        let pair = of_agent(&ledger, number).unwrap();
        assert!(pair.gaps.is_empty(), "agent {number}: {:?}", pair.gaps);
    }
    let check = |number: usize, expected: &str| {
        let pair = of_agent(&ledger, number).unwrap();
        assert!(
            pair.batches.is_empty(),
            "agent {number} answered nothing that counts"
        );
        let is_expected = |cause: &String| cause.starts_with(expected);
        let causes: Vec<&String> = pair.gaps.iter().map(|gap| &gap.cause).collect();
        assert!(
            causes.iter().all(|cause| is_expected(cause)),
            "agent {number}: {causes:?}"
        );
    };
    check(2, "timeout");
    check(6, "timeout");
    check(7, "timeout");
    let foreign = of_agent(&ledger, 7).unwrap();
    let names_source = foreign.gaps.iter().any(|gap| gap.cause.contains("127."));
    assert!(
        names_source,
        "the gap says where the reply came from: {:?}",
        foreign.gaps
    );
}
