//! Verdicts by hand, and against their definition over random histories.

use proptest::prelude::*;

use super::*;

const fn epoch(generation: u64, index: u64) -> Epoch {
    Epoch { generation, index }
}

fn entry(shards: (u16, u16), epoch: Epoch, owner: &str, from: i64) -> PlanEntry {
    PlanEntry {
        first_shard: shards.0,
        last_shard: shards.1,
        epoch,
        owner: owner.to_owned(),
        standby: None,
        from: SlotMs(from),
    }
}

fn history(entries: &[PlanEntry]) -> PlanHistory {
    let mut history = PlanHistory::default();
    for entry in entries {
        history.learn(entry).unwrap();
    }
    history
}

/// Shard 5 was a's, is b's from slot 100 on, and a's again from 200 on; then a's of generation 8.
fn moved() -> PlanHistory {
    history(&[
        entry((0, 9), epoch(7, 1), "a", 0),
        entry((5, 5), epoch(7, 2), "b", 100),
        entry((5, 5), epoch(7, 3), "a", 200),
        entry((0, 9), epoch(8, 1), "a", 300),
    ])
}

#[test]
fn a_batch_counts_if_its_entry_is_the_last_that_speaks_of_its_slot() {
    let rows = [
        ("before the move", (7, 1), "a", 99, "rightful"),
        (
            "polled after it",
            (7, 1),
            "a",
            100,
            "the slot is \"b\"'s since epoch 7.2",
        ),
        ("from the move on", (7, 2), "b", 100, "rightful"),
        ("too early", (7, 2), "b", 99, "its plan entry begins at 100"),
        (
            "after it went back",
            (7, 2),
            "b",
            200,
            "the slot is \"a\"'s since epoch 7.3",
        ),
        (
            "an old epoch",
            (7, 1),
            "a",
            200,
            "the slot is \"a\"'s since epoch 7.3",
        ),
        ("its own epoch", (7, 3), "a", 299, "rightful"),
        (
            "a generation later",
            (7, 3),
            "a",
            300,
            "the slot is \"a\"'s since epoch 8.1",
        ),
        ("of that generation", (8, 1), "a", 300, "rightful"),
        (
            "another's epoch",
            (7, 2),
            "a",
            150,
            "its plan entry names \"b\"",
        ),
        (
            "nobody's epoch",
            (9, 1),
            "a",
            150,
            "no plan entry of that epoch is known",
        ),
        (
            "of other shards",
            (7, 9),
            "a",
            150,
            "no plan entry of that epoch is known",
        ),
    ];
    let history = moved();
    for (name, (generation, index), node, slot, expected) in rows {
        let verdict = history.judge(5, (epoch(generation, index), node), SlotMs(slot));
        assert_eq!(verdict.to_string(), expected, "{name}");
        assert_eq!(verdict.is_rightful(), expected == "rightful", "{name}");
    }
    let nobodys = history.judge(10, (epoch(7, 1), "a"), SlotMs(0));
    assert_eq!(nobodys, Verdict::UnknownEpoch);
}

#[test]
fn the_owner_at_a_slot_is_the_one_whose_batches_count() {
    let history = moved();
    let rows = [
        (99, Some("a")),
        (100, Some("b")),
        (200, Some("a")),
        (-1, None),
    ];
    for (slot, owner) in rows {
        let found = history.owner_at(5, SlotMs(slot)).map(|(_, owner)| owner);
        assert_eq!(found, owner, "{slot}");
    }
}

#[test]
fn an_entry_that_is_damaged_contradicts_or_is_too_much_is_refused_whole() {
    let mut history = moved();
    let before = history.assignments;
    let refused = history
        .learn(&entry((4, 3), epoch(9, 1), "a", 0))
        .unwrap_err();
    assert_eq!(refused, LearnError::BadRange { first: 4, last: 3 });
    let refused = history.learn(&entry((4, SHARDS), epoch(9, 1), "a", 0));
    assert!(matches!(refused, Err(LearnError::BadRange { .. })));
    let refused = history
        .learn(&entry((4, 6), epoch(7, 2), "c", 100))
        .unwrap_err();
    let (shard, of) = (5, epoch(7, 2));
    assert_eq!(refused, LearnError::Contradiction { shard, epoch: of });
    assert_eq!(
        history.judge(4, (epoch(7, 2), "c"), SlotMs(100)),
        Verdict::UnknownEpoch
    );
    history
        .learn(&entry((5, 5), epoch(7, 2), "b", 100))
        .unwrap();
    assert_eq!(history.assignments, before, "told twice is learnt once");

    let whole = |index| entry((0, SHARDS - 1), epoch(10, index), "a", 1_000);
    let fits = (ASSIGNMENTS_MAX - before) / usize::from(SHARDS);
    for index in 0..fits as u64 {
        history.learn(&whole(index)).unwrap();
    }
    assert_eq!(history.learn(&whole(fits as u64)), Err(LearnError::Full));
    history.forget_before(SlotMs(1_000));
    history.learn(&whole(fits as u64)).unwrap();
    assert_eq!(history.assignments, 2 * usize::from(SHARDS));
}

