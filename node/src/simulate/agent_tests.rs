//! Tests of `agent`: what faults make of its life. Answers over sockets: `simulate_tests`.

use super::*;
use crate::simulate::fault::parse_fault;
use crate::simulate::switch::Switch;

fn agent(faults: &[&str]) -> Agent {
    let view = View::Switch(Arc::new(Switch::new(4).unwrap()));
    let mut agent = Agent::new(1, Ipv4Addr::LOCALHOST, 7, view);
    for fault in faults {
        agent.add_fault(parse_fault(fault).unwrap());
    }
    agent
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_agent_has_long_been_up_and_ages_with_the_clock() {
    let agent = agent(&[]);
    let (first, later) = (agent.moment(s(0)), agent.moment(s(60)));
    assert!(first.up >= UP_AT_START);
    assert_eq!(later.up, first.up + s(60));
    assert_eq!(
        (later.boots, later.moves, later.wraps_at),
        (BOOTS_AT_START, 0, None)
    );
}

#[test]
fn reboots_happen_once_each_in_the_order_of_time() {
    let agent = agent(&[
        "reindex:from=30s",
        "reboot:from=10s",
        "reboot:from=50s,boots=2",
    ]);
    let lives = [9, 10, 29, 30, 49, 50, 90].map(|at| {
        let moment = agent.moment(s(at));
        (moment.boots, moment.moves, moment.up.as_secs().min(1_000))
    });
    let expected = [
        (3, 0, 1_000),
        (4, 0, 0),
        (4, 0, 19),
        (5, 1, 0),
        (5, 1, 19),
        (2, 1, 0),
        (2, 1, 40),
    ];
    assert_eq!(lives, expected);
}

#[test]
fn a_reset_restarts_counters_and_tells_when() {
    let agent = agent(&["reset:from=10s"]);
    let (before, after) = (agent.moment(s(9)), agent.moment(s(15)));
    assert_eq!((after.counting, after.boots), (s(5), BOOTS_AT_START));
    assert_eq!(after.up, before.up + s(6));
    assert_eq!(
        u64::from(after.discontinuity_ticks),
        ticks(before.up + s(1))
    );
    assert_eq!(before.discontinuity_ticks, 0);
}

#[test]
fn a_wrap_is_at_the_same_instant_whenever_it_is_looked_at() {
    let agent = agent(&["wrap:from=10s"]);
    let wraps = [0, 10, 39, 100].map(|at| {
        let moment = agent.moment(s(at));
        moment.wraps_at.unwrap() + s(at) - moment.counting
    });
    assert_eq!(wraps, [s(40); 4]);
}

#[test]
fn overlapping_faults_add_up_to_the_worst() {
    let agent = agent(&[
        "loss=0.1",
        "loss=0.7:from=5s",
        "delay=10ms",
        "delay=2ms",
        "toobig=9",
    ]);
    let early = agent.active(s(1));
    assert_eq!(
        (early.loss, early.delay),
        (0.1, Some(Duration::from_millis(10)))
    );
    assert_eq!(
        (agent.active(s(5)).loss, early.variables_max),
        (0.7, Some(9))
    );
}

#[test]
fn the_same_seed_draws_the_same_chance() {
    let draws = |mut agent: Agent| [agent.draw(), agent.draw(), agent.draw()];
    assert_eq!(draws(agent(&[])), draws(agent(&[])));
    let [first, second, _] = draws(agent(&[]));
    assert_ne!(first, second);
}
