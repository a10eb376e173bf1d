//! Certificates of one authority, made at start and handed to other processes as files.
//!
//! Does: issue a card for a URI, keep it in files, make TLS configurations of it.
//! Does not: check names (the mesh does). In: URIs. Out: [`Card`]s.

use std::path::Path;
use std::sync::Arc;

use ocelli_federation::identity::SERVER_NAME;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Scope of those who forward.
const EVERY_SITE: &str = "ocelli-site:*";

/// Who issues.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// What a node shows and trusts.
pub(crate) struct Card {
    root: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self { issuer, root }
    }

    /// A card for `ocelli://…`; sites speak for themselves, others for every site.
    pub(crate) fn card(&self, uri: &str) -> Card {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        let mut names = vec![uri];
        if !uri.contains("/site/") {
            names.push(EVERY_SITE);
        }
        for name in names {
            let name = SanType::URI(name.try_into().unwrap());
            params.subject_alt_names.push(name);
        }
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Card {
            root: self.root.clone(),
            leaf,
            key: key.serialize_der(),
        }
    }
}

impl Card {
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::write(folder.join("root.der"), &self.root).unwrap();
        std::fs::write(folder.join("leaf.der"), &self.leaf).unwrap();
        std::fs::write(folder.join("key.der"), &self.key).unwrap();
    }

    pub(crate) fn read(folder: &Path) -> Self {
        let read = |name| std::fs::read(folder.join(name)).unwrap();
        Self {
            root: read("root.der").into(),
            leaf: read("leaf.der").into(),
            key: read("key.der"),
        }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        Arc::new(roots)
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.clone()).unwrap()
    }

    pub(crate) fn server(&self) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&provider));
        rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![self.leaf.clone()], self.key())
            .unwrap()
    }

    pub(crate) fn client(&self) -> rustls::ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(vec![self.leaf.clone()], self.key())
            .unwrap()
    }
}
