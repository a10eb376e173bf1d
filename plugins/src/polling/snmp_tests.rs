//! The interfaces profile against recordings, holes, silence and filters.
//!
//! Does: run the real plan, requests and evaluation on a device that answers from a table.
//! Does not: open sockets. In: recordings and Panoptes' golden results. Out: rows.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_model::clock::Monotonic;
use ocelli_model::enrichment::{EnrichmentGroup, Freshness};
use ocelli_model::filter::Vocabulary;
use ocelli_model::unix_seconds::UnixSeconds;
use serde_json::Value;

use super::*;
use crate::profiles::ProfileLibrary;
use crate::run::{BlockingPool, Run};
use crate::testing::{RecordedDevice, StoppedClock, resource, shared_data};

fn poll(
    plugin: &SnmpPolling,
    device: &RecordedDevice,
    facts: &[Arc<EnrichmentGroup>],
) -> (Rows, Result<PollNotes, PollError>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (resource, blocking) = (resource("test_type", "model"), BlockingPool::default());
    let run = PollRun {
        run: Run {
            clock: &StoppedClock,
            deadline: Monotonic(u64::MAX),
            blocking: &blocking,
        },
        resource: &resource,
        slot_number: 7,
        snmp: Some(device),
        facts,
    };
    let (mut rows, mut scratch) = (Rows::default(), Scratch::default());
    let result = runtime.block_on(plugin.poll(run, &mut rows, &mut scratch));
    (rows, result)
}

fn interfaces() -> SnmpPolling {
    let profile = ProfileLibrary::built_in()
        .load("interfaces", 60_000)
        .unwrap();
    SnmpPolling::new(profile, Vec::new())
}

/// Counters (of the plan's first alternative that was read) and gauges of a row, by name.
fn metrics(plugin: &SnmpPolling, rows: &Rows, row: usize) -> BTreeMap<String, f64> {
    let (schema, rates) = (
        &plugin.profile.schema.groups[0],
        &plugin.profile.rates.groups[0],
    );
    let group = &rows.groups[0];
    let mut metrics = BTreeMap::new();
    for (def, plan) in schema.counters.iter().zip(&rates.counters) {
        let part = |(coefficient, choice): &(u64, u16)| {
            let sources = rates.choices[usize::from(*choice)].sources.iter();
            let value = sources
                .copied()
                .find_map(|at| group.sources[usize::from(at)].get(row));
            value.map(|value| (value * coefficient) as f64)
        };
        let sum: Option<f64> = plan.terms.iter().map(part).sum();
        metrics.extend(sum.map(|sum| (def.name.clone(), sum)));
    }
    for (def, column) in schema.gauges.iter().zip(&group.gauges) {
        metrics.extend(column.get(row).map(|value| (def.name.clone(), value)));
    }
    metrics
}

fn dimensions(plugin: &SnmpPolling, rows: &Rows, row: usize) -> BTreeMap<String, String> {
    let defs = plugin.profile.schema.groups[0]
        .dimensions
        .iter()
        .enumerate();
    defs.filter_map(|(at, def)| {
        let value = rows.groups[0].dimensions.get(row, at)?;
        Some((def.name.clone(), value.to_owned()))
    })
    .collect()
}

// === Panoptes' recording and golden result ===

/// What differs from Panoptes' golden result, and why. Anything else must be equal; its
/// placeholder `<not set>` is an absent dimension here (D6).
const DEVIATIONS: [(&str, &str, &str, &str); 3] = [
    (
        "interface_name",
        "GigabitEthernet0",
        "Gi0",
        "ifName of the device, not the stale store",
    ),
    (
        "alias",
        "Gi0",
        "",
        "ifAlias is empty on the device; the store was stale",
    ),
    (
        "configured_speed",
        "10",
        "1000000000",
        "ifHighSpeed 1000 of the device, not the store",
    ),
];
const NOT_SET: &str = "<not set>";

