//! Where a subscription goes on that began with last values.
//!
//! Does: say what counts as taken once the last values are. Does not: read them.
//! In: the last values, and what the bus held before they were read. Out: seqs by stream.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::decoder::Record;
use crate::record::{Seq, StreamId};
use crate::{SeqRange, SeqRanges};

/// Of the streams of `first`, what is held and what is older: whoever has the last values goes on
/// behind them. Holes stay holes, since backfill may fill them.
pub(super) fn taken_with(
    first: &VecDeque<Arc<Record>>,
    held: Vec<(StreamId, SeqRanges)>,
) -> BTreeMap<StreamId, SeqRanges> {
    let streams: BTreeSet<StreamId> = first.iter().map(|record| record.stream).collect();
    let of_first = held
        .into_iter()
        .filter(|(stream, _)| streams.contains(stream));
    let with_older = |(stream, mut ranges): (StreamId, SeqRanges)| {
        let oldest = ranges.iter().next().map_or(Seq(1), |range| range.first);
        if oldest.0 > 1 {
            ranges.insert(SeqRange {
                first: Seq(1),
                last: Seq(oldest.0 - 1),
            });
        }
        (stream, ranges)
    };
    of_first.map(with_older).collect()
}
