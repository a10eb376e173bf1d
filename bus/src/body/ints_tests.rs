//! Proof of integer columns: every mode is chosen where it should be, and comes back.

use proptest::prelude::*;

use super::*;

fn check_round_trip(cells: &[u64]) -> (Mode, usize) {
    let mut bytes = Vec::new();
    let mode = put_ints(&mut bytes, cells);
    let mut read = vec![5];
    let mut cursor = Cursor::new(&bytes);
    read_ints(&mut cursor, mode, cells.len(), &mut read).unwrap();
    assert_eq!(&read[1..], cells, "{mode:?}");
    assert_eq!(cursor.remaining(), 0, "{mode:?} left bytes");
    let mut skipped = Cursor::new(&bytes);
    skip_ints(&mut skipped, mode, cells.len()).unwrap();
    assert_eq!(skipped.remaining(), 0, "{mode:?} skipped too little");
    (mode, bytes.len())
}

#[test]
fn each_mode_is_chosen_for_the_column_that_it_was_made_for() {
    let check = |cells: &[u64], expected: Mode, bytes: usize| {
        assert_eq!(check_round_trip(cells), (expected, bytes), "{cells:?}");
    };
    check(&[0; 48], Mode::Zero, 0);
    check(&[1_500; 48], Mode::Constant, 2);
    let near: Vec<u64> = (0..48).map(|row| 60_000 + row % 16).collect();
    check(&near, Mode::Fixed, 3 + 1 + 24);
    let wide: Vec<u64> = (0..48).map(|row| 1 << (row % 8 * 7 + 6)).collect();
    check(&wide, Mode::Nibbles, 24 + 6 * 35);
    let mut sparse = [0u64; 48];
    sparse[7] = 9;
    sparse[40] = 15;
    check(&sparse, Mode::SparseFixed, 6 + 1 + 1);
    let mut uneven = [0u64; 48];
    (uneven[3], uneven[4], uneven[5]) = (u64::MAX, 1, 200);
    check(&uneven, Mode::SparseNibbles, 6 + 2 + 10);
    check(&[3, 90_000_000], Mode::Varint, 5);
    check(&[], Mode::Zero, 0);
}

proptest! {
    #[test]
    fn any_column_comes_back(
        cells in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..100), zeros in 0u32..4
    ) {
        let cells: Vec<u64> = cells
            .iter()
            .map(|(cell, shift)| match shift % 4 < zeros {
                true => 0,
                false => cell.checked_shr(*shift).unwrap_or(0),
            })
            .collect();
        check_round_trip(&cells);
    }

    #[test]
    fn any_bytes_are_cells_or_an_error_and_skipping_agrees_with_reading(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        mode in 0u8..7,
        count in 0usize..100,
    ) {
        let mode = Mode::from_number(mode).unwrap();
        let (mut reading, mut skipping) = (Cursor::new(&bytes), Cursor::new(&bytes));
        let mut read = Vec::new();
        let was_read = read_ints(&mut reading, mode, count, &mut read);
        prop_assert_eq!(was_read.is_ok(), skip_ints(&mut skipping, mode, count).is_ok());
        if was_read.is_ok() {
            prop_assert_eq!(read.len(), count);
            prop_assert_eq!(reading.offset(), skipping.offset());
        }
    }
}
