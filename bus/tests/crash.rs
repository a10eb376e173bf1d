//! Promise P1 and P2 under `kill -9`: a child process appends under load and says on a pipe what
//! was acknowledged; it is killed again and again; each acknowledged seq is there once, in order.
//!
//! Does: 20 rounds on one directory, with rolls and retention-free segments. Does not: cut power.
//! In: this binary again, told its part by the environment. Out: failures.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ocelli_bus::record::Lane;
use ocelli_bus::{BusOptions, Delivery, ReadFrom, ReaderOptions};
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

/// One round: what the child acknowledged, as seq → number.
fn round(directory: &Path, first: u64, lines: usize) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "child_appends_until_it_is_killed",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
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
        let of_round = round(root.path(), number * 1_000_000, lines);
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
