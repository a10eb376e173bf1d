//! Proof of `group` and `resource_set`: each rule with its place, the shared files, both ways.

use serde_json::json;

use super::*;
use crate::panoptes::{MESSAGE_BYTES_MAX, parse_resource_set, write_resource_set};
use crate::resource::tests::{defaults, shared};

fn sound() -> Value {
    json!({
        "metrics_group_type": "interface", "metrics_group_interval": 60,
        "metrics_group_creation_timestamp": 1_532_023_709.732,
        "metrics_group_schema_version": "0.2",
        "resource": {
            "resource_site": "dc1", "resource_class": "c", "resource_subclass": "sc",
            "resource_type": "t", "resource_id": "sw1", "resource_endpoint": "sw1",
            "resource_metadata": {}, "resource_creation_timestamp": 7.5, "resource_plugin": "p"
        },
        "metrics": [
            {"metric_creation_timestamp": 1.5, "metric_name": "b", "metric_value": -7,
                "metric_type": "gauge"},
            {"metric_creation_timestamp": 1.5, "metric_name": "b", "metric_value": 18e18,
                "metric_type": "counter"},
            {"metric_creation_timestamp": 1.5, "metric_name": "a", "metric_value": 0.5,
                "metric_type": "gauge"}
        ],
        "dimensions": [
            {"dimension_name": "y", "dimension_value": "2"},
            {"dimension_name": "x", "dimension_value": "1"}
        ]
    })
}

fn read(value: &Value) -> Result<MetricsGroup, FormatError> {
    parse_metrics_group(value.to_string().as_bytes(), &defaults())
}

#[test]
fn a_group_is_written_sorted_by_name_then_type() {
    let text = serde_json::to_string(&read(&sound()).unwrap()).unwrap();
    let metrics = concat!(
        r#""metrics":[{"metric_creation_timestamp":1.5,"metric_name":"a","metric_value":0.5,"#,
        r#""metric_type":"gauge"},{"metric_creation_timestamp":1.5,"metric_name":"b","#,
        r#""metric_value":1.8e+19,"metric_type":"counter"},{"metric_creation_timestamp":1.5,"#,
        r#""metric_name":"b","metric_value":-7,"metric_type":"gauge"}],"#,
        r#""dimensions":[{"dimension_name":"x","dimension_value":"1"},"#,
        r#"{"dimension_name":"y","dimension_value":"2"}]}"#
    );
    assert!(text.ends_with(metrics), "{text}");
    let head = concat!(
        r#"{"metrics_group_type":"interface","metrics_group_interval":60,"#,
        r#""metrics_group_creation_timestamp":1532023709.732,"#,
        r#""metrics_group_schema_version":"0.2","resource":{"resource_site":"dc1""#
    );
    assert!(text.starts_with(head), "{text}");
    assert_eq!(
        parse_metrics_group(text.as_bytes(), &defaults()),
        read(&sound())
    );
}

/// Where, the JSON put there, part of the words.
const BROKEN: &[(&str, &str, &str)] = &[
    (
        "/metrics_group_type",
        r#""""#,
        "metrics_group_type is \"\"; expected text",
    ),
    (
        "/metrics_group_interval",
        "0",
        "metrics_group_interval is 0; expected a whole",
    ),
    (
        "/metrics_group_interval",
        "1.5",
        "is 1.5; expected a whole number above 0",
    ),
    (
        "/metrics_group_creation_timestamp",
        "null",
        "is null; expected Unix seconds",
    ),
    (
        "/metrics_group_schema_version",
        r#""0.1""#,
        "expected the schema version \"0.2\"",
    ),
    ("/resource", "7", "resource: a resource is a number"),
    (
        "/resource/resource_id",
        r#""""#,
        "resource: resource_id is empty",
    ),
    ("/metrics", "{}", "metrics is an object; expected a list"),
    (
        "/metrics/1",
        "[]",
        "metrics[1] is a list; expected an object",
    ),
    (
        "/metrics/1/metric_name",
        r#""1a""#,
        "metrics[1].metric_name is \"1a\"; expected a n",
    ),
    (
        "/metrics/1/metric_type",
        r#""rate""#,
        "expected \"gauge\" or \"counter\"",
    ),
    (
        "/metrics/1/metric_type",
        r#""gauge""#,
        "metrics[1] repeats \"b\" of type gauge",
    ),
    (
        "/metrics/2/metric_value",
        "true",
        "metrics[2].metric_value is true; expected a f",
    ),
    (
        "/metrics/2/metric_value",
        r#""1""#,
        "expected a finite number",
    ),
    (
        "/metrics/2/metric_creation_timestamp",
        r#""x""#,
        "expected Unix seconds",
    ),
    (
        "/dimensions/1/dimension_name",
        r#""y""#,
        "dimensions[1] repeats \"y\"",
    ),
    (
        "/dimensions/1/dimension_value",
        r#""""#,
        "dimensions[1].dimension_value is \"\"",
    ),
    (
        "/dimensions/1",
        r#"{"dimension_name": "z"}"#,
        "dimensions[1].dimension_value is mis",
    ),
];

