//! Promise P1 and P2 on one node: what was acknowledged is there once and in order, whatever the
//! disk did and wherever the process stopped; and nothing is seen before it is durable.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ocelli_bus::disk::{Disk, RealDisk};
use ocelli_bus::record::{Lane, Seq};
use ocelli_bus::{AppendError, Bus, Delivery, DiskState, ReadFrom, ReaderOptions, SubmitError};
use support::{FaultyDisk, events, held, open, open_on, runtime, small_options};

async fn append(bus: &Bus, numbers: std::ops::Range<u64>, bytes: usize) {
    let handle = bus.handle();
    let mut acknowledgements = Vec::new();
    for number in numbers {
        let block = events(number, 1, bytes);
        acknowledgements.push(handle.submit(Lane::Data, block).await.unwrap());
    }
    for acknowledgement in acknowledgements {
        acknowledgement.await.unwrap();
    }
}

fn pairs(numbers: std::ops::Range<u64>) -> Vec<(u64, u64)> {
    numbers.map(|number| (number + 1, number)).collect()
}

#[test]
fn what_was_acknowledged_is_there_after_a_drain_and_after_none() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (bus, report) = open(root.path(), small_options());
        assert_eq!((report.segments, report.copied_from), (0, None));
        append(&bus, 0..500, 900).await;
        assert_eq!(held(&bus).await, pairs(0..500));
        bus.drain().await.unwrap();
        drop(bus);
        let (bus, report) = open(root.path(), small_options());
        assert_eq!(
            report.segments_scanned, 0,
            "a drain leaves a footer everywhere"
        );
        assert!(
            report.segments > 5 && report.moved_aside.is_empty(),
            "{report:?}"
        );
        assert_eq!(held(&bus).await, pairs(0..500));
        append(&bus, 500..600, 900).await;
        assert_eq!(held(&bus).await, pairs(0..600));
    });
}

#[test]
fn a_reader_goes_from_disk_to_live_without_a_seam() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let mut options = small_options();
        options.tail_bytes_max = 8 * 1024;
        let (bus, _) = open(root.path(), options);
        append(&bus, 0..300, 900).await;
        let mut reader = bus.reader(ReaderOptions::from(ReadFrom::Oldest)).unwrap();
        let mut found = Vec::new();
        let mut next = 300;
        while found.len() < 600 {
            if next < 600 {
                append(&bus, next..next + 1, 900).await;
                next += 1;
            }
            let Delivery::Entries(entries) = reader.next().await.unwrap() else {
                panic!("nothing was removed");
            };
            found.extend(
                entries
                    .iter()
                    .map(|entry| (entry.seq().0, support::number_of(entry))),
            );
        }
        assert_eq!(found, pairs(0..600));
        assert!(reader.is_live());
        let statistics = bus.statistics();
        assert!(
            statistics.disk_reads > 0 && statistics.tail_reads > 0,
            "{statistics:?}"
        );
    });
}

#[test]
fn a_failed_fsync_or_write_moves_the_window_to_a_new_segment_under_the_same_seqs() {
    for (name, is_write) in [("fsync", false), ("write", true)] {
        for before in [0, 1, 3] {
            let root = tempfile::tempdir().unwrap();
            let disk = FaultyDisk::default();
            let faults = Arc::clone(&disk.0);
            runtime().block_on(async {
                // No roll, so that each write and fsync is one of the writer's.
                let mut options = small_options();
                options.segment_bytes = 1024 * 1024;
                let (bus, ..) = open_on(root.path(), options, Arc::new(disk));
                append(&bus, 0..10, 100).await;
                faults.failures_left.store(2, Ordering::SeqCst);
                let left = if is_write {
                    &faults.writes_left
                } else {
                    &faults.syncs_left
                };
                left.store(before, Ordering::SeqCst);
                for number in 10..20 {
                    append(&bus, number..number + 1, 3_000).await;
                }
                append(&bus, 20..60, 3_000).await;
                let failures = bus.statistics().commit_failures;
                assert!(failures >= 1, "{name} {before}: {failures}");
                assert_eq!(held(&bus).await, pairs(0..60), "{name} {before}");
                bus.drain().await.unwrap();
            });
            runtime().block_on(async {
                let (bus, report) = open(root.path(), small_options());
                assert_eq!(
                    held(&bus).await,
                    pairs(0..60),
                    "{name} {before}: {report:?}"
                );
            });
        }
    }
}

