//! Authentication: HMAC over whole messages (RFC 3414 §6 and §7, RFC 7860).
//!
//! Does: hash, derive a key from a password, sign and verify a message whose signature field
//! counts as zeros.
//! Does not: write to the message that it verifies, so a second attempt sees the same octets.
//! In: key and message. Out: a signature, or whether it is the right one (compared in constant
//! time).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use digest::{Digest, KeyInit, Mac};
use hmac::Hmac;
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::UnknownProtocol;

/// Octets of the longest digest (SHA-512) and so of the longest key.
pub(super) const KEY_OCTETS_MAX: usize = 64;
/// Octets of the longest signature (RFC 7860 §4.1: SHA-512).
pub(crate) const SIGNATURE_OCTETS_MAX: usize = 48;
/// RFC 3414 §A.2: a password is repeated to this many octets before it is hashed.
const PASSWORD_STREAM_OCTETS: usize = 1_048_576;
/// How often the password is repeated for each call of the hash function.
const PASSWORD_REPEATS: usize = 64;

/// An authentication protocol of USM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthProtocol {
    /// `usmHMACMD5AuthProtocol`.
    Md5,
    /// `usmHMACSHAAuthProtocol`.
    Sha1,
    /// `usmHMAC128SHA224AuthProtocol`.
    Sha224,
    /// `usmHMAC192SHA256AuthProtocol`.
    Sha256,
    /// `usmHMAC256SHA384AuthProtocol`.
    Sha384,
    /// `usmHMAC384SHA512AuthProtocol`.
    Sha512,
}

impl AuthProtocol {
    /// All of them, weakest first.
    pub const ALL: [Self; 6] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// The name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// Octets of a digest and of a key.
    #[must_use]
    pub fn key_octets(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Octets of the signature in a message: the truncated HMAC.
    #[must_use]
    pub fn signature_octets(self) -> usize {
        match self {
            Self::Md5 | Self::Sha1 => 12,
            Self::Sha224 => 16,
            Self::Sha256 => 24,
            Self::Sha384 => 32,
            Self::Sha512 => 48,
        }
    }

    /// Digest of these parts, one after the other.
    pub(super) fn digest(self, parts: &[&[u8]]) -> KeyOctets {
        match self {
            Self::Md5 => digest_of::<Md5>(parts),
            Self::Sha1 => digest_of::<Sha1>(parts),
            Self::Sha224 => digest_of::<Sha224>(parts),
            Self::Sha256 => digest_of::<Sha256>(parts),
            Self::Sha384 => digest_of::<Sha384>(parts),
            Self::Sha512 => digest_of::<Sha512>(parts),
        }
    }

    /// RFC 3414 §A.2: the digest of 2^20 octets of the repeated password. About 1.5 ms.
    pub(super) fn stretch(self, password: &[u8]) -> KeyOctets {
        match self {
            Self::Md5 => stretch_by::<Md5>(password),
            Self::Sha1 => stretch_by::<Sha1>(password),
            Self::Sha224 => stretch_by::<Sha224>(password),
            Self::Sha256 => stretch_by::<Sha256>(password),
            Self::Sha384 => stretch_by::<Sha384>(password),
            Self::Sha512 => stretch_by::<Sha512>(password),
        }
    }

    /// RFC 3414 §2.6: binds a key to one engine. About 0.2 µs.
    pub(super) fn localize(self, key: &[u8], engine: &[u8]) -> KeyOctets {
        self.digest(&[key, engine, key])
    }

    fn hmac(self, key: &[u8], parts: &[&[u8]]) -> KeyOctets {
        match self {
            Self::Md5 => hmac_of::<Hmac<Md5>>(key, parts),
            Self::Sha1 => hmac_of::<Hmac<Sha1>>(key, parts),
            Self::Sha224 => hmac_of::<Hmac<Sha224>>(key, parts),
            Self::Sha256 => hmac_of::<Hmac<Sha256>>(key, parts),
            Self::Sha384 => hmac_of::<Hmac<Sha384>>(key, parts),
            Self::Sha512 => hmac_of::<Hmac<Sha512>>(key, parts),
        }
    }
}

impl fmt::Display for AuthProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for AuthProtocol {
    type Err = UnknownProtocol;

