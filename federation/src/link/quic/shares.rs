//! What each link may hold of the memory that all links share.
//!
//! Does: hand out receive windows, more while few links stand, and the places of frames that wait
//! to be read, from one pool. Does not: count links (`admission`), wait (`inbox`).
//! In: [`LinkBudget`]. Out: [`LinkShare`]s, given back when dropped.
//! Invariant (promise P6): windows handed out and frames in all inboxes stay below the budget,
//! whatever peers send and however slowly the node reads; each link keeps its least window.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::link::limits::{LinkBudget, WINDOW_MIN};

/// The memory of an endpoint's links.
#[derive(Debug)]
pub(super) struct Shares {
    inbox_bytes: usize,
    pool: Arc<Semaphore>,
    /// Free bytes above the least windows of all links that may stand.
    extra: Mutex<u64>,
}

/// The part of one link.
#[derive(Debug)]
pub(super) struct LinkShare {
    shares: Arc<Shares>,
    extra: u64,
}

impl Shares {
    pub(super) fn new(budget: LinkBudget) -> Arc<Self> {
        Arc::new(Self {
            inbox_bytes: budget.inbox_bytes(),
            pool: Arc::new(Semaphore::new(budget.pool_bytes())),
            extra: Mutex::new(budget.extra_bytes()),
        })
    }

    /// A share for a link that is about to be made.
    pub(super) fn take(self: &Arc<Self>) -> LinkShare {
        let mut free = self.extra.lock();
        let extra = LinkBudget::extra_of(*free);
        *free -= extra;
        LinkShare {
            shares: Arc::clone(self),
            extra,
        }
    }
}

impl LinkShare {
    /// QUIC's receive window of the connection.
    pub(super) fn window(&self) -> u64 {
        WINDOW_MIN + self.extra
    }

    /// Most bytes of frames of this link that may wait for its user.
    pub(super) fn inbox_bytes(&self) -> usize {
        self.shares.inbox_bytes
    }

    /// The places of frames that wait, of all links, one a byte.
    pub(super) fn pool(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shares.pool)
    }
}

impl Drop for LinkShare {
    fn drop(&mut self) {
        *self.shares.extra.lock() += self.extra;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_of_all_links_fit_the_budget_and_come_back_when_links_end() {
        for (mib, links_max) in [(256, 1_024), (64, 256), (64, 1), (4, 2)] {
            let ingest_bytes_max = mib << 20;
            let budget = LinkBudget {
                ingest_bytes_max,
                links_max,
            };
            let shares = Shares::new(budget.check().unwrap());
            let free = *shares.extra.lock();
            let taken: Vec<_> = (0..links_max).map(|_| shares.take()).collect();
            let windows: u64 = taken.iter().map(LinkShare::window).sum();
            let held = windows + shares.pool.available_permits() as u64;
            assert!(held <= ingest_bytes_max, "{mib} MiB, {links_max} links");
            let least = taken.iter().map(LinkShare::window).min();
            assert!(least >= Some(WINDOW_MIN), "{least:?}");
            drop(taken);
            assert_eq!(*shares.extra.lock(), free);
        }
    }

    #[test]
    fn few_links_have_windows_for_long_lines() {
        let budget = LinkBudget {
            ingest_bytes_max: 256 << 20,
            links_max: 1_024,
        };
        let shares = Shares::new(budget);
        assert_eq!(shares.take().window(), budget.receive_window());
        let taken: Vec<_> = (0..30).map(|_| shares.take()).collect();
        // Half a MiB at 300 ms is 1.7 MB/s, three times the samples of 10,000 switches.
        assert!(taken.iter().all(|share| share.window() >= 512 << 10));
    }
}
