//! Proof of `core`: any order of arrival, repeats and crashes end at the same windows.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_bus::record::OriginId;
use proptest::prelude::*;

use super::*;

const INTERVAL: i64 = 10_000;
const WINDOW: i64 = 60_000;
const SLOTS: usize = 24;
/// Phase of each pair's slots.
const PHASES: [i64; 2] = [0, 7_300];

fn policy() -> DerivePolicy {
    DerivePolicy {
        window_ms: Some(60_000),
        windows_max: 1_000,
    }
}

fn slot(pair: u32, number: usize) -> i64 {
    PHASES[pair as usize] + i64::try_from(number).unwrap() * INTERVAL
}

fn batch(pair: u32, number: usize) -> SourceBatch {
    let seq = u64::from(pair) * 1_000 + number as u64 + 1;
    SourceBatch {
        pair: PairNumber(pair),
        slot: SlotMs(slot(pair, number)),
        interval_ms: 10_000,
        place: Place {
            stream: StreamId::data(OriginId(1)),
            seq: Seq(seq),
        },
    }
}

fn gap(pair: u32, (first, last): (usize, usize), kind: GapKind) -> SourceGap {
    SourceGap {
        pair: PairNumber(pair),
        first: SlotMs(slot(pair, first)),
        last: SlotMs(slot(pair, last)),
        interval_ms: 10_000,
        kind,
    }
}

/// What happens to a slot in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Batch,
    Gap(GapKind),
    Healed(GapKind),
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Batch(SourceBatch),
    Gap(SourceGap),
}

#[derive(Debug, Clone, Copy)]
enum Logged {
    Told(Told),
    Done(WindowKey, u64),
}

fn tell(core: &mut DeriveCore, told: Told, now: i64) {
    match told {
        Told::Batch(batch) => core.batch(batch, now),
        Told::Gap(gap) => core.gap(gap, now),
    }
}

fn told_of(fates: &[[Fate; SLOTS]; 2]) -> Vec<Told> {
    let mut all = Vec::new();
    for (pair, fates) in (0u32..).zip(fates) {
        for (number, fate) in fates.iter().enumerate() {
            if let Fate::Gap(kind) | Fate::Healed(kind) = fate {
                all.push(Told::Gap(gap(pair, (number, number), *kind)));
            }
            if matches!(fate, Fate::Batch | Fate::Healed(_)) {
                all.push(Told::Batch(batch(pair, number)));
            }
        }
    }
    all
}

/// By pair and start: rev, seqs of the batches, and why it is partial.
type Windows = BTreeMap<(u32, i64), (u64, Vec<u64>, Option<GapKind>)>;

/// Each window that has a batch, from the fates alone.
fn recomputed(fates: &[[Fate; SLOTS]; 2]) -> Windows {
    let mut windows = Windows::new();
    for (pair, fates) in (0u32..).zip(fates) {
        for (number, fate) in fates.iter().enumerate() {
            let start = slot(pair, number).div_euclid(WINDOW) * WINDOW;
            let window = windows.entry((pair, start)).or_default();
            match fate {
                Fate::Batch | Fate::Healed(_) => {
                    window.0 += 2;
                    window.1.push(batch(pair, number).place.seq.0);
                }
                Fate::Gap(kind) => {
                    window.0 += 1;
                    window.2 = Some(window.2.map_or(*kind, |known| known.min(*kind)));
                }
                Fate::Lost => {}
            }
        }
    }
    windows.retain(|_, (_, places, _)| !places.is_empty());
    windows
}

fn fate() -> impl Strategy<Value = Fate> {
    let kind = prop_oneof![Just(GapKind::Timeout), Just(GapKind::Restart)];
    prop_oneof![
        6 => Just(Fate::Batch),
        1 => kind.clone().prop_map(Fate::Gap),
        1 => kind.prop_map(Fate::Healed),
        1 => Just(Fate::Lost),
    ]
}

fn fates() -> impl Strategy<Value = [[Fate; SLOTS]; 2]> {
    [
        prop::array::uniform24(fate()),
        prop::array::uniform24(fate()),
    ]
}

/// A step of the schedule: which of what was not told, whether again, what time passes, whether
/// what is due succeeds, whether all is forgotten and read again.
type Step = (prop::sample::Index, bool, i64, bool, bool);

fn step() -> impl Strategy<Value = Step> {
    let crash = prop::bool::weighted(0.05);
    (
        any::<prop::sample::Index>(),
        prop::bool::weighted(0.2),
        0i64..30_000,
        any::<bool>(),
        crash,
    )
}

