//! Interface enrichment against Panoptes' recordings and golden results.
//!
//! Does: run the plugin on devices that answer from recordings. Does not: open sockets.
//! In: recordings, golden results. Out: facts; Panoptes' −1 and `<not set>` are absent here (D6).

use super::*;
use crate::run::{BlockingPool, Run};
use crate::testing::{RecordedDevice, StoppedClock, resource, shared_data};
use ocelli_model::clock::Monotonic;
use serde_json::Value;

fn enrich(
    device: &RecordedDevice,
    kind: &str,
    model: &str,
) -> Result<Vec<EnrichmentGroup>, EnrichError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (resource, blocking) = (resource(kind, model), BlockingPool::default());
    let run = EnrichRun {
        run: Run {
            clock: &StoppedClock,
            deadline: Monotonic(u64::MAX),
            blocking: &blocking,
        },
        resource: &resource,
        snmp: Some(device),
    };
    runtime.block_on(SnmpEnrichment::new(300).enrich(run, &mut Scratch::default()))
}

/// Labels of a golden result without placeholders.
fn golden(path: &str) -> BTreeMap<String, LabelFacts> {
    let bytes = std::fs::read(shared_data(path).unwrap()).unwrap();
    let result: Value = serde_json::from_slice(&bytes).unwrap();
    let labels = result["enrichment"][0]["data"].as_array().unwrap().iter();
    let pairs = labels.flat_map(|label| label.as_object().unwrap().clone());
    pairs
        .map(|(label, facts)| {
            let is_known = |value: &Value| *value != -1 && *value != "<not set>";
            let facts = facts.as_object().unwrap().clone().into_iter();
            (label, facts.filter(|(_, value)| is_known(value)).collect())
        })
        .collect()
}

#[test]
fn the_golden_results_come_out_without_their_placeholders() {
    let check = |folder: &str, result: &str, kind: &str, model: &str| {
        let folder = format!("panoptes/enrichment-interface/{folder}");
        let Some(device) = RecordedDevice::read(&format!("{folder}/recording.snmprec")) else {
            return;
        };
        let groups = enrich(&device, kind, model).unwrap();
        let group = groups
            .iter()
            .find(|group| group.namespace() == "interface")
            .unwrap();
        let wanted = golden(&format!("{folder}/{result}"));
        for (label, facts) in &wanted {
            assert_eq!(
                group.labels().get(label),
                Some(facts),
                "{folder} interface {label}"
            );
        }
        assert_eq!(group.labels().len(), wanted.len(), "{folder}");
    };
    check("cisco", "results.json", "cisco", "model");
    check("juniper-mx", "results.json", "juniper", "QFX5200");
    check(
        "juniper-mx",
        "derived_results_model_mx.json",
        "juniper",
        "MX480",
    );
    check("juniper-qfx5200", "results.json", "juniper", "QFX5200");
    check("generic", "derived_results.json", "generic", "model");
}

/// Three lines of ifTable and ifXTable each for interface `index`.
fn port(index: u32, name: &str, kind: u32) -> String {
    format!(
        "1.3.6.1.2.1.2.2.1.3.{index}|2|{kind}\n1.3.6.1.2.1.31.1.1.1.1.{index}|4|{name}\n\
         1.3.6.1.2.1.31.1.1.1.15.{index}|66|1000\n"
    )
}

fn interfaces_of(recording: &str, kind: &str) -> BTreeMap<String, LabelFacts> {
    let groups = enrich(&RecordedDevice::parse(recording), kind, "model").unwrap();
    groups[0].labels().clone()
}

#[test]
fn an_odd_interface_type_is_a_number_and_costs_nothing_else() {
    let recording = [port(1, "a", 6), port(2, "b", 252), port(3, "c", 0)].concat();
    let labels = interfaces_of(&recording, "generic");
    let types: Vec<_> = labels
        .values()
        .map(|facts| facts["media_type"].clone())
        .collect();
    assert_eq!(types, ["ethernetCsmacd", "252", "0"]);
}

#[test]
fn an_interface_without_a_name_is_nobodys_parent() {
    let recording = [port(1, "", 6), port(2, "", 6), port(3, "x.1", 6)].concat();
    let labels = interfaces_of(&recording, "cisco");
    assert!(!labels["1"].contains_key("interface_name"));
    assert!(!labels["2"].contains_key("parent_interface_name"));
    assert_eq!(labels["3"]["parent_interface_name"], "x");
    assert!(!labels["3"].contains_key("parent_interface_media_type"));
}

#[test]
fn a_part_of_an_arista_port_knows_the_whole() {
    let labels = interfaces_of(&port(1, "Ethernet1/2", 6), "arista");
    assert_eq!(
        labels["1"]["parent_interface_configured_speed"],
        4_000_000_000u64
    );
    assert_eq!(labels["1"]["parent_interface_media_type"], "ethernetCsmacd");
}

#[test]
fn the_device_tells_about_itself() {
    let recording = "1.3.6.1.2.1.1.1.0|4|Linux sw1\n1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.1\n\
                     1.3.6.1.2.1.1.5.0|4|sw1\n";
    let groups = enrich(&RecordedDevice::parse(recording), "generic", "model").unwrap();
    assert_eq!((groups.len(), groups[0].namespace()), (1, "device"));
    assert_eq!(
        groups[0].value("system", "sysname"),
        Some(&Value::from("sw1"))
    );
    assert_eq!(
        groups[0].value("system", "sysobjectid"),
        Some(&Value::from("1.3.6.1.4.1.9.1.1"))
    );
    assert_eq!((groups[0].ttl_seconds, groups[0].every_seconds), (900, 300));
}

#[test]
fn a_run_that_was_cut_or_found_nothing_is_an_error() {
    let device = RecordedDevice::parse(&port(1, "a", 6));
    device.silent_after.set(Some(2));
    let cut = enrich(&device, "generic", "model").unwrap_err();
    assert_eq!(cut.gap_cause().to_string(), "timeout");
    let empty = enrich(&RecordedDevice::default(), "generic", "model").unwrap_err();
    assert_eq!(empty, EnrichError::NoData { plugin: "snmp" });
    assert_eq!(empty.gap_cause().to_string(), "no_data");
    assert_eq!(
        EnrichError::NoSession.gap_cause().to_string(),
        "auth/no_credential"
    );
}
