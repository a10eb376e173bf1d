//! What does an idle resource cost in memory? (Design §13: at most 8 KiB for a resource actor with
//! one session, so that 10,000 fit in 400 MiB.)
//!
//! Real nodes that differ in the number of resources alone; the difference of their anonymous
//! memory by that of resources. `known`: in the catalog, nothing polls it. `session`: each was
//! asked once in vain, so it has an actor, a slot grid, a session and a gap, but no value.
//! `values`: each is a switch of one interface that has had two batches: previous counters, last
//! values, definitions. `cargo build --release && cargo bench -p ocelli-tests --bench idle`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::wait_for;
use serde_json::{Value, json};

const FEW: usize = 2_000;
const MANY: usize = 12_000;
/// Discard port: nobody listens there, and loopback says so at once.
const DEAF_PORT: &str = "9";
const INTERVAL: Duration = Duration::from_secs(60);
/// Two intervals, and a start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Known,
    Session,
    Values,
}

fn main() {
    println!("bytes a resource (anonymous memory of {MANY} less that of {FEW} resources):");
    let mut before = 0.0;
    for state in [State::Known, State::Session, State::Values] {
        let [few, many] = [FEW, MANY].map(|resources| anonymous_bytes(state, resources));
        let each = (many as f64 - few as f64) / (MANY - FEW) as f64;
        println!("{state:?}: {each:.0} ({:+.0})", each - before);
        before = each;
    }
}

/// Anonymous memory of a node with so many resources, each in that state.
fn anonymous_bytes(state: State, resources: usize) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let simulator = Simulator::start(
        folder.path(),
        ("127.14.0.1", resources),
        &["--interfaces", "1"],
    );
    let file = match state {
        State::Session => deaf(folder.path(), &simulator.resources),
        State::Known | State::Values => simulator.resources.clone(),
    };
    let polling = match state {
        State::Known => String::new(),
        State::Session | State::Values => format!(
            "[[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
             every = \"{}s\"\n\n",
            INTERVAL.as_secs()
        ),
    };
    let node = Node::start(
        folder.path(),
        &format!(
            "[[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {file:?}\n\n{polling}\
             [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
        ),
    );
    let wanted = match state {
        State::Known => ("ocelli_resources", 1),
        State::Session => ("ocelli_gaps_total", 1),
        State::Values => ("ocelli_batches_total", 2),
    };
    wait_for("every resource to be in its state", PATIENCE, || {
        (own_metric(&node, wanted.0) >= (resources * wanted.1) as f64).then_some(())
    });
    anonymous(node.running.pid())
}

/// The same resources at a port where nobody answers.
fn deaf(folder: &Path, resources: &Path) -> PathBuf {
    let text = std::fs::read(resources).expect("the simulator wrote its resources");
    let mut resources: Vec<Value> = serde_json::from_slice(&text).expect("it wrote JSON");
    for resource in &mut resources {
        resource["resource_metadata"]["snmp_port"] = json!(DEAF_PORT);
    }
    let file = folder.join("deaf.json");
    std::fs::write(&file, Value::from(resources).to_string()).expect("the folder takes files");
    file
}

/// Sum of a family of the node's own exposition.
fn own_metric(node: &Node, name: &str) -> f64 {
    let (_, text) = node.client.get("/metrics").expect("the node answers");
    let lines = text.lines().filter(|line| line.starts_with(name));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

fn anonymous(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
