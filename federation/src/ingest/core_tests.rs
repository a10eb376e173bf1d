//! What an ingest takes, holds, refuses and acknowledges.

use super::*;
use crate::ingest::OriginQuota;

const ORIGIN: OriginId = OriginId(1);

fn at(ms: u64) -> Monotonic {
    Monotonic(ms * 1_000_000)
}

fn range(first: u64, last: u64) -> SeqRange {
    SeqRange {
        first: Seq(first),
        last: Seq(last),
    }
}

fn data(block: u64, channel: Channel, first: u64, last: u64) -> Arrived {
    Arrived {
        block: BlockNumber(block),
        channel,
        stream: StreamId::data(ORIGIN),
        range: range(first, last),
        bytes: 1_000,
        needs_def: Seq(0),
        is_held: false,
        definitions_to: Seq(0),
        held_room: u64::MAX,
        quota: OriginQuota::default(),
    }
}

fn definitions(block: u64, first: u64, last: u64) -> Arrived {
    let stream = StreamId::definitions(ORIGIN);
    Arrived {
        stream,
        ..data(block, Channel::Definitions, first, last)
    }
}

fn said(effects: Vec<IngestEffect>) -> Vec<String> {
    let text = |effect| match effect {
        IngestEffect::Accept {
            block,
            is_backfill: true,
        } => format!("accept {} late", block.0),
        IngestEffect::Accept { block, .. } => format!("accept {}", block.0),
        IngestEffect::Drop(block) => format!("drop {}", block.0),
        IngestEffect::Durable { range, .. } => format!("durable {}-{}", range.first, range.last),
        IngestEffect::Refuse { range, reason, .. } => format!("refuse {} {reason:?}", range.first),
        IngestEffect::Throttle {
            bytes_per_second, ..
        } => format!("rate {bytes_per_second:?}"),
        IngestEffect::Reached {
            bytes_per_second, ..
        } => format!("reached {bytes_per_second}"),
        IngestEffect::Audit { reason, count, .. } => format!("audit {reason:?} {count}"),
    };
    effects.into_iter().map(text).collect()
}

struct Bench(IngestCore);

impl Bench {
    fn on(&mut self, ms: u64, input: IngestInput) -> Vec<String> {
        said(self.0.on(input, at(ms)))
    }

    fn arrived(&mut self, ms: u64, arrived: Arrived) -> Vec<String> {
        self.on(ms, IngestInput::Arrived(arrived))
    }

    fn stored(&mut self, ms: u64, block: u64) -> Vec<String> {
        self.on(ms, IngestInput::Stored(BlockNumber(block)))
    }
}

fn bench() -> Bench {
    Bench(IngestCore::new(IngestPolicy::default()))
}

#[test]
fn nothing_is_acknowledged_before_the_bus_has_stored_it() {
    let mut bench = bench();
    assert_eq!(bench.arrived(0, data(1, Channel::Live, 1, 5)), ["accept 1"]);
    assert_eq!(bench.stored(9, 1), ["durable 1-5"]);
    assert_eq!(bench.stored(9, 1), [""; 0], "once");
}

#[test]
fn what_is_held_is_acknowledged_at_once_and_not_stored_again() {
    let held = Arrived {
        is_held: true,
        ..data(1, Channel::Backfill, 1, 5)
    };
    assert_eq!(bench().arrived(0, held), ["drop 1", "durable 1-5"]);
}

#[test]
fn lane_1_is_taken_in_order_only() {
    let mut bench = bench();
    assert_eq!(bench.arrived(0, definitions(1, 1, 3)), ["accept 1"]);
    assert_eq!(bench.arrived(0, definitions(2, 4, 5)), ["accept 2"]);
    assert_eq!(
        bench.arrived(0, definitions(3, 7, 9)),
        ["drop 3", "refuse 7 Order"]
    );
    let other = definitions(4, 7, 9);
    let told = Arrived {
        definitions_to: Seq(6),
        ..other
    };
    assert_eq!(
        bench.arrived(1, told),
        ["accept 4"],
        "another link brought 6"
    );
    let detail = String::new();
    let reason = RefusedReason::Busy;
    let rejected = IngestInput::Rejected {
        block: BlockNumber(1),
        reason,
        detail,
    };
    assert_eq!(bench.on(2, rejected), ["refuse 1 Busy"]);
    assert_eq!(
        bench.arrived(3, definitions(5, 4, 5)),
        ["drop 5", "refuse 4 Order"]
    );
    assert_eq!(bench.arrived(3, definitions(6, 1, 3)), ["accept 6"]);
}

