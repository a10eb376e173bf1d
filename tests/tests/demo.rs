//! `ocelli demo`: the README's first screen, as a script sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use ocelli_tests::harness::built_binary;
use serde_json::Value;

#[test]
fn the_demo_shows_rates_and_ends_with_a_summary() {
    let mut command = Command::new(built_binary("ocelli"));
    let output = command
        .args(["demo", "--for", "12s", "-o", "json"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let summary: Value = serde_json::from_str(stdout.trim()).expect("stdout is one object");
    let count = |name: &str| {
        summary[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {stdout}"))
    };
    assert_eq!(count("nodes"), 1);
    assert!(count("resources") >= 2, "{stdout}");
    assert!(
        count("rates") > 0 && count("samples") > count("rates"),
        "{stdout}"
    );
    assert!(count("batches") >= count("resources"), "{stdout}");
    assert_eq!(count("duplicates"), 0, "{stdout}");
    assert!(
        summary["gaps"].is_object() && summary["lag_ms"]["p99"].is_number(),
        "{stdout}"
    );
}
