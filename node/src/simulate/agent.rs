//! One simulated agent: its life, its engine, its answers.
//!
//! Does: tell boots, up time and counters at any time from its faults alone; answer requests of
//! v1, v2c and v3. Does not: receive or send (`server`).
//! In: datagrams, the time since the simulator started. Out: answers in the shared [`Reply`].

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::Monotonic;
use ocelli_snmp::message::{CommunityMessage, Version, version_of, write_response};
use ocelli_snmp::pdu::{Pdu, PduHead, PduKind, PduView};
use ocelli_snmp::usm::{EngineId, UsmUser};
use ocelli_snmp::v3::{Authority, AuthorityReceived, ReplyTo};

use super::answer::answer;
use super::counts::Counts;
use super::fault::{Fault, FaultKind};
use super::reply::Reply;
use super::switch::{Moment, low, ticks};
use super::truth::mix;
use super::view::{Disorder, View};

/// How long agents have been up when the simulator starts, at least: beyond any time window.
const UP_AT_START: Duration = Duration::from_secs(100_000);
/// And at most so much longer, so that they do not all wrap together.
const UP_SPREAD_S: u64 = 1_000_000;
/// Engine boots of an agent that has not been told to reboot.
const BOOTS_AT_START: u32 = 3;
/// From the start of a wrap fault to the wrap.
const WRAP_AFTER: Duration = Duration::from_secs(30);
/// Everything of a v2c message but list and community, at most.
const COMMUNITY_OVERHEAD: usize = 48;
/// Everything of a v3 message but list and context name, at most.
const V3_OVERHEAD: usize = 248;
/// RFC 3412 §6: every engine takes messages of this size.
const MESSAGE_OCTETS_MIN: usize = 484;

/// What all agents of a simulator have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) community: Box<[u8]>,
    pub(super) users: Arc<[UsmUser]>,
    pub(super) message_octets_max: usize,
    pub(super) started: Monotonic,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) number: u32,
    pub(super) address: Ipv4Addr,
    pub(super) counts: Counts,
    pub(super) view: View,
    seed: u64,
    /// In the order of their beginning.
    faults: Vec<Fault>,
    authority: Option<Box<Authority>>,
    chance: u64,
}

/// Faults of answers, as they are on at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Active {
    pub(super) is_silent: bool,
    pub(super) delay: Option<Duration>,
    pub(super) is_wrong_source: bool,
    pub(super) is_garbage: bool,
    pub(super) variables_max: Option<usize>,
    pub(super) is_foreign_id: bool,
    pub(super) disorder: Disorder,
    loss: f64,
}

impl Agent {
    pub(super) fn new(number: u32, address: Ipv4Addr, seed: u64, view: View) -> Self {
        let seed = mix(seed ^ u64::from(number));
        Self {
            number,
            address,
            counts: Counts::new(seed),
            view,
            seed,
            faults: Vec::new(),
            authority: None,
            chance: seed,
        }
    }

    pub(super) fn add_fault(&mut self, fault: Fault) {
        let place = self
            .faults
            .partition_point(|other| other.from <= fault.from);
        self.faults.insert(place, fault);
    }

    /// Ends what lasts; what happened once has happened.
    pub(super) fn end_faults(&mut self, elapsed: Duration) {
        self.faults.retain(|fault| fault.from <= elapsed);
        for fault in &mut self.faults {
            let so_far = elapsed.saturating_sub(fault.from);
            fault.lasts = Some(fault.lasts.map_or(so_far, |lasts| lasts.min(so_far)));
        }
    }

    // === Life: pure functions of the time since the start ===

