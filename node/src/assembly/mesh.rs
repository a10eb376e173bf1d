//! Who this node is to others: its certificate opened, compared with its configuration, watched.
//!
//! Does: open `[identity]`, refuse a certificate of another node, exchange it at a reload, warn
//! before it ends. Does not: dial or accept (`federation`).
//! In: a configuration. Out: [`MeshIdentity`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ocelli_actors::Reporter;
use ocelli_config::{Config, SecretError};
use ocelli_federation::identity::{
    FileError, IdentityError, IdentityMaterial, IdentitySettings, IdentityStore, NodeIdentity,
    PeerIdentity, SiteScope, Validity,
};
use ocelli_federation::link::{RESET_KEY_BYTES, reset_key_of};
use ocelli_model::clock::{Clock, WallMs};
use ocelli_model::event::Event;
use ocelli_model::rfc3339::rfc3339_of;
use rustls::time_provider::DefaultTimeProvider;
use tracing::info;

use super::joining;
use crate::secrets::process_secrets;

/// Folder of revocation lists in the data directory.
const DIRECTORY: &str = "identity";
/// Between two looks at the certificate's end; each that finds it near is told.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3_600);

/// Why a node cannot be who its configuration says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeshIdentityError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The join token cannot be had.
    #[error("identity.token: {0}")]
    Token(#[from] SecretError),
    /// Files that are no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The certificate of another node.
    #[error(
        "identity.certificate is of {certificate}, but [node] says {node}; issue one for this node"
    )]
    Other {
        /// Of whom it is.
        certificate: Box<NodeIdentity>,
        /// Who this node is by its configuration.
        node: Box<NodeIdentity>,
    },
    /// `[node]` has a name that no certificate can hold.
    #[error("[node] names nobody that a certificate could: {0}")]
    Name(#[from] ocelli_federation::identity::IdentityNameError),
    /// A site of `node.sites` that the certificate does not cover.
    #[error(
        "node.sites names {site:?}, for which identity.certificate may not speak; issue it anew"
    )]
    Scope {
        /// The site.
        site: String,
    },
}

/// A node's identity, if it has one.
pub struct MeshIdentity {
    store: Option<Arc<IdentityStore>>,
    reset_key: [u8; RESET_KEY_BYTES],
}

impl MeshIdentity {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// [`MeshIdentityError`]; an expired certificate is none, it is only warned about.
    pub fn open(config: &Config) -> Result<Self, MeshIdentityError> {
        let Some((store, material)) = open_with_key(config)? else {
            let reset_key = [0; RESET_KEY_BYTES];
            return Ok(Self {
                store: None,
                reset_key,
            });
        };
        info!(identity = %store.own().identity, "identity open");
        let reset_key = reset_key_of(material.key.expose());
        Ok(Self {
            store: Some(store),
            reset_key,
        })
    }

    /// Reads the files again. Whether there is an identity at all changes at a restart only.
    ///
    /// # Errors
    /// [`MeshIdentityError`]; the one before stays.
    pub fn reload(&self, config: &Config) -> Result<(), MeshIdentityError> {
        let (Some(store), Some(material)) = (&self.store, material_of(config)?) else {
            return Ok(());
        };
        // Tried apart first: a certificate of another node must not be in force for a moment.
        let tried = IdentityStore::new(&material, Arc::new(DefaultTimeProvider))?;
        check_own(&tried.own(), config)?;
        store.replace(&material)?;
        Ok(())
    }

    /// Whom this node trusts and who it is; `None`: nobody to others.
    #[must_use]
    pub fn store(&self) -> Option<Arc<IdentityStore>> {
        self.store.clone()
    }

    /// By which neighbours of this node's former process see that it is gone.
    #[must_use]
    pub const fn reset_key(&self) -> [u8; RESET_KEY_BYTES] {
        self.reset_key
    }

