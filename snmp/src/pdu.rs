//! PDUs of RFC 1157 and RFC 3416: what stands inside a message of any version.
//!
//! Does: decode the head of a PDU and hand out its varbinds lazily; encode requests and, for
//! agents, responses; name the error statuses.
//! Does not: the message around it (`message`, `v3`), the meaning of the variables.
//! In: bytes of a peer, or a [`Request`]. Out: [`PduView`], or [`PduError`].

mod request;

use std::net::Ipv4Addr;

use crate::ber::{BerError, Reader, tag, unsigned32};
use crate::oid::OidRef;
use crate::value::Varbinds;

pub use request::{PduHead, Request, RequestId, RequestKind};

/// What a PDU is for; the discriminant is its BER tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PduKind {
    /// `GetRequest`.
    Get = 0xa0,
    /// `GetNextRequest`.
    GetNext = 0xa1,
    /// `Response` (`GetResponse` in v1).
    Response = 0xa2,
    /// `SetRequest`; ocelli never sends one.
    Set = 0xa3,
    /// `Trap` of v1, see [`TrapV1View`].
    TrapV1 = 0xa4,
    /// `GetBulkRequest` (v2c, v3).
    GetBulk = 0xa5,
    /// `InformRequest` (v2c, v3).
    Inform = 0xa6,
    /// `SNMPv2-Trap` (v2c, v3).
    TrapV2 = 0xa7,
    /// `Report` (v3).
    Report = 0xa8,
}

impl PduKind {
    /// The kind with this BER tag.
    #[must_use]
    #[inline]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            0xa0 => Self::Get,
            0xa1 => Self::GetNext,
            0xa2 => Self::Response,
            0xa3 => Self::Set,
            0xa4 => Self::TrapV1,
            0xa5 => Self::GetBulk,
            0xa6 => Self::Inform,
            0xa7 => Self::TrapV2,
            0xa8 => Self::Report,
            _ => return None,
        })
    }

    /// The BER tag.
    #[must_use]
    #[inline]
    pub fn tag(self) -> u8 {
        self as u8
    }

    /// Whether the receiver answers it (the confirmed class of RFC 3411 §2.8).
    #[must_use]
    pub fn is_confirmed(self) -> bool {
        matches!(
            self,
            Self::Get | Self::GetNext | Self::GetBulk | Self::Set | Self::Inform
        )
    }
}

/// The error status of a response (RFC 3416 §3); names as the RFC writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorStatus {
    /// 0: no error.
    NoError,
    /// 1: the response does not fit; ask for less.
    TooBig,
    /// 2 (v1): no such variable, or the end of the view.
    NoSuchName,
    /// 3 (v1): a value that cannot be set.
    BadValue,
    /// 4 (v1): the variable cannot be set.
    ReadOnly,
    /// 5: the agent failed.
    GenErr,
    /// 6: not in the view.
    NoAccess,
    /// 7: wrong type in a set.
    WrongType,
    /// 8: wrong length in a set.
    WrongLength,
    /// 9: wrong encoding in a set.
    WrongEncoding,
    /// 10: wrong value in a set.
    WrongValue,
    /// 11: cannot be created.
    NoCreation,
    /// 12: inconsistent value in a set.
    InconsistentValue,
    /// 13: a resource is exhausted.
    ResourceUnavailable,
    /// 14: the set failed and was undone.
    CommitFailed,
    /// 15: the set failed and was not undone.
    UndoFailed,
    /// 16: access denied.
    AuthorizationError,
    /// 17: cannot be written.
    NotWritable,
    /// 18: inconsistent name in a set.
    InconsistentName,
    /// A number that RFC 3416 does not know.
    Unknown(i32),
}

