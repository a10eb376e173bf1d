//! Which member of a group `any` a node dials, and when it moves back.
//!
//! Does: rank the members for a site, fail over, move back to a better one after 60 s of health, as
//! a pure state machine. Does not: dial, draw, read a clock.
//! In: what happened to a member, and when. Out: the next [`Step`].
//! All nodes of a site rank the members alike, so the site's streams meet at one of them; a member
//! that comes and goes draws nobody back before it has answered for 60 s on end.

use std::time::Duration;

use ocelli_model::clock::Monotonic;
use xxhash_rust::xxh3::xxh3_64;

use super::backoff::backoff;

/// A better member is moved back to after it has answered for so long.
pub const HEALTHY_FOR: Duration = Duration::from_secs(60);
/// A link that stood for so long was a success; one that ends sooner counts as another failure, so
/// that a member that takes links and drops them is not dialled ten times a second.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// How often a better member is asked whether it lives.
pub const PROBE_EVERY: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A link to the member stands.
    Connected(usize),
    /// It could not be dialled; 64 random bits spread the next attempt.
    DialFailed(usize, u64),
    /// The link to it has ended.
    Lost(usize, u64),
    /// The link to it was ended here, to be made anew: no failure.
    Left(usize),
    /// It answered a probe.
    ProbeAnswered(usize),
    /// It did not.
    ProbeFailed(usize),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Dial this member and report.
    Dial(usize),
    /// Ask this better member whether it lives, and report; the link stands meanwhile.
    Probe(usize),
    /// Dial this better member, and end the present link once the new one stands.
    MoveTo(usize),
    /// Nothing until then, or an event.
    WaitUntil(Monotonic),
    /// Nothing until an event: the best member is connected.
    Stay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Member {
    failures: u32,
    retry_at: Monotonic,
    connected_since: Monotonic,
    /// Since when it has answered every probe.
    healthy_since: Option<Monotonic>,
    probe_at: Monotonic,
}

/// The state of a group's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Members, best first.
    rank: Vec<usize>,
    /// By number.
    members: Vec<Member>,
    connected: Option<usize>,
    healthy_for: Duration,
    /// Dialled before all others, once: its link is being made anew.
    again: Option<usize>,
}

impl Choice {
    /// A choice among `members` for the nodes of `site`. Members are told apart by their names, so
    /// their order in the configuration does not matter.
    #[must_use]
    pub fn new(site: &str, members: &[&str]) -> Self {
        let weight = |member: &str| {
            let mut bytes = site.as_bytes().to_vec();
            bytes.push(0);
            bytes.extend_from_slice(member.as_bytes());
            xxh3_64(&bytes)
        };
        let mut rank: Vec<usize> = (0..members.len()).collect();
        rank.sort_by_key(|number| {
            let name = members.get(*number).copied().unwrap_or_default();
            (std::cmp::Reverse(weight(name)), name)
        });
        Self {
            rank,
            members: vec![Member::default(); members.len()],
            connected: None,
            again: None,
            healthy_for: HEALTHY_FOR,
        }
    }

    /// The same, moving back after another time of health than [`HEALTHY_FOR`].
    #[must_use]
    pub fn moving_back_after(self, healthy_for: Duration) -> Self {
        Self {
            healthy_for,
            ..self
        }
    }

    /// The members, best first.
    #[must_use]
    pub fn rank(&self) -> &[usize] {
        &self.rank
    }

    /// The member that is connected.
    #[must_use]
    pub fn connected(&self) -> Option<usize> {
        self.connected
    }

    /// Takes an event in and answers what to do next.
    pub fn on(&mut self, event: Event, now: Monotonic) -> Step {
        match event {
            Event::Connected(number) => {
                self.connected = Some(number);
                self.again = None;
                self.change(number, |member| {
                    member.connected_since = now;
                    member.retry_at = now;
                    member.healthy_since = None;
                });
            }
            Event::DialFailed(number, random) => {
                self.again = None;
                self.fail(number, random, now);
            }
            Event::Lost(number, random) => {
                if self.connected == Some(number) {
                    self.connected = None;
                    self.change(number, |member| {
                        if now.since(member.connected_since) >= STABLE_AFTER {
                            member.failures = 0;
                        }
                    });
                }
                self.fail(number, random, now);
            }
            Event::Left(number) => {
                self.connected = None;
                self.again = Some(number);
            }
            Event::ProbeAnswered(number) => {
                let probe_at = self.next_probe(now);
                self.change(number, |member| {
                    member.healthy_since.get_or_insert(now);
                    member.probe_at = probe_at;
                });
            }
            Event::ProbeFailed(number) => {
                let probe_at = self.next_probe(now);
                self.change(number, |member| {
                    member.healthy_since = None;
                    member.probe_at = probe_at;
                });
            }
        }
        self.step(now)
    }

    /// What to do now.
    #[must_use]
    pub fn step(&self, now: Monotonic) -> Step {
        match self.connected {
            Some(number) => self.step_connected(number, now),
            None => self.step_apart(now),
        }
    }

    /// The best member whose pause is over; else the shortest wait.
    fn step_apart(&self, now: Monotonic) -> Step {
        if let Some(number) = self.again {
            return Step::Dial(number);
        }
        let mut until = None;
        for (number, member) in self.ranked() {
            if member.retry_at <= now {
                return Step::Dial(number);
            }
            until = Some(until.map_or(member.retry_at, |at: Monotonic| at.min(member.retry_at)));
        }
        until.map_or(Step::Stay, Step::WaitUntil)
    }

    /// Better members are probed; the best that is healthy for long enough is moved to.
    fn step_connected(&self, connected: usize, now: Monotonic) -> Step {
        let mut next = Step::Stay;
        for (number, member) in self.ranked().take_while(|(number, _)| *number != connected) {
            let is_ripe = member
                .healthy_since
                .is_some_and(|since| now.since(since) >= self.healthy_for);
            if is_ripe && member.retry_at <= now {
                return Step::MoveTo(number);
            }
            let at = member.probe_at;
            next = match next {
                Step::Probe(_) => next,
                _ if at <= now => Step::Probe(number),
                Step::WaitUntil(other) => Step::WaitUntil(other.min(at)),
                _ => Step::WaitUntil(at),
            };
        }
        next
    }

    fn ranked(&self) -> impl Iterator<Item = (usize, Member)> {
        let member = |number: &usize| Some((*number, *self.members.get(*number)?));
        self.rank.iter().filter_map(member)
    }

    /// Six times within the time of health at least, so that one answer does not count for all.
    fn next_probe(&self, now: Monotonic) -> Monotonic {
        now.after(PROBE_EVERY.min(self.healthy_for / 6))
    }

    fn fail(&mut self, number: usize, random: u64, now: Monotonic) {
        let probe_at = self.next_probe(now);
        self.change(number, |member| {
            member.failures = member.failures.saturating_add(1);
            member.retry_at = now.after(backoff(member.failures, random));
            member.healthy_since = None;
            member.probe_at = probe_at;
        });
    }

    fn change(&mut self, number: usize, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members.get_mut(number) {
            change(member);
        }
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
