//! Derived streams on a mesh of real processes: a choice of groups for one upstream, windows for
//! another, with nodes killed and a line cut meanwhile.
//!
//! Does: a site that polls simulated switches and its machine, regions and a global above it; the
//! windows at the top are recomputed from what the site itself shows. Does not: prove which orders
//! end alike (`federation::derive`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ocelli_federation::identity::Tier;
use ocelli_tests::harness::http::Client;
use ocelli_tests::harness::mesh::{Mesh, MeshNodeOptions};
use ocelli_tests::harness::process::tail;
use ocelli_tests::harness::relay::Relay;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::wait_for;
use ocelli_tests::record_lines::wall_ms;
use serde_json::Value;
use tempfile::tempdir;

const PATIENCE: Duration = Duration::from_secs(90);
const SITE: &str = "dc1";
const WINDOW_MS: i64 = 6_000;
const RECORDS: &str = "/v1/subscribe?format=records&from=oldest&include=gaps";

fn options(tier: Tier, site: &str, upstreams: Vec<u16>, config: &str) -> MeshNodeOptions {
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams,
        config: config.into(),
    }
}

fn polling(simulator: &Simulator) -> String {
    let resources = &simulator.resources;
    format!(
        "[[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"1s\"\n\n[[polling]]\nname = \"machine\"\nkind = \"host\"\nevery = \"1s\"\n\n\
         [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
    )
}

fn upstream(name: &str, port: u16, keys: &str) -> String {
    format!("\n[[upstream]]\nname = \"{name}\"\nconnect = [\"127.0.0.1:{port}\"]\n{keys}\n")
}

/// Lines that a node shows, from the oldest up to a pause, or to what was measured after the read
/// began.
fn lines(client: &Client) -> Vec<Value> {
    let until = wall_ms();
    let lines = client.lines_up_to_pause(RECORDS);
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    lines
        .take_while(|line| line["time_ms"].as_i64().is_none_or(|time| time <= until))
        .collect()
}

/// Batches of a plugin by resource and slot; of several for one slot that with the highest `rev`.
fn batches(lines: &[Value], plugin: &str) -> BTreeMap<(String, i64), Value> {
    let mut found: BTreeMap<(String, i64), Value> = BTreeMap::new();
    for line in lines {
        if line["type"] != "batch" || line["plugin"] != plugin {
            continue;
        }
        let resource = line["resource"].as_str().unwrap().to_owned();
        let key = (resource, line["slot_ms"].as_i64().unwrap());
        let is_later = found
            .get(&key)
            .is_none_or(|it| it["rev"].as_u64() < line["rev"].as_u64());
        if is_later {
            found.insert(key, line.clone());
        }
    }
    found
}

/// Counters of a batch by port and name.
fn counters(batch: &Value) -> BTreeMap<(String, String), u64> {
    let groups = batch["groups"].as_array().unwrap();
    let group = groups.iter().find(|it| it["name"] == "interface");
    let rows = group
        .and_then(|it| it["rows"].as_array())
        .into_iter()
        .flatten();
    let cells = rows.flat_map(|row| {
        let port = row["dimensions"]["interface_name"]
            .as_str()
            .unwrap()
            .to_owned();
        let cells = row["counters"].as_object().unwrap().iter();
        cells.map(move |(name, cell)| {
            (
                (port.clone(), name.clone()),
                cell["value"].as_u64().unwrap(),
            )
        })
    });
    cells.collect()
}

/// How many values of each counter a window says it has.
fn counts(window: &Value) -> BTreeMap<(String, String), u64> {
    let groups = window["groups"].as_array().unwrap();
    let group = groups.iter().find(|it| it["name"] == "interface").unwrap();
    let rows = group["rows"].as_array().unwrap().iter();
    let cells = rows.flat_map(|row| {
        let port = row["dimensions"]["interface_name"]
            .as_str()
            .unwrap()
            .to_owned();
        let gauges = row["gauges"].as_object().unwrap().clone();
        let names = counters(window);
        let names = names.into_keys().filter(move |(of, _)| *of == port);
        names.map(move |(port, name)| {
            let count = gauges[&format!("{name}_count")].as_u64().unwrap();
            ((port, name), count)
        })
    });
    cells.collect()
}

/// What the windows of some raw batches are: last and number of values of each counter.
type Window = (
    BTreeMap<(String, String), u64>,
    BTreeMap<(String, String), u64>,
    u64,
);

fn windows_of(raw: &BTreeMap<(String, i64), Value>) -> BTreeMap<(String, i64), Window> {
    let mut windows: BTreeMap<(String, i64), Window> = BTreeMap::new();
    for ((resource, slot), batch) in raw {
        let start = slot.div_euclid(WINDOW_MS) * WINDOW_MS;
        let (last, count, batches) = windows.entry((resource.clone(), start)).or_default();
        *batches += 1;
        for (cell, value) in counters(batch) {
            *count.entry(cell.clone()).or_default() += 1;
            last.insert(cell, value);
        }
    }
    windows
}

/// Of a window as it is shown: the same.
fn shown(window: &Value) -> Window {
    let groups = window["groups"].as_array().unwrap();
    let facts = groups
        .iter()
        .find(|it| it["name"] == "ocelli_window")
        .unwrap();
    let batches = facts["rows"][0]["gauges"]["batches"].as_u64().unwrap();
    (counters(window), counts(window), batches)
}

fn relay_to(port: u16) -> Relay {
    Relay::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 7)
}

