//! Which link speaks for which live origin, so that a copy of a node is seen.
//!
//! Does: tell a node that dials again (its old link is dead and not yet timed out) from two nodes
//! that state one origin (both are refused). Does not: know blocks; forwarded origins may come over
//! many links.
//! In: [`OriginClaim`]s, signs of life, ends of links, time. Out: [`OriginEvent`]s.
//! How: a second claim waits; if the first link says anything meanwhile there are two, and both are
//! refused for [`QUARANTINE`]; if it is silent it is dead, and the second takes its place. Uplinks
//! say something at least each second.

use std::collections::BTreeMap;
use std::time::Duration;

use ocelli_bus::record::OriginId;
use ocelli_model::clock::Monotonic;

/// How long a second claim waits for a sign of the first: two heads' intervals and a late one.
pub const CONTEST_WAIT: Duration = Duration::from_millis(2_500);
/// How long an origin that two nodes stated is refused.
pub const QUARANTINE: Duration = Duration::from_secs(60);

/// The acceptor's number of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkNumber(pub u64);

/// A dialler states its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginClaim {
    /// The origin that it writes.
    pub origin: OriginId,
    /// Its link.
    pub link: LinkNumber,
}

/// What becomes of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginEvent {
    /// Welcome it.
    Admit(LinkNumber),
    /// End it, or refuse it, with `duplicate_origin`.
    Refuse(LinkNumber),
    /// Its node dialled again: end it without a word.
    Supersede(LinkNumber),
}

#[derive(Debug)]
struct Holder {
    link: LinkNumber,
    waiting: Option<(LinkNumber, Monotonic)>,
}

/// Live origins of a node's links.
#[derive(Debug, Default)]
pub struct LiveOrigins {
    holders: BTreeMap<OriginId, Holder>,
    quarantined: BTreeMap<OriginId, Monotonic>,
}

impl LiveOrigins {
    /// A dialler states its origin. No event: it waits; ask [`Self::tick`].
    pub fn claim(&mut self, claim: OriginClaim, now: Monotonic) -> Vec<OriginEvent> {
        let OriginClaim { origin, link } = claim;
        if self
            .quarantined
            .get(&origin)
            .is_some_and(|until| *until > now)
        {
            return vec![OriginEvent::Refuse(link)];
        }
        self.quarantined.remove(&origin);
        let Some(holder) = self.holders.get_mut(&origin) else {
            self.holders.insert(
                origin,
                Holder {
                    link,
                    waiting: None,
                },
            );
            return vec![OriginEvent::Admit(link)];
        };
        let until = now.after(CONTEST_WAIT);
        match holder.waiting.replace((link, until)) {
            // A third claim: the one that waited dialled again, or is one too many. It is gone.
            Some((before, _)) => vec![OriginEvent::Supersede(before)],
            None => Vec::new(),
        }
    }

    /// Something came over a link that was admitted.
    pub fn heard(&mut self, claim: OriginClaim, now: Monotonic) -> Vec<OriginEvent> {
        let OriginClaim { origin, link } = claim;
        let holder = self.holders.get(&origin);
        let Some((second, _)) = holder
            .filter(|held| held.link == link)
            .and_then(|h| h.waiting)
        else {
            return Vec::new();
        };
        self.holders.remove(&origin);
        self.quarantined.insert(origin, now.after(QUARANTINE));
        vec![OriginEvent::Refuse(link), OriginEvent::Refuse(second)]
    }

    /// A link ended.
    pub fn ended(&mut self, claim: OriginClaim) -> Vec<OriginEvent> {
        let OriginClaim { origin, link } = claim;
        let Some(holder) = self.holders.get_mut(&origin) else {
            return Vec::new();
        };
        if holder.waiting.is_some_and(|(waiting, _)| waiting == link) {
            holder.waiting = None;
        }
        if holder.link != link {
            return Vec::new();
        }
        match holder.waiting {
            Some((waiting, _)) => {
                *holder = Holder {
                    link: waiting,
                    waiting: None,
                };
                vec![OriginEvent::Admit(waiting)]
            }
            None => {
                self.holders.remove(&origin);
                Vec::new()
            }
        }
    }

