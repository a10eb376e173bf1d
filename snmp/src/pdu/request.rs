//! Writes PDUs: requests of a manager, heads of an agent's responses.
//!
//! Does: write from the back, tell where the id stands so that it can be patched.
//! Does not: the message around the PDU, the values of a response.
//! In: kind, id, names encoded beforehand. Out: the PDU in the caller's writer.

use crate::ber::{BackWriter, tag};
use crate::oid::Name;
use crate::pdu::PduKind;

/// A request id or message id of ours: always four octets long, so that it can be patched.
///
/// 30 random bits are enough against blind guessing together with the source port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(i32);

impl RequestId {
    /// The id that these bits give: their lower 30, with bit 30 set, so that four octets are the
    /// shortest encoding.
    #[must_use]
    #[inline]
    pub fn from_bits(bits: u32) -> Self {
        Self((bits & 0x3fff_ffff | 0x4000_0000).cast_signed())
    }

    /// As it stands in messages.
    #[must_use]
    #[inline]
    pub fn get(self) -> i32 {
        self.0
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// The variables of exactly these names.
    Get,
    /// The variables that follow these names.
    GetNext,
    /// The first `non_repeaters` as by [`RequestKind::GetNext`], the rest `max_repetitions` times.
    GetBulk {
        /// How many leading names are asked for once.
        non_repeaters: u16,
        /// How many rows are asked for.
        max_repetitions: u16,
    },
}

impl RequestKind {
    /// The kind of its PDU.
    #[must_use]
    #[inline]
    pub fn pdu_kind(self) -> PduKind {
        match self {
            Self::Get => PduKind::Get,
            Self::GetNext => PduKind::GetNext,
            Self::GetBulk { .. } => PduKind::GetBulk,
        }
    }
}

/// A request: kind, id and names.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a, N> {
    /// What is asked.
    pub kind: RequestKind,
    /// Which response belongs to it.
    pub id: RequestId,
    /// Whose values are asked for; encoded beforehand.
    pub names: &'a [N],
}

impl<N: Name> Request<'_, N> {
    /// Writes the PDU; returns where the octets of the id begin, counted from the buffer's end.
    #[inline]
    pub(crate) fn write(&self, writer: &mut BackWriter<'_>) -> usize {
        let mark = writer.written();
        for name in self.names.iter().rev() {
            let varbind = writer.written();
            writer.bytes(&[tag::NULL, 0]);
            writer.element(tag::OBJECT_IDENTIFIER, name.oid().as_ber());
            writer.wrap(tag::SEQUENCE, varbind);
        }
        let (second, third) = match self.kind {
            RequestKind::Get | RequestKind::GetNext => (0, 0),
            RequestKind::GetBulk {
                non_repeaters,
                max_repetitions,
            } => (i32::from(non_repeaters), i32::from(max_repetitions)),
        };
        let head = PduHead {
            kind: self.kind.pdu_kind(),
            request_id: self.id.get(),
            second,
            third,
        };
        head.write(writer, mark)
    }
}

/// The head of a PDU that an agent writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PduHead {
    /// What the PDU is for.
    pub kind: PduKind,
    /// The id of the request that it answers, as the peer wrote it.
    pub request_id: i32,
    /// Error status, or non-repeaters.
    pub second: i32,
    /// Error index, or max-repetitions.
    pub third: i32,
}

impl PduHead {
    /// The head of a response without error.
    #[must_use]
    pub fn response(request_id: i32) -> Self {
        Self {
            kind: PduKind::Response,
            request_id,
            second: 0,
            third: 0,
        }
    }

    /// Makes a PDU of the varbinds written since `mark`; returns where the octets of the id begin,
    /// counted from the buffer's end.
    #[inline]
    pub fn write(&self, writer: &mut BackWriter<'_>, mark: usize) -> usize {
        writer.wrap(tag::SEQUENCE, mark);
        writer.integer(self.third);
        writer.integer(self.second);
        writer.integer(self.request_id);
        // The id stands behind its tag and length, two octets.
        let id_at = writer.written().saturating_sub(2);
        writer.wrap(self.kind.tag(), mark);
        id_at
    }
}
