//! When a subscriber is told its cursor.
//!
//! Does: after each item while the cursor is short, else each second (design §9). Does not: render.
//! In: items, lengths of cursor lines, the time. Out: whether one is due now.

use std::time::Duration;

use ocelli_model::clock::Monotonic;

/// Cursor lines up to this length follow each item, bytes.
const EACH_BYTES_MAX: usize = 512;
/// How often a longer one comes.
const EVERY: Duration = Duration::from_secs(1);

/// Of one subscriber.
#[derive(Debug, Clone, Copy, Default)]
pub struct CursorPace {
    /// Of the last cursor line, bytes.
    bytes: usize,
    at: Option<Monotonic>,
    has_new: bool,
}

impl CursorPace {
    /// An item was sent, which the cursor told last does not cover.
    pub fn note_item(&mut self) {
        self.has_new = true;
    }

    /// Whether a cursor is due.
    #[must_use]
    pub fn is_due(&self, now: Monotonic) -> bool {
        let has_waited = self.at.is_none_or(|last| now.since(last) >= EVERY);
        self.has_new && (self.bytes <= EACH_BYTES_MAX || has_waited)
    }

    /// A cursor line of so many bytes was sent.
    pub fn told(&mut self, bytes: usize, now: Monotonic) {
        *self = Self {
            bytes,
            at: Some(now),
            has_new: false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_cursor_follows_each_item_and_a_long_one_each_second() {
        let start = Monotonic(1_000);
        for (bytes, millis, expected) in [
            (512, 0, true),
            (513, 0, false),
            (513, 999, false),
            (513, 1_000, true),
        ] {
            let mut pace = CursorPace::default();
            assert!(!pace.is_due(start), "nothing is new");
            pace.note_item();
            assert!(pace.is_due(start), "the first comes at once");
            pace.told(bytes, start);
            let now = start.after(Duration::from_millis(millis));
            assert!(!pace.is_due(now), "nothing is new since");
            pace.note_item();
            assert_eq!(pace.is_due(now), expected, "{bytes} bytes, {millis} ms");
        }
    }
}
