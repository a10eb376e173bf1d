//! Credentials with their secrets opened, ready for sessions.
//!
//! Does: open every secret of every credential once; a credential whose secret cannot be had is
//! left out with its reason. Does not: decide which credential a device gets.
//! In: the configuration and a [`SecretSource`]. Out: [`OpenedCredentials`].
//! Invariant: reasons name where a secret should be, never a part of it.

use std::net::IpAddr;

use ocelli_model::filter::Filter;
use ocelli_model::secret::Secret;

use crate::config::Config;
use crate::secret::{SecretError, SecretSource, SecretText};
use crate::sections::credentials::{
    AuthProtocol, CommunityConfig, PrivacyProtocol, SnmpCredentialConfig, UsmConfig,
};

/// RFC 3414 §11.2: a passphrase has at least eight bytes.
const PASSPHRASE_BYTES_MIN: usize = 8;
/// RFC 1157: a community is an octet string; longer ones fit no request.
const COMMUNITY_BYTES_MAX: usize = 255;

/// One credential for SNMP.
#[derive(Debug, Clone)]
pub struct SnmpCredential {
    /// Its name, or its number in the file.
    pub name: String,
    /// Which resources; `None`: all.
    pub filter: Option<Filter>,
    /// Addresses besides the one asked from which replies are accepted.
    pub reply_from: Vec<IpAddr>,
    /// Version and secrets.
    pub version: SnmpVersion,
}

/// What messages are protected with.
#[derive(Debug, Clone)]
pub enum SnmpVersion {
    /// SNMP v1.
    V1 {
        /// The community.
        community: Secret<String>,
    },
    /// SNMP v2c.
    V2c {
        /// The community.
        community: Secret<String>,
    },
    /// SNMP v3. `privacy` is `None` where `auth` is.
    V3 {
        /// securityName.
        user: String,
        /// Protocol and passphrase.
        auth: Option<(AuthProtocol, Secret<String>)>,
        /// Protocol and passphrase.
        privacy: Option<(PrivacyProtocol, Secret<String>)>,
        /// contextName; empty where none is given.
        context: String,
    },
}

/// Credentials in the order of the file, and those that cannot be used.
#[derive(Debug, Default)]
pub struct OpenedCredentials {
    /// Usable ones.
    pub snmp: Vec<SnmpCredential>,
    /// Name and reason of each that is not.
    pub failed: Vec<(String, CredentialError)>,
}

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A secret cannot be had.
    #[error("{key}: {source}")]
    Secret {
        /// The key that holds the secret.
        key: &'static str,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// A passphrase below eight bytes.
    #[error(
        "{key}: the passphrase has less than {PASSPHRASE_BYTES_MIN} bytes; RFC 3414 wants more"
    )]
    TooShort {
        /// The key that holds the secret.
        key: &'static str,
    },
    /// A community above 255 bytes.
    #[error("community: it has more than {COMMUNITY_BYTES_MAX} bytes; is it the right file?")]
    TooLong,
}

/// Opens the secrets of all credentials.
#[must_use]
pub fn open_credentials(config: &Config, source: &dyn SecretSource) -> OpenedCredentials {
    let mut opened = OpenedCredentials::default();
    for (index, credential) in config.snmp_credentials.iter().enumerate() {
        let name = credential.name().map_or_else(
            || format!("credentials.snmp {}", index + 1),
            |name| name.to_string(),
        );
        match version_of(credential, source) {
            Ok(version) => opened.snmp.push(SnmpCredential {
                name,
                filter: credential.filter().cloned(),
                reply_from: credential.reply_from().to_vec(),
                version,
            }),
            Err(error) => opened.failed.push((name, error)),
        }
    }
    opened
}

fn version_of(
    credential: &SnmpCredentialConfig,
    source: &dyn SecretSource,
) -> Result<SnmpVersion, CredentialError> {
    match credential {
        SnmpCredentialConfig::V1(config) => {
            community(config, source).map(|community| SnmpVersion::V1 { community })
        }
        SnmpCredentialConfig::V2c(config) => {
            community(config, source).map(|community| SnmpVersion::V2c { community })
        }
        SnmpCredentialConfig::V3(config) => usm(config, source),
    }
}

fn community(
    config: &CommunityConfig,
    source: &dyn SecretSource,
) -> Result<Secret<String>, CredentialError> {
    let community = open(&config.community, "community", source)?;
    if community.expose().len() > COMMUNITY_BYTES_MAX {
        return Err(CredentialError::TooLong);
    }
    Ok(community)
}

fn usm(config: &UsmConfig, source: &dyn SecretSource) -> Result<SnmpVersion, CredentialError> {
    let auth = config.auth.as_ref();
    let auth = auth.map(|auth| Ok((auth.protocol, passphrase(&auth.secret, "auth", source)?)));
    let privacy = config.privacy.as_ref();
    let privacy = privacy.map(|privacy| {
        Ok((
            privacy.protocol,
            passphrase(&privacy.secret, "priv", source)?,
        ))
    });
    Ok(SnmpVersion::V3 {
        user: config.user.to_string(),
        auth: auth.transpose()?,
        privacy: privacy.transpose()?,
        context: config
            .context
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    })
}

fn passphrase(
    secret: &SecretText,
    key: &'static str,
    source: &dyn SecretSource,
) -> Result<Secret<String>, CredentialError> {
    let passphrase = open(secret, key, source)?;
    if passphrase.expose().len() < PASSPHRASE_BYTES_MIN {
        return Err(CredentialError::TooShort { key });
    }
    Ok(passphrase)
}

fn open(
    secret: &SecretText,
    key: &'static str,
    source: &dyn SecretSource,
) -> Result<Secret<String>, CredentialError> {
    secret
        .open(source)
        .map_err(|source| CredentialError::Secret { key, source })
}
