//! What an uplink sends, when, and what it leaves alone.

use super::*;
use crate::uplink::Connected;

const OWN: OriginId = OriginId(1);
const DATA: StreamId = StreamId {
    origin: OWN,
    lane: Lane::Data,
};
const DEFS: StreamId = StreamId {
    origin: OWN,
    lane: Lane::Definitions,
};

fn at(ms: u64) -> Monotonic {
    Monotonic(1_000_000_000 + ms * 1_000_000)
}

fn range(first: u64, last: u64) -> SeqRange {
    SeqRange {
        first: Seq(first),
        last: Seq(last),
    }
}

fn ranges(list: &[(u64, u64)]) -> SeqRanges {
    list.to_vec().into()
}

fn found(first: u64, last: u64) -> Found {
    Found {
        range: range(first, last),
        bytes: 1_000,
        needs_def: Seq(0),
    }
}

/// An uplink with what it did, so that rows can be written as text.
struct Bench {
    core: UplinkCore,
    said: Vec<String>,
}

impl Bench {
    fn new(policy: UplinkPolicy) -> Self {
        Self {
            core: UplinkCore::new(policy),
            said: Vec::new(),
        }
    }

    fn on(&mut self, ms: u64, input: Input) -> &mut Self {
        for effect in self.core.on(input, at(ms)) {
            let text = match effect {
                Effect::Send {
                    channel,
                    stream,
                    range,
                } => {
                    format!(
                        "{channel:?} {} {}-{}",
                        stream.lane as u8, range.first, range.last
                    )
                }
                Effect::Fetch {
                    purpose,
                    stream,
                    range,
                    ..
                } => format!(
                    "fetch {purpose:?} {} {}-{}",
                    stream.lane as u8, range.first, range.last
                ),
                Effect::Advance { stream, range } => {
                    format!("done {} {}-{}", stream.lane as u8, range.first, range.last)
                }
                Effect::Heads(_) => continue,
                Effect::NewOrigin { above, .. } => format!("new origin above {above}"),
                Effect::Report(report) => format!("{report:?}").chars().take(12).collect(),
            };
            self.said.push(text);
        }
        self
    }

    fn connect(&mut self, ms: u64, local: &[(StreamId, SeqRanges)]) -> &mut Self {
        let connected = Connected {
            in_flight_bytes_max: 64 << 20,
            local: local.to_vec(),
            done: Vec::new(),
        };
        self.on(ms, Input::Connected(connected))
    }

    fn covered(&mut self, ms: u64, stream: StreamId, held: &[(u64, u64)]) -> &mut Self {
        let ranges = ranges(held);
        self.on(
            ms,
            Input::Coverage {
                stream,
                ranges,
                head: HeadCheck::Same,
            },
        )
    }

    fn commit(&mut self, ms: u64, stream: StreamId, found: Found) -> &mut Self {
        self.on(
            ms,
            Input::Committed {
                stream,
                found,
                delivered: Delivered::Live,
            },
        )
    }

    fn answer(&mut self, ms: u64, purpose: Purpose, asked: (u64, u64), blocks: &[(u64, u64)]) {
        let stream = if purpose == Purpose::Definitions {
            DEFS
        } else {
            DATA
        };
        let found = blocks
            .iter()
            .map(|(first, last)| found(*first, *last))
            .collect();
        let asked = range(asked.0, asked.1);
        self.on(
            ms,
            Input::Fetched {
                purpose,
                stream,
                asked,
                found,
            },
        );
    }

    fn durable(&mut self, ms: u64, stream: StreamId, first: u64, last: u64) -> &mut Self {
        self.on(
            ms,
            Input::Durable {
                stream,
                range: range(first, last),
            },
        )
    }

    #[track_caller]
    fn said(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.said), expected);
        self
    }
}

fn plain() -> Bench {
    Bench::new(UplinkPolicy::new(OWN))
}

