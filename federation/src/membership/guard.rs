//! Watches over trust while links stand: who is revoked is cut, and everybody learns of it.
//!
//! Does: judge every live link after each change of the identity, end those whose certificate has
//! ended, take lists of neighbours, hand lists on to every link, keep them on disk.
//! Does not: judge a certificate (`identity`), keep new links out (the endpoint asks by itself).
//! In: [`GuardedLinks`] of the endpoint. Out: links cut, lists sent; a log line for each change.
//! A list reaches the neighbours within 3 s of its arrival, so the far end of three hops in 9 s.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::Clock;
use tracing::{info, warn};

use crate::identity::{Applied, write_lists};
use crate::link::{GuardedLinks, NeighboursList};

/// How often links are told that came since, and looked at for their end.
const ROUND: Duration = Duration::from_secs(1);

/// Guards the links of an endpoint until the endpoint is gone. `directory` keeps lists over a
/// restart: `IdentitySettings::directory`.
pub async fn guard_links(
    mut links: GuardedLinks,
    directory: Option<PathBuf>,
    clock: Arc<dyn Clock>,
) {
    let mut changes = links.identity().changes();
    let mut change = *changes.borrow_and_update();
    loop {
        links.tell(change).await;
        let round = clock.sleep_until(clock.monotonic().after(ROUND));
        tokio::select! {
            // The store outlives its guard.
            Ok(()) = changes.changed() => {
                change = *changes.borrow_and_update();
                let cut = links.cut();
                info!(cut, "trust changed, links were judged anew");
                keep(&links, directory.clone()).await;
            }
            list = links.next_list() => match list {
                Some(list) => accept(&links, &list),
                None => return,
            },
            () = round => {
                let cut = links.cut_expired(clock.wall());
                if cut > 0 {
                    warn!(cut, "links cut: the certificates of their peers have ended");
                }
            }
        }
    }
}

fn accept(links: &GuardedLinks, from: &NeighboursList) {
    let peer = &from.peer.identity;
    match links.identity().accept_revocations(&from.list) {
        Ok(Applied::New { number }) => info!(%peer, number, "new revocation list"),
        Ok(Applied::Held) => {}
        // A neighbour may lag behind, or trust a root that this node does not.
        Err(error) => info!(%peer, %error, "revocation list of a neighbour not taken"),
    }
}

async fn keep(links: &GuardedLinks, directory: Option<PathBuf>) {
    let Some(directory) = directory else { return };
    let trust = links.identity().trust();
    let kept = tokio::task::spawn_blocking(move || write_lists(&directory, &trust)).await;
    match kept {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "revocation lists cannot be kept over a restart"),
        Err(error) => warn!(%error, "keeping revocation lists ended"),
    }
}
