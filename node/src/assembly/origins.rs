//! How each origin that is known here stands: live, silent, or stale since when and why.
//!
//! Does: note links taken and ended and what neighbours say of the nodes below them; judge each
//! origin by it and by the age of its records; say what is told to a neighbour. Does not: decide
//! (`federation::links`), send (`telling`).
//! In: links, frames, the bus. Out: [`OriginStanding`]s for the API, words for neighbours.
//! Memory: bounded by the origins that lane 1 names, and by `WORDS_PER_LINK_MAX` words of a link on
//! others, which wait for their lane 1.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{Bus, OriginDescription, OriginFacts};
use ocelli_federation::frame::{OriginWord, StreamHead};
use ocelli_federation::identity::{PeerIdentity, SiteScope};
use ocelli_federation::ingest::Roster;
use ocelli_federation::links::{
    LinkWord, OriginState, Paths, Side, Toward, WORDS_PER_LINK_MAX, origin_state, origin_words,
};
use ocelli_model::clock::{Clock, WallMs};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Streams of one neighbour whose heads are kept.
const HEADS_PER_LINK_MAX: usize = 8_192;

/// An origin that is known here, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginStanding {
    /// What is held of it.
    pub facts: OriginFacts,
    /// How it is.
    pub state: OriginState,
    /// The origin that its node writes now; `None`: this one.
    pub replaced_by: Option<OriginId>,
}

#[derive(Default)]
struct Inner {
    paths: Paths,
    /// How far streams go at those who dialled in, by link.
    heads: BTreeMap<String, BTreeMap<StreamId, Seq>>,
    /// Words on origins whose lane 1 is not here yet, by link: it may come behind them.
    early: BTreeMap<String, Early>,
}

/// What cannot be judged by the speaker's scope before lane 1 says whose origin it is.
struct Early {
    scope: SiteScope,
    words: BTreeMap<OriginId, OriginWord>,
}

impl Inner {
    /// Hears the words whose origins are described by now.
    fn settle(&mut self, bus: &Bus, now: WallMs) {
        for (link, early) in &mut self.early {
            let described = |origin: &OriginId| bus.definitions().origin_of(*origin).is_some();
            let ready: Vec<OriginId> = early.words.keys().copied().filter(described).collect();
            let words = ready.iter().filter_map(|origin| early.words.remove(origin));
            let words: Vec<_> = words
                .filter(|word| may_speak(bus, &early.scope, word))
                .collect();
            if !words.is_empty() {
                self.paths.told(link, &words, now);
            }
        }
    }
}

fn may_speak(bus: &Bus, scope: &SiteScope, word: &OriginWord) -> bool {
    let described = bus.definitions().origin_of(word.origin);
    described.is_some_and(|described| scope.allows(&described.site))
}

/// What is known of origins by their ways.
pub struct Origins {
    bus: Arc<Bus>,
    clock: Arc<dyn Clock>,
    /// `site/node` of this node: who says that a link is lost.
    who: String,
    started: WallMs,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
    /// Knows who is gone for good; set once the node has links.
    roster: OnceLock<Arc<Roster>>,
}

impl Origins {
    /// Nothing is known yet but what the bus holds.
    #[must_use]
    pub fn new(bus: Arc<Bus>, clock: Arc<dyn Clock>, who: String) -> Self {
        let started = clock.wall();
        Self {
            bus,
            clock,
            who,
            started,
            inner: Mutex::default(),
            changes: watch::Sender::new(0),
            roster: OnceLock::new(),
        }
    }

    /// From now on what a roster says is forgotten is not expected: it is not listed, and nobody
    /// is told that there is no way to it.
    pub(super) fn heed(&self, roster: Arc<Roster>) {
        // A node has one roster in its life.
        let _is_first = self.roster.set(roster);
    }

    fn is_forgotten(&self, origin: OriginId, last: Option<WallMs>) -> bool {
        let roster = self.roster.get();
        roster.is_some_and(|roster| roster.is_forgotten(origin, last))
    }

    /// Says that something changed, each time.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    // === What happens ===

    pub(super) fn taken(&self, id: &str, side: Side, neighbour: OriginId) {
        let now = self.clock.wall();
        self.change(|inner| {
            inner.paths.taken(id, (side, neighbour), now);
            inner.early.remove(id);
        });
    }

    pub(super) fn ended(&self, id: &str, (neighbour, error): (&str, &str)) {
        let cause = format!("{} lost {neighbour}: {error}", self.who);
        let now = self.clock.wall();
        self.change(|inner| {
            inner.paths.ended(id, &cause, now);
            inner.heads.remove(id);
        });
    }

    /// Forgets a link that ended, and what it brought.
    pub fn forget(&self, id: &str) {
        self.change(|inner| {
            inner.paths.forget(id);
            inner.early.remove(id);
        });
    }

    /// What a neighbour says of nodes below it, as far as it may speak for them.
    pub(super) fn told(&self, id: &str, peer: &PeerIdentity, words: &[OriginWord]) {
        let (bus, scope, now) = (&*self.bus, &peer.scope, self.clock.wall());
        let is_early = |word: &&OriginWord| bus.definitions().origin_of(word.origin).is_none();
        let (early, words): (Vec<_>, Vec<_>) = words.iter().partition(is_early);
        let words = words.into_iter().filter(|word| may_speak(bus, scope, word));
        let words: Vec<OriginWord> = words.cloned().collect();
        self.change(|inner| {
            inner.paths.told(id, &words, now);
            let known = inner.early.entry(id.to_owned()).or_insert_with(|| Early {
                scope: scope.clone(),
                words: BTreeMap::new(),
            });
            for word in early {
                let is_known = known.words.contains_key(&word.origin);
                if is_known || known.words.len() < WORDS_PER_LINK_MAX {
                    known.words.insert(word.origin, word.clone());
                }
            }
        });
    }

