//! An arbiter's way onto the bus: batches and other entries become sealed blocks.
//!
//! Does: ids and definitions (`dictionary`), bodies, the block under construction. Does not: send,
//! stamp, wait.
//! In: batches and records of pairs, each with its [`PairCache`]. Out: [`SealedBlocks`], the
//! definitions first, since the data block rests on them.
//! Full: a push answers `Full` or `NeedIds`; the caller seals or asks the writer, and pushes again.

use std::ops::Range;
use std::sync::Arc;

use ocelli_model::batch::Batch;
use ocelli_model::clock::WallMs;
use ocelli_model::enrichment::EnrichmentRecord;
use ocelli_model::event::EventFacts;
use ocelli_model::gap::Gap;
use ocelli_model::resource::Resource;
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_model::window::is_window;

use crate::block::{BlockBuilder, EntryFlags, EntryHead, PushError, SealedBlock};
use crate::body::{BatchEncoder, EncodeError};
use crate::dictionary::{DefineError, Dictionary, EntryIds, PairCache};
use crate::payload::{self, PayloadError, Pending, Session, Skip};
use crate::record::EntryKind;

/// Whose entry it is.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The resource.
    pub resource: &'a Arc<Resource>,
    /// The plugin, if one has a part in it.
    pub plugin: Option<&'a Arc<str>>,
}

/// Blocks ready for the writer.
#[derive(Debug, Default)]
pub struct SealedBlocks {
    /// Lane 1, to be appended first, in this order.
    pub definitions: Vec<SealedBlock>,
    /// Lane 0.
    pub data: Option<SealedBlock>,
}

