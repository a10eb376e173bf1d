//! Promise P1 and P2 under `kill -9`: a child process appends under load and says on a pipe what
//! was acknowledged; it is killed again and again; each acknowledged seq is there once, in order;
//! and the same of a child that takes another origin's blocks.
//!
//! Does: 20 rounds on one directory, with rolls and retention-free segments. Does not: cut power.
//! In: this binary again, told its part by the environment. Out: failures.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ocelli_bus::block::Stamp;
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{
    BlockDelivery, BusOptions, Delivery, ForeignBlock, ReadFrom, ReaderOptions, SeqRanges,
};
use support::{events, number_of, open, runtime};

/// Tells the child where to append.
const CHILD_DIRECTORY: &str = "OCELLI_BUS_CRASH_DIRECTORY";
/// Tells the child which number its first entry has.
const CHILD_FIRST: &str = "OCELLI_BUS_CRASH_FIRST";
const ROUNDS: u64 = 20;

fn options() -> BusOptions {
    BusOptions {
        segment_bytes: 512 * 1024,
        spare_space_bytes: 0,
        tail_bytes_max: 256 * 1024,
        ..BusOptions::default()
    }
}

/// Appends until it is killed: not a test of its own, it only acts as the child.
#[test]
fn child_appends_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD_DIRECTORY) else {
        return;
    };
    let first: u64 = std::env::var(CHILD_FIRST).unwrap().parse().unwrap();
    runtime().block_on(async {
        let (bus, _) = open(Path::new(&directory), options());
        let handle = bus.handle();
        let mut out = std::io::stdout();
        for group in 0u64.. {
            let mut waiting = Vec::new();
            for block in 0..8 {
                let number = first + (group * 8 + block) * 3;
                let bytes = 50 + usize::try_from(number % 2_000).unwrap();
                waiting.push(
                    handle
                        .submit(Lane::Data, events(number, 3, bytes))
                        .await
                        .unwrap(),
                );
                if block % 4 == 0 {
                    handle
                        .submit(Lane::Definitions, events(number, 1, 40))
                        .await
                        .unwrap();
                }
            }
            for (block, waiting) in (0u64..).zip(waiting) {
                let committed = waiting.await.unwrap();
                let number = first + (group * 8 + block) * 3;
                writeln!(
                    out,
                    "ACK {} {} {number}",
                    committed.range.first, committed.range.last
                )
                .unwrap();
            }
        }
    });
}

/// The foreign origin that the child takes blocks of.
const FOREIGN: OriginId = OriginId(0xF0);

/// Block `number` of the foreign origin: seqs `3 number + 1` to `3 number + 3`, numbered alike.
fn foreign(number: u64, is_backfill: bool) -> ForeignBlock {
    let mut block = events(
        number * 3 + 1,
        3,
        50 + usize::try_from(number % 2_000).unwrap(),
    );
    block.stamp(&Stamp {
        stream: StreamId::data(FOREIGN),
        first_seq: Seq(number * 3 + 1),
        needs_def: Seq(0),
    });
    let read = ForeignBlock::read(block.into_bytes().into()).unwrap();
    read.with_backfill(is_backfill)
}

/// Takes foreign blocks until it is killed, most of them live, each fifth as late backfill, and
/// each seventh twice: not a test of its own, it only acts as the child.
#[test]
fn child_ingests_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD_DIRECTORY) else {
        return;
    };
    let first: u64 = std::env::var(CHILD_FIRST).unwrap().parse().unwrap();
    runtime().block_on(async {
        let (bus, _) = open(Path::new(&directory), options());
        let handle = bus.handle();
        let mut out = std::io::stdout();
        // What the child before it left open is offered again.
        for group in first.saturating_sub(40) / 20.. {
            let numbers = group * 20..group * 20 + 20;
            let live = numbers.clone().filter(|number| number % 5 != 0);
            let late = numbers.filter(|number| number % 5 == 0);
            let mut waiting = Vec::new();
            for number in live.chain(late) {
                for _ in 0..if number % 7 == 0 { 2 } else { 1 } {
                    let block = foreign(number, number % 5 == 0);
                    waiting.push((number, handle.ingest(block).await.unwrap()));
                }
            }
            for (number, waiting) in waiting {
                let range = waiting.await.unwrap().range;
                let number = number * 3 + 1;
                writeln!(out, "ACK {} {} {number}", range.first, range.last).unwrap();
            }
        }
    });
}

