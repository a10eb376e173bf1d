//! How net-snmp prints OIDs and values, by its `-O` letters.
//!
//! Does: what `snmpget` and `snmpwalk` print where no MIB file is loaded, with our own names of
//! OIDs. Does not: enumerations and display hints, which are in MIB files alone.
//! In: an [`Oid`], a [`Value`], a [`Style`]. Out: a line.

use std::fmt::Write as _;

use ocelli_model::oid::Oid;
use ocelli_snmp::value::Value;

use super::names;

/// Octets in one line of a `Hex-STRING`.
const HEX_OCTETS_IN_LINE: usize = 16;

/// What `-O` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// `n`: OIDs in numbers.
    is_numeric: bool,
    /// `f`: names of all arcs from the root on.
    is_full: bool,
    /// `s`: names without their module.
    is_short: bool,
    /// `q`: neither `=` nor type.
    is_quick: bool,
    /// `Q`: `=` but no type.
    is_quiet: bool,
    /// `v`: values alone.
    is_value_only: bool,
    /// `t`: ticks as one number.
    has_raw_ticks: bool,
    /// `x`: all octets in hexadecimal.
    is_hex: bool,
    /// `a`: all octets as text.
    is_text: bool,
}

impl Style {
    /// Reads the letters. `e` and `U` ask for what is always so here: numbers without their names
    /// in MIB files, no units.
    pub(crate) fn parse(letters: &str) -> Result<Self, String> {
        let mut style = Self::default();
        for letter in letters.chars() {
            match letter {
                'n' => style.is_numeric = true,
                'f' => style.is_full = true,
                's' | 'S' => style.is_short = letter == 's',
                'q' => style.is_quick = true,
                'Q' => style.is_quiet = true,
                'v' => style.is_value_only = true,
                't' => style.has_raw_ticks = true,
                'x' => style.is_hex = true,
                'a' => style.is_text = true,
                'e' | 'U' => {}
                _ => {
                    return Err(format!(
                        "-O knows no {letter:?}; letters are n f s S q Q v t x a e U"
                    ));
                }
            }
        }
        Ok(style)
    }

    /// One line of `get` or `walk`, without its end.
    pub(crate) fn line(self, oid: &Oid, value: &Value<'_>) -> String {
        let value = self.value(value);
        if self.is_value_only {
            return value;
        }
        let between = if self.is_quick { " " } else { " = " };
        format!("{}{between}{value}", self.oid(oid))
    }

    /// An OID as text.
    pub(crate) fn oid(self, oid: &Oid) -> String {
        if self.is_numeric {
            return format!(".{oid}");
        }
        if self.is_full {
            return names::full(oid);
        }
        let Some((known, rest)) = names::find(oid) else {
            return format!(".{oid}");
        };
        let rest: String = rest.iter().map(|arc| format!(".{arc}")).collect();
        let is_root = oid.arcs().len() - rest.matches('.').count() < 6;
        match (self.is_short, is_root) {
            // Above mib-2 and enterprises nobody reads module names.
            (_, true) if oid.arcs().first() == Some(&1) => {
                let arcs = oid.arcs().iter().skip(1).map(|arc| format!(".{arc}"));
                format!("iso{}", arcs.collect::<String>())
            }
            (true, _) => format!("{}{rest}", known.name),
            (false, _) => format!("{}::{}{rest}", known.module, known.name),
        }
    }

    /// A value with its type.
    pub(crate) fn value(self, value: &Value<'_>) -> String {
        let typed = |name: &str, text: String| {
            if self.is_quick || self.is_quiet {
                text
            } else {
                format!("{name}: {text}")
            }
        };
        match *value {
            Value::Null => String::from("NULL"),
            Value::Integer(number) => typed("INTEGER", number.to_string()),
            Value::OctetString(octets) => self.octets(octets),
            Value::ObjectId(oid) => typed("OID", self.oid(&oid.to_oid())),
            Value::IpAddress(address) => typed("IpAddress", address.to_string()),
            Value::Counter32(number) => typed("Counter32", number.to_string()),
            Value::Gauge32(number) => typed("Gauge32", number.to_string()),
            Value::TimeTicks(ticks) => self.ticks(ticks),
            Value::OpaqueFloat(number) => typed("Opaque", typed("Float", format!("{number:.6}"))),
            Value::OpaqueDouble(number) => typed("Opaque", typed("Float", format!("{number:.6}"))),
            Value::Opaque(octets) => typed("OPAQUE", hex(octets)),
            Value::Counter64(number) => typed("Counter64", number.to_string()),
            Value::NoSuchObject => {
                String::from("No Such Object available on this agent at this OID")
            }
            Value::NoSuchInstance => String::from("No Such Instance currently exists at this OID"),
            Value::EndOfMibView => String::from(
                "No more variables left in this MIB View (It is past the end of the MIB tree)",
            ),
        }
    }

    fn octets(self, octets: &[u8]) -> String {
        if octets.is_empty() {
            return String::from("\"\"");
        }
        let is_printable = |octet: &u8| matches!(octet, 0x20..=0x7e | b'\t'..=b'\r');
        let is_bare = self.is_quick || self.is_quiet;
        if self.is_hex || !self.is_text && !octets.iter().all(is_printable) {
            let text = hex(octets);
            return if is_bare {
                format!("\"{text}\"")
            } else {
                format!("Hex-STRING: {text}")
            };
        }
        let mut text = String::from("\"");
        for octet in octets {
            match octet {
                b'"' => text.push_str("\\\""),
                b'\\' => text.push_str("\\\\"),
                octet if is_printable(octet) => text.push(char::from(*octet)),
                _ => text.push('.'),
            }
        }
        text.push('"');
        if is_bare {
            text
        } else {
            format!("STRING: {text}")
        }
    }

