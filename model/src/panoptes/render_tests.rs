//! Proof of `render` and `status`: exact bytes once, then that what is written reads back as what
//! the batch holds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::batch::{CounterColumn, RowSet, Verdict};
use crate::columns::{DimensionTable, GaugeColumn};
use crate::gap::{GapCause, GapKind};
use crate::panoptes::{
    MetricValue, PollingStatus, StatusGroup, parse_metrics_group, render_status,
};
use crate::resource::tests::defaults;
use crate::rows::Partial;
use crate::schema::{DimensionDef, MetricDef};
use crate::series::{RowIdentity, SeriesId};
use crate::slot::{Epoch, SlotMs};

fn resource() -> Resource {
    let value = json!({
        "resource_site": "dc1", "resource_class": "c", "resource_subclass": "sc",
        "resource_type": "t", "resource_id": "sw\"1", "resource_endpoint": "sw1",
        "resource_metadata": {}, "resource_creation_timestamp": 7, "resource_plugin": "p",
    });
    Resource::from_json(&value, &defaults()).unwrap()
}

fn schema(counters: &[&str], gauges: &[&str], dimensions: &[&str]) -> Schema {
    let metric = |name: &&str| MetricDef {
        name: (*name).into(),
        unit: String::new(),
    };
    let dimension = |name: &&str| DimensionDef {
        name: (*name).into(),
        is_key: true,
    };
    Schema::new(vec![GroupSchema {
        name: "interface".into(),
        interval_ms: 60_000,
        dimensions: dimensions.iter().map(dimension).collect(),
        counters: counters.iter().map(metric).collect(),
        gauges: gauges.iter().map(metric).collect(),
    }])
    .unwrap()
}

/// A batch of one group whose rows came at 1,000.5 s and after.
fn batch(schema: Schema, table: DimensionTable, values: GroupValues) -> Batch {
    Batch {
        slot: SlotMs(1_000_000),
        interval_ms: 60_000,
        epoch: Epoch::default(),
        time: WallMs(1_001_250),
        partial: None,
        schema: Arc::new(schema),
        rows: Arc::new(RowSet {
            groups: vec![table],
        }),
        groups: vec![values],
    }
}

fn counter(cells: &[(u64, u64, Verdict)]) -> CounterColumn {
    let mut column = CounterColumn::default();
    cells
        .iter()
        .for_each(|(value, delta, verdict)| column.push(*value, *delta, *verdict));
    column
}

fn sample_batch() -> Batch {
    let mut table = DimensionTable::new(2);
    ["Gi0/1", "up\"link", "Gi0/2", ""]
        .iter()
        .for_each(|cell| table.push(cell));
    let mut mtu = GaugeColumn::default();
    mtu.push_int(1_500);
    mtu.push_absent();
    let cells = [
        (7_445_623_452_378_547, 59, Verdict::Rate),
        (u64::MAX, 0, Verdict::First),
    ];
    let values = GroupValues {
        time: vec![WallMs(1_000_500), WallMs(1_000_000)],
        dt_ms: vec![60_000; 2],
        counters: vec![counter(&cells)],
        gauges: vec![mtu],
    };
    let schema = schema(&["bits_in"], &["admin_state"], &["interface_name", "alias"]);
    batch(schema, table, values)
}

#[test]
fn tags_stand_among_the_dimensions_of_each_row_and_change_no_series() {
    let mut batch = sample_batch();
    let before: Vec<_> = (0..2).map(|row| series_of(&batch, row)).collect();
    let tags = [("zone", "9"), ("team", "back\"bone")];
    let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let tagged = Schema::clone(&batch.schema).with_tags(tags.into());
    batch.schema = Arc::new(tagged.unwrap());
    let expected = [
        concat!(
            r#"[{"dimension_name":"alias","dimension_value":"up\"link"},"#,
            r#"{"dimension_name":"interface_name","dimension_value":"Gi0/1"},"#,
            r#"{"dimension_name":"team","dimension_value":"back\"bone"},"#,
            r#"{"dimension_name":"zone","dimension_value":"9"}]"#
        ),
        concat!(
            r#"[{"dimension_name":"interface_name","dimension_value":"Gi0/2"},"#,
            r#"{"dimension_name":"team","dimension_value":"back\"bone"},"#,
            r#"{"dimension_name":"zone","dimension_value":"9"}]"#
        ),
    ];
    let text = render(&batch, Projection::default());
    for (line, dimensions) in text.lines().zip(expected) {
        assert!(
            line.ends_with(&format!("\"dimensions\":{dimensions}}}")),
            "{line}"
        );
        parse_metrics_group(line.as_bytes(), &defaults()).unwrap();
    }
    let after: Vec<_> = (0..2).map(|row| series_of(&batch, row)).collect();
    assert_eq!(before, after);
}

