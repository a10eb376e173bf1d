//! From a discovery run to commands: the difference, and the guard against sources that shrink.
//!
//! Does: compare what a run found with what its discovery had found before, decide whether that
//! may be committed, cut it into commands of bounded size. Does not: run discoveries, commit.
//! In: [`State`], [`DiscoveryRun`]. Out: [`DiscoveryDecision`].
//! Rules: Panoptes' resource manager (what is stored and newer is neither replaced nor removed),
//! keyed by (discovery, site); refused rows never count as removed; an empty set, or one that
//! takes from a site over 20 % and over 5 of its resources, is held whole until an operator agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::command::{COMMAND_BYTES_MAX, Command};
use super::{Claim, Held, HeldCounts, Source, State};
use crate::resource::{RESOURCE_BYTES_MAX, Refusal, Resource, ResourceId};
use crate::unix_seconds::UnixSeconds;

/// A site may lose this share of a discovery's resources at once.
pub const SHRINK_PERMILLE_MAX: usize = 200;
/// So many may vanish whatever their share: small sites change by a few.
pub const SHRINK_COUNT_FREE: usize = 5;
/// What a resource adds to a command besides its text: lengths, times, variants.
const RESOURCE_OVERHEAD_BYTES: usize = 64;
/// A command is closed when it has this size: one more resource still fits.
const COMMAND_BYTES_FULL: usize = COMMAND_BYTES_MAX - RESOURCE_BYTES_MAX - 1_024;
/// Longest reason of a failure that is kept, characters.
const REASON_CHARS_MAX: usize = 1_024;

/// What a discovery found in one run that read its source to the end.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscoveryRun {
    /// Name of the discovery.
    pub source: String,
    /// When the run ended.
    pub at: UnixSeconds,
    /// The creation time that stands in rows that bring none (`ResourceDefaults::now`). `None` for
    /// sources whose rows all bring theirs.
    pub undated: Option<UnixSeconds>,
    /// The sound rows. Of equal identities the first counts.
    pub resources: Vec<Resource>,
    /// The others.
    pub refusals: Vec<Refusal>,
}

/// How a run differs from what its discovery had found before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DiscoveryDifference {
    /// New.
    pub added: Vec<Arc<Resource>>,
    /// The same identity with another content, or seen again after its row was refused.
    pub changed: Vec<Arc<Resource>>,
    /// No longer there.
    pub removed: Vec<ResourceId>,
    /// Not found, but maybe only because rows are refused: they stay.
    pub kept: Vec<ResourceId>,
    /// How many are as before.
    pub unchanged: usize,
}

/// What is to be done with a run.
#[derive(Debug, Clone, PartialEq)]
pub enum DiscoveryDecision {
    /// Commit these commands in this order.
    Commit {
        /// One `Finish` at least.
        commands: Vec<Command>,
        /// What they change.
        difference: DiscoveryDifference,
    },
    /// Change nothing; commit that it is held, if that is news.
    Hold {
        /// A `Hold`, unless the same set is held already.
        command: Option<Command>,
        /// What it would change.
        difference: DiscoveryDifference,
    },
}

/// Decides what to do with a run.
#[must_use]
pub fn decide_discovery(state: &State, run: &DiscoveryRun) -> DiscoveryDecision {
    let nothing = Source::default();
    let known = state.sources.get(&run.source).unwrap_or(&nothing);
    let difference = compare(known, run);
    let hash = hash_of(&difference.removed);
    if known.approved != Some(hash)
        && let Some(reason) = shrinks_too_much(known, run, &difference)
    {
        let is_news = known.failure.is_some()
            || known
                .held
                .as_ref()
                .is_none_or(|held| (held.hash, &held.reason) != (hash, &reason));
        let counts = HeldCounts {
            added: difference.added.len() as u64,
            changed: difference.changed.len() as u64,
            removed: difference.removed.len() as u64,
            current: known.claims.len() as u64,
        };
        let held = Held {
            at: run.at,
            hash,
            counts,
            reason,
        };
        let command = is_news.then(|| Command::Hold {
            source: run.source.clone(),
            held,
        });
        return DiscoveryDecision::Hold {
            command,
            difference,
        };
    }
    let commands = commands_of(known, run, &difference);
    DiscoveryDecision::Commit {
        commands,
        difference,
    }
}

/// The command for a run that failed, if that is news: the first failure, or another reason.
#[must_use]
pub fn decide_failure(
    state: &State,
    source: &str,
    at: UnixSeconds,
    reason: &str,
) -> Option<Command> {
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let failure = state
        .sources
        .get(source)
        .and_then(|known| known.failure.as_ref());
    let is_news = failure.is_none_or(|failure| failure.reason != reason);
    is_news.then(|| Command::Fail {
        source: source.to_owned(),
        at,
        reason,
    })
}

/// The command that ends what has outlived its time to live, if anything has.
#[must_use]
pub fn decide_expiry(state: &State, now: UnixSeconds) -> Option<Command> {
    let has_expired = state.sources.iter().any(|(name, source)| {
        let is_configured = state.order.contains(name);
        let orphaned = if is_configured { None } else { source.finished };
        let mut ends = source
            .claims
            .values_unsorted()
            .filter_map(|claim| claim.expires(orphaned));
        ends.any(|end| end <= now.get()) || (source.claims.is_empty() && !is_configured)
    });
    has_expired.then_some(Command::Expire { now })
}

// === The difference ===

