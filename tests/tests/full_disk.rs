//! A disk that fills under a running node, and space that returns.
//!
//! Does: a data directory on a small file system in memory; what is polled meanwhile is shown as
//! volatile to who watches, told in the status and as events, and stands as gaps afterwards.
//! Does not: run without the right to mount (it says so).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::{say, wait_for};
use ocelli_tests::tiling::Ledger;
use serde_json::Value;
use tempfile::tempdir;

const AGENTS: usize = 40;
/// Enough to fill two segments of a MiB within a minute.
const INTERFACES: usize = 24;
/// The bus leaves 64 MiB to other files, so 66 are needed for a segment.
const DISK_MIB: usize = 100;
const BALLAST_MIB: usize = 50;
const PATIENCE: Duration = Duration::from_secs(240);

/// A small file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={DISK_MIB}m,mode=0700");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &size, "ocelli-test"])
            .arg(at);
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy: the node may still hold files of it when a test fails.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

fn configuration(simulator: &Simulator) -> String {
    let resources = &simulator.resources;
    format!(
        "[bus]\nsegment_bytes = \"1MiB\"\n\n\
         [[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"1s\"\n\n\
         [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
    )
}

fn disk_of(node: &Node) -> Option<String> {
    let status = node.client.json("/v1/status")?;
    Some(status["bus"]["disk"].as_str()?.to_owned())
}

/// The first volatile line that a new subscriber gets.
fn wait_volatile(node: &Node) -> Value {
    let mut lines = node
        .client
        .stream("/v1/subscribe?from=now&format=records&metric=bits_in");
    let line = lines.find_map(|line| {
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (record["volatile"] == true).then_some(record)
    });
    line.unwrap()
}

fn wait_event(node: &Node, kind: &str) -> Value {
    wait_for(&format!("event {kind}"), PATIENCE, || {
        let list = node.client.json(&format!("/v1/events?kind={kind}"))?;
        list["items"].as_array()?.first().cloned()
    })
}

#[test]
fn a_full_disk_shows_volatile_batches_and_leaves_gaps_that_tile() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(_disk) = SmallDisk::mount(&data) else {
        return say("SKIPPED: no right to mount a file system; run it as root");
    };
    let size = ["--interfaces", &INTERFACES.to_string()];
    let simulator = Simulator::start(folder.path(), ("127.4.0.1", AGENTS), &size);
    let mut node = Node::start(folder.path(), &configuration(&simulator));
    wait_for("batches", PATIENCE, || {
        let ledger = Ledger::read(&node.client, "interfaces");
        (ledger.pairs.len() == AGENTS).then_some(())
    });
    let ballast = data.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_MIB << 20]).unwrap();
    wait_for("a full disk", PATIENCE, || {
        disk_of(&node).filter(|disk| disk == "full")
    });
    let shown = wait_volatile(&node);
    assert!(
        shown["type"] == "batch" && shown.get("seq").is_none(),
        "{shown}"
    );
    assert_eq!(
        node.client.get("/readyz").unwrap().0,
        503,
        "it says that it cannot keep data"
    );

    std::fs::remove_file(&ballast).unwrap();
    wait_for("space", PATIENCE, || {
        disk_of(&node).filter(|disk| disk != "full")
    });
    let (full, returned) = (
        wait_event(&node, "disk_full"),
        wait_event(&node, "disk_returned"),
    );
    assert!(
        full["time_ms"].as_i64() < returned["time_ms"].as_i64(),
        "{full} {returned}"
    );
    let slot_ms = shown["slot_ms"].as_i64().unwrap();
    let ledger = wait_for("batches after the gaps", PATIENCE, || {
        let ledger = Ledger::read(&node.client, "interfaces");
        let goes_on = ledger.pairs.values().all(|pair| {
            let batch = pair.batches.last();
            batch.is_some_and(|batch| batch.slot_ms > slot_ms + 5_000)
        });
        goes_on.then_some(ledger)
    });
    ledger.pairs.values().for_each(|pair| pair.assert_tiles());
    let key = (
        shown["resource"].as_str().unwrap().to_owned(),
        "interfaces".to_owned(),
    );
    let gaps = &ledger.pairs[&key].gaps;
    let covers = |gap: &&ocelli_tests::tiling::GapLine| {
        gap.cause == "disk_full" && (gap.first_ms..=gap.last_ms).contains(&slot_ms)
    };
    assert!(
        gaps.iter().any(|gap| covers(&gap)),
        "the volatile slot is a gap: {gaps:?}"
    );
    assert_eq!(node.drain(), Some(0));
}
