//! `[[credentials.snmp]]`: with what devices are asked.
//!
//! Does: declare the keys of v1, v2c and v3 and check that they fit each other. Does not: open
//! secrets (`secret`) or send anything.
//! In: tables of the text. Out: [`SnmpCredentialConfig`].

use std::net::IpAddr;

use ocelli_model::filter::Filter;

use crate::reading::Reading;
use crate::secret::SecretText;
use crate::section::{Keys, nested_section, section};
use crate::value::{Name, choice};

/// One `[[credentials.snmp]]`.
#[derive(Debug, Clone, PartialEq)]
pub enum SnmpCredentialConfig {
    /// `version = "1"`.
    V1(CommunityConfig),
    /// `version = "2c"`.
    V2c(CommunityConfig),
    /// `version = "3"`.
    V3(UsmConfig),
}

choice! {
    /// How v3 messages are authenticated (RFC 3414 §6, §7; RFC 7860).
    pub enum AuthProtocol {
        /// HMAC-MD5-96.
        Md5 = "MD5",
        /// HMAC-SHA-96.
        Sha1 = "SHA-1" | "SHA",
        /// HMAC-128-SHA-224.
        Sha224 = "SHA-224",
        /// HMAC-192-SHA-256.
        Sha256 = "SHA-256",
        /// HMAC-256-SHA-384.
        Sha384 = "SHA-384",
        /// HMAC-384-SHA-512.
        Sha512 = "SHA-512",
    }
}

choice! {
    /// How v3 messages are encrypted (RFC 3414 §8, RFC 3826; AES-192/256 in both key extensions).
    pub enum PrivacyProtocol {
        /// CBC-DES.
        Des = "DES",
        /// CFB128-AES-128.
        Aes128 = "AES-128" | "AES",
        /// AES-192, keys extended after Blumenthal (net-snmp's `AES-192`).
        Aes192 = "AES-192",
        /// AES-256, keys extended after Blumenthal (net-snmp's `AES-256`).
        Aes256 = "AES-256",
        /// AES-192, keys extended after Reeder (Cisco).
        Aes192C = "AES-192-C",
        /// AES-256, keys extended after Reeder (Cisco).
        Aes256C = "AES-256-C",
    }
}

section! {
    /// A community for SNMP v1 or v2c.
    pub struct CommunityConfig {
        /// Name for messages and lists. Default: the entry's number.
        pub name: Option<Name>,
        /// Which resources. Default: all.
        pub filter: Option<Filter>,
        /// The community.
        pub community: SecretText,
        /// Addresses besides the one asked from which replies are accepted, for devices that
        /// answer from another interface.
        pub reply_from: Vec<IpAddr>,
    }
}

section! {
    /// A user for SNMP v3.
    pub struct UsmConfig {
        /// Name for messages and lists. Default: the entry's number.
        pub name: Option<Name>,
        /// Which resources. Default: all.
        pub filter: Option<Filter>,
        /// The user (securityName).
        pub user: Name,
        /// Authentication: `{ protocol = "SHA-256", secret = … }`. Default: none.
        pub auth: Option<AuthConfig>,
        /// Encryption: `{ protocol = "AES-128", secret = … }`; needs `auth`. Default: none.
        pub privacy in "priv": Option<PrivacyConfig>,
        /// The SNMP context. Default: the empty one.
        pub context: Option<Name>,
        /// Addresses besides the one asked from which replies are accepted, for devices that
        /// answer from another interface.
        pub reply_from: Vec<IpAddr>,
    }
}

section! {
    /// Authentication of a v3 user.
    pub struct AuthConfig {
        /// The protocol.
        pub protocol: AuthProtocol,
        /// The passphrase, at least 8 bytes (RFC 3414 §11.2).
        pub secret: SecretText,
    }
}

section! {
    /// Encryption for a v3 user.
    pub struct PrivacyConfig {
        /// The protocol.
        pub protocol: PrivacyProtocol,
        /// The passphrase, at least 8 bytes (RFC 3414 §11.2).
        pub secret: SecretText,
    }
}

nested_section!(AuthConfig, "auth", "a table { protocol = …, secret = … }");
nested_section!(
    PrivacyConfig,
    "priv",
    "a table { protocol = …, secret = … }"
);

impl SnmpCredentialConfig {
    /// The name that was given.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::V1(community) | Self::V2c(community) => community.name.as_ref(),
            Self::V3(usm) => usm.name.as_ref(),
        }
    }

    /// Which resources; `None`: all.
    #[must_use]
    pub const fn filter(&self) -> Option<&Filter> {
        match self {
            Self::V1(community) | Self::V2c(community) => community.filter.as_ref(),
            Self::V3(usm) => usm.filter.as_ref(),
        }
    }

    /// Addresses besides the one asked from which replies are accepted.
    #[must_use]
    pub fn reply_from(&self) -> &[IpAddr] {
        match self {
            Self::V1(community) | Self::V2c(community) => &community.reply_from,
            Self::V3(usm) => &usm.reply_from,
        }
    }
}

/// There is no encryption without authentication (RFC 3411 §3.4.3).
pub(crate) fn check_levels(
    credential: &SnmpCredentialConfig,
    keys: &Keys<'_>,
    reading: &mut Reading<'_>,
) {
    if let SnmpCredentialConfig::V3(usm) = credential
        && usm.privacy.is_some()
        && usm.auth.is_none()
    {
        let remedy = "add auth = { protocol = …, secret = … } or remove priv";
        reading.wrong(
            keys.span_of("priv"),
            "priv without auth is no security level",
            remedy,
        );
    }
}
