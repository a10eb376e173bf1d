//! Records for the tests of this command: an interface's, a machine's, a gap.
//!
//! Does: build them by hand. Does not: poll. In: names and rates. Out: [`Record`]s.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_bus::decoder::Record;
use ocelli_bus::payload::Payload;
use ocelli_bus::record::{EntryKind, OriginId, Seq, StreamId};
use ocelli_model::batch::{Batch, CounterColumn, GroupValues, RowSet, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{DimensionTable, GaugeColumn};
use ocelli_model::gap::{Gap, GapCause, GapKind};
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::schema::{DimensionDef, GroupSchema, MetricDef, Schema};
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_model::unix_seconds::UnixSeconds;

/// Interval of all samples, ms.
const EVERY_MS: u32 = 2_000;

/// One group's rows: each a name, and for each counter its growth and verdict.
pub(super) type Rows<'a> = &'a [(&'a str, &'a [(u64, Verdict)])];

/// A batch with one group per entry of `groups`: name, counters, rows.
pub(super) fn batch(device: &str, seq: u64, groups: &[(&str, &[&str], Rows<'_>)]) -> Record {
    let metric = |name: &&str| MetricDef {
        name: (*name).to_owned(),
        unit: String::new(),
    };
    let schemas = groups.iter().map(|(name, counters, _)| GroupSchema {
        name: (*name).to_owned(),
        interval_ms: EVERY_MS,
        dimensions: vec![DimensionDef {
            name: "name".to_owned(),
            is_key: true,
        }],
        counters: counters.iter().map(metric).collect(),
        gauges: vec![metric(&"level")],
    });
    let schema = Arc::new(Schema::new(schemas.collect()).unwrap());
    let tables = groups.iter().map(|(_, _, rows)| {
        let mut table = DimensionTable::new(1);
        rows.iter().for_each(|(name, _)| table.push(name));
        table
    });
    let rows = RowSet {
        groups: tables.collect(),
    };
    let values = groups.iter().map(|(_, counters, rows)| {
        let column = |counter: usize| {
            let mut column = CounterColumn::default();
            for (_, cells) in *rows {
                let (delta, verdict) = cells[counter];
                column.push(delta, delta, verdict);
            }
            column
        };
        let mut gauge = GaugeColumn::default();
        rows.iter().for_each(|_| gauge.push_int(7));
        GroupValues {
            time: vec![WallMs(1_000); rows.len()],
            dt_ms: vec![EVERY_MS; rows.len()],
            counters: (0..counters.len()).map(column).collect(),
            gauges: vec![gauge],
        }
    });
    let batch = Batch {
        slot: SlotMs(0),
        interval_ms: EVERY_MS,
        epoch: Epoch::default(),
        time: WallMs(1_000),
        partial: None,
        rows: Arc::new(rows),
        groups: values.collect(),
        schema,
    };
    record(device, seq, EntryKind::Batch, Payload::Batch(batch.into()))
}

/// Two slots without an answer.
pub(super) fn gap(device: &str, seq: u64) -> Record {
    let cause = GapCause::because(GapKind::Timeout, "");
    let mut gap = Gap::of_slot(SlotMs(0), EVERY_MS, Epoch::default(), cause);
    gap.last = SlotMs(i64::from(EVERY_MS));
    record(device, seq, EntryKind::Gap, Payload::Gap(gap))
}

fn record(device: &str, seq: u64, kind: EntryKind, payload: Payload) -> Record {
    let resource = Resource::new(ResourceFields {
        identity: ["demo", "network", "switch", "simulated", device].map(str::to_owned),
        endpoint: "127.1.0.1".to_owned(),
        metadata: BTreeMap::new(),
        created: UnixSeconds::default(),
        plugin: "simulate".to_owned(),
    });
    Record {
        stream: StreamId::data(OriginId(1)),
        seq: Seq(seq),
        kind,
        resource: Some(Arc::new(resource.unwrap())),
        plugin: Some("interfaces".into()),
        slot: SlotMs(0),
        interval_ms: EVERY_MS,
        epoch: Epoch::default(),
        time: WallMs(1_000),
        is_partial: false,
        is_backfill: false,
        is_fill: false,
        is_volatile: false,
        payload,
    }
}
