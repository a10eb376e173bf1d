//! What became durable over one link, told to the others whose neighbours have it too.
//!
//! Does: gather ranges for each link that follows the stream, wake it at most each [`EVERY`].
//! Does not: say anything to a neighbour (`run`).
//! In: ranges with their stream. Out: ranges of a stream together.
//! Cost: a commit touches the links that follow its stream, none of the others: of 200 sites that
//! is nobody, and a peer wakes a hundred times a second however many commits there are.
//! Memory: a link's ranges until it takes them, at most 1,024 of a stream; what does not fit is not
//! told, and its sender learns of it by sending it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::record::StreamId;
use ocelli_bus::{SeqRange, SeqRanges};
use ocelli_model::clock::{Clock, Monotonic};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::link::waiting::wait_for;
use crate::uplink::insert_exactly;

/// Least time between two wake-ups of a link.
const EVERY: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct Letters {
    news: Mutex<BTreeMap<StreamId, SeqRanges>>,
    /// Rings when there is something after there was nothing.
    rings: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    letters: BTreeMap<u64, Arc<Letters>>,
    followers: HashMap<StreamId, BTreeSet<u64>>,
}

/// All links of a node.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(Mutex<State>);

/// The part of one link; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Followed {
    all: Arc<Elsewhere>,
    number: u64,
    letters: Arc<Letters>,
    streams: BTreeSet<StreamId>,
    taken: Option<Monotonic>,
}

impl Elsewhere {
    /// A link that follows nothing yet.
    pub(super) fn join(self: &Arc<Self>) -> Followed {
        let letters = Arc::<Letters>::default();
        let mut state = self.0.lock();
        state.next += 1;
        let number = state.next;
        state.letters.insert(number, Arc::clone(&letters));
        Followed {
            all: Arc::clone(self),
            number,
            letters,
            streams: BTreeSet::new(),
            taken: None,
        }
    }
}

impl Followed {
    /// From now on this link hears of a stream, and of the definitions of its origin.
    pub(super) fn follow(&mut self, stream: StreamId) {
        for stream in [stream, StreamId::definitions(stream.origin)] {
            if self.streams.insert(stream) {
                let mut state = self.all.0.lock();
                state
                    .followers
                    .entry(stream)
                    .or_default()
                    .insert(self.number);
            }
        }
    }

    /// A range became durable over this link.
    pub(super) fn tell(&self, stream: StreamId, range: SeqRange) {
        let state = self.all.0.lock();
        let followers = state.followers.get(&stream).into_iter().flatten();
        for number in followers.filter(|number| **number != self.number) {
            if let Some(letters) = state.letters.get(number) {
                letters.put(stream, range);
            }
        }
    }

    /// Waits until there is something to take and the last taking is [`EVERY`] ago. Cancel safe.
    pub(super) async fn due(&self, clock: &dyn Clock) {
        let is_some = || (!self.letters.news.lock().is_empty()).then_some(());
        wait_for(&self.letters.rings, is_some).await;
        if let Some(taken) = self.taken {
            clock.sleep_until(taken.after(EVERY)).await;
        }
    }

    /// All there is.
    pub(super) fn take(&mut self, now: Monotonic) -> BTreeMap<StreamId, SeqRanges> {
        self.taken = Some(now);
        std::mem::take(&mut *self.letters.news.lock())
    }
}

impl Letters {
    fn put(&self, stream: StreamId, range: SeqRange) {
        let mut news = self.news.lock();
        let is_first = news.is_empty();
        insert_exactly(news.entry(stream).or_default(), range);
        drop(news);
        if is_first {
            self.rings.notify_waiters();
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut state = self.all.0.lock();
        state.letters.remove(&self.number);
        for stream in &self.streams {
            if let Some(followers) = state.followers.get_mut(stream) {
                followers.remove(&self.number);
                if followers.is_empty() {
                    state.followers.remove(stream);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "elsewhere_tests.rs"]
mod tests;