fn entries() -> impl Strategy<Value = Vec<PlanEntry>> {
    let one = (
        0u16..4,
        0u16..4,
        0u64..2,
        prop::sample::select(vec!["a", "b", "c"]),
        0i64..20,
    );
    prop::collection::vec(one, 1..12).prop_map(|rows| {
        let rows = rows.into_iter().enumerate();
        let entries = rows.map(|(index, (x, y, generation, owner, from))| {
            let epoch = epoch(generation, index as u64);
            entry((x.min(y), x.max(y)), epoch, owner, from)
        });
        entries.collect()
    })
}

proptest! {
    #[test]
    fn at_most_one_node_and_epoch_is_rightful_and_the_order_of_entries_is_nothing(
        entries in entries(),
        order in any::<u64>(),
    ) {
        let known = history(&entries);
        let mut shuffled = entries.clone();
        shuffled.sort_by_key(|it| it.epoch.index.wrapping_mul(order | 1).rotate_left(13));
        let other = history(&shuffled);
        for shard in 0..4 {
            for slot in (0..20).map(SlotMs) {
                let mut rightful = Vec::new();
                for entry in &entries {
                    for node in ["a", "b", "c"] {
                        let verdict = known.judge(shard, (entry.epoch, node), slot);
                        prop_assert_eq!(&verdict, &other.judge(shard, (entry.epoch, node), slot));
                        if verdict.is_rightful() {
                            rightful.push((entry.epoch, node));
                        }
                    }
                }
                let speaks = |it: &&PlanEntry| {
                    (it.first_shard..=it.last_shard).contains(&shard) && it.from <= slot
                };
                let last = entries.iter().filter(speaks).max_by_key(|it| it.epoch);
                let expected = last.map(|it| (it.epoch, it.owner.as_str()));
                prop_assert_eq!(known.owner_at(shard, slot), expected);
                prop_assert_eq!(rightful, expected.into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_is_forgotten_says_nothing_of_later_slots(entries in entries(), slot in 0i64..20) {
        let known = history(&entries);
        let mut short = known.clone();
        short.forget_before(SlotMs(slot));
        prop_assert!(short.assignments <= known.assignments);
        for shard in 0..4 {
            for later in (slot..20).map(SlotMs) {
                prop_assert_eq!(short.owner_at(shard, later), known.owner_at(shard, later));
            }
        }
    }

    #[test]
    fn each_slot_is_claimed_once_in_whatever_order(
        slots in prop::collection::vec((0u64..2, 0i64..40), 1..80),
    ) {
        let mut claims = SlotClaims::default();
        let mut taken = std::collections::BTreeSet::new();
        for (generation, number) in slots {
            let is_first = taken.insert((generation, number));
            prop_assert_eq!(claims.claim(generation, SlotMs(7 + number * 60), 60), is_first);
            prop_assert!(claims.is_claimed(generation, SlotMs(7 + number * 60)));
        }
        // As many ranges as runs of neighbours.
        let begins = |it: &&(u64, i64)| !taken.contains(&(it.0, it.1 - 1));
        prop_assert_eq!(claims.ranges.len(), taken.iter().filter(begins).count());
    }
}

#[test]
fn claims_are_bounded_and_what_is_forgotten_is_refused() {
    let mut claims = SlotClaims::default();
    let slot = |number: usize| SlotMs(number as i64 * 120);
    for number in 1..=CLAIM_RANGES_MAX {
        assert!(claims.claim(1, slot(number), 60), "{number}");
    }
    assert!(!claims.claim(1, slot(0), 60), "older than all that is kept");
    assert!(claims.claim(1, slot(CLAIM_RANGES_MAX + 1), 60));
    assert_eq!(claims.ranges.len(), CLAIM_RANGES_MAX);
    assert!(!claims.claim(1, slot(1), 60), "its range was forgotten");
    assert!(
        claims.claim(1, SlotMs(slot(5).0 + 60), 60),
        "a hole between ranges"
    );
}
