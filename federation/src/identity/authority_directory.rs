//! An authority on disk: `root.pem`, `root-key.pem`, `index.jsonl`, `crl.pem`.
//!
//! Does: open, decide, sign, write down, answer, under one lock, so that the command line and an
//! issuing node may share a directory. Does not: decide (`ledger`), sign (`authority`).
//! In: a directory, orders, requests, time, chance. Out: certificates, tokens, lists.
//! Order: what is answered has been written down before. Blocking calls: not on an arbiter.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ocelli_model::clock::{Rng, WallMs};
use ocelli_model::secret::Secret;

use super::authority::{Authority, AuthorityError, CertificateRequest, Grant, begin_of};
use super::files::{
    self, FILE_BYTES_MAX, FileError, MODE_PUBLIC, MODE_SECRET, append, make_directory, read,
    read_secret, replace,
};
use super::joining::NodeKey;
use super::ledger::{
    IssuedCertificate, Ledger, LedgerEntry, Proof, SignRefused, TOKENS_MAX, scope_of,
};
use super::material::list_of;
use super::name::NodeIdentity;
use super::peer::{PeerIdentity, Serial};
use super::revocation::{RevocationError, RevocationList};
use super::scope::SiteScope;
use super::token::{TokenOrder, mint};

/// About 100,000 certificates; beyond it a new root is due.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// An authority with its books.
#[derive(Debug)]
pub struct AuthorityDirectory {
    path: PathBuf,
    authority: Authority,
}

/// A certificate as an operator orders it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueOrder {
    /// For whom.
    pub identity: NodeIdentity,
    /// Sites that it may speak for; empty: its own name, or for other tiers than site all.
    pub speaks_for: Vec<String>,
    /// How long it is valid from now on; ends with the root at the latest.
    pub valid_for: Duration,
}

/// What was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM, for `identity.certificate`.
    pub certificate_pem: String,
    /// What it says.
    pub peer: PeerIdentity,
}

