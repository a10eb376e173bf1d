//! On which delivery lane of its stream a block of another origin comes here.
//!
//! Does: name a block's lane by what came before it, so that at this node live ascends in seq, and
//! so does backfill, over whatever lines and peers blocks come. Does not: hold blocks, read.
//! In: blocks in the log's order, with the channel they came over. Out: [`DeliveryLane`].
//! Why here: senders know their own line alone. Two regions that a site moved between, or peers,
//! each ascend, and interleave where they meet; only the place in the log is one order for all.

use serde::{Deserialize, Serialize};

use crate::record::Seq;
use crate::segment::index::SeqRange;

/// How a block stands to what came of its stream before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryLane {
    /// Newer than all before it. This lane ascends.
    Live,
    /// Older than something before it, newer than all backfill before it. This lane ascends.
    Backfill,
    /// Older than backfill before it, or what a filter had withheld when its seqs came: no order.
    Fill,
}

/// How far the lanes of a stream have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneMarks {
    /// Highest seq of all lanes.
    pub highest: Seq,
    /// Highest seq of backfill.
    pub backfilled: Seq,
}

impl LaneMarks {
    /// The lane of the next block. `is_late`: it came over a channel of backfill, whatever it looks
    /// like here.
    pub fn take(&mut self, range: SeqRange, is_late: bool) -> DeliveryLane {
        let is_late = is_late || range.first <= self.highest;
        self.highest = self.highest.max(range.last);
        match is_late {
            false => DeliveryLane::Live,
            true if range.first <= self.backfilled => DeliveryLane::Fill,
            true => {
                self.backfilled = range.last;
                DeliveryLane::Backfill
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_regions_that_a_site_moved_between_make_one_order_and_fills() {
        let mut marks = LaneMarks::default();
        // (first, last, over a channel of backfill): the one region's, mixed with the other's.
        let came = [
            (1, 9, false, DeliveryLane::Live),
            (20, 29, false, DeliveryLane::Live),
            (10, 14, false, DeliveryLane::Backfill),
            (30, 39, false, DeliveryLane::Live),
            (15, 19, true, DeliveryLane::Backfill),
            (12, 14, true, DeliveryLane::Fill),
            (50, 59, true, DeliveryLane::Backfill),
            (40, 49, true, DeliveryLane::Fill),
            (60, 69, false, DeliveryLane::Live),
        ];
        for (first, last, is_late, lane) in came {
            let (first, last) = (Seq(first), Seq(last));
            let taken = marks.take(SeqRange { first, last }, is_late);
            assert_eq!(taken, lane, "{first}-{last}");
        }
    }

    proptest! {
        #[test]
        fn live_ascends_and_so_does_backfill_whatever_comes(
            blocks in proptest::collection::vec((1u64..60, 0u64..5, any::<bool>()), 0..60)
        ) {
            let mut marks = LaneMarks::default();
            let (mut live, mut backfill) = (Seq(0), Seq(0));
            for (first, more, is_late) in blocks {
                let (first, last) = (Seq(first), Seq(first + more));
                let before = marks;
                match marks.take(SeqRange { first, last }, is_late) {
                    DeliveryLane::Live => {
                        prop_assert!(first > live.max(backfill) && !is_late);
                        live = last;
                    }
                    DeliveryLane::Backfill => {
                        prop_assert!(first > backfill);
                        backfill = last;
                    }
                    DeliveryLane::Fill => prop_assert!(first <= before.backfilled),
                }
            }
        }
    }
}
