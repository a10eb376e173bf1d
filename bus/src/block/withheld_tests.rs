//! Proof of withholding: what passes is untouched, what is withheld leaves its place and no trace.

use ocelli_model::clock::WallMs;
use ocelli_model::slot::{Epoch, SlotMs};
use proptest::prelude::*;

use super::*;
use crate::block::BlockBuilder;
use crate::record::{DefinitionId, OriginId, Seq, StreamId};

const FIRST: u64 = 41;

/// Entry `i` is of resource `resources[i]`; its body says so.
fn block_of(resources: &[u32], is_compressed: bool) -> Bytes {
    let mut builder = BlockBuilder::new();
    for (index, resource) in (0i64..).zip(resources) {
        let slot = 1_700_000_000_000 + index * 1_000;
        let head = EntryHead {
            resource: DefinitionId(*resource),
            plugin: DefinitionId(2),
            epoch: Epoch {
                generation: 3,
                index: u64::from(resource % 3),
            },
            slot: SlotMs(slot),
            ..EntryHead::bare(EntryKind::Batch, WallMs(slot + 7))
        };
        let body = format!("body of resource {resource}").repeat(2);
        builder.push(&head, body.as_bytes()).unwrap();
    }
    let sealed = match is_compressed {
        true => builder.seal_compressed(),
        false => builder.seal(),
    };
    let mut sealed = sealed.unwrap();
    sealed.stamp(&Stamp {
        stream: StreamId::data(OriginId(9)),
        first_seq: Seq(FIRST),
        needs_def: Seq(5),
    });
    Bytes::from(sealed.into_bytes())
}

fn without(block: &[u8], resources: &[u32]) -> Option<Bytes> {
    let names = |entry: &EntryView| resources.contains(&entry.head.resource.0);
    withhold(block, names).unwrap()
}

fn entries(block: &[u8]) -> Vec<(Seq, EntryHead, Vec<u8>)> {
    let view = BlockView::parse(block).unwrap();
    let bodies = view.bodies().unwrap();
    let all = view.entries();
    all.map(|entry| (entry.seq, entry.head, bodies.of(&entry).to_vec()))
        .collect()
}

fn source(block: &[u8]) -> Option<u32> {
    let view = BlockView::parse(block).unwrap();
    let entries: Vec<_> = view.entries().collect();
    source_of(&entries, &view.bodies().unwrap())
}

proptest! {
    #[test]
    fn what_passes_is_as_it_was_and_what_does_not_leaves_nothing_but_its_place(
        resources in proptest::collection::vec(1u32..6, 1..60),
        refused in proptest::collection::vec(1u32..6, 0..4),
        is_compressed in any::<bool>(),
    ) {
        let block = block_of(&resources, is_compressed);
        let names = |resource: &u32| refused.contains(resource);
        let Some(cut) = without(&block, &refused) else {
            prop_assert!(!resources.iter().any(names));
            return Ok(());
        };
        prop_assert!(resources.iter().any(names));
        let (before, after) = (entries(&block), entries(&cut));
        prop_assert_eq!(before.len(), after.len());
        let mut is_first = true;
        for (one, other) in before.iter().zip(&after) {
            prop_assert_eq!(one.0, other.0);
            if !refused.contains(&one.1.resource.0) {
                prop_assert_eq!(one, other);
                continue;
            }
            prop_assert_eq!(other.1.kind, EntryKind::Skip);
            prop_assert_eq!(other.1.resource, DefinitionId::NONE);
            prop_assert_eq!(other.1.plugin, DefinitionId::NONE);
            prop_assert_eq!(other.2.is_empty(), !std::mem::take(&mut is_first));
        }
        prop_assert_eq!(source(&cut), Some(checksum_of(&block)));
        let place = |bytes: &[u8]| {
            let header = BlockHeader::read(bytes).unwrap();
            let seqs = (header.first_seq, header.count);
            (header.stream, seqs, header.needs_def, header.t_base)
        };
        prop_assert_eq!(place(&block), place(&cut));
    }

    #[test]
    fn a_block_cut_twice_is_the_block_cut_at_once(
        resources in proptest::collection::vec(1u32..6, 1..60),
        one in 1u32..6,
        other in 1u32..6,
    ) {
        let block = block_of(&resources, false);
        let once = without(&block, &[one, other]);
        let first = without(&block, &[one]).unwrap_or(block.clone());
        let twice = without(&first, &[other]).unwrap_or(first);
        prop_assert_eq!(once.unwrap_or(block), twice);
    }

    #[test]
    fn two_halves_are_the_block_that_the_origin_wrote_bit_for_bit(
        resources in proptest::collection::vec(1u32..6, 2..60),
        refused in proptest::collection::vec(1u32..6, 1..4),
        is_compressed in any::<bool>(),
    ) {
        let block = block_of(&resources, is_compressed);
        let rest: Vec<u32> = (1..6).filter(|it| !refused.contains(it)).collect();
        let (Some(here), Some(there)) = (without(&block, &refused), without(&block, &rest)) else {
            return Ok(());
        };
        for (one, other) in [(&here, &there), (&there, &here), (&here, &block)] {
            let whole = put_back(one, other).unwrap();
            prop_assert_eq!(whole.as_ref(), Some(&block));
        }
        prop_assert_eq!(put_back(&here, &here).unwrap(), None);
        prop_assert_eq!(put_back(&block, &here).unwrap(), None);
    }

    #[test]
    fn no_bytes_make_either_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        withhold(&bytes, |_| true).ok();
        put_back(&bytes, &block_of(&[1, 2], false)).ok();
    }
}

