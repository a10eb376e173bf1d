//! What lane 1 has defined so far, for all origins, and records made with it.
//!
//! Does: follow definitions as they become durable, resolve heads, decode entries once for all
//! readers. Does not: read disks, filter.
//! In: durable blocks of lane 1; entries of lane 0. Out: [`Record`]s behind an `Arc`.
//! Full: beyond `record_cache_bytes_max` the records decoded first leave; who still needs them
//! decodes them again. A definition that cannot be used is counted, and named by what needs it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use ocelli_model::batch::GroupValues;
use ocelli_model::resource::Resource;
use ocelli_model::schema::Schema;
use parking_lot::{Mutex, RwLock};

use crate::block::{BlockError, EntryHead, EntryView};
use crate::decoder::{Record, RecordError, ResolvedHead, decode_entry, resolve_head};
use crate::definition::{Definition, OriginDescription};
use crate::delivery_lane::DeliveryLane;
use crate::derivation::Derivation;
use crate::payload::Payload;
use crate::record::{EntryKind, Lane, OriginId, StreamId};
use crate::resolver::{ResolveError, Resolver};
use crate::segment::LogPosition;
use crate::stored::{Entry, StoredBlock};

/// What a record takes beside the columns of a batch, bytes.
const RECORD_BYTES: usize = 1_024;
/// What a cell of a counter takes: value, delta, verdict.
const COUNTER_CELL_BYTES: usize = 17;
/// What a cell of a gauge takes.
const GAUGE_CELL_BYTES: usize = 9;

/// Why an entry cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The block around it is damaged.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Its body, or what it refers to, is damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Whose data, and of a batch its schema.
pub(crate) type ResourceAndSchema = (Option<Arc<Resource>>, Option<Arc<Schema>>);

/// Definitions of all origins, and the cache of decoded records.
#[derive(Debug)]
pub struct Definitions {
    origins: RwLock<BTreeMap<OriginId, Arc<Mutex<Resolver>>>>,
    cache: Mutex<RecordCache>,
}

#[derive(Debug, Default)]
struct RecordCache {
    records: HashMap<(LogPosition, usize), (usize, Arc<Record>)>,
    order: VecDeque<(LogPosition, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Definitions {
    pub(crate) fn new(cache_bytes_max: usize) -> Self {
        let cache = RecordCache {
            bytes_max: cache_bytes_max,
            ..RecordCache::default()
        };
        Self {
            origins: RwLock::default(),
            cache: Mutex::new(cache),
        }
    }

    /// Takes a durable block in; those of lane 0 say nothing here. Answers the highest id that it
    /// defines, and how many of its definitions are of no use.
    pub(crate) fn apply(&self, block: &StoredBlock) -> (u32, u64) {
        let stream = block.header().stream;
        let (mut highest, mut unusable) = (0, 0);
        if stream.lane != Lane::Definitions {
            return (highest, unusable);
        }
        let resolver = self.resolver(stream.origin);
        let mut resolver = resolver.lock();
        for view in block.entries() {
            let is_derivation = view.head.kind == EntryKind::Derivation;
            if view.head.kind != EntryKind::Definition && !is_derivation {
                continue;
            }
            match block.body(view) {
                Ok(body) if is_derivation => {
                    unusable += u64::from(resolver.derive(body).is_err());
                }
                Ok(body) => {
                    highest = highest.max(last_id(body));
                    unusable += u64::from(resolver.apply(body).is_err());
                }
                Err(_damaged) => unusable += 1,
            }
        }
        resolver.note_highest(highest);
        (highest, unusable)
    }

    fn resolver(&self, origin: OriginId) -> Arc<Mutex<Resolver>> {
        if let Some(known) = self.origins.read().get(&origin) {
            return Arc::clone(known);
        }
        Arc::clone(self.origins.write().entry(origin).or_default())
    }

    /// Who an origin is; `None` if its lane 1 has not said so, or none of it is held.
    #[must_use]
    pub fn origin_of(&self, origin: OriginId) -> Option<Arc<OriginDescription>> {
        let resolver = self.origins.read().get(&origin).map(Arc::clone)?;
        let resolver = resolver.lock();
        resolver.origin()
    }

    /// What an origin's stream is made of; `None` of one that is not derived, or not known.
    #[must_use]
    pub fn derivation_of(&self, origin: OriginId) -> Option<Arc<Derivation>> {
        let resolver = self.origins.read().get(&origin).map(Arc::clone)?;
        let resolver = resolver.lock();
        resolver.derivation()
    }

    /// The highest id that lane 1 of an origin has given a meaning; 0: none.
    #[must_use]
    pub fn highest_id(&self, origin: OriginId) -> u32 {
        let resolver = self.origins.read().get(&origin).map(Arc::clone);
        resolver.map_or(0, |resolver| resolver.lock().highest())
    }

    /// What a head's ids mean: resource, plugin and, of a batch, its columns.
    ///
    /// # Errors
    /// [`ResolveError`] for an id that lane 1 has not defined.
    pub fn resolve(
        &self,
        origin: OriginId,
        head: &EntryHead,
    ) -> Result<ResolvedHead, ResolveError> {
        resolve_head(&mut self.resolver(origin).lock(), head)
    }

    /// What a head's resource and plugin are, without building the columns.
    ///
    /// # Errors
    /// [`ResolveError`] for an id that lane 1 has not defined.
    pub fn resolve_pair(
        &self,
        origin: OriginId,
        head: &EntryHead,
    ) -> Result<ResolvedHead, ResolveError> {
        let resolver = self.resolver(origin);
        let resolver = resolver.lock();
        Ok(ResolvedHead {
            resource: resolver.resource(head.resource)?,
            plugin: resolver.plugin(head.plugin)?,
            columns: None,
        })
    }

    /// What a head's resource and, of a batch, its schema are, without building row sets.
    ///
    /// # Errors
    /// [`ResolveError`] for an id that lane 1 has not defined.
    pub(crate) fn resource_and_schema(
        &self,
        origin: OriginId,
        head: &EntryHead,
    ) -> Result<ResourceAndSchema, ResolveError> {
        let resolver = self.resolver(origin);
        let resolver = resolver.lock();
        let is_batch = head.kind == EntryKind::Batch;
        let schema = is_batch.then(|| resolver.schema(head.schema)).transpose()?;
        Ok((resolver.resource(head.resource)?, schema))
    }

    /// The record of an entry; decoded by the first reader, shared by the others.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn record(&self, entry: &Entry) -> Result<Arc<Record>, EntryError> {
        if let Some(known) = self.cached(entry) {
            return Ok(known);
        }
        let resolved = self.resolve(entry.stream().origin, entry.head());
        self.record_of(entry, resolved.map_err(RecordError::from)?)
    }

    /// As [`Self::record`], for an entry whose head is resolved.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn record_of(
        &self,
        entry: &Entry,
        resolved: ResolvedHead,
    ) -> Result<Arc<Record>, EntryError> {
        if let Some(known) = self.cached(entry) {
            return Ok(known);
        }
        let key = (entry.block().position(), entry.index());
        let mut record = decode_entry(entry.stream(), entry.view(), resolved, entry.body()?)?;
        record.is_backfill = entry.block().is_backfill();
        record.is_fill = entry.block().lane() == DeliveryLane::Fill;
        let record = Arc::new(record);
        self.cache.lock().insert(key, &record);
        Ok(record)
    }