    /// Its state at this time.
    pub(super) fn moment(&self, elapsed: Duration) -> Moment {
        let head_start = UP_AT_START + Duration::from_secs(mix(self.seed) % UP_SPREAD_S);
        let mut moment = Moment {
            seed: self.seed,
            agent: self.number,
            up: head_start + elapsed,
            counting: head_start + elapsed,
            wraps_at: None,
            discontinuity_ticks: 0,
            moves: 0,
            boots: BOOTS_AT_START,
        };
        for fault in self.faults.iter().take_while(|fault| fault.from <= elapsed) {
            let since = elapsed - fault.from;
            let before = moment.up - since;
            match fault.kind {
                FaultKind::Reboot { boots } => {
                    moment.boots = boots.unwrap_or(moment.boots.saturating_add(1));
                    restart(&mut moment, since);
                }
                FaultKind::Reindex => {
                    moment.boots = moment.boots.saturating_add(1);
                    moment.moves += 1;
                    restart(&mut moment, since);
                }
                FaultKind::Reset => {
                    moment.counting = since;
                    moment.discontinuity_ticks = low(ticks(before));
                }
                _ => {}
            }
        }
        moment.wraps_at = self.wraps_at(&moment, elapsed);
        moment
    }

    /// When the counters of this life wrap on purpose: the offset holds for the whole of it.
    fn wraps_at(&self, moment: &Moment, elapsed: Duration) -> Option<Duration> {
        let wraps = self
            .faults
            .iter()
            .filter(|fault| fault.kind == FaultKind::Wrap);
        let ends = wraps
            .filter_map(|fault| (moment.counting + fault.from + WRAP_AFTER).checked_sub(elapsed));
        ends.min()
    }

    pub(super) fn active(&self, elapsed: Duration) -> Active {
        let mut active = Active::default();
        for fault in self.faults.iter().filter(|fault| fault.is_active(elapsed)) {
            match fault.kind {
                FaultKind::Silence => active.is_silent = true,
                FaultKind::Loss(ratio) => active.loss = active.loss.max(ratio),
                FaultKind::Delay(delay) => active.delay = active.delay.max(Some(delay)),
                FaultKind::WrongSource => active.is_wrong_source = true,
                FaultKind::Garbage => active.is_garbage = true,
                FaultKind::Stuck => active.disorder.is_stuck = true,
                FaultKind::Endless => active.disorder.is_endless = true,
                FaultKind::TooBig(count) => {
                    let least = active.variables_max.map_or(count, |other| other.min(count));
                    active.variables_max = Some(least);
                }
                FaultKind::ForeignId => active.is_foreign_id = true,
                FaultKind::Reboot { .. }
                | FaultKind::Reindex
                | FaultKind::Reset
                | FaultKind::Wrap => {}
            }
        }
        active
    }

