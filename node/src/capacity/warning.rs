//! When retention will begin to take what a reader has not got, told a day before.
//!
//! Does: follow how much each reader has yet to take, foretell when that is all that the disk may
//! hold, say so once and say when it is over. Does not: read the bus, report (assembly).
//! In: samples with their times. Out: [`CapacityNews`]. Pure.
//! How: growth is measured between two samples that are [`SPAN_MIN`] apart or more, so a reader
//! that is away, one that is slow, and one that catches up are told apart by what they do.

use std::collections::BTreeMap;
use std::time::Duration;

use ocelli_model::clock::Monotonic;

/// So long before data is taken it is told.
pub const WARN_BEFORE: Duration = Duration::from_secs(24 * 3_600);
/// It is over when there is so much more time again, or nothing is left to take.
const OVER_BEYOND: Duration = Duration::from_secs(36 * 3_600);
/// Growth over less says little.
const SPAN_MIN: Duration = Duration::from_secs(5 * 60);
/// Growth is measured over about so long.
const SPAN_MAX: Duration = Duration::from_secs(30 * 60);

/// What a reader has yet to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Name of its cursor.
    pub reader: String,
    /// Bytes.
    pub bytes: u64,
    /// How long its cursor has stood still.
    pub idle: Duration,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CapacityNews {
    /// In so long data is lost to a reader.
    Low {
        /// Name of its cursor.
        reader: String,
        /// Until then.
        left: Duration,
    },
    /// There is room again.
    Returned {
        /// Name of its cursor.
        reader: String,
    },
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    /// Where growth is measured from.
    from: (Monotonic, u64),
    /// The next such place.
    next: (Monotonic, u64),
    is_low: bool,
}

/// What bounds the backlog of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that segments may take at most.
    pub bytes_max: u64,
    /// A reader that stood still for so long holds no segments any more.
    pub idle_max: Duration,
}

/// Readers by name, with what was last known of them.
#[derive(Debug, Default)]
pub struct CapacityWatch {
    readers: BTreeMap<String, Followed>,
}

impl CapacityWatch {
    /// Takes the backlogs of all readers at one time; readers that are not named are gone.
    pub fn on(&mut self, backlogs: &[Backlog], room: Room, now: Monotonic) -> Vec<CapacityNews> {
        let named = |name: &String| backlogs.iter().any(|one| one.reader == *name);
        self.readers.retain(|name, _| named(name));
        let news = backlogs.iter().filter_map(|one| self.look(one, room, now));
        news.collect()
    }

    fn look(&mut self, one: &Backlog, room: Room, now: Monotonic) -> Option<CapacityNews> {
        let place = (now, one.bytes);
        let known = self.readers.entry(one.reader.clone()).or_insert(Followed {
            from: place,
            next: place,
            is_low: false,
        });
        let left = loss_in(one, growth(known.from, place), room);
        if now.since(known.next.0) >= SPAN_MAX / 2 {
            (known.from, known.next) = (known.next, place);
        }
        let reader = one.reader.clone();
        match left {
            Some(left) if left <= WARN_BEFORE && !known.is_low => {
                known.is_low = true;
                Some(CapacityNews::Low { reader, left })
            }
            left if known.is_low && left.is_none_or(|left| left > OVER_BEYOND) => {
                known.is_low = false;
                Some(CapacityNews::Returned { reader })
            }
            _ => None,
        }
    }
}

/// How long until data is taken that this reader has not got, if its backlog grows like this, bytes
/// a second; `None`: it does not grow.
#[must_use]
pub fn loss_in(one: &Backlog, bytes_per_second: Option<f64>, room: Room) -> Option<Duration> {
    let rate = bytes_per_second.filter(|rate| *rate > 0.0 && one.bytes > 0)?;
    let free = room.bytes_max.saturating_sub(one.bytes);
    let full = Duration::try_from_secs_f64(free as f64 / rate).unwrap_or(Duration::MAX);
    Some(full.min(room.idle_max.saturating_sub(one.idle)))
}