#[test]
fn definitions_go_before_data_and_live_goes_beside_backfill() {
    let mut bench = plain();
    bench.connect(0, &[(DEFS, ranges(&[(1, 4)])), (DATA, ranges(&[(1, 100)]))]);
    bench
        .on(1, Input::CoverageEnd)
        .said(&["fetch Definitions 1 1-4"]);
    bench.answer(2, Purpose::Definitions, (1, 4), &[(1, 4)]);
    bench.said(&["Definitions 1 1-4", "fetch Backfill 0 1-100"]);
    bench
        .commit(3, DATA, found(101, 102))
        .said(&["Live 0 101-102"]);
    bench.answer(4, Purpose::Backfill, (1, 100), &[(1, 60)]);
    bench.said(&["Backfill 0 1-60", "fetch Backfill 0 61-100"]);
    bench.answer(5, Purpose::Backfill, (61, 100), &[(61, 100)]);
    bench.said(&["Backfill 0 61-100"]);
    bench.durable(6, DATA, 1, 60).durable(6, DATA, 101, 102);
    bench.durable(6, DATA, 61, 100).durable(6, DEFS, 1, 4);
    bench.said(&[
        "done 0 1-60",
        "done 0 101-102",
        "done 0 61-100",
        "done 1 1-4",
    ]);
    assert!(bench.core.is_caught_up());
}

#[test]
fn data_whose_definitions_are_not_under_way_is_not_sent() {
    let mut bench = plain();
    bench.connect(0, &[(DEFS, ranges(&[(1, 2)])), (DATA, ranges(&[(1, 2)]))]);
    bench
        .on(1, Input::CoverageEnd)
        .said(&["fetch Definitions 1 1-2"]);
    let needy = Found {
        needs_def: Seq(2),
        ..found(3, 3)
    };
    bench.commit(2, DATA, needy).said(&[]);
    bench.answer(3, Purpose::Definitions, (1, 2), &[(1, 2)]);
    bench.said(&["Definitions 1 1-2", "fetch Backfill 0 1-3"]);
    let refused = |reason| Input::Refused {
        stream: DEFS,
        range: range(1, 2),
        reason,
    };
    bench.on(4, refused(RefusedReason::Order)).said(&[]);
    bench.answer(5, Purpose::Backfill, (1, 3), &[(1, 3)]);
    bench.on(100, Input::Tick);
    // The blocks of this answer need nothing, so they go; the stream's rest waits for lane 1.
    bench.said(&["Backfill 0 1-3"]);
    bench
        .on(600, Input::Tick)
        .said(&["fetch Definitions 1 1-2"]);
}

#[test]
fn a_cut_resumes_from_what_the_neighbour_holds_and_not_from_the_beginning() {
    let mut bench = plain();
    bench.connect(0, &[(DATA, ranges(&[(1, 1_000)]))]);
    bench.covered(0, DATA, &[(1, 300)]).said(&[]);
    bench
        .on(1, Input::CoverageEnd)
        .said(&["done 0 1-300", "fetch Backfill 0 301-1000"]);
    bench.answer(2, Purpose::Backfill, (301, 1_000), &[(301, 400)]);
    bench.said(&["Backfill 0 301-400", "fetch Backfill 0 401-1000"]);
    bench.on(3, Input::Disconnected);
    bench.answer(3, Purpose::Backfill, (401, 1_000), &[(401, 500)]);
    bench.commit(4, DATA, found(1_001, 1_001)).said(&[]);
    bench.connect(9, &[(DATA, ranges(&[(1, 1_001)]))]);
    bench
        .covered(9, DATA, &[(1, 400)])
        .on(9, Input::CoverageEnd);
    bench.said(&["done 0 1-400", "fetch Backfill 0 401-1001"]);
}

#[test]
fn live_blocks_wait_two_seconds_for_room_and_then_the_newest_go_live() {
    let policy = UplinkPolicy {
        live_bytes_max: 2_000,
        ..UplinkPolicy::new(OWN)
    };
    let mut bench = Bench::new(policy);
    bench.connect(0, &[]).on(0, Input::CoverageEnd);
    for seq in 1..=5 {
        bench.commit(seq * 1_000 - 1_000, DATA, found(seq, seq));
    }
    bench.said(&["Live 0 1-1", "Live 0 2-2"]);
    bench.on(4_100, Input::Tick).said(&["LiveBehind"]);
    bench
        .durable(4_200, DATA, 1, 1)
        .said(&["done 0 1-1", "fetch Live 0 4-4"]);
    bench.answer(4_201, Purpose::Live, (4, 4), &[(4, 4)]);
    bench.said(&["Live 0 4-4"]);
    bench
        .durable(4_300, DATA, 2, 2)
        .said(&["done 0 2-2", "fetch Live 0 5-5"]);
    bench.answer(4_301, Purpose::Live, (5, 5), &[(5, 5)]);
    bench.said(&["Live 0 5-5", "fetch Backfill 0 3-3"]);
}

