//! One line of the head table: what a reader knows of an entry without its body.
//!
//! Does: write and read an entry's head, relative to the block's `t_base` and epochs.
//! Does not: resolve ids (`resolver`), read bodies.
//! In: [`EntryHead`]. Out: some 15 bytes. Times are stored as differences that are small in
//! practice: slot to `t_base`, time to slot.

use ocelli_model::clock::WallMs;
use ocelli_model::slot::{Epoch, SlotMs};

use crate::record::{DefinitionId, EntryKind};
use crate::wire::{Cursor, WireError, put_varint, put_zigzag};

/// Flags of an entry. Unknown bits are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EntryFlags(pub u8);

impl EntryFlags {
    /// Bit 0: something that was asked for is missing; the body begins with the reason.
    pub const PARTIAL: EntryFlags = EntryFlags(1);
    /// Bit 1: the batch stands for all slots of its interval from its own on (a derived stream).
    pub const WINDOW: EntryFlags = EntryFlags(2);

    /// The bits of both.
    #[must_use]
    pub fn with(self, other: EntryFlags) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn has(self, other: EntryFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An entry without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryHead {
    /// What it is.
    pub kind: EntryKind,
    /// What else there is to know.
    pub flags: EntryFlags,
    /// Whose data; none for entries of a node.
    pub resource: DefinitionId,
    /// Read by which plugin; none where no plugin has a part in it.
    pub plugin: DefinitionId,
    /// What the columns mean; batches only.
    pub schema: DefinitionId,
    /// What the rows mean; batches only.
    pub row_set: DefinitionId,
    /// The slot, of a range its first.
    pub slot: SlotMs,
    /// Interval of the slots, ms; 0 where there are none.
    pub interval_ms: u32,
    /// The plan entry that gave the right.
    pub epoch: Epoch,
    /// When it came to be: for a batch, when the collection ended.
    pub time: WallMs,
}

impl EntryHead {
    /// A head without ids, slot and flags.
    #[must_use]
    pub fn bare(kind: EntryKind, time: WallMs) -> Self {
        Self {
            kind,
            flags: EntryFlags::default(),
            resource: DefinitionId::NONE,
            plugin: DefinitionId::NONE,
            schema: DefinitionId::NONE,
            row_set: DefinitionId::NONE,
            slot: SlotMs(time.0),
            interval_ms: 0,
            epoch: Epoch::default(),
            time,
        }
    }
}

/// Appends a head; `epoch_index` is the place of its epoch in the block.
pub(super) fn put_head(into: &mut Vec<u8>, head: &EntryHead, frame: HeadFrame, body_bytes: usize) {
    into.push(head.kind.number());
    into.push(head.flags.0);
    for id in [head.resource, head.plugin, head.schema, head.row_set] {
        put_varint(into, u64::from(id.0));
    }
    put_zigzag(into, head.slot.0.wrapping_sub(frame.t_base.0));
    put_interval(into, head.interval_ms);
    into.push(frame.epoch_index);
    put_zigzag(into, head.time.0.wrapping_sub(head.slot.0));
    put_varint(into, body_bytes as u64);
}

/// What a head is relative to.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadFrame {
    pub(super) t_base: SlotMs,
    pub(super) epoch_index: u8,
}

/// Reads a head and its body's length.
pub(super) fn read_head(
    cursor: &mut Cursor<'_>,
    t_base: SlotMs,
    epochs: &[Epoch],
) -> Result<(EntryHead, usize), WireError> {
    let kind = EntryKind::from_number(cursor.u8("an entry kind")?);
    let flags = EntryFlags(cursor.u8("entry flags")?);
    let mut ids = [DefinitionId::NONE; 4];
    for id in &mut ids {
        *id = DefinitionId(cursor.varint_u32("a definition id")?);
    }
    let slot = SlotMs(t_base.0.wrapping_add(cursor.zigzag("a slot")?));
    let interval_ms = read_interval(cursor)?;
    let no_epoch = cursor.error("an index into the block's epochs");
    let epoch_index = usize::from(cursor.u8("an epoch index")?);
    let epoch = *epochs.get(epoch_index).ok_or(no_epoch)?;
    let time = WallMs(slot.0.wrapping_add(cursor.zigzag("a time")?));
    let body_bytes = cursor.varint_usize(crate::limits::BLOCK_RAW_BYTES_MAX, "a body length")?;
    let [resource, plugin, schema, row_set] = ids;
    let head = EntryHead {
        kind,
        flags,
        resource,
        plugin,
        schema,
        row_set,
        slot,
        interval_ms,
        epoch,
        time,
    };
    Ok((head, body_bytes))
}

/// Whole seconds as an even number, anything else odd: a minute takes one byte instead of three.
fn put_interval(into: &mut Vec<u8>, interval_ms: u32) {
    let interval = u64::from(interval_ms);
    if interval.is_multiple_of(1_000) {
        put_varint(into, interval / 1_000 * 2);
    } else {
        put_varint(into, interval * 2 + 1);
    }
}

fn read_interval(cursor: &mut Cursor<'_>) -> Result<u32, WireError> {
    let start = cursor.error("an interval");
    let code = cursor.varint("an interval")?;
    let value = code >> 1;
    let interval = if code & 1 == 1 {
        Some(value)
    } else {
        value.checked_mul(1_000)
    };
    interval.and_then(|ms| u32::try_from(ms).ok()).ok_or(start)
}