#[test]
fn a_part_put_back_leaves_the_rest_withheld_and_the_mark() {
    let block = block_of(&[1, 2, 3, 2, 1], false);
    let (here, there) = (
        without(&block, &[1, 2]).unwrap(),
        without(&block, &[2, 3]).unwrap(),
    );
    let part = put_back(&here, &there).unwrap().unwrap();
    assert_eq!(part, without(&block, &[2]).unwrap());
    assert_eq!(source(&part), Some(checksum_of(&block)));
}

#[test]
fn a_block_of_another_source_is_not_mixed_in() {
    let (one, other) = (block_of(&[1, 2, 3], false), block_of(&[1, 3, 2], false));
    let cut = without(&one, &[2]).unwrap();
    assert_eq!(put_back(&cut, &other).unwrap(), None);
    let cut_too = without(&other, &[3]).unwrap();
    assert_eq!(put_back(&cut, &cut_too).unwrap(), None);
}

#[test]
fn a_withheld_entry_takes_eleven_bytes() {
    let block = block_of(&[1; 1_000], false);
    let cut = without(&block, &[1]).unwrap();
    let header = BlockHeader::read(&cut).unwrap();
    let epochs = usize::from(header.epochs) * 16;
    // The first one says of which block, in seven bytes.
    assert_eq!(cut.len(), HEADER_BYTES + epochs + 1_000 * 11 + 7);
}

#[test]
fn the_largest_block_is_never_larger_for_what_is_withheld() {
    let mut builder = BlockBuilder::new();
    let small = EntryHead::bare(EntryKind::Released, WallMs(1));
    builder.push(&small, &[]).unwrap();
    let large = vec![7; BLOCK_BYTES_MAX - builder.bytes() - 16];
    builder
        .push(&EntryHead::bare(EntryKind::Batch, WallMs(1)), &large)
        .unwrap();
    let mut sealed = builder.seal().unwrap();
    sealed.stamp(&Stamp {
        stream: StreamId::data(OriginId(9)),
        first_seq: Seq(1),
        needs_def: Seq(0),
    });
    let block = sealed.into_bytes();
    assert!(block.len() + 7 > BLOCK_BYTES_MAX, "{}", block.len());
    let is_small = |entry: &EntryView| entry.head.kind == EntryKind::Released;
    let cut = withhold(&block, is_small).unwrap().unwrap();
    assert!(cut.len() <= BLOCK_BYTES_MAX);
    assert!(
        entries(&cut)
            .iter()
            .all(|(_, head, _)| head.kind == EntryKind::Skip)
    );
}
