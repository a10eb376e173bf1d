//! Tests of the ledger of gaps: against a set of slots, and at its limit.
//!
//! Does: compare what the ledger lists with what a plain set holds. Does not: read logs.
//! In: gaps and batches in any order. Out: failures.

use std::collections::BTreeSet;

use super::*;
use ocelli_model::gap::GapKind;
use ocelli_model::slot::Epoch;
use proptest::prelude::*;

fn row(pair: u8, first: i64, last: i64) -> GapRow {
    let gap = Gap {
        first: SlotMs(first),
        last: SlotMs(last),
        ..Gap::of_slot(SlotMs(first), 10, Epoch::default(), GapKind::Timeout.into())
    };
    let id = ResourceId::new(["dc1", "network", "switch", "generic", &pair.to_string()]).unwrap();
    GapRow {
        resource: Some(id),
        plugin: Some("interfaces".into()),
        gap,
        origin: OriginId(1),
        seq: Seq(1),
    }
}

fn pair_of(row: &GapRow) -> Pair {
    (row.resource.clone(), row.plugin.clone())
}

proptest! {
    #[test]
    fn the_ledger_holds_the_slots_that_were_missed_and_not_healed(
        steps in proptest::collection::vec((0u8..2, 0i64..40, any::<bool>()), 0..80)
    ) {
        let mut inner = Inner::default();
        let mut model = BTreeSet::new();
        for (pair, slot, is_gap) in steps {
            let row = row(pair, slot * 10, slot * 10);
            if !is_gap {
                inner.heal(&pair_of(&row), SlotMs(slot * 10));
                model.remove(&(pair, slot * 10));
            } else if model.insert((pair, slot * 10)) {
                inner.note(row, 1_000);
            }
            let mut found = BTreeSet::new();
            for row in inner.pairs.values().flat_map(BTreeMap::values) {
                let pair: u8 = row.resource.as_ref().unwrap().as_str()
                    .rsplit('/').next().unwrap().parse().unwrap();
                let mut slot = row.gap.first.0;
                while slot <= row.gap.last.0 {
                    prop_assert!(found.insert((pair, slot)), "listed twice");
                    slot += 10;
                }
            }
            prop_assert_eq!(&found, &model);
            let ranges: usize = inner.pairs.values().map(BTreeMap::len).sum();
            prop_assert_eq!(inner.ranges, ranges);
        }
    }
}

#[test]
fn neighbours_of_one_cause_are_one_range_and_the_oldest_leaves_at_the_limit() {
    let mut inner = Inner::default();
    for slot in 0..100 {
        inner.note(row(1, slot * 10, slot * 10), 3);
    }
    assert_eq!((inner.ranges, inner.dropped), (1, 0));
    for pair in 2..9 {
        inner.note(row(pair, 0, 50), 3);
    }
    assert_eq!((inner.ranges, inner.dropped), (3, 5));
}