#[test]
fn the_golden_result_of_interface_polling_comes_out_but_for_named_deviations() {
    let folder = "panoptes/polling/interface";
    let Some(device) = RecordedDevice::read(&format!("{folder}/recording.snmprec")) else {
        return;
    };
    let golden = shared_data(&format!("{folder}/results.json")).unwrap();
    let golden: Vec<Value> = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let of_interface = |group: &&Value| group["metrics_group_type"] == "interface";
    let golden: Vec<&Value> = golden.iter().filter(of_interface).collect();
    let plugin = interfaces();
    let (rows, result) = poll(&plugin, &device, &[]);
    assert_eq!(result, Ok(PollNotes::default()));
    assert_eq!(
        (golden.len(), rows.row_count()),
        (1, 1),
        "index 4 has ifSpeed alone: no row"
    );
    let wanted = golden[0]["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| {
            let name = metric["metric_name"].as_str().unwrap().to_owned();
            (name, metric["metric_value"].as_f64().unwrap())
        });
    let mut wanted: BTreeMap<String, f64> = wanted.collect();
    assert_eq!(
        wanted.insert("configured_speed".into(), 1e9),
        Some(10.0),
        "stale store"
    );
    assert_eq!(metrics(&plugin, &rows, 0), wanted);
    let wanted = golden[0]["dimensions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|dimension| {
            let name = dimension["dimension_name"].as_str().unwrap();
            let value = dimension["dimension_value"].as_str().unwrap();
            let deviation = DEVIATIONS.iter().find(|(deviating, ..)| *deviating == name);
            let value = deviation.map_or(value, |(_, theirs, ours, why)| {
                assert_eq!(value, *theirs, "{name}: {why}");
                ours
            });
            let is_set = !value.is_empty() && value != NOT_SET;
            is_set.then(|| (name.to_owned(), value.to_owned()))
        });
    assert_eq!(dimensions(&plugin, &rows, 0), wanted.collect());
}

#[test]
fn the_compatible_mode_puts_panoptes_placeholders() {
    let text = include_str!("../../profiles/interfaces.ocelli.yaml");
    let text = text.replace("missing: skip", "missing: {value: -1, text: <not set>}");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("compatible.ocelli.yaml"), text).unwrap();
    let library = ProfileLibrary::with_directory(directory.path().to_owned());
    let plugin = SnmpPolling::new(library.load("compatible", 60_000).unwrap(), Vec::new());
    let (rows, _) = poll(&plugin, &device(1), &[]);
    let dimensions = dimensions(&plugin, &rows, 0);
    assert_eq!(dimensions.len(), 10);
    assert_eq!(dimensions["parent_interface_name"], NOT_SET);
    assert_eq!(dimensions["parent_interface_port_speed"], NOT_SET);
    let mut without_mtu = device(1);
    without_mtu.remove("1.3.6.1.2.1.2.2.1.4");
    let (rows, _) = poll(&plugin, &without_mtu, &[]);
    assert_eq!(metrics(&plugin, &rows, 0)["mtu"], -1.0);
}

// === A device of our own ===