    /// 64 bits, other ones each time, the same ones on each run.
    pub(super) fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(1);
        mix(self.chance)
    }

    // === Answers ===

    /// Counts a datagram and answers it, if it is to be answered.
    pub(super) fn receive<'r>(
        &mut self,
        datagram: &mut [u8],
        (shared, now): (&Shared, Monotonic),
        active: &Active,
        reply: &'r mut Reply,
    ) -> Option<&'r mut [u8]> {
        let moment = self.moment(now.since(shared.started));
        let answer = match version_of(datagram) {
            Ok(Version::V3) => self.receive_v3(datagram, (shared, now), (active, &moment), reply),
            Ok(_) => self.receive_community(datagram, shared, (active, &moment), reply),
            Err(_) => {
                self.counts.totals.malformed += 1;
                None
            }
        };
        // Counted as a request all the same: the network lost it, not the manager.
        if answer.is_some() && self.is_lost(active) {
            self.counts.totals.faulted += 1;
            return None;
        }
        answer
    }

    fn is_lost(&mut self, active: &Active) -> bool {
        // 53 bits are what a double holds.
        let drawn = (self.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        active.is_silent || drawn < active.loss
    }

    fn receive_community<'r>(
        &mut self,
        datagram: &[u8],
        shared: &Shared,
        (active, moment): (&Active, &Moment),
        reply: &'r mut Reply,
    ) -> Option<&'r mut [u8]> {
        let Ok(CommunityMessage {
            version,
            community,
            pdu: Pdu::Standard(pdu),
        }) = CommunityMessage::decode(datagram)
        else {
            self.counts.totals.malformed += 1;
            return None;
        };
        if *community != *shared.community {
            self.counts.totals.wrong_community += 1;
            return None;
        }
        reply.begin(
            shared
                .message_octets_max
                .saturating_sub(COMMUNITY_OVERHEAD + community.len()),
        );
        let head = self.respond(version, &pdu, (active, moment), reply)?;
        let mut writer = reply.writer();
        write_response(&mut writer, 0, version, community, &head);
        writer.finish().ok()
    }

    fn receive_v3<'r>(
        &mut self,
        datagram: &mut [u8],
        (shared, now): (&Shared, Monotonic),
        (active, moment): (&Active, &Moment),
        reply: &'r mut Reply,
    ) -> Option<&'r mut [u8]> {
        let mut authority = self.authority.take().or_else(|| self.engine(shared))?;
        let started = Monotonic(now.0.saturating_sub(nanos(moment.up)));
        authority.restart(moment.boots, started);
        let answer = match authority.receive(datagram, now) {
            Ok(AuthorityReceived::Report(report)) => {
                self.counts.totals.reports += 1;
                authority.seal_report(reply.whole(), &report, now).ok()
            }
            Ok(AuthorityReceived::Request { reply: to, pdu }) => {
                reply.begin(list_octets(shared, &to));
                self.respond(Version::V3, &pdu, (active, moment), reply)
                    .and_then(|head| {
                        let mut writer = reply.writer();
                        head.write(&mut writer, 0);
                        authority.seal_response(writer, &to, now).ok()
                    })
            }
            Err(_) => {
                self.counts.totals.malformed += 1;
                None
            }
        };
        self.authority = Some(authority);
        answer
    }

    fn respond(
        &mut self,
        version: Version,
        pdu: &PduView<'_>,
        (active, moment): (&Active, &Moment),
        reply: &mut Reply,
    ) -> Option<PduHead> {
        let is_request = pdu.kind().is_confirmed() && pdu.kind() != PduKind::Inform;
        if !is_request || pdu.varbinds().any(|bind| bind.is_err()) {
            self.counts.totals.malformed += 1;
            return None;
        }
        self.counts.request(pdu.kind());
        for bind in pdu.varbinds().flatten() {
            self.counts.name(bind.name);
        }
        if active.is_silent {
            self.counts.totals.faulted += 1;
            return None;
        }
        let mut head = answer(&self.view, version, pdu, (moment, active), reply);
        self.counts.totals.varbinds += reply.count() as u64;
        if active.is_foreign_id {
            head.request_id = head.request_id.wrapping_add(1);
        }
        Some(head)
    }

    /// The engine, made when the first v3 message comes.
    fn engine(&self, shared: &Shared) -> Option<Box<Authority>> {
        // RFC 3411 §5: enterprise 32473 (documentation), then 1 and the IPv4 address.
        let [first, second, third, fourth] = self.address.octets();
        let id = [0x80, 0, 0x7e, 0xd9, 1, first, second, third, fourth];
        let id = EngineId::new(&id).ok()?;
        let users = Arc::clone(&shared.users);
        let authority = Authority::new(id, BOOTS_AT_START, shared.started, users, self.seed);
        Some(Box::new(authority))
    }
}

/// Begins a new life `since` ago.
fn restart(moment: &mut Moment, since: Duration) {
    moment.up = since;
    moment.counting = since;
    moment.discontinuity_ticks = 0;
}

/// What the list of a v3 answer may take.
fn list_octets(shared: &Shared, to: &ReplyTo<'_>) -> usize {
    let asked = usize::try_from(to.max_size)
        .unwrap_or(usize::MAX)
        .max(MESSAGE_OCTETS_MIN);
    let limit = shared.message_octets_max.min(asked);
    limit.saturating_sub(V3_OVERHEAD + to.context_name.len())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
