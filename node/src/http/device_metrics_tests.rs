//! Tests of `/v1/metrics`: names, labels, age, both namings.

use std::sync::Arc;

use ocelli_model::batch::{CounterColumn, RowSet, Verdict};
use ocelli_model::resource::ResourceFields;
use ocelli_model::schema::{DimensionDef, MetricDef, Schema};
use ocelli_model::slot::{Epoch, SlotMs};

use super::super::exposition::Format;
use super::*;

const NOW: WallMs = WallMs(1_700_000_060_000);

fn resource() -> Resource {
    let identity = ["dc1", "network", "switch", "generic", "sw1"].map(str::to_owned);
    Resource::new(ResourceFields {
        identity,
        endpoint: "sw1.example.com".into(),
        plugin: "by-hand".into(),
        ..ResourceFields::default()
    })
    .unwrap()
}

/// One interface, measured `age_ms` ago: bits_in 8,000 at 100/s, bits_out just begun, mtu 1500.
fn batch(age_ms: i64) -> Batch {
    let metric = |name: &str| MetricDef {
        name: name.into(),
        unit: String::new(),
    };
    let schema = Schema::new(vec![GroupSchema {
        name: "interface".into(),
        interval_ms: 60_000,
        dimensions: vec![DimensionDef {
            name: "interface_name".into(),
            is_key: true,
        }],
        counters: vec![metric("bits_in"), metric("bits_out")],
        gauges: vec![metric("mtu")],
    }]);
    let mut dimensions = DimensionTable::new(1);
    dimensions.push("eth\"0");
    let mut counters = vec![CounterColumn::default(), CounterColumn::default()];
    counters[0].push(8_000, 6_000, Verdict::Rate);
    counters[1].push(16, 0, Verdict::First);
    let mut mtu = GaugeColumn::default();
    mtu.push_int(1_500);
    Batch {
        slot: SlotMs(0),
        interval_ms: 60_000,
        epoch: Epoch::default(),
        time: NOW,
        partial: None,
        schema: Arc::new(schema.unwrap()),
        rows: Arc::new(RowSet {
            groups: vec![dimensions],
        }),
        groups: vec![GroupValues {
            time: vec![WallMs(NOW.0 - age_ms)],
            dt_ms: vec![60_000],
            counters,
            gauges: vec![mtu],
        }],
    }
}

#[test]
fn tags_are_labels_under_both_namings_unless_a_label_has_the_name() {
    let check = |naming: Naming, expected: &[&str], absent: &[&str]| {
        let mut batch = batch(0);
        let tags = [("team", "core"), ("instance", "x"), ("ifName", "y")];
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let tagged = Schema::clone(&batch.schema).with_tags(tags.into());
        batch.schema = Arc::new(tagged.unwrap());
        let mut exposition = Exposition::new(Format::OpenMetrics);
        let selection = Selection {
            group: None,
            naming,
            now: NOW,
        };
        expose(&mut exposition, &resource(), &batch, selection).unwrap();
        let text = exposition.render();
        let line = text.lines().find(|line| line.contains("eth")).unwrap();
        expected
            .iter()
            .for_each(|part| assert!(line.contains(part), "{part}: {line}"));
        absent
            .iter()
            .for_each(|part| assert!(!line.contains(part), "{part}: {line}"));
    };
    check(
        Naming::Panoptes,
        &["team=\"core\"", "instance=\"x\"", "ifName=\"y\""],
        &[],
    );
    check(
        Naming::SnmpExporter,
        &["team=\"core\"", "instance=\"sw1.example.com\""],
        &["instance=\"x\"", "ifName=\"y\""],
    );
}

fn exposed(age_ms: i64, naming: Naming, group: Option<&str>) -> String {
    let format = match naming {
        Naming::Panoptes => Format::OpenMetrics,
        Naming::SnmpExporter => Format::BareText004,
    };
    let mut exposition = Exposition::new(format);
    let selection = Selection {
        group,
        naming,
        now: NOW,
    };
    expose(&mut exposition, &resource(), &batch(age_ms), selection).unwrap();
    exposition.render()
}

#[test]
fn counters_rates_and_gauges_have_families_of_their_own() {
    let text = exposed(60_000, Naming::Panoptes, None);
    let values: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            (
                line.split('{').next().unwrap(),
                line.rsplit("} ").next().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        values,
        [
            ("interface_bits_in_total", "8000 1700000000.000"),
            ("interface_bits_in_rate", "100 1700000000.000"),
            ("interface_bits_out_total", "16 1700000000.000"),
            ("interface_mtu", "1500 1700000000.000"),
        ]
    );
    assert!(text.contains("resource_site=\"dc1\"") && text.contains("interface_name=\"eth\\\"0\""));
}

#[test]
fn what_is_older_than_three_intervals_or_of_another_group_is_not_shown() {
    assert!(exposed(180_000, Naming::Panoptes, None).contains("interface_mtu"));
    assert_eq!(exposed(180_001, Naming::Panoptes, None), "# EOF\n");
    assert_eq!(exposed(0, Naming::Panoptes, Some("cpu")), "# EOF\n");
}

#[test]
fn the_names_of_snmp_exporter_count_octets() {
    let text = exposed(0, Naming::SnmpExporter, None);
    let octets = "ifHCInOctets{instance=\"sw1.example.com\",ifName=\"eth\\\"0\"} 1000 ";
    assert!(
        text.contains("# TYPE ifHCInOctets counter") && text.contains(octets),
        "{text}"
    );
    assert!(!text.contains("_rate") && text.contains("ifMtu{"), "{text}");
}

#[test]
fn a_resource_that_is_down_says_why() {
    let mut exposition = Exposition::new(Format::Text004);
    let naming = Naming::SnmpExporter;
    expose_up(
        &mut exposition,
        &resource(),
        ("interfaces", Some("timeout")),
        naming,
    )
    .unwrap();
    expose_up(&mut exposition, &resource(), ("host", None), naming).unwrap();
    let text = exposition.render();
    assert!(
        text.contains("plugin=\"interfaces\",cause=\"timeout\"} 0\n"),
        "{text}"
    );
    assert!(text.contains("plugin=\"host\"} 1\n"), "{text}");
}