/// Interfaces 1 to `count` with every object of the profile.
fn device(count: u32) -> RecordedDevice {
    let mut lines = vec!["1.3.6.1.2.1.1.3.0|67|4711".to_owned()];
    for port in 1..=count {
        let mut add = |column: String, rest: String| lines.push(format!("{column}.{port}|{rest}"));
        add("1.3.6.1.2.1.2.2.1.2".into(), format!("4|Ethernet {port}"));
        add("1.3.6.1.2.1.31.1.1.1.1".into(), format!("4|eth{port}"));
        add("1.3.6.1.2.1.31.1.1.1.18".into(), format!("4|to {port}"));
        for (column, value) in [(3, 6), (4, 1_500), (7, 1), (8, 1)] {
            add(format!("1.3.6.1.2.1.2.2.1.{column}"), format!("2|{value}"));
        }
        for column in [10, 11, 13, 14, 16, 17, 19, 20] {
            add(
                format!("1.3.6.1.2.1.2.2.1.{column}"),
                format!("65|{column}"),
            );
        }
        for column in 2..=5 {
            add(
                format!("1.3.6.1.2.1.31.1.1.1.{column}"),
                format!("65|{column}"),
            );
        }
        for column in 6..=13 {
            add(
                format!("1.3.6.1.2.1.31.1.1.1.{column}"),
                format!("70|{column}000"),
            );
        }
        add("1.3.6.1.2.1.31.1.1.1.15".into(), "66|1000".into());
        add("1.3.6.1.2.1.31.1.1.1.19".into(), "67|9".into());
        for column in [2, 3, 13] {
            add(
                format!("1.3.6.1.2.1.10.7.2.1.{column}"),
                format!("65|{column}"),
            );
        }
    }
    RecordedDevice::parse(&lines.join("\n"))
}

#[test]
fn a_whole_device_gives_every_metric_and_the_evidence_of_reboots() {
    let plugin = interfaces();
    let (rows, result) = poll(&plugin, &device(3), &[]);
    assert_eq!(
        (result, rows.partial.clone()),
        (Ok(PollNotes::default()), None)
    );
    assert_eq!(rows.facts.sys_uptime_ticks, Some(4_711));
    let group = &rows.groups[0];
    assert_eq!(
        (
            group.len(),
            group.speed_bps[0],
            group.discontinuity_ticks[0]
        ),
        (3, 1_000_000_000, 9)
    );
    let metrics = metrics(&plugin, &rows, 2);
    assert_eq!(metrics.len(), 22);
    assert_eq!(metrics["bits_in"], 48_000.0);
    assert_eq!(metrics["total_packets_out"], 36_000.0);
}

#[test]
fn the_metrics_of_a_missing_object_are_missing_alone() {
    let plugin = interfaces();
    let whole = poll(&plugin, &device(2), &[]).0;
    let all: BTreeSet<String> = metrics(&plugin, &whole, 0).into_keys().collect();
    let check = |lost: &[&str], metrics_lost: &[&str]| {
        let mut device = device(2);
        lost.iter().for_each(|prefix| device.remove(prefix));
        let (rows, result) = poll(&plugin, &device, &[]);
        assert!(
            result.is_ok() && rows.partial.is_none(),
            "{lost:?}: {result:?}"
        );
        let left: BTreeSet<String> = metrics(&plugin, &rows, 0).into_keys().collect();
        let missing: BTreeSet<&str> = all.difference(&left).map(String::as_str).collect();
        assert_eq!(missing, metrics_lost.iter().copied().collect(), "{lost:?}");
        let untouched: BTreeSet<String> = metrics(&plugin, &rows, 1).into_keys().collect();
        if lost.iter().all(|prefix| prefix.ends_with(".1.1")) {
            assert_eq!(
                untouched, all,
                "{lost:?} concerns the first interface alone"
            );
        }
    };
    check(&["1.3.6.1.2.1.2.2.1.4"], &["mtu"]);
    check(
        &["1.3.6.1.2.1.10.7.2"],
        &["errors_frame", "errors_crc", "errors_giants"],
    );
    check(
        &["1.3.6.1.2.1.2.2.1.8"],
        &["oper_state", "oper_admin_state_mismatch"],
    );
    // The 32-bit counter steps in; without both the sum goes too.
    check(&["1.3.6.1.2.1.31.1.1.1.9"], &[]);
    let both = ["1.3.6.1.2.1.31.1.1.1.9", "1.3.6.1.2.1.31.1.1.1.3"];
    check(&both, &["broadcast_packets_in", "total_packets_in"]);
    // A gigabit wraps 32-bit octets within two minutes.
    check(&["1.3.6.1.2.1.31.1.1.1.6"], &["bits_in"]);
    check(&["1.3.6.1.2.1.31.1.1.1.15"], &["configured_speed"]);
}

