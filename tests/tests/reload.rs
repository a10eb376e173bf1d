//! SIGHUP: a changed configuration is applied as a difference, a broken one changes nothing.
//!
//! Does: plugins added, removed, slowed down and filtered on a node that polls this machine or
//! simulated switches, and a community that becomes right; what was not changed misses no slot.
//! Does not: clusters.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::wait_for;
use ocelli_tests::tiling::{BatchLine, GapLine, Ledger, Pair};
use serde_json::Value;
use tempfile::tempdir;

const PATIENCE: Duration = Duration::from_secs(30);

fn plugin(name: &str) -> String {
    plugin_of(name, "1s")
}

fn plugin_of(name: &str, every: &str) -> String {
    format!("[[polling]]\nname = \"{name}\"\nkind = \"host\"\nevery = \"{every}\"\n\n")
}

/// Writes the configuration with `from` replaced by `to`, and says so to the node.
fn reload(node: &Node, from: &str, to: &str) {
    let text = std::fs::read_to_string(node.config()).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from:?}");
    std::fs::write(node.config(), text.replace(from, to)).unwrap();
    node.running.signal(Signal::SIGHUP);
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
    // As an editor leaves it for a moment.
    std::fs::write(node.config(), "").unwrap();
    node.running.signal(Signal::SIGHUP);
    wait_for("the refusal of an empty file", PATIENCE, || {
        let log = node.running.stderr();
        log.contains("is empty, maybe half written").then_some(())
    });
    let second = batches(&node, "second");
    wait_batches(&node, "first", seen + 2);
    wait_batches(&node, "second", second + 2);
}

#[test]
fn a_parked_item_stays_parked_over_a_reload_and_only_what_the_reload_breaks_refuses_it() {
    let folder = tempdir().unwrap();
    // Neither has to do with what is changed below; the second has no name to be known by.
    let parked = "[[polling]]\nname = \"never\"\nkind = \"telepathy\"\n\n\
                  [[credentials.snmp]]\nversion = \"9\"\ncommunity = { env = \"NONE\" }\n\n";
    let node = Node::start(folder.path(), &[parked, &plugin("first")].concat());
    wait_batches(&node, "first", 2);

    // A line above them moves both.
    let text = std::fs::read_to_string(node.config()).unwrap();
    let more = format!("# a comment\n{text}{}", plugin("second"));
    std::fs::write(node.config(), &more).unwrap();
    node.running.signal(Signal::SIGHUP);
    wait_batches(&node, "second", 2);

    // The same kind of mistake in another item is a new one.
    let from = plugin("second");
    let broken = from.replace("\"host\"", "\"telepathy\"");
    reload(&node, &from, &broken);
    wait_for("the refusal in the log", PATIENCE, || {
        let log = node.running.stderr();
        log.contains("configuration refused").then_some(())
    });
    let seen = batches(&node, "second");
    wait_batches(&node, "second", seen + 2);

    // Mended, all of them run.
    reload(&node, &broken, &from);
    reload(&node, "\"telepathy\"", "\"host\"\nevery = \"1s\"");
    wait_batches(&node, "never", 2);
    wait_batches(&node, "first", 2);
}

#[test]
fn a_removed_plugin_ends_without_a_gap_and_comes_back_when_it_is_named_again() {
    let folder = tempdir().unwrap();
    let config = [plugin("first"), plugin("second")].concat();
    let node = Node::start(folder.path(), &config);
    wait_batches(&node, "second", 2);
    reload(&node, &plugin("second"), "");
    let second = wait_for("the end of the second plugin", PATIENCE, || {
        let before = batches(&node, "second");
        let first = batches(&node, "first");
        wait_batches(&node, "first", first + 2);
        Some(before).filter(|before| *before == batches(&node, "second"))
    });
    let listed = node.client.json("/v1/plugins").unwrap().to_string();
    assert!(
        !listed.contains("\"second\"") && listed.contains("\"first\""),
        "{listed}"
    );

    reload(&node, &plugin("first"), &config);
    wait_for("the second plugin again", PATIENCE, || {
        let ledger = Ledger::read_by(&node.client, "second", "load1");
        let again: usize = ledger.pairs.values().map(|pair| pair.batches.len()).sum();
        (again > second + 2).then_some(())
    });
    let first = batches(&node, "first");
    assert!(first > second, "the first missed no slot");
}

