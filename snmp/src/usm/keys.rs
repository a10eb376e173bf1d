//! From passwords to users: master keys, their cache, users, keys localised to an engine.
//!
//! Does: stretch each password once (1.5 ms) and remember the result, bind it to engines (0.2 µs).
//! Does not: keep passwords, print or serialise any key.
//! In: [`Credentials`]. Out: [`UsmUser`], [`LocalUser`], or [`CredentialError`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::SecurityLevel;
use super::auth::{AuthKey, AuthProtocol, KeyOctets};
use super::engine::EngineId;
use super::privacy::{PrivacyKey, PrivacyProtocol};

/// RFC 3414 §11.2: shorter passwords must not be used; agents refuse them.
pub const PASSWORD_OCTETS_MIN: usize = 8;
/// RFC 3414 §5: user names have 1 to 32 octets.
const USER_OCTETS_MAX: usize = 32;
/// Most master keys remembered; the one unused for longest goes. Sites have a handful of
/// passwords; beyond it each further one costs 1.5 ms again.
pub const MASTER_KEYS_MAX: usize = 256;

/// What a user is configured with.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// User name, 1 to 32 octets.
    pub user: &'a [u8],
    /// Authentication protocol and password.
    pub auth: Option<(AuthProtocol, &'a [u8])>,
    /// Privacy protocol and password; needs `auth`, whose hash derives the key.
    pub privacy: Option<(PrivacyProtocol, &'a [u8])>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("user", &self.user.escape_ascii().to_string())
            .field("auth", &self.auth.map(|(protocol, _)| protocol))
            .field("privacy", &self.privacy.map(|(protocol, _)| protocol))
            .finish()
    }
}

/// Why credentials make no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The user name is empty or too long.
    #[error("SNMPv3 user name has {octets} octets; 1 to 32 are allowed")]
    BadUserName {
        /// How many octets it has.
        octets: usize,
    },
    /// A password is too short.
    #[error("SNMPv3 {what} password has {octets} octets; use at least 8 (RFC 3414 §11.2)")]
    ShortPassword {
        /// `auth` or `priv`.
        what: &'static str,
        /// How many octets it has.
        octets: usize,
    },
    /// Privacy without authentication.
    #[error("SNMPv3 privacy needs authentication; set the auth protocol and its password")]
    PrivacyWithoutAuth,
}

/// A key derived from a password, good for all engines; wiped when dropped.
#[derive(Debug, Clone)]
pub struct MasterKey {
    protocol: AuthProtocol,
    key: KeyOctets,
}

impl MasterKey {
    /// RFC 3414 §A.2. About 1.5 ms: use [`MasterKeyCache`].
    #[must_use]
    pub fn from_password(protocol: AuthProtocol, password: &[u8]) -> Self {
        Self {
            protocol,
            key: protocol.stretch(password),
        }
    }

    /// The key that signs messages to and from `engine`.
    #[must_use]
    pub fn localize(&self, engine: &EngineId) -> AuthKey {
        AuthKey::new(self.protocol, self.localized(engine))
    }

    /// The key that encrypts messages to and from `engine`.
    #[must_use]
    pub fn localize_privacy(&self, protocol: PrivacyProtocol, engine: &EngineId) -> PrivacyKey {
        let localized = self.localized(engine);
        PrivacyKey::new(protocol, self.protocol, &localized, engine.as_slice())
    }

    fn localized(&self, engine: &EngineId) -> KeyOctets {
        self.protocol
            .localize(self.key.as_slice(), engine.as_slice())
    }

    /// The octets, for tests against published vectors.
    #[cfg(test)]
    pub(crate) fn octets(&self) -> &[u8] {
        self.key.as_slice()
    }
}

/// Remembers up to [`MASTER_KEYS_MAX`] master keys by protocol and digest of the password.
#[derive(Debug, Default)]
pub struct MasterKeyCache {
    /// The most recently used last.
    entries: VecDeque<CacheEntry>,
}

