//! From a block to records: what readers of a stream see.
//!
//! Does: resolve ids, decode bodies, hand out [`Record`]s that readers share. Does not: read disks,
//! filter, render.
//! In: an entry of a parsed block and the origin's resolver. Out: a [`Record`]; heads alone
//! ([`resolve_head`]) for readers that filter before they decode.
//! Cost: a batch is decoded into fresh memory, since it is shared behind an `Arc`.

use std::sync::Arc;

use ocelli_model::batch::RowSet;
use ocelli_model::clock::WallMs;
use ocelli_model::resource::Resource;
use ocelli_model::schema::Schema;
use ocelli_model::slot::{Epoch, SlotMs};

use crate::block::{EntryFlags, EntryHead, EntryView};
use crate::body::{BatchFrame, BodyError, BodyView, empty_batch};
use crate::definition::Definition;
use crate::payload::{self, Payload, PayloadError};
use crate::record::{EntryKind, Seq, StreamId};
use crate::resolver::{ResolveError, Resolver};

/// An entry with all that it refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Whose entry, on which lane.
    pub stream: StreamId,
    /// Its number there.
    pub seq: Seq,
    /// What it is.
    pub kind: EntryKind,
    /// Whose data; `None` for entries of a node.
    pub resource: Option<Arc<Resource>>,
    /// Read by which plugin.
    pub plugin: Option<Arc<str>>,
    /// The slot, of a range its first.
    pub slot: SlotMs,
    /// Interval of the slots, ms; 0 where there are none.
    pub interval_ms: u32,
    /// The plan entry that gave the right.
    pub epoch: Epoch,
    /// When it came to be.
    pub time: WallMs,
    /// Something that was asked for is missing.
    pub is_partial: bool,
    /// It did not come live.
    pub is_backfill: bool,
    /// It did not come in the order of backfill either ([`crate::DeliveryLane::Fill`]).
    pub is_fill: bool,
    /// A full disk does not take it: it has no seq, and its slot is a gap.
    pub is_volatile: bool,
    /// The rest.
    pub payload: Payload,
}

/// Why an entry is no record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// An id means nothing here.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The batch body is damaged.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Another body is damaged.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// What a head's ids mean.
#[derive(Debug, Clone)]
pub struct ResolvedHead {
    /// Whose data.
    pub resource: Option<Arc<Resource>>,
    /// Read by which plugin.
    pub plugin: Option<Arc<str>>,
    /// Batches only.
    pub columns: Option<(Arc<Schema>, Arc<RowSet>)>,
}

/// Resolves the ids of a head.
///
/// # Errors
/// [`ResolveError`] for an id that lane 1 has not defined as what it is used for.
pub fn resolve_head(
    resolver: &mut Resolver,
    head: &EntryHead,
) -> Result<ResolvedHead, ResolveError> {
    let columns = if head.kind == EntryKind::Batch {
        Some((
            resolver.schema(head.schema)?,
            resolver.row_set(head.row_set)?,
        ))
    } else {
        None
    };
    Ok(ResolvedHead {
        resource: resolver.resource(head.resource)?,
        plugin: resolver.plugin(head.plugin)?,
        columns,
    })
}

/// The frame that a batch's body is read in.
#[must_use]
pub fn batch_frame(head: &EntryHead, schema: &Arc<Schema>, rows: &Arc<RowSet>) -> BatchFrame {
    BatchFrame {
        slot: head.slot,
        interval_ms: head.interval_ms,
        epoch: head.epoch,
        time: head.time,
        is_partial: head.flags.has(EntryFlags::PARTIAL),
        schema: Arc::clone(schema),
        rows: Arc::clone(rows),
    }
}

/// Decodes an entry whose head is resolved.
///
/// # Errors
/// [`RecordError::Body`], [`RecordError::Payload`], or [`RecordError::Resolve`] for a definition
/// that does not decode.
pub fn decode_entry(
    stream: StreamId,
    entry: &EntryView,
    resolved: ResolvedHead,
    body: &[u8],
) -> Result<Record, RecordError> {
    let head = &entry.head;
    let payload = match (&resolved.columns, head.kind) {
        (Some((schema, rows)), EntryKind::Batch) => {
            let frame = batch_frame(head, schema, rows);
            let mut batch = empty_batch();
            BodyView::parse(body, &frame)?.decode_into(&mut batch)?;
            Payload::Batch(Arc::new(batch))
        }
        (_, EntryKind::Definition) => {
            let definition = Definition::decode(body).map_err(ResolveError::from)?;
            Payload::Definition(Arc::new(definition))
        }
        _ => payload::read(head, body)?,
    };
    Ok(Record {
        stream,
        seq: entry.seq,
        kind: head.kind,
        resource: resolved.resource,
        plugin: resolved.plugin,
        slot: head.slot,
        interval_ms: head.interval_ms,
        epoch: head.epoch,
        time: head.time,
        is_partial: head.flags.has(EntryFlags::PARTIAL),
        is_backfill: false,
        is_fill: false,
        is_volatile: false,
        payload,
    })
}

/// Resolves and decodes an entry. Definitions are applied to `resolver` by whoever follows lane 1,
/// not here.
///
/// # Errors
/// [`RecordError`].
pub fn record_of(
    stream: StreamId,
    entry: &EntryView,
    body: &[u8],
    resolver: &mut Resolver,
) -> Result<Record, RecordError> {
    let resolved = resolve_head(resolver, &entry.head)?;
    decode_entry(stream, entry, resolved, body)
}
