//! Proof of `enrichment`: content hash, last good with age, references and their resolution.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn labels(value: &Value) -> BTreeMap<String, LabelFacts> {
    serde_json::from_value(value.clone()).unwrap()
}

fn seconds(at: f64) -> UnixSeconds {
    UnixSeconds::new(at).unwrap()
}

fn group_at(at: f64, value: &Value) -> EnrichmentGroup {
    let freshness = Freshness {
        created: seconds(at),
        ttl_seconds: 900,
        every_seconds: 300,
    };
    EnrichmentGroup::new("interface", labels(value), freshness).unwrap()
}

fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

#[test]
fn equal_facts_have_equal_bytes_and_hash_whatever_their_order_and_time() {
    let one = group_at(
        1.0,
        &json!({"1": {"b": [1, {"y": 2, "x": "\""}], "a": null}, "10": {}}),
    );
    let other = group_at(
        2.0,
        &json!({"10": {}, "1": {"a": null, "b": [1, {"x": "\"", "y": 2}]}}),
    );
    let text = r#"{"1":{"a":null,"b":[1,{"x":"\"","y":2}]},"10":{}}"#;
    assert_eq!(
        (one.canonical_json().as_str(), one.content_hash()),
        (text, other.content_hash())
    );
    let changed = group_at(1.0, &json!({"1": {"a": 0}}));
    assert_ne!(one.content_hash(), changed.content_hash());
    assert_eq!(one.value("1", "a"), Some(&Value::Null));
    assert_eq!(one.value("2", "a"), None);
}

