//! Whom a node believes: roots, revocation lists, and the verdict over a certificate chain.
//!
//! Does: check chain, validity, purpose, revocation, then who the certificate names and whether
//! that is whom we want. Does not: TLS (`tls`), files (`material`).
//! In: a chain and the time. Out: [`PeerIdentity`] or [`PeerRefused`] with reason and remedy.
//! Host names do not count: nodes move, their names in certificates do not.

use std::sync::Arc;

use ocelli_model::clock::WallMs;
use ocelli_model::rfc3339::rfc3339_of;
use ocelli_model::tier::Tier;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};

use super::name::NodeIdentity;
use super::peer::{PeerIdentity, PeerIdentityError, fingerprint_of};
use super::revocation::{Applied, RevocationError, RevocationList};

/// Roots that a node believes at once: its own, one to come, foreign ones.
pub const ROOTS_MAX: usize = 32;
/// Certificates of one chain, the peer's own included.
const CHAIN_MAX: usize = 4;

/// Roots and lists, whole; replaced, never changed.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: Vec<Vec<u8>>,
    anchors: Vec<TrustAnchor<'static>>,
    lists: Vec<Arc<RevocationList>>,
}

/// Which node a dialler wants to reach, or an acceptor to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Any node of the mesh (clients, acceptors: the role decides later).
    Anyone,
    /// An upstream: of the own tier or above, never a site.
    Upstream,
    /// A `[[peer]]`: another node of the own tier, not of a site.
    Peer,
    /// Another node of the own site, region or global.
    SameGroup,
    /// This node alone.
    Node(NodeIdentity),
}

/// What a certificate must be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To accept links.
    Server,
    /// To dial.
    Client,
}

/// Why a peer is not let in, or not spoken to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerRefused {
    /// No root of ours signed it.
    #[error(
        "certificate {fingerprint} is not signed by a root of this node; \
         add its root to identity.roots or issue the certificate by this mesh's authority"
    )]
    WrongAuthority {
        /// The first bytes of its fingerprint, as `ocelli ca show` prints it.
        fingerprint: String,
    },
    /// Too late.
    #[error(
        "certificate of {who} expired at {}; renew it with `ocelli ca issue`, \
         and check both clocks",
        rfc3339_of(WallMs(*.not_after_ms))
    )]
    Expired {
        /// Whose.
        who: String,
        /// Until when it was valid, milliseconds since 1970.
        not_after_ms: i64,
    },
    /// Too early.
    #[error(
        "certificate of {who} is not valid before {}; check the clocks of both nodes",
        rfc3339_of(WallMs(*.not_before_ms))
    )]
    NotYetValid {
        /// Whose.
        who: String,
        /// From when on it is valid, milliseconds since 1970.
        not_before_ms: i64,
    },
    /// Taken back.
    #[error("certificate of {who} was revoked; issue a new one if the node is still wanted")]
    Revoked {
        /// Whose.
        who: String,
    },
    /// Good for something else.
    #[error(
        "certificate of {who} is not made for nodes (key usages server and client); \
         issue it with `ocelli ca issue`"
    )]
    Purpose {
        /// Whose.
        who: String,
    },
    /// Damaged, forged or of a form that is not supported.
    #[error("certificate chain of {who} does not hold: {reason}; issue the certificate again")]
    Chain {
        /// Whose.
        who: String,
        /// What does not hold.
        reason: String,
    },
    /// It names no node.
    #[error(transparent)]
    Identity(#[from] PeerIdentityError),
    /// A node of another mesh.
    #[error("{who} is of another mesh than this node ({mesh}); connect nodes of one mesh")]
    WrongMesh {
        /// Who it is.
        who: NodeIdentity,
        /// This node's mesh.
        mesh: String,
    },
    /// A node of a tier that is not wanted there.
    #[error("{who} is of tier {}, wanted is {wanted}; correct the address", who.tier)]
    WrongTier {
        /// Who it is.
        who: NodeIdentity,
        /// What is wanted.
        wanted: &'static str,
    },
    /// Another node than the one wanted.
    #[error("{who} answered where {wanted} is wanted; correct the address or the name")]
    WrongNode {
        /// Who it is.
        who: NodeIdentity,
        /// Who is wanted.
        wanted: String,
    },
    /// No chain, or a longer one than any mesh has.
    #[error(
        "{certificates} certificates in the chain; 1 to {CHAIN_MAX} are allowed, the node's first"
    )]
    ChainLength {
        /// How many.
        certificates: usize,
    },
}

impl PeerRefused {
    /// Its name in metrics and audits.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WrongAuthority { .. } => "wrong_authority",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Revoked { .. } => "revoked",
            Self::Purpose { .. } => "purpose",
            Self::Chain { .. } | Self::ChainLength { .. } => "chain",
            Self::Identity(_) => "identity",
            Self::WrongMesh { .. } => "wrong_mesh",
            Self::WrongTier { .. } => "wrong_tier",
            Self::WrongNode { .. } => "wrong_node",
        }
    }
}

/// Why there is nothing to trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// No root, or more than allowed.
    #[error("{roots} roots in identity.roots; give 1 to {ROOTS_MAX}")]
    Count {
        /// How many.
        roots: usize,
    },
    /// Not a root.
    #[error("root {index} (from 0) of identity.roots is no certificate; give the authority's root")]
    Root {
        /// Which.
        index: usize,
    },
}

