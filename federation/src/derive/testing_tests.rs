//! A switch with ports and a processor, and batches of it on a real bus.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_bus::dictionary::PairCache;
use ocelli_bus::encoder::{Encoder, Pair};
use ocelli_bus::payload::Payload;
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{Bus, Entry, ReadFrom, SeqRange, StoredBlock};
use ocelli_model::batch::{Batch, CounterColumn, GroupValues, RowSet, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{DimensionTable, GaugeColumn};
use ocelli_model::gap::Gap;
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_model::schema::{DimensionDef, GroupSchema, MetricDef, Schema};
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_model::unix_seconds::UnixSeconds;

/// Interval of the slots, ms.
pub(crate) const INTERVAL_MS: u32 = 10_000;

pub(crate) fn resource(site: &str) -> Arc<Resource> {
    let fields = ResourceFields {
        identity: [site, "network", "switch", "cisco", "sw1"].map(str::to_owned),
        endpoint: "sw1".into(),
        metadata: BTreeMap::new(),
        created: UnixSeconds::default(),
        plugin: "by-hand".into(),
    };
    Arc::new(Resource::new(fields).unwrap())
}

pub(crate) fn plugin() -> Arc<str> {
    Arc::from("interfaces")
}

fn metric(name: &str) -> MetricDef {
    MetricDef {
        name: name.to_owned(),
        unit: String::new(),
    }
}

fn schema() -> Arc<Schema> {
    let group = |name: &str, dimensions| GroupSchema {
        name: name.to_owned(),
        interval_ms: INTERVAL_MS,
        dimensions,
        counters: vec![metric("octets")],
        gauges: vec![metric("load")],
    };
    let port = DimensionDef {
        name: "port".to_owned(),
        is_key: true,
    };
    let groups = vec![group("interface", vec![port]), group("cpu", Vec::new())];
    Arc::new(Schema::new(groups).unwrap())
}

/// The batch of slot `number`: values follow from it alone.
pub(crate) fn batch(number: i64) -> Batch {
    let slot = number * i64::from(INTERVAL_MS);
    let mut ports = DimensionTable::new(1);
    ports.push("one");
    ports.push("two");
    let values = |rows: usize| {
        let (mut counter, mut gauge) = (CounterColumn::default(), GaugeColumn::default());
        for row in 0..rows {
            let base = u64::try_from(number).unwrap() * 100 + row as u64;
            counter.push(base, 100, Verdict::Rate);
            gauge.push_float(number as f64 + 0.1 * row as f64);
        }
        GroupValues {
            time: vec![WallMs(slot + 3); rows],
            dt_ms: vec![INTERVAL_MS; rows],
            counters: vec![counter],
            gauges: vec![gauge],
        }
    };
    Batch {
        slot: SlotMs(slot),
        interval_ms: INTERVAL_MS,
        epoch: Epoch::default(),
        time: WallMs(slot + 5),
        partial: None,
        schema: schema(),
        rows: Arc::new(RowSet {
            groups: vec![ports, DimensionTable::new(0)],
        }),
        groups: vec![values(2), values(1)],
    }
}

/// Appends batches, then gaps, of the switch to the own origin of a bus.
pub(crate) async fn append(bus: &Bus, site: &str, batches: &[Batch], gaps: &[Gap]) {
    let mut encoder = Encoder::default();
    encoder.add_ids(bus.handle().reserve_ids(1 << 15).unwrap());
    let (mut cache, whose, plugin) = (PairCache::default(), resource(site), plugin());
    for batch in batches {
        encoder
            .push_batch(&mut cache, &whose, &plugin, batch)
            .unwrap();
    }
    let pair = Pair {
        resource: &whose,
        plugin: Some(&plugin),
    };
    for gap in gaps {
        encoder.push_gap(&mut cache, pair, gap, WallMs(0)).unwrap();
    }
    let sealed = encoder.seal();
    let definitions = sealed
        .definitions
        .into_iter()
        .map(|it| (Lane::Definitions, it));
    for (lane, block) in definitions.chain(sealed.data.map(|it| (Lane::Data, it))) {
        let answer = bus.handle().submit(lane, block).await.unwrap();
        answer.await.unwrap();
    }
}

/// All blocks of an origin's data.
pub(crate) async fn blocks(bus: &Bus, origin: OriginId) -> Vec<Arc<StoredBlock>> {
    let stream = StreamId::data(origin);
    let mut at = Seq(1);
    let mut all = Vec::new();
    loop {
        let last = bus.coverage_of(stream).highest();
        let range = SeqRange { first: at, last };
        let found = match at <= last {
            true => bus.blocks_of(stream, range, 1 << 20).await.unwrap(),
            false => Vec::new(),
        };
        let Some(end) = found.last() else {
            return all;
        };
        at = end.range().last.next();
        all.extend(found);
    }
}

/// All batches of an origin, in order of seq.
pub(crate) async fn batches(bus: &Bus, origin: OriginId) -> Vec<Arc<Batch>> {
    let blocks = blocks(bus, origin).await;
    let entries = blocks.iter().flat_map(|block| {
        let all = 0..block.entries().len();
        all.filter_map(|index| Entry::new(block, index))
    });
    let records = entries.map(|entry| bus.definitions().record(&entry).unwrap());
    let batches = records.filter_map(|record| match &record.payload {
        Payload::Batch(batch) => Some(Arc::clone(batch)),
        _ => None,
    });
    batches.collect()
}

/// Waits until the batches of an origin on a bus are enough.
pub(crate) async fn batches_to(
    bus: &Bus,
    origin: OriginId,
    is_enough: impl Fn(&[Arc<Batch>]) -> bool,
) -> Vec<Arc<Batch>> {
    let mut reader = bus.follow_blocks(ReadFrom::Oldest).unwrap();
    loop {
        let found = batches(bus, origin).await;
        if is_enough(&found) {
            return found;
        }
        reader.next().await.unwrap();
    }
}
