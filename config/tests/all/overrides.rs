//! `--set` and `OCELLI_SET_…`: what may be set from outside, and what the errors never show.

use ocelli_config::{OverrideError, override_of_option, overrides_of_environment};

#[test]
fn only_keys_of_single_sections_can_be_set() {
    let check = |option: &str, part: &str| {
        let error = override_of_option(option).unwrap_err().to_string();
        assert!(error.contains(part), "{option}: {error}");
        assert!(!error.contains("CANARY"), "{error}");
    };
    check("node.name", "has no value");
    check("node.nam=CANARY", "did you mean node.name?");
    check("zzz=CANARY", "config reference");
    check("credentials.snmp.community=CANARY", "would show a secret");
    check("polling.every=CANARY", "array table");
    check("device.every=1s", "array table");
    assert!(override_of_option("bus.retention=1h").is_ok());
}

#[test]
fn a_variable_sets_the_key_that_it_names() {
    let set = |name: &str| overrides_of_environment([(name.to_owned(), "x".to_owned())]);
    assert_eq!(
        set("OCELLI_SET_NODE_DATA_DIR").unwrap()[0].text,
        "node.data_dir = \"x\"\n"
    );
    assert_eq!(set("OCELLI_URL").unwrap(), []);
    let error = set("OCELLI_SET_NODE_SIDE").unwrap_err().to_string();
    assert!(
        error.contains("did you mean OCELLI_SET_NODE_SITE?"),
        "{error}"
    );
    let error = set("OCELLI_SET_CREDENTIALS_SNMP").unwrap_err();
    assert!(matches!(error, OverrideError::Secret { .. }), "{error}");
}
