//! A block of which some entries are withheld: each of them gives its place to a skip.
//!
//! Does: put skips in the place of entries, put entries back in the place of skips.
//! Does not: say which entries are withheld (`federation`), remember what is (`coverage`).
//! In: a whole block, or two halves of one. Out: a block of the same stream, seqs, times, epochs;
//! each entry that passes stands there byte for byte as its origin wrote it.
//! Invariant: the first skip of a block holds the checksum of the header that the origin wrote, so
//! a block has one mark wherever it is held and whatever of it was withheld on the way; once all
//! entries are back, the block is the one that the origin wrote, bit for bit.

use std::borrow::Cow;

use bytes::Bytes;

use super::builder::ZSTD_LEVEL;
use super::head::{EntryHead, HeadFrame, put_head};
use super::header::{BlockHeader, HEADER_BYTES, Stamp, write_sealed, write_stamp};
use super::view::{BlockError, BlockView, Bodies, EntryView};
use crate::limits::BLOCK_BYTES_MAX;
use crate::payload::{Skip, put_skip, read_skip_source};
use crate::record::EntryKind;

/// What stands in a place of a block that is written.
enum Standing<'a> {
    Entry(EntryHead, &'a [u8]),
    Skip(EntryHead),
}

/// The block with a skip for each entry that `is_withheld` names; `None` if it names none. Skips
/// that stand there already stay. Entries of definitions are not looked at by anyone: lane 1 has no
/// holes.
///
/// # Errors
/// [`BlockError`]; the bytes are no sound block.
pub fn withhold(
    block: &[u8],
    mut is_withheld: impl FnMut(&EntryView) -> bool,
) -> Result<Option<Bytes>, BlockError> {
    let view = BlockView::parse_head(block)?;
    let entries: Vec<EntryView> = view.entries().collect();
    let goes = |entry: &EntryView| entry.head.kind == EntryKind::Skip || is_withheld(entry);
    let goes: Vec<bool> = entries.iter().map(goes).collect();
    let is_new = |(entry, goes): (&EntryView, &bool)| *goes && entry.head.kind != EntryKind::Skip;
    if !entries.iter().zip(&goes).any(is_new) {
        return Ok(None);
    }
    let bodies = view.bodies()?;
    let source = source_of(&entries, &bodies).unwrap_or(checksum_of(view.as_bytes()));
    let standing = entries.iter().zip(&goes).map(|(entry, goes)| match goes {
        true => Standing::Skip(entry.head),
        false => Standing::Entry(entry.head, bodies.of(entry)),
    });
    let cut = write(&view, source, standing.collect());
    if cut.len() <= BLOCK_BYTES_MAX {
        return Ok(Some(cut));
    }
    // The first skip is larger than the smallest entry. All of them are not.
    let all = entries.iter().map(|entry| Standing::Skip(entry.head));
    Ok(Some(write(&view, source, all.collect())))
}

/// `block` with those entries of `other` for which it has a skip; `None` if `other` has none of
/// them, is not of the same source, or the source cannot be made again bit for bit.
///
/// # Errors
/// [`BlockError`]; one of both is no sound block.
pub fn put_back(block: &[u8], other: &[u8]) -> Result<Option<Bytes>, BlockError> {
    let (view, from) = (BlockView::parse_head(block)?, BlockView::parse_head(other)?);
    let (here, there): (Vec<_>, Vec<_>) = (view.entries().collect(), from.entries().collect());
    let (bodies, others) = (view.bodies()?, from.bodies()?);
    let source = source_of(&here, &bodies);
    let same_source = source_of(&there, &others).unwrap_or(checksum_of(from.as_bytes()));
    let Some(source) = source.filter(|source| *source == same_source) else {
        return Ok(None);
    };
    let (ours, theirs) = (view.header(), from.header());
    let is_same = (ours.stream, ours.first_seq, ours.count)
        == (theirs.stream, theirs.first_seq, theirs.count);
    let is_skip = |entry: &EntryView| entry.head.kind == EntryKind::Skip;
    let comes = |(one, other): (&EntryView, &EntryView)| is_skip(one) && !is_skip(other);
    if !is_same || !here.iter().zip(&there).any(comes) {
        return Ok(None);
    }
    let standing = here.iter().zip(&there).map(|(one, other)| {
        if !is_skip(one) {
            Standing::Entry(one.head, bodies.of(one))
        } else if is_skip(other) {
            Standing::Skip(one.head)
        } else {
            Standing::Entry(other.head, others.of(other))
        }
    });
    let whole = write(&view, source, standing.collect());
    let is_complete = here
        .iter()
        .zip(&there)
        .all(|(one, other)| !(is_skip(one) && is_skip(other)));
    // A block that was compressed by another library may not come out as it was.
    let is_sound = !is_complete || checksum_of(&whole) == source;
    Ok(is_sound.then_some(whole))
}

