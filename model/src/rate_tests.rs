//! Tests of the rate engine: Panoptes' worked figures and samples, sources, rows, evidence.

#![expect(
    clippy::cast_possible_truncation,
    reason = "times of tests are small numbers"
)]

use proptest::prelude::*;

use super::*;
use crate::clock::WallMs;
use crate::columns::DimensionTable;
use crate::gap::GapKind;
use crate::rows::{CounterWidth, SourceColumn};

const MINUTE: u32 = 60_000;

/// One counter, one row, 64 bits: (value, time in s) → (rate, verdict).
fn single(state: &mut RateState, value: u64, at_s: f64) -> (Option<f64>, Verdict) {
    let plan = RatePlan {
        groups: vec![GroupRatePlan::identity(1, 0, 0)],
    };
    let rows = read(&[("", &[Some(value)])], at_s, CounterWidth::Bits64);
    let out = run(state, &plan, rows);
    (out[0].rate(0, 0), out[0].counters[0].verdicts[0])
}

/// Rows of one key dimension each, all columns of one width.
fn read(rows: &[(&str, &[Option<u64>])], at_s: f64, width: CounterWidth) -> Rows {
    let mut group = GroupRows {
        dimensions: DimensionTable::new(1),
        ..GroupRows::default()
    };
    let columns = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    group.sources = vec![
        SourceColumn {
            width,
            ..SourceColumn::default()
        };
        columns
    ];
    for (key, cells) in rows {
        group.dimensions.push(key);
        group.time.push(WallMs((at_s * 1_000.0).round() as i64));
        for (column, cell) in group.sources.iter_mut().zip(cells.iter()) {
            column.push(*cell);
        }
    }
    Rows {
        groups: vec![group],
        ..Rows::default()
    }
}

fn run(state: &mut RateState, plan: &RatePlan, mut rows: Rows) -> Vec<GroupValues> {
    let mut out = Vec::new();
    state.advance(plan, &mut rows, MINUTE, &mut out);
    out
}

fn keyed(counters: usize, bits_per_unit: u32) -> RatePlan {
    RatePlan {
        groups: vec![GroupRatePlan::identity(counters, 1, bits_per_unit)],
    }
}

#[test]
fn the_worked_figures_of_panoptes_come_out_without_its_defects() {
    let check = |name: &str, reads: &[(u64, f64)], expected: &[Option<f64>]| {
        let mut state = RateState::default();
        let rates: Vec<_> = reads
            .iter()
            .map(|(value, at)| single(&mut state, *value, *at).0)
            .collect();
        assert_eq!(rates, expected, "{name}");
    };
    check(
        "plain",
        &[(0, 1e3), (600, 1060.), (659, 1120.)],
        &[None, Some(10.), Some(59. / 60.)],
    );
    check(
        "decrease",
        &[(100, 1e3), (5, 1060.), (65, 1120.)],
        &[None, None, Some(1.)],
    );
    check(
        "exactly three intervals",
        &[(0, 0.), (180, 180.)],
        &[None, Some(1.)],
    );
    check(
        "more than three intervals",
        &[(0, 0.), (181, 181.)],
        &[None, None],
    );
    check(
        "out of order",
        &[(100, 1e3), (50, 940.), (160, 1060.)],
        &[None, None, Some(1.)],
    );
    check(
        "same time",
        &[(100, 1e3), (110, 1e3), (160, 1060.)],
        &[None, None, Some(1.)],
    );
}

#[test]
fn each_verdict_is_given_for_its_reason() {
    let mut state = RateState::default();
    assert_eq!(single(&mut state, 10, 1_000.).1, Verdict::First);
    assert_eq!(single(&mut state, 20, 1_060.).1, Verdict::Rate);
    assert_eq!(single(&mut state, 30, 1_060.).1, Verdict::Clock);
    assert_eq!(single(&mut state, 5, 1_120.).1, Verdict::Reset);
    assert_eq!(single(&mut state, 50, 1_400.).1, Verdict::Stale);
    assert_eq!(
        single(&mut state, 60, 1_460.),
        (Some(10. / 60.), Verdict::Rate)
    );
}