#[test]
fn a_device_without_if_x_table_is_polled_by_32_bit_counters() {
    let mut slow = device(1);
    slow.remove("1.3.6.1.2.1.31.1.1.1");
    slow.set("1.3.6.1.2.1.2.2.1.5.1|66|100000000");
    let plugin = interfaces();
    let (rows, _) = poll(&plugin, &slow, &[]);
    let found = metrics(&plugin, &rows, 0);
    assert_eq!((found["bits_in"], found["configured_speed"]), (80.0, 1e8));
    assert_eq!(
        dimensions(&plugin, &rows, 0)["interface_name"],
        "Ethernet 1"
    );
    slow.set("1.3.6.1.2.1.2.2.1.5.1|66|4294967295");
    let (rows, _) = poll(&plugin, &slow, &[]);
    assert_eq!(metrics(&plugin, &rows, 0).get("configured_speed"), None);
}

#[test]
fn conditional_columns_are_not_asked_of_a_device_that_says_enough() {
    let plugin = interfaces();
    let asked = |device: &RecordedDevice| {
        poll(&plugin, device, &[]).1.unwrap();
        device.asked.get()
    };
    let base = 1 + 32;
    assert_eq!(asked(&device(2)), base);
    let mut unnamed = device(2);
    unnamed.remove("1.3.6.1.2.1.31.1.1.1.1.2");
    unnamed.remove("1.3.6.1.2.1.2.2.1.2.2");
    assert_eq!(asked(&unnamed), base + 1);
    // One interface without a speed: both conditional columns.
    unnamed.remove("1.3.6.1.2.1.31.1.1.1.15.2");
    unnamed.asked.set(0);
    assert_eq!(asked(&unnamed), base + 2);
}

#[test]
fn what_was_read_before_a_device_went_silent_is_kept_as_partial() {
    let plugin = interfaces();
    let silent = device(2);
    silent.silent_after.set(Some(0));
    let (_, result) = poll(&plugin, &silent, &[]);
    assert_eq!(
        result,
        Err(PollError {
            cause: GapKind::Timeout.into()
        })
    );
    // What rows are named by is read by then: the scalars, ifTable, ifXTable.
    let silent = device(2);
    silent.silent_after.set(Some(4));
    let (rows, result) = poll(&plugin, &silent, &[]);
    let partial = rows.partial.clone().unwrap();
    assert!(result.is_ok());
    assert_eq!(
        (partial.cause, partial.reached),
        (GapKind::Timeout.into(), "1.3.6.1".into())
    );
    assert_eq!(metrics(&plugin, &rows, 0).get("mtu"), Some(&1_500.0));
    assert_eq!(
        silent.asked.get(),
        1 + 13 + 16 + 3,
        "no request after the silence"
    );
}

#[test]
fn no_row_goes_by_another_name_wherever_the_device_went_silent() {
    let plugin = interfaces();
    let odd = || {
        let mut device = device(4);
        // By its ifDescr, by its ifSpeed, and two that share a name.
        device.remove("1.3.6.1.2.1.31.1.1.1.1.2");
        device.set("1.3.6.1.2.1.31.1.1.1.15.1|66|0");
        device.set("1.3.6.1.2.1.2.2.1.5.1|66|64000");
        device.set("1.3.6.1.2.1.31.1.1.1.1.4|4|eth3");
        device
    };
    let all = |rows: &Rows| -> BTreeMap<String, BTreeMap<String, String>> {
        let rows_read = (0..rows.row_count()).map(|row| dimensions(&plugin, rows, row));
        rows_read
            .map(|of_row| (of_row["interface_name"].clone(), of_row))
            .collect()
    };
    let whole = all(&poll(&plugin, &odd(), &[]).0);
    let names: Vec<&str> = whole.keys().map(String::as_str).collect();
    let expected = [
        "Ethernet 2",
        "eth1",
        "eth3 [Ethernet 3]",
        "eth3 [Ethernet 4]",
    ];
    assert_eq!(names, expected);
    let mut partial_with_rows = 0;
    for cells in 0.. {
        let device = odd();
        device.cells_left.set(Some(cells));
        let (rows, result) = poll(&plugin, &device, &[]);
        let read = all(&rows);
        assert!(
            read.iter().all(|(name, row)| whole.get(name) == Some(row)),
            "after {cells} cells: {read:#?}"
        );
        if result.is_ok() && rows.partial.is_none() {
            assert_eq!(read, whole);
            break;
        }
        partial_with_rows += usize::from(!read.is_empty());
    }
    assert!(partial_with_rows > 10, "rows that were read are kept");
}