#[test]
fn facts_that_break_a_rule_are_refused_with_it() {
    let good = Freshness {
        created: seconds(1.0),
        ttl_seconds: 900,
        every_seconds: 300,
    };
    let check = |namespace: &str, value: Value, freshness: Freshness, expected: &str| {
        let error = EnrichmentGroup::new(namespace, labels(&value), freshness).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    for namespace in ["", "a:b", "*", " a", &"n".repeat(513)] {
        check(namespace, json!({}), good, "is no name");
    }
    check("i", json!({"": {}}), good, "label \"\"");
    check(
        "i",
        json!({"l".repeat(513): {}}),
        good,
        "is empty or too long",
    );
    check(
        "i",
        json!({}),
        Freshness {
            ttl_seconds: 0,
            ..good
        },
        "has ttl 0",
    );
    check(
        "i",
        json!({}),
        Freshness {
            every_seconds: 0,
            ..good
        },
        "has every 0",
    );
    let many: Map<String, Value> = (0..=LABELS_MAX)
        .map(|n| (n.to_string(), json!({})))
        .collect();
    check("i", Value::Object(many), good, "65537 labels");
    check(
        "i",
        json!({"a": {"x": "y".repeat(GROUP_BYTES_MAX)}}),
        good,
        "bytes",
    );
}

#[test]
fn a_record_holds_the_group_and_a_broken_one_is_refused() {
    let group = group_at(
        5.0,
        &json!({"1": {"interface_name": "Gi0/1", "port_speed": 1e9}}),
    );
    let record = EnrichmentRecord::of(&id("s/c/sc/t/sw1"), "interfaces", &group);
    assert_eq!(record.group().as_ref(), Ok(&group));
    let broken = EnrichmentRecord {
        facts_json: "[1]".into(),
        ..record
    };
    let error = broken.group().unwrap_err();
    assert!(matches!(error, EnrichmentError::Record { .. }), "{error}");
}

#[test]
fn only_changed_facts_are_recorded_and_the_last_good_ones_age() {
    let mut store = EnrichmentStore::default();
    let resource = id("s/c/sc/t/sw1");
    let facts = json!({"1": {"alias": "uplink"}});
    let mut offer = |at: f64, value: &Value| store.offer(&resource, "p", group_at(at, value));
    assert!(matches!(offer(100.0, &facts), Offered::Changed(_)));
    assert_eq!(offer(400.0, &facts), Offered::Unchanged);
    assert_eq!(
        offer(200.0, &json!({"1": {"alias": "late"}})),
        Offered::Outdated
    );
    let known = store.facts(&resource, Some("interface")).unwrap();
    assert_eq!(known.value("1", "alias"), Some(&json!("uplink")));
    assert_eq!(known.age_seconds(seconds(460.0)), 60.0);
    assert_eq!(known.age_seconds(seconds(0.0)), 0.0);
    assert!(!known.is_stale(seconds(1_300.0)));
    assert!(known.is_stale(seconds(1_301.0)));
    store.remove(&resource);
    let error = store.facts(&resource, None).unwrap_err().to_string();
    assert!(error.contains("namespace \"*\""), "{error}");
}

#[test]
fn two_plugins_of_one_namespace_do_not_overwrite_each_other() {
    let mut store = EnrichmentStore::default();
    let resource = id("s/c/sc/t/sw1");
    store.offer(
        &resource,
        "controller",
        group_at(1.0, &json!({"a": {"x": 1}, "b": {"x": 1}})),
    );
    store.offer(
        &resource,
        "wireless",
        group_at(2.0, &json!({"b": {"x": 2}, "c": {"x": 2}})),
    );
    let known = store.facts(&resource, Some("interface")).unwrap();
    let found: Vec<_> = ["a", "b", "c", "d"]
        .map(|label| known.value(label, "x").cloned())
        .into();
    assert_eq!(
        found,
        [Some(json!(1)), Some(json!(2)), Some(json!(2)), None]
    );
    assert_eq!(known.groups().len(), 2);
}

#[test]
fn a_reference_is_read_and_printed() {
    let check = |text: &str, id: Option<&str>, namespace: Option<&str>| {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(
            (reference.id.as_deref(), reference.namespace.as_deref()),
            (id, namespace)
        );
        assert_eq!(reference.to_string().parse(), Ok(reference));
    };
    check("self:interface", None, Some("interface"));
    check(" self : * ", None, None);
    check("sw1:neighbor", Some("sw1"), Some("neighbor"));
    check("[::1]:ns", Some("[::1]"), Some("ns"));
    for text in ["", "self", "self:", ":ns", " : "] {
        assert!(text.parse::<Reference>().is_err(), "{text:?}");
    }
}

#[test]
fn an_id_means_the_one_of_the_askers_kind_else_the_only_one_of_the_site() {
    let all = [
        id("dc1/network/switch/cisco/x"),
        id("dc1/network/router/cisco/x"),
        id("dc2/network/switch/cisco/x"),
        id("dc1/network/router/cisco/y"),
        id("dc2/network/switch/cisco/z"),
    ];
    let check = |asking: &str, wanted: &str, expected: Result<&str, &str>| match (
        resolve(&id(asking), wanted, &all),
        expected,
    ) {
        (Ok(found), Ok(expected)) => assert_eq!(found.as_str(), expected, "{asking} {wanted}"),
        (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
        (found, expected) => panic!("{asking} {wanted}: {found:?} for {expected:?}"),
    };
    check(
        "dc1/network/switch/cisco/a",
        "x",
        Ok("dc1/network/switch/cisco/x"),
    );
    check(
        "dc1/network/router/cisco/a",
        "x",
        Ok("dc1/network/router/cisco/x"),
    );
    check(
        "dc1/system/host/linux/a",
        "y",
        Ok("dc1/network/router/cisco/y"),
    );
    check(
        "dc1/system/host/linux/a",
        "x",
        Err("ambiguous: dc1/network/switch/cisco/x, dc1/"),
    );
    check(
        "dc1/system/host/linux/a",
        "z",
        Err("no resource of site \"dc1\""),
    );
    let mut store = EnrichmentStore::default();
    store.offer(&all[3], "p", group_at(1.0, &json!({"l": {"f": 7}})));
    let asking = id("dc1/system/host/linux/a");
    let found = store
        .lookup(&asking, &"y:interface".parse().unwrap(), &all)
        .unwrap();
    assert_eq!(found.value("l", "f"), Some(&json!(7)));
    let error = store
        .lookup(&asking, &"self:interface".parse().unwrap(), &all)
        .unwrap_err();
    assert!(matches!(error, LookupError::NoFacts { .. }), "{error}");
}

proptest! {
    #[test]
    fn canonical_json_reads_back_as_the_same_labels(
        facts in proptest::collection::btree_map(
            "\\PC{1,6}",
            proptest::collection::btree_map("\\PC{0,6}", "\\PC{0,6}", 0..4),
            0..4,
        )
    ) {
        let group = group_at(1.0, &json!(facts));
        let read: BTreeMap<String, LabelFacts> =
            serde_json::from_str(&group.canonical_json()).unwrap();
        prop_assert_eq!(group_at(2.0, &json!(read)).content_hash(), group.content_hash());
        prop_assert_eq!(&read, group.labels());
    }
}
