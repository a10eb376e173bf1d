//! One stream as an uplink sees it: held here, held above, on its way.
//!
//! Does: say which range is missing above next, keep what is on its way. Does not: decide whether
//! to send (`core`), read blocks.
//! In: ranges. Out: ranges. Memory: ranges only, never blocks, so a backlog of days costs what one
//! of seconds does.
//! Invariant: a range is missing if it is held here, not held above, not settled, not on its way
//! and not left to another peer for now.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ocelli_bus::record::Seq;
use ocelli_bus::{RANGES_MAX, SeqRange, SeqRanges};
use ocelli_model::clock::Monotonic;

use crate::frame::Channel;

/// Most ranges left to another peer at once; beyond it the oldest are ours.
const DEFERRED_MAX: usize = 64;
/// Most ranges that go again once what is on its way has arrived.
const REFILLS_MAX: usize = 64;
/// First and longest wait after a refusal for now; doubled in between.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long the holes of a stream that is held here in part must have rested before backfill passes
/// over them: neighbours that can fill them dial again within seconds, and then fill from below on.
pub const REFILL_QUIET: Duration = Duration::from_secs(10);

/// A range that is neither above nor missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) last: Seq,
    pub(super) bytes: u64,
    /// `None`: reserved while the block is being read or waits for room.
    pub(super) sent: Option<(Channel, Monotonic)>,
}

/// What is known of a stream.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// Held here, or held and since removed by retention.
    pub(super) local: SeqRanges,
    /// Held durably above, but for what goes there again.
    pub(super) remote: SeqRanges,
    /// Covered above, by skips too.
    above: SeqRanges,
    /// To go again once what is on its way has arrived.
    refills: VecDeque<SeqRange>,
    /// Not to be sent: gone here, or refused for good.
    pub(super) settled: SeqRanges,
    /// Done by another member of the group: not sent, but for a replay.
    pub(super) group: SeqRanges,
    /// On its way, by first seq.
    flights: BTreeMap<u64, Flight>,
    deferred: VecDeque<(SeqRange, Monotonic)>,
    retry_at: Option<Monotonic>,
    retry_after: Duration,
    /// When a hole of `local` last came up, or a lower tier sent what is older; `None`: not since
    /// the link stands.
    refilled: Option<Monotonic>,
}

impl StreamState {
    /// Forgets what belonged to a connection.
    pub(super) fn disconnected(&mut self) {
        self.remote = SeqRanges::default();
        self.above = SeqRanges::default();
        self.refills.clear();
        self.settled = SeqRanges::default();
        self.group = SeqRanges::default();
        self.flights.clear();
        self.deferred.clear();
        self.retry_at = None;
        self.retry_after = Duration::ZERO;
        self.refilled = None;
    }

    /// A range became durable here, live or not.
    pub(super) fn hold(&mut self, range: SeqRange, is_live: bool, now: Monotonic) {
        if !is_live || range.first != self.local.highest().next() {
            self.refilled = Some(now);
        }
        insert_exactly(&mut self.local, range);
    }

    /// Whether what is missing at both ends below `seq` may still come here and go up first. The
    /// link stands since `connected`.
    pub(super) fn awaits_refill(&self, seq: Seq, connected: Monotonic, now: Monotonic) -> bool {
        let moved = self.refilled.unwrap_or(connected).max(connected);
        now.since(moved) < REFILL_QUIET && self.lowest_hole() < seq
    }

    /// The lowest seq that neither end holds and that is not settled.
    fn lowest_hole(&self) -> Seq {
        let mut at = Seq(1);
        let sets = [&self.local, &self.remote, &self.settled, &self.group];
        // Each round passes one range of one of the bounded sets.
        while let Some(last) = sets
            .iter()
            .filter_map(|set| at_or_after(set, at))
            .filter(|range| range.first <= at)
            .map(|range| range.last)
            .max()
        {
            at = last.next();
        }
        at
    }

    /// The lowest range that is missing above.
    pub(super) fn next_missing(&self, now: Monotonic) -> Option<SeqRange> {
        self.next_missing_from(self.remote.first_missing(), now)
    }

