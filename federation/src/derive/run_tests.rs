//! Derived streams on real buses in temporary directories.

use std::path::Path;

use ocelli_bus::BusOptions;
use ocelli_model::clock::Rng;
use ocelli_model::gap::Gap;
use ocelli_model::slot::Epoch;
use ocelli_model::tier::Tier;
use ocelli_model::window::WindowFacts;
use tempfile::tempdir;
use tokio::task::JoinHandle;

use super::*;
use crate::derive::LATE_QUIET_MS;
use crate::derive::testing::{INTERVAL_MS, append, batch, batches, batches_to, blocks};
use crate::link::testing::HandClock;

const WINDOW_MS: u32 = 60_000;

struct OneRng;

impl Rng for OneRng {
    fn next_u64(&mut self) -> u64 {
        0x5DEE_CE66_D015_3A7B
    }
}

fn node() -> OriginDescription {
    OriginDescription {
        mesh: "mesh".into(),
        tier: Tier::Site,
        site: "dc1".into(),
        node: "a".into(),
    }
}

fn policy(groups: &[&str], window_ms: Option<u32>) -> DerivedPolicy {
    DerivedPolicy {
        upstream: "emea".into(),
        groups: groups.iter().map(|name| (*name).to_owned()).collect(),
        window_ms,
        filter: None,
    }
}

/// A bus and the derivation on it.
struct Bed {
    bus: Arc<Bus>,
    clock: Arc<HandClock>,
    origin: OriginId,
    stop: watch::Sender<bool>,
    task: JoinHandle<DeriveEnd>,
}

impl Bed {
    fn open(directory: &Path, policy: DerivedPolicy, at: Duration) -> Self {
        let clock = HandClock::new();
        clock.advance(at);
        let options = BusOptions {
            spare_space_bytes: 0,
            low_space_bytes: 0,
            description: Some(node()),
            ..BusOptions::default()
        };
        let (bus, _) = Bus::open(directory, options, clock.clone(), Box::new(OneRng)).unwrap();
        let bus = Arc::new(bus);
        let stop = watch::Sender::new(false);
        let origin = policy.origin(bus.origin());
        let run = DeriveRun {
            bus: Arc::clone(&bus),
            clock: clock.clone(),
            policy,
            node: node(),
            stop: stop.subscribe(),
        };
        let task = tokio::spawn(run_derivation(run));
        Self {
            bus,
            clock,
            origin,
            stop,
            task,
        }
    }

    async fn append(&self, numbers: &[i64]) {
        let all: Vec<Batch> = numbers.iter().map(|number| batch(*number)).collect();
        append(&self.bus, "dc1", &all, &[]).await;
    }

    /// Waits until as many batches were derived.
    async fn derived(&self, count: usize) -> Vec<Arc<Batch>> {
        batches_to(&self.bus, self.origin, |all| all.len() >= count).await
    }

    /// Waits until as many windows were made.
    async fn windows(&self, count: usize) -> Vec<Arc<Batch>> {
        let enough = |all: &[Arc<Batch>]| windows_of(all).len() >= count;
        windows_of(&batches_to(&self.bus, self.origin, enough).await)
    }

    /// Waits until all that was appended was looked at: a batch that passes by itself comes behind.
    async fn looked_at(&self, number: i64) {
        let mut mark = batch(number);
        mark.interval_ms = 2 * WINDOW_MS;
        let slot = mark.slot;
        append(&self.bus, "dc1", &[mark], &[]).await;
        let has_passed = |all: &[Arc<Batch>]| all.iter().any(|it| it.slot == slot);
        batches_to(&self.bus, self.origin, has_passed).await;
    }

    /// Ends as a crash does: nothing is told to anybody.
    async fn crash(self) {
        if !self.task.is_finished() {
            self.task.abort();
            drop(self.task.await);
        }
        let Ok(bus) = Arc::try_unwrap(self.bus) else {
            panic!("somebody holds the bus");
        };
        bus.drain().await.ok();
    }