#[derive(Debug)]
struct CacheEntry {
    protocol: AuthProtocol,
    password_digest: KeyOctets,
    key: Arc<MasterKey>,
}

impl MasterKeyCache {
    /// The master key of `password`, derived if it is not remembered.
    pub fn get(&mut self, protocol: AuthProtocol, password: &[u8]) -> Arc<MasterKey> {
        let password_digest = AuthProtocol::Sha256.digest(&[password]);
        let position = self.entries.iter().position(|entry| {
            entry.protocol == protocol
                && entry.password_digest.as_slice() == password_digest.as_slice()
        });
        let entry = position.and_then(|position| self.entries.remove(position));
        let entry = entry.unwrap_or_else(|| CacheEntry {
            protocol,
            password_digest,
            key: Arc::new(MasterKey::from_password(protocol, password)),
        });
        let key = Arc::clone(&entry.key);
        if self.entries.len() >= MASTER_KEYS_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        key
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A user with its master keys: shared by all devices that have it.
#[derive(Debug, Clone)]
pub struct UsmUser {
    name: Box<[u8]>,
    auth: Option<Arc<MasterKey>>,
    privacy: Option<(PrivacyProtocol, Arc<MasterKey>)>,
}

impl UsmUser {
    /// Checks credentials and derives their master keys.
    ///
    /// # Errors
    /// All variants of [`CredentialError`].
    pub fn new(
        credentials: &Credentials<'_>,
        cache: &mut MasterKeyCache,
    ) -> Result<Self, CredentialError> {
        let octets = credentials.user.len();
        if octets == 0 || octets > USER_OCTETS_MAX {
            return Err(CredentialError::BadUserName { octets });
        }
        check_password("auth", credentials.auth.map(|(_, password)| password))?;
        check_password("priv", credentials.privacy.map(|(_, password)| password))?;
        let privacy = match (credentials.auth, credentials.privacy) {
            (None, Some(_)) => return Err(CredentialError::PrivacyWithoutAuth),
            (Some((hash, _)), Some((protocol, password))) => {
                Some((protocol, cache.get(hash, password)))
            }
            (_, None) => None,
        };
        let auth = credentials
            .auth
            .map(|(protocol, password)| cache.get(protocol, password));
        Ok(Self {
            name: credentials.user.into(),
            auth,
            privacy,
        })
    }

    /// The user name, as it stands in messages.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The strongest level that its keys allow; ocelli uses no weaker one.
    #[must_use]
    pub fn level(&self) -> SecurityLevel {
        match (&self.auth, &self.privacy) {
            (None, _) => SecurityLevel::NoAuthNoPriv,
            (Some(_), None) => SecurityLevel::AuthNoPriv,
            (Some(_), Some(_)) => SecurityLevel::AuthPriv,
        }
    }

    /// The keys for messages to and from `engine`.
    #[must_use]
    pub fn localize(&self, engine: &EngineId) -> LocalUser {
        LocalUser {
            auth: self.auth.as_ref().map(|master| master.localize(engine)),
            privacy: self
                .privacy
                .as_ref()
                .map(|(protocol, master)| master.localize_privacy(*protocol, engine)),
        }
    }
}

fn check_password(what: &'static str, password: Option<&[u8]>) -> Result<(), CredentialError> {
    match password.map(<[u8]>::len) {
        Some(octets) if octets < PASSWORD_OCTETS_MIN => {
            Err(CredentialError::ShortPassword { what, octets })
        }
        _ => Ok(()),
    }
}

/// The keys of one user for one engine.
#[derive(Debug, Clone)]
pub struct LocalUser {
    /// Signs; absent at noAuthNoPriv.
    pub auth: Option<AuthKey>,
    /// Encrypts; absent below authPriv.
    pub privacy: Option<PrivacyKey>,
}
