//! What an uplink sends next: definitions, then live blocks that waited, then backfill.
//!
//! Does: choose ranges, ask for their blocks, put them on their way. Does not: take inputs
//! (`core`), pace (`pace`).
//! In: the state after an input. Out: `Fetch`, `Send`, `Heads`.
//! Bounds: one read for each purpose at a time; a stream that misses nothing is looked at no more
//! until something changes.

use ocelli_bus::SeqRange;
use ocelli_bus::record::{Lane, Seq, StreamId};
use ocelli_model::clock::Monotonic;

use super::{
    DEFINITIONS_BYTES_MAX, FETCH_BYTES_MAX, HEADS_EVERY, LIVE_WAIT_MAX, Phase, Queued, UplinkCore,
};
use crate::frame::Channel;
use crate::uplink::stream::{Flight, StreamState, insert_exactly};
use crate::uplink::types::{Effect, Found, Purpose, Report};

impl UplinkCore {
    pub(super) fn pump(&mut self, now: Monotonic) {
        if self.phase != Phase::Up {
            return;
        }
        self.pump_definitions(now);
        self.pump_live(now);
        self.pump_backfill(now);
        self.tell_heads(now);
    }

    fn pump_definitions(&mut self, now: Monotonic) {
        let used = self.in_flight_bytes(Channel::Definitions);
        if used < DEFINITIONS_BYTES_MAX
            && let Some((stream, range)) = self.next_of(Lane::Definitions, now)
        {
            let bytes_max = FETCH_BYTES_MAX.min(DEFINITIONS_BYTES_MAX - used);
            self.fetch(Purpose::Definitions, (stream, range), bytes_max);
        }
    }

    fn pump_live(&mut self, now: Monotonic) {
        let is_late = |queued: &Queued| now.since(queued.since) > LIVE_WAIT_MAX;
        while self.queue.front().is_some_and(is_late) {
            self.give_up_oldest();
        }
        let used = self.in_flight_bytes(Channel::Live);
        match self.queue.front().copied() {
            None => self.is_live_behind &= used > self.live_bytes_max / 2,
            Some(next) if used == 0 || used + next.bytes <= self.live_bytes_max => {
                let place = (next.stream, next.range);
                self.fetch(Purpose::Live, place, next.bytes);
            }
            Some(_) => {}
        }
    }

    fn pump_backfill(&mut self, now: Monotonic) {
        let room = self.window.room(self.in_flight_bytes(Channel::Backfill));
        let is_within = self.rate.as_mut().is_none_or(|bucket| bucket.is_open(now));
        // What waits for room on the live channel has been measured last: it goes first.
        if room == 0 || !is_within || !self.queue.is_empty() {
            return;
        }
        if let Some((stream, range)) = self.next_of(Lane::Data, now) {
            let place = (stream, range);
            self.turn = stream;
            self.fetch(Purpose::Backfill, place, room.min(FETCH_BYTES_MAX));
        }
    }

    /// The next stream of a lane, in turn, that misses something and may send it. Streams that
    /// miss nothing are not looked at again until something changes.
    fn next_of(&mut self, lane: Lane, now: Monotonic) -> Option<(StreamId, SeqRange)> {
        let purpose = match lane {
            Lane::Definitions => Purpose::Definitions,
            Lane::Data => Purpose::Backfill,
        };
        if self.fetches.contains_key(&purpose) {
            return None;
        }
        let (after, before): (Vec<_>, Vec<_>) = self
            .unsent
            .iter()
            .copied()
            .partition(|stream| *stream > self.turn);
        for stream in after.into_iter().chain(before) {
            if stream.lane != lane {
                continue;
            }
            let state = self.streams.entry(stream).or_default();
            if state.is_waiting(now) {
                continue;
            }
            match state.next_missing(now) {
                None if !state.has_deferred(now) => drop(self.unsent.remove(&stream)),
                None => {}
                Some(range) if state.live_from().is_some_and(|live| live < range.first) => {}
                Some(range)
                    if lane == Lane::Data
                        && self.policy.awaits_refill
                        && state.awaits_refill(range.first, self.connected, now) => {}
                Some(range) if self.may_backfill(stream, now) => return Some((stream, range)),
                Some(_) => {}
            }
        }
        None
    }

    fn may_backfill(&mut self, stream: StreamId, now: Monotonic) -> bool {
        let share = self.throttled.get_mut(&stream.origin);
        let is_within = share.is_none_or(|share| share.is_open(false, now));
        let definitions = self.streams.get(&StreamId::definitions(stream.origin));
        let is_defined = stream.lane == Lane::Definitions
            || definitions.is_none_or(StreamState::is_all_under_way);
        is_within && is_defined
    }

    fn fetch(&mut self, purpose: Purpose, place: (StreamId, SeqRange), bytes_max: u64) {
        if self.fetches.contains_key(&purpose) {
            return;
        }
        let (stream, range) = place;
        if purpose != Purpose::Live {
            self.reserve(stream, range);
        }
        self.fetches.insert(purpose, place);
        self.out.push(Effect::Fetch {
            purpose,
            stream,
            range,
            bytes_max,
        });
    }