/// The checksum of the header as the origin wrote it, if a skip of the block holds one.
pub(crate) fn source_of(entries: &[EntryView], bodies: &Bodies<'_>) -> Option<u32> {
    let mut skips = entries
        .iter()
        .filter(|entry| entry.head.kind == EntryKind::Skip);
    skips.find_map(|entry| read_skip_source(bodies.of(entry)))
}

fn checksum_of(block: &[u8]) -> u32 {
    let stored = block.get(HEADER_BYTES - 4..HEADER_BYTES);
    let stored = stored.and_then(|bytes| bytes.try_into().ok());
    stored.map_or(0, u32::from_le_bytes)
}

/// Writes a block like `view`'s with these entries.
fn write(view: &BlockView<'_>, source: u32, standing: Vec<Standing<'_>>) -> Bytes {
    let header = *view.header();
    let withheld = standing
        .iter()
        .filter(|it| matches!(it, Standing::Skip(_)))
        .count();
    let (mut head, mut bodies) = (Vec::new(), Vec::new());
    for epoch in view.epochs() {
        head.extend_from_slice(&epoch.generation.to_le_bytes());
        head.extend_from_slice(&epoch.index.to_le_bytes());
    }
    let mut is_told = false;
    for one in standing {
        let before = bodies.len();
        let entry = match one {
            Standing::Entry(entry, body) => {
                bodies.extend_from_slice(body);
                entry
            }
            Standing::Skip(entry) => {
                if !std::mem::replace(&mut is_told, true) {
                    let count = withheld as u64;
                    let source = Some(source);
                    put_skip(&mut bodies, Skip { count, source });
                }
                let mut skip = EntryHead::bare(EntryKind::Skip, Default::default());
                // Nothing of the entry but its place: neither whose nor of when.
                (skip.slot, skip.time.0, skip.epoch) =
                    (header.t_base, header.t_base.0, entry.epoch);
                skip
            }
        };
        let epoch = view.epochs().iter().position(|it| *it == entry.epoch);
        let frame = HeadFrame {
            t_base: header.t_base,
            // It was read by an index of one byte.
            epoch_index: u8::try_from(epoch.unwrap_or(0)).unwrap_or(0),
        };
        put_head(&mut head, &entry, frame, bodies.len() - before);
    }
    seal(&header, &head, &bodies)
}

/// Compressed if the source is, smaller or not: what is put back later must come out as it was.
fn seal(header: &BlockHeader, head: &[u8], raw: &[u8]) -> Bytes {
    let smaller = header
        .is_compressed
        .then(|| zstd::bulk::compress(raw, ZSTD_LEVEL).ok())
        .flatten();
    let is_compressed = smaller.is_some();
    let bodies = smaller.map_or(Cow::Borrowed(raw), Cow::Owned);
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let sealed = BlockHeader {
        is_compressed,
        head_bytes: size(head),
        bodies_bytes: size(&bodies),
        raw_bytes: size(raw),
        head_crc: crc32c::crc32c(head),
        bodies_crc: crc32c::crc32c(&bodies),
        ..*header
    };
    let mut fixed = [0; HEADER_BYTES];
    write_sealed(&mut fixed, &sealed);
    let (stream, first_seq, needs_def) = (header.stream, header.first_seq, header.needs_def);
    write_stamp(
        &mut fixed,
        &Stamp {
            stream,
            first_seq,
            needs_def,
        },
    );
    Bytes::from([&fixed, head, &bodies].concat())
}

#[cfg(test)]
#[path = "withheld_tests.rs"]
mod tests;
