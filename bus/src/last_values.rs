//! The last batch and the last session record of each (resource, plugin), as they were encoded, and
//! the names of devices.
//!
//! Does: follow commits, look up, write and read the checkpoint of their places.
//! Does not: decode bodies (who asks does), read segments (`recovery`).
//! In: durable blocks. Out: [`LastEntry`], cheap to clone. A slot that comes late never replaces a
//! later one. Full: beyond its bytes the pair that was updated longest ago leaves, counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_model::clock::WallMs;
use ocelli_model::resource::{Resource, ResourceId};
use parking_lot::RwLock;

use crate::block::{EntryHead, EntryView};
use crate::decoder::ResolvedHead;
use crate::record::{EntryKind, OriginId, Seq, StreamId};
use crate::segment::{LogPosition, SegmentNumber};
use crate::statistics::Counters;
use crate::stored::StoredBlock;
use crate::system_names::SystemNames;
use crate::wire::{Cursor, WireError, put_varint};

/// First bytes of the checkpoint file.
const MAGIC: [u8; 4] = *b"OCCK";
/// Version of its form.
const VERSION: u8 = 1;
/// The version that tells which gaps batches have healed; written only where some have.
const VERSION_OF_FILLED: u8 = 2;
/// Longest list of healed slots, bytes.
const FILLED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most places of a checkpoint: a batch and a session for each of a million pairs.
const PLACES_MAX: usize = 2_000_000;
/// What an entry takes beside its body, bytes.
const OVERHEAD_BYTES: usize = 256;

/// Which of a pair's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LastKind {
    /// Its last batch.
    Batch,
    /// Its last session record: what a restart continues counters from.
    Session,
}

/// Names a last entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LastKey {
    /// Batch or session.
    pub kind: LastKind,
    /// The resource.
    pub resource: ResourceId,
    /// The plugin.
    pub plugin: Arc<str>,
}

/// A last entry.
#[derive(Debug, Clone)]
pub struct LastEntry {
    /// Its name.
    pub key: LastKey,
    /// The resource as it was then.
    pub resource: Arc<Resource>,
    /// Whose entry, and whose ids the head holds.
    pub origin: OriginId,
    /// Its number in the origin's data stream.
    pub seq: Seq,
    /// What is known without the body; the age follows from its time.
    pub head: EntryHead,
    /// When this node took it.
    pub received: WallMs,
    /// It came over a backfill lane.
    pub is_backfill: bool,
    /// The body, encoded.
    pub body: Arc<[u8]>,
    place: Place,
}

impl LastEntry {
    /// The entry as [`crate::Definitions::decode`] takes it: its stream, head and the place of its
    /// body in [`Self::body`].
    #[must_use]
    pub fn view(&self) -> (StreamId, EntryView) {
        let view = EntryView {
            seq: self.seq,
            head: self.head,
            body: 0..self.body.len(),
        };
        (StreamId::data(self.origin), view)
    }
}

/// Where an entry stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) block: LogPosition,
    pub(crate) index: u32,
}

/// Places of the last entries at some time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// All blocks before this are accounted for.
    pub(crate) end: LogPosition,
    /// Ascending.
    pub(crate) places: Vec<Place>,
    /// Slots that batches filled, as [`crate::filled_slots`] writes them.
    pub(crate) filled: Vec<u8>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<LastKey, (u64, LastEntry)>,
    /// Keys by when they were updated.
    by_update: BTreeMap<u64, LastKey>,
    updates: u64,
    bytes: usize,
}

/// The last entries of all pairs.
#[derive(Debug)]
pub struct LastValues {
    inner: RwLock<Inner>,
    bytes_max: usize,
    system_names: SystemNames,
}

impl LastValues {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            inner: RwLock::default(),
            bytes_max,
            system_names: SystemNames::default(),
        }
    }

    /// What devices call themselves.
    #[must_use]
    pub fn system_names(&self) -> &SystemNames {
        &self.system_names
    }

    /// The last entry of that name.
    #[must_use]
    pub fn get(&self, key: &LastKey) -> Option<LastEntry> {
        self.inner
            .read()
            .entries
            .get(key)
            .map(|(_, entry)| entry.clone())
    }

    /// All last entries of a kind, by resource and plugin.
    #[must_use]
    pub fn list(&self, kind: LastKind) -> Vec<LastEntry> {
        let inner = self.inner.read();
        let entries = inner.entries.values().map(|(_, entry)| entry);
        entries
            .filter(|entry| entry.key.kind == kind)
            .cloned()
            .collect()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many last entries are of such origins.
    #[must_use]
    pub fn count(&self, is_meant: impl Fn(OriginId) -> bool) -> usize {
        let inner = self.inner.read();
        let entries = inner.entries.values();
        entries.filter(|(_, entry)| is_meant(entry.origin)).count()
    }

    /// Forgets the last entries and the names of origins that are gone for good; how many entries.
    pub fn forget(&self, is_gone: impl Fn(OriginId) -> bool) -> usize {
        self.system_names.forget(&is_gone);
        let mut inner = self.inner.write();
        let entries = inner.entries.iter();
        let gone = entries.filter(|(_, (_, entry))| is_gone(entry.origin));
        let gone: Vec<LastKey> = gone.map(|(key, _)| key.clone()).collect();
        for key in &gone {
            inner.remove(key);
        }
        gone.len()
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.inner.read().bytes
    }

    /// Takes a batch, session or enrichment of a durable block in; another kind says nothing here.
    /// `resolved`: resource and plugin of the entry, as lane 1 has defined them.
    pub(crate) fn apply_entry(
        &self,
        block: &StoredBlock,
        index: usize,
        resolved: &ResolvedHead,
        counters: &Counters,
    ) {
        let Some(view) = block.entries().get(index) else {
            return;
        };
        let kind = match view.head.kind {
            EntryKind::Batch => LastKind::Batch,
            EntryKind::Session => LastKind::Session,
            EntryKind::Enrich => {
                if let Some(resource) = &resolved.resource {
                    let refused = self.system_names.apply_entry(block, index, resource.id());
                    Counters::add(&counters.system_names_refused, refused);
                }
                return;
            }
            _ => return,
        };
        let (Some(resource), Some(plugin)) = (&resolved.resource, &resolved.plugin) else {
            return;
        };
        let key = LastKey {
            kind,
            resource: resource.id().clone(),
            plugin: Arc::clone(plugin),
        };
        // A block that does not inflate was reported where it was read.
        let Ok(body) = block.body(view) else {
            return;
        };
        let place = Place {
            block: block.position(),
            index: u32::try_from(index).unwrap_or(u32::MAX),
        };
        let entry = LastEntry {
            key,
            resource: Arc::clone(resource),
            origin: block.header().stream.origin,
            seq: view.seq,
            head: view.head,
            received: block.received(),
            is_backfill: block.is_backfill(),
            body: Arc::from(body),
            place,
        };
        let evicted = self.inner.write().insert(entry, self.bytes_max);
        Counters::add(&counters.last_values_evicted, evicted);
    }

    /// The checkpoint file's content for the state at `end`, with the slots that were `filled`.
    pub(crate) fn checkpoint(&self, end: LogPosition, mut filled: Vec<u8>) -> Vec<u8> {
        let inner = self.inner.read();
        let mut places: Vec<_> = inner
            .entries
            .values()
            .map(|(_, entry)| entry.place)
            .collect();
        drop(inner);
        places.extend(self.system_names.places());
        places.sort_unstable();
        places.truncate(PLACES_MAX);
        if filled.len() > FILLED_BYTES_MAX {
            filled.clear();
        }
        let checkpoint = Checkpoint {
            end,
            places,
            filled,
        };
        checkpoint.encode()
    }
}

