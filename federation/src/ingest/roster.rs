//! Which generations of the nodes below are known here, and which wait for a person.
//!
//! Does: bind a node to the generation of its first plan, refuse another until it is adopted,
//! forget a node that is gone for good. Does not: read blocks (`run`), judge sites (`inspect`).
//! In: names, generations, orders of people. Out: verdicts; the file `roster.json`.
//! Invariant: a generation is on disk before the first block that rests on it is taken, so that a
//! restart does not bind another. A disk that was exchanged has a new one (design §7).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ocelli_bus::record::OriginId;
use ocelli_model::clock::WallMs;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::identity::{FileError, read_file, replace_file};

/// Nodes that are known; a mesh of this size is not planned for.
pub const ROSTER_NODES_MAX: usize = 16_384;
/// Generations of one node: disks that were exchanged in its life.
const GENERATIONS_MAX: usize = 64;
/// Refused generations that are shown; beyond it the newest are refused without being listed.
const WAITING_MAX: usize = 1_024;
/// Origins that were forgotten; the oldest are listed again, if they are still held.
const FORGOTTEN_MAX: usize = 4_096;
/// The file with all nodes and generations stays far below it.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Version of the file.
const VERSION: u32 = 1;

/// A node below, by site and name.
pub type RosterKey = (String, String);

/// A generation that is refused until a person adopts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondGeneration {
    /// Site of the node.
    pub site: String,
    /// Its name.
    pub node: String,
    /// The generation that it comes with.
    pub generation: u64,
    /// The newest that is known of it.
    pub known: u64,
    /// The origin that it writes under.
    pub origin: OriginId,
    /// When it was refused first.
    pub since: WallMs,
}

/// Why a generation is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// Another one is known.
    #[error(
        "generation {generation} of {site}/{node} is another than the one known here, {known}: its \
         data directory is new; if that is as it should be, `ocelli mesh adopt {site}` takes it"
    )]
    Second {
        /// Site of the node.
        site: String,
        /// Its name.
        node: String,
        /// What it comes with.
        generation: u64,
        /// The newest that is known.
        known: u64,
    },
    /// Too many.
    #[error(
        "{ROSTER_NODES_MAX} nodes are known, the limit; `ocelli mesh forget` those that are gone"
    )]
    Full,
    /// It cannot be written down.
    #[error("the roster cannot be written: {0}")]
    File(#[from] FileError),
}

/// Why a roster cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRosterError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in it.
    #[error(
        "{}: {reason}; restore it, or remove it: the next generation of each site is taken then",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    nodes: Vec<FileNode>,
    #[serde(default)]
    forgotten: Vec<FileOrigin>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileOrigin {
    /// Hexadecimal.
    origin: String,
    at_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileNode {
    site: String,
    node: String,
    generations: BTreeSet<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    known: BTreeMap<RosterKey, BTreeSet<u64>>,
    waiting: BTreeMap<RosterKey, SecondGeneration>,
    /// Origins that are gone for good, and when that was said.
    forgotten: BTreeMap<OriginId, WallMs>,
}

/// The roster of a node that takes links from below.
#[derive(Debug, Default)]
pub struct Roster {
    /// `None`: kept in memory only.
    path: Option<PathBuf>,
    state: Mutex<State>,
    /// Held while the file is written: the last state written is the last that was decided.
    writing: tokio::sync::Mutex<()>,
}

/// A node that comes with a plan.
#[derive(Debug, Clone)]
pub struct Comer {
    /// Site and name.
    pub key: RosterKey,
    /// The generation of its plan.
    pub generation: u64,
    /// The origin that it writes under.
    pub origin: OriginId,
}

impl Roster {
    /// The roster in a file; none yet is an empty one. Blocking.
    ///
    /// # Errors
    /// [`OpenRosterError`].
    pub fn open(path: PathBuf) -> Result<Arc<Self>, OpenRosterError> {
        let mut state = State::default();
        if path.exists() {
            let bytes = read_file(&path, FILE_BYTES_MAX)?;
            let file = serde_json::from_slice::<File>(&bytes).map_err(|error| {
                let (path, reason) = (path.clone(), error.to_string());
                OpenRosterError::Damaged { path, reason }
            })?;
            let nodes = file.nodes.into_iter();
            state.known = nodes
                .map(|one| ((one.site, one.node), one.generations))
                .collect();
            let forgotten = file.forgotten.into_iter().filter_map(|one| {
                let origin = u128::from_str_radix(&one.origin, 16).ok()?;
                Some((OriginId(origin), WallMs(one.at_ms)))
            });
            state.forgotten = forgotten.collect();
        }
        Ok(Arc::new(Self {
            path: Some(path),
            state: Mutex::new(state),
            writing: tokio::sync::Mutex::default(),
        }))
    }

    /// Takes a node's generation if it is known or the first of the node; it is on disk then.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub async fn admit(&self, comer: Comer, now: WallMs) -> Result<(), NotAdmitted> {
        if !self.state.lock().admit(comer.clone(), now)? {
            return Ok(());
        }
        let written = self.write().await;
        if written.is_err() {
            // What is not on disk is not known: it is asked again.
            self.state.lock().known.remove(&comer.key);
        }
        Ok(written?)
    }

    /// Adopts what waits of a site: site alone, or `SITE/NODE`. What was adopted.
    ///
    /// # Errors
    /// [`FileError`]; nothing is adopted then.
    pub async fn adopt(&self, name: &str) -> Result<Vec<SecondGeneration>, FileError> {
        let before = self.state.lock().clone();
        let adopted = self.state.lock().adopt(name);
        self.write_or(before, adopted).await
    }

    /// Forgets the generations of nodes that are gone, and their origins: the next generation that
    /// comes under such a name is taken as new. How many nodes were forgotten.
    ///
    /// # Errors
    /// [`FileError`]; nothing is forgotten then.
    pub async fn forget(
        &self,
        name: &str,
        (origins, now): (&[OriginId], WallMs),
    ) -> Result<usize, FileError> {
        let before = self.state.lock().clone();
        let forgotten = self.state.lock().forget(name, (origins, now));
        self.write_or(before, forgotten).await
    }

    /// Whether an origin was forgotten and has sent nothing since: it is not expected any more.
    #[must_use]
    pub fn is_forgotten(&self, origin: OriginId, last_received: Option<WallMs>) -> bool {
        let at = self.state.lock().forgotten.get(&origin).copied();
        at.is_some_and(|at| last_received.is_none_or(|last| last <= at))
    }

    /// Generations that wait for a person, by site and node.
    #[must_use]
    pub fn waiting(&self) -> Vec<SecondGeneration> {
        self.state.lock().waiting.values().cloned().collect()
    }

    /// Whether a node of that name is known: a site alone, or `SITE/NODE`.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        let state = self.state.lock();
        state.known.keys().any(|key| is_named(key, name))
    }

    async fn write_or<T>(&self, before: State, done: T) -> Result<T, FileError> {
        let written = self.write().await;
        if written.is_err() {
            *self.state.lock() = before;
        }
        written.map(|()| done)
    }

    async fn write(&self) -> Result<(), FileError> {
        let Some(path) = self.path.clone() else {
            return Ok(());
        };
        let _one_at_a_time = self.writing.lock().await;
        let state = self.state.lock().clone();
        let writing = tokio::task::spawn_blocking(move || replace_file(&path, &bytes_of(state)));
        // A panic of the task leaves the file as it was, whole.
        writing.await.unwrap_or(Ok(()))
    }
}