    fn ticks(self, ticks: u32) -> String {
        if self.has_raw_ticks {
            return ticks.to_string();
        }
        let (hundredths, seconds) = (ticks % 100, ticks / 100);
        let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
        let clock = format!(
            "{:02}:{:02}.{hundredths:02}",
            seconds / 60 % 60,
            seconds % 60
        );
        if self.is_quick || self.is_quiet {
            return format!("{days}:{hours}:{clock}");
        }
        let days = match days {
            0 => String::new(),
            1 => String::from("1 day, "),
            days => format!("{days} days, "),
        };
        format!("Timeticks: ({ticks}) {days}{hours}:{clock}")
    }
}

/// `00 1A 2B `, as net-snmp has it: a blank after each octet, a new line after each sixteenth.
fn hex(octets: &[u8]) -> String {
    let mut text = String::new();
    for (position, octet) in octets.iter().enumerate() {
        if position > 0 && position % HEX_OCTETS_IN_LINE == 0 {
            text.push('\n');
        }
        let _infallible = write!(text, "{octet:02X} ");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_net_snmp_prints_them() {
        let check = |letters: &str, value: Value<'_>, expected: &str| {
            assert_eq!(
                Style::parse(letters).unwrap().value(&value),
                expected,
                "-O{letters}"
            );
        };
        check("", Value::Integer(-1), "INTEGER: -1");
        check("", Value::OctetString(b"a\"b"), "STRING: \"a\\\"b\"");
        check("", Value::OctetString(b""), "\"\"");
        check("", Value::OctetString(&[0, 0x1a]), "Hex-STRING: 00 1A ");
        check("a", Value::OctetString(&[0, b'x']), "STRING: \".x\"");
        check("x", Value::OctetString(b"a"), "Hex-STRING: 61 ");
        check(
            "",
            Value::TimeTicks(12_345),
            "Timeticks: (12345) 0:02:03.45",
        );
        check(
            "",
            Value::TimeTicks(8_640_000),
            "Timeticks: (8640000) 1 day, 0:00:00.00",
        );
        check(
            "",
            Value::TimeTicks(17_280_001),
            "Timeticks: (17280001) 2 days, 0:00:00.01",
        );
        check("t", Value::TimeTicks(12_345), "12345");
        check("q", Value::TimeTicks(12_345), "0:0:02:03.45");
        check("Q", Value::Counter64(7), "7");
        check("", Value::Counter32(7), "Counter32: 7");
        check("", Value::Gauge32(7), "Gauge32: 7");
        check(
            "",
            Value::IpAddress([1, 2, 3, 4].into()),
            "IpAddress: 1.2.3.4",
        );
        check("", Value::OpaqueFloat(1.5), "Opaque: Float: 1.500000");
        check(
            "",
            Value::NoSuchInstance,
            "No Such Instance currently exists at this OID",
        );
        assert_eq!(hex(&[0; 17]).lines().count(), 2);
    }

    #[test]
    fn lines_follow_the_letters() {
        let check = |letters: &str, oid: &str, expected: &str| {
            let style = Style::parse(letters).unwrap();
            assert_eq!(
                style.line(&oid.parse().unwrap(), &Value::Integer(1)),
                expected
            );
        };
        check(
            "",
            "1.3.6.1.2.1.1.7.0",
            "SNMPv2-MIB::sysServices.0 = INTEGER: 1",
        );
        check("n", "1.3.6.1.2.1.1.7.0", ".1.3.6.1.2.1.1.7.0 = INTEGER: 1");
        check("s", "1.3.6.1.2.1.1.7.0", "sysServices.0 = INTEGER: 1");
        check(
            "f",
            "1.3.6.1.2.1.1.7.0",
            ".iso.org.dod.internet.mgmt.mib-2.system.sysServices.0 = INTEGER: 1",
        );
        check(
            "fQ",
            "1.3.6.1.2.1.31.1.1.1.6.12",
            ".iso.org.dod.internet.mgmt.mib-2.ifMIB.ifMIBObjects.ifXTable.ifXEntry.ifHCInOctets.12 \
             = 1",
        );
        check(
            "f",
            "1.3.6.1.4.1.99999.1",
            ".iso.org.dod.internet.private.enterprises.99999.1 = INTEGER: 1",
        );
        check("f", "2.1", ".2.1 = INTEGER: 1");
        check("nq", "1.3.6.1.2.1.1.7.0", ".1.3.6.1.2.1.1.7.0 1");
        check("vQ", "1.3.6.1.2.1.1.7.0", "1");
        check("", "1.3.6.1.3.7", "iso.3.6.1.3.7 = INTEGER: 1");
        check(
            "",
            "1.3.6.1.4.1.99999.1",
            "SNMPv2-SMI::enterprises.99999.1 = INTEGER: 1",
        );
        check("", "2.1", ".2.1 = INTEGER: 1");
        assert!(Style::parse("z").unwrap_err().contains("knows no 'z'"));
    }
}
