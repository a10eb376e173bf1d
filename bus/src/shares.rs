//! Whose data goes at the hard cap, where several sites share a disk.
//!
//! Does: decide. Does not: rewrite or unlink (`retire`, `thin`).
//! In: what each owner holds in each segment, its bounds, the cap. Out: [`Loss`]es by segment.
//! Rule: who is furthest above its share loses its oldest first; who holds less than its minimum
//! loses only when nobody else is left; others' retention is as it was. Below the cap an owner
//! loses what it holds beyond its own maximum, a segment's worth at a time.
//! Invariant: nobody loses from a segment that is still written to.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::record::OriginId;
use crate::segment::SegmentNumber;

/// Most losses decided at once; the rest follows at the next tick.
const LOSSES_MAX: usize = 4_096;
/// An entry's `site` that stands for every site that none names.
const ANY_SITE: &str = "*";

/// The share of a site in this node's disk (design §8, "Fairness").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginShare {
    /// Name of a site, or `*` for each that no entry names.
    pub site: String,
    /// Bytes on disk below which others lose first.
    pub bytes_min: Option<u64>,
    /// Bytes on disk beyond which it loses its oldest; its share too. Without it the share is an
    /// equal part of the bus's own maximum.
    pub bytes_max: Option<u64>,
}

/// Who holds a share: a site with all its origins, or an origin that never said who it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Site(String),
    Origin(OriginId),
}

/// What the decision needs to know of a segment. In the order of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) number: SegmentNumber,
    pub(crate) is_sealed: bool,
    /// Bytes of data by owner.
    pub(crate) owned: BTreeMap<Owner, u64>,
    /// Bytes of all else: lane 1, footers, space set aside.
    pub(crate) other: u64,
}

/// Who loses its data of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) number: SegmentNumber,
    pub(crate) owners: BTreeSet<Owner>,
    /// Nobody else has data there: the segment goes.
    pub(crate) is_whole: bool,
}

/// Limits of the decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps<'a> {
    pub(crate) shares: &'a [OriginShare],
    /// Of all segments.
    pub(crate) bytes_max: u64,
    /// How far below the cap it goes once it is passed: a segment's worth, so that segments are
    /// not written anew for each block.
    pub(crate) step: u64,
}

/// What an owner holds, and may.
struct Account {
    held: u64,
    share: u64,
    bytes_min: u64,
    bytes_max: Option<u64>,
    /// Its sealed data, oldest first.
    queue: VecDeque<(SegmentNumber, u64)>,
}

impl Account {
    /// Greater: loses first. Who holds less than its minimum comes last.
    fn weight(&self) -> (bool, f64) {
        let is_above_min = self.held > self.bytes_min;
        (is_above_min, self.held as f64 / self.share as f64)
    }
}

/// Decides what goes now, by segment.
pub(crate) fn decide(holdings: &[Holding], caps: Caps<'_>) -> Vec<Loss> {
    let mut accounts = accounts(holdings, caps);
    let mut losses: BTreeMap<SegmentNumber, BTreeSet<Owner>> = BTreeMap::new();
    let sum = |holding: &Holding| holding.owned.values().sum::<u64>() + holding.other;
    let mut total: u64 = holdings.iter().map(sum).sum();
    let is_over = total > caps.bytes_max;
    let target = caps.bytes_max.saturating_sub(caps.step);
    // Each round takes an owner's data of a segment, so this ends.
    for _ in 0..LOSSES_MAX {
        let over_own = accounts
            .iter()
            .find(|(_, account)| exceeds_own_max(account));
        let chosen = match over_own {
            Some((owner, _)) => Some(owner.clone()),
            None if is_over && total > target => furthest(&accounts),
            None => None,
        };
        let Some(owner) = chosen else {
            break;
        };
        let Some(account) = accounts.get_mut(&owner) else {
            break;
        };
        let Some((number, bytes)) = account.queue.pop_front() else {
            break;
        };
        account.held -= bytes;
        total -= bytes;
        losses.entry(number).or_default().insert(owner);
    }
    let of_number = |number| holdings.iter().find(|holding| holding.number == number);
    let loss = |(number, owners): (SegmentNumber, BTreeSet<Owner>)| Loss {
        number,
        is_whole: of_number(number)
            .is_some_and(|holding| holding.owned.keys().all(|owner| owners.contains(owner))),
        owners,
    };
    losses.into_iter().map(loss).collect()
}

/// Whether an owner stays at its own maximum even without its oldest segment's worth.
fn exceeds_own_max(account: &Account) -> bool {
    let oldest = account.queue.front().map(|(_, bytes)| *bytes);
    let rest = oldest.map(|bytes| account.held - bytes);
    rest.zip(account.bytes_max)
        .is_some_and(|(rest, bytes_max)| rest >= bytes_max)
}

/// Who loses next at the cap: of equals the one with the oldest data.
fn furthest(accounts: &BTreeMap<Owner, Account>) -> Option<Owner> {
    let with_sealed = accounts
        .iter()
        .filter(|(_, account)| !account.queue.is_empty());
    let by_weight = |one: &Account, other: &Account| -> Ordering {
        let ((one_above, one_ratio), (other_above, other_ratio)) = (one.weight(), other.weight());
        let of_weight = one_above.cmp(&other_above);
        let of_weight = of_weight.then(one_ratio.total_cmp(&other_ratio));
        let oldest = |account: &Account| account.queue.front().map(|(number, _)| *number);
        of_weight.then(oldest(other).cmp(&oldest(one)))
    };
    with_sealed
        .max_by(|(_, one), (_, other)| by_weight(one, other))
        .map(|(owner, _)| owner.clone())
}

fn accounts(holdings: &[Holding], caps: Caps<'_>) -> BTreeMap<Owner, Account> {
    let mut accounts: BTreeMap<Owner, Account> = BTreeMap::new();
    let owners: BTreeSet<&Owner> = holdings.iter().flat_map(|it| it.owned.keys()).collect();
    let equal = caps.bytes_max / (owners.len() as u64).max(1);
    for owner in &owners {
        let bounds = bounds_of(owner, caps.shares);
        let bytes_min = bounds.and_then(|share| share.bytes_min).unwrap_or(0);
        let bytes_max = bounds.and_then(|share| share.bytes_max);
        let account = Account {
            held: 0,
            share: bytes_max.unwrap_or(equal).max(bytes_min).max(1),
            bytes_min,
            bytes_max,
            queue: VecDeque::new(),
        };
        accounts.insert((*owner).clone(), account);
    }
    for holding in holdings {
        for (owner, bytes) in &holding.owned {
            let Some(account) = accounts.get_mut(owner) else {
                continue;
            };
            account.held += bytes;
            if holding.is_sealed {
                account.queue.push_back((holding.number, *bytes));
            }
        }
    }
    accounts
}

fn bounds_of<'a>(owner: &Owner, shares: &'a [OriginShare]) -> Option<&'a OriginShare> {
    let named = |share: &&OriginShare| matches!(owner, Owner::Site(site) if *site == share.site);
    let any = || shares.iter().find(|share| share.site == ANY_SITE);
    shares.iter().find(named).or_else(any)
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
