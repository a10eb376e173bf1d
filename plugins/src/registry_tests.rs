//! From configuration texts to plugins.
//!
//! Does: read sections as a node does and make plugins of them. Does not: run SNMP.
//! In: TOML. Out: plugins, or each error's text.

use std::path::PathBuf;

use ocelli_config::{Config, LoadOptions, Source, Sources, load};
use ocelli_model::clock::Monotonic;

use super::*;
use crate::run::{BlockingPool, Run};
use crate::testing::StoppedClock;

fn config(sections: &str) -> Config {
    let mut sources = Sources::default();
    let node = "[node]\nsite = \"dc1\"\ntier = \"site\"\ndata_dir = \"/tmp/o\"\n";
    sources.push(Source::file(
        PathBuf::from("o.toml"),
        format!("{node}{sections}"),
    ));
    let options = LoadOptions {
        hostname: "n1",
        is_strict: true,
    };
    load(sources, options)
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

#[test]
fn tags_stand_in_the_schema_of_each_kind_and_dimensions_are_refused_as_tags() {
    let check = |head: &str, tag: &str, expected: Result<(), &str>| {
        let section = format!("[[polling]]\nname = \"p\"\n{head}[polling.tags]\n{tag} = \"x\"\n");
        let made = polling(&config(&section).pollings[0], &ProfileLibrary::built_in());
        match (made, expected) {
            (Ok(plugin), Ok(())) => assert_eq!(plugin.schema().tags[tag], "x"),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error}");
                assert_eq!(error.key(), "tags");
            }
            (made, _) => panic!(
                "{head}{tag}: {:?}",
                made.map(|plugin| plugin.schema().clone())
            ),
        }
    };
    let snmp = "kind = \"snmp\"\nprofile = \"interfaces\"\n";
    check(snmp, "team", Ok(()));
    check("kind = \"host\"\n", "team", Ok(()));
    check(
        snmp,
        "alias",
        Err("polling \"p\": tag \"alias\" is a dimension of group \"interface\"; rename the tag"),
    );
    check(
        "kind = \"host\"\n",
        "mount",
        Err("\"mount\" is a dimension of group \"disk\""),
    );
}

#[test]
fn each_kind_of_polling_has_its_plugin() {
    let config = config(
        "[[polling]]\nname = \"i\"\nkind = \"snmp\"\nprofile = \"interfaces\"\nevery = \"30s\"\n\
         rows = 'interface_name NOT LIKE \"Vlan%\"'\n\
         [[polling]]\nname = \"h\"\nkind = \"host\"\nevery = \"10s\"\n",
    );
    let library = ProfileLibrary::built_in();
    let made = config
        .pollings
        .iter()
        .map(|section| polling(section, &library).unwrap());
    let shapes: Vec<_> = made
        .map(|plugin| {
            let schema = plugin.schema();
            (
                plugin.needs_snmp(),
                schema.groups.len(),
                schema.groups[0].interval_ms,
            )
        })
        .collect();
    assert_eq!(shapes, [(true, 1, 30_000), (false, 7, 10_000)]);
    assert!(
        enrichment(&self::config("[[enrichment]]\nname = \"e\"\nkind = \"snmp\"\n").enrichments[0])
            .needs_snmp()
    );
}

#[test]
fn a_section_that_makes_no_plugin_says_why() {
    let check = |keys: &str, expected: &str| {
        let text = format!("[[polling]]\nname = \"i\"\nkind = \"snmp\"\n{keys}\n");
        let config = config(&text);
        let error = polling(&config.pollings[0], &ProfileLibrary::built_in())
            .err()
            .unwrap();
        assert!(error.to_string().contains(expected), "{keys}: {error}");
    };
    check(
        "profile = \"interface\"",
        "polling \"i\": there is no profile \"interface\"; did you",
    );
    let rows = "profile = \"interfaces\"\nrows = 'interface_nam = \"x\"'";
    check(rows, "polling \"i\": `rows` fits no group of the profile");
}

#[test]
fn resources_by_hand_need_only_an_endpoint() {
    let config = config(
        "[[discovery]]\nname = \"by-hand\"\nkind = \"static\"\n\
         [[discovery.resource]]\nendpoint = \"10.0.0.1\"\n\
         [[discovery.resource]]\nendpoint = \"sw2:1161\"\nid = \"sw2\"\nsite = \"dc2\"\n\
         device = \"chassis\"\n[discovery.resource.metadata]\nrole = \"core\"\n\
         [[discovery]]\nname = \"file\"\nkind = \"json\"\npath = \"/nowhere.json\"\n",
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let blocking = BlockingPool::default();
    let run = Run {
        clock: &StoppedClock,
        deadline: Monotonic(u64::MAX),
        blocking: &blocking,
    };
    let by_hand = discovery(&config.discoveries[0], "dc1").unwrap();
    let found = runtime.block_on(by_hand.discover(run)).unwrap();
    let ids: Vec<_> = found
        .resources
        .iter()
        .map(|resource| resource.id().to_string())
        .collect();
    assert_eq!(
        ids,
        [
            "dc1/network/device/generic/10.0.0.1",
            "dc2/network/device/generic/sw2"
        ]
    );
    let second = &found.resources[1];
    assert_eq!(
        (second.metadata_value("role"), second.plugin()),
        (Some("core"), "by-hand")
    );
    assert_ne!(second.device_key(), found.resources[0].device_key());
    let file = discovery(&config.discoveries[1], "dc1").unwrap();
    let error = runtime
        .block_on(file.discover(run))
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot read /nowhere.json"), "{error}");
}
