//! What the cores are told and what they ask for: the simulated shells.
//!
//! Does: turn messages into inputs and effects into messages, writes and reads.
//! Does not: decide: each decision is a core's.
//! In: messages of lines, commits, time. Out: calls on the world.

use std::time::Duration;

use ocelli_bus::record::{Seq, StreamId};
use ocelli_bus::{DeliveryLane, SeqRange, SeqRanges};
use ocelli_federation::frame::{Channel, RefusedReason};
use ocelli_federation::ingest::{Arrived, BlockNumber, IngestEffect, IngestInput, OriginQuota};
use ocelli_federation::uplink::{Connected, Effect, HeadCheck, Input, REFILL_QUIET};

use super::disk::{Block, Mutant, Refusal, Written};
use super::line::{LineId, Message};
use super::world::World;

/// What an acceptor allows on its way.
const IN_FLIGHT_BYTES_MAX: u64 = 1 << 20;

impl World {
    /// A message came off a line.
    pub(super) fn received(&mut self, id: LineId, message: Message) {
        let Some(line) = self.lines.get(&id) else {
            return;
        };
        let end = usize::from(message.stream() != 1);
        let (node, index) = if end == 1 {
            (line.acceptor, 0)
        } else {
            (line.dialler, line.uplink)
        };
        if !line.is_open[end] || !self.nodes[node].is_up {
            return;
        }
        if end == 1 {
            self.told_from_below(node, id, message);
        } else if self.nodes[node].uplinks[index].line == Some(id) {
            self.told_from_above(node, index, id, message);
        }
    }

    fn told_from_below(&mut self, node: usize, id: LineId, message: Message) {
        if let Message::Hello(origin) = message {
            self.said_hello(node, id, origin);
            return;
        }
        let Some(ingest) = self.nodes[node].ingests.get(&id) else {
            return;
        };
        let Some(claim) = ingest.claim.filter(|_| ingest.is_admitted) else {
            return;
        };
        let clock = self.nodes[node].clock(self.now);
        let events = self.nodes[node].live.heard(claim, clock);
        self.origin_events(node, events);
        match message {
            Message::Heads(heads) => {
                for (stream, _) in heads {
                    self.ingest(node, id, IngestInput::Head(stream));
                }
            }
            Message::Block(channel, block) => self.block_came(node, id, (channel, block)),
            _ => {}
        }
    }

    fn block_came(&mut self, node: usize, id: LineId, (channel, block): (Channel, Block)) {
        let at = &mut self.nodes[node];
        let held = at.disk.coverage(block.stream);
        let is_held = held.contains_all(block.range);
        if block.stream.origin == at.origin && !is_held {
            // Others hold records of this node's origin that it has not: its disk is an old one.
            self.renew_origin(node);
            return;
        }
        let definitions = at.disk.coverage(StreamId::definitions(block.stream.origin));
        let Some(ingest) = at.ingests.get_mut(&id) else {
            return;
        };
        ingest.next_block += 1;
        let number = BlockNumber(ingest.next_block);
        ingest.blocks.insert(number, block);
        let arrived = Arrived {
            block: number,
            channel,
            stream: block.stream,
            range: block.range,
            bytes: block.bytes,
            needs_def: block.needs_def,
            is_held,
            definitions_to: Seq(definitions.first_missing().0 - 1),
            held_room: u64::MAX,
            quota: OriginQuota::default(),
        };
        self.ingest(node, id, IngestInput::Arrived(arrived));
    }

    fn told_from_above(&mut self, node: usize, index: usize, id: LineId, message: Message) {
        let input = match message {
            Message::Welcome => {
                self.welcomed(node, index);
                return;
            }
            Message::Refuse => {
                self.close(id, 0);
                return;
            }
            Message::Coverage(stream, ranges, head) => self.compare(node, stream, ranges, head),
            Message::CoverageEnd => Input::CoverageEnd,
            Message::Durable(stream, range) => Input::Durable { stream, range },
            Message::Refused(stream, range, reason) => Input::Refused {
                stream,
                range,
                reason,
            },
            Message::Hello(_) | Message::Heads(_) | Message::Block(..) => return,
        };
        self.uplink(node, index, input);
    }

    fn welcomed(&mut self, node: usize, index: usize) {
        let disk = &self.nodes[node].disk;
        let local = disk
            .streams()
            .map(|(stream, held)| (stream, held.clone()))
            .collect();
        let uplink = &mut self.nodes[node].uplinks[index];
        uplink.is_welcome = true;
        uplink.welcomed = self.now;
        // After a member of a group lost its disk an operator asks for all of it, at the least
        // before anything else goes there: a replay in the midst steps backfill back.
        let is_replay = self.healing_since.is_some();
        let done = match is_replay {
            true => Vec::new(),
            false => uplink.cursor.clone().into_iter().collect(),
        };
        let in_flight_bytes_max = IN_FLIGHT_BYTES_MAX;
        let connected = Connected {
            in_flight_bytes_max,
            local,
            done,
        };
        self.uplink(node, index, Input::Connected(connected));
    }