/// Statuses 0 to 18 in the order of their numbers, with the names of RFC 3416.
const ERROR_STATUSES: [(ErrorStatus, &str); 19] = [
    (ErrorStatus::NoError, "noError"),
    (ErrorStatus::TooBig, "tooBig"),
    (ErrorStatus::NoSuchName, "noSuchName"),
    (ErrorStatus::BadValue, "badValue"),
    (ErrorStatus::ReadOnly, "readOnly"),
    (ErrorStatus::GenErr, "genErr"),
    (ErrorStatus::NoAccess, "noAccess"),
    (ErrorStatus::WrongType, "wrongType"),
    (ErrorStatus::WrongLength, "wrongLength"),
    (ErrorStatus::WrongEncoding, "wrongEncoding"),
    (ErrorStatus::WrongValue, "wrongValue"),
    (ErrorStatus::NoCreation, "noCreation"),
    (ErrorStatus::InconsistentValue, "inconsistentValue"),
    (ErrorStatus::ResourceUnavailable, "resourceUnavailable"),
    (ErrorStatus::CommitFailed, "commitFailed"),
    (ErrorStatus::UndoFailed, "undoFailed"),
    (ErrorStatus::AuthorizationError, "authorizationError"),
    (ErrorStatus::NotWritable, "notWritable"),
    (ErrorStatus::InconsistentName, "inconsistentName"),
];

impl ErrorStatus {
    /// The status of this number.
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        let known = usize::try_from(number)
            .ok()
            .and_then(|index| ERROR_STATUSES.get(index));
        known.map_or(Self::Unknown(number), |(status, _)| *status)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        if let Self::Unknown(number) = self {
            return number;
        }
        let index = ERROR_STATUSES
            .iter()
            .position(|(status, _)| *status == self);
        index
            .and_then(|index| i32::try_from(index).ok())
            .unwrap_or(0)
    }

    /// Its name in RFC 3416, `unknown` for numbers that have none.
    #[must_use]
    pub fn name(self) -> &'static str {
        let known = ERROR_STATUSES.iter().find(|(status, _)| *status == self);
        known.map_or("unknown", |(_, name)| name)
    }
}

/// Why bytes are no PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PduError {
    /// Malformed BER.
    #[error(transparent)]
    Ber(#[from] BerError),
    /// A tag that no PDU has.
    #[error("PDU tag {tag:#04x} is not known; the sender is no SNMP peer")]
    UnknownKind {
        /// The tag.
        tag: u8,
    },
}

// === Reading ===

/// A PDU of any kind but `Trap` of v1, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct PduView<'a> {
    kind: PduKind,
    request_id: i32,
    second: i32,
    third: i32,
    list: &'a [u8],
}

impl<'a> PduView<'a> {
    /// What it is for.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> PduKind {
        self.kind
    }

    /// The request id, as the peer wrote it.
    #[must_use]
    #[inline]
    pub fn request_id(&self) -> i32 {
        self.request_id
    }

    /// The error status. Of a GETBULK the field means [`PduView::non_repeaters`].
    #[must_use]
    #[inline]
    pub fn error_status(&self) -> ErrorStatus {
        ErrorStatus::from_number(self.second)
    }

    /// Which varbind the error is about, counted from 1; 0 for none. Bounds are not checked.
    #[must_use]
    #[inline]
    pub fn error_index(&self) -> i32 {
        self.third
    }

    /// Of a GETBULK: how many leading names are asked for once; never negative (RFC 3416 §4.2.3).
    #[must_use]
    #[inline]
    pub fn non_repeaters(&self) -> usize {
        usize::try_from(self.second).unwrap_or(0)
    }

    /// Of a GETBULK: how many rows are asked for; never negative (RFC 3416 §4.2.3).
    #[must_use]
    #[inline]
    pub fn max_repetitions(&self) -> usize {
        usize::try_from(self.third).unwrap_or(0)
    }

    /// The varbinds, decoded as they are taken.
    #[must_use]
    #[inline]
    pub fn varbinds(&self) -> Varbinds<'a> {
        Varbinds::new(self.list)
    }

    /// The contents of the variable bindings list as received, for an echo in an error response.
    #[must_use]
    #[inline]
    pub fn raw_varbinds(&self) -> &'a [u8] {
        self.list
    }

    #[inline]
    fn from_contents(kind: PduKind, contents: &'a [u8]) -> Result<Self, BerError> {
        let mut reader = Reader::new(contents);
        let request_id = reader.integer()?;
        let second = reader.integer()?;
        let third = reader.integer()?;
        let list = reader.expect(tag::SEQUENCE)?;
        reader.end()?;
        Ok(Self {
            kind,
            request_id,
            second,
            third,
            list,
        })
    }
}

