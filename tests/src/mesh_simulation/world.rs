//! The mesh as a whole: nodes, lines, time, and what follows from what.
//!
//! Does: carry the cores' effects out over simulated disks and lines, event by event.
//! Does not: choose faults (`plan`), judge (`checks`).
//! In: a seed. Out: [`Outcome`]. Time is milliseconds from 0; nothing else moves it than events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use ocelli_bus::record::{OriginId, StreamId};
use ocelli_bus::{DeliveryLane, SeqRange, SeqRanges};
use ocelli_federation::ingest::{IngestInput, OriginEvent};
use ocelli_federation::uplink::{Delivered, Input, Purpose};

use super::checks::Checks;
use super::disk::{Block, Mutant, Written};
use super::line::{IDLE_MS, Line, LineId, Message, Quality};
use super::node::{Node, claim};
use super::plan;
use super::random::Random;

/// fsync.
const COMMIT_MS: u64 = 5;
/// Most events of a run: a mesh that never comes to rest is a failure, not a hang.
const EVENTS_MAX: u64 = 30_000_000;

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Milliseconds of the mesh's time.
    pub simulated_ms: u64,
    /// Events handled.
    pub events: u64,
    /// Blocks that became durable, all nodes together.
    pub commits: u64,
    /// Of these, those that came in the order of no lane.
    pub fills: u64,
    /// Blocks compared with a global's after the heal.
    pub compared: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Deliver(LineId, usize),
    Commit(usize, u64),
    Tick(usize, u64),
    Make(usize, u64),
    Fetched(usize, u64, usize, Fetch),
    Fault,
    Start(usize),
    Mend(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fetch {
    purpose: Purpose,
    stream: StreamId,
    range: SeqRange,
    bytes_max: u64,
}

/// One mesh.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) nodes: Vec<Node>,
    pub(super) lines: BTreeMap<LineId, Line>,
    pub(super) checks: Checks,
    pub(super) mutant: Option<Mutant>,
    /// Directed paths that are cut.
    pub(super) cuts: BTreeMap<(usize, usize), u64>,
    pub(super) qualities: BTreeMap<(usize, usize), Quality>,
    pub(super) healing_since: Option<u64>,
    pub(super) next_origin: u128,
    pub(super) next_content: u64,
    pub(super) violation: Option<String>,
    next_line: u64,
    next_event: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
}

/// Runs one mesh for `hours` of its time, heals it, checks it.
///
/// # Errors
/// The first violation, in words.
pub fn simulate(seed: u64, hours: u64, mutant: Option<Mutant>) -> Result<Outcome, String> {
    let mut world = World::new(seed, mutant);
    let end = hours * 3_600_000;
    let events = world.run_until(end)?;
    plan::heal(&mut world);
    let healed = end + plan::HEAL_MS;
    let more = world.run_until(healed)?;
    let compared = world.checks.healed(&world.nodes)?;
    Ok(Outcome {
        simulated_ms: healed,
        events: events + more,
        commits: world.checks.commits,
        fills: world.checks.fills,
        compared,
    })
}

