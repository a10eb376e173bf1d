//! Table of contents of `ocelli-bus`: the durable bus of a node.
//!
//! Does: blocks, bodies, definitions, segments, group commit, readers, cursors. Does not: network,
//! clocks, polling. The formats are described for other implementers in `bus/FORMAT.md`.

#![forbid(unsafe_code)]

pub mod block;
mod block_index;
mod block_reader;
pub mod body;
mod bus;
mod coverage;
mod cursor_store;
pub mod decoder;
pub mod definition;
mod definitions;
mod delivery_lane;
mod derivation;
pub mod dictionary;
mod directory;
pub mod disk;
pub mod encoder;
mod event_ledger;
mod filled_slots;
mod foreign;
mod gap_ledger;
mod head_mark;
mod keeper;
mod last_values;
pub mod limits;
mod log;
mod options;
mod origin;
mod origins;
pub mod payload;
pub mod read;
mod read_pool;
mod reader;
mod rebuild;
pub mod record;
mod recovery;
pub mod resolver;
mod retention;
mod retention_gaps;
mod retire;
mod segment;
mod seq_ranges;
mod shared;
mod shares;
mod space;
mod statistics;
mod stored;
mod system_names;
mod tail;
mod thin;
mod views;
mod volatile;
mod wire;
mod writer;

pub use block_reader::{BlockDelivery, BlockReader};
pub use bus::{Bus, OpenError};
pub use coverage::{CoverageFileError, StreamHead};
pub use cursor_store::{
    CURSOR_NAME_BYTES_MAX, CURSORS_MAX, CursorError, CursorFileError, CursorState, CursorStore,
    DurableCursor,
};
pub use definition::OriginDescription;
pub use definitions::{Definitions, EntryError};
pub use delivery_lane::{DeliveryLane, LaneMarks};
pub use derivation::Derivation;
pub use directory::DirectoryError;
pub use event_ledger::{EVENT_LEDGER_BYTES_MAX, EventKey, EventLedger, EventRow};
pub use foreign::{ForeignBlock, IngestError, RefusedForeign};
pub use gap_ledger::{GapLedger, GapRow};
pub use head_mark::HeadMark;
pub use last_values::{LastEntry, LastKey, LastKind, LastValues};
pub use options::BusOptions;
pub use origin::{ForsakeError, Forsaken, OriginError, forsake_origin};
pub use origins::{OriginFacts, ReaderFacts, Untaken};
pub use read_pool::ReadFrom;
pub use reader::{Delivery, EntryFilter, ReadError, Reader, ReaderOptions, TooManyReaders};
pub use recovery::{MovedAside, RecoverError, RecoveryReport};
pub use segment::index::SeqRange;
pub use segment::{INDEX_STEP_BYTES, LogPosition, SEGMENT_BYTES, SegmentNumber};
pub use seq_ranges::{RANGES_MAX, SeqRanges};
pub use shared::{BusStatus, DiskState};
pub use shares::OriginShare;
pub use statistics::{BusStatistics, FSYNC_BUCKETS_US};
pub use stored::{Entry, StoredBlock};
pub use system_names::SystemNames;
pub use volatile::VOLATILE_MAX;
pub use wire::WireError;
pub use writer::queue::{
    Acknowledgement, AppendError, BusHandle, Committed, IdsExhausted, Refused, SubmitError,
};

#[cfg(test)]
#[path = "strategies_tests.rs"]
mod testing;
