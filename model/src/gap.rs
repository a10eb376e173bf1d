//! Gaps: slots without a batch, each with its cause.
//!
//! Does: the closed list of causes with their text form, the gap over a slot range, and the rule by
//! which neighbours merge. Does not: decide when a slot is lost (`actors`), store gaps (`bus`).
//! In: what ended a slot. Out: [`Gap`], printed as `cause` or `cause/detail` (`auth/wrong_digest`).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::slot::{Epoch, SlotMs};

/// Longest detail of a cause, bytes; what is longer is cut at a character.
pub const DETAIL_BYTES_MAX: usize = 256;

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $text:literal,)+) => {
        /// Why a slot has no batch. Numbers are those on disk; they never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum GapKind { $($(#[$doc])* $variant = $number,)+ }

        impl GapKind {
            /// Every cause, in the order of their numbers.
            pub const ALL: &'static [GapKind] = &[$(GapKind::$variant,)+];

            /// The name in records, API and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(GapKind::$variant => $text,)+ }
            }

            /// The cause with this number on disk.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(GapKind::$variant),)+ _ => None }
            }

            /// The cause with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(GapKind::$variant),)+ _ => None }
            }
        }
    };
}

causes! {
    /// The device did not answer in time.
    Timeout = 1 "timeout",
    /// The device refused the credential; the detail says which part.
    Auth = 2 "auth",
    /// The endpoint's name has no address.
    Dns = 3 "dns",
    /// The device's load budget was used up by other collections.
    Budget = 4 "budget",
    /// The run was still going at its deadline and had no row yet.
    Overrun = 5 "overrun",
    /// The plugin failed or panicked; the detail says how.
    PluginError = 6 "plugin_error",
    /// No eligible node owns the resource.
    NoOwner = 7 "no_owner",
    /// Between two owners.
    Handover = 8 "handover",
    /// The node was restarted as planned.
    Restart = 9 "restart",
    /// A resource that this one depends on is down, or it is known to be down itself.
    ResourceDown = 10 "resource_down",
    /// The node died with data that nobody else holds.
    LostNode = 11 "lost_node",
    /// Deleted by retention before a reader took it.
    Retention = 12 "retention",
    /// The data directory went back in time.
    Rollback = 13 "rollback",
    /// An operator declared maintenance.
    Maintenance = 14 "maintenance",
    /// Shed under load.
    Overload = 15 "overload",
    /// The disk was full.
    DiskFull = 16 "disk_full",
    /// Plugin, resource or configuration item is parked.
    Parked = 17 "parked",
    /// The device answered what is no valid answer.
    BadReply = 18 "bad_reply",
    /// The address is closed or unreachable (ICMP said so).
    Unreachable = 19 "unreachable",
    /// The device has none of what the plugin reads.
    NoData = 20 "no_data",
}

/// A cause with its detail. Prints as `timeout` or `auth/wrong_digest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GapCause {
    /// The cause proper.
    pub kind: GapKind,
    /// More about it, at most [`DETAIL_BYTES_MAX`] bytes; empty if there is nothing to add.
    detail: Cow<'static, str>,
}

impl GapCause {
    /// A cause with a fixed detail.
    #[must_use]
    pub const fn with(kind: GapKind, detail: &'static str) -> Self {
        Self {
            kind,
            detail: Cow::Borrowed(detail),
        }
    }

    /// A cause with a detail made at run time, cut to [`DETAIL_BYTES_MAX`]; line breaks and other
    /// control characters become spaces.
    #[must_use]
    pub fn because(kind: GapKind, detail: &str) -> Self {
        let mut clean = String::with_capacity(detail.len().min(DETAIL_BYTES_MAX));
        for character in detail.chars() {
            let shown = if character.is_control() {
                ' '
            } else {
                character
            };
            if clean.len() + shown.len_utf8() > DETAIL_BYTES_MAX {
                break;
            }
            clean.push(shown);
        }
        Self {
            kind,
            detail: Cow::Owned(clean),
        }
    }

    /// The detail, maybe empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<GapKind> for GapCause {
    fn from(kind: GapKind) -> Self {
        Self::with(kind, "")
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.as_str())?;
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(formatter, "/{}", self.detail)
        }
    }
}

impl Serialize for GapCause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GapCause {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (name, detail) = text.split_once('/').unwrap_or((&text, ""));
        let kind = GapKind::from_name(name)
            .ok_or_else(|| serde::de::Error::custom(format_args!("unknown gap cause {name:?}")))?;
        Ok(Self::because(kind, detail))
    }
}

/// A range of slots of one (resource, plugin) without batches. The pair stands in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// First slot without a batch.
    pub first: SlotMs,
    /// Last slot without a batch, `first` or later, on the same grid.
    pub last: SlotMs,
    /// Interval of the slots, ms.
    pub interval_ms: u32,
    /// Under which plan entry the slots were owned.
    pub epoch: Epoch,
    /// Why.
    pub cause: GapCause,
}

impl Gap {
    /// A gap of one slot.
    #[must_use]
    pub fn of_slot(slot: SlotMs, interval_ms: u32, epoch: Epoch, cause: GapCause) -> Self {
        Self {
            first: slot,
            last: slot,
            interval_ms,
            epoch,
            cause,
        }
    }

    /// How many slots it covers.
    #[must_use]
    pub fn slots(&self) -> u64 {
        let span = (self.last.0 - self.first.0) / i64::from(self.interval_ms.max(1));
        u64::try_from(span).unwrap_or(0) + 1
    }

    /// Takes `next` in if it goes on where this gap ends, for the same cause, interval and epoch.
    pub fn try_merge(&mut self, next: &Gap) -> bool {
        let adjacent = self.last.0 + i64::from(self.interval_ms) == next.first.0;
        let is_same = self.interval_ms == next.interval_ms
            && self.epoch == next.epoch
            && self.cause == next.cause;
        if adjacent && is_same {
            self.last = next.last;
        }
        adjacent && is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_comes_back_from_its_number_and_its_name() {
        for kind in GapKind::ALL {
            assert_eq!(GapKind::from_number(*kind as u8), Some(*kind));
            assert_eq!(GapKind::from_name(kind.as_str()), Some(*kind));
        }
    }

    #[test]
    fn adjacent_slots_merge_only_for_one_cause() {
        let gap =
            |slot, kind: GapKind| Gap::of_slot(SlotMs(slot), 10, Epoch::default(), kind.into());
        let mut first = gap(0, GapKind::Timeout);
        assert!(first.try_merge(&gap(10, GapKind::Timeout)));
        assert!(
            !first.try_merge(&gap(30, GapKind::Timeout)),
            "a slot lies between"
        );
        assert!(!first.try_merge(&gap(20, GapKind::Auth)), "another cause");
        assert_eq!(
            (first.first, first.last, first.slots()),
            (SlotMs(0), SlotMs(10), 2)
        );
    }

    #[test]
    fn a_detail_is_cut_and_stripped_of_control_characters() {
        let cause = GapCause::because(GapKind::PluginError, &"ä\n".repeat(200));
        assert!(cause.detail().len() <= DETAIL_BYTES_MAX && !cause.detail().contains('\n'));
        let json = serde_json::to_string(&GapCause::with(GapKind::Auth, "wrong_digest")).unwrap();
        assert_eq!(json, "\"auth/wrong_digest\"");
        let back: GapCause = serde_json::from_str(&json).unwrap();
        assert_eq!(back, GapCause::with(GapKind::Auth, "wrong_digest"));
    }
}
