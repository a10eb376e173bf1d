//! TLS between nodes: 1.3 alone, both ends proved, no resumption, no early data.
//!
//! Does: the rustls configurations of both ends, which read [`IdentityStore`] at each handshake, so
//! that a reload needs no restart. Does not: open sockets (`link`).
//! In: the store, whom the dialler expects. Out: `rustls` configurations for quinn.
//! No resumption: a resumed session would not show its certificate again, and a revoked one would
//! live on.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::joining::is_joining;
use super::store::IdentityStore;
use super::trust::{Expected, PeerRefused, Purpose};

/// The one protocol of a link.
pub const ALPN: &[u8] = b"ocelli/1";
/// What a dialler writes where TLS wants a host name. Certificates are checked by identity.
pub const SERVER_NAME: &str = "node.ocelli.invalid";

/// Whom an acceptor lets through the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nodes with a certificate of the mesh.
    Nodes,
    /// Also nodes that have a key and a join token only: an issuer's. Such a connection must be
    /// held to [`crate::identity::may_request`] with no tier.
    NodesAndJoining,
}

impl IdentityStore {
    /// The TLS of an acceptor, for the life of the process.
    ///
    /// # Errors
    /// [`rustls::Error`] if the provider lacks TLS 1.3: never with the one built in.
    pub fn server_config(self: &Arc<Self>, admission: Admission) -> Result<ServerConfig, Error> {
        let (provider, time) = (Arc::clone(&self.provider), Arc::clone(&self.time));
        let store = Arc::clone(self);
        let verifier = Verifier {
            store,
            expected: Expected::Anyone,
            admission,
        };
        let mut config = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(self))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// The TLS of a dialler that wants to reach `expected`.
    ///
    /// # Errors
    /// As [`IdentityStore::server_config`].
    pub fn client_config(self: &Arc<Self>, expected: Expected) -> Result<ClientConfig, Error> {
        let (provider, time) = (Arc::clone(&self.provider), Arc::clone(&self.time));
        let (store, admission) = (Arc::clone(self), Admission::Nodes);
        let verifier = Arc::new(Verifier {
            store,
            expected,
            admission,
        });
        let mut config = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(Resolver(Arc::clone(self))));
        harden(&mut config);
        Ok(config)
    }
}

/// Makes the one cryptography of this build the default of the process, for libraries that ask for
/// it; links name theirs. To be called once, first in `main`; later calls change nothing.
pub fn install_provider() {
    // An error says that there is a default already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

/// What holds for diallers with and without a certificate.
pub(super) fn harden(config: &mut ClientConfig) {
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
}

/// Our refusal inside an error of the TLS library: its text reaches both ends of the connection.
pub(super) fn told(refused: PeerRefused) -> Error {
    let told = OtherError(Arc::new(Told(refused)));
    Error::InvalidCertificate(CertificateError::Other(told))
}

/// The refusal that made a handshake fail, where the library's error is at hand. (quinn passes on
/// its text only.)
#[must_use]
pub fn refusal_of(error: &Error) -> Option<&PeerRefused> {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(told))) = error else {
        return None;
    };
    told.downcast_ref::<Told>().map(|told| &told.0)
}

/// Prints its text under `Debug` too, which is what the TLS library passes on.
struct Told(PeerRefused);

impl fmt::Debug for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl std::error::Error for Told {}

// === Both ends' verifier ===

#[derive(Debug)]
struct Verifier {
    store: Arc<IdentityStore>,
    expected: Expected,
    admission: Admission,
}

impl Verifier {
    fn judge(
        &self,
        first: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(first).chain(others).cloned().collect();
        let judged = self.store.judge(&chain, purpose, &self.expected, now);
        judged.map(drop).map_err(told)
    }
}

pub(super) fn schemes(provider: &CryptoProvider) -> Vec<SignatureScheme> {
    provider
        .signature_verification_algorithms
        .supported_schemes()
}

/// TLS 1.2 is not offered: its signatures never come.
pub(super) fn no_tls12() -> Error {
    Error::General(String::from(
        "nodes speak TLS 1.3 only; upgrade the other end",
    ))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, Purpose::Server, now)?;
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
        let algorithms = &self.store.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.store.provider)
    }
}

impl ClientCertVerifier for Verifier {
    /// None: a node has one certificate and shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let own = self.store.own();
        let admits_joining = self.admission == Admission::NodesAndJoining;
        if admits_joining && is_joining(end_entity, &own.identity.mesh) {
            return Ok(ClientCertVerified::assertion());
        }
        self.judge(end_entity, intermediates, Purpose::Client, now)?;
        Ok(ClientCertVerified::assertion())
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
        let algorithms = &self.store.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.store.provider)
    }
}

// === The own certificate, read at each handshake ===

#[derive(Debug)]
struct Resolver(Arc<IdentityStore>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.held().certified))
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(
        &self,
        _root_hints: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.held().certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
