//! Columns of 64-bit numbers: where nearly all bytes of a batch are.
//!
//! Does: choose the smallest of seven modes in one pass over the column, write and read it, skip it
//! without decoding. Does not: know what the numbers mean.
//! In: numbers, or bytes and the number of cells. Out: the other. Layout: `bus/FORMAT.md` §4.4.
//! The mode itself stands in the column's shape byte, three bits.

use super::bits::{Lane, bit_at, count_ones, pack, packed_bytes, put_bitmap, spread, unpack};
use crate::wire::{Cursor, WireError, put_varint, varint_len};

/// Most cells for which varints are tried: beyond them lanes are as small and far quicker.
const VARINT_CELLS_MAX: usize = 8;
/// Bytes of the largest cell.
const CELL_BYTES_MAX: usize = 8;

/// How a column is written. Numbers are those on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mode {
    /// All cells are zero: no bytes.
    Zero = 0,
    /// All cells are one number: a varint.
    Constant = 1,
    /// Base (varint), width (byte), packed differences to the base.
    Fixed = 2,
    /// A nibble a cell (its length in bytes), then the bytes.
    Nibbles = 3,
    /// Bitmap of the cells above zero, then those: width (byte), packed.
    SparseFixed = 4,
    /// Bitmap of the cells above zero, then those as [`Mode::Nibbles`].
    SparseNibbles = 5,
    /// A varint a cell.
    Varint = 6,
}

impl Mode {
    /// The mode with this number.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        [
            Mode::Zero,
            Mode::Constant,
            Mode::Fixed,
            Mode::Nibbles,
            Mode::SparseFixed,
            Mode::SparseNibbles,
            Mode::Varint,
        ]
        .get(usize::from(number))
        .copied()
    }
}

/// What one pass over a column finds out.
#[derive(Debug, Clone, Copy)]
struct Survey {
    all_bits: u64,
    least: u64,
    most: u64,
    above_zero: usize,
    cell_bytes: usize,
}

fn survey(cells: &[u64]) -> Survey {
    let start = Survey {
        all_bits: 0,
        least: u64::MAX,
        most: 0,
        above_zero: 0,
        cell_bytes: 0,
    };
    cells.iter().fold(start, |so_far, cell| Survey {
        all_bits: so_far.all_bits | cell,
        least: so_far.least.min(*cell),
        most: so_far.most.max(*cell),
        above_zero: so_far.above_zero + usize::from(*cell != 0),
        cell_bytes: so_far.cell_bytes + bytes_of(*cell),
    })
}

/// Significant bytes of a number; 0 for zero.
#[inline]
fn bytes_of(number: u64) -> usize {
    (71 - number.leading_zeros() as usize) / 8
}

fn bits_of(number: u64) -> u32 {
    64 - number.leading_zeros()
}

/// The smallest mode; of equal ones the one that reads faster.
fn choose(cells: &[u64], found: &Survey) -> Mode {
    if found.all_bits == 0 {
        return Mode::Zero;
    }
    if found.least == found.most {
        return Mode::Constant;
    }
    let count = cells.len();
    let bitmap = count.div_ceil(8);
    let span = found.most - found.least;
    let fixed = 1 + varint_len(found.least) + packed_bytes(count, bits_of(span));
    let nibbles = count.div_ceil(2) + found.cell_bytes;
    let sparse_fixed = bitmap + 1 + packed_bytes(found.above_zero, bits_of(found.all_bits));
    let sparse_nibbles = bitmap + found.above_zero.div_ceil(2) + found.cell_bytes;
    let varint = if count <= VARINT_CELLS_MAX {
        cells.iter().map(|cell| varint_len(*cell)).sum()
    } else {
        usize::MAX
    };
    let costs = [
        (fixed, Mode::Fixed),
        (nibbles, Mode::Nibbles),
        (sparse_fixed, Mode::SparseFixed),
        (sparse_nibbles, Mode::SparseNibbles),
        (varint, Mode::Varint),
    ];
    let smallest = costs.iter().min_by_key(|(bytes, _)| *bytes);
    smallest.map_or(Mode::Nibbles, |(_, mode)| *mode)
}