#[test]
fn the_queue_of_live_blocks_is_bounded_and_its_oldest_become_backfill() {
    let policy = UplinkPolicy {
        live_bytes_max: 1,
        ..UplinkPolicy::new(OWN)
    };
    let mut bench = Bench::new(policy);
    bench.connect(0, &[]).on(0, Input::CoverageEnd);
    for seq in 1..=LIVE_QUEUE_MAX as u64 + 3 {
        bench.commit(1, DATA, found(seq, seq));
    }
    assert_eq!(bench.core.queue.len(), LIVE_QUEUE_MAX);
    bench.said(&["Live 0 1-1", "LiveBehind"]);
    assert_eq!(bench.core.queue.front().unwrap().range, range(4, 4));
}

#[test]
fn what_retention_took_is_passed_over_and_said() {
    let mut bench = plain();
    bench
        .connect(0, &[(DATA, ranges(&[(1, 100)]))])
        .on(0, Input::CoverageEnd);
    bench.said(&["fetch Backfill 0 1-100"]);
    bench.answer(1, Purpose::Backfill, (1, 100), &[(41, 50)]);
    bench.said(&[
        "done 0 1-40",
        "Gone { strea",
        "Backfill 0 41-50",
        "fetch Backfill 0 51-100",
    ]);
    bench.answer(2, Purpose::Backfill, (51, 100), &[]);
    bench.said(&["done 0 51-100", "Gone { strea"]);
    bench.on(9_000, Input::Tick).said(&[]);
}

#[test]
fn a_disk_that_went_back_in_time_sends_nothing_and_takes_a_new_origin() {
    for (held, head) in [
        (&[(1, 11)], HeadCheck::Same),
        (&[(1, 9)], HeadCheck::Different),
    ] {
        let mut bench = plain();
        bench.connect(0, &[(DATA, ranges(&[(1, 10)]))]);
        let ranges = ranges(held);
        bench.on(
            0,
            Input::Coverage {
                stream: DATA,
                ranges: ranges.clone(),
                head,
            },
        );
        bench.said(&[&format!("new origin above {}", ranges.highest())]);
        bench
            .on(1, Input::CoverageEnd)
            .commit(2, DATA, found(11, 11))
            .said(&[]);
        bench
            .on(3, Input::Disconnected)
            .on(4, Input::Tick)
            .said(&[]);
    }
}

#[test]
fn what_is_refused_for_now_is_sent_again_later_and_for_good_never() {
    let mut bench = plain();
    bench
        .connect(0, &[(DATA, ranges(&[(1, 10)]))])
        .on(0, Input::CoverageEnd);
    bench.answer(1, Purpose::Backfill, (1, 10), &[(1, 10)]);
    bench.said.clear();
    let refused = |reason| Input::Refused {
        stream: DATA,
        range: range(1, 10),
        reason,
    };
    bench
        .on(2, refused(RefusedReason::Busy))
        .on(100, Input::Tick)
        .said(&[]);
    assert_eq!(bench.core.in_flight_bytes(Channel::Backfill), 0);
    bench.on(300, Input::Tick).said(&["fetch Backfill 0 1-10"]);
    bench.answer(301, Purpose::Backfill, (1, 10), &[(1, 10)]);
    bench
        .on(302, refused(RefusedReason::Busy))
        .on(600, Input::Tick);
    bench.said(&["Backfill 0 1-10"]);
    bench.on(900, Input::Tick).said(&["fetch Backfill 0 1-10"]);
    bench.answer(901, Purpose::Backfill, (1, 10), &[(1, 10)]);
    bench
        .on(902, refused(RefusedReason::Scope))
        .on(99_000, Input::Tick);
    bench.said(&["Backfill 0 1-10", "done 0 1-10", "Refused { st"]);
}

#[test]
fn a_throttled_origin_waits_and_others_do_not() {
    let other = StreamId::data(OriginId(2));
    let mut bench = plain();
    bench.connect(
        0,
        &[(DATA, ranges(&[(1, 10)])), (other, ranges(&[(1, 10)]))],
    );
    bench.on(
        0,
        Input::Throttle {
            origin: OWN,
            bytes_per_second: Some(0),
        },
    );
    bench
        .on(0, Input::CoverageEnd)
        .said(&["fetch Backfill 0 1-10"]);
    let found = vec![found(1, 10)];
    let asked = range(1, 10);
    bench.on(
        1,
        Input::Fetched {
            purpose: Purpose::Backfill,
            stream: other,
            asked,
            found,
        },
    );
    bench.said(&["Backfill 0 1-10"]);
    bench.on(
        500,
        Input::Throttle {
            origin: OWN,
            bytes_per_second: None,
        },
    );
    bench.said(&["fetch Backfill 0 1-10"]);
}

