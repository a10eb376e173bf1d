//! Object identifiers as they stand in messages: raw BER, compared without decoding.
//!
//! Does: check once when read ([`OidRef`]), encode once when configured ([`EncodedOid`]), cut a
//! column off a name by comparing bytes, order names as RFC 3416 §4.2.2 does.
//! Does not: text, names of MIB objects (`ocelli_model::oid`, `plugins`).
//! In: bytes of a peer, or an [`Oid`]. Out: arcs, or [`BerError::BadOid`], [`OidEncodeError`].

mod octets;

use std::cmp::Ordering;
use std::fmt;

use ocelli_model::oid::{ARCS_MAX, Oid};

use crate::ber::BerError;

use octets::Octets;

/// Octets of the longest OID: 128 arcs of five octets each (RFC 2578 §3.5).
pub const OID_OCTETS_MAX: usize = ARCS_MAX * 5;

/// An OID that has no BER form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("object identifier {oid} has no BER form: begin with 0 to 2, then below 40 after 0 and 1")]
pub struct OidEncodeError {
    /// The OID.
    pub oid: Oid,
}

/// The contents of a checked BER `OBJECT IDENTIFIER`, borrowed.
///
/// The encoding of each arc is the shortest one, so equal OIDs have equal bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OidRef<'a>(&'a [u8]);

/// An OID encoded once, to be sent and compared many times.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct EncodedOid(Octets);

/// Whatever can stand as a name in a request.
pub trait Name {
    /// Its BER contents.
    fn oid(&self) -> OidRef<'_>;
}

// === Reading ===

impl<'a> OidRef<'a> {
    /// Checks the contents of an `OBJECT IDENTIFIER`: no arc is cut off, padded or above 32 bits,
    /// and there are at most 128. No contents at all are `0.0` of some agents: no arcs.
    ///
    /// # Errors
    /// [`BerError::BadOid`].
    #[inline]
    pub fn from_ber(contents: &'a [u8]) -> Result<Self, BerError> {
        let is_plain = contents.len() < ARCS_MAX && !has_high_bit(contents);
        if is_plain || is_well_formed(contents) {
            Ok(Self(contents))
        } else {
            Err(BerError::BadOid {
                octets: contents.len(),
            })
        }
    }

    /// The BER contents.
    #[must_use]
    #[inline]
    pub fn as_ber(self) -> &'a [u8] {
        self.0
    }

    /// The arcs, first to last.
    #[must_use]
    #[inline]
    pub fn arcs(self) -> Arcs<'a> {
        Arcs {
            rest: self.0,
            second: None,
            is_begun: false,
        }
    }

    /// What follows `prefix` if this OID begins with it: the index of an instance of a column.
    /// Arc by arc: `1.3.6.10` does not begin with `1.3.6.1`.
    #[must_use]
    #[inline]
    pub fn index_under(self, prefix: OidRef<'_>) -> Option<Index<'a>> {
        // Arcs are self-delimiting, and a prefix ends with one: its bytes match whole arcs.
        self.0.strip_prefix(prefix.0).map(Index)
    }

    /// What follows the first `octets` of the BER contents; the caller knows that an arc ends
    /// there.
    #[inline]
    pub(crate) fn index_behind(self, octets: usize) -> Index<'a> {
        Index(self.0.get(octets..).unwrap_or_default())
    }

    /// Writes the arcs into `arcs` and returns those written, or `None` if they do not fit.
    pub fn write_arcs(self, arcs: &mut [u32]) -> Option<&[u32]> {
        write_all(self.arcs(), arcs)
    }

    /// An owned copy with decoded arcs.
    #[must_use]
    pub fn to_oid(self) -> Oid {
        let mut arcs = [0; ARCS_MAX + 1];
        let written = self.write_arcs(&mut arcs).unwrap_or(&[]);
        Oid::from_arcs(&written[..written.len().min(ARCS_MAX)]).unwrap_or_default()
    }

    /// Whether this is the same OID.
    #[must_use]
    pub fn is(self, oid: &Oid) -> bool {
        self.arcs().eq(oid.arcs().iter().copied())
    }
}

