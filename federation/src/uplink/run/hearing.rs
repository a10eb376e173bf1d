//! What the neighbour of an uplink says, as inputs.
//!
//! Does: turn control frames into inputs, compare its highest records with those that stand here.
//! Does not: decide (`core`), send.
//! In: [`Control`] frames. Out: inputs for the core; lines in the log of what a person is to know.

use std::collections::BTreeMap;

use ocelli_bus::HeadMark;
use ocelli_bus::record::StreamId;

use super::Shell;
use crate::frame::{Control, RefusedBlock, RefusedReason, StreamCoverage, StreamRanges};
use crate::uplink::types::{HeadCheck, Input};

impl Shell {
    pub(super) async fn told(&mut self, control: Control) {
        match control {
            Control::Coverage(streams) => self.covered(streams).await,
            Control::Skipped(streams) => streams.into_iter().for_each(|it| self.skipped(it)),
            Control::CoverageEnd => self.hear(Input::CoverageEnd),
            Control::Durable(streams) => self.durable(streams),
            Control::Refused(refused) => self.refused(refused),
            Control::Throttle {
                origin,
                bytes_per_second,
            } => {
                let to = &self.link.peer().identity;
                tracing::info!(%to, %origin, ?bytes_per_second, "share of an origin, told above");
                self.hear(Input::Throttle {
                    origin,
                    bytes_per_second,
                });
            }
            Control::Hello(_)
            | Control::Welcome(_)
            | Control::Refuse { .. }
            | Control::Heads(_)
            | Control::Origins(_)
            | Control::Revocations(_)
            | Control::Goodbye { .. } => {}
        }
    }

    /// An input that names no block.
    pub(super) fn hear(&mut self, input: Input) {
        self.on(input, &BTreeMap::new());
    }

    async fn covered(&mut self, streams: Vec<StreamCoverage>) {
        for told in streams {
            let head = self.compare(told.stream, told.head).await;
            let (stream, ranges) = (told.stream, told.ranges);
            self.hear(Input::Coverage {
                stream,
                ranges,
                head,
            });
        }
    }

    fn durable(&mut self, streams: Vec<StreamRanges>) {
        for StreamRanges { stream, ranges } in streams {
            for range in ranges.iter() {
                self.hear(Input::Durable { stream, range });
            }
        }
    }

    fn refused(&mut self, refused: RefusedBlock) {
        (self.refused)(&refused);
        let (stream, range, reason) = (refused.stream, refused.range, refused.reason);
        if reason == RefusedReason::SecondGeneration {
            // Told at each try; the core tries less and less often.
            let (to, detail) = (&self.link.peer().identity, &refused.detail);
            tracing::error!(%to, %stream, detail, "records wait for a person above");
        }
        self.hear(Input::Refused {
            stream,
            range,
            reason,
        });
    }

    /// What was withheld here too, or is gone, fills nothing there; what has yet to come here may.
    fn skipped(&mut self, StreamRanges { stream, ranges }: StreamRanges) {
        let here = self.bus.coverage_of(stream);
        let empty = here.without(&self.bus.held_of(stream));
        let ranges = ranges.without(&empty);
        self.hear(Input::Skipped { stream, ranges });
    }

    /// Whether the highest record above is the one that stands here. What is not held here any
    /// more cannot be compared.
    async fn compare(&self, stream: StreamId, head: Option<HeadMark>) -> HeadCheck {
        let Some(theirs) = head.filter(|_| stream.origin == self.bus.origin()) else {
            return HeadCheck::Same;
        };
        match self.bus.mark_of(stream, theirs.seq).await {
            Ok(Some(ours)) if ours != theirs => HeadCheck::Different,
            _ => HeadCheck::Same,
        }
    }
}
