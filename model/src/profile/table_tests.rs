//! Raw tables: joining by index, meaning of values, limits, reuse of memory.
//!
//! Does: check the documented behaviour. Does not: read files or ask devices.
//! In: cells in any order. Out: cells by row.

use super::*;
use proptest::prelude::*;

const T: WallMs = WallMs(1);

#[test]
fn cells_of_different_walks_join_by_index_whatever_their_order() {
    let mut table = RawTable::default();
    table.reset(2);
    for arc in [3, 1, 2] {
        table.put(0, &[arc], RawValue::Unsigned(arc), T).unwrap();
    }
    for arc in [2, 3, 9] {
        table
            .put(
                1,
                &[arc],
                RawValue::Counter64(u64::from(arc) * 10),
                WallMs(5),
            )
            .unwrap();
    }
    let row_of = |arc: u32| {
        (0..table.rows())
            .find(|row| table.index(*row) == Some(&[arc]))
            .unwrap()
    };
    assert_eq!(table.rows(), 4);
    assert_eq!(table.cell(1, row_of(2)), Cell::Number(20.0));
    assert_eq!(table.cell(1, row_of(1)), Cell::Missing);
    assert_eq!(table.cell(0, row_of(9)), Cell::Missing);
    assert_eq!(table.time(row_of(1)), T);
    assert_eq!(
        table.time(row_of(2)),
        WallMs(5),
        "a counter's time goes before the first cell's"
    );
}

#[test]
fn values_keep_their_meaning() {
    let mut table = RawTable::default();
    table.reset(1);
    let mut check = |value: RawValue<'_>, cell: Cell<'_>, counter: Option<u64>| {
        table.put(0, &[7], value, T).unwrap();
        assert_eq!(table.cell(0, 0), cell, "{value:?}");
        assert_eq!(
            table.counter(0, 0).map(|(value, _)| value),
            counter,
            "{value:?}"
        );
    };
    check(RawValue::Integer(-3), Cell::Number(-3.0), None);
    check(RawValue::Integer(3), Cell::Number(3.0), Some(3));
    check(
        RawValue::Counter64(u64::MAX),
        Cell::Number(u64::MAX as f64),
        Some(u64::MAX),
    );
    check(RawValue::Counter32(5), Cell::Number(5.0), Some(5));
    check(RawValue::Float(0.5), Cell::Number(0.5), None);
    check(RawValue::Float(f64::NAN), Cell::Missing, None);
    check(RawValue::Text(b"x"), Cell::Text(b"x"), None);
    let long = vec![b'a'; CELL_BYTES_MAX + 1];
    check(RawValue::Text(&long), Cell::Text(&long[1..]), None);
}

#[test]
fn a_full_arena_refuses_texts_and_keeps_what_it_has() {
    let mut table = RawTable::default();
    table.reset(1);
    let text = [b'x'; CELL_BYTES_MAX];
    let fitting = u32::try_from(ARENA_BYTES_MAX / CELL_BYTES_MAX).unwrap();
    for row in 0..fitting {
        table.put(0, &[row], RawValue::Text(&text), T).unwrap();
    }
    assert_eq!(
        table.put(0, &[fitting], RawValue::Text(b"y"), T),
        Err(TableFull)
    );
    assert_eq!(table.cell(0, 5), Cell::Text(&text));
}

#[test]
fn a_second_run_of_the_same_shape_allocates_nothing() {
    let mut table = RawTable::default();
    let mut fill = || {
        table.reset(3);
        for row in 0..500u32 {
            for column in 0..3 {
                table
                    .put(column, &[row, 1], RawValue::Text(b"abc"), T)
                    .unwrap();
            }
        }
        table.heap_bytes()
    };
    assert_eq!(fill(), fill());
}

proptest! {
    #[test]
    fn what_was_put_last_is_found(
        cells in prop::collection::vec(
            ((0usize..4), prop::collection::vec(0u32..6, 0..3), any::<u32>()), 0..400,
        )
    ) {
        let mut table = RawTable::default();
        table.reset(4);
        let mut expected = std::collections::BTreeMap::new();
        for (column, index, value) in cells {
            table.put(column, &index, RawValue::Unsigned(value), T).unwrap();
            expected.insert((column, index), value);
        }
        for row in 0..table.rows() {
            for column in 0..4 {
                let index = table.index(row).unwrap().to_vec();
                let found = table.counter(column, row)
                    .map(|(value, _)| u32::try_from(value).unwrap());
                prop_assert_eq!(found, expected.remove(&(column, index)));
            }
        }
        prop_assert!(expected.is_empty());
    }
}

#[test]
fn a_hole_is_unread_only_behind_the_last_cell_of_a_cut_column() {
    let mut table = RawTable::default();
    table.reset(2);
    for index in [1, 2, 3, 4] {
        table
            .put(0, &[index], RawValue::Integer(1), WallMs(0))
            .unwrap();
    }
    table.put(1, &[2], RawValue::Integer(1), WallMs(0)).unwrap();
    // A row that only the second column has, behind all in the table and before them by index.
    table
        .put(1, &[2, 5], RawValue::Integer(1), WallMs(0))
        .unwrap();
    assert!((0..5).all(|row| !table.is_unread(1, row) && !table.is_unread(0, row)));
    assert!(!table.has_cuts());
    table.cut(1);
    assert!(table.has_cuts());
    let unread: Vec<bool> = (0..5).map(|row| table.is_unread(1, row)).collect();
    assert_eq!(unread, [false, false, true, true, false]);
    assert!((0..5).all(|row| !table.is_unread(0, row)));
    table.reset(2);
    table.cut(0);
    table.put(1, &[1], RawValue::Integer(1), WallMs(0)).unwrap();
    assert!(table.is_unread(0, 0), "nothing of the column was read");
    table.reset(2);
    assert!(!table.has_cuts());
}