impl Ord for OidRef<'_> {
    /// Arc by arc, a prefix before what it begins (RFC 3416 §4.2.2).
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let same = self
            .0
            .iter()
            .zip(other.0)
            .take_while(|(left, right)| left == right)
            .count();
        let (left, right) = (&self.0[same..], &other.0[same..]);
        let (Some(left_first), Some(right_first)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len());
        };
        // The first difference lies within one arc of each: a longer arc is a greater one, and
        // at equal length the first octet that differs decides.
        arc_octets(left)
            .cmp(&arc_octets(right))
            .then(left_first.cmp(right_first))
    }
}

impl PartialOrd for OidRef<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for OidRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dotted(self.arcs(), formatter)
    }
}

impl fmt::Debug for OidRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OidRef({self})")
    }
}

/// The arcs that follow a prefix, as BER, borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Index<'a>(&'a [u8]);

impl<'a> Index<'a> {
    /// The BER contents; equal indexes have equal bytes.
    #[must_use]
    #[inline]
    pub fn as_ber(self) -> &'a [u8] {
        self.0
    }

    /// The arcs, first to last.
    #[must_use]
    #[inline]
    pub fn arcs(self) -> Arcs<'a> {
        Arcs {
            rest: self.0,
            second: None,
            is_begun: true,
        }
    }

    /// The only arc, if there is exactly one: the `ifIndex` of an interface column.
    #[must_use]
    #[inline]
    pub fn single(self) -> Option<u32> {
        match self.0 {
            [arc] => Some(u32::from(*arc)),
            _ => {
                let mut arcs = self.arcs();
                arcs.next().filter(|_| arcs.next().is_none())
            }
        }
    }

    /// Writes the arcs into `arcs` and returns those written, or `None` if they do not fit.
    pub fn write_arcs(self, arcs: &mut [u32]) -> Option<&[u32]> {
        write_all(self.arcs(), arcs)
    }
}

impl fmt::Display for Index<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dotted(self.arcs(), formatter)
    }
}

impl fmt::Debug for Index<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Index({self})")
    }
}

/// Arcs decoded one by one.
#[derive(Debug, Clone)]
pub struct Arcs<'a> {
    rest: &'a [u8],
    /// The first octets hold two arcs (X.690 §8.19.4): the second, until it is handed out.
    second: Option<u32>,
    is_begun: bool,
}

impl Iterator for Arcs<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if let Some(second) = self.second.take() {
            return Some(second);
        }
        let joined = self.sub_identifier()?;
        if self.is_begun {
            // Checked when the OID was read: 32 bits, except where two arcs are joined.
            return Some(u32::try_from(joined).unwrap_or(u32::MAX));
        }
        self.is_begun = true;
        let first = (joined / 40).min(2);
        self.second = u32::try_from(joined - first * 40).ok();
        u32::try_from(first).ok()
    }
}

impl Arcs<'_> {
    #[inline]
    fn sub_identifier(&mut self) -> Option<u64> {
        let mut value = 0;
        loop {
            let (octet, rest) = self.rest.split_first()?;
            self.rest = rest;
            value = value << 7 | u64::from(octet & 0x7f);
            if *octet < 0x80 {
                return Some(value);
            }
        }
    }
}

// === Encoding ===

impl EncodedOid {
    /// Encodes `oid`. One arc or none is completed by zeros, so that a walk can begin at `1`.
    ///
    /// # Errors
    /// [`OidEncodeError`] if the first two arcs are none that BER can join.
    pub fn new(oid: &Oid) -> Result<Self, OidEncodeError> {
        let (first, second, rest) = match oid.arcs() {
            [] => (0, 0, [].as_slice()),
            [first] => (*first, 0, [].as_slice()),
            [first, second, rest @ ..] => (*first, *second, rest),
        };
        let joined = u64::from(first) * 40 + u64::from(second);
        if first > 2 || (first < 2 && second >= 40) || joined > u64::from(u32::MAX) {
            return Err(OidEncodeError { oid: oid.clone() });
        }
        let mut contents = Vec::with_capacity(rest.len() + 4);
        push_arc(&mut contents, u32::try_from(joined).unwrap_or(u32::MAX));
        for arc in rest {
            push_arc(&mut contents, *arc);
        }
        let mut encoded = Self::default();
        encoded.0.set(&contents, &[]);
        Ok(encoded)
    }

    /// Becomes a copy of `oid`, in the memory that it has.
    pub fn set(&mut self, oid: OidRef<'_>) {
        self.0.set(oid.0, &[]);
    }

    /// Becomes `column` followed by `index`, in the memory that it has.
    pub fn set_instance(&mut self, column: OidRef<'_>, index: Index<'_>) {
        self.0.set(column.0, index.0);
    }

