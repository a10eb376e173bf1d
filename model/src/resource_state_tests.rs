//! Tests of slot accounting: rows of single decisions, and tiling over random histories.

use proptest::prelude::*;

use super::*;
use crate::slot::{Epoch, SlotGrid};

const INTERVAL_MS: u32 = 10_000;

fn plan(interval_ms: u32, index: u64) -> PairPlan {
    PairPlan {
        plugin: "interfaces".into(),
        grid: SlotGrid::new("dc1/network/switch/generic/sw1", "interfaces", interval_ms).unwrap(),
        epoch: Epoch {
            generation: 1,
            index,
        },
        deadline_permille: DEADLINE_PERMILLE,
    }
}

fn first_slot() -> SlotMs {
    plan(INTERVAL_MS, 1).grid.next_after(SlotMs(1_000_000))
}

fn at(slots: i64, offset_ms: i64) -> SlotMs {
    SlotMs(first_slot().0 + slots * i64::from(INTERVAL_MS) + offset_ms)
}

fn planned(begin: Begin) -> ResourceEvent {
    ResourceEvent::Plan {
        plan: plan(INTERVAL_MS, 1),
        from: SlotMs(0),
        begin,
    }
}

fn ended(slot: SlotMs, end: RunEnd) -> ResourceEvent {
    ResourceEvent::RunEnded {
        plugin: "interfaces".into(),
        slot,
        end,
    }
}

/// Effects in short: `start 0`, `batch 0`, `gap 1..3 overload/late`; slots count from the first.
fn short(effects: &Effects) -> Vec<String> {
    let number = |slot: SlotMs| (slot.0 - first_slot().0).div_euclid(i64::from(INTERVAL_MS));
    let one = |effect: &Effect| match effect {
        Effect::Start { slot, .. } => format!("start {}", number(*slot)),
        Effect::Cancel { slot, .. } => format!("cancel {}", number(*slot)),
        Effect::Batch { slot, .. } => format!("batch {}", number(*slot)),
        Effect::Gap { gap, .. } => {
            format!(
                "gap {}..{} {}",
                number(gap.first),
                number(gap.last),
                gap.cause
            )
        }
        Effect::Discard { slot, .. } => format!("discard {}", number(*slot)),
        Effect::Ended { .. } => "ended".to_owned(),
        Effect::Idle => "idle".to_owned(),
    };
    effects.list.iter().map(one).collect()
}

fn check(name: &str, steps: &[(SlotMs, ResourceEvent, &[&str])]) {
    let mut state = ResourceState::default();
    for (number, (now, event, expected)) in steps.iter().enumerate() {
        let effects = state.step(event.clone(), *now);
        assert_eq!(short(&effects), *expected, "{name}, step {number}");
        assert_eq!(state.check(), Ok(()), "{name}, step {number}");
    }
}

#[test]
fn a_slot_ends_as_one_batch_or_one_gap() {
    let tick = || ResourceEvent::Tick;
    let fresh = || (at(-1, 1), planned(Begin::Fresh), &[][..]);
    check(
        "rows",
        &[
            fresh(),
            (at(0, 0), tick(), &["start 0"]),
            (at(0, 50), ended(at(0, 0), RunEnd::Rows), &["batch 0"]),
            (at(0, 60), ended(at(0, 0), RunEnd::Rows), &["discard 0"]),
            (at(1, 3), tick(), &["start 1"]),
        ],
    );
    check(
        "failure",
        &[
            fresh(),
            (at(0, 0), tick(), &["start 0"]),
            (
                at(0, 9),
                ended(at(0, 0), RunEnd::Failed(GapKind::Timeout.into())),
                &["gap 0..0 timeout"],
            ),
        ],
    );
    check(
        "overrun",
        &[
            fresh(),
            (at(0, 0), tick(), &["start 0"]),
            (at(0, 9_499), tick(), &[]),
            (at(0, 9_500), tick(), &["cancel 0", "gap 0..0 overrun"]),
            (at(0, 9_600), ended(at(0, 0), RunEnd::Rows), &["discard 0"]),
            (at(1, 0), tick(), &["start 1"]),
        ],
    );
    check(
        "the actor stood still",
        &[
            fresh(),
            (at(0, 0), tick(), &["start 0"]),
            (
                at(4, 20),
                tick(),
                &[
                    "cancel 0",
                    "gap 0..0 overrun",
                    "gap 1..3 overload/late",
                    "start 4",
                ],
            ),
            (
                at(5, 5_001),
                tick(),
                &["cancel 4", "gap 4..4 overrun", "gap 5..5 overload/late"],
            ),
        ],
    );
}

