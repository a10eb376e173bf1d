//! What an uplink does next: one link to one neighbour above, or beside, as a pure state machine.
//!
//! Does: definitions first, live at once within a budget, beside it backfill of all that is
//! missing above; acknowledgements into the durable cursor; rollback seen by the neighbour.
//! Does not: hold blocks, read clocks, wait.
//! In: [`Input`] with the time. Out: [`Effect`]s in the order in which they are to be done.
//! Memory: ranges of seqs and at most [`LIVE_QUEUE_MAX`] waiting blocks' names, never blocks.
//! Invariants: nothing is sent that was not named durable by the bus; data of an origin goes only
//! when all definitions it needs are above or were sent before; of a stream, what goes on a channel
//! ascends but for what was refused, and for holes that rested for [`REFILL_QUIET`] before they
//! were filled from below.

mod sending;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{SeqRange, SeqRanges};
use ocelli_model::clock::Monotonic;

pub use super::stream::REFILL_QUIET;
use super::stream::{Flight, StreamState, insert_exactly};
use super::types::{
    Delivered, Effect, Found, HeadCheck, Input, Lag, Purpose, Report, UplinkPolicy,
};
use crate::frame::{Channel, RefusedReason};
use crate::pace::{Bucket, RateShare, Window};

/// Live blocks that wait for room, by name; beyond it the oldest become backfill.
pub const LIVE_QUEUE_MAX: usize = 1_024;
/// How long a live block waits for room before it becomes backfill, so that the newest go live.
pub const LIVE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Definitions on their way, bytes.
const DEFINITIONS_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Largest read of backfill: some blocks, so that a fetch pays and memory stays small.
const FETCH_BYTES_MAX: u64 = 1024 * 1024;
/// Holes above at which live blocks of a stream wait for its backfill; below the bus's limit.
const HOLES_MAX: usize = 512;
/// How long what another peer has taken first is left to that peer to copy.
pub const SECOND_HAND_GRACE: Duration = Duration::from_secs(5);
/// Least time between two tellings of how far the streams go.
const HEADS_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No link.
    Down,
    /// The neighbour tells what it holds.
    Covering,
    /// Sending.
    Up,
    /// The own disk went back in time: nothing is sent until there is a new origin.
    RolledBack,
}

#[derive(Debug, Clone, Copy)]
struct Queued {
    stream: StreamId,
    range: SeqRange,
    bytes: u64,
    since: Monotonic,
}

/// The state machine of one uplink.
#[derive(Debug)]
pub struct UplinkCore {
    policy: UplinkPolicy,
    phase: Phase,
    connected: Monotonic,
    streams: BTreeMap<StreamId, StreamState>,
    /// Streams that may have something missing, by lane: no others are looked at.
    unsent: BTreeSet<StreamId>,
    /// Where backfill looked last, so that streams take turns.
    turn: StreamId,
    queue: VecDeque<Queued>,
    is_live_behind: bool,
    fetches: BTreeMap<Purpose, (StreamId, SeqRange)>,
    in_flight: BTreeMap<Channel, u64>,
    live_bytes_max: u64,
    window: Window,
    rate: Option<Bucket>,
    throttled: BTreeMap<OriginId, RateShare>,
    heads: BTreeMap<StreamId, Seq>,
    heads_told: Monotonic,
    /// What a replay is to bring, by stream; empty: there is none.
    replay: BTreeMap<StreamId, SeqRanges>,
    /// What the input at hand asks for.
    out: Vec<Effect>,
}

impl UplinkCore {
    /// An uplink without a link.
    #[must_use]
    pub fn new(policy: UplinkPolicy) -> Self {
        Self {
            phase: Phase::Down,
            connected: Monotonic::default(),
            streams: BTreeMap::new(),
            unsent: BTreeSet::new(),
            turn: StreamId::default(),
            queue: VecDeque::new(),
            is_live_behind: false,
            fetches: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            live_bytes_max: policy.live_bytes_max,
            window: Window::new(policy.backfill_bytes_max),
            rate: None,
            throttled: BTreeMap::new(),
            heads: BTreeMap::new(),
            heads_told: Monotonic::default(),
            replay: BTreeMap::new(),
            out: Vec::new(),
            policy,
        }
    }

