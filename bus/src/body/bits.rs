//! Fixed-width bit packing, and the spreading of few cells over many rows.
//!
//! Does: pack and unpack numbers of 1 to 64 bit, eight of them in as many bytes as they have bits;
//! move dense cells to the rows that a bitmap names. Does not: choose widths (`ints`).
//! In: numbers below 2^width; or bytes of exactly [`packed_bytes`]. Out: the other.

/// Bytes that `count` numbers of `width` bits take.
pub(super) fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends the numbers, the first in the lowest bits.
pub(super) fn pack(into: &mut Vec<u8>, numbers: impl Iterator<Item = u64>, width: u32) {
    let mut pending = 0u64;
    let mut filled = 0u32;
    for number in numbers {
        pending |= number << filled;
        let total = filled + width;
        if total < 64 {
            filled = total;
            continue;
        }
        into.extend_from_slice(&pending.to_le_bytes());
        pending = if filled == 0 {
            0
        } else {
            number >> (64 - filled)
        };
        filled = total - 64;
    }
    let rest = filled.div_ceil(8) as usize;
    into.extend_from_slice(&pending.to_le_bytes()[..rest]);
}

/// Appends `count` numbers of `width` bits, each plus `base`.
pub(super) fn unpack(into: &mut Vec<u64>, packed: &[u8], count: usize, lane: Lane) {
    let width = lane.width as usize;
    let mask = u64::MAX >> (64 - lane.width);
    // A number's eight bytes must not end behind the packed ones, or its bits be in a ninth.
    let whole = (packed.len() * 8).saturating_sub(63 + 8) / width;
    let fast = if lane.width <= 57 {
        whole.min(count)
    } else {
        0
    };
    into.extend((0..fast).map(|index| {
        let bit = index * width;
        let bytes = packed
            .get(bit / 8..bit / 8 + 8)
            .and_then(|bytes| bytes.try_into().ok());
        let word = u64::from_le_bytes(bytes.unwrap_or_default());
        ((word >> (bit % 8)) & mask).wrapping_add(lane.base)
    }));
    into.extend((fast..count).map(|index| {
        let number = slow_word(packed, index * width) & mask;
        number.wrapping_add(lane.base)
    }));
}

/// How packed numbers are to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    /// 1 to 64.
    pub(super) width: u32,
    /// Added to each number, modulo 2^64.
    pub(super) base: u64,
}

/// 64 bits from `bit` on, zeros behind the end.
fn slow_word(packed: &[u8], bit: usize) -> u64 {
    let mut padded = [0u8; 16];
    let rest = packed.get(bit / 8..).unwrap_or(&[]);
    let len = rest.len().min(9);
    padded[..len].copy_from_slice(&rest[..len]);
    let word = u128::from_le_bytes(padded) >> (bit % 8);
    u64::try_from(word & u128::from(u64::MAX)).unwrap_or(0)
}

/// Whether bit `index` of a bitmap is set.
pub(super) fn bit_at(bitmap: &[u8], index: usize) -> bool {
    bitmap
        .get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// Number of set bits; `None` if one is set at or behind `count`.
pub(super) fn count_ones(bitmap: &[u8], count: usize) -> Option<usize> {
    let spare = bitmap.len() * 8 - count;
    let last = bitmap.last().copied().unwrap_or(0);
    let is_clean = spare == 0 || last >> (8 - spare) == 0;
    is_clean.then(|| bitmap.iter().map(|byte| byte.count_ones() as usize).sum())
}

/// Appends a bitmap of `bits`, the first in the lowest bit.
pub(super) fn put_bitmap(into: &mut Vec<u8>, bits: impl Iterator<Item = bool>) {
    let mut pending = 0u8;
    let mut filled = 0u32;
    for bit in bits {
        pending |= u8::from(bit) << filled;
        filled += 1;
        if filled == 8 {
            into.push(pending);
            (pending, filled) = (0, 0);
        }
    }
    if filled > 0 {
        into.push(pending);
    }
}

/// Moves the cells from `start` on to the `count` rows whose bit is set, the others become zero.
pub(super) fn spread<T: Copy + Default>(
    cells: &mut Vec<T>,
    start: usize,
    bitmap: &[u8],
    count: usize,
) {
    let mut dense = cells.len();
    cells.resize(start + count, T::default());
    // From the end: a cell never moves to the left, so none is overwritten before it was moved.
    for row in (0..count).rev() {
        let is_set = bit_at(bitmap, row) && dense > start;
        dense -= usize::from(is_set);
        cells[start + row] = if is_set { cells[dense] } else { T::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_numbers_come_back(
            numbers in proptest::collection::vec(any::<u64>(), 0..70), width in 1u32..=64,
            base in any::<u64>(),
        ) {
            let mask = u64::MAX >> (64 - width);
            let numbers: Vec<u64> = numbers.iter().map(|number| number & mask).collect();
            let mut packed = Vec::new();
            pack(&mut packed, numbers.iter().copied(), width);
            prop_assert_eq!(packed.len(), packed_bytes(numbers.len(), width));
            let mut read = vec![7];
            unpack(&mut read, &packed, numbers.len(), Lane { width, base });
            let expected = numbers.iter().map(|number| number.wrapping_add(base));
            prop_assert!(read[1..].iter().copied().eq(expected));
        }

        #[test]
        fn spread_cells_stand_where_their_bits_are(
            bits in proptest::collection::vec(any::<bool>(), 0..70)
        ) {
            let mut bitmap = Vec::new();
            put_bitmap(&mut bitmap, bits.iter().copied());
            let ones = count_ones(&bitmap, bits.len()).unwrap();
            let mut cells = vec![99];
            cells.extend((1..=ones).map(|cell| cell as u64));
            spread(&mut cells, 1, &bitmap, bits.len());
            let mut next = 0;
            for (row, bit) in bits.iter().enumerate() {
                next += u64::from(*bit);
                prop_assert_eq!(cells[1 + row], if *bit { next } else { 0 });
            }
        }
    }

    #[test]
    fn a_bit_behind_the_rows_is_refused() {
        assert_eq!(count_ones(&[0b0000_0111], 3), Some(3));
        assert_eq!(count_ones(&[0b0000_1000], 3), None);
        assert_eq!(count_ones(&[], 0), Some(0));
    }
}
