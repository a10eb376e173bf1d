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
        is_pending: false,
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

fn pending(pair: u8, first: i64, last: i64) -> GapRow {
    let gap = Gap {
        cause: GapKind::LostNode.into(),
        ..row(pair, first, last).gap
    };
    GapRow {
        gap,
        is_pending: true,
        ..row(pair, first, last)
    }
}

fn listed(inner: &Inner) -> Vec<(i64, i64, bool)> {
    let rows = inner.pairs.values().flat_map(BTreeMap::values);
    rows.map(|row| (row.gap.first.0, row.gap.last.0, row.is_pending))
        .collect()
}

#[test]
fn what_is_pending_is_closed_by_batches_gaps_and_a_release() {
    let mut inner = Inner::default();
    inner.note(pending(1, 0, 90), 100);
    inner.note(pending(1, 100, 190), 100);
    assert_eq!(listed(&inner), [(0, 190, true)], "neighbours are one range");
    let pair = pair_of(&pending(1, 0, 0));
    inner.heal(&pair, SlotMs(50));
    assert_eq!(listed(&inner), [(0, 40, true), (60, 190, true)]);
    inner.note(row(1, 30, 70), 100);
    let expected = [(0, 20, true), (30, 70, false), (80, 190, true)];
    assert_eq!(listed(&inner), expected, "a gap says more than pending");
    inner.note(pending(1, 30, 70), 100);
    assert_eq!(listed(&inner), expected, "and is not taken back");
    // Between two slots of the grid: the next one is the first that is released.
    inner.release(pair.0.clone(), None, SlotMs(105));
    let expected = [(0, 20, true), (30, 70, false), (80, 100, true)];
    assert_eq!(listed(&inner), expected);
    inner.release(pair.0.clone(), Some("other".into()), SlotMs(0));
    assert_eq!(listed(&inner), expected, "another plugin's release");
    inner.release(pair.0, pair.1, SlotMs(0));
    assert_eq!(listed(&inner), [(30, 70, false)], "a gap stays a gap");
    assert_eq!(inner.ranges, 1);
}
