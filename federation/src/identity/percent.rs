//! Percent-encoding of one name inside a URI, one spelling a name (RFC 3986 §2.1).
//!
//! Does: encode all but unreserved letters, decode exactly what encoding gives and nothing else.
//! Does not: whole URIs, `+` for blanks.
//! In: a name or its spelling. Out: the other.
//! Invariant: `decode(x) == Some(n)` only if `encode(n) == x`, so that two certificates that name
//! the same thing are equal byte by byte, and none hides a second spelling.

/// Longest name inside a certificate, bytes before encoding: as `config` allows.
pub(super) const NAME_BYTES_MAX: usize = 128;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Whether a text may be a name: 1 to 128 bytes, no control characters, no blank at either end.
pub(super) fn is_name(text: &str) -> bool {
    let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    fits && text.trim() == text && !text.chars().any(char::is_control)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends the spelling of `name` to `out`.
pub(super) fn encode_into(name: &str, out: &mut String) {
    for byte in name.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// The name of a spelling; `None` if it is not the one spelling of a name.
pub(super) fn decode(spelling: &str) -> Option<String> {
    if spelling.len() > NAME_BYTES_MAX * 3 {
        return None;
    }
    let mut bytes = Vec::with_capacity(spelling.len());
    let mut rest = spelling.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if is_unreserved(first) {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        if first != b'%' {
            return None;
        }
        let byte = digit(digits[0])? << 4 | digit(digits[1])?;
        if is_unreserved(byte) {
            return None;
        }
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok().filter(|name| is_name(name))
}

/// Upper case only: `%2f` would be a second spelling of `%2F`.
const fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'A'..=b'F' => Some(letter - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelling(name: &str) -> String {
        let mut out = String::new();
        encode_into(name, &mut out);
        out
    }

    #[test]
    fn a_name_has_one_spelling() {
        let rows = [
            ("dc1", "dc1"),
            ("rack 7/å", "rack%207%2F%C3%A5"),
            ("a~b", "a~b"),
        ];
        for (name, expected) in rows {
            assert_eq!(spelling(name), expected);
            assert_eq!(decode(expected).as_deref(), Some(name));
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let wrong = [
            "", "%", "%2", "%2f", "%61", "a b", "%C3", "%00", "%20a", "a%20", "a/b", "ä", "%+1",
            "*", &long,
        ];
        for text in wrong {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_decoded_encodes_to_the_same_bytes(
            text in "([%0-9A-Fa-f./ä ]|%[0-9A-F]{2}){0,24}",
        ) {
            if let Some(name) = decode(&text) {
                prop_assert_eq!(spelling(&name), text);
            }
        }

        #[test]
        fn each_name_is_read_back(text in "\\PC{1,40}") {
            prop_assume!(is_name(&text));
            prop_assert_eq!(decode(&spelling(&text)), Some(text));
        }
    }
}