/// Why an authority's directory does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// An authority is there.
    #[error(
        "{} holds an authority, which is never overwritten; choose another directory",
        .0.display()
    )]
    Exists(PathBuf),
    /// Root or key.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A line of the books.
    #[error("{}, line {line}, is damaged: {reason}; restore it from a backup", path.display())]
    Index {
        /// Which file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A request is refused.
    #[error(transparent)]
    Refused(#[from] SignRefused),
    /// The list would be too large.
    #[error(transparent)]
    Revocation(#[from] RevocationError),
    /// Nothing to revoke.
    #[error("no valid certificate is meant by {word:?}; `ocelli ca list` shows them")]
    NothingNamed {
        /// What was given.
        word: String,
    },
    /// Several nodes to revoke.
    #[error("{word:?} means several nodes: {}; give one identity or serial", identities.join(", "))]
    Ambiguous {
        /// What was given.
        word: String,
        /// Who is meant.
        identities: Vec<String>,
    },
    /// Too many tokens.
    #[error("{TOKENS_MAX} join tokens are open, the limit; wait until one expires")]
    TooManyTokens,
}

/// A serial of 127 random bits: unique under an issuer without a count (RFC 5280 §4.1.2.2).
pub fn random_serial(rng: &mut dyn Rng) -> Serial {
    let high = rng.next_u64() >> 1 | 1 << 62;
    let number = u128::from(high) << 64 | u128::from(rng.next_u64());
    Serial::from_number(number)
}

impl AuthorityDirectory {
    /// Makes a root in a directory that has none, with an empty revocation list.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn init(
        path: &Path,
        mesh: &str,
        days: u32,
        (now, rng): (WallMs, &mut dyn Rng),
    ) -> Result<Self, DirectoryError> {
        make_directory(path)?;
        let lock = lock(path)?;
        if path.join("root-key.pem").exists() || path.join("root.pem").exists() {
            return Err(DirectoryError::Exists(path.to_owned()));
        }
        let (authority, key) = Authority::create(mesh, &random_serial(rng), now, days)?;
        replace(
            &path.join("root-key.pem"),
            key.expose().as_bytes(),
            MODE_SECRET,
        )?;
        replace(
            &path.join("root.pem"),
            authority.root_pem().as_bytes(),
            MODE_PUBLIC,
        )?;
        drop(lock);
        let path = path.to_owned();
        let directory = Self { path, authority };
        directory.revoke_serials(Vec::new(), now)?;
        Ok(directory)
    }

    /// Opens what [`AuthorityDirectory::init`] made.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let root = read(&path.join("root.pem"), FILE_BYTES_MAX)?;
        let key = read_secret(&path.join("root-key.pem"))?;
        let root = String::from_utf8(root).map_err(|_| AuthorityError::Root)?;
        let key = String::from_utf8(key).map_err(|_| AuthorityError::OtherKey)?;
        let authority = Authority::open(&root, &Secret::new(key))?;
        let path = path.to_owned();
        Ok(Self { path, authority })
    }

    /// The root and its mesh.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The books as they are now.
    ///
    /// # Errors
    /// [`DirectoryError::File`], [`DirectoryError::Index`].
    pub fn ledger(&self) -> Result<Ledger, DirectoryError> {
        Ok(self.load()?.0)
    }

    /// The newest revocation list, DER.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn revocations(&self, now: WallMs) -> Result<Vec<u8>, DirectoryError> {
        let ledger = self.ledger()?;
        let list = ledger.listed(now);
        Ok(self
            .authority
            .revocations(ledger.list_number(), &list, now)?)
    }

    /// The revocation list as it was written last, DER: whoever revoked, this process or another.
    ///
    /// # Errors
    /// [`DirectoryError::File`].
    pub fn written_list(&self) -> Result<Vec<u8>, DirectoryError> {
        let bytes = read(&self.path.join("crl.pem"), FILE_BYTES_MAX)?;
        Ok(list_of(bytes))
    }

    /// Issues what the operator orders. `not_after` ends with the root at the latest.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn issue(
        &self,
        request: &CertificateRequest,
        grant: &Grant,
        now: WallMs,
    ) -> Result<Issued, DirectoryError> {
        let lock = lock(&self.path)?;
        let issued = self.sign_and_note(request, grant, (now, None))?;
        drop(lock);
        Ok(issued)
    }

    /// Issues what an operator orders, for a request that was made on the node.
    ///
    /// # Errors
    /// [`DirectoryError`]; [`DirectoryError::Refused`] if a site of the order is none.
    pub fn issue_for(
        &self,
        request: &CertificateRequest,
        order: IssueOrder,
        (now, rng): (WallMs, &mut dyn Rng),
    ) -> Result<Issued, DirectoryError> {
        let life_ms = i64::try_from(order.valid_for.as_millis()).unwrap_or(i64::MAX);
        let scope = scope_of(&order.identity, &order.speaks_for);
        let grant = Grant {
            scope: scope.map_err(SignRefused::from)?,
            identity: order.identity,
            serial: random_serial(rng),
            not_before: begin_of(now, life_ms),
            not_after: WallMs(now.0.saturating_add(life_ms)),
        };
        self.issue(request, &grant, now)
    }

    /// The same where the node's key is at hand.
    ///
    /// # Errors
    /// As [`AuthorityDirectory::issue_for`]; [`DirectoryError::Authority`] if the key cannot sign.
    pub fn issue_with_key(
        &self,
        key: &NodeKey,
        order: IssueOrder,
        at: (WallMs, &mut dyn Rng),
    ) -> Result<Issued, DirectoryError> {
        let request = CertificateRequest::of_key(key, &order.identity)?;
        self.issue_for(&request, order, at)
    }

    /// Answers a node: `Request::SignCertificate`.
    ///
    /// # Errors
    /// [`DirectoryError::Refused`] for the node and the audit; others are ours to repair.
    pub fn sign(
        &self,
        csr: &[u8],
        proof: Proof<'_>,
        (now, rng): (WallMs, &mut dyn Rng),
    ) -> Result<Issued, DirectoryError> {
        let request = CertificateRequest::parse(csr)?;
        let serial = random_serial(rng);
        let lock = lock(&self.path)?;
        let ledger = self.ledger()?;
        let (grant, token) = ledger.decide(&self.authority, &request, proof, (now, serial))?;
        let issued = self.sign_and_note(&request, &grant, (now, token))?;
        drop(lock);
        Ok(issued)
    }

    /// Makes a token; its text is in the answer alone.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn token(
        &self,
        order: TokenOrder,
        (now, rng): (WallMs, &mut dyn Rng),
    ) -> Result<Secret<String>, DirectoryError> {
        // What cannot be granted later is refused now.
        let node = order.node.as_deref().unwrap_or("node");
        let mesh = self.authority.mesh();
        let identity = NodeIdentity::new(mesh, order.tier, &order.name, node);
        let identity = identity.map_err(SignRefused::from)?;
        let scope = scope_of(&identity, &order.speaks_for);
        scope.map_err(SignRefused::from)?;
        let lock = lock(&self.path)?;
        if self.ledger()?.tokens(now).count() >= TOKENS_MAX {
            return Err(DirectoryError::TooManyTokens);
        }
        let (text, record) = mint(rng, order);
        self.note(&LedgerEntry::Token(record))?;
        drop(lock);
        Ok(text)
    }

    /// Revokes all valid certificates of a node, or one by its serial, and writes the new list.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn revoke(
        &self,
        word: &str,
        now: WallMs,
    ) -> Result<Vec<IssuedCertificate>, DirectoryError> {
        let ledger = self.ledger()?;
        let named: Vec<IssuedCertificate> = ledger.named(word, now).into_iter().cloned().collect();
        let Some(first) = named.first() else {
            let word = word.to_owned();
            return Err(DirectoryError::NothingNamed { word });
        };
        if named.iter().any(|one| one.identity != first.identity) {
            let word = word.to_owned();
            let identities = named.iter().map(|one| one.identity.to_string()).collect();
            return Err(DirectoryError::Ambiguous { word, identities });
        }
        let serials = named.iter().map(|one| one.serial.clone()).collect();
        self.revoke_serials(serials, now)?;
        Ok(named)
    }

    fn revoke_serials(&self, serials: Vec<Serial>, now: WallMs) -> Result<(), DirectoryError> {
        let lock = lock(&self.path)?;
        let mut ledger = self.ledger()?;
        let list = ledger.list_number().saturating_add(1);
        let entry = LedgerEntry::Revoked {
            serials,
            at: now,
            list,
        };
        ledger.apply(entry.clone());
        let der = self.authority.revocations(list, &ledger.listed(now), now)?;
        // Too large a list must not get into the books.
        RevocationList::from_der(&der)?;
        self.note(&entry)?;
        replace(
            &self.path.join("crl.pem"),
            pem_of_list(&der).as_bytes(),
            MODE_PUBLIC,
        )?;
        drop(lock);
        Ok(())
    }

    fn sign_and_note(
        &self,
        request: &CertificateRequest,
        grant: &Grant,
        (now, token): (WallMs, Option<String>),
    ) -> Result<Issued, DirectoryError> {
        let (certificate_pem, peer) = self.authority.issue(request, grant)?;
        let speaks_for = match &peer.scope {
            SiteScope::Every => vec![String::from("*")],
            SiteScope::Sites(sites) => sites.iter().cloned().collect(),
        };
        self.note(&LedgerEntry::Issued(IssuedCertificate {
            serial: peer.serial.clone(),
            identity: peer.identity.clone(),
            speaks_for,
            not_before: WallMs(peer.not_before_ms),
            not_after: WallMs(peer.not_after_ms),
            fingerprint: peer.fingerprint_hex(),
            issued: now,
            token,
        }))?;
        Ok(Issued {
            certificate_pem,
            peer,
        })
    }

    /// Appends a line. What a crash left of a line before it is cut off first.
    fn note(&self, entry: &LedgerEntry) -> Result<(), DirectoryError> {
        let path = self.path.join("index.jsonl");
        let (_, whole, is_torn) = self.load()?;
        let line = serde_json::to_string(entry);
        let mut line = line.map_err(|error| DirectoryError::Index {
            path: path.clone(),
            line: 0,
            reason: error.to_string(),
        })?;
        line.push('\n');
        if is_torn {
            let text = whole + &line;
            return Ok(replace(&path, text.as_bytes(), MODE_SECRET)?);
        }
        Ok(append(&path, line.as_bytes())?)
    }

    /// State, whole lines, whether there is a torn one behind them.
    fn load(&self) -> Result<(Ledger, String, bool), DirectoryError> {
        let path = self.path.join("index.jsonl");
        let mut ledger = Ledger::default();
        if !path.exists() {
            return Ok((ledger, String::new(), false));
        }
        let damaged = |line: usize, reason: String| DirectoryError::Index {
            path: path.clone(),
            line,
            reason,
        };
        let bytes = read(&path, INDEX_BYTES_MAX)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let is_torn = whole < bytes.len();
        let text = bytes.get(..whole).unwrap_or_default().to_vec();
        let text = String::from_utf8(text).map_err(|_| damaged(0, String::from("not UTF-8")))?;
        for (index, line) in text.lines().enumerate() {
            let entry = serde_json::from_str(line);
            let entry = entry.map_err(|error| damaged(index + 1, error.to_string()))?;
            ledger.apply(entry);
        }
        Ok((ledger, text, is_torn))
    }
}

/// Held while the books are read and written; the system frees it with the process.
fn lock(path: &Path) -> Result<File, FileError> {
    let path = path.join("lock");
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .append(true)
        .mode(MODE_SECRET)
        .open(&path);
    let file = file.map_err(files::failed("open", &path))?;
    file.lock().map_err(files::failed("lock", &path))?;
    Ok(file)
}

fn pem_of_list(der: &[u8]) -> String {
    super::pem::encode("X509 CRL", der)
}

#[cfg(test)]
#[path = "authority_directory_tests.rs"]
mod tests;