/// Appends a column, answers its mode.
pub(super) fn put_ints(into: &mut Vec<u8>, cells: &[u64]) -> Mode {
    let found = survey(cells);
    let mode = choose(cells, &found);
    match mode {
        Mode::Zero => {}
        Mode::Constant => put_varint(into, found.least),
        Mode::Fixed => {
            let width = bits_of(found.most - found.least);
            put_varint(into, found.least);
            put_width(into, width);
            pack(into, cells.iter().map(|cell| cell - found.least), width);
        }
        Mode::Nibbles => put_nibbles(into, cells.iter().copied(), cells.len()),
        Mode::SparseFixed => {
            put_bitmap(into, cells.iter().map(|cell| *cell != 0));
            let width = bits_of(found.all_bits);
            put_width(into, width);
            pack(into, cells.iter().copied().filter(|cell| *cell != 0), width);
        }
        Mode::SparseNibbles => {
            put_bitmap(into, cells.iter().map(|cell| *cell != 0));
            let above_zero = cells.iter().copied().filter(|cell| *cell != 0);
            put_nibbles(into, above_zero, found.above_zero);
        }
        Mode::Varint => cells.iter().for_each(|cell| put_varint(into, *cell)),
    }
    mode
}

/// A width is 1 to 64: it fits a byte.
fn put_width(into: &mut Vec<u8>, width: u32) {
    into.push(width.to_le_bytes()[0]);
}

fn put_nibbles(into: &mut Vec<u8>, cells: impl Iterator<Item = u64>, count: usize) {
    let start = into.len();
    let mut at = start + count.div_ceil(2);
    into.resize(at + count * CELL_BYTES_MAX, 0);
    for (index, cell) in cells.enumerate() {
        let len = bytes_of(cell);
        // Eight bytes are written and only `len` kept: the next cell overwrites the zeros.
        if let Some(place) = into.get_mut(at..at + CELL_BYTES_MAX) {
            place.copy_from_slice(&cell.to_le_bytes());
        }
        into[start + index / 2] |= len.to_le_bytes()[0] << (index % 2 * 4);
        at += len;
    }
    into.truncate(at);
}

/// Appends the `count` cells of a column to `into`.
pub(super) fn read_ints(
    cursor: &mut Cursor<'_>,
    mode: Mode,
    count: usize,
    into: &mut Vec<u64>,
) -> Result<(), WireError> {
    match mode {
        Mode::Zero => into.resize(into.len() + count, 0),
        Mode::Constant => {
            let cell = cursor.varint("a constant cell")?;
            into.resize(into.len() + count, cell);
        }
        Mode::Fixed => {
            let base = cursor.varint("a column's base")?;
            read_fixed(cursor, base, count, into)?;
        }
        Mode::Nibbles => read_nibbles(cursor, count, into)?,
        Mode::SparseFixed | Mode::SparseNibbles => {
            let (bitmap, above_zero) = read_bitmap(cursor, count)?;
            let start = into.len();
            if mode == Mode::SparseFixed {
                read_fixed(cursor, 0, above_zero, into)?;
            } else {
                read_nibbles(cursor, above_zero, into)?;
            }
            spread(into, start, bitmap, count);
        }
        Mode::Varint => {
            for _ in 0..count {
                into.push(cursor.varint("a cell")?);
            }
        }
    }
    Ok(())
}

/// Steps over a column.
pub(super) fn skip_ints(
    cursor: &mut Cursor<'_>,
    mode: Mode,
    count: usize,
) -> Result<(), WireError> {
    match mode {
        Mode::Zero => Ok(()),
        Mode::Constant => cursor.varint("a constant cell").map(drop),
        Mode::Fixed => {
            cursor.varint("a column's base")?;
            take_fixed(cursor, count).map(drop)
        }
        Mode::Nibbles => take_nibbles(cursor, count).map(drop),
        Mode::SparseFixed => {
            let (_, above_zero) = read_bitmap(cursor, count)?;
            take_fixed(cursor, above_zero).map(drop)
        }
        Mode::SparseNibbles => {
            let (_, above_zero) = read_bitmap(cursor, count)?;
            take_nibbles(cursor, above_zero).map(drop)
        }
        Mode::Varint => (0..count).try_for_each(|_| cursor.varint("a cell").map(drop)),
    }
}

