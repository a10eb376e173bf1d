//! Settings of a bus, with their defaults.
//!
//! Does: hold what `[bus]` of the configuration and the memory budget decide. Does not: parse.
//! In: the assembly in `node`. Out: [`BusOptions`]. The sum of the `*_bytes_max` of memory is what
//! the bus takes at most beside one commit's window and the buffers of reads under way.

use std::time::Duration;

use crate::definition::OriginDescription;
use crate::shares::OriginShare;

/// How a bus behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusOptions {
    /// Who appends here, for upper tiers; without it they cannot take this node's blocks.
    pub description: Option<OriginDescription>,
    /// Age at which a segment goes, if each required reader has passed it.
    pub retention: Duration,
    /// Most bytes of segments on disk; beyond it segments go whatever readers say.
    pub bytes_max: u64,
    /// Who of several sites loses first at `bytes_max`, and at what own limit.
    pub shares: Vec<OriginShare>,
    /// How long a required cursor may stand still before it stops holding segments.
    pub cursor_idle_max: Duration,
    /// Free space below which the status is `Low`, bytes.
    pub low_space_bytes: u64,
    /// Free space that is never reserved for segments, bytes: cursors and other files need some.
    pub spare_space_bytes: u64,
    /// Length of a segment, bytes; another than the default only in tests.
    pub segment_bytes: u64,
    /// How long a written block waits for others to share its fsync; of another node: twice that.
    pub commit_delay: Duration,
    /// Bytes at which an fsync does not wait any longer.
    pub commit_bytes: usize,
    /// Memory of the writer's queue, bytes.
    pub queue_bytes_max: usize,
    /// Memory of the live tail, bytes.
    pub tail_bytes_max: usize,
    /// Memory of blocks read from disk and shared between readers, bytes.
    pub read_cache_bytes_max: usize,
    /// Memory of decoded records that readers share, bytes.
    pub record_cache_bytes_max: usize,
    /// Memory of the last values, bytes.
    pub last_values_bytes_max: usize,
    /// Most readers open at once: subscriptions, links, and a few of the node's own.
    pub readers_max: usize,
    /// Most gap ranges that are kept for queries.
    pub gap_ranges_max: usize,
    /// Most events that are kept for queries, the newest ones.
    pub events_max: usize,
}

impl Default for BusOptions {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            description: None,
            retention: Duration::from_secs(6 * 3_600),
            bytes_max: 64 * 1024 * MIB as u64,
            shares: Vec::new(),
            cursor_idle_max: Duration::from_secs(24 * 3_600),
            low_space_bytes: 1024 * MIB as u64,
            spare_space_bytes: 64 * MIB as u64,
            segment_bytes: crate::segment::SEGMENT_BYTES,
            commit_delay: Duration::from_millis(5),
            commit_bytes: 256 * 1024,
            queue_bytes_max: 16 * MIB,
            tail_bytes_max: 32 * MIB,
            read_cache_bytes_max: 16 * MIB,
            record_cache_bytes_max: 32 * MIB,
            last_values_bytes_max: 256 * MIB,
            readers_max: 1_024,
            gap_ranges_max: 65_536,
            events_max: 10_000,
        }
    }
}
