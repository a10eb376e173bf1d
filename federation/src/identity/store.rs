//! The identity of a running node: own key and certificate, whom it trusts; replaced while it runs.
//!
//! Does: hold the one current state that every handshake reads, replace it whole, tell those who
//! hold live connections. Does not: read files (`material`), decide what TLS is like (`tls`).
//! In: [`IdentityMaterial`], lists from neighbours. Out: verdicts over chains, changes.
//! Invariant: a failed replacement changes nothing; a list's number never goes backwards.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::sync::watch;

use super::joining::is_joining;
use super::material::{IdentityMaterial, certificates_of};
use super::peer::{PeerIdentity, PeerIdentityError};
use super::revocation::{Applied, RevocationError, RevocationList};
use super::trust::{Expected, PeerRefused, Purpose, Trust, TrustError};

/// Who a node is and whom it trusts, for all its connections.
pub struct IdentityStore {
    current: ArcSwap<Held>,
    /// Held while a new state is made from the old one.
    replacing: Mutex<()>,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    changes: watch::Sender<u64>,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) time: Arc<dyn TimeProvider>,
}

pub(super) struct Held {
    pub(super) own: Arc<PeerIdentity>,
    pub(super) certified: Arc<CertifiedKey>,
    trust: Trust,
}

/// Why files make no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Not PEM.
    #[error("{what} is not PEM: {reason}; give the file that `ocelli ca issue` wrote")]
    Pem {
        /// Which file.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// PEM without a certificate.
    #[error("{what} holds no certificate; give the file that `ocelli ca issue` wrote")]
    NoCertificate {
        /// Which file.
        what: &'static str,
    },
    /// The key is of another certificate or of an unknown kind.
    #[error("identity.key does not fit identity.certificate: {reason}; issue both again")]
    Key {
        /// What is wrong.
        reason: String,
    },
    /// The certificate names no node.
    #[error("identity.certificate: {0}")]
    Own(#[from] PeerIdentityError),
    /// No roots.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A list that does not hold.
    #[error("identity.crl: {0}")]
    Revocation(#[from] RevocationError),
}

impl IdentityStore {
    /// The identity of `material`. `time` judges validity: the real clock, or a test's.
    ///
    /// # Errors
    /// [`IdentityError`]. An expired certificate is none: the node still reads what it holds, and
    /// each handshake says so.
    pub fn new(
        material: &IdentityMaterial,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Arc<Self>, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let held = Held::new(material, None, &provider)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(held),
            replacing: Mutex::new(()),
            refusals: Mutex::new(BTreeMap::new()),
            changes: watch::Sender::new(0),
            provider,
            time,
        }))
    }

    /// Takes new files; connections made from now on use them, live ones stay until they are
    /// checked again. Lists that are in force stay, unless their root left.
    ///
    /// # Errors
    /// [`IdentityError`]; then nothing has changed.
    pub fn replace(&self, material: &IdentityMaterial) -> Result<(), IdentityError> {
        let guard = self.replacing.lock();
        let held = Held::new(material, Some(&self.current.load().trust), &self.provider)?;
        self.current.store(Arc::new(held));
        drop(guard);
        self.tell();
        Ok(())
    }

    /// Takes a revocation list from a neighbour or a file.
    ///
    /// # Errors
    /// [`RevocationError`]; then nothing has changed.
    pub fn accept_revocations(&self, der: &[u8]) -> Result<Applied, RevocationError> {
        let list = RevocationList::from_der(der)?;
        let guard = self.replacing.lock();
        let held = self.current.load_full();
        let (trust, applied) = held.trust.with_list(list)?;
        if applied == Applied::Held {
            return Ok(applied);
        }
        self.current.store(Arc::new(Held {
            own: Arc::clone(&held.own),
            certified: Arc::clone(&held.certified),
            trust,
        }));
        drop(guard);
        self.tell();
        Ok(applied)
    }

    /// Who this node is.
    #[must_use]
    pub fn own(&self) -> Arc<PeerIdentity> {
        Arc::clone(&self.current.load().own)
    }

    /// What this node shows in handshakes, its own certificate first.
    #[must_use]
    pub fn own_chain(&self) -> Vec<CertificateDer<'static>> {
        self.current.load().certified.cert.clone()
    }

    /// What judges validity.
    #[must_use]
    pub fn time(&self) -> Arc<dyn TimeProvider> {
        Arc::clone(&self.time)
    }

    /// Whom it trusts now.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.current.load().trust.clone()
    }

    /// A number that grows with each change: whoever holds connections then calls
    /// [`IdentityStore::check`] on each and closes those that do not hold any more.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Refused peers since the start, by [`PeerRefused::name`].
    #[must_use]
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.refusals.lock().clone()
    }

    /// Whether the peer behind a live connection would be let in now: after a change, and when its
    /// certificate ends. `chain` is what `peer_identity` of the connection holds.
    ///
    /// # Errors
    /// [`PeerRefused`]: close the connection with this reason.
    pub fn check(
        &self,
        chain: &[CertificateDer<'_>],
        expected: &Expected,
    ) -> Result<PeerIdentity, PeerRefused> {
        let now = self.time.current_time();
        // A node without a clock takes all certificates for expired rather than for valid.
        let now = now.unwrap_or(UnixTime::since_unix_epoch(std::time::Duration::MAX));
        self.judge(chain, Purpose::Client, expected, now)
    }

    /// Whether a connection is one of a node that has a join token only, which
    /// [`Admission::NodesAndJoining`](super::Admission) let in.
    #[must_use]
    pub fn is_joining(&self, chain: &[CertificateDer<'_>]) -> bool {
        let mesh = &self.own().identity.mesh;
        chain.first().is_some_and(|first| is_joining(first, mesh))
    }

    pub(super) fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        purpose: Purpose,
        expected: &Expected,
        now: UnixTime,
    ) -> Result<PeerIdentity, PeerRefused> {
        let held = self.current.load();
        let algorithms = self.provider.signature_verification_algorithms.all;
        let verified = held.trust.verify(chain, purpose, algorithms, now);
        let judged = verified.and_then(|peer| {
            expected.check(&held.own.identity, &peer.identity)?;
            Ok(peer)
        });
        if let Err(refused) = &judged {
            *self.refusals.lock().entry(refused.name()).or_default() += 1;
        }
        judged
    }

    pub(super) fn held(&self) -> Arc<Held> {
        self.current.load_full()
    }

    fn tell(&self) {
        self.changes
            .send_modify(|change| *change = change.wrapping_add(1));
    }
}

