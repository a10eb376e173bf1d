//! Proof of the way from an arbiter to a reader: what goes in comes out, in order and meaning.

use ocelli_model::event::{EventFacts, Severity};
use ocelli_model::gap::GapKind;
use ocelli_model::schema::Schema;
use proptest::prelude::*;

use super::*;
use crate::block::BlockView;
use crate::decoder::{Record, record_of};
use crate::payload::Payload;
use crate::record::DefinitionId;
use crate::resolver::Resolver;
use crate::testing::{any_batch, resource, stamp_all, switch_batch};

fn encoder() -> Encoder {
    let mut encoder = Encoder::default();
    encoder.add_ids(1..1_000_000);
    encoder
}

/// Applies the definitions, decodes the data.
fn read(blocks: SealedBlocks, next: &mut [u64; 2], resolver: &mut Resolver) -> Vec<Record> {
    let (definitions, data) = stamp_all(blocks, next);
    for block in &definitions {
        let view = BlockView::parse(block).unwrap();
        let bodies = view.bodies().unwrap();
        for entry in view.entries() {
            resolver.apply(bodies.of(&entry)).unwrap();
        }
    }
    let data = data.unwrap();
    let view = BlockView::parse(&data).unwrap();
    let bodies = view.bodies().unwrap();
    let stream = view.header().stream;
    let record = |entry| record_of(stream, &entry, bodies.of(&entry), resolver).unwrap();
    view.entries().map(record).collect()
}

proptest! {
    #[test]
    fn any_batches_come_back_with_resource_plugin_and_rows(
        batches in proptest::collection::vec(any_batch(), 1..4)
    ) {
        let mut encoder = encoder();
        let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
        let mut cache = PairCache::default();
        for batch in &batches {
            encoder.push_batch(&mut cache, &resource, &plugin, batch).unwrap();
        }
        let records = read(encoder.seal(), &mut [1, 1], &mut Resolver::new());
        for (record, batch) in records.iter().zip(&batches) {
            prop_assert_eq!(record.resource.as_ref(), Some(&resource));
            prop_assert_eq!(record.plugin.as_deref(), Some("interfaces"));
            prop_assert_eq!(&record.payload, &Payload::Batch(Arc::new(batch.clone())));
        }
        prop_assert_eq!(records.len(), batches.len());
    }
}

#[test]
fn a_second_batch_of_the_same_rows_defines_nothing() {
    let (mut encoder, mut cache) = (encoder(), PairCache::default());
    let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
    encoder
        .push_batch(&mut cache, &resource, &plugin, &switch_batch(48, 0))
        .unwrap();
    assert!(!encoder.seal().definitions.is_empty());
    // Another allocation of equal rows and schema, and the same resource read anew.
    let again = Arc::new(Resource::clone(&resource));
    encoder
        .push_batch(&mut cache, &again, &plugin, &switch_batch(48, 1))
        .unwrap();
    assert!(encoder.seal().definitions.is_empty());
}

#[test]
fn an_edited_alias_is_a_new_attribute_version_of_the_same_row() {
    let (mut encoder, mut cache) = (encoder(), PairCache::default());
    let (mut resolver, mut next) = (Resolver::new(), [1, 1]);
    let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
    let mut batch = switch_batch(3, 0);
    encoder
        .push_batch(&mut cache, &resource, &plugin, &batch)
        .unwrap();
    read(encoder.seal(), &mut next, &mut resolver);
    let mut rows = (*batch.rows).clone();
    let old = rows.groups[0].clone();
    rows.groups[0].reset(old.columns());
    for row in 0..old.rows() {
        for column in 0..old.columns() {
            let is_edited = (row, column) == (1, 1);
            let cell = if is_edited {
                "to the roof"
            } else {
                old.get(row, column).unwrap_or("")
            };
            rows.groups[0].push(cell);
        }
    }
    batch.rows = Arc::new(rows);
    encoder
        .push_batch(&mut cache, &resource, &plugin, &batch)
        .unwrap();
    let blocks = encoder.seal();
    let count: u32 = blocks.definitions.iter().map(SealedBlock::count).sum();
    assert_eq!(count, 2, "one attribute version and the row set");
    let records = read(blocks, &mut next, &mut resolver);
    assert_eq!(records[0].payload, Payload::Batch(Arc::new(batch)));
}

#[test]
fn a_schema_with_tags_is_another_definition_and_comes_back_with_them() {
    let (mut encoder, mut cache) = (encoder(), PairCache::default());
    let (mut resolver, mut next) = (Resolver::new(), [1, 1]);
    let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
    let mut batch = switch_batch(3, 0);
    let plain = Schema::clone(&batch.schema);
    for (value, definitions) in [
        (None, None),
        (Some("a"), Some(1)),
        (Some("b"), Some(1)),
        (Some("a"), Some(0)),
    ] {
        let tags = value.map(|value| ("team".to_owned(), value.to_owned()));
        let tagged = plain.clone().with_tags(tags.into_iter().collect());
        batch.schema = Arc::new(tagged.unwrap());
        encoder
            .push_batch(&mut cache, &resource, &plugin, &batch)
            .unwrap();
        let blocks = encoder.seal();
        let count: u32 = blocks.definitions.iter().map(SealedBlock::count).sum();
        if let Some(definitions) = definitions {
            assert_eq!(count, definitions, "{value:?}: rows and plugin are known");
        }
        let records = read(blocks, &mut next, &mut resolver);
        assert_eq!(records[0].payload, Payload::Batch(Arc::new(batch.clone())));
    }
}

