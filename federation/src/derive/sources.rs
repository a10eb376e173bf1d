//! Pairs by number, and batches of sources by their place.
//!
//! Does: give a number to each (resource, plugin), read batches back from the bus, keep the blocks
//! read last. Does not: decide which are wanted (`core`).
//! In: heads and places. Out: numbers; decoded batches, shared.
//! Memory: an entry a pair; [`BLOCKS_MAX`] blocks, since what is due together stands together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ocelli_bus::dictionary::PairCache;
use ocelli_bus::payload::Payload;
use ocelli_bus::{Bus, Entry, ReadError, SeqRange, StoredBlock};
use ocelli_model::batch::Batch;
use ocelli_model::resource::{Resource, ResourceId};

use super::core::{PairNumber, Place};

/// Blocks that are kept: as many as a window of a pair has slots, in practice; 256 KiB each.
const BLOCKS_MAX: usize = 64;
/// Bytes asked for at once beside the block that is needed.
const READ_BYTES: usize = 1;

/// A pair and how its last batch was written.
pub(super) struct Pair {
    pub(super) resource: Arc<Resource>,
    pub(super) plugin: Arc<str>,
    pub(super) cache: PairCache,
}

/// All pairs seen.
#[derive(Default)]
pub(super) struct Pairs {
    numbers: HashMap<(ResourceId, Arc<str>), PairNumber>,
    pairs: Vec<Pair>,
}

impl Pairs {
    /// The number of a pair; its resource as it was seen last stands for it.
    pub(super) fn number(&mut self, resource: &Arc<Resource>, plugin: &Arc<str>) -> PairNumber {
        let key = (resource.id().clone(), Arc::clone(plugin));
        let next = PairNumber(u32::try_from(self.pairs.len()).unwrap_or(u32::MAX));
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.pairs.push(Pair {
                resource: Arc::clone(resource),
                plugin: Arc::clone(plugin),
                cache: PairCache::default(),
            });
        } else if let Some(pair) = self.get(number) {
            pair.resource = Arc::clone(resource);
        }
        number
    }

    pub(super) fn get(&mut self, number: PairNumber) -> Option<&mut Pair> {
        self.pairs.get_mut(number.0 as usize)
    }
}

/// Blocks of sources.
pub(super) struct Sources {
    bus: Arc<Bus>,
    blocks: VecDeque<Arc<StoredBlock>>,
}

impl Sources {
    pub(super) fn new(bus: Arc<Bus>) -> Self {
        let blocks = VecDeque::with_capacity(BLOCKS_MAX);
        Self { bus, blocks }
    }

    /// Keeps a block that was just read.
    pub(super) fn keep(&mut self, block: &Arc<StoredBlock>) {
        if self.blocks.len() >= BLOCKS_MAX {
            self.blocks.pop_front();
        }
        self.blocks.push_back(Arc::clone(block));
    }

    /// The batch that stands at a place; `None` if retention took it, or it cannot be read.
    ///
    /// # Errors
    /// [`ReadError`]: the disk; it is worth another try.
    pub(super) async fn batch(&mut self, place: Place) -> Result<Option<Arc<Batch>>, ReadError> {
        let Place { stream, seq } = place;
        let found = self.blocks.iter().rev().find_map(|it| entry_at(it, place));
        let entry = match found {
            Some(entry) => Some(entry),
            None => {
                let (first, last) = (seq, seq);
                let range = SeqRange { first, last };
                let blocks = self.bus.blocks_of(stream, range, READ_BYTES).await?;
                blocks.iter().for_each(|block| self.keep(block));
                blocks.iter().find_map(|block| entry_at(block, place))
            }
        };
        let Some(entry) = entry else {
            return Ok(None);
        };
        match self.bus.definitions().record(&entry) {
            Ok(record) => Ok(match &record.payload {
                Payload::Batch(batch) => Some(Arc::clone(batch)),
                _ => None,
            }),
            Err(error) => {
                tracing::warn!(%stream, seq = seq.0, %error, "a batch to derive from is damaged");
                Ok(None)
            }
        }
    }
}

/// The entry of a block at a place; a skip that stands there is none.
fn entry_at(block: &Arc<StoredBlock>, place: Place) -> Option<Entry> {
    let range = block.range();
    let is_of = block.header().stream == place.stream;
    if !is_of || place.seq < range.first || place.seq > range.last {
        return None;
    }
    let index = usize::try_from(place.seq.0 - range.first.0).ok()?;
    let entry = Entry::new(block, index)?;
    (entry.head().kind == ocelli_bus::record::EntryKind::Batch).then_some(entry)
}
