//! How far others are behind this node, per origin, in records, bytes and seconds.
//!
//! Does: compare what is held with what durable cursors of upstreams and peers have taken.
//! Does not: keep anything: each answer is new. In: the bus. Out: [`OriginLag`]s, [`OneDisk`].
//! Cost: a pass over the segments' streams and one small read for each origin that lags, of
//! `TIMES_MAX` at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_bus::record::{OriginId, StreamId};
use ocelli_bus::{Bus, SeqRange, SeqRanges, Untaken};
use ocelli_model::clock::WallMs;

/// Origins of one answer whose oldest record's time is read; the others have no seconds.
const TIMES_MAX: usize = 256;
/// Cursors of upstreams and peers.
const UPLINK: &str = "uplink";

/// How far a neighbour is behind with one origin.
#[derive(Debug, Clone, PartialEq)]
pub struct OriginLag {
    /// Whose data.
    pub origin: OriginId,
    /// Records held here that it has not acknowledged.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Age of the oldest of them, seconds; `None`: it cannot be read.
    pub seconds: Option<f64>,
}

/// The own data that no other node has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OneDisk {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Seconds from the oldest of them to the newest record.
    pub seconds: f64,
}

/// Sums over origins.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LagSum {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// The largest.
    pub seconds: f64,
}

/// The lag of the reader of a cursor, by origin; `None`: there is no such cursor.
pub async fn lag_of(bus: &Arc<Bus>, cursor: &str, now: WallMs) -> Option<Vec<OriginLag>> {
    let mut cursors = bus.cursors().list().into_iter();
    let cursor = cursors.find(|known| known.name == cursor)?;
    let forsaken = bus.forsaken();
    let mut all = Vec::new();
    for (place, left) in bus.untaken(&cursor.taken).into_iter().enumerate() {
        if forsaken.contains(&left.origin) {
            continue;
        }
        let received = match place < TIMES_MAX {
            true => received(bus, left).await,
            false => None,
        };
        all.push(OriginLag {
            origin: left.origin,
            records: left.records,
            bytes: left.bytes,
            seconds: received.map(|then| seconds_between(then, now)),
        });
    }
    Some(all)
}

/// What of the own origin stands on this disk alone.
pub async fn one_disk(bus: &Arc<Bus>) -> OneDisk {
    let data = StreamId::data(bus.origin());
    let mut elsewhere = SeqRanges::default();
    let cursors = bus.cursors().list();
    for cursor in cursors.iter().filter(|cursor| cursor.kind == UPLINK) {
        if let Some(taken) = cursor.taken.get(&data) {
            elsewhere.insert_all(taken);
        }
    }
    let taken = BTreeMap::from([(data, elsewhere)]);
    let own = |left: &Untaken| left.origin == bus.origin();
    let Some(left) = bus.untaken(&taken).into_iter().find(own) else {
        return OneDisk::default();
    };
    let newest = bus.head(data).map(|head| head.received);
    let seconds = match (received(bus, left).await, newest) {
        (Some(oldest), Some(newest)) => seconds_between(oldest, newest),
        _ => 0.0,
    };
    OneDisk {
        records: left.records,
        bytes: left.bytes,
        seconds,
    }
}

/// All origins together.
#[must_use]
pub fn sum_of(lags: &[OriginLag]) -> LagSum {
    let add = |sum: LagSum, lag: &OriginLag| LagSum {
        records: sum.records + lag.records,
        bytes: sum.bytes + lag.bytes,
        seconds: sum.seconds.max(lag.seconds.unwrap_or(0.0)),
    };
    lags.iter().fold(LagSum::default(), add)
}

/// When this node took the oldest of these records.
async fn received(bus: &Arc<Bus>, left: Untaken) -> Option<WallMs> {
    let (first, last) = (left.oldest, left.oldest);
    let range = SeqRange { first, last };
    let blocks = bus.blocks_of(StreamId::data(left.origin), range, 1).await;
    let blocks = blocks.ok()?;
    blocks.first().map(|block| block.received())
}

fn seconds_between(then: WallMs, now: WallMs) -> f64 {
    now.0.saturating_sub(then.0).max(0) as f64 / 1_000.0
}

#[cfg(test)]
#[path = "lag_tests.rs"]
mod tests;
