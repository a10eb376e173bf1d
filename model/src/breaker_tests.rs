//! Proof of the breaker: when it opens, when it tries, what closes it.

use proptest::prelude::*;

use super::RunOutcome::{Fault, Worked};
use super::*;

const fn at(second: u64) -> Monotonic {
    Monotonic(second * 1_000_000_000)
}

/// Ends of runs at these seconds, of one interval; the turns that they caused.
fn ends(breaker: &mut Breaker, ends: &[(u64, RunOutcome, u32)]) -> Vec<(u64, Turn)> {
    let mut turns = Vec::new();
    for (second, outcome, interval_s) in ends {
        let run = (*outcome, interval_s * 1_000);
        let (next, turn) = breaker.ended(Gate::Run, run.0, run.1, at(*second));
        *breaker = next;
        if turn != Turn::None {
            turns.push((*second, turn));
        }
    }
    turns
}

fn faults(seconds: std::ops::RangeInclusive<u64>, interval_s: u32) -> Vec<(u64, RunOutcome, u32)> {
    let step = usize::try_from(interval_s).unwrap();
    seconds
        .step_by(step)
        .map(|second| (second, Fault, interval_s))
        .collect()
}

fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    assert_eq!(
        ends(&mut breaker, &faults(100..=104, 1)),
        [(104, Turn::Opened)]
    );
    breaker
}

#[test]
fn it_opens_after_enough_faults_over_enough_intervals_and_not_before() {
    let check = |name: &str, list: &[(u64, RunOutcome, u32)], expected: &[(u64, Turn)]| {
        assert_eq!(ends(&mut Breaker::default(), list), expected, "{name}");
    };
    check("four faults", &faults(100..=103, 1), &[]);
    let at_once: Vec<_> = (0..40).map(|_| (100, Fault, 60)).collect();
    check("many resources in one slot", &at_once, &[]);
    check(
        "over three intervals",
        &faults(100..=700, 60),
        &[(340, Turn::Opened)],
    );
    let mut list = faults(100..=103, 1);
    list.push((104, Worked, 1));
    list.extend(faults(105..=108, 1));
    check("one resource works", &list, &[]);
    // A resource of a minute that works says so for as long as its slot lasts.
    let mut list = vec![(100, Worked, 60)];
    list.extend(faults(101..=159, 1));
    check("fast faults between slow runs", &list, &[]);
    list.extend(faults(160..=281, 1));
    check("and without them", &list, &[(281, Turn::Opened)]);
}

#[test]
fn an_open_breaker_lets_one_run_through_after_each_pause() {
    let breaker = opened();
    assert_eq!(breaker.tries_at(), Some(at(134)));
    assert_eq!(breaker.gate(at(133)), (breaker, Gate::Parked));
    let (tried, gate) = breaker.gate(at(134));
    assert_eq!(gate, Gate::Try);
    assert_eq!(tried.gate(at(134)).1, Gate::Parked, "one run is enough");
    assert_eq!(tried.gate(at(164)).1, Gate::Try, "if that one never ended");
    let late = breaker.ended(Gate::Run, Fault, 1_000, at(110));
    assert_eq!(late, (breaker, Turn::None), "a run from before it opened");
    assert_eq!(Breaker::default().gate(at(0)).1, Gate::Run);
}

#[test]
fn pauses_double_up_to_the_longest_and_one_run_that_works_closes_it() {
    let mut breaker = opened();
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let now = breaker.tries_at().unwrap();
        let (tried, gate) = breaker.gate(now);
        let (next, turn) = tried.ended(gate, Fault, 1_000, now);
        assert_eq!(turn, Turn::None, "it was open and is open");
        pauses.push((next.tries_at().unwrap().0 - now.0) / 1_000_000_000);
        breaker = next;
    }
    assert_eq!(pauses[..5], [60, 120, 240, 300, 300]);
    let (closed, turn) = breaker.ended(Gate::Run, Worked, 1_000, at(9_000));
    assert_eq!((turn, closed.is_open()), (Turn::Closed, false));
    assert_eq!(closed.gate(at(9_000)).1, Gate::Run);
    let mut closed = closed;
    assert_eq!(
        ends(&mut closed, &faults(9_001..=9_010, 1)).first(),
        Some(&(9_005, Turn::Opened)),
        "it begins anew"
    );
    assert_eq!(closed.tries_at(), Some(at(9_035)));
}

proptest! {
    #[test]
    fn any_history_comes_back_from_its_bits_and_an_end_that_worked_always_closes(
        history in proptest::collection::vec((0u64..100_000, any::<bool>(), 1u32..4_000_000), 0..60)
    ) {
        let mut breaker = Breaker::default();
        for (second, is_fault, interval_ms) in history {
            let outcome = if is_fault { Fault } else { Worked };
            let gate;
            (breaker, gate) = breaker.gate(at(second));
            (breaker, _) = breaker.ended(gate, outcome, interval_ms, at(second + 7));
            prop_assert_eq!(Breaker::from_bits(breaker.to_bits()), breaker);
            prop_assert!(is_fault || !breaker.is_open());
        }
    }
}
