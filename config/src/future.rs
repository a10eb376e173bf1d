//! Sections and keys that are designed but not built yet.
//!
//! Does: tell them apart from typing mistakes, so that nobody hunts for a spelling. Does not:
//! accept any of them: a setting without effect would be a lie.
//! In: a section's title and a key. Out: what to do, or `None` for a name that means nothing.

/// Sections of later versions.
const LATER_SECTIONS: [&str; 7] = [
    "acknowledgement",
    "check",
    "federation",
    "maintenance",
    "mesh",
    "notifier",
    "sink",
];

/// Keys of later versions with the title of their section.
const LATER_KEYS: [(&str, &str); 7] = [
    ("[node]", "role"),
    ("[bus]", "copies"),
    ("[bus]", "mirror"),
    ("[bus]", "readers_max"),
    ("credentials", "http"),
    ("credentials", "gnmi"),
    ("credentials", "ssh"),
];

/// Kinds of plugins of later versions.
const LATER_KINDS: [&str; 17] = [
    "csv",
    "http",
    "dns",
    "prometheus_sd",
    "netbox",
    "snmp_sweep",
    "exec",
    "ping",
    "gnmi",
    "tcp",
    "tls",
    "trap",
    "influxdb",
    "kafka",
    "opentsdb",
    "prometheus",
    "smtp",
];

const REMEDY: &str = "remove it, or comment it out until a version has it";

/// The remedy for a section that a later version has.
pub(crate) fn later_section(name: &str) -> Option<&'static str> {
    LATER_SECTIONS.contains(&name).then_some(REMEDY)
}

/// The remedy for a key that a later version has.
pub(crate) fn later_key(title: &str, key: &str) -> Option<&'static str> {
    LATER_KEYS.contains(&(title, key)).then_some(REMEDY)
}

/// The remedy for a kind of plugin that a later version has.
pub(crate) fn later_kind(kind: &str) -> Option<&'static str> {
    LATER_KINDS.contains(&kind).then_some(REMEDY)
}