/// Two reads of one row with a known speed.
fn with_speed(width: CounterWidth, speed_bps: u64, values: [u64; 2]) -> Verdict {
    let plan = keyed(1, 8);
    let mut state = RateState::default();
    let mut verdict = Verdict::First;
    for (value, at_s) in values.into_iter().zip([0., 60.]) {
        let mut rows = read(&[("eth0", &[Some(value)])], at_s, width);
        rows.groups[0].speed_bps = vec![speed_bps];
        verdict = run(&mut state, &plan, rows)[0].counters[0].verdicts[0];
    }
    verdict
}

#[test]
fn a_decrease_is_a_wrap_only_if_its_width_and_speed_allow() {
    use CounterWidth::{Bits32, Bits64};
    let top = u64::from(u32::MAX);
    let check = |name: &str, width, speed, values, expected| {
        assert_eq!(with_speed(width, speed, values), expected, "{name}");
    };
    check(
        "wrap at 100 Mb/s",
        Bits32,
        100_000_000,
        [top - 99, 900],
        Verdict::Wrapped,
    );
    check(
        "cleared at 100 Mb/s",
        Bits32,
        100_000_000,
        [top / 2, 900],
        Verdict::Reset,
    );
    check(
        "64 bits do not wrap",
        Bits64,
        100_000_000,
        [top - 99, 900],
        Verdict::Reset,
    );
    check(
        "wrap without speed",
        Bits32,
        0,
        [top - 99, 900],
        Verdict::Wrapped,
    );
    check(
        "cleared without speed",
        Bits32,
        0,
        [top / 2, 900],
        Verdict::Reset,
    );
    check(
        "1.9 times the speed",
        Bits64,
        8_000,
        [0, 114_000],
        Verdict::Rate,
    );
    check(
        "2.1 times the speed",
        Bits64,
        8_000,
        [0, 126_000],
        Verdict::Implausible,
    );
}

#[test]
fn a_wrapped_counter_has_the_rate_of_its_way_over_zero() {
    let mut state = RateState::default();
    let plan = keyed(1, 8);
    let top = u64::from(u32::MAX);
    for (value, at_s) in [(top - 99, 0.), (500, 60.)] {
        let mut rows = read(&[("eth0", &[Some(value)])], at_s, CounterWidth::Bits32);
        rows.groups[0].speed_bps = vec![1_000_000_000];
        let out = run(&mut state, &plan, rows);
        if at_s > 0. {
            assert_eq!(out[0].rate(0, 0), Some(600. / 60.));
        }
    }
}

#[test]
fn evidence_of_a_restart_beats_a_counter_that_grew() {
    let plan = keyed(1, 8);
    let check = |name: &str, change: fn(&mut Rows), expected| {
        let mut state = RateState::default();
        let mut rows = read(&[("eth0", &[Some(10)])], 0., CounterWidth::Bits64);
        rows.facts.sys_uptime_ticks = Some(500_000);
        rows.facts.engine_boots = Some(3);
        rows.groups[0].discontinuity_ticks = vec![7];
        run(&mut state, &plan, rows);
        let mut rows = read(&[("eth0", &[Some(20)])], 60., CounterWidth::Bits64);
        rows.facts.sys_uptime_ticks = Some(506_000);
        rows.facts.engine_boots = Some(3);
        rows.groups[0].discontinuity_ticks = vec![7];
        change(&mut rows);
        assert_eq!(
            run(&mut state, &plan, rows)[0].counters[0].verdicts[0],
            expected,
            "{name}"
        );
    };
    check("nothing happened", |_| {}, Verdict::Rate);
    check(
        "uptime",
        |rows| rows.facts.sys_uptime_ticks = Some(100),
        Verdict::Reset,
    );
    check(
        "boots",
        |rows| rows.facts.engine_boots = Some(4),
        Verdict::Reset,
    );
    check(
        "line card",
        |rows| rows.groups[0].discontinuity_ticks[0] = 9,
        Verdict::Reset,
    );
    check(
        "not read now",
        |rows| rows.facts.sys_uptime_ticks = None,
        Verdict::Rate,
    );
}

