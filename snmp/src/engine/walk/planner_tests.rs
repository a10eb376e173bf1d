//! Walks against a table in memory: every cell once, in few requests, with faults.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_model::oid::Oid;
use proptest::prelude::*;

use super::*;
use crate::engine::agent_tests::{Cells, TestAgent, cell, column};
use crate::engine::walk::WalkLimits;
use crate::message::{CommunityMessage, Version, encode_request};
use crate::pdu::{Request, RequestId, RequestKind};

/// What a whole walk brought.
struct Walked {
    cells: Cells,
    requests: usize,
    reply_bytes_max: usize,
    end: WalkEnd,
    failures: Vec<ColumnFailure>,
}

fn walk(agent: &TestAgent, plan: &WalkPlan, repetitions: &mut Repetitions) -> Walked {
    let is_bulk = agent.version != Version::V1;
    let mut walk = Walk::new(plan);
    let mut cells = Cells::default();
    let (mut requests, mut reply_bytes_max) = (0, 0);
    while let Some(asked) = walk.next(repetitions, is_bulk) {
        requests += 1;
        assert!(requests < 100_000, "the walk does not end");
        let kind = if is_bulk {
            RequestKind::GetBulk {
                non_repeaters: 0,
                max_repetitions: asked.rows,
            }
        } else {
            RequestKind::GetNext
        };
        let id = RequestId::from_bits(7);
        let names = walk.names(asked);
        let request = Request { kind, id, names };
        let mut buffer = vec![0; 65_000];
        let bytes = encode_request(&mut buffer, agent.version, b"public", &request).unwrap();
        let reply = agent.answer(bytes).unwrap();
        reply_bytes_max = reply_bytes_max.max(reply.len());
        let message = CommunityMessage::decode(&reply).unwrap();
        let pdu = message.pdu.standard().unwrap();
        if pdu.error_status() == ErrorStatus::NoError {
            let count = walk.reply(asked, pdu, &mut cells, Received::default());
            repetitions.answered(asked.rows, count, reply.len());
        } else {
            walk.status(asked, pdu, repetitions);
        }
    }
    let (end, failures) = walk.into_end();
    Walked {
        cells,
        requests,
        reply_bytes_max,
        end,
        failures,
    }
}

fn columns(numbers: impl IntoIterator<Item = u32>) -> WalkPlan {
    let columns: Vec<Oid> = numbers.into_iter().map(column).collect();
    WalkPlan::new(&columns).unwrap()
}

#[test]
fn forty_eight_interfaces_with_22_columns_take_at_most_32_requests() {
    let agent = TestAgent::table(22, 48);
    let walked = walk(&agent, &columns(1..=22), &mut Repetitions::new(25));
    assert_eq!(walked.cells.0.len(), 48 * 22);
    assert_eq!(walked.end, WalkEnd::Complete);
    assert!(walked.requests <= 32, "{} requests", walked.requests);
    assert!(
        walked.reply_bytes_max <= 1_472,
        "{}",
        walked.reply_bytes_max
    );
}

#[test]
fn rows_come_whole_when_the_agent_cuts_its_replies() {
    let agent = TestAgent::table(30, 100);
    let limits = WalkLimits {
        rows_max: 50,
        ..WalkLimits::default()
    };
    let plan = columns(1..=30).with_limits(limits);
    let walked = walk(&agent, &plan, &mut Repetitions::new(25));
    assert_eq!(walked.end, WalkEnd::RowLimit);
    let mut by_row: BTreeMap<u32, usize> = BTreeMap::new();
    for (_, index, _) in &walked.cells.0 {
        *by_row.entry(index[0]).or_default() += 1;
    }
    let whole = by_row.values().filter(|&&cells| cells == 30).count();
    assert!(whole >= 48, "{whole} of 50 rows are whole");
    assert_eq!(by_row.len(), 50);
}

#[test]
fn a_table_of_exactly_the_limit_is_complete() {
    let limits = WalkLimits {
        rows_max: 50,
        ..WalkLimits::default()
    };
    let plan = columns(1..=3).with_limits(limits);
    let walked = walk(&TestAgent::table(3, 50), &plan, &mut Repetitions::new(25));
    assert_eq!(walked.end, WalkEnd::Complete);
    assert_eq!(walked.cells.0.len(), 150);
}

#[test]
fn a_table_that_never_ends_is_cut_at_the_limit_of_bytes() {
    let limits = WalkLimits {
        bytes_max: 2_000,
        ..WalkLimits::default()
    };
    let plan = columns([1]).with_limits(limits);
    let walked = walk(
        &TestAgent::table(1, 5_000),
        &plan,
        &mut Repetitions::new(25),
    );
    assert_eq!(walked.end, WalkEnd::ByteLimit);
    assert!(walked.cells.0.len() < 400);
}

