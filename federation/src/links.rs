//! What is known of origins by their last records and by what links say of each other.
//!
//! Does: tell an origin that is stale (its link is down, since when, why) from one that is silent
//! (its link stands, nothing comes). Does not: watch links (`link`), write events (assembly).
//! In: the newest `link_down` or `link_up` that concerns an origin, the time of its newest record,
//! now. Out: [`OriginState`]. Pure, so that each tier that got the events says the same.

use std::time::Duration;

use ocelli_model::clock::WallMs;

/// Nothing for so long over a standing link is silence worth saying.
pub const SILENT_AFTER: Duration = Duration::from_secs(120);

/// What the node next to an origin said of its link, last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkWord {
    /// `link_up`.
    Up {
        /// Since when.
        since: WallMs,
    },
    /// `link_down`.
    Down {
        /// Since when.
        since: WallMs,
        /// Why, as the link ended.
        cause: String,
    },
}

/// How an origin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginState {
    /// It sends.
    Live,
    /// There is no way to it: what is shown of it is old.
    Stale {
        /// No data since.
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

/// How an origin is. `last_record` is when this node took its newest record; a record that came
/// after the link went down came another way, so the origin lives.
#[must_use]
pub fn origin_state(word: Option<&LinkWord>, last_record: WallMs, now: WallMs) -> OriginState {
    let silent_ms = i64::try_from(SILENT_AFTER.as_millis()).unwrap_or(i64::MAX);
    match word {
        Some(LinkWord::Down { since, cause }) if last_record <= *since => OriginState::Stale {
            since: last_record,
            cause: cause.clone(),
        },
        _ if now.0.saturating_sub(last_record.0) > silent_ms => {
            OriginState::Silent { since: last_record }
        }
        _ => OriginState::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_origin_is_told_from_a_silent_one() {
        let down = |since| LinkWord::Down {
            since: WallMs(since),
            cause: "idle".into(),
        };
        let up = LinkWord::Up { since: WallMs(0) };
        let stale = |since| OriginState::Stale {
            since: WallMs(since),
            cause: "idle".into(),
        };
        let silent = |since| OriginState::Silent {
            since: WallMs(since),
        };
        for (name, word, last, now, expected) in [
            ("sends", None, 1_000, 2_000, OriginState::Live),
            (
                "sends over a link",
                Some(&up),
                1_000,
                2_000,
                OriginState::Live,
            ),
            ("link down", Some(&down(1_500)), 1_000, 1_501, stale(1_000)),
            (
                "came another way",
                Some(&down(1_500)),
                1_600,
                2_000,
                OriginState::Live,
            ),
            (
                "link stands, no data",
                Some(&up),
                1_000,
                121_001,
                silent(1_000),
            ),
            ("nobody said a word", None, 1_000, 121_001, silent(1_000)),
            (
                "a clock that stepped back",
                None,
                9_000,
                1_000,
                OriginState::Live,
            ),
        ] {
            let found = origin_state(word, WallMs(last), WallMs(now));
            assert_eq!(found, expected, "{name}");
        }
    }
}
