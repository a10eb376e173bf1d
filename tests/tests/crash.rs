//! `kill -9` under load: no acknowledged batch is lost, none is stored twice, slots tile.
//!
//! Does: 20 rounds (100 with `--full`) against a real node that polls simulated switches; what a
//! subscriber saw (it sees only what is durable) must be there after each restart, once.
//! Does not: cut the power; the bus's own tests do that below the file system.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::{is_full, say, wait_for};
use ocelli_tests::tiling::Ledger;
use tempfile::tempdir;

const AGENTS: usize = 50;
/// Few, so that reading everything back twenty times stays quick; records count, not their size.
const INTERFACES: usize = 4;
const ROUNDS: usize = 20;
const ROUNDS_FULL: usize = 100;

#[test]
fn twenty_kills_under_load_lose_nothing_that_was_seen_and_slots_tile() {
    let folder = tempdir().unwrap();
    let few = ["--interfaces", &INTERFACES.to_string()];
    let simulator = Simulator::start(folder.path(), ("127.3.0.1", AGENTS), &few);
    let resources = &simulator.resources;
    let mut node = Node::start(
        folder.path(),
        &format!(
            "[[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
             [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
             every = \"1s\"\n\n\
             [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
        ),
    );
    let rounds = if is_full() { ROUNDS_FULL } else { ROUNDS };
    let mut acknowledged: BTreeMap<(String, u64), u32> = BTreeMap::new();
    for round in 0..rounds {
        // New batches of this life, then the kill at whatever point the node has come to.
        let known = acknowledged.len();
        acknowledged = wait_for("new batches", Duration::from_secs(60), || {
            let ledger = Ledger::read(&node.client, "interfaces");
            (ledger.seqs.len() > known + AGENTS / 2).then_some(ledger.seqs)
        });
        node.running.kill();
        node.start_again();
        let after = Ledger::read(&node.client, "interfaces");
        let lost: Vec<_> = acknowledged
            .keys()
            .filter(|key| !after.seqs.contains_key(*key))
            .collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        let twice: Vec<_> = after.seqs.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "round {round}: stored twice {twice:?}");
    }
    // Some lives were shorter than a slot: let each pair come to its turn once more.
    let ledger = wait_for("every pair", Duration::from_secs(60), || {
        let ledger = Ledger::read(&node.client, "interfaces");
        let with_batch = ledger
            .pairs
            .values()
            .filter(|pair| !pair.batches.is_empty());
        (with_batch.count() == AGENTS).then_some(ledger)
    });
    ledger.pairs.values().for_each(|pair| pair.assert_tiles());
    say(&format!(
        "{rounds} kills, {} records, none lost, none twice",
        ledger.seqs.len()
    ));
}
