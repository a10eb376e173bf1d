//! Credentials of the configuration as the engine takes them.
//!
//! Does: derive keys once for all devices (0.1 s a passphrase of v3), keep names and filters.
//! Does not: choose (`credential_choice`), open secrets (`config`).
//! In: opened credentials. Out: [`CredentialSet`]; one that cannot be used is left out by name.

use std::sync::Arc;

use ocelli_config::sections::credentials::{AuthProtocol, PrivacyProtocol};
use ocelli_config::{SnmpCredential, SnmpVersion};
use ocelli_model::filter::Filter;
use ocelli_model::resource::Resource;
use ocelli_snmp::engine::{CommunityVersion, Credential, Security};
use ocelli_snmp::usm::{
    AuthProtocol as EngineAuth, CredentialError, Credentials, MasterKeyCache,
    PrivacyProtocol as EnginePrivacy, UsmUser,
};

use crate::plan::NamedCredential;

/// All credentials of a configuration, in file order.
#[derive(Default)]
pub struct CredentialSet {
    entries: Vec<(Option<Filter>, Arc<NamedCredential>)>,
}

/// A credential that cannot be used, by name.
pub type Unusable = (String, CredentialError);

impl CredentialSet {
    /// Makes the engine's credentials. Takes a while with many passphrases: not on an arbiter.
    #[must_use]
    pub fn new(opened: Vec<SnmpCredential>) -> (Self, Vec<Unusable>) {
        let mut cache = MasterKeyCache::default();
        let (mut entries, mut unusable) = (Vec::new(), Vec::new());
        for SnmpCredential {
            name,
            filter,
            reply_from,
            version,
        } in opened
        {
            match security_of(&version, &mut cache) {
                Ok(security) => {
                    let credential = Arc::new(Credential {
                        security,
                        reply_from,
                    });
                    let name = name.as_str().into();
                    entries.push((filter, Arc::new(NamedCredential { name, credential })));
                }
                Err(error) => unusable.push((name, error)),
            }
        }
        (Self { entries }, unusable)
    }

    /// Those for `resource`, in file order.
    #[must_use]
    pub fn of(&self, resource: &Resource) -> Vec<Arc<NamedCredential>> {
        let fits = |filter: &Option<Filter>| filter.as_ref().is_none_or(|f| f.matches(resource));
        let fitting = self.entries.iter().filter(|(filter, _)| fits(filter));
        fitting.map(|(_, named)| Arc::clone(named)).collect()
    }
}

fn security_of(
    version: &SnmpVersion,
    cache: &mut MasterKeyCache,
) -> Result<Security, CredentialError> {
    let community = |version, community: &ocelli_model::secret::Secret<String>| {
        let community = community.expose().as_bytes().to_vec();
        Security::Community {
            version,
            community: community.into(),
        }
    };
    Ok(match version {
        SnmpVersion::V1 { community: text } => community(CommunityVersion::V1, text),
        SnmpVersion::V2c { community: text } => community(CommunityVersion::V2c, text),
        SnmpVersion::V3 {
            user,
            auth,
            privacy,
            context,
        } => {
            let auth = auth
                .as_ref()
                .map(|(protocol, secret)| (engine_auth(*protocol), secret.expose().as_bytes()));
            let privacy = privacy
                .as_ref()
                .map(|(protocol, secret)| (engine_privacy(*protocol), secret.expose().as_bytes()));
            let credentials = Credentials {
                user: user.as_bytes(),
                auth,
                privacy,
            };
            Security::User {
                user: Arc::new(UsmUser::new(&credentials, cache)?),
                context_name: context.as_bytes().to_vec(),
                is_strict: false,
            }
        }
    })
}

fn engine_auth(protocol: AuthProtocol) -> EngineAuth {
    match protocol {
        AuthProtocol::Md5 => EngineAuth::Md5,
        AuthProtocol::Sha1 => EngineAuth::Sha1,
        AuthProtocol::Sha224 => EngineAuth::Sha224,
        AuthProtocol::Sha256 => EngineAuth::Sha256,
        AuthProtocol::Sha384 => EngineAuth::Sha384,
        AuthProtocol::Sha512 => EngineAuth::Sha512,
    }
}

fn engine_privacy(protocol: PrivacyProtocol) -> EnginePrivacy {
    match protocol {
        PrivacyProtocol::Des => EnginePrivacy::Des,
        PrivacyProtocol::Aes128 => EnginePrivacy::Aes128,
        PrivacyProtocol::Aes192 => EnginePrivacy::Aes192,
        PrivacyProtocol::Aes256 => EnginePrivacy::Aes256,
        PrivacyProtocol::Aes192C => EnginePrivacy::Aes192Cisco,
        PrivacyProtocol::Aes256C => EnginePrivacy::Aes256Cisco,
    }
}
