//! A configuration as text again: every key with its effective value.
//!
//! Does: list sections and values as TOML, secrets redacted. Does not: say where a value is from
//! (`effective`).
//! In: a [`Config`]. Out: [`ShownSection`]s in the order of the reference.

use crate::config::Config;
use crate::section::Section;
use crate::sections::credentials::SnmpCredentialConfig;
use crate::sections::discovery::{DiscoveryConfig, EnrichmentConfig};
use crate::sections::polling::PollingConfig;

/// One section or one item of an array table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSection {
    /// Its header, such as `[bus]` or `[[polling]]`.
    pub title: &'static str,
    /// Path of its keys, such as `bus` or `polling[0]`.
    pub path: String,
    /// Keys and values as TOML; keys without a value are left out.
    pub values: Vec<(&'static str, String)>,
}

/// All of it. Secrets show where they are, or `[redacted]`.
#[must_use]
pub fn show(config: &Config) -> Vec<ShownSection> {
    let mut shown = vec![
        single("[node]", "node", &config.node),
        single("[listen]", "listen", &config.listen),
    ];
    mesh(&mut shown, config);
    shown.push(single("[bus]", "bus", &config.bus));
    shown.push(single("[snmp]", "snmp", &config.snmp));
    items(
        &mut shown,
        "[[device]]",
        "device",
        &config.devices,
        Section::values,
    );
    items(
        &mut shown,
        "[[discovery]]",
        "discovery",
        &config.discoveries,
        discovery,
    );
    items(
        &mut shown,
        "[[enrichment]]",
        "enrichment",
        &config.enrichments,
        enrichment,
    );
    items(
        &mut shown,
        "[[polling]]",
        "polling",
        &config.pollings,
        polling,
    );
    let credentials = &config.snmp_credentials;
    items(
        &mut shown,
        "[[credentials.snmp]]",
        "credentials.snmp",
        credentials,
        credential,
    );
    shown
}

/// Neighbours, and those who read.
fn mesh(shown: &mut Vec<ShownSection>, config: &Config) {
    if let Some(identity) = &config.identity {
        shown.push(single("[identity]", "identity", identity));
    }
    shown.push(single("[ca]", "ca", &config.ca));
    items(
        shown,
        "[[upstream]]",
        "upstream",
        &config.upstreams,
        Section::values,
    );
    items(shown, "[[peer]]", "peer", &config.peers, Section::values);
    items(
        shown,
        "[[origin]]",
        "origin",
        &config.origins,
        Section::values,
    );
    shown.push(single("[http]", "http", &config.http));
    items(
        shown,
        "[[http.access]]",
        "http.access",
        &config.accesses,
        Section::values,
    );
}

/// Keys and values of one item, its deciding key first.
pub(crate) type Values = Vec<(&'static str, String)>;

fn single(title: &'static str, path: &str, section: &impl Section) -> ShownSection {
    ShownSection {
        title,
        path: path.to_owned(),
        values: section.values(),
    }
}

fn items<T>(
    shown: &mut Vec<ShownSection>,
    title: &'static str,
    path: &str,
    items: &[T],
    values: fn(&T) -> Values,
) {
    shown.extend(items.iter().enumerate().map(|(index, item)| ShownSection {
        title,
        path: format!("{path}[{index}]"),
        values: values(item),
    }));
}

fn with(key: &'static str, word: &str, section: &impl Section) -> Values {
    let mut values = vec![(key, crate::value::quoted(word))];
    values.extend(section.values());
    values
}

pub(crate) fn discovery(discovery: &DiscoveryConfig) -> Values {
    match discovery {
        DiscoveryConfig::Json(section) => with("kind", "json", section),
        DiscoveryConfig::Static(section) => with("kind", "static", section),
    }
}

pub(crate) fn enrichment(enrichment: &EnrichmentConfig) -> Values {
    match enrichment {
        EnrichmentConfig::Snmp(section) => with("kind", "snmp", section),
    }
}

pub(crate) fn polling(polling: &PollingConfig) -> Values {
    match polling {
        PollingConfig::Snmp(section) => with("kind", "snmp", section),
        PollingConfig::Host(section) => with("kind", "host", section),
    }
}

pub(crate) fn credential(credential: &SnmpCredentialConfig) -> Values {
    match credential {
        SnmpCredentialConfig::V1(section) => with("version", "1", section),
        SnmpCredentialConfig::V2c(section) => with("version", "2c", section),
        SnmpCredentialConfig::V3(section) => with("version", "3", section),
    }
}