fn bytes_of(state: State) -> Vec<u8> {
    let nodes = state
        .known
        .into_iter()
        .map(|((site, node), generations)| FileNode {
            site,
            node,
            generations,
        });
    let forgotten = state.forgotten.into_iter().map(|(origin, at)| FileOrigin {
        origin: format!("{:032x}", origin.0),
        at_ms: at.0,
    });
    let file = File {
        version: VERSION,
        nodes: nodes.collect(),
        forgotten: forgotten.collect(),
    };
    // Texts and numbers always have a JSON form.
    serde_json::to_vec_pretty(&file).unwrap_or_default()
}

/// Whether a name means a node: its site, or `SITE/NODE`.
fn is_named((site, node): &RosterKey, name: &str) -> bool {
    site == name || name.split_once('/') == Some((site.as_str(), node.as_str()))
}

impl State {
    /// Whether it is known from now on and was not before.
    fn admit(&mut self, comer: Comer, now: WallMs) -> Result<bool, NotAdmitted> {
        let Comer {
            key,
            generation,
            origin,
        } = comer;
        let is_room = self.known.len() < ROSTER_NODES_MAX;
        let Some(known) = self.known.get(&key) else {
            if !is_room {
                return Err(NotAdmitted::Full);
            }
            self.known.insert(key, BTreeSet::from([generation]));
            return Ok(true);
        };
        if known.contains(&generation) {
            return Ok(false);
        }
        let known = known.last().copied().unwrap_or_default();
        let (site, node) = key.clone();
        let is_listed = self.waiting.contains_key(&key) || self.waiting.len() < WAITING_MAX;
        if is_listed {
            let second = SecondGeneration {
                site: site.clone(),
                node: node.clone(),
                generation,
                known,
                origin,
                since: now,
            };
            let listed = self.waiting.entry(key).or_insert_with(|| second.clone());
            if listed.generation != generation {
                *listed = second;
            }
        }
        Err(NotAdmitted::Second {
            site,
            node,
            generation,
            known,
        })
    }

    fn adopt(&mut self, name: &str) -> Vec<SecondGeneration> {
        let (adopted, left) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(key, _)| is_named(key, name));
        self.waiting = left;
        let adopted: BTreeMap<RosterKey, SecondGeneration> = adopted;
        for (key, second) in &adopted {
            let known = self.known.entry(key.clone()).or_default();
            known.insert(second.generation);
            if known.len() > GENERATIONS_MAX {
                known.pop_first();
            }
        }
        adopted.into_values().collect()
    }

    fn forget(&mut self, name: &str, (origins, now): (&[OriginId], WallMs)) -> usize {
        let before = self.known.len();
        self.forgotten.extend(origins.iter().map(|one| (*one, now)));
        while self.forgotten.len() > FORGOTTEN_MAX {
            let oldest = self.forgotten.iter().min_by_key(|(_, at)| **at);
            let Some(oldest) = oldest.map(|(origin, _)| *origin) else {
                break;
            };
            self.forgotten.remove(&oldest);
        }
        self.known.retain(|key, _| !is_named(key, name));
        self.waiting.retain(|key, _| !is_named(key, name));
        before - self.known.len()
    }
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