    /// How far streams go at a neighbour that dialled in.
    pub(super) fn heads(&self, id: &str, heads: &[StreamHead]) {
        let mut inner = self.inner.lock();
        let known = inner.heads.entry(id.to_owned()).or_default();
        for head in heads {
            if known.len() < HEADS_PER_LINK_MAX || known.contains_key(&head.stream) {
                known.insert(head.stream, head.highest);
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.lock());
        self.changes.send_modify(|count| *count += 1);
    }

    // === What is known ===

    /// Every origin that is expected, by id.
    #[must_use]
    pub fn list(&self) -> Vec<OriginStanding> {
        let mut all = self.bus.origins();
        all.retain(|facts| !self.is_forgotten(facts.origin, facts.last_received));
        let newest = newest_of_each_node(&all);
        let now = self.clock.wall();
        let mut inner = self.inner.lock();
        inner.settle(&self.bus, now);
        let standing = |facts: OriginFacts| {
            let newest = facts.description.as_ref().and_then(|who| newest.get(who));
            let replaced_by = newest.copied().filter(|newest| *newest != facts.origin);
            let last = facts.last_received.unwrap_or(self.started);
            // A derived stream is as alive as the node that makes it.
            let maker = facts.derivation.as_ref().map_or(facts.origin, |it| it.by);
            let word = inner.paths.word(maker);
            let word = word.or_else(|| inner.paths.no_way());
            let word = word.or_else(|| self.word_of_start(last));
            let state = match facts.is_own || maker == self.bus.origin() {
                true => OriginState::Live,
                false => origin_state(word.as_ref(), last, now),
            };
            OriginStanding {
                facts,
                state,
                replaced_by,
            }
        };
        all.into_iter().map(standing).collect()
    }

    /// The state of each origin; of one that was replaced, that of its successor.
    #[must_use]
    pub fn states(&self) -> BTreeMap<OriginId, OriginState> {
        let all = self.list();
        let own: BTreeMap<_, _> = all
            .iter()
            .map(|one| (one.facts.origin, one.state.clone()))
            .collect();
        let of = |one: &OriginStanding| {
            let of_origin = one.replaced_by.unwrap_or(one.facts.origin);
            Some((one.facts.origin, own.get(&of_origin)?.clone()))
        };
        all.iter().filter_map(of).collect()
    }

    /// Records that a neighbour holds and this node does not yet, by link and stream.
    #[must_use]
    pub fn held_elsewhere(&self) -> Vec<(String, StreamId, u64)> {
        let inner = self.inner.lock();
        let mut all = Vec::new();
        for (link, heads) in &inner.heads {
            for (stream, highest) in heads {
                let held = self.bus.coverage_of(*stream);
                let below = ocelli_bus::SeqRange {
                    first: Seq(1),
                    last: *highest,
                };
                let missing = highest.0.saturating_sub(held.within(below).count());
                if stream.lane == Lane::Data && missing > 0 {
                    all.push((link.clone(), *stream, missing));
                }
            }
        }
        all
    }

    /// What is to be told to a neighbour and was not told like this before; `before` follows.
    pub(super) fn words(
        &self,
        toward: Toward,
        before: &mut BTreeMap<OriginId, OriginWord>,
    ) -> Vec<OriginWord> {
        let data = |(stream, _): (StreamId, _)| (stream.lane == Lane::Data).then_some(stream);
        let streams: Vec<StreamId> = self.bus.coverage().into_iter().filter_map(data).collect();
        let mut inner = self.inner.lock();
        inner.settle(&self.bus, self.clock.wall());
        let known = streams.into_iter().filter_map(|stream| {
            let origin = stream.origin;
            let derivation = self.bus.definitions().derivation_of(origin);
            if origin == self.bus.origin() || derivation.is_some() {
                return None;
            }
            let last = self.bus.head(stream).map(|head| head.received);
            if self.is_forgotten(origin, last) {
                return None;
            }
            let word = inner.paths.word_toward(toward, origin);
            let word = word.or_else(|| {
                // A peer knows by itself what this node has only from peers.
                let is_told = toward == Toward::Above;
                is_told.then(|| self.word_of_start(last?)).flatten()
            });
            word.map(|word| (origin, word))
        });
        origin_words(known, before)
    }

    /// What can be said of an origin that no link brought: nothing, or that none came back.
    fn word_of_start(&self, last: WallMs) -> Option<LinkWord> {
        (last < self.started).then(|| LinkWord::Down {
            since: last,
            learnt: self.started,
            cause: format!("no link has brought it to {} since its start", self.who),
        })
    }
}

/// The origin that each node wrote last: a new data directory is a new origin of the same node.
fn newest_of_each_node(all: &[OriginFacts]) -> BTreeMap<OriginDescription, OriginId> {
    let mut newest: BTreeMap<OriginDescription, (Option<WallMs>, OriginId)> = BTreeMap::new();
    for facts in all {
        if let Some(who) = &facts.description {
            let one = (facts.last_received, facts.origin);
            let known = newest.entry((**who).clone()).or_insert(one);
            *known = (*known).max(one);
        }
    }
    let origin = |(who, (_, origin))| (who, origin);
    newest.into_iter().map(origin).collect()
}

#[cfg(test)]
#[path = "origins_tests.rs"]
mod tests;
