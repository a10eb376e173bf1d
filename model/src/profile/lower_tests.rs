//! Lowering: sources and choices of counters, walks, intervals, and each refusal.
//!
//! Does: check the documented behaviour. Does not: read files or ask devices.
//! In: profiles in place. Out: plans, schemas, findings.

use super::*;
use crate::profile::{DimensionValue, Input};

fn lower(text: &str, every_ms: u32) -> Result<Profile, Vec<Diagnostic>> {
    let maps = BTreeMap::from([("if_type".to_owned(), Arc::new(ValueMap::new()))]);
    let profile = NativeProfile::parse("p.yaml", text).unwrap();
    profile.lower(&LowerContext {
        every_ms,
        maps: &maps,
    })
}

/// One group with these lines below `table:`.
fn group(table: &str) -> String {
    format!(
        "ocelli: 1\nname: p\ngroups:\n  - name: g\n    table:\n      columns: {{hc: 1.3.1.1.6, \
         low: 1.3.2.1.10, up: 1.3.1.1.1, late: {{oid: 1.3.2.1.9, when: missing(up)}}}}\n{table}"
    )
}

#[test]
fn counters_become_sources_choices_and_sums() {
    let text = group(
        "      let: {fast: up > 1, any: \"hc ?? (fast ? missing : low)\"}\n      counters: {bits: \
         any * 8, plain: hc ?? low, sum: bits + plain * 2, guarded: 'up > 2 ? low : hc'}\n",
    );
    let profile = lower(&text, 60_000).unwrap();
    let rates = &profile.rates.groups[0];
    let choice = |sources: &[u16]| crate::rate::SourceChoice {
        sources: sources.to_vec(),
        bits_per_unit: 0,
    };
    // Sources: hc, low while not fast, low, low while up > 2, hc while not.
    assert_eq!(
        rates.choices,
        [choice(&[0, 1]), choice(&[0, 2]), choice(&[3, 4])]
    );
    let terms: Vec<_> = rates
        .counters
        .iter()
        .map(|counter| counter.terms.clone())
        .collect();
    let expected = [
        vec![(8, 0)],
        vec![(1, 1)],
        vec![(8, 0), (2, 1)],
        vec![(1, 2)],
    ];
    assert_eq!(terms, expected);
    let sources = &profile.plan.groups[0].sources;
    let shape: Vec<_> = sources
        .iter()
        .map(|source| (source.column, source.guards.len()))
        .collect();
    assert_eq!(shape, [(0, 0), (1, 1), (1, 0), (1, 1), (0, 1)]);
}

/// One fault at least of this table says so.
fn check_refused(table: &str, expected: &str) {
    let faults = lower(&group(table), 60_000).unwrap_err();
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(
        shown.iter().any(|shown| shown.contains(expected)),
        "{table}: {shown:#?}"
    );
}

#[test]
fn counters_that_are_not_linear_are_refused() {
    let counter = |expression: &str, expected: &str| {
        let table = format!("      counters: {{c: \"{expression}\"}}\n");
        check_refused(&table, expected);
    };
    counter(
        "hc * low",
        "P017: groups[0].table.counters.c: a product of two columns",
    );
    counter("hc / 2", "a sum of columns");
    counter("hc - low", "a sum of columns");
    counter("hc + 1", "a constant is no counter");
    counter("hc * 1.5", "the factor 1.5");
    counter("hc * 1000 * 1000 * 1000", "the factors together");
    counter("missing", "always missing");
    counter("(hc * 2) ?? low", "single columns of one factor");
    counter("(hc + low) ?? low", "single columns of one factor");
    counter("hcc", "\"hcc\" is no column, `let` or counter above");
    counter(&["hc"; 9].join(" ?? "), "9 alternatives");
    counter(&["hc"; 65].join(" + "), "a sum of 65 columns");
    counter("nope > 1 ? hc : low", "P016");
}

#[test]
fn what_is_not_known_is_refused() {
    let check = check_refused;
    check(
        "      gauges: {g: hcc}\n",
        "P016: groups[0].table.gauges.g: \"hcc\" is no column",
    );
    check(
        "      let: {a: b, b: hc}\n",
        "P016: groups[0].table.let.a: \"b\" is no column",
    );
    // Those behind a faulty one are not taken for others: here `next` would read itself.
    check(
        "      let: {bad: nope, next: bad + hc, last: next}\n      dimensions: [{name: d, of: \
         last, key: true}]\n",
        "P016: groups[0].table.let.bad: \"nope\" is no column",
    );
    check(
        "      let: {hc: low}\n",
        "P008: groups[0].table.let.hc: the name \"hc\" has another",
    );
    check(
        "      dimensions: [{name: d, of: hc, map: if_tipe}]\n",
        "did you mean if_type?",
    );
    check(
        "      dimensions: [{name: d, identity: [hc]}]\n",
        "must have `key: true`",
    );
    check(
        "      dimensions: [{name: d, identity: [], key: true}]\n",
        "names no column",
    );
    check(
        "      dimensions: [{name: d, identity: [x], key: true}]\n",
        "\"x\" is no column",
    );
    check(
        "      gauges: {g: hc}\n      dimensions: [{name: d, of: hc}, {name: d, of: low}]\n",
        "P019",
    );
    let lets: String = (0..=LETS).map(|at| format!("a{at}: hc, ")).collect();
    check(&format!("      let: {{{lets}}}\n"), "P009");
    let facts: Vec<_> = (0..17).map(|at| format!("enrich.ns.k{at}")).collect();
    check(
        &format!("      gauges: {{g: {}}}\n", facts.join(" ?? ")),
        "P016",
    );
}

