//! Where records come from: entries of a bus, decoded once for all readers.
//!
//! Does: follow lane 1 so that ids can be resolved, decode entries and last values, keep what was
//! decoded lately. Does not: filter, follow a cursor (`subscription`).
//! In: [`Entry`]s of durable blocks. Out: [`Record`]s behind `Arc`s.
//! Full: beyond [`RECENT_BYTES_MAX`] what was decoded longest ago is dropped and decoded again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ocelli_model::batch::Batch;
use parking_lot::Mutex;

use crate::block::{BlockError, EntryView};
use crate::decoder::{Record, RecordError, ResolvedHead, decode_entry, resolve_head};
use crate::payload::Payload;
use crate::record::{Lane, OriginId, Seq, StreamId};
use crate::resolver::{ResolveError, Resolver};
use crate::{
    Bus, Delivery, Entry, LastEntry, LastKind, ReadError, ReadFrom, Reader, ReaderOptions,
    TooManyReaders,
};

/// Decoded records kept, bytes by estimate.
const RECENT_BYTES_MAX: usize = 48 * 1024 * 1024;
/// What a record takes beside its columns.
const RECORD_BYTES: usize = 512;
/// A decoded cell: value, delta, verdict.
const CELL_BYTES: usize = 17;

/// Why an entry is no record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
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

/// Decodes for all readers of one bus.
pub struct RecordSource {
    bus: Arc<Bus>,
    definitions: tokio::sync::Mutex<Definitions>,
    recent: Mutex<Recent>,
}

/// What lane 1 has said so far.
struct Definitions {
    reader: Reader,
    origins: HashMap<OriginId, Known>,
}

#[derive(Default)]
struct Known {
    resolver: Resolver,
    applied: Seq,
}

/// Records decoded lately, in the order of decoding.
#[derive(Default)]
struct Recent {
    records: HashMap<(StreamId, Seq), (Arc<Record>, usize)>,
    order: VecDeque<(StreamId, Seq)>,
    bytes: usize,
}

impl RecordSource {
    /// A source over `bus`. It holds one of the bus's readers, for lane 1.
    ///
    /// # Errors
    /// [`TooManyReaders`].
    pub fn new(bus: Arc<Bus>) -> Result<Arc<Self>, TooManyReaders> {
        let options = ReaderOptions::from(ReadFrom::Oldest)
            .with_definitions()
            .only(|stream, _| stream.lane == Lane::Definitions);
        let reader = bus.reader(options)?;
        let definitions = Definitions {
            reader,
            origins: HashMap::new(),
        };
        Ok(Arc::new(Self {
            bus,
            definitions: tokio::sync::Mutex::new(definitions),
            recent: Mutex::default(),
        }))
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// What the ids of an entry's head mean.
    ///
    /// # Errors
    /// [`SourceError::Read`] or [`SourceError::Resolve`].
    pub async fn resolve(&self, entry: &Entry) -> Result<ResolvedHead, SourceError> {
        let needed = entry.block().header().needs_def;
        let mut definitions = self.definitions.lock().await;
        let known = definitions
            .known_up_to(entry.stream().origin, needed)
            .await?;
        Ok(resolve_head(&mut known.resolver, entry.head())?)
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
        let key = (entry.stream(), entry.seq());
        if let Some((record, _)) = self.recent.lock().records.get(&key) {
            return Ok(Arc::clone(record));
        }
        let record = decode_entry(entry.stream(), entry.view(), resolved, entry.body()?)?;
        let record = Arc::new(record);
        self.recent.lock().insert(key, &record);
        Ok(record)
    }

    /// The last batch of each pair that `wants` picks, by origin, resource and plugin id. What is
    /// damaged or not defined is left out with a warning.
    ///
    /// # Errors
    /// [`SourceError::Read`].
    pub async fn last_batches(
        &self,
        mut wants: impl FnMut(&ResolvedHead) -> bool,
    ) -> Result<Vec<Arc<Record>>, SourceError> {
        let entries = self.bus.last_values().list(LastKind::Batch);
        let mut definitions = self.definitions.lock().await;
        definitions.catch_up().await?;
        let mut records = Vec::new();
        for entry in &entries {
            match definitions.last_record(entry, &mut wants) {
                Ok(record) => records.extend(record.map(Arc::new)),
                Err(error) => {
                    tracing::warn!(origin = %entry.origin, seq = %entry.seq, %error,
                        "a last value was left out");
                }
            }
        }
        Ok(records)
    }
}

impl Definitions {
    /// The origin's definitions, at least up to `needed`.
    async fn known_up_to(
        &mut self,
        origin: OriginId,
        needed: Seq,
    ) -> Result<&mut Known, SourceError> {
        let applied = self
            .origins
            .get(&origin)
            .map_or(Seq(0), |known| known.applied);
        if applied < needed {
            self.catch_up().await?;
        }
        Ok(self.origins.entry(origin).or_default())
    }

    /// Applies all definitions that are durable now.
    async fn catch_up(&mut self) -> Result<(), SourceError> {
        while let Some(delivery) = self.reader.next_held().await? {
            let Delivery::Entries(entries) = delivery else {
                continue;
            };
            for entry in entries {
                let known = self.origins.entry(entry.stream().origin).or_default();
                let applied = match entry.body() {
                    Ok(body) if entry.head().kind == crate::record::EntryKind::Definition => {
                        known.resolver.apply(body)
                    }
                    _ => Ok(()),
                };
                if let Err(error) = applied {
                    tracing::warn!(stream = %entry.stream(), seq = %entry.seq(), %error,
                        "a definition was passed over");
                }
                known.applied = known.applied.max(entry.seq());
            }
        }
        Ok(())
    }

    fn last_record(
        &mut self,
        last: &LastEntry,
        wants: &mut impl FnMut(&ResolvedHead) -> bool,
    ) -> Result<Option<Record>, SourceError> {
        let known = self.origins.entry(last.origin).or_default();
        let resolved = resolve_head(&mut known.resolver, &last.head)?;
        if !wants(&resolved) {
            return Ok(None);
        }
        let view = EntryView {
            seq: last.seq,
            head: last.head,
            body: 0..last.body.len(),
        };
        let stream = StreamId::data(last.origin);
        Ok(Some(decode_entry(stream, &view, resolved, &last.body)?))
    }
}

impl Recent {
    fn insert(&mut self, key: (StreamId, Seq), record: &Arc<Record>) {
        let bytes = RECORD_BYTES + payload_bytes(&record.payload);
        if self
            .records
            .insert(key, (Arc::clone(record), bytes))
            .is_none()
        {
            self.order.push_back(key);
            self.bytes += bytes;
        }
        while self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            let dropped = self.records.remove(&oldest);
            self.bytes -= dropped.map_or(0, |(_, bytes)| bytes);
        }
    }
}

fn payload_bytes(payload: &Payload) -> usize {
    match payload {
        Payload::Batch(batch) => batch_bytes(batch),
        Payload::Session(session) => session.state.len(),
        Payload::Enrich(record) => record.facts_json.len(),
        Payload::Plan(bytes) | Payload::Unknown(bytes) => bytes.len(),
        _ => 0,
    }
}

fn batch_bytes(batch: &Batch) -> usize {
    let cells = batch
        .groups
        .iter()
        .map(|group| group.len() * (1 + group.counters.len() + group.gauges.len()));
    cells.sum::<usize>() * CELL_BYTES
}