#[test]
fn under_a_share_live_blocks_go_at_once_whatever_backfill_took() {
    let mut bench = plain();
    bench.connect(0, &[(DATA, ranges(&[(1, 10)]))]);
    let origin = OWN;
    let bytes_per_second = Some(10);
    bench.on(
        0,
        Input::Throttle {
            origin,
            bytes_per_second,
        },
    );
    bench
        .on(0, Input::CoverageEnd)
        .said(&["fetch Backfill 0 1-10"]);
    let fetched = |first, last| Input::Fetched {
        purpose: Purpose::Backfill,
        stream: DATA,
        asked: range(1, 10),
        found: vec![found(first, last)],
    };
    // The block is paid for long afterwards.
    bench.on(1, fetched(1, 5)).said(&["Backfill 0 1-5"]);
    let committed = |first| Input::Committed {
        stream: DATA,
        found: found(first, first),
        delivered: Delivered::Live,
    };
    bench.on(2, committed(11)).said(&["Live 0 11-11"]);
    bench.on(3, Input::Tick).said(&[]);
    // Live blocks are above the share by themselves now.
    bench.on(4, committed(12)).said(&[]);
    let bytes_per_second = None;
    bench.on(
        5,
        Input::Throttle {
            origin,
            bytes_per_second,
        },
    );
    bench.said(&["fetch Backfill 0 6-10"]);
}

#[test]
fn a_rate_of_backfill_is_kept() {
    let rate = Some(1_000);
    let policy = UplinkPolicy {
        backfill_bytes_per_second: rate,
        ..UplinkPolicy::new(OWN)
    };
    let mut bench = Bench::new(policy);
    bench
        .connect(0, &[(DATA, ranges(&[(1, 60)]))])
        .on(0, Input::CoverageEnd);
    let mut sent = 0;
    for tick in 0..300 {
        let ms = tick * 100;
        if bench.said.iter().any(|said| said.starts_with("fetch")) {
            bench.said.clear();
            sent += 1;
            bench.answer(ms, Purpose::Backfill, (sent, 60), &[(sent, sent)]);
            bench.durable(ms, DATA, sent, sent);
        }
        bench.on(ms, Input::Tick);
    }
    assert!(
        (29..=33).contains(&sent),
        "{sent} blocks of 1,000 bytes in 30 s"
    );
}

#[test]
fn what_a_member_of_the_group_acknowledged_is_not_sent_to_another_until_asked() {
    let policy = UplinkPolicy {
        is_shared: true,
        ..UplinkPolicy::new(OWN)
    };
    let mut bench = Bench::new(policy);
    let local = vec![(DEFS, ranges(&[(1, 2)])), (DATA, ranges(&[(1, 10)]))];
    let done = vec![(DEFS, ranges(&[(1, 2)])), (DATA, ranges(&[(1, 8)]))];
    let connected = |done| Connected {
        in_flight_bytes_max: 1 << 20,
        local: local.clone(),
        done,
    };
    bench.on(0, Input::Connected(connected(done)));
    bench.on(0, Input::CoverageEnd);
    bench.answer(1, Purpose::Definitions, (1, 2), &[(1, 2)]);
    bench.said(&[
        "fetch Definitions 1 1-2",
        "Definitions 1 1-2",
        "fetch Backfill 0 9-10",
    ]);
    bench.on(2, Input::Connected(connected(Vec::new())));
    bench.on(2, Input::CoverageEnd);
    bench.answer(3, Purpose::Definitions, (1, 2), &[(1, 2)]);
    bench.said(&[
        "fetch Definitions 1 1-2",
        "Definitions 1 1-2",
        "fetch Backfill 0 1-10",
    ]);
}

