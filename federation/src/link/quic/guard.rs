//! What a change of trust does to the links of an endpoint.
//!
//! Does: judge a peer's certificate again before Welcome, once the link stands and after each
//! change; take revocation lists out of control streams, put the own ones in.
//! Does not: decide when, hold lists (`membership`, `identity`).
//! In: the node's identity, set once. Out: [`GuardedLinks`] for the one task that watches.
//! An endpoint without a guard passes lists on to the links' users.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ocelli_model::clock::{Clock, WallMs};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

use super::endpoint::LinkList;
use super::handshake::chain_of;
use super::link::LinkCore;
use crate::frame::{Control, FrameKind};
use crate::identity::{Expected, IdentityStore, PeerIdentity, PeerRefused, Verdict, may_send};
use crate::link::close::{CloseCode, Closed};
use crate::link::waiting::within;

/// Lists of neighbours that wait to be read, 255 KiB each at most; a link's reader waits beyond.
const LISTS_MAX: usize = 4;
/// A link that takes no list in this time is told again at the next round.
const TELL_MAX: Duration = Duration::from_secs(2);

/// The judge of an endpoint, once there is one.
#[derive(Default)]
pub(super) struct Guard(OnceLock<Posted>);

struct Posted {
    identity: Arc<IdentityStore>,
    lists: mpsc::Sender<NeighboursList>,
}

/// A revocation list, as a neighbour handed it on.
pub struct NeighboursList {
    /// Who.
    pub peer: Arc<PeerIdentity>,
    /// The list, unread.
    pub list: Vec<u8>,
}

/// The links of an endpoint, for whoever watches over trust. Does not keep the endpoint open.
pub struct GuardedLinks {
    links: Arc<LinkList>,
    identity: Arc<IdentityStore>,
    lists: mpsc::Receiver<NeighboursList>,
    clock: Arc<dyn Clock>,
    /// Links and the change whose lists they were told.
    told: BTreeMap<usize, u64>,
}

impl Guard {
    /// Sets the judge. `None`: there was one already.
    pub(super) fn post(
        &self,
        identity: Arc<IdentityStore>,
        (links, clock): (Arc<LinkList>, Arc<dyn Clock>),
    ) -> Option<GuardedLinks> {
        let (sender, lists) = mpsc::channel(LISTS_MAX);
        let posted = Posted {
            identity: Arc::clone(&identity),
            lists: sender,
        };
        self.0.set(posted).ok()?;
        Some(GuardedLinks {
            links,
            identity,
            lists,
            clock,
            told: BTreeMap::new(),
        })
    }

    /// Whether the peer would be let in now.
    pub(super) fn check(&self, connection: &quinn::Connection) -> Result<(), PeerRefused> {
        match self.0.get() {
            Some(posted) => check(&posted.identity, connection),
            None => Ok(()),
        }
    }

    /// Takes a list that came over a link; waits while others are read. Given back where nobody
    /// takes lists.
    pub(super) async fn take(&self, peer: &Arc<PeerIdentity>, list: Vec<u8>) -> Option<Vec<u8>> {
        let Some(posted) = self.0.get() else {
            return Some(list);
        };
        let peer = Arc::clone(peer);
        let sent = posted.lists.send(NeighboursList { peer, list }).await;
        sent.err().map(|unsent| unsent.0.list)
    }
}

fn check(identity: &IdentityStore, connection: &quinn::Connection) -> Result<(), PeerRefused> {
    let chain = chain_of(connection);
    identity.check(&chain, &Expected::Anyone).map(drop)
}

/// Ends a link whose peer is not let in any more; whether it did.
pub(super) fn end_if_refused(link: &LinkCore, verdict: Result<(), PeerRefused>) -> bool {
    match verdict {
        Ok(()) => false,
        Err(refused) => {
            link.end(Closed::here(CloseCode::Revoked, refused.to_string()));
            true
        }
    }
}

impl GuardedLinks {
    /// The identity by which links are judged.
    #[must_use]
    pub const fn identity(&self) -> &Arc<IdentityStore> {
        &self.identity
    }

    /// The next list of a neighbour; never ends while the endpoint is open. Cancel safe.
    pub async fn next_list(&mut self) -> Option<NeighboursList> {
        self.lists.recv().await
    }

    /// Judges every live link anew and ends those whose peers are not let in any more; how many.
    /// Costs a signature's check each.
    #[must_use]
    pub fn cut(&self) -> usize {
        self.cut_if(|_| true)
    }

    /// The same for those links alone whose certificate has ended by `now`: cheap.
    #[must_use]
    pub fn cut_expired(&self, now: WallMs) -> usize {
        self.cut_if(|peer| peer.not_after_ms <= now.0)
    }

    fn cut_if(&self, is_due: impl Fn(&PeerIdentity) -> bool) -> usize {
        let live = self.links.live();
        let due = live.iter().filter(|link| is_due(&link.peer));
        due.filter(|link| end_if_refused(link, check(&self.identity, &link.connection)))
            .count()
    }

    /// Hands the lists in force to every link that was not told them since `change`; waits for the
    /// slow ones 2 s and tells them again the next time.
    pub async fn tell(&mut self, change: u64) {
        let live = self.links.live();
        let ids: Vec<usize> = live
            .iter()
            .map(|link| link.connection.stable_id())
            .collect();
        self.told.retain(|id, _| ids.contains(id));
        let trust = self.identity.trust();
        let lists: Vec<Vec<u8>> = trust.lists().iter().map(|one| one.der().to_vec()).collect();
        let lists = Arc::new(lists);
        // Bounded by the links that an endpoint lets in.
        let mut telling = JoinSet::new();
        for (link, id) in live.into_iter().zip(ids) {
            let may = may_send(link.own_standing(), FrameKind::Revocations) == Verdict::Allowed;
            if may && self.told.get(&id) != Some(&change) {
                let (clock, lists) = (Arc::clone(&self.clock), Arc::clone(&lists));
                telling.spawn(async move {
                    let told = within(&*clock, TELL_MAX, tell(&link, &lists)).await;
                    (id, told == Some(true))
                });
            }
        }
        while let Some(told) = telling.join_next().await {
            match told {
                Ok((id, true)) => {
                    self.told.insert(id, change);
                }
                Ok((id, false)) => debug!(link = id, "revocation lists are told again later"),
                Err(error) => debug!(%error, "telling a link ended"),
            }
        }
    }
}

async fn tell(link: &LinkCore, lists: &[Vec<u8>]) -> bool {
    for list in lists {
        let control = Control::Revocations(list.clone());
        if link.send_control(control).await.is_err() {
            return false;
        }
    }
    true
}
