//! Figures of a link, for `/v1/links` and `/metrics`.
//!
//! Does: count frames by kind without a lock; hold a snapshot of all. Does not: sample over time.
//! In: frames that pass. Out: [`LinkStatistics`]. Counters only grow while the link stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::frame::FrameKind;

/// Figures of a link since it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkStatistics {
    /// Round trip, the transport's present estimate.
    pub rtt: Duration,
    /// Bytes sent, as UDP payload (frames with their heads where there is no network).
    pub bytes_sent: u64,
    /// Bytes received, likewise.
    pub bytes_received: u64,
    /// Packets that the transport took for lost.
    pub packets_lost: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Congestion window, bytes; 0 where there is none.
    pub congestion_window_bytes: u64,
    /// Largest packet that the path takes, bytes; 0 where there is none.
    pub packet_bytes_max: u16,
    /// Bytes handed over by [`super::Link::send_block`] that wait in this node's queues.
    pub queued_bytes: u64,
    /// Frames, by kind.
    pub frames: FrameCounts,
}

/// Frames of a link, by kind. Kinds that never passed are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameCounts {
    /// Handed to the transport.
    pub sent: BTreeMap<FrameKind, u64>,
    /// Taken from it.
    pub received: BTreeMap<FrameKind, u64>,
    /// Of kinds that this node does not know: skipped.
    pub unknown: u64,
    /// Refused frames received: blocks that the peer did not take.
    pub refusals_received: u64,
}

/// Live counters behind [`FrameCounts`].
#[derive(Debug, Default)]
pub(super) struct FrameCounters {
    sent: [AtomicU64; FrameKind::COUNT],
    received: [AtomicU64; FrameKind::COUNT],
    unknown: AtomicU64,
}

impl FrameCounters {
    pub(super) fn sent(&self, kind: FrameKind) {
        if let Some(counter) = self.sent.get(kind.index()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn received(&self, kind: FrameKind) {
        if let Some(counter) = self.received.get(kind.index()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> FrameCounts {
        let received = by_kind(&self.received);
        FrameCounts {
            sent: by_kind(&self.sent),
            unknown: self.unknown.load(Ordering::Relaxed),
            refusals_received: received.get(&FrameKind::Refused).copied().unwrap_or(0),
            received,
        }
    }
}

fn by_kind(counters: &[AtomicU64; FrameKind::COUNT]) -> BTreeMap<FrameKind, u64> {
    let read = |(kind, counter): (&FrameKind, &AtomicU64)| (*kind, counter.load(Ordering::Relaxed));
    let all = FrameKind::ALL.iter().zip(counters).map(read);
    all.filter(|(_, count)| *count > 0).collect()
}
