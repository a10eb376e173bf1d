//! What several tests of this crate need: arbitrary batches and generated switches.
//!
//! Does: strategies of proptest. Does not: belong to the library; it is compiled for tests only.
//! In: chance. Out: batches that keep the invariants of `model::batch`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_model::batch::{Batch, CounterColumn, GroupValues, RowSet, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{DimensionTable, GaugeColumn};
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::rows::Partial;
use ocelli_model::schema::{DimensionDef, GroupSchema, MetricDef, Schema};
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_model::unix_seconds::UnixSeconds;
use proptest::prelude::*;

use crate::block::{SealedBlock, Stamp};
use crate::body::BatchFrame;
use crate::encoder::SealedBlocks;
use crate::record::{Lane, OriginId, Seq, StreamId};

#[path = "../tests/support/switches.rs"]
mod switches;

pub(crate) use switches::{Mix, switch_batch_of};

/// A switch of some offices.
pub(crate) fn switch_batch(ports: usize, tick: u64) -> Batch {
    switch_batch_of(ports, Mix::Office, tick)
}

/// A switch of this name.
pub(crate) fn resource(name: &str) -> Arc<Resource> {
    let fields = ResourceFields {
        identity: ["dc1", "network", "switch", "cisco", name].map(str::to_owned),
        endpoint: name.to_owned(),
        metadata: BTreeMap::from([("model".to_owned(), "WS-C4948".to_owned())]),
        created: UnixSeconds::new(1_532_023_709.0).unwrap_or_default(),
        plugin: "by-hand".to_owned(),
    };
    Arc::new(Resource::new(fields).expect("the fields keep all rules"))
}

/// Gives blocks consecutive seqs on their lanes, as the writer does; answers their bytes.
pub(crate) fn stamp_all(
    blocks: SealedBlocks,
    next: &mut [u64; 2],
) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
    let mut stamp = |mut block: SealedBlock, lane: Lane, needs_def: u64| {
        let stream = StreamId {
            origin: OriginId(7),
            lane,
        };
        let first_seq = Seq(next[lane as usize]);
        block.stamp(&Stamp {
            stream,
            first_seq,
            needs_def: Seq(needs_def),
        });
        next[lane as usize] += u64::from(block.count());
        (block.into_bytes(), next[1] - 1)
    };
    let mut needs_def = 0;
    let mut definitions = Vec::new();
    for block in blocks.definitions {
        let (bytes, last) = stamp(block, Lane::Definitions, 0);
        definitions.push(bytes);
        needs_def = last;
    }
    let data = blocks
        .data
        .map(|block| stamp(block, Lane::Data, needs_def).0);
    (definitions, data)
}

/// What the decoder of `batch` would know.
pub(crate) fn frame_of(batch: &Batch) -> BatchFrame {
    BatchFrame {
        slot: batch.slot,
        interval_ms: batch.interval_ms,
        epoch: batch.epoch,
        time: batch.time,
        is_partial: batch.partial.is_some(),
        schema: Arc::clone(&batch.schema),
        rows: Arc::clone(&batch.rows),
    }
}

/// Any batch: up to three groups, up to 40 rows, every verdict, absent cells, exceptions.
pub(crate) fn any_batch() -> impl Strategy<Value = Batch> {
    let shape = (0usize..40, 0usize..4, 0usize..4, 0usize..3);
    (
        proptest::collection::vec(shape, 1..4),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(shapes, seed, is_partial)| {
            let mut chance = Chance(seed);
            let time = 1_700_000_000_000 + i64::from(chance.u32());
            let groups = shapes.iter().enumerate();
            let sections = groups.map(|(index, shape)| any_section(index, *shape, &mut chance));
            let mut schema = Vec::new();
            let mut rows = RowSet::default();
            let mut values = Vec::new();
            for (group, table, section) in sections {
                schema.push(group);
                rows.groups.push(table);
                values.push(section);
            }
            Batch {
                slot: SlotMs(time - 70_000),
                interval_ms: 60_000,
                epoch: Epoch {
                    generation: 5,
                    index: 6,
                },
                time: WallMs(time),
                partial: is_partial.then(|| Partial {
                    cause: GapCause::because(GapKind::Timeout, "late"),
                    reached: "1.3.6".into(),
                }),
                schema: Arc::new(Schema::new(schema).unwrap()),
                rows: Arc::new(rows),
                groups: values,
            }
        })
}

type Shape = (usize, usize, usize, usize);

fn any_section(
    index: usize,
    (rows, counters, gauges, dimensions): Shape,
    chance: &mut Chance,
) -> (GroupSchema, DimensionTable, GroupValues) {
    let rows = if dimensions == 0 { rows.min(1) } else { rows };
    let metric = |kind: &str, index| MetricDef {
        name: format!("{kind}{index}"),
        unit: "By".into(),
    };
    let schema = GroupSchema {
        name: format!("group{index}"),
        interval_ms: 60_000,
        dimensions: (0..dimensions)
            .map(|at| DimensionDef {
                name: format!("d{at}"),
                is_key: at == 0,
            })
            .collect(),
        counters: (0..counters).map(|at| metric("c", at)).collect(),
        gauges: (0..gauges).map(|at| metric("g", at)).collect(),
    };
    let mut table = DimensionTable::new(dimensions);
    for row in 0..rows * dimensions {
        table.push(&format!(
            "{}",
            row % 7 + usize::from(chance.below(3) == 0) * row
        ));
    }
    let base = 1_700_000_000_000 + i64::from(chance.u32());
    let values = GroupValues {
        time: (0..rows)
            .map(|_| WallMs(base + i64::from(chance.below(90))))
            .collect(),
        dt_ms: (0..rows)
            .map(|_| chance.u32() >> chance.below(32))
            .collect(),
        counters: (0..counters).map(|_| any_counter(rows, chance)).collect(),
        gauges: (0..gauges).map(|_| any_gauge(rows, chance)).collect(),
    };
    (schema, table, values)
}

fn any_counter(rows: usize, chance: &mut Chance) -> CounterColumn {
    let (absent, odd, own) = (chance.below(3), chance.below(3), chance.below(4));
    let mut column = CounterColumn::default();
    for row in 0..rows {
        if absent > 0 && chance.below(2) < absent {
            column.push_absent();
            continue;
        }
        let code = if odd > 0 {
            chance.below(7).to_le_bytes()[0]
        } else {
            0
        };
        let verdict = Verdict::from_number(code).unwrap();
        let delta = if verdict.has_rate() {
            chance.number()
        } else {
            0
        };
        column.push(chance.number(), delta, verdict);
        if own == 0 && chance.below(4) == 0 {
            column
                .own_dt
                .push((u32::try_from(row).unwrap(), chance.u32()));
        }
    }
    column
}

fn any_gauge(rows: usize, chance: &mut Chance) -> GaugeColumn {
    let form = chance.below(4);
    let mut column = GaugeColumn::default();
    for _ in 0..rows {
        match (form, chance.below(5)) {
            (_, 0) => column.push_absent(),
            (0, _) => column.push_int(chance.number().cast_signed()),
            (1, _) => column.push_float(f64::from(chance.u32()) / 100.0),
            (2, _) => column.push_float(f64::from_bits(chance.number())),
            _ => column.push_int(1_000),
        }
    }
    column
}

/// Splitmix64 seeded by proptest: shrinking works on the seed and the shapes.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 29)
    }

    fn u32(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap()
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).unwrap()
    }

    /// Zeros, small and large numbers alike.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => 0,
            1 => u64::from(self.below(300)),
            _ => self.next() >> self.below(64),
        }
    }
}
