//! The shell of an uplink: one link, one bus, one core.
//!
//! Does: turn frames, commits, reads and time into inputs, effects into frames, reads and moves of
//! the cursor. Does not: decide (`core`), dial (`link`).
//! In: an established link of which this node is the dialler. Out: [`UplinkEnd`].
//! Memory: blocks of a read (1 MiB and a block) and of what is sent, which the core bounds.

mod hearing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ocelli_bus::record::{OriginId, Seq, StreamId};
use ocelli_bus::{
    BlockDelivery, BlockReader, Bus, DurableCursor, ReadError, ReadFrom, SeqRange, SeqRanges,
    StoredBlock,
};
use ocelli_model::clock::{Clock, Monotonic};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::UplinkCore;
use super::end::UplinkEnd;
use super::forward::{Forward, Forwarding};
use super::replay::{Replay, ReplayPlan, ReplayState};
use super::types::{Connected, Delivered, Effect, Found, Input, Purpose, Report, UplinkPolicy};
use crate::frame::{Channel, Control, Frame, RefusedBlock, StreamHead};
use crate::from_peers::FromPeers;
use crate::link::{CloseCode, Link, SendError};

/// How often time is told to the core.
const TICK: Duration = Duration::from_millis(250);
/// How long an orderly end may take.
const FINISH_PATIENCE: Duration = Duration::from_secs(1);
/// How long a stop waits for the neighbour to have all; the rest goes at the next start.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What an uplink needs.
pub struct UplinkRun {
    /// The link; this node dialled it.
    pub link: Arc<dyn Link>,
    /// The own bus.
    pub bus: Arc<Bus>,
    /// Where this upstream, peer or group has come to; retention waits for it.
    pub cursor: DurableCursor,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub policy: UplinkPolicy,
    /// What of the streams held here goes there; by default all, their blocks untouched.
    pub forward: Forward,
    /// What came from peers; the node's ingests note it.
    pub from_peers: Arc<FromPeers>,
    /// Hears what the neighbour refused, at once and without waiting.
    pub refused: Arc<dyn Fn(&RefusedBlock) + Send + Sync>,
    /// Whether, and how far, what other members of the group acknowledged is sent too.
    pub replay: Arc<Replay>,
    /// True when the node stops: what is durable goes up for [`DRAIN_MAX`] at most, then Goodbye.
    pub stop: watch::Receiver<bool>,
}

type Fetched = (
    Purpose,
    StreamId,
    SeqRange,
    Result<Vec<Arc<StoredBlock>>, ReadError>,
);

struct Shell {
    link: Arc<dyn Link>,
    bus: Arc<Bus>,
    cursor: DurableCursor,
    clock: Arc<dyn Clock>,
    from_peers: Arc<FromPeers>,
    refused: Arc<dyn Fn(&RefusedBlock) + Send + Sync>,
    forwarding: Forwarding,
    core: UplinkCore,
    fetches: JoinSet<Fetched>,
    /// One send for each channel at a time: order within, none waits for another.
    sends: JoinSet<(Channel, Result<(), SendError>)>,
    busy: [bool; 3],
    waiting: [VecDeque<Bytes>; 3],
    controls: JoinSet<Result<(), SendError>>,
    rolled_back: Option<UplinkEnd>,
    replay: Arc<Replay>,
    replay_at: Monotonic,
}

/// Sends what the neighbour lacks until the link ends.
pub async fn run_uplink(run: UplinkRun) -> UplinkEnd {
    let mut stop = run.stop.clone();
    let mut draining: Option<Monotonic> = None;
    let from_now = run.bus.follow_blocks(ReadFrom::Now);
    let mut blocks = match from_now {
        Ok(blocks) => blocks,
        Err(error) => return error.into(),
    };
    let mut shell = Shell::new(run);
    let clock = Arc::clone(&shell.clock);
    loop {
        if let Some(end) = shell.rolled_back.take() {
            shell.link.finish("rolled back", FINISH_PATIENCE).await;
            return end;
        }
        shell.replay();
        if shell.replay.is_over() {
            shell
                .link
                .finish("the replay is over", FINISH_PATIENCE)
                .await;
            return UplinkEnd::Replayed;
        }
        if let Some(until) = draining
            && (shell.is_drained(&mut blocks).await || clock.monotonic() >= until)
        {
            shell.link.finish("the node stops", FINISH_PATIENCE).await;
            let left = shell.core.lag().map(|lag| lag.records).sum();
            return UplinkEnd::Drained { left };
        }
        let link = Arc::clone(&shell.link);
        let tick = clock.sleep_until(clock.monotonic().after(TICK));
        tokio::select! {
            frame = link.receive() => match frame {
                Ok(Frame::Control(control)) => shell.told(control).await,
                Ok(Frame::Block { .. }) => {
                    link.close(CloseCode::Protocol, "blocks go up only");
                }
                Err(closed) => return closed.into(),
            },
            delivery = blocks.next() => match delivery {
                Ok(BlockDelivery::Blocks(blocks)) => shell.committed(&blocks),
                // What retention took meanwhile is found to be gone when backfill asks for it.
                Ok(BlockDelivery::Trimmed { .. }) => {}
                Err(error) => return error.into(),
            },
            Some(Ok(fetched)) = shell.fetches.join_next() => shell.fetched(fetched),
            Some(Ok((channel, sent))) = shell.sends.join_next() => {
                if let Err(error) = sent {
                    tracing::debug!(%error, "a block was not sent");
                }
                shell.sent(channel);
            }
            Some(Ok(sent)) = shell.controls.join_next() => {
                if let Err(error) = sent {
                    tracing::debug!(%error, "heads were not told");
                }
            }
            () = told(&mut stop), if draining.is_none() => {
                draining = Some(clock.monotonic().after(DRAIN_MAX));
            }
            () = tick => shell.on(Input::Tick, &BTreeMap::new()),
        }
    }
}