impl Held {
    fn new(
        material: &IdentityMaterial,
        before: Option<&Trust>,
        provider: &CryptoProvider,
    ) -> Result<Self, IdentityError> {
        let mut roots = Vec::new();
        for pem in &material.roots {
            let certificates = certificates_of(pem, "a file of identity.roots")?;
            roots.extend(certificates.iter().map(|root| root.to_vec()));
        }
        let mut trust = Trust::new(roots)?;
        for der in &material.lists {
            trust = with_file(trust, der)?;
        }
        for list in before.map_or(&[][..], Trust::lists) {
            // Refused if its root left, or if the files have a newer one: both are as it should be.
            if let Ok((newer, _)) =
                RevocationList::from_der(list.der()).and_then(|list| trust.with_list(list))
            {
                trust = newer;
            }
        }
        let chain = certificates_of(&material.certificate, "identity.certificate")?;
        let own = chain.first().map(|own| PeerIdentity::from_certificate(own));
        let what = "identity.certificate";
        let own = own.ok_or(IdentityError::NoCertificate { what })??;
        let certified = certified(chain, material, provider)?;
        Ok(Self {
            own: Arc::new(own),
            certified: Arc::new(certified),
            trust,
        })
    }
}

/// A list of a file. One that is older than another file's is passed over: the newest is in force.
fn with_file(trust: Trust, der: &[u8]) -> Result<Trust, RevocationError> {
    match trust.with_list(RevocationList::from_der(der)?) {
        Ok((trust, _)) => Ok(trust),
        Err(RevocationError::Backwards { .. }) => Ok(trust),
        Err(error) => Err(error),
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    material: &IdentityMaterial,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, IdentityError> {
    let wrong = |reason: String| IdentityError::Key { reason };
    let key = PrivateKeyDer::from_pem_slice(material.key.expose());
    let key = key.map_err(|_| wrong(String::from("it is no PEM of a private key")))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| wrong(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(certified)
}

impl fmt::Debug for IdentityStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.own();
        let mut shown = formatter.debug_struct("IdentityStore");
        shown
            .field("own", &own.identity.to_string())
            .finish_non_exhaustive()
    }
}