struct Run {
    core: DeriveCore,
    log: Vec<Logged>,
    made: BTreeMap<WindowKey, Vec<Due>>,
    now: i64,
}

impl Run {
    fn pump(&mut self, succeeds: bool) {
        for due in self.core.due(self.now, 2) {
            let key = due.key;
            if succeeds {
                self.log.push(Logged::Done(key, due.rev));
                self.core.done(key, due.rev, self.now);
                self.made.entry(key).or_default().push(due);
            } else {
                self.core.failed(key, self.now);
            }
        }
    }

    fn crash(&mut self) {
        self.core = DeriveCore::new(policy());
        for logged in &self.log {
            match logged {
                Logged::Told(told) => tell(&mut self.core, *told, self.now),
                Logged::Done(key, rev) => self.core.done(*key, *rev, self.now),
            }
        }
    }
}

fn play(fates: &[[Fate; SLOTS]; 2], steps: &[Step]) -> Run {
    let mut left = told_of(fates);
    let mut run = Run {
        core: DeriveCore::new(policy()),
        log: Vec::new(),
        made: BTreeMap::new(),
        now: 0,
    };
    let mut steps = steps.iter().cycle();
    while !left.is_empty() {
        let (index, again, passed, succeeds, crashes) = steps.next().unwrap();
        let index = index.index(left.len());
        let told = if *again {
            left[index]
        } else {
            left.swap_remove(index)
        };
        run.now += passed;
        tell(&mut run.core, told, run.now);
        run.log.push(Logged::Told(told));
        if *crashes {
            run.crash();
        }
        run.pump(*succeeds);
    }
    // Time enough for all that is open to be closed, and to be forgotten.
    for _ in 0..200 {
        run.now += 10_000;
        run.pump(true);
    }
    run
}

proptest! {
    #[test]
    fn the_highest_rev_of_each_window_is_the_recomputation_whatever_the_order(
        fates in fates(),
        steps in prop::collection::vec(step(), 20..80),
    ) {
        let run = play(&fates, &steps);
        let expected = recomputed(&fates);
        let starts: BTreeSet<_> = run.made.keys().map(|key| (key.pair.0, key.start.0)).collect();
        prop_assert_eq!(&starts, &expected.keys().copied().collect::<BTreeSet<_>>());
        for (key, made) in &run.made {
            prop_assert_eq!(key.start.0 % WINDOW, 0, "windows tile");
            let last = made.iter().max_by_key(|due| due.rev).unwrap();
            let (rev, places, missing) = &expected[&(key.pair.0, key.start.0)];
            let of_last: Vec<u64> = last.places.iter().map(|place| place.seq.0).collect();
            prop_assert_eq!((&last.rev, &of_last, &last.missing), (rev, places, missing));
            prop_assert_eq!(last.slots, 6);
        }
    }

    #[test]
    fn without_repeats_each_rev_is_made_once_and_revs_ascend(
        fates in fates(),
        steps in prop::collection::vec(step(), 20..80),
    ) {
        let once: Vec<Step> = steps.iter().map(|it| (it.0, false, it.2, it.3, it.4)).collect();
        let run = play(&fates, &once);
        for made in run.made.values() {
            let revs: Vec<u64> = made.iter().map(|due| due.rev).collect();
            prop_assert!(revs.windows(2).all(|pair| pair[0] < pair[1]), "{revs:?}");
        }
    }
}

fn core() -> DeriveCore {
    DeriveCore::new(policy())
}

/// Revs that are due at a time; all of them become durable.
fn made_at(core: &mut DeriveCore, now: i64) -> Vec<(i64, u64)> {
    let due = core.due(now, 100);
    for due in &due {
        core.done(due.key, due.rev, now);
    }
    due.iter().map(|due| (due.key.start.0, due.rev)).collect()
}

#[test]
fn a_window_closes_when_its_slots_are_tiled_and_is_forgotten_if_it_is_whole() {
    let mut core = core();
    (0..5).for_each(|number| core.batch(batch(0, number), slot(0, number)));
    assert_eq!(made_at(&mut core, 59_000), []);
    core.batch(batch(0, 5), 59_500);
    assert_eq!(made_at(&mut core, 59_500), [(0, 12)]);
    assert!(core.is_empty() && core.earliest().is_none() && core.next_at().is_none());
}

