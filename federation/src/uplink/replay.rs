//! A replay: a member of a group is sent what other members acknowledged (`uplink replay`).
//!
//! Does: hold how far one has come, between who asked and the uplink that carries it out.
//! Does not: choose blocks (`core`), dial.
//! In: orders of people. Out: [`ReplayState`]. A replay outlives its link: the next one goes on.

use tokio::sync::watch;

/// What a member lacks of what this node's streams have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayPlan {
    /// Records that are here and go there.
    pub records: u64,
    /// Records that retention took here: no replay from here can bring them.
    pub gone: u64,
    /// Streams that have any of them.
    pub streams: u64,
}

/// How far a replay is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReplayState {
    /// None was asked for.
    #[default]
    Idle,
    /// It begins once the link stands and the member has said what it holds.
    Asked {
        /// Only tell what would be sent.
        is_dry_run: bool,
    },
    /// What would be sent.
    Planned(ReplayPlan),
    /// Records go.
    Running {
        /// As it began, or went on over a new link.
        plan: ReplayPlan,
        /// Records that are not yet above.
        left: u64,
    },
    /// The member holds all that is left here.
    Done(ReplayPlan),
    /// It was given up.
    Failed {
        /// Why.
        reason: String,
    },
}

impl ReplayState {
    /// Whether another may not begin yet.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Asked { .. } | Self::Running { .. })
    }

    /// The word of lists.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Asked { .. } => "asked",
            Self::Planned(_) => "planned",
            Self::Running { .. } => "running",
            Self::Done(_) => "done",
            Self::Failed { .. } => "failed",
        }
    }
}

/// One replay at a time over an uplink.
#[derive(Debug, Default)]
pub struct Replay {
    state: watch::Sender<ReplayState>,
    /// Whether the link was made for the replay and ends with it.
    ends_link: bool,
}

impl Replay {
    /// Of a link that is made for it alone.
    #[must_use]
    pub fn with_its_own_link() -> Self {
        Self {
            state: watch::Sender::default(),
            ends_link: true,
        }
    }

    /// Asks for one.
    pub fn ask(&self, is_dry_run: bool) {
        self.state.send_replace(ReplayState::Asked { is_dry_run });
    }

    /// Gives it up, if it is under way.
    pub fn fail(&self, reason: &str) {
        let reason = reason.to_owned();
        self.state.send_if_modified(|state| {
            let is_under_way = state.is_under_way();
            if is_under_way {
                *state = ReplayState::Failed { reason };
            }
            is_under_way
        });
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> ReplayState {
        self.state.borrow().clone()
    }

    /// Its state, as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<ReplayState> {
        self.state.subscribe()
    }

    pub(super) fn is(&self, state: ReplayState) {
        self.state.send_if_modified(|before| {
            let is_new = *before != state;
            *before = state;
            is_new
        });
    }

    /// Whether the link has nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.ends_link && !self.state.borrow().is_under_way()
    }
}
