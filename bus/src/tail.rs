//! The live tail: the newest durable blocks, shared by all readers that keep up.
//!
//! Does: keep them in log order within a limit of bytes. Does not: wake readers (`log`).
//! In: blocks right after their fsync. Out: what follows a position, or `None` where the tail no
//! longer reaches back so far and the disk has to be read.
//! Full: the oldest blocks leave; whoever still needs them reads them from disk.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::segment::LogPosition;
use crate::stored::StoredBlock;

/// The newest blocks.
#[derive(Debug)]
pub(crate) struct Tail {
    blocks: VecDeque<Arc<StoredBlock>>,
    /// All blocks at or behind this place are here.
    start: LogPosition,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    /// An empty tail behind `start`.
    pub(crate) fn new(start: LogPosition, bytes_max: usize) -> Self {
        Self {
            blocks: VecDeque::new(),
            start,
            bytes: 0,
            bytes_max,
        }
    }

    /// Appends a durable block.
    pub(crate) fn push(&mut self, block: Arc<StoredBlock>) {
        self.bytes += block.memory_bytes();
        self.blocks.push_back(block);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.blocks.pop_front() else {
                break;
            };
            self.bytes -= oldest.memory_bytes();
            self.start = oldest.next_position();
        }
    }

    /// Drops what stands before `position`: it is no longer held on disk either.
    pub(crate) fn trim(&mut self, position: LogPosition) {
        let count = self
            .blocks
            .partition_point(|block| block.position() < position);
        for block in self.blocks.drain(..count) {
            self.bytes -= block.memory_bytes();
        }
        self.start = self.start.max(position);
    }

    /// Blocks from `position` on, about `bytes_max` of them; `None` if some have left the tail.
    pub(crate) fn from(
        &self,
        position: LogPosition,
        bytes_max: usize,
    ) -> Option<Vec<Arc<StoredBlock>>> {
        if position < self.start {
            return None;
        }
        let first = self
            .blocks
            .partition_point(|block| block.position() < position);
        let mut bytes = 0;
        let fits = |block: &&Arc<StoredBlock>| {
            let is_within = bytes < bytes_max;
            bytes += block.bytes().len();
            is_within
        };
        Some(
            self.blocks
                .range(first..)
                .take_while(fits)
                .cloned()
                .collect(),
        )
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
