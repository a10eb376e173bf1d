//! `[snmp]` and `[[device]]`: how SNMP sessions behave, by default and for some devices.
//!
//! Does: declare the keys. Does not: decide which override wins (`effective`).
//! In: tables of the text. Out: [`SnmpConfig`], [`DeviceConfig`].

use std::net::IpAddr;

use ocelli_model::filter::Filter;

use crate::number::{Count, Interval, Port, Timeout};
use crate::section::section;

/// Tries after the first; more would outlast every slot.
pub type Retries = Count<0, 10>;
/// Rows asked for in one GETBULK.
pub type MaxRepetitions = Count<1, 500>;
/// Requests of one device that may be on their way at once.
pub type InFlight = Count<1, 4>;
/// Requests to one device in a second.
pub type PacketsPerSecond = Count<1, 100_000>;

section! {
    /// Defaults of every SNMP session.
    pub struct SnmpConfig {
        /// Longest wait for one reply; the wait in use follows the measured round trip and is
        /// never longer.
        pub timeout: Timeout = "2s",
        /// How often a request is sent again when no reply came.
        pub retries: Retries = 2,
        /// UDP port where neither the resource (`snmp_port`), its endpoint nor the plugin names
        /// one.
        pub port: Port = 161,
        /// Upper bound of max-repetitions in a GETBULK; halved on tooBig and on time-outs, per
        /// device.
        pub max_repetitions: MaxRepetitions = 25,
        /// Requests to one device at once, all plugins together.
        pub in_flight: InFlight = 1,
        /// Requests to one device in a second, all plugins together; what does not fit its slot
        /// ends as a `budget` gap.
        pub packets_per_second: PacketsPerSecond = 100,
        /// Local address that requests leave from. Default: the system chooses.
        pub source: Option<IpAddr>,
    }
}

section! {
    /// Overrides for the devices that a filter matches. Later entries win, key by key.
    pub struct DeviceConfig {
        /// Which resources.
        pub filter: Filter,
        /// As `snmp.timeout`.
        pub timeout: Option<Timeout>,
        /// As `snmp.retries`.
        pub retries: Option<Retries>,
        /// As `snmp.port`.
        pub port: Option<Port>,
        /// As `snmp.max_repetitions`.
        pub max_repetitions: Option<MaxRepetitions>,
        /// As `snmp.in_flight`.
        pub in_flight: Option<InFlight>,
        /// As `snmp.packets_per_second`.
        pub packets_per_second: Option<PacketsPerSecond>,
        /// As `snmp.source`.
        pub source: Option<IpAddr>,
        /// Interval of every polling of these devices, in place of the plugin's own.
        pub every: Option<Interval>,
    }
}
