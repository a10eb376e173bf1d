//! Which records came lately: delivery is at least once, and what comes again is dropped.
//!
//! Does: remember the last [`SEEN_MAX`] (origin, seq). Does not: keep cursors.
//! In: origins and seqs. Out: whether it is new.
//! Full: the oldest leaves; a cursor stands at most a second behind, so what comes again is young.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Records that are remembered, about 100 bytes each.
pub const SEEN_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Seen {
    known: HashSet<(Arc<str>, u64)>,
    order: VecDeque<(Arc<str>, u64)>,
    /// Origins lately seen, so that each name is held once.
    origin: Option<Arc<str>>,
}

impl Seen {
    /// Whether it did not come before; from now on it did.
    pub(crate) fn is_new(&mut self, origin: &str, seq: u64) -> bool {
        let origin = match &self.origin {
            Some(last) if **last == *origin => Arc::clone(last),
            _ => Arc::from(origin),
        };
        self.origin = Some(Arc::clone(&origin));
        let key = (origin, seq);
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_new_once_until_it_is_old() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a", 1) && seen.is_new("b", 1) && seen.is_new("a", 2));
        assert!(!seen.is_new("a", 1) && !seen.is_new("b", 1));
        for seq in 0..SEEN_MAX as u64 {
            assert!(seen.is_new("c", seq), "{seq}");
        }
        assert_eq!((seen.known.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
        assert!(seen.is_new("a", 1), "forgotten");
        assert!(!seen.is_new("c", 7));
    }
}