    pub(super) fn fetched(
        &mut self,
        purpose: Purpose,
        place: (StreamId, SeqRange),
        found: Vec<Found>,
        now: Monotonic,
    ) {
        // An answer from before a reconnect is not waited for.
        if self.fetches.get(&purpose) != Some(&place) {
            return;
        }
        self.fetches.remove(&purpose);
        let (stream, asked) = place;
        let head = self.queue.front();
        let is_head = head.is_some_and(|head| (head.stream, head.range) == place);
        if purpose == Purpose::Live && !is_head {
            return;
        }
        if purpose == Purpose::Live {
            self.queue.pop_front();
        }
        self.release(stream, asked);
        self.note_gone(stream, asked, &found);
        let channel = match purpose {
            Purpose::Definitions => Channel::Definitions,
            Purpose::Live => Channel::Live,
            Purpose::Backfill => Channel::Backfill,
        };
        for block in found {
            if self.may_send(channel, stream, block, now) {
                self.send(channel, stream, block, now);
            }
        }
    }

    /// What the bus does not have any more is done with: retention took it, and its gap says so.
    fn note_gone(&mut self, stream: StreamId, asked: SeqRange, found: &[Found]) {
        let mut at = asked.first;
        let mut gone = Vec::new();
        for block in found {
            if block.range.first > at {
                let last = Seq(block.range.first.0 - 1);
                gone.push(SeqRange { first: at, last });
            }
            at = at.max(block.range.last.next());
        }
        if found.is_empty() {
            gone.push(asked);
        }
        let state = self.streams.entry(stream).or_default();
        for range in gone {
            insert_exactly(&mut state.settled, range);
            self.out.push(Effect::Advance { stream, range });
            self.out
                .push(Effect::Report(Report::Gone { stream, range }));
        }
    }

    fn may_send(&self, channel: Channel, stream: StreamId, block: Found, now: Monotonic) -> bool {
        let Some(state) = self.streams.get(&stream) else {
            return false;
        };
        let is_missing = state
            .next_missing_from(block.range.first, now)
            .is_some_and(|missing| missing.first <= block.range.last);
        let definitions = self.streams.get(&StreamId::definitions(stream.origin));
        let is_defined = stream.lane == Lane::Definitions
            || block.needs_def == Seq(0)
            || definitions.is_some_and(|known| known.is_under_way_to(block.needs_def));
        // While it was read, what is older may have begun to come.
        let is_early =
            channel == Channel::Backfill && self.awaits_refill(state, block.range.first, now);
        is_missing && is_defined && !is_early
    }

    fn awaits_refill(&self, state: &StreamState, seq: Seq, now: Monotonic) -> bool {
        self.policy.awaits_refill && state.awaits_refill(seq, self.connected, now)
    }

    pub(super) fn fetch_failed(&mut self, purpose: Purpose, stream: StreamId, now: Monotonic) {
        if let Some((asked_of, range)) = self.fetches.remove(&purpose) {
            if purpose == Purpose::Live {
                self.queue.pop_front();
            }
            self.release(asked_of, range);
            self.streams.entry(stream).or_default().wait(now);
        }
    }

    pub(super) fn send(
        &mut self,
        channel: Channel,
        stream: StreamId,
        block: Found,
        now: Monotonic,
    ) {
        let flight = Flight {
            last: block.range.last,
            bytes: block.bytes,
            sent: Some((channel, now)),
        };
        let state = self.streams.entry(stream).or_default();
        state.put_flight(block.range, flight);
        *self.in_flight.entry(channel).or_default() += block.bytes;
        if let Some(share) = self.throttled.get_mut(&stream.origin) {
            share.take(channel == Channel::Live, block.bytes);
        }
        if let (Channel::Backfill, Some(bucket)) = (channel, &mut self.rate) {
            bucket.take(block.bytes);
        }
        let range = block.range;
        self.out.push(Effect::Send {
            channel,
            stream,
            range,
        });
    }

    pub(super) fn reserve(&mut self, stream: StreamId, range: SeqRange) {
        let reserved = Flight {
            last: range.last,
            bytes: 0,
            sent: None,
        };
        self.streams
            .entry(stream)
            .or_default()
            .put_flight(range, reserved);
    }

    pub(super) fn release(&mut self, stream: StreamId, range: SeqRange) {
        self.streams.entry(stream).or_default().take_reserve(range);
        self.unsent.insert(stream);
    }

    fn tell_heads(&mut self, now: Monotonic) {
        let is_due =
            self.heads_told == Monotonic::default() || now.since(self.heads_told) >= HEADS_EVERY;
        if is_due && !self.heads.is_empty() {
            self.heads_told = now;
            let heads = std::mem::take(&mut self.heads);
            self.out.push(Effect::Heads(heads.into_iter().collect()));
        }
    }
}