#[test]
fn what_a_peer_copies_by_itself_is_ours_only_after_a_while() {
    let theirs = StreamId::data(OriginId(3));
    let mut bench = plain();
    bench.connect(0, &[]).on(0, Input::CoverageEnd);
    let commit = |seq| Input::Committed {
        stream: theirs,
        found: found(seq, seq),
        delivered: Delivered::SecondHand,
    };
    bench
        .on(0, commit(1))
        .on(0, commit(2))
        .durable(1_000, theirs, 1, 1);
    bench.said(&["done 0 1-1"]);
    bench.on(4_999, Input::Tick).said(&[]);
    bench.on(5_001, Input::Tick).said(&["fetch Backfill 0 2-2"]);
}

#[test]
fn nothing_is_sent_of_an_origin_that_was_given_up() {
    let old = StreamId::data(OriginId(9));
    let forsaken = BTreeSet::from([old.origin]);
    let policy = UplinkPolicy {
        forsaken,
        ..UplinkPolicy::new(OWN)
    };
    let mut bench = Bench::new(policy);
    bench
        .connect(0, &[(old, ranges(&[(1, 9)])), (DATA, ranges(&[(1, 2)]))])
        .on(0, Input::CoverageEnd);
    bench.said(&["done 0 1-9", "fetch Backfill 0 1-2"]);
}

#[test]
fn backfill_waits_for_what_a_lower_tier_is_about_to_fill_below_it() {
    let definitions = (DEFS, ranges(&[(1, 1)]));
    // An empty disk met its site before its own neighbour: 90-99 were taken live meanwhile.
    let mut bench = plain();
    bench.connect(0, &[definitions.clone(), (DATA, ranges(&[(90, 99)]))]);
    bench
        .covered(1, DEFS, &[(1, 1)])
        .covered(1, DATA, &[(1, 80)]);
    bench
        .on(2, Input::CoverageEnd)
        .said(&["done 0 1-80", "done 1 1-1"]);
    let refill = |bench: &mut Bench, ms, first, last| {
        let (stream, found) = (DATA, found(first, last));
        let delivered = Delivered::Backfill;
        let input = Input::Committed {
            stream,
            found,
            delivered,
        };
        bench.on(ms, input);
    };
    refill(&mut bench, 9_000, 1, 80);
    bench.said(&[]);
    refill(&mut bench, 18_000, 81, 85);
    bench.said(&["fetch Backfill 0 81-85"]);
    bench.answer(18_001, Purpose::Backfill, (81, 85), &[(81, 85)]);
    bench.said(&["Backfill 0 81-85"]);
    bench.on(27_000, Input::Tick).said(&[]);
    refill(&mut bench, 27_001, 86, 89);
    bench.said(&["fetch Backfill 0 86-99"]);

    // Nobody has what is missing: what is held goes on.
    let mut bench = plain();
    bench.connect(0, &[definitions, (DATA, ranges(&[(90, 99)]))]);
    bench
        .covered(1, DEFS, &[(1, 1)])
        .covered(1, DATA, &[(1, 80)]);
    bench
        .on(2, Input::CoverageEnd)
        .said(&["done 0 1-80", "done 1 1-1"]);
    bench.on(9_999, Input::Tick).said(&[]);
    bench
        .on(10_000, Input::Tick)
        .said(&["fetch Backfill 0 90-99"]);
}

impl Bench {
    /// What the neighbour has of the data as skips alone.
    fn skipped(&mut self, ms: u64, held: &[(u64, u64)]) -> &mut Self {
        let (stream, ranges) = (DATA, ranges(held));
        self.on(ms, Input::Skipped { stream, ranges })
    }

    fn fill(&mut self, ms: u64, found: Found) -> &mut Self {
        let (stream, delivered) = (DATA, Delivered::Fill);
        self.on(
            ms,
            Input::Committed {
                stream,
                found,
                delivered,
            },
        )
    }
}

#[test]
fn what_was_withheld_on_another_path_goes_as_backfill_beside_live_blocks() {
    let mut bench = Bench::new(UplinkPolicy::new(OWN));
    bench.connect(0, &[(DATA, ranges(&[(1, 30)]))]);
    bench.covered(1, DATA, &[(1, 30)]).skipped(2, &[(11, 20)]);
    bench.on(3, Input::CoverageEnd);
    // What is skips above is not done: retention keeps it until it is there.
    bench.said(&["done 0 1-10", "done 0 21-30", "fetch Backfill 0 11-20"]);
    bench.commit(4, DATA, found(31, 31));
    bench.said(&["Live 0 31-31"]);
    bench.answer(5, Purpose::Backfill, (11, 20), &[(11, 20)]);
    bench.said(&["Backfill 0 11-20"]);
    bench.durable(6, DATA, 11, 20).durable(6, DATA, 31, 31);
    bench.said(&["done 0 11-20", "done 0 31-31"]);
    assert!(bench.core.is_caught_up());
}

