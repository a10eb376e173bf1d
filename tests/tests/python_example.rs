//! `examples/subscribe.py` against a real node: it prints groups, and goes on by its cursor.
//!
//! Does: run the example as its header says. Skips visibly where there is no python3.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use ocelli_tests::harness::node::Node;
use serde_json::Value;
use tempfile::tempdir;

const HOST: &str = "[[polling]]\nname = \"host\"\nkind = \"host\"\nevery = \"1s\"\n";

fn has_python() -> bool {
    let version = Command::new("python3").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

fn subscribe(url: &str, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/subscribe.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(url).args(arguments);
    command.output().unwrap()
}

/// Each group with its time.
fn groups(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    // Gaps say their type, groups do not.
    let groups = lines.filter(|line: &Value| line.get("type").is_none());
    let named = groups.map(|group| {
        let time = &group["metrics_group_creation_timestamp"];
        format!("{} at {time}", group["metrics_group_type"])
    });
    named.collect()
}

#[test]
fn the_python_example_prints_groups_and_goes_on_where_its_cursor_stands() {
    if !has_python() {
        eprintln!("SKIPPED: no python3 on this machine");
        return;
    }
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), HOST);
    let url = node.client.url("");
    let cursor = folder.path().join("cursor");
    let cursor_file = cursor.to_str().unwrap();
    let arguments = [
        "--from",
        "oldest",
        "--count",
        "1",
        "--cursor-file",
        cursor_file,
    ];
    let first = groups(&subscribe(&url, &arguments));
    assert!(!first.is_empty());
    let kept = std::fs::read_to_string(&cursor).unwrap();
    assert!(kept.starts_with("1~"), "{kept}");
    let second = groups(&subscribe(&url, &arguments));
    assert!(!second.is_empty());
    let repeated: Vec<_> = second.iter().filter(|one| first.contains(one)).collect();
    assert!(repeated.is_empty(), "came twice: {repeated:?}");
    assert_ne!(std::fs::read_to_string(&cursor).unwrap(), kept);

    let refused = subscribe(&url, &["--filter", "colour = \"red\""]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("refused, 400"), "{said}");
}
