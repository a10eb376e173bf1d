//! The few primitives that all formats of the bus are made of.
//!
//! Does: little-endian integers, LEB128 varints, zigzag, length-prefixed text, read with a cursor
//! that knows its offset. Does not: know any format.
//! In: bytes of unknown honesty, or a buffer. Out: values, or [`WireError`] with the place.
//! Invariant: reading never panics and never allocates more than the bytes that are there.

/// Longest LEB128 form of a u64, bytes.
const VARINT_BYTES_MAX: usize = 10;

/// Bytes that do not say what they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at byte {offset}; the data is damaged or of a newer version")]
pub struct WireError {
    /// Where, counted from the start of the part that was read.
    pub offset: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// Reads forward through bytes.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error at this place.
    pub(crate) fn error(&self, expected: &'static str) -> WireError {
        WireError {
            offset: self.at,
            expected,
        }
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(len).ok_or_else(|| self.error(what))?;
        let taken = self
            .bytes
            .get(self.at..end)
            .ok_or_else(|| self.error(what))?;
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], WireError> {
        let error = self.error(what);
        self.take(N, what)?.try_into().map_err(|_| error)
    }

    /// One byte.
    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.error(what))?;
        self.at += 1;
        Ok(byte)
    }

    /// A LEB128 number; over-long forms and forms above 64 bit are refused.
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, WireError> {
        let start = self.error(what);
        let mut value = 0u64;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7F);
            let is_too_large = index == VARINT_BYTES_MAX - 1 && bits > 1;
            let is_over_long = index > 0 && byte == 0;
            if is_too_large || is_over_long {
                return Err(start);
            }
            value |= bits << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(start)
    }

    /// A LEB128 number of at most 32 bit.
    pub(crate) fn varint_u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        let start = self.error(what);
        u32::try_from(self.varint(what)?).map_err(|_| start)
    }

    /// A LEB128 number of at most `max`.
    pub(crate) fn varint_usize(
        &mut self,
        max: usize,
        what: &'static str,
    ) -> Result<usize, WireError> {
        let start = self.error(what);
        let value = usize::try_from(self.varint(what)?).map_err(|_| start.clone())?;
        if value <= max { Ok(value) } else { Err(start) }
    }

    /// A zigzag LEB128 number.
    pub(crate) fn zigzag(&mut self, what: &'static str) -> Result<i64, WireError> {
        self.varint(what).map(unzigzag)
    }

    /// A text behind its length in bytes.
    pub(crate) fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, WireError> {
        let start = self.error(what);
        let len = self.varint_usize(max, what)?;
        std::str::from_utf8(self.take(len, what)?).map_err(|_| start)
    }

    /// Nothing may be left.
    pub(crate) fn finish(&self, what: &'static str) -> Result<(), WireError> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(self.error(what))
        }
    }
}

/// Appends a LEB128 number.
#[inline]
pub(crate) fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    into.push(low_byte(value));
}

/// Bytes of a LEB128 number.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends a signed number, small in either direction.
#[inline]
pub(crate) fn put_zigzag(into: &mut Vec<u8>, value: i64) {
    put_varint(into, zigzag(value));
}

/// Appends a text behind its length.
pub(crate) fn put_text(into: &mut Vec<u8>, text: &str) {
    put_varint(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

/// 0, -1, 1, -2 … as 0, 1, 2, 3 …
#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The low eight bits; the rest is dropped on purpose.
#[inline]
pub(crate) fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back_from_varint_and_zigzag(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varint_len(value));
            prop_assert_eq!(Cursor::new(&bytes).varint("x"), Ok(value));
            let signed = value.cast_signed();
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }

        #[test]
        fn any_bytes_are_a_number_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..16)
        ) {
            let mut cursor = Cursor::new(&bytes);
            if let Ok(value) = cursor.varint("x") {
                prop_assert_eq!(cursor.offset(), varint_len(value), "no over-long form passes");
            }
        }
    }

    #[test]
    fn an_error_names_the_place() {
        let mut cursor = Cursor::new(&[1, 0xFF]);
        cursor.u8("kind").unwrap();
        let error = cursor.varint("a length").unwrap_err();
        assert!(
            error.to_string().starts_with("expected a length at byte"),
            "{error}"
        );
        assert!(Cursor::new(&[0x80, 0x00]).varint("x").is_err(), "over-long");
        assert!(
            Cursor::new(&[2, 0xC3, 0x28]).text(9, "x").is_err(),
            "not UTF-8"
        );
        assert!(
            Cursor::new(&[9]).varint_usize(8, "x").is_err(),
            "above the limit"
        );
    }
}
