//! Proof of `group`: who is dialled, who next, and when it moves back.

use super::*;

fn at(seconds: u64) -> Monotonic {
    Monotonic(seconds * 1_000_000_000)
}

/// A choice of two whose better member is `.1`.
fn two() -> (Choice, usize, usize) {
    let choice = Choice::new("dc1", &["region-a:7700", "region-b:7700"]);
    let (best, other) = (choice.rank()[0], choice.rank()[1]);
    (choice, best, other)
}

/// Answers each probe as `lives` says, second by second, until something else is to be done.
fn run(
    choice: &mut Choice,
    seconds: std::ops::Range<u64>,
    lives: impl Fn(u64) -> bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for second in seconds {
        let step = choice.step(at(second));
        let event = match step {
            Step::Probe(number) if lives(second) => Event::ProbeAnswered(number),
            Step::Probe(number) => Event::ProbeFailed(number),
            Step::WaitUntil(_) | Step::Stay => continue,
            Step::Dial(_) | Step::MoveTo(_) => {
                steps.push(step);
                return steps;
            }
        };
        choice.on(event, at(second));
    }
    steps
}

#[test]
fn all_nodes_of_a_site_rank_alike_and_sites_spread() {
    let names = ["a:1", "b:1", "c:1"];
    let turned = ["c:1", "a:1", "b:1"];
    let mut first = [0; 3];
    for site in 0..300 {
        let site = format!("site {site}");
        let best = names[Choice::new(&site, &names).rank()[0]];
        assert_eq!(
            turned[Choice::new(&site, &turned).rank()[0]],
            best,
            "{site}"
        );
        first[names.iter().position(|name| *name == best).unwrap()] += 1;
    }
    assert!(first.iter().all(|count| *count > 60), "{first:?}");
}

#[test]
fn the_best_is_dialled_first_and_the_next_one_while_it_pauses() {
    let (mut choice, best, other) = two();
    assert_eq!(choice.step(at(0)), Step::Dial(best));
    assert_eq!(
        choice.on(Event::DialFailed(best, 0), at(0)),
        Step::Dial(other)
    );
    let wait = choice.on(Event::DialFailed(other, 0), at(0));
    assert_eq!(
        wait,
        Step::WaitUntil(at(0).after(Duration::from_millis(50)))
    );
    assert_eq!(choice.step(at(1)), Step::Dial(best));
    assert_eq!(choice.on(Event::Connected(best), at(1)), Step::Stay);
}

#[test]
fn a_lost_member_is_left_for_the_other_at_once() {
    let (mut choice, best, other) = two();
    choice.on(Event::Connected(best), at(0));
    assert_eq!(choice.on(Event::Lost(best, 0), at(9)), Step::Dial(other));
    assert_eq!(choice.connected(), None);
}

#[test]
fn a_better_member_is_moved_back_to_after_60_s_of_health() {
    let (mut choice, best, other) = two();
    choice.on(Event::DialFailed(best, 0), at(0));
    choice.on(Event::Connected(other), at(0));
    assert_eq!(run(&mut choice, 0..70, |_| true), []);
    assert_eq!(run(&mut choice, 70..99, |_| true), [Step::MoveTo(best)]);
    assert_eq!(choice.on(Event::Connected(best), at(71)), Step::Stay);
}

#[test]
fn a_member_that_flaps_draws_nobody_back() {
    let (mut choice, best, other) = two();
    choice.on(Event::Lost(best, 0), at(0));
    choice.on(Event::Connected(other), at(0));
    // Dead for every sixth probe: never 60 s of health.
    assert_eq!(run(&mut choice, 0..3_600, |second| second % 60 >= 10), []);
    assert_eq!(choice.connected(), Some(other));
}

#[test]
fn a_move_that_fails_keeps_the_link_and_starts_the_count_again() {
    let (mut choice, best, other) = two();
    choice.on(Event::Lost(best, 0), at(0));
    choice.on(Event::Connected(other), at(0));
    assert_eq!(run(&mut choice, 0..99, |_| true), [Step::MoveTo(best)]);
    choice.on(Event::DialFailed(best, 0), at(100));
    assert_eq!(choice.connected(), Some(other));
    assert_eq!(run(&mut choice, 100..165, |_| true), []);
    assert_eq!(run(&mut choice, 165..199, |_| true), [Step::MoveTo(best)]);
}

#[test]
fn a_group_of_one_is_dialled_again_with_growing_pauses() {
    let mut choice = Choice::new("dc1", &["only:7700"]);
    let mut now = at(0);
    for failures in 1..=12 {
        assert_eq!(choice.step(now), Step::Dial(0));
        let step = choice.on(Event::DialFailed(0, 7), now);
        let until = now.after(backoff(failures, 7));
        assert_eq!(step, Step::WaitUntil(until));
        now = until;
    }
    choice.on(Event::Connected(0), now);
    let step = choice.on(Event::Lost(0, 7), now);
    let name = "a link that stood for no time is no success";
    assert_eq!(step, Step::WaitUntil(now.after(backoff(13, 7))), "{name}");
    choice.on(Event::Connected(0), now);
    now = now.after(STABLE_AFTER);
    let step = choice.on(Event::Lost(0, 7), now);
    assert_eq!(step, Step::WaitUntil(now.after(backoff(1, 7))));
}

#[test]
fn events_of_members_that_do_not_exist_change_nothing() {
    let (mut choice, best, _) = two();
    assert_eq!(choice.on(Event::ProbeFailed(9), at(0)), Step::Dial(best));
    assert_eq!(Choice::new("dc1", &[]).step(at(0)), Step::Stay);
}

#[test]
fn a_shorter_time_of_health_is_kept_to_and_probed_often_enough() {
    let (choice, best, other) = two();
    let mut choice = choice.moving_back_after(Duration::from_secs(12));
    choice.on(Event::DialFailed(best, 0), at(0));
    choice.on(Event::Connected(other), at(0));
    // Dead for a moment within its time: it begins anew.
    let steps = run(&mut choice, 3..13, |second| second != 9);
    assert_eq!(steps, [], "not before it was well for 12 s on end");
    let steps = run(&mut choice, 13..60, |_| true);
    assert_eq!(steps, [Step::MoveTo(best)]);
    assert!(
        matches!(choice.step(at(24)), Step::MoveTo(_)),
        "12 s after 11 s"
    );
}

#[test]
fn a_link_that_is_made_anew_stays_with_its_member_and_is_no_failure() {
    let (mut choice, best, other) = two();
    choice.on(Event::Lost(best, 0), at(0));
    choice.on(Event::Connected(other), at(0));
    assert_eq!(choice.on(Event::Left(other), at(900)), Step::Dial(other));
    assert_eq!(choice.connected(), None);
    let mut again = choice.clone();
    assert_eq!(
        again.on(Event::Connected(other), at(901)),
        Step::Probe(best)
    );
    // It has gone in the meantime: the group goes on as ever.
    let step = choice.on(Event::DialFailed(other, 0), at(901));
    assert_eq!(step, Step::Dial(best));
}
