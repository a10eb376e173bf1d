//! Where the parts of a v3 message stand (RFC 3412 §6, RFC 3414 §2.4).
//!
//! Does: check the frame around the scoped PDU, without keys and without copying.
//! Does not: verify, decrypt, judge times.
//! In: a datagram. Out: [`Layout`], plain numbers and ranges, so that the datagram can then be
//! borrowed mutably; or [`LayoutError`].

use std::ops::Range;

use crate::ber::{BerError, Reader, integer, tag};
use crate::usm::SecurityLevel;

/// `msgFlags` (RFC 3412 §6.4).
pub(super) const FLAG_AUTH: u8 = 1;
pub(super) const FLAG_PRIV: u8 = 2;
pub(super) const FLAG_REPORTABLE: u8 = 4;
/// `msgSecurityModel` of USM (RFC 3411 §5).
pub(super) const SECURITY_MODEL_USM: i32 = 3;
/// `msgVersion` of v3.
pub(super) const VERSION_3: i32 = 3;

/// Why a datagram is no v3 message of USM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Malformed BER.
    #[error(transparent)]
    Ber(#[from] BerError),
    /// Another version.
    #[error("SNMP version number is {number}, not 3; decode it by `message`")]
    NotV3 {
        /// The number in the message.
        number: i32,
    },
    /// Another security model than USM.
    #[error("SNMPv3 security model {model} is not USM (3); configure the agent for USM")]
    UnknownSecurityModel {
        /// Its number.
        model: i32,
    },
    /// The flags are not one octet, or claim privacy without authentication.
    #[error("SNMPv3 message flags are invalid; the peer is at fault")]
    BadFlags,
    /// Negative boots or time.
    #[error("SNMPv3 engine boots or time is negative; the peer is at fault")]
    NegativeTime,
    /// The scoped PDU is encrypted where the flags say clear, or the reverse.
    #[error("SNMPv3 scoped PDU does not fit the flags; the peer is at fault")]
    BadScopedPdu,
}

/// The parts of a v3 message, as numbers and as ranges of its datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `msgID`, as the peer wrote it.
    pub id: i32,
    /// `msgMaxSize`: what the sender takes; any number is accepted.
    pub max_size: u32,
    /// From the flags.
    pub level: SecurityLevel,
    /// Whether the sender wants a report if something is wrong.
    pub is_reportable: bool,
    /// `msgAuthoritativeEngineBoots`.
    pub boots: u32,
    /// `msgAuthoritativeEngineTime`, in seconds.
    pub time: u32,
    /// Length of the message; the datagram may be longer.
    pub(super) message_len: usize,
    pub(super) engine: Range<usize>,
    pub(super) user: Range<usize>,
    pub(super) signature: Range<usize>,
    pub(super) salt: Range<usize>,
    /// The scoped PDU with its tag and length, or the contents of the encrypted one.
    pub(super) body: Range<usize>,
}

/// The `msgID` of a v3 message, to find the request that it answers, before anything is checked.
///
/// # Errors
/// [`LayoutError::Ber`], [`LayoutError::NotV3`].
pub fn id_of(datagram: &[u8]) -> Result<i32, LayoutError> {
    let mut message = Reader::new(Reader::new(datagram).expect(tag::SEQUENCE)?);
    match message.integer()? {
        VERSION_3 => Ok(Reader::new(message.expect(tag::SEQUENCE)?).integer()?),
        number => Err(LayoutError::NotV3 { number }),
    }
}

impl Layout {
    /// Finds the parts of `datagram`. Octets after the message are ignored.
    ///
    /// # Errors
    /// All variants of [`LayoutError`].
    pub fn decode(datagram: &[u8]) -> Result<Self, LayoutError> {
        let mut outer = Reader::new(datagram);
        let mut message = Reader::new(outer.expect(tag::SEQUENCE)?);
        let message_len = datagram.len() - outer.rest().len();
        let number = message.integer()?;
        if number != VERSION_3 {
            return Err(LayoutError::NotV3 { number });
        }
        let header = Header::decode(message.expect(tag::SEQUENCE)?)?;
        let security = message.expect(tag::OCTET_STRING)?;
        let body_at = message.rest();
        let (body_tag, body) = message.element()?;
        message.end()?;
        let body = match (body_tag, header.level) {
            (tag::OCTET_STRING, SecurityLevel::AuthPriv) => body,
            (tag::SEQUENCE, level) if level < SecurityLevel::AuthPriv => body_at,
            _ => return Err(LayoutError::BadScopedPdu),
        };

        let mut parameters = Reader::new(Reader::new(security).expect(tag::SEQUENCE)?);
        let engine = parameters.expect(tag::OCTET_STRING)?;
        let boots = parameters
            .integer()?
            .try_into()
            .map_err(|_| LayoutError::NegativeTime)?;
        let time = parameters
            .integer()?
            .try_into()
            .map_err(|_| LayoutError::NegativeTime)?;
        let user = parameters.expect(tag::OCTET_STRING)?;
        let signature = parameters.expect(tag::OCTET_STRING)?;
        let salt = parameters.expect(tag::OCTET_STRING)?;
        parameters.end()?;
        Ok(Self {
            id: header.id,
            max_size: header.max_size,
            level: header.level,
            is_reportable: header.is_reportable,
            boots,
            time,
            message_len,
            engine: range_in(datagram, engine),
            user: range_in(datagram, user),
            signature: range_in(datagram, signature),
            salt: range_in(datagram, salt),
            body: range_in(datagram, body),
        })
    }

    /// The authoritative engine's id in the datagram that this layout is of; empty in discovery.
    #[must_use]
    pub fn engine_id<'a>(&self, datagram: &'a [u8]) -> &'a [u8] {
        datagram.get(self.engine.clone()).unwrap_or(&[])
    }

    /// The user name in the datagram that this layout is of.
    #[must_use]
    pub fn user<'a>(&self, datagram: &'a [u8]) -> &'a [u8] {
        datagram.get(self.user.clone()).unwrap_or(&[])
    }
}

/// `msgGlobalData`.
struct Header {
    id: i32,
    max_size: u32,
    level: SecurityLevel,
    is_reportable: bool,
}

impl Header {
    fn decode(contents: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(contents);
        let id = reader.integer()?;
        // Agents announce 0, 2^31 and more; what we send is small, so any number is as good.
        let announced = integer(reader.expect(tag::INTEGER)?);
        let max_size = announced.ok().and_then(|size| u32::try_from(size).ok());
        let [flags] = reader.expect(tag::OCTET_STRING)? else {
            return Err(LayoutError::BadFlags);
        };
        let model = reader.integer()?;
        reader.end()?;
        if model != SECURITY_MODEL_USM {
            return Err(LayoutError::UnknownSecurityModel { model });
        }
        let level = match flags & (FLAG_AUTH | FLAG_PRIV) {
            0 => SecurityLevel::NoAuthNoPriv,
            FLAG_AUTH => SecurityLevel::AuthNoPriv,
            FLAG_PRIV => return Err(LayoutError::BadFlags),
            _ => SecurityLevel::AuthPriv,
        };
        let is_reportable = flags & FLAG_REPORTABLE != 0;
        Ok(Self {
            id,
            max_size: max_size.unwrap_or(u32::MAX),
            level,
            is_reportable,
        })
    }
}

/// Where `part`, a slice of `whole`, stands in it.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