/// Batches and gaps of the only pair of a plugin.
fn the_pair(node: &Node, plugin: &str) -> Pair {
    let ledger = Ledger::read_by(&node.client, plugin, "load1");
    ledger.pairs.into_values().next().unwrap_or_default()
}

#[test]
fn a_changed_interval_cuts_the_running_slot_short_and_slots_tile_on_both_sides() {
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), &plugin_of("only", "2s"));
    let of = |pair: &Pair, interval_ms: i64| -> Vec<BatchLine> {
        let batches = pair.batches.iter();
        batches
            .filter(|batch| batch.interval_ms == interval_ms)
            .cloned()
            .collect()
    };
    let wait = |interval_ms: i64, count: usize| {
        wait_for("batches of the interval", PATIENCE, || {
            let pair = the_pair(&node, "only");
            (of(&pair, interval_ms).len() >= count).then_some(pair)
        })
    };
    wait(2_000, 2);
    for (from, to, interval_ms) in [("2s", "1s", 1_000), ("1s", "3s", 3_000)] {
        reload(&node, &plugin_of("only", from), &plugin_of("only", to));
        wait(interval_ms, 2);
    }
    let pair = the_pair(&node, "only");
    let regimes = [2_000, 1_000, 3_000].map(|interval_ms| (interval_ms, of(&pair, interval_ms)));
    assert!(pair.gaps.is_empty(), "{:?}", pair.gaps);
    for (interval_ms, batches) in &regimes {
        let steps = batches
            .windows(2)
            .map(|two| two[1].slot_ms - two[0].slot_ms);
        steps.for_each(|step| assert_eq!(step, *interval_ms));
    }
    for two in regimes.windows(2) {
        let ((old_ms, old), (new_ms, new)) = (&two[0], &two[1]);
        let (last, first) = (old.last().unwrap().slot_ms, new.first().unwrap().slot_ms);
        // The new grid begins within one new interval of the change, which is within the old slot.
        assert!(
            first > last,
            "no slot of the old grid comes after the change: {regimes:?}"
        );
        assert!(
            first - last < old_ms + new_ms,
            "nothing lies between: {regimes:?}"
        );
    }
}

/// The first record of the plugin, live, whose rows of the group `cpu` have this tag.
fn first_tagged(node: &Node, team: &str) -> Value {
    let path = "/v1/subscribe?format=records&group=cpu&metric=user&from=1970-01-01T00:00:00Z";
    let records = node.client.stream(path).map(|line| {
        let line = line.expect("the stream goes on");
        serde_json::from_str::<Value>(&line).expect("each line is JSON")
    });
    let mut batches = records.filter(|record| record["type"] == "batch");
    let has_tag = |record: &Value| {
        let dimensions = record.pointer("/groups/0/rows/0/dimensions/team");
        dimensions.is_some_and(|given| given == team)
    };
    batches.find(has_tag).expect("an endless stream")
}

#[test]
fn tags_are_dimensions_for_readers_and_an_edited_tag_goes_on_in_the_same_series() {
    let folder = tempdir().unwrap();
    let tags = |team: &str| format!("tags = {{ team = \"{team}\" }}");
    let config = format!("{}{}\n", plugin("only").trim_end(), "\n").replace("\n\n", "\n");
    let node = Node::start(folder.path(), &format!("{config}{}\n", tags("core")));
    first_tagged(&node, "core");
    let (_, exposed) = node.client.get("/v1/metrics?group=cpu").unwrap();
    assert!(exposed.contains("team=\"core\""), "{exposed}");
    wait_batches(&node, "only", 2);

    reload(&node, &tags("core"), &tags("edge"));
    let record = first_tagged(&node, "edge");
    let verdict = record.pointer("/groups/0/rows/0/counters/user/verdict");
    assert_eq!(verdict, Some(&Value::from("rate")), "{record}");
    batches(&node, "only");
    let mut groups = node.client.stream("/v1/subscribe?group=cpu&from=latest");
    let group: Value = serde_json::from_str(&groups.next().unwrap().unwrap()).unwrap();
    let dimensions = group["dimensions"].as_array().unwrap();
    let tag = serde_json::json!({ "dimension_name": "team", "dimension_value": "edge" });
    assert!(dimensions.contains(&tag), "{group}");

    // A tag that is a dimension is refused before it is in force.
    reload(&node, &tags("edge"), "tags = { mount = \"x\" }");
    wait_for("the reason in the log", PATIENCE, || {
        node.running
            .stderr()
            .contains("is a dimension of group")
            .then_some(())
    });
}