#[test]
fn data_wait_for_their_definitions_and_go_when_these_are_durable() {
    let mut bench = bench();
    let needy = |block, needs| Arrived {
        needs_def: Seq(needs),
        ..data(block, Channel::Live, block, block)
    };
    assert_eq!(bench.arrived(0, needy(1, 3)), [""; 0]);
    assert_eq!(bench.arrived(0, needy(2, 9)), [""; 0]);
    assert_eq!(bench.0.held_bytes(), 2_000);
    assert_eq!(bench.arrived(1, definitions(7, 1, 3)), ["accept 7"]);
    assert_eq!(bench.stored(2, 7), ["durable 1-3", "accept 1"]);
    assert_eq!(bench.on(30_000, IngestInput::Tick), [""; 0]);
    assert_eq!(
        bench.on(30_001, IngestInput::Tick),
        ["drop 2", "refuse 2 NeedsDefinitions"]
    );
    assert_eq!(bench.0.held_bytes(), 0);
    assert_eq!(bench.arrived(30_002, needy(3, 9)), [""; 0]);
    let elsewhere = IngestInput::DefinitionsAt {
        origin: ORIGIN,
        to: Seq(9),
    };
    assert_eq!(bench.on(30_003, elsewhere), ["accept 3"]);
}

#[test]
fn what_waits_for_definitions_is_bounded_in_bytes() {
    let mut bench = bench();
    let needy = |block| Arrived {
        needs_def: Seq(1),
        bytes: HELD_BYTES_MAX / 2,
        ..data(block, Channel::Live, block, block)
    };
    assert_eq!(bench.arrived(0, needy(1)), [""; 0]);
    assert_eq!(bench.arrived(0, needy(2)), [""; 0]);
    assert_eq!(
        bench.arrived(0, needy(3)),
        ["drop 3", "refuse 3 NeedsDefinitions"]
    );
}

#[test]
fn what_waits_for_definitions_is_bounded_over_all_links_too() {
    let mut bench = bench();
    let needy = |block, held_room| Arrived {
        needs_def: Seq(1),
        held_room,
        ..data(block, Channel::Live, block, block)
    };
    assert_eq!(bench.arrived(0, needy(1, 1_000)), [""; 0]);
    assert_eq!(bench.0.held_bytes(), 1_000);
    assert_eq!(
        bench.arrived(0, needy(2, 999)),
        ["drop 2", "refuse 2 NeedsDefinitions"]
    );
}

#[test]
fn backfill_goes_on_where_it_was_refused_so_that_it_ascends() {
    let mut bench = bench();
    let reason = RefusedReason::Busy;
    assert_eq!(
        bench.arrived(0, data(1, Channel::Backfill, 1, 5)),
        ["accept 1 late"]
    );
    let rejected = IngestInput::Rejected {
        block: BlockNumber(1),
        reason,
        detail: String::new(),
    };
    assert_eq!(bench.on(0, rejected), ["refuse 1 Busy"]);
    let next = data(2, Channel::Backfill, 6, 9);
    assert_eq!(bench.arrived(1, next), ["drop 2", "refuse 6 Order"]);
    assert_eq!(
        bench.arrived(1, data(3, Channel::Live, 20, 20)),
        ["accept 3"],
        "live goes on"
    );
    assert_eq!(
        bench.arrived(2, data(4, Channel::Backfill, 1, 5)),
        ["accept 4 late"]
    );
    assert_eq!(
        bench.arrived(2, data(5, Channel::Backfill, 6, 9)),
        ["accept 5 late"]
    );
}

#[test]
fn what_waited_for_definitions_goes_before_what_comes_behind_it() {
    for (channel, late) in [(Channel::Live, ""), (Channel::Backfill, " late")] {
        let mut bench = bench();
        let needy = |block, definitions_to| Arrived {
            needs_def: Seq(3),
            definitions_to: Seq(definitions_to),
            ..data(block, channel, block, block)
        };
        assert_eq!(bench.arrived(0, needy(1, 2)), [""; 0]);
        let third = Arrived {
            definitions_to: Seq(2),
            ..definitions(9, 3, 3)
        };
        assert_eq!(bench.arrived(0, third), ["accept 9"]);
        // The bus shows definition 3 before the answer on it is looked at.
        let both = [format!("accept 1{late}"), format!("accept 2{late}")];
        assert_eq!(bench.arrived(1, needy(2, 3)), both);
        assert_eq!(bench.stored(2, 9), ["durable 3-3"]);
    }
}

