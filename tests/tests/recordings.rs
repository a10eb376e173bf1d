//! Panoptes' recordings of the interface plugins, from the simulator through a node to a reader.
//!
//! Does: serve each recording by `ocelli simulate`, run `ocelli run` on it, compare what
//! `/v1/subscribe` gives with Panoptes' golden results.
//! Does not: forgive; each difference stands in a table here with its reason.
//! In: `../shared/data/panoptes`. Out: nothing, or the first value that differs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::{shared_data, wait_for};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const PATIENCE: Duration = Duration::from_secs(30);
/// Where every golden resource lives.
const ENDPOINT: &str = "127.0.0.1";
/// Panoptes' placeholders for what is not known (D6).
const NOT_SET: &str = "<not set>";
const UNKNOWN: i64 = -1;
/// Between two slots of the node under test.
const EVERY: &str = "1s";
/// Created then, says the discovery file; Panoptes' tests froze their clock at this second.
const CREATED: f64 = 1_512_629_517.0;

/// A simulated device that replays one recording, and a node that polls it.
struct Bed {
    node: Node,
    _simulator: Simulator,
    _folder: TempDir,
}

impl Bed {
    /// `resource` as Panoptes writes it; `profile` is a built-in name or the text of a file.
    fn start(recording: &Path, resource: &Value, profile: &Profile, more: &str) -> Self {
        let folder = tempdir().unwrap();
        let site = resource["resource_site"].as_str().unwrap();
        let arguments = ["--recording", recording.to_str().unwrap(), "--site", site];
        let simulator = Simulator::start(folder.path(), (ENDPOINT, 1), &arguments);
        let simulated = std::fs::read(&simulator.resources).unwrap();
        let simulated: Value = serde_json::from_slice(&simulated).unwrap();
        let port = simulated[0]["resource_metadata"]["snmp_port"].as_str();
        let port = port.unwrap();
        let golden = folder.path().join("golden.json");
        let mut resource = resource.clone();
        resource["resource_creation_timestamp"] = json!(CREATED);
        std::fs::write(&golden, json!([resource]).to_string()).unwrap();
        let profile = match profile {
            Profile::BuiltIn => "interfaces",
            Profile::File(text) => {
                std::fs::write(folder.path().join("test.ocelli.yaml"), text).unwrap();
                "test.ocelli.yaml"
            }
        };
        let node = Node::start(
            folder.path(),
            &format!(
                "[snmp]\nport = {port}\n\n\
                 [[discovery]]\nname = \"golden\"\nkind = \"json\"\npath = {golden:?}\n\n\
                 [[polling]]\nname = \"polled\"\nkind = \"snmp\"\nprofile = \"{profile}\"\n\
                 every = \"{EVERY}\"\n\n\
                 [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n\n\
                 {more}"
            ),
        );
        Self {
            node,
            _simulator: simulator,
            _folder: folder,
        }
    }

    /// The first `count` groups that a subscriber from the beginning gets.
    fn first_groups(&self, count: usize) -> Vec<Value> {
        let path =
            "/v1/subscribe?from=1970-01-01T00:00:00Z&format=ndjson&group=interface&group=status";
        let lines = self.node.client.stream(path).take(count);
        lines
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect()
    }

    /// The rows of the newest batch, by the dimension `interface_index`.
    fn newest_rows(&self) -> Option<BTreeMap<String, Value>> {
        let mut lines = self
            .node
            .client
            .stream("/v1/subscribe?from=latest&format=records");
        let batch: Value = serde_json::from_str(&lines.next()?.ok()?).ok()?;
        let rows = batch["groups"][0]["rows"].as_array()?;
        let by_index = |row: &Value| {
            let index = row["dimensions"]["interface_index"].as_str()?;
            Some((index.to_owned(), row.clone()))
        };
        rows.iter().map(by_index).collect()
    }
}

enum Profile {
    BuiltIn,
    File(String),
}

/// The built-in profile with changed lines; each must be there once.
fn edited(edits: &[(&str, &str)]) -> String {
    let text = include_str!("../../plugins/profiles/interfaces.ocelli.yaml");
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?}");
        text.replace(from, to)
    })
}

