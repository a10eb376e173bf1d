//! A node that has a key and a join token, and no certificate yet.
//!
//! Does: make its key and its request, the certificate by which it shows its key to an issuer, and
//! the TLS of that one connection. Does not: sign requests (`authority`), open sockets (`link`).
//! In: the mesh's name, roots. Out: [`NodeKey`], requests, a `rustls` configuration.
//! A joining certificate proves a key and nothing else: it is signed by itself, names the mesh and
//! no node, and an acceptor holds its connection to requests for a certificate.

use std::sync::Arc;

use ocelli_model::secret::Secret;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::material::certificates_of;
use super::name::NodeIdentity;
use super::percent::{decode, encode_into};
use super::store::IdentityError;
use super::tls::{harden, no_tls12, schemes, told};
use super::trust::{PeerRefused, Purpose, Trust};

/// How the URI of a joining certificate begins; the mesh follows.
const JOIN_SCHEME: &str = "ocelli-join:";
/// Larger joining certificates are refused unread: one has 400 bytes.
const JOINING_BYTES_MAX: usize = 4 << 10;

/// The private key of a node, made on the node. Never printed.
pub struct NodeKey(KeyPair);

/// The library cannot make or read a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action}: {reason}; make a new key with `ocelli ca issue` or a join token")]
pub struct NodeKeyError {
    action: &'static str,
    reason: String,
}

fn failed(action: &'static str) -> impl FnOnce(rcgen::Error) -> NodeKeyError {
    move |error| NodeKeyError {
        action,
        reason: error.to_string(),
    }
}

impl NodeKey {
    /// A new key, ECDSA P-256.
    ///
    /// # Errors
    /// [`NodeKeyError`] if the system has no random numbers.
    pub fn generate() -> Result<Self, NodeKeyError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        key.map(Self).map_err(failed("make a key"))
    }

    /// The key of a PEM text, PKCS #8.
    ///
    /// # Errors
    /// [`NodeKeyError`] if it is none, or of another kind than ECDSA P-256.
    pub fn from_pem(pem: &Secret<String>) -> Result<Self, NodeKeyError> {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(pem.expose(), &PKCS_ECDSA_P256_SHA256);
        key.map(Self).map_err(failed("read the key"))
    }

    /// PEM, for a file of mode 0600.
    #[must_use]
    pub fn to_pem(&self) -> Secret<String> {
        Secret::new(self.0.serialize_pem())
    }

    pub(super) const fn pair(&self) -> &KeyPair {
        &self.0
    }

    pub(super) fn into_pair(self) -> KeyPair {
        self.0
    }

    /// The public half, DER.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// A request for a certificate in the name of `identity`, DER. What the issuer grants is
    /// decided by the token or the valid certificate, not by the names asked for.
    ///
    /// # Errors
    /// [`NodeKeyError`] if the key cannot sign.
    pub fn request(&self, identity: &NodeIdentity) -> Result<Vec<u8>, NodeKeyError> {
        let params = params(&identity.node, &identity.to_string())?;
        let request = params.serialize_request(&self.0);
        let request = request.map_err(failed("make a certificate request"))?;
        Ok(request.der().to_vec())
    }
}

fn params(common_name: &str, uri: &str) -> Result<CertificateParams, NodeKeyError> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let uri = uri.try_into().map_err(failed("write the name"))?;
    params.subject_alt_names.push(SanType::URI(uri));
    Ok(params)
}

/// Whether an unverified certificate is a joining one of this mesh. The handshake proves its key.
pub(super) fn is_joining(der: &[u8], mesh: &str) -> bool {
    der.len() <= JOINING_BYTES_MAX && mesh_of(der).as_deref() == Some(mesh)
}

/// Exactly one name, and that is the mesh.
fn mesh_of(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => decode(uri.strip_prefix(JOIN_SCHEME)?),
        _ => None,
    }
}

/// The TLS of a node that asks an issuer of `mesh` for its first certificate. `roots` are PEM: the
/// issuer is checked as any peer is.
///
/// # Errors
/// [`JoiningError`].
pub fn joining_config(
    key: &NodeKey,
    mesh: &str,
    roots: &[Vec<u8>],
    time: Arc<dyn TimeProvider>,
) -> Result<ClientConfig, JoiningError> {
    let mut uri = String::from(JOIN_SCHEME);
    encode_into(mesh, &mut uri);
    let certificate = params("joining", &uri)?.self_signed(key.pair());
    let certificate = certificate.map_err(failed("make a joining certificate"))?;
    let mut anchors = Vec::new();
    for pem in roots {
        let certificates = certificates_of(pem, "a file of identity.roots")?;
        anchors.extend(certificates.iter().map(|root| root.to_vec()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = IssuerVerifier {
        trust: Trust::new(anchors).map_err(IdentityError::from)?,
        mesh: mesh.to_owned(),
        provider: Arc::clone(&provider),
    };
    let private = PrivatePkcs8KeyDer::from(key.pair().serialize_der());
    let mut config = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(private),
        )?;
    harden(&mut config);
    Ok(config)
}

/// Why a node cannot begin to join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoiningError {
    /// Its key.
    #[error(transparent)]
    Key(#[from] NodeKeyError),
    /// Its roots.
    #[error(transparent)]
    Roots(#[from] IdentityError),
    /// The TLS library.
    #[error("TLS of a joining node: {0}; report this")]
    Tls(#[from] Error),
}

/// Believes any node of the mesh.
#[derive(Debug)]
struct IssuerVerifier {
    trust: Trust,
    mesh: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for IssuerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<CertificateDer<'_>> = std::iter::once(end_entity)
            .chain(intermediates)
            .cloned()
            .collect();
        let algorithms = self.provider.signature_verification_algorithms.all;
        let peer = self.trust.verify(&chain, Purpose::Server, algorithms, now);
        let peer = peer.map_err(told)?;
        if peer.identity.mesh != self.mesh {
            let (who, mesh) = (peer.identity, self.mesh.clone());
            return Err(told(PeerRefused::WrongMesh { who, mesh }));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.provider)
    }
}
