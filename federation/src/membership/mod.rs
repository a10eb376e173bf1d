//! Table of contents of `membership`: how nodes come into a mesh, stay in it and are put out.
//!
//! Does: answer requests for certificates, join with a token, renew, spread revocations and cut
//! links. Does not: decide who is granted what (`identity`), carry frames (`link`).
//! In: an endpoint, an identity, time and chance. Out: tasks that assembly starts with one line:
//! [`guard_links`] with `endpoint.guard(identity)`, on every node; [`run_issuer`] with
//! `endpoint.take_signings(identity)` where `ca.issuer` is set, TLS then being
//! `Admission::NodesAndJoining`; [`run_renewal`] where `identity.renew` is, its issuers being the
//! addresses of the upstreams; [`join`] before the identity is opened, where `identity.token` is
//! set and `identity.certificate` is no file yet.

mod guard;
mod issuer;
mod issuers;
mod joiner;
mod outdated;
mod renewal;

pub use guard::guard_links;
pub use issuer::{IssuerOptions, run_issuer};
pub use issuers::IssuersError;
pub use joiner::{JoinError, JoinOptions, JoinState, join};
pub use outdated::{Outdated, outdated};
pub use renewal::{Renewal, RenewalOptions, RenewalState, run_renewal};

#[cfg(test)]
mod membership_tests;