const LETS: usize = crate::profile::LETS_MAX;

#[test]
fn a_condition_may_not_read_what_has_one_itself() {
    let text = "ocelli: 1\nname: p\ngroups:\n  - name: g\n    table:\n      columns: {a: {oid: \
                1.3.1, \
                when: b}, b: {oid: 1.3.2, when: c}, c: 1.3.3}\n      gauges: {x: a}\n";
    let faults = lower(text, 1_000).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0]
            .message
            .contains("`when` may read only columns without")
    );
}

#[test]
fn walks_hold_the_columns_of_one_table_and_late_ones_come_last() {
    let profile = lower(&group("      gauges: {g: hc}\n"), 60_000).unwrap();
    let walks: Vec<_> = profile.plan.groups[0]
        .walks
        .iter()
        .map(|walk| (walk.key.to_string(), walk.columns.clone(), walk.is_late))
        .collect();
    let expected = [
        ("1.3.1.1".to_owned(), vec![2, 0], false),
        ("1.3.2.1".to_owned(), vec![1], false),
        ("1.3.2.1".to_owned(), vec![3], true),
    ];
    assert_eq!(walks, expected);
}

#[test]
fn what_rows_are_named_by_is_walked_first() {
    let text = "ocelli: 1\nname: p\ngroups:\n  - name: g\n    table:\n      index: [{i: \
                int}]\n      columns: {early: 1.3.1.1.1, name: 1.3.2.1.1, kind: 1.3.3.1.1}\n      \
                rows: present(kind)\n      dimensions: [{name: n, identity: [name], key: true}]\n\
                \x20     gauges: {g: early}\n";
    let profile = lower(text, 60_000).unwrap();
    let keys: Vec<_> = profile.plan.groups[0]
        .walks
        .iter()
        .map(|walk| walk.key.to_string())
        .collect();
    assert_eq!(keys, ["1.3.2.1", "1.3.3.1", "1.3.1.1"]);
}

#[test]
fn wide_tables_are_walked_in_parts_of_equal_size() {
    let columns: String = (1..=26).map(|at| format!("c{at}: 1.3.{at}, ")).collect();
    let text = format!(
        "ocelli: 1\nname: p\ngroups:\n  - name: g\n    table:\n      columns: {{{columns}}}\n      \
         gauges: {{g: c1}}\n"
    );
    let profile = lower(&text, 60_000).unwrap();
    let sizes: Vec<_> = profile.plan.groups[0]
        .walks
        .iter()
        .map(|walk| walk.columns.len())
        .collect();
    assert_eq!(sizes, [13, 13]);
}

#[test]
fn groups_are_read_in_each_nth_slot() {
    let text = "ocelli: 1\nname: p\ngroups:\n  - {name: slow, interval: 150s, table: {columns: {a: \
                1.3.1}, gauges: {x: a}}}\n  - {name: fast, interval: 30s, table: {columns: {a: \
                1.3.1}, gauges: {x: interval_s}}}\n";
    let check = |every_ms: u32, expected: [(&str, u32, u32); 2]| {
        let profile = lower(text, every_ms).unwrap();
        let groups = profile.plan.groups.iter().zip(&profile.schema.groups);
        let found: Vec<_> = groups
            .map(|(plan, schema)| (plan.name.as_str(), plan.every_nth, schema.interval_ms))
            .collect();
        assert_eq!(found, expected);
    };
    check(60_000, [("fast", 1, 60_000), ("slow", 3, 180_000)]);
    check(30_000, [("fast", 1, 30_000), ("slow", 5, 150_000)]);
    // The fastest group is read in every slot, however often that is.
    check(10_000, [("fast", 1, 10_000), ("slow", 15, 150_000)]);
}

#[test]
fn key_dimensions_come_first() {
    let table = "      dimensions: [{name: a, of: low}, {name: k, identity: [up], key: true}]\n\
                 \x20     \
                 gauges: {g: hc}\n";
    let profile = lower(&group(table), 60_000).unwrap();
    let schema = &profile.schema.groups[0];
    assert_eq!(
        (schema.dimensions[0].name.as_str(), schema.key_len()),
        ("k", 1)
    );
    let first = &profile.plan.groups[0].dimensions[0].value;
    assert_eq!(*first, DimensionValue::Identity(vec![Input::Column(2)]));
}
