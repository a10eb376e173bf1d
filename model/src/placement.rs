//! Placement: which node polls which shard, and who stands by.
//!
//! Does: give shards of dead, leaving and ineligible nodes to others, even the load of the rest out
//! with few moves, choose standbys. Does not: measure costs, know leases (the caller moves a shard
//! of a silent node only after its lease), commit anything, read clocks.
//! In: [`Placement`]: nodes, shards with their cost, what stands. Out: [`Move`]s, in the order in
//! which they are to be made, each with its reason.
//! Cost: n shards and m nodes take O(n log n + n × m + balancing moves × n × m).
//! Invariants: the same input gives the same moves on every node; nothing moves to a node that may
//! not have it; a plan that is balanced, or was just made, is left alone.

use std::collections::BTreeMap;
use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// How far the most loaded node may lie above the least loaded one, percent of it, before load is
/// evened out.
pub const IMBALANCE_PERCENT_MAX: u64 = 10;
/// Moves of one plan that only even out load; those of shards without an owner are not bounded.
pub const BALANCING_MOVES_MAX: usize = 64;

/// The unit of assignment: devices of one eligibility set whose hash is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    /// Which eligibility set, as an index into [`Placement::sets`].
    pub set: u16,
    /// Hash of the device key, below [`crate::catalog::SHARDS`].
    pub number: u16,
}

/// A node that could poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it may be given.
    pub state: NodeState,
}

/// What a node may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It polls and takes more.
    Up,
    /// It polls what it has until that is taken over, and takes nothing.
    Draining,
    /// Its lease is over: what it has goes elsewhere.
    Down,
}

/// A shard as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Which.
    pub shard: Shard,
    /// What polling it costs: microseconds of a core a minute, as measured.
    pub cost: u64,
    /// Who polls it.
    pub owner: Option<&'a str>,
    /// Who follows its stream.
    pub standby: Option<&'a str>,
    /// Whether it was moved so lately that its cost is not known yet: it stays where it is unless
    /// it must move.
    pub is_settling: bool,
}

/// What there is to place.
#[derive(Debug, Clone, Copy)]
pub struct Placement<'p, 'a> {
    /// All nodes that poll, witnesses left out.
    pub nodes: &'p [Node<'a>],
    /// Of each eligibility set the names of its nodes, ascending.
    pub sets: &'p [Vec<&'a str>],
    /// All shards that hold a device.
    pub shards: &'p [Standing<'a>],
    /// Moves allowed that only even out load: none for a new leader's first plan.
    pub balancing_moves_max: usize,
}

/// One change of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move<'a> {
    /// Which shard.
    pub shard: Shard,
    /// Who polled it.
    pub from: Option<&'a str>,
    /// Who polls it from now on; `None`: no node may, its slots are gaps `no_owner`.
    pub to: Option<&'a str>,
    /// Who follows its stream from now on.
    pub standby: Option<&'a str>,
    /// Why.
    pub reason: Reason,
}

/// Why a shard moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nobody had it.
    Unowned,
    /// Its owner is down.
    OwnerDown,
    /// Its owner is no member any more, or no longer of the shard's eligibility set.
    OwnerIneligible,
    /// Its owner is drained.
    Drained,
    /// No node may have it.
    NoNode,
    /// Its owner has more to do than others.
    Load,
    /// It stays; only who stands by is another.
    Standby,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unowned => "nobody had it",
            Self::OwnerDown => "its owner is down",
            Self::OwnerIneligible => "its owner may not have it",
            Self::Drained => "its owner is drained",
            Self::NoNode => "no node may have it",
            Self::Load => "its owner has more to do than others",
            Self::Standby => "its standby changes",
        })
    }
}

/// The moves that lead from what stands to a plan in which each shard has an eligible owner and
/// load is even, as far as `balancing_moves_max` reaches.
#[must_use]
pub fn decide_moves<'a>(placement: &Placement<'_, 'a>) -> Vec<Move<'a>> {
    let mut desk = Desk::new(placement);
    let mut moves = desk.give_to_owners();
    moves.extend(desk.even_out(placement.balancing_moves_max));
    moves.extend(desk.stand_by());
    for one in &mut moves {
        one.standby = desk.standby_of(one.shard);
    }
    moves
}

/// A plan under way: what stands, as if the moves so far were made.
struct Desk<'p, 'a> {
    placement: Placement<'p, 'a>,
    states: BTreeMap<&'a str, NodeState>,
    /// Cost that each node polls.
    loads: BTreeMap<&'a str, u64>,
    /// What each node that takes shards would have, were all the same.
    mean: u64,
    /// By shard: its place in `placement.shards`.
    places: BTreeMap<Shard, usize>,
    owners: Vec<Option<&'a str>>,
    standbys: Vec<Option<&'a str>>,
    is_moved: Vec<bool>,
}

