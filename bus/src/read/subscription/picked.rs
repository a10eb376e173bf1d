//! A block on its way to one subscriber.
//!
//! Does: hand out what of it is wanted, by the kinds that the subscriber asked for. Does not: pick
//! (`shared_selection`), mark anything as taken. In: a block and its picks. Out: entries.

use std::sync::Arc;

use super::Include;
use crate::Entry;
use crate::block::EntryHead;
use crate::record::EntryKind;
use crate::stored::StoredBlock;

/// A block and what of it is wanted; it counts as taken, whole, when the last of that is.
pub(super) struct Picked {
    pub(super) block: Arc<StoredBlock>,
    pub(super) picks: Arc<[u32]>,
    /// Of `picks`.
    pub(super) next: usize,
}

impl Picked {
    /// The next wanted entry of the kinds in `include`.
    pub(super) fn pop(&mut self, include: Include) -> Option<Entry> {
        loop {
            let index = *self.picks.get(self.next)?;
            self.next += 1;
            let entry = Entry::new(&self.block, index as usize)?;
            if is_included(include, entry.head()) {
                return Some(entry);
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.picks.len()
    }
}

fn is_included(include: Include, head: &EntryHead) -> bool {
    match head.kind {
        EntryKind::Batch => true,
        EntryKind::Gap | EntryKind::Pending | EntryKind::Released => include.gaps,
        EntryKind::Event => include.events,
        _ => false,
    }
}
