//! The octets of an encoded OID: in place while they are short, on the heap beyond.
//!
//! Does: keep a name of a cell beside the state of its column: a walk of ten columns touches eight
//! cache lines a reply instead of fourteen. Does not: know what the octets mean (`oid`).
//! In: octets. Out: the same octets; equal ones are equal wherever they are kept.

use std::hash::{Hash, Hasher};

/// Octets of an OID that need no memory of their own: nearly all names of cells.
const INLINE_OCTETS: usize = 30;

/// BER contents of any length.
#[derive(Clone)]
pub(super) enum Octets {
    Short {
        len: u8,
        octets: [u8; INLINE_OCTETS],
    },
    Long(Vec<u8>),
}

impl Octets {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Short { len, octets } => octets.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(octets) => octets,
        }
    }

    #[inline]
    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Self::Short { len, octets } => octets.get_mut(..usize::from(*len)).unwrap_or_default(),
            Self::Long(octets) => octets,
        }
    }

    /// Becomes `head` followed by `tail`.
    pub(super) fn set(&mut self, head: &[u8], tail: &[u8]) {
        let len = head.len() + tail.len();
        if let (Ok(short), true) = (u8::try_from(len), len <= INLINE_OCTETS) {
            let mut octets = [0; INLINE_OCTETS];
            octets[..head.len()].copy_from_slice(head);
            octets[head.len()..len].copy_from_slice(tail);
            *self = Self::Short { len: short, octets };
        } else if let Self::Long(octets) = self {
            octets.clear();
            octets.extend_from_slice(head);
            octets.extend_from_slice(tail);
        } else {
            *self = Self::Long([head, tail].concat());
        }
    }
}

impl Default for Octets {
    fn default() -> Self {
        let octets = [0; INLINE_OCTETS];
        Self::Short { len: 0, octets }
    }
}

impl PartialEq for Octets {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Octets {}

impl Hash for Octets {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}
