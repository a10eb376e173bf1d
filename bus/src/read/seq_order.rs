//! `order=seq`: what comes of a stream in the order of its seqs, waiting for holes for a while.
//!
//! Does: hold back what stands behind a hole, give a hole up after a lag, say what was missing.
//! Does not: read, keep time. Live and backfill of a stream come mixed above a site; a lone node's
//! own stream has no holes and is handed out at once.
//! In: ranges of seqs that came, with what of them is wanted; monotonic time. Out: [`Ordered`].
//! What comes after its hole was given up is handed out late rather than never.
//! Full: beyond [`ORDER_HELD_MAX`] items or [`ORDER_HOLES_MAX`] holes the first hole is given up.

use std::collections::BTreeMap;
use std::time::Duration;

use ocelli_model::clock::Monotonic;

use crate::SeqRange;
use crate::record::{Seq, StreamId};

/// How long a hole is waited for: a link that broke is back within two of its idle time-outs.
pub const ORDER_LAG: Duration = Duration::from_secs(10);
/// Items held back behind holes, of all streams: some minutes of a small site.
pub const ORDER_HELD_MAX: usize = 65_536;
/// Holes of one stream that are waited for at one time, as many as an interval set has ranges.
pub const ORDER_HOLES_MAX: usize = 1_024;

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered<T> {
    /// The next one of its stream.
    Item(T),
    /// These did not come in time. They may still come, late.
    Missing {
        /// Of which stream.
        stream: StreamId,
        /// Which.
        range: SeqRange,
    },
}

/// Orders what comes of any number of streams, each by itself.
#[derive(Debug)]
pub struct SeqOrder<T> {
    streams: BTreeMap<StreamId, StreamOrder<T>>,
    lag: Duration,
    held: usize,
}

#[derive(Debug)]
struct StreamOrder<T> {
    /// All before it were handed out, passed over or given up.
    next: Seq,
    /// First and last of what came from `next` on; neighbours are one range.
    came: BTreeMap<Seq, Seq>,
    items: BTreeMap<Seq, T>,
    /// The hole that is waited for, by its first seq, and since when.
    waiting: Option<(Seq, Monotonic)>,
}

impl<T> SeqOrder<T> {
    /// An order that waits for a hole for `lag`.
    #[must_use]
    pub fn new(lag: Duration) -> Self {
        Self {
            streams: BTreeMap::new(),
            lag,
            held: 0,
        }
    }

    /// These seqs came, wanted or not. The first range of a stream says where it begins.
    pub fn came(&mut self, stream: StreamId, range: SeqRange) {
        self.stream(stream, range.first).came(range);
    }

    /// A wanted one of those that came, or will be said to have come, together with it.
    pub fn push(&mut self, stream: StreamId, seq: Seq, item: T) {
        let order = self.stream(stream, seq);
        let is_new = order.items.insert(seq, item).is_none();
        self.held += usize::from(is_new);
    }

    /// How many items wait.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The next of any stream that has one.
    pub fn pop(&mut self, now: Monotonic) -> Option<Ordered<T>> {
        let is_full = self.held > ORDER_HELD_MAX;
        for (stream, order) in &mut self.streams {
            match order.pop() {
                Some(item) => {
                    self.held -= 1;
                    return Some(Ordered::Item(item));
                }
                None => {
                    if let Some(range) = order.give_up((now, self.lag), is_full) {
                        return Some(Ordered::Missing {
                            stream: *stream,
                            range,
                        });
                    }
                }
            }
        }
        None
    }

    /// When to ask again at the latest; `None`: nothing is waited for. Right after a
    /// [`Self::pop`] that answered `None`.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        let waiting = self.streams.values().filter_map(|order| order.waiting);
        waiting.map(|(_, since)| since.after(self.lag)).min()
    }

    fn stream(&mut self, stream: StreamId, first: Seq) -> &mut StreamOrder<T> {
        self.streams.entry(stream).or_insert_with(|| StreamOrder {
            next: first,
            came: BTreeMap::new(),
            items: BTreeMap::new(),
            waiting: None,
        })
    }
}

impl<T> StreamOrder<T> {
    fn came(&mut self, range: SeqRange) {
        if range.last < self.next {
            return;
        }
        let (mut first, mut last) = (range.first, range.last);
        // The neighbour before, and all that the range touches or covers, become one with it.
        if let Some((before, end)) = self.came.range(..=first).next_back()
            && end.next() >= first
        {
            (first, last) = (*before, last.max(*end));
        }
        while let Some((start, end)) = self.came.range(first..=last.next()).next() {
            let (start, end) = (*start, *end);
            self.came.remove(&start);
            last = last.max(end);
        }
        self.came.insert(first, last);
    }

    /// The first item before the first hole.
    fn pop(&mut self) -> Option<T> {
        while let Some((first, last)) = self.came.first_key_value()
            && *first <= self.next
        {
            self.next = self.next.max(last.next());
            self.came.pop_first();
        }
        let (seq, _) = self.items.first_key_value()?;
        if *seq >= self.next {
            return None;
        }
        self.items.pop_first().map(|(_, item)| item)
    }

    /// The first hole, if it was waited for long enough or there is no room to wait.
    fn give_up(&mut self, (now, lag): (Monotonic, Duration), is_full: bool) -> Option<SeqRange> {
        let Some((behind, _)) = self.came.first_key_value() else {
            self.waiting = None;
            return None;
        };
        let range = SeqRange {
            first: self.next,
            last: Seq(behind.0 - 1),
        };
        let since = match self.waiting {
            Some((hole, since)) if hole == range.first => since,
            _ => now,
        };
        let is_over = now.since(since) >= lag || self.came.len() > ORDER_HOLES_MAX;
        let has_room = !is_full || self.items.is_empty();
        if !is_over && has_room {
            self.waiting = Some((range.first, since));
            return None;
        }
        self.waiting = None;
        self.next = *behind;
        Some(range)
    }
}

#[cfg(test)]
#[path = "seq_order_tests.rs"]
mod tests;
