//! What an operator does to a running node: poll by hand, reload, look at a held discovery.
//!
//! Does: the commands against real nodes, simulated switches and sockets of the test; exit codes,
//! answers, and what must not change. Does not: render formats (unit tests of the command line).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::UdpSocket;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use ocelli_tests::harness::node::{Node, ocelli};
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::{free_udp_port, wait_for};
use serde_json::Value;
use tempfile::tempdir;

const PATIENCE: Duration = Duration::from_secs(30);
const COMMUNITY: &str = "canary-community";
const CREDENTIALS: &str = "[[credentials.snmp]]\nname = \"lab\"\nversion = \"2c\"\n\
                           community = { value = \"canary-community\" }\n";

fn switches(resources: &Path) -> String {
    format!(
        "[snmp]\ntimeout = \"300ms\"\nretries = 1\n\n\
         [[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\
         every = \"1s\"\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"2s\"\nfilter = 'resource_class = \"network\"'\n\n{CREDENTIALS}"
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command against the node's socket; the exit code, stdout and stderr.
fn ask(node: &Node, arguments: &[&str]) -> (i32, String, String) {
    let data_dir = node.data_dir();
    let mut all = arguments.to_vec();
    all.extend(["--data-dir", data_dir.to_str().unwrap()]);
    ended(&ocelli(&all))
}

fn ended(output: &Output) -> (i32, String, String) {
    let code = output.status.code().unwrap_or(-1);
    (code, text(&output.stdout), text(&output.stderr))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn ids(resources: &Path) -> Vec<String> {
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(resources).unwrap()).unwrap();
    let id = |resource: &Value| resource["resource_id"].as_str().unwrap().to_owned();
    list.iter().map(id).collect()
}

fn simulate(folder: &Path, base: &str, agents: usize) -> Simulator {
    let more = ["--interfaces", "4", "--community", COMMUNITY];
    let more = [&more[..], &["--fault", "silence:agents=2"]].concat();
    Simulator::start(folder, (base, agents), &more)
}

// === poll ===

#[test]
fn poll_shows_rows_with_verdicts_each_step_and_why_there_are_none() {
    let folder = tempdir().unwrap();
    let simulator = simulate(folder.path(), "127.6.0.1", 3);
    let node = Node::start(folder.path(), &switches(&simulator.resources));
    let ids = ids(&simulator.resources);
    let (good, silent) = (ids[0].as_str(), ids[1].as_str());
    wait_for("two batches", PATIENCE, || {
        let values = node.client.json("/v1/values")?;
        let verdicts = values["items"].as_array()?.iter();
        verdicts
            .clone()
            .any(|item| item["verdict"] == "rate")
            .then_some(())
    });
    let poll = |resource: &str, more: &[&str]| {
        let arguments = ["poll", resource, "--plugin", "interfaces", "--once"];
        ask(&node, &[&arguments[..], more].concat())
    };

    let (code, out, said) = poll(good, &["-o", "json", "--trace"]);
    assert_eq!(code, 0, "{said}");
    let report = json(&out);
    assert_eq!(report["outcome"], "complete");
    assert_eq!(report["credential"], "lab");
    assert_eq!(report["tables"][0]["rows"], 4);
    let items = report["items"].as_array().unwrap();
    let is_rate = |item: &&Value| item["verdict"] == "rate" && item["type"] == "gauge";
    assert!(
        items.iter().any(|item| is_rate(&item)),
        "judged against the last slot: {out}"
    );
    let kinds: Vec<&str> = report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect();
    for kind in ["credential", "ask", "sent", "reply", "table", "end"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    assert!(said.contains("GETBULK to 127.6.0.1"), "{said}");
    assert!(
        !format!("{out}{said}").contains(COMMUNITY),
        "no secret is shown"
    );

    let (code, out, said) = poll(silent, &["--trace"]);
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    assert!(
        said.contains("timeout") && said.contains("no reply to try 2"),
        "{said}"
    );

    let (code, _, said) = poll(&good[..good.len() - 1], &[]);
    assert_eq!(code, 4, "{said}");
    assert!(
        said.contains("did you mean") && said.contains(good),
        "{said}"
    );

    let (code, _, said) = ask(&node, &["poll", good, "--plugin", "interface", "--once"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("interfaces"), "{said}");

    let (code, out, _) = poll(good, &["-o", "csv"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("group,dimensions,metric,"), "{out}");
    let log = node.running.stderr();
    assert!(
        log.contains("command taken") && log.contains("uid"),
        "{log}"
    );
}

#[test]
fn poll_without_a_node_is_the_same_run_with_first_verdicts() {
    let folder = tempdir().unwrap();
    let simulator = simulate(folder.path(), "127.6.1.1", 2);
    let config = folder.path().join("alone.toml");
    let node = "[node]\nname = \"n1\"\nsite = \"dc1\"\n\n";
    let other = "[[polling]]\nname = \"lab-only\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
                 every = \"2s\"\nfilter = 'resource_metadata.role = \"lab\"'\n";
    let text = format!("{node}{}\n{other}", switches(&simulator.resources));
    std::fs::write(&config, text).unwrap();
    let ids = ids(&simulator.resources);
    let poll = |resource: &str, plugin: &str| {
        let config = config.to_str().unwrap();
        ended(&ocelli(&[
            "poll", resource, "--plugin", plugin, "--once", "-o", "json", "--config", config,
        ]))
    };
    let (code, out, said) = poll(&ids[0], "interfaces");
    assert_eq!(code, 0, "{said}");
    let report = json(&out);
    assert_eq!(report["outcome"], "complete");
    let items = report["items"].as_array().unwrap();
    let counters: Vec<&Value> = items
        .iter()
        .filter(|item| item["type"] == "counter")
        .collect();
    assert!(!counters.is_empty());
    assert!(
        counters.iter().all(|item| item["verdict"] == "first"),
        "{out}"
    );

    let (code, out, said) = poll(&ids[1], "interfaces");
    assert_eq!(code, 1, "{said}");
    assert_eq!(json(&out)["outcome"], "gap");

    let (code, _, said) = poll("nobody", "interfaces");
    assert_eq!(code, 4, "{said}");

    let (code, _, said) = poll(&ids[0], "lab-only");
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("resource_metadata.role") && said.contains("nothing"),
        "{said}"
    );
}

#[test]
fn requests_leave_from_the_source_that_the_device_override_names() {
    let folder = tempdir().unwrap();
    let device = UdpSocket::bind("127.0.0.1:0").unwrap();
    device.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = device.local_addr().unwrap().port();
    let config = folder.path().join("alone.toml");
    let text = format!(
        "[node]\nname = \"n1\"\nsite = \"dc1\"\n\n[snmp]\ntimeout = \"200ms\"\nretries = 0\n\n\
         [[device]]\nfilter = 'resource_endpoint LIKE \"127%\"'\nsource = \"127.0.0.2\"\n\n\
         [[discovery]]\nname = \"by-hand\"\nkind = \"static\"\n\
         [[discovery.resource]]\nid = \"one\"\nendpoint = \"127.0.0.1:{port}\"\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"2s\"\n\n{CREDENTIALS}"
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let polled = ocelli(&[
        "poll",
        "one",
        "--plugin",
        "interfaces",
        "--once",
        "--config",
        config,
    ]);
    let (code, _, said) = ended(&polled);
    assert_eq!(code, 1, "nobody answers: {said}");
    let (_, from) = device.recv_from(&mut [0; 2_048]).unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.2");
}

// === discovery ===

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one operation from beginning to end, in its order"
)]
fn a_source_that_halves_is_held_shown_approved_and_then_applied() {
    let folder = tempdir().unwrap();
    let source = folder.path().join("cmdb.json");
    let rows = |count: usize| {
        let row = |number: usize| {
            format!(
                "{{\"resource_site\":\"dc1\",\"resource_class\":\"network\",\
                 \"resource_subclass\":\"switch\",\"resource_type\":\"generic\",\
                 \"resource_id\":\"sw{number:02}\",\"resource_endpoint\":\"192.0.2.{number}\",\
                 \"resource_metadata\":{{}}}}"
            )
        };
        let rows: Vec<String> = (1..=count).map(row).collect();
        format!("[{}]", rows.join(","))
    };
    std::fs::write(&source, rows(20)).unwrap();
    let config = format!(
        "[[discovery]]\nname = \"cmdb\"\nkind = \"json\"\npath = {source:?}\nevery = \"1s\"\n"
    );
    let node = Node::start(folder.path(), &config);
    let resources = |count: u64| {
        wait_for("the number of resources", PATIENCE, || {
            let status = node.client.json("/v1/status")?;
            (status["resources"] == count).then_some(())
        });
    };
    resources(20);
    let (code, out, said) = ask(&node, &["discovery", "diff", "cmdb"]);
    assert_eq!(code, 0, "{out}{said}");
    let (code, _, said) = ask(&node, &["discovery", "approve", "cmdb"]);
    assert_eq!(code, 1, "nothing is held: {said}");

    // Replaced by rename, as tools that write files whole do.
    let half = folder.path().join("half.json");
    std::fs::write(&half, rows(10)).unwrap();
    std::fs::rename(&half, &source).unwrap();
    wait_for("the set to be held", PATIENCE, || {
        let status = node.client.json("/v1/status")?;
        (status["discovery"]["cmdb"]["state"] == "held").then_some(())
    });
    resources(20);
    let (code, out, said) = ask(&node, &["discovery", "list", "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    let held = &json(&out)["items"][0]["held"];
    assert_eq!(
        (held["removed"].as_u64(), held["current"].as_u64()),
        (Some(10), Some(20))
    );
    let (code, out, said) = ask(&node, &["discovery", "diff", "cmdb"]);
    assert_eq!(code, 3, "{said}");
    let removed = |number: usize| format!("dc1/network/switch/generic/sw{number:02}");
    assert_eq!(out.matches("\n-").count(), 10, "{out}");
    assert!(
        !out.contains('~'),
        "a row without a time is not another one each second: {out}"
    );
    assert!(
        out.contains(&removed(11)) && !out.contains(&removed(10)),
        "{out}"
    );

    let (code, _, said) = ask(&node, &["discovery", "approve", "cmdb", "--hash", "ab12"]);
    assert_eq!(code, 1, "another set: {said}");
    let (code, _, said) = ask(&node, &["discovery", "approve", "nobody"]);
    assert_eq!(code, 4, "{said}");
    let at = node.client.url("");
    let by_http = ocelli(&["discovery", "approve", "cmdb", "--at", &at]);
    let (code, _, said) = ended(&by_http);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("needs the role"),
        "loopback stays read-only: {said}"
    );
    resources(20);

    let hash = held["hash"].as_str().unwrap();
    let (code, _, said) = ask(&node, &["discovery", "approve", "cmdb", "--hash", hash]);
    assert_eq!(code, 0, "{said}");
    let told = format!("accepted {hash} (0 added, 0 changed, 10 removed)");
    assert!(said.contains(&told), "{said}");
    resources(10);
    wait_for("the set to be in force", PATIENCE, || {
        let status = node.client.json("/v1/status")?;
        status["discovery"]["cmdb"].is_null().then_some(())
    });
}

// === reload ===

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one operation from beginning to end, in its order"
)]
fn reload_shows_validates_applies_and_rolls_a_failing_plugin_back() {
    let folder = tempdir().unwrap();
    let simulator = simulate(folder.path(), "127.6.2.1", 1);
    let list: Vec<Value> =
        serde_json::from_slice(&std::fs::read(&simulator.resources).unwrap()).unwrap();
    let port = &list[0]["resource_metadata"]["snmp_port"];
    let endpoint = list[0]["resource_endpoint"].as_str().unwrap().to_owned();
    let port = port.as_str().map_or_else(
        || endpoint.rsplit(':').next().unwrap().to_owned(),
        str::to_owned,
    );
    let host = endpoint.split(':').next().unwrap();
    let polling = |port: &str, rows: &str| {
        format!(
            "[snmp]\ntimeout = \"300ms\"\nretries = 0\n\n\
             [[discovery]]\nname = \"by-hand\"\nkind = \"static\"\n\
             [[discovery.resource]]\nid = \"one\"\nendpoint = {host:?}\n\n\
             [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
             every = \"2s\"\nport = {port}\n{rows}\n\n{CREDENTIALS}"
        )
    };
    let node = Node::start(folder.path(), &polling(&port, ""));
    let good = std::fs::read_to_string(node.config()).unwrap();
    let rewrite = |port: &str, rows: &str| {
        let head = good.split("[snmp]").next().unwrap();
        std::fs::write(node.config(), format!("{head}{}", polling(port, rows))).unwrap();
    };
    let plugin = || node.client.json("/v1/plugins/interfaces").unwrap();
    wait_for("a batch", PATIENCE, || {
        let values = node.client.json("/v1/values")?;
        (!values["items"].as_array()?.is_empty()).then_some(())
    });

    let (code, out, said) = ask(&node, &["reload", "--dry-run"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");

    let closed = free_udp_port().to_string();
    rewrite(&closed, "");
    let (code, out, said) = ask(&node, &["reload", "--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("~ polling \"interfaces\": port"), "{out}");
    assert!(plugin()["rolled_back"].is_null(), "a dry run tries nothing");

    let (code, out, said) = ask(&node, &["reload", "-o", "json"]);
    assert_eq!(code, 3, "{out}{said}");
    let report = json(&out);
    assert_eq!(report["applied"], true);
    assert_eq!(report["trials"][0]["rolled_back"], true);
    let cause = plugin()["rolled_back"].as_str().unwrap().to_owned();
    assert!(cause.starts_with("unreachable"), "{cause}");
    let status = node.client.json("/v1/status").unwrap();
    assert_eq!(status["rolled_back"]["interfaces"], cause.as_str());
    let slot = |after: i64| {
        wait_for("another batch", PATIENCE, || {
            let resources = node.client.json("/v1/resources")?;
            let pair = &resources["items"][0]["plugins"][0];
            assert!(pair["gap_cause"].is_null(), "it goes on as before: {pair}");
            pair["last_batch_slot_ms"]
                .as_i64()
                .filter(|slot| *slot > after)
        })
    };
    let after = slot(0);
    slot(after);

    rewrite(&port, "rows = 'interface_name LIKE \"%1\"'");
    let (code, _, said) = ask(&node, &["reload"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("tried on") && said.contains("good"), "{said}");
    assert!(plugin()["rolled_back"].is_null());

    std::fs::write(node.config(), format!("{good}\n[[polling\nname = ")).unwrap();
    for arguments in [&["reload"][..], &["reload", "--dry-run"]] {
        let (code, _, said) = ask(&node, arguments);
        assert_eq!(code, 78, "{said}");
        assert!(said.contains("ocelli.toml:"), "{said}");
    }
    let after = slot(0);
    slot(after);
}

#[test]
fn a_profile_that_reads_nothing_any_more_is_rolled_back_though_the_configuration_is_the_same() {
    let folder = tempdir().unwrap();
    let simulator = simulate(folder.path(), "127.6.3.1", 1);
    let built_in =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/profiles/interfaces.ocelli.yaml");
    let good = std::fs::read_to_string(built_in).unwrap();
    let profile = folder.path().join("mine.ocelli.yaml");
    std::fs::write(&profile, &good).unwrap();
    let config = switches(&simulator.resources).replace("\"interfaces\"\nevery", "\"mine\"\nevery");
    let node = Node::start(folder.path(), &config);
    wait_for("a batch", PATIENCE, || {
        let values = node.client.json("/v1/values")?;
        (!values["items"].as_array()?.is_empty()).then_some(())
    });

    std::fs::write(&profile, good.replace(": 1.3.6.1.2.1.", ": 1.3.6.1.3.9.")).unwrap();
    let (code, out, said) = ask(&node, &["reload", "-o", "json"]);
    assert_eq!(code, 3, "{out}{said}");
    let report = json(&out);
    assert_eq!(
        report["changes"][0],
        "polling \"interfaces\": its profile changed"
    );
    assert_eq!(report["trials"][0]["rolled_back"], true, "{out}");

    let harmless = good.replace("description: IF-MIB", "description: The IF-MIB");
    std::fs::write(&profile, harmless).unwrap();
    let (code, out, said) = ask(&node, &["reload", "-o", "json"]);
    assert_eq!(code, 0, "{out}{said}");
    assert_eq!(json(&out)["trials"][0]["rolled_back"], false, "{out}");
}

// === Names ===

/// Ids that are not the names of the devices, and a second resource behind the first of them.
fn with_twin(folder: &Path, resources: &Path) {
    let mut list: Vec<Value> = serde_json::from_slice(&std::fs::read(resources).unwrap()).unwrap();
    for (item, id) in list.iter_mut().zip(["first", "second"]) {
        item["resource_id"] = id.into();
    }
    let mut twin = list[0].clone();
    twin["resource_id"] = "twin".into();
    list.push(twin);
    let path = folder.join("with-twin.json");
    std::fs::write(path, serde_json::to_vec(&list).unwrap()).unwrap();
}

#[test]
fn a_resource_goes_by_the_name_that_its_device_gives_itself_also_after_a_restart() {
    let folder = tempdir().unwrap();
    let more = ["--interfaces", "2", "--community", COMMUNITY];
    let simulator = Simulator::start(folder.path(), ("127.6.7.1", 2), &more);
    with_twin(folder.path(), &simulator.resources);
    let enrichment = "\n[[enrichment]]\nname = \"system\"\nkind = \"snmp\"\nevery = \"1s\"\n\
                      filter = 'resource_class = \"network\"'\n";
    let path = folder.path().join("with-twin.json");
    let mut node = Node::start(folder.path(), &(switches(&path) + enrichment));
    let names = |node: &Node| {
        let resources = node.client.json("/v1/resources")?;
        let name_of = |id: &str| {
            let mut items = resources["items"].as_array()?.iter();
            let item = items.find(|item| item["resource"]["resource_id"] == id)?;
            Some(item["system_name"].as_str()?.to_owned())
        };
        Some([name_of("first")?, name_of("second")?, name_of("twin")?])
    };
    let found = wait_for("the names of the devices", PATIENCE, || names(&node));
    assert_eq!(found[0], found[2]);
    let own = found[1].as_str();

    let (code, out, said) = ask(&node, &["resources", "get", own, "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(json(&out)["resource"]["resource_id"], "second");
    let poll =
        |node: &Node, name: &str| ask(node, &["poll", name, "--plugin", "interfaces", "--once"]);
    let (code, _, said) = poll(&node, own);
    assert_eq!(code, 0, "{said}");
    let (code, _, said) = poll(&node, &found[0]);
    assert_ne!(code, 0, "{said}");
    assert!(
        said.contains("is the name of 2 resources") && said.contains("/twin"),
        "{said}"
    );

    assert_eq!(node.drain(), Some(0));
    node.start_again();
    // Enrichment may not have run again: the checkpoint has told it.
    wait_for("the names after the restart", PATIENCE, || {
        (names(&node)? == found).then_some(())
    });
}