    /// Ends in order: what is due is made before.
    async fn stop(&mut self) {
        self.stop.send_replace(true);
        let end = (&mut self.task).await.unwrap();
        assert!(matches!(end, DeriveEnd::Stopped), "{end}");
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.enable_all().build().unwrap().block_on(test);
}

fn facts(batches: &[Arc<Batch>]) -> Vec<(i64, WindowFacts)> {
    let all = batches.iter();
    all.map(|it| (it.slot.0, facts_of(it).unwrap())).collect()
}

fn windows_of(batches: &[Arc<Batch>]) -> Vec<Arc<Batch>> {
    let all = batches.iter().filter(|it| facts_of(it).is_some());
    all.cloned().collect()
}

fn known(rev: u64, batches: u32) -> WindowFacts {
    let slots = 6;
    WindowFacts {
        rev,
        slots,
        batches,
    }
}

/// What a window of these slots is, made at once.
fn at_once(numbers: &[i64], groups: &[&str], missing: Option<GapKind>) -> Batch {
    let wanted = groups.iter().map(|name| (*name).to_owned()).collect();
    let all = numbers
        .iter()
        .map(|number| Arc::new(choose(&batch(*number), &wanted).unwrap()));
    let all: Vec<_> = all.collect();
    let gaps = u64::from(missing.is_some());
    let window = Window {
        start: ocelli_model::window::start_of(all[0].slot, WINDOW_MS),
        length_ms: WINDOW_MS,
        rev: 2 * all.len() as u64 + gaps,
        slots: WINDOW_MS / INTERVAL_MS,
        missing: missing.map(GapCause::from),
    };
    downsample(&all, &window).unwrap().unwrap()
}

#[test]
fn windows_are_those_of_the_raw_stream_over_crashes_gaps_and_late_data() {
    run(async {
        let folder = tempdir().unwrap();
        let policy = || policy(&["interface"], Some(WINDOW_MS));
        let bed = Bed::open(folder.path(), policy(), at(60));
        bed.append(&[0, 1, 2]).await;
        bed.append(&[3, 4, 5, 6, 7]).await;
        let first = bed.windows(1).await;
        assert_eq!(
            *first[0],
            at_once(&[0, 1, 2, 3, 4, 5], &["interface"], None)
        );
        bed.crash().await;

        // The window that is open over the crash lacks slots, one of which has a gap.
        let bed = Bed::open(folder.path(), policy(), at(120));
        let timeout = GapCause::from(GapKind::Timeout);
        let gap = Gap::of_slot(SlotMs(80_000), INTERVAL_MS, Epoch::default(), timeout);
        append(&bed.bus, "dc1", &[batch(9)], &[gap]).await;
        bed.looked_at(1_000).await;
        bed.clock.advance(at(119));
        bed.looked_at(2_000).await;
        assert_eq!(facts(&bed.windows(1).await), [(0, known(12, 6))]);
        bed.clock.advance(at(1));
        let two = bed.windows(2).await;
        assert_eq!(
            *two[1],
            at_once(&[6, 7, 9], &["interface"], Some(GapKind::Timeout))
        );
        assert_eq!(
            two[1].partial.as_ref().unwrap().cause.kind,
            GapKind::Timeout
        );
        bed.crash().await;

        // What was made is not made again; what comes late makes a higher rev.
        let mut bed = Bed::open(folder.path(), policy(), at(400));
        bed.append(&[10, 11]).await;
        bed.looked_at(3_000).await;
        bed.clock
            .advance(Duration::from_millis(LATE_QUIET_MS.unsigned_abs()));
        let three = bed.windows(3).await;
        bed.append(&[8]).await;
        let four = bed.windows(4).await;
        assert_eq!(
            *four[3],
            at_once(&[6, 7, 8, 9, 10, 11], &["interface"], None)
        );
        bed.stop().await;
        let revs = [(0, known(12, 6)), (60_000, known(7, 3))];
        assert_eq!(facts(&three)[..2], revs);
        let all = facts(&windows_of(&batches(&bed.bus, bed.origin).await));
        assert_eq!(all[2..], [(60_000, known(11, 5)), (60_000, known(12, 6))]);
    });
}

#[test]
fn groups_alone_pass_with_their_rates_each_slot_once_over_crashes() {
    run(async {
        let folder = tempdir().unwrap();
        let policy = || policy(&["cpu"], None);
        let bed = Bed::open(folder.path(), policy(), at(60));
        bed.append(&[0, 1, 2]).await;
        bed.derived(3).await;
        bed.crash().await;
        let mut bed = Bed::open(folder.path(), policy(), at(90));
        bed.append(&[3]).await;
        let all = bed.derived(4).await;
        let wanted = BTreeSet::from(["cpu".to_owned()]);
        for (number, derived) in (0..).zip(&all) {
            let expected = choose(&batch(number), &wanted).unwrap();
            assert_eq!(**derived, expected, "slot {number}");
            assert_eq!(derived.groups[0].rate(0, 0), Some(10.0));
        }
        bed.stop().await;
        assert_eq!(batches(&bed.bus, bed.origin).await.len(), 4);
    });
}

#[test]
fn the_stream_says_whose_it_is_and_what_it_is_made_of_and_readers_here_do_not_see_it_twice() {
    run(async {
        let folder = tempdir().unwrap();
        let mut bed = Bed::open(folder.path(), policy(&["interface"], None), at(60));
        bed.append(&[0]).await;
        bed.derived(1).await;
        let definitions = bed.bus.definitions();
        let named = definitions.origin_of(bed.origin).unwrap();
        assert_eq!(
            (named.site.as_str(), named.node.as_str()),
            ("dc1", "a+emea")
        );
        let derivation = definitions.derivation_of(bed.origin).unwrap();
        let own = bed.bus.origin();
        assert_eq!((derivation.by, &*derivation.upstream), (own, "emea"));
        assert_eq!(derivation.sources, BTreeSet::from([own]));
        assert_eq!(definitions.derivation_of(own), None);
        let derived = blocks(&bed.bus, bed.origin).await;
        assert!(derived.iter().all(|block| block.is_fenced()));
        let last = bed.bus.last_values();
        assert_eq!(last.len(), 1);
        bed.stop().await;
    });
}

#[test]
fn the_cursor_goes_on_once_windows_are_done_and_those_of_former_policies_end() {
    run(async {
        let folder = tempdir().unwrap();
        let mut bed = Bed::open(folder.path(), policy(&[], Some(WINDOW_MS)), at(60));
        bed.append(&[0, 1, 2, 3, 4]).await;
        let own = StreamId::data(bed.bus.origin());
        let taken = |bus: &Bus| {
            let mut all = bus.cursors().list();
            all.retain(|cursor| cursor.kind == "derive");
            assert_eq!(all.len(), 1);
            let taken = all[0].taken.get(&own).cloned().unwrap_or_default();
            (all[0].name.clone(), taken.count())
        };
        assert_eq!(taken(&bed.bus).1, 0, "the window is open");
        bed.append(&[5]).await;
        bed.derived(1).await;
        bed.stop().await;
        let (name, count) = taken(&bed.bus);
        assert_eq!(count, 6);
        bed.crash().await;
        let mut bed = Bed::open(folder.path(), policy(&[], Some(30_000)), at(90));
        bed.append(&[6, 7, 8]).await;
        bed.derived(1).await;
        bed.stop().await;
        assert_ne!(taken(&bed.bus).0, name);
    });
}

#[test]
fn a_new_stream_begins_with_what_its_upstream_has_not() {
    run(async {
        let folder = tempdir().unwrap();
        let bed = Bed::open(folder.path(), policy(&["none"], None), at(60));
        bed.append(&[0]).await;
        bed.append(&[1]).await;
        let sender = crate::uplink::uplink_cursor(&bed.bus, "up/emea", bed.clock.wall()).unwrap();
        let (first, last) = (ocelli_bus::record::Seq(1), ocelli_bus::record::Seq(1));
        let own = StreamId::data(bed.bus.origin());
        sender.advance(own, SeqRange { first, last }, bed.clock.wall());
        bed.crash().await;
        let mut bed = Bed::open(folder.path(), policy(&["cpu"], None), at(60));
        bed.append(&[2]).await;
        let all = bed.derived(2).await;
        assert_eq!(
            all.iter().map(|it| it.slot.0).collect::<Vec<_>>(),
            [10_000, 20_000]
        );
        bed.stop().await;
    });
}