#[test]
fn windows_at_the_top_are_those_of_the_sites_own_stream_over_kills_and_a_cut_line() {
    let folder = tempdir().unwrap();
    let more = ["--interfaces", "2", "--site", SITE];
    let simulator = Simulator::start(folder.path(), ("127.8.47.1", 2), &more);
    let mut mesh = Mesh::new(folder.path());
    let top = mesh.start(&options(Tier::Global, "world", vec![], "")).quic;
    let windows = upstream(
        "top",
        top,
        "groups = [\"interface\"]\ndownsample = { window = \"6s\" }",
    );
    let region = mesh
        .start(&options(Tier::Region, "emea", vec![], &windows))
        .quic;
    let beside = mesh.start(&options(Tier::Region, "apac", vec![], "")).quic;
    let line = relay_to(region);
    let config = polling(&simulator) + &upstream("some", beside, "groups = [\"interface\"]");
    mesh.start(&options(
        Tier::Site,
        SITE,
        vec![line.address().port()],
        &config,
    ));
    wait_for("two windows at the top", PATIENCE, || {
        let shown = batches(&lines(&mesh.node("world").client), "interfaces");
        let starts: BTreeSet<i64> = shown.keys().map(|(_, start)| *start).collect();
        (starts.len() >= 2).then_some(())
    });

    // The line is cut within a window: the region closes it without the slots that it lacks.
    let (resource, start) = wait_for("a window's first slots at the region", PATIENCE, || {
        let raw = batches(&lines(&mesh.node("emea").client), "interfaces");
        let (resource, slot) = raw.into_keys().max_by_key(|(_, slot)| *slot)?;
        let start = slot.div_euclid(WINDOW_MS) * WINDOW_MS;
        (slot - start < 2_000).then_some((resource, start))
    });
    line.cut(true);
    wait_for("a window that lacks slots at the top", PATIENCE, || {
        let shown = batches(&lines(&mesh.node("world").client), "interfaces");
        let window = shown.get(&(resource.clone(), start))?;
        (window["partial"] == true).then_some(())
    });
    mesh.node("emea").kill_and_start();
    mesh.node(SITE).kill_and_start();
    let cut_at = batches(&lines(&mesh.node(SITE).client), "interfaces");
    let cut_at = cut_at.into_keys().map(|(_, slot)| slot).max().unwrap();
    line.cut(false);

    // All that was measured by then, and some windows more.
    let until = cut_at + 3 * WINDOW_MS;
    wait_for("the site to go on", PATIENCE, || {
        let now = batches(&lines(&mesh.node(SITE).client), "interfaces");
        now.keys()
            .any(|(_, slot)| *slot > until + 3 * WINDOW_MS)
            .then_some(())
    });
    let below = lines(&mesh.node(SITE).client);
    let mut raw = batches(&below, "interfaces");
    raw.retain(|(_, slot), _| slot.div_euclid(WINDOW_MS) * WINDOW_MS < until);
    let expected = windows_of(&raw);
    let mut differs = String::new();
    let is_equal = |above: &BTreeMap<(String, i64), Value>, differs: &mut String| {
        let wrong = expected
            .iter()
            .find(|(key, window)| above.get(*key).map(shown).as_ref() != Some(*window));
        *differs = format!(
            "{wrong:?}\nis shown as {:?}",
            wrong.map(|it| above.get(it.0))
        );
        wrong.is_none()
    };
    let patience = std::panic::AssertUnwindSafe(|| {
        wait_for(
            "each window at the top as the site has it",
            PATIENCE,
            || {
                let above = lines(&mesh.node("world").client);
                is_equal(&batches(&above, "interfaces"), &mut differs).then_some(above)
            },
        )
    });
    let above = std::panic::catch_unwind(patience).unwrap_or_else(|_| panic!("{differs}"));

    let revs = |of: &Value| {
        let of_window = |line: &&Value| {
            ["type", "resource", "plugin", "slot_ms"]
                .iter()
                .all(|name| line[*name] == of[*name])
        };
        let all = above.iter().filter(of_window);
        all.map(|line| line["rev"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let late = batches(&above, "interfaces")
        .values()
        .filter(|it| revs(it).len() > 1)
        .count();
    assert!(late > 0, "late data made no higher rev");
    assert!(
        batches(&above, "machine").is_empty(),
        "none of its groups was chosen"
    );
    let top_nodes = mesh.node("world").client.json("/v1/nodes").unwrap();
    let nodes = top_nodes["items"].as_array().unwrap();
    let derived = nodes.iter().find(|it| it["node"] == "n1+top").unwrap();
    assert_eq!(
        (&derived["site"], &derived["state"]),
        (&"emea".into(), &"live".into())
    );
    assert_eq!(derived["derived"]["window_s"], 6.0);
    let source = nodes.iter().find(|it| it["site"] == SITE).unwrap()["origin"].clone();
    let sources = derived["derived"]["sources"].as_array().unwrap();
    assert!(sources.contains(&source), "{sources:?} has no {source}");
    let batches_above = above.iter().filter(|it| it["type"] == "batch");
    let origins: BTreeSet<_> = batches_above.map(|it| it["origin"].to_string()).collect();
    assert_eq!(origins, BTreeSet::from([derived["origin"].to_string()]));

    // Beside: groups alone, each slot with its rates as the site has it.
    wait_for("the slots beside", PATIENCE, || {
        let shown = batches(&lines(&mesh.node("apac").client), "interfaces");
        let is_same = |(key, batch): (&(String, i64), &Value)| {
            shown
                .get(key)
                .is_some_and(|it| it["groups"] == batch["groups"])
        };
        raw.iter().all(is_same).then_some(())
    });
    assert!(batches(&lines(&mesh.node("apac").client), "machine").is_empty());
    for name in [SITE, "emea", "apac", "world"] {
        let log = mesh.node(name).running.stderr();
        for word in ["panicked", "retention took", "cannot derive", "are refused"] {
            assert!(!log.contains(word), "{name} says {word:?}: {}", tail(&log));
        }
    }
}
