//! SIGHUP: a changed configuration is applied as a difference, a broken one changes nothing.
//!
//! Does: a node that polls this machine; what was not changed misses no slot. Does not: clusters.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use nix::sys::signal::Signal;
use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::wait_for;
use ocelli_tests::tiling::Ledger;
use tempfile::tempdir;

const PATIENCE: Duration = Duration::from_secs(30);

fn plugin(name: &str) -> String {
    format!("[[polling]]\nname = \"{name}\"\nkind = \"host\"\nevery = \"1s\"\n\n")
}

/// Batches of a plugin so far; its slots must tile without a gap.
fn batches(node: &Node, plugin: &str) -> usize {
    let ledger = Ledger::read_by(&node.client, plugin, "load1");
    ledger.pairs.values().for_each(|pair| {
        pair.assert_tiles();
        assert!(pair.gaps.is_empty(), "{plugin}: {:?}", pair.gaps);
    });
    ledger.pairs.values().map(|pair| pair.batches.len()).sum()
}

fn wait_batches(node: &Node, plugin: &str, more_than: usize) -> usize {
    wait_for("batches", PATIENCE, || {
        Some(batches(node, plugin)).filter(|seen| *seen > more_than)
    })
}

#[test]
fn a_reload_adds_a_plugin_and_a_broken_file_changes_nothing() {
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), &plugin("first"));
    let good = std::fs::read_to_string(node.config()).unwrap();
    let seen = wait_batches(&node, "first", 2);

    std::fs::write(node.config(), format!("{good}{}", plugin("second"))).unwrap();
    node.running.signal(Signal::SIGHUP);
    wait_batches(&node, "second", 2);
    let seen = wait_batches(&node, "first", seen);

    std::fs::write(node.config(), format!("{good}[[polling\nname = ")).unwrap();
    node.running.signal(Signal::SIGHUP);
    wait_for("the refusal in the log", PATIENCE, || {
        node.running.stderr().contains("ocelli.toml:").then_some(())
    });
    let second = batches(&node, "second");
    wait_batches(&node, "first", seen + 2);
    wait_batches(&node, "second", second + 2);
}
