//! What the writer makes of another origin's block: new, held already, or to be offered again.
//!
//! Does: compare with what is durable and what is in the window, keep the order of lane 1, name the
//! delivery lane, answer duplicates, keep of a block that fills skips what was withheld. Does not:
//! append.
//! In: checked blocks. Out: [`Judgement`]s, and blocks in the window.
//! Full: of a stream with [`RANGES_MAX`] ranges, a block that would begin another is refused for
//! now; backfill is so [`RANGES_KEPT_FOR_LIVE`] earlier, so that live data goes on for longest.
//! Invariant: `held` is a superset of what is durable, and of what the window holds.

use std::collections::BTreeMap;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::delivery_lane::{DeliveryLane, LaneMarks};
use crate::log::{Log, LogMap};
use crate::record::{Lane, Seq, StreamId};
use crate::segment::index::{SeqRange, note_skipped};
use crate::seq_ranges::{RANGES_MAX, SeqRanges};
use crate::statistics::Counters;
use crate::stored::StoredBlock;
use crate::writer::queue::{AppendError, Committed, Ingestion};
use crate::writer::{Pending, Writer};

/// Ranges of a stream that backfill may not begin: as many interruptions that are not yet healed.
const RANGES_KEPT_FOR_LIVE: usize = 64;

/// What to do with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Append it: some of its seqs are not held. It comes on this lane.
    New(DeliveryLane),
    /// Append of it what skips stand for here; this is the rest.
    Fill(SeqRanges),
    /// All of it is durable.
    Durable,
    /// All of it is durable or in the window.
    InWindow,
    /// Not now.
    Refused(AppendError),
}

/// What is held of foreign streams, the window included.
#[derive(Debug, Default)]
pub(crate) struct ForeignStreams {
    held: BTreeMap<StreamId, Known>,
}

/// What is known of a stream.
#[derive(Debug, Default)]
struct Known {
    covered: SeqRanges,
    /// Covered by skips alone.
    skipped: SeqRanges,
    /// Highest seq of its backfill.
    backfilled: Seq,
}

impl ForeignStreams {
    /// Judges a block; one that is [`Judgement::New`] counts as held from now on.
    pub(crate) fn judge(&mut self, log: &Log, block: &StoredBlock) -> Judgement {
        let header = block.header();
        let (stream, range) = (header.stream, block.range());
        let known = self.known(log, stream);
        let is_covered = known.covered.contains_all(range);
        let filled = if is_covered && !known.skipped.is_empty() {
            let brought = known.skipped.within(range).without(&block.skipped());
            known.skipped = known.skipped.without(&brought);
            brought
        } else {
            SeqRanges::default()
        };
        if !filled.is_empty() {
            let mut all = SeqRanges::default();
            all.insert(range);
            return Judgement::Fill(all.without(&filled));
        }
        if is_covered {
            let is_durable = log.read(|map| map.holds(stream, range, &block.skipped()));
            return if is_durable {
                Judgement::Durable
            } else {
                Judgement::InWindow
            };
        }
        let refusal = match stream.lane {
            Lane::Definitions => self.refuse_definitions(log, stream, range),
            Lane::Data => self.refuse_data(log, header.needs_def, block),
        };
        match refusal {
            Some(error) => Judgement::Refused(error),
            None => {
                let mut all = SeqRanges::default();
                all.insert(range);
                let known = self.known(log, stream);
                let skipped = (&known.covered, &mut known.skipped);
                note_skipped(skipped, &all, &block.skipped());
                let mut marks = LaneMarks {
                    highest: known.covered.highest(),
                    backfilled: known.backfilled,
                };
                let lane = marks.take(range, block.is_backfill());
                known.backfilled = marks.backfilled;
                known.covered.insert_exact(range);
                Judgement::New(lane)
            }
        }
    }

    /// Whether older seqs of a block's stream have yet to come.
    pub(crate) fn has_hole_before(&self, block: &StoredBlock) -> bool {
        let known = self.held.get(&block.header().stream);
        known.is_some_and(|known| known.covered.first_missing() < block.range().first)
    }

    /// Forgets what the window held: after its foreign blocks were refused.
    pub(crate) fn forget_window(&mut self) {
        self.held.clear();
    }

    fn known(&mut self, log: &Log, stream: StreamId) -> &mut Known {
        let durable = || {
            log.read(|map| Known {
                covered: map.covered(stream),
                skipped: map.skipped(stream),
                backfilled: map.backfilled(stream),
            })
        };
        self.held.entry(stream).or_insert_with(durable)
    }

