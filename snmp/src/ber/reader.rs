//! Reads TLVs from a slice, without copying.
//!
//! Does: check every length against what is there, refuse what BER allows and SNMP forbids.
//! Does not: allocate or recurse; nesting is as deep as the caller's code.
//! In: bytes of a peer. Out: contents borrowed from them, or a [`BerError`] that says what was
//! wrong.

use super::tag;

/// Long-form lengths have at most this many octets; a UDP message needs two.
const LENGTH_OCTETS_MAX: usize = 4;

/// Why bytes are not the BER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BerError {
    /// The bytes end inside a TLV.
    #[error("BER element needs {needed} more bytes and {left} are left; the message was cut off")]
    Truncated {
        /// Bytes that the element still needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Another tag than the one that must stand here.
    #[error("BER tag is {found:#04x} where {expected:#04x} must stand; the sender is no SNMP peer")]
    UnexpectedTag {
        /// The tag that must stand here.
        expected: u8,
        /// The tag that stands here.
        found: u8,
    },
    /// `0x80`: an indefinite length, which RFC 3417 §8 forbids.
    #[error("BER length is indefinite, which RFC 3417 §8 forbids; the sender is no SNMP peer")]
    IndefiniteLength,
    /// A length of more octets than any message can need.
    #[error("BER length has {octets} octets, at most 4 make sense; the sender is no SNMP peer")]
    LengthTooLong {
        /// How many octets the length claims to have.
        octets: u8,
    },
    /// An integer that is empty or does not fit its type.
    #[error("BER value of tag {tag:#04x} has {octets} octets, which its type cannot hold")]
    BadInteger {
        /// Its tag.
        tag: u8,
        /// How many octets it has.
        octets: usize,
    },
    /// A value of fixed size with another size (`IpAddress`, `NULL`, an exception).
    #[error("BER value of tag {tag:#04x} has {octets} octets, its type has {expected}")]
    BadSize {
        /// Its tag.
        tag: u8,
        /// How many octets it has.
        octets: usize,
        /// How many it must have.
        expected: usize,
    },
    /// An object identifier that is cut off, padded, too long, or has an arc above 32 bits.
    #[error("BER object identifier of {octets} octets is malformed; the agent is at fault")]
    BadOid {
        /// How many octets it has.
        octets: usize,
    },
    /// A tag that no SNMP value has.
    #[error("BER tag {tag:#04x} names no SNMP value; the agent is at fault")]
    UnknownValue {
        /// The tag.
        tag: u8,
    },
    /// Bytes after the element that must be the last.
    #[error("{left} bytes follow the last BER element; the sender is no SNMP peer")]
    TrailingBytes {
        /// How many.
        left: usize,
    },
}

/// A cursor over BER bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins at the first of `bytes`.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element: its tag and its contents.
    ///
    /// # Errors
    /// [`BerError::Truncated`], [`BerError::IndefiniteLength`], [`BerError::LengthTooLong`].
    #[inline]
    pub fn element(&mut self) -> Result<(u8, &'a [u8]), BerError> {
        if let [tag, length, tail @ ..] = self.rest
            && *length < 0x80
            && let Some((contents, rest)) = tail.split_at_checked(usize::from(*length))
        {
            self.rest = rest;
            return Ok((*tag, contents));
        }
        self.long_element()
    }

    /// [`Reader::element`] for lengths above 127 and for everything that is wrong.
    #[cold]
    fn long_element(&mut self) -> Result<(u8, &'a [u8]), BerError> {
        let [tag, first, tail @ ..] = self.rest else {
            let left = self.rest.len();
            let needed = 2 - left;
            return Err(BerError::Truncated { needed, left });
        };
        let (length, tail) = match *first {
            short @ 0..=0x7f => (usize::from(short), tail),
            0x80 => return Err(BerError::IndefiniteLength),
            long => {
                let octets = usize::from(long & 0x7f);
                if octets > LENGTH_OCTETS_MAX {
                    let octets = long & 0x7f;
                    return Err(BerError::LengthTooLong { octets });
                }
                let left = tail.len();
                let (digits, tail) = tail.split_at_checked(octets).ok_or(BerError::Truncated {
                    needed: octets,
                    left,
                })?;
                let length = digits
                    .iter()
                    .fold(0_u32, |sum, digit| sum << 8 | u32::from(*digit));
                (usize::try_from(length).unwrap_or(usize::MAX), tail)
            }
        };
        let left = tail.len();
        let (contents, rest) = tail.split_at_checked(length).ok_or(BerError::Truncated {
            needed: length,
            left,
        })?;
        self.rest = rest;
        Ok((*tag, contents))
    }

    /// The contents of the next element, which must have this tag.
    ///
    /// # Errors
    /// [`BerError::UnexpectedTag`], and those of [`Reader::element`].
    #[inline]
    pub fn expect(&mut self, expected: u8) -> Result<&'a [u8], BerError> {
        let (found, contents) = self.element()?;
        if found == expected {
            Ok(contents)
        } else {
            Err(BerError::UnexpectedTag { expected, found })
        }
    }

    /// The next element, an `INTEGER` of 32 bits.
    ///
    /// # Errors
    /// [`BerError::BadInteger`] if it is empty or wider, and those of [`Reader::expect`].
    #[inline]
    pub fn integer(&mut self) -> Result<i32, BerError> {
        integer(self.expect(tag::INTEGER)?)
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// [`BerError::TrailingBytes`].
    pub fn end(&self) -> Result<(), BerError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(BerError::TrailingBytes { left }),
        }
    }
}

/// Contents of an `INTEGER`; a longer form of the same 32 bits is taken too.
#[inline]
pub(crate) fn integer(contents: &[u8]) -> Result<i32, BerError> {
    let bad = BerError::BadInteger {
        tag: tag::INTEGER,
        octets: contents.len(),
    };
    match contents {
        [one] => Ok(i32::from(i8::from_be_bytes([*one]))),
        [first, ..] if contents.len() <= 8 => {
            let sign = if *first < 0x80 { 0_i64 } else { -1 };
            let value = contents
                .iter()
                .fold(sign, |sum, octet| sum << 8 | i64::from(*octet));
            i32::try_from(value).map_err(|_| bad)
        }
        _ => Err(bad),
    }
}

/// Contents of an unsigned value of 32 bits. Agents that forget the leading zero octet of a
/// value with the top bit set are understood: no unsigned type has negative values.
#[inline]
pub(crate) fn unsigned32(tag: u8, contents: &[u8]) -> Result<u32, BerError> {
    let bad = BerError::BadInteger {
        tag,
        octets: contents.len(),
    };
    u32::try_from(unsigned64(tag, contents)?).map_err(|_| bad)
}

/// Contents of an unsigned value of 64 bits; see [`unsigned32`] for what is forgiven.
#[inline]
pub(crate) fn unsigned64(tag: u8, contents: &[u8]) -> Result<u64, BerError> {
    let significant = match contents {
        [0, significant @ ..] if significant.len() <= 8 => significant,
        [_, ..] if contents.len() <= 8 => contents,
        _ => {
            return Err(BerError::BadInteger {
                tag,
                octets: contents.len(),
            });
        }
    };
    Ok(significant
        .iter()
        .fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
}
