//! Leases over clocks of different paces, lost and late messages, and changes of the leader.

use proptest::prelude::*;

use super::*;

const fn at_ms(ms: u64) -> Monotonic {
    Monotonic(ms * 1_000_000)
}

#[test]
fn a_lease_counts_from_before_it_was_asked_for() {
    let mut holder = LeaseHolder::default();
    let ask = holder.ask(at_ms(1_000)).unwrap();
    assert!(!holder.is_held(at_ms(1_000)), "nothing is granted yet");
    // The answer takes 900 ms, which are not added.
    holder.granted(ask);
    assert_eq!(holder.ends_at(), Some(at_ms(3_000)));
    assert!(holder.is_held(at_ms(2_999)));
    assert!(!holder.is_held(at_ms(3_000)));
}

#[test]
fn asks_come_each_renewal_period_whether_answered_or_not() {
    let mut holder = LeaseHolder::default();
    let first = holder.ask(at_ms(0)).unwrap();
    assert_eq!(holder.ask(at_ms(399)), None);
    let second = holder.ask(at_ms(400)).unwrap();
    assert_ne!(first, second);
    assert_eq!(holder.asks_at(), at_ms(800));
}

#[test]
fn an_answer_that_is_late_repeated_or_foreign_brings_no_time() {
    let mut holder = LeaseHolder::default();
    let first = holder.ask(at_ms(0)).unwrap();
    let second = holder.ask(at_ms(400)).unwrap();
    holder.granted(second);
    holder.granted(first);
    holder.granted(second);
    holder.granted(AskNumber(77));
    assert_eq!(holder.ends_at(), Some(at_ms(2_400)));
}

#[test]
fn more_asks_than_can_bring_time_are_not_kept() {
    let mut holder = LeaseHolder::default();
    let first = holder.ask(at_ms(0)).unwrap();
    let count = ASKS_MAX as u64;
    let last = (1..=count)
        .filter_map(|n| holder.ask(at_ms(400 * n)))
        .last();
    holder.granted(first);
    assert_eq!(holder.ends_at(), None, "the oldest was forgotten");
    holder.granted(last.unwrap());
    assert_eq!(holder.ends_at(), Some(at_ms(400 * count + 2_000)));
}

#[test]
fn who_gave_up_takes_no_grant_that_was_under_way() {
    let mut holder = LeaseHolder::default();
    let ask = holder.ask(at_ms(0)).unwrap();
    holder.granted(ask);
    let under_way = holder.ask(at_ms(400)).unwrap();
    holder.give_up();
    holder.granted(under_way);
    assert!(!holder.is_held(at_ms(401)));
    let next = holder.ask(at_ms(800)).unwrap();
    holder.granted(next);
    assert!(holder.is_held(at_ms(801)), "a later one counts");
}

#[test]
fn a_fresh_leader_waits_for_leases_that_it_did_not_grant() {
    let mut book = LeaseBook::new(at_ms(10_000));
    assert!(!book.is_over("a", at_ms(12_000)));
    assert!(!book.is_over("a", at_ms(12_040)));
    assert!(book.is_over("a", at_ms(12_041)));
    book.grant("a", at_ms(12_000));
    assert!(!book.is_over("a", at_ms(14_040)));
    assert!(book.is_over("b", at_ms(14_040)), "others are not held up");
    book.remove("a", at_ms(13_000));
    assert!(!book.is_over("a", at_ms(13_001)), "its lease still runs");
    book.remove("a", at_ms(14_041));
    assert!(book.is_over("a", at_ms(14_041)));
}

/// What may happen in a site of one poller and leaders that follow each other.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes, microseconds.
    Pass(u64),
    /// The poller asks if it is due.
    Ask,
    /// The leader answers the n-th ask under way; the answer may be lost or arrive later.
    Answer { ask: usize, is_lost: bool },
    /// The poller takes the n-th answer under way.
    Arrive(usize),
    /// Another node leads from now on.
    NewLeader,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..700_000).prop_map(Step::Pass),
        4 => Just(Step::Ask),
        4 => (0usize..4, prop::bool::weighted(0.2))
            .prop_map(|(ask, is_lost)| Step::Answer { ask, is_lost }),
        4 => (0usize..4).prop_map(Step::Arrive),
        1 => Just(Step::NewLeader),
    ]
}

/// A clock of its own pace, as an affine function of true time in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Pace {
    permyriad: u64,
    offset: u64,
}

impl Pace {
    fn read(self, truth: u64) -> Monotonic {
        Monotonic(self.offset + truth / 10_000 * self.permyriad)
    }
}

/// Whether after any step the leader holds the lease for over while the poller holds it.
fn is_ever_held_twice(
    steps: &[Step],
    clocks: (Pace, Pace),
    book_of: fn(Monotonic) -> LeaseBook,
) -> bool {
    let (poller, leader) = clocks;
    let mut truth = 0;
    let mut holder = LeaseHolder::default();
    let mut book = book_of(leader.read(truth));
    let (mut asks, mut answers) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Pass(micros) => truth += micros * 1_000,
            Step::Ask => asks.extend(holder.ask(poller.read(truth))),
            Step::Answer { ask, is_lost } if *ask < asks.len() => {
                let ask = asks.remove(*ask);
                book.grant("a", leader.read(truth));
                if !is_lost {
                    answers.push(ask);
                }
            }
            Step::Arrive(answer) if *answer < answers.len() => {
                holder.granted(answers.remove(*answer));
            }
            Step::Answer { .. } | Step::Arrive(_) => {}
            Step::NewLeader => {
                book = book_of(leader.read(truth));
                asks.clear();
            }
        }
        if holder.is_held(poller.read(truth)) && book.is_over("a", leader.read(truth)) {
            return true;
        }
    }
    false
}

fn pace() -> impl Strategy<Value = Pace> {
    (9_900u64..=10_100, 0u64..1_000_000_000_000)
        .prop_map(|(permyriad, offset)| Pace { permyriad, offset })
}

proptest! {
    #[test]
    fn no_shard_can_be_taken_from_a_node_that_may_still_poll(
        steps in prop::collection::vec(step(), 1..200),
        clocks in (pace(), pace()),
    ) {
        prop_assert!(!is_ever_held_twice(&steps, clocks, LeaseBook::new));
    }
}

#[test]
fn a_leader_that_forgets_its_predecessors_grants_is_caught() {
    let same = Pace {
        permyriad: 10_000,
        offset: 0,
    };
    let steps = [
        Step::Pass(5_000_000),
        Step::Ask,
        Step::Answer {
            ask: 0,
            is_lost: false,
        },
        Step::Arrive(0),
        Step::NewLeader,
    ];
    let forgetful = |_: Monotonic| LeaseBook::new(Monotonic(0));
    assert!(is_ever_held_twice(&steps, (same, same), forgetful));
    assert!(!is_ever_held_twice(&steps, (same, same), LeaseBook::new));
}
