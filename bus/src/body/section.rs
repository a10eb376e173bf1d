//! What encoder and decoder of a group's section share: shape bytes and verdict codes.
//!
//! Does: pack column modes, gauge form and presence into one byte a column, and back.
//! Does not: write columns. In and out: small enums. Layout: `bus/FORMAT.md` §4.3.

use super::gauges::Form;
use super::ints::Mode;

/// The group's verdicts differ by column, or the column's by cell.
pub(super) const VERDICT_MIXED: u8 = 0xFF;

/// Which cells of a column there are. Numbers are those on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cells {
    All = 0,
    None = 1,
    Bitmap = 2,
}

impl Cells {
    fn from_number(number: u8) -> Option<Self> {
        [Cells::All, Cells::None, Cells::Bitmap]
            .get(usize::from(number))
            .copied()
    }
}

/// Counter: values' mode (bits 0–2), deltas' mode (3–5), presence (6–7).
pub(super) fn counter_shape(values: Mode, deltas: Mode, cells: Cells) -> u8 {
    values as u8 | (deltas as u8) << 3 | (cells as u8) << 6
}

/// The inverse of [`counter_shape`].
pub(super) fn read_counter_shape(shape: u8) -> Option<(Mode, Mode, Cells)> {
    let values = Mode::from_number(shape & 7)?;
    let deltas = Mode::from_number(shape >> 3 & 7)?;
    Some((values, deltas, Cells::from_number(shape >> 6)?))
}

/// Gauge: cells' mode (bits 0–2), form (3–5), presence (6–7).
pub(super) fn gauge_shape(mode: Mode, form: Form, cells: Cells) -> u8 {
    let form = match form {
        Form::Int => 0,
        Form::Decimal { .. } => 1,
        Form::Raw => 2,
    };
    mode as u8 | form << 3 | (cells as u8) << 6
}

/// The inverse of [`gauge_shape`]; the exponent of a decimal follows in a byte of its own.
pub(super) fn read_gauge_shape(shape: u8) -> Option<(Mode, Form, Cells)> {
    let mode = Mode::from_number(shape & 7)?;
    let form = match shape >> 3 & 7 {
        0 => Form::Int,
        1 => Form::Decimal { exponent: 0 },
        2 => Form::Raw,
        _ => return None,
    };
    Some((mode, form, Cells::from_number(shape >> 6)?))
}
