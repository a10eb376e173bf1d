//! Proof of `resource`: each rule refuses with field and remedy; JSON both ways; the device key.

use std::path::PathBuf;

use serde_json::json;

use super::*;

/// What a discovery named `files` fills in at Unix time 1,000.
pub(crate) fn defaults() -> ResourceDefaults {
    let now = UnixSeconds::new(1_000.0).unwrap();
    ResourceDefaults {
        plugin: "files".into(),
        now,
    }
}

/// A file of the shared test data, or `None` with a line that says so.
pub(crate) fn shared(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("OCELLI_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let path = root.join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: no test data at {}", path.display());
    }
    bytes
}

/// A sound resource as JSON.
fn sound() -> Value {
    json!({
        "resource_site": "dc1", "resource_class": "network", "resource_subclass": "switch",
        "resource_type": "cisco", "resource_id": "sw1", "resource_endpoint": "SW1.example.com:1161",
        "resource_metadata": {"_resource_ttl": "604800", "make": "Cisco"},
        "resource_creation_timestamp": 1_532_023_147.34, "resource_plugin": "switch_discovery"
    })
}

fn read(value: &Value) -> Result<Resource, ResourceError> {
    Resource::from_json(value, &defaults())
}

/// [`sound`] with one field replaced, or removed if `value` is absent.
fn with(field: &str, value: Option<Value>) -> Value {
    let mut object = sound();
    let fields = object.as_object_mut().unwrap();
    match value {
        Some(value) => fields.insert(field.into(), value),
        None => fields.remove(field),
    };
    object
}

#[test]
fn json_is_written_in_panoptes_order_and_reads_back_as_itself() {
    let resource = read(&sound()).unwrap();
    let text = serde_json::to_string(&resource).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"resource_site":"dc1","resource_class":"network","resource_subclass":"switch","#,
            r#""resource_type":"cisco","resource_id":"sw1","#,
            r#""resource_endpoint":"SW1.example.com:1161","#,
            r#""resource_metadata":{"_resource_ttl":"604800","make":"Cisco"},"#,
            r#""resource_creation_timestamp":1532023147.34,"resource_plugin":"switch_discovery"}"#
        )
    );
    assert_eq!(serde_json::from_str::<Resource>(&text).unwrap(), resource);
    let refused = text.replace("\"sw1\"", "\"a|b\"");
    let error = serde_json::from_str::<Resource>(&refused)
        .unwrap_err()
        .to_string();
    assert!(error.contains("resource_id contains '|'"), "{error}");
}

#[test]
fn a_field_that_breaks_a_rule_is_named_with_reason_and_remedy() {
    let check = |field: &str, value: Option<Value>, expected: &str| {
        let error = read(&with(field, value.clone())).unwrap_err().to_string();
        assert!(error.contains(expected), "{field} = {value:?}: {error}");
    };
    for field in IDENTITY_FIELDS.into_iter().chain(["resource_endpoint"]) {
        check(field, None, &format!("{field} is missing"));
        check(field, Some(json!("")), &format!("{field} is empty"));
        check(field, Some(json!(7)), &format!("{field} is a number"));
        check(field, Some(json!(null)), &format!("{field} is null"));
        check(field, Some(json!(["a"])), &format!("{field} is a list"));
        check(field, Some(json!("a|b")), &format!("{field} contains '|'"));
        check(
            field,
            Some(json!("a\u{7}")),
            &format!("{field} contains '\\u{{7}}'"),
        );
        check(
            field,
            Some(json!("x".repeat(513))),
            &format!("{field} has 513 bytes"),
        );
    }
    check(
        "resource_plugin",
        Some(json!(true)),
        "resource_plugin is a boolean",
    );
    check(
        "resource_plugin",
        Some(json!("")),
        "resource_plugin is empty",
    );
    check("resource_metadata", None, "resource_metadata is missing");
    check(
        "resource_metadata",
        Some(json!([])),
        "resource_metadata is a list",
    );
    check(
        "resource_creation_timestamp",
        Some(json!("noon")),
        "is \"noon\"; write Unix seconds",
    );
    check(
        "resource_creation_timestamp",
        Some(json!(1e300)),
        "write Unix seconds",
    );
    check(
        "resource_creation_timestamp",
        Some(json!(true)),
        "is true; write Unix seconds",
    );
    let error = read(&json!("sw1")).unwrap_err().to_string();
    assert!(error.contains("a resource is text"), "{error}");
}

