//! The way from one arbiter to the bus: entries, blocks, and what becomes of them.
//!
//! Does: hand entries to the encoder, submit sealed blocks in order, turn slots of blocks that did
//! not become durable into gaps. Does not: encode (`bus`), wait for the disk.
//! In: batches, gaps, sessions, enrichments, releases, events. Out: sealed blocks to the bus.
//! Full: while the bus refuses, batches are shed as gaps (`overload`, `disk_full`); gaps wait, one
//! range a pair as long as they are neighbours; of other entries the one beyond [`NOTES_MAX`] is
//! dropped and counted. So state and gap records are the last to go.
//! Invariant: definitions are submitted before the block that uses them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use ocelli_bus::block::{PushError, SealedBlock};
use ocelli_bus::dictionary::{DefineError, PairCache};
use ocelli_bus::encoder::{AppendError as EntryError, Encoder, Pair, Place, SealedBlocks};
use ocelli_bus::payload::Session;
use ocelli_bus::record::Lane;
use ocelli_bus::{Acknowledgement, AppendError, BusHandle, SubmitError};
use ocelli_model::batch::Batch;
use ocelli_model::clock::{Clock, WallMs};
use ocelli_model::enrichment::EnrichmentRecord;
use ocelli_model::event::EventFacts;
use ocelli_model::gap::{Gap, GapCause, GapKind};
use ocelli_model::resource::{Resource, ResourceId};
use tokio::sync::Notify;
use tracing::{error, warn};

use crate::counters::RuntimeCounters;

/// Sessions and enrichments that wait while the bus refuses: one of each for 5,000
/// resources of an arbiter.
pub(crate) const NOTES_MAX: usize = 16_384;
/// Gap ranges that wait: more than the pairs of an arbiter with 10,000 resources.
pub(crate) const GAPS_MAX: usize = 65_536;

/// A batch that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("batch was not taken: {cause}")]
pub(crate) struct Shed {
    /// Why its slot is a gap now.
    pub(crate) cause: GapCause,
}

/// Whose entry it is; the cache belongs to the pair.
pub(crate) struct PairOf<'a> {
    pub(crate) cache: &'a mut PairCache,
    pub(crate) resource: &'a Arc<Resource>,
    pub(crate) plugin: &'a Arc<str>,
}

/// An entry beside batches and gaps.
pub(crate) enum Note {
    /// What a restart goes on from.
    Session(Session, Place),
    /// Facts that changed.
    Enrich(Box<EnrichmentRecord>),
    /// The pair is polled here no longer, from the slot of the place on.
    Released(Place),
    /// Something that happened then.
    Event(EventFacts, WallMs),
}

/// A slot range of a pair: in a block on its way, or waiting as a gap.
#[derive(Clone)]
struct SlotsOf {
    resource: Arc<Resource>,
    plugin: Arc<str>,
    gap: Gap,
    /// The slot has a batch, as long as its block becomes durable.
    is_batch: bool,
}

/// A sealed block that waits to be submitted.
struct Outgoing {
    lane: Lane,
    block: SealedBlock,
    slots: Vec<SlotsOf>,
}

/// What acknowledgements told.
#[derive(Default)]
struct Lost {
    slots: Vec<SlotsOf>,
    are_definitions: bool,
}

struct Waiting {
    /// `None` for an event of the node.
    resource: Option<Arc<Resource>>,
    plugin: Option<Arc<str>>,
    note: Note,
}

/// One arbiter's outlet.
pub(crate) struct Outlet {
    bus: BusHandle,
    clock: Arc<dyn Clock>,
    counters: Arc<RuntimeCounters>,
    encoder: Encoder,
    /// Slots of the block under construction.
    slots: Vec<SlotsOf>,
    outgoing: VecDeque<Outgoing>,
    refused: Option<SubmitError>,
    gaps: BTreeMap<(ResourceId, Arc<str>), Vec<SlotsOf>>,
    gap_count: usize,
    notes: VecDeque<Waiting>,
    lost: Rc<RefCell<Lost>>,
    pending: Rc<Notify>,
}