fn growth((then, before): (Monotonic, u64), (now, bytes): (Monotonic, u64)) -> Option<f64> {
    let span = now.since(then);
    let grown = bytes.saturating_sub(before);
    (span >= SPAN_MIN).then(|| grown as f64 / span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;
    const MINUTE: u64 = 60;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000_000)
    }

    fn backlog(bytes: u64) -> Backlog {
        Backlog {
            reader: "uplink/up/emea".to_owned(),
            bytes,
            idle: Duration::ZERO,
        }
    }

    fn room(bytes_max: u64) -> Room {
        Room {
            bytes_max,
            idle_max: Duration::from_secs(1_000 * HOUR),
        }
    }

    /// A reader away from the first second on, one byte a second, looked at each minute; when it is
    /// told, and how much is left then, seconds.
    fn told(bytes_max: u64, seconds: u64) -> Option<(u64, u64)> {
        let mut watch = CapacityWatch::default();
        (0..seconds / MINUTE)
            .map(|minute| minute * MINUTE)
            .find_map(|now| {
                let news = watch.on(&[backlog(now + 1)], room(bytes_max), at(now));
                match news.as_slice() {
                    [CapacityNews::Low { left, .. }] => Some((now, left.as_secs())),
                    [] => None,
                    other => panic!("{other:?}"),
                }
            })
    }

    #[test]
    fn a_day_before_the_disk_takes_what_an_absent_reader_has_not_got_it_is_told() {
        let (when, left) = told(100 * HOUR, 100 * HOUR).unwrap();
        assert_eq!(when, 76 * HOUR, "24 hours before the 100th");
        assert!(left <= 24 * HOUR && left > 24 * HOUR - 2 * MINUTE, "{left}");
        assert_eq!(told(100 * HOUR, 75 * HOUR), None);
        let (when, _) = told(10 * HOUR, 10 * HOUR).unwrap();
        assert_eq!(
            when,
            5 * MINUTE,
            "a small disk is told of as soon as growth is known"
        );
    }

    #[test]
    fn it_is_told_once_and_once_more_when_it_is_over() {
        let mut watch = CapacityWatch::default();
        let mut on = |bytes, now| watch.on(&[backlog(bytes)], room(10 * HOUR), at(now));
        assert_eq!(on(1, 0), []);
        assert!(matches!(
            on(600, 600).as_slice(),
            [CapacityNews::Low { .. }]
        ));
        assert_eq!(on(1_200, 1_200), []);
        let reader = "uplink/up/emea".to_owned();
        assert_eq!(on(0, 1_260), [CapacityNews::Returned { reader }]);
        assert_eq!(on(0, 1_320), []);
    }

    #[test]
    fn a_reader_that_catches_up_is_no_reason_to_warn() {
        let mut watch = CapacityWatch::default();
        for minute in 0..300 {
            let left = 9 * HOUR - minute * 100;
            let news = watch.on(&[backlog(left)], room(10 * HOUR), at(minute * MINUTE));
            assert_eq!(news, [], "minute {minute}");
        }
    }

    #[test]
    fn a_reader_that_is_slower_than_data_comes_is_one() {
        let mut watch = CapacityWatch::default();
        let all: Vec<_> = (0..60)
            .flat_map(|minute| watch.on(&[backlog(1 + minute)], room(1_000), at(minute * MINUTE)))
            .collect();
        assert_eq!(all.len(), 1, "{all:?}");
    }

    #[test]
    fn a_reader_that_stood_still_too_long_loses_its_hold_whatever_room_there_is() {
        let one = Backlog {
            idle: Duration::from_secs(9 * HOUR),
            ..backlog(5)
        };
        let room = Room {
            bytes_max: u64::MAX,
            idle_max: Duration::from_secs(10 * HOUR),
        };
        let left = loss_in(&one, Some(1.0), room);
        assert_eq!(left, Some(Duration::from_secs(HOUR)));
        assert_eq!(loss_in(&one, None, room), None);
        assert_eq!(loss_in(&one, Some(0.0), room), None);
        assert_eq!(loss_in(&backlog(0), Some(1.0), room), None, "it has all");
    }

    #[test]
    fn a_reader_that_is_gone_is_forgotten() {
        let mut watch = CapacityWatch::default();
        watch.on(&[backlog(1)], room(10 * HOUR), at(0));
        assert_eq!(watch.on(&[], room(10 * HOUR), at(600)), []);
        assert_eq!(
            watch.on(&[backlog(600)], room(10 * HOUR), at(601)),
            [],
            "begins anew"
        );
    }
}
