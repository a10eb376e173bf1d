//! What one life of a node saves of a pair for the next: the `Session` record.
//!
//! Does: write and read it. Does not: decide when (`resource`, at a drain), find it (`node`).
//! In: [`PairMemory`]. Out: a note for the bus; back: [`PairMemory`] of a record's body.
//! The slot of the record's head is the last that is accounted for.

use ocelli_bus::encoder::Place;
use ocelli_bus::payload::Session;
use ocelli_model::clock::WallMs;
use ocelli_model::codec::{self, DecodeError, Kind};
use ocelli_model::rate::RateState;
use ocelli_model::rows::SessionFacts;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::outlet::Note;
use crate::plan::PairMemory;

/// Largest rate state that is saved: that of some 1,500 interfaces. Beyond it the next life's
/// first values are `first`.
const SAVED_BYTES_MAX: usize = 255 * 1024;
/// What decoding may allocate: four times the largest honest one.
const DECODE_BYTES_MAX: usize = 4 * SAVED_BYTES_MAX;
/// Version of [`Saved`]. 2: groups remember a restart. 3: exceptions of columns apart. Another
/// version is refused: values of the next life are `first` then.
const VERSION: u16 = 3;

#[derive(Serialize, Deserialize)]
struct Saved {
    /// Name of the credential that was answered last.
    credential: Option<String>,
    rate: RateState,
}

/// The record of a pair; `None` for one that never had a slot.
pub(crate) fn note_of(
    memory: &PairMemory,
    credential: Option<String>,
    now: WallMs,
) -> Option<Note> {
    let (slot, interval_ms, epoch) = memory.last?;
    let place = Place {
        slot,
        interval_ms,
        epoch,
        now,
    };
    let encode = |rate: RateState| {
        let saved = Saved {
            credential: credential.clone(),
            rate,
        };
        let mut state = Vec::new();
        codec::encode::<SAVED_BYTES_MAX>(Kind::SESSION, VERSION, &saved, &mut state).map(|()| state)
    };
    let state = encode(memory.rate.clone()).or_else(|error| {
        warn!(%error, "previous counters are not saved; the next values will be first ones");
        encode(RateState::default())
    });
    let session = Session {
        facts: SessionFacts::default(),
        rtt_us: None,
        state: state.ok()?,
    };
    Some(Note::Session(session, place))
}

/// Reads a record's state: previous counters and the credential that was answered last.
///
/// # Errors
/// [`DecodeError`] for bytes that are no such record.
pub(crate) fn read(state: &[u8]) -> Result<(RateState, Option<String>), DecodeError> {
    let (saved, _) = codec::decode::<Saved, DECODE_BYTES_MAX>(Kind::SESSION, VERSION, state)?;
    Ok((saved.rate, saved.credential))
}