#[test]
fn a_broken_rule_is_named_with_its_place() {
    for (pointer, json, expected) in BROKEN {
        let mut group = sound();
        *group.pointer_mut(pointer).unwrap() = serde_json::from_str(json).unwrap();
        let error = read(&group).unwrap_err().to_string();
        assert!(error.contains(expected), "{pointer} = {json}: {error}");
    }
}

#[test]
fn a_message_that_cannot_be_read_is_named_with_line_or_limit() {
    let check = |bytes: &[u8], expected: &str| {
        let error = parse_metrics_group(bytes, &defaults())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(b"[]", "the message is a list; expected an object");
    check(b"{\n\"metrics\": NaN}", "line 2 column");
    check(b"{\"metric_value\": 1e999}", "number out of range");
    check(&vec![b' '; MESSAGE_BYTES_MAX + 1], "is the limit, split it");
    let many = format!("[{}0]", "0,".repeat(GROUPS_MAX));
    let error = parse_metrics_groups(many.as_bytes(), &defaults())
        .unwrap_err()
        .to_string();
    assert!(error.contains("at most 100000 groups"), "{error}");
}

#[test]
fn the_shared_groups_load_and_survive_the_way_there_and_back() {
    for name in [
        "metrics/interface_group.json",
        "influxdb/metrics_group00.json",
    ] {
        let Some(bytes) = shared(&format!("panoptes/{name}")) else {
            return;
        };
        let groups = parse_metrics_groups(&bytes, &defaults())
            .or_else(|_| parse_metrics_group(&bytes, &defaults()).map(|group| vec![group]))
            .unwrap();
        assert!(!groups.is_empty() && groups.iter().all(|group| !group.metrics.is_empty()));
        for group in groups {
            let text = serde_json::to_string(&group).unwrap();
            assert_eq!(
                parse_metrics_group(text.as_bytes(), &defaults()),
                Ok(group),
                "{name}"
            );
        }
    }
}

#[test]
fn resource_sets_load_and_survive_the_way_there_and_back() {
    let set = json!({
        "resources": [sound()["resource"], {"resource_site": "dc1"}],
        "resource_set_creation_timestamp": 1_526_331_404.49,
    });
    let set = parse_resource_set(set.to_string().as_bytes(), &defaults()).unwrap();
    assert_eq!(
        (set.resources.len(), set.refusals.len(), set.refusals[0].0),
        (1, 1, 1)
    );
    let written = write_resource_set(&set.resources, set.created).to_string();
    assert!(
        written.ends_with(r#""resource_set_schema_version":"0.1"}"#),
        "{written}"
    );
    let read = parse_resource_set(written.as_bytes(), &defaults()).unwrap();
    assert_eq!((read.resources, read.created), (set.resources, set.created));
    let wrong = written.replace("\"0.1\"", "\"0.2\"");
    let error = parse_resource_set(wrong.as_bytes(), &defaults())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected the schema version \"0.1\""),
        "{error}"
    );
    let files = ["resources/resource_one.json", "resources/resource_two.json"];
    for name in files
        .into_iter()
        .chain(["resources/resource_one_updated.json"])
    {
        if let Some(bytes) = shared(&format!("panoptes/{name}")) {
            let set = parse_resource_set(&bytes, &defaults()).unwrap();
            assert_eq!((set.resources.len(), set.refusals.len()), (1, 0), "{name}");
        }
    }
}