fn series_of(batch: &Batch, row: usize) -> SeriesId {
    let mut identity = RowIdentity::of_batch(resource().id(), batch, 0, row).unwrap();
    identity.series("bits_in", MetricKind::Counter)
}

fn render(batch: &Batch, projection: Projection) -> String {
    let mut bytes = Vec::new();
    let of = ResourceJson::of(&resource());
    let count = GroupRenderer::new(projection).render(batch, &of, &mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), count);
    text
}

#[test]
fn a_row_is_one_group_sorted_by_name_then_type() {
    let resource = concat!(
        r#"{"resource_site":"dc1","resource_class":"c","resource_subclass":"sc","#,
        r#""resource_type":"t","resource_id":"sw\"1","resource_endpoint":"sw1","#,
        r#""resource_metadata":{"_resource_ttl":"604800"},"#,
        r#""resource_creation_timestamp":7.0,"resource_plugin":"p"}"#
    );
    let head = concat!(
        r#"{"metrics_group_type":"interface","metrics_group_interval":60,"#,
        r#""metrics_group_creation_timestamp":1001.25,"metrics_group_schema_version":"0.2","#,
        r#""resource":"#
    );
    let metrics = concat!(
        r#","metrics":[{"metric_creation_timestamp":1000.5,"metric_name":"admin_state","#,
        r#""metric_value":1500,"metric_type":"gauge"},"#,
        r#"{"metric_creation_timestamp":1000.5,"metric_name":"bits_in","#,
        r#""metric_value":7445623452378547,"metric_type":"counter"},"#,
        r#"{"metric_creation_timestamp":1000.5,"metric_name":"bits_in","#,
        r#""metric_value":0.9833333333333333,"metric_type":"gauge"}],"#,
        r#""dimensions":[{"dimension_name":"alias","dimension_value":"up\"link"},"#,
        r#"{"dimension_name":"interface_name","dimension_value":"Gi0/1"}]}"#
    );
    let second = concat!(
        r#","metrics":[{"metric_creation_timestamp":1000.0,"metric_name":"bits_in","#,
        r#""metric_value":18446744073709551615,"metric_type":"counter"}],"#,
        r#""dimensions":[{"dimension_name":"interface_name","dimension_value":"Gi0/2"}]}"#
    );
    let expected = format!("{head}{resource}{metrics}\n{head}{resource}{second}\n");
    assert_eq!(render(&sample_batch(), Projection::default()), expected);
}

#[test]
fn only_the_groups_and_metrics_asked_for_are_written() {
    let check = |groups: &[&str], metrics: &[&str], expected: [usize; 2]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let projection = Projection {
            groups: owned(groups),
            metrics: owned(metrics),
        };
        let text = render(&sample_batch(), projection);
        let found = [text.lines().count(), text.matches("metric_value").count()];
        assert_eq!(found, expected, "{groups:?} {metrics:?}");
    };
    check(&["cpu"], &[], [0, 0]);
    check(&["cpu", "interface"], &["bits_in"], [2, 3]);
    // A row without a metric is no group: admin_state stands in the first row only.
    check(&[], &["admin_state"], [1, 1]);
}

