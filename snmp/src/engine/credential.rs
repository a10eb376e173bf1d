//! What a device is asked with: version, community or user, and who may answer.
//!
//! Does: hold it, redacted. Does not: find it for a device (`plugins`), derive keys (`usm`).
//! In: secrets from configuration. Out: [`Credential`], shared by the sessions of many devices.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ocelli_model::secret::Secret;

use crate::message::Version;
use crate::usm::UsmUser;

/// How messages are secured.
pub enum Security {
    /// A community, in clear: v1 or v2c.
    Community {
        /// `V1` or `V2c`.
        version: CommunityVersion,
        /// The community.
        community: Secret<Vec<u8>>,
    },
    /// A user of v3.
    User {
        /// User with its master keys.
        user: Arc<UsmUser>,
        /// Context name; empty for the default context.
        context_name: Vec<u8>,
        /// Refuse an agent whose engine boots go backwards (default: accept, with an event).
        is_strict: bool,
    },
}

/// A version that has communities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommunityVersion {
    /// SNMPv1.
    V1,
    /// SNMPv2c.
    V2c,
}

impl From<CommunityVersion> for Version {
    fn from(version: CommunityVersion) -> Self {
        match version {
            CommunityVersion::V1 => Self::V1,
            CommunityVersion::V2c => Self::V2c,
        }
    }
}

/// What a device is asked with.
pub struct Credential {
    /// Community or user.
    pub security: Security,
    /// Further addresses that may answer for the device; its own always may.
    pub reply_from: Vec<IpAddr>,
}

impl Credential {
    /// A community, answers from the address asked alone.
    #[must_use]
    pub fn community(version: CommunityVersion, community: &[u8]) -> Self {
        Self {
            security: Security::Community {
                version,
                community: Secret::from(community.to_vec()),
            },
            reply_from: Vec::new(),
        }
    }

    /// A user of v3 in the default context, answers from the address asked alone.
    #[must_use]
    pub fn user(user: Arc<UsmUser>) -> Self {
        Self {
            security: Security::User {
                user,
                context_name: Vec::new(),
                is_strict: false,
            },
            reply_from: Vec::new(),
        }
    }

    /// The version it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        match &self.security {
            Security::Community { version, .. } => (*version).into(),
            Security::User { .. } => Version::V3,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("version", &self.version())
            .field("reply_from", &self.reply_from)
            .finish_non_exhaustive()
    }
}
