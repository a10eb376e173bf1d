//! Bad input at the command line: each is one clear line with the place, and its exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use nix::sys::signal::Signal;
use ocelli_tests::harness::node::{Node, ocelli};
use ocelli_tests::harness::{free_tcp_port, wait_for};
use tempfile::{TempDir, tempdir};

/// Exit code of a configuration that cannot be used.
const EXIT_CONFIG: i32 = 78;

const HOST: &str = "[[polling]]\nname = \"this-host\"\nkind = \"host\"\nevery = \"1s\"\n";

fn written(folder: &TempDir, text: &str) -> std::path::PathBuf {
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn config_check(path: &Path) -> Output {
    ocelli(&["config".as_ref(), "check".as_ref(), path.as_os_str()])
}

#[test]
fn config_check_names_file_line_reason_and_exits_78() {
    let folder = tempdir().unwrap();
    let check = |text: &str, line: usize, expected: &str| {
        let output = config_check(&written(&folder, text));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(EXIT_CONFIG), "{text}: {said}");
        assert!(said.contains(expected), "{text}: {said}");
        assert!(
            said.contains(&format!("bad.toml:{line}:")),
            "{text}: {said}"
        );
    };
    check("[node\nsite = \"dc1\"\n", 1, "");
    check("[node]\nsite = \"dc1\"\nsiet = \"x\"\n", 3, "siet");
    check("[bus]\nretention = \"6 parsecs\"\n", 2, "parsecs");
    check(
        &format!("{HOST}filter = 'resource_class = network'\n"),
        5,
        "network",
    );
    check(
        "[[polling]]\nname = \"a\"\nkind = \"snpm\"\nevery = \"1s\"\n",
        3,
        "snmp",
    );
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let folder = tempdir().unwrap();
    let output = config_check(&written(&folder, HOST));
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_bad_row_of_a_resource_file_is_refused_by_name_and_the_rest_loads() {
    let folder = tempdir().unwrap();
    let row = |id: &str, endpoint: &str| {
        format!(
            "{{\"resource_site\":\"dc1\",\"resource_class\":\"network\",\"resource_subclass\":\
             \"switch\",\"resource_type\":\"generic\",\"resource_id\":\"{id}\",\
             \"resource_endpoint\":\"{endpoint}\",\"resource_metadata\":{{}},\
             \"resource_creation_timestamp\":1,\"resource_plugin\":\"cmdb\"}}"
        )
    };
    let file = folder.path().join("resources.json");
    let text = format!(
        "[{},\n{},\n{}]",
        row("good-1", "127.9.0.1"),
        row("bad|2", "x"),
        row("good-3", "127.9.0.3")
    );
    std::fs::write(&file, text).unwrap();
    let node = Node::start(
        folder.path(),
        &format!("{HOST}\n[[discovery]]\nname = \"cmdb\"\nkind = \"json\"\npath = {file:?}\n"),
    );
    let listed = wait_for("the good rows", Duration::from_secs(20), || {
        let (_, text) = node.client.get("/v1/resources")?;
        (text.contains("good-1") && text.contains("good-3")).then_some(text)
    });
    assert!(!listed.contains("bad|2"));
    assert!(
        node.running.stderr().contains("bad|2"),
        "refused by name: {}",
        node.running.stderr()
    );
}

#[test]
fn what_is_in_use_or_not_writable_ends_with_one_clear_line() {
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), HOST);
    let run = |data: &Path, port: u16| {
        let text = format!(
            "[node]\nsite = \"dc1\"\ndata_dir = {data:?}\n\
             [listen]\nhttp = \"127.0.0.1:{port}\"\n{HOST}"
        );
        let path = written(&folder, &text);
        ocelli(&["run".as_ref(), "--config".as_ref(), path.as_os_str()])
    };
    let taken = node
        .client
        .url("")
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let check = |name: &str, output: &Output, expected: &str| {
        let said = stderr(output);
        assert!(!output.status.success(), "{name}: {said}");
        let lines = said.lines().filter(|line| line.contains(expected)).count();
        assert_eq!(lines, 1, "{name}: {said}");
    };
    let other = folder.path().join("other");
    check("port", &run(&other, taken), &taken.to_string());
    let output = run(&node.data_dir(), free_tcp_port());
    check(
        "data directory in use",
        &output,
        &node.data_dir().display().to_string(),
    );
    let output = run(Path::new("/proc/ocelli-cannot-be-made"), free_tcp_port());
    check(
        "data directory not writable",
        &output,
        "/proc/ocelli-cannot-be-made",
    );
}

#[test]
fn nobody_listens_is_69_and_names_the_address() {
    let port = free_tcp_port();
    let url = format!("http://127.0.0.1:{port}");
    let output = ocelli(&["resources", "list", "--at", &url]);
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains(&url), "{}", stderr(&output));
}

#[test]
fn a_foreign_host_or_origin_and_a_bad_filter_are_refused() {
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), HOST);
    let status = |header| node.client.status_with("/v1/resources", header).unwrap();
    assert!((400..500).contains(&status(("Host", "evil.example.com"))));
    assert!((400..500).contains(&status(("Origin", "http://evil.example.com"))));
    let (status, text) = node
        .client
        .get("/v1/resources?filter=resource_class%20%3D%20x")
        .unwrap();
    assert_eq!(status, 400, "{text}");
    let error: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        error["error"]["message"].is_string() && error["error"]["code"].is_string(),
        "{text}"
    );
}

#[test]
fn a_bad_item_is_left_out_at_start_with_its_reason_and_refuses_a_reload() {
    let folder = tempdir().unwrap();
    let bad = "[[polling]]\nname = \"other\"\nkind = \"host\"\nfilter = 'resource_class'\n";
    let mut node = Node::start(folder.path(), &format!("{HOST}{bad}"));
    let plugins = |node: &Node| {
        let (_, text) = node.client.get("/v1/plugins").unwrap();
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        let one = |id: &str| {
            let items = list["items"].as_array().unwrap();
            items.iter().find(|item| item["id"] == id).cloned()
        };
        (one("polling/this-host"), one("polling/other"))
    };
    let (good, parked) = plugins(&node);
    assert!(good.unwrap()["parked"].is_null());
    let reason = parked.unwrap()["parked"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("ocelli.toml:") && reason.contains("resource_class"),
        "{reason}"
    );
    let said = node.running.stderr();
    assert!(said.contains("polling/other is parked"), "{said}");

    // The plugin that runs is misspelt now: it goes on as it was.
    let config = std::fs::read_to_string(node.config()).unwrap();
    let spoilt = config.replace("every = \"1s\"", "evry = \"1s\"");
    assert_ne!(config, spoilt);
    std::fs::write(node.config(), spoilt).unwrap();
    node.running.signal(Signal::SIGHUP);
    wait_for("the refusal", Duration::from_secs(20), || {
        let said = node.running.stderr();
        said.contains("the one in force stays").then_some(())
    });
    let (good, _) = plugins(&node);
    assert!(
        good.is_some_and(|good| good["parked"].is_null()),
        "it runs on"
    );
    assert_eq!(node.drain(), Some(0));
}