impl Outlet {
    /// An outlet to `bus`.
    pub(crate) fn new(
        bus: BusHandle,
        clock: Arc<dyn Clock>,
        counters: Arc<RuntimeCounters>,
    ) -> Self {
        Self {
            bus,
            clock,
            counters,
            encoder: Encoder::default(),
            slots: Vec::new(),
            outgoing: VecDeque::new(),
            refused: None,
            gaps: BTreeMap::new(),
            gap_count: 0,
            notes: VecDeque::new(),
            lost: Rc::default(),
            pending: Rc::default(),
        }
    }

    /// Notified when there is something to flush.
    pub(crate) fn pending(&self) -> Rc<Notify> {
        Rc::clone(&self.pending)
    }

    // === What actors hand in ===

    /// Takes a batch.
    ///
    /// # Errors
    /// [`Shed`] with the cause of the slot's gap; nothing was taken.
    pub(crate) fn batch(&mut self, of: &mut PairOf<'_>, batch: &Batch) -> Result<(), Shed> {
        if let Some(refused) = self.refused {
            if refused == SubmitError::DiskFull {
                self.bus.show_volatile(of.resource, of.plugin, batch);
            }
            return Err(Shed {
                cause: cause_of_refusal(refused),
            });
        }
        let pushed =
            self.push(|encoder| encoder.push_batch(of.cache, of.resource, of.plugin, batch));
        pushed.map_err(|error| Shed {
            cause: cause_of_entry(&error),
        })?;
        let Batch {
            slot,
            interval_ms,
            epoch,
            ..
        } = *batch;
        let gap = Gap::of_slot(slot, interval_ms, epoch, GapKind::DiskFull.into());
        self.slots.push(SlotsOf::new(of, gap, true));
        if self.encoder.is_due() {
            self.seal_and_submit();
        }
        self.pending.notify_one();
        Ok(())
    }

    /// Takes a gap. While the bus refuses, neighbours of one cause become one entry.
    pub(crate) fn gap(&mut self, of: &mut PairOf<'_>, gap: Gap) {
        self.pending.notify_one();
        if self.refused.is_some() {
            return self.keep_gap(SlotsOf::new(of, gap, false));
        }
        let pair = Pair {
            resource: of.resource,
            plugin: Some(of.plugin),
        };
        let now = self.clock.wall();
        match self.push(|encoder| encoder.push_gap(of.cache, pair, &gap, now)) {
            Ok(()) => self.slots.push(SlotsOf::new(of, gap, false)),
            Err(error) => error!(%error, "gap record cannot be encoded"),
        }
    }

    /// Takes a session, an enrichment or a release of a pair.
    pub(crate) fn note(&mut self, resource: &Arc<Resource>, plugin: &Arc<str>, note: Note) {
        self.note_of(Some(Arc::clone(resource)), Some(Arc::clone(plugin)), note);
    }

    /// Takes a note of a pair, of a resource, or (an event) of the node.
    pub(crate) fn note_of(
        &mut self,
        resource: Option<Arc<Resource>>,
        plugin: Option<Arc<str>>,
        note: Note,
    ) {
        self.pending.notify_one();
        if self.notes.len() >= NOTES_MAX {
            self.counters.note_dropped();
            let (resource, plugin) = names(resource.as_ref(), plugin.as_ref());
            warn!(resource, plugin, kind = note.kind(), "bus note dropped");
            return;
        }
        self.notes.push_back(Waiting {
            resource,
            plugin,
            note,
        });
    }

    // === To the bus ===

    /// Seals and submits all that waits, as far as the bus takes it.
    pub(crate) fn flush(&mut self) {
        self.take_lost();
        self.submit();
        if self.refused.is_none() {
            self.push_gaps();
            self.push_notes();
            self.seal_and_submit();
        }
        if !self.is_empty() {
            self.pending.notify_one();
        }
    }

