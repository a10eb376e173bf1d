//! What the writer does when a write or an fsync failed.
//!
//! Does: seal the segment, write the window again under the same seqs, byte for byte; tell its
//! submitters where that cannot be done. Does not: try the same pages again, ever.
//! In: the error. Out: a window that is durable on a new segment, or one that was refused.

use std::io;

use crate::log::LogMap;
use crate::record::StreamId;
use crate::shared::{DiskState, is_full};
use crate::statistics::Counters;
use crate::writer::Writer;
use crate::writer::queue::AppendError;

/// Segments that one window is tried on before its submitters are told.
const ATTEMPTS_MAX: u32 = 3;

impl Writer {
    /// After a failed write or fsync: the window again, on new segments, under the same seqs.
    pub(super) fn rescue(&mut self, error: io::Error) {
        let mut error = error;
        for attempt in 1..=ATTEMPTS_MAX {
            self.abandon_segment();
            if is_full(&error) {
                return self.refuse_window(DiskState::Full, &AppendError::DiskFull);
            }
            Counters::add(&self.shared.counters.commit_failures, 1);
            tracing::error!(%error, attempt, "a segment failed; its tail goes to a new one");
            let again = self
                .begin_segment()
                .and_then(|()| self.write_window())
                .and_then(|()| self.sync_window());
            match again {
                Ok(()) => return self.shared.set_disk(DiskState::Ok),
                Err(next) => error = next,
            }
        }
        self.abandon_segment();
        let reason = error.to_string();
        let refusal = AppendError::Disk {
            attempts: ATTEMPTS_MAX,
            reason,
        };
        self.refuse_window(DiskState::Failing, &refusal);
    }

    /// Where the segment begun last ends for good; 0 if it is not held any more. The carried
    /// definitions are none of the writer's.
    pub(super) fn end_of_last(&self) -> u64 {
        let last = self.last_number;
        let map = |map: &LogMap| map.segments.get(&last).map(|meta| meta.end);
        let end = self.shared.log.read(map);
        end.filter(|_| last.0 > 0).unwrap_or(0)
    }

    /// Never touches the active segment again; the map already ends where it is durable.
    fn abandon_segment(&mut self) {
        if let Some(active) = self.active.take() {
            self.mark_sealed(active.number);
        }
        self.written = 0;
    }

    /// Tells the submitters of data and of foreign blocks. Own definitions stay, so that an id that
    /// was handed out is always defined before the first block that uses it.
    fn refuse_window(&mut self, disk: DiskState, refusal: &AppendError) {
        self.shared.set_disk(disk);
        let window = std::mem::take(&mut self.window);
        self.window_bytes = 0;
        for pending in window {
            if pending.block.header().stream == self.shared.definitions() {
                self.window_bytes += pending.block.bytes().len();
                self.window.push(pending);
            } else {
                Counters::add(&self.shared.counters.disk_full_blocks, 1);
                pending.answer.send(Err(refusal.clone())).ok();
            }
        }
        // Nobody saw the seqs of the refused blocks: they go to the next ones.
        let data = StreamId::data(self.shared.origin);
        let highest = self.shared.log.read(|map| map.highest(data));
        self.next_seq.insert(data, highest.next());
        self.foreign.forget_window();
        self.answer_duplicates(Some(refusal));
        self.commit_at = None;
    }
}
