//! The varbinds of an answer, written in order into one buffer that all answers share.
//!
//! Does: append varbinds while they fit the limit, then hand out a writer that puts the message
//! around them in front. Does not: choose varbinds.
//! In: names and values by closures. Out: a [`BackWriter`] that holds the list.

use ocelli_snmp::ber::{BackWriter, tag};

/// Room in front of the list for everything around it: community or v3 header, at most.
const HEADROOM: usize = 1_024;
/// Room behind the list, so that the last varbind is found not to fit after it was written.
const LIST_OCTETS_MAX: usize = 65_507;
/// Room for one varbind.
const VARBIND_OCTETS_MAX: usize = 65_600;

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Reply {
    buffer: Box<[u8]>,
    scratch: Box<[u8]>,
    end: usize,
    limit: usize,
    count: usize,
}

impl Reply {
    pub(super) fn new() -> Self {
        let buffer = vec![0; HEADROOM + LIST_OCTETS_MAX].into();
        let scratch = vec![0; VARBIND_OCTETS_MAX].into();
        Self {
            buffer,
            scratch,
            end: HEADROOM,
            limit: HEADROOM,
            count: 0,
        }
    }

    /// Begins an answer whose list may have so many octets.
    pub(super) fn begin(&mut self, list_octets: usize) {
        self.end = HEADROOM;
        self.count = 0;
        self.limit = HEADROOM + list_octets.min(LIST_OCTETS_MAX);
    }

    /// Forgets all varbinds.
    pub(super) fn restart(&mut self) {
        self.end = HEADROOM;
        self.count = 0;
    }

    /// Takes the list of a request as it is; nothing if it does not fit.
    pub(super) fn echo(&mut self, list: &[u8]) {
        let end = HEADROOM + list.len();
        if end <= self.limit {
            self.buffer[HEADROOM..end].copy_from_slice(list);
            self.end = end;
        }
    }

    /// The whole buffer, for messages that are no answers.
    pub(super) fn whole(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Appends a varbind of what `write` writes, value first. `false`: it does not fit.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut BackWriter<'_>)) -> bool {
        let mut writer = BackWriter::new(&mut self.scratch);
        write(&mut writer);
        writer.wrap(tag::SEQUENCE, 0);
        let Ok(varbind) = writer.finish() else {
            return false;
        };
        let end = self.end + varbind.len();
        if end > self.limit {
            return false;
        }
        self.buffer[self.end..end].copy_from_slice(varbind);
        self.end = end;
        self.count += 1;
        true
    }

    /// How many varbinds it has.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// A writer that holds the list.
    pub(super) fn writer(&mut self) -> BackWriter<'_> {
        BackWriter::before(&mut self.buffer[..self.end], HEADROOM)
    }
}