const COMPATIBLE: (&str, &str) = ("missing: skip", "missing: {value: -1, text: <not set>}");
/// Panoptes' option `interface_index`.
const WITH_INDEX: (&str, &str) = (
    "        - {name: alias,",
    "        - {name: interface_index, of: index.ifIndex}\n        - {name: alias,",
);

fn panoptes(path: &str) -> Option<PathBuf> {
    Some(shared_data()?.join("panoptes").join(path))
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

// === Polling ===

/// What differs from the golden polling results: where, theirs, ours, why.
const DEVIATIONS: [(&str, &str, &str, &str); 3] = [
    (
        "interface_name",
        "GigabitEthernet0",
        "Gi0",
        "ifName of the device; the enrichment of the golden result is older than the recording",
    ),
    (
        "alias",
        "Gi0",
        NOT_SET,
        "ifAlias of the recording is empty; the enrichment was older",
    ),
    (
        "configured_speed",
        "10",
        "1000000000",
        "ifHighSpeed of the recording is 1000; the enrichment was older",
    ),
];
/// The gauge that goes with the dimension.
const CONFIGURED_SPEED: (i64, i64) = (10, 1_000_000_000);
/// Every plugin has one name for its outcome here; Panoptes' interface plugin has its own.
const STATUS_METRIC: (&str, &str) = ("interface_polling_status", "polling_status");
/// Panoptes' tests say 60; ours polls more often, so as not to wait.
const INTERVAL_S: (u64, u64) = (60, 1);

/// Order and times do not count: arrays by name and type, no time stamps.
fn plain(mut group: Value) -> Value {
    let fields = group.as_object_mut().unwrap();
    fields.remove("metrics_group_creation_timestamp");
    let resource = fields["resource"].as_object_mut().unwrap();
    resource.remove("resource_creation_timestamp");
    for metric in fields["metrics"].as_array_mut().unwrap() {
        metric
            .as_object_mut()
            .unwrap()
            .remove("metric_creation_timestamp");
    }
    let name = |value: &Value, of: &str| value[of].as_str().unwrap_or_default().to_owned();
    let metrics = fields["metrics"].as_array_mut().unwrap();
    metrics.sort_by_key(|metric| (name(metric, "metric_name"), name(metric, "metric_type")));
    let dimensions = fields["dimensions"].as_array_mut().unwrap();
    dimensions.sort_by_key(|dimension| name(dimension, "dimension_name"));
    group
}

/// A golden group with our deviations; each must really be one.
fn expected(golden: &Value, with_placeholders: bool) -> Value {
    let mut group = plain(golden.clone());
    assert_eq!(group["metrics_group_interval"], INTERVAL_S.0);
    group["metrics_group_interval"] = json!(INTERVAL_S.1);
    for metric in group["metrics"].as_array_mut().unwrap() {
        if metric["metric_name"] == STATUS_METRIC.0 {
            metric["metric_name"] = json!(STATUS_METRIC.1);
        }
        if metric["metric_name"] == "configured_speed" {
            assert_eq!(metric["metric_value"], CONFIGURED_SPEED.0);
            metric["metric_value"] = json!(CONFIGURED_SPEED.1);
        }
    }
    let dimensions = group["dimensions"].as_array_mut().unwrap();
    for dimension in dimensions.iter_mut() {
        let named = |(name, ..): &&(&str, &str, &str, &str)| dimension["dimension_name"] == *name;
        if let Some((name, theirs, ours, why)) = DEVIATIONS.iter().find(named) {
            assert_eq!(dimension["dimension_value"], *theirs, "{name}: {why}");
            dimension["dimension_value"] = json!(ours);
        }
    }
    dimensions.retain(|dimension| with_placeholders || dimension["dimension_value"] != NOT_SET);
    group
}

#[test]
fn the_golden_results_of_interface_polling_reach_a_subscriber() {
    let Some(folder) = panoptes("polling/interface") else {
        return;
    };
    let check = |result: &str, profile: &Profile, with_placeholders: bool| {
        let golden = read_json(&folder.join(result));
        let golden = golden.as_array().unwrap();
        let recording = folder.join("recording.snmprec");
        let bed = Bed::start(&recording, &golden[0]["resource"], profile, "");
        let groups = bed.first_groups(golden.len());
        assert!(
            groups
                .iter()
                .all(|group| group["resource"]["resource_creation_timestamp"] == CREATED),
            "{result}: the creation timestamp is a number and stays"
        );
        let groups: Vec<Value> = groups.into_iter().map(plain).collect();
        let wanted = golden
            .iter()
            .map(|group| expected(group, with_placeholders));
        assert_eq!(groups, wanted.collect::<Vec<_>>(), "{result}");
    };
    let compatible = || Profile::File(edited(&[COMPATIBLE]));
    let with_index = || Profile::File(edited(&[COMPATIBLE, WITH_INDEX]));
    check("results.json", &Profile::BuiltIn, false);
    check("results.json", &compatible(), true);
    check("results_with_interface_index.json", &with_index(), true);
}

// === Enrichment ===

/// A profile that shows the facts of namespace `interface` as dimensions, and nothing of its own.
const FACTS: [&str; 11] = [
    "interface_name",
    "description",
    "alias",
    "media_type",
    "physical_address",
    "configured_speed",
    "port_speed",
    "parent_interface_name",
    "parent_interface_media_type",
    "parent_interface_configured_speed",
    "parent_interface_port_speed",
];

fn facts_profile() -> Profile {
    let fact = |name: &&str| format!("        - {{name: {name}, of: enrich.interface.{name}}}\n");
    let facts: String = FACTS.iter().map(fact).collect();
    Profile::File(format!(
        "ocelli: 1\nname: facts\ndescription: What enrichment knows of interfaces\ngroups:\n\
         \x20 - name: interface\n    interval: 60s\n    table:\n      index: [{{ifIndex: int}}]\n\
         \x20     columns:\n        type: 1.3.6.1.2.1.2.2.1.3\n\
         \x20       name: 1.3.6.1.2.1.31.1.1.1.1\n\
         \x20     dimensions:\n        - {{name: interface_index, of: index.ifIndex, key: true}}\n\
         {facts}      gauges:\n        seen: \"type ?? 0\"\n      missing: skip\n"
    ))
}

/// Facts by interface as text (a dimension is text), without placeholders.
fn golden_facts(golden: &Value) -> BTreeMap<String, BTreeMap<String, String>> {
    let labels = golden["enrichment"][0]["data"].as_array().unwrap().iter();
    let labels = labels.flat_map(|label| label.as_object().unwrap());
    let known = |(name, value): (&String, &Value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let is_known = *value != UNKNOWN && *value != NOT_SET;
        is_known.then(|| (name.clone(), text))
    };
    labels
        .map(|(index, facts)| {
            let facts = facts.as_object().unwrap().iter().filter_map(known);
            (index.clone(), facts.collect())
        })
        .collect()
}

fn facts_of(row: &Value) -> BTreeMap<String, String> {
    let dimensions = row["dimensions"].as_object().unwrap().iter();
    let facts = dimensions.filter(|(name, _)| *name != "interface_index");
    facts
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn the_golden_results_of_interface_enrichment_reach_a_subscriber() {
    let check = |folder: &str, result: &str| {
        let Some(folder) = panoptes(&format!("enrichment-interface/{folder}")) else {
            return;
        };
        let golden = read_json(&folder.join(result));
        let enrichment = "[[enrichment]]\nname = \"facts\"\nkind = \"snmp\"\nevery = \"1s\"\n";
        let bed = Bed::start(
            &folder.join("recording.snmprec"),
            &golden["resource"],
            &facts_profile(),
            enrichment,
        );
        let rows = wait_for("facts of enrichment", PATIENCE, || {
            let rows = bed.newest_rows()?;
            let is_known = rows.values().any(|row| !facts_of(row).is_empty());
            is_known.then_some(rows)
        });
        let wanted = golden_facts(&golden);
        assert!(!wanted.is_empty());
        let found = rows
            .iter()
            .map(|(index, row)| (index.clone(), facts_of(row)));
        assert_eq!(
            found.collect::<BTreeMap<_, _>>(),
            wanted,
            "{folder:?} {result}"
        );
    };
    check("cisco", "results.json");
    check("juniper-mx", "results.json");
    check("juniper-mx", "derived_results_model_mx.json");
    check("juniper-qfx5200", "results.json");
    check("generic", "derived_results.json");
}

// === Every counter and state of the recorded devices ===

/// Metrics that are one object of the device: name, its column, factor. (EtherLike-MIB is in the
/// recording of the polling plugin alone.)
const OBJECTS: [(&str, &str, u64); 15] = [
    ("mtu", "1.3.6.1.2.1.2.2.1.4", 1),
    ("admin_state", "1.3.6.1.2.1.2.2.1.7", 1),
    ("oper_state", "1.3.6.1.2.1.2.2.1.8", 1),
    ("discards_in", "1.3.6.1.2.1.2.2.1.13", 1),
    ("errors_in", "1.3.6.1.2.1.2.2.1.14", 1),
    ("discards_out", "1.3.6.1.2.1.2.2.1.19", 1),
    ("errors_out", "1.3.6.1.2.1.2.2.1.20", 1),
    ("bits_in", "1.3.6.1.2.1.31.1.1.1.6", 8),
    ("unicast_packets_in", "1.3.6.1.2.1.31.1.1.1.7", 1),
    ("multicast_packets_in", "1.3.6.1.2.1.31.1.1.1.8", 1),
    ("broadcast_packets_in", "1.3.6.1.2.1.31.1.1.1.9", 1),
    ("bits_out", "1.3.6.1.2.1.31.1.1.1.10", 8),
    ("unicast_packets_out", "1.3.6.1.2.1.31.1.1.1.11", 1),
    ("multicast_packets_out", "1.3.6.1.2.1.31.1.1.1.12", 1),
    ("broadcast_packets_out", "1.3.6.1.2.1.31.1.1.1.13", 1),
];

/// What has one of these is an interface.
const STATES: [&str; 2] = ["1.3.6.1.2.1.2.2.1.7", "1.3.6.1.2.1.2.2.1.8"];

/// Values of the recording by column and ifIndex.
fn recorded(path: &Path) -> BTreeMap<(String, String), u64> {
    let text = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text);
    let value = |line: &str| {
        let mut parts = line.splitn(3, '|');
        let (oid, _, value) = (parts.next()?, parts.next()?, parts.next()?);
        let (column, index) = oid.rsplit_once('.')?;
        Some(((column.to_owned(), index.to_owned()), value.parse().ok()?))
    };
    text.lines().filter_map(value).collect()
}

#[test]
fn every_counter_and_state_of_the_recorded_devices_is_read_as_it_stands_there() {
    let profile = Profile::File(edited(&[WITH_INDEX]));
    let mut seen = BTreeSet::new();
    for folder in ["cisco", "juniper-mx", "juniper-qfx5200", "generic"] {
        let Some(folder) = panoptes(&format!("enrichment-interface/{folder}")) else {
            return;
        };
        let file = folder.join("recording.snmprec");
        let resource = match folder.ends_with("generic") {
            true => read_json(&folder.join("derived_results.json")),
            false => read_json(&folder.join("results.json")),
        }["resource"]
            .clone();
        let bed = Bed::start(&file, &resource, &profile, "");
        let rows = wait_for("a batch", PATIENCE, || bed.newest_rows());
        let recorded = recorded(&file);
        let with_state = recorded
            .keys()
            .filter_map(|(column, index)| STATES.contains(&column.as_str()).then_some(index));
        let with_state: BTreeSet<&String> = with_state.collect();
        assert_eq!(
            rows.keys().collect::<BTreeSet<_>>(),
            with_state,
            "{folder:?}"
        );
        for (name, column, factor) in OBJECTS {
            for (index, row) in &rows {
                let wanted = recorded.get(&(column.to_owned(), index.clone()));
                let values = [&row["counters"][name]["value"], &row["gauges"][name]];
                let found = values.into_iter().find_map(Value::as_u64);
                let wanted = wanted.map(|value| value.wrapping_mul(factor));
                if wanted.is_some() {
                    seen.insert(name);
                    assert_eq!(found, wanted, "{folder:?} interface {index}: {name}");
                }
            }
        }
    }
    assert_eq!(seen.len(), OBJECTS.len(), "seen: {seen:?}");
}
