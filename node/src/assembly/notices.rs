//! What the assembly tells as events: the start and what it found, parked items, the disk.
//!
//! Does: name them, follow the bus's status. Does not: log or write (`actors::Reporter`).
//! In: what recovery found, what is parked, the status of the bus. Out: reports.

use std::collections::BTreeMap;

use ocelli_actors::Reporter;
use ocelli_bus::{BusStatus, DiskState, RecoveryReport};
use ocelli_model::event::Event;
use tokio::sync::watch;

/// Names of items with why they are parked.
type Parked = BTreeMap<String, String>;

/// Tells that the node began, and what it found.
pub(super) fn tell_start(events: &Reporter, report: &RecoveryReport, parked: &Parked) {
    events.report(Event::NodeStarted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        origin: report.origin.to_string(),
    });
    if let Some(before) = report.copied_from {
        events.report(Event::OriginChanged {
            origin: report.origin.to_string(),
            before: before.to_string(),
            cause: if report.is_rolled_back {
                "an upper tier holds newer records: the disk went back in time".to_owned()
            } else {
                "the data directory is a copy".to_owned()
            },
        });
    }
    for aside in &report.moved_aside {
        events.report(Event::TailMovedAside {
            segment: aside.segment.0,
            offset: aside.offset,
            bytes: aside.bytes,
            path: aside.path.display().to_string(),
            reason: aside.reason.clone(),
        });
    }
    tell_parked(events, &Parked::new(), parked);
}

/// Tells what is parked now and was not before, for that reason, and what no longer is.
pub(super) fn tell_parked(events: &Reporter, before: &Parked, now: &Parked) {
    for (name, reason) in now {
        if before.get(name) != Some(reason) {
            events.report(Event::PluginParked {
                name: name.clone(),
                reason: reason.clone(),
            });
        }
    }
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        let name = name.clone();
        events.report(Event::PluginRecovered { name });
    }
}

/// Tells when the disk no longer takes data, and when it does again; until the bus closes.
pub(super) async fn watch_disk(mut status: watch::Receiver<BusStatus>, events: Reporter) {
    let mut known = status.borrow_and_update().disk;
    while status.changed().await.is_ok() {
        let now = *status.borrow_and_update();
        if let Some(event) = disk_event(known, now) {
            events.report(event);
        }
        known = now.disk;
    }
}

fn disk_event(before: DiskState, now: BusStatus) -> Option<Event> {
    let free_bytes = now.free_bytes;
    let takes_data = |disk| matches!(disk, DiskState::Ok | DiskState::Low);
    match now.disk {
        disk if disk == before => None,
        DiskState::Full => Some(Event::DiskFull { free_bytes }),
        DiskState::Failing => Some(Event::DiskFailing { free_bytes }),
        disk => {
            (takes_data(disk) && !takes_data(before)).then_some(Event::DiskReturned { free_bytes })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_told_when_it_ends_to_take_data_and_when_it_begins_again() {
        use DiskState::{Failing, Full, Low, Ok};
        let check = |before, disk, expected: Option<&str>| {
            let status = BusStatus {
                disk,
                ..BusStatus::default()
            };
            let kind = disk_event(before, status).map(|event| event.kind());
            assert_eq!(kind, expected, "{before:?} to {disk:?}");
        };
        check(Ok, Low, None);
        check(Low, Full, Some("disk_full"));
        check(Full, Full, None);
        check(Full, Ok, Some("disk_returned"));
        check(Full, Low, Some("disk_returned"));
        check(Ok, Failing, Some("disk_failing"));
        check(Failing, Full, Some("disk_full"));
        check(Failing, Ok, Some("disk_returned"));
    }
}
