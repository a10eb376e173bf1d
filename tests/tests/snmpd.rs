//! `ocelli snmp` against Debian's `snmpd`, with net-snmp's own tools as the oracle.
//!
//! Does: every v3 user that the installed build serves, v2c, wrong credentials; static variables
//! equal to the letter, counters bracketed by two reads. Does not: poll through a node (`spine`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use ocelli_tests::harness::node::ocelli;
use ocelli_tests::harness::say;
use ocelli_tests::harness::snmpd::{Snmpd, User};
use tempfile::tempdir;

/// sysDescr, sysObjectID, sysContact, sysName, sysLocation, sysServices, ifNumber.
const STATIC: &[&str] = &[
    "1.3.6.1.2.1.1.1.0",
    "1.3.6.1.2.1.1.2.0",
    "1.3.6.1.2.1.1.4.0",
    "1.3.6.1.2.1.1.5.0",
    "1.3.6.1.2.1.1.6.0",
    "1.3.6.1.2.1.1.7.0",
    "1.3.6.1.2.1.2.1.0",
];

/// `ocelli snmp TOOL` with these credentials, as lines.
fn ours(tool: &str, agent: &Snmpd, credentials: &[String], oids: &[&str]) -> Vec<String> {
    let output = ask(tool, agent, credentials, oids);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{credentials:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn ask(tool: &str, agent: &Snmpd, credentials: &[String], oids: &[&str]) -> std::process::Output {
    let mut arguments: Vec<String> = vec!["snmp".into(), tool.into(), "-OnUet".into()];
    arguments.extend(["-r".into(), "1".into(), "-t".into(), "2".into()]);
    arguments.extend_from_slice(credentials);
    arguments.push(agent.address());
    arguments.extend(oids.iter().map(|oid| (*oid).to_owned()));
    ocelli(&arguments)
}

#[test]
fn every_user_that_snmpd_serves_reads_what_net_snmp_reads() {
    let folder = tempdir().unwrap();
    let agent = Snmpd::start(folder.path());
    let users = agent.served_users();
    let left_out: Vec<String> = User::all()
        .into_iter()
        .filter(|user| !users.contains(user))
        .map(User::name)
        .collect();
    say(&format!(
        "{} users served; not in this build of snmpd: {left_out:?}",
        users.len()
    ));
    assert!(
        users.len() >= 19,
        "noAuth, 6 authentications, each with DES and AES-128 at least"
    );
    let mut credentials: Vec<Vec<String>> = users.into_iter().map(User::arguments).collect();
    credentials.push(agent.v2c());
    credentials.push(
        agent
            .v2c()
            .into_iter()
            .map(|word| word.replace("-v2c", "-v1"))
            .collect(),
    );
    for credentials in credentials {
        let expected = agent.net_snmp("snmpget", &credentials, STATIC).unwrap();
        assert_eq!(
            ours("get", &agent, &credentials, STATIC),
            expected,
            "{credentials:?}"
        );
    }
}

#[test]
fn a_walk_gives_the_rows_that_net_snmp_gives() {
    let folder = tempdir().unwrap();
    let agent = Snmpd::start(folder.path());
    for column in [
        "1.3.6.1.2.1.2.2.1.2",
        "1.3.6.1.2.1.31.1.1.1.1",
        "1.3.6.1.2.1.1.9.1",
    ] {
        let expected = agent
            .net_snmp("snmpbulkwalk", &agent.v2c(), &[column])
            .unwrap();
        assert_eq!(
            ours("bulkwalk", &agent, &agent.v2c(), &[column]),
            expected,
            "{column}"
        );
        assert_eq!(
            ours("walk", &agent, &agent.v2c(), &[column]),
            expected,
            "{column}"
        );
    }
}

#[test]
fn counters_lie_between_two_reads_of_net_snmp() {
    let folder = tempdir().unwrap();
    let agent = Snmpd::start(folder.path());
    // ifInOctets and ifHCInOctets of each interface; loopback moves by the questions themselves.
    let columns = ["1.3.6.1.2.1.2.2.1.10", "1.3.6.1.2.1.31.1.1.1.6"];
    let values = |lines: Vec<String>| -> BTreeMap<String, u64> {
        let pairs = lines.into_iter().filter_map(|line| {
            let (oid, value) = line.split_once(" = ")?;
            Some((oid.to_owned(), value.rsplit(' ').next()?.parse().ok()?))
        });
        pairs.collect()
    };
    for column in columns {
        let walk = || {
            values(
                agent
                    .net_snmp("snmpbulkwalk", &agent.v2c(), &[column])
                    .unwrap(),
            )
        };
        let before = walk();
        let between = values(ours("bulkwalk", &agent, &agent.v2c(), &[column]));
        let after = walk();
        assert!(
            !before.is_empty() && before.keys().eq(between.keys()),
            "{column}"
        );
        for (oid, value) in &between {
            assert!((before[oid]..=after[oid]).contains(value), "{oid}: {value}");
        }
    }
}

#[test]
fn a_dump_shows_each_datagram_and_no_secret() {
    let folder = tempdir().unwrap();
    let agent = Snmpd::start(folder.path());
    let signed = User {
        auth: Some("SHA-256"),
        privacy: None,
    };
    for credentials in [agent.v2c(), signed.arguments()] {
        let mut arguments = credentials.clone();
        arguments.push("-d".into());
        let output = ask("get", &agent, &arguments, &STATIC[..1]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        let dumps = |start: &str| {
            stderr
                .lines()
                .filter(|line| line.starts_with(start))
                .count()
        };
        assert!(
            dumps("Sending ") >= 1 && dumps("Received ") >= 1,
            "{stderr}"
        );
        assert!(
            dumps("0000: 30 ") >= 2,
            "every message is a sequence: {stderr}"
        );
        assert!(
            stderr.contains("** **") && !stderr.contains("canary"),
            "{stderr}"
        );
        let octets = "canary".bytes().map(|octet| format!("{octet:02X}"));
        let octets: String = octets.collect();
        let hex: String = stderr.chars().filter(char::is_ascii_hexdigit).collect();
        assert!(!hex.contains(&octets), "{stderr}");
    }
}

#[test]
fn wrong_credentials_give_different_causes() {
    let folder = tempdir().unwrap();
    let agent = Snmpd::start(folder.path());
    let right = User {
        auth: Some("SHA-256"),
        privacy: Some("AES"),
    };
    let changed = |letter: &str, value: &str| {
        let mut arguments = right.arguments();
        let at = arguments.iter().position(|word| word == letter).unwrap();
        arguments[at + 1] = value.to_owned();
        arguments
    };
    let check = |credentials: Vec<String>, expected: &str| {
        let output = ask("get", &agent, &credentials, &STATIC[..1]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && stderr.contains(expected),
            "{expected}: {stderr}"
        );
        assert!(!stderr.contains("canary"), "a secret shows: {stderr}");
    };
    check(changed("-u", "nobody"), "unknown_user");
    check(changed("-A", "wrong-password"), "wrong_digest");
    check(vec!["-v2c".into(), "-c".into(), "wrong".into()], "timeout");
    let level = User {
        auth: Some("SHA-256"),
        privacy: None,
    };
    let mut lower = level.arguments();
    lower[2] = right.name();
    let output = ask("get", &agent, &lower, &STATIC[..1]);
    assert!(
        !output.status.success(),
        "a level below the user's must not read"
    );
}
