//! `uplink replay` as it is ordered and answered.
//!
//! Does: name the order, what came of it, and why not. Does not: carry it out (`federation`).
//! In: names of an upstream and of a member of its group. Out: what goes there.

use ocelli_federation::uplink::ReplayPlan;
use tokio::sync::oneshot;

use super::node::Node;

/// A member of a group is to be sent what other members acknowledged.
pub struct ReplayOrder {
    /// Name of the upstream.
    pub upstream: String,
    /// `host:port` as the configuration has it; `None`: the one that the link stands to.
    pub member: Option<String>,
    /// Only tell what would go.
    pub is_dry_run: bool,
    /// What came of it, once the member has said what it holds.
    pub answer: oneshot::Sender<Result<ReplayStarted, ReplayError>>,
}

/// A replay that began, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayStarted {
    /// The link whose entry shows how far it is.
    pub link: String,
    /// To which member.
    pub member: String,
    /// What goes.
    pub plan: ReplayPlan,
}

/// Why there is no replay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Nobody is above.
    #[error("this node has no upstream; ask the site or region that dials the one to be refilled")]
    NoUpstream,
    /// No upstream has that name.
    #[error("no [[upstream]] is named {name:?}; there are: {known}")]
    UnknownUpstream {
        /// As asked.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// No member of the upstream has that address.
    #[error("{member:?} is no member of the upstream; they are: {members}")]
    UnknownMember {
        /// As asked.
        member: String,
        /// Those that there are.
        members: String,
    },
    /// Several may be meant.
    #[error("say which member with --member; they are: {members}")]
    WhichMember {
        /// Those that there are.
        members: String,
    },
    /// One at a time.
    #[error("a replay to {member} is under way over {link}; wait for its end")]
    UnderWay {
        /// The link.
        link: String,
        /// To whom.
        member: String,
    },
    /// The only member does not answer.
    #[error("link {link} does not stand; what its other end lacks goes by itself once it does")]
    Down {
        /// The link.
        link: String,
    },
    /// The member does not answer.
    #[error("no replay to {member}: {reason}; see to that node and ask again")]
    Unreached {
        /// The member.
        member: String,
        /// Why.
        reason: String,
    },
}

impl Node {
    /// Hands a replay over to the thread of links, which answers it.
    pub async fn replay(&self, order: ReplayOrder) {
        match &self.federation {
            Some(federation) => federation.replay(order).await,
            // Whoever asked may be gone.
            None => drop(order.answer.send(Err(ReplayError::NoUpstream))),
        }
    }
}
