//! Tests of ways over one and several tiers.

use super::*;

const SITE: OriginId = OriginId(1);
const REGION: OriginId = OriginId(2);
const OTHER: OriginId = OriginId(3);

fn word(origin: OriginId, since: i64, cause: Option<&str>) -> OriginWord {
    OriginWord {
        origin,
        since: WallMs(since),
        cause: cause.map(str::to_owned),
    }
}

fn down(since: i64, learnt: i64, cause: &str) -> LinkWord {
    LinkWord::Down {
        since: WallMs(since),
        learnt: WallMs(learnt),
        cause: cause.to_owned(),
    }
}

fn up(since: i64) -> LinkWord {
    let since = WallMs(since);
    LinkWord::Up { since }
}

#[test]
fn what_a_link_brought_has_no_way_when_it_ends_and_has_one_when_it_is_taken_again() {
    let mut paths = Paths::default();
    assert_eq!(paths.word(REGION), None);
    paths.taken("down/r", (Side::Below, REGION), WallMs(10));
    paths.told("down/r", &[word(SITE, 5, None)], WallMs(11));
    assert_eq!(
        (paths.word(REGION), paths.word(SITE)),
        (Some(up(10)), Some(up(5)))
    );
    paths.ended("down/r", "idle", WallMs(20));
    let lost = Some(down(20, 20, "idle"));
    assert_eq!((paths.word(REGION), paths.word(SITE)), (lost.clone(), lost));
    paths.taken("down/r", (Side::Below, REGION), WallMs(30));
    assert_eq!(paths.word(REGION), Some(up(30)));
    assert_eq!(paths.word(SITE), None, "not said by this life of the link");
    paths.told("down/r", &[word(SITE, 5, None)], WallMs(31));
    assert_eq!(paths.word(SITE), Some(up(5)));
}

#[test]
fn a_link_that_is_down_two_tiers_below_is_known_with_its_cause_and_first_moment() {
    let mut paths = Paths::default();
    paths.taken("down/r", (Side::Below, REGION), WallMs(10));
    paths.told("down/r", &[word(SITE, 50, Some("r lost s"))], WallMs(100));
    assert_eq!(paths.word(SITE), Some(down(50, 100, "r lost s")));
    paths.told("down/r", &[word(SITE, 50, Some("r lost s"))], WallMs(130));
    assert_eq!(
        paths.word(SITE),
        Some(down(50, 100, "r lost s")),
        "said again"
    );
    paths.told("down/r", &[word(SITE, 90, Some("r lost s"))], WallMs(140));
    assert_eq!(
        paths.word(SITE),
        Some(down(90, 140, "r lost s")),
        "lost again"
    );
    assert_eq!(paths.word(REGION), Some(up(10)), "the link itself stands");
}

#[test]
fn one_way_that_stands_is_enough_and_the_last_one_lost_names_the_cause() {
    let mut paths = Paths::default();
    paths.taken("down/r1", (Side::Below, REGION), WallMs(10));
    paths.taken("down/r2", (Side::Below, OTHER), WallMs(10));
    paths.told("down/r1", &[word(SITE, 20, None)], WallMs(20));
    paths.told("down/r2", &[word(SITE, 15, Some("moved"))], WallMs(20));
    assert_eq!(paths.word(SITE), Some(up(20)));
    paths.ended("down/r1", "killed", WallMs(40));
    assert_eq!(paths.word(SITE), Some(down(40, 40, "killed")));
    paths.forget("down/r1");
    assert_eq!(paths.word(SITE), Some(down(15, 20, "moved")));
}

#[test]
fn what_a_peer_says_is_told_above_and_not_to_peers() {
    let mut paths = Paths::default();
    paths.taken("from-peer/r2", (Side::Peer, OTHER), WallMs(10));
    paths.told("from-peer/r2", &[word(SITE, 5, None)], WallMs(11));
    assert_eq!(paths.word_toward(Toward::Above, SITE), Some(up(5)));
    assert_eq!(paths.word_toward(Toward::Peer, SITE), None);
    paths.taken("down/s", (Side::Below, SITE), WallMs(12));
    assert_eq!(paths.word_toward(Toward::Peer, SITE), Some(up(12)));
}

#[test]
fn two_peers_do_not_keep_a_lost_site_alive_for_each_other() {
    let mut nodes = [Paths::default(), Paths::default()];
    for (node, peer) in [(0, OTHER), (1, REGION)] {
        nodes[node].taken("from-peer", (Side::Peer, peer), WallMs(1));
    }
    nodes[0].taken("down/s", (Side::Below, SITE), WallMs(1));
    let mut told: [BTreeMap<_, _>; 2] = Default::default();
    let mut talk = |nodes: &mut [Paths; 2], now| {
        for _round in 0..3 {
            for (from, to) in [(0, 1), (1, 0)] {
                let known = nodes[from].word_toward(Toward::Peer, SITE);
                let words =
                    origin_words(known.map(|word| (SITE, word)).into_iter(), &mut told[from]);
                nodes[to].told("from-peer", &words, WallMs(now));
            }
        }
    };
    talk(&mut nodes, 5);
    assert!(nodes.iter().all(|node| node.word(SITE).unwrap().is_up()));
    nodes[0].ended("down/s", "cut", WallMs(9));
    talk(&mut nodes, 10);
    assert!(nodes.iter().all(|node| !node.word(SITE).unwrap().is_up()));
}

#[test]
fn words_are_told_when_they_change_and_not_again() {
    let mut told = BTreeMap::new();
    let mut tell = |word: LinkWord| origin_words([(SITE, word)].into_iter(), &mut told);
    assert_eq!(tell(up(1)), [word(SITE, 1, None)]);
    assert_eq!(tell(up(1)), []);
    assert_eq!(tell(down(2, 3, "cut")), [word(SITE, 2, Some("cut"))]);
    assert_eq!(
        tell(down(2, 9, "cut")),
        [],
        "when it was learnt here is nobody's business"
    );
}

#[test]
fn a_link_brings_no_more_origins_than_the_limit() {
    let mut paths = Paths::default();
    paths.taken("down/r", (Side::Below, REGION), WallMs(1));
    let many = u128::try_from(WORDS_PER_LINK_MAX).unwrap() + 10;
    let words: Vec<_> = (10..10 + many)
        .map(|n| word(OriginId(n), 1, None))
        .collect();
    paths.told("down/r", &words, WallMs(2));
    assert!(paths.word(OriginId(10)).is_some());
    assert_eq!(paths.word(OriginId(9 + many)), None);
    paths.told("down/r", &[word(OriginId(10), 3, Some("cut"))], WallMs(4));
    assert!(
        !paths.word(OriginId(10)).unwrap().is_up(),
        "known ones still change"
    );
}
