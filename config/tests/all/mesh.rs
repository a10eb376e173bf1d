//! The sections of the mesh and of those who read: what is taken, what is refused with which words.

use ocelli_config::sections::federation::UpstreamMode;
use ocelli_config::sections::http::Role;
use ocelli_config::{difference, show};
use ocelli_model::tier::Tier;

use crate::{EXAMPLE, read_files};

const IDENTITY: &str = "[identity]\ncertificate = \"c\"\nkey = \"k\"\nroots = [\"r\"]\n";

#[test]
fn the_example_s_place_in_the_mesh_is_read() {
    let loaded = read_files(&[EXAMPLE]).unwrap();
    assert_eq!(loaded.parked, []);
    let config = loaded.config;
    assert_eq!(config.node.mesh.as_str(), "example");
    let upstream = &config.upstreams[0];
    let addresses: Vec<String> = upstream.connect.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["region-a:7700", "region-b:7700"]);
    assert_eq!(upstream.mode, UpstreamMode::Any);
    assert_eq!(config.peers[0].connect.to_string(), "[2001:db8::1]:7700");
    assert_eq!(config.origins[0].site.as_str(), "*");
    let identity = config.identity.unwrap();
    assert!(identity.renew && identity.token.is_some() && identity.crl.is_none());
    let [grafana, operators] = config.accesses.as_slice() else {
        panic!("{:?}", config.accesses)
    };
    assert_eq!((grafana.role, operators.role), (Role::Read, Role::Operate));
    assert!(Role::Read < Role::Operate && Role::Operate < Role::Admin);
    let expires = grafana.expires.as_ref().unwrap().at();
    assert_eq!(expires.0, 1_801_353_600_000);
}

#[test]
fn a_region_may_poll_and_need_not() {
    let region = "[node]\ntier = \"region\"\n";
    let config = read_files(&[region]).unwrap().config;
    assert_eq!((config.node.tier, config.pollings.len()), (Tier::Region, 0));
    let polling = format!("{region}[[polling]]\nname = \"own\"\nkind = \"host\"\n");
    assert_eq!(read_files(&[&polling]).unwrap().config.pollings.len(), 1);
}

#[test]
fn what_keeps_the_whole_from_running_is_told_with_its_remedy() {
    let check = |text: &str, parts: &[&str]| {
        let error = read_files(&[text]).map(|loaded| loaded.parked).unwrap_err();
        let shown = error.to_string();
        for part in parts {
            assert!(shown.contains(part), "{part:?} is not in\n{shown}");
        }
    };
    check(
        "[listen]\nquic = \"[::]:7700\"",
        &["without [identity]", "add [identity]", ":2:8"],
    );
    check(
        "[identity]\ncertificate = \"c\"",
        &["[identity] has no \"key\""],
    );
    check(
        &IDENTITY.replace("[\"r\"]", "[]"),
        &["roots names no certificate"],
    );
    check(
        "[ca]\nissuer = true",
        &["an issuer without dir", "ocelli ca init"],
    );
    check(
        "[listen]\nhttp = \"0.0.0.0:80\"",
        &["other machines", "[http.tls]"],
    );
    let tls_alone = "[listen]\nhttp = \"0.0.0.0:80\"\n[http.tls]\ncert = \"c\"\nkey = \"k\"\n";
    check(tls_alone, &["other machines", "[[http.access]]"]);
    check("[http.tls]\ncert = \"c\"", &["[http.tls] has no \"key\""]);
}

#[test]
fn an_api_beyond_loopback_runs_with_tls_and_an_access() {
    let text = "[listen]\nhttp = \"0.0.0.0:80\"\n[http.tls]\ncert = \"c\"\nkey = \"k\"\n\
                [[http.access]]\nname = \"a\"\ntoken = { env = \"T\" }\n";
    assert_eq!(read_files(&[text]).unwrap().config.accesses.len(), 1);
    assert!(read_files(&["[listen]\nhttp = \"0.0.0.0:80\"\n[http]\ninsecure = true"]).is_ok());
}

/// The one item of a configuration that is parked, and what is said of it.
fn check(text: &str, section: &str, part: &str) {
    let text = format!("{IDENTITY}{text}");
    let parked = read_files(&[&text])
        .expect("one bad item parks itself")
        .parked;
    let [item] = parked.as_slice() else {
        panic!("{text}: {parked:?}")
    };
    let shown = item.problems[0].to_string();
    assert_eq!(item.section, section, "{text}");
    assert!(shown.contains(part), "{part:?} is not in\n{shown}");
}

#[test]
fn an_upstream_that_cannot_be_derived_for_is_parked_alone() {
    let upstream = "[[upstream]]\nname = \"u\"\n";
    let derived = |keys: &str| format!("{upstream}connect = [\"a\"]\n{keys}\n");
    check(
        &derived("downsample = '5m'"),
        "[[upstream]]",
        "an inline table",
    );
    check(
        &derived("downsample = {}"),
        "[[upstream]]",
        "has no \"window\"",
    );
    check(&derived("groups = []"), "[[upstream]]", "names no group");
    let window = derived("downsample = { window = \"50s\" }");
    let polling = "[[polling]]\nname = \"host\"\nkind = \"host\"\nevery = \"20s\"\n";
    check(
        &format!("{window}{polling}"),
        "[[upstream]]",
        "no whole slots of polling host: \"20s\"",
    );
    let peer = "[[peer]]\nname = \"p\"\nconnect = \"b\"\n";
    for keys in ["groups = [\"cpu\"]", "downsample = { window = \"1m\" }"] {
        let text = format!("{}{peer}", derived(keys));
        check(&text, "[[upstream]]", "beside [[peer]]");
    }
}

