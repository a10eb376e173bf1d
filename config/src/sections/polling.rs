//! `[[polling]]`: what is collected from which resources, how often.
//!
//! Does: declare the kinds and their keys, and check what concerns two of them. Does not: poll.
//! In: tables of the text. Out: [`PollingConfig`].

use std::time::Duration;

use ocelli_model::filter::Filter;

use crate::filter::RowsFilter;
use crate::number::{Interval, Port, Timeout};
use crate::reading::Reading;
use crate::section::{Keys, section};
use crate::tags::Tags;
use crate::value::Name;

/// A run may take this share of its interval where nothing else is said: in tenths.
const DEADLINE_TENTHS: u32 = 9;

/// One `[[polling]]`.
#[derive(Debug, Clone, PartialEq)]
pub enum PollingConfig {
    /// `kind = "snmp"`.
    Snmp(SnmpPolling),
    /// `kind = "host"`.
    Host(HostPolling),
}

section! {
    /// A device profile read over SNMP.
    pub struct SnmpPolling {
        /// Name of the plugin, unique among pollings.
        pub name: Name,
        /// The profile: a built-in one (`ocelli plugins list` names them) or the path of a file
        /// (with a `/` or ending in `.yaml`), relative to this file.
        pub profile: Name,
        /// How often each resource is polled: the length of a slot.
        pub every: Interval = "60s",
        /// Which resources. Default: all.
        pub filter: Option<Filter>,
        /// Which rows of the profile's tables, by the group's dimension names as fields; applied
        /// before the other columns are read. Default: all.
        pub rows: Option<RowsFilter>,
        /// Names with values that every collected row gets as dimensions. Not part of a series'
        /// identity: an edited tag goes on in the same series.
        pub tags: Tags,
        /// Longest wait for one reply, in place of `snmp.timeout`.
        pub timeout: Option<Timeout>,
        /// UDP port for resources that name none. Default: `snmp.port`.
        pub port: Option<Port>,
        /// How long one run may take, at most `every`. Default: 0.9 × `every`.
        pub deadline: Option<Timeout>,
    }
}

section! {
    /// This Linux machine, from /proc and /sys. Without a filter it polls the node itself, which
    /// is a resource of its own.
    pub struct HostPolling {
        /// Name of the plugin, unique among pollings.
        pub name: Name,
        /// How often: the length of a slot.
        pub every: Interval = "60s",
        /// Which resources. Default: the node itself.
        pub filter: Option<Filter>,
        /// Names with values that every collected row gets as dimensions. Not part of a series'
        /// identity: an edited tag goes on in the same series.
        pub tags: Tags,
        /// How long one run may take, at most `every`. Default: 0.9 × `every`.
        pub deadline: Option<Timeout>,
    }
}

impl PollingConfig {
    /// The plugin's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        match self {
            Self::Snmp(polling) => &polling.name,
            Self::Host(polling) => &polling.name,
        }
    }

    /// The length of a slot.
    #[must_use]
    pub const fn every(&self) -> Interval {
        match self {
            Self::Snmp(polling) => polling.every,
            Self::Host(polling) => polling.every,
        }
    }

    /// Which resources; `None`: all, or the node itself for `host`.
    #[must_use]
    pub const fn filter(&self) -> Option<&Filter> {
        match self {
            Self::Snmp(polling) => polling.filter.as_ref(),
            Self::Host(polling) => polling.filter.as_ref(),
        }
    }

    /// Dimensions of every collected row.
    #[must_use]
    pub const fn tags(&self) -> &Tags {
        match self {
            Self::Snmp(polling) => &polling.tags,
            Self::Host(polling) => &polling.tags,
        }
    }

    /// How long a run may take when slots are `every` long; never longer than that.
    #[must_use]
    pub fn deadline_of(&self, every: Duration) -> Duration {
        let given = match self {
            Self::Snmp(polling) => polling.deadline,
            Self::Host(polling) => polling.deadline,
        };
        given.map_or(every / 10 * DEADLINE_TENTHS, |deadline| {
            deadline.get().min(every)
        })
    }
}

/// Runs of a pair never overlap: a deadline beyond the interval cannot be.
pub(crate) fn check_deadline(polling: &PollingConfig, keys: &Keys<'_>, reading: &mut Reading<'_>) {
    let given = match polling {
        PollingConfig::Snmp(polling) => polling.deadline,
        PollingConfig::Host(polling) => polling.deadline,
    };
    if given.is_some_and(|deadline| deadline.get() > polling.every().get()) {
        let span = keys.span_of("deadline");
        reading.wrong(
            span,
            "the deadline is longer than every",
            "shorten it or leave it out",
        );
    }
}