#[test]
fn without_ids_nothing_changes_and_the_caller_learns_how_many_it_needs() {
    let (mut encoder, mut cache) = (Encoder::default(), PairCache::default());
    let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
    let batch = switch_batch(4, 0);
    let error = encoder
        .push_batch(&mut cache, &resource, &plugin, &batch)
        .unwrap_err();
    let AppendError::Define(DefineError::NeedIds { wanted, left: 0 }) = error else {
        panic!("{error}");
    };
    assert!(encoder.is_empty() && encoder.seal().definitions.is_empty());
    encoder.add_ids(500..500 + wanted);
    encoder
        .push_batch(&mut cache, &resource, &plugin, &batch)
        .unwrap();
    let records = read(encoder.seal(), &mut [1, 1], &mut Resolver::new());
    assert_eq!(records.len(), 1);
}

#[test]
fn after_lost_definitions_all_is_defined_again_under_new_ids() {
    let (mut encoder, mut cache) = (encoder(), PairCache::default());
    let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
    encoder
        .push_batch(&mut cache, &resource, &plugin, &switch_batch(4, 0))
        .unwrap();
    drop(encoder.seal());
    encoder.forget_definitions();
    encoder
        .push_batch(&mut cache, &resource, &plugin, &switch_batch(4, 1))
        .unwrap();
    let records = read(encoder.seal(), &mut [1, 1], &mut Resolver::new());
    assert_eq!(
        records.len(),
        1,
        "a reader that saw only the second block understands it"
    );
}

#[test]
fn a_full_block_takes_no_part_of_the_entry_and_the_next_one_takes_it_all() {
    let (mut encoder, mut cache) = (encoder(), PairCache::default());
    let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
    let mut pushed = 0;
    let error = loop {
        match encoder.push_batch(&mut cache, &resource, &plugin, &switch_batch(4_000, pushed)) {
            Ok(()) => pushed += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, AppendError::Push(PushError::Full)),
        "{error}"
    );
    assert!(encoder.is_due());
    let (mut resolver, mut next) = (Resolver::new(), [1, 1]);
    let records = read(encoder.seal(), &mut next, &mut resolver);
    assert_eq!(records.len() as u64, pushed);
    encoder
        .push_batch(&mut cache, &resource, &plugin, &switch_batch(4_000, pushed))
        .unwrap();
    let records = read(encoder.seal(), &mut next, &mut resolver);
    assert_eq!(records[0].seq.0, pushed + 1);
}

#[test]
fn entries_without_columns_come_back_beside_batches() {
    let (mut encoder, mut cache) = (encoder(), PairCache::default());
    let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
    let pair = Pair {
        resource: &resource,
        plugin: Some(&plugin),
    };
    let epoch = Epoch {
        generation: 8,
        index: 9,
    };
    let gap = Gap {
        last: SlotMs(120_000),
        ..Gap::of_slot(SlotMs(60_000), 60_000, epoch, GapKind::Timeout.into())
    };
    encoder
        .push_gap(&mut cache, pair, &gap, WallMs(61_000))
        .unwrap();
    let event = EventFacts {
        kind: "clock_stepped".into(),
        severity: Severity::Warning,
        text: "the wall clock went 2 s back".into(),
        fields: vec![("step_ms".into(), "-2000".into())],
    };
    encoder.push_event(None, &event, WallMs(62_000)).unwrap();
    encoder
        .push_skip(
            Skip {
                count: 5,
                source: None,
            },
            WallMs(63_000),
        )
        .unwrap();
    let place = Place {
        slot: SlotMs(180_000),
        interval_ms: 60_000,
        epoch,
        now: WallMs(64_000),
    };
    encoder.push_released(&mut cache, pair, place).unwrap();
    let pending = Pending {
        first: SlotMs(1_000),
        last: SlotMs(2_000),
    };
    encoder
        .push_pending(&mut cache, pair, &pending, place)
        .unwrap();
    let records = read(encoder.seal(), &mut [1, 1], &mut Resolver::new());
    let payloads: Vec<_> = records
        .iter()
        .map(|record| record.payload.clone())
        .collect();
    let expected = [
        Payload::Gap(gap),
        Payload::Event(event),
        Payload::Skip(Skip {
            count: 5,
            source: None,
        }),
        Payload::Released,
        Payload::Pending(pending),
    ];
    assert_eq!(payloads, expected);
    assert_eq!(records[0].epoch, epoch);
    assert_eq!(
        (records[1].resource.clone(), records[3].slot),
        (None, SlotMs(180_000))
    );
}

#[test]
fn ids_start_at_one_so_that_none_is_never_given() {
    let (mut encoder, mut cache) = (encoder(), PairCache::default());
    let (resource, plugin) = (resource("sw1"), Arc::from("interfaces"));
    encoder
        .push_batch(&mut cache, &resource, &plugin, &switch_batch(1, 0))
        .unwrap();
    let (_, data) = stamp_all(encoder.seal(), &mut [1, 1]);
    let data = data.unwrap();
    let head = BlockView::parse(&data)
        .unwrap()
        .entries()
        .next()
        .unwrap()
        .head;
    for id in [head.resource, head.plugin, head.schema, head.row_set] {
        assert_ne!(id, DefinitionId::NONE);
    }
}
