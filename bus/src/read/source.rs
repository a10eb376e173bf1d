//! Records of a bus for those who serve them: entries and last values, decoded once for all.
//!
//! Does: share selections, records and the JSON of resources between readers; list last batches.
//! Does not: keep definitions or records itself (`definitions`), filter, follow a cursor.
//! In: [`Entry`]s of durable blocks. Out: [`Record`]s behind `Arc`s.

use std::collections::HashMap;
use std::sync::Arc;

use ocelli_model::panoptes::ResourceJson;
use ocelli_model::resource::Resource;
use parking_lot::Mutex;

use super::selection::Selection;
use super::shared_selection::{Held, Selections, SharingStatistics};
use crate::block::BlockError;
use crate::decoder::{Record, RecordError, ResolvedHead, decode_entry};
use crate::resolver::ResolveError;
use crate::{Bus, Entry, EntryError, LastEntry, LastKind};

/// Resources whose JSON is kept for all readers, a kilobyte each.
const RESOURCES_KEPT_MAX: usize = 20_000;

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

/// By where the resource lies in memory, which it keeps from being another's.
type KnownTexts = HashMap<usize, (Arc<Resource>, Arc<ResourceJson>)>;

/// Decodes for all readers of one bus.
pub struct RecordSource {
    bus: Arc<Bus>,
    selections: Selections,
    resources: Mutex<KnownTexts>,
}

impl RecordSource {
    /// A source over `bus`.
    #[must_use]
    pub fn new(bus: Arc<Bus>) -> Arc<Self> {
        Arc::new(Self {
            bus,
            selections: Selections::default(),
            resources: Mutex::default(),
        })
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// A hold on the selection that other subscribers of the same filter and projection hold too.
    pub(super) fn hold(&self, selection: Selection) -> Held {
        self.selections.hold(selection)
    }

    /// How much was judged and rendered once for several.
    #[must_use]
    pub fn sharing(&self) -> SharingStatistics {
        self.selections.statistics()
    }

    /// A resource as Panoptes writes it, made once for all readers.
    #[must_use]
    pub fn resource_json(&self, resource: &Arc<Resource>) -> Arc<ResourceJson> {
        let mut known = self.resources.lock();
        if known.len() >= RESOURCES_KEPT_MAX {
            known.clear();
        }
        let at = Arc::as_ptr(resource).addr();
        let (_, json) = known
            .entry(at)
            .or_insert_with(|| (Arc::clone(resource), Arc::new(ResourceJson::of(resource))));
        Arc::clone(json)
    }

    /// The record of an entry. All that a durable block needs is defined: the writer makes lane 1
    /// visible first.
    ///
    /// # Errors
    /// [`SourceError`] for an id that means nothing, or a damaged body.
    pub fn record(&self, entry: &Entry) -> Result<Arc<Record>, SourceError> {
        Ok(self.bus.definitions().record(entry)?)
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