    fn cached(&self, entry: &Entry) -> Option<Arc<Record>> {
        let key = (entry.block().position(), entry.index());
        let cache = self.cache.lock();
        cache.records.get(&key).map(|(_, known)| Arc::clone(known))
    }

    /// Decodes an entry that stands in no block here.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(
        &self,
        stream: StreamId,
        view: &EntryView,
        body: &[u8],
    ) -> Result<Record, RecordError> {
        // The lock ends before the body is decoded.
        let resolved = self.resolve(stream.origin, &view.head)?;
        decode_entry(stream, view, resolved, body)
    }

    /// Bytes of decoded records that are held.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.cache.lock().bytes
    }

    /// Bytes of definitions that are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.origins
            .read()
            .values()
            .map(|resolver| resolver.lock().heap_bytes())
            .sum()
    }
}

impl RecordCache {
    fn insert(&mut self, key: (LogPosition, usize), record: &Arc<Record>) {
        let bytes = memory_bytes(record);
        if self
            .records
            .insert(key, (bytes, Arc::clone(record)))
            .is_none()
        {
            self.order.push_back(key);
            self.bytes += bytes;
        }
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some((bytes, _)) = self.records.remove(&oldest) {
                self.bytes -= bytes;
            }
        }
    }
}

/// About what a record takes in memory; row sets and schemas are shared and counted elsewhere.
fn memory_bytes(record: &Record) -> usize {
    let of_group = |group: &GroupValues| {
        let counters = group.counters.len() * COUNTER_CELL_BYTES;
        let gauges = group.gauges.len() * GAUGE_CELL_BYTES;
        group.len() * (counters + gauges + size_of::<i64>() + size_of::<u32>())
    };
    let columns = match &record.payload {
        Payload::Batch(batch) => batch.groups.iter().map(of_group).sum(),
        Payload::Session(session) => session.state.len(),
        Payload::Unknown(bytes) | Payload::Plan(bytes) => bytes.len(),
        _ => 0,
    };
    RECORD_BYTES + columns
}

/// The highest id that a definition gives a meaning; 0 if it is none.
fn last_id(body: &[u8]) -> u32 {
    match Definition::decode(body) {
        Ok(
            Definition::Resource { id, .. }
            | Definition::Plugin { id, .. }
            | Definition::Schema { id, .. }
            | Definition::TaggedSchema { id, .. }
            | Definition::RowSet { id, .. }
            | Definition::Origin { id, .. },
        ) => id.0,
        Ok(Definition::Rows(texts) | Definition::Attributes(texts)) => {
            let rows = texts
                .cells
                .len()
                .checked_div(usize::from(texts.columns))
                .unwrap_or(0);
            let more = u32::try_from(rows.saturating_sub(1)).unwrap_or(u32::MAX);
            texts.first.0.saturating_add(more)
        }
        Err(_) => 0,
    }
}
