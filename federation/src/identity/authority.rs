//! The authority of a mesh: a root key that signs certificates and revocation lists.
//!
//! Does: make a root, sign what it is told to. Does not: decide who gets what (`signing`), keep
//! books (`ledger`), write files (`authority_directory`).
//! In: keys, requests, grants, the time. Out: certificates and lists.
//! ECDSA P-256 with SHA-256 throughout: the one algorithm that every TLS library of the mesh has.

use ocelli_model::clock::WallMs;
use ocelli_model::secret::Secret;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKey, PublicKeyData, RevokedCertParams,
    SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::joining::{NodeKey, NodeKeyError};
use super::name::NodeIdentity;
use super::peer::{PeerIdentity, PeerIdentityError, Serial, digest_of};
use super::percent::{decode, encode_into, is_name};
use super::scope::SiteScope;
use super::trust::hex;

/// Larger requests are refused unread; one of a node has 500 bytes.
pub const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Roots live ten years unless told otherwise.
pub const ROOT_DAYS: u32 = 3_650;
/// Clocks of nodes may differ by this: certificates are valid from so long ago, milliseconds.
pub const BACKDATE_MS: i64 = 300_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// The end of a list is not enforced (an authority may be offline for years), but must be stated.
const LIST_MS: i64 = 3_650 * DAY_MS;
/// An uncompressed point on P-256.
const PUBLIC_KEY_BYTES: usize = 65;
/// How the URI of a root begins; the mesh follows.
pub(super) const MESH_SCHEME: &str = "ocelli-mesh:";

/// A root with its key.
pub struct Authority {
    mesh: String,
    root_der: Vec<u8>,
    root_pem: String,
    not_after_ms: i64,
    issuer_digest: [u8; 32],
    issuer: Issuer<'static, KeyPair>,
}

/// A request for a certificate whose signature holds: who sent it has the key.
pub struct CertificateRequest {
    public_key: PublicKey,
    asked: Option<NodeIdentity>,
}

/// What an authority is told to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// For whom.
    pub identity: NodeIdentity,
    /// For which sites it may speak.
    pub scope: SiteScope,
    /// Number of the certificate.
    pub serial: Serial,
    /// Valid from.
    pub not_before: WallMs,
    /// Valid until; the root's end is the latest.
    pub not_after: WallMs,
}

/// Why an authority does not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// Not a name of a mesh.
    #[error("{mesh:?} is no name of a mesh; give 1 to 128 bytes without control characters")]
    Mesh {
        /// The text.
        mesh: String,
    },
    /// The root cannot be read or is no root of a mesh.
    #[error("root.pem is no root of a mesh; take the directory that `ocelli ca init` made")]
    Root,
    /// The key is not the root's.
    #[error("root-key.pem is not the key of root.pem; take both from one backup")]
    OtherKey,
    /// A key cannot be made or read.
    #[error(transparent)]
    Key(#[from] NodeKeyError),
    /// Not a certificate request, or one whose signature does not hold.
    #[error("certificate request cannot be used: {reason}; make it anew on the node")]
    Request {
        /// What is wrong.
        reason: String,
    },
    /// Another mesh.
    #[error("{identity} is of another mesh than this authority ({mesh}); use that mesh's own")]
    OtherMesh {
        /// For whom a certificate is wanted.
        identity: NodeIdentity,
        /// The authority's mesh.
        mesh: String,
    },
    /// A time that no certificate can state.
    #[error(
        "validity from {not_before} to {not_after} ms since 1970 is none; the root may have ended"
    )]
    Validity {
        /// Begin.
        not_before: i64,
        /// End.
        not_after: i64,
    },
    /// The certificate made would be refused by every node.
    #[error(transparent)]
    Unreadable(#[from] PeerIdentityError),
    /// The library refuses.
    #[error("cannot sign: {reason}; report this")]
    Sign {
        /// What it says.
        reason: String,
    },
}

fn sign_error(error: impl std::fmt::Display) -> AuthorityError {
    let reason = error.to_string();
    AuthorityError::Sign { reason }
}

