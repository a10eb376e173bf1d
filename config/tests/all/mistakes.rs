//! Each mistake in a configuration: its place, its reason, its remedy.

use ocelli_config::sections::discovery::DiscoveryConfig;
use ocelli_config::{Invalid, LoadOptions, Problem, load};

use crate::{OPTIONS, sources_of};

/// Every finding of `text`, as a strict start tells them.
fn findings(text: &str) -> Vec<Problem> {
    let options = LoadOptions {
        is_strict: true,
        ..OPTIONS
    };
    match load(sources_of(&[text]), options) {
        Ok(_) => Vec::new(),
        Err(Invalid { problems }) => problems,
    }
}

/// A text, then line, column and parts of reason and remedy of its first finding.
fn check(text: &str, line: usize, column: usize, parts: &[&str]) {
    let all = findings(text);
    let first = all.first().unwrap_or_else(|| panic!("accepted: {text}"));
    let shown = first.to_string();
    assert_eq!(
        (first.place.line, first.place.column),
        (line, column),
        "{text}\n{shown}"
    );
    for part in parts {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
}

#[test]
fn mistakes_in_section_names_and_the_node_are_placed() {
    check(
        "[nod]\nsite = 1",
        1,
        2,
        &["unknown section \"nod\"", "did you mean \"node\"?"],
    );
    check("[sink]", 1, 2, &["not in this version"]);
    check(
        "[zzzzzzzzzzzzzz]",
        1,
        2,
        &["the sections are: node, listen"],
    );
    check(
        "[node]\nsit = \"a\"",
        2,
        1,
        &["unknown key \"sit\"", "did you mean \"site\"?", "^^^"],
    );
    check(
        "[node]\nxxxxxxxx = 1",
        2,
        1,
        &["the keys of [node] are: site, name"],
    );
    check("[node]\nrole = \"m\"", 2, 1, &["not in this version"]);
    check(
        "[node]\nsite = 1",
        2,
        8,
        &["expected a name, found an integer", "in quotes"],
    );
    check(
        "[node]\nsite = \"\"",
        2,
        8,
        &["not a name", "1 to 128 bytes"],
    );
    check(
        "[node]\ntier = \"sit\"",
        2,
        8,
        &["give \"site\" or \"region\" or \"global\""],
    );
    check("[node]\ndata_dir = \"\"", 2, 12, &["not a path"]);
    check("[node]\nmemory_max = \"1MB\"", 2, 14, &["1MB", "1MiB"]);
    check(
        "[node]\nmemory_max = \"1MiB\"",
        2,
        14,
        &["too small", "at least 64MiB"],
    );
    check("[node]\nmemory_max = -1", 2, 14, &["negative"]);
    check("[node]\nmemory_max = true", 2, 14, &["found a boolean"]);
    check("[node]\nlabels = 1", 2, 10, &["expected a table"]);
    check(
        "[node]\nlabels = { a = 1 }",
        2,
        16,
        &["found an integer", "in quotes"],
    );
    check("node = 1", 1, 8, &["\"node\" is an integer, not a section"]);
}

#[test]
fn mistakes_in_listeners_bus_and_snmp_are_placed() {
    check("[listen]\nhttp = \"x\"", 2, 8, &["127.0.0.1:7780"]);
    check(
        "[listen]\nhttp = \"0.0.0.0:80\"",
        2,
        8,
        &["other machines", "http.insecure"],
    );
    check("[http]\ninsecure = 1", 2, 12, &["true or false"]);
    check(
        "[http]\nhosts = \"a\"",
        2,
        9,
        &["expected a list", "found a string"],
    );
    check(
        "[bus]\nretention = \"6x\"",
        2,
        13,
        &["unit \"x\" is unknown"],
    );
    check(
        "[bus]\nretention = \"1s\"",
        2,
        13,
        &["1s is out of range", "from 1m to 366d"],
    );
    check("[bus]\nretention = -1", 2, 13, &["negative"]);
    check("[bus]\nretention = 1.5", 2, 13, &["found a fraction"]);
    check(
        "[snmp]\nport = 0",
        2,
        8,
        &["0 is out of range", "1 to 65535"],
    );
    check("[snmp]\nport = \"161\"", 2, 8, &["without quotes"]);
    check("[snmp]\nin_flight = 5", 2, 13, &["choose 1 to 4"]);
    check("[snmp]\nsource = \"eth0\"", 2, 10, &["IP address"]);
    check(
        "[snmp]\ncommunity = \"x\"",
        2,
        1,
        &["unknown key", "[redacted]"],
    );
}

#[test]
fn mistakes_in_items_are_placed() {
    let polling = "[[polling]]\nname = \"a\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n";
    let with = |line: &str| format!("{polling}{line}");
    check("device = 1", 1, 10, &["expected [[device]]"]);
    check(
        "device = [1]",
        1,
        11,
        &["expected [[device]], found an integer"],
    );
    check(
        "[[device]]\nevery = \"2m\"",
        1,
        1,
        &["[[device]] has no \"filter\"", "add filter"],
    );
    check(
        "[[polling]]\nname = \"a\"",
        1,
        1,
        &["no \"kind\"", "\"snmp\" or \"host\""],
    );
    check("[[polling]]\nkind = 1", 2, 8, &["not a string"]);
    check(
        "[[polling]]\nkind = \"gnmi\"",
        2,
        8,
        &["kind \"gnmi\" is not in this version"],
    );
    check(
        "[[polling]]\nkind = \"snmpp\"",
        2,
        8,
        &["no such kind", "did you mean snmp?"],
    );
    check(&with("every = \"1ms\""), 5, 9, &["out of range"]);
    check(&with("filter = 'x = \"1\"'"), 5, 11, &["unknown field x"]);
    check(
        &with("filter = 'resource_id = \"1\" AN'"),
        5,
        29,
        &["found AN"],
    );
    check(
        &with("filter = \"\"\"resource_id = \\\"1\\\" AN\"\"\""),
        5,
        10,
        &["found AN"],
    );
    check(&with("filter = ''"), 5, 10, &["the filter is empty"]);
    check(
        &with("rows = 'interface_name LIKE Vlan'"),
        5,
        29,
        &["found Vlan"],
    );
    check(&with("deadline = \"61s\""), 5, 12, &["longer than every"]);
    check(
        &format!("{polling}{polling}"),
        6,
        8,
        &["\"a\" is taken", "0.toml:2:8"],
    );
}

#[test]
fn tags_that_can_be_no_dimension_are_placed() {
    let head = "[[polling]]\nname = \"a\"\nkind = \"host\"\n[polling.tags]\n";
    let check = |tag: &str, column: usize, parts: &[&str]| {
        check(&format!("{head}{tag}"), 5, column, parts);
    };
    check("team = 1", 8, &["expected a name", "integer"]);
    check("\"my team\" = \"a\"", 1, &["\"my team\" is no name"]);
    check("resource_site = \"a\"", 1, &["reserved name"]);
    check("__name__ = \"a\"", 1, &["reserved name"]);
    check("team = \"\"", 1, &["\"team\" is empty", "leave it out"]);
}

#[test]
fn mistakes_in_discoveries_credentials_and_toml_are_placed() {
    check(
        "[[discovery]]\nname = \"a\"\nkind = \"json\"",
        1,
        1,
        &["no \"path\""],
    );
    check("[credentials]\nhttp = 1", 2, 1, &["not in this version"]);
    check("credentials = 1", 1, 15, &["[[credentials.snmp]]"]);
    check("a = ", 1, 5, &["mend the TOML"]);
    check("[node]\nsite = \"a", 2, 10, &["mend the TOML"]);
    check(
        "[node]\nsite = \"a\"\nsite = \"b\"",
        3,
        1,
        &["duplicate key"],
    );
}

#[test]
fn all_findings_are_told_at_once() {
    let text = "[node]\nsit = 1\ntier = \"x\"\n[bus]\nretention = 0\n[[polling]]\nkind = \"x\"";
    assert_eq!(findings(text).len(), 4);
}

#[test]
fn a_static_resource_that_the_rules_of_resources_refuse_is_refused_alone() {
    let text = "[[discovery]]\nname = \"h\"\nkind = \"static\"\n[[discovery.resource]]\n\
                endpoint = \"10.0.0.1\"\nid = \"a|b\"\n[[discovery.resource]]\n\
                endpoint = \"10.0.0.2\"\n[[discovery.resource]]\nendpoint = \"10.0.0.3\"\n\
                metadata = { 9rack = \"x\" }\n";
    let reason = ["resource_id contains '|'", "= remove it"];
    check(text, 4, 1, &reason);
    assert!(
        findings(text)[1]
            .to_string()
            .contains("\"9rack\" is no name")
    );
    let loaded = load(sources_of(&[text]), OPTIONS).unwrap();
    let [DiscoveryConfig::Static(discovery)] = loaded.config.discoveries.as_slice() else {
        panic!("{:?}", loaded.config.discoveries);
    };
    let endpoints: Vec<_> = discovery
        .resources
        .iter()
        .map(|one| one.endpoint.as_str())
        .collect();
    assert_eq!(endpoints, ["10.0.0.2"], "the rest loads");
    assert_eq!(loaded.parked.len(), 2);
}