impl Trust {
    /// Trust in these roots, DER, without any list.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(roots: Vec<Vec<u8>>) -> Result<Self, TrustError> {
        if !(1..=ROOTS_MAX).contains(&roots.len()) {
            return Err(TrustError::Count { roots: roots.len() });
        }
        let mut anchors = Vec::with_capacity(roots.len());
        for (index, root) in roots.iter().enumerate() {
            let der = CertificateDer::from(root.as_slice());
            let anchor = anchor_from_trusted_cert(&der).map_err(|_| TrustError::Root { index })?;
            anchors.push(anchor.to_owned());
        }
        let lists = Vec::new();
        Ok(Self {
            roots,
            anchors,
            lists,
        })
    }

    /// The same trust with a list more, or with a newer one of its issuer.
    ///
    /// # Errors
    /// [`RevocationError`]: nothing has changed.
    pub fn with_list(&self, list: RevocationList) -> Result<(Self, Applied), RevocationError> {
        list.check_signature(&self.roots)?;
        let number = list.number();
        let mut lists = self.lists.clone();
        if let Some(held) = lists.iter().find(|held| held.issuer() == list.issuer()) {
            let held = held.number();
            if number < held {
                return Err(RevocationError::Backwards {
                    found: number,
                    held,
                });
            }
            if number == held {
                return Ok((self.clone(), Applied::Held));
            }
        }
        lists.retain(|held| held.issuer() != list.issuer());
        lists.push(Arc::new(list));
        let trust = Self {
            lists,
            ..self.clone()
        };
        Ok((trust, Applied::New { number }))
    }

    /// The roots, DER.
    #[must_use]
    pub fn roots(&self) -> &[Vec<u8>] {
        &self.roots
    }

    /// The lists in force, at most one an issuer.
    #[must_use]
    pub fn lists(&self) -> &[Arc<RevocationList>] {
        &self.lists
    }

    /// Who stands at the end of `chain`, if it holds at `now`.
    pub(super) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        purpose: Purpose,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        now: UnixTime,
    ) -> Result<PeerIdentity, PeerRefused> {
        let certificates = chain.len();
        let Some((first, others)) = chain.split_first().filter(|_| certificates <= CHAIN_MAX)
        else {
            return Err(PeerRefused::ChainLength { certificates });
        };
        let refused = |error| refusal(error, first);
        let lists: Vec<&CertRevocationList<'_>> =
            self.lists.iter().map(|list| &list.for_chain).collect();
        // Without any list the builder has nothing to build: then nothing is revoked yet.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|builder| {
            builder
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(ExpirationPolicy::Ignore)
                .build()
        });
        let usage = match purpose {
            Purpose::Server => KeyUsage::server_auth(),
            Purpose::Client => KeyUsage::client_auth(),
        };
        EndEntityCert::try_from(first)
            .map_err(refused)?
            .verify_for_usage(
                algorithms,
                &self.anchors,
                others,
                now,
                usage,
                revocation,
                None,
            )
            .map_err(refused)?;
        Ok(PeerIdentity::from_certificate(first)?)
    }
}

impl Expected {
    /// Whether `peer` is whom `own` wants.
    ///
    /// # Errors
    /// [`PeerRefused::WrongMesh`], [`PeerRefused::WrongTier`], [`PeerRefused::WrongNode`].
    pub fn check(&self, own: &NodeIdentity, peer: &NodeIdentity) -> Result<(), PeerRefused> {
        if own.mesh != peer.mesh {
            let (who, mesh) = (peer.clone(), own.mesh.clone());
            return Err(PeerRefused::WrongMesh { who, mesh });
        }
        let wrong_tier = |wanted| {
            let who = peer.clone();
            Err(PeerRefused::WrongTier { who, wanted })
        };
        let is_site = peer.tier == Tier::Site;
        match self {
            Self::Upstream if is_site || peer.tier < own.tier => {
                wrong_tier("a region or global, not below this node")
            }
            Self::Peer if is_site || peer.tier != own.tier => {
                wrong_tier("this node's own tier, region or global")
            }
            Self::SameGroup if !peer.is_same_group(own) => {
                let (who, wanted) = (peer.clone(), format!("a node of {} {}", own.tier, own.name));
                Err(PeerRefused::WrongNode { who, wanted })
            }
            Self::Node(wanted) if wanted != peer => {
                let (who, wanted) = (peer.clone(), wanted.to_string());
                Err(PeerRefused::WrongNode { who, wanted })
            }
            Self::Anyone | Self::Upstream | Self::Peer | Self::SameGroup | Self::Node(_) => Ok(()),
        }
    }
}

/// What did not hold, in words for the operator. Names are not proved yet: they help to find the
/// node that sent them.
fn refusal(error: webpki::Error, certificate: &CertificateDer<'_>) -> PeerRefused {
    let fingerprint = hex(&fingerprint_of(certificate)[..8]);
    let peer = PeerIdentity::from_certificate(certificate).ok();
    let who = peer.map_or_else(|| fingerprint.clone(), |peer| peer.identity.to_string());
    match error {
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            PeerRefused::WrongAuthority { fingerprint }
        }
        webpki::Error::CertExpired { not_after, .. } => {
            let not_after_ms = ms(not_after);
            PeerRefused::Expired { who, not_after_ms }
        }
        webpki::Error::CertNotValidYet { not_before, .. } => {
            let not_before_ms = ms(not_before);
            PeerRefused::NotYetValid { who, not_before_ms }
        }
        webpki::Error::CertRevoked => PeerRefused::Revoked { who },
        webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension => {
            PeerRefused::Purpose { who }
        }
        other => {
            let reason = other.to_string();
            PeerRefused::Chain { who, reason }
        }
    }
}

fn ms(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).map_or(i64::MAX, |seconds| seconds.saturating_mul(1_000))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
