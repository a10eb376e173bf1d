//! What this node has of each stream: held durably now, or held once and removed by retention.
//!
//! Does: keep exact seqs and the newest block's mark by stream, save what retention removed.
//! Does not: decide what is a duplicate (`writer::foreign`), remove segments (`retire`).
//! In: durable blocks, indexes of segments, `bus/coverage.json`. Out: [`SeqRanges`], [`HeadMark`].
//! The file tells what retention took only: what segments hold they say themselves, so that a
//! segment that is lost shows as missing and is filled again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use ocelli_model::clock::WallMs;
use serde::{Deserialize, Serialize};

use crate::delivery_lane::DeliveryLane;
use crate::disk::Disk;
use crate::head_mark::HeadMark;
use crate::record::{Lane, OriginId, Seq, StreamId};
use crate::segment::index::{SeqRange, StreamFacts, note_skipped};
use crate::seq_ranges::{RANGES_MAX, SeqRanges};
use crate::stored::StoredBlock;

/// Version of the file's form.
const VERSION: u32 = 1;

/// The newest record of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamHead {
    /// What it is; of a stream that only an older version wrote, known once it was read.
    pub mark: HeadMark,
    /// When this node took it.
    pub received: WallMs,
}

/// What is known of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StreamState {
    /// Held, or removed by retention.
    pub(crate) covered: SeqRanges,
    /// Covered by skips alone: what is there was withheld by all that sent it, and another path may
    /// still bring it.
    pub(crate) skipped: SeqRanges,
    /// Removed by retention. Where it had more ranges than a set may, all of `covered` then.
    pub(crate) removed: SeqRanges,
    pub(crate) head: Option<StreamHead>,
    /// Highest seq of its backfill that is held; 0: none.
    pub(crate) backfilled: Seq,
    /// Bytes of its frames that were made durable since the process began.
    pub(crate) bytes_taken: u64,
}

