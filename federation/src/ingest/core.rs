//! What an ingest takes, holds and refuses: one link from below, or beside, as a pure machine.
//!
//! Does: lane 1 in order, data after their definitions, backfill of a stream in order, quotas,
//! acknowledgement after the bus's own. Does not: open blocks (`inspect`), hold bytes, read clocks.
//! In: [`IngestInput`] with the time. Out: [`IngestEffect`]s in order.
//! Full: beyond [`HELD_BYTES_MAX`] or [`HELD_FOR_MAX`] data that wait for definitions are refused
//! for now; the sender has them on disk and sends them again.
//! Invariant: `Durable` is said of nothing that the bus has not acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ocelli_bus::SeqRange;
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_model::clock::Monotonic;

use super::types::{Arrived, BlockNumber, IngestEffect, IngestInput, IngestPolicy};
use crate::frame::{Channel, RefusedReason};
use crate::pace::RateShare;

/// Data of a link that wait for definitions, bytes.
pub const HELD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How long data wait for definitions.
pub const HELD_FOR_MAX: Duration = Duration::from_secs(30);
/// Least time between two audits of one reason.
pub const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Seconds of its rate that an origin may be ahead of it before blocks are refused: what was on its
/// way when the rate was told must fit.
const QUOTA_DEBT_SECONDS: u64 = 10;

#[derive(Debug)]
struct Held {
    arrived: Arrived,
    since: Monotonic,
}

#[derive(Debug, Default)]
struct Tally {
    total: u64,
    unreported: u64,
    reported: Option<Monotonic>,
}

/// An origin with a rate.
#[derive(Debug)]
struct Limited {
    share: RateShare,
    told: Option<Monotonic>,
}

/// The state machine of one link's ingest.
#[derive(Debug, Default)]
pub struct IngestCore {
    policy: IngestPolicy,
    /// Handed to the bus and not answered.
    accepted: BTreeMap<BlockNumber, Arrived>,
    held: VecDeque<Held>,
    held_bytes: u64,
    /// Lane 1 as far as it was handed over by this link.
    definitions: BTreeMap<OriginId, Seq>,
    /// Backfill of a stream goes on here after a refusal: what is behind would come out of order.
    resume_at: BTreeMap<StreamId, Seq>,
    quotas: BTreeMap<OriginId, Limited>,
    heads: BTreeSet<StreamId>,
    refused: BTreeMap<RefusedReason, Tally>,
}

impl IngestCore {
    /// An ingest of a link that just stands.
    #[must_use]
    pub fn new(policy: IngestPolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Takes one input; answers what is to be done, in order.
    pub fn on(&mut self, input: IngestInput, now: Monotonic) -> Vec<IngestEffect> {
        let mut effects = Vec::new();
        let out = &mut effects;
        match input {
            IngestInput::Arrived(arrived) => self.arrived(arrived, now, out),
            IngestInput::Damaged {
                stream,
                range,
                detail,
            } => {
                let refusal = (RefusedReason::Damaged, detail);
                self.refuse((stream, range), refusal, now, out);
            }
            IngestInput::Stored(block) => self.stored(block, out),
            IngestInput::Rejected {
                block,
                reason,
                detail,
            } => {
                self.rejected(block, (reason, detail), now, out);
            }
            IngestInput::DefinitionsAt { origin, to } => {
                self.definitions_at(origin, to, out);
            }
            IngestInput::Head(stream) => drop(self.heads.insert(stream)),
            IngestInput::StoredElsewhere { stream, range } => {
                if self.heads.contains(&stream) {
                    out.push(IngestEffect::Durable { stream, range });
                }
            }
            IngestInput::Quota { origin, quota } => self.limit(origin, quota.rate(), now, out),
            IngestInput::Tick => self.tick(now, out),
        }
        effects
    }

    /// Origins that have a rate.
    pub fn limited(&self) -> impl Iterator<Item = OriginId> + '_ {
        self.quotas.keys().copied()
    }