/// `hc ?? low` as one counter in bits.
fn hc_or_low() -> RatePlan {
    RatePlan {
        groups: vec![GroupRatePlan {
            every_nth: 1,
            sources: 2,
            key_columns: 1,
            choices: vec![SourceChoice {
                sources: vec![0, 1],
                bits_per_unit: 8,
            }],
            counters: vec![CounterPlan {
                terms: vec![(8, 0)],
            }],
        }],
    }
}

#[test]
fn the_low_counter_is_taken_while_the_high_one_is_absent_or_stands_still() {
    let mut state = RateState::default();
    let mut step = |hc, low, minute: f64| {
        let rows = read(&[("eth0", &[hc, low])], minute * 60., CounterWidth::Bits64);
        let out = run(&mut state, &hc_or_low(), rows);
        let column = &out[0].counters[0];
        (column.values[0], column.verdicts[0], out[0].rate(0, 0))
    };
    assert_eq!(step(Some(0), Some(100), 0.), (0, Verdict::First, None));
    assert_eq!(
        step(Some(0), Some(700), 1.),
        (5_600, Verdict::First, None),
        "high stands still"
    );
    assert_eq!(
        step(Some(0), Some(1_300), 2.),
        (10_400, Verdict::Rate, Some(80.))
    );
    assert_eq!(
        step(Some(0), Some(1_300), 3.),
        (10_400, Verdict::Rate, Some(0.)),
        "both idle"
    );
    assert_eq!(
        step(Some(60), Some(1_360), 4.),
        (480, Verdict::First, None),
        "high moves"
    );
    assert_eq!(
        step(Some(120), Some(1_420), 5.),
        (960, Verdict::Rate, Some(8.))
    );
    assert_eq!(
        step(None, Some(1_480), 6.),
        (11_840, Verdict::First, None),
        "high is gone"
    );
    assert_eq!(step(None, None, 7.).1, Verdict::First);
}

#[test]
fn a_derived_value_wraps_at_64_bits_and_its_rate_does_not() {
    let mut state = RateState::default();
    let start = 1u64 << 61;
    for (value, at_s) in [(start - 6, 0.), (start + 54, 60.)] {
        let rows = read(
            &[("eth0", &[Some(value), None])],
            at_s,
            CounterWidth::Bits64,
        );
        let out = run(&mut state, &hc_or_low(), rows);
        if at_s > 0. {
            assert_eq!(out[0].counters[0].values[0], 54 * 8, "modulo 2^64");
            assert_eq!(out[0].rate(0, 0), Some(8.));
        }
    }
}

#[test]
fn a_sum_is_missing_with_one_part_and_has_no_rate_when_one_part_has_none() {
    let mut group = GroupRatePlan::identity(2, 1, 0);
    group.counters = vec![CounterPlan {
        terms: vec![(1, 0), (1, 1)],
    }];
    let plan = RatePlan {
        groups: vec![group],
    };
    let mut state = RateState::default();
    let mut step = |a, b, minute: f64| {
        let rows = read(&[("eth0", &[a, b])], minute * 60., CounterWidth::Bits64);
        let out = run(&mut state, &plan, rows);
        let column = &out[0].counters[0];
        (
            column.presence.is_present(0),
            column.verdicts[0],
            out[0].rate(0, 0),
        )
    };
    assert_eq!(step(Some(1), Some(2), 0.), (true, Verdict::First, None));
    assert_eq!(
        step(Some(61), Some(62), 1.),
        (true, Verdict::Rate, Some(2.))
    );
    assert_eq!(step(Some(121), None, 2.), (false, Verdict::First, None));
    assert_eq!(
        step(Some(181), Some(182), 3.),
        (true, Verdict::First, None),
        "parts over other times"
    );
    assert_eq!(step(Some(241), Some(3), 4.), (true, Verdict::Reset, None));
}

