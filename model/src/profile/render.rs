//! Cells as text: what dimensions show.
//!
//! Does: octets by their format, numbers without a needless fraction. Does not: map numbers to
//! names (`evaluate`). In: a [`Cell`]. Out: text appended; nothing for what is missing.

use std::fmt::Write as _;

use super::plan::Format;
use super::program::Cell;

/// Appends the text of `cell`; `is_ascii` leaves out what is not ASCII.
pub(super) fn render(cell: Cell<'_>, format: Format, is_ascii: bool, into: &mut String) {
    match cell {
        Cell::Missing => {}
        // Writing to a string cannot fail.
        Cell::Number(number) => write!(into, "{number}").unwrap_or_default(),
        Cell::Text(octets) => match format {
            Format::MacAddress => mac_address(octets, into),
            Format::Text => text(octets, is_ascii, into),
        },
    }
}

fn mac_address(octets: &[u8], into: &mut String) {
    for (position, octet) in octets.iter().enumerate() {
        let colon = if position == 0 { "" } else { ":" };
        write!(into, "{colon}{octet:02X}").unwrap_or_default();
    }
}

fn text(octets: &[u8], is_ascii: bool, into: &mut String) {
    let end = octets
        .iter()
        .rposition(|octet| *octet != 0)
        .map_or(0, |last| last + 1);
    let octets = &octets[..end];
    let readable = std::str::from_utf8(octets).ok().filter(|text| {
        let is_blank = |character: char| matches!(character, '\t' | '\r' | '\n');
        text.chars()
            .all(|character| !character.is_control() || is_blank(character))
    });
    match readable {
        Some(text) => into.extend(text.chars().filter_map(|character| match character {
            '\t' | '\r' | '\n' => Some(' '),
            other => (!is_ascii || other.is_ascii()).then_some(other),
        })),
        // Panoptes strips what is not ASCII octet by octet, whatever the encoding was.
        None if is_ascii && octets.iter().any(u8::is_ascii_graphic) => {
            let shown = octets
                .iter()
                .filter(|octet| octet.is_ascii_graphic() || **octet == b' ');
            into.extend(shown.map(|octet| char::from(*octet)));
        }
        None => {
            into.push_str("0x");
            for octet in octets {
                write!(into, "{octet:02x}").unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_and_numbers_show_as_documented() {
        let check = |cell: Cell<'_>, format: Format, is_ascii: bool, expected: &str| {
            let mut shown = String::new();
            render(cell, format, is_ascii, &mut shown);
            assert_eq!(shown, expected, "{cell:?}");
        };
        let mac = [0x00, 0x1b, 0x54, 0xaa, 0x00, 0x01];
        check(
            Cell::Text(&mac),
            Format::MacAddress,
            false,
            "00:1B:54:AA:00:01",
        );
        check(Cell::Text(&mac), Format::Text, false, "0x001b54aa0001");
        check(Cell::Text(b"Gi0/1\0\0"), Format::Text, false, "Gi0/1");
        check(
            Cell::Text("Büro\tSüd".as_bytes()),
            Format::Text,
            false,
            "Büro Süd",
        );
        check(Cell::Text("Büro".as_bytes()), Format::Text, true, "Bro");
        check(Cell::Text(b"B\xfcro"), Format::Text, false, "0x42fc726f");
        check(Cell::Text(b"B\xfcro"), Format::Text, true, "Bro");
        check(Cell::Text(b""), Format::Text, false, "");
        check(Cell::Text(b"\0"), Format::Text, false, "");
        check(Cell::Number(1e10), Format::Text, false, "10000000000");
        check(Cell::Number(-0.5), Format::Text, false, "-0.5");
        check(Cell::Missing, Format::Text, false, "");
    }
}
