//! Who stands behind a certificate.
//!
//! Does: read identity, scope, serial and validity of a certificate, strictly. Does not: verify
//! it (`verify`): what it reads is true only after that.
//! In: DER of at most 64 KiB. Out: [`PeerIdentity`].
//! Exactly one identity; scopes as `scope` reads them; another `ocelli…` URI is refused, since a
//! later version may restrict by it; names of other kinds (DNS, IP) do not concern us.

use std::fmt;

use ocelli_model::tier::Tier;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::authority::MESH_SCHEME;
use super::name::{IDENTITY_SCHEME, IdentityNameError, NodeIdentity, shown};
use super::scope::{Builder, SCOPE_SCHEME, SiteScope, SiteScopeError};

/// Sites that one certificate may name: 1,024 of usual length make it 30 KiB, which a handshake
/// still carries.
pub const SITES_PER_CERTIFICATE_MAX: usize = 1_024;
/// Larger certificates are refused unread: the TLS library takes no handshake message above 64 KiB.
const CERTIFICATE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a serial number (RFC 5280 §4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;
/// Prefix that is ours alone.
const OWN_PREFIX: &str = "ocelli";

/// Serial number of a certificate: at most 20 bytes, without leading zeros. Prints in hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(Vec<u8>);

/// A text or number that is no serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a serial number; give its 2 to 40 hex digits as `ocelli ca list` prints them")]
pub struct SerialError;

/// Who a certificate speaks for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Who it is.
    pub identity: NodeIdentity,
    /// The sites that it may send records of.
    pub scope: SiteScope,
    /// Number under which its issuer revokes it.
    pub serial: Serial,
    /// SHA-256 of its issuer's name: serials are unique under one issuer only.
    pub issuer: [u8; 32],
    /// Start of validity, milliseconds since 1970.
    pub not_before_ms: i64,
    /// End of validity, milliseconds since 1970.
    pub not_after_ms: i64,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

/// Why a certificate names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerIdentityError {
    /// Larger than any certificate of a mesh.
    #[error(
        "certificate has {bytes} bytes; {CERTIFICATE_BYTES_MAX} is the limit, name fewer sites"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not DER of a certificate, or with bytes after it.
    #[error("certificate cannot be read; issue it again with `ocelli ca issue`")]
    Malformed,
    /// No identity among its names.
    #[error(
        "certificate names no node (no subject alternative name ocelli://…); \
         issue it with `ocelli ca issue`, or let the foreign CA add that name"
    )]
    NoIdentity,
    /// Two identities.
    #[error("certificate names two nodes, {first} and {second}; issue one for each")]
    TwoIdentities {
        /// The first.
        first: Box<NodeIdentity>,
        /// The first letters of the second.
        second: String,
    },
    /// A wrong identity.
    #[error(transparent)]
    Name(#[from] IdentityNameError),
    /// A wrong scope.
    #[error(transparent)]
    Scope(#[from] SiteScopeError),
    /// `*` for a site.
    #[error("certificate of site {name:?} speaks for every site; only regions and globals may")]
    SiteSpeaksForEvery {
        /// Name of the site.
        name: String,
    },
    /// The certificate of an authority.
    #[error(
        "certificate is the root of mesh {mesh:?} and no node's; it belongs into `identity.roots`, \
         a node's own is made by `ocelli ca issue`"
    )]
    Root {
        /// Whose.
        mesh: String,
    },
    /// A name of ours that this version does not know.
    #[error("certificate has the name {shown:?}, which this version does not know; upgrade it")]
    UnknownName {
        /// Its first letters.
        shown: String,
    },
    /// A serial number that no list can name.
    #[error(
        "certificate has a serial number of {bytes} bytes; 1 to 20 are allowed, issue it again"
    )]
    Serial {
        /// Its length.
        bytes: usize,
    },
}