    /// The lowest range that is missing above, of `from` and what follows.
    pub(super) fn next_missing_from(&self, from: Seq, now: Monotonic) -> Option<SeqRange> {
        let mut at = from;
        // Each round passes one range of one of the bounded sets.
        loop {
            let held = at_or_after(&self.local, at)?;
            let first = held.first.max(at);
            if let Some(last) = self.last_not_missing(first, now) {
                at = last.next();
                continue;
            }
            let stop = self.next_not_missing(first, now);
            let last = stop.map_or(held.last, |stop| held.last.min(Seq(stop.0 - 1)));
            return Some(SeqRange { first, last });
        }
    }

    /// Whether all of lane 1 up to `seq` is above or on its way.
    pub(super) fn is_under_way_to(&self, seq: Seq) -> bool {
        let mut at = self.remote.first_missing();
        while at <= seq {
            let flight = self.flight_at(at).filter(|flight| flight.sent.is_some());
            let above = at_or_after(&self.remote, at).filter(|held| held.first <= at);
            let last = flight.map(|flight| flight.last);
            match last.or(above.map(|held| held.last)) {
                Some(last) => at = last.next(),
                None => return false,
            }
        }
        true
    }

    /// Whether all that is held here is above or on its way.
    pub(super) fn is_all_under_way(&self) -> bool {
        self.is_under_way_to(self.local.highest())
    }

    /// Whether nothing is on its way, or about to be.
    pub(super) fn is_quiet(&self) -> bool {
        self.flights.is_empty()
    }

    /// Takes in what the neighbour covers.
    pub(super) fn covered(&mut self, ranges: SeqRanges) {
        self.above.clone_from(&ranges);
        self.remote = ranges;
    }

    /// Takes in that a range is durable above; what was on its way there has ended.
    pub(super) fn durable(&mut self, range: SeqRange) {
        insert_exactly(&mut self.above, range);
        insert_exactly(&mut self.remote, range);
        let again = std::mem::take(&mut self.refills);
        again.into_iter().for_each(|range| self.refill(range));
    }

    /// A range came here by another path with more in it than before: it goes above again. Beyond
    /// [`REFILLS_MAX`] that wait for flights the oldest are left to the next link.
    pub(super) fn refill(&mut self, range: SeqRange) {
        if self.flight_at(range.first).is_none() {
            self.forget_above(range);
            return;
        }
        self.refills.push_back(range);
        if self.refills.len() > REFILLS_MAX {
            self.refills.pop_front();
        }
    }

    fn forget_above(&mut self, range: SeqRange) {
        let mut one = SeqRanges::default();
        one.insert(range);
        self.filled_from_here(&one);
    }

    /// These go up although they are covered there.
    pub(super) fn filled_from_here(&mut self, ranges: &SeqRanges) {
        self.remote = self.remote.without(ranges);
    }

    /// Ranges held above, each a hole from the next.
    pub(super) fn holes(&self) -> usize {
        self.above.len()
    }

    /// The lowest seq of a block that is on its way live, or waits for it. Backfill stays below: if
    /// that block is refused it becomes backfill, and backfill ascends.
    pub(super) fn live_from(&self) -> Option<Seq> {
        let is_live = |flight: &Flight| flight.sent.is_none_or(|(to, _)| to == Channel::Live);
        let mut flights = self.flights.iter();
        let lowest = flights.find(|(_, flight)| is_live(flight));
        lowest.map(|(first, _)| Seq(*first))
    }

    /// Puts a range on its way, or into reserve.
    pub(super) fn put_flight(&mut self, range: SeqRange, flight: Flight) {
        self.flights.insert(range.first.0, flight);
    }

    /// Ends what is on its way within `range`.
    pub(super) fn take_flights(&mut self, range: SeqRange) -> Vec<(SeqRange, Flight)> {
        let within = self.flights.range(range.first.0..=range.last.0);
        let within = within.filter(|(_, flight)| flight.last <= range.last);
        let firsts: Vec<u64> = within.map(|(first, _)| *first).collect();
        let take = |first| {
            let flight = self.flights.remove(&first)?;
            let (first, last) = (Seq(first), flight.last);
            Some((SeqRange { first, last }, flight))
        };
        firsts.into_iter().filter_map(take).collect()
    }

    /// Ends a reserve; what was sent stays on its way.
    pub(super) fn take_reserve(&mut self, range: SeqRange) {
        let reserved = self.flights.get(&range.first.0);
        if reserved.is_some_and(|flight| flight.sent.is_none()) {
            self.flights.remove(&range.first.0);
        }
    }

    /// Whether something is left to another peer now.
    pub(super) fn has_deferred(&self, now: Monotonic) -> bool {
        self.deferred_now(now).next().is_some()
    }

