//! Checks of `[identity]`: files, key, chain, names, how long the certificate lasts.
//!
//! Does: open it as a start would, and hold the chain against the own roots. Does not: dial.
//! In: a configuration, the time. Out: the identity, if it can be used, and [`Finding`]s.

use std::sync::Arc;

use ocelli_config::Config;
use ocelli_federation::identity::{Expected, IdentityStore, Validity};
use ocelli_model::clock::WallMs;

use super::Finding;
use crate::assembly::mesh::open_store;

const CHECK: &str = "identity";

pub(super) fn look(config: &Config, now: WallMs) -> (Option<Arc<IdentityStore>>, Vec<Finding>) {
    let Some(files) = &config.identity else {
        let needs = !config.upstreams.is_empty() || config.listen.quic.is_some();
        let finding = match needs {
            true => Finding::failing(CHECK, "", "links without [identity]", "add [identity]"),
            false => Finding::good(CHECK, "", "none: a node without neighbours"),
        };
        return (None, vec![finding]);
    };
    let subject = files.certificate.display().to_string();
    let store = match open_store(config) {
        Ok(Some(store)) => store,
        Ok(None) => {
            let reason = "no certificate yet: it is asked for with identity.token at the start";
            return (None, vec![Finding::good(CHECK, &subject, reason)]);
        }
        Err(error) => {
            let remedy = "issue it anew with `ocelli ca issue`, or mend the file that is named";
            return (
                None,
                vec![Finding::failing(
                    CHECK,
                    &subject,
                    &error.to_string(),
                    remedy,
                )],
            );
        }
    };
    let own = store.own();
    let name = own.identity.to_string();
    let mut findings = vec![validity(&name, Validity::of(&own, now))];
    // An end in time is told above, in its own words.
    let is_in_time = !matches!(
        Validity::of(&own, now),
        Validity::Expired { .. } | Validity::NotYet { .. }
    );
    if let Err(refused) = store.check(&store.own_chain(), &Expected::Anyone)
        && is_in_time
    {
        let remedy = "set identity.roots to the authority that issued it, or issue it anew";
        findings.push(Finding::failing(CHECK, &name, &refused.to_string(), remedy));
    }
    if !own.scope.allows(config.node.site.as_str()) {
        let reason = format!("it speaks for {}, not for its own site", own.scope);
        let remedy = "issue it anew with --speaks-for and the site's name";
        findings.push(Finding::failing(CHECK, &name, &reason, remedy));
    }
    (Some(store), findings)
}

pub(super) fn validity(name: &str, validity: Validity) -> Finding {
    let days = |left: std::time::Duration| left.as_secs() / 86_400;
    let check = "certificate";
    match validity {
        Validity::Sound { expires_in } => Finding::good(
            check,
            name,
            format!("valid for {} days more", days(expires_in)),
        ),
        Validity::EndsSoon { expires_in } => {
            let hours = expires_in.as_secs() / 3_600;
            let reason = format!("it ends in {} days ({hours} h)", days(expires_in));
            let remedy = "see why it is not renewed, or issue another and reload";
            Finding::warning(check, name, &reason, remedy)
        }
        Validity::Expired { since } => {
            let reason = format!("it ended {} days ago; neighbours refuse it", days(since));
            Finding::failing(check, name, &reason, "issue another and reload")
        }
        Validity::NotYet { begins_in } => {
            let reason = format!("it begins in {} s only", begins_in.as_secs());
            Finding::failing(
                check,
                name,
                &reason,
                "is the clock right? else issue another",
            )
        }
    }
}