#[test]
fn a_gauge_that_was_read_stands_before_the_rate_of_its_name() {
    let mut read = GaugeColumn::default();
    read.push_float(18_233.5);
    let values = GroupValues {
        time: vec![WallMs(-1_500)],
        dt_ms: vec![1_000],
        counters: vec![counter(&[(10, 10, Verdict::Rate)])],
        gauges: vec![read],
    };
    let batch = batch(
        schema(&["bits_in"], &["bits_in"], &[]),
        DimensionTable::new(0),
        values,
    );
    let text = render(&batch, Projection::default());
    assert!(
        text.contains(r#""metric_value":18233.5,"metric_type":"gauge""#),
        "{text}"
    );
    assert_eq!(text.matches("metric_value").count(), 2, "{text}");
    assert!(text.contains(r#"timestamp":-1.5,"metric_name""#), "{text}");
    assert!(text.contains(r#""dimensions":[]}"#), "{text}");
}

#[test]
fn a_renderer_serves_many_schemas_in_bounded_memory() {
    let mut renderer = GroupRenderer::default();
    let of = ResourceJson::of(&resource());
    let mut into = Vec::new();
    for _ in 0..=2 * SCHEMAS_KEPT_MAX {
        assert_eq!(renderer.render(&sample_batch(), &of, &mut into), 2);
    }
    assert!(renderer.plans.len() <= SCHEMAS_KEPT_MAX);
}

#[test]
fn a_poll_has_panoptes_status_unless_the_device_was_not_asked() {
    let check = |kind: GapKind, detail: &'static str, expected: Option<u8>| {
        let status = PollingStatus::of_gap(&GapCause::with(kind, detail));
        assert_eq!(status.map(|status| status as u8), expected, "{kind:?}");
    };
    check(GapKind::Auth, "wrong_digest", Some(1));
    check(GapKind::Dns, "", Some(2));
    check(GapKind::Unreachable, "", Some(2));
    check(GapKind::Timeout, "", Some(3));
    check(GapKind::Overrun, "", Some(3));
    check(GapKind::PluginError, "", Some(5));
    check(GapKind::PluginError, "enrichment missing", Some(8));
    check(GapKind::BadReply, "", Some(5));
    check(GapKind::NoData, "", Some(6));
    check(GapKind::ResourceDown, "", Some(7));
    check(GapKind::Handover, "", None);
    check(GapKind::Restart, "", None);
    let mut batch = sample_batch();
    assert_eq!(PollingStatus::of_batch(&batch), PollingStatus::Success);
    batch.partial = Some(Partial {
        cause: GapKind::Timeout.into(),
        reached: String::new(),
    });
    assert_eq!(
        PollingStatus::of_batch(&batch),
        PollingStatus::PartialMetricFailure
    );
    batch.groups.clear();
    assert_eq!(
        PollingStatus::of_batch(&batch),
        PollingStatus::MissingMetrics
    );
}

#[test]
fn the_status_group_reads_as_a_metrics_group() {
    let of = ResourceJson::of(&resource());
    let mut bytes = Vec::new();
    let group = StatusGroup {
        resource: &of,
        interval_ms: 500,
        time: WallMs(1_532_023_709_730),
        metric: "polling_status",
    };
    render_status(group, PollingStatus::PartialMetricFailure, &mut bytes);
    let group = parse_metrics_group(&bytes, &defaults()).unwrap();
    assert_eq!(
        (group.group_type.as_str(), group.interval_seconds),
        ("status", 1)
    );
    let metric = group.metrics[&("polling_status".to_owned(), MetricKind::Gauge)];
    assert_eq!(metric.value, MetricValue::Unsigned(4));
    assert_eq!(metric.time.get(), 1_532_023_709.73);
    assert_eq!(group.dimensions, BTreeMap::new());
}

/// Value or none, delta, verdict number.
fn any_cells() -> impl Strategy<Value = Vec<(Option<u64>, u64, u8, Option<f64>)>> {
    let cell = (
        any::<Option<u64>>(),
        any::<u64>(),
        0u8..7,
        any::<Option<f64>>(),
    );
    proptest::collection::vec(cell, 1..8)
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_what_the_batch_holds(
        cells in any_cells(), times in proptest::collection::vec(0i64..4_000_000_000_000, 8),
        names in proptest::collection::vec("\\PC{0,8}", 8), dt_ms in 1u32..1_000_000,
    ) {
        let mut table = DimensionTable::new(1);
        let (mut column, mut gauge) = (CounterColumn::default(), GaugeColumn::default());
        for (row, (value, delta, verdict, read)) in cells.iter().enumerate() {
            table.push(&names[row]);
            let verdict = Verdict::from_number(*verdict).unwrap();
            match value {
                Some(value) if verdict.has_rate() => column.push(*value, *delta, verdict),
                Some(value) => column.push(*value, 0, verdict),
                None => column.push_absent(),
            }
            match read {
                Some(read) => gauge.push_float(*read),
                None => gauge.push_absent(),
            }
        }
        let values = GroupValues {
            time: times[..cells.len()].iter().map(|time| WallMs(*time)).collect(),
            dt_ms: vec![dt_ms; cells.len()],
            counters: vec![column],
            gauges: vec![gauge],
        };
        let batch = batch(schema(&["octets"], &["load"], &["name"]), table, values);
        let text = render(&batch, Projection::default());
        let mut lines = text.lines();
        for row in 0..cells.len() {
            let values = &batch.groups[0];
            let octets = values.counters[0].presence.is_present(row);
            let expected = [
                octets.then(|| values.counters[0].values[row] as f64),
                values.rate(0, row),
                values.gauges[0].get(row),
            ];
            if expected == [None; 3] {
                continue;
            }
            let line = lines.next().unwrap();
            let group = parse_metrics_group(line.as_bytes(), &defaults()).unwrap();
            let found = [("octets", MetricKind::Counter), ("octets", MetricKind::Gauge),
                ("load", MetricKind::Gauge)].map(|(name, kind)| {
                let metric = group.metrics.get(&(name.to_owned(), kind))?;
                assert_eq!(metric.time.to_wall(), values.time[row]);
                Some(match metric.value {
                    MetricValue::Unsigned(value) => value as f64,
                    MetricValue::Signed(value) => value as f64,
                    MetricValue::Float(value) => value,
                })
            });
            prop_assert_eq!(found, expected);
            let name = group.dimensions.get("name").map(String::as_str);
            prop_assert_eq!(name, batch.rows.groups[0].get(row, 0));
        }
        prop_assert_eq!(lines.next(), None);
    }
}
