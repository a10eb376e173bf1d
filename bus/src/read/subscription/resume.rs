//! Going on by a cursor: whether this node can, and what is gone meanwhile.
//!
//! Does: refuse cursors of another selection and of streams that nobody here knows, find what
//! retention took of what the cursor had yet to get. Does not: read blocks.
//! In: a cursor, what the bus holds and held. Out: [`Resumed`], or why not.

use std::collections::{BTreeMap, VecDeque};

use super::{Item, SubscriptionError};
use crate::read::cursor::Cursor;
use crate::record::StreamId;
use crate::seq_ranges::SeqRanges;
use crate::{Bus, SeqRange};

/// Where a subscription goes on.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    pub(super) taken: BTreeMap<StreamId, SeqRanges>,
    pub(super) may_repeat: bool,
    /// What comes first: one for each stream that lost something.
    pub(super) notices: VecDeque<Item>,
}

/// `is_rebase`: the subscriber knows that the cursor is not of this place.
pub(super) fn resume(
    bus: &Bus,
    cursor: &Cursor,
    (selection, is_rebase): (u64, bool),
) -> Result<Resumed, SubscriptionError> {
    if is_rebase {
        return Ok(resumed(bus, cursor));
    }
    if cursor.selection != selection {
        return Err(SubscriptionError::OtherSelection);
    }
    let mut streams = cursor.taken.keys();
    match streams.clone().next() {
        Some(first) if streams.all(|stream| bus.coverage_of(*stream).is_empty()) => {
            Err(SubscriptionError::ForeignCursor {
                streams: cursor.taken.len(),
                origin: first.origin,
            })
        }
        _ => Ok(resumed(bus, cursor)),
    }
}

fn resumed(bus: &Bus, cursor: &Cursor) -> Resumed {
    let mut resumed = Resumed {
        taken: cursor.taken.clone(),
        may_repeat: cursor.may_repeat,
        notices: VecDeque::new(),
    };
    for (stream, taken) in &mut resumed.taken {
        let mut gone = bus.lost_to(*stream, taken);
        if let (true, Some(lowest)) = (cursor.may_repeat, taken.lowest()) {
            // Below it the cursor has forgotten what was handed out.
            gone = gone.within(SeqRange {
                first: lowest,
                last: gone.highest().max(lowest),
            });
        }
        let Some(first) = gone.lowest() else {
            continue;
        };
        let last = gone.highest();
        resumed.notices.push_back(Item::Removed {
            stream: *stream,
            range: SeqRange { first, last },
            seqs: gone.count(),
        });
        // Said once: the next cursor is past it.
        taken.insert_all(&gone);
    }
    resumed
}