fn compare(known: &Source, run: &DiscoveryRun) -> DiscoveryDifference {
    let mut difference = DiscoveryDifference::default();
    let mut found = BTreeMap::new();
    for resource in &run.resources {
        found.entry(resource.id()).or_insert(resource);
    }
    for (id, resource) in &found {
        match known.claims.get(*id) {
            None => difference.added.push(Arc::new((*resource).clone())),
            Some(claim) => match change_of(claim, resource, run.undated) {
                Some(resource) => difference.changed.push(resource),
                None => difference.unchanged += 1,
            },
        }
    }
    let refused = Refused::of(&run.refusals);
    for (id, claim) in known.claims.iter() {
        if found.contains_key(id) {
            continue;
        }
        // Panoptes: what is newer than the set was found by someone who saw more.
        if claim.resource.created() > run.at {
            difference.unchanged += 1;
        } else if refused.may_be(id) {
            difference.kept.push(id.clone());
        } else {
            difference.removed.push(id.clone());
        }
    }
    difference
}

/// What the stored resource is to be replaced by, if it is. A creation time that was filled in is
/// no change, or every run would write every resource anew; one that was stated and is older than
/// the stored one is from someone who saw less.
fn change_of(
    claim: &Claim,
    found: &Resource,
    undated: Option<UnixSeconds>,
) -> Option<Arc<Resource>> {
    let stored = &claim.resource;
    let is_stated = undated != Some(found.created());
    let is_older = is_stated && found.created() < stored.created();
    let is_same_time = !is_stated || found.created() == stored.created();
    let is_same = is_older || (stored.is_same_but_created(found) && is_same_time);
    match (is_same, claim.unseen_since) {
        (true, None) => None,
        // Seen again: the claim is to be as fresh as its discovery.
        (true, Some(_)) => Some(Arc::clone(stored)),
        (false, _) => Some(Arc::new(found.clone())),
    }
}

/// What the refused rows may have been about.
struct Refused<'a> {
    identities: BTreeSet<&'a ResourceId>,
    ids: BTreeSet<&'a str>,
    /// A row without so much as an id may be about any resource.
    has_nameless: bool,
}

impl<'a> Refused<'a> {
    fn of(refusals: &'a [Refusal]) -> Self {
        let mut refused = Self {
            identities: BTreeSet::new(),
            ids: BTreeSet::new(),
            has_nameless: false,
        };
        for refusal in refusals {
            match (&refusal.identity, &refusal.id) {
                (Some(identity), _) => {
                    refused.identities.insert(identity);
                }
                (None, Some(id)) => {
                    refused.ids.insert(id);
                }
                (None, None) => refused.has_nameless = true,
            }
        }
        refused
    }

    fn may_be(&self, id: &ResourceId) -> bool {
        self.has_nameless || self.identities.contains(id) || self.ids.contains(id.id())
    }
}

// === The guard ===

/// Why the difference must not be committed unasked.
fn shrinks_too_much(
    known: &Source,
    run: &DiscoveryRun,
    difference: &DiscoveryDifference,
) -> Option<String> {
    if run.resources.is_empty() && !difference.removed.is_empty() {
        let current = known.claims.len();
        return Some(format!("the set is empty, {current} resources were known"));
    }
    let mut sites: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for id in known.claims.keys_unsorted() {
        sites.entry(id.site()).or_default().0 += 1;
    }
    for id in &difference.removed {
        sites.entry(id.site()).or_default().1 += 1;
    }
    let mut sites = sites.into_iter();
    let too_much = sites.find(|(_, (current, removed))| {
        *removed > SHRINK_COUNT_FREE && removed * 1_000 > current * SHRINK_PERMILLE_MAX
    });
    too_much.map(|(site, (current, removed))| {
        format!("{removed} of {current} resources of site {site:?} would go")
    })
}

/// Names a set of removals, so that an approval is of this set and no other.
fn hash_of(removed: &[ResourceId]) -> u128 {
    let texts: Vec<&str> = removed.iter().map(ResourceId::as_str).collect();
    xxh3_128(texts.join("\n").as_bytes())
}

// === Commands ===

fn commands_of(
    known: &Source,
    run: &DiscoveryRun,
    difference: &DiscoveryDifference,
) -> Vec<Command> {
    let source = || run.source.clone();
    let mut commands = Vec::new();
    let upserts = difference.added.iter().chain(&difference.changed).cloned();
    for resources in chunks(upserts, |resource| {
        resource.text_bytes() + RESOURCE_OVERHEAD_BYTES
    }) {
        commands.push(Command::Upsert {
            source: source(),
            resources,
        });
    }
    let id_bytes = |id: &ResourceId| id.as_str().len() + RESOURCE_OVERHEAD_BYTES;
    for ids in chunks(difference.removed.iter().cloned(), id_bytes) {
        commands.push(Command::Remove {
            source: source(),
            ids,
        });
    }
    let since = known.finished.unwrap_or(run.at);
    let is_news = |id: &&ResourceId| {
        known
            .claims
            .get(*id)
            .is_some_and(|claim| claim.unseen_since.is_none())
    };
    for ids in chunks(difference.kept.iter().filter(is_news).cloned(), id_bytes) {
        commands.push(Command::Keep {
            source: source(),
            ids,
            since,
        });
    }
    commands.push(Command::Finish {
        source: source(),
        at: run.at,
    });
    commands
}

/// Cuts `items` into lists of at most [`COMMAND_BYTES_FULL`] and one item more.
fn chunks<T>(items: impl Iterator<Item = T>, bytes_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut lists: Vec<Vec<T>> = Vec::new();
    let mut bytes = COMMAND_BYTES_FULL;
    for item in items {
        if bytes >= COMMAND_BYTES_FULL {
            lists.push(Vec::new());
            bytes = 0;
        }
        bytes += bytes_of(&item);
        if let Some(list) = lists.last_mut() {
            list.push(item);
        }
    }
    lists
}
