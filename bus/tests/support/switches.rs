//! Generated switches: batches as the `interfaces` profile makes them, with counters that grow.
//!
//! Does: 17 counters and 5 gauges a port, ten dimensions, a stated mix of port speeds, the same
//! batch for the same (ports, mix, tick). Does not: poll, encode.
//! In: number of ports, mix, tick. Out: [`Batch`]. Shared by unit tests, golden files and benches.

use std::sync::Arc;

use ocelli_model::batch::{Batch, CounterColumn, GroupValues, RowSet, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::{DimensionTable, GaugeColumn};
use ocelli_model::schema::{DimensionDef, GroupSchema, MetricDef, Schema};
use ocelli_model::slot::{Epoch, SlotMs};

const COUNTERS: [&str; 17] = [
    "bits_in",
    "bits_out",
    "unicast_packets_in",
    "unicast_packets_out",
    "multicast_packets_in",
    "multicast_packets_out",
    "broadcast_packets_in",
    "broadcast_packets_out",
    "total_packets_in",
    "total_packets_out",
    "errors_in",
    "errors_out",
    "discards_in",
    "discards_out",
    "errors_frame",
    "errors_crc",
    "errors_giants",
];
const GAUGES: [&str; 5] = [
    "mtu",
    "admin_state",
    "oper_state",
    "oper_admin_state_mismatch",
    "configured_speed",
];
const DIMENSIONS: [&str; 10] = [
    "interface_name",
    "alias",
    "description",
    "media_type",
    "configured_speed",
    "port_speed",
    "parent_interface_name",
    "parent_interface_media_type",
    "parent_interface_configured_speed",
    "parent_interface_port_speed",
];
/// A slot a minute.
const INTERVAL_MS: u32 = 60_000;
/// How long the devices have been up at tick 0, seconds.
const UPTIME_S: u64 = 90 * 86_400;

/// Which ports a switch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Of 16 ports 8 never used, 4 quiet (broadcasts only), 3 access (some Mbit/s), 1 uplink.
    Office,
    /// Each port carries traffic: of 16, 13 access and 3 uplinks.
    Busy,
}

/// Packets a second of a port, in and out, unicast, multicast, broadcast.
fn speed_of(mix: Mix, port: u64) -> [u64; 3] {
    let spice = splitmix(port) % 900 + 100;
    match (mix, port % 16) {
        (Mix::Office, 0..=7) => [0, 0, 0],
        (Mix::Office, 8..=11) => [0, spice % 3, spice % 5],
        (Mix::Office, 12..=14) | (Mix::Busy, 0..=12) => [spice * 3, spice / 50, spice / 90],
        _ => [spice * 1_500, spice / 5, spice / 20],
    }
}

/// One batch of a switch; ticks are minutes.
pub(crate) fn switch_batch_of(ports: usize, mix: Mix, tick: u64) -> Batch {
    let slot = 1_760_000_000_000 + i64::try_from(tick).unwrap_or(0) * i64::from(INTERVAL_MS);
    let mut group = GroupValues {
        counters: vec![CounterColumn::default(); COUNTERS.len()],
        gauges: vec![GaugeColumn::default(); GAUGES.len()],
        ..GroupValues::default()
    };
    for port in 0..ports as u64 {
        // Ten rows a response, some milliseconds apart.
        let jitter = i64::try_from(splitmix(tick * 31 + port / 10) % 40).unwrap_or(0);
        group.time.push(WallMs(
            slot + 200 + i64::try_from(port / 10).unwrap_or(0) * 9 + jitter,
        ));
        group
            .dt_ms
            .push(INTERVAL_MS - 20 + u32::try_from(splitmix(tick ^ (port / 10)) % 40).unwrap_or(0));
        push_counters(&mut group.counters, mix, port, tick);
        let is_up = speed_of(mix, port) != [0, 0, 0];
        let gauges = [
            1_500,
            1,
            if is_up { 1 } else { 2 },
            i64::from(!is_up),
            1_000_000_000,
        ];
        for (column, value) in group.gauges.iter_mut().zip(gauges) {
            column.push_int(value);
        }
    }
    Batch {
        slot: SlotMs(slot),
        interval_ms: INTERVAL_MS,
        epoch: Epoch {
            generation: 1_760_000_000,
            index: 3,
        },
        time: WallMs(slot + 290),
        partial: None,
        schema: Arc::new(switch_schema()),
        rows: Arc::new(switch_rows(ports)),
        groups: vec![group],
    }
}