    /// Case, `-` and `_` do not count; `SHA` is SHA-1, as for net-snmp.
    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        match plain(name).as_str() {
            "MD5" => Ok(Self::Md5),
            "SHA" | "SHA1" => Ok(Self::Sha1),
            "SHA224" => Ok(Self::Sha224),
            "SHA256" => Ok(Self::Sha256),
            "SHA384" => Ok(Self::Sha384),
            "SHA512" => Ok(Self::Sha512),
            _ => Err(UnknownProtocol {
                what: "auth",
                name: name.to_owned(),
                known: "MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512",
            }),
        }
    }
}

/// A protocol name without what users write differently.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .filter(|char| !matches!(char, '-' | '_'))
        .collect::<String>()
        .to_uppercase()
}

/// Key material: at most 64 octets, wiped when dropped, never printed.
#[derive(Clone)]
pub(super) struct KeyOctets {
    octets: [u8; KEY_OCTETS_MAX],
    len: usize,
}

impl KeyOctets {
    /// The first octets of `octets`, as many as fit.
    pub(super) fn new(octets: &[u8]) -> Self {
        let len = octets.len().min(KEY_OCTETS_MAX);
        let mut key = Self {
            octets: [0; KEY_OCTETS_MAX],
            len,
        };
        key.octets[..len].copy_from_slice(&octets[..len]);
        key
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl Drop for KeyOctets {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl fmt::Debug for KeyOctets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// The key that signs messages of one user to and from one engine.
#[derive(Debug, Clone)]
pub struct AuthKey {
    protocol: AuthProtocol,
    key: KeyOctets,
}

impl AuthKey {
    /// A localised key.
    pub(super) fn new(protocol: AuthProtocol, key: KeyOctets) -> Self {
        Self { protocol, key }
    }

    /// Its protocol.
    #[must_use]
    pub fn protocol(&self) -> AuthProtocol {
        self.protocol
    }

    /// Signs `message`, whose octets at `signature` are zero, in place.
    pub fn sign(&self, message: &mut [u8], signature: Range<usize>) {
        let hmac = self.protocol.hmac(self.key.as_slice(), &[message]);
        if let Some(field) = message.get_mut(signature) {
            let count = field.len().min(hmac.len);
            field[..count].copy_from_slice(&hmac.as_slice()[..count]);
        }
    }

    /// Whether the octets at `signature` sign the rest of `message`. Nothing is written.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: Range<usize>) -> bool {
        let Some(given) = message.get(signature.clone()) else {
            return false;
        };
        if given.len() != self.protocol.signature_octets() {
            return false;
        }
        let zeros = [0; SIGNATURE_OCTETS_MAX];
        let parts = [
            &message[..signature.start],
            &zeros[..given.len()],
            &message[signature.end..],
        ];
        let hmac = self.protocol.hmac(self.key.as_slice(), &parts);
        hmac.as_slice()[..given.len()].ct_eq(given).into()
    }

    /// The octets, for tests against published vectors.
    #[cfg(test)]
    pub(crate) fn octets(&self) -> &[u8] {
        self.key.as_slice()
    }
}

fn digest_of<D: Digest>(parts: &[&[u8]]) -> KeyOctets {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    KeyOctets::new(&digest.finalize())
}

fn hmac_of<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> KeyOctets {
    // HMAC takes keys of any length (RFC 2104 §3): the error cannot happen.
    let Ok(mut hmac) = <M as Mac>::new_from_slice(key) else {
        return KeyOctets::new(&[]);
    };
    for part in parts {
        hmac.update(part);
    }
    KeyOctets::new(&hmac.finalize().into_bytes())
}

fn stretch_by<D: Digest>(password: &[u8]) -> KeyOctets {
    if password.is_empty() {
        return KeyOctets::new(&[]);
    }
    let chunk = Zeroizing::new(password.repeat(PASSWORD_REPEATS));
    let mut digest = D::new();
    let mut left = PASSWORD_STREAM_OCTETS;
    while left > 0 {
        let count = left.min(chunk.len());
        digest.update(&chunk[..count]);
        left -= count;
    }
    KeyOctets::new(&digest.finalize())
}
