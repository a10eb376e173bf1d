//! Tests of who loses at the cap.
//!
//! Does: state what each segment holds of each site, and who loses which. Does not: write files.
//! In: rows. Out: failures.

use super::*;
use proptest::prelude::*;

fn site(name: &str) -> Owner {
    Owner::Site(name.to_owned())
}

/// A segment a word, oldest first, the last one open: `a5b2` holds 5 bytes of a and 2 of b.
fn holdings(text: &str) -> Vec<Holding> {
    let words: Vec<_> = text.split_whitespace().collect();
    let segment = |(index, word): (usize, &&str)| {
        let letters: Vec<char> = word.chars().collect();
        let owned = letters.chunks(2).map(|pair| {
            let bytes = u64::from(pair[1].to_digit(10).unwrap());
            (site(&pair[0].to_string()), bytes)
        });
        Holding {
            number: SegmentNumber(index as u64 + 1),
            is_sealed: index + 1 < words.len(),
            owned: owned.collect(),
            other: 0,
        }
    };
    words.iter().enumerate().map(segment).collect()
}

fn share(site: &str, bytes_min: Option<u64>, bytes_max: Option<u64>) -> OriginShare {
    OriginShare {
        site: site.to_owned(),
        bytes_min,
        bytes_max,
    }
}

/// Losses as `1:a 2:*`: whose data of which segment, `*` where the segment goes.
fn check(name: &str, text: &str, shares: &[OriginShare], bytes_max: u64, expected: &str) {
    let caps = Caps {
        shares,
        bytes_max,
        step: 0,
    };
    let word = |loss: Loss| {
        let owners: String = loss
            .owners
            .iter()
            .map(|owner| match owner {
                Owner::Site(site) => site.clone(),
                Owner::Origin(origin) => origin.to_string(),
            })
            .collect();
        let owners = if loss.is_whole {
            "*".to_owned()
        } else {
            owners
        };
        format!("{}:{owners}", loss.number)
    };
    let found: Vec<_> = decide(&holdings(text), caps)
        .into_iter()
        .map(word)
        .collect();
    assert_eq!(found.join(" "), expected, "{name}");
}

#[test]
fn who_is_furthest_above_its_share_loses_its_oldest_first() {
    check("nothing", "", &[], 10, "");
    check("below the cap", "a5b2 a5b2 a1", &[], 20, "");
    check(
        "one at many times its share",
        "a9b1 a9b1 a9b1 a1",
        &[],
        22,
        "1:a",
    );
    check("until it fits", "a9b1 a9b1 a9b1 a1", &[], 13, "1:a 2:a");
    check(
        "alone it loses whole segments",
        "a9 a9 a9 a1",
        &[],
        20,
        "1:*",
    );
    check(
        "equals lose by turns, oldest first",
        "a4b4 a4b4 a4b4 a1b1",
        &[],
        18,
        "1:*",
    );
    check("the open segment stays", "a9b9", &[], 1, "");
    let b_may_little = [share("b", None, Some(2)), share("*", None, Some(30))];
    check(
        "shares count, not bytes",
        "a9b2 a9b2 a9b2 a1",
        &b_may_little,
        31,
        "1:b 2:b",
    );
}

#[test]
fn an_owners_own_bounds_hold_below_the_cap_and_at_it() {
    let shares = [share("a", None, Some(9)), share("b", Some(3), None)];
    check(
        "beyond its own maximum",
        "a5b1 a5b1 a5b1 a1",
        &shares,
        100,
        "1:a",
    );
    check(
        "a segment's worth at a time",
        "a5b1 a5b1 a2",
        &shares,
        100,
        "",
    );
    let min = [share("b", Some(3), None), share("*", None, Some(9))];
    check(
        "below its minimum it is the last",
        "b1 b1 a1 b1 a1",
        &min,
        4,
        "3:*",
    );
    check("but not spared", "b1 b1 b1 a1", &min, 2, "1:* 2:*");
}

#[test]
fn an_origin_without_a_name_has_a_share_of_its_own() {
    let owner = Owner::Origin(OriginId(7));
    let mut all = holdings("a3 a3 a1");
    all[0].owned.insert(owner.clone(), 9);
    let caps = Caps {
        shares: &[],
        bytes_max: 15,
        step: 0,
    };
    let losses = decide(&all, caps);
    assert_eq!(losses.len(), 1);
    assert_eq!(
        (losses[0].owners.iter().next(), losses[0].is_whole),
        (Some(&owner), false)
    );
}

proptest! {
    #[test]
    fn the_cap_holds_and_who_is_within_its_share_loses_nothing_while_another_is_above(
        segments in proptest::collection::vec(
            proptest::collection::vec(0u64..1_000, 4), 1..30),
        bytes_max in 100u64..60_000
    ) {
        let names = ["a", "b", "c", "d"];
        let last = segments.len();
        let all: Vec<_> = segments.iter().enumerate().map(|(index, bytes)| Holding {
            number: SegmentNumber(index as u64 + 1),
            is_sealed: index + 1 < last,
            owned: names.iter().zip(bytes).filter(|(_, bytes)| **bytes > 0)
                .map(|(name, bytes)| (site(name), *bytes)).collect(),
            other: 0,
        }).collect();
        let losses = decide(&all, Caps { shares: &[], bytes_max, step: 0 });
        let mut left: BTreeMap<&Owner, u64> = BTreeMap::new();
        let mut sealed_left = 0;
        for holding in &all {
            let loss = losses.iter().find(|loss| loss.number == holding.number);
            for (owner, bytes) in &holding.owned {
                let is_lost = loss.is_some_and(|loss| loss.owners.contains(owner));
                prop_assert!(holding.is_sealed || !is_lost);
                *left.entry(owner).or_default() += if is_lost { 0 } else { *bytes };
                sealed_left += if is_lost || !holding.is_sealed { 0 } else { *bytes };
            }
        }
        prop_assert!(left.values().sum::<u64>() <= bytes_max || sealed_left == 0);
        let held = |owner: &Owner| all.iter().filter_map(|it| it.owned.get(owner)).sum::<u64>();
        let equal = bytes_max / (left.len() as u64).max(1);
        for (owner, left) in &left {
            // Above the share there is always another to take from, unless its data is open.
            let open = all.last().and_then(|it| it.owned.get(*owner)).copied().unwrap_or(0);
            let is_within = held(owner) <= equal;
            let others_open = all.last().map_or(0, |it| it.owned.values().sum::<u64>()) - open;
            prop_assert!(!is_within || *left == held(owner) || others_open > 0);
        }
    }
}
