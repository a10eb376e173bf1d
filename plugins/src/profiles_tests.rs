//! Built-in and own profiles, and the names of `ifType`.
//!
//! Does: check loading and each error. Does not: poll.
//! In: the compiled-in files, a temporary directory. Out: lowered profiles or texts of errors.

use super::*;

#[test]
fn the_interfaces_profile_has_panoptes_metrics_and_dimensions() {
    let profile = ProfileLibrary::built_in()
        .load("interfaces", 60_000)
        .unwrap();
    let group = &profile.schema.groups[0];
    let metrics = group.counters.len() + group.gauges.len();
    assert_eq!(
        (group.name.as_str(), metrics, group.dimensions.len()),
        ("interface", 22, 10)
    );
    assert_eq!(
        (group.key_len(), group.dimensions[0].name.as_str()),
        (1, "interface_name")
    );
    let walks = &profile.plan.groups[0].walks;
    let columns: Vec<_> = walks
        .iter()
        .map(|walk| (walk.columns.len(), walk.is_late))
        .collect();
    assert_eq!(
        columns,
        [(13, false), (8, false), (8, false), (3, false), (2, true)]
    );
}

#[test]
fn a_profile_that_cannot_be_had_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let library = ProfileLibrary::with_directory(directory.path().to_owned());
    let check = |library: &ProfileLibrary, name: &str, expected: &str| {
        let error = library.load(name, 60_000).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    };
    check(
        &library,
        "interface",
        "did you mean interfaces?; built in: interfaces",
    );
    check(&library, "./none.yaml", "cannot read profile");
    std::fs::write(
        directory.path().join("mine.ocelli.yaml"),
        "ocelli: 1\nname: 5\n",
    )
    .unwrap();
    check(&library, "mine", "mine.ocelli.yaml:2:7: error P008");
    let text = "ocelli: 1\nname: p\ngroups: [{name: g, table: {gauges: {a: b}}}]\n";
    std::fs::write(directory.path().join("unknown.yaml"), text).unwrap();
    check(&library, "unknown.yaml", "P016");
    let large = std::fs::File::create(directory.path().join("large.yaml")).unwrap();
    large.set_len(FILE_BYTES_MAX + 1).unwrap();
    check(&library, "large.yaml", "is the limit");
}

#[test]
fn an_own_profile_goes_before_a_built_in_one() {
    let directory = tempfile::tempdir().unwrap();
    let text = "ocelli: 1\nname: mine\ngroups: [{name: g, table: {columns: {a: 1.3.1}, gauges: \
                {a: a}}}]\n";
    std::fs::write(directory.path().join("interfaces.ocelli.yaml"), text).unwrap();
    let library = ProfileLibrary::with_directory(directory.path().to_owned());
    assert_eq!(
        library.load("interfaces", 1_000).unwrap().plan.profile,
        "mine"
    );
}

#[test]
fn names_of_interface_types_are_those_of_panoptes() {
    let Some(root) = crate::testing::shared_data("panoptes/metrics/iftype_names.json") else {
        return;
    };
    let text = std::fs::read_to_string(root).unwrap();
    let expected: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let found: BTreeMap<String, String> = if_types()
        .iter()
        .map(|(number, name)| (number.to_string(), name.to_string()))
        .collect();
    assert_eq!(found, expected);
}
