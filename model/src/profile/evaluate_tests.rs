//! Rows made of tables: dimensions, sources, gauges, names, holes.
//!
//! Does: check the documented behaviour. Does not: read files or ask devices.
//! In: raw cells of an in-test table. Out: one expectation a row or cell.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::enrichment::Freshness;
use crate::filter::Vocabulary;
use crate::profile::{LowerContext, NativeProfile, Profile, RawValue, ValueMap};
use crate::unix_seconds::UnixSeconds;

const TEXT: &str = "\
ocelli: 1
name: p
groups:
  - name: port
    table:
      index: [{port: int}]
      columns:
        name: 1.3.1.1
        descr: 1.3.1.2
        mac: {oid: 1.3.1.3, format: mac_address}
        hc: 1.3.1.4
        low: 1.3.1.5
        state: 1.3.1.6
        speed: 1.3.1.7
        late: {oid: 1.3.1.8, when: 'missing(speed) or speed == 0'}
      let: {slow: speed < 100}
      rows: present(state) or present(hc)
      speed: speed * 10
      discontinuity: late
      dimensions:
        - {name: port, identity: [name, descr, mac], key: true}
        - {name: alias, of: enrich.interface.alias}
        - {name: kind, of: state, map: words}
        - {name: number, of: index.port}
      counters: {octets: 'hc ?? (slow ? low : missing)', plain: low}
      gauges: {state: state, half: state / 2}
";

fn profile(text: &str) -> Profile {
    let words: ValueMap = [(1, "up".into()), (2, "down".into())].into();
    let maps = BTreeMap::from([("words".to_owned(), Arc::new(words))]);
    let profile = NativeProfile::parse("p.yaml", text).unwrap();
    profile
        .lower(&LowerContext {
            every_ms: 60_000,
            maps: &maps,
        })
        .unwrap()
}