impl World {
    fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut world = Self {
            now: 0,
            random: Random::new(seed),
            nodes: Vec::new(),
            lines: BTreeMap::new(),
            checks: Checks::default(),
            mutant,
            cuts: BTreeMap::new(),
            qualities: BTreeMap::new(),
            healing_since: None,
            next_origin: 1,
            next_content: 1,
            violation: None,
            next_line: 1,
            next_event: 0,
            events: BinaryHeap::new(),
        };
        plan::build(&mut world);
        let awaits_refill = mutant != Some(Mutant::RefillNotAwaited);
        for node in &mut world.nodes {
            node.awaits_refill = awaits_refill;
            node.start();
        }
        for node in 0..world.nodes.len() {
            world.started(node);
        }
        world.after(60_000, Event::Fault);
        world
    }

    fn run_until(&mut self, end: u64) -> Result<u64, String> {
        let mut events = 0;
        while let Some(Reverse((at, _, _))) = self.events.peek() {
            if *at > end {
                break;
            }
            let Some(Reverse((at, _, event))) = self.events.pop() else {
                break;
            };
            self.now = at;
            self.checks.now = at;
            self.handle(event);
            events += 1;
            if let Some(violation) = self.violation.take() {
                return Err(format!("at {} s: {violation}", self.now / 1_000));
            }
            if events > EVENTS_MAX {
                return Err(format!("at {} s: the mesh never rests", self.now / 1_000));
            }
        }
        self.now = end;
        Ok(events)
    }

    pub(super) fn after(&mut self, delay_ms: u64, event: Event) {
        self.next_event += 1;
        let key = (self.now + delay_ms, self.next_event, event);
        self.events.push(Reverse(key));
    }

    pub(super) fn violated(&mut self, checked: Result<(), String>) {
        if let Err(text) = checked {
            self.violation.get_or_insert(text);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver(line, stream) => self.deliver(line, stream),
            Event::Commit(node, life) if self.is_alive(node, life) => self.commit(node),
            Event::Tick(node, life) if self.is_alive(node, life) => self.tick(node),
            Event::Make(node, life) if self.is_alive(node, life) => plan::make(self, node),
            Event::Fetched(node, life, uplink, fetch) if self.is_alive(node, life) => {
                self.fetched(node, uplink, fetch);
            }
            Event::Fault => plan::fault(self),
            Event::Start(node) => self.start(node),
            Event::Mend(from, to) => drop(self.cuts.remove(&(from, to))),
            _ => {}
        }
    }

    fn is_alive(&self, node: usize, life: u64) -> bool {
        self.nodes[node].is_up && self.nodes[node].life == life
    }

    // === Lives ===

    pub(super) fn started(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let first = self.random.between(1, 1_000);
        self.after(first, Event::Tick(node, life));
        self.after(first + 10, Event::Make(node, life));
    }

    pub(super) fn start(&mut self, node: usize) {
        if !self.nodes[node].is_up {
            let checked = self.checks.survived(node, &self.nodes[node].disk);
            self.violated(checked);
            self.nodes[node].start();
            self.started(node);
        }
    }

    /// The own disk went back in time: the bus begins anew under another origin, in place.
    pub(super) fn renew_origin(&mut self, node: usize) {
        let (old, new) = (self.nodes[node].origin, OriginId(self.next_origin));
        self.next_origin += 1;
        self.checks.forgiven.insert(old);
        self.nodes[node].crash();
        self.nodes[node].forsaken.insert(old);
        self.nodes[node].origin = new;
        self.start(node);
    }

    // === Disk ===

    pub(super) fn write(&mut self, node: usize, written: Written) {
        let at = &mut self.nodes[node];
        match at.disk.write(written, self.mutant) {
            Ok(()) => {
                if self.mutant == Some(Mutant::VisibleBeforeDurable) {
                    self.show(node, written);
                }
                self.plan_commit(node);
            }
            Err(refusal) => self.reject(node, written, refusal),
        }
    }

    fn plan_commit(&mut self, node: usize) {
        let at = &mut self.nodes[node];
        if at.commits_at.is_none() && at.disk.has_written() {
            at.commits_at = Some(self.now + COMMIT_MS);
            let life = at.life;
            self.after(COMMIT_MS, Event::Commit(node, life));
        }
    }

    fn commit(&mut self, node: usize) {
        self.nodes[node].commits_at = None;
        let (fresh, repeated) = self.nodes[node].disk.commit(self.mutant);
        for written in &fresh {
            let line = written.from.and_then(|(line, _)| self.lines.get(&line));
            let sender = line.map(|line| &self.nodes[line.dialler].disk);
            let disks = (&self.nodes[node].disk, sender);
            let checked = self.checks.committed(node, written, disks);
            self.violated(checked);
        }
        if self.mutant == Some(Mutant::VisibleBeforeDurable) {
            return;
        }
        for written in fresh {
            self.show(node, written);
        }
        for written in repeated {
            self.acknowledge(node, written);
        }
    }

    /// A durable block: the line that brought it hears so, other lines too, uplinks go on with it.
    fn show(&mut self, node: usize, written: Written) {
        self.acknowledge(node, written);
        let Block { stream, range, .. } = written.block;
        let from = written.from.map(|(line, _)| line);
        let others: Vec<LineId> = self.nodes[node].ingests.keys().copied().collect();
        for line in others.into_iter().filter(|line| Some(*line) != from) {
            self.ingest(node, line, IngestInput::StoredElsewhere { stream, range });
        }
        let sender = from.and_then(|line| self.lines.get(&line));
        let peer = sender
            .map(|line| line.dialler)
            .filter(|dialler| self.nodes[*dialler].tier == self.nodes[node].tier);
        for index in 0..self.nodes[node].uplinks.len() {
            let uplink = &self.nodes[node].uplinks[index];
            if !uplink.is_welcome {
                continue;
            }
            if peer.is_some_and(|peer| uplink.targets == [peer]) {
                self.uplink(node, index, Input::Durable { stream, range });
            }
            let delivered = match (peer, written.lane) {
                (Some(_), _) => Delivered::SecondHand,
                (None, DeliveryLane::Live) => Delivered::Live,
                (None, DeliveryLane::Backfill | DeliveryLane::Fill) => Delivered::Backfill,
            };
            let found = written.block.found();
            self.uplink(
                node,
                index,
                Input::Committed {
                    stream,
                    found,
                    delivered,
                },
            );
        }
    }

    fn acknowledge(&mut self, node: usize, written: Written) {
        if let Some((line, block)) = written.from {
            self.ingest(node, line, IngestInput::Stored(block));
        }
    }

    fn fetched(&mut self, node: usize, uplink: usize, fetch: Fetch) {
        let Fetch {
            purpose,
            stream,
            range,
            bytes_max,
        } = fetch;
        let blocks = self.nodes[node].disk.blocks_of(stream, range, bytes_max);
        let found = blocks.iter().map(Block::found).collect();
        self.uplink(
            node,
            uplink,
            Input::Fetched {
                purpose,
                stream,
                asked: range,
                found,
            },
        );
    }

    pub(super) fn fetch_later(
        &mut self,
        node: usize,
        uplink: usize,
        input: (Purpose, StreamId, SeqRange, u64),
    ) {
        let (purpose, stream, range, bytes_max) = input;
        let delay = self.random.between(1, 20);
        let fetch = Fetch {
            purpose,
            stream,
            range,
            bytes_max,
        };
        let life = self.nodes[node].life;
        self.after(delay, Event::Fetched(node, life, uplink, fetch));
    }

    // === Time ===

    fn tick(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let clock = self.nodes[node].clock(self.now);
        let events = self.nodes[node].live.tick(clock);
        self.origin_events(node, events);
        let lines: Vec<LineId> = self.nodes[node].ingests.keys().copied().collect();
        for line in lines {
            self.ingest(node, line, IngestInput::Tick);
            self.check_line(line, 1);
        }
        for index in 0..self.nodes[node].uplinks.len() {
            if !self.is_alive(node, life) {
                return;
            }
            let uplink = &mut self.nodes[node].uplinks[index];
            uplink.saved = uplink.cursor.clone();
            match uplink.line {
                Some(line) => {
                    self.uplink(node, index, Input::Tick);
                    self.check_line(line, 0);
                    plan::move_back(self, node, index);
                }
                None => self.dial(node, index),
            }
        }
        if self.is_alive(node, life) {
            self.after(1_000, Event::Tick(node, life));
        }
    }

    // === Lines ===

    fn dial(&mut self, node: usize, index: usize) {
        let origin = self.nodes[node].origin;
        let uplink = &mut self.nodes[node].uplinks[index];
        let target = uplink.targets[uplink.target % uplink.targets.len()];
        let id = LineId(self.next_line);
        self.next_line += 1;
        uplink.line = Some(id);
        uplink.is_welcome = false;
        uplink.since = self.now;
        self.lines.insert(id, Line::new(node, index, target));
        self.send(id, Message::Hello(origin));
    }

    pub(super) fn send(&mut self, id: LineId, message: Message) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        let stream = message.stream();
        let (from, to) = ends(line, stream);
        let quality = self
            .qualities
            .get(&(from, to))
            .copied()
            .unwrap_or(Quality::GOOD);
        let was_idle = line.queues[stream].is_empty();
        let at = line.send(message, quality, self.now, &mut self.random);
        if was_idle {
            self.after(at - self.now, Event::Deliver(id, stream));
        }
    }

    fn deliver(&mut self, id: LineId, stream: usize) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        let (from, to) = ends(line, stream);
        if self.cuts.contains_key(&(from, to)) {
            self.after(500, Event::Deliver(id, stream));
            return;
        }
        let Some((_, message)) = line.queues[stream].pop_front() else {
            return;
        };
        if let Some((at, _)) = line.queues[stream].front() {
            let delay = at.saturating_sub(self.now);
            self.after(delay, Event::Deliver(id, stream));
        }
        self.received(id, message);
    }

    /// Gives a line up at one end if nothing can come from the other any more.
    fn check_line(&mut self, id: LineId, end: usize) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        let (from, to) = if end == 0 {
            (line.acceptor, line.dialler)
        } else {
            (line.dialler, line.acceptor)
        };
        let is_cut = self.cuts.contains_key(&(from, to));
        let is_gone = !self.nodes[from].is_up || !line.is_open[1 - end];
        let is_reset = self.nodes[from].is_up && !line.is_open[1 - end] && !is_cut;
        let since = *line.dead_since[end].get_or_insert(self.now);
        if !is_cut && !is_gone {
            line.dead_since[end] = None;
        } else if is_reset || self.now - since >= IDLE_MS {
            self.close(id, end);
        }
    }

    /// One end gives the line up.
    pub(super) fn close(&mut self, id: LineId, end: usize) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        line.is_open[end] = false;
        let (node, index, acceptor) = (line.dialler, line.uplink, line.acceptor);
        if line.is_open == [false; 2] {
            self.lines.remove(&id);
        }
        if end == 1 {
            if let Some(ingest) = self.nodes[acceptor].ingests.remove(&id)
                && let Some(claim) = ingest.claim
            {
                let events = self.nodes[acceptor].live.ended(claim);
                self.origin_events(acceptor, events);
            }
        } else if self.nodes[node].uplinks[index].line == Some(id) {
            let uplink = &mut self.nodes[node].uplinks[index];
            uplink.line = None;
            uplink.target += 1;
            uplink.is_welcome = false;
            self.uplink(node, index, Input::Disconnected);
        }
    }

    pub(super) fn origin_events(&mut self, node: usize, events: Vec<OriginEvent>) {
        for event in events {
            match event {
                OriginEvent::Admit(link) => self.welcome(node, LineId(link.0)),
                OriginEvent::Refuse(link) => {
                    self.send(LineId(link.0), Message::Refuse);
                    self.close(LineId(link.0), 1);
                }
                OriginEvent::Supersede(link) => self.close(LineId(link.0), 1),
            }
        }
    }

    pub(super) fn said_hello(&mut self, node: usize, id: LineId, origin: OriginId) {
        self.nodes[node].add_ingest(id, self.mutant);
        let claim = claim(id, origin);
        if let Some(ingest) = self.nodes[node].ingests.get_mut(&id) {
            ingest.claim = Some(claim);
        }
        let clock = self.nodes[node].clock(self.now);
        let events = self.nodes[node].live.claim(claim, clock);
        self.origin_events(node, events);
    }

    fn welcome(&mut self, node: usize, id: LineId) {
        let Some(ingest) = self.nodes[node].ingests.get_mut(&id) else {
            return;
        };
        ingest.is_admitted = true;
        self.send(id, Message::Welcome);
        let disk = &self.nodes[node].disk;
        let mut told: Vec<(StreamId, SeqRanges)> = disk
            .streams()
            .map(|(stream, held)| (stream, held.clone()))
            .collect();
        if self.mutant == Some(Mutant::SkipTakenAsHeld) {
            told.iter_mut()
                .for_each(|(_, held)| *held = SeqRanges::up_to(held.highest()));
        }
        for (stream, held) in told {
            let highest = held.highest();
            let block = self.nodes[node].disk.block_at(stream, highest);
            let head = block.map(|block| (highest, block.content));
            self.send(id, Message::Coverage(stream, held, head));
        }
        self.send(id, Message::CoverageEnd);
    }
}

fn ends(line: &Line, stream: usize) -> (usize, usize) {
    match Line::direction(stream) {
        0 => (line.dialler, line.acceptor),
        _ => (line.acceptor, line.dialler),
    }
}
