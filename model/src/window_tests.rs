//! Proof of `window`: choice and windows against plain recomputation.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::batch::{CounterColumn, Verdict};
use crate::clock::WallMs;
use crate::columns::GaugeValues;
use crate::schema::DimensionDef;
use crate::slot::Epoch;

/// What a slot says of a row: a gauge and a counter, each maybe absent.
type Row = (Option<f64>, Option<u64>);
type Slots = BTreeMap<i64, BTreeMap<u8, Row>>;

fn metric(name: &str) -> MetricDef {
    MetricDef {
        name: name.to_owned(),
        unit: "By".to_owned(),
    }
}

fn group(name: &str, gauge: &str, counter: &str) -> GroupSchema {
    let dimension = |name: &str, is_key| DimensionDef {
        name: name.to_owned(),
        is_key,
    };
    GroupSchema {
        name: name.to_owned(),
        interval_ms: 10_000,
        dimensions: vec![dimension("port", true), dimension("alias", false)],
        counters: vec![metric(counter)],
        gauges: vec![metric(gauge)],
    }
}

fn batch(slot: i64, rows: &BTreeMap<u8, Row>) -> Batch {
    let mut table = DimensionTable::new(2);
    let (mut counter, mut gauge) = (CounterColumn::default(), GaugeColumn::default());
    for (row, (value, count)) in rows {
        table.push(&format!("port{row}"));
        table.push(&format!("seen in {slot}"));
        match value {
            Some(value) if value.fract() == 0.0 => {
                gauge.push_int(format!("{value}").parse().unwrap())
            }
            Some(value) => gauge.push_float(*value),
            None => gauge.push_absent(),
        }
        match count {
            Some(count) => counter.push(*count, 1, Verdict::Rate),
            None => counter.push_absent(),
        }
    }
    let values = GroupValues {
        time: vec![WallMs(slot + 5); rows.len()],
        dt_ms: vec![10_000; rows.len()],
        counters: vec![counter],
        gauges: vec![gauge],
    };
    Batch {
        slot: SlotMs(slot),
        interval_ms: 10_000,
        epoch: Epoch::default(),
        time: WallMs(slot + 9),
        partial: None,
        schema: Arc::new(Schema::new(vec![group("interface", "load", "octets")]).unwrap()),
        rows: Arc::new(RowSet {
            groups: vec![table],
        }),
        groups: vec![values],
    }
}

fn window(slots: u32, rev: u64) -> Window {
    Window {
        start: SlotMs(0),
        length_ms: 60_000,
        rev,
        slots,
        missing: None,
    }
}

/// Name, column and value of each present cell of a row.
fn cells(batch: &Batch, group: usize, key: &str) -> BTreeMap<String, f64> {
    let table = &batch.rows.groups[group];
    let row = (0..table.rows()).find(|row| table.get(*row, 0) == Some(key));
    let Some(row) = row else {
        return BTreeMap::new();
    };
    let schema = &batch.schema.groups[group];
    let gauges = schema.gauges.iter().zip(&batch.groups[group].gauges);
    let gauges = gauges.filter_map(|(def, column)| Some((def.name.clone(), column.get(row)?)));
    let counters = schema.counters.iter().zip(&batch.groups[group].counters);
    let counters = counters.filter(|(_, column)| column.presence.is_present(row));
    let counters = counters.map(|(def, column)| (def.name.clone(), column.values[row] as f64));
    gauges.chain(counters).collect()
}

/// The same from the slots themselves.
fn recomputed(slots: &Slots, row: u8) -> BTreeMap<String, f64> {
    let of_row: Vec<Row> = slots
        .values()
        .filter_map(|it| it.get(&row))
        .copied()
        .collect();
    let gauges: Vec<f64> = of_row.iter().filter_map(|it| it.0).collect();
    let counters: Vec<u64> = of_row.iter().filter_map(|it| it.1).collect();
    let mut cells = BTreeMap::new();
    if let Some(last) = gauges.last() {
        let of = |choose: fn(f64, f64) -> f64| gauges.iter().copied().reduce(choose).unwrap();
        cells.insert("load".to_owned(), *last);
        cells.insert("load_min".to_owned(), of(f64::min));
        cells.insert("load_max".to_owned(), of(f64::max));
        cells.insert("load_sum".to_owned(), gauges.iter().sum());
        cells.insert("load_count".to_owned(), gauges.len() as f64);
    }
    if let Some(last) = counters.last() {
        cells.insert("octets".to_owned(), *last as f64);
        cells.insert("octets_count".to_owned(), counters.len() as f64);
    }
    cells
}

fn slots() -> impl Strategy<Value = Slots> {
    let value = prop_oneof![
        (-1_000i64..1_000).prop_map(|whole| whole as f64),
        -1e6..1e6f64,
    ];
    let row = (prop::option::of(value), prop::option::of(0u64..1 << 40));
    let rows = prop::collection::btree_map(0u8..6, row, 0..6);
    prop::collection::btree_map(0i64..6, rows, 1..6).prop_map(|slots| {
        slots
            .into_iter()
            .map(|(at, rows)| (at * 10_000, rows))
            .collect()
    })
}