    /// Takes one input; answers what is to be done, in order.
    pub fn on(&mut self, input: Input, now: Monotonic) -> Vec<Effect> {
        match input {
            Input::Connected(connected) => {
                self.connected(connected.in_flight_bytes_max, now);
                for (stream, ranges) in connected.local {
                    self.hold(stream, ranges);
                }
                for (stream, ranges) in connected.done {
                    self.group_did(stream, ranges);
                }
            }
            Input::Coverage {
                stream,
                ranges,
                head,
            } => self.covered(stream, ranges, head),
            Input::Skipped { stream, ranges } => self.skipped_above(stream, &ranges),
            Input::CoverageEnd => self.coverage_ended(),
            Input::Committed {
                stream,
                found,
                delivered,
            } => {
                self.committed(stream, found, delivered, now);
            }
            Input::Fetched {
                purpose,
                stream,
                asked,
                found,
            } => {
                self.fetched(purpose, (stream, asked), found, now);
            }
            Input::FetchFailed { purpose, stream } => self.fetch_failed(purpose, stream, now),
            Input::Durable { stream, range } => self.durable(stream, range, now),
            Input::Refused {
                stream,
                range,
                reason,
            } => {
                self.refused(stream, range, reason, now);
            }
            Input::Throttle {
                origin,
                bytes_per_second,
            } => match bytes_per_second {
                Some(rate) => drop(self.throttled.insert(origin, RateShare::new(rate, now))),
                None => drop(self.throttled.remove(&origin)),
            },
            Input::Replay => self.replay(),
            Input::Disconnected => self.disconnected(),
            Input::Tick => {}
        }
        self.pump(now);
        std::mem::take(&mut self.out)
    }

