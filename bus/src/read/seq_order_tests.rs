//! Tests of the order by seq: holes that fill, holes that do not, streams that do not disturb each
//! other, limits; and, over random arrivals, that nothing is lost, doubled or out of order in time.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::record::OriginId;

fn stream(origin: u128) -> StreamId {
    StreamId::data(OriginId(origin))
}

fn range(first: u64, last: u64) -> SeqRange {
    SeqRange {
        first: Seq(first),
        last: Seq(last),
    }
}

fn at(seconds: u64) -> Monotonic {
    Monotonic(0).after(Duration::from_secs(seconds))
}

/// A block came, all of whose entries are wanted.
fn block(order: &mut SeqOrder<u64>, of: u128, first: u64, last: u64) {
    for seq in first..=last {
        order.push(stream(of), Seq(seq), seq);
    }
    order.came(stream(of), range(first, last));
}

fn drain(order: &mut SeqOrder<u64>, now: Monotonic) -> Vec<Ordered<u64>> {
    std::iter::from_fn(|| order.pop(now)).collect()
}

fn items(seqs: impl IntoIterator<Item = u64>) -> Vec<Ordered<u64>> {
    seqs.into_iter().map(Ordered::Item).collect()
}

#[test]
fn a_stream_without_holes_is_handed_out_at_once() {
    let mut order = SeqOrder::new(ORDER_LAG);
    block(&mut order, 1, 100, 103);
    block(&mut order, 1, 104, 105);
    assert_eq!(drain(&mut order, at(0)), items(100..=105));
    assert_eq!((order.held(), order.deadline()), (0, None));
}

#[test]
fn a_hole_is_waited_for_and_what_fills_it_comes_first() {
    let mut order = SeqOrder::new(ORDER_LAG);
    block(&mut order, 1, 1, 2);
    block(&mut order, 1, 6, 7);
    assert_eq!(drain(&mut order, at(0)), items([1, 2]));
    assert_eq!(order.deadline(), Some(at(10)));
    block(&mut order, 2, 50, 50);
    assert_eq!(
        drain(&mut order, at(1)),
        items([50]),
        "another stream goes on"
    );
    order.push(stream(1), Seq(4), 4);
    order.came(stream(1), range(3, 5));
    assert_eq!(
        drain(&mut order, at(9)),
        items([4, 6, 7]),
        "3 and 5 are not wanted"
    );
    assert_eq!(order.deadline(), None);
}

#[test]
fn a_hole_that_does_not_fill_is_named_after_the_lag_and_its_entries_still_come_late() {
    let mut order = SeqOrder::new(ORDER_LAG);
    block(&mut order, 1, 1, 1);
    block(&mut order, 1, 4, 4);
    block(&mut order, 1, 9, 9);
    assert_eq!(drain(&mut order, at(0)), items([1]));
    assert_eq!(drain(&mut order, at(9)), []);
    let missing = |first, last| Ordered::Missing {
        stream: stream(1),
        range: range(first, last),
    };
    assert_eq!(drain(&mut order, at(10)), [missing(2, 3), Ordered::Item(4)]);
    assert_eq!(
        order.deadline(),
        Some(at(20)),
        "the next hole has a lag of its own"
    );
    block(&mut order, 1, 2, 2);
    assert_eq!(drain(&mut order, at(11)), items([2]), "late, not never");
    assert_eq!(drain(&mut order, at(20)), [missing(5, 8), Ordered::Item(9)]);
}

#[test]
fn too_many_held_items_or_holes_give_the_first_hole_up_at_once() {
    let mut order = SeqOrder::new(ORDER_LAG);
    block(&mut order, 1, 1, 1);
    block(&mut order, 1, 3, 3 + ORDER_HELD_MAX as u64);
    let out = drain(&mut order, at(0));
    assert!(matches!(out[1], Ordered::Missing { .. }) && out.len() == ORDER_HELD_MAX + 3);

    let mut order = SeqOrder::new(ORDER_LAG);
    block(&mut order, 1, 1, 1);
    for hole in 0..ORDER_HOLES_MAX as u64 + 5 {
        order.came(stream(1), range(3 + 2 * hole, 3 + 2 * hole));
    }
    let given_up = drain(&mut order, at(0)).len() - 1;
    assert_eq!(given_up, 5);
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order_is_handed_out_once_and_ascends_unless_it_is_late(
        blocks in proptest::collection::vec((1u64..60, 0u64..5, 0u64..4), 1..40)
    ) {
        let mut order = SeqOrder::new(Duration::from_secs(2));
        let (mut now, mut pushed, mut out) = (0, BTreeSet::new(), Vec::new());
        let (mut highest, mut missing) = (0, BTreeSet::new());
        let mut take = |ordered: Vec<Ordered<u64>>, out: &mut Vec<u64>| {
            for ordered in ordered {
                match ordered {
                    Ordered::Item(seq) => {
                        assert!(seq > highest || missing.contains(&seq), "{seq} after {highest}");
                        highest = highest.max(seq);
                        out.push(seq);
                    }
                    Ordered::Missing { range, .. } => {
                        missing.extend(range.first.0..=range.last.0);
                        highest = highest.max(range.last.0);
                    }
                }
            }
        };
        order.came(stream(1), range(1, 1));
        for (first, more, passed) in blocks {
            let new: Vec<u64> = (first + 1..=first + 1 + more)
                .filter(|seq| pushed.insert(*seq))
                .collect();
            for seq in &new {
                order.push(stream(1), Seq(*seq), *seq);
                order.came(stream(1), range(*seq, *seq));
            }
            now += passed;
            take(drain(&mut order, at(now)), &mut out);
        }
        while let Some(deadline) = order.deadline() {
            take(drain(&mut order, deadline), &mut out);
        }
        prop_assert_eq!(order.held(), 0);
        prop_assert_eq!(out.iter().copied().collect::<BTreeSet<_>>(), pushed);
        prop_assert_eq!(out.iter().collect::<BTreeSet<_>>().len(), out.len());
    }
}