proptest! {
    #[test]
    fn a_window_says_what_its_slots_say(slots in slots()) {
        let batches: Vec<_> = slots.iter().map(|(at, rows)| Arc::new(batch(*at, rows))).collect();
        let made = downsample(&batches, &window(6, 11)).unwrap().unwrap();
        for row in 0..6u8 {
            let expected = recomputed(&slots, row);
            prop_assert_eq!(cells(&made, 0, &format!("port{row}")), expected);
        }
        let facts = facts_of(&made).unwrap();
        let batches = u32::try_from(slots.len()).unwrap();
        prop_assert_eq!(facts, WindowFacts { rev: 11, slots: 6, batches });
        prop_assert_eq!(made.partial.is_some(), slots.len() < 6);
        let rates: usize = made.sample_count().rates;
        prop_assert_eq!(rates, 0, "counters carry last and count, no rate");
        for (section, table) in made.groups.iter().zip(&made.rows.groups) {
            let lens = section.gauges.iter().map(|it| it.presence.len());
            let lens = lens.chain(section.counters.iter().map(|it| it.values.len()));
            let rows = if table.columns() == 0 { 1 } else { table.rows() };
            lens.chain([section.dt_ms.len(), section.time.len()])
                .for_each(|len| assert_eq!(len, rows));
        }
    }
}

#[test]
fn rows_have_the_attributes_and_the_time_of_the_newest_batch_that_has_them() {
    let row = |value: f64| (Some(value), None);
    let first = batch(0, &BTreeMap::from([(1, row(1.0)), (2, row(2.5))]));
    let second = batch(10_000, &BTreeMap::from([(1, row(3.0))]));
    let batches = [Arc::new(first), Arc::new(second)];
    let made = downsample(&batches, &window(2, 4)).unwrap().unwrap();
    let alias = |key: &str| {
        let table = &made.rows.groups[0];
        let row = (0..2).find(|row| table.get(*row, 0) == Some(key)).unwrap();
        (
            table.get(row, 1).unwrap().to_owned(),
            made.groups[0].time[row].0,
        )
    };
    assert_eq!(alias("port1"), ("seen in 10000".to_owned(), 10_005));
    assert_eq!(alias("port2"), ("seen in 0".to_owned(), 5));
    assert_eq!(
        (made.slot, made.interval_ms, made.time.0),
        (SlotMs(0), 60_000, 10_009)
    );
    assert!(made.partial.is_none());
}

#[test]
fn a_column_that_came_or_went_within_the_window_is_there_with_what_it_had() {
    let rows = BTreeMap::from([(1, (Some(7.0), Some(9)))]);
    let first = batch(0, &rows);
    let mut second = batch(10_000, &rows);
    let mut schema = vec![
        group("interface", "errors", "octets"),
        group("cpu", "busy", "ticks"),
    ];
    schema[0].dimensions.reverse();
    schema[0]
        .dimensions
        .iter_mut()
        .for_each(|it| it.is_key = it.name == "port");
    schema[0].dimensions.swap(0, 1);
    second.schema = Arc::new(Schema::new(schema).unwrap());
    second.groups.push(second.groups[0].clone());
    let mut table = RowSet::clone(&second.rows);
    table.groups.push(table.groups[0].clone());
    second.rows = Arc::new(table);
    let batches = [Arc::new(first), Arc::new(second)];
    let made = downsample(&batches, &window(2, 4)).unwrap().unwrap();
    let names: Vec<_> = made
        .schema
        .groups
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, ["interface", "cpu", WINDOW_GROUP]);
    let found = cells(&made, 0, "port1");
    assert_eq!(
        (found["errors"], found["load"], found["octets_count"]),
        (7.0, 7.0, 2.0)
    );
    assert_eq!((found["errors_count"], found["load_count"]), (1.0, 1.0));
    assert_eq!(cells(&made, 1, "port1")["busy_sum"], 7.0);
}

#[test]
fn a_name_that_a_source_column_has_stays_that_columns() {
    let mut source = batch(0, &BTreeMap::from([(1, (Some(7.0), Some(9)))]));
    let mut schema = vec![group("interface", "load", "octets")];
    schema[0].gauges.push(metric("load_max"));
    source.schema = Arc::new(Schema::new(schema).unwrap());
    let mut column = GaugeColumn::default();
    column.push_int(-5);
    source.groups[0].gauges.push(column);
    let made = downsample(&[Arc::new(source)], &window(1, 2))
        .unwrap()
        .unwrap();
    let found = cells(&made, 0, "port1");
    assert_eq!((found["load_max"], found["load_min"]), (-5.0, 7.0));
    assert_eq!(found["load_max_max"], -5.0);
}

