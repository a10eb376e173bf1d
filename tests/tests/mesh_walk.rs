//! The README's mesh in five minutes, run as it is written there.
//!
//! Does: take the shell lines out of the README, give them free ports, run them, look at the top.
//! Does not: repeat them here. In: `README.md`. Out: nothing, or the step that failed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ocelli_tests::harness::http::Client;
use ocelli_tests::harness::process::{Running, tail};
use ocelli_tests::harness::{built_binary, free_tcp_port, free_udp_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
const HEADING: &str = "## A mesh in five minutes\n";

/// The shell blocks under the walk's heading.
fn blocks() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, walk) = readme.split_once(HEADING).expect("the README has the walk");
    let walk = walk.split("\n## ").next().unwrap();
    let blocks = walk.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// The text with the README's ports exchanged for free ones.
fn with_ports(text: &str, ports: &[(&str, u16)]) -> String {
    ports.iter().fold(text.to_owned(), |text, (shown, free)| {
        assert!(text.contains(shown), "the walk no longer uses {shown}");
        text.replace(shown, &free.to_string())
    })
}

fn shell(folder: &Path, script: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]);
    command.env("PATH", format!("{}/bin:{path}", folder.display()));
    command.current_dir(folder);
    command
}

#[test]
fn the_readme_walk_gives_three_tiers_and_this_machine_at_the_top() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    symlink(built_binary("ocelli"), folder.path().join("bin/ocelli")).unwrap();
    let blocks = blocks();
    assert_eq!(blocks.len(), 2, "one block sets up, one reads");
    let (top, region, links) = (free_tcp_port(), free_tcp_port(), free_udp_port());
    let setup = with_ports(
        &blocks[0],
        &[
            ("7701", free_udp_port()),
            ("7702", links),
            ("7781", top),
            ("7782", region),
            ("7783", free_tcp_port()),
        ],
    );
    let (setup, starts) = setup.split_once("\nocelli run").expect("the nodes start");
    let made = shell(folder.path(), setup).output().unwrap();
    let words = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{words}");

    let starts = format!("ocelli run{starts}");
    let nodes: Vec<Running> = starts
        .split('&')
        .map(str::trim)
        .filter(|start| !start.is_empty())
        .enumerate()
        // `exec`, so that the node is the process that the harness ends.
        .map(|(number, start)| {
            let command = shell(folder.path(), &format!("exec {start}"));
            Running::start(&format!("node{number}"), command, folder.path())
        })
        .collect();
    assert_eq!(nodes.len(), 3);
    let client = Client::new(top);
    wait_for("this machine at the top", PATIENCE, || {
        let values = client.json("/v1/values?limit=1")?;
        let resource = values["items"][0]["resource"].as_str()?;
        assert!(resource.starts_with("dc1/"), "{values}");
        Some(())
    });

    let reading = with_ports(
        &blocks[1],
        &[("7781", top), ("7782", region), ("7702", links)],
    );
    for line in reading.lines().filter(|line| !line.is_empty()) {
        let line = match line.starts_with("ocelli subscribe") {
            // It would go on for ever.
            true => line.replace("ocelli subscribe", "timeout 8 ocelli subscribe"),
            false => line.to_owned(),
        };
        let told = shell(folder.path(), &format!("set +e; {line}")).output();
        let told = String::from_utf8_lossy(&told.unwrap().stdout).into_owned();
        let logs: Vec<String> = nodes.iter().map(|node| tail(&node.stderr())).collect();
        assert!(
            told.contains("dc1"),
            "{line}: {told:?}\n{}",
            logs.join("\n")
        );
    }
}