    /// Blocks refused so far, by reason.
    pub fn refused_counts(&self) -> impl Iterator<Item = (RefusedReason, u64)> + '_ {
        self.refused
            .iter()
            .map(|(reason, tally)| (*reason, tally.total))
    }

    /// Bytes of data that wait for definitions.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    // === Arrival ===

    fn arrived(&mut self, arrived: Arrived, now: Monotonic, out: &mut Vec<IngestEffect>) {
        let Arrived {
            block,
            stream,
            range,
            ..
        } = arrived;
        self.heads.insert(stream);
        // The bus may have definitions before it has said so: what waits for them came before.
        self.definitions_at(stream.origin, arrived.definitions_to, out);
        if arrived.is_held {
            out.push(IngestEffect::Drop(block));
            out.push(IngestEffect::Durable { stream, range });
            return;
        }
        if let Err(refusal) = self.check(&arrived, now, out) {
            out.push(IngestEffect::Drop(block));
            self.refuse((stream, range), refusal, now, out);
            self.go_back(&arrived);
            return;
        }
        if self.is_early(&arrived) {
            self.hold(arrived, now, out);
        } else {
            self.accept(arrived, out);
        }
    }

    fn check(
        &mut self,
        arrived: &Arrived,
        now: Monotonic,
        out: &mut Vec<IngestEffect>,
    ) -> Result<(), (RefusedReason, String)> {
        self.check_quota(arrived, now, out)?;
        let Arrived { stream, range, .. } = *arrived;
        let is_lane_1 = stream.lane == Lane::Definitions;
        if is_lane_1 != (arrived.channel == Channel::Definitions) {
            let text = "lane 1 goes on the channel of definitions and nothing else does";
            return Err((RefusedReason::Damaged, text.to_owned()));
        }
        if is_lane_1 {
            let next = self.definitions_accepted(arrived).next();
            if range.first > next {
                let text = format!("lane 1 goes on at {next}, not at {}", range.first);
                return Err((RefusedReason::Order, text));
            }
            return Ok(());
        }
        if arrived.channel == Channel::Backfill
            && let Some(resume) = self.resume_at.get(&stream).copied()
        {
            if range.first > resume {
                let text = format!("backfill goes on at {resume}, which was refused before");
                return Err((RefusedReason::Order, text));
            }
            self.resume_at.remove(&stream);
        }
        Ok(())
    }

    /// Follows the rate of an origin; the dialler hears of each change.
    fn limit(
        &mut self,
        origin: OriginId,
        rate: Option<u64>,
        now: Monotonic,
        out: &mut Vec<IngestEffect>,
    ) {
        let before = self.quotas.get(&origin).map(|known| known.share.rate());
        if before == rate {
            return;
        }
        match rate {
            Some(rate) => {
                let share = RateShare::new(rate, now);
                self.quotas.insert(origin, Limited { share, told: None });
            }
            None => drop(self.quotas.remove(&origin)),
        }
        let bytes_per_second = rate;
        out.push(IngestEffect::Throttle {
            origin,
            bytes_per_second,
        });
    }

    fn check_quota(
        &mut self,
        arrived: &Arrived,
        now: Monotonic,
        out: &mut Vec<IngestEffect>,
    ) -> Result<(), (RefusedReason, String)> {
        let origin = arrived.stream.origin;
        self.limit(origin, arrived.quota.rate(), now, out);
        let Some(limited) = self.quotas.get_mut(&origin) else {
            return Ok(());
        };
        let is_live = arrived.channel == Channel::Live;
        let rate = limited.share.rate();
        let is_open = limited.share.is_open(is_live, now);
        let most = rate.saturating_mul(QUOTA_DEBT_SECONDS);
        // Definitions and the little that says why there is no data are never shed for a rate.
        let is_shed = !is_open && limited.share.debt(is_live) > most;
        if is_shed && arrived.stream.lane == Lane::Data {
            let text = format!("origin {origin} is above {rate} bytes/s; see [[origin]]");
            return Err((RefusedReason::Quota, text));
        }
        let is_due = |told| now.since(told) >= REPORT_EVERY;
        if !is_open && limited.told.is_none_or(is_due) {
            limited.told = Some(now);
            let bytes_per_second = rate;
            out.push(IngestEffect::Reached {
                origin,
                bytes_per_second,
            });
        }
        limited.share.take(is_live, arrived.bytes);
        Ok(())
    }

    fn definitions_accepted(&self, arrived: &Arrived) -> Seq {
        let here = self.definitions.get(&arrived.stream.origin).copied();
        here.unwrap_or_default().max(arrived.definitions_to)
    }

    fn is_early(&self, arrived: &Arrived) -> bool {
        self.policy.has_definitions_first
            && arrived.stream.lane == Lane::Data
            && arrived.needs_def > arrived.definitions_to
    }

    fn hold(&mut self, arrived: Arrived, now: Monotonic, out: &mut Vec<IngestEffect>) {
        let is_full = self.held_bytes + arrived.bytes > HELD_BYTES_MAX;
        if is_full || arrived.bytes > arrived.held_room {
            self.refuse_early(arrived, now, out);
            return;
        }
        self.held_bytes += arrived.bytes;
        self.held.push_back(Held {
            arrived,
            since: now,
        });
    }

    fn refuse_early(&mut self, arrived: Arrived, now: Monotonic, out: &mut Vec<IngestEffect>) {
        let text = format!("it needs lane 1 up to {}", arrived.needs_def);
        out.push(IngestEffect::Drop(arrived.block));
        let refusal = (RefusedReason::NeedsDefinitions, text);
        self.refuse((arrived.stream, arrived.range), refusal, now, out);
        self.go_back(&arrived);
    }

    fn accept(&mut self, arrived: Arrived, out: &mut Vec<IngestEffect>) {
        let Arrived {
            block,
            stream,
            range,
            channel,
            ..
        } = arrived;
        let is_backfill = channel == Channel::Backfill;
        if stream.lane == Lane::Definitions {
            let to = self.definitions.entry(stream.origin).or_default();
            *to = (*to).max(range.last);
        }
        self.accepted.insert(block, arrived);
        out.push(IngestEffect::Accept { block, is_backfill });
    }

    fn go_back(&mut self, arrived: &Arrived) {
        if arrived.channel == Channel::Backfill {
            let at = self
                .resume_at
                .entry(arrived.stream)
                .or_insert(arrived.range.first);
            *at = (*at).min(arrived.range.first);
        }
    }

    // === Answers of the bus ===

    fn stored(&mut self, block: BlockNumber, out: &mut Vec<IngestEffect>) {
        let Some(Arrived { stream, range, .. }) = self.accepted.remove(&block) else {
            return;
        };
        out.push(IngestEffect::Durable { stream, range });
        if stream.lane == Lane::Definitions {
            self.definitions_at(stream.origin, range.last, out);
        }
    }

    fn rejected(
        &mut self,
        block: BlockNumber,
        refusal: (RefusedReason, String),
        now: Monotonic,
        out: &mut Vec<IngestEffect>,
    ) {
        let Some(arrived) = self.accepted.remove(&block) else {
            return;
        };
        if arrived.stream.lane == Lane::Definitions {
            // What followed it is refused by the bus or repeated: the sender begins again here.
            self.definitions.remove(&arrived.stream.origin);
        }
        if refusal.0.is_transient() {
            self.go_back(&arrived);
        }
        self.refuse((arrived.stream, arrived.range), refusal, now, out);
    }

    fn definitions_at(&mut self, origin: OriginId, to: Seq, out: &mut Vec<IngestEffect>) {
        let ready =
            |held: &Held| held.arrived.stream.origin == origin && held.arrived.needs_def <= to;
        if !self.held.iter().any(ready) {
            return;
        }
        let held = std::mem::take(&mut self.held);
        for one in held {
            if ready(&one) {
                self.held_bytes -= one.arrived.bytes;
                let definitions_to = to;
                self.accept(
                    Arrived {
                        definitions_to,
                        ..one.arrived
                    },
                    out,
                );
            } else {
                self.held.push_back(one);
            }
        }
    }

    fn tick(&mut self, now: Monotonic, out: &mut Vec<IngestEffect>) {
        let is_late = |held: &Held| now.since(held.since) > HELD_FOR_MAX;
        while self.held.front().is_some_and(is_late) {
            let Some(oldest) = self.held.pop_front() else {
                break;
            };
            self.held_bytes -= oldest.arrived.bytes;
            self.refuse_early(oldest.arrived, now, out);
        }
    }

    // === Refusals ===

    fn refuse(
        &mut self,
        place: (StreamId, SeqRange),
        refusal: (RefusedReason, String),
        now: Monotonic,
        out: &mut Vec<IngestEffect>,
    ) {
        let ((stream, range), (reason, detail)) = (place, refusal);
        let tally = self.refused.entry(reason).or_default();
        tally.total += 1;
        tally.unreported += 1;
        let is_due = tally
            .reported
            .is_none_or(|last| now.since(last) >= REPORT_EVERY);
        if is_due && reason.is_audited() {
            let count = std::mem::take(&mut tally.unreported);
            tally.reported = Some(now);
            let (origin, detail) = (stream.origin, detail.clone());
            out.push(IngestEffect::Audit {
                reason,
                origin,
                count,
                detail,
            });
        }
        out.push(IngestEffect::Refuse {
            stream,
            range,
            reason,
            detail,
        });
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