#[test]
fn slots_between_two_lives_are_a_gap_and_a_young_slot_still_runs() {
    let after = |last| {
        planned(Begin::After {
            last,
            cause: GapKind::Restart.into(),
            before: None,
        })
    };
    check(
        "long stop",
        &[(at(5, 2_000), after(at(1, 0)), &["gap 2..5 restart"])],
    );
    check(
        "young slot",
        &[(
            at(5, 900),
            after(at(1, 0)),
            &["gap 2..4 restart", "start 5"],
        )],
    );
    check(
        "quick restart",
        &[
            (at(5, 900), after(at(5, 0)), &[]),
            (at(6, 0), ResourceEvent::Tick, &["start 6"]),
        ],
    );
    check(
        "clock behind the disk",
        &[
            (at(5, 0), after(at(9, 0)), &[]),
            (at(9, 5), ResourceEvent::Tick, &[]),
        ],
    );
}

#[test]
fn a_held_slot_runs_late_inside_its_interval_or_is_lost_to_no_owner() {
    use ResourceEvent::{Hold, Release, Tick};
    check(
        "in time",
        &[
            (at(-1, 1), planned(Begin::Fresh), &[]),
            (at(-1, 2), Hold, &[]),
            (at(0, 0), Tick, &[]),
            (at(0, 4_000), Release, &["start 0"]),
        ],
    );
    check(
        "too late",
        &[
            (at(-1, 1), planned(Begin::Fresh), &[]),
            (at(-1, 2), Hold, &[]),
            (at(2, 0), Tick, &["gap 0..1 no_owner"]),
            (at(2, 6_000), Release, &["gap 2..2 no_owner"]),
            (at(3, 0), Tick, &["start 3"]),
        ],
    );
}

#[test]
fn a_drain_lets_runs_end_and_a_stop_cuts_them() {
    use ResourceEvent::{Drain, Stop, Tick};
    check(
        "drain",
        &[
            (at(-1, 1), planned(Begin::Fresh), &[]),
            (at(0, 0), Tick, &["start 0"]),
            (at(0, 5), Drain, &[]),
            (
                at(0, 9),
                ended(at(0, 0), RunEnd::Rows),
                &["batch 0", "idle"],
            ),
        ],
    );
    check(
        "stop",
        &[
            (at(-1, 1), planned(Begin::Fresh), &[]),
            (at(0, 0), Tick, &["start 0"]),
            (at(0, 5), Drain, &[]),
            (at(0, 9), Stop, &["cancel 0", "gap 0..0 restart", "idle"]),
        ],
    );
}

#[test]
fn parked_removed_and_handed_over_pairs_end_their_slots() {
    use ResourceEvent::{HandOver, Park, Remove, Tick, Unpark};
    let plugin: Arc<str> = "interfaces".into();
    let park = Park {
        plugin: Arc::clone(&plugin),
        cause: GapKind::Parked.into(),
    };
    check(
        "parked",
        &[
            (at(-1, 1), planned(Begin::Fresh), &[]),
            (at(-1, 2), park, &[]),
            (at(0, 0), Tick, &["gap 0..0 parked"]),
            (at(3, 0), Tick, &["gap 1..3 parked"]),
            (
                at(3, 5),
                Unpark {
                    plugin: Arc::clone(&plugin),
                },
                &[],
            ),
            (at(4, 0), Tick, &["start 4"]),
        ],
    );
    check(
        "removed",
        &[
            (at(-1, 1), planned(Begin::Fresh), &[]),
            (at(0, 0), Tick, &["start 0"]),
            (at(0, 5), Remove { plugin }, &[]),
            (
                at(0, 9),
                ended(at(0, 0), RunEnd::Rows),
                &["batch 0", "ended", "idle"],
            ),
        ],
    );
    check(
        "handed over",
        &[
            (at(-1, 1), planned(Begin::Fresh), &[]),
            (
                at(0, 5),
                HandOver {
                    first_foreign: at(1, 0),
                },
                &["start 0"],
            ),
            (
                at(0, 9),
                ended(at(0, 0), RunEnd::Rows),
                &["batch 0", "ended", "idle"],
            ),
        ],
    );
}