#[test]
fn one_bad_metadata_pair_refuses_the_resource() {
    let check = |metadata: Value, expected: &str| {
        let error = read(&with("resource_metadata", Some(metadata.clone())));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{metadata}: {error}");
    };
    check(json!({"1a": "x"}), "key \"1a\" is no name");
    check(json!({"a-b": "x"}), "key \"a-b\" is no name");
    check(json!({"": "x"}), "key \"\" is no name");
    check(json!({"a".repeat(129): "x"}), "is no name");
    check(json!({"a": 1}), "resource_metadata.a is a number");
    check(json!({"a": null}), "resource_metadata.a is null");
    check(json!({"a": {}}), "resource_metadata.a is an object");
    check(json!({"a": ""}), "resource_metadata.a is \"\"");
    check(json!({"a": "x|y"}), "resource_metadata.a is \"x|y\"");
    check(
        json!({"a": "x".repeat(RESOURCE_BYTES_MAX)}),
        "bytes of text",
    );
    for ttl in [
        json!("0"),
        json!("-1"),
        json!("1.5"),
        json!(" 5"),
        json!("+5"),
        json!("x"),
    ] {
        check(json!({"_resource_ttl": ttl}), "write whole seconds above 0");
    }
    check(json!({"_resource_ttl": 0}), "write whole seconds above 0");
    check(json!({"_resource_ttl": 1.5}), "_resource_ttl is a number");
    let many: BTreeMap<String, &str> = (0..=256).map(|n| (format!("k{n}"), "v")).collect();
    check(json!(many), "has 258 pairs");
}

#[test]
fn what_panoptes_files_leave_out_or_write_otherwise_is_taken() {
    let resource = read(&with("resource_plugin", None)).unwrap();
    assert_eq!(resource.plugin(), "files");
    assert_eq!(
        read(&with("resource_plugin", Some(json!(null))))
            .unwrap()
            .plugin(),
        "files"
    );
    let mut renamed = with("resource_plugin", None);
    renamed["resource_creation_plugin"] = json!("by-document");
    assert_eq!(read(&renamed).unwrap().plugin(), "by-document");

    for absent in [None, Some(json!(null)), Some(json!(0))] {
        let resource = read(&with("resource_creation_timestamp", absent)).unwrap();
        assert_eq!(resource.created(), defaults().now);
    }
    let text = with(
        "resource_creation_timestamp",
        Some(json!("1512629517.03121")),
    );
    assert_eq!(read(&text).unwrap().created().get(), 1_512_629_517.031_21);

    let resource = read(&with("resource_metadata", Some(json!({})))).unwrap();
    assert_eq!(resource.metadata()[TTL_KEY], "604800");
    let resource = read(&with(
        "resource_metadata",
        Some(json!({"_resource_ttl": 900})),
    ))
    .unwrap();
    assert_eq!(
        (
            resource.metadata()[TTL_KEY].as_str(),
            resource.ttl_seconds()
        ),
        ("900", 900)
    );

    let spaced = read(&with("resource_site", Some(json!("dc 1")))).unwrap();
    assert_eq!(spaced.id().site(), "dc 1");
    let mut unknown = sound();
    unknown["owner"] = json!({"ignored": [1, 2]});
    assert_eq!(read(&unknown).unwrap(), read(&sound()).unwrap());
}

#[test]
fn the_device_is_the_endpoints_host_unless_metadata_names_one() {
    let resource = read(&sound()).unwrap();
    assert_eq!(resource.device_key().as_str(), "sw1.example.com");
    let named = with("resource_metadata", Some(json!({"Device": "Chassis-7"})));
    assert_eq!(read(&named).unwrap().device_key().as_str(), "chassis-7");
    assert_eq!(
        read(&named).unwrap().metadata_value("dEVICE"),
        Some("Chassis-7")
    );
    assert_eq!(resource.metadata_value("device"), None);
}