#[test]
fn a_cell_that_was_absent_once_goes_on_over_its_own_time() {
    let plan = keyed(2, 0);
    let mut state = RateState::default();
    run(
        &mut state,
        &plan,
        read(&[("a", &[Some(0), Some(0)])], 0., CounterWidth::Bits64),
    );
    run(
        &mut state,
        &plan,
        read(&[("a", &[Some(60), None])], 60., CounterWidth::Bits64),
    );
    let out = run(
        &mut state,
        &plan,
        read(
            &[("a", &[Some(120), Some(240)])],
            120.,
            CounterWidth::Bits64,
        ),
    );
    assert_eq!((out[0].rate(0, 0), out[0].rate(1, 0)), (Some(1.), Some(2.)));
    assert_eq!((out[0].dt_of(0, 0), out[0].dt_of(1, 0)), (60_000, 120_000));
}

#[test]
fn rows_are_known_by_key_in_whatever_order_they_come() {
    let plan = keyed(1, 0);
    let mut state = RateState::default();
    let wide = CounterWidth::Bits64;
    run(
        &mut state,
        &plan,
        read(&[("a", &[Some(0)]), ("b", &[Some(1_000)])], 0., wide),
    );
    let out = run(
        &mut state,
        &plan,
        read(&[("b", &[Some(1_060)]), ("a", &[Some(600)])], 60., wide),
    );
    assert_eq!(
        (out[0].rate(0, 0), out[0].rate(0, 1)),
        (Some(1.), Some(10.))
    );
    let out = run(
        &mut state,
        &plan,
        read(&[("c", &[Some(5)]), ("a", &[Some(1_200)])], 120., wide),
    );
    assert_eq!(out[0].counters[0].verdicts, [Verdict::First, Verdict::Rate]);
    let out = run(
        &mut state,
        &plan,
        read(&[("b", &[Some(1_180)])], 180., wide),
    );
    assert_eq!(
        out[0].rate(0, 0),
        Some(1.),
        "carried over the run in which it was absent"
    );
    let twice = read(&[("b", &[Some(1_240)]), ("b", &[Some(9)])], 240., wide);
    let out = run(&mut state, &plan, twice);
    assert_eq!(
        out[0].counters[0].verdicts,
        [Verdict::Rate, Verdict::First],
        "one key twice"
    );
}

#[test]
fn a_row_that_was_away_for_long_is_stale_then_forgotten() {
    let plan = keyed(1, 0);
    let wide = CounterWidth::Bits64;
    let verdict_after = |minutes: u32| {
        let mut state = RateState::default();
        run(
            &mut state,
            &plan,
            read(&[("a", &[Some(0)]), ("b", &[Some(0)])], 0., wide),
        );
        for minute in 1..minutes {
            run(
                &mut state,
                &plan,
                read(&[("b", &[Some(1)])], f64::from(minute) * 60., wide),
            );
        }
        let rows = read(
            &[("a", &[Some(9)]), ("b", &[Some(1)])],
            f64::from(minutes) * 60.,
            wide,
        );
        run(&mut state, &plan, rows)[0].counters[0].verdicts[0]
    };
    assert_eq!(verdict_after(3), Verdict::Rate);
    assert_eq!(verdict_after(4), Verdict::Stale);
    assert_eq!(verdict_after(30), Verdict::First);
}

/// Two groups, the second read in each fifth slot only.
fn fast_and_slow() -> RatePlan {
    let slow = GroupRatePlan {
        every_nth: 5,
        ..GroupRatePlan::identity(1, 1, 0)
    };
    RatePlan {
        groups: vec![GroupRatePlan::identity(1, 1, 0), slow],
    }
}

/// Reads the fast group each minute and the slow one at the minutes given; the verdict of the
/// slow one's last read. `uptime` gives sysUpTime in ticks by minute.
fn slow_verdict(minutes: u32, slow_at: &[u32], uptime: impl Fn(u32) -> u32) -> Verdict {
    let (plan, wide) = (fast_and_slow(), CounterWidth::Bits64);
    let (mut state, mut last) = (RateState::default(), None);
    for minute in 0..=minutes {
        let one = |at| read(&[("a", &[Some(u64::from(minute))])], at, wide);
        let mut rows = one(f64::from(minute) * 60.);
        let slow = one(f64::from(minute) * 60.).groups.remove(0);
        let is_read = slow_at.contains(&minute);
        rows.groups
            .push(if is_read { slow } else { GroupRows::default() });
        rows.facts.sys_uptime_ticks = Some(uptime(minute));
        let out = run(&mut state, &plan, rows);
        assert_eq!(out[1].len(), usize::from(is_read), "minute {minute}");
        last = is_read.then(|| out[1].counters[0].verdicts[0]).or(last);
    }
    last.unwrap()
}