    /// Time passed: silent links make room.
    pub fn tick(&mut self, now: Monotonic) -> Vec<OriginEvent> {
        self.quarantined.retain(|_, until| *until > now);
        let mut events = Vec::new();
        for holder in self.holders.values_mut() {
            if let Some((waiting, _)) = holder.waiting.filter(|(_, until)| *until <= now) {
                events.push(OriginEvent::Supersede(holder.link));
                events.push(OriginEvent::Admit(waiting));
                *holder = Holder {
                    link: waiting,
                    waiting: None,
                };
            }
        }
        events
    }

    /// Origins that two nodes stated not long ago.
    pub fn quarantined(&self) -> impl Iterator<Item = OriginId> + '_ {
        self.quarantined.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(link: u64) -> OriginClaim {
        OriginClaim {
            origin: OriginId(7),
            link: LinkNumber(link),
        }
    }

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms * 1_000_000)
    }

    #[test]
    fn a_node_that_dials_again_takes_the_place_of_its_dead_link() {
        let mut origins = LiveOrigins::default();
        assert_eq!(
            origins.claim(claim(1), at(0)),
            [OriginEvent::Admit(LinkNumber(1))]
        );
        assert_eq!(origins.claim(claim(2), at(10)), []);
        assert_eq!(origins.tick(at(2_000)), []);
        let supersede = OriginEvent::Supersede(LinkNumber(1));
        let admit = OriginEvent::Admit(LinkNumber(2));
        assert_eq!(origins.tick(at(2_511)), [supersede, admit]);
        assert_eq!(origins.ended(claim(1)), []);
        assert_eq!(origins.heard(claim(2), at(2_600)), []);
        assert_eq!(origins.ended(claim(2)), []);
        assert_eq!(
            origins.claim(claim(3), at(2_700)),
            [OriginEvent::Admit(LinkNumber(3))]
        );
    }

    #[test]
    fn a_dead_link_that_ends_lets_the_next_in_at_once() {
        let mut origins = LiveOrigins::default();
        origins.claim(claim(1), at(0));
        origins.claim(claim(2), at(1));
        assert_eq!(
            origins.claim(claim(3), at(2)),
            [OriginEvent::Supersede(LinkNumber(2))]
        );
        assert_eq!(origins.ended(claim(2)), []);
        assert_eq!(origins.ended(claim(1)), [OriginEvent::Admit(LinkNumber(3))]);
    }

    #[test]
    fn two_live_nodes_with_one_origin_are_both_refused_for_a_while() {
        let mut origins = LiveOrigins::default();
        origins.claim(claim(1), at(0));
        origins.claim(claim(2), at(1));
        let both = [
            OriginEvent::Refuse(LinkNumber(1)),
            OriginEvent::Refuse(LinkNumber(2)),
        ];
        assert_eq!(origins.heard(claim(1), at(900)), both);
        assert_eq!(
            origins.claim(claim(3), at(1_000)),
            [OriginEvent::Refuse(LinkNumber(3))]
        );
        assert_eq!(origins.quarantined().collect::<Vec<_>>(), [OriginId(7)]);
        assert_eq!(origins.tick(at(62_000)), []);
        assert_eq!(
            origins.claim(claim(4), at(62_000)),
            [OriginEvent::Admit(LinkNumber(4))]
        );
    }

    #[test]
    fn a_claim_that_gives_up_leaves_the_first_alone() {
        let mut origins = LiveOrigins::default();
        origins.claim(claim(1), at(0));
        origins.claim(claim(2), at(1));
        assert_eq!(origins.ended(claim(2)), []);
        assert_eq!(origins.heard(claim(1), at(900)), []);
    }
}
