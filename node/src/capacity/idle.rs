//! When a reader that stands still lets go of the segments that it holds.
//!
//! Does: say once that a reader comes near `bus.cursor_idle_max`, and once that it is beyond it.
//! Does not: read the bus, report (assembly), let go (`bus` does, by the same rule).
//! In: backlogs at one time. Out: [`IdleNews`]. Pure. A reader that has all stands still for good
//! reason: nothing is told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Backlog;

/// It is near at so many quarters of the time that it may stand still: with the default of a day
/// there are six hours to bring it back.
const NEAR_QUARTERS: u32 = 3;

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdleNews {
    /// It will let go.
    Near {
        /// Name of its cursor.
        reader: String,
        /// How long it has stood still.
        idle: Duration,
        /// Until it lets go.
        left: Duration,
    },
    /// It holds nothing any more.
    Released {
        /// Name of its cursor.
        reader: String,
        /// How long it has stood still.
        idle: Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Moving,
    Near,
    Released,
}

/// Readers by name, with what was last told of them.
#[derive(Debug, Default)]
pub struct IdleWatch {
    readers: BTreeMap<String, Standing>,
}

impl IdleWatch {
    /// Takes the backlogs of all readers at one time; readers that are not named are gone.
    pub fn on(&mut self, backlogs: &[Backlog], idle_max: Duration) -> Vec<IdleNews> {
        let before = std::mem::take(&mut self.readers);
        let mut news = Vec::new();
        for one in backlogs {
            let now = standing(one, idle_max);
            let known = before.get(&one.reader).copied();
            self.readers.insert(one.reader.clone(), now);
            if now <= known.unwrap_or(Standing::Moving) {
                continue;
            }
            let (reader, idle) = (one.reader.clone(), one.idle);
            news.extend(match now {
                Standing::Moving => None,
                Standing::Near => Some(IdleNews::Near {
                    reader,
                    idle,
                    left: idle_max.saturating_sub(idle),
                }),
                Standing::Released => Some(IdleNews::Released { reader, idle }),
            });
        }
        news
    }
}

/// Whether a reader that has stood still for `idle` keeps segments from retention.
#[must_use]
pub fn holds(idle: Duration, idle_max: Duration) -> bool {
    idle <= idle_max
}

fn standing(one: &Backlog, idle_max: Duration) -> Standing {
    if one.bytes == 0 {
        Standing::Moving
    } else if !holds(one.idle, idle_max) {
        Standing::Released
    } else if one.idle >= idle_max / 4 * NEAR_QUARTERS {
        Standing::Near
    } else {
        Standing::Moving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn backlog(bytes: u64, hours: u32) -> Backlog {
        Backlog {
            reader: "uplink/up/emea".to_owned(),
            bytes,
            idle: HOUR * hours,
        }
    }

    #[test]
    fn a_reader_that_stands_still_is_told_once_before_and_once_after_it_lets_go() {
        let mut watch = IdleWatch::default();
        let mut on = |bytes, hours| watch.on(&[backlog(bytes, hours)], HOUR * 24);
        let reader = || "uplink/up/emea".to_owned();
        let near = |hours: u32| IdleNews::Near {
            reader: reader(),
            idle: HOUR * hours,
            left: HOUR * (24 - hours),
        };
        let released = |hours: u32| IdleNews::Released {
            reader: reader(),
            idle: HOUR * hours,
        };
        assert_eq!(on(5, 17), []);
        assert_eq!(on(5, 18), [near(18)]);
        assert_eq!(on(5, 19), []);
        assert_eq!(on(5, 24), [], "up to the limit it holds");
        assert_eq!(on(5, 25), [released(25)]);
        assert_eq!(on(5, 26), []);
        assert_eq!(on(5, 0), [], "it is back");
        assert_eq!(on(5, 30), [released(30)], "away for a second time");
        assert_eq!(on(0, 60), [], "it has all");
    }

    #[test]
    fn a_reader_that_was_forgotten_begins_anew() {
        let mut watch = IdleWatch::default();
        assert_eq!(watch.on(&[backlog(5, 20)], HOUR * 24).len(), 1);
        assert_eq!(watch.on(&[], HOUR * 24), []);
        assert_eq!(watch.on(&[backlog(5, 20)], HOUR * 24).len(), 1);
    }
}
