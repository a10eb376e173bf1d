//! Batches that nothing can make durable, for whoever watches: on a full disk alone.
//!
//! Does: hand such a batch to all subscriptions that want them. Does not: give it a seq, keep it,
//! show it to readers, last values, uplinks, sinks or checks: its slot is a gap, written when space
//! returns (design §6, "Nothing is visible before it is durable").
//! In: batches that the bus refused. Out: [`Record`]s marked volatile.
//! Full: a subscription that is [`VOLATILE_MAX`] records behind loses the oldest, counted as lag.

use std::sync::Arc;

use ocelli_model::batch::Batch;
use ocelli_model::resource::Resource;
use tokio::sync::broadcast;

use crate::decoder::Record;
use crate::payload::Payload;
use crate::record::{EntryKind, OriginId, Seq, StreamId};

/// Records that a subscription may be behind: a second of a node with a thousand pairs.
pub const VOLATILE_MAX: usize = 1_024;

/// The way from the bus's handle to subscriptions.
#[derive(Debug)]
pub(crate) struct VolatileFeed {
    sender: broadcast::Sender<Arc<Record>>,
}

impl Default for VolatileFeed {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(VOLATILE_MAX),
        }
    }
}

impl VolatileFeed {
    /// Follows the feed from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Record>> {
        self.sender.subscribe()
    }

    /// Shows a batch. Costs nothing while nobody follows.
    pub(crate) fn show(
        &self,
        origin: OriginId,
        (resource, plugin): (&Arc<Resource>, &Arc<str>),
        batch: &Batch,
    ) {
        if self.sender.receiver_count() == 0 {
            return;
        }
        let record = Record {
            stream: StreamId::data(origin),
            seq: Seq(0),
            kind: EntryKind::Batch,
            resource: Some(Arc::clone(resource)),
            plugin: Some(Arc::clone(plugin)),
            slot: batch.slot,
            interval_ms: batch.interval_ms,
            epoch: batch.epoch,
            time: batch.time,
            is_partial: batch.partial.is_some(),
            is_backfill: false,
            is_fill: false,
            is_volatile: true,
            payload: Payload::Batch(Arc::new(batch.clone())),
        };
        // Whoever followed may have left meanwhile.
        self.sender.send(Arc::new(record)).ok();
    }
}