#[test]
fn a_column_that_steps_back_ends_with_both_names_and_the_others_go_on() {
    let mut agent = TestAgent::table(3, 40);
    agent.detour = Some((cell(2, 17), cell(2, 5)));
    let walked = walk(&agent, &columns(1..=3), &mut Repetitions::new(25));
    assert_eq!(walked.cells.0.len(), 40 + 17 + 40);
    let [failure] = walked.failures.as_slice() else {
        panic!("{:?}", walked.failures);
    };
    assert_eq!((failure.column, &failure.last_oid), (1, &cell(2, 17)));
    let expected = ColumnError::NotIncreasing {
        after: cell(2, 17),
        got: cell(2, 5),
    };
    assert_eq!(failure.error, expected);
}

#[test]
fn an_agent_that_says_too_big_instead_of_cutting_is_read_whole() {
    let mut agent = TestAgent::table(22, 48);
    agent.is_bulk_too_big = true;
    agent.reply_bytes_max = 300;
    let walked = walk(&agent, &columns(1..=22), &mut Repetitions::new(25));
    assert_eq!(walked.cells.0.len(), 48 * 22);
    assert_eq!(walked.end, WalkEnd::Complete);
}

#[test]
fn a_varbind_that_is_too_big_alone_fails_its_column_only_by_name() {
    let mut agent = TestAgent::table(2, 3);
    agent.is_bulk_too_big = true;
    agent.reply_bytes_max = 70;
    let walked = walk(&agent, &columns(1..=2), &mut Repetitions::new(25));
    assert_eq!(walked.cells.0.len(), 0);
    let errors: Vec<_> = walked
        .failures
        .iter()
        .map(|failure| &failure.error)
        .collect();
    assert_eq!(errors, [&ColumnError::TooBig, &ColumnError::TooBig]);
}

#[test]
fn one_broken_cell_voids_its_column_alone() {
    let mut agent = TestAgent::table(4, 20);
    agent.broken = Some(cell(3, 11));
    let walked = walk(&agent, &columns(1..=4), &mut Repetitions::new(25));
    let of = |number: usize| {
        walked
            .cells
            .0
            .iter()
            .filter(|cell| cell.0 == number)
            .count()
    };
    assert_eq!((of(0), of(1), of(3)), (20, 20, 20));
    assert!(of(2) <= 10);
    let status = ErrorStatus::GenErr;
    assert_eq!(walked.failures[0].error, ColumnError::Status { status });
}

#[test]
fn v1_walks_by_getnext_and_no_such_name_is_the_end_of_a_column() {
    let mut agent = TestAgent::table(3, 10);
    agent.version = Version::V1;
    agent.mib.retain(|name, _| *name <= cell(3, 10));
    let walked = walk(&agent, &columns(1..=3), &mut Repetitions::new(25));
    assert_eq!(walked.cells.0.len(), 30);
    assert_eq!((walked.end, walked.failures), (WalkEnd::Complete, vec![]));
}

/// A table of random shape: some cells are missing, indexes are not dense and may have two arcs.
fn any_table() -> impl Strategy<Value = BTreeMap<Oid, u64>> {
    let row = prop_oneof![
        (1u32..300).prop_map(|row| vec![row]),
        (1u32..4, 1u32..70_000).prop_map(|(slot, row)| vec![slot, row]),
    ];
    let cells = prop::collection::btree_set((1u32..8, row), 0..400);
    cells.prop_map(|cells: BTreeSet<(u32, Vec<u32>)>| {
        let cell = |(number, row): (u32, Vec<u32>)| (column(number).child(&row).unwrap(), 1);
        cells.into_iter().map(cell).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn each_cell_comes_exactly_once_in_bounded_requests(
        mib in any_table(),
        asked in prop::collection::btree_set(1u32..8, 1..7),
        rows_max in 1u16..40,
        reply_bytes_max in 90usize..1_500,
        is_bulk_too_big in any::<bool>(),
        is_v1 in any::<bool>(),
    ) {
        let mut agent = TestAgent::new(mib);
        agent.reply_bytes_max = if is_v1 { 1_472 } else { reply_bytes_max };
        agent.is_bulk_too_big = is_bulk_too_big;
        agent.version = if is_v1 { Version::V1 } else { Version::V2c };
        let plan = columns(asked.iter().copied());
        let walked = walk(&agent, &plan, &mut Repetitions::new(rows_max));
        prop_assert_eq!(walked.end, WalkEnd::Complete);
        prop_assert_eq!(walked.failures, vec![]);
        let mut expected = Vec::new();
        for (position, number) in asked.iter().enumerate() {
            for (name, value) in &agent.mib {
                if let Some(index) = name.index_under(&column(*number)) {
                    expected.push((position, index.to_vec(), Some(*value)));
                }
            }
        }
        let mut got = walked.cells.0;
        let bound = got.len() + asked.len() * 8 + 40;
        got.sort();
        expected.sort();
        prop_assert_eq!(got, expected);
        prop_assert!(walked.requests <= bound, "{} of {}", walked.requests, bound);
    }
}
