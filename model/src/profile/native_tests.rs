//! The native dialect: each fault with its code, place and key path.
//!
//! Does: check the documented behaviour. Does not: read files or ask devices.
//! In: a sound profile with one change. Out: findings as printed.

use super::*;

/// A sound profile with one line put in the place of another.
fn changed(from: &str, to: &str) -> String {
    const SOUND: &str = "\
ocelli: 1
name: sound
groups:
  - name: port
    interval: 30s
    scalars: {uptime: 1.3.6.1.2.1.1.3.0}
    table:
      index: [{ifIndex: int}]
      columns:
        name: 1.3.6.1.2.1.31.1.1.1.1
        octets: {oid: 1.3.6.1.2.1.31.1.1.1.6, counts: octets}
        mac: {oid: 1.3.6.1.2.1.2.2.1.6, format: mac_address, when: missing(name)}
      let: {twice: octets * 2}
      rows: present(name)
      dimensions:
        - {name: port, identity: [name, mac], key: true}
        - {name: kind, of: octets, map: {1: one, 2: two}}
      counters: {bits: {expr: octets * 8, unit: bit}}
      gauges: {age: uptime}
      missing: {value: -1, text: <not set>}
";
    assert!(SOUND.contains(from), "{from:?} is not in the sound profile");
    SOUND.replacen(from, to, 1)
}

#[test]
fn a_sound_profile_is_read() {
    let profile = NativeProfile::parse("sound.yaml", &changed("sound", "sound")).unwrap();
    assert_eq!(profile.name(), "sound");
    let group = &profile.groups[0];
    assert_eq!((group.interval_ms, group.columns.len()), (30_000, 3));
    assert_eq!(group.columns[2].format, Format::MacAddress);
    assert_eq!(group.columns[1].bits_per_unit, 8);
    let placeholder = MissingPlan::Placeholder {
        value: -1.0,
        text: "<not set>".into(),
    };
    assert_eq!(group.missing, placeholder);
}

/// The sound profile with `from` replaced by `to` has a fault that shows as `expected`.
fn check(from: &str, to: &str, expected: &str) {
    let faults = NativeProfile::parse("p.yaml", &changed(from, to)).unwrap_err();
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(
        shown.iter().any(|shown| shown.contains(expected)),
        "{from:?}: {shown:#?}"
    );
}

#[test]
fn each_fault_of_the_frame_is_reported_with_code_place_and_path() {
    check(
        "ocelli: 1",
        "ocelli: 2",
        "p.yaml:1:9: error P011: ocelli: version \"2\"",
    );
    check("ocelli: 1\n", "", "P010: the key \"ocelli\" is missing");
    check(
        "name: sound",
        "name: 7",
        "p.yaml:2:7: error P008: name: \"7\" is no name",
    );
    check(
        "name: sound",
        "name: true",
        "P008: name: true is no text to YAML; put it in quotes",
    );
    check(
        "name: sound",
        "name: [a]",
        "P011: name: is a list; a name belongs here",
    );
    check(
        "groups:",
        "grups:",
        "P003: unknown key \"grups\"; did you mean groups?",
    );
    check(
        "rows: present",
        "metricz: present",
        "p.yaml:14:7: error P003: groups[0].table: unknown key",
    );
    check(
        "interval: 30s",
        "interval: soon",
        "p.yaml:5:15: error P011: groups[0].interval",
    );
    check("interval: 30s", "interval: 0s", "P009");
    check(
        "interval: 30s",
        "interval: 30s\n    interval: 40s",
        "p.yaml:6:5: error P002: groups[0]",
    );
}

#[test]
fn each_fault_of_columns_and_metrics_is_reported_with_code_place_and_path() {
    check(
        "[{ifIndex: int}]",
        "[{ifIndex: text}]",
        "P011: groups[0].table.index[0]: index field",
    );
    check(
        "[{ifIndex: int}]",
        "[{a: int, b: int}]",
        "an index field is one pair",
    );
    check(
        "1.3.6.1.2.1.31.1.1.1.1\n",
        "1.3.x\n",
        "p.yaml:10:15: error P012",
    );
    check(
        "counts: octets",
        "counts: apples",
        "P011: groups[0].table.columns.octets.counts",
    );
    check(
        "format: mac_address",
        "format: [1]",
        "is a list; one value belongs here",
    );
    check(
        "oid: 1.3.6.1.2.1.2.2.1.6, ",
        "",
        "P010: groups[0].table.columns.mac: the key \"oid\"",
    );
    check(
        "        name: 1",
        "        1st: 1",
        "P008: groups[0].table.columns.1st",
    );
    check("octets * 2", "octets * ", "P015: groups[0].table.let.twice");
    check(
        "twice: octets * 2",
        "twice: \"a $ 2\"",
        "p.yaml:13:23: error P015",
    );
    check("of: octets, ", "", "needs either `of` or `identity`");
    check(
        "of: octets, ",
        "of: octets, identity: [name], ",
        "needs either",
    );
    check(
        "key: true",
        "key: perhaps",
        "\"perhaps\" is neither true nor false",
    );
    check("{1: one, 2: two}", "{one: 1}", "\"one\" is no whole number");
    check("value: -1", "value: none", "\"none\" is no number");
    check(
        "{value: -1, text: <not set>}",
        "never",
        "\"never\" is none of skip",
    );
    check("name: sound", "name: &a sound", "P007");
    check(
        "  - name: port",
        "  - nam: port",
        "P010: groups[0]: the key \"name\"",
    );
}

#[test]
fn all_faults_of_a_file_are_reported_in_its_order() {
    let text = "ocelli: 1\nname: 5\ncolour: red\ngroups: []\n";
    let faults = NativeProfile::parse("p.yaml", text).unwrap_err();
    let codes: Vec<_> = faults
        .iter()
        .map(|fault| (fault.code, fault.place.line))
        .collect();
    assert_eq!(
        codes,
        [(Code::Missing, 1), (Code::Name, 2), (Code::UnknownKey, 3)]
    );
    let text = "- 1\n";
    let faults = NativeProfile::parse("p.yaml", text).unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "p.yaml:1:1: error P011: is a list; a mapping belongs here"
    );
}

proptest::proptest! {
    #[test]
    fn no_damage_to_a_profile_panics(
        at in 0usize..700, with in "[-:{}\\[\\]a1 \n]{0,3}", cut in 0usize..9
    ) {
        let text = changed("sound", "sound");
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        let damaged = format!("{}{with}{}", &text[..at], &text[end..]);
        if let Ok(profile) = NativeProfile::parse("p.yaml", &damaged) {
            let maps = std::collections::BTreeMap::new();
            let context = crate::profile::LowerContext { every_ms: 60_000, maps: &maps };
            drop(profile.lower(&context));
        }
    }
}
