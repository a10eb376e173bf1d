//! What the assembly tells as events: the start and what it found, parked items, the disk.
//!
//! Does: name them, follow the bus's status. Does not: log or write (`actors::Reporter`).
//! In: what recovery found, what is parked, the status of the bus. Out: reports.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use ocelli_actors::{Reporter, Site};
use ocelli_bus::{Bus, BusStatus, CursorState, DiskState, RecoveryReport};
use ocelli_config::Config;
use ocelli_model::clock::{Clock, WallMs};
use ocelli_model::event::Event;
use tokio::sync::watch;

use super::node::options_of;
use crate::capacity::{Backlog, CapacityNews, CapacityWatch, IdleNews, IdleWatch, Limits, Room};

/// Between two looks at how much readers have yet to take.
const CAPACITY_EVERY: Duration = Duration::from_secs(60);

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

/// Tells a day before retention begins to take what a reader has not got, and of readers that
/// stand still for so long that they let go of it; for as long as the bus is open. `limits` are
/// those of the configuration in force.
async fn watch_capacity(
    bus: Weak<Bus>,
    limits: impl Fn() -> Limits,
    (events, clock): (Reporter, Arc<dyn Clock>),
) {
    let (mut watch, mut idle) = (CapacityWatch::default(), IdleWatch::default());
    loop {
        clock
            .sleep_until(clock.monotonic().after(CAPACITY_EVERY))
            .await;
        let Some(bus) = bus.upgrade() else { return };
        let (backlogs, room) = capacity_of(&bus, limits(), clock.wall());
        drop(bus);
        for news in idle.on(&backlogs, room.idle_max) {
            events.report(match news {
                IdleNews::Near { reader, idle, left } => Event::CursorIdle {
                    reader,
                    idle_s: idle.as_secs(),
                    left_s: left.as_secs(),
                },
                IdleNews::Released { reader, idle } => Event::CursorReleased {
                    reader,
                    idle_s: idle.as_secs(),
                },
            });
        }
        for news in watch.on(&backlogs, room, clock.monotonic()) {
            events.report(match news {
                CapacityNews::Low { reader, left } => Event::CapacityLow {
                    reader,
                    hours: left.as_secs() / 3_600,
                },
                CapacityNews::Returned { reader } => Event::CapacityReturned { reader },
            });
        }
    }
}

/// What bounds the disk by a configuration; free bytes are the bus's to say.
pub(super) fn limits_of(config: &Config) -> Limits {
    let options = options_of(config);
    Limits {
        bytes_max: options.bytes_max,
        cursor_idle_max: options.cursor_idle_max,
        retention: options.retention,
        free_bytes: 0,
    }
}

fn capacity_of(bus: &Bus, limits: Limits, now: WallMs) -> (Vec<Backlog>, Room) {
    let backlog = |cursor: CursorState| Backlog {
        bytes: bus
            .untaken(&cursor.taken)
            .iter()
            .map(|left| left.bytes)
            .sum(),
        idle: Duration::from_millis(now.0.saturating_sub(cursor.moved.0).max(0).unsigned_abs()),
        reader: cursor.name,
    };
    let backlogs = bus.cursors().list().into_iter().map(backlog).collect();
    let held = bus.statistics().segment_bytes;
    let free = bus.status().borrow().free_bytes;
    let room = Room {
        bytes_max: limits.bytes_max.min(held.saturating_add(free)),
        idle_max: limits.cursor_idle_max,
    };
    (backlogs, room)
}

/// Tells of a disk that takes nothing, and of one that will have no room.
pub(super) fn watch(
    (bus, clock): (&Arc<Bus>, &Arc<dyn Clock>),
    site: &Arc<ArcSwap<Site>>,
    events: Reporter,
) {
    let in_force = Arc::clone(site);
    let limits = move || limits_of(&in_force.load().config);
    actix_rt::spawn(watch_disk(bus.status(), events.clone()));
    let told = (events, Arc::clone(clock));
    actix_rt::spawn(watch_capacity(Arc::downgrade(bus), limits, told));
}

/// Tells when the disk no longer takes data, and when it does again; until the bus closes.
async fn watch_disk(mut status: watch::Receiver<BusStatus>, events: Reporter) {
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
