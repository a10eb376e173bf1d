//! Derived streams on a mesh of real processes: a choice of groups for one upstream, windows for
//! another, with nodes killed and a line cut meanwhile.
//!
//! Does: a site that polls simulated switches and its machine, regions and a global above it; the
//! windows at the top are recomputed from what the site itself shows. Does not: prove which orders
//! end alike (`federation::derive`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
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
const REGION: &str = "emea";
const BESIDE: &str = "apac";
const TOP: &str = "world";
const WINDOW_MS: i64 = 6_000;
const RECORDS: &str = "/v1/subscribe?format=records&from=oldest&include=gaps";

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

/// By resource and slot, or start of the window.
type BySlot<T> = BTreeMap<(String, i64), T>;

/// Batches of a plugin; of several for one slot that with the highest `rev`.
fn batches(lines: &[Value], plugin: &str) -> BySlot<Value> {
    let mut found: BySlot<Value> = BTreeMap::new();
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

fn window_of(slot: i64) -> i64 {
    slot.div_euclid(WINDOW_MS) * WINDOW_MS
}

fn windows_of(raw: &BySlot<Value>) -> BySlot<Window> {
    let mut windows: BySlot<Window> = BTreeMap::new();
    for ((resource, slot), batch) in raw {
        let start = window_of(*slot);
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

/// A site below a region below a global that gets windows, and a region beside that gets groups.
struct Bed {
    mesh: Mesh,
    /// From the site to the region.
    line: Relay,
    _simulator: Simulator,
}

impl Bed {
    fn start(folder: &Path) -> Self {
        let more = ["--interfaces", "2", "--site", SITE];
        let simulator = Simulator::start(folder, ("127.8.47.1", 2), &more);
        let mut mesh = Mesh::new(folder);
        let mut start = |tier, site: &str, above: &[u16], config: &str| {
            let options = MeshNodeOptions {
                tier,
                site: site.into(),
                upstreams: above.to_vec(),
                config: config.into(),
            };
            mesh.start(&options).quic
        };
        let top = start(Tier::Global, TOP, &[], "");
        let keys = "groups = [\"interface\"]\ndownsample = { window = \"6s\" }";
        let region = start(Tier::Region, REGION, &[], &upstream("top", top, keys));
        let beside = start(Tier::Region, BESIDE, &[], "");
        let line = Relay::start(SocketAddr::from((Ipv4Addr::LOCALHOST, region)), 7);
        let groups = upstream("some", beside, "groups = [\"interface\"]");
        let config = polling(&simulator) + &groups;
        start(Tier::Site, SITE, &[line.address().port()], &config);
        Self {
            mesh,
            line,
            _simulator: simulator,
        }
    }

    fn lines(&mut self, node: &str) -> Vec<Value> {
        lines(&self.mesh.node(node).client)
    }

    fn interfaces(&mut self, node: &str) -> BySlot<Value> {
        batches(&self.lines(node), "interfaces")
    }

    /// Cuts the line within a window, so that the region closes it without the slots that it lacks;
    /// kills both ends, mends the line. Answers the site's last slot by then.
    fn cut_within_a_window(&mut self) -> i64 {
        let what = "a window's first slots at the region";
        let (resource, start) = wait_for(what, PATIENCE, || {
            let raw = self.interfaces(REGION);
            let (resource, slot) = raw.into_keys().max_by_key(|(_, slot)| *slot)?;
            let start = window_of(slot);
            (slot - start < 2_000).then_some((resource, start))
        });
        self.line.cut(true);
        wait_for("a window that lacks slots at the top", PATIENCE, || {
            let shown = self.interfaces(TOP);
            let window = shown.get(&(resource.clone(), start))?;
            (window["partial"] == true).then_some(())
        });
        self.mesh.node(REGION).kill_and_start();
        self.mesh.node(SITE).kill_and_start();
        let raw = self.interfaces(SITE);
        self.line.cut(false);
        raw.into_keys().map(|(_, slot)| slot).max().unwrap()
    }

    /// What the site has of whole windows before `until`, once it is well past it.
    fn raw_before(&mut self, until: i64) -> BySlot<Value> {
        let mut raw = wait_for("the site to go on", PATIENCE, || {
            let raw = self.interfaces(SITE);
            let last = raw.keys().map(|(_, slot)| *slot).max()?;
            (last > until + 3 * WINDOW_MS).then_some(raw)
        });
        raw.retain(|(_, slot), _| window_of(*slot) < until);
        raw
    }

    /// Lines of the top once each window there is as `expected`.
    fn lines_once_equal(&mut self, expected: &BySlot<Window>) -> Vec<Value> {
        let mut last = LastWord::default();
        wait_for("the site's windows at the top", PATIENCE, || {
            let above = self.lines(TOP);
            let windows = batches(&above, "interfaces");
            let is_wrong = |it: &(&(String, i64), &Window)| {
                windows.get(it.0).map(shown).as_ref() != Some(it.1)
            };
            let Some((key, window)) = expected.iter().find(is_wrong) else {
                return Some(above);
            };
            last.0 = format!("{key:?} {window:?} is shown as {:?}", windows.get(key));
            None
        })
    }

    /// One derived stream stands for the site's at the top, and says of what it is made.
    fn check_origins(&mut self, above: &[Value]) {
        let nodes = self.mesh.node(TOP).client.json("/v1/nodes").unwrap();
        let nodes = nodes["items"].as_array().unwrap();
        let derived = nodes.iter().find(|it| it["node"] == "n1+top").unwrap();
        assert_eq!(derived["site"], REGION);
        assert_eq!(derived["state"], "live");
        assert_eq!(derived["derived"]["window_s"], 6.0);
        let source = &nodes.iter().find(|it| it["site"] == SITE).unwrap()["origin"];
        let sources = derived["derived"]["sources"].as_array().unwrap();
        assert!(sources.contains(source), "{sources:?} has no {source}");
        let of_batches = above.iter().filter(|it| it["type"] == "batch");
        let origins: BTreeSet<_> = of_batches.map(|it| it["origin"].to_string()).collect();
        assert_eq!(origins, BTreeSet::from([derived["origin"].to_string()]));
    }
}

/// What is said if the test panics.
#[derive(Default)]
struct LastWord(String);

#[expect(clippy::print_stderr, reason = "the report of a test that fails")]
impl Drop for LastWord {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// How many windows were told again with a higher `rev`.
fn told_again(lines: &[Value]) -> usize {
    let mut revs: BySlot<BTreeSet<u64>> = BTreeMap::new();
    for line in lines.iter().filter(|it| it["plugin"] == "interfaces") {
        if let (Some(slot), Some(rev)) = (line["slot_ms"].as_i64(), line["rev"].as_u64()) {
            let key = (line["resource"].to_string(), slot);
            revs.entry(key).or_default().insert(rev);
        }
    }
    revs.values().filter(|revs| revs.len() > 1).count()
}

#[test]
fn windows_at_the_top_are_those_of_the_sites_own_stream_over_kills_and_a_cut_line() {
    let folder = tempdir().unwrap();
    let mut bed = Bed::start(folder.path());
    wait_for("two windows at the top", PATIENCE, || {
        let windows = bed.interfaces(TOP);
        let starts: BTreeSet<i64> = windows.keys().map(|(_, start)| *start).collect();
        (starts.len() >= 2).then_some(())
    });
    let cut_at = bed.cut_within_a_window();

    // All that was measured by then, and some windows more.
    let raw = bed.raw_before(cut_at + 3 * WINDOW_MS);
    let above = bed.lines_once_equal(&windows_of(&raw));
    assert!(told_again(&above) > 0, "late data made no higher rev");
    let of_others = batches(&above, "machine");
    assert!(of_others.is_empty(), "none of its groups was chosen");
    bed.check_origins(&above);

    // Beside: groups alone, each slot with its rates as the site has it.
    wait_for("the slots beside", PATIENCE, || {
        let shown = bed.interfaces(BESIDE);
        let is_same = |(key, batch): (&(String, i64), &Value)| {
            let it = shown.get(key);
            it.is_some_and(|it| it["groups"] == batch["groups"])
        };
        raw.iter().all(is_same).then_some(())
    });
    assert!(batches(&bed.lines(BESIDE), "machine").is_empty());
    for name in [SITE, REGION, BESIDE, TOP] {
        let log = bed.mesh.node(name).running.stderr();
        for word in ["panicked", "retention took", "cannot derive", "are refused"] {
            assert!(!log.contains(word), "{name} says {word:?}: {}", tail(&log));
        }
    }
}
