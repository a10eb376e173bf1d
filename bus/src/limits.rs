//! Limits that several files of the bus share, each with its unit and reason.
//!
//! Does: name them in one place and state how they relate. Does not: hold limits of one file only.
//! In: nothing. Out: constants. Beyond a limit an operation answers an error or seals what it has;
//! nothing is ever cut silently.

/// Bytes at which a block under construction is sealed: one group commit's worth (design §6).
pub const BLOCK_BYTES_TARGET: usize = 256 * 1024;
/// Most bytes of a whole block, header included: one network frame (design §8).
pub const BLOCK_BYTES_MAX: usize = 1024 * 1024;
/// Most entries of a block; a head entry has at least [`HEAD_ENTRY_BYTES_MIN`] bytes.
pub const BLOCK_ENTRIES_MAX: usize = 32 * 1024;
/// Most distinct epochs of a block: an index into them is one byte.
pub const BLOCK_EPOCHS_MAX: usize = 255;
/// Most bytes of the bodies of a compressed block once inflated: bounds what a reader allocates.
pub const BLOCK_RAW_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Least bytes of a head entry: one for each of its fields.
pub const HEAD_ENTRY_BYTES_MIN: usize = 11;
/// Most cells (rows × metrics) of a batch: bounds what a decoder allocates to about 25 MiB,
/// whatever a body of constant columns claims.
pub const BATCH_CELLS_MAX: usize = 1 << 20;
/// Most bytes of one definition, inflated: a row set of many thousand rows fits.
pub const DEFINITION_BYTES_MAX: usize = 512 * 1024;
/// Most bytes of one payload other than a batch (gap, session, enrichment, event).
pub const PAYLOAD_BYTES_MAX: usize = 512 * 1024;

const _: () = assert!(BLOCK_BYTES_TARGET < BLOCK_BYTES_MAX);
const _: () = assert!(BLOCK_ENTRIES_MAX * HEAD_ENTRY_BYTES_MIN < BLOCK_BYTES_MAX);
const _: () =
    assert!(DEFINITION_BYTES_MAX < BLOCK_BYTES_MAX && PAYLOAD_BYTES_MAX < BLOCK_BYTES_MAX);