/// Waits for the word to stop; for ever where nobody can say it any more.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|is_told| *is_told).await.is_err() {
        std::future::pending().await
    }
}

impl Shell {
    fn new(run: UplinkRun) -> Self {
        let own = run.bus.origin();
        let forwarding = Forwarding::new(run.forward, own);
        let fills_skips = forwarding.is_plain();
        let mut policy = run.policy;
        // What was derived from an origin that was given up is given up with it.
        let derived = run.bus.origins().into_iter().filter_map(|facts| {
            let by = facts.derivation?.by;
            policy.forsaken.contains(&by).then_some(facts.origin)
        });
        let derived: Vec<OriginId> = derived.collect();
        policy.forsaken.extend(derived);
        let mut shell = Self {
            core: UplinkCore::new(UplinkPolicy {
                fills_skips,
                ..policy
            }),
            forwarding,
            link: run.link,
            bus: run.bus,
            cursor: run.cursor,
            clock: run.clock,
            from_peers: run.from_peers,
            refused: run.refused,
            fetches: JoinSet::new(),
            sends: JoinSet::new(),
            busy: [false; 3],
            waiting: Default::default(),
            controls: JoinSet::new(),
            rolled_back: None,
            replay: run.replay,
            replay_at: Monotonic::default(),
        };
        if let ReplayState::Running { .. } = shell.replay.state() {
            // It goes on over this link.
            shell.replay.ask(false);
        }
        let definitions = shell.bus.definitions();
        let is_for = |stream: &StreamId| shell.forwarding.is_for(stream.origin, definitions);
        let all = shell.bus.coverage().into_iter();
        let (local, others): (Vec<_>, Vec<_>) = all.partition(|(stream, _)| is_for(stream));
        for (stream, ranges) in others {
            shell.pass_over(stream, &ranges);
        }
        let connected = Connected {
            in_flight_bytes_max: shell.link.welcome().ingest_bytes_in_flight_max,
            local,
            done: shell.cursor.taken().into_iter().collect(),
        };
        shell.on(Input::Connected(connected), &BTreeMap::new());
        shell
    }

    /// One input; blocks that it names stand in `named`.
    fn on(&mut self, input: Input, named: &BTreeMap<(StreamId, Seq), Bytes>) {
        let now = self.clock.monotonic();
        for effect in self.core.on(input, now) {
            match effect {
                Effect::Send {
                    channel,
                    stream,
                    range,
                } => {
                    if let Some(block) = named.get(&(stream, range.first)) {
                        self.waiting[channel.index()].push_back(block.clone());
                        self.send_next(channel);
                    }
                }
                Effect::Fetch {
                    purpose,
                    stream,
                    range,
                    bytes_max,
                } => {
                    self.fetch((purpose, stream, range), bytes_max);
                }
                Effect::Advance { stream, range } => {
                    self.cursor.advance(stream, range, self.clock.wall());
                }
                Effect::Heads(heads) => self.tell_heads(heads),
                Effect::NewOrigin { stream, above } => {
                    let origin = stream.origin;
                    self.rolled_back = Some(UplinkEnd::RolledBack { origin, above });
                }
                Effect::Report(report) => self.report(report),
            }
        }
    }

    /// Whether all that is durable here is above, or will never be.
    async fn is_drained(&mut self, blocks: &mut BlockReader) -> bool {
        // What was committed since the last look goes up too; an error shows in the main loop.
        while let Ok(Some(BlockDelivery::Blocks(held))) = blocks.next_held().await {
            self.committed(&held);
        }
        self.core.is_drained(self.clock.monotonic())
    }

    /// Looks after a replay, if one is under way, a few times a second.
    fn replay(&mut self) {
        let now = self.clock.monotonic();
        if now < self.replay_at {
            return;
        }
        self.replay_at = now.after(TICK);
        match self.replay.state() {
            ReplayState::Asked { is_dry_run } => {
                let Some(owed) = self.core.owed() else {
                    return;
                };
                let plan = self.planned(owed);
                if is_dry_run {
                    return self.replay.is(ReplayState::Planned(plan));
                }
                self.hear(Input::Replay);
                let left = self.core.replay_left();
                self.replay.is(ReplayState::Running { plan, left });
            }
            ReplayState::Running { plan, .. } => {
                let state = match self.core.replay_left() {
                    0 => ReplayState::Done(plan),
                    left => ReplayState::Running { plan, left },
                };
                self.replay.is(state);
            }
            _ => {}
        }
    }

