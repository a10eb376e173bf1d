//! Proof of the block layer: round trips, limits, damage.

use ocelli_model::clock::WallMs;
use ocelli_model::slot::{Epoch, SlotMs};
use proptest::prelude::*;

use super::*;
use crate::limits::{BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, BLOCK_EPOCHS_MAX, HEAD_ENTRY_BYTES_MIN};
use crate::record::{DefinitionId, EntryKind, OriginId, Seq, StreamId};

fn stamp(first_seq: u64) -> Stamp {
    let stream = StreamId::data(OriginId(0xABCD));
    Stamp {
        stream,
        first_seq: Seq(first_seq),
        needs_def: Seq(7),
    }
}

fn head(slot: i64, index: u64) -> EntryHead {
    EntryHead {
        resource: DefinitionId(300),
        interval_ms: 60_000,
        epoch: Epoch {
            generation: 1,
            index,
        },
        time: WallMs(slot + 812),
        ..EntryHead::bare(EntryKind::Batch, WallMs(slot))
    }
}

fn any_head() -> impl Strategy<Value = EntryHead> {
    let ids = (any::<u32>(), 0u32..200, 0u32..200, any::<u32>());
    let times = (any::<i64>(), any::<i64>(), any::<u32>());
    (any::<u8>(), any::<u8>(), ids, times, 0u64..4).prop_map(|(kind, flags, ids, times, index)| {
        EntryHead {
            kind: EntryKind::from_number(kind),
            flags: EntryFlags(flags),
            resource: DefinitionId(ids.0),
            plugin: DefinitionId(ids.1),
            schema: DefinitionId(ids.2),
            row_set: DefinitionId(ids.3),
            slot: SlotMs(times.0),
            interval_ms: times.2,
            epoch: Epoch {
                generation: 9,
                index,
            },
            time: WallMs(times.1),
        }
    })
}

proptest! {
    #[test]
    fn entries_come_back_as_they_went_in(
        entries in proptest::collection::vec(
            (any_head(), proptest::collection::vec(any::<u8>(), 0..40)), 1..20),
        is_compressed in any::<bool>(),
    ) {
        let mut builder = BlockBuilder::new();
        for (head, body) in &entries {
            builder.push(head, body).unwrap();
        }
        let sealed = if is_compressed { builder.seal_compressed() } else { builder.seal() };
        let mut sealed = sealed.unwrap();
        sealed.stamp(&stamp(41));
        let view = BlockView::parse(sealed.as_bytes()).unwrap();
        let bodies = view.bodies().unwrap();
        let with_body = |entry: EntryView| (entry.head, bodies.of(&entry).to_vec());
        let read: Vec<_> = view.entries().map(with_body).collect();
        prop_assert_eq!(read, entries);
        let seqs: Vec<_> = view.entries().map(|entry| entry.seq.0).collect();
        prop_assert_eq!(seqs[0], 41);
        prop_assert_eq!(view.header().last_seq().0, *seqs.last().unwrap());
    }

    #[test]
    fn a_changed_byte_is_always_noticed(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = sample();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(BlockView::parse(&bytes).is_err());
    }

    #[test]
    fn any_bytes_behind_honest_checksums_are_an_error_or_a_block(
        head in proptest::collection::vec(any::<u8>(), 0..80), count in 0u32..9, epochs in 0u8..4,
    ) {
        let mut bytes = sample();
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(&head);
        bytes[25] = epochs;
        bytes[28..32].copy_from_slice(&count.to_le_bytes());
        bytes[56..60].copy_from_slice(&u32::try_from(head.len()).unwrap().to_le_bytes());
        bytes[60..68].fill(0);
        bytes[68..72].copy_from_slice(&crc32c::crc32c(&head).to_le_bytes());
        bytes[72..76].fill(0);
        let crc = crc32c::crc32c(&bytes[..76]);
        bytes[76..80].copy_from_slice(&crc.to_le_bytes());
        if let Ok(view) = BlockView::parse(&bytes) {
            prop_assert_eq!(view.entries().count(), count as usize);
        }
    }
}