impl Inner {
    /// Answers how many entries had to leave.
    fn insert(&mut self, entry: LastEntry, bytes_max: usize) -> u64 {
        let key = entry.key.clone();
        let is_late = self
            .entries
            .get(&key)
            .is_some_and(|(_, known)| (known.head.slot, known.seq) > (entry.head.slot, entry.seq));
        if is_late {
            return 0;
        }
        self.remove(&key);
        self.updates += 1;
        self.bytes += entry.body.len() + OVERHEAD_BYTES;
        self.by_update.insert(self.updates, key.clone());
        self.entries.insert(key, (self.updates, entry));
        let mut evicted = 0;
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.by_update.pop_first() else {
                break;
            };
            self.remove(&oldest);
            evicted += 1;
        }
        evicted
    }

    fn remove(&mut self, key: &LastKey) {
        if let Some((update, entry)) = self.entries.remove(key) {
            self.by_update.remove(&update);
            self.bytes -= entry.body.len() + OVERHEAD_BYTES;
        }
    }
}

impl Checkpoint {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(match self.filled.is_empty() {
            true => VERSION,
            false => VERSION_OF_FILLED,
        });
        put_varint(&mut bytes, self.end.segment.0);
        put_varint(&mut bytes, self.end.offset);
        put_varint(&mut bytes, self.places.len() as u64);
        for place in &self.places {
            put_varint(&mut bytes, place.block.segment.0);
            put_varint(&mut bytes, place.block.offset);
            put_varint(&mut bytes, u64::from(place.index));
        }
        if !self.filled.is_empty() {
            put_varint(&mut bytes, self.filled.len() as u64);
            bytes.extend_from_slice(&self.filled);
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a checkpoint; `None` if it is damaged or of another version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        Self::decode_parts(&mut Cursor::new(content)).ok()
    }

    fn decode_parts(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let magic = cursor.array::<4>("a checkpoint")?;
        let version = cursor.u8("a version")?;
        if magic != MAGIC || !matches!(version, VERSION | VERSION_OF_FILLED) {
            return Err(cursor.error("checkpoint version 1 or 2"));
        }
        let position = |cursor: &mut Cursor<'_>| -> Result<LogPosition, WireError> {
            let segment = SegmentNumber(cursor.varint("a segment")?);
            Ok(LogPosition {
                segment,
                offset: cursor.varint("an offset")?,
            })
        };
        let end = position(cursor)?;
        let mut places = Vec::new();
        for _ in 0..cursor.varint_usize(PLACES_MAX, "places")? {
            let block = position(cursor)?;
            places.push(Place {
                block,
                index: cursor.varint_u32("an index")?,
            });
        }
        let mut filled = Vec::new();
        if version == VERSION_OF_FILLED {
            let len = cursor.varint_usize(FILLED_BYTES_MAX, "filled slots")?;
            filled.extend_from_slice(cursor.take(len, "filled slots")?);
        }
        cursor.finish("the checkpoint's end")?;
        Ok(Self {
            end,
            places,
            filled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_checkpoint_comes_back_and_a_flipped_bit_is_seen(
            list in proptest::collection::vec((0u64..9, any::<u64>(), any::<u32>()), 0..20),
            filled in proptest::collection::vec(any::<u8>(), 0..9),
            flip in any::<proptest::sample::Index>()
        ) {
            let place = |(segment, offset, index): (u64, u64, u32)| Place {
                block: LogPosition { segment: SegmentNumber(segment), offset },
                index,
            };
            let places: Vec<_> = list.into_iter().map(place).collect();
            let end = LogPosition { segment: SegmentNumber(9), offset: 4_711 };
            let checkpoint = Checkpoint { end, places, filled };
            let mut bytes = checkpoint.encode();
            prop_assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Checkpoint::decode(&bytes), None);
        }
    }
}
