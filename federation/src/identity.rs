//! Table of contents of identity: who a node is, what it may say, and how both are proved.
//!
//! Does: names and scopes in certificates, what an identity may send. Does not: open connections
//! (`link`), read configuration files.
//! In: certificates, keys and lists as bytes, and the time. Out: [`PeerIdentity`] and verdicts.

mod name;
mod peer;
mod percent;
mod scope;

pub use name::{IdentityNameError, NodeIdentity};
pub use ocelli_model::tier::Tier;
pub use peer::{PeerIdentity, PeerIdentityError, SITES_PER_CERTIFICATE_MAX, Serial};
pub use scope::{SiteScope, SiteScopeError};
