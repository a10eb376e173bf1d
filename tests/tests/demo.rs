//! `ocelli demo`: the README's first screen, as a script sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use ocelli_tests::harness::built_binary;
use serde_json::Value;

/// Runs a demo to its end: the object that it prints.
fn demo(arguments: &[&str]) -> Value {
    let mut command = Command::new(built_binary("ocelli"));
    command.arg("demo").args(arguments).args(["-o", "json"]);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("stdout is one object");
    let count = |name: &str| {
        let number = summary[name].as_u64();
        number.unwrap_or_else(|| panic!("{name}: {summary}"))
    };
    assert!(count("rates") > 0 && count("samples") > count("rates"));
    assert!(count("batches") >= count("resources"), "{summary}");
    assert_eq!(count("duplicates"), 0, "{summary}");
    assert!(summary["gaps"].is_object() && summary["lag_ms"]["p99"].is_number());
    assert!(count("first_rate_ms") <= 10_000, "{summary}");
    summary
}

#[test]
fn the_demo_shows_rates_of_two_sites_at_the_global_and_the_lag_of_each_hop() {
    let summary = demo(&["--for", "14s"]);
    assert_eq!(summary["nodes"], 4);
    assert_eq!(summary["resources"], 10, "{summary}");
    let hops = summary["hops"].as_array().unwrap();
    let ends: Vec<&str> = hops.iter().filter_map(|hop| hop["to"].as_str()).collect();
    assert_eq!(ends, ["site", "region", "global"]);
    for hop in hops {
        assert!(hop["lag_ms"]["p99"].is_number(), "{summary}");
    }
}

#[test]
fn one_node_is_a_demo_too() {
    let summary = demo(&["--nodes", "1", "--for", "8s"]);
    assert_eq!(summary["nodes"], 1);
    assert!(summary["resources"].as_u64() >= Some(2), "{summary}");
}

#[test]
fn the_story_of_a_cut_link_ends_with_all_records_at_the_global() {
    let summary = demo(&["--story"]);
    let story = &summary["story"];
    assert_eq!(story["is_told"], true, "{summary}");
    assert!(story["batches_during_outage"].as_u64() > Some(0), "{story}");
    assert!(story["waiting"].as_u64() > Some(0), "{story}");
    assert!(story["link_back_ms"].is_number(), "{story}");
    assert!(story["live_back_ms"].is_number(), "{story}");
    assert_eq!(story["lost"], 0, "{story}");
    assert_eq!(story["is_whole"], true, "{story}");
    // Idle limit (3.5 s), begun anew by a keep-alive (1 s) that was sent into the cut: 4.5 s. What
    // is above is for a machine on which three demos start at once.
    for end in ["site", "region"] {
        let seen = story["down_seen_ms"][end].as_u64();
        assert!(seen.is_some_and(|ms| ms <= 6_000), "{end}: {story}");
    }
}
