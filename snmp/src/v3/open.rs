//! Verifies and decrypts a v3 message in the buffer that it was received in.
//!
//! Does: verify first, without writing; then decrypt in place; restore the octets if what comes
//! out is no scoped PDU, so that other keys can be tried on the same datagram.
//! Does not: judge the engine's time (`peer`, `authority`).
//! In: datagram, layout, keys. Out: [`ScopedPdu`], or [`OpenError`].

use crate::ber::{BerError, Reader, tag};
use crate::pdu::{Pdu, PduError, PduView};
use crate::usm::{LocalUser, PrivacyError, SecurityLevel};

use super::layout::Layout;
use crate::usm::Salt;

/// Why a message cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The user has no key for the level of the message.
    #[error("SNMPv3 message is at {level:?}, for which this user has no key")]
    NoKey {
        /// The level of the message.
        level: SecurityLevel,
    },
    /// The signature is wrong: another key, or a changed message.
    #[error("SNMPv3 signature is wrong; check the auth protocol and password")]
    WrongDigest,
    /// The message cannot be decrypted.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The decrypted octets are no scoped PDU: another key.
    #[error("SNMPv3 message decrypts to no PDU; check the priv protocol and password")]
    WrongPrivacyKey,
    /// The clear scoped PDU is malformed.
    #[error(transparent)]
    Pdu(#[from] PduError),
    /// A v1 trap, which v3 does not carry.
    #[error("SNMPv3 message carries a trap of v1; the peer is at fault")]
    TrapV1,
}

impl From<BerError> for OpenError {
    fn from(error: BerError) -> Self {
        Self::Pdu(error.into())
    }
}

/// A PDU with the context that it is about (RFC 3412 §6.8).
#[derive(Debug, Clone, Copy)]
pub struct ScopedPdu<'a> {
    /// `contextEngineID`.
    pub context_engine_id: &'a [u8],
    /// `contextName`; empty for the default context.
    pub context_name: &'a [u8],
    /// The PDU.
    pub pdu: PduView<'a>,
}

impl<'a> ScopedPdu<'a> {
    /// Octets after it (padding of DES) are ignored.
    fn decode(octets: &'a [u8]) -> Result<Self, OpenError> {
        let mut reader = Reader::new(Reader::new(octets).expect(tag::SEQUENCE)?);
        let context_engine_id = reader.expect(tag::OCTET_STRING)?;
        let context_name = reader.expect(tag::OCTET_STRING)?;
        let Pdu::Standard(pdu) = Pdu::read(&mut reader)? else {
            return Err(OpenError::TrapV1);
        };
        reader.end()?;
        Ok(Self {
            context_engine_id,
            context_name,
            pdu,
        })
    }
}

impl Layout {
    /// Whether the message is signed by this user. Messages without signature are not.
    #[must_use]
    pub fn verify(&self, datagram: &[u8], user: &LocalUser) -> bool {
        match (&user.auth, datagram.get(..self.message_len)) {
            (Some(key), Some(message)) if self.level > SecurityLevel::NoAuthNoPriv => {
                key.verify(message, self.signature.clone())
            }
            _ => false,
        }
    }

    /// Verifies the message by its level and decrypts it in place.
    ///
    /// # Errors
    /// All variants of [`OpenError`]; after an error the datagram is as it was.
    pub fn open<'b>(
        &self,
        datagram: &'b mut [u8],
        user: &LocalUser,
    ) -> Result<ScopedPdu<'b>, OpenError> {
        if self.level > SecurityLevel::NoAuthNoPriv {
            if user.auth.is_none() {
                return Err(OpenError::NoKey { level: self.level });
            }
            if !self.verify(datagram, user) {
                return Err(OpenError::WrongDigest);
            }
        }
        self.open_verified(datagram, user)
    }

    /// [`Layout::open`] without the signature.
    pub(super) fn open_verified<'b>(
        &self,
        datagram: &'b mut [u8],
        user: &LocalUser,
    ) -> Result<ScopedPdu<'b>, OpenError> {
        let salt = datagram.get(self.salt.clone()).unwrap_or(&[]);
        let salt = <[u8; 8]>::try_from(salt).map_err(|_| PrivacyError::BadSalt {
            octets: self.salt.len(),
        });
        let body = datagram.get_mut(self.body.clone()).unwrap_or_default();
        if self.level < SecurityLevel::AuthPriv {
            return ScopedPdu::decode(body);
        }
        let key = user
            .privacy
            .as_ref()
            .ok_or(OpenError::NoKey { level: self.level })?;
        let salt = Salt {
            boots: self.boots,
            time: self.time,
            octets: salt?,
        };
        key.decrypt(body, &salt)?;
        if ScopedPdu::decode(body).is_err() {
            key.encrypt(body, &salt);
            return Err(OpenError::WrongPrivacyKey);
        }
        ScopedPdu::decode(body)
    }
}
