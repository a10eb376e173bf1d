//! Privacy: DES-CBC (RFC 3414 §8), AES-CFB with 128 (RFC 3826), 192 and 256 bits.
//!
//! Does: extend a localised key to the length that the cipher needs, encrypt and decrypt in place.
//! Does not: decide the salt (the caller counts it), check who sent the octets (`auth` did).
//! In: key, boots, time, salt, octets. Out: the same octets changed in place, or [`PrivacyError`].
//!
//! AES-192 and AES-256 have no standard for keys longer than the digest. `AES-192` and `AES-256`
//! extend them as draft-blumenthal-aes-usm-04 §3.1.2.1, `AES-192-C` and `AES-256-C` as
//! draft-reeder-snmpv3-usm-3desede-00 §2.1, which Cisco took. Both are equal where the digest is
//! long enough.

use std::fmt;
use std::str::FromStr;

use aes::{Aes128, Aes192, Aes256};
use cipher::block_padding::NoPadding;
use cipher::{AsyncStreamCipher, BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use des::Des;
use zeroize::Zeroizing;

use super::UnknownProtocol;
use super::auth::{AuthProtocol, KEY_OCTETS_MAX, KeyOctets, plain};

/// Octets of the salt in a message (RFC 3414 §8.1.1.1, RFC 3826 §3.1.2.1).
pub(crate) const SALT_OCTETS: usize = 8;
/// Block of DES; encrypted octets are a multiple of it.
pub(crate) const DES_BLOCK_OCTETS: usize = 8;
/// RFC 3414 §8.2.1: 8 octets of key, 8 octets that the salt is mixed into.
const DES_KEY_OCTETS: usize = 16;

/// A privacy protocol of USM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivacyProtocol {
    /// `usmDESPrivProtocol`.
    Des,
    /// `usmAesCfb128Protocol`.
    Aes128,
    /// AES-192, key extended as draft-blumenthal.
    Aes192,
    /// AES-256, key extended as draft-blumenthal.
    Aes256,
    /// AES-192, key extended as draft-reeder (Cisco).
    Aes192Cisco,
    /// AES-256, key extended as draft-reeder (Cisco).
    Aes256Cisco,
}

impl PrivacyProtocol {
    /// All of them, weakest first.
    pub const ALL: [Self; 6] = [
        Self::Des,
        Self::Aes128,
        Self::Aes192,
        Self::Aes256,
        Self::Aes192Cisco,
        Self::Aes256Cisco,
    ];

    /// The name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Des => "DES",
            Self::Aes128 => "AES-128",
            Self::Aes192 => "AES-192",
            Self::Aes256 => "AES-256",
            Self::Aes192Cisco => "AES-192-C",
            Self::Aes256Cisco => "AES-256-C",
        }
    }

    /// Octets of key material.
    #[must_use]
    pub fn key_octets(self) -> usize {
        match self {
            Self::Des => DES_KEY_OCTETS,
            Self::Aes128 => 16,
            Self::Aes192 | Self::Aes192Cisco => 24,
            Self::Aes256 | Self::Aes256Cisco => 32,
        }
    }
}

impl fmt::Display for PrivacyProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for PrivacyProtocol {
    type Err = UnknownProtocol;

    /// Case, `-` and `_` do not count; `AES` is AES-128, as for net-snmp.
    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        match plain(name).as_str() {
            "DES" => Ok(Self::Des),
            "AES" | "AES128" => Ok(Self::Aes128),
            "AES192" => Ok(Self::Aes192),
            "AES256" => Ok(Self::Aes256),
            "AES192C" => Ok(Self::Aes192Cisco),
            "AES256C" => Ok(Self::Aes256Cisco),
            _ => Err(UnknownProtocol {
                what: "priv",
                name: name.to_owned(),
                known: "DES, AES-128, AES-192, AES-256, AES-192-C, AES-256-C",
            }),
        }
    }
}

/// Why octets cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// The salt has another length than 8.
    #[error("privacy parameters have {octets} octets, 8 are needed; the peer is at fault")]
    BadSalt {
        /// How many octets it has.
        octets: usize,
    },
    /// DES ciphertext that is no whole number of blocks.
    #[error("DES ciphertext of {octets} octets is no multiple of 8; the peer is at fault")]
    BadBlocks {
        /// How many octets it has.
        octets: usize,
    },
}

/// What encryption depends on besides the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt {
    /// Boots of the authoritative engine.
    pub(crate) boots: u32,
    /// Time of the authoritative engine.
    pub(crate) time: u32,
    /// The octets that travel with the message.
    pub(crate) octets: [u8; SALT_OCTETS],
}

/// The key that encrypts messages of one user to and from one engine.
#[derive(Debug, Clone)]
pub struct PrivacyKey {
    protocol: PrivacyProtocol,
    key: KeyOctets,
}

impl PrivacyKey {
    /// From a key already localised to `engine` by `auth`. The Cisco extension costs a password
    /// stretch (1.5 ms) for each engine where the digest is too short; the others cost nothing.
    pub(super) fn new(
        protocol: PrivacyProtocol,
        auth: AuthProtocol,
        localized: &KeyOctets,
        engine: &[u8],
    ) -> Self {
        let needed = protocol.key_octets();
        let mut key = Zeroizing::new(Vec::with_capacity(2 * KEY_OCTETS_MAX));
        key.extend_from_slice(localized.as_slice());
        let mut last = localized.clone();
        // Each round adds a digest of at least 16 octets; two make the longest key.
        while key.len() < needed {
            last = match protocol {
                PrivacyProtocol::Aes192Cisco | PrivacyProtocol::Aes256Cisco => {
                    auth.localize(auth.stretch(last.as_slice()).as_slice(), engine)
                }
                _ => auth.digest(&[&key]),
            };
            key.extend_from_slice(last.as_slice());
        }
        Self {
            protocol,
            key: KeyOctets::new(&key[..needed]),
        }
    }

