//! Leases: until when a node may poll its shards, as both sides decide it.
//!
//! Does: for a poller, say when to ask and until when it may act ([`LeaseHolder`]); for the leader,
//! say from when on a node that went silent acts no more ([`LeaseBook`]). Does not: choose owners,
//! prove leadership (the leader answers only after a linearizable read begun after the request
//! came), carry messages, read clocks.
//! In: asks, answers, leadership, each with its instant on the own boot-time clock. Out: instants.
//! Invariant: while paces of clocks differ by at most [`DRIFT_PERCENT_MAX`], the leader never takes
//! a lease for ended that the node still takes for its own. A lease alone is not safe (a process
//! can be stopped between the check and the packet): `fence` is the other half.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Monotonic;

/// How long a lease lasts from the instant before it was asked for.
pub const LEASE: Duration = Duration::from_secs(2);
/// How often a poller asks for its renewal: four in a row may be lost.
pub const RENEWAL_PERIOD: Duration = Duration::from_millis(400);
/// How far the pace of one clock may lie from that of another.
pub const DRIFT_PERCENT_MAX: u32 = 2;
/// Asks under way that are remembered: all that can still bring time. Of more the oldest is
/// forgotten; its answer changes nothing.
pub const ASKS_MAX: usize = 8;

const _: () = assert!(
    RENEWAL_PERIOD.as_millis() as usize * ASKS_MAX >= LEASE.as_millis() as usize,
    "an answer that still brings time belongs to an ask that is remembered"
);

/// Names one ask of one poller, so that its answer counts from the right instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskNumber(pub u64);

/// The poller's side.
#[derive(Debug, Clone, Default)]
pub struct LeaseHolder {
    /// Asks without an answer, oldest first, each with the instant before it was sent.
    asks: VecDeque<(AskNumber, Monotonic)>,
    last: Option<(AskNumber, Monotonic)>,
    until: Option<Monotonic>,
}

impl LeaseHolder {
    /// The number of the ask to send now, if one is due. To be called before it is sent: the lease
    /// counts from `now`.
    pub fn ask(&mut self, now: Monotonic) -> Option<AskNumber> {
        if now < self.asks_at() {
            return None;
        }
        let number = AskNumber(self.last.map_or(0, |(last, _)| last.0 + 1));
        self.last = Some((number, now));
        if self.asks.len() == ASKS_MAX {
            self.asks.pop_front();
        }
        self.asks.push_back((number, now));
        Some(number)
    }

    /// When the next ask is due; the beginning of time before the first one.
    #[must_use]
    pub fn asks_at(&self) -> Monotonic {
        self.last
            .map_or(Monotonic(0), |(_, asked)| asked.after(RENEWAL_PERIOD))
    }

    /// Takes a grant. One for an ask that is not under way (answered, forgotten, never made)
    /// changes nothing, and so does one that is older than what is held.
    pub fn granted(&mut self, number: AskNumber) {
        let Some(place) = self.asks.iter().position(|(ask, _)| *ask == number) else {
            return;
        };
        // Answers to earlier asks, should they come, would bring less.
        if let Some((_, asked)) = self.asks.drain(..=place).next_back() {
            self.until = self.until.max(Some(asked.after(LEASE)));
        }
    }

    /// Gives the lease up: the node was told that it is no member, or saw a higher generation.
    /// Grants under way no longer count.
    pub fn give_up(&mut self) {
        self.asks.clear();
        self.until = None;
    }

    /// Whether the node may send a packet or append a record: to be asked before each.
    #[must_use]
    pub fn is_held(&self, now: Monotonic) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// When the lease ends or has ended; `None` if there was none.
    #[must_use]
    pub fn ends_at(&self) -> Option<Monotonic> {
        self.until
    }
}

/// The leader's side: one for each term in which a node leads.
#[derive(Debug, Clone)]
pub struct LeaseBook {
    /// No lease of an earlier leader was granted after this.
    leads_since: Monotonic,
    granted: BTreeMap<String, Monotonic>,
}

impl LeaseBook {
    /// The book of a node that began to lead, or to run as leader again: what its predecessors
    /// granted is not known, so each node is held for granted a lease now.
    #[must_use]
    pub fn new(now: Monotonic) -> Self {
        Self {
            leads_since: now,
            granted: BTreeMap::new(),
        }
    }

    /// Notes a grant; to be called at the instant of the answer, which lies after the ask.
    pub fn grant(&mut self, node: &str, now: Monotonic) {
        match self.granted.get_mut(node) {
            Some(granted) => *granted = (*granted).max(now),
            None => {
                self.granted.insert(node.to_owned(), now);
            }
        }
    }

    /// Forgets a node that left, after its lease.
    pub fn remove(&mut self, node: &str, now: Monotonic) {
        if self.is_over(node, now) {
            self.granted.remove(node);
        }
    }

    /// From when on a node polls no more unless it is granted another lease.
    #[must_use]
    pub fn over_at(&self, node: &str) -> Monotonic {
        let granted = self.granted.get(node).copied();
        granted
            .map_or(self.leads_since, |granted| granted.max(self.leads_since))
            .after(wait())
    }

    /// Whether shards of the node may go to another one.
    #[must_use]
    pub fn is_over(&self, node: &str, now: Monotonic) -> bool {
        self.over_at(node) <= now
    }
}

/// How long a lease may last on the leader's clock, if the holder's runs slower.
fn wait() -> Duration {
    LEASE * 100 / (100 - DRIFT_PERCENT_MAX) + Duration::from_nanos(1)
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