#[test]
fn a_device_without_interfaces_is_a_gap_without_data() {
    let (_, result) = poll(
        &interfaces(),
        &RecordedDevice::parse("1.3.6.1.2.1.1.3.0|67|1"),
        &[],
    );
    assert_eq!(
        result,
        Err(PollError {
            cause: GapKind::NoData.into()
        })
    );
}

#[test]
fn rows_that_a_filter_leaves_out_are_not_read_where_that_is_cheaper() {
    let profile = ProfileLibrary::built_in()
        .load("interfaces", 60_000)
        .unwrap();
    let names = profile.schema.groups[0].dimensions.iter();
    let vocabulary = Vocabulary::dimensions(names.map(|dimension| dimension.name.as_str()));
    let check = |filter: &str, expected: &[&str], asked: std::ops::Range<usize>| {
        let keep = Filter::parse(filter, &vocabulary).unwrap();
        let plugin = SnmpPolling::new(profile.clone(), vec![Some(keep)]);
        let device = device(9);
        let (rows, _) = poll(&plugin, &device, &[]);
        let found: Vec<_> = (0..rows.row_count())
            .map(|row| {
                dimensions(&plugin, &rows, row)
                    .remove("interface_name")
                    .unwrap()
            })
            .collect();
        assert_eq!(found, expected, "{filter}");
        let names = |row| metrics(&plugin, &rows, row).len();
        assert!((0..found.len()).all(|row| names(row) == 22), "{filter}");
        assert!(
            asked.contains(&device.asked.get()),
            "{filter}: {}",
            device.asked.get()
        );
    };
    let nine: Vec<String> = (1..=9).map(|port| format!("eth{port}")).collect();
    let nine: Vec<&str> = nine.iter().map(String::as_str).collect();
    // A walk of each column once, whether in one part or two.
    check(r#"interface_name LIKE "eth%""#, &nine, 33..34);
    // The columns of names walked, then the rest of one row.
    check(r#"alias = "to 3""#, &["eth3"], 33..34);
    check(r#"alias IN ("to 3", "to 4")"#, &["eth3", "eth4"], 45..80);
}

#[test]
fn facts_of_enrichment_fill_the_dimensions_that_the_device_does_not_tell() {
    let label =
        serde_json::json!({"port_speed": 10_000_000_000u64, "parent_interface_name": "ae0"});
    let labels = BTreeMap::from([("2".to_owned(), label.as_object().unwrap().clone())]);
    let freshness = Freshness {
        created: UnixSeconds::default(),
        ttl_seconds: 900,
        every_seconds: 300,
    };
    let facts = EnrichmentGroup::new("interface", labels, freshness).unwrap();
    let plugin = interfaces();
    assert_eq!(plugin.namespaces(), ["interface"]);
    let (rows, _) = poll(&plugin, &device(2), &[Arc::new(facts)]);
    let (first, second) = (dimensions(&plugin, &rows, 0), dimensions(&plugin, &rows, 1));
    assert_eq!(first.get("port_speed"), None);
    assert_eq!(
        (
            second["port_speed"].as_str(),
            second["parent_interface_name"].as_str()
        ),
        ("10000000000", "ae0")
    );
}
