//! Tests of lag against a real bus.

use ocelli_bus::BusOptions;
use ocelli_bus::block::{BlockBuilder, EntryHead};
use ocelli_bus::record::{EntryKind, Lane, Seq};
use ocelli_model::clock::Clock;
use tempfile::tempdir;

use super::*;
use crate::clock::RealClock;
use crate::rng::RealRng;

async fn append(bus: &Arc<Bus>, entries: u64) {
    let mut builder = BlockBuilder::new();
    for _ in 0..entries {
        let head = EntryHead::bare(EntryKind::Unknown(200), WallMs(0));
        builder.push(&head, b"0123456789").unwrap();
    }
    let block = builder.seal().unwrap();
    let sent = bus.handle().submit(Lane::Data, block).await.unwrap();
    sent.await.unwrap();
}

fn range(first: u64, last: u64) -> SeqRange {
    let (first, last) = (Seq(first), Seq(last));
    SeqRange { first, last }
}

#[actix_rt::test]
async fn what_a_reader_has_not_taken_is_counted_in_records_bytes_and_seconds() {
    let directory = tempdir().unwrap();
    let (clock, rng) = (Arc::new(RealClock), Box::new(RealRng::default()));
    let (bus, _) = Bus::open(directory.path(), BusOptions::default(), clock, rng).unwrap();
    let bus = Arc::new(bus);
    append(&bus, 6).await;
    append(&bus, 4).await;
    let data = StreamId::data(bus.origin());
    let later = WallMs(bus.head(data).unwrap().received.0 + 7_000);
    assert_eq!(
        lag_of(&bus, "uplink/up/emea", later).await,
        None,
        "no such cursor"
    );
    let cursors = bus.cursors();
    cursors
        .open("uplink/up/emea", "uplink", RealClock.wall())
        .unwrap();
    let cursor = cursors
        .open("uplink/up/emea", "uplink", RealClock.wall())
        .unwrap();
    let alone = one_disk(&bus).await;
    assert_eq!(alone.records, 10);
    cursor.advance(data, range(1, 6), RealClock.wall());
    let lags = lag_of(&bus, "uplink/up/emea", later).await.unwrap();
    assert_eq!(
        (lags.len(), lags[0].origin, lags[0].records),
        (1, bus.origin(), 4)
    );
    assert!(
        lags[0].bytes > 40 && lags[0].bytes < alone.bytes,
        "{lags:?}"
    );
    let seconds = lags[0].seconds.unwrap();
    assert!((7.0..8.0).contains(&seconds), "{seconds}");
    assert_eq!(sum_of(&lags).records, 4);
    assert_eq!(one_disk(&bus).await.records, 4);
    let peer = cursors
        .open("uplink/peer/r2", "uplink", RealClock.wall())
        .unwrap();
    peer.advance(data, range(7, 10), RealClock.wall());
    assert_eq!(
        one_disk(&bus).await,
        OneDisk::default(),
        "together they have all"
    );
    cursor.advance(data, range(7, 10), RealClock.wall());
    assert_eq!(
        lag_of(&bus, "uplink/up/emea", later).await,
        Some(Vec::new())
    );
}

#[test]
fn lags_of_origins_add_up_and_the_oldest_counts() {
    let lag = |origin, records, seconds| OriginLag {
        origin: OriginId(origin),
        records,
        bytes: records * 10,
        seconds,
    };
    let sum = sum_of(&[lag(1, 3, Some(2.0)), lag(2, 4, None), lag(3, 1, Some(9.0))]);
    assert_eq!((sum.records, sum.bytes, sum.seconds), (8, 80, 9.0));
    assert_eq!(sum_of(&[]), LagSum::default());
}