fn switches(folder: &Path, agents: usize) -> Simulator {
    Simulator::start(folder, ("127.12.0.1", agents), &["--interfaces", "2"])
}

fn polled(simulator: &Simulator, filter: &str, community: &str) -> String {
    let resources = &simulator.resources;
    format!(
        "[snmp]\ntimeout = \"200ms\"\nretries = 0\n\n\
         [[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"1s\"\n{filter}\n\
         [[credentials.snmp]]\nversion = \"2c\"\n{community}\n"
    )
}

fn community(text: &str) -> String {
    format!("community = {{ value = \"{text}\" }}")
}

#[test]
fn a_changed_filter_ends_the_pairs_that_it_leaves_out_and_no_others() {
    let folder = tempdir().unwrap();
    let simulator = switches(folder.path(), 2);
    let node = Node::start(
        folder.path(),
        &polled(&simulator, "# all", &community("public")),
    );
    let batches_of = |ending: &str| {
        let ledger = Ledger::read(&node.client, "interfaces");
        let pair = ledger.pairs.iter().find(|(key, _)| key.0.ends_with(ending));
        pair.map_or(0, |(_, pair)| {
            pair.assert_tiles();
            assert!(pair.gaps.is_empty(), "{ending}: {:?}", pair.gaps);
            pair.batches.len()
        })
    };
    let wait_for_more = |ending: &str, than: usize| {
        wait_for("batches", PATIENCE, || {
            Some(batches_of(ending)).filter(|seen| *seen > than)
        })
    };
    wait_for_more("00002", 1);
    reload(&node, "# all", "filter = 'resource_id LIKE \"%1\"'");
    wait_for("the end of the second resource", PATIENCE, || {
        let before = batches_of("00002");
        wait_for_more("00001", batches_of("00001") + 2);
        (batches_of("00002") == before).then_some(())
    });
}

#[test]
fn a_community_that_becomes_right_ends_the_gap_without_a_restart() {
    let folder = tempdir().unwrap();
    let simulator = switches(folder.path(), 1);
    let node = Node::start(folder.path(), &polled(&simulator, "", &community("wrong")));
    let read = || {
        let ledger = Ledger::read(&node.client, "interfaces");
        ledger.pairs.into_values().next().unwrap_or_default()
    };
    let wait = |what: &str, is_there: fn(&Pair) -> bool| {
        wait_for(what, PATIENCE, || Some(read()).filter(is_there))
    };
    let gap_slots = |pair: &Pair| pair.gap_slots();
    let pair = wait("gaps", |pair| pair.gap_slots() > 1);
    assert!(pair.batches.is_empty(), "{:?}", pair.batches);
    reload(&node, &community("wrong"), &community("public"));
    let pair = wait("batches", |pair| pair.batches.len() > 2);
    pair.assert_tiles();
    let is_silence =
        |gap: &GapLine| gap.cause.starts_with("timeout") || gap.cause.starts_with("auth");
    assert!(pair.gaps.iter().all(is_silence), "{:?}", pair.gaps);

    reload(&node, &community("public"), &community("wrong again"));
    let before = gap_slots(&read());
    wait_for("gaps again", PATIENCE, || {
        (gap_slots(&read()) > before + 1).then_some(())
    });
    read().assert_tiles();
}