#[test]
fn too_many_columns_leave_the_last_values_alone() {
    let mut source = batch(0, &BTreeMap::from([(1, (None, Some(9)))]));
    let mut schema = vec![group("interface", "load", "octets")];
    let mut column = GaugeColumn::default();
    column.push_int(1);
    for number in 0..METRICS {
        schema[0].gauges.push(metric(&format!("g{number}")));
        source.groups[0].gauges.push(column.clone());
    }
    source.schema = Arc::new(Schema::new(schema).unwrap());
    let made = downsample(&[Arc::new(source)], &window(1, 2))
        .unwrap()
        .unwrap();
    assert_eq!(made.schema.groups[0].gauges.len(), METRICS + 1);
    assert_eq!(cells(&made, 0, "port1")["octets"], 9.0);
}
const METRICS: usize = 300;

#[test]
fn whole_sums_stay_whole_until_they_do_not_fit() {
    let sum = |values: [i64; 2]| {
        let batches = [0, 1].map(|at| {
            let mut source = batch(at * 10_000, &BTreeMap::from([(1, (None, None))]));
            let mut column = GaugeColumn::default();
            column.push_int(values[usize::try_from(at).unwrap()]);
            source.groups[0].gauges = vec![column];
            Arc::new(source)
        });
        let made = downsample(&batches, &window(2, 4)).unwrap().unwrap();
        let gauges = &made.schema.groups[0].gauges;
        let at = gauges.iter().position(|it| it.name == "load_sum").unwrap();
        made.groups[0].gauges[at].values.clone()
    };
    assert_eq!(sum([1 << 60, 1]), GaugeValues::Int(vec![(1 << 60) + 1]));
    assert_eq!(
        sum([i64::MAX, 1]),
        GaugeValues::Float(vec![i64::MAX as f64 + 1.0])
    );
}

#[test]
fn what_is_missing_is_said_with_its_cause_and_else_what_a_batch_said_of_itself() {
    let rows = BTreeMap::from([(1, (Some(1.0), None))]);
    let mut half = batch(0, &rows);
    let timeout = GapCause::from(GapKind::Timeout);
    half.partial = Some(Partial {
        cause: timeout.clone(),
        reached: "1.3".to_owned(),
    });
    let batches = [Arc::new(half.clone()), Arc::new(batch(10_000, &rows))];
    let whole = downsample(&batches, &window(2, 4)).unwrap().unwrap();
    assert_eq!(whole.partial, half.partial);
    let late = downsample(&batches, &window(3, 4)).unwrap().unwrap();
    let late = late.partial.unwrap();
    assert_eq!(
        (late.cause.to_string(), late.reached),
        ("lost_node/late".into(), "2 of 3 slots".into())
    );
    let why = Window {
        missing: Some(timeout.clone()),
        ..window(3, 4)
    };
    let known = downsample(&batches, &why).unwrap().unwrap();
    assert_eq!(known.partial.unwrap().cause, timeout);
}

#[test]
fn groups_are_chosen_by_name_with_their_rates_and_none_is_no_batch() {
    let mut source = batch(0, &BTreeMap::from([(1, (Some(7.0), Some(9)))]));
    let schema = vec![
        group("interface", "load", "octets"),
        group("cpu", "busy", "ticks"),
    ];
    source.schema = Arc::new(Schema::new(schema).unwrap());
    source.groups.push(source.groups[0].clone());
    source.rows = Arc::new(RowSet {
        groups: vec![source.rows.groups[0].clone(), source.rows.groups[0].clone()],
    });
    let wanted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let cut = choose(&source, &wanted(&["cpu", "absent"])).unwrap();
    assert_eq!(cut.schema.groups.len(), 1);
    assert_eq!(cut.schema.groups[0].name, "cpu");
    assert_eq!(cut.groups[0].rate(0, 0), source.groups[1].rate(0, 0));
    assert_eq!((cut.rows.groups.len(), cut.slot), (1, source.slot));
    assert!(choose(&source, &wanted(&["absent"])).is_none());
    assert_eq!(facts_of(&cut), None);
}

#[test]
fn windows_tile_the_time_before_and_after_1970() {
    for (slot, start) in [
        (0, 0),
        (59_999, 0),
        (60_000, 60_000),
        (-1, -60_000),
        (-60_000, -60_000),
    ] {
        assert_eq!(start_of(SlotMs(slot), 60_000), SlotMs(start), "{slot}");
    }
    for (interval, length, whole) in [
        (10, 60, true),
        (60, 60, false),
        (25, 60, false),
        (0, 60, false),
    ] {
        assert_eq!(
            divides(interval * 1_000, length * 1_000),
            whole,
            "{interval} in {length}"
        );
    }
    assert_eq!(downsample(&[], &window(6, 0)), Ok(None));
}
