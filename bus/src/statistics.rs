//! What the bus counts about itself, for `/metrics` and `/v1/status`.
//!
//! Does: hold counters, a histogram of fsync times, and take snapshots. Does not: name metrics.
//! In: events on the writer and its neighbours. Out: [`BusStatistics`], plain data.
//! Each number names what it counts in the field's documentation, and tests compare it with that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the fsync histogram, microseconds; one more bucket holds what is above.
pub const FSYNC_BUCKETS_US: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Running numbers of a bus.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64,)+ fsync: FsyncHistogram }

        /// Numbers of a bus at one time. Counters count from the start of the process.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct BusStatistics {
            $($(#[$doc])* pub $name: u64,)+
            /// Commits by fsync time: one number for each of [`FSYNC_BUCKETS_US`], and one above.
            pub fsync_buckets: [u64; FSYNC_BUCKETS_US.len() + 1],
            /// Time spent in fsync, microseconds.
            pub fsync_us_total: u64,
            /// Bytes that wait in the writer's queue, unacknowledged ones included.
            pub queue_bytes: u64,
            /// The queue's limit, bytes.
            pub queue_bytes_max: u64,
            /// Segments held.
            pub segments: u64,
            /// Bytes of the segments on disk.
            pub segment_bytes: u64,
            /// Bytes of the live tail.
            pub tail_bytes: u64,
        }

        impl Counters {
            /// The counters now; gauges are zero, the bus fills them in.
            pub(crate) fn snapshot(&self) -> BusStatistics {
                let (fsync_buckets, fsync_us_total) = self.fsync.snapshot();
                BusStatistics {
                    $($name: self.$name.load(Ordering::Relaxed),)+
                    fsync_buckets,
                    fsync_us_total,
                    ..BusStatistics::default()
                }
            }
        }
    };
}

counters! {
    /// Blocks made durable.
    blocks,
    /// Entries made durable.
    entries,
    /// Bytes of the blocks made durable.
    block_bytes,
    /// Group commits that succeeded.
    commits,
    /// Commits or writes that failed; each ends its segment.
    commit_failures,
    /// Blocks refused because the disk was full.
    disk_full_blocks,
    /// Segments begun.
    segments_opened,
    /// Segments begun by the writer itself, because none was ready.
    segments_waited_for,
    /// Segments that retention removed.
    segments_removed,
    /// Segments removed at the hard cap before a required reader had passed them.
    segments_forced,
    /// Segments that lost the data of some origins at the hard cap, or at those origins' own.
    segments_thinned,
    /// Reads from the live tail.
    tail_reads,
    /// Reads from disk.
    disk_reads,
    /// Blocks on disk that failed their checksum when read.
    damaged_blocks,
    /// Definitions that could not be used; what rests on them is named when it is read.
    unusable_definitions,
    /// Gaps that were written for data that retention took at the hard cap.
    retention_gaps,
    /// Blocks of other origins that were held already.
    duplicate_blocks,
    /// Blocks of other origins of which what had been withheld was taken.
    filled_blocks,
    /// Blocks of other origins that have to be offered again: lane 1 out of order, definitions
    /// missing, too many holes.
    foreign_refused,
    /// Last values that left memory at its limit.
    last_values_evicted,
    /// Names of devices that found no room.
    system_names_refused,
}

impl Counters {
    /// Adds `count` to a counter.
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes in how long an fsync took.
    pub(crate) fn fsync_took(&self, took: Duration) {
        self.fsync.record(took);
    }
}

#[derive(Debug, Default)]
struct FsyncHistogram {
    buckets: [AtomicU64; FSYNC_BUCKETS_US.len() + 1],
    total_us: AtomicU64,
}

impl FsyncHistogram {
    fn record(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = FSYNC_BUCKETS_US.partition_point(|bound| *bound < took_us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.total_us.fetch_add(took_us, Ordering::Relaxed);
    }

    fn snapshot(&self) -> ([u64; FSYNC_BUCKETS_US.len() + 1], u64) {
        let mut buckets = [0; FSYNC_BUCKETS_US.len() + 1];
        for (into, from) in buckets.iter_mut().zip(&self.buckets) {
            *into = from.load(Ordering::Relaxed);
        }
        (buckets, self.total_us.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_fsync_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let counters = Counters::default();
        for micros in [1, 100, 101, 1_000_000, 1_000_001] {
            counters.fsync_took(Duration::from_micros(micros));
        }
        let snapshot = counters.snapshot();
        assert_eq!(snapshot.fsync_buckets[..2], [2, 1]);
        assert_eq!(snapshot.fsync_buckets[FSYNC_BUCKETS_US.len() - 1..], [1, 1]);
        assert_eq!(snapshot.fsync_us_total, 2_000_203);
    }
}