    /// Leaves a range to another peer until `until`.
    pub(super) fn defer(&mut self, range: SeqRange, until: Monotonic) {
        self.deferred.push_back((range, until));
        if self.deferred.len() > DEFERRED_MAX {
            self.deferred.pop_front();
        }
    }

    /// Whether the stream waits after a refusal.
    pub(super) fn is_waiting(&self, now: Monotonic) -> bool {
        self.retry_at.is_some_and(|at| at > now)
    }

    /// Refused for now: waits, twice as long as the last time.
    pub(super) fn wait(&mut self, now: Monotonic) {
        // Blocks sent together are refused together: that is one refusal.
        if !self.is_waiting(now) {
            self.retry_after = (self.retry_after * 2).clamp(RETRY_MIN, RETRY_MAX);
            self.retry_at = Some(now.after(self.retry_after));
        }
    }

    /// Something was taken: the next refusal begins with the shortest wait.
    pub(super) fn advanced(&mut self) {
        self.retry_at = None;
        self.retry_after = Duration::ZERO;
    }

    /// What is held here, or was, and is not above.
    pub(super) fn owed(&self) -> SeqRanges {
        self.local.without(&self.remote)
    }

    /// Of what was owed, what is neither above nor given up.
    pub(super) fn left_of(&self, owed: &SeqRanges) -> u64 {
        owed.without(&self.remote).without(&self.settled).count()
    }

    /// Seqs that are held here and not above, on their way or not.
    pub(super) fn lag(&self) -> u64 {
        let mut lag = 0;
        let mut at = self.remote.first_missing();
        while let Some(held) = at_or_after(&self.local, at) {
            let first = held.first.max(at);
            let above = at_or_after(&self.remote, first);
            let (until, next) = match above {
                Some(above) if above.first <= first => (first, above.last.next()),
                Some(above) if above.first <= held.last => (above.first, above.last.next()),
                _ => (held.last.next(), held.last.next()),
            };
            lag += until.0 - first.0;
            at = next;
        }
        lag
    }

    fn flight_at(&self, seq: Seq) -> Option<&Flight> {
        let below = self.flights.range(..=seq.0).next_back();
        below
            .map(|(_, flight)| flight)
            .filter(|flight| flight.last >= seq)
    }

    fn last_not_missing(&self, seq: Seq, now: Monotonic) -> Option<Seq> {
        let sets = [&self.remote, &self.settled, &self.group];
        let held = sets.iter().filter_map(|set| at_or_after(set, seq));
        let held = held.filter(|range| range.first <= seq);
        let flight = self.flight_at(seq).map(|flight| flight.last);
        let deferred = self.deferred_now(now);
        let deferred = deferred.filter(|range| range.first <= seq && range.last >= seq);
        held.chain(deferred)
            .map(|range| range.last)
            .chain(flight)
            .max()
    }

    fn next_not_missing(&self, seq: Seq, now: Monotonic) -> Option<Seq> {
        let sets = [&self.remote, &self.settled, &self.group];
        let held = sets.iter().filter_map(|set| at_or_after(set, seq));
        let flight = self.flights.range(seq.0..).next();
        let flight = flight.map(|(first, _)| Seq(*first));
        let deferred = self.deferred_now(now).filter(|range| range.first > seq);
        held.chain(deferred)
            .map(|range| range.first)
            .chain(flight)
            .min()
    }

    fn deferred_now(&self, now: Monotonic) -> impl Iterator<Item = SeqRange> + '_ {
        let waiting = self.deferred.iter().filter(move |(_, until)| *until > now);
        waiting.map(|(range, _)| *range)
    }
}

/// The range that holds `seq`, else the lowest one above it. Sets have few ranges in practice and
/// 1,024 at most.
fn at_or_after(ranges: &SeqRanges, seq: Seq) -> Option<SeqRange> {
    ranges.iter().find(|range| range.last >= seq)
}

/// Takes a range in unless that would fold a hole away: a hole must never pass for something held.
pub(crate) fn insert_exactly(ranges: &mut SeqRanges, range: SeqRange) {
    let before = Seq(range.first.0.saturating_sub(1));
    let neighbour = at_or_after(ranges, before);
    let touches = neighbour.is_some_and(|found| found.first <= range.last.next());
    if touches || ranges.len() < RANGES_MAX {
        ranges.insert(range);
    }
}
