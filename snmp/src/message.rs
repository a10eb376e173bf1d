//! Messages of v1 (RFC 1157) and v2c (RFC 1901): version, community, PDU.
//!
//! Does: decode, encode requests and responses, tell the version of any message, encode a request
//! once and patch its id for the next ([`Template`]).
//! Does not: compare communities (the caller does, in constant time where it matters), v3 (`v3`).
//! In: a datagram, or a [`Request`]. Out: [`CommunityMessage`], bytes, or an error.

use crate::ber::{BackWriter, BerError, BufferFull, Reader, tag};
use crate::oid::Name;
use crate::pdu::{Pdu, PduError, PduHead, Request, RequestId, RequestKind};

/// Largest message over UDP and IPv4 (RFC 3417 §3.2 leaves the limit to the transport).
pub const MESSAGE_BYTES_MAX: usize = 65_507;

/// The version of a message; the discriminant is its number in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Version {
    /// SNMPv1.
    V1 = 0,
    /// SNMPv2c.
    V2c = 1,
    /// SNMPv3.
    V3 = 3,
}

impl Version {
    fn from_number(number: i32) -> Result<Self, MessageError> {
        match number {
            0 => Ok(Self::V1),
            1 => Ok(Self::V2c),
            3 => Ok(Self::V3),
            number => Err(MessageError::UnknownVersion { number }),
        }
    }
}

/// Why a datagram is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Malformed BER.
    #[error(transparent)]
    Ber(#[from] BerError),
    /// The PDU is malformed.
    #[error(transparent)]
    Pdu(#[from] PduError),
    /// A version that does not exist.
    #[error("SNMP version {number} does not exist; versions are 0 (v1), 1 (v2c) and 3")]
    UnknownVersion {
        /// The number in the message.
        number: i32,
    },
    /// A v3 message where one with a community must stand, or the reverse.
    #[error("message is of {found:?}, which is not the version expected here")]
    OtherVersion {
        /// The version of the message.
        found: Version,
    },
}

/// Why a request cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message does not fit.
    #[error(transparent)]
    Full(#[from] BufferFull),
    /// v1 has no GETBULK.
    #[error("SNMPv1 has no GETBULK; ask by GETNEXT")]
    BulkInV1,
    /// v3 messages have no community.
    #[error("SNMPv3 has no community; encode by `v3`")]
    CommunityInV3,
}

/// A message of v1 or v2c, borrowed from its datagram.
#[derive(Debug, Clone, Copy)]
pub struct CommunityMessage<'a> {
    /// v1 or v2c.
    pub version: Version,
    /// The community, as sent.
    pub community: &'a [u8],
    /// What it carries.
    pub pdu: Pdu<'a>,
}

/// The version of the message in `datagram`, without decoding the rest.
///
/// # Errors
/// [`MessageError::Ber`] if the bytes do not begin like a message, or
/// [`MessageError::UnknownVersion`].
#[inline]
pub fn version_of(datagram: &[u8]) -> Result<Version, MessageError> {
    let contents = Reader::new(datagram).expect(tag::SEQUENCE)?;
    Version::from_number(Reader::new(contents).integer()?)
}

impl<'a> CommunityMessage<'a> {
    /// Decodes a datagram. Bytes after the message are ignored: some agents pad.
    ///
    /// # Errors
    /// All variants of [`MessageError`].
    #[inline]
    pub fn decode(datagram: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(Reader::new(datagram).expect(tag::SEQUENCE)?);
        let version = Version::from_number(reader.integer()?)?;
        if version == Version::V3 {
            return Err(MessageError::OtherVersion { found: version });
        }
        let community = reader.expect(tag::OCTET_STRING)?;
        let pdu = Pdu::read(&mut reader)?;
        reader.end()?;
        Ok(Self {
            version,
            community,
            pdu,
        })
    }
}

/// Writes a request to the end of `buffer` and returns the message.
///
/// # Errors
/// All variants of [`EncodeError`].
pub fn encode_request<'b, N: Name>(
    buffer: &'b mut [u8],
    version: Version,
    community: &[u8],
    request: &Request<'_, N>,
) -> Result<&'b mut [u8], EncodeError> {
    let mut writer = BackWriter::new(buffer);
    write_request(&mut writer, version, community, request)?;
    Ok(writer.finish()?)
}

/// Makes a response of the varbinds that `writer` holds since `mark`.
#[inline]
pub fn write_response(
    writer: &mut BackWriter<'_>,
    mark: usize,
    version: Version,
    community: &[u8],
    head: &PduHead,
) {
    head.write(writer, mark);
    write_envelope(writer, mark, version, community);
}

fn write_request<N: Name>(
    writer: &mut BackWriter<'_>,
    version: Version,
    community: &[u8],
    request: &Request<'_, N>,
) -> Result<usize, EncodeError> {
    match (version, request.kind) {
        (Version::V3, _) => return Err(EncodeError::CommunityInV3),
        (Version::V1, RequestKind::GetBulk { .. }) => return Err(EncodeError::BulkInV1),
        _ => {}
    }
    let mark = writer.written();
    let id_at = request.write(writer);
    write_envelope(writer, mark, version, community);
    Ok(id_at)
}

#[inline]
fn write_envelope(writer: &mut BackWriter<'_>, mark: usize, version: Version, community: &[u8]) {
    writer.element(tag::OCTET_STRING, community);
    writer.integer(i32::from(version as u8));
    writer.wrap(tag::SEQUENCE, mark);
}

/// A request encoded once, of which only the id changes.
#[derive(Debug, Clone)]
pub struct Template {
    message: Box<[u8]>,
    /// Where the four octets of the id begin.
    id_at: usize,
}

impl Template {
    /// Encodes `request`.
    ///
    /// # Errors
    /// All variants of [`EncodeError`].
    pub fn new<N: Name>(
        version: Version,
        community: &[u8],
        request: &Request<'_, N>,
    ) -> Result<Self, EncodeError> {
        // The most that tags and lengths around names and community can take.
        let names: usize = request
            .names
            .iter()
            .map(|name| name.oid().as_ber().len() + 12)
            .sum();
        let mut buffer = vec![0; names + community.len() + 64];
        let mut writer = BackWriter::new(&mut buffer);
        let from_end = write_request(&mut writer, version, community, request)?;
        let message: Box<[u8]> = (&*writer.finish()?).into();
        let id_at = message.len() - from_end;
        Ok(Self { message, id_at })
    }

    /// The message with this id.
    #[inline]
    pub fn with_id(&mut self, id: RequestId) -> &[u8] {
        // `id_at` was measured on this message, and an id has four octets in every `RequestId`.
        if let Some(octets) = self.message.get_mut(self.id_at..self.id_at + 4) {
            octets.copy_from_slice(&id.get().to_be_bytes());
        }
        &self.message
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
