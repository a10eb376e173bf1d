//! What a node's identity is made of: certificate, key, roots, lists, as files hold them.
//!
//! Does: read and write those files, keep the key secret. Does not: believe any of it (`store`).
//! In: [`IdentitySettings`]. Out: [`IdentityMaterial`]. Blocking calls.

use std::path::{Path, PathBuf};

use ocelli_model::secret::Secret;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use super::files::{
    self, FILE_BYTES_MAX, FileError, MODE_PUBLIC, MODE_SECRET, make_directory, read, read_secret,
};
use super::joining::{NodeKey, NodeKeyError};
use super::store::IdentityError;
use super::trust::{ROOTS_MAX, Trust, hex};

/// Where a node's identity is: the section `[identity]` as assembly hands it over.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// `certificate`: the chain, PEM, the node's own first.
    pub certificate: PathBuf,
    /// `key`: the private key, PEM, mode 0600.
    pub key: PathBuf,
    /// `roots`: PEM files of roots; foreign authorities and the next root are further entries.
    pub roots: Vec<PathBuf>,
    /// `crl`: a revocation list, PEM or DER. A missing file is no error: there is no list yet.
    pub crl: Option<PathBuf>,
    /// `token`: a join token.
    pub token: Option<Secret<String>>,
    /// `renew`: ask for a new certificate from ⅔ of the life of the old one.
    pub renew: bool,
    /// Not a key: `identity/` in the data directory, where lists of neighbours are kept.
    pub directory: PathBuf,
}

/// The bytes of an identity.
#[derive(Debug, Clone)]
pub struct IdentityMaterial {
    /// Certificates, PEM, the node's own first.
    pub certificate: Vec<u8>,
    /// Private key, PEM (PKCS #8, SEC 1 or PKCS #1).
    pub key: Secret<Vec<u8>>,
    /// Roots, PEM, any number a file.
    pub roots: Vec<Vec<u8>>,
    /// Revocation lists, DER.
    pub lists: Vec<Vec<u8>>,
}

impl IdentitySettings {
    /// The roots, PEM.
    ///
    /// # Errors
    /// [`FileError`] of the first that cannot be read.
    pub fn read_roots(&self) -> Result<Vec<Vec<u8>>, FileError> {
        let roots = self.roots.iter();
        roots.map(|path| read(path, FILE_BYTES_MAX)).collect()
    }

    /// The node's key, for a request.
    ///
    /// # Errors
    /// [`ReadKeyError`].
    pub fn read_key(&self) -> Result<NodeKey, ReadKeyError> {
        let pem = String::from_utf8(read_secret(&self.key)?);
        // What is no text is no key either; the reader says so.
        Ok(NodeKey::from_pem(&Secret::new(pem.unwrap_or_default()))?)
    }
}

/// Why a key cannot be used for a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadKeyError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in it.
    #[error("identity.key: {0}")]
    Key(#[from] NodeKeyError),
}

impl IdentityMaterial {
    /// Reads all files.
    ///
    /// # Errors
    /// [`FileError`] of the first that cannot be read.
    pub fn read(settings: &IdentitySettings) -> Result<Self, FileError> {
        let roots = settings.read_roots()?;
        let mut lists = read_lists(&settings.directory)?;
        if let Some(path) = settings.crl.as_ref().filter(|path| path.exists()) {
            lists.push(list_of(read(path, FILE_BYTES_MAX)?));
        }
        Ok(Self {
            certificate: read(&settings.certificate, FILE_BYTES_MAX)?,
            key: Secret::new(read_secret(&settings.key)?),
            roots,
            lists,
        })
    }
}

/// DER of a list that may be PEM.
#[must_use]
pub fn list_of(bytes: Vec<u8>) -> Vec<u8> {
    let list = CertificateRevocationListDer::from_pem_slice(&bytes);
    list.map_or(bytes, |list| list.to_vec())
}

/// DER of all certificates of a PEM text.
pub(super) fn certificates_of(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(IdentityError::NoCertificate { what }),
        Err(error) => {
            let reason = error.to_string();
            Err(IdentityError::Pem { what, reason })
        }
    }
}

/// Stores a certificate that an issuer answered with; the next reload takes it.
///
/// # Errors
/// [`FileError`]; the old certificate is then still there.
pub fn write_certificate(path: &Path, chain_pem: &[u8]) -> Result<(), FileError> {
    files::replace(path, chain_pem, MODE_PUBLIC)
}

/// Stores a new key, mode 0600.
///
/// # Errors
/// [`FileError`]; the old key is then still there.
pub fn write_key(path: &Path, pem: &Secret<String>) -> Result<(), FileError> {
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        make_directory(parent)?;
    }
    files::replace(path, pem.expose().as_bytes(), MODE_SECRET)
}

/// Keeps the lists in force, so that a restart does not forget who was revoked.
///
/// # Errors
/// [`FileError`] of the first that cannot be written.
pub fn write_lists(directory: &Path, trust: &Trust) -> Result<(), FileError> {
    make_directory(directory)?;
    for list in trust.lists() {
        let name = format!("revocations-{}.der", hex(&list.issuer()[..8]));
        files::replace(&directory.join(name), list.der(), MODE_PUBLIC)?;
    }
    Ok(())
}

fn read_lists(directory: &Path) -> Result<Vec<Vec<u8>>, FileError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(files::failed("list", directory)(error)),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| is_list(path))
        .take(ROOTS_MAX)
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| read(path, FILE_BYTES_MAX))
        .collect()
}

fn is_list(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name.starts_with("revocations-") && name.ends_with(".der")
}