#[test]
fn a_group_of_each_fifth_slot_is_judged_by_its_own_interval() {
    let up = |minute: u32| 100_000 + minute * 6_000;
    let check = |minutes, slow_at: &[u32], expected| {
        assert_eq!(slow_verdict(minutes, slow_at, up), expected, "{slow_at:?}");
    };
    check(5, &[0, 5], Verdict::Rate);
    check(15, &[0, 15], Verdict::Rate);
    check(16, &[0, 16], Verdict::Stale);
}

#[test]
fn a_restart_in_a_slot_without_a_group_is_a_reset_at_its_next_read_and_a_rate_after() {
    let restarted_at_2 = |minute: u32| match minute {
        0..2 => 100_000 + minute * 6_000,
        _ => (minute - 2) * 6_000 + 100,
    };
    let check = |minutes, slow_at: &[u32], expected| {
        let verdict = slow_verdict(minutes, slow_at, restarted_at_2);
        assert_eq!(verdict, expected, "{slow_at:?}");
    };
    check(5, &[0, 5], Verdict::Reset);
    check(10, &[0, 5, 10], Verdict::Rate);
}

#[test]
fn rows_and_cells_from_before_a_restart_are_forgotten_by_it() {
    let (plan, wide) = (keyed(2, 0), CounterWidth::Bits64);
    let mut state = RateState::default();
    let mut step = |rows: &[(&str, &[Option<u64>])], at_s, ticks| {
        let mut rows = read(rows, at_s, wide);
        rows.facts.sys_uptime_ticks = Some(ticks);
        run(&mut state, &plan, rows).remove(0)
    };
    let all = [Some(1), Some(1)];
    step(&[("a", &all), ("b", &all)], 0., 500_000);
    step(&[("a", &[Some(2), None])], 60., 1_000);
    let out = step(
        &[("a", &[Some(3), Some(3)]), ("b", &[Some(3), Some(3)])],
        120.,
        7_000,
    );
    let verdicts = |counter: usize| out.counters[counter].verdicts.clone();
    assert_eq!(verdicts(0), [Verdict::Rate, Verdict::First]);
    assert_eq!(verdicts(1), [Verdict::First, Verdict::First]);
}

#[test]
fn a_step_of_the_wall_clock_changes_no_rate() {
    let mut state = RateState::default();
    single(&mut state, 0, 10_000.);
    state.wall_stepped(-3_600_000);
    assert_eq!(single(&mut state, 60, 6_460.), (Some(1.), Verdict::Rate));
}

#[test]
fn a_saved_state_goes_on_with_rates() {
    let plan = keyed(1, 0);
    let mut state = RateState::default();
    run(
        &mut state,
        &plan,
        read(&[("a", &[Some(7)])], 0., CounterWidth::Bits32),
    );
    let saved = serde_json::to_vec(&state).unwrap();
    let mut restored: RateState = serde_json::from_slice(&saved).unwrap();
    assert_eq!(restored, state);
    let out = run(
        &mut restored,
        &plan,
        read(&[("a", &[Some(67)])], 60., CounterWidth::Bits32),
    );
    assert_eq!(out[0].rate(0, 0), Some(1.));
}

#[test]
fn partial_rows_and_missing_sections_do_no_harm() {
    let plan = RatePlan {
        groups: vec![GroupRatePlan::identity(3, 1, 0); 2],
    };
    let mut state = RateState::default();
    let mut rows = read(&[("a", &[Some(1)])], 0., CounterWidth::Bits64);
    rows.partial = Some(crate::rows::Partial {
        cause: GapKind::Timeout.into(),
        reached: "1.3".into(),
    });
    let out = run(&mut state, &plan, rows);
    assert_eq!((out.len(), out[0].counters.len(), out[1].len()), (2, 3, 0));
    assert!(
        !out[0].counters[2].presence.is_present(0),
        "a column that is not there is absent"
    );
}

