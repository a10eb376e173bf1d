//! What keeps a node in its mesh: links judged, certificates issued and renewed.
//!
//! Does: start the guard of links, the issuer where `ca.issuer` is set, renewal where
//! `identity.renew` is. Does not: decide any of it (`federation::membership`), join with a token
//! (`joining`).
//! In: an open endpoint, the configuration at the start. Out: tasks that end with [`Membership`].
//! An authority that cannot be opened is told and leaves the node without its issuer.

use ocelli_config::Config;
use ocelli_federation::identity::{Admission, AuthorityDirectory};
use ocelli_federation::link::MeshEndpoint;
use ocelli_federation::membership::{
    IssuerOptions, Renewal, RenewalOptions, guard_links, run_issuer, run_renewal,
};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::federation::FederationParts;
use super::mesh::settings_of;
use crate::rng::RealRng;

/// The tasks; they end when it is dropped.
pub(super) struct Membership(Vec<JoinHandle<()>>);

impl Drop for Membership {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// Whom the endpoint lets in: an issuer also those that have a join token only.
pub(super) fn admission(config: &Config) -> Admission {
    if config.ca.issuer {
        Admission::NodesAndJoining
    } else {
        Admission::Nodes
    }
}

/// Whom a certificate is asked of: the nodes above, then those beside.
pub(super) fn issuers_of(config: &Config) -> Vec<String> {
    let above = config.upstreams.iter().flat_map(|one| &one.connect);
    let beside = config.peers.iter().map(|one| &one.connect);
    let all = above.chain(beside);
    all.map(|address| address.host_and_port()).collect()
}

/// Starts what the configuration wants. Runs inside the endpoint's runtime.
pub(super) fn start(
    endpoint: &MeshEndpoint,
    parts: &FederationParts,
    config: &Config,
) -> Membership {
    let mut tasks = Vec::new();
    let identity = || Arc::clone(&parts.identity);
    let settings = settings_of(config).ok().flatten();
    if let Some(links) = endpoint.guard(identity()) {
        let directory = settings.as_ref().map(|one| one.directory.clone());
        let clock = Arc::clone(&parts.clock);
        tasks.push(tokio::spawn(guard_links(links, directory, clock)));
    }
    let issuer = config.ca.dir.as_ref().filter(|_| config.ca.issuer);
    match issuer.map(|path| AuthorityDirectory::open(path)) {
        Some(Ok(authority)) => {
            let options = IssuerOptions {
                authority: Arc::new(authority),
                identity: identity(),
                clock: Arc::clone(&parts.clock),
                rng: Box::new(RealRng::default()),
            };
            let signings = endpoint.take_signings(identity());
            tasks.push(tokio::spawn(run_issuer(signings, options)));
            info!("certificates are issued here");
        }
        Some(Err(error)) => warn!(%error, "certificates are not issued here"),
        None => {}
    }
    if let Some(settings) = settings.filter(|settings| settings.renew) {
        let options = RenewalOptions {
            identity: identity(),
            settings,
            issuers: issuers_of(config),
            clock: Arc::clone(&parts.clock),
        };
        let (renewal, _states) = Renewal::new(options, Box::new(RealRng::default()));
        tasks.push(tokio::spawn(run_renewal(renewal)));
    }
    Membership(tasks)
}