#[test]
fn a_changed_interval_cuts_the_running_slot_short() {
    let mut state = ResourceState::default();
    assert!(state.step(planned(Begin::Fresh), at(-1, 1)).list.is_empty());
    assert_eq!(
        short(&state.step(ResourceEvent::Tick, at(0, 0))),
        ["start 0"]
    );
    let faster = plan(2_000, 2);
    let from = at(0, 5_000);
    let change = ResourceEvent::Plan {
        plan: faster.clone(),
        from,
        begin: Begin::Fresh,
    };
    assert_eq!(short(&state.step(change, at(0, 10))), Vec::<String>::new());
    let first_new = faster.grid.next_after(SlotMs(from.0 - 1));
    let effects = state.step(ResourceEvent::Tick, first_new);
    assert_eq!(short(&effects)[..2], ["cancel 0", "gap 0..0 overrun"]);
    let started = effects.list.iter().find_map(|effect| match effect {
        Effect::Start {
            slot, interval_ms, ..
        } => Some((*slot, *interval_ms)),
        _ => None,
    });
    assert_eq!(started, Some((first_new, 2_000)));
}

// === Tiling over random histories ===

/// What readers of the bus would find of the one pair, and what must hold of it.
#[derive(Default)]
struct Ledger {
    /// (slot, interval, is a batch), ascending.
    slots: Vec<(SlotMs, u32)>,
    running: Option<SlotMs>,
    last: Option<SlotMs>,
}

impl Ledger {
    fn take(&mut self, effects: &Effects) {
        for effect in &effects.list {
            match effect {
                Effect::Start {
                    slot,
                    deadline,
                    cut,
                    ..
                } => {
                    assert_eq!(self.running.replace(*slot), None, "two runs of one pair");
                    assert!(slot < deadline && deadline <= cut);
                }
                Effect::Cancel { slot, .. } => {
                    assert_eq!(
                        self.running.take(),
                        Some(*slot),
                        "cancelled what does not run"
                    );
                }
                Effect::Batch {
                    slot, interval_ms, ..
                } => self.account(*slot, *interval_ms),
                Effect::Gap { gap, .. } => {
                    let mut slot = gap.first;
                    while slot <= gap.last {
                        self.account(slot, gap.interval_ms);
                        slot = SlotMs(slot.0 + i64::from(gap.interval_ms));
                    }
                }
                Effect::Discard { .. } | Effect::Ended { .. } | Effect::Idle => {}
            }
        }
    }

    fn account(&mut self, slot: SlotMs, interval_ms: u32) {
        assert!(
            self.last.is_none_or(|last| last < slot),
            "{slot:?} ends twice or out of order"
        );
        self.last = Some(slot);
        self.slots.push((slot, interval_ms));
    }
}

#[derive(Debug, Clone)]
enum Happening {
    Pass(u32),
    EndRun { fails: bool },
    Hold,
    Release,
    Park,
    Unpark,
    Panic,
    Restart(u32),
    Interval(u32, u32),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (0u32..12_000).prop_map(Happening::Pass),
        1 => (0u32..2_000_000).prop_map(Happening::Pass),
        8 => any::<bool>().prop_map(|fails| Happening::EndRun { fails }),
        1 => Just(Happening::Hold),
        2 => Just(Happening::Release),
        1 => Just(Happening::Park),
        2 => Just(Happening::Unpark),
        1 => Just(Happening::Panic),
        1 => (0u32..60_000).prop_map(Happening::Restart),
        1 => (1_000u32..30_000, 0u32..40_000)
            .prop_map(|(interval, ahead)| Happening::Interval(interval, ahead)),
    ]
}

/// One pair with all that happens to it.
struct History {
    state: ResourceState,
    ledger: Ledger,
    now: SlotMs,
    plan: PairPlan,
    /// Changes in force: from when which interval holds.
    grids: Vec<(SlotMs, SlotGrid)>,
}

impl History {
    fn new() -> Self {
        let plan = plan(INTERVAL_MS, 1);
        let grids = vec![(first_slot(), plan.grid)];
        let state = ResourceState::default();
        let mut history = Self {
            state,
            ledger: Ledger::default(),
            now: at(-1, 1),
            plan,
            grids,
        };
        history.step(planned(Begin::Fresh));
        history
    }

