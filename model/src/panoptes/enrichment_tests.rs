//! Proof of `enrichment` at the edge: each rule with its place, Panoptes' golden results.

use serde_json::json;

use super::*;
use crate::resource::tests::{defaults, shared};

fn sound() -> Value {
    json!({
        "resource": {
            "resource_site": "dc1", "resource_class": "c", "resource_subclass": "sc",
            "resource_type": "t", "resource_id": "sw1", "resource_endpoint": "sw1",
            "resource_metadata": {}, "resource_creation_timestamp": 7.5, "resource_plugin": "p"
        },
        "enrichment_group_set_creation_timestamp": 5.5,
        "enrichment": [{
            "namespace": "interface",
            "metadata": {"_enrichment_group_creation_timestamp": 5.25, "_enrichment_ttl": 900,
                "_execute_frequency": 300},
            "data": [{"2": {"alias": "b"}}, {"1": {"alias": "a"}}, {"2": {"alias": "later"}}]
        }]
    })
}

fn read(value: &Value) -> Result<EnrichmentGroupSet, FormatError> {
    parse_enrichment_group_set(value.to_string().as_bytes(), &defaults())
}

#[test]
fn a_group_set_is_written_sorted_and_reads_back_as_itself() {
    let set = read(&sound()).unwrap();
    let written = write_enrichment_group_set(&set);
    let data = written["enrichment"][0]["data"].to_string();
    assert_eq!(data, r#"[{"1":{"alias":"a"}},{"2":{"alias":"later"}}]"#);
    assert_eq!(read(&written), Ok(set.clone()));
    let multi = write_multi_group_set(&[set.clone(), set.clone()]).to_string();
    let read = parse_multi_group_set(multi.as_bytes(), &defaults()).unwrap();
    assert_eq!(read, [set.clone(), set.clone()]);
    let stored = write_stored_group(&set.groups[0]).to_string();
    let text = concat!(
        r#"{"data":{"1":{"alias":"a"},"2":{"alias":"later"}},"metadata":{"#,
        r#""_enrichment_group_creation_timestamp":5.25,"_enrichment_ttl":900,"#,
        r#""_execute_frequency":300}}"#
    );
    assert_eq!(stored, text);
    let group = parse_stored_group(stored.as_bytes(), "interface").unwrap();
    assert_eq!(group, set.groups[0]);
}

#[test]
fn a_broken_rule_is_named_with_its_place() {
    let check = |pointer: &str, value: Value, expected: &str| {
        let mut set = sound();
        *set.pointer_mut(pointer).unwrap() = value.clone();
        let error = read(&set).unwrap_err().to_string();
        assert!(error.contains(expected), "{pointer} = {value}: {error}");
    };
    check("/resource", json!([]), "resource: a resource is a list");
    check(
        "/enrichment",
        json!({}),
        "enrichment is an object; expected a list",
    );
    check(
        "/enrichment/0/namespace",
        json!("a:b"),
        "enrichment[0]: enrichment namespace \"a:b\"",
    );
    check(
        "/enrichment/0/data",
        json!([]),
        "enrichment[0].data is a list; expected at least one",
    );
    check(
        "/enrichment/0/data/1/1",
        json!(7),
        "enrichment[0].data[1].1 is 7; expected an object",
    );
    check(
        "/enrichment/0/metadata",
        json!({}),
        "_enrichment_group_creation_timestamp is missing",
    );
    check(
        "/enrichment/0/metadata/_enrichment_ttl",
        json!(0),
        "_enrichment_ttl is 0; expected a w",
    );
    check(
        "/enrichment_group_set_creation_timestamp",
        json!("x"),
        "expected Unix seconds",
    );
    let mut twice = sound();
    let group = twice["enrichment"][0].clone();
    twice["enrichment"].as_array_mut().unwrap().push(group);
    let error = read(&twice).unwrap_err().to_string();
    assert!(
        error.contains("enrichment[1] repeats namespace \"interface\""),
        "{error}"
    );
    let error = parse_stored_group(b"{\"data\": {\"resource_id\": \"x\"}}", "n").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("data.resource_id is \"x\"; expected an object"),
        "{error}"
    );
}

#[test]
fn panoptes_golden_results_load() {
    let folders = [
        "enrichment/cisco-ios-4948e",
        "enrichment/juniper-bgp",
        "enrichment/juniper-mx2020",
        "enrichment-interface/cisco",
        "enrichment-interface/juniper-qfx5200",
    ];
    for folder in folders {
        let Some(bytes) = shared(&format!("panoptes/{folder}/results.json")) else {
            return;
        };
        let set = parse_enrichment_group_set(&bytes, &defaults()).unwrap();
        assert!(
            set.groups.iter().all(|group| !group.labels().is_empty()),
            "{folder}"
        );
        assert_eq!(
            set.groups[0].created.get(),
            1_512_629_517.031_21,
            "{folder}"
        );
        assert_eq!(read(&write_enrichment_group_set(&set)), Ok(set), "{folder}");
    }
}
