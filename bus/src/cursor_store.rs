//! Durable cursors: how far each lasting reader (uplink, peer, sink, check) has come.
//!
//! Does: keep them by name, save them all in one small file, list, forget.
//! Does not: decide what they hold back (`retention`), read for them (`reader`).
//! In: ranges of seqs that a reader has dealt with. Out: the same after a restart, at most a second
//! old. Full: beyond [`CURSORS_MAX`] a new name is refused.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ocelli_model::clock::WallMs;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::record::{Lane, OriginId, StreamId};
use crate::segment::index::SeqRange;
use crate::seq_ranges::SeqRanges;

/// Most durable cursors of a node.
pub const CURSORS_MAX: usize = 1_024;
/// Longest name, bytes.
pub const CURSOR_NAME_BYTES_MAX: usize = 256;

/// What is known of a durable cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorState {
    /// Its name, unique on the node.
    pub name: String,
    /// Who reads: `uplink`, `peer`, `sink`, `check`.
    pub kind: String,
    /// When it last moved.
    pub moved: WallMs,
    /// What it has taken.
    pub taken: BTreeMap<StreamId, SeqRanges>,
}

/// Why a cursor cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// There are too many.
    #[error(
        "cannot open cursor {name:?}: {CURSORS_MAX} is the limit; end some with `cursors forget`"
    )]
    TooMany {
        /// The name asked for.
        name: String,
    },
    /// The name is empty or too long.
    #[error("{name:?} is no cursor name; use 1 to {CURSOR_NAME_BYTES_MAX} bytes")]
    Name {
        /// The name, cut.
        name: String,
    },
}

/// Why the cursor file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CursorFileError {
    /// The disk refused.
    #[error("cannot read the cursor file: {0}; check the disk")]
    Io(#[from] io::Error),
    /// It is damaged.
    #[error(
        "the cursor file is damaged ({0}); restore it, or remove it and all readers begin anew"
    )]
    Damaged(#[from] serde_json::Error),
}

#[derive(Debug, Default)]
struct Inner {
    cursors: BTreeMap<String, CursorState>,
    is_dirty: bool,
}

/// All durable cursors of a node. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct CursorStore(Arc<Mutex<Inner>>);

