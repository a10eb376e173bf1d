//! Numbers for people: bit rates with a prefix, percentages.
//!
//! Does: choose the prefix. Does not: colour or align beyond a number's own width.
//! In: rates per second. Out: text of a constant width, so that columns stand still.

/// SI prefixes, each a thousand times the one before.
const PREFIXES: [&str; 5] = [" ", "k", "M", "G", "T"];

/// A bit rate with three to four digits: `  1.23 Gbit/s`; `            -` if there is none.
pub(super) fn bit_rate(per_second: Option<f64>) -> String {
    let Some(mut rate) = per_second else {
        return format!("{:>13}", "-");
    };
    let mut prefix = PREFIXES[0];
    for next in &PREFIXES[1..] {
        // 999.995 would be printed as 1000.00 of the smaller unit.
        if rate < 999.995 {
            break;
        }
        rate /= 1_000.0;
        prefix = next;
    }
    format!("{rate:>6.2} {prefix}bit/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_rate_has_the_prefix_that_leaves_at_most_three_digits_before_the_point() {
        let check = |rate, expected| assert_eq!(bit_rate(rate), expected, "{rate:?}");
        check(None, "            -");
        check(Some(0.0), "  0.00  bit/s");
        check(Some(999.99), "999.99  bit/s");
        check(Some(999.999), "  1.00 kbit/s");
        check(Some(1_234_567.0), "  1.23 Mbit/s");
        check(Some(9.87e9), "  9.87 Gbit/s");
        check(Some(1.0e15), "1000.00 Tbit/s");
    }
}
