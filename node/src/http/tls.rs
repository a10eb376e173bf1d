//! HTTPS: certificate, key and client authorities, exchanged while the server runs.
//!
//! Does: read PEM files, hand each new handshake what was read last, tell the names of a client's
//! certificate. Does not: decide what a name may do (`access`).
//! In: `[http.tls]`. Out: a rustls configuration that follows [`Tls::reload`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use ocelli_config::sections::http::TlsConfig;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Names of one certificate that are looked at.
const NAMES_MAX: usize = 256;

/// Why HTTPS cannot be served with these files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the right kind.
    #[error("cannot read {path:?} of [http.tls]: {source}; check its path, mode and content")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file without a certificate.
    #[error("{path:?} of [http.tls] holds no certificate; give a PEM file with one")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Key and certificate do not fit, or the key is of no known kind.
    #[error("[http.tls] cert and key cannot be used: {0}; do they belong together?")]
    Pair(rustls::Error),
    /// No verifier can be made of the authorities.
    #[error("client_ca of [http.tls] cannot be used: {0}")]
    ClientCa(String),
}

/// What handshakes take.
struct Material {
    certified: Arc<CertifiedKey>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// HTTPS that can be given other files while it runs.
pub struct Tls {
    material: Arc<Swapped>,
}

/// The one object that rustls asks; it looks at what was read last.
struct Swapped(ArcSwap<Material>);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(config: &TlsConfig) -> Result<Self, TlsError> {
        let material = Arc::new(Swapped(ArcSwap::from_pointee(read(config)?)));
        Ok(Self { material })
    }

    /// Reads the files again; new handshakes take them, open connections stay.
    ///
    /// # Errors
    /// [`TlsError`]; what was read before stays.
    pub fn reload(&self, config: &TlsConfig) -> Result<(), TlsError> {
        self.material.0.store(Arc::new(read(config)?));
        Ok(())
    }

    /// What a server is configured with.
    ///
    /// # Errors
    /// [`TlsError::Pair`] if the provider lacks the usual versions, which ring does not.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        Ok(builder
            .with_client_cert_verifier(Arc::clone(&self.material) as _)
            .with_cert_resolver(Arc::clone(&self.material) as _))
    }
}

fn read(config: &TlsConfig) -> Result<Material, TlsError> {
    let provider = rustls::crypto::ring::default_provider();
    let chain = certificates(&config.cert)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|source| TlsError::File {
        path: config.key.clone(),
        source,
    })?;
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(TlsError::Pair)?;
    let verifier = match &config.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => client_verifier(path)?,
    };
    Ok(Material {
        certified: Arc::new(certified),
        verifier,
    })
}

fn client_verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::ClientCa(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // A client without a certificate may still have a token.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| TlsError::ClientCa(error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |source| TlsError::File {
        path: path.to_owned(),
        source,
    };
    let all = CertificateDer::pem_file_iter(path).map_err(refused)?;
    let all: Vec<CertificateDer<'static>> = all.collect::<Result<_, _>>().map_err(refused)?;
    if all.is_empty() {
        return Err(TlsError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(all)
}

/// DNS, URI and mail names of a certificate; none of what cannot be read.
pub(super) fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => {
            Some((*text).to_owned())
        }
        _ => None,
    };
    let names = names.value.general_names.iter().filter_map(text);
    names.take(NAMES_MAX).collect()
}

// === What rustls asks ===

impl std::fmt::Debug for Swapped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Swapped")
    }
}

impl ResolvesServerCert for Swapped {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}

impl ClientCertVerifier for Swapped {
    fn offer_client_auth(&self) -> bool {
        self.0.load().verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: they could not follow a reload, and clients choose well without.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let material = self.0.load();
        material
            .verifier
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let material = self.0.load();
        material
            .verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let material = self.0.load();
        material
            .verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
