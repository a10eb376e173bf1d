//! Where a subscription begins.
//!
//! Does: read what people and programs write for it. Does not: begin anything (`subscription`).
//! In: text, the time now. Out: [`StartFrom`].

use ocelli_model::clock::WallMs;
use ocelli_model::time_text::parse_time;

use super::cursor::{Cursor, CursorTextError};

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StartFrom {
    /// What comes from now on.
    #[default]
    Now,
    /// Last values first, then what comes.
    Latest,
    /// The oldest entry held.
    Oldest,
    /// What this node took at that time or later.
    Time(WallMs),
    /// Where another subscription ended.
    Cursor(Cursor),
}

/// Neither a place nor a time nor a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("from: {0}; it is now, latest, oldest, a time (RFC 3339, -15m, Unix seconds) or a cursor")]
pub struct StartTextError(#[from] CursorTextError);

impl StartFrom {
    /// Reads a place, a time as people write it, or a cursor.
    ///
    /// # Errors
    /// [`StartTextError`].
    pub fn of_text(text: &str, now: WallMs) -> Result<Self, StartTextError> {
        match text {
            "now" => Ok(Self::Now),
            "latest" => Ok(Self::Latest),
            "oldest" => Ok(Self::Oldest),
            text => match parse_time(text, now) {
                Some(time) => Ok(Self::Time(time)),
                None => Ok(Self::Cursor(text.parse().map_err(StartTextError)?)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_a_time_and_a_cursor_are_told_apart() {
        let now = WallMs(1_800_000_000_000);
        let check = |text: &str, expected: &StartFrom| {
            assert_eq!(
                StartFrom::of_text(text, now).as_ref(),
                Ok(expected),
                "{text}"
            );
        };
        check("now", &StartFrom::Now);
        check("latest", &StartFrom::Latest);
        check("oldest", &StartFrom::Oldest);
        check("-1m", &StartFrom::Time(WallMs(now.0 - 60_000)));
        let cursor = Cursor::default();
        check(&cursor.to_string(), &StartFrom::Cursor(cursor));
        let error = StartFrom::of_text("yesterday", now).unwrap_err();
        assert!(error.to_string().contains("-15m"), "{error}");
    }
}
