//! Proof of `filter`: Panoptes' table of cases, errors with their place, and three properties:
//! print and parse are inverse, compiled equals naive, no text panics.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::resource::{Resource, tests::defaults, tests::shared};

// === Panoptes' table of cases ===

/// The seven resources of the table: id, site, class, subclass, type, endpoint, metadata.
fn table_resources() -> Vec<Resource> {
    let rows = [
        [
            "sw1",
            "dc1",
            "network",
            "switch",
            "cisco",
            "sw1",
            "make=Cisco model=4948E os_version=15.1(2)SG3",
        ],
        [
            "sw2",
            "dc2",
            "network",
            "switch",
            "arista",
            "sw2",
            "make=Arista model=7050S os_version=4.15.2F",
        ],
        [
            "rt1",
            "dc1",
            "network",
            "router",
            "juniper",
            "rt1",
            "make=Juniper model=MX480 os_version=14.2R7",
        ],
        [
            "fw1",
            "dc2",
            "network",
            "firewall",
            "juniper",
            "fw1",
            "model=SRX340",
        ],
        [
            "lb1",
            "dc3",
            "network",
            "load-balancer",
            "a10",
            "lb1",
            "make=A10 os_version=4.1.4",
        ],
        [
            "h1",
            "dc1",
            "system",
            "host",
            "generic",
            "h1.example.com",
            "",
        ],
        [
            "SW9",
            "DC1",
            "Network",
            "Switch",
            "Cisco",
            "SW9",
            "make=cisco model=6509-E tags=red",
        ],
    ];
    rows.iter().map(resource).collect()
}

fn resource(row: &[&str; 7]) -> Resource {
    let [id, site, class, subclass, kind, endpoint, metadata] = row;
    let pairs = metadata
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='));
    let metadata: serde_json::Map<String, Value> = pairs
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect();
    let value = json!({
        "resource_site": site, "resource_class": class, "resource_subclass": subclass,
        "resource_type": kind, "resource_id": id, "resource_endpoint": endpoint,
        "resource_metadata": metadata,
    });
    Resource::from_json(&value, &defaults()).unwrap()
}

/// Ids of the resources that pass, sorted, by the tree and by the compiled form; `refuse` if the
/// text is no filter.
fn select(text: &str, resources: &[Resource]) -> String {
    let Ok(filter) = text.parse::<Filter>() else {
        return String::from("refuse");
    };
    let mut table = InternedTable::new(&Vocabulary::resource(), [&filter]);
    resources
        .iter()
        .for_each(|resource| table.push(resource).unwrap());
    let mut compiled = table.compile(&filter).unwrap();
    let by_table: Vec<usize> = compiled.matcher(&table).select().collect();
    let by_tree: Vec<usize> = (0..resources.len())
        .filter(|position| filter.matches(&resources[*position]))
        .collect();
    assert_eq!(
        by_table, by_tree,
        "compiled and naive evaluation differ: {text}"
    );
    let mut ids: Vec<&str> = by_tree.iter().map(|at| resources[*at].id().id()).collect();
    ids.sort_unstable();
    ids.join(" ")
}

const ALL_NETWORK: &str = "fw1 lb1 rt1 sw1 sw2";
const CONCEPT_PAGE: &str = r#"resource_class = "network"
        AND resource_subclass IN ("switch", "router")
        AND resource_type != "arista" AND resource_endpoint NOT IN ("test1","test2")
        AND resource_metadata.make NOT LIKE "Arista%"
        AND resource_metadata.model NOT IN ("model1", "model2")"#;