    /// Whether all that was taken is with the bus.
    pub(crate) fn is_empty(&self) -> bool {
        let is_sealed = self.encoder.is_empty() && self.outgoing.is_empty();
        is_sealed && self.gaps.is_empty() && self.notes.is_empty()
    }

    fn take_lost(&mut self) {
        let Lost {
            slots,
            are_definitions,
        } = std::mem::take(&mut *self.lost.borrow_mut());
        if are_definitions {
            self.encoder.forget_definitions();
        }
        slots.into_iter().for_each(|slots| self.keep_gap(slots));
    }

    fn keep_gap(&mut self, slots: SlotsOf) {
        let key = (slots.resource.id().clone(), Arc::clone(&slots.plugin));
        let waiting = self.gaps.entry(key).or_default();
        if waiting
            .last_mut()
            .is_some_and(|last| last.gap.try_merge(&slots.gap))
        {
            return;
        }
        if self.gap_count >= GAPS_MAX {
            self.counters.gap_dropped();
            let (resource, plugin) = (slots.resource.id(), &slots.plugin);
            error!(%resource, %plugin, slot = slots.gap.first.0, "gap record dropped");
            return;
        }
        waiting.push(slots);
        self.gap_count += 1;
    }

    fn push_gaps(&mut self) {
        self.gap_count = 0;
        for slots in std::mem::take(&mut self.gaps).into_values().flatten() {
            let SlotsOf {
                resource,
                plugin,
                gap,
                ..
            } = slots;
            let cache = &mut PairCache::default();
            self.gap(
                &mut PairOf {
                    cache,
                    resource: &resource,
                    plugin: &plugin,
                },
                gap,
            );
        }
    }

    fn push_notes(&mut self) {
        while let Some(Waiting {
            resource,
            plugin,
            note,
        }) = self.notes.pop_front()
        {
            let pair = resource.as_ref().map(|resource| Pair {
                resource,
                plugin: plugin.as_ref(),
            });
            let now = self.clock.wall();
            let pushed = self.push(|encoder| push_note(encoder, pair, &note, now));
            if let Err(error) = pushed {
                let kind = note.kind();
                let (resource, plugin) = names(resource.as_ref(), plugin.as_ref());
                error!(resource, plugin, kind, %error, "bus note cannot be encoded");
            }
        }
    }

    /// Pushes an entry; a full block is sealed and missing ids are asked for, once each.
    fn push(
        &mut self,
        mut entry: impl FnMut(&mut Encoder) -> Result<(), EntryError>,
    ) -> Result<(), EntryError> {
        let mut pushed = entry(&mut self.encoder);
        if let Err(EntryError::Define(DefineError::NeedIds { wanted, .. })) = &pushed
            && let Ok(range) = self.bus.reserve_ids(*wanted)
        {
            self.encoder.add_ids(range);
            pushed = entry(&mut self.encoder);
        }
        if matches!(&pushed, Err(EntryError::Push(PushError::Full))) {
            self.seal_and_submit();
            pushed = entry(&mut self.encoder);
        }
        pushed
    }

    fn seal_and_submit(&mut self) {
        let SealedBlocks { definitions, data } = self.encoder.seal();
        for block in definitions {
            let slots = Vec::new();
            self.outgoing.push_back(Outgoing {
                lane: Lane::Definitions,
                block,
                slots,
            });
        }
        if let Some(block) = data {
            let slots = std::mem::take(&mut self.slots);
            self.outgoing.push_back(Outgoing {
                lane: Lane::Data,
                block,
                slots,
            });
        }
        self.submit();
    }