    fn step(&mut self, event: ResourceEvent) {
        let effects = self.state.step(event, self.now);
        self.ledger.take(&effects);
        if let Some(wake_at) = effects.wake_at {
            assert!(wake_at > self.now, "a wake-up that lies in the past spins");
        }
        assert_eq!(self.state.check(), Ok(()));
    }

    fn anew(&mut self, kind: GapKind) {
        self.state = ResourceState::default();
        self.ledger.running = None;
        let (last, before) = match self.ledger.slots.last() {
            Some((last, interval_ms)) => (*last, plan(*interval_ms, 0)),
            None => (SlotMs(first_slot().0 - 1), plan(INTERVAL_MS, 0)),
        };
        let before = (before.grid != self.plan.grid).then_some(before);
        let from = self.grids.last().unwrap().0;
        let begin = Begin::After {
            last,
            cause: kind.into(),
            before,
        };
        let plan = self.plan.clone();
        self.step(ResourceEvent::Plan { plan, from, begin });
    }

    fn happen(&mut self, happening: Happening) {
        let plugin: Arc<str> = "interfaces".into();
        match happening {
            Happening::Pass(ms) => {
                self.now.0 += i64::from(ms);
                self.step(ResourceEvent::Tick);
            }
            Happening::EndRun { fails } => {
                let Some(slot) = self.ledger.running.take() else {
                    return;
                };
                let failed = RunEnd::Failed(GapKind::Timeout.into());
                self.step(ended(slot, if fails { failed } else { RunEnd::Rows }));
            }
            Happening::Hold => self.step(ResourceEvent::Hold),
            Happening::Release => self.step(ResourceEvent::Release),
            Happening::Park => {
                self.step(ResourceEvent::Park {
                    plugin,
                    cause: GapKind::Parked.into(),
                });
            }
            Happening::Unpark => self.step(ResourceEvent::Unpark { plugin }),
            Happening::Panic => self.anew(GapKind::PluginError),
            Happening::Restart(ms) => {
                self.step(ResourceEvent::Drain);
                self.step(ResourceEvent::Stop);
                self.now.0 += i64::from(ms);
                self.anew(GapKind::Restart);
            }
            Happening::Interval(interval_ms, ahead) => self.change_interval(interval_ms, ahead),
        }
    }

    /// Lets slots of the former plan end first, as a reload does: a life that begins anew knows
    /// the plan in force and, by the last record, the one before it, not three.
    fn change_interval(&mut self, interval_ms: u32, ahead: u32) {
        let begun = self.grids.last().map_or(self.now, |(from, _)| *from);
        self.now = self.now.max(begun);
        self.now.0 += 2 * i64::from(self.plan.grid.interval_ms());
        self.step(ResourceEvent::Tick);
        let from = SlotMs((self.now.0 + 1).max(self.now.0 + i64::from(ahead)));
        self.plan = plan(interval_ms, self.plan.epoch.index + 1);
        let plan = self.plan.clone();
        let grid = plan.grid;
        self.step(ResourceEvent::Plan {
            plan,
            from,
            begin: Begin::Fresh,
        });
        self.grids.push((from, grid));
        // A new life begins with the new plan at once: wait for it, or the model would not know.
        self.now = from;
        self.step(ResourceEvent::Tick);
    }

    /// All slots that the grids have up to `last`.
    fn expected(&self, last: SlotMs) -> Vec<(SlotMs, u32)> {
        let mut expected = Vec::new();
        for (number, (from, grid)) in self.grids.iter().enumerate() {
            let end = self
                .grids
                .get(number + 1)
                .map_or(SlotMs(i64::MAX), |(from, _)| *from);
            let mut slot = grid.next_after(SlotMs(from.0 - 1));
            while slot < end && slot <= last {
                expected.push((slot, grid.interval_ms()));
                slot = grid.next_after(slot);
            }
        }
        expected
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn slots_tile_over_any_history(happenings in prop::collection::vec(happening(), 0..80)) {
        let mut history = History::new();
        for happening in happenings {
            history.happen(happening);
        }
        // Heal: what is held or parked goes on, what runs ends.
        history.happen(Happening::Release);
        history.happen(Happening::Unpark);
        history.happen(Happening::Pass(100_000));
        history.happen(Happening::EndRun { fails: false });
        let last = history.ledger.last.unwrap();
        prop_assert!(history.now.0 - last.0 <= 60_000, "accounting stopped at {last:?}");
        prop_assert_eq!(&history.ledger.slots, &history.expected(last));
    }
}