fn push_counters(columns: &mut [CounterColumn], mix: Mix, port: u64, tick: u64) {
    let [unicast, multicast, broadcast] = speed_of(mix, port);
    for (direction, share) in [(0usize, 3), (1, 2)] {
        let speeds = [unicast * share, multicast * share, broadcast * share];
        let mut sums = [(0, 0); 2];
        for (class, packets_per_second) in speeds.into_iter().enumerate() {
            let chance = port * 1_009 + class as u64 * 17 + direction as u64;
            let (value, delta) = grown(packets_per_second, chance, tick);
            push(columns, 2 + class * 2 + direction, value, delta);
            let bytes = [300 + splitmix(chance) % 900, 90, 64][class];
            sums[0] = (sums[0].0 + value * bytes * 8, sums[0].1 + delta * bytes * 8);
            sums[1] = (sums[1].0 + value, sums[1].1 + delta);
        }
        push(columns, direction, sums[0].0, sums[0].1);
        push(columns, 8 + direction, sums[1].0, sums[1].1);
        // One port in seven has had some errors long ago; they do not grow.
        let errors = if port.is_multiple_of(7) && unicast > 0 {
            port * 3 + 1
        } else {
            0
        };
        push(columns, 10 + direction, errors, 0);
        push(columns, 12 + direction, errors / 2, 0);
    }
    for column in 14..17 {
        push(columns, column, 0, 0);
    }
}

/// (value, difference to the minute before) of a counter that grows by about `per_second`.
fn grown(per_second: u64, chance: u64, tick: u64) -> (u64, u64) {
    let at = |tick: u64| {
        let wobble = splitmix(chance * 7_919 + tick) % (per_second * 20 + 1);
        (UPTIME_S + tick * 60) * per_second + wobble + chance % 97 * per_second
    };
    let before = at(tick);
    let now = at(tick + 1);
    (now, now.saturating_sub(before))
}

fn push(columns: &mut [CounterColumn], index: usize, value: u64, delta: u64) {
    columns[index].push(value, delta, Verdict::Rate);
}

fn switch_schema() -> Schema {
    let metric = |name: &&str| MetricDef {
        name: (*name).into(),
        unit: String::new(),
    };
    let dimension = |(index, name): (usize, &&str)| DimensionDef {
        name: (*name).into(),
        is_key: index == 0,
    };
    let group = GroupSchema {
        name: "interface".into(),
        interval_ms: INTERVAL_MS,
        dimensions: DIMENSIONS.iter().enumerate().map(dimension).collect(),
        counters: COUNTERS.iter().map(metric).collect(),
        gauges: GAUGES.iter().map(metric).collect(),
    };
    Schema::new(vec![group]).expect("the names are distinct and follow the key pattern")
}

fn switch_rows(ports: usize) -> RowSet {
    let mut table = DimensionTable::new(DIMENSIONS.len());
    for port in 0..ports {
        let name = format!("GigabitEthernet1/0/{}", port + 1);
        let alias = format!("office {} desk {}", port / 8, port);
        let cells = [
            &name,
            &alias,
            &name,
            "ethernetCsmacd",
            "1000000000",
            "1000000000",
            "",
            "",
            "",
            "",
        ];
        cells.iter().for_each(|cell| table.push(cell));
    }
    RowSet {
        groups: vec![table],
    }
}

/// Splitmix64: spreads a number over 64 bits, the same on every machine.
fn splitmix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