    fn planned(&self, owed: BTreeMap<StreamId, SeqRanges>) -> ReplayPlan {
        let mut plan = ReplayPlan {
            streams: owed.len() as u64,
            ..ReplayPlan::default()
        };
        for (stream, owed) in owed {
            let gone = owed.without(&self.bus.held_of(stream)).count();
            plan.gone += gone;
            plan.records += owed.count() - gone;
        }
        plan
    }

    fn report(&self, report: Report) {
        let to = &self.link.peer().identity;
        match report {
            Report::Gone { stream, range } => {
                let (first, last) = (range.first.0, range.last.0);
                tracing::warn!(%to, %stream, first, last, "retention took records unsent");
            }
            Report::Refused {
                stream,
                range,
                reason,
            } => {
                let (first, last) = (range.first.0, range.last.0);
                tracing::debug!(%to, %stream, first, last, %reason, "records are refused above");
            }
            Report::LiveBehind => {
                tracing::warn!(%to, "the line does not keep up: the newest go first");
            }
        }
    }

    /// What is not for this neighbour is dealt with: it must not hold the disk.
    fn pass_over(&self, stream: StreamId, ranges: &SeqRanges) {
        let now = self.clock.wall();
        let ranges = ranges.iter();
        ranges.for_each(|range| self.cursor.advance(stream, range, now));
    }

    fn committed(&mut self, blocks: &[Arc<StoredBlock>]) {
        let peer = Arc::clone(self.link.peer());
        for block in blocks {
            let (stream, range) = (block.header().stream, block.range());
            if !self
                .forwarding
                .is_for(stream.origin, self.bus.definitions())
            {
                self.cursor.advance(stream, range, self.clock.wall());
                continue;
            }
            let mut named = BTreeMap::new();
            let bytes = self.forwarding.bytes_of(block, self.bus.definitions());
            let found = found(block, &bytes);
            named.insert((stream, range.first), bytes);
            if self.from_peers.is_from(&peer.identity, stream, range) {
                self.on(Input::Durable { stream, range }, &named);
            }
            let delivered = if block.is_fill() {
                Delivered::Fill
            } else if self.from_peers.is_from_any(stream, range) {
                Delivered::SecondHand
            } else if block.is_backfill() {
                Delivered::Backfill
            } else {
                Delivered::Live
            };
            self.on(
                Input::Committed {
                    stream,
                    found,
                    delivered,
                },
                &named,
            );
        }
    }

    fn fetch(&mut self, place: (Purpose, StreamId, SeqRange), bytes_max: u64) {
        let (purpose, stream, range) = place;
        let bus = Arc::clone(&self.bus);
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        self.fetches.spawn(async move {
            let blocks = bus.blocks_of(stream, range, bytes_max).await;
            (purpose, stream, range, blocks)
        });
    }

    fn fetched(&mut self, (purpose, stream, asked, blocks): Fetched) {
        match blocks {
            Ok(blocks) => {
                let mut named = BTreeMap::new();
                let mut listed = Vec::with_capacity(blocks.len());
                for block in blocks {
                    let bytes = self.forwarding.bytes_of(&block, self.bus.definitions());
                    listed.push(found(&block, &bytes));
                    named.insert((stream, block.range().first), bytes);
                }
                let found = listed;
                self.on(
                    Input::Fetched {
                        purpose,
                        stream,
                        asked,
                        found,
                    },
                    &named,
                );
            }
            Err(error) => {
                tracing::warn!(%stream, %error, "blocks for the uplink cannot be read");
                self.on(Input::FetchFailed { purpose, stream }, &BTreeMap::new());
            }
        }
    }

    fn send_next(&mut self, channel: Channel) {
        let index = channel.index();
        if self.busy[index] {
            return;
        }
        if let Some(block) = self.waiting[index].pop_front() {
            self.busy[index] = true;
            let link = Arc::clone(&self.link);
            self.sends
                .spawn(async move { (channel, link.send_block(channel, block).await) });
        }
    }

    fn sent(&mut self, channel: Channel) {
        self.busy[channel.index()] = false;
        self.send_next(channel);
    }

    fn tell_heads(&mut self, heads: Vec<(StreamId, Seq)>) {
        // A line that has not taken the last ones gets none on top: they would only be older.
        if !self.controls.is_empty() {
            return;
        }
        let wall = self.clock.wall();
        let told = heads.into_iter().map(|(stream, highest)| StreamHead {
            stream,
            highest,
            time: self.bus.head(stream).map_or(wall, |head| head.received),
        });
        let frames = Control::heads(&told.collect::<Vec<_>>());
        let link = Arc::clone(&self.link);
        self.controls.spawn(async move {
            for frame in frames {
                link.send_control(frame).await?;
            }
            Ok(())
        });
    }
}

fn found(block: &StoredBlock, sent: &Bytes) -> Found {
    Found {
        range: block.range(),
        bytes: sent.len() as u64,
        needs_def: block.header().needs_def,
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