    /// Tells before the certificate ends, now and each day for as long as the node runs.
    pub fn watch(&self, clock: Arc<dyn Clock>, events: Reporter) {
        let Some(store) = self.store.as_ref().map(Arc::downgrade) else {
            return;
        };
        actix_rt::spawn(async move {
            loop {
                let Some(store) = store.upgrade() else { return };
                let event = validity_event(&store.own(), clock.wall());
                drop(store);
                if let Some(event) = event {
                    events.report(event);
                }
                clock.sleep_until(clock.monotonic().after(LOOK_EVERY)).await;
            }
        });
    }
}

/// The identity that a node of this configuration would have; `None`: it is nobody, or has to join
/// first.
///
/// # Errors
/// [`MeshIdentityError`]; an expired certificate is none.
pub(crate) fn open_store(config: &Config) -> Result<Option<Arc<IdentityStore>>, MeshIdentityError> {
    Ok(open_with_key(config)?.map(|(store, _)| store))
}

fn open_with_key(
    config: &Config,
) -> Result<Option<(Arc<IdentityStore>, IdentityMaterial)>, MeshIdentityError> {
    let Some(material) = material_of(config)? else {
        return Ok(None);
    };
    let store = IdentityStore::new(&material, Arc::new(DefaultTimeProvider))?;
    check_own(&store.own(), config)?;
    Ok(Some((store, material)))
}

/// `None`: the node is nobody, or has to join first.
fn material_of(config: &Config) -> Result<Option<IdentityMaterial>, MeshIdentityError> {
    if joining::is_wanted(config) {
        return Ok(None);
    }
    let settings = settings_of(config)?;
    let material = settings.map(|settings| IdentityMaterial::read(&settings));
    Ok(material.transpose()?)
}

/// `[identity]`, with its token opened where it is needed still: once used it may be gone.
///
/// # Errors
/// [`MeshIdentityError`] where the token cannot be opened.
pub(super) fn settings_of(config: &Config) -> Result<Option<IdentitySettings>, MeshIdentityError> {
    let Some(identity) = &config.identity else {
        return Ok(None);
    };
    let token = identity.token.as_ref();
    let token = token
        .filter(|_| !identity.certificate.exists())
        .map(|token| token.open(&process_secrets()))
        .transpose()?;
    Ok(Some(IdentitySettings {
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
        roots: identity.roots.clone(),
        crl: identity.crl.clone(),
        token,
        renew: identity.renew,
        directory: config.node.data_dir.join(Path::new(DIRECTORY)),
    }))
}

fn check_own(own: &PeerIdentity, config: &Config) -> Result<(), MeshIdentityError> {
    let node = &config.node;
    let expected = NodeIdentity::new(&node.mesh, node.tier, &node.site, &node.name)?;
    if own.identity != expected {
        return Err(MeshIdentityError::Other {
            certificate: Box::new(own.identity.clone()),
            node: Box::new(expected),
        });
    }
    let is_covered = |site: &&str| own.scope == SiteScope::Every || own.scope.allows(site);
    let mut sites = node.sites.iter().map(|site| site.as_str());
    match sites.find(|site| !is_covered(site)) {
        Some(site) => Err(MeshIdentityError::Scope {
            site: site.to_owned(),
        }),
        None => Ok(()),
    }
}

/// What is to be told of the certificate; `None`: it is sound.
fn validity_event(own: &PeerIdentity, now: WallMs) -> Option<Event> {
    let not_after = || rfc3339_of(WallMs(own.not_after_ms));
    match Validity::of(own, now) {
        Validity::Sound { .. } => None,
        Validity::EndsSoon { expires_in } => Some(Event::CertificateEnds {
            days: expires_in.as_secs() / 86_400,
            not_after: not_after(),
        }),
        Validity::Expired { .. } => Some(Event::CertificateEnded {
            not_after: not_after(),
        }),
        Validity::NotYet { begins_in } => Some(Event::CertificateNotYet {
            seconds: begins_in.as_secs(),
        }),
    }
}

#[cfg(test)]
#[path = "mesh_tests.rs"]
mod tests;
