//! What a request id says: where the operation stands in the table, which try it is, and chance.
//!
//! Does: pack these into the 30 free bits of an id and mask them with a secret of this engine.
//! Does not: draw chance. In: a [`Ticket`]. Out: the bits of an id, and back.
//! Finding the operation is an array access; a guess from off the path must hit all 30 bits. Each
//! try has an id of its own, so a late reply counts and is measured against the try it answers.

use super::limits::{OPERATIONS_MAX, TRIES_MAX};

const INDEX_BITS: u32 = OPERATIONS_MAX.trailing_zeros();
const TRY_BITS: u32 = 3;
const TAG_BITS: u32 = ID_BITS - INDEX_BITS - TRY_BITS;
/// Bits of an id that are free; bit 30 is always set, so that an id has four octets.
const ID_BITS: u32 = 30;
const ID_MASK: u32 = (1 << ID_BITS) - 1;

const _: () = assert!(TRIES_MAX as u32 <= 1 << TRY_BITS);
const _: () = assert!(TAG_BITS >= 14);

/// What a request id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The operation's place in the table.
    pub(crate) index: u32,
    /// Chance, new for each request.
    pub(crate) tag: u32,
    /// 0 for the first transmission.
    pub(crate) attempt: u8,
}

/// The mask of one engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tickets {
    mask: u32,
}

impl Tickets {
    /// A mask from random bits.
    pub(crate) fn new(chance: u32) -> Self {
        Self {
            mask: chance & ID_MASK,
        }
    }

    /// Cuts random bits to a tag.
    pub(crate) fn tag(chance: u32) -> u32 {
        chance & ((1 << TAG_BITS) - 1)
    }

    /// The lower 30 bits of the id on the wire.
    pub(crate) fn seal(self, ticket: Ticket) -> u32 {
        let packed = (ticket.tag << (INDEX_BITS + TRY_BITS))
            | (u32::from(ticket.attempt) << INDEX_BITS)
            | ticket.index;
        (packed ^ self.mask) & ID_MASK
    }

    /// What an id from the wire says; `None` if it is none of ours.
    pub(crate) fn open(self, wire: i32) -> Option<Ticket> {
        let bits = u32::try_from(wire).ok()?;
        if bits >> ID_BITS != 1 {
            return None;
        }
        let packed = (bits ^ self.mask) & ID_MASK;
        Some(Ticket {
            index: packed & ((1 << INDEX_BITS) - 1),
            tag: packed >> (INDEX_BITS + TRY_BITS),
            attempt: u8::try_from((packed >> INDEX_BITS) & ((1 << TRY_BITS) - 1)).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_opens_to_what_was_sealed(
            chance in any::<u32>(), tag in any::<u32>(), attempt in 0..TRIES_MAX,
            index in 0..u32::try_from(OPERATIONS_MAX).unwrap(),
        ) {
            let tickets = Tickets::new(chance);
            let ticket = Ticket { index, tag: Tickets::tag(tag), attempt };
            let wire = i32::try_from(tickets.seal(ticket) | 1 << ID_BITS).unwrap();
            prop_assert_eq!(tickets.open(wire), Some(ticket));
        }
    }

    #[test]
    fn an_id_that_is_not_of_our_form_opens_to_nothing() {
        for wire in [-1, 0, 7, i32::MIN, 0x3fff_ffff] {
            assert_eq!(Tickets::new(7).open(wire), None, "{wire}");
        }
    }
}
