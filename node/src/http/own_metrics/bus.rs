//! The bus's own numbers as rows.
//!
//! Does: name each number of [`BusStatistics`] and of the bus's views. Does not: count.
//! In: a bus and its statistics. Out: rows; the fsync histogram apart, by buckets.

use ocelli_bus::{Bus, BusStatistics, DiskState, FSYNC_BUCKETS_US};

use super::{Named, OwnMetric, count};

type Read = fn(&BusStatistics) -> u64;

const COUNTERS: &[(Named, Read)] = &[
    (
        ("ocelli_bus_appended_blocks", "Blocks made durable."),
        |s| s.blocks,
    ),
    (
        ("ocelli_bus_appended_entries", "Entries made durable."),
        |s| s.entries,
    ),
    (
        (
            "ocelli_bus_appended_bytes",
            "Bytes of the blocks made durable.",
        ),
        |s| s.block_bytes,
    ),
    (
        ("ocelli_bus_commits", "Group commits that succeeded."),
        |s| s.commits,
    ),
    (
        (
            "ocelli_bus_commit_failures",
            "Writes or commits that failed.",
        ),
        |s| s.commit_failures,
    ),
    (
        (
            "ocelli_bus_disk_full_blocks",
            "Blocks refused for want of space.",
        ),
        |s| s.disk_full_blocks,
    ),
    (("ocelli_bus_segments_opened", "Segments begun."), |s| {
        s.segments_opened
    }),
    (
        (
            "ocelli_bus_segments_waited_for",
            "Segments that the writer had to begin by itself.",
        ),
        |s| s.segments_waited_for,
    ),
    (
        (
            "ocelli_bus_segments_removed",
            "Segments that retention removed.",
        ),
        |s| s.segments_removed,
    ),
    (
        (
            "ocelli_bus_segments_forced",
            "Segments removed before a required reader had passed.",
        ),
        |s| s.segments_forced,
    ),
    (("ocelli_bus_tail_reads", "Reads from memory."), |s| {
        s.tail_reads
    }),
    (("ocelli_bus_disk_reads", "Reads from disk."), |s| {
        s.disk_reads
    }),
    (
        (
            "ocelli_bus_damaged_blocks",
            "Blocks on disk that failed their checksum when read.",
        ),
        |s| s.damaged_blocks,
    ),
    (
        (
            "ocelli_bus_unusable_definitions",
            "Definitions that could not be used.",
        ),
        |s| s.unusable_definitions,
    ),
    (
        (
            "ocelli_bus_retention_gaps",
            "Gaps written for data that retention took at the cap.",
        ),
        |s| s.retention_gaps,
    ),
    (
        (
            "ocelli_bus_last_values_evicted",
            "Last values that left memory at its limit.",
        ),
        |s| s.last_values_evicted,
    ),
    (
        (
            "ocelli_bus_system_names_refused",
            "Names of devices that found no room; their resources go by their other names.",
        ),
        |s| s.system_names_refused,
    ),
];

const GAUGES: &[(Named, Read)] = &[
    (
        ("ocelli_bus_queue_bytes", "Bytes that wait to be durable."),
        |s| s.queue_bytes,
    ),
    (
        ("ocelli_bus_queue_limit_bytes", "Limit of the queue."),
        |s| s.queue_bytes_max,
    ),
    (("ocelli_bus_segments", "Segments held."), |s| s.segments),
    (
        ("ocelli_bus_segment_bytes", "Bytes of the segments on disk."),
        |s| s.segment_bytes,
    ),
    (
        (
            "ocelli_bus_tail_bytes",
            "Bytes of the log's end held in memory.",
        ),
        |s| s.tail_bytes,
    ),
];

const DISK_STATES: [(DiskState, &str); 4] = [
    (DiskState::Ok, "ok"),
    (DiskState::Low, "low"),
    (DiskState::Full, "full"),
    (DiskState::Failing, "failing"),
];

/// All rows but the histogram.
pub(super) fn rows(bus: &Bus, statistics: &BusStatistics) -> Vec<OwnMetric> {
    let counter = |(named, read): &(Named, Read)| OwnMetric::counter(*named, read(statistics));
    let gauge = |(named, read): &(Named, Read)| OwnMetric::gauge(*named, read(statistics) as f64);
    let mut rows: Vec<OwnMetric> = COUNTERS.iter().map(counter).collect();
    rows.extend(GAUGES.iter().map(gauge));
    rows.extend(view_rows(bus));
    let status = *bus.status().borrow();
    let free = (
        "ocelli_bus_free_bytes",
        "Free bytes of the log's file system.",
    );
    rows.push(OwnMetric::gauge(free, status.free_bytes as f64));
    let disk = (
        "ocelli_bus_disk_state",
        "1 for the state that the disk is in.",
    );
    rows.extend(DISK_STATES.map(|(state, name)| {
        let is_now = f64::from(u8::from(status.disk == state));
        OwnMetric::gauge(disk, is_now).of("state", name)
    }));
    rows
}

fn view_rows(bus: &Bus) -> Vec<OwnMetric> {
    let gauges: [(Named, usize); 8] = [
        (
            ("ocelli_bus_last_values", "Last values held."),
            bus.last_values().len(),
        ),
        (
            ("ocelli_bus_last_values_bytes", "Bytes of the last values."),
            bus.last_values().bytes(),
        ),
        (
            ("ocelli_bus_definitions_bytes", "Bytes of the definitions."),
            bus.definitions().bytes(),
        ),
        (
            (
                "ocelli_bus_record_cache_bytes",
                "Bytes of decoded records that readers share.",
            ),
            bus.definitions().cached_bytes(),
        ),
        (
            ("ocelli_bus_gap_ranges", "Gap ranges held for queries."),
            bus.gaps().len(),
        ),
        (
            ("ocelli_bus_cursors", "Durable cursors."),
            bus.cursors().list().len(),
        ),
        (
            (
                "ocelli_bus_readers",
                "Readers open: subscriptions and sinks.",
            ),
            bus.open_readers(),
        ),
        (
            ("ocelli_bus_readers_limit", "Most readers open at one time."),
            bus.readers_max(),
        ),
    ];
    let mut rows = gauges
        .map(|(named, value)| OwnMetric::gauge(named, count(value)))
        .to_vec();
    let dropped = (
        "ocelli_bus_gap_ranges_dropped",
        "Gap ranges that left memory at its limit.",
    );
    rows.push(OwnMetric::counter(dropped, bus.gaps().dropped()));
    rows
}

/// (upper bound in seconds, fsyncs up to it) ascending, the last without a bound; and the sum.
pub(super) fn fsync(statistics: &BusStatistics) -> (Vec<(f64, u64)>, f64) {
    let bounds = FSYNC_BUCKETS_US.iter().map(|micros| *micros as f64 / 1e6);
    let mut so_far = 0;
    let buckets = bounds.chain([f64::INFINITY]).zip(statistics.fsync_buckets);
    let cumulated = buckets.map(|(bound, fsyncs)| {
        so_far += fsyncs;
        (bound, so_far)
    });
    (cumulated.collect(), statistics.fsync_us_total as f64 / 1e6)
}
