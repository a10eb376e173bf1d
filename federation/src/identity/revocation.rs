//! Signed, numbered lists of revoked certificates.
//!
//! Does: read a list, prove which root signed it, keep the newest of each issuer. Does not: make
//! lists (`authority`), close connections (`link` does, told by `IdentityStore::changes`).
//! In: DER of at most 255 KiB from a file or a neighbour. Out: [`RevocationList`].
//! A list whose number goes backwards is refused: an old list would give a revoked node its way
//! back.

use std::collections::BTreeSet;
use std::fmt;

use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::peer::{Serial, digest_of};
use crate::frame::REVOCATIONS_BYTES_MAX;

/// A list as its issuer signed it.
pub struct RevocationList {
    der: Vec<u8>,
    pub(super) for_chain: CertRevocationList<'static>,
    issuer: [u8; 32],
    number: u128,
    serials: BTreeSet<Serial>,
}

/// Why a list is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// Larger than a frame.
    #[error(
        "revocation list has {bytes} bytes; {REVOCATIONS_BYTES_MAX} is the limit: \
         begin a new root, so that expired certificates leave the list"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not a revocation list, or without a number.
    #[error("revocation list cannot be read; take the file `crl.pem` of the authority again")]
    Malformed,
    /// Nobody we trust signed it.
    #[error("revocation list is not signed by a root of this node; add its root or drop the list")]
    Untrusted,
    /// An older one than the one in force.
    #[error("revocation list has number {found}, number {held} is in force; take the newest list")]
    Backwards {
        /// Number of the list.
        found: u128,
        /// Number of the list in force.
        held: u128,
    },
}

/// What became of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is in force now: check live connections again, hand it on to neighbours.
    New {
        /// Its number.
        number: u128,
    },
    /// It was in force already.
    Held,
}

impl RevocationList {
    /// Reads a list; `RevocationList::check_signature` says whether to believe it.
    ///
    /// # Errors
    /// [`RevocationError::TooLarge`], [`RevocationError::Malformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, RevocationError> {
        if der.len() > REVOCATIONS_BYTES_MAX {
            return Err(RevocationError::TooLarge { bytes: der.len() });
        }
        let wrong = || RevocationError::Malformed;
        let (rest, list) = CertificateRevocationList::from_der(der).map_err(|_| wrong())?;
        let number = list.crl_number().ok_or_else(wrong)?;
        if !rest.is_empty() {
            return Err(wrong());
        }
        let serials = list.iter_revoked_certificates();
        let serials: Result<BTreeSet<Serial>, RevocationError> = serials
            .map(|revoked| Serial::from_bytes(&revoked.serial().to_bytes_be()))
            .map(|serial| serial.map_err(|_| wrong()))
            .collect();
        let for_chain = OwnedCertRevocationList::from_der(der).map_err(|_| wrong())?;
        Ok(Self {
            issuer: digest_of(list.issuer().as_raw()),
            number: u128::try_from(number).map_err(|_| wrong())?,
            serials: serials?,
            for_chain: for_chain.into(),
            der: der.to_vec(),
        })
    }

    /// The bytes as signed, for neighbours.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its number; each list of an issuer has a higher one than the last.
    #[must_use]
    pub const fn number(&self) -> u128 {
        self.number
    }

    /// The revoked certificates.
    #[must_use]
    pub const fn serials(&self) -> &BTreeSet<Serial> {
        &self.serials
    }

    /// SHA-256 of the issuer's name.
    pub(super) const fn issuer(&self) -> [u8; 32] {
        self.issuer
    }

    /// Whether one of `roots` signed it and may.
    ///
    /// # Errors
    /// [`RevocationError::Untrusted`].
    pub(super) fn check_signature(&self, roots: &[Vec<u8>]) -> Result<(), RevocationError> {
        let is_signed = roots
            .iter()
            .any(|root| self.is_signed_by(root) == Some(true));
        is_signed.then_some(()).ok_or(RevocationError::Untrusted)
    }

    fn is_signed_by(&self, root: &[u8]) -> Option<bool> {
        let (_, root) = X509Certificate::from_der(root).ok()?;
        let (_, list) = CertificateRevocationList::from_der(&self.der).ok()?;
        let may_sign = root
            .key_usage()
            .ok()?
            .is_some_and(|usage| usage.value.crl_sign());
        let is_issuer = list.issuer().as_raw() == root.subject().as_raw();
        let is_signed = || list.verify_signature(root.public_key()).is_ok();
        Some(may_sign && is_issuer && is_signed())
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("RevocationList");
        shown
            .field("number", &self.number)
            .field("revoked", &self.serials.len());
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "revocation_tests.rs"]
mod tests;
