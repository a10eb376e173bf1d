//! The client crate against real nodes: nothing is lost over `kill -9` of the node that serves.
//!
//! Does: run `examples/follow` as a program while its node dies twice. Does not: look into batches,
//! read over a link (`reading_link`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::process::{Running, tail};
use ocelli_tests::harness::{built_binary, wait_for};
use ocelli_tests::record_lines::RecordLines;
use tempfile::tempdir;

const HOST: &str = "[[polling]]\nname = \"host\"\nkind = \"host\"\nevery = \"1s\"\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// (origin, seq) of each record line that the example printed, in order.
fn printed(follower: &Running) -> Vec<(String, u64)> {
    let text = follower.stdout();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let records = whole.lines().filter(|line| !line.starts_with("cursor "));
    let key = |line: &str| {
        let mut parts = line.split(' ');
        let origin = parts.next().unwrap().to_owned();
        (origin, parts.next().unwrap().parse().unwrap())
    };
    records.map(key).collect()
}

#[test]
fn the_example_loses_nothing_and_repeats_nothing_while_its_node_is_killed_twice() {
    let folder = tempdir().unwrap();
    let mut node = Node::start(folder.path(), HOST);
    let mut command = Command::new(built_binary("examples/follow"));
    command.args([&node.client.url(""), "oldest"]);
    let mut follower = Running::start("follow", command, folder.path());
    let mut wait_for_more = |count: usize| {
        let before = printed(&follower).len();
        wait_for("more records at the follower", PATIENCE, || {
            assert!(!follower.has_ended(), "{}", tail(&follower.stderr()));
            (printed(&follower).len() >= before + count).then_some(())
        });
    };
    wait_for_more(3);
    for _ in 0..2 {
        node.running.kill();
        node.start_again();
        wait_for_more(3);
    }
    let held = RecordLines::read(&node.client).contents();
    let newest = held.keys().map(|(_, seq)| *seq).max().unwrap();
    wait_for("the follower to have all that is held", PATIENCE, || {
        let has_newest = printed(&follower).iter().any(|(_, seq)| *seq >= newest);
        has_newest.then_some(())
    });
    follower.kill();
    let found = printed(&follower);
    let distinct: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(distinct.len(), found.len(), "something came twice");
    let lost: Vec<_> = held.keys().filter(|key| !distinct.contains(*key)).collect();
    assert!(lost.is_empty(), "{lost:?} of {} never came", held.len());
    let said = follower.stderr();
    assert!(said.contains("connection 3"), "it dialled again: {said}");
}
