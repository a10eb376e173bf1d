//! Whole configurations: what is taken, what is parked, what is refused, and where.

use ocelli_config::{Invalid, LoadOptions, Loaded, Source, Sources, load};

const EXAMPLE: &str = r#"
[node]
site = "dc1"
tier = "site"
data_dir = "/var/lib/ocelli"

[listen]
quic = "[::]:7700"
http = "127.0.0.1:7780"

[bus]
retention = "6h"

[snmp]
timeout = "2s"
in_flight = 1

[[device]]
filter = 'resource_metadata.model LIKE "4948%"'
max_repetitions = 10
every = "2m"

[[discovery]]
name = "cmdb"
kind = "json"
path = "resources.json"
every = "5m"

[[discovery]]
name = "by-hand"
kind = "static"
[[discovery.resource]]
endpoint = "10.0.0.1"

[[enrichment]]
name = "interfaces"
kind = "snmp"
every = "30m"
filter = 'resource_class = "network"'

[[polling]]
name = "interfaces"
kind = "snmp"
profile = "interfaces"
every = "60s"
filter = 'resource_class = "network" AND NOT (resource_metadata.role = "lab")'
rows = 'interface_name NOT LIKE "Vlan%"'
[polling.tags]
team = "backbone"

[[credentials.snmp]]
name = "v3"
filter = 'resource_site = "dc1"'
version = "3"
user = "monitor"
auth = { protocol = "SHA-256", secret = { file = "/etc/ocelli/auth" } }
priv = { protocol = "AES-128", secret = { env = "OCELLI_PRIV" } }
"#;

fn read(text: &str, is_strict: bool) -> Result<Loaded, Invalid> {
    let mut sources = Sources::new();
    sources.push(Source::file("/etc/ocelli/ocelli.toml", text));
    load(
        sources,
        LoadOptions {
            hostname: "host1",
            is_strict,
        },
    )
}

#[test]
fn the_example_of_the_design_is_read_whole() {
    let loaded = read(EXAMPLE, true).unwrap_or_else(|invalid| panic!("{invalid}"));
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
    assert_eq!(config.pollings[0].tags()["team"], "backbone");
    assert_eq!(config.snmp_credentials.len(), 1);
    assert_eq!(loaded.place_of("snmp.timeout").unwrap().line, 15);
    assert_eq!(loaded.place_of("snmp.retries"), None);
    assert_eq!(loaded.place_of("node.name"), None);
}