/// Path of Panoptes' transform samples, if the shared data is there.
fn samples() -> Option<std::path::PathBuf> {
    let root = std::env::var_os("OCELLI_SHARED_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        std::path::PathBuf::from,
    );
    let folder = root.join("panoptes/transform");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is absent", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn the_eight_samples_of_panoptes_give_exact_rates() {
    let Some(folder) = samples() else { return };
    let plan = RatePlan {
        groups: vec![GroupRatePlan::identity(2, 1, 0)],
    };
    let mut state = RateState::default();
    let mut seen = Vec::new();
    for number in 1..=8 {
        let text = std::fs::read(folder.join(format!("sample_{number}.json"))).unwrap();
        let groups: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let group = &groups[0];
        let value = |name: &str| {
            let metrics = group["metrics"].as_array().unwrap().iter();
            let mut found = metrics.filter(|metric| metric["metric_name"] == name);
            found
                .next()
                .and_then(|metric| metric["metric_value"].as_u64())
        };
        let at = group["metrics"][0]["metric_creation_timestamp"]
            .as_f64()
            .unwrap();
        let key = group["dimensions"][0]["dimension_value"]
            .as_str()
            .unwrap()
            .to_owned();
        let cells = [value("test_system_uptime"), value("extra_test_metric")];
        let out = run(
            &mut state,
            &plan,
            read(&[(&key, &cells)], at, CounterWidth::Bits64),
        );
        seen.push([out[0].rate(0, 0), out[0].rate(1, 0)]);
    }
    let rounded: Vec<_> = seen
        .iter()
        .map(|pair| pair.map(|rate| rate.map(|rate| (rate * 1_000.).round() / 1_000.)))
        .collect();
    let rates = [Some(0.999), Some(1.998)];
    let none = [None, None];
    assert_eq!(rounded[0], none);
    assert_eq!((rounded[1], rounded[2]), (rates, rates));
    assert_eq!((rounded[3], rounded[4], rounded[5]), (none, none, none));
    assert_eq!(rounded[6], [Some(0.), Some(0.)]);
    assert_eq!(rounded[7], none);
}

proptest! {
    #[test]
    fn no_rate_is_above_twice_the_speed_and_no_delta_stands_without_a_rate(
        reads in prop::collection::vec((any::<u32>(), 1u32..200, 0u8..10), 1..40),
        speed_bps in 1_000_000u64..10_000_000_000,
        is_narrow: bool,
    ) {
        let width = if is_narrow { CounterWidth::Bits32 } else { CounterWidth::Bits64 };
        let plan = keyed(1, 8);
        let mut state = RateState::default();
        let mut at_s = 0.;
        for (value, step_s, absent) in reads {
            at_s += f64::from(step_s);
            let cell = (absent > 0).then_some(u64::from(value));
            let mut rows = read(&[("eth0", &[cell])], at_s, width);
            rows.groups[0].speed_bps = vec![speed_bps];
            let out = run(&mut state, &plan, rows);
            let column = &out[0].counters[0];
            if let Some(rate) = out[0].rate(0, 0) {
                prop_assert!(rate * 8. <= 2.000_001 * speed_bps as f64, "{rate} B/s");
            } else {
                prop_assert_eq!(column.deltas[0], 0);
            }
        }
    }

    #[test]
    fn the_deltas_of_a_counter_that_only_grows_add_up_to_its_growth(
        growth in prop::collection::vec((0u64..1_000_000, prop::bool::weighted(0.8)), 1..60)
    ) {
        let plan = keyed(1, 0);
        let mut state = RateState::default();
        let (mut value, mut sum, mut last_seen, mut first_seen) = (5u64, 0u64, None, None);
        for (minute, (step, is_read)) in growth.into_iter().enumerate() {
            value += step;
            let cell = is_read.then_some(value);
            let rows = read(&[("eth0", &[cell])], minute as f64, CounterWidth::Bits64);
            let out = run(&mut state, &plan, rows);
            sum += out[0].counters[0].deltas[0];
            if is_read {
                first_seen = first_seen.or(Some(value));
                last_seen = Some(value);
            }
        }
        prop_assert_eq!(sum, last_seen.unwrap_or(0) - first_seen.unwrap_or(0));
    }
}
