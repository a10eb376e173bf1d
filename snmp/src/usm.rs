//! The User-based Security Model (RFC 3414), without messages: protocols, keys, engine time.
//!
//! Does: derive, extend, localise and cache keys; sign, verify, encrypt, decrypt; keep an engine's
//! boots and time; name the reports.
//! Does not: parse messages (`v3`), read clocks, draw random numbers.
//! In: passwords, octets, the monotonic time. Out: keys that print as `[redacted]` and are wiped
//! when dropped, verdicts.

mod auth;
mod engine;
mod keys;
mod privacy;
mod report;

pub(crate) use auth::SIGNATURE_OCTETS_MAX;
pub use auth::{AuthKey, AuthProtocol};
pub(crate) use engine::BOOTS_MAX;
pub use engine::{EngineId, EngineIdError, EngineTime, TIME_WINDOW_S};
pub use keys::{
    CredentialError, Credentials, LocalUser, MASTER_KEYS_MAX, MasterKey, MasterKeyCache,
    PASSWORD_OCTETS_MIN, UsmUser,
};
pub(crate) use privacy::{DES_BLOCK_OCTETS, Salt};
pub use privacy::{PrivacyError, PrivacyKey, PrivacyProtocol};
pub use report::ReportReason;

/// What protects a message (RFC 3411 §3.4.3); higher is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityLevel {
    /// Neither signed nor encrypted.
    NoAuthNoPriv,
    /// Signed.
    AuthNoPriv,
    /// Signed and encrypted.
    AuthPriv,
}

/// A protocol name that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} protocol {name:?} is not known; known are {known}")]
pub struct UnknownProtocol {
    /// `auth` or `priv`.
    pub what: &'static str,
    /// As given.
    pub name: String,
    /// All names.
    pub known: &'static str,
}

#[cfg(test)]
#[path = "usm_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "usm/vectors_tests.rs"]
mod vectors_tests;
