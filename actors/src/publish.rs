//! From rows to a batch on its way to the bus.
//!
//! Does: judge counters against the pair's previous values, name the rows, hand the batch to the
//! outlet. Does not: account for slots (`resource`), encode (`outlet`).
//! In: [`Publication`]. Out: a batch taken by the outlet, or [`Shed`] with the gap's cause.
//! Invariant: the previous values are replaced whole, and only once the batch was taken.

use std::sync::Arc;

use ocelli_bus::dictionary::PairCache;
use ocelli_model::batch::{Batch, RowSet};
use ocelli_model::clock::WallMs;
use ocelli_model::rate::RateState;
use ocelli_model::resource::Resource;
use ocelli_model::rows::Rows;
use ocelli_model::slot::{Epoch, SlotMs};

use crate::outlet::{Outlet, PairOf, Shed};
use crate::plan::PollingInstance;
use crate::reach::RunMemory;

/// What is to become a batch.
pub(crate) struct Publication<'a> {
    pub(crate) resource: &'a Arc<Resource>,
    pub(crate) instance: &'a PollingInstance,
    pub(crate) slot: SlotMs,
    pub(crate) interval_ms: u32,
    pub(crate) epoch: Epoch,
    /// When the run ended.
    pub(crate) time: WallMs,
}

/// What publishing keeps of a pair: the rows of its last batch, so that equal rows are one
/// definition and one allocation.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    rows: Option<Arc<RowSet>>,
    /// Ids of what the pair's entries refer to.
    pub(crate) cache: PairCache,
}

impl Publisher {
    /// Makes a batch of the rows in `memory` and hands it to `outlet`. In the steady state nothing
    /// is allocated: the memory goes round.
    ///
    /// # Errors
    /// [`Shed`]: `rate` is as before, the slot is a gap.
    pub(crate) fn publish(
        &mut self,
        publication: &Publication<'_>,
        memory: &mut RunMemory,
        rate: &mut RateState,
        outlet: &mut Outlet,
    ) -> Result<(), Shed> {
        let instance = publication.instance;
        let row_set = self.row_set(&memory.rows);
        let batch = batch_of(publication, memory, row_set, rate);
        let cache = &mut self.cache;
        let mut of = PairOf {
            cache,
            resource: publication.resource,
            plugin: &instance.name,
        };
        let taken = outlet.batch(&mut of, &batch);
        let count = batch.sample_count();
        let is_partial = batch.partial.is_some();
        memory.groups = batch.groups;
        taken?;
        let samples = count.counters + count.gauges;
        instance.counters.batch(is_partial, samples, count.rates);
        rate.take(&memory.draft);
        Ok(())
    }

    fn row_set(&mut self, rows: &Rows) -> Arc<RowSet> {
        let is_same = |known: &&Arc<RowSet>| {
            known
                .groups
                .iter()
                .eq(rows.groups.iter().map(|group| &group.dimensions))
        };
        if let Some(known) = self.rows.as_ref().filter(is_same) {
            return Arc::clone(known);
        }
        let rows = row_set_of(rows);
        self.rows = Some(Arc::clone(&rows));
        rows
    }
}

/// The batch of the rows in `memory`, judged against `rate`; the state that follows stands in the
/// memory's draft.
pub(crate) fn batch_of(
    publication: &Publication<'_>,
    memory: &mut RunMemory,
    row_set: Arc<RowSet>,
    rate: &RateState,
) -> Batch {
    let plugin = &publication.instance.plugin;
    let interval_ms = publication.interval_ms;
    let mut groups = std::mem::take(&mut memory.groups);
    let RunMemory { rows, draft, .. } = memory;
    rate.judge(plugin.rate_plan(), (rows, interval_ms), draft, &mut groups);
    Batch {
        slot: publication.slot,
        interval_ms,
        epoch: publication.epoch,
        time: publication.time,
        partial: rows.partial.take(),
        schema: Arc::clone(plugin.schema()),
        rows: row_set,
        groups,
    }
}

/// The dimensions of `rows`, in memory of their own.
pub(crate) fn row_set_of(rows: &Rows) -> Arc<RowSet> {
    let groups = rows.groups.iter().map(|group| {
        let mut dimensions = group.dimensions.clone();
        dimensions.shrink_to_fit();
        dimensions
    });
    Arc::new(RowSet {
        groups: groups.collect(),
    })
}