fn sample() -> Vec<u8> {
    let mut builder = BlockBuilder::new();
    builder.push(&head(1_000, 1), b"first").unwrap();
    builder.push(&head(1_500, 2), b"second").unwrap();
    let mut sealed = builder.seal().unwrap();
    sealed.stamp(&stamp(1));
    sealed.into_bytes()
}

#[test]
fn a_block_that_is_cut_anywhere_is_short_or_has_no_header() {
    let bytes = sample();
    for len in 0..bytes.len() {
        let error = BlockView::parse(&bytes[..len]).unwrap_err();
        assert!(matches!(error, BlockError::Short { .. }), "{len}: {error}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(
        BlockView::parse(&longer).unwrap().as_bytes(),
        bytes,
        "what follows is left alone"
    );
}

#[test]
fn a_stamp_changes_the_header_only_and_can_be_repeated() {
    let mut builder = BlockBuilder::new();
    builder.push(&head(1_000, 1), b"body").unwrap();
    let mut sealed = builder.seal().unwrap();
    let before = sealed.as_bytes().to_vec();
    assert!(
        BlockView::parse(&before).is_err(),
        "an unstamped block is not readable"
    );
    sealed.stamp(&stamp(5));
    assert_eq!(&sealed.as_bytes()[HEADER_BYTES..], &before[HEADER_BYTES..]);
    sealed.stamp(&stamp(6));
    assert_eq!(
        BlockView::parse(sealed.as_bytes())
            .unwrap()
            .header()
            .first_seq,
        Seq(6)
    );
}

#[test]
fn an_entry_that_does_not_fit_leaves_the_block_as_it_was() {
    let mut builder = BlockBuilder::new();
    let large = vec![0; BLOCK_BYTES_MAX];
    let error = builder.push(&head(0, 1), &large).unwrap_err();
    assert!(matches!(error, PushError::TooLarge { .. }), "{error}");
    assert!(builder.is_empty() && builder.seal().is_none());
    builder.push(&head(0, 1), b"kept").unwrap();
    let before = builder.bytes();
    assert_eq!(
        builder.push(&head(0, 2), &large[..BLOCK_BYTES_MAX - 120]),
        Err(PushError::Full)
    );
    assert_eq!((builder.bytes(), builder.count()), (before, 1));
}

#[test]
fn counts_and_epochs_are_bounded() {
    let mut builder = BlockBuilder::new();
    for index in 0..BLOCK_EPOCHS_MAX as u64 {
        builder.push(&head(0, index), b"").unwrap();
    }
    assert_eq!(builder.push(&head(0, 9_999), b""), Err(PushError::Full));
    let mut builder = BlockBuilder::new();
    let least = EntryHead::bare(EntryKind::Skip, WallMs(0));
    for _ in 0..BLOCK_ENTRIES_MAX {
        builder.push(&least, b"").unwrap();
    }
    assert!(builder.bytes() >= BLOCK_ENTRIES_MAX * HEAD_ENTRY_BYTES_MIN);
    assert_eq!(builder.push(&least, b""), Err(PushError::Full));
}

#[test]
fn a_compressed_block_that_lies_about_its_size_is_refused() {
    let mut builder = BlockBuilder::new();
    builder.push(&head(0, 1), &[7; 5_000]).unwrap();
    let mut sealed = builder.seal_compressed().unwrap();
    assert!(sealed.len() < 1_000, "{}", sealed.len());
    sealed.stamp(&stamp(1));
    let mut bytes = sealed.into_bytes();
    assert!(BlockView::parse(&bytes).unwrap().bodies().is_ok());
    bytes[64..68].copy_from_slice(&4_999u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..76]);
    bytes[76..80].copy_from_slice(&crc.to_le_bytes());
    let error = BlockView::parse(&bytes).unwrap_err();
    assert_eq!(
        error,
        BlockError::BodiesLength {
            claimed: 5_000,
            found: 4_999
        }
    );
}
