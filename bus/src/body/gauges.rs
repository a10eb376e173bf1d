//! Gauge columns: integers, scaled decimals or raw floats.
//!
//! Does: turn a gauge column into 64-bit cells and back, bit for bit. Does not: presence and shape
//! bytes (`section`).
//! In: [`GaugeValues`] without the absent cells. Out: a form byte, maybe a base, cells for `ints`.
//! Invariant: a decimal is used only where `mantissa ÷ 10^exponent` is each value exactly.

use ocelli_model::columns::GaugeValues;

/// Largest decimal exponent tried: what devices report has fewer digits.
const EXPONENT_MAX: u8 = 9;
/// Above 2^53 not each integer is a float.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;
/// Powers of ten are exact floats up to 10^22.
const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// How cells stand for values. Its number (two bits of the shape byte) is that on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Value − base; integers.
    Int,
    /// (Value × 10^exponent) − base; floats.
    Decimal {
        /// At most [`EXPONENT_MAX`].
        exponent: u8,
    },
    /// Bits of the float; no base.
    Raw,
}

/// Fills `cells` with what stands for the present values; answers form and base.
pub(super) fn to_cells(
    values: &GaugeValues,
    is_present: impl Fn(usize) -> bool,
    cells: &mut Vec<u64>,
) -> (Form, i64) {
    cells.clear();
    match values {
        GaugeValues::Int(values) => {
            let present = values
                .iter()
                .enumerate()
                .filter(|(row, _)| is_present(*row));
            cells.extend(present.map(|(_, value)| value.cast_unsigned()));
            (Form::Int, subtract_least(cells))
        }
        GaugeValues::Float(values) => {
            let present = values
                .iter()
                .enumerate()
                .filter(|(row, _)| is_present(*row));
            cells.extend(present.map(|(_, value)| value.to_bits()));
            match exponent_of(cells).filter(|exponent| to_mantissas(cells, *exponent)) {
                Some(exponent) => (Form::Decimal { exponent }, subtract_least(cells)),
                None => (Form::Raw, 0),
            }
        }
    }
}

/// The least exponent under which each value of `cells` (float bits) is a decimal.
fn exponent_of(cells: &[u64]) -> Option<u8> {
    let mut exponent = 0;
    for bits in cells {
        while mantissa_of(f64::from_bits(*bits), exponent).is_none() {
            exponent += 1;
            if exponent > EXPONENT_MAX {
                return None;
            }
        }
    }
    Some(exponent)
}

/// Replaces float bits by mantissas; `false`, and nothing changed, if one does not fit: a larger
/// exponent may lose what a smaller one held.
fn to_mantissas(cells: &mut [u64], exponent: u8) -> bool {
    let mantissa = |bits: &u64| mantissa_of(f64::from_bits(*bits), exponent);
    if !cells.iter().all(|bits| mantissa(bits).is_some()) {
        return false;
    }
    for bits in cells {
        *bits = mantissa(bits).unwrap_or(0).cast_unsigned();
    }
    true
}

fn mantissa_of(value: f64, exponent: u8) -> Option<i64> {
    let scaled = (value * POWERS[usize::from(exponent)]).round();
    if scaled.is_nan() || scaled.abs() >= MANTISSA_MAX {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and below 2^53, checked above"
    )]
    let mantissa = scaled as i64;
    (to_float(mantissa, exponent).to_bits() == value.to_bits()).then_some(mantissa)
}

/// The value of a decimal.
pub(super) fn to_float(mantissa: i64, exponent: u8) -> f64 {
    mantissa as f64 / POWERS[usize::from(exponent.min(EXPONENT_MAX))]
}

fn subtract_least(cells: &mut [u64]) -> i64 {
    let least = cells
        .iter()
        .map(|cell| cell.cast_signed())
        .min()
        .unwrap_or(0);
    for cell in cells {
        *cell = cell.wrapping_sub(least.cast_unsigned());
    }
    least
}

/// Whether a form byte's exponent is one that is written.
pub(super) fn is_exponent(exponent: u8) -> bool {
    exponent <= EXPONENT_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_column_becomes_a_decimal_only_if_no_bit_is_lost() {
        let check = |values: &[f64], expected: Form| {
            let mut cells = Vec::new();
            let column = GaugeValues::Float(values.to_vec());
            let (form, base) = to_cells(&column, |_| true, &mut cells);
            assert_eq!(form, expected, "{values:?}");
            if let Form::Decimal { exponent } = form {
                let back = cells.iter().map(|cell| {
                    to_float(
                        cell.wrapping_add(base.cast_unsigned()).cast_signed(),
                        exponent,
                    )
                });
                assert!(
                    back.map(f64::to_bits)
                        .eq(values.iter().map(|value| value.to_bits()))
                );
            }
        };
        check(&[21.5, 22.25, -3.0], Form::Decimal { exponent: 2 });
        check(&[7.0, 8.0], Form::Decimal { exponent: 0 });
        check(&[0.1, 1.0 / 3.0], Form::Raw);
        check(&[-0.0], Form::Raw);
        check(&[f64::MAX], Form::Raw);
        check(&[9e15, 0.000_000_001], Form::Raw);
    }

    #[test]
    fn integers_of_any_sign_keep_their_distance_to_the_least() {
        let mut cells = Vec::new();
        let column = GaugeValues::Int(vec![i64::MIN, 4, i64::MAX]);
        let (form, base) = to_cells(&column, |row| row != 1, &mut cells);
        assert_eq!(
            (form, base, cells),
            (Form::Int, i64::MIN, vec![0, u64::MAX])
        );
    }
}