#[test]
fn after_twenty_kills_each_acknowledged_foreign_block_is_there_once_byte_for_byte() {
    let root = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for number in 0..ROUNDS {
        let next = acknowledged.last_key_value().map_or(0, |(seq, _)| seq / 3);
        let lines = 20 + usize::try_from(number * 37 % 200).unwrap();
        let child = "child_ingests_until_it_is_killed";
        acknowledged.extend(round(child, root.path(), next, lines));
    }
    runtime().block_on(async {
        let (bus, report) = open(root.path(), options());
        let mut reader = bus.follow_blocks(ReadFrom::Oldest).unwrap();
        let mut found = SeqRanges::default();
        while let Some(delivery) = reader.next_held().await.unwrap() {
            let BlockDelivery::Blocks(blocks) = delivery else {
                panic!("nothing was removed")
            };
            for block in blocks {
                let range = block.range();
                let expected = foreign(range.first.0 / 3, false);
                assert_eq!(block.bytes(), expected.bytes());
                assert_eq!(block.is_backfill(), range.first.0 / 3 % 5 == 0);
                let is_new = found.within(range).is_empty();
                assert!(is_new, "{range:?} is stored twice: {report:?}");
                found.insert(range);
            }
        }
        for (seq, number) in &acknowledged {
            assert!(
                seq == number && found.contains(Seq(*seq)),
                "seq {seq}: {report:?}"
            );
        }
        assert_eq!(
            bus.coverage_of(StreamId::data(FOREIGN)),
            found,
            "and no more is claimed"
        );
        let stored = found.count();
        eprintln!(
            "{} acknowledged, {stored} stored, {ROUNDS} kills",
            acknowledged.len()
        );
    });
}

/// One round: what the child acknowledged, as seq → number.
fn round(child: &str, directory: &Path, first: u64, lines: usize) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([child, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_DIRECTORY, directory)
        .env(CHILD_FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut take = |line: String| {
        let words: Vec<_> = line.split(' ').collect();
        // The last line may be cut by the kill.
        let [_, first, last, number] = words[..] else {
            return;
        };
        let (Ok(first), Ok(last), Ok(number)) = (
            first.parse::<u64>(),
            last.parse::<u64>(),
            number.parse::<u64>(),
        ) else {
            return;
        };
        if line.starts_with("ACK ") && last == first + 2 {
            acknowledged.extend((0..3).map(|step| (first + step, number + step)));
        }
    };
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        if reader.read_line(&mut line).unwrap() == 0 {
            break;
        }
        take(line.trim_end().to_owned());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What was in the pipe when it died was acknowledged too; only whole lines count.
    let mut rest = String::new();
    while reader.read_line(&mut rest).unwrap() > 0 {
        if rest.ends_with('\n') {
            take(rest.trim_end().to_owned());
        }
        rest.clear();
    }
    acknowledged
}

#[test]
fn after_twenty_kills_under_load_each_acknowledged_seq_is_there_once_and_in_order() {
    let root = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for number in 0..ROUNDS {
        let lines = 20 + usize::try_from(number * 37 % 200).unwrap();
        let child = "child_appends_until_it_is_killed";
        let of_round = round(child, root.path(), number * 1_000_000, lines);
        assert!(of_round.len() >= 30, "round {number}: {}", of_round.len());
        for (seq, entry) in of_round {
            assert_eq!(
                acknowledged.insert(seq, entry),
                None,
                "seq {seq} was given twice"
            );
        }
    }
    runtime().block_on(async {
        let (bus, report) = open(root.path(), options());
        let mut reader = bus.reader(ReaderOptions::from(ReadFrom::Oldest)).unwrap();
        let mut found = Vec::new();
        while let Some(delivery) = reader.next_held().await.unwrap() {
            let Delivery::Entries(entries) = delivery else {
                panic!("nothing was removed")
            };
            found.extend(
                entries
                    .iter()
                    .map(|entry| (entry.seq().0, number_of(entry))),
            );
        }
        let seqs: Vec<_> = found.iter().map(|(seq, _)| *seq).collect();
        let expected: Vec<_> = (1..=found.len() as u64).collect();
        assert_eq!(seqs, expected, "once, in order, without holes: {report:?}");
        let found: BTreeMap<_, _> = found.into_iter().collect();
        for (seq, number) in &acknowledged {
            assert_eq!(found.get(seq), Some(number), "seq {seq}: {report:?}");
        }
        let stored = found.len();
        eprintln!(
            "{} acknowledged, {stored} stored, {ROUNDS} kills",
            acknowledged.len()
        );
    });
}
