//! By which links origins come here, and how each way stands, over several tiers.
//!
//! Does: hold what each link that was taken brings and how it stands with the neighbour; say of an
//! origin whether there is a way to it; say what is told to a neighbour. Does not: send, log.
//! In: links taken and ended, words of neighbours, now. Out: [`LinkWord`]s, [`OriginWord`]s.
//! Invariant: what a peer said is not told to peers, so no word goes in circles; over uplinks it
//! cannot, since tiers have an order.
//! Full: of a link more than [`WORDS_PER_LINK_MAX`] origins are not noted; they are judged by the
//! age of their records alone.

use std::collections::BTreeMap;

use ocelli_bus::record::OriginId;
use ocelli_model::clock::WallMs;

use super::LinkWord;
use crate::frame::OriginWord;

/// Origins of one link: nodes of a large region.
pub const WORDS_PER_LINK_MAX: usize = 4_096;

/// From where a link that was taken comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// From a node below.
    Below,
    /// From a peer.
    Peer,
}

/// To whom words are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// To a node above.
    Above,
    /// To a peer.
    Peer,
}

#[derive(Debug)]
struct Path {
    side: Side,
    link: LinkWord,
    words: BTreeMap<OriginId, LinkWord>,
}

/// The ways of a node.
#[derive(Debug, Default)]
pub struct Paths {
    paths: BTreeMap<String, Path>,
}

impl Paths {
    /// A link was taken; what its former life said is void.
    pub fn taken(&mut self, id: &str, (side, neighbour): (Side, OriginId), now: WallMs) {
        let link = LinkWord::Up { since: now };
        let words = BTreeMap::from([(neighbour, link.clone())]);
        self.paths.insert(id.to_owned(), Path { side, link, words });
    }

    /// A link ended: there is no way over it to anything that it brought.
    pub fn ended(&mut self, id: &str, cause: &str, now: WallMs) {
        if let Some(path) = self.paths.get_mut(id) {
            path.link = LinkWord::Down {
                since: now,
                learnt: now,
                cause: cause.to_owned(),
            };
        }
    }

    /// A neighbour said how origins stand with it.
    pub fn told(&mut self, id: &str, words: &[OriginWord], now: WallMs) {
        let Some(path) = self.paths.get_mut(id) else {
            return;
        };
        for word in words {
            let is_known = path.words.contains_key(&word.origin);
            if is_known || path.words.len() < WORDS_PER_LINK_MAX {
                let before = path.words.get(&word.origin);
                path.words.insert(word.origin, learnt(word, before, now));
            }
        }
    }

    /// Forgets a link and what it brought.
    pub fn forget(&mut self, id: &str) {
        self.paths.remove(id);
    }

    /// Whether there is a way to an origin; `None`: no link ever brought it.
    #[must_use]
    pub fn word(&self, origin: OriginId) -> Option<LinkWord> {
        best(self.paths.values(), origin)
    }

    /// What holds of an origin that no word is known of while no link stands: nothing can come.
    /// `None` while one stands.
    #[must_use]
    pub fn no_way(&self) -> Option<LinkWord> {
        let links = self.paths.values().map(|path| &path.link);
        if links.clone().any(LinkWord::is_up) {
            return None;
        }
        let learnt = |link: &&LinkWord| match link {
            LinkWord::Up { since } => since.0,
            LinkWord::Down { learnt, .. } => learnt.0,
        };
        links.max_by_key(learnt).cloned()
    }

    /// As [`Paths::word`], for a neighbour's ears.
    #[must_use]
    pub fn word_toward(&self, toward: Toward, origin: OriginId) -> Option<LinkWord> {
        let may_tell = |path: &&Path| toward == Toward::Above || path.side == Side::Below;
        best(self.paths.values().filter(may_tell), origin)
    }
}

/// What is to be told of origins that was not told like this before; `before` follows.
pub fn origin_words(
    known: impl Iterator<Item = (OriginId, LinkWord)>,
    before: &mut BTreeMap<OriginId, OriginWord>,
) -> Vec<OriginWord> {
    let mut news = Vec::new();
    for (origin, word) in known {
        let (since, cause) = match word {
            LinkWord::Up { since } => (since, None),
            LinkWord::Down { since, cause, .. } => (since, Some(cause)),
        };
        let word = OriginWord {
            origin,
            since,
            cause,
        };
        if before.get(&origin) != Some(&word) {
            before.insert(origin, word.clone());
            news.push(word);
        }
    }
    news
}

/// A way that stands is better than none, the one lost last is better than those lost before.
fn best<'a>(paths: impl Iterator<Item = &'a Path>, origin: OriginId) -> Option<LinkWord> {
    let words = paths.filter_map(|path| {
        let word = path.words.get(&origin)?;
        Some(if path.link.is_up() { word } else { &path.link })
    });
    let rank = |word: &&LinkWord| match word {
        LinkWord::Up { since } => (true, -since.0),
        LinkWord::Down { learnt, .. } => (false, learnt.0),
    };
    words.max_by_key(rank).cloned()
}

/// A word said again was learnt when it was said first.
fn learnt(word: &OriginWord, before: Option<&LinkWord>, now: WallMs) -> LinkWord {
    let since = word.since;
    match (&word.cause, before) {
        (None, _) => LinkWord::Up { since },
        (
            Some(_),
            Some(LinkWord::Down {
                since: same,
                learnt,
                cause,
            }),
        ) if *same == since && word.cause.as_ref() == Some(cause) => {
            let (learnt, cause) = (*learnt, cause.clone());
            LinkWord::Down {
                since,
                learnt,
                cause,
            }
        }
        (Some(cause), _) => LinkWord::Down {
            since,
            learnt: now,
            cause: cause.clone(),
        },
    }
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
