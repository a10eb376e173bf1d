//! Table of contents of identity: who a node is, what it may say, and how both are proved.
//!
//! Does: names and scopes in certificates, what an identity may send. Does not: open connections
//! (`link`), read configuration files.
//! In: certificates, keys and lists as bytes, and the time. Out: [`PeerIdentity`] and verdicts.

mod authority;
mod authority_directory;
mod files;
mod joining;
mod ledger;
mod material;
mod name;
mod peer;
pub mod pem;
mod percent;
mod permissions;
mod revocation;
mod scope;
mod signing;
mod store;
mod tls;
mod token;
mod trust;
mod validity;

pub use authority::{
    Authority, AuthorityError, BACKDATE_MS, CertificateRequest, DAY_MS, Grant, REQUEST_BYTES_MAX,
    ROOT_DAYS, backdated,
};
pub use authority_directory::{
    AuthorityDirectory, DirectoryError, IssueOrder, Issued, random_serial,
};
pub use files::FileError;
pub(crate) use files::{read as read_file, replace_public as replace_file};
pub use joining::{JoiningError, NodeKey, NodeKeyError, joining_config};
pub use ledger::{
    CERTIFICATE_DAYS, IssuedCertificate, Ledger, LedgerEntry, Proof, SignRefused, TOKENS_MAX,
    scope_of,
};
pub use material::{
    IdentityMaterial, IdentitySettings, ReadKeyError, list_of, write_certificate, write_key,
    write_lists,
};
pub use name::{IdentityNameError, NodeIdentity};
pub use ocelli_model::tier::Tier;
pub use peer::{PeerIdentity, PeerIdentityError, SITES_PER_CERTIFICATE_MAX, Serial, SerialError};
pub use permissions::{End, Forbidden, Standing, Verdict, may_link, may_request, may_send};
pub use revocation::{Applied, RevocationError, RevocationList};
pub use scope::{SiteScope, SiteScopeError};
pub use signing::{SigningRequest, SigningRequestError};
pub use store::{IdentityError, IdentityStore};
pub use tls::{ALPN, Admission, SERVER_NAME, install_provider, refusal_of};
pub use token::{TokenOrder, TokenRecord};
pub use trust::{Expected, PeerRefused, ROOTS_MAX, Trust, TrustError};
pub use validity::{Validity, WARN_BEFORE, is_renewal_due, renewal_at};

#[cfg(test)]
#[path = "identity/mesh_tests.rs"]
pub(crate) mod test_mesh;
