//! The text form of a v3 user.
//!
//! Does: parse `NAME[,AUTH,PASSWORD[,PRIV,PASSWORD]]` and derive the keys. Does not: keep the
//! text. In: text. Out: [`UsmUser`], or [`UserError`], which never shows a password.

use ocelli_snmp::usm::{CredentialError, Credentials, MasterKeyCache, UnknownProtocol, UsmUser};

/// A text that is no user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// The wrong number of parts.
    #[error("v3 user has {parts} parts; write NAME, NAME,AUTH,PASSWORD or …,PRIV,PASSWORD")]
    BadParts {
        /// How many parts it has.
        parts: usize,
    },
    /// A protocol that is not known.
    #[error(transparent)]
    Protocol(#[from] UnknownProtocol),
    /// Names or passwords that the standard does not allow.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
}

/// Parses a user and derives its keys (1.5 ms for each password).
///
/// # Errors
/// All variants of [`UserError`].
pub fn parse_v3_user(text: &str) -> Result<UsmUser, UserError> {
    let parts: Vec<&str> = text.split(',').collect();
    let (name, auth, privacy) = match parts[..] {
        [name] => (name, None, None),
        [name, auth, password] => (name, Some((auth, password)), None),
        [name, auth, password, privacy, secret] => {
            (name, Some((auth, password)), Some((privacy, secret)))
        }
        _ => return Err(UserError::BadParts { parts: parts.len() }),
    };
    let auth = match auth {
        Some((protocol, password)) => Some((protocol.parse()?, password.as_bytes())),
        None => None,
    };
    let privacy = match privacy {
        Some((protocol, password)) => Some((protocol.parse()?, password.as_bytes())),
        None => None,
    };
    let credentials = Credentials {
        user: name.as_bytes(),
        auth,
        privacy,
    };
    Ok(UsmUser::new(&credentials, &mut MasterKeyCache::default())?)
}
