//! A node without a certificate becomes a node of the mesh, with a join token.
//!
//! Does: make its key or take the one that is there, ask the issuers until one answers for good,
//! prove the answer against key, name and roots, write key and chain. Does not: open links.
//! In: [`JoinOptions`]. Out: files as `[identity]` names them; whom the node is from now on.
//! The key is written before the request leaves, so that a crash between answer and write costs a
//! token's use and nothing else. Refused for good: the error says what to do.

use std::sync::Arc;

use ocelli_model::clock::{Clock, Rng};
use ocelli_model::secret::Secret;
use rustls::time_provider::TimeProvider;
use tokio::sync::watch;
use tracing::{info, warn};

use super::issuers::{IssuersError, ask_issuers};
use crate::identity::{
    Expected, FileError, IdentityError, IdentityMaterial, IdentitySettings, IdentityStore,
    JoiningError, NodeIdentity, NodeKey, NodeKeyError, PeerIdentity, PeerRefused, ReadKeyError,
    SigningRequest, joining_config, write_certificate, write_key,
};
use crate::link::backoff;

/// What a node needs to join.
pub struct JoinOptions {
    /// `[identity]`: files, roots, the token.
    pub settings: IdentitySettings,
    /// The name that the node wants; the token decides whether it may.
    pub identity: NodeIdentity,
    /// `host:port` of issuers, or of nodes that may be issuers.
    pub issuers: Vec<String>,
    /// Judges the issuer's certificate: the real clock, or a test's.
    pub time: Arc<dyn TimeProvider>,
    /// The node's.
    pub clock: Arc<dyn Clock>,
    /// For the jitter of pauses.
    pub rng: Box<dyn Rng>,
    /// Told how it stands, for lists.
    pub states: watch::Sender<JoinState>,
}

/// How joining stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinState {
    /// Issuers are asked.
    Asking {
        /// Why the last try gave no certificate.
        error: Option<String>,
    },
    /// The certificate is there.
    Joined,
    /// Refused for good: a person must act.
    Refused {
        /// Why, with what to do.
        error: String,
    },
}

impl Default for JoinState {
    fn default() -> Self {
        Self::Asking { error: None }
    }
}

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// No token.
    #[error(
        "{identity} has no certificate and no join token; make one with `ocelli ca token` at the \
         issuer and set `identity.token`"
    )]
    NoToken {
        /// Who wants to join.
        identity: NodeIdentity,
    },
    /// A file of `[identity]`.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key that is there.
    #[error(transparent)]
    ReadKey(#[from] ReadKeyError),
    /// The key does not sign, or there is no chance to make one.
    #[error(transparent)]
    Key(#[from] NodeKeyError),
    /// Roots or TLS.
    #[error(transparent)]
    Joining(#[from] JoiningError),
    /// No issuer granted it.
    #[error(transparent)]
    Issuers(#[from] IssuersError),
    /// What was granted is no identity with the key.
    #[error("the issuer's certificate is of no use: {0}")]
    Answer(#[from] IdentityError),
    /// What was granted is not trusted by this node's own roots.
    #[error("the issuer's certificate does not hold here: {0}")]
    Refused(#[from] PeerRefused),
    /// A task of the runtime ended.
    #[error("the runtime stops: {0}")]
    Stopping(#[from] tokio::task::JoinError),
}

/// Joins; goes on with pauses of up to 10 s while no issuer can be reached. Cancel safe.
///
/// # Errors
/// [`JoinError`], each for good: a person must act.
pub async fn join(options: JoinOptions) -> Result<PeerIdentity, JoinError> {
    let states = options.states.clone();
    states.send_replace(JoinState::default());
    let joined = ask_and_keep(options).await;
    states.send_replace(match &joined {
        Ok(_) => JoinState::Joined,
        Err(error) => JoinState::Refused {
            error: error.to_string(),
        },
    });
    joined
}

async fn ask_and_keep(mut options: JoinOptions) -> Result<PeerIdentity, JoinError> {
    let identity = options.identity.clone();
    if options.settings.token.is_none() {
        return Err(JoinError::NoToken { identity });
    }
    let files = options.settings.clone();
    let (key, roots) = tokio::task::spawn_blocking(move || key_and_roots(&files)).await??;
    let time = Arc::clone(&options.time);
    let tls = joining_config(&key, &identity.mesh, &roots, time)?;
    let request = SigningRequest {
        csr: key.request(&identity)?,
        token: options.settings.token.clone(),
    };
    let mut failures = 0_u32;
    let chain = loop {
        match ask_issuers(&options.issuers, &tls, &request, &options.clock).await {
            Ok(chain) => break chain,
            Err(error) if !error.is_transient() => return Err(error.into()),
            Err(error) => {
                failures = failures.saturating_add(1);
                warn!(%identity, failures, %error, "no certificate yet, asked again");
                let error = Some(error.to_string());
                options.states.send_replace(JoinState::Asking { error });
                let pause = backoff(failures, options.rng.next_u64());
                let clock = &options.clock;
                clock.sleep_until(clock.monotonic().after(pause)).await;
            }
        }
    };
    let pem = key.to_pem();
    let material = IdentityMaterial {
        certificate: chain.clone(),
        key: Secret::new(pem.expose().clone().into_bytes()),
        roots,
        lists: Vec::new(),
    };
    let peer = prove(&material, options.time)?;
    let path = options.settings.certificate;
    tokio::task::spawn_blocking(move || write_certificate(&path, &chain)).await??;
    info!(identity = %peer.identity, serial = %peer.serial, "joined the mesh");
    Ok(peer)
}

/// The key that is there, else a new one, written down; the roots. Blocking.
fn key_and_roots(settings: &IdentitySettings) -> Result<(NodeKey, Vec<Vec<u8>>), JoinError> {
    let roots = settings.read_roots()?;
    if settings.key.exists() {
        return Ok((settings.read_key()?, roots));
    }
    let key = NodeKey::generate()?;
    write_key(&settings.key, &key.to_pem())?;
    Ok((key, roots))
}

/// Whether the chain is one with the key, names a node, and is trusted by the roots.
pub(super) fn prove(
    material: &IdentityMaterial,
    time: Arc<dyn TimeProvider>,
) -> Result<PeerIdentity, JoinError> {
    let store = IdentityStore::new(material, time)?;
    Ok(store.check(&store.own_chain(), &Expected::Anyone)?)
}
