//! What the threads of one bus hold in common.
//!
//! Does: bundle the log, the counters, the status and the views that commits feed.
//! Does not: act; each part has one owner that changes it (named at its field).
//! In: what [`crate::Bus::open`] found. Out: an `Arc` for writer, keeper, readers and handles.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};

use ocelli_model::clock::Clock;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::block_index::SharedDirectories;
use crate::cursor_store::CursorStore;
use crate::directory::DataDirectory;
use crate::disk::{Disk, LogFile};
use crate::log::Log;
use crate::options::BusOptions;
use crate::record::{OriginId, StreamId};
use crate::segment::SegmentNumber;
use crate::statistics::Counters;
use crate::views::Views;

/// How the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskState {
    /// There is room.
    #[default]
    Ok,
    /// Below the warning mark of free space; all still works.
    Low,
    /// Nothing can be appended; submissions are refused until space returns.
    Full,
    /// Writes or fsyncs fail for another reason; each submission tries again on a new segment.
    Failing,
}

impl DiskState {
    /// The name in `/v1/status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DiskState::Ok => "ok",
            DiskState::Low => "low",
            DiskState::Full => "full",
            DiskState::Failing => "failing",
        }
    }
}

/// What an operator should know of the bus at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusStatus {
    /// How the disk is.
    pub disk: DiskState,
    /// Bytes free in the file system when last asked.
    pub free_bytes: u64,
    /// Seconds until the disk is full at the rate of the last minute; `None`: retention comes
    /// first, or the rate is not known yet.
    pub full_in_seconds: Option<u64>,
}

/// A file made ready for the writer.
pub(crate) struct Spare {
    pub(crate) number: SegmentNumber,
    pub(crate) file: Box<dyn LogFile>,
}

/// The common ground of a bus's threads.
pub(crate) struct Shared {
    pub(crate) directory: DataDirectory,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: BusOptions,
    pub(crate) origin: OriginId,
    pub(crate) forsaken: Vec<OriginId>,
    /// Changed by the writer; segments are removed by the keeper.
    pub(crate) log: Log,
    pub(crate) counters: Counters,
    /// Changed by writer and keeper.
    pub(crate) status: watch::Sender<BusStatus>,
    /// Next id of lane 1 that no range holds.
    pub(crate) next_id: AtomicU32,
    /// Chores of the writer that the keeper has not begun, at most `CHORES_MAX`: so the end of the
    /// bus always has a place in the queue.
    pub(crate) chores_waiting: AtomicUsize,
    /// Filled by the keeper, taken by the writer.
    pub(crate) spare: Mutex<Option<Spare>>,
    /// Fed by the writer after each commit.
    pub(crate) views: Views,
    /// Filled by the reading threads; the keeper takes out what it changes.
    pub(crate) directories: SharedDirectories,
    /// Changed by readers, saved by the keeper.
    pub(crate) cursors: CursorStore,
}

impl Shared {
    /// The own stream of definitions.
    pub(crate) fn definitions(&self) -> StreamId {
        StreamId::definitions(self.origin)
    }

    /// Changes how the disk is said to be, and says so once.
    pub(crate) fn set_disk(&self, disk: DiskState) {
        self.status.send_if_modified(|status| {
            let is_new = status.disk != disk;
            status.disk = disk;
            is_new
        });
    }
}

/// Whether an error says that the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