    /// Lane 1 has no holes, so that `needs_def` is one number.
    fn refuse_definitions(
        &mut self,
        log: &Log,
        stream: StreamId,
        range: SeqRange,
    ) -> Option<AppendError> {
        let awaited = self.known(log, stream).covered.first_missing();
        (range.first != awaited).then_some(AppendError::AwaitsDefinitionsBefore {
            stream,
            first: range.first,
            awaited,
        })
    }

    fn refuse_data(&mut self, log: &Log, needs: Seq, block: &StoredBlock) -> Option<AppendError> {
        let stream = block.header().stream;
        let definitions = StreamId::definitions(stream.origin);
        let missing = self.known(log, definitions).covered.first_missing();
        if needs >= missing {
            return Some(AppendError::AwaitsDefinitions {
                stream,
                needs,
                held: Seq(missing.0 - 1),
            });
        }
        let kept = if block.is_backfill() {
            RANGES_KEPT_FOR_LIVE
        } else {
            0
        };
        let held = &self.known(log, stream).covered;
        let is_full = held.len() >= RANGES_MAX - kept && !held.touches(block.range());
        is_full.then(|| AppendError::TooManyHoles {
            stream,
            ranges: held.len(),
            missing: held.first_missing(),
        })
    }
}

/// A foreign block all of whose seqs are durable or in the window.
pub(super) struct Duplicate {
    stream: StreamId,
    range: SeqRange,
    skipped: SeqRanges,
    answer: oneshot::Sender<Result<Committed, AppendError>>,
    /// Kept until it is answered: it bounds how many wait.
    _room: OwnedSemaphorePermit,
}

impl Writer {
    /// Takes a foreign block in, as it is, unless it is held or has to wait.
    pub(super) fn admit(&mut self, ingestion: Ingestion) {
        let Ingestion {
            block,
            answer,
            room,
        } = ingestion;
        let mut block = block.into_stored(self.shared.clock.wall());
        let (stream, range) = (block.header().stream, block.range());
        let counters = &self.shared.counters;
        // A sender that no longer waits needs no answer.
        match self.foreign.judge(&self.shared.log, &block) {
            Judgement::New(lane) => {
                block.envelope_mut().set_lane(lane);
                self.push(Pending {
                    block,
                    answer,
                    room,
                });
            }
            Judgement::Fill(held) => self.fill(block, &held, (answer, room)),
            Judgement::Durable => {
                Counters::add(&counters.duplicate_blocks, 1);
                answer.send(Ok(duplicate(stream, range))).ok();
            }
            Judgement::InWindow => {
                Counters::add(&counters.duplicate_blocks, 1);
                let skipped = block.skipped();
                self.duplicates.push(Duplicate {
                    stream,
                    range,
                    skipped,
                    answer,
                    _room: room,
                });
            }
            Judgement::Refused(error) => {
                Counters::add(&counters.foreign_refused, 1);
                answer.send(Err(error)).ok();
            }
        }
    }

    /// Takes in of a block what skips stand for here: so each entry is stored once.
    fn fill(
        &mut self,
        block: StoredBlock,
        held: &SeqRanges,
        (answer, room): (
            oneshot::Sender<Result<Committed, AppendError>>,
            OwnedSemaphorePermit,
        ),
    ) {
        Counters::add(&self.shared.counters.filled_blocks, 1);
        match block.into_fill(held) {
            Ok(block) => self.push(Pending {
                block,
                answer,
                room,
            }),
            // Only a compressed block that does not inflate: the sender is told as of a bad disk.
            Err(error) => {
                let (attempts, reason) = (0, error.to_string());
                let refusal = AppendError::Disk { attempts, reason };
                answer.send(Err(refusal)).ok();
            }
        }
    }

    /// Answers the duplicates whose seqs are durable now; the others with `refusal`, if there is
    /// one.
    pub(super) fn answer_duplicates(&mut self, refusal: Option<&AppendError>) {
        for waiting in std::mem::take(&mut self.duplicates) {
            let (stream, range) = (waiting.stream, waiting.range);
            let holds = |map: &LogMap| map.holds(stream, range, &waiting.skipped);
            let is_durable = self.shared.log.read(holds);
            if is_durable {
                waiting.answer.send(Ok(duplicate(stream, range))).ok();
            } else if let Some(refusal) = refusal {
                waiting.answer.send(Err(refusal.clone())).ok();
            } else {
                self.duplicates.push(waiting);
            }
        }
    }
}

fn duplicate(stream: StreamId, range: SeqRange) -> Committed {
    Committed {
        stream,
        range,
        is_duplicate: true,
    }
}

const _: () = assert!(RANGES_KEPT_FOR_LIVE < RANGES_MAX);