#[test]
fn a_disk_that_fails_on_and_on_refuses_data_keeps_definitions_and_recovers() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let faults = Arc::clone(&disk.0);
    runtime().block_on(async {
        let (bus, ..) = open_on(root.path(), small_options(), Arc::new(disk));
        append(&bus, 0..5, 100).await;
        faults.failures_left.store(4, Ordering::SeqCst);
        faults.syncs_left.store(0, Ordering::SeqCst);
        let handle = bus.handle();
        let definition = handle
            .submit(Lane::Definitions, events(900, 1, 50))
            .await
            .unwrap();
        let refused = handle.submit(Lane::Data, events(5, 1, 100)).await.unwrap();
        assert!(matches!(refused.await, Err(AppendError::Disk { .. })));
        assert_eq!(bus.status().borrow().disk, DiskState::Failing);
        append(&bus, 5..8, 100).await;
        assert_eq!(bus.status().borrow().disk, DiskState::Ok, "it works again");
        let committed = definition.await.unwrap();
        assert_eq!(
            (committed.stream.lane, committed.range.first),
            (Lane::Definitions, Seq(1))
        );
        assert_eq!(
            held(&bus).await,
            pairs(0..8),
            "the refused block's seq went to the next"
        );
        bus.drain().await.unwrap();
        drop(bus);
        let (bus, _) = open(root.path(), small_options());
        assert_eq!(held(&bus).await, pairs(0..8));
    });
}

#[test]
fn a_full_disk_is_a_state_that_refuses_data_and_ends_when_space_returns() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let faults = Arc::clone(&disk.0);
    runtime().block_on(async {
        let (bus, ..) = open_on(root.path(), small_options(), Arc::new(disk));
        append(&bus, 0..5, 100).await;
        faults.free_bytes.store(0, Ordering::SeqCst);
        let handle = bus.handle();
        let mut taken = 5;
        let refusal = loop {
            match handle.submit(Lane::Data, events(taken, 1, 9_000)).await {
                Ok(acknowledgement) => match acknowledgement.await {
                    Ok(_) => taken += 1,
                    Err(error) => break error,
                },
                Err(refused) => panic!("refused before the state was known: {:?}", refused.error),
            }
            assert!(taken < 100, "two segments hold fewer");
        };
        assert_eq!(refusal, AppendError::DiskFull);
        assert_eq!(bus.status().borrow().disk, DiskState::Full);
        let refused = handle
            .try_submit(Lane::Data, events(taken, 1, 10))
            .unwrap_err();
        assert_eq!(refused.error, SubmitError::DiskFull);
        let definition = handle
            .try_submit(Lane::Definitions, events(900, 1, 50))
            .unwrap();
        bus.tend().await.unwrap();
        assert_eq!(bus.status().borrow().disk, DiskState::Full, "no space yet");
        faults.free_bytes.store(u64::MAX, Ordering::SeqCst);
        bus.tend().await.unwrap();
        assert_eq!(bus.status().borrow().disk, DiskState::Ok);
        definition.await.unwrap();
        append(&bus, taken..taken + 5, 100).await;
        assert_eq!(held(&bus).await, pairs(0..taken + 5));
        assert!(bus.statistics().disk_full_blocks >= 2);
    });
}

#[test]
fn the_queue_refuses_at_its_limit_and_its_gauge_says_what_it_holds() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let mut options = small_options();
        options.queue_bytes_max = 64 * 1024;
        options.commit_delay = std::time::Duration::from_secs(3_600);
        let (bus, _) = open(root.path(), options);
        let handle = bus.handle();
        let mut waiting = Vec::new();
        let refused = loop {
            match handle.try_submit(Lane::Data, events(waiting.len() as u64, 1, 10_000)) {
                Ok(acknowledgement) => waiting.push(acknowledgement),
                Err(refused) => break refused,
            }
        };
        assert_eq!((refused.error, waiting.len()), (SubmitError::QueueFull, 6));
        let held_bytes = bus.statistics().queue_bytes;
        assert!((60_000..65_536).contains(&held_bytes), "{held_bytes}");
        handle.flush().await.unwrap();
        for acknowledgement in waiting {
            acknowledgement.await.unwrap();
        }
        assert_eq!(bus.statistics().queue_bytes, 0);
        bus.drain().await.unwrap();
        let refused = handle
            .submit(Lane::Data, events(0, 1, 10))
            .await
            .unwrap_err();
        assert_eq!(refused.error, SubmitError::Closed);
        assert_eq!(bus.drain().await, Err(SubmitError::Closed));
    });
}

#[test]
fn a_copied_directory_takes_a_new_origin_and_keeps_the_old_records() {
    let root = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (bus, report) = open(root.path(), small_options());
        append(&bus, 0..20, 100).await;
        bus.drain().await.unwrap();
        drop(bus);
        let status = std::process::Command::new("cp")
            .args(["-a", &format!("{}/.", root.path().display())])
            .arg(copy.path())
            .status();
        assert!(status.unwrap().success());
        let (bus, copied) = open(copy.path(), small_options());
        assert_eq!(copied.copied_from, Some(report.origin));
        assert_ne!(copied.origin, report.origin);
        append(&bus, 0..3, 100).await;
        let expected: Vec<_> = pairs(0..20).into_iter().chain(pairs(0..3)).collect();
        assert_eq!(held(&bus).await, expected, "the new origin counts from 1");
    });
}