#[test]
fn a_window_that_lacks_slots_closes_two_windows_after_its_end_and_opens_for_late_ones() {
    let mut core = core();
    (0..4).for_each(|number| core.batch(batch(0, number), slot(0, number)));
    assert_eq!(made_at(&mut core, 179_999), []);
    assert_eq!(made_at(&mut core, 180_000), [(0, 8)]);
    core.batch(batch(0, 4), 400_000);
    assert_eq!(
        made_at(&mut core, 400_000 + LATE_QUIET_MS - 1),
        [],
        "backfill comes in runs"
    );
    assert_eq!(made_at(&mut core, 400_000 + LATE_QUIET_MS), [(0, 10)]);
    core.batch(batch(0, 5), 500_000);
    assert_eq!(made_at(&mut core, 500_000), [(0, 12)], "tiled: at once");
    assert!(core.is_empty());
}

#[test]
fn gaps_tile_a_window_and_a_batch_that_heals_one_makes_a_higher_rev() {
    let mut core = core();
    core.gap(gap(0, (3, 9), GapKind::Timeout), 0);
    (0..3).for_each(|number| core.batch(batch(0, number), slot(0, number)));
    let due = core.due(20_000, 10);
    assert_eq!(
        (due[0].rev, due[0].missing, due[0].slots),
        (9, Some(GapKind::Timeout), 6)
    );
    core.done(due[0].key, 9, 20_000);
    assert_eq!(core.len(), 1, "it may be healed yet");
    core.batch(batch(0, 4), 90_000);
    assert_eq!(made_at(&mut core, 90_000), [(0, 10)]);
}

#[test]
fn what_lacks_slots_for_good_is_forgotten_after_an_hour_of_quiet() {
    let mut core = core();
    core.batch(batch(0, 0), 0);
    assert_eq!(made_at(&mut core, 180_000), [(0, 2)]);
    assert_eq!(made_at(&mut core, 179_999 + LATE_MS), []);
    assert_eq!((core.len(), core.earliest()), (1, Some(SlotMs(0))));
    assert_eq!(made_at(&mut core, 180_000 + LATE_MS), []);
    assert!(core.is_empty());
}

#[test]
fn slots_that_make_no_whole_windows_pass_one_by_one_and_so_do_all_without_a_window() {
    let check = |window_ms, interval_ms: u32| {
        let windows_max = 10;
        let mut core = DeriveCore::new(DerivePolicy {
            window_ms,
            windows_max,
        });
        let batch = SourceBatch {
            interval_ms,
            ..batch(0, 2)
        };
        core.batch(batch, 0);
        let due = core.due(0, 10);
        assert_eq!(due.len(), 1, "{window_ms:?} of {interval_ms}");
        assert_eq!((due[0].is_window, due[0].key.start), (false, batch.slot));
        core.done(due[0].key, due[0].rev, 0);
        assert!(core.is_empty());
    };
    for (window_ms, interval_ms) in [
        (None, 10_000),
        (Some(60_000), 60_000),
        (Some(60_000), 25_000),
    ] {
        check(window_ms, interval_ms);
    }
}

#[test]
fn at_the_limit_windows_are_closed_early_and_no_more_is_read() {
    let mut core = DeriveCore::new(DerivePolicy {
        windows_max: 3,
        ..policy()
    });
    for number in [0, 6, 12] {
        assert!(!core.is_full());
        core.batch(batch(0, number), 0);
    }
    assert!(core.is_full());
    let due = core.due(0, 10);
    assert_eq!(
        due.first().map(|due| (due.key.start.0, due.rev)),
        Some((0, 2))
    );
    due.iter().for_each(|due| core.done(due.key, due.rev, 0));
    assert_eq!(core.due(0, 10), [], "all are done");
    assert!(
        !core.is_full(),
        "and those that wait for late slots made room"
    );
}

#[test]
fn a_window_that_could_not_be_made_is_tried_again_later() {
    let mut core = core();
    (0..6).for_each(|number| core.batch(batch(1, number), 0));
    let due = core.due(180_000, 10);
    assert_eq!(due.len(), 1);
    assert_eq!(core.due(180_000, 10), [], "it is being made");
    core.failed(due[0].key, 180_000);
    assert_eq!(core.due(180_999, 10), []);
    assert_eq!(core.due(181_000, 10), due);
}

#[test]
fn of_two_batches_for_one_slot_the_lower_place_stands_whichever_came_first() {
    let one = batch(0, 0);
    let mut two = one;
    two.place.stream = StreamId::data(OriginId(2));
    for order in [[one, two], [two, one]] {
        let mut core = core();
        order.into_iter().for_each(|batch| core.batch(batch, 0));
        let due = core.due(180_000, 1);
        assert_eq!((due[0].rev, due[0].places.clone()), (2, vec![one.place]));
    }
}