/// A reader's own cursor.
#[derive(Debug, Clone)]
pub struct DurableCursor {
    store: CursorStore,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorsOnDisk {
    version: u32,
    cursors: Vec<CursorOnDisk>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorOnDisk {
    name: String,
    kind: String,
    moved: WallMs,
    taken: Vec<(OriginId, Lane, SeqRanges)>,
}

impl CursorStore {
    /// Reads the file; none at all is an empty store.
    pub(crate) fn load(path: &Path) -> Result<Self, CursorFileError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let on_disk: CursorsOnDisk = serde_json::from_slice(&bytes)?;
        let cursors = on_disk.cursors.into_iter().map(|cursor| {
            let taken = cursor.taken.into_iter();
            let taken = taken.map(|(origin, lane, ranges)| (StreamId { origin, lane }, ranges));
            let state = CursorState {
                name: cursor.name.clone(),
                kind: cursor.kind,
                moved: cursor.moved,
                taken: taken.collect(),
            };
            (cursor.name, state)
        });
        let inner = Inner {
            cursors: cursors.collect(),
            is_dirty: false,
        };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Saves the file if a cursor moved since.
    pub(crate) fn save(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        if !inner.is_dirty {
            return Ok(());
        }
        let cursors = inner.cursors.values().map(|state| CursorOnDisk {
            name: state.name.clone(),
            kind: state.kind.clone(),
            moved: state.moved,
            taken: list(&state.taken),
        });
        let on_disk = CursorsOnDisk {
            version: 1,
            cursors: cursors.collect(),
        };
        inner.is_dirty = false;
        // Readers go on while the file is written; what moves meanwhile is saved the next time.
        drop(inner);
        let saved = serde_json::to_vec(&on_disk).map_err(io::Error::from);
        let saved = saved.and_then(|bytes| disk.replace(path, &bytes));
        if saved.is_err() {
            self.0.lock().is_dirty = true;
        }
        saved
    }

    /// The cursor of that name, as it was or at the beginning.
    ///
    /// # Errors
    /// [`CursorError::TooMany`], [`CursorError::Name`].
    pub fn open(&self, name: &str, kind: &str, now: WallMs) -> Result<DurableCursor, CursorError> {
        if name.is_empty() || name.len() > CURSOR_NAME_BYTES_MAX {
            return Err(CursorError::Name {
                name: name.chars().take(64).collect(),
            });
        }
        let mut inner = self.0.lock();
        if !inner.cursors.contains_key(name) {
            if inner.cursors.len() >= CURSORS_MAX {
                return Err(CursorError::TooMany {
                    name: name.to_owned(),
                });
            }
            let state = CursorState {
                name: name.to_owned(),
                kind: kind.to_owned(),
                moved: now,
                taken: BTreeMap::new(),
            };
            inner.cursors.insert(name.to_owned(), state);
            inner.is_dirty = true;
        }
        Ok(DurableCursor {
            store: self.clone(),
            name: name.to_owned(),
        })
    }

    /// All cursors, by name.
    #[must_use]
    pub fn list(&self) -> Vec<CursorState> {
        self.0.lock().cursors.values().cloned().collect()
    }

    /// What of a stream every cursor of a kind has taken, of those that have taken any of it.
    #[must_use]
    pub fn taken_by_each(&self, kind: &str, stream: StreamId) -> SeqRanges {
        let inner = self.0.lock();
        let of_kind = inner.cursors.values().filter(|state| state.kind == kind);
        let taken = of_kind.filter_map(|state| state.taken.get(&stream));
        taken
            .filter(|ranges| !ranges.is_empty())
            .cloned()
            .reduce(|all, one| all.without(&all.without(&one)))
            .unwrap_or_default()
    }

    /// What fills skips came: no reader has taken it, although all passed its seqs. So retention
    /// keeps it for those who are away, and they begin with it.
    pub(crate) fn reopen(&self, stream: StreamId, brought: &SeqRanges) {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        for state in inner.cursors.values_mut() {
            if let Some(taken) = state.taken.get_mut(&stream) {
                *taken = taken.without(brought);
                inner.is_dirty = true;
            }
        }
    }

    /// Ends a cursor; `false` if there is none of that name.
    pub fn forget(&self, name: &str) -> bool {
        let mut inner = self.0.lock();
        let was_there = inner.cursors.remove(name).is_some();
        inner.is_dirty |= was_there;
        was_there
    }
}

impl DurableCursor {
    /// Notes that a range was dealt with. A cursor that was forgotten stays so.
    pub fn advance(&self, stream: StreamId, range: SeqRange, now: WallMs) {
        let mut inner = self.store.0.lock();
        if let Some(state) = inner.cursors.get_mut(&self.name) {
            state.taken.entry(stream).or_default().insert(range);
            state.moved = now;
            inner.is_dirty = true;
        }
    }

    /// What was dealt with so far.
    #[must_use]
    pub fn taken(&self) -> BTreeMap<StreamId, SeqRanges> {
        let inner = self.store.0.lock();
        inner
            .cursors
            .get(&self.name)
            .map(|state| state.taken.clone())
            .unwrap_or_default()
    }
}

fn list(taken: &BTreeMap<StreamId, SeqRanges>) -> Vec<(OriginId, Lane, SeqRanges)> {
    let row =
        |(stream, ranges): (&StreamId, &SeqRanges)| (stream.origin, stream.lane, ranges.clone());
    taken.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::record::Seq;

    fn range(first: u64, last: u64) -> SeqRange {
        SeqRange {
            first: Seq(first),
            last: Seq(last),
        }
    }

    #[test]
    fn cursors_come_back_from_their_file_and_forgotten_ones_do_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cursors.json");
        let store = CursorStore::load(&path).unwrap();
        let stream = StreamId::data(OriginId(7));
        let sink = store.open("tsdb", "sink", WallMs(1)).unwrap();
        store.open("old", "sink", WallMs(1)).unwrap();
        sink.advance(stream, range(1, 9), WallMs(2));
        sink.advance(stream, range(20, 30), WallMs(3));
        assert!(store.forget("old") && !store.forget("old"));
        store.save(&RealDisk, &path).unwrap();

        let again = CursorStore::load(&path).unwrap();
        assert_eq!(again.list(), store.list());
        assert_eq!(again.list().len(), 1);
        let taken = again.open("tsdb", "sink", WallMs(9)).unwrap().taken();
        assert_eq!(
            taken[&stream].iter().collect::<Vec<_>>(),
            [range(1, 9), range(20, 30)]
        );
        std::fs::remove_file(&path).unwrap();
        again.save(&RealDisk, &path).unwrap();
        assert!(!path.exists(), "nothing moved, nothing is written");
    }

    #[test]
    fn names_and_their_number_are_limited() {
        let store = CursorStore::default();
        for number in 0..CURSORS_MAX {
            store.open(&number.to_string(), "sink", WallMs(0)).unwrap();
        }
        assert!(matches!(
            store.open("x", "sink", WallMs(0)),
            Err(CursorError::TooMany { .. })
        ));
        assert!(store.open("7", "sink", WallMs(0)).is_ok(), "a known one");
        assert!(matches!(
            store.open("", "sink", WallMs(0)),
            Err(CursorError::Name { .. })
        ));
    }

    #[test]
    fn a_damaged_cursor_file_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cursors.json");
        std::fs::write(&path, b"{\"version\":1").unwrap();
        assert!(matches!(
            CursorStore::load(&path),
            Err(CursorFileError::Damaged(_))
        ));
        assert!(matches!(
            CursorStore::load(root.path()),
            Err(CursorFileError::Io(_))
        ));
    }

    #[test]
    fn what_each_cursor_of_a_kind_has_taken_leaves_out_others_and_those_that_never_began() {
        let store = CursorStore::default();
        let stream = StreamId::data(OriginId(1));
        assert!(store.taken_by_each("uplink", stream).is_empty());
        let advance = |name: &str, kind: &str, ranges: &[(u64, u64)]| {
            let cursor = store.open(name, kind, WallMs(0)).unwrap();
            for (first, last) in ranges {
                cursor.advance(stream, range(*first, *last), WallMs(0));
            }
        };
        advance("one", "uplink", &[(1, 50), (60, 90)]);
        advance("new", "uplink", &[]);
        advance("sink", "sink", &[(1, 3)]);
        let expected = SeqRanges::from(vec![(1, 50), (60, 90)]);
        assert_eq!(store.taken_by_each("uplink", stream), expected);
        advance("two", "uplink", &[(40, 70)]);
        let expected = SeqRanges::from(vec![(40, 50), (60, 70)]);
        assert_eq!(store.taken_by_each("uplink", stream), expected);
        let other = StreamId::data(OriginId(2));
        assert!(store.taken_by_each("uplink", other).is_empty());
    }
}
