//! What does a node cost that polls 1,000 switches of 48 interfaces? (Decides whether 10,000 on
//! one node is within reach: at most 15 % of a core and 400 MiB at an interval of 60 s.)
//!
//! Real processes: `ocelli simulate` and `ocelli run`, v2c on loopback, rates, bus, fsync. The node
//! polls each 10 s; the share of a core is scaled to 60 s. The baseline of the same run is what the
//! simulator pays to answer. `cargo bench -p ocelli-tests --bench thousand`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::{Duration, Instant};

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::process::Running;
use ocelli_tests::harness::simulator::Simulator;

const AGENTS: usize = 1_000;
const INTERFACES: usize = 48;
const INTERVAL: Duration = Duration::from_secs(10);
const TARGET_INTERVAL: Duration = Duration::from_secs(60);
/// Slots before the measurement: discovery, first reads, columns grown to their size.
const WARM_UP: Duration = Duration::from_secs(25);
const MEASURED: Duration = Duration::from_secs(60);
/// Linux counts CPU time in hundredths of a second on every platform that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let simulator = Simulator::start(folder.path(), ("127.4.0.1", AGENTS), &[]);
    let resources = &simulator.resources;
    let node = Node::start(
        folder.path(),
        &format!(
            "[[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
             [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
             every = \"{}s\"\n\n\
             [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n",
            INTERVAL.as_secs()
        ),
    );
    pause(WARM_UP);
    let before = Reading::of(&node, &simulator.running);
    pause(MEASURED);
    let after = Reading::of(&node, &simulator.running);
    report(&node, &before, &after);
}

/// What both processes had used at one moment.
struct Reading {
    at: Instant,
    node_cpu_s: f64,
    simulator_cpu_s: f64,
    batches: f64,
    data_bytes: u64,
}

impl Reading {
    #[expect(clippy::disallowed_methods, reason = "a bench measures over real time")]
    fn of(node: &Node, simulator: &Running) -> Self {
        Self {
            at: Instant::now(),
            node_cpu_s: cpu_seconds(node.running.pid()),
            simulator_cpu_s: cpu_seconds(simulator.pid()),
            batches: own_metric(node, "ocelli_batches_total"),
            data_bytes: own_metric_u64(node, "ocelli_bus_appended_bytes_total"),
        }
    }
}

fn report(node: &Node, before: &Reading, after: &Reading) {
    let elapsed_s = after.at.duration_since(before.at).as_secs_f64();
    let node_cpu_s = after.node_cpu_s - before.node_cpu_s;
    let simulator_cpu_s = after.simulator_cpu_s - before.simulator_cpu_s;
    let scale = INTERVAL.as_secs_f64() / TARGET_INTERVAL.as_secs_f64();
    let batches = after.batches - before.batches;
    println!("{AGENTS} resources x {INTERFACES} interfaces, {elapsed_s:.0} s at {INTERVAL:?}");
    println!("batches                      {batches:.0}");
    println!(
        "node, of a core at 60 s      {:.2} %",
        node_cpu_s / elapsed_s * scale * 100.0
    );
    println!(
        "node, CPU a collection       {:.1} us",
        node_cpu_s / batches * 1e6
    );
    println!(
        "node / simulator (baseline)  {:.2}",
        node_cpu_s / simulator_cpu_s
    );
    println!(
        "bus, bytes a batch           {:.0}",
        (after.data_bytes - before.data_bytes) as f64 / batches
    );
    println!(
        "node, resident               {} KiB",
        resident_kib(node.running.pid())
    );
}

/// Sum of a counter of the node's own exposition.
fn own_metric(node: &Node, name: &str) -> f64 {
    let (_, text) = node.client.get("/metrics").expect("the node answers");
    let values = text.lines().filter(|line| line.starts_with(name));
    values
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a byte count"
)]
fn own_metric_u64(node: &Node, name: &str) -> u64 {
    own_metric(node, name) as u64
}

fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in parentheses: utime and stime are fields 14 and 15 of the line (proc(5)).
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / TICKS_PER_SECOND
}

fn resident_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or("");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures over real time")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
