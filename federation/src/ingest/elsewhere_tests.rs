//! Who hears of what became durable over another link, and how often it is woken.

use std::sync::Arc;

use futures_util::poll;
use ocelli_bus::record::{OriginId, Seq};

use super::*;
use crate::link::testing::HandClock;

fn range(first: u64, last: u64) -> SeqRange {
    SeqRange {
        first: Seq(first),
        last: Seq(last),
    }
}

fn of(origin: u128) -> StreamId {
    StreamId::data(OriginId(origin))
}

fn taken(link: &mut Followed, clock: &HandClock) -> Vec<(StreamId, Vec<SeqRange>)> {
    let all = link.take(clock.monotonic()).into_iter();
    all.map(|(stream, ranges)| (stream, ranges.iter().collect()))
        .collect()
}

#[tokio::test]
async fn a_link_hears_of_streams_that_its_neighbour_has_and_of_their_definitions() {
    let clock = HandClock::new();
    let all = Arc::<Elsewhere>::default();
    let (teller, mut hearer, stranger) = (all.join(), all.join(), all.join());
    hearer.follow(of(1));
    teller.tell(of(1), range(1, 2));
    teller.tell(of(1), range(3, 4));
    teller.tell(of(2), range(1, 9));
    teller.tell(StreamId::definitions(OriginId(1)), range(5, 5));
    hearer.due(&*clock).await;
    let mut expected = vec![
        (of(1), vec![range(1, 4)]),
        (StreamId::definitions(OriginId(1)), vec![range(5, 5)]),
    ];
    expected.sort_by_key(|(stream, _)| *stream);
    assert_eq!(taken(&mut hearer, &clock), expected);
    assert!(poll!(Box::pin(stranger.due(&*clock))).is_pending());
    assert!(poll!(Box::pin(teller.due(&*clock))).is_pending());
}

#[tokio::test]
async fn a_link_does_not_hear_of_itself_and_leaves_nothing_behind() {
    let clock = HandClock::new();
    let all = Arc::<Elsewhere>::default();
    let mut one = all.join();
    one.follow(of(1));
    one.tell(of(1), range(1, 1));
    assert!(poll!(Box::pin(one.due(&*clock))).is_pending());
    drop(one);
    let state = all.0.lock();
    assert!(state.followers.is_empty() && state.letters.is_empty());
}

#[tokio::test]
async fn however_many_commits_a_link_is_woken_once_in_ten_milliseconds() {
    let clock = HandClock::new();
    let all = Arc::<Elsewhere>::default();
    let (teller, mut hearer) = (all.join(), all.join());
    hearer.follow(of(1));
    let mut wakes = 0;
    for ms in 0..1_000 {
        teller.tell(of(1), range(2 * ms + 1, 2 * ms + 1));
        if poll!(Box::pin(hearer.due(&*clock))).is_ready() {
            wakes += 1;
            taken(&mut hearer, &clock);
        }
        clock.advance(Duration::from_millis(1));
    }
    assert_eq!(wakes, 100);
}

#[test]
fn what_does_not_fit_is_left_out_and_never_covers_what_was_not_stored() {
    let all = Arc::<Elsewhere>::default();
    let (teller, mut hearer) = (all.join(), all.join());
    hearer.follow(of(1));
    for seq in 0..3_000 {
        teller.tell(of(1), range(2 * seq + 1, 2 * seq + 1));
    }
    let news = hearer.take(Monotonic::default());
    let ranges = news.get(&of(1)).unwrap();
    assert!(ranges.len() <= ocelli_bus::RANGES_MAX);
    assert!(
        ranges
            .iter()
            .all(|one| one.first == one.last && one.first.0 % 2 == 1)
    );
}
