//! Tests of how an origin is judged.

use super::*;

fn down(learnt: i64) -> LinkWord {
    LinkWord::Down {
        since: WallMs(77),
        learnt: WallMs(learnt),
        cause: "idle".into(),
    }
}

#[test]
fn a_stale_origin_is_told_from_a_silent_one() {
    let up = LinkWord::Up { since: WallMs(0) };
    let stale = |since| OriginState::Stale {
        since: WallMs(since),
        cause: "idle".into(),
    };
    let silent = |since| OriginState::Silent {
        since: WallMs(since),
    };
    let live = || OriginState::Live;
    let check = |name: &str, word: Option<LinkWord>, (last, now), expected: OriginState| {
        let found = origin_state(word.as_ref(), WallMs(last), WallMs(now));
        assert_eq!(found, expected, "{name}");
    };
    check("sends", None, (1_000, 2_000), live());
    check(
        "sends over a link",
        Some(up.clone()),
        (1_000, 2_000),
        live(),
    );
    check("link down", Some(down(1_500)), (1_000, 1_501), stale(1_000));
    check(
        "was between the tiers",
        Some(down(1_500)),
        (1_900, 2_000),
        stale(1_900),
    );
    check(
        "long ago",
        Some(down(1_500)),
        (1_000, 900_000),
        stale(1_000),
    );
    check(
        "came another way",
        Some(down(1_500)),
        (11_501, 12_000),
        live(),
    );
    check(
        "link stands, no data",
        Some(up),
        (1_000, 121_001),
        silent(1_000),
    );
    check("nobody said a word", None, (1_000, 121_001), silent(1_000));
    check("a clock that stepped back", None, (9_000, 1_000), live());
}

#[test]
fn each_state_has_a_word_of_its_own() {
    let since = WallMs(1);
    let states = [
        OriginState::Live,
        OriginState::Silent { since },
        OriginState::Stale {
            since,
            cause: String::new(),
        },
    ];
    let words: std::collections::BTreeSet<_> = states.iter().map(OriginState::as_str).collect();
    assert_eq!(words.len(), states.len());
}