    fn compare(
        &self,
        node: usize,
        stream: StreamId,
        ranges: SeqRanges,
        head: Option<(Seq, u64)>,
    ) -> Input {
        let at = &self.nodes[node];
        if self.mutant == Some(Mutant::RollbackIgnored) && stream.origin == at.origin {
            let last = ranges.highest().min(at.disk.coverage(stream).highest());
            return Input::Coverage {
                stream,
                ranges: SeqRanges::up_to(last),
                head: HeadCheck::Same,
            };
        }
        let differs = head.is_some_and(|(seq, content)| {
            let own = at.disk.block_at(stream, seq);
            own.is_some_and(|own| own.content != content)
        });
        let head = if differs {
            HeadCheck::Different
        } else {
            HeadCheck::Same
        };
        Input::Coverage {
            stream,
            ranges,
            head,
        }
    }

    // === Cores ===

    pub(super) fn uplink(&mut self, node: usize, index: usize, input: Input) {
        let clock = self.nodes[node].clock(self.now);
        let effects = self.nodes[node].uplinks[index].core.on(input, clock);
        for effect in effects {
            let Some(line) = self.nodes[node].uplinks[index].line else {
                return;
            };
            match effect {
                Effect::Send {
                    channel,
                    stream,
                    range,
                } => {
                    let block = self.nodes[node]
                        .disk
                        .visible_at(stream, range.first, self.mutant);
                    if channel == Channel::Backfill {
                        let checked = self.check_refill(node, index, (stream, range));
                        self.violated(checked);
                    }
                    match block {
                        Some(block) => self.send(line, Message::Block(channel, block)),
                        None => self.violated(Err(format!(
                            "node {node} sends {}-{} of {stream}, which is not durable",
                            range.first, range.last
                        ))),
                    }
                }
                Effect::Fetch {
                    purpose,
                    stream,
                    range,
                    bytes_max,
                } => {
                    self.fetch_later(node, index, (purpose, stream, range, bytes_max));
                }
                Effect::Advance { stream, range } => {
                    let cursor = &mut self.nodes[node].uplinks[index].cursor;
                    cursor.entry(stream).or_default().insert(range);
                }
                Effect::Heads(heads) => self.send(line, Message::Heads(heads)),
                Effect::NewOrigin { .. } => {
                    self.renew_origin(node);
                    return;
                }
                Effect::Report(_) => {}
            }
        }
    }

    /// Backfill does not pass over a hole that is about to be filled from below.
    fn check_refill(
        &self,
        node: usize,
        index: usize,
        (stream, range): (StreamId, SeqRange),
    ) -> Result<(), String> {
        let uplink = &self.nodes[node].uplinks[index];
        let line = uplink.line.and_then(|line| self.lines.get(&line));
        let Some(above) = line.map(|line| &self.nodes[line.acceptor].disk) else {
            return Ok(());
        };
        let mut known = self.nodes[node].disk.coverage(stream);
        known.insert_all(&above.coverage(stream));
        let hole = known.first_missing();
        let moved = self.checks.holes_moved(node, stream).max(uplink.welcomed);
        let rested = Duration::from_millis(self.now - moved);
        if hole < range.first && rested < REFILL_QUIET {
            return Err(format!(
                "node {node} sends {}-{} of {stream} as backfill before {hole}, which may come",
                range.first, range.last
            ));
        }
        Ok(())
    }

    pub(super) fn ingest(&mut self, node: usize, id: LineId, input: IngestInput) {
        let clock = self.nodes[node].clock(self.now);
        let Some(ingest) = self.nodes[node].ingests.get_mut(&id) else {
            return;
        };
        for effect in ingest.core.on(input, clock) {
            match effect {
                IngestEffect::Accept { block, is_backfill } => {
                    self.accept(node, id, (block, is_backfill));
                }
                IngestEffect::Drop(block) => {
                    if let Some(ingest) = self.nodes[node].ingests.get_mut(&id) {
                        ingest.blocks.remove(&block);
                    }
                }
                IngestEffect::Durable { stream, range } => {
                    self.checks.acknowledged(node, stream, range);
                    self.send(id, Message::Durable(stream, range));
                }
                IngestEffect::Refuse {
                    stream,
                    range,
                    reason,
                    ..
                } => {
                    self.send(id, Message::Refused(stream, range, reason));
                }
                IngestEffect::Throttle { .. }
                | IngestEffect::Reached { .. }
                | IngestEffect::Audit { .. } => {}
            }
        }
    }

    fn accept(&mut self, node: usize, id: LineId, (number, is_backfill): (BlockNumber, bool)) {
        let at = &mut self.nodes[node];
        let taken = at
            .ingests
            .get_mut(&id)
            .and_then(|ingest| ingest.blocks.remove(&number));
        let Some(block) = taken else {
            return;
        };
        let from = Some((id, number));
        self.write(
            node,
            Written {
                block,
                is_backfill,
                lane: DeliveryLane::Live,
                from,
            },
        );
    }

    /// The bus did not take a block.
    pub(super) fn reject(&mut self, node: usize, written: Written, refusal: Refusal) {
        let Some((line, block)) = written.from else {
            return;
        };
        let reason = match refusal {
            Refusal::Order => RefusedReason::Order,
            Refusal::NeedsDefinitions => RefusedReason::NeedsDefinitions,
        };
        let detail = String::new();
        self.ingest(
            node,
            line,
            IngestInput::Rejected {
                block,
                reason,
                detail,
            },
        );
    }
}