/// Why an entry did not go in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The block is full (seal it), or the entry is too large for any.
    #[error(transparent)]
    Push(#[from] PushError),
    /// Ids are short (ask the writer), or a definition cannot be written.
    #[error(transparent)]
    Define(#[from] DefineError),
    /// The batch breaks its own schema or is too large.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The payload is too large.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// Encodes for one arbiter.
#[derive(Debug, Default)]
pub struct Encoder {
    dictionary: Dictionary,
    batches: BatchEncoder,
    block: BlockBuilder,
    body: Vec<u8>,
}

impl Encoder {
    /// Takes a range of ids that the writer gave.
    pub fn add_ids(&mut self, range: Range<u32>) {
        self.dictionary.add_ids(range);
    }

    /// Forgets all definitions: after sealed blocks were lost on their way to the disk.
    pub fn forget_definitions(&mut self) {
        self.dictionary.forget_all();
    }

    /// Whether the data block is as large as it should be: seal.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.block.is_due()
    }

    /// Whether there is nothing to seal on lane 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// Ends the blocks under construction and hands them out.
    pub fn seal(&mut self) -> SealedBlocks {
        SealedBlocks {
            definitions: self.dictionary.take_sealed(),
            data: self.block.seal(),
        }
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the entry is in the block.
    pub fn push_batch(
        &mut self,
        cache: &mut PairCache,
        resource: &Arc<Resource>,
        plugin: &Arc<str>,
        batch: &Batch,
    ) -> Result<(), AppendError> {
        self.body.clear();
        self.batches.encode(batch, &mut self.body)?;
        let ids = self
            .dictionary
            .ids_of_batch(cache, resource, plugin, batch)?;
        let flag = |is_set, flag| {
            if is_set { flag } else { EntryFlags::default() }
        };
        let partial = flag(batch.partial.is_some(), EntryFlags::PARTIAL);
        let window = flag(is_window(batch), EntryFlags::WINDOW);
        let head = EntryHead {
            flags: partial.with(window),
            slot: batch.slot,
            interval_ms: batch.interval_ms,
            epoch: batch.epoch,
            ..head_of(EntryKind::Batch, ids, batch.time)
        };
        Ok(self.block.push(&head, &self.body)?)
    }

    /// Appends a gap of a pair.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the entry is in the block.
    pub fn push_gap(
        &mut self,
        cache: &mut PairCache,
        pair: Pair<'_>,
        gap: &Gap,
        now: WallMs,
    ) -> Result<(), AppendError> {
        self.body.clear();
        payload::put_gap(&mut self.body, gap);
        let place = Place {
            slot: gap.first,
            interval_ms: gap.interval_ms,
            epoch: gap.epoch,
            now,
        };
        self.push_small(cache, Some(pair), EntryKind::Gap, place)
    }

    /// Appends a pending range of a pair.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the entry is in the block.
    pub fn push_pending(
        &mut self,
        cache: &mut PairCache,
        pair: Pair<'_>,
        pending: &Pending,
        place: Place,
    ) -> Result<(), AppendError> {
        self.body.clear();
        payload::put_pending(&mut self.body, pending);
        let place = Place {
            slot: pending.first,
            ..place
        };
        self.push_small(cache, Some(pair), EntryKind::Pending, place)
    }

    /// Appends the release of a resource; `place.slot` is the first that is not polled here.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the entry is in the block.
    pub fn push_released(
        &mut self,
        cache: &mut PairCache,
        pair: Pair<'_>,
        place: Place,
    ) -> Result<(), AppendError> {
        self.body.clear();
        self.push_small(cache, Some(pair), EntryKind::Released, place)
    }

    /// Appends the session state of a resource.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the entry is in the block.
    pub fn push_session(
        &mut self,
        cache: &mut PairCache,
        pair: Pair<'_>,
        session: &Session,
        place: Place,
    ) -> Result<(), AppendError> {
        self.body.clear();
        payload::put_session(&mut self.body, session)?;
        self.push_small(cache, Some(pair), EntryKind::Session, place)
    }

    /// Appends an enrichment that changed.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the entry is in the block.
    pub fn push_enrich(
        &mut self,
        cache: &mut PairCache,
        pair: Pair<'_>,
        record: &EnrichmentRecord,
        now: WallMs,
    ) -> Result<(), AppendError> {
        self.body.clear();
        payload::put_enrich(&mut self.body, record)?;
        self.push_small(cache, Some(pair), EntryKind::Enrich, Place::at(now))
    }

    /// Appends an event, of a pair or of the node.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the entry is in the block.
    pub fn push_event(
        &mut self,
        of: Option<(&mut PairCache, Pair<'_>)>,
        event: &EventFacts,
        now: WallMs,
    ) -> Result<(), AppendError> {
        self.body.clear();
        payload::put_event(&mut self.body, event);
        match of {
            Some((cache, pair)) => {
                self.push_small(cache, Some(pair), EntryKind::Event, Place::at(now))
            }
            None => {
                let mut none = PairCache::default();
                self.push_small(&mut none, None, EntryKind::Event, Place::at(now))
            }
        }
    }

    /// Appends a range of seqs that a policy withheld.
    ///
    /// # Errors
    /// [`AppendError::Push`]; nothing of the entry is in the block.
    pub fn push_skip(&mut self, skip: Skip, now: WallMs) -> Result<(), AppendError> {
        self.body.clear();
        payload::put_skip(&mut self.body, skip);
        let mut none = PairCache::default();
        self.push_small(&mut none, None, EntryKind::Skip, Place::at(now))
    }

    fn push_small(
        &mut self,
        cache: &mut PairCache,
        pair: Option<Pair<'_>>,
        kind: EntryKind,
        place: Place,
    ) -> Result<(), AppendError> {
        let ids = match pair {
            Some(Pair { resource, plugin }) => self
                .dictionary
                .ids_of_pair(cache, resource, plugin, place.now)?,
            None => EntryIds::default(),
        };
        let head = EntryHead {
            slot: place.slot,
            interval_ms: place.interval_ms,
            epoch: place.epoch,
            ..head_of(kind, ids, place.now)
        };
        Ok(self.block.push(&head, &self.body)?)
    }
}

/// When an entry is, and under which plan entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The slot.
    pub slot: SlotMs,
    /// Interval of the slots, ms; 0 where there are none.
    pub interval_ms: u32,
    /// The plan entry.
    pub epoch: Epoch,
    /// When the entry came to be.
    pub now: WallMs,
}

impl Place {
    /// Outside of slots.
    #[must_use]
    pub fn at(now: WallMs) -> Self {
        Self {
            slot: SlotMs(now.0),
            interval_ms: 0,
            epoch: Epoch::default(),
            now,
        }
    }
}

fn head_of(kind: EntryKind, ids: EntryIds, time: WallMs) -> EntryHead {
    EntryHead {
        resource: ids.resource,
        plugin: ids.plugin,
        schema: ids.schema,
        row_set: ids.row_set,
        ..EntryHead::bare(kind, time)
    }
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
