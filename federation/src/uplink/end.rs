//! Why an uplink ended.
//!
//! Does: name the reasons, told apart by what the dialler does next. Does not: end (`run`).
//! In: the link, the bus. Out: [`UplinkEnd`].

use ocelli_bus::record::{OriginId, Seq};
use ocelli_bus::{ReadError, TooManyReaders};

use crate::link::Closed;

/// Why an uplink ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UplinkEnd {
    /// The link ended: dial again.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The neighbour holds records of the own origin that this disk lacks or has otherwise.
    #[error(
        "the neighbour holds records of {origin} up to {above} that this disk has not: it is an \
         old copy; begin a new origin before the next append"
    )]
    RolledBack {
        /// The origin that is to be given up.
        origin: OriginId,
        /// Highest seq above.
        above: Seq,
    },
    /// The node stops: all is above, or as much as the link took in time.
    #[error("this node stops; {left} records are sent after its next start")]
    Drained {
        /// Records that are held here and not above.
        left: u64,
    },
    /// The link was made for a replay, which is over.
    #[error("the replay is over")]
    Replayed,
    /// The bus cannot be followed.
    #[error(transparent)]
    Readers(#[from] TooManyReaders),
    /// The bus cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