    /// Becomes `name` if that is greater and differs in its last octet alone, as the next row of a
    /// column does as a rule. One comparison of words instead of one for the column and one for
    /// the order. False says nothing but that.
    #[inline]
    pub(crate) fn step_to(&mut self, name: OidRef<'_>) -> bool {
        let ([head @ .., last], [other @ .., next]) = (self.0.as_mut_slice(), name.0) else {
            return false;
        };
        // Last octets of arcs have no high bit, so their order is the order of the arcs.
        let is_step = *next > *last && is_same(head, other);
        if is_step {
            *last = *next;
        }
        is_step
    }

    /// Appends one arc.
    pub fn push(&mut self, arc: u32) {
        let mut contents = self.0.as_slice().to_vec();
        push_arc(&mut contents, arc);
        self.0.set(&contents, &[]);
    }

    /// Borrowed.
    #[must_use]
    #[inline]
    pub fn as_oid_ref(&self) -> OidRef<'_> {
        OidRef(self.0.as_slice())
    }
}

impl fmt::Debug for EncodedOid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EncodedOid({})", self.as_oid_ref())
    }
}

impl Name for OidRef<'_> {
    #[inline]
    fn oid(&self) -> OidRef<'_> {
        *self
    }
}

impl Name for EncodedOid {
    #[inline]
    fn oid(&self) -> OidRef<'_> {
        self.as_oid_ref()
    }
}

impl<N: Name + ?Sized> Name for &N {
    #[inline]
    fn oid(&self) -> OidRef<'_> {
        (**self).oid()
    }
}

// === Bytes ===

/// Whether any octet continues an arc; eight at a time.
#[inline]
fn has_high_bit(contents: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = contents.as_chunks::<8>();
    let folded = words
        .iter()
        .fold(0, |all, word| all | u64::from_ne_bytes(*word));
    let tail = rest.iter().fold(0, |all, octet| all | octet);
    folded & HIGH_BITS != 0 || tail >= 0x80
}

/// Equality; the lengths that OIDs of cells have take two words instead of a call.
#[inline]
fn is_same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    if left.len() <= 16
        && let (Some(left_first), Some(right_first)) = (left.first_chunk(), right.first_chunk())
        && let (Some(left_last), Some(right_last)) = (left.last_chunk(), right.last_chunk())
    {
        let word = |octets: &[u8; 8]| u64::from_ne_bytes(*octets);
        return word(left_first) == word(right_first) && word(left_last) == word(right_last);
    }
    left == right
}

/// The slow half of [`OidRef::from_ber`].
fn is_well_formed(contents: &[u8]) -> bool {
    let mut arcs = 1; // The first sub-identifier is two arcs.
    let mut rest = contents;
    while !rest.is_empty() {
        let octets = arc_octets(rest);
        let Some((arc, tail)) = rest.split_at_checked(octets) else {
            return false;
        };
        let is_padded = octets > 1 && arc[0] == 0x80;
        let is_too_wide = octets > 5 || (octets == 5 && arc[0] > 0x8f);
        arcs += 1;
        if is_padded || is_too_wide || arcs > ARCS_MAX {
            return false;
        }
        rest = tail;
    }
    true
}

/// Octets of the arc that begins here; one more than there are if it is cut off.
#[inline]
fn arc_octets(contents: &[u8]) -> usize {
    contents.iter().take_while(|octet| **octet >= 0x80).count() + 1
}

/// Appends the shortest encoding of `arc`.
fn push_arc(contents: &mut Vec<u8>, arc: u32) {
    for shift in [28, 21, 14, 7] {
        if arc >> shift != 0 {
            contents.push(0x80 | u8::try_from(arc >> shift & 0x7f).unwrap_or(0));
        }
    }
    contents.push(u8::try_from(arc & 0x7f).unwrap_or(0));
}

fn write_all<'b>(arcs: Arcs<'_>, target: &'b mut [u32]) -> Option<&'b [u32]> {
    let mut count = 0;
    for arc in arcs {
        *target.get_mut(count)? = arc;
        count += 1;
    }
    target.get(..count)
}

fn write_dotted(arcs: Arcs<'_>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (position, arc) in arcs.enumerate() {
        let dot = if position == 0 { "" } else { "." };
        write!(formatter, "{dot}{arc}")?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "oid_tests.rs"]
mod tests;