#[test]
fn an_uplink_that_withholds_leaves_alone_what_is_withheld_above() {
    let policy = UplinkPolicy {
        fills_skips: false,
        ..UplinkPolicy::new(OWN)
    };
    let mut bench = Bench::new(policy);
    bench.connect(0, &[(DATA, ranges(&[(1, 30)]))]);
    bench.covered(1, DATA, &[(1, 30)]).skipped(2, &[(11, 20)]);
    bench.on(3, Input::CoverageEnd);
    bench.said(&["done 0 1-30"]);
    assert!(bench.core.is_caught_up());
}

#[test]
fn a_thousand_holes_withheld_above_do_not_delay_live_blocks() {
    let mut bench = Bench::new(UplinkPolicy::new(OWN));
    bench.connect(0, &[(DATA, ranges(&[(1, 3_000)]))]);
    let holes: Vec<_> = (1..=1_000).map(|hole| (hole * 3, hole * 3)).collect();
    bench.covered(1, DATA, &[(1, 3_000)]).skipped(2, &holes);
    bench.on(3, Input::CoverageEnd).said.clear();
    bench.commit(4, DATA, found(3_001, 3_001));
    bench.said(&["Live 0 3001-3001"]);
}

#[test]
fn what_fills_skips_here_goes_above_again_even_where_it_is_on_its_way() {
    let mut bench = Bench::new(UplinkPolicy::new(OWN));
    bench.connect(0, &[(DATA, ranges(&[(1, 9)]))]);
    bench.covered(1, DATA, &[(1, 9)]).on(2, Input::CoverageEnd);
    bench.said.clear();
    bench.fill(3, found(1, 9));
    bench.said(&["fetch Backfill 0 1-9"]);
    bench.answer(4, Purpose::Backfill, (1, 9), &[(1, 9)]);
    bench.said.clear();
    // More of the same block comes while what was read before is on its way.
    bench.fill(5, found(1, 9));
    bench.said(&[]);
    bench.durable(6, DATA, 1, 9);
    bench.said(&["done 0 1-9", "fetch Backfill 0 1-9"]);
    bench.answer(7, Purpose::Backfill, (1, 9), &[(1, 9)]);
    bench.durable(8, DATA, 1, 9);
    assert!(bench.core.is_caught_up());
}

#[test]
fn what_another_member_acknowledged_goes_to_this_one_when_a_replay_asks_for_it() {
    let mut bench = Bench::new(UplinkPolicy {
        is_shared: true,
        ..UplinkPolicy::new(OWN)
    });
    let connected = Connected {
        in_flight_bytes_max: 64 << 20,
        local: vec![(DATA, ranges(&[(1, 30)]))],
        done: vec![(DATA, ranges(&[(1, 20)]))],
    };
    bench.on(0, Input::Connected(connected));
    assert_eq!(bench.core.owed(), None, "it is not known yet");
    bench.on(1, Input::Replay).covered(1, DATA, &[(1, 5)]);
    bench
        .on(2, Input::CoverageEnd)
        .said(&["done 0 1-5", "fetch Backfill 0 21-30"]);
    let owed = bench.core.owed().unwrap();
    assert_eq!(
        owed.into_iter().collect::<Vec<_>>(),
        [(DATA, ranges(&[(6, 30)]))]
    );
    assert_eq!(bench.core.replay_left(), 0, "none was asked for since");
    bench.on(3, Input::Replay);
    assert_eq!(bench.core.replay_left(), 25);
    bench.answer(4, Purpose::Backfill, (21, 30), &[(21, 30)]);
    bench.said(&["Backfill 0 21-30", "fetch Backfill 0 6-20"]);
    // Retention took the older half of it.
    bench.answer(5, Purpose::Backfill, (6, 20), &[(11, 20)]);
    bench.said(&["done 0 6-10", "Gone { strea", "Backfill 0 11-20"]);
    assert_eq!(bench.core.replay_left(), 20);
    bench.durable(6, DATA, 11, 30).said(&["done 0 11-30"]);
    assert_eq!(bench.core.replay_left(), 0);
}
