//! Discovery: what finds resources.
//!
//! Does: declare [`Discovery`] and how it fails. Does not: decide whether a smaller set may replace
//! a larger one, or commit anything (`actors`, `model::catalog`).
//! In: clock, deadline. Out: a whole set with the rows refused, or [`DiscoveryError`].
//! Invariant: an error changes nothing: the last good set stays.

use ocelli_model::resource::ResourceFile;

use crate::run::{PluginFuture, Run};

pub mod by_hand;
pub mod json;

/// A run that found nothing out. The last good set stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The source cannot be read now.
    #[error("cannot read {source_name}: {reason}")]
    Unreadable {
        /// File or address.
        source_name: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// The source was read and is no list of resources, or is cut short.
    #[error("{source_name}: {reason}")]
    Malformed {
        /// File or address.
        source_name: String,
        /// Where and why.
        reason: String,
    },
}

/// A configured discovery plugin.
pub trait Discovery: Send + Sync {
    /// What rows stand in, as messages about them show it: a path, an address.
    fn source(&self) -> Option<&str> {
        None
    }

    /// Finds the whole set of resources that its source names now.
    ///
    /// # Errors
    /// [`DiscoveryError`] if the source could not be read as a whole.
    fn discover<'run>(
        &'run self,
        run: Run<'run>,
    ) -> PluginFuture<'run, Result<ResourceFile, DiscoveryError>>;
}