#[test]
fn an_origin_above_its_share_is_told_its_rate_and_then_refused_and_both_are_told() {
    let quota = OriginQuota {
        samples_per_second: Some(250),
        bytes_per_second: Some(5_000),
    };
    let mut bench = bench();
    let greedy = |block| Arrived {
        quota,
        ..data(block, Channel::Live, block, block)
    };
    assert_eq!(bench.arrived(0, greedy(1)), ["rate Some(1000)", "accept 1"]);
    assert_eq!(bench.arrived(0, greedy(2)), ["reached 1000", "accept 2"]);
    for block in 3..=12 {
        assert_eq!(bench.arrived(0, greedy(block)), [format!("accept {block}")]);
    }
    let refused = ["drop 13", "audit Quota 1", "refuse 13 Quota"];
    assert_eq!(bench.arrived(0, greedy(13)), refused);
    assert_eq!(
        bench.arrived(0, greedy(14)),
        ["drop 14", "refuse 14 Quota"],
        "one event a minute"
    );
    let defs = Arrived {
        quota,
        ..definitions(15, 1, 1)
    };
    assert_eq!(
        bench.arrived(0, defs),
        ["accept 15"],
        "definitions are never shed"
    );
    assert_eq!(bench.arrived(20_000, greedy(16)), ["accept 16"]);
    let calm = StreamId::data(OriginId(2));
    let other = Arrived {
        stream: calm,
        ..data(17, Channel::Live, 1, 1)
    };
    assert_eq!(bench.arrived(20_000, other), ["accept 17"]);
    assert_eq!(
        bench.arrived(61_000, greedy(18)),
        ["accept 18"],
        "it is within its share again"
    );
    assert_eq!(
        bench.arrived(61_000, greedy(19)),
        ["reached 1000", "accept 19"]
    );
}

#[test]
fn backfill_above_the_share_is_refused_and_live_blocks_go_on() {
    let quota = OriginQuota {
        samples_per_second: None,
        bytes_per_second: Some(1_000),
    };
    let mut bench = bench();
    let of = |block, channel| Arrived {
        quota,
        ..data(block, channel, block, block)
    };
    for block in 1..=12 {
        bench.arrived(0, of(block, Channel::Backfill));
    }
    let refused = ["drop 13", "audit Quota 1", "refuse 13 Quota"];
    assert_eq!(bench.arrived(0, of(13, Channel::Backfill)), refused);
    assert_eq!(bench.arrived(0, of(14, Channel::Live)), ["accept 14"]);
}

#[test]
fn a_share_that_is_changed_or_lifted_is_told_while_nothing_comes() {
    let rate = |bytes_per_second| OriginQuota {
        samples_per_second: None,
        bytes_per_second,
    };
    let mut bench = bench();
    let first = Arrived {
        quota: rate(Some(10)),
        ..data(1, Channel::Live, 1, 1)
    };
    assert_eq!(bench.arrived(0, first), ["rate Some(10)", "accept 1"]);
    assert_eq!(bench.0.limited().collect::<Vec<_>>(), [ORIGIN]);
    for (ms, bytes_per_second, expected) in [
        (1, Some(10), vec![]),
        (2, Some(900), vec!["rate Some(900)"]),
        (3, None, vec!["rate None"]),
        (4, None, vec![]),
    ] {
        let origin = ORIGIN;
        let quota = rate(bytes_per_second);
        let said = bench.on(ms, IngestInput::Quota { origin, quota });
        assert_eq!(said, expected, "at {ms} ms");
    }
    assert_eq!(bench.0.limited().count(), 0);
}

#[test]
fn refusals_for_good_are_audited_once_a_minute_with_their_number() {
    let mut bench = bench();
    let damaged = || IngestInput::Damaged {
        stream: StreamId::data(ORIGIN),
        range: range(1, 1),
        detail: "crc".into(),
    };
    assert_eq!(
        bench.on(0, damaged()),
        ["audit Damaged 1", "refuse 1 Damaged"]
    );
    for ms in 1..=40 {
        assert_eq!(bench.on(ms, damaged()), ["refuse 1 Damaged"]);
    }
    assert_eq!(
        bench.on(60_000, damaged()),
        ["audit Damaged 41", "refuse 1 Damaged"]
    );
    assert_eq!(
        bench.0.refused_counts().collect::<Vec<_>>(),
        [(RefusedReason::Damaged, 42)]
    );
}

#[test]
fn a_lane_on_the_wrong_channel_is_refused() {
    let wrong = Arrived {
        channel: Channel::Live,
        ..definitions(1, 1, 1)
    };
    let refused = ["drop 1", "audit Damaged 1", "refuse 1 Damaged"];
    assert_eq!(bench().arrived(0, wrong), refused);
    assert_eq!(
        bench().arrived(0, data(1, Channel::Definitions, 1, 1)),
        refused
    );
}

#[test]
fn what_came_over_another_link_is_told_to_those_who_hold_the_stream() {
    let mut bench = bench();
    let stream = StreamId::data(ORIGIN);
    let elsewhere = || IngestInput::StoredElsewhere {
        stream,
        range: range(1, 9),
    };
    assert_eq!(bench.on(0, elsewhere()), [""; 0]);
    assert_eq!(bench.on(1, IngestInput::Head(stream)), [""; 0]);
    assert_eq!(bench.on(2, elsewhere()), ["durable 1-9"]);
}
