//! Differences, effective settings, showing and the reference.

use std::fs;
use std::path::Path;

use ocelli_config::{device_settings, difference, effective, reference, reference_markdown, show};

use crate::{EXAMPLE, read_files};

// === Difference ===

#[test]
fn a_configuration_does_not_differ_from_itself() {
    let config = read_files(&[EXAMPLE]).unwrap().config;
    assert!(difference(&config, &config.clone()).is_empty());
}

#[test]
fn each_change_is_told_by_section_item_and_key() {
    let old = read_files(&[EXAMPLE]).unwrap().config;
    let check = |from: &str, to: &str, expected: &[&str]| {
        assert!(EXAMPLE.contains(from), "{from}");
        let new = read_files(&[&EXAMPLE.replacen(from, to, 1)])
            .unwrap()
            .config;
        let told = difference(&old, &new);
        let lines: Vec<String> = told.changes.iter().map(ToString::to_string).collect();
        assert_eq!(lines, expected, "{from} -> {to}");
    };
    check(
        "in_flight = 1",
        "in_flight = 2",
        &["~ snmp.in_flight: 1 -> 2"],
    );
    check(
        "quic = \"[::]:7700\"",
        "",
        &["~ listen.quic: \"[::]:7700\" -> unset"],
    );
    check(
        "every = \"60s\"",
        "every = \"30s\"",
        &["~ polling \"interfaces\": every"],
    );
    check(
        "name = \"cmdb\"",
        "name = \"db\"",
        &["- discovery \"cmdb\"", "+ discovery \"db\""],
    );
    check(
        "every = \"2m\"",
        "every = \"3m\"",
        &["~ device number 1: every"],
    );
    check("OCELLI_PRIV", "OTHER", &["~ credentials.snmp \"v3\": priv"]);
}

#[test]
fn a_changed_secret_is_a_change_and_stays_hidden() {
    let text = |community: &str| {
        format!("[[credentials.snmp]]\nname = \"c\"\nversion = \"2c\"\ncommunity = {community:?}")
    };
    let old = read_files(&[&text("one-canary")]).unwrap().config;
    let new = read_files(&[&text("two-canary")]).unwrap().config;
    let told = difference(&old, &new);
    assert_eq!(
        told.changes[0].to_string(),
        "~ credentials.snmp \"c\": community"
    );
    assert!(!format!("{told:?}").contains("canary"));
}

#[test]
fn another_order_of_the_same_items_is_a_change() {
    let item = |name: &str| format!("[[polling]]\nname = {name:?}\nkind = \"host\"\n");
    let old = read_files(&[&item("a"), &item("b")]).unwrap().config;
    let new = read_files(&[&item("b"), &item("a")]).unwrap().config;
    assert_eq!(
        difference(&old, &new).changes[0].to_string(),
        "~ polling: another order"
    );
}

#[test]
fn listeners_and_the_data_directory_need_a_restart() {
    let old = read_files(&[""]).unwrap().config;
    let new = "[node]\ndata_dir = \"/x\"\nlabels = { a = \"b\" }\n[listen]\nhttp = \"[::1]:0\"\n\
               [snmp]\nretries = 0";
    let told = difference(&old, &read_files(&[new]).unwrap().config);
    let restart: Vec<&str> = told.needs_restart().collect();
    assert_eq!(restart, ["node.data_dir", "listen.http"]);
    assert_eq!(told.changes.len(), 4);
}

// === Effective settings ===

#[test]
fn later_device_entries_win_key_by_key() {
    let text = "[snmp]\nretries = 1\n\
                [[device]]\nfilter = 'resource_id = \"a\"'\nretries = 4\ntimeout = \"1s\"\n\
                [[device]]\nfilter = 'resource_site = \"s\"'\nretries = 5\nevery = \"2m\"\n\
                [[device]]\nfilter = 'resource_id = \"other\"'\nretries = 6\n\
                [[polling]]\nname = \"p\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n";
    let loaded = read_files(&[text]).unwrap();
    let is_match = |filter: &ocelli_model::filter::Filter| !filter.to_string().contains("other");
    let settings = device_settings(&loaded.config, is_match);
    assert_eq!(settings.snmp.retries.get(), 5);
    assert_eq!(settings.snmp.timeout.get().as_secs(), 1);
    assert!(settings.is_timeout_overridden && !settings.is_port_overridden);
    assert_eq!(settings.every_of(&loaded.config.pollings[0]).as_secs(), 120);
    let values = effective(&loaded, is_match);
    let line_of = |key: &str| {
        let value = values.iter().find(|value| value.key == key).expect(key);
        (
            value.value.as_str(),
            value.place.as_ref().map(|place| place.line),
        )
    };
    assert_eq!(line_of("snmp.retries"), ("5", Some(9)));
    assert_eq!(line_of("snmp.timeout"), ("\"1s\"", Some(6)));
    assert_eq!(line_of("snmp.port"), ("161", None));
    assert_eq!(line_of("polling \"p\" every"), ("\"2m\"", Some(10)));
    assert_eq!(
        line_of("polling \"p\" profile"),
        ("\"interfaces\"", Some(17))
    );
}

#[test]
fn the_first_credential_that_fits_is_shown_without_its_secret() {
    let loaded = read_files(&[EXAMPLE]).unwrap();
    let values = effective(&loaded, |_| true);
    let of = |key: &str| {
        values
            .iter()
            .find(|value| value.key == key)
            .map(|v| v.value.as_str())
    };
    assert_eq!(of("credential user"), Some("\"monitor\""));
    assert_eq!(
        of("credential priv"),
        Some("{ protocol = \"AES-128\", secret = { env = \"OCELLI_PRIV\" } }")
    );
    assert!(
        effective(&loaded, |_| false)
            .iter()
            .all(|value| !value.key.contains("credential"))
    );
}

#[test]
fn what_is_shown_reads_back_as_the_same_configuration() {
    let config = read_files(&[EXAMPLE]).unwrap().config;
    let mut text = String::new();
    for section in show(&config) {
        text.push_str(&format!("{}\n", section.title));
        for (key, value) in section.values {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    let again = read_files(&[&text])
        .unwrap_or_else(|error| panic!("{text}\n{error}"))
        .config;
    assert!(difference(&config, &again).is_empty(), "{text}");
}

// === The reference ===

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config-reference.md");
    let page = reference_markdown();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/config-reference.md is stale: run with UPDATE_GOLDEN=1"
    );
}

#[test]
fn every_key_of_the_reference_says_what_it_does() {
    for section in reference() {
        assert!(!section.doc.is_empty(), "{}", section.title);
        for field in section.fields {
            assert!(field.doc.len() > 8 && field.doc.ends_with('.'), "{field:?}");
            assert!(!(field.is_required && field.default.is_some()), "{field:?}");
        }
    }
}