    /// What is missing above, per stream that misses something.
    pub fn lag(&self) -> impl Iterator<Item = Lag> + '_ {
        self.streams.iter().filter_map(|(stream, state)| {
            let records = state.lag();
            (records > 0).then_some(Lag {
                stream: *stream,
                records,
            })
        })
    }

    /// Data that are held here, or were, and not above, whoever else acknowledged them; `None`
    /// until the neighbour has said what it holds.
    #[must_use]
    pub fn owed(&self) -> Option<BTreeMap<StreamId, SeqRanges>> {
        let is_data = |(stream, _): &(&StreamId, _)| stream.lane == Lane::Data;
        let streams = self.streams.iter().filter(is_data);
        let owed = streams.map(|(stream, state)| (*stream, state.owed()));
        let owed = owed.filter(|(_, owed)| owed.iter().next().is_some());
        (self.phase == Phase::Up).then(|| owed.collect())
    }

    /// Records of the replay that are not above yet; 0 where there is none.
    #[must_use]
    pub fn replay_left(&self) -> u64 {
        let left = self.replay.iter().filter_map(|(stream, owed)| {
            let state = self.streams.get(stream)?;
            Some(state.left_of(owed))
        });
        left.sum()
    }

    /// Whether the neighbour holds all that is held here.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.phase == Phase::Up && self.lag().next().is_none()
    }

    /// Whether nothing is left to send and all that was sent was answered. What another peer is to
    /// copy is not waited for.
    #[must_use]
    pub fn is_drained(&self, now: Monotonic) -> bool {
        let is_done = |state: &StreamState| state.is_quiet() && state.next_missing(now).is_none();
        self.phase == Phase::Up && self.streams.values().all(is_done)
    }

    /// Bytes sent on a channel and neither durable nor refused.
    #[must_use]
    pub fn in_flight_bytes(&self, channel: Channel) -> u64 {
        self.in_flight.get(&channel).copied().unwrap_or(0)
    }

    // === The link's life ===

    fn connected(&mut self, in_flight_bytes_max: u64, now: Monotonic) {
        self.disconnected();
        self.phase = Phase::Covering;
        self.connected = now;
        // A quarter of what the neighbour allows is for backfill, so that live always has room.
        let backfill = self.policy.backfill_bytes_max.min(in_flight_bytes_max / 4);
        self.window = Window::new(backfill);
        self.live_bytes_max = self.policy.live_bytes_max.min(in_flight_bytes_max / 2);
        self.rate = self
            .policy
            .backfill_bytes_per_second
            .map(|rate| Bucket::new(rate, now));
    }

    fn hold(&mut self, stream: StreamId, ranges: SeqRanges) {
        if self.policy.forsaken.contains(&stream.origin) {
            // What is never sent must not hold the disk.
            let advances = ranges.iter().map(|range| Effect::Advance { stream, range });
            self.out.extend(advances);
        } else {
            self.streams.entry(stream).or_default().local = ranges;
        }
    }

    fn group_did(&mut self, stream: StreamId, ranges: SeqRanges) {
        // Definitions are needed by each member, whoever has the data.
        if self.policy.is_shared && stream.lane == Lane::Data {
            self.streams.entry(stream).or_default().group = ranges;
        }
    }

    /// What other members of the group did goes to this one too.
    fn replay(&mut self) {
        let Some(owed) = self.owed() else {
            return;
        };
        self.unsent.extend(owed.keys().copied());
        self.replay = owed;
        for state in self.streams.values_mut() {
            state.group = SeqRanges::default();
        }
    }

    fn disconnected(&mut self) {
        if self.phase != Phase::RolledBack {
            self.phase = Phase::Down;
        }
        self.streams
            .values_mut()
            .for_each(StreamState::disconnected);
        self.unsent.clear();
        self.queue.clear();
        self.fetches.clear();
        self.in_flight.clear();
        self.throttled.clear();
        self.replay.clear();
        self.heads.clear();
        self.is_live_behind = false;
    }

    fn covered(&mut self, stream: StreamId, ranges: SeqRanges, head: HeadCheck) {
        let state = self.streams.entry(stream).or_default();
        if stream.origin == self.policy.own {
            let is_ahead = ranges.highest() > state.local.highest();
            if is_ahead || head == HeadCheck::Different {
                self.phase = Phase::RolledBack;
                let above = ranges.highest();
                self.out.push(Effect::NewOrigin { stream, above });
                return;
            }
        }
        state.covered(ranges);
    }

    fn skipped_above(&mut self, stream: StreamId, ranges: &SeqRanges) {
        if self.policy.fills_skips && self.phase == Phase::Covering {
            let state = self.streams.entry(stream).or_default();
            state.filled_from_here(ranges);
        }
    }

    fn coverage_ended(&mut self) {
        if self.phase != Phase::Covering {
            return;
        }
        self.phase = Phase::Up;
        self.unsent = self.streams.keys().copied().collect();
        for (stream, state) in &self.streams {
            let stream = *stream;
            self.heads.insert(stream, state.local.highest());
            // Not before: what is covered by skips alone and goes up from here is not done.
            let done = state.remote.iter();
            self.out
                .extend(done.map(|range| Effect::Advance { stream, range }));
        }
    }

    // === What becomes durable here ===

    fn committed(&mut self, stream: StreamId, found: Found, delivered: Delivered, now: Monotonic) {
        let state = self.streams.entry(stream).or_default();
        state.hold(found.range, delivered == Delivered::Live, now);
        if delivered == Delivered::Fill {
            state.refill(found.range);
            self.unsent.insert(stream);
            return;
        }
        if self.phase != Phase::Up {
            return;
        }
        self.heads.insert(stream, state.local.highest());
        if state.remote.contains_all(found.range) {
            return;
        }
        let room = self.policy.live_bytes_max.min(self.live_bytes_max);
        let is_next = state.next_missing(now) == Some(found.range);
        match (stream.lane, delivered) {
            (Lane::Definitions, _) if is_next && !state.is_waiting(now) => {
                self.send(Channel::Definitions, stream, found, now);
            }
            (Lane::Data, Delivered::Live) if self.may_go_live(stream, found, now) => {
                let used = self.in_flight_bytes(Channel::Live);
                let fits = used == 0 || used + found.bytes <= room;
                if self.queue.is_empty() && fits {
                    self.send(Channel::Live, stream, found, now);
                } else {
                    self.enqueue(stream, found, now);
                }
            }
            (Lane::Data, Delivered::SecondHand) => {
                let state = self.streams.entry(stream).or_default();
                state.defer(found.range, now.after(SECOND_HAND_GRACE));
                self.unsent.insert(stream);
            }
            _ => drop(self.unsent.insert(stream)),
        }
    }

    fn may_go_live(&mut self, stream: StreamId, found: Found, now: Monotonic) -> bool {
        let definitions = self.streams.get(&StreamId::definitions(stream.origin));
        let is_defined = found.needs_def == Seq(0)
            || definitions.is_some_and(|known| known.is_under_way_to(found.needs_def));
        let state = self.streams.get(&stream);
        let is_whole = state.is_some_and(|state| state.holes() < HOLES_MAX);
        let is_waiting = state.is_some_and(|state| state.is_waiting(now));
        let share = self.throttled.get_mut(&stream.origin);
        let is_within = share.is_none_or(|share| share.is_open(true, now));
        is_defined && is_whole && !is_waiting && is_within
    }

    fn enqueue(&mut self, stream: StreamId, found: Found, now: Monotonic) {
        self.reserve(stream, found.range);
        self.queue.push_back(Queued {
            stream,
            range: found.range,
            bytes: found.bytes,
            since: now,
        });
        if self.queue.len() > LIVE_QUEUE_MAX {
            self.give_up_oldest();
        }
    }

    fn give_up_oldest(&mut self) {
        let Some(oldest) = self.queue.pop_front() else {
            return;
        };
        self.release(oldest.stream, oldest.range);
        if !self.is_live_behind {
            self.is_live_behind = true;
            self.out.push(Effect::Report(Report::LiveBehind));
        }
    }

    // === What the neighbour says ===

    fn durable(&mut self, stream: StreamId, range: SeqRange, now: Monotonic) {
        if !matches!(self.phase, Phase::Covering | Phase::Up) {
            return;
        }
        let state = self.streams.entry(stream).or_default();
        state.advanced();
        let landed = state.take_flights(range);
        state.durable(range);
        for (_, flight) in landed {
            self.landed(flight, now);
        }
        self.out.push(Effect::Advance { stream, range });
        // Data that waited for these definitions may go now; so may what was refused before.
        self.unsent.insert(stream);
        self.unsent.insert(StreamId::data(stream.origin));
    }

    fn landed(&mut self, flight: Flight, now: Monotonic) {
        let Some((channel, sent)) = flight.sent else {
            return;
        };
        self.end_flight(channel, flight.bytes);
        let delay = now.since(sent);
        self.window.measured(delay);
        if channel == Channel::Backfill {
            self.window.acknowledged(flight.bytes, delay, now);
        }
    }

    fn end_flight(&mut self, channel: Channel, bytes: u64) {
        let used = self.in_flight.entry(channel).or_default();
        *used = used.saturating_sub(bytes);
    }

    fn refused(
        &mut self,
        stream: StreamId,
        range: SeqRange,
        reason: RefusedReason,
        now: Monotonic,
    ) {
        let Some(state) = self.streams.get_mut(&stream) else {
            return;
        };
        let back = state.take_flights(range);
        if reason.is_transient() {
            state.wait(now);
        } else {
            insert_exactly(&mut state.settled, range);
            // It will never be above: it must not hold the disk here.
            self.out.push(Effect::Advance { stream, range });
            self.out.push(Effect::Report(Report::Refused {
                stream,
                range,
                reason,
            }));
        }
        for (_, flight) in back {
            if let Some((channel, _)) = flight.sent {
                self.end_flight(channel, flight.bytes);
            }
        }
        self.unsent.insert(stream);
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