/// Number in the table, filter, ids that it must select.
const TABLE: &[(u32, &str, &str)] = &[
    (1, r#"resource_class = "network""#, ALL_NETWORK),
    (2, r#"RESOURCE_CLASS="network""#, ALL_NETWORK),
    (3, r#"resource_class = "Network""#, "SW9"),
    (4, r#"resource_class eq "network""#, ALL_NETWORK),
    (5, r#"resource_class NE "network""#, "SW9 h1"),
    (6, r#"resource_class != "network""#, "SW9 h1"),
    (7, r#"resource_class = """#, ""),
    (8, r"resource_class = 'network'", "refuse"),
    (9, r"resource_class = network", "refuse"),
    (10, r#"resource_site IN ("dc1","dc3")"#, "h1 lb1 rt1 sw1"),
    (
        11,
        r#"resource_site in ( "dc1" , "dc3" )"#,
        "h1 lb1 rt1 sw1",
    ),
    (12, r#"resource_site NOT IN ("dc1")"#, "SW9 fw1 lb1 sw2"),
    (13, r#"resource_site not in ("dc1", "dc2")"#, "SW9 lb1"),
    (14, r"resource_site IN ()", "refuse"),
    (14, r#"resource_site IN ("dc1",)"#, "refuse"),
    (15, r#"resource_type LIKE "JUN%""#, "fw1 rt1"),
    (16, r#"resource_type NOT LIKE "jun%""#, "SW9 h1 lb1 sw1 sw2"),
    (17, r#"resource_id LIKE "sw_""#, "SW9 sw1 sw2"),
    (18, r#"resource_id LIKE "sw""#, ""),
    (19, r#"resource_endpoint LIKE "%.example.com""#, "h1"),
    (20, r#"resource_plugin = "p""#, "refuse"),
    (20, r#"resource_foo = "x""#, "refuse"),
    (20, r#"resource_metadata = "x""#, "refuse"),
    (
        21,
        r#"resource_class = "network" AND resource_type = "juniper""#,
        "fw1 rt1",
    ),
    (
        22,
        r#"resource_class = "network" AND resource_subclass = "switch"
            OR resource_class = "system""#,
        "h1 sw1 sw2",
    ),
    (
        23,
        r#"resource_class = "system"
            OR resource_class = "network" AND resource_subclass = "switch""#,
        "h1 sw1 sw2",
    ),
    (
        24,
        r#"resource_class = "network" and resource_site = "dc3" or resource_site = "dc1""#,
        "h1 lb1 rt1 sw1",
    ),
    (25, r#"NOT resource_class = "network""#, "refuse"),
    (25, r#"resource_class NOT = "network""#, "refuse"),
    (26, r#"(resource_class = "network")"#, ALL_NETWORK),
    (
        27,
        r#"resource_class = "network" AND (resource_site = "dc1" OR resource_site = "dc2")"#,
        "fw1 rt1 sw1 sw2",
    ),
    (
        28,
        r#"NOT (resource_site = "dc1" OR resource_site = "dc2")"#,
        "SW9 lb1",
    ),
    (29, r#"resource_class = "network" AND"#, "refuse"),
    (
        29,
        r#"resource_class = "network" resource_site = "dc1""#,
        "refuse",
    ),
    (30, r#"resource_type > "a""#, "refuse"),
    (30, r#"resource_id = "sw1" # x"#, "refuse"),
    (31, r#"resource_metadata.make = "Cisco""#, "sw1"),
    (32, r#"resource_metadata.MAKE = "Cisco""#, "sw1"),
    (33, r#"resource_metadata.model LIKE "SRX%""#, "fw1"),
    (
        34,
        r#"resource_class = "network" AND resource_metadata.make = "Cisco""#,
        "sw1",
    ),
    (
        35,
        r#"resource_class = "network" AND resource_metadata.make != "Cisco""#,
        "lb1 rt1 sw2",
    ),
    (
        36,
        r#"resource_class = "network" AND resource_metadata.make NOT LIKE "Arista%""#,
        "lb1 rt1 sw1",
    ),
    (
        37,
        r#"resource_class = "network" AND resource_metadata.model NOT IN ("4948E","7050S")"#,
        "fw1 rt1",
    ),
    (
        38,
        r#"resource_class = "network" AND resource_metadata.make = "Cisco"
            OR resource_metadata.make = "A10""#,
        "lb1 sw1",
    ),
    (
        39,
        r#"resource_class = "network" OR resource_metadata.make = "Cisco""#,
        ALL_NETWORK,
    ),
    (
        40,
        r#"resource_class = "system" OR resource_metadata.make = "Cisco""#,
        "h1 sw1",
    ),
    (
        41,
        r#"resource_metadata.make = "Cisco" AND resource_class = "network""#,
        "sw1",
    ),
    (
        42,
        r#"resource_class = "network" AND resource_metadata.make = "Cisco"
            OR resource_site = "dc3""#,
        "lb1 sw1",
    ),
    (
        43,
        r#"resource_class = "network" AND resource_metadata.model LIKE "%""#,
        "fw1 rt1 sw1 sw2",
    ),
    (
        44,
        r#"resource_class = "network" AND resource_metadata.model LIKE "SRX%%""#,
        "fw1",
    ),
    (
        45,
        r#"resource_class = "network" AND resource_metadata._resource_ttl = "604800""#,
        ALL_NETWORK,
    ),
    (46, r#"resource_class = "net\"work""#, ""),
    (47, r#"resource_class = "resource_class""#, ""),
    (
        48,
        r#"resource_class = "network" AND resource_metadata. make = "Cisco""#,
        "sw1",
    ),
    (49, CONCEPT_PAGE, "rt1 sw1"),
];

#[test]
fn every_row_of_panoptes_table_selects_what_it_must() {
    let resources = table_resources();
    for (number, text, expected) in TABLE {
        assert_eq!(select(text, &resources), *expected, "row {number}: {text}");
    }
}

#[test]
fn the_shared_cases_select_what_they_must() {
    let read = |name: &str| -> Option<Vec<Value>> {
        let bytes = shared(&format!("panoptes/filter/{name}.json"))?;
        Some(serde_json::from_slice(&bytes).unwrap())
    };
    let (Some(resources), Some(cases)) = (read("resources"), read("cases")) else {
        return;
    };
    let resources: Vec<Resource> = resources
        .iter()
        .map(|resource| Resource::from_json(resource, &defaults()).unwrap())
        .collect();
    assert_eq!(cases.len(), 73);
    for case in &cases {
        // Parentheses are ours: `extension` is what they must select.
        let expected = case.get("extension").unwrap_or(&case["required"]);
        let expected = match expected {
            Value::Array(ids) => {
                let mut ids: Vec<&str> = ids.iter().map(|id| id.as_str().unwrap()).collect();
                ids.sort_unstable();
                ids.join(" ")
            }
            _ => String::from("refuse"),
        };
        assert_eq!(
            select(case["filter"].as_str().unwrap(), &resources),
            expected,
            "{case}"
        );
    }
}

// === Semantics beyond the table ===

#[test]
fn metadata_keys_compare_without_regard_to_case_on_both_sides() {
    let with_capitals = resource(&["r", "s", "c", "sc", "t", "e", "Make=Cisco"]);
    let resources = [with_capitals];
    assert_eq!(
        select(r#"resource_metadata.mAKE = "Cisco""#, &resources),
        "r"
    );
    assert_eq!(
        select(r#"resource_metadata.make != "Cisco""#, &resources),
        ""
    );
    assert_eq!(
        select(r#"NOT (resource_metadata.make = "x")"#, &resources),
        "r"
    );
    assert_eq!(
        select(r#"NOT (resource_metadata.none = "x")"#, &resources),
        "r"
    );
}

#[test]
fn escapes_and_line_breaks_between_tokens_are_read() {
    let filter: Filter = "resource_id\n=\n\"a\\t\\n\\f\\r\\\\\\\"\\x\""
        .parse()
        .unwrap();
    let Expression::Condition(Condition {
        test: Test::Equals(value),
        ..
    }) = filter.expression()
    else {
        panic!("{filter:?}");
    };
    assert_eq!(value, "a\t\n\u{c}\r\\\"x");
}

#[test]
fn a_rows_filter_speaks_of_dimensions_in_the_same_grammar() {
    let names = Vocabulary::dimensions(["interface_name", "in", "alias"]);
    let filter = |text: &str| Filter::parse(text, &names);
    let row = |name, alias| [Some(name), Some("x"), alias];
    let vlan = row("Vlan10", None);
    let uplink = row("Gi0/1", Some("uplink"));
    let check = |text: &str, expected: [bool; 2]| {
        let filter = filter(text).unwrap();
        let found = [
            filter.matches(&Values(&vlan)),
            filter.matches(&Values(&uplink)),
        ];
        assert_eq!(found, expected, "{text}");
        let mut table = InternedTable::new(&names, [&filter]);
        table.push(&Values(&vlan)).unwrap();
        table.push(&Values(&uplink)).unwrap();
        let mut compiled = table.compile(&filter).unwrap();
        let selected: Vec<usize> = compiled.matcher(&table).select().collect();
        let expected: Vec<usize> = (0..2).filter(|at| expected[*at]).collect();
        assert_eq!(selected, expected, "{text}");
    };
    check(r#"interface_name NOT LIKE "Vlan%""#, [false, true]);
    check(r#"alias != "down""#, [false, true]);
    check(r#"NOT (alias = "uplink")"#, [true, false]);
    check(r#"in IN ("x")"#, [true, true]);
    let error = filter(r#"resource_class = "network""#)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("fields are interface_name in alias"),
        "{error}"
    );
}

// === Errors ===

#[test]
fn an_error_points_at_the_place_and_says_what_to_write() {
    let error = "resource_class = \"a\"\n  AND resorce_site = \"b\""
        .parse::<Filter>()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2 column 7: unknown field resorce_site; did you mean resource_site?; fields are \
         resource_site resource_class resource_subclass resource_type resource_id \
         resource_endpoint resource_metadata.KEY\n    \
         AND resorce_site = \"b\"\n        ^"
    );
    let error = "resource_class = network".parse::<Filter>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1 column 18: found network, expected a text in double quotes; \
         did you mean \"network\"?\n  resource_class = network\n                   ^"
    );
}

/// Text, line and column of the place, part of the words.
const PROBLEMS: &[(&str, (usize, usize), &str)] = &[
    ("", (1, 1), "the filter is empty"),
    (" \n ", (1, 1), "the filter is empty"),
    ("resource_id = \"a", (1, 15), "close it with \""),
    ("resource_id = \"a\n\"", (1, 15), "close it with \""),
    ("resource_id = \"a\\", (1, 15), "close it with \""),
    (
        "resource_id = 'a'",
        (1, 15),
        "values stand in double quotes",
    ),
    (
        "resource_id > \"a\"",
        (1, 13),
        "comparisons are = != LIKE IN",
    ),
    ("resource_id = \"é\" && x", (1, 19), "write AND"),
    ("resource_id = \"a\" || x", (1, 19), "write OR"),
    ("!(resource_id = \"a\")", (1, 1), "NOT (…)"),
    ("resource_id = \"a\" # x", (1, 19), "no comments"),
    (
        "resource_id = \"a\" @",
        (1, 19),
        "'@' has no meaning here\n",
    ),
    (
        "resource_id",
        (1, 12),
        "found the end, expected = != LIKE IN",
    ),
    ("resource_id == \"a\"", (1, 14), "equality is written ="),
    (
        "resource_id NOT = \"a\"",
        (1, 17),
        "not equal is written !=",
    ),
    ("NOT resource_id = \"a\"", (1, 5), "as NOT (…)"),
    ("resource_id IN \"a\"", (1, 16), "a list is written IN"),
    (
        "resource_id IN (\"a\" \"b\")",
        (1, 21),
        "expected a comma or )",
    ),
    ("resource_id IN (\"a\",)", (1, 21), "expected a text"),
    (
        "resource_metadata = \"a\"",
        (1, 19),
        "expected a dot and a metadata key",
    ),
    (
        "resource_metadata. = \"a\"",
        (1, 20),
        "expected a metadata key",
    ),
    (
        "resource_metadata.é = \"a\"",
        (1, 19),
        "expected a metadata key",
    ),
    ("(resource_id = \"a\"", (1, 19), "expected AND, OR or )"),
    ("resource_id = \"a\")", (1, 18), "no ( is open here"),
    (
        "resource_id = \"a\" resource_id = \"b\"",
        (1, 19),
        "join two conditions",
    ),
    (
        "resource_id = \"a\" \"b\"",
        (1, 19),
        "expected AND, OR or the end",
    ),
    ("= \"a\"", (1, 1), "expected a field, ( or NOT ("),
];

#[test]
fn each_problem_happens_and_names_its_remedy() {
    let check = |text: &str, place: (usize, usize), expected: &str| {
        let error = text.parse::<Filter>().unwrap_err();
        assert_eq!((error.line, error.column), place, "{text}: {error}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    };
    for (text, place, expected) in PROBLEMS {
        check(text, *place, expected);
    }
    check(
        &" ".repeat(TEXT_BYTES_MAX + 1),
        (1, 1),
        "65536 is the limit",
    );
    check("resource_id liek \"a\"", (1, 13), "did you mean LIKE?");
    check("resource_id = \"a\" adn x", (1, 19), "did you mean AND?");
    let nested = |depth| {
        format!(
            "{}resource_id = \"a\"{}",
            "(".repeat(depth),
            ")".repeat(depth)
        )
    };
    assert!(nested(DEPTH_MAX).parse::<Filter>().is_ok());
    check(
        &nested(DEPTH_MAX + 1),
        (1, DEPTH_MAX + 1),
        "nested deeper than 64",
    );
    check(
        &"(".repeat(60_000),
        (1, DEPTH_MAX + 1),
        "nested deeper than 64",
    );
    let many = |count| vec!["resource_id = \"a\""; count].join(" OR ");
    assert!(many(CONDITIONS_MAX).parse::<Filter>().is_ok());
    check(
        &many(CONDITIONS_MAX + 1),
        (1, CONDITIONS_MAX * 21 + 1),
        "use IN for lists",
    );
}

#[test]
fn the_excerpt_of_a_long_line_stays_short() {
    let text = format!("resource_id IN ({}oops)", "\"x\", ".repeat(500));
    let error = text.parse::<Filter>().unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[1].chars().count() <= 2 + 60 + 40, "{error}");
    let caret = lines[2].chars().count() - 1;
    assert!(
        lines[1]
            .chars()
            .skip(caret)
            .collect::<String>()
            .starts_with("oops"),
        "{error}"
    );
}

#[test]
fn a_table_refuses_what_it_was_not_built_for() {
    let by_make: Filter = r#"resource_metadata.make = "x""#.parse().unwrap();
    let mut table = InternedTable::new(&Vocabulary::resource(), []);
    let error = table.compile(&by_make).unwrap_err();
    assert_eq!(error, TableError::NoColumn { key: "make".into() });
    let names = Vocabulary::dimensions(["a"]);
    let other = Filter::parse(r#"a = "x""#, &names).unwrap();
    let error = table.compile(&other).unwrap_err();
    assert!(matches!(error, TableError::OtherFields { .. }), "{error}");
}

#[test]
fn lists_without_parts_are_true_for_and_and_false_for_or() {
    let resources = table_resources();
    let (none, all) = (Expression::Or(vec![]), Expression::And(vec![]));
    let condition = r#"resource_id = "sw1""#.parse::<Filter>().unwrap().expression().clone();
    let check = |expression: Expression, expected: usize| {
        let filter = Filter::of_expression(expression, &Vocabulary::resource());
        let mut table = InternedTable::new(&Vocabulary::resource(), [&filter]);
        resources
            .iter()
            .for_each(|resource| table.push(resource).unwrap());
        let mut compiled = table.compile(&filter).unwrap();
        let matcher = compiled.matcher(&table);
        let single = (0..=resources.len())
            .filter(|row| matcher.matches(*row))
            .count();
        let naive = resources
            .iter()
            .filter(|resource| filter.matches(*resource))
            .count();
        assert_eq!(
            [matcher.select().count(), single, naive],
            [expected; 3],
            "{filter:?}"
        );
    };
    check(none.clone(), 0);
    check(all.clone(), 7);
    check(Expression::And(vec![none.clone(), condition.clone()]), 0);
    check(Expression::And(vec![all.clone(), condition.clone()]), 1);
    check(Expression::Or(vec![condition.clone(), all]), 7);
    check(Expression::Or(vec![condition, none]), 1);
}

#[test]
fn values_added_after_compiling_are_seen_by_like() {
    let filter: Filter = r#"resource_id LIKE "sw%""#.parse().unwrap();
    let mut table = InternedTable::new(&Vocabulary::resource(), [&filter]);
    let mut compiled = table.compile(&filter).unwrap();
    assert_eq!(compiled.matcher(&table).select().count(), 0);
    table_resources()
        .iter()
        .for_each(|resource| table.push(resource).unwrap());
    assert_eq!(
        compiled.matcher(&table).select().collect::<Vec<_>>(),
        [0, 1, 6]
    );
}

// === Explain ===

#[test]
fn explain_shows_each_verdict_and_marks_the_condition_that_decided() {
    let text = r#"resource_class = "network" AND (resource_site = "dc9"
        OR resource_metadata.make != "Cisco") AND resource_id = "sw1""#;
    let filter: Filter = text.parse().unwrap();
    let explanation = filter.explain(&table_resources()[3]);
    assert_eq!(
        explanation.to_string(),
        r#"does not match
  false  AND
  true     resource_class = "network"   found "network"
  false    OR
  false      resource_site = "dc9"   found "dc2"
  false      resource_metadata.make != "Cisco"   absent   <- decides
  false    resource_id = "sw1"   found "fw1""#
    );
    assert!(!explanation.nodes[5].was_read && explanation.nodes[4].was_read);
    let not: Filter = r#"NOT (resource_site = "dc9")"#.parse().unwrap();
    let explanation = not.explain(&table_resources()[0]);
    assert!(explanation.verdict && explanation.deciding().is_some_and(|node| !node.verdict));
}

// === Properties ===

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab%_]{0,4}", "[a-z \"\\\\\n\t\r\u{c}é%_()]{0,8}"]
}

fn any_condition() -> impl Strategy<Value = Expression> {
    let field = prop_oneof![
        (0usize..6).prop_map(Field::Plain),
        "[a-c_][a-c0-9_]{0,2}".prop_map(Field::Keyed),
    ];
    let test = prop_oneof![
        any_text().prop_map(Test::Equals),
        proptest::collection::vec(any_text(), 1..7).prop_map(Test::OneOf),
        any_text().prop_map(|text| Test::Like(Pattern::new(&text))),
    ];
    (field, any::<bool>(), test).prop_map(|(field, is_negated, test)| {
        Expression::Condition(Condition {
            field,
            is_negated,
            test,
        })
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let expression = any_condition().prop_recursive(5, 24, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            list.clone().prop_map(Expression::And),
            list.prop_map(Expression::Or),
            inner.prop_map(|part| Expression::Not(Box::new(part))),
        ]
    });
    expression.prop_map(|expression| Filter::of_expression(expression, &Vocabulary::resource()))
}

fn any_resource() -> impl Strategy<Value = Resource> {
    let metadata = proptest::collection::btree_map("[a-cA-C]", "[ab]{1,3}", 0..3);
    (proptest::array::uniform6("[ab]{1,3}"), metadata).prop_map(|(texts, metadata)| {
        let [site, class, subclass, kind, id, endpoint] = texts.each_ref().map(String::as_str);
        let metadata: Vec<String> = metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
        resource(&[
            id,
            site,
            class,
            subclass,
            kind,
            endpoint,
            &metadata.join(" "),
        ])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_printed_filter_parses_to_itself(filter in any_filter()) {
        let text = filter.to_string();
        let parsed = text.parse::<Filter>();
        prop_assert_eq!(parsed.as_ref(), Ok(&filter), "{}", text);
        let json = serde_json::to_string(&filter).unwrap();
        prop_assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
    }

    #[test]
    fn compiled_evaluation_equals_the_naive_one(
        filters in proptest::collection::vec(any_filter(), 1..4),
        resources in proptest::collection::vec(any_resource(), 1..150),
    ) {
        let mut table = InternedTable::new(&Vocabulary::resource(), &filters);
        let mut compiled: Vec<Compiled> =
            filters.iter().map(|filter| table.compile(filter).unwrap()).collect();
        resources.iter().for_each(|resource| table.push(resource).unwrap());
        for (filter, compiled) in filters.iter().zip(&mut compiled) {
            let matcher = compiled.matcher(&table);
            let selected: Vec<usize> = matcher.select().collect();
            for (row, resource) in resources.iter().enumerate() {
                prop_assert_eq!(selected.contains(&row), filter.matches(resource), "{}", filter);
                let explanation = filter.explain(resource);
                prop_assert_eq!(matcher.matches(row), filter.matches(resource), "{}", filter);
                prop_assert_eq!(explanation.verdict, filter.matches(resource), "{}", filter);
                let deciding = explanation.nodes.iter().filter(|node| node.is_deciding).count();
                prop_assert_eq!(deciding, 1);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(
        text in prop_oneof![
            "\\PC{0,60}",
            "(resource_(id|metadata)|not|and|or|in|like|[=!.,()\"' \\\\a]){0,30}",
        ]
    ) {
        if let Ok(filter) = text.parse::<Filter>() {
            prop_assert_eq!(filter.to_string().parse::<Filter>(), Ok(filter));
        }
    }
}