    fn submit(&mut self) {
        while let Some(Outgoing { lane, block, slots }) = self.outgoing.pop_front() {
            match self.bus.try_submit(lane, block) {
                Ok(acknowledgement) => self.watch(acknowledgement, lane, slots),
                Err(refused) => {
                    self.counters.block_refused(refused.error);
                    if self.refused.is_none() {
                        warn!(error = %refused.error, "bus refuses blocks; batches become gaps");
                    }
                    self.refused = Some(refused.error);
                    self.outgoing.push_front(Outgoing {
                        lane,
                        block: refused.block,
                        slots,
                    });
                    return;
                }
            }
        }
        self.refused = None;
    }

    /// Follows a block until it is durable. As many at one time as the bus's queue holds blocks.
    fn watch(&self, acknowledgement: Acknowledgement, lane: Lane, slots: Vec<SlotsOf>) {
        let (lost, pending) = (Rc::clone(&self.lost), Rc::clone(&self.pending));
        let counters = Arc::clone(&self.counters);
        actix::spawn(async move {
            let Err(error) = acknowledgement.await else {
                return;
            };
            counters.slots_lost(slots.len());
            error!(%error, slots = slots.len(), "block did not become durable");
            let cause = cause_of_loss(&error);
            let mut lost = lost.borrow_mut();
            lost.are_definitions |= lane == Lane::Definitions;
            lost.slots.extend(slots.into_iter().map(|mut slots| {
                if slots.is_batch {
                    slots.gap.cause = cause.clone();
                }
                slots
            }));
            pending.notify_one();
        });
    }
}

impl SlotsOf {
    fn new(of: &PairOf<'_>, gap: Gap, is_batch: bool) -> Self {
        let (resource, plugin) = (Arc::clone(of.resource), Arc::clone(of.plugin));
        Self {
            resource,
            plugin,
            gap,
            is_batch,
        }
    }
}

impl Note {
    fn kind(&self) -> &'static str {
        match self {
            Note::Session(..) => "session",
            Note::Enrich(_) => "enrich",
            Note::Released(_) => "released",
            Note::Event(..) => "event",
        }
    }
}

fn push_note(
    encoder: &mut Encoder,
    pair: Option<Pair<'_>>,
    note: &Note,
    now: WallMs,
) -> Result<(), EntryError> {
    let mut cache = PairCache::default();
    match (note, pair) {
        (Note::Event(facts, time), pair) => {
            let of = pair.map(|pair| (&mut cache, pair));
            encoder.push_event(of, facts, *time)
        }
        (Note::Session(session, place), Some(pair)) => {
            encoder.push_session(&mut cache, pair, session, *place)
        }
        (Note::Enrich(record), Some(pair)) => encoder.push_enrich(&mut cache, pair, record, now),
        (Note::Released(place), Some(pair)) => encoder.push_released(&mut cache, pair, *place),
        // Only events are of the node; `note_of` is given a resource for all others.
        (_, None) => Ok(()),
    }
}

fn names<'a>(
    resource: Option<&'a Arc<Resource>>,
    plugin: Option<&'a Arc<str>>,
) -> (&'a str, &'a str) {
    let resource = resource.map_or("", |resource| resource.id().as_str());
    (resource, plugin.map_or("", AsRef::as_ref))
}

// === Decisions ===

fn cause_of_entry(error: &EntryError) -> GapCause {
    GapCause::because(GapKind::PluginError, &error.to_string())
}

fn cause_of_refusal(error: SubmitError) -> GapCause {
    match error {
        SubmitError::DiskFull => GapKind::DiskFull.into(),
        SubmitError::Closed => GapKind::Restart.into(),
        _ => GapCause::with(GapKind::Overload, "bus_queue"),
    }
}

fn cause_of_loss(error: &AppendError) -> GapCause {
    match error {
        AppendError::DiskFull => GapKind::DiskFull.into(),
        AppendError::Closed => GapKind::Restart.into(),
        other => GapCause::because(GapKind::DiskFull, &other.to_string()),
    }
}
