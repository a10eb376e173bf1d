//! Does a compiled filter of two conditions pass 100 M resources a second on one core?
//!
//! Serves the decision to compile filters over interned values instead of asking each resource.
//! Does: time rounds of both over one table in turn, print median, slowest round and the ratio to
//! the naive loop. Does not: judge; the target stands in the design's budgets.
//! In: nothing. Out: one line a filter, in M resources/s. Run: `cargo bench -p ocelli-model`.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]
#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads the clock to measure"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "figures are printed with three digits"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use ocelli_model::filter::{Filter, InternedTable, Vocabulary};
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::unix_seconds::UnixSeconds;

/// As many as one site is built for.
const RESOURCES: usize = 100_000;
/// Passes over the table in a round of the compiled form, so that a round takes milliseconds.
const PASSES: usize = 20;
const ROUNDS: usize = 51;

const FILTERS: [(&str, &str); 3] = [
    (
        "two equal",
        r#"resource_class = "network" AND resource_type = "cisco""#,
    ),
    (
        "equal, like",
        r#"resource_class = "network" AND resource_metadata.model NOT LIKE "49%""#,
    ),
    (
        "five",
        r#"resource_class = "network"
        AND (resource_site IN ("dc1", "dc2") OR resource_id LIKE "sw1%")
        AND NOT (resource_metadata.role = "lab") AND resource_subclass != "firewall""#,
    ),
];

fn main() {
    let resources: Vec<Resource> = (0..RESOURCES).map(resource).collect();
    println!("{RESOURCES} resources, {ROUNDS} rounds, M resources/s a core median (slowest round)");
    for (name, text) in FILTERS {
        let filter: Filter = text.parse().unwrap();
        let mut table = InternedTable::new(&Vocabulary::resource(), [&filter]);
        resources
            .iter()
            .for_each(|resource| table.push(resource).unwrap());
        let mut compiled = table.compile(&filter).unwrap();
        let matcher = compiled.matcher(&table);
        let by_table = || matcher.select().count();
        let by_tree = || {
            resources
                .iter()
                .filter(|resource| filter.matches(*resource))
                .count()
        };
        assert_eq!(by_table(), by_tree());
        let (mut fast, mut naive) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            fast.push(rate(PASSES, &by_table));
            naive.push(rate(1, &by_tree));
        }
        let (fast, fast_min) = median_and_slowest(fast);
        let (naive, naive_min) = median_and_slowest(naive);
        println!(
            "{name:12} compiled {fast:7.1} ({fast_min:.1})  naive {naive:6.1} ({naive_min:.1})  \
             ratio {:.1}  selected {:.0} %",
            fast / naive,
            100.0 * by_table() as f64 / RESOURCES as f64,
        );
    }
}

/// Millions of resources a second over `passes`.
fn rate(passes: usize, pass: &dyn Fn() -> usize) -> f64 {
    let start = Instant::now();
    for _ in 0..passes {
        black_box(pass());
    }
    (passes * RESOURCES) as f64 / start.elapsed().as_secs_f64() / 1e6
}

fn median_and_slowest(mut rates: Vec<f64>) -> (f64, f64) {
    rates.sort_by(f64::total_cmp);
    (rates[rates.len() / 2], rates[0])
}

/// A mixed site: four in five resources are network devices.
fn resource(number: usize) -> Resource {
    let pick =
        |from: &[&str]| from[number.wrapping_mul(2_654_435_761) / 97 % from.len()].to_owned();
    let mut metadata = BTreeMap::new();
    metadata.insert(
        "model".into(),
        pick(&["4948E", "MX480", "7050S", "4900M", "EX4600", "SRX340"]),
    );
    if number.is_multiple_of(3) {
        metadata.insert("role".into(), pick(&["lab", "core"]));
    }
    Resource::new(ResourceFields {
        identity: [
            pick(&["dc1", "dc2", "dc3"]),
            pick(&["network", "network", "network", "network", "system"]),
            pick(&["switch", "router", "firewall"]),
            pick(&["cisco", "juniper", "arista", "generic"]),
            format!("sw{number}"),
        ],
        endpoint: format!("sw{number}.example.com"),
        metadata,
        created: UnixSeconds::default(),
        plugin: "bench".into(),
    })
    .unwrap()
}
