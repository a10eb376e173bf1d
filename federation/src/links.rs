//! What is known of origins by their last records and by what links say of each other.
//!
//! Does: tell an origin that is stale (its link is down, since when, why) from one that is silent
//! (its link stands, nothing comes); hold the ways by which origins come (`paths`) and what a
//! neighbour refused (`refusals`). Does not: watch links (`link`), write events (assembly).
//! In: the word of the ways on an origin, the time of its newest record, now. Out: [`OriginState`].
//! Pure, so that each tier that was told the same says the same.

mod paths;
mod refusals;

use std::time::Duration;

use ocelli_model::clock::WallMs;

pub use paths::{Paths, Side, Toward, WORDS_PER_LINK_MAX, origin_words};
pub use refusals::{REFUSAL_TOLD_EVERY, Refusal, RefusalTold, Refusals};

/// Nothing for so long over a standing link is silence worth saying.
pub const SILENT_AFTER: Duration = Duration::from_secs(120);
/// A record that came so long after the word that there is no way came another way: what was still
/// between the lost link and this node is here sooner.
pub const OTHER_WAY_AFTER: Duration = Duration::from_secs(10);

/// What is known of the way to an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkWord {
    /// There is one.
    Up {
        /// Since when.
        since: WallMs,
    },
    /// There is none.
    Down {
        /// Since when, by the clock of who saw the link end.
        since: WallMs,
        /// When this node learnt of it, by its own clock.
        learnt: WallMs,
        /// Why, as the link ended, and between whom.
        cause: String,
    },
}

impl LinkWord {
    /// The way stands.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// How an origin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginState {
    /// It sends.
    Live,
    /// There is no way to it: what is shown of it is old.
    Stale {
        /// No data since, by this node's clock.
        since: WallMs,
        /// Why.
        cause: String,
    },
    /// There is a way to it and nothing comes.
    Silent {
        /// No data since.
        since: WallMs,
    },
}

impl OriginState {
    /// The word of lists, labels and trees.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale { .. } => "stale",
            Self::Silent { .. } => "silent",
        }
    }
}

/// How an origin is. `last_record` is when this node took its newest record; one that came well
/// after the link went down came another way, so the origin lives.
#[must_use]
pub fn origin_state(word: Option<&LinkWord>, last_record: WallMs, now: WallMs) -> OriginState {
    match word {
        Some(LinkWord::Down { learnt, cause, .. })
            if last_record.0.saturating_sub(learnt.0) <= millis(OTHER_WAY_AFTER) =>
        {
            OriginState::Stale {
                since: last_record,
                cause: cause.clone(),
            }
        }
        _ if now.0.saturating_sub(last_record.0) > millis(SILENT_AFTER) => {
            OriginState::Silent { since: last_record }
        }
        _ => OriginState::Live,
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "links/links_tests.rs"]
mod tests;