    /// Its protocol.
    #[must_use]
    pub fn protocol(&self) -> PrivacyProtocol {
        self.protocol
    }

    /// The salt octets for a message: the counter, behind the boots for DES.
    pub(crate) fn salt_octets(&self, boots: u32, counter: u64) -> [u8; SALT_OCTETS] {
        match self.protocol {
            PrivacyProtocol::Des => {
                let low = counter & u64::from(u32::MAX);
                (u64::from(boots) << 32 | low).to_be_bytes()
            }
            _ => counter.to_be_bytes(),
        }
    }

    /// Encrypts in place. DES takes whole blocks only: the caller pads, a rest stays clear.
    pub(crate) fn encrypt(&self, octets: &mut [u8], salt: &Salt) {
        let iv = aes_iv(salt);
        let key = self.key.as_slice();
        match self.protocol {
            PrivacyProtocol::Des => {
                let Some((key, iv)) = des_key_and_iv(key, salt) else {
                    return;
                };
                let whole = octets.len() / DES_BLOCK_OCTETS * DES_BLOCK_OCTETS;
                let cipher = cbc::Encryptor::<Des>::new(&key.into(), &iv.into());
                // Whole blocks and no padding: the error cannot happen.
                let written = cipher.encrypt_padded_mut::<NoPadding>(&mut octets[..whole], whole);
                debug_assert!(written.is_ok());
            }
            PrivacyProtocol::Aes128 => encrypt_cfb::<cfb_mode::Encryptor<Aes128>>(key, &iv, octets),
            PrivacyProtocol::Aes192 | PrivacyProtocol::Aes192Cisco => {
                encrypt_cfb::<cfb_mode::Encryptor<Aes192>>(key, &iv, octets);
            }
            PrivacyProtocol::Aes256 | PrivacyProtocol::Aes256Cisco => {
                encrypt_cfb::<cfb_mode::Encryptor<Aes256>>(key, &iv, octets);
            }
        }
    }

    /// Decrypts in place; [`PrivacyKey::encrypt`] with the same salt restores the octets.
    ///
    /// # Errors
    /// [`PrivacyError::BadBlocks`]; the octets are unchanged then.
    pub(crate) fn decrypt(&self, octets: &mut [u8], salt: &Salt) -> Result<(), PrivacyError> {
        let iv = aes_iv(salt);
        let key = self.key.as_slice();
        match self.protocol {
            PrivacyProtocol::Des => {
                let bad = PrivacyError::BadBlocks {
                    octets: octets.len(),
                };
                if !octets.len().is_multiple_of(DES_BLOCK_OCTETS) {
                    return Err(bad);
                }
                let (key, iv) = des_key_and_iv(key, salt).ok_or(bad)?;
                let cipher = cbc::Decryptor::<Des>::new(&key.into(), &iv.into());
                cipher
                    .decrypt_padded_mut::<NoPadding>(octets)
                    .map_err(|_| bad)?;
            }
            PrivacyProtocol::Aes128 => decrypt_cfb::<cfb_mode::Decryptor<Aes128>>(key, &iv, octets),
            PrivacyProtocol::Aes192 | PrivacyProtocol::Aes192Cisco => {
                decrypt_cfb::<cfb_mode::Decryptor<Aes192>>(key, &iv, octets);
            }
            PrivacyProtocol::Aes256 | PrivacyProtocol::Aes256Cisco => {
                decrypt_cfb::<cfb_mode::Decryptor<Aes256>>(key, &iv, octets);
            }
        }
        Ok(())
    }

    /// The octets, for tests against published vectors.
    #[cfg(test)]
    pub(crate) fn octets(&self) -> &[u8] {
        self.key.as_slice()
    }
}

/// RFC 3826 §3.1.2.1: boots, time, salt.
fn aes_iv(salt: &Salt) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..4].copy_from_slice(&salt.boots.to_be_bytes());
    iv[4..8].copy_from_slice(&salt.time.to_be_bytes());
    iv[8..].copy_from_slice(&salt.octets);
    iv
}

/// RFC 3414 §8.1.1.1: the second half of the key, mixed with the salt, is the IV.
fn des_key_and_iv(key: &[u8], salt: &Salt) -> Option<([u8; 8], [u8; 8])> {
    let (key, mix) = key.split_first_chunk::<8>()?;
    let mut iv = *mix.first_chunk::<8>()?;
    for (octet, salt) in iv.iter_mut().zip(salt.octets) {
        *octet ^= salt;
    }
    Some((*key, iv))
}

fn encrypt_cfb<C: AsyncStreamCipher + BlockEncryptMut + KeyIvInit>(
    key: &[u8],
    iv: &[u8; 16],
    octets: &mut [u8],
) {
    // Key and IV have the lengths of the cipher by construction.
    if let Ok(cipher) = C::new_from_slices(key, iv) {
        cipher.encrypt(octets);
    }
}

fn decrypt_cfb<C: AsyncStreamCipher + BlockDecryptMut + KeyIvInit>(
    key: &[u8],
    iv: &[u8; 16],
    octets: &mut [u8],
) {
    // Key and IV have the lengths of the cipher by construction.
    if let Ok(cipher) = C::new_from_slices(key, iv) {
        cipher.decrypt(octets);
    }
}