/// A `Trap` of v1 (RFC 1157 §4.1.6), borrowed.
#[derive(Debug, Clone, Copy)]
pub struct TrapV1View<'a> {
    /// Who speaks: the `sysObjectID` of the agent or the trap's own branch.
    pub enterprise: OidRef<'a>,
    /// The address that the agent says it has.
    pub agent_address: Ipv4Addr,
    /// 0 `coldStart` to 5 `egpNeighborLoss`, 6 `enterpriseSpecific`.
    pub generic: i32,
    /// The enterprise's number where `generic` is 6.
    pub specific: i32,
    /// `sysUpTime` when it happened, in hundredths of a second.
    pub time_stamp: u32,
    list: &'a [u8],
}

impl<'a> TrapV1View<'a> {
    /// The varbinds, decoded as they are taken.
    #[must_use]
    pub fn varbinds(&self) -> Varbinds<'a> {
        Varbinds::new(self.list)
    }

    fn from_contents(contents: &'a [u8]) -> Result<Self, BerError> {
        let mut reader = Reader::new(contents);
        let enterprise = OidRef::from_ber(reader.expect(tag::OBJECT_IDENTIFIER)?)?;
        let address = reader.expect(tag::IP_ADDRESS)?;
        let octets = <[u8; 4]>::try_from(address).map_err(|_| BerError::BadSize {
            tag: tag::IP_ADDRESS,
            octets: address.len(),
            expected: 4,
        })?;
        let generic = reader.integer()?;
        let specific = reader.integer()?;
        let time_stamp = unsigned32(tag::TIME_TICKS, reader.expect(tag::TIME_TICKS)?)?;
        let list = reader.expect(tag::SEQUENCE)?;
        reader.end()?;
        let agent_address = octets.into();
        Ok(Self {
            enterprise,
            agent_address,
            generic,
            specific,
            time_stamp,
            list,
        })
    }
}

/// Any PDU, borrowed.
#[derive(Debug, Clone, Copy)]
pub enum Pdu<'a> {
    /// All kinds but `Trap` of v1.
    Standard(PduView<'a>),
    /// `Trap` of v1.
    TrapV1(TrapV1View<'a>),
}

impl<'a> Pdu<'a> {
    /// Decodes the next element of `reader`. Varbinds are looked at only when they are taken.
    ///
    /// # Errors
    /// [`PduError::UnknownKind`], [`PduError::Ber`].
    #[inline]
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, PduError> {
        let (tag, contents) = reader.element()?;
        match PduKind::from_tag(tag) {
            Some(PduKind::TrapV1) => Ok(Self::TrapV1(TrapV1View::from_contents(contents)?)),
            Some(kind) => Ok(Self::Standard(PduView::from_contents(kind, contents)?)),
            None => Err(PduError::UnknownKind { tag }),
        }
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> PduKind {
        match self {
            Self::Standard(view) => view.kind,
            Self::TrapV1(_) => PduKind::TrapV1,
        }
    }

    /// The view of all kinds but `Trap` of v1.
    #[must_use]
    #[inline]
    pub fn standard(&self) -> Option<&PduView<'a>> {
        match self {
            Self::Standard(view) => Some(view),
            Self::TrapV1(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "pdu_tests.rs"]
mod tests;