/// Why the coverage file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoverageFileError {
    /// The disk refused.
    #[error("cannot read the coverage file: {0}; check the disk")]
    Io(#[from] io::Error),
    /// It is damaged.
    #[error(
        "the coverage file is damaged ({0}); restore it, or remove it and lower tiers send again \
         what retention removed here"
    )]
    Damaged(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoverageOnDisk {
    version: u32,
    streams: Vec<StreamOnDisk>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOnDisk {
    origin: OriginId,
    lane: Lane,
    removed: SeqRanges,
    head: Option<StreamHead>,
}

impl StreamState {
    /// Takes a durable block in.
    pub(crate) fn take(&mut self, block: &StoredBlock) {
        let mut range = SeqRanges::default();
        range.insert_exact(block.range());
        note_skipped((&self.covered, &mut self.skipped), &range, &block.skipped());
        self.covered.insert_exact(block.range());
        self.bytes_taken += block.frame_bytes();
        if block.lane() == DeliveryLane::Backfill {
            self.backfilled = self.backfilled.max(block.range().last);
        }
        self.note_head(block);
    }

    /// Takes in the mark of a block that is held, if it is the newest.
    pub(crate) fn note_head(&mut self, block: &StoredBlock) {
        let range = block.range();
        let mark = HeadMark {
            seq: range.last,
            block_first: range.first,
            checksum: block.checksum(),
        };
        let received = block.received();
        self.take_head(StreamHead { mark, received });
    }

    /// Takes in what a segment holds.
    pub(crate) fn take_segment(&mut self, facts: &StreamFacts) {
        let known = (&self.covered, &mut self.skipped);
        note_skipped(known, &facts.ranges, &facts.skipped);
        self.covered.insert_all_exact(&facts.ranges);
        self.backfilled = self.backfilled.max(facts.backfilled);
        if let Some((block_first, checksum)) = facts.head {
            let mark = HeadMark {
                seq: facts.ranges.highest(),
                block_first,
                checksum,
            };
            let received = facts.received.1;
            self.take_head(StreamHead { mark, received });
        }
    }

    fn take_head(&mut self, head: StreamHead) {
        if self.head.is_none_or(|known| known.mark.seq < head.mark.seq) {
            self.head = Some(head);
        }
    }

    /// Notes that retention takes what a segment holds.
    pub(crate) fn remove(&mut self, ranges: &SeqRanges) {
        for range in ranges.iter() {
            self.removed.insert_exact(range);
        }
        // What is older than what is kept is wanted from nobody.
        self.skipped = self.skipped.without(ranges);
        if self.removed.len() > RANGES_MAX {
            self.removed = self.covered.clone();
        }
    }

    /// What an older version removed without saying so: its own stream had no holes.
    pub(crate) fn assume_removed_before(&mut self, first: Seq) {
        if first.0 > 1 {
            let range = SeqRange {
                first: Seq(1),
                last: Seq(first.0 - 1),
            };
            self.removed.insert_exact(range);
            self.covered.insert_exact(range);
        }
    }
}

/// Reads the file; `None` if there is none.
pub(crate) fn load(
    path: &Path,
) -> Result<Option<BTreeMap<StreamId, StreamState>>, CoverageFileError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let on_disk: CoverageOnDisk = serde_json::from_slice(&bytes)?;
    if on_disk.version != VERSION {
        let reason = format!("version {}, this build reads {VERSION}", on_disk.version);
        return Err(<serde_json::Error as serde::de::Error>::custom(reason).into());
    }
    let streams = on_disk.streams.into_iter().map(|stream| {
        let id = StreamId {
            origin: stream.origin,
            lane: stream.lane,
        };
        let state = StreamState {
            covered: stream.removed.clone(),
            skipped: SeqRanges::default(),
            removed: stream.removed,
            head: stream.head,
            backfilled: Seq(0),
            bytes_taken: 0,
        };
        (id, state)
    });
    Ok(Some(streams.collect()))
}

/// Replaces the file, durably.
pub(crate) fn save(
    disk: &dyn Disk,
    path: &Path,
    streams: &BTreeMap<StreamId, StreamState>,
) -> io::Result<()> {
    let on_disk = CoverageOnDisk {
        version: VERSION,
        streams: streams
            .iter()
            .map(|(id, state)| StreamOnDisk {
                origin: id.origin,
                lane: id.lane,
                removed: state.removed.clone(),
                head: state.head,
            })
            .collect(),
    };
    disk.replace(path, &serde_json::to_vec(&on_disk)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn state(removed: &[(u64, u64)], head: Option<u64>) -> StreamState {
        let removed = SeqRanges::from(removed.to_vec());
        let mark = |seq| HeadMark {
            seq: Seq(seq),
            block_first: Seq(seq),
            checksum: 7,
        };
        StreamState {
            covered: removed.clone(),
            skipped: SeqRanges::default(),
            removed,
            head: head.map(|seq| StreamHead {
                mark: mark(seq),
                received: WallMs(5),
            }),
            backfilled: Seq(0),
            bytes_taken: 0,
        }
    }

    #[test]
    fn what_retention_removed_comes_back_from_the_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("coverage.json");
        assert_eq!(load(&path).unwrap(), None);
        let streams = BTreeMap::from([
            (
                StreamId::data(OriginId(1)),
                state(&[(1, 9), (20, 30)], Some(30)),
            ),
            (StreamId::definitions(OriginId(1)), state(&[], None)),
        ]);
        save(&RealDisk, &path, &streams).unwrap();
        assert_eq!(load(&path).unwrap(), Some(streams));
    }

    #[test]
    fn a_file_that_is_damaged_or_newer_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("coverage.json");
        for text in ["", "{\"version\":1", "{\"version\":2,\"streams\":[]}"] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err();
            assert!(
                matches!(error, CoverageFileError::Damaged(_)),
                "{text}: {error}"
            );
        }
        let error = load(root.path()).unwrap_err();
        assert!(matches!(error, CoverageFileError::Io(_)), "{error}");
    }

    #[test]
    fn more_removed_ranges_than_a_set_may_have_become_all_that_is_covered() {
        let mut state = StreamState::default();
        state.covered.insert(SeqRange {
            first: Seq(1),
            last: Seq(100_000),
        });
        for number in 0..=RANGES_MAX as u64 {
            let seq = Seq(1 + 2 * number);
            let mut one = SeqRanges::default();
            one.insert(SeqRange {
                first: seq,
                last: seq,
            });
            state.remove(&one);
        }
        assert_eq!(state.removed, state.covered);
    }
}