/// (column, row, value) cells of a table.
fn table(cells: &[(usize, u32, RawValue<'_>)]) -> RawTable {
    let mut table = RawTable::default();
    table.reset(8);
    for (column, row, value) in cells {
        table
            .put(*column, &[*row], *value, WallMs(i64::from(*row)))
            .unwrap();
    }
    table
}

fn evaluate(
    profile: &Profile,
    table: &RawTable,
    facts: &[Arc<EnrichmentGroup>],
) -> (GroupRows, Evaluator) {
    let (mut rows, mut evaluator) = (GroupRows::default(), Evaluator::default());
    let scalars = RawTable::default();
    let readings = Readings {
        scalars: &scalars,
        table,
        facts,
    };
    evaluator.evaluate(&profile.plan.groups[0], readings, None, &mut rows);
    (rows, evaluator)
}

fn names(rows: &GroupRows) -> Vec<&str> {
    (0..rows.len())
        .map(|row| rows.dimensions.get(row, 0).unwrap_or(""))
        .collect()
}

use RawValue::{Counter32, Counter64, Integer, Text, Unsigned};

#[test]
fn a_row_gets_dimensions_sources_gauges_and_evidence() {
    let table = table(&[
        (0, 7, Text(b"eth7")),
        (3, 7, Counter64(1 << 60)),
        (4, 7, Counter32(5)),
        (5, 7, Integer(1)),
        (6, 7, Unsigned(50)),
        (7, 7, Unsigned(99)),
    ]);
    let label = serde_json::json!({"alias": "uplink"})
        .as_object()
        .unwrap()
        .clone();
    let freshness = Freshness {
        created: UnixSeconds::default(),
        ttl_seconds: 1,
        every_seconds: 1,
    };
    let labels = BTreeMap::from([("7".to_owned(), label)]);
    let facts = EnrichmentGroup::new("interface", labels, freshness).unwrap();
    let (rows, _) = evaluate(&profile(TEXT), &table, &[Arc::new(facts)]);
    let dimensions: Vec<_> = (0..4).map(|at| rows.dimensions.get(0, at)).collect();
    assert_eq!(
        dimensions,
        [Some("eth7"), Some("uplink"), Some("up"), Some("7")]
    );
    let sources: Vec<_> = rows
        .sources
        .iter()
        .map(|source| (source.get(0), source.width))
        .collect();
    let expected = [
        (Some(1 << 60), CounterWidth::Bits64),
        (Some(5), CounterWidth::Bits32),
        (Some(5), CounterWidth::Bits32),
    ];
    assert_eq!(sources, expected);
    assert_eq!(
        (rows.gauges[0].get(0), rows.gauges[1].get(0)),
        (Some(1.0), Some(0.5))
    );
    assert_eq!(
        (
            rows.speed_bps.as_slice(),
            rows.discontinuity_ticks.as_slice()
        ),
        (&[500][..], &[99][..])
    );
    assert_eq!(rows.time, [WallMs(7)]);
}

#[test]
fn a_guard_that_is_not_true_makes_its_source_absent() {
    let base = [(0, 1, Text(b"a")), (5, 1, Integer(1)), (4, 1, Counter32(5))];
    let with_speed = |speed: u32| [&base[..], &[(6, 1, Unsigned(speed))]].concat();
    let low = |cells: &[(usize, u32, RawValue<'_>)]| {
        let (rows, _) = evaluate(&profile(TEXT), &table(cells), &[]);
        (rows.sources[1].get(0), rows.sources[2].get(0))
    };
    assert_eq!(low(&with_speed(50)), (Some(5), Some(5)));
    assert_eq!(low(&with_speed(100)), (None, Some(5)), "too fast");
    assert_eq!(low(&base), (None, Some(5)), "speed not known");
}

#[test]
fn rows_are_named_by_the_first_key_that_they_have_and_never_by_index_alone() {
    let mac = [0u8, 1, 2, 3, 4, 0xab];
    let mut cells = vec![
        (0, 1, Text(b"eth1")),
        (1, 1, Text(b"Ethernet 1")),
        (1, 2, Text(b"Ethernet 2")),
        (0, 2, Text(b"")),
        (2, 3, Text(&mac)),
        (0, 3, Text(b"  ")),
        (2, 4, Text(&[0; 6])),
    ];
    cells.extend((1..=5).map(|row| (5, row, Integer(1))));
    let (rows, evaluator) = evaluate(&profile(TEXT), &table(&cells), &[]);
    assert_eq!(names(&rows), ["eth1", "Ethernet 2", "00:01:02:03:04:AB"]);
    assert!(evaluator.ambiguous_names().is_empty());
}

#[test]
fn rows_of_one_name_are_told_apart_by_the_next_key_then_by_index() {
    let mut cells = vec![
        (0, 1, Text(b"eth")),
        (1, 1, Text(b"one")),
        (0, 2, Text(b"eth")),
        (1, 2, Text(b"two")),
        (0, 3, Text(b"lo")),
        (1, 3, Text(b"same")),
        (0, 4, Text(b"lo")),
        (1, 4, Text(b"same")),
        (0, 5, Text(b"free")),
    ];
    cells.extend((1..=5).map(|row| (5, row, Integer(1))));
    let (rows, evaluator) = evaluate(&profile(TEXT), &table(&cells), &[]);
    assert_eq!(
        names(&rows),
        ["eth [one]", "eth [two]", "lo [#3]", "lo [#4]", "free"]
    );
    let mut ambiguous = evaluator.ambiguous_names().to_vec();
    ambiguous.sort();
    assert_eq!(ambiguous, [("eth".to_owned(), 2), ("lo".to_owned(), 2)]);
}

#[test]
fn a_reindexed_device_keeps_its_names() {
    let at = |first: u32, second: u32| {
        table(&[
            (0, first, Text(b"eth0")),
            (5, first, Integer(1)),
            (3, first, Counter64(10)),
            (0, second, Text(b"eth1")),
            (5, second, Integer(1)),
            (3, second, Counter64(20)),
        ])
    };
    for table in [at(1, 2), at(2, 1), at(90, 4)] {
        let (rows, _) = evaluate(&profile(TEXT), &table, &[]);
        let values: BTreeMap<_, _> = names(&rows)
            .into_iter()
            .zip((0..2).map(|row| rows.sources[0].get(row)))
            .collect();
        assert_eq!(
            values,
            BTreeMap::from([("eth0", Some(10)), ("eth1", Some(20))])
        );
    }
}

#[test]
fn an_operators_filter_keeps_rows_by_their_dimensions() {
    let cells: Vec<_> = ["eth0", "Vlan1", "eth1"]
        .iter()
        .zip(1..)
        .flat_map(|(name, row)| [(0, row, Text(name.as_bytes())), (5, row, Integer(2))])
        .collect();
    let (profile, table) = (profile(TEXT), table(&cells));
    let group = &profile.plan.groups[0];
    let dimensions = &profile.schema.groups[0].dimensions;
    let vocabulary =
        Vocabulary::dimensions(dimensions.iter().map(|dimension| dimension.name.as_str()));
    let filter = Filter::parse(r#"port NOT LIKE "Vlan%" AND kind = "down""#, &vocabulary).unwrap();
    let scalars = RawTable::default();
    let readings = Readings {
        scalars: &scalars,
        table: &table,
        facts: &[],
    };
    let (mut evaluator, mut rows, mut kept) = (Evaluator::default(), GroupRows::default(), vec![9]);
    evaluator.evaluate(group, readings, Some(&filter), &mut rows);
    assert_eq!(names(&rows), ["eth0", "eth1"]);
    evaluator.kept_rows(group, readings, &filter, &mut kept);
    assert_eq!(kept, [0, 2]);
}

#[test]
fn placeholders_stand_for_what_is_missing_only_in_their_mode() {
    let table = table(&[(0, 1, Text(b"a")), (3, 1, Counter64(1))]);
    let (rows, _) = evaluate(&profile(TEXT), &table, &[]);
    assert_eq!(
        (rows.dimensions.get(0, 2), rows.gauges[0].get(0)),
        (None, None)
    );
    let compatible = format!("{TEXT}      missing: {{value: -1, text: <not set>}}\n");
    let (rows, _) = evaluate(&profile(&compatible), &table, &[]);
    assert_eq!(
        (rows.dimensions.get(0, 2), rows.gauges[0].get(0)),
        (Some("<not set>"), Some(-1.0))
    );
}

#[test]
fn a_conditional_column_is_wanted_if_one_row_needs_it() {
    let profile = profile(TEXT);
    let group = &profile.plan.groups[0];
    let wants = |cells: &[(usize, u32, RawValue<'_>)], column| {
        Evaluator::default().wants_column(group, column, &table(cells))
    };
    let known = [(6, 1, Unsigned(7)), (6, 2, Unsigned(8))];
    assert!(!wants(&known, 7) && wants(&known, 0));
    assert!(wants(&[(6, 1, Unsigned(7)), (6, 2, Unsigned(0))], 7));
    assert!(wants(&[(6, 1, Unsigned(7)), (0, 2, Text(b"x"))], 7));
    assert!(!wants(&[], 7), "no row, nothing to ask for");
}

#[test]
fn a_group_of_scalars_has_one_row() {
    let text = "ocelli: 1\nname: p\ngroups:\n  - name: system\n    scalars: {uptime: \
                1.3.6.1.2.1.1.3.0}\n    table: {gauges: {uptime_s: uptime / 100}}\n";
    let profile = profile(text);
    let group = &profile.plan.groups[0];
    let (mut scalars, table) = (RawTable::default(), RawTable::default());
    scalars.reset(1);
    let (mut evaluator, mut rows) = (Evaluator::default(), GroupRows::default());
    let evaluate = |evaluator: &mut Evaluator, scalars: &RawTable, rows: &mut GroupRows| {
        let readings = Readings {
            scalars,
            table: &table,
            facts: &[],
        };
        evaluator.evaluate(group, readings, None, rows);
    };
    evaluate(&mut evaluator, &scalars, &mut rows);
    assert!(rows.is_empty(), "nothing was read");
    scalars.put(0, &[], Unsigned(250), WallMs(3)).unwrap();
    evaluate(&mut evaluator, &scalars, &mut rows);
    assert_eq!(
        (rows.time.as_slice(), rows.gauges[0].get(0)),
        (&[WallMs(3)][..], Some(2.5))
    );
}

fn whole_cells(rows: u32) -> Vec<(usize, u32, RawValue<'static>)> {
    const NAMES: [&[u8]; 6] = [b"p0", b"p1", b"p2", b"p3", b"p4", b"p5"];
    let row_of = |row: u32| {
        [
            (0, row, Text(NAMES[row as usize])),
            (1, row, Text(b"d")),
            (2, row, Text(&[1, 2, 3, 4, 5, 6])),
            (3, row, Counter64(1_000 + u64::from(row))),
            (4, row, Counter32(100 + row)),
            (5, row, Integer(1)),
            (6, row, Unsigned(50)),
            (7, row, Unsigned(3)),
        ]
    };
    (0..rows).flat_map(row_of).collect()
}

proptest! {
    /// Whatever else is missing or comes in another order: what rests on cells that are there has
    /// the value that it has in the whole table.
    #[test]
    fn a_hole_voids_only_itself(
        holes in prop::collection::btree_set((0usize..8, 0u32..6), 0..30),
        lost_column in 3usize..9,
        seed in any::<u64>(),
    ) {
        let profile = profile(TEXT);
        let whole = whole_cells(6);
        let (expected, _) = evaluate(&profile, &table(&whole), &[]);
        // Names stay, or rows could not be compared.
        let is_hole = |column: usize, row: u32| {
            column > 0 && (holes.contains(&(column, row)) || column == lost_column)
        };
        let mut left: Vec<_> =
            whole.into_iter().filter(|(column, row, _)| !is_hole(*column, *row)).collect();
        left.sort_by_key(|(column, row, _)| {
            let place = *column as u64 * 64 + u64::from(*row);
            xxhash_rust::xxh3::xxh3_64_with_seed(&place.to_le_bytes(), seed)
        });
        let (found, _) = evaluate(&profile, &table(&left), &[]);
        for row in 0..6u32 {
            let name = format!("p{row}");
            let at = names(&found).iter().position(|found| *found == name);
            let is_there = !is_hole(5, row) || !is_hole(3, row);
            prop_assert_eq!(at.is_some(), is_there, "row {}", row);
            let Some(at) = at else { continue };
            let whole_row = row as usize;
            let expect = |holds: bool, value: Option<u64>| if holds { value } else { None };
            let source = |rows: &GroupRows, source: usize, row| rows.sources[source].get(row);
            let low_open = !is_hole(4, row) && !is_hole(6, row);
            for (position, is_open) in [!is_hole(3, row), low_open, !is_hole(4, row)]
                .into_iter()
                .enumerate()
            {
                let value = expect(is_open, source(&expected, position, whole_row));
                prop_assert_eq!(source(&found, position, at), value);
            }
            prop_assert_eq!(found.gauges[0].get(at).is_some(), !is_hole(5, row));
        }
    }
}