impl Serial {
    /// The serial of big-endian bytes; leading zeros do not count.
    ///
    /// # Errors
    /// [`SerialError`] if nothing or more than 20 bytes remain.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        match bytes.get(zeros..) {
            Some(rest) if (1..=SERIAL_BYTES_MAX).contains(&rest.len()) => Ok(Self(rest.to_vec())),
            _ => Err(SerialError),
        }
    }

    /// The serial of a number; zero is none and becomes one.
    pub(super) fn from_number(number: u128) -> Self {
        let bytes = number.max(1).to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Self(bytes.get(zeros..).unwrap_or_default().to_vec())
    }

    /// Big-endian bytes without leading zeros.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        formatter.pad(&digits)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::str::FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        if text.len() > 2 * SERIAL_BYTES_MAX + 2 || !text.len().is_multiple_of(2) {
            return Err(SerialError);
        }
        let digit = |letter: &u8| char::from(*letter).to_digit(16);
        let mut bytes = Vec::with_capacity(text.len() / 2);
        for pair in text.as_bytes().chunks_exact(2) {
            let (Some(high), Some(low)) = (digit(&pair[0]), digit(&pair[1])) else {
                return Err(SerialError);
            };
            bytes.push(u8::try_from(high << 4 | low).map_err(|_| SerialError)?);
        }
        Self::from_bytes(&bytes)
    }
}

impl TryFrom<String> for Serial {
    type Error = SerialError;

    fn try_from(text: String) -> Result<Self, SerialError> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

impl PeerIdentity {
    /// Reads who a certificate speaks for. A site's certificate without a scope speaks for its own
    /// name; another tier's without one likewise.
    ///
    /// # Errors
    /// [`PeerIdentityError`], each with what to do.
    pub fn from_certificate(der: &[u8]) -> Result<Self, PeerIdentityError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(PeerIdentityError::TooLarge { bytes: der.len() });
        }
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| PeerIdentityError::Malformed)?;
        if !rest.is_empty() {
            return Err(PeerIdentityError::Malformed);
        }
        let (identity, scope) = names_of(&certificate)?;
        let serial = certificate.raw_serial();
        let bytes = serial.len();
        Ok(Self {
            identity,
            scope,
            serial: Serial::from_bytes(serial).map_err(|_| PeerIdentityError::Serial { bytes })?,
            issuer: digest_of(certificate.issuer().as_raw()),
            not_before_ms: ms(certificate.validity().not_before.timestamp()),
            not_after_ms: ms(certificate.validity().not_after.timestamp()),
            fingerprint: fingerprint_of(der),
        })
    }

    /// The fingerprint in hex, as lists and audits print it.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// SHA-256 of a certificate.
pub(super) fn fingerprint_of(der: &[u8]) -> [u8; 32] {
    digest_of(der)
}

/// SHA-256.
pub(super) fn digest_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

const fn ms(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000)
}

fn names_of(
    certificate: &X509Certificate<'_>,
) -> Result<(NodeIdentity, SiteScope), PeerIdentityError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| PeerIdentityError::Malformed)?
        .ok_or(PeerIdentityError::NoIdentity)?;
    let mut identity: Option<NodeIdentity> = None;
    let mut scopes = Builder::default();
    for name in &names.value.general_names {
        let GeneralName::URI(uri) = name else {
            continue;
        };
        if uri.starts_with(IDENTITY_SCHEME) {
            if let Some(first) = identity {
                let (first, second) = (Box::new(first), shown(uri));
                return Err(PeerIdentityError::TwoIdentities { first, second });
            }
            identity = Some(uri.parse()?);
        } else if uri.starts_with(SCOPE_SCHEME) {
            scopes.add_uri(uri)?;
        } else if is_own(uri) {
            return Err(match uri.strip_prefix(MESH_SCHEME) {
                Some(mesh) => PeerIdentityError::Root { mesh: shown(mesh) },
                None => PeerIdentityError::UnknownName { shown: shown(uri) },
            });
        }
    }
    let identity = identity.ok_or(PeerIdentityError::NoIdentity)?;
    let scope = scopes
        .finish()
        .unwrap_or_else(|| SiteScope::of_site(&identity.name));
    if identity.tier == Tier::Site && scope == SiteScope::Every {
        let name = identity.name;
        return Err(PeerIdentityError::SiteSpeaksForEvery { name });
    }
    Ok((identity, scope))
}

/// In any case of letters: schemes of URIs are the same in both.
fn is_own(uri: &str) -> bool {
    uri.get(..OWN_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX))
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