impl<'p, 'a> Desk<'p, 'a> {
    fn new(placement: &Placement<'p, 'a>) -> Self {
        let nodes = placement.nodes;
        let shards = placement.shards;
        let takers = nodes.iter().filter(|node| node.state == NodeState::Up);
        let total: u64 = shards.iter().map(|it| it.cost).sum();
        let mut desk = Self {
            mean: total / takers.count().max(1) as u64,
            placement: *placement,
            states: nodes.iter().map(|node| (node.name, node.state)).collect(),
            loads: nodes.iter().map(|node| (node.name, 0)).collect(),
            places: shards
                .iter()
                .enumerate()
                .map(|(place, it)| (it.shard, place))
                .collect(),
            owners: shards.iter().map(|it| it.owner).collect(),
            standbys: shards.iter().map(|it| it.standby).collect(),
            is_moved: vec![false; shards.len()],
        };
        for it in shards {
            if let Some(load) = it.owner.and_then(|owner| desk.loads.get_mut(owner)) {
                *load += it.cost;
            }
        }
        desk
    }

    // === What must move ===

    /// Shards that their owner may not keep, dearest first: so the last ones even out.
    fn give_to_owners(&mut self) -> Vec<Move<'a>> {
        let shards = self.placement.shards;
        let mut due: Vec<(usize, Reason)> = (0..shards.len())
            .filter_map(|place| Some((place, self.must_move(place)?)))
            .collect();
        due.sort_by_key(|(place, _)| {
            (std::cmp::Reverse(shards[*place].cost), shards[*place].shard)
        });
        let mut moves = Vec::with_capacity(due.len());
        for (place, reason) in due {
            let from = self.owners[place];
            let to = self.heir(place);
            // While nobody takes it, a drained node goes on.
            if to.is_none() && (reason == Reason::Drained || from.is_none()) {
                continue;
            }
            let reason = if to.is_some() { reason } else { Reason::NoNode };
            moves.push(self.give(place, to, reason));
        }
        moves
    }

    fn must_move(&self, place: usize) -> Option<Reason> {
        let Some(owner) = self.owners[place] else {
            return Some(Reason::Unowned);
        };
        match self.states.get(owner) {
            _ if !self.is_eligible(place, owner) => Some(Reason::OwnerIneligible),
            None => Some(Reason::OwnerIneligible),
            Some(NodeState::Down) => Some(Reason::OwnerDown),
            Some(NodeState::Draining) => Some(Reason::Drained),
            Some(NodeState::Up) => None,
        }
    }

    /// Who takes a shard that must move: its standby, which holds the rate state already, unless
    /// that would leave it above all others by more than the shard is worth; else the least loaded.
    fn heir(&self, place: usize) -> Option<&'a str> {
        let least = self.least_loaded(place, None)?;
        let standby = self.standbys[place].filter(|node| self.may_take(place, node));
        match standby {
            Some(standby) if self.load(standby) <= self.load(least).max(self.mean) => Some(standby),
            _ => Some(least),
        }
    }

    // === Load ===

    /// Moves shards from the most to the least loaded node that may have them, until they lie
    /// within [`IMBALANCE_PERCENT_MAX`] or no move brings them closer.
    fn even_out(&mut self, moves_max: usize) -> Vec<Move<'a>> {
        let mut moves = Vec::new();
        while moves.len() < moves_max {
            let Some((place, to)) = self.best_move() else {
                break;
            };
            moves.push(self.give(place, Some(to), Reason::Load));
        }
        moves
    }

    /// From the most loaded node that has a shard to give: the one that brings it and the least
    /// loaded node that may have it closest together.
    fn best_move(&self) -> Option<(usize, &'a str)> {
        let mut from: Vec<&str> = self.loads.keys().copied().collect();
        from.sort_by_key(|node| (std::cmp::Reverse(self.load(node)), *node));
        from.into_iter().find_map(|node| self.best_move_from(node))
    }

    fn best_move_from(&self, from: &str) -> Option<(usize, &'a str)> {
        let high = self.load(from);
        let mut best: Option<(u64, u64, usize, &'a str)> = None;
        // Shards of one set have the same candidates.
        let mut takers: BTreeMap<u16, Option<&'a str>> = BTreeMap::new();
        for (place, it) in self.placement.shards.iter().enumerate() {
            if self.owners[place] != Some(from) || it.is_settling || self.is_moved[place] {
                continue;
            }
            let taker = takers.entry(it.shard.set);
            let Some(to) = *taker.or_insert_with(|| self.least_loaded(place, Some(from))) else {
                continue;
            };
            let low = self.load(to);
            if high * 100 <= low * (100 + IMBALANCE_PERCENT_MAX) || low + it.cost >= high {
                continue;
            }
            // What is left between the two; the dearest that does not turn them round is best.
            let left = (high - it.cost).abs_diff(low + it.cost);
            let key = (left, tie(it.shard), place, to);
            if best.is_none_or(|found| key < found) {
                best = Some(key);
            }
        }
        best.map(|(_, _, place, to)| (place, to))
    }

    // === Standbys ===

    /// Changes of standbys where the owner stays: the standing one is kept while it may take over.
    fn stand_by(&mut self) -> Vec<Move<'a>> {
        let mut follows: BTreeMap<&'a str, u64> = self.loads.clone();
        let mut changes = Vec::new();
        for place in 0..self.placement.shards.len() {
            let standing = self.placement.shards[place];
            let owner = self.owners[place];
            let kept = self.standbys[place]
                .filter(|node| Some(*node) != owner && self.may_take(place, node));
            let chosen = kept.or_else(|| self.follower(place, &follows));
            if let Some(load) = chosen.and_then(|node| follows.get_mut(node)) {
                *load += standing.cost;
            }
            self.standbys[place] = chosen;
            if chosen != standing.standby && !self.is_moved[place] {
                changes.push(Move {
                    shard: standing.shard,
                    from: owner,
                    to: owner,
                    standby: chosen,
                    reason: Reason::Standby,
                });
            }
        }
        changes
    }

    /// The node with the least to do, if it had to take over all that it follows.
    fn follower(&self, place: usize, follows: &BTreeMap<&'a str, u64>) -> Option<&'a str> {
        let owner = self.owners[place]?;
        let may = self.takers(place).filter(|node| *node != owner);
        may.min_by_key(|node| {
            let load = follows.get(node).copied().unwrap_or(0);
            (load, self.tie_of(place, node))
        })
    }

    fn standby_of(&self, shard: Shard) -> Option<&'a str> {
        self.places
            .get(&shard)
            .and_then(|place| self.standbys[*place])
    }

    // === Words ===

    fn give(&mut self, place: usize, to: Option<&'a str>, reason: Reason) -> Move<'a> {
        let standing = self.placement.shards[place];
        let from = std::mem::replace(&mut self.owners[place], to);
        if let Some(load) = from.and_then(|node| self.loads.get_mut(node)) {
            *load -= standing.cost;
        }
        if let Some(load) = to.and_then(|node| self.loads.get_mut(node)) {
            *load += standing.cost;
        }
        self.is_moved[place] = true;
        Move {
            shard: standing.shard,
            from,
            to,
            standby: None,
            reason,
        }
    }

    /// Nodes that may take a shard.
    fn takers(&self, place: usize) -> impl Iterator<Item = &'a str> {
        let set = usize::from(self.placement.shards[place].shard.set);
        let nodes = self.placement.sets.get(set).into_iter().flatten();
        let may = |node: &&&'a str| self.states.get(**node) == Some(&NodeState::Up);
        nodes.filter(may).copied()
    }

    fn may_take(&self, place: usize, node: &str) -> bool {
        self.takers(place).any(|taker| taker == node)
    }

    fn is_eligible(&self, place: usize, node: &str) -> bool {
        let set = usize::from(self.placement.shards[place].shard.set);
        let nodes = self.placement.sets.get(set);
        nodes.is_some_and(|nodes| nodes.contains(&node))
    }

    fn least_loaded(&self, place: usize, but: Option<&str>) -> Option<&'a str> {
        let takers = self.takers(place).filter(|node| Some(*node) != but);
        takers.min_by_key(|node| (self.load(node), self.tie_of(place, node)))
    }

    fn load(&self, node: &str) -> u64 {
        self.loads.get(node).copied().unwrap_or(0)
    }

    fn tie_of(&self, place: usize, node: &str) -> u64 {
        xxh3_64(node.as_bytes()) ^ tie(self.placement.shards[place].shard)
    }
}

/// Orders shards of equal cost: the same on every node, and not by number, so that neighbours go to
/// different nodes.
fn tie(shard: Shard) -> u64 {
    xxh3_64(&[shard.set.to_le_bytes(), shard.number.to_le_bytes()].concat())
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
