//! How often an event of one kind about one subject is told.
//!
//! Does: let [`EVENT_BURST`] through in each [`EVENT_WINDOW`], count the rest, say with the next
//! one how many were held back. Does not: write events.
//! In: a key and monotonic time. Out: a verdict.
//! Full: beyond [`EVENT_SUBJECTS_MAX`] keys the one that was quiet longest is forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;

/// Events of one kind about one subject in a window: enough to tell a change, its way back, and
/// that it repeats.
pub const EVENT_BURST: u32 = 4;
/// Length of a window.
pub const EVENT_WINDOW: Duration = Duration::from_secs(60);
/// Subjects that are known at one time: some for each resource of a large arbiter.
pub const EVENT_SUBJECTS_MAX: usize = 16_384;

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Monotonic,
    told: u32,
    held_back: u64,
}

/// The limit of all kinds and subjects of one writer of events.
#[derive(Debug, Default)]
pub struct EventLimiter {
    windows: BTreeMap<String, Window>,
}

impl EventLimiter {
    /// Whether the next event of `key` is told; if so, how many before it were not.
    pub fn admit(&mut self, key: &str, now: Monotonic) -> Option<u64> {
        if let Some(window) = self.windows.get_mut(key) {
            if now.since(window.began) < EVENT_WINDOW {
                if window.told < EVENT_BURST {
                    window.told += 1;
                    return Some(0);
                }
                window.held_back += 1;
                return None;
            }
            let held_back = window.held_back;
            *window = Window::begun(now);
            return Some(held_back);
        }
        if self.windows.len() >= EVENT_SUBJECTS_MAX {
            self.forget(now);
        }
        self.windows.insert(key.to_owned(), Window::begun(now));
        Some(0)
    }

    /// Forgets windows that are over, and the oldest one if none is.
    fn forget(&mut self, now: Monotonic) {
        self.windows
            .retain(|_, window| now.since(window.began) < EVENT_WINDOW);
        if self.windows.len() >= EVENT_SUBJECTS_MAX {
            let oldest = self.windows.iter().min_by_key(|(_, window)| window.began);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|key| self.windows.remove(&key));
        }
    }
}

impl Window {
    fn begun(now: Monotonic) -> Self {
        Self {
            began: now,
            told: 1,
            held_back: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(0).after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_flood_about_one_subject_is_cut_counted_and_spares_the_others() {
        let mut limiter = EventLimiter::default();
        let told = (0..100).filter(|_| limiter.admit("a", at(1)).is_some());
        assert_eq!(told.count(), EVENT_BURST as usize);
        assert_eq!(limiter.admit("b", at(1)), Some(0));
        assert_eq!(limiter.admit("a", at(60)), None, "the window is not over");
        assert_eq!(limiter.admit("a", at(61)), Some(97));
        assert_eq!(limiter.admit("a", at(62)), Some(0));
    }

    #[test]
    fn subjects_are_bounded_and_the_quietest_leaves() {
        let mut limiter = EventLimiter::default();
        for number in 0..EVENT_SUBJECTS_MAX as u64 {
            limiter.admit(&number.to_string(), Monotonic(number));
        }
        for _ in 0..EVENT_BURST {
            limiter.admit("7", Monotonic(20_000));
        }
        limiter.admit("new", Monotonic(20_001));
        assert_eq!(limiter.windows.len(), EVENT_SUBJECTS_MAX);
        assert!(!limiter.windows.contains_key("0"), "the oldest window");
        assert_eq!(limiter.admit("7", Monotonic(20_002)), None, "still cut");
    }
}
