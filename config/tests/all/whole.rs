//! Whole configurations: what is taken, what is parked, how sources join.

use ocelli_config::{LoadOptions, Source, SourceKind, Sources, load, override_of_option};

use crate::{EXAMPLE, OPTIONS, read_files, sources_of};

#[test]
fn the_example_of_the_design_is_read_whole() {
    let options = LoadOptions {
        is_strict: true,
        ..OPTIONS
    };
    let loaded = load(sources_of(&[EXAMPLE]), options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.parked, []);
    assert_eq!(loaded.warnings, []);
    let config = &loaded.config;
    assert_eq!(config.node.site.as_str(), "dc1");
    assert_eq!(config.node.name.as_str(), "host1");
    assert_eq!(config.devices[0].every.unwrap().get().as_secs(), 120);
    let names: Vec<&str> = config
        .discoveries
        .iter()
        .map(|item| item.name().as_str())
        .collect();
    assert_eq!(names, ["cmdb", "by-hand"]);
    assert_eq!(config.pollings[0].tags().as_map()["team"], "backbone");
    assert_eq!(config.snmp_credentials.len(), 1);
    assert_eq!(loaded.place_of("snmp.timeout").unwrap().line, 15);
    assert_eq!(loaded.place_of("snmp.retries"), None);
    assert_eq!(loaded.place_of("node.name"), None);
}

#[test]
fn an_empty_configuration_is_all_defaults() {
    let config = read_files(&[""]).unwrap().config;
    assert_eq!(config.listen.http.to_string(), "127.0.0.1:7780");
    assert_eq!(config.bus.retention.get().as_secs(), 6 * 3_600);
    assert_eq!(config.node.memory_max.bytes(), 1 << 30);
    assert_eq!(config.snmp.port.get(), 161);
}

#[test]
fn a_bad_item_is_parked_and_the_rest_runs() {
    let text = "[[polling]]\nname = \"good\"\nkind = \"host\"\n\
                [[polling]]\nname = \"bad\"\nkind = \"snmp\"\n\
                [[polling]]\nname = \"fine\"\nkind = \"host\"\n";
    let loaded = read_files(&[text]).unwrap();
    let names: Vec<&str> = loaded
        .config
        .pollings
        .iter()
        .map(|item| item.name().as_str())
        .collect();
    assert_eq!(names, ["good", "fine"]);
    let [parked] = loaded.parked.as_slice() else {
        panic!("{:?}", loaded.parked)
    };
    assert_eq!(parked.name.as_deref(), Some("bad"));
    assert_eq!(parked.number, 2);
    assert_eq!(parked.problems[0].place.line, 4);
    assert_eq!(
        parked.to_string(),
        "[[polling]] number 2 (\"bad\") is parked; 1 is wrong"
    );
    assert_eq!(loaded.place_of("polling[1].name").unwrap().line, 8);
}

#[test]
fn a_bad_static_resource_is_parked_and_its_neighbours_stay() {
    let text = "[[discovery]]\nname = \"a\"\nkind = \"static\"\n\
                [[discovery.resource]]\nendpoint = \"10.0.0.1\"\n\
                [[discovery.resource]]\nendpoint = \"10.0.0.2:x\"\n";
    let loaded = read_files(&[text]).unwrap();
    let ocelli_config::sections::discovery::DiscoveryConfig::Static(discovery) =
        &loaded.config.discoveries[0]
    else {
        panic!("not static")
    };
    assert_eq!(discovery.resources.len(), 1);
    assert_eq!(loaded.parked[0].section, "[[discovery.resource]]");
    assert_eq!(loaded.parked[0].problems[0].place.line, 7);
}

#[test]
fn files_append_array_tables_and_join_sections() {
    let polling = |name| format!("[[polling]]\nname = \"{name}\"\nkind = \"host\"\n");
    let one = format!("[node]\nsite = \"a\"\n{}", polling("one"));
    let two = format!("[node]\nname = \"n\"\n{}", polling("two"));
    let config = read_files(&[&one, &two]).unwrap().config;
    assert_eq!(
        (config.node.site.as_str(), config.node.name.as_str()),
        ("a", "n")
    );
    assert_eq!(config.pollings.len(), 2);
}

#[test]
fn a_key_set_by_two_files_names_both_places() {
    let invalid = read_files(&["[node]\nsite = \"a\"", "\n[node]\nsite = \"b\""]).unwrap_err();
    let text = invalid.to_string();
    assert!(text.contains("/etc/ocelli/1.toml:3:1"), "{text}");
    assert!(text.contains("first at /etc/ocelli/0.toml:2:1"), "{text}");
}

#[test]
fn a_plain_value_against_a_table_of_another_file_is_refused() {
    assert!(read_files(&["node = 1", "[node]\nsite = \"b\""]).is_err());
}

#[test]
fn overrides_win_over_files_and_the_last_over_the_first() {
    let mut sources = sources_of(&["[node]\nsite = \"file\"\n[snmp]\nretries = 1"]);
    let variables = [("OCELLI_SET_NODE_SITE".to_owned(), "env".to_owned())];
    for source in ocelli_config::overrides_of_environment(variables).unwrap() {
        sources.push(source);
    }
    let site = |sources: &Sources| {
        let loaded = load(sources.clone(), OPTIONS).unwrap_or_else(|error| panic!("{error}"));
        let place = loaded.place_of("node.site").unwrap().file.clone();
        (loaded.config.node.site.to_string(), place)
    };
    assert_eq!(
        site(&sources),
        ("env".to_owned(), "OCELLI_SET_NODE_SITE".to_owned())
    );
    for option in [
        "node.site=first",
        "node.site=second",
        "snmp.retries=7",
        "node.labels.a=b",
    ] {
        sources.push(override_of_option(option).unwrap());
    }
    assert_eq!(site(&sources), ("second".to_owned(), "--set".to_owned()));
    let config = load(sources, OPTIONS).unwrap().config;
    assert_eq!(config.snmp.retries.get(), 7);
    assert_eq!(config.node.labels["a"], "b");
}

#[test]
fn a_value_of_an_override_cannot_smuggle_lines_in() {
    let source = override_of_option("node.site=\"a\"\nnode.tier = \"region\"").unwrap();
    let mut sources = sources_of(&[""]);
    sources.push(source);
    assert!(
        load(sources, OPTIONS).is_err(),
        "the control character is refused as part of a name"
    );
}

#[test]
fn relative_paths_count_from_the_file_that_they_stand_in() {
    let mut sources = sources_of(&["[node]\ndata_dir = \"data\""]);
    assert_eq!(
        load(sources.clone(), OPTIONS).unwrap().config.node.data_dir,
        std::path::Path::new("/etc/ocelli/data")
    );
    sources.push(override_of_option("node.data_dir=here").unwrap());
    assert_eq!(
        load(sources, OPTIONS).unwrap().config.node.data_dir,
        std::path::Path::new("here")
    );
}

#[test]
fn a_host_name_that_is_no_name_is_told() {
    let options = LoadOptions {
        hostname: "",
        is_strict: false,
    };
    assert!(load(Sources::new(), options).is_err());
    let mut sources = Sources::new();
    let text = "[node]\nname = \"n\"".to_owned();
    let base = std::path::PathBuf::new();
    sources.push(Source {
        kind: SourceKind::File("a".into()),
        text,
        base,
    });
    assert!(load(sources, options).is_ok());
}
