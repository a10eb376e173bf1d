//! How commands get into the catalog: the trait that a lone node's log and `raft` implement.
//!
//! Does: declare it. Does not: order or store. In: [`Command`]. Out: [`Applied`], once the command
//! is durable and applied on this node; or [`ProposeError`], after which it may or may not be
//! applied later (commands of discoveries are differences and may be proposed again).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Applied, Command, State};

/// A proposal under way; dropping it does not take the command back.
pub type Proposal<'a> = Pin<Box<dyn Future<Output = Result<Applied, ProposeError>> + Send + 'a>>;

/// Orders, stores and applies commands.
pub trait CatalogLog: Send + Sync + 'static {
    /// Proposes a command.
    ///
    /// # Errors
    /// A [`ProposeError`], in the future's output.
    fn propose(&self, command: Command) -> Proposal<'_>;

    /// The state after the last command applied here. A snapshot: it does not change.
    fn state(&self) -> Arc<State>;
}

/// Why a command is not known to be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// No leader, or none in time.
    #[error("the catalog takes no command now: {reason}; it is tried again")]
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// Another node leads.
    #[error("node {leader:?} leads the catalog; propose there")]
    NotLeader {
        /// The leader, if known.
        leader: Option<String>,
    },
    /// The command is larger than a command may be.
    #[error(
        "the command has {bytes} bytes; {} is the limit, split it",
        super::COMMAND_BYTES_MAX
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The log cannot be written.
    #[error("the catalog's log cannot be written: {reason}; check the disk")]
    Storage {
        /// What the system says.
        reason: String,
    },
}

impl ProposeError {
    /// Whether the same command may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::NotLeader { .. } | Self::Storage { .. } => true,
            Self::TooLarge { .. } => false,
        }
    }
}