impl CertificateRequest {
    /// Reads a request, DER or PEM, and checks that its sender has the key.
    ///
    /// # Errors
    /// [`AuthorityError::Request`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthorityError> {
        let wrong = |reason: &str| AuthorityError::Request {
            reason: reason.to_owned(),
        };
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(wrong("it has more than 16 KiB"));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(bytes)
            .unwrap_or_else(|_| CertificateSigningRequestDer::from(bytes));
        let request = CertificateSigningRequestParams::from_der(&der)
            .map_err(|error| wrong(&error.to_string()))?;
        let key = &request.public_key;
        let is_p256 = PublicKeyData::algorithm(key) == &PKCS_ECDSA_P256_SHA256;
        if !is_p256 || key.der_bytes().len() != PUBLIC_KEY_BYTES {
            return Err(wrong("its key is not ECDSA P-256"));
        }
        let asked = request
            .params
            .subject_alt_names
            .iter()
            .find_map(|name| match name {
                SanType::URI(uri) => uri.as_str().parse().ok(),
                _ => None,
            });
        let public_key = request.public_key;
        Ok(Self { public_key, asked })
    }

    /// The request of a key that is at hand.
    ///
    /// # Errors
    /// [`AuthorityError::Key`], [`AuthorityError::Request`].
    pub fn of_key(key: &NodeKey, identity: &NodeIdentity) -> Result<Self, AuthorityError> {
        Self::parse(&key.request(identity)?)
    }

    /// The public key.
    #[cfg(test)]
    pub(super) fn key_bytes(&self) -> &[u8] {
        self.public_key.der_bytes()
    }

    /// The identity that its sender would like to have.
    #[must_use]
    pub const fn asked(&self) -> Option<&NodeIdentity> {
        self.asked.as_ref()
    }
}

impl Authority {
    /// A new root for `mesh`, valid for `days` from `now`, and its key.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn create(
        mesh: &str,
        serial: &Serial,
        now: WallMs,
        days: u32,
    ) -> Result<(Self, Secret<String>), AuthorityError> {
        if !is_name(mesh) {
            let mesh = mesh.chars().take(64).collect();
            return Err(AuthorityError::Mesh { mesh });
        }
        let key = NodeKey::generate()?;
        let key_pem = key.to_pem();
        let mut params = CertificateParams::default();
        // Two roots of one mesh need two names: lists and chains are matched by them.
        let short = hex(serial.as_bytes().get(..4).unwrap_or_default());
        let name = format!("ocelli {mesh} root {short}");
        params.distinguished_name.push(DnType::CommonName, name);
        let mut uri = String::from(MESH_SCHEME);
        encode_into(mesh, &mut uri);
        let uri = uri.as_str().try_into().map_err(sign_error)?;
        params.subject_alt_names.push(SanType::URI(uri));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        let end = WallMs(now.0.saturating_add(i64::from(days) * DAY_MS));
        (params.not_before, params.not_after) = validity(backdated(now), end)?;
        let root = params.self_signed(key.pair()).map_err(sign_error)?;
        Ok((Self::open(&root.pem(), &key_pem)?, key_pem))
    }

    /// The authority of files.
    ///
    /// # Errors
    /// [`AuthorityError::Root`], [`AuthorityError::OtherKey`], [`AuthorityError::Key`].
    pub fn open(root_pem: &str, key_pem: &Secret<String>) -> Result<Self, AuthorityError> {
        let wrong = |_| AuthorityError::Root;
        let root = CertificateDer::from_pem_slice(root_pem.as_bytes()).map_err(wrong)?;
        let (_, read) = X509Certificate::from_der(&root).map_err(|_| AuthorityError::Root)?;
        let mesh = mesh_of(&read)
            .filter(|_| read.is_ca())
            .ok_or(AuthorityError::Root)?;
        let key = NodeKey::from_pem(key_pem)?;
        if key.public_der() != read.public_key().raw {
            return Err(AuthorityError::OtherKey);
        }
        let not_after_ms = read.validity().not_after.timestamp().saturating_mul(1_000);
        let issuer_digest = digest_of(read.subject().as_raw());
        let issuer = Issuer::from_ca_cert_der(&root, key.into_pair()).map_err(sign_error)?;
        Ok(Self {
            mesh,
            root_der: root.to_vec(),
            root_pem: root_pem.to_owned(),
            not_after_ms,
            issuer_digest,
            issuer,
        })
    }

    /// Its mesh.
    #[must_use]
    pub fn mesh(&self) -> &str {
        &self.mesh
    }

    /// The root certificate, PEM: what goes into `identity.roots` of each node.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root_der
    }

    /// When the root ends, milliseconds since 1970.
    #[must_use]
    pub const fn not_after_ms(&self) -> i64 {
        self.not_after_ms
    }

    /// Whether it signed the certificate of `peer`, going by names; the handshake proved it.
    #[must_use]
    pub fn is_issuer_of(&self, peer: &PeerIdentity) -> bool {
        peer.issuer == self.issuer_digest
    }

    /// Signs a certificate: PEM, and what a node will read in it.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue(
        &self,
        request: &CertificateRequest,
        grant: &Grant,
    ) -> Result<(String, PeerIdentity), AuthorityError> {
        if grant.identity.mesh != self.mesh {
            let (identity, mesh) = (grant.identity.clone(), self.mesh.clone());
            return Err(AuthorityError::OtherMesh { identity, mesh });
        }
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, grant.identity.node.as_str());
        let mut uris = vec![grant.identity.to_string()];
        uris.extend(grant.scope.uris());
        for uri in uris {
            let uri = uri.as_str().try_into().map_err(sign_error)?;
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(grant.serial.as_bytes()));
        let end = WallMs(grant.not_after.0.min(self.not_after_ms));
        (params.not_before, params.not_after) = validity(grant.not_before, end)?;
        let signed: Certificate = params
            .signed_by(&request.public_key, &self.issuer)
            .map_err(sign_error)?;
        let peer = PeerIdentity::from_certificate(signed.der())?;
        Ok((signed.pem(), peer))
    }

    /// Signs a revocation list, DER.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn revocations(
        &self,
        number: u64,
        revoked: &[(Serial, WallMs)],
        now: WallMs,
    ) -> Result<Vec<u8>, AuthorityError> {
        let mut entries = Vec::with_capacity(revoked.len());
        for (serial, at) in revoked {
            entries.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial.as_bytes()),
                revocation_time: date(at.0)?,
                reason_code: None,
                invalidity_date: None,
            });
        }
        let list = CertificateRevocationListParams {
            this_update: date(now.0)?,
            next_update: date(now.0.saturating_add(LIST_MS))?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: entries,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).map_err(sign_error)?;
        Ok(list.der().to_vec())
    }
}