/// A bitmap over `count` rows and its number of set bits.
pub(super) fn read_bitmap<'a>(
    cursor: &mut Cursor<'a>,
    count: usize,
) -> Result<(&'a [u8], usize), WireError> {
    let dirty = cursor.error("a bitmap without bits behind its rows");
    let bitmap = cursor.take(count.div_ceil(8), "a bitmap")?;
    let ones = count_ones(bitmap, count).ok_or(dirty)?;
    Ok((bitmap, ones))
}

fn take_fixed<'a>(cursor: &mut Cursor<'a>, count: usize) -> Result<(&'a [u8], u32), WireError> {
    let error = cursor.error("a width of 1 to 64");
    let width = u32::from(cursor.u8("a width")?);
    if !(1..=64).contains(&width) {
        return Err(error);
    }
    let packed = cursor.take(packed_bytes(count, width), "packed cells")?;
    Ok((packed, width))
}

fn read_fixed(
    cursor: &mut Cursor<'_>,
    base: u64,
    count: usize,
    into: &mut Vec<u64>,
) -> Result<(), WireError> {
    let (packed, width) = take_fixed(cursor, count)?;
    unpack(into, packed, count, Lane { width, base });
    Ok(())
}

fn nibble_at(nibbles: &[u8], index: usize) -> usize {
    let byte = nibbles.get(index / 2).copied().unwrap_or(0);
    usize::from(byte >> (index % 2 * 4) & 0xF)
}

/// The nibbles and the bytes that they measure.
fn take_nibbles<'a>(
    cursor: &mut Cursor<'a>,
    count: usize,
) -> Result<(&'a [u8], &'a [u8]), WireError> {
    let error = cursor.error("cell lengths of 0 to 8");
    let nibbles = cursor.take(count.div_ceil(2), "cell lengths")?;
    let is_valid = nibbles.iter().all(|byte| byte & 0xF <= 8 && byte >> 4 <= 8);
    let is_clean = count.is_multiple_of(2) || nibbles.last().is_none_or(|last| last >> 4 == 0);
    if !is_valid || !is_clean {
        return Err(error);
    }
    let sums = nibbles
        .iter()
        .map(|byte| usize::from((byte & 0xF) + (byte >> 4)));
    let bytes = cursor.take(sums.sum(), "the cells' bytes")?;
    Ok((nibbles, bytes))
}

fn read_nibbles(
    cursor: &mut Cursor<'_>,
    count: usize,
    into: &mut Vec<u64>,
) -> Result<(), WireError> {
    let (nibbles, bytes) = take_nibbles(cursor, count)?;
    let mut at = 0usize;
    into.extend((0..count).map(|index| {
        let len = nibble_at(nibbles, index);
        let word = match bytes
            .get(at..at + CELL_BYTES_MAX)
            .and_then(|eight| eight.try_into().ok())
        {
            Some(eight) => u64::from_le_bytes(eight),
            None => word_at_end(bytes, at),
        };
        at += len;
        word & mask_of(len)
    }));
    Ok(())
}

/// The low `len` bytes; 0 to 8.
#[inline]
fn mask_of(len: usize) -> u64 {
    if len == 0 {
        0
    } else {
        u64::MAX >> (64 - 8 * len.min(8))
    }
}

#[cold]
fn word_at_end(bytes: &[u8], at: usize) -> u64 {
    let mut padded = [0; CELL_BYTES_MAX];
    let rest = bytes.get(at..).unwrap_or(&[]);
    let len = rest.len().min(CELL_BYTES_MAX);
    padded[..len].copy_from_slice(&rest[..len]);
    u64::from_le_bytes(padded)
}

/// The rows whose bit is set, ascending.
pub(super) fn set_rows(bitmap: &[u8], count: usize) -> impl Iterator<Item = usize> + '_ {
    (0..count).filter(|row| bit_at(bitmap, *row))
}

#[cfg(test)]
#[path = "ints_tests.rs"]
mod tests;
