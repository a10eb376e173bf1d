//! Appends batches to a derived stream on the own bus.
//!
//! Does: encode with ids of the derived origin, stamp, hand blocks to the bus and wait until they
//! are durable. Does not: decide what is derived (`core`, `run`).
//! In: batches of pairs. Out: blocks as another origin's, so that bus and uplink treat them alike.
//! They are marked as fenced here: at this node the source itself stands for these slots, so views
//! and subscribers of this node pass over them. The mark stays here, it is not sent.
//! Invariant: lane 1 before the data that needs it; a seq is used again only if nothing is durable
//! under it.

use std::sync::Arc;

use bytes::Bytes;
use ocelli_bus::block::{BlockError, PushError, SealedBlock, Stamp};
use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::{AppendError as EncodeError, Encoder};
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{AppendError, Bus, ForeignBlock, IngestError};
use ocelli_model::batch::Batch;
use ocelli_model::resource::Resource;

/// Why something is not durable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The bus does not take the block.
    #[error("a derived block is not taken: {0}")]
    Ingest(#[from] IngestError),
    /// It took the block and could not keep it.
    #[error("a derived block is not durable: {0}")]
    Append(#[from] AppendError),
    /// The block is no block: a defect.
    #[error("a derived block is not sound: {0}; report it")]
    Block(#[from] BlockError),
}

/// The end of a derived stream.
pub(super) struct DerivedWriter {
    bus: Arc<Bus>,
    origin: OriginId,
    encoder: Encoder,
}

impl DerivedWriter {
    pub(super) fn new(bus: Arc<Bus>, origin: OriginId) -> Self {
        let mut encoder = Encoder::default();
        let highest = bus.definitions().highest_id(origin);
        encoder.add_ids(highest + 1..u32::MAX);
        Self {
            bus,
            origin,
            encoder,
        }
    }

    /// Puts a batch into the block under construction; `false`: it is full, flush first. A batch
    /// that cannot be encoded is told and left out.
    pub(super) fn push(
        &mut self,
        cache: &mut PairCache,
        (resource, plugin): (&Arc<Resource>, &Arc<str>),
        batch: &Batch,
    ) -> bool {
        match self.encoder.push_batch(cache, resource, plugin, batch) {
            Ok(()) => true,
            Err(EncodeError::Push(PushError::Full)) => false,
            Err(error) => {
                let resource = resource.id().as_str();
                tracing::warn!(resource, %plugin, %error, "a derived batch cannot be written");
                true
            }
        }
    }

    /// Whether the block is as large as it should be.
    pub(super) fn is_due(&self) -> bool {
        self.encoder.is_due()
    }

    /// Makes all that was pushed durable.
    pub(super) async fn flush(&mut self) -> Result<(), WriteError> {
        let sealed = self.encoder.seal();
        let mut written = Ok(());
        for block in sealed.definitions {
            written = self.append(Lane::Definitions, block).await;
            if written.is_err() {
                break;
            }
        }
        if let (Ok(()), Some(block)) = (&written, sealed.data) {
            written = self.append(Lane::Data, block).await;
        }
        if written.is_err() {
            // What was lost is defined anew; ids that were durable are simply not used again.
            self.encoder.forget_definitions();
        }
        written
    }

    /// Appends a block to one of the lanes and waits until it is durable.
    pub(super) async fn append(
        &self,
        lane: Lane,
        mut block: SealedBlock,
    ) -> Result<(), WriteError> {
        let origin = self.origin;
        let definitions = self.bus.coverage_of(StreamId::definitions(origin));
        let needs_def = match lane {
            Lane::Data => definitions.highest(),
            Lane::Definitions => Seq(0),
        };
        let stream = StreamId { origin, lane };
        let first_seq = self.bus.coverage_of(stream).highest().next();
        block.stamp(&Stamp {
            stream,
            first_seq,
            needs_def,
        });
        let block = ForeignBlock::read(Bytes::from(block.into_bytes()))?.with_fenced(true);
        let taken = self.bus.handle().ingest(block).await;
        let acknowledged = taken.map_err(|refused| refused.error)?;
        acknowledged.await?;
        Ok(())
    }
}