/// Counts syncs; a reader must never see more than the syncs that were done can have covered.
#[test]
fn readers_never_run_ahead_of_the_fsync() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let faults = Arc::clone(&disk.0);
    runtime().block_on(async {
        let (bus, ..) = open_on(root.path(), small_options(), Arc::new(disk));
        let handle = bus.handle();
        let mut reader = bus.reader(ReaderOptions::from(ReadFrom::Now)).unwrap();
        for round in 0..50u64 {
            // Every fsync fails: nothing of this round may be seen, now or ever.
            faults.failures_left.store(1_000, Ordering::SeqCst);
            faults.syncs_left.store(0, Ordering::SeqCst);
            let lost = handle
                .submit(Lane::Data, events(1_000 + round, 3, 200))
                .await
                .unwrap();
            assert!(lost.await.is_err(), "round {round}");
            assert!(reader.next_held().await.unwrap().is_none(), "round {round}");
            faults.failures_left.store(0, Ordering::SeqCst);
            faults.syncs_left.store(-1, Ordering::SeqCst);
            let kept = handle
                .submit(Lane::Data, events(round, 1, 200))
                .await
                .unwrap();
            let Delivery::Entries(entries) = reader.next().await.unwrap() else {
                panic!("nothing was removed");
            };
            assert_eq!(entries.len(), 1);
            assert_eq!(
                (entries[0].seq().0, support::number_of(&entries[0])),
                (round + 1, round)
            );
            kept.await.unwrap();
        }
    });
}

#[test]
fn a_tail_cut_or_changed_at_any_byte_costs_only_what_stands_behind_it() {
    let root = tempfile::tempdir().unwrap();
    let number = |entry: &std::path::Path| entry.to_str().unwrap().to_owned();
    let path = root.path().join("bus/segments/0000000000000001.seg");
    runtime().block_on(async {
        let mut options = small_options();
        options.commit_delay = std::time::Duration::ZERO;
        let (bus, _) = open(root.path(), options);
        append(&bus, 0..4, 40).await;
        // Stopped without a drain: the file as a crash leaves it.
        std::fs::copy(&path, root.path().join("crashed")).unwrap();
        bus.drain().await.unwrap();
    });
    let whole = std::fs::read(root.path().join("crashed")).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let frame = (used - 64) / 4;
    for at in 64..used {
        for is_cut in [true, false] {
            let mut bytes = whole.clone();
            if is_cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 0x40;
            }
            let crashed = support::quick_dir();
            let folder = crashed.path().join("bus/segments");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("0000000000000001.seg"), bytes).unwrap();
            let kept = ((at - 64) / frame) as u64;
            runtime().block_on(async {
                let (bus, report) = open(crashed.path(), small_options());
                let name = format!("byte {at} cut {is_cut} of {}", number(&path));
                assert_eq!(held(&bus).await, pairs(0..kept), "{name}");
                let is_torn = !is_cut || (at - 64) % frame != 0;
                assert_eq!(
                    report.moved_aside.len(),
                    usize::from(is_torn),
                    "{name}: {report:?}"
                );
                if let Some(moved) = report.moved_aside.first() {
                    assert_eq!(moved.offset, 64 + kept * frame as u64, "{name}");
                    let aside = std::fs::read(&moved.path).unwrap();
                    assert_eq!(aside.len() as u64, moved.bytes, "{name}");
                }
            });
        }
    }
}

#[test]
fn a_file_that_is_no_segment_is_moved_aside_and_an_unused_one_is_removed() {
    let root = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (bus, _) = open(root.path(), small_options());
        append(&bus, 0..3, 100).await;
        bus.drain().await.unwrap();
    });
    let folder = root.path().join("bus/segments");
    std::fs::write(folder.join("0000000000000007.seg"), b"something else").unwrap();
    RealDisk
        .create(&folder.join("0000000000000008.seg"), 4_096)
        .unwrap();
    runtime().block_on(async {
        let (bus, report) = open(root.path(), small_options());
        assert_eq!(report.moved_aside.len(), 1, "{report:?}");
        assert!(report.moved_aside[0].path.exists());
        assert!(!folder.join("0000000000000008.seg").exists());
        append(&bus, 3..6, 100).await;
        assert_eq!(held(&bus).await, pairs(0..6));
    });
}
