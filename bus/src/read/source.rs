//! Records of a bus for those who serve them: entries and last values, decoded once for all.
//!
//! Does: resolve heads before bodies are decoded, so that filters cost little; list last batches.
//! Does not: keep definitions or records itself (`definitions`), filter, follow a cursor.
//! In: [`Entry`]s of durable blocks. Out: [`Record`]s behind `Arc`s.

use std::sync::Arc;

use crate::block::BlockError;
use crate::decoder::{Record, RecordError, ResolvedHead, decode_entry};
use crate::resolver::ResolveError;
use crate::{Bus, Entry, EntryError, LastEntry, LastKind};

/// Why an entry is no record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// An id that lane 1 does not define.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A body that does not decode.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A compressed block that does not inflate.
    #[error(transparent)]
    Block(#[from] BlockError),
}

impl From<EntryError> for SourceError {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Block(error) => SourceError::Block(error),
            EntryError::Record(error) => SourceError::Record(error),
        }
    }
}

/// Decodes for all readers of one bus. Cheap: what is shared stands in the bus.
pub struct RecordSource {
    bus: Arc<Bus>,
}

impl RecordSource {
    /// A source over `bus`.
    #[must_use]
    pub fn new(bus: Arc<Bus>) -> Arc<Self> {
        Arc::new(Self { bus })
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// What the ids of an entry's head mean. All that a durable block needs is defined: the writer
    /// makes lane 1 visible first.
    ///
    /// # Errors
    /// [`SourceError::Resolve`].
    pub fn resolve(&self, entry: &Entry) -> Result<ResolvedHead, SourceError> {
        Ok(self
            .bus
            .definitions()
            .resolve(entry.stream().origin, entry.head())?)
    }

    /// The record of an entry whose head is resolved.
    ///
    /// # Errors
    /// [`SourceError::Record`] or [`SourceError::Block`] for a damaged body.
    pub fn decode(
        &self,
        entry: &Entry,
        resolved: ResolvedHead,
    ) -> Result<Arc<Record>, SourceError> {
        Ok(self.bus.definitions().record_of(entry, resolved)?)
    }

    /// The last batch of each pair that `wants` picks, by resource and plugin. What is damaged or
    /// not defined is left out with a warning.
    pub fn last_batches(&self, mut wants: impl FnMut(&ResolvedHead) -> bool) -> Vec<Arc<Record>> {
        let mut records = Vec::new();
        for entry in self.bus.last_values().list(LastKind::Batch) {
            match self.last_record(&entry, &mut wants) {
                Ok(record) => records.extend(record.map(Arc::new)),
                Err(error) => {
                    tracing::warn!(origin = %entry.origin, seq = %entry.seq, %error,
                        "a last value was left out");
                }
            }
        }
        records
    }

    fn last_record(
        &self,
        last: &LastEntry,
        wants: &mut impl FnMut(&ResolvedHead) -> bool,
    ) -> Result<Option<Record>, SourceError> {
        let resolved = self.bus.definitions().resolve(last.origin, &last.head)?;
        if !wants(&resolved) {
            return Ok(None);
        }
        let (stream, view) = last.view();
        let mut record = decode_entry(stream, &view, resolved, &last.body)?;
        record.is_backfill = last.is_backfill;
        Ok(Some(record))
    }
}