#[test]
fn a_bad_neighbour_or_access_is_parked_alone() {
    let upstream = "[[upstream]]\nname = \"u\"\n";
    check(
        &format!("{upstream}connect = []"),
        "[[upstream]]",
        "names no address",
    );
    check(
        &format!("{upstream}connect = [\"a:b\"]"),
        "[[upstream]]",
        "1 to 65535",
    );
    check(
        &format!("{upstream}connect = [\"a\"]\nfilter = 'x = \"1\"'"),
        "[[upstream]]",
        "unknown field x",
    );
    let twice = format!("{upstream}connect = [\"a\"]\n");
    check(&format!("{twice}{twice}"), "[[upstream]]", "is taken");
    check("[[peer]]\nname = \"p\"", "[[peer]]", "has no \"connect\"");
    let shares = "[[origin]]\nmatch = \"s\"\nbytes_min = \"2GiB\"\nbytes_max = \"1GiB\"";
    check(shares, "[[origin]]", "bytes_min is above bytes_max");
    let access = "[[http.access]]\nname = \"a\"\n";
    check(access, "[[http.access]]", "exactly one");
    let token = "token = { env = \"T\" }\n";
    check(
        &format!("{access}{token}san = \"s\""),
        "[[http.access]]",
        "exactly one",
    );
    check(
        &format!("{access}san = \"s\""),
        "[[http.access]]",
        "client_ca",
    );
    check(
        &format!("{access}sha256 = \"12\""),
        "[[http.access]]",
        "not a SHA-256",
    );
    check(
        &format!("{access}{token}role = \"reader\""),
        "[[http.access]]",
        "did you mean read?",
    );
    check(
        &format!("{access}{token}expires = \"tomorrow\""),
        "[[http.access]]",
        "RFC 3339",
    );
}

#[test]
fn a_neighbour_without_an_identity_is_parked_with_the_reason() {
    let check = |text: &str| {
        let parked = read_files(&[text]).unwrap().parked;
        let shown = parked[0].problems[0].to_string();
        assert!(shown.contains("without [identity]"), "{shown}");
    };
    check("[[upstream]]\nname = \"u\"\nconnect = [\"a\"]");
    check("[[peer]]\nname = \"p\"\nconnect = \"a\"");
}

#[test]
fn changes_of_neighbours_and_accesses_are_told_and_tokens_stay_hidden() {
    let old = read_files(&[EXAMPLE]).unwrap().config;
    let check = |from: &str, to: &str, expected: &str| {
        assert!(EXAMPLE.contains(from), "{from}");
        let new = read_files(&[&EXAMPLE.replacen(from, to, 1)])
            .unwrap()
            .config;
        let told = difference(&old, &new);
        let lines: Vec<String> = told.changes.iter().map(ToString::to_string).collect();
        assert_eq!(lines, [expected], "{from} -> {to}");
    };
    check(
        "mode = \"any\"",
        "mode = \"all\"",
        "~ upstream \"emea\": mode",
    );
    check(
        "mesh = \"example\"",
        "",
        "~ node.mesh: \"example\" -> \"ocelli\"",
    );
    check(
        "name = \"twin\"\nconnect = \"[2001:db8::1]:7700\"",
        "name = \"twin\"\nconnect = \"b\"",
        "~ peer \"twin\": connect",
    );
    check(
        "bytes_max",
        "bytes_min",
        "~ origin \"*\": bytes_max, bytes_min",
    );
    check(
        "role = \"operate\"",
        "role = \"admin\"",
        "~ http.access \"operators\": role",
    );
    check(
        "/etc/ocelli/node.key",
        "/k",
        "~ identity.key: \"/etc/ocelli/node.key\" -> \"/k\"",
    );
}

#[test]
fn a_join_token_or_access_token_written_down_never_shows() {
    let text = |join: &str, access: &str| {
        format!(
            "{IDENTITY}token = {{ value = \"{join}\" }}\n[[http.access]]\nname = \"a\"\n\
             token = \"{access}\"\n"
        )
    };
    let old = read_files(&[&text("join-canary-1", "read-canary-1")]).unwrap();
    let new = read_files(&[&text("join-canary-2", "read-canary-2")]).unwrap();
    let told = difference(&old.config, &new.config);
    let lines: Vec<String> = told.changes.iter().map(ToString::to_string).collect();
    let expected = [
        "~ identity.token: [redacted] -> [redacted]",
        "~ http.access \"a\": token",
    ];
    assert_eq!(lines, expected);
    let shown = format!(
        "{:?} {:?} {:?}",
        old.config,
        old.warnings,
        show(&old.config)
    );
    assert!(!shown.contains("canary"), "{shown}");
    for option in [
        "identity.token=join-canary",
        "upstream.name=x",
        "http.access.token=x",
    ] {
        let refused = ocelli_config::override_of_option(option).unwrap_err();
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
}