/// `now`, as far back as clocks may differ.
#[must_use]
pub const fn backdated(now: WallMs) -> WallMs {
    WallMs(now.0.saturating_sub(BACKDATE_MS))
}

/// Where a certificate that lives for `life_ms` from `now` begins: as far back as clocks may
/// differ, a tenth of its life at most, so that a short one is not due for renewal when it is new.
#[must_use]
pub(super) const fn begin_of(now: WallMs, life_ms: i64) -> WallMs {
    let back = if life_ms / 10 < BACKDATE_MS {
        life_ms / 10
    } else {
        BACKDATE_MS
    };
    WallMs(now.0.saturating_sub(back))
}

fn mesh_of(root: &X509Certificate<'_>) -> Option<String> {
    let names = root.subject_alternative_name().ok()??;
    let names = names.value.general_names.iter();
    let mut meshes = names.filter_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(MESH_SCHEME).and_then(decode),
        _ => None,
    });
    meshes.next()
}

fn validity(
    begin: WallMs,
    end: WallMs,
) -> Result<(OffsetDateTime, OffsetDateTime), AuthorityError> {
    let (not_before, not_after) = (begin.0, end.0);
    if not_before >= not_after {
        return Err(AuthorityError::Validity {
            not_before,
            not_after,
        });
    }
    Ok((date(not_before)?, date(not_after)?))
}

fn date(ms: i64) -> Result<OffsetDateTime, AuthorityError> {
    let (not_before, not_after) = (ms, ms);
    let wrong = |_| AuthorityError::Validity {
        not_before,
        not_after,
    };
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).map_err(wrong)
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Authority");
        shown.field("mesh", &self.mesh).finish_non_exhaustive()
    }
}
