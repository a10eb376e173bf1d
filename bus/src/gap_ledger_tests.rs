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

fn filled_of(row: &GapRow) -> FilledPair {
    (row.resource.clone().unwrap(), row.plugin.clone().unwrap())
}

proptest! {
    #[test]
    fn the_ledger_holds_the_slots_that_were_missed_and_not_healed(
        steps in proptest::collection::vec((0u8..2, 0i64..40, any::<bool>()), 0..80)
    ) {
        let mut inner = Inner::new(1_000);
        let (mut model, mut healed) = (BTreeSet::new(), BTreeSet::new());
        for (at, (pair, slot, is_gap)) in steps.into_iter().enumerate() {
            let row = row(pair, slot * 10, slot * 10);
            if !is_gap {
                inner.heal(&filled_of(&row), (SlotMs(slot * 10), 10));
                model.remove(&(pair, slot * 10));
                healed.insert((pair, slot * 10));
            } else if healed.contains(&(pair, slot * 10)) || model.insert((pair, slot * 10)) {
                inner.note(row, 1_000);
            }
            // A start reads what was healed, then the gaps again.
            if at == 30 {
                let mut bytes = Vec::new();
                inner.filled.encode(&mut bytes);
                let rows: Vec<GapRow> =
                    inner.pairs.values().flat_map(BTreeMap::values).cloned().collect();
                inner = Inner::new(1_000);
                inner.filled.decode(&mut Cursor::new(&bytes)).unwrap();
                rows.into_iter().for_each(|row| inner.note(row, 1_000));
                for (pair, slot) in &healed {
                    inner.note(self::row(*pair, *slot, *slot), 1_000);
                }
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
    let mut inner = Inner::new(1_000);
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
    let mut inner = Inner::new(1_000);
    inner.note(pending(1, 0, 90), 100);
    inner.note(pending(1, 100, 190), 100);
    assert_eq!(listed(&inner), [(0, 190, true)], "neighbours are one range");
    let pair = pair_of(&pending(1, 0, 0));
    inner.heal(&filled_of(&pending(1, 0, 0)), (SlotMs(50), 10));
    assert_eq!(listed(&inner), [(0, 40, true), (60, 190, true)]);
    inner.note(row(1, 30, 70), 100);
    let expected = [
        (0, 20, true),
        (30, 40, false),
        (60, 70, false),
        (80, 190, true),
    ];
    assert_eq!(
        listed(&inner),
        expected,
        "a gap says more than pending, a batch more than both"
    );
    inner.note(pending(1, 30, 40), 100);
    assert_eq!(listed(&inner), expected, "and is not taken back");
    // Between two slots of the grid: the next one is the first that is released.
    inner.release(pair.0.clone(), None, SlotMs(105));
    let expected = [
        (0, 20, true),
        (30, 40, false),
        (60, 70, false),
        (80, 100, true),
    ];
    assert_eq!(listed(&inner), expected);
    inner.release(pair.0.clone(), Some("other".into()), SlotMs(0));
    assert_eq!(listed(&inner), expected, "another plugin's release");
    inner.release(pair.0, pair.1, SlotMs(0));
    let left = [(30, 40, false), (60, 70, false)];
    assert_eq!(listed(&inner), left, "a gap stays a gap");
    assert_eq!(inner.ranges, 2);
}

#[test]
fn a_gap_that_comes_behind_its_batch_leaves_the_slot_out() {
    let ledger = GapLedger::new(10);
    let one = filled_of(&row(1, 0, 0));
    // Live batches came while older records of their stream were missing, others when none was.
    for slot in [30, 40, 50, 90] {
        ledger.heal(one.clone(), (SlotMs(slot), 10), true);
    }
    ledger.heal(one, (SlotMs(70), 10), false);
    ledger.inner.write().note(row(1, 0, 100), 10);
    let expected = [(0, 20, false), (60, 80, false), (100, 100, false)];
    assert_eq!(listed(&ledger.inner.read()), expected);
    let again = GapLedger::new(10);
    again.restore_filled(&ledger.filled()).unwrap();
    again.inner.write().note(row(1, 0, 100), 10);
    assert_eq!(listed(&again.inner.read()), expected, "after a start");
    assert!(again.restore_filled(&[9]).is_err());
}

#[test]
fn runs_of_filled_slots_grow_together_and_the_oldest_leave_at_the_limit() {
    let mut filled = FilledSlots::new(3);
    let pair = |number| filled_of(&row(number, 0, 0));
    for slot in [0, 20, 10, 40, 30, 20] {
        filled.insert(&pair(1), SlotMs(slot), 10);
    }
    let all = (SlotMs(0), SlotMs(1_000));
    assert_eq!(filled.within(&pair(1), all), [(SlotMs(0), SlotMs(40))]);
    for number in 2..5 {
        filled.insert(&pair(number), SlotMs(0), 10);
    }
    assert!(filled.within(&pair(1), all).is_empty(), "the oldest left");
    assert_eq!(filled.within(&pair(4), all).len(), 1);
}
