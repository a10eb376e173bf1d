//! What changed between two configurations, by section, item and key.
//!
//! Does: tell added, removed and changed items by their names, and which keys of single sections
//! changed, so that a reload touches nothing else. Does not: carry it out.
//! In: the old and the new [`Config`]. Out: [`Difference`], printable; secrets redacted.
//! Invariant: two equal configurations have an empty difference.

use std::collections::BTreeMap;
use std::fmt;

use ocelli_model::secret::REDACTED;

use crate::config::Config;
use crate::section::Section;
use crate::sections::federation::{OriginConfig, PeerConfig, UpstreamConfig};
use crate::sections::http::AccessConfig;
use crate::show::{self, Values};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key of a single section has another value.
    Key {
        /// Such as `snmp.timeout`.
        path: String,
        /// As TOML; `None`: not set before.
        old: Option<String>,
        /// As TOML; `None`: not set any more.
        new: Option<String>,
    },
    /// An item of an array table is new.
    Added {
        /// The array table and the item's name.
        item: Item,
    },
    /// An item is gone.
    Removed {
        /// The array table and the item's name.
        item: Item,
    },
    /// An item has other values.
    Changed {
        /// The array table and the item's name.
        item: Item,
        /// Its keys that differ.
        keys: Vec<&'static str>,
    },
    /// The same items in another order, where the order counts.
    Reordered {
        /// The array table.
        section: &'static str,
    },
}

/// An item of an array table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The array table, such as `polling`.
    pub section: &'static str,
    /// Its name; for items without one `number N`, counted from 1.
    pub name: String,
}

/// All changes, sections in the order of the reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Empty: nothing changed.
    pub changes: Vec<Change>,
}

impl Difference {
    /// Whether the two are the same.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Keys that take effect only at a start: listeners, the data directory, names, threads.
    pub fn needs_restart(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().filter_map(|change| match change {
            Change::Key { path, .. }
                if path.starts_with("node.") && path != "node.labels"
                    || path.starts_with("listen.") =>
            {
                Some(path.as_str())
            }
            _ => None,
        })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.section, self.name)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        match self {
            Self::Key { path, old, new } => {
                write!(formatter, "~ {path}: {} -> {}", shown(old), shown(new))
            }
            Self::Added { item } => write!(formatter, "+ {item}"),
            Self::Removed { item } => write!(formatter, "- {item}"),
            Self::Changed { item, keys } => write!(formatter, "~ {item}: {}", keys.join(", ")),
            Self::Reordered { section } => write!(formatter, "~ {section}: another order"),
        }
    }
}

/// The changes that lead from `old` to `new`.
#[must_use]
pub fn difference(old: &Config, new: &Config) -> Difference {
    let mut changes = Vec::new();
    keys(&mut changes, "node", &old.node, &new.node);
    keys(&mut changes, "listen", &old.listen, &new.listen);
    identity(&mut changes, old, new);
    keys(&mut changes, "ca", &old.ca, &new.ca);
    neighbours(&mut changes, old, new);
    keys(&mut changes, "http", &old.http, &new.http);
    let accesses = Kind {
        section: "http.access",
        name: |item: &AccessConfig| Some(item.name.to_string()),
        values: Section::values,
    };
    items(&mut changes, &accesses, &old.accesses, &new.accesses);
    keys(&mut changes, "bus", &old.bus, &new.bus);
    keys(&mut changes, "snmp", &old.snmp, &new.snmp);
    let devices = Kind {
        section: "device",
        name: |_| None,
        values: Section::values,
    };
    items(&mut changes, &devices, &old.devices, &new.devices);
    let discoveries = Kind {
        section: "discovery",
        name: |item: &crate::sections::discovery::DiscoveryConfig| Some(item.name().to_string()),
        values: show::discovery,
    };
    items(
        &mut changes,
        &discoveries,
        &old.discoveries,
        &new.discoveries,
    );
    let enrichments = Kind {
        section: "enrichment",
        name: |item: &crate::sections::discovery::EnrichmentConfig| Some(item.name().to_string()),
        values: show::enrichment,
    };
    items(
        &mut changes,
        &enrichments,
        &old.enrichments,
        &new.enrichments,
    );
    let pollings = Kind {
        section: "polling",
        name: |item: &crate::sections::polling::PollingConfig| Some(item.name().to_string()),
        values: show::polling,
    };
    items(&mut changes, &pollings, &old.pollings, &new.pollings);
    let credentials = Kind {
        section: "credentials.snmp",
        name: |item: &crate::sections::credentials::SnmpCredentialConfig| {
            item.name().map(ToString::to_string)
        },
        values: show::credential,
    };
    items(
        &mut changes,
        &credentials,
        &old.snmp_credentials,
        &new.snmp_credentials,
    );
    Difference { changes }
}

/// The section may be absent; a secret written down differs without showing so.
fn identity(changes: &mut Vec<Change>, old: &Config, new: &Config) {
    let values = |config: &Config| -> BTreeMap<&str, String> {
        let section = config.identity.as_ref();
        section.into_iter().flat_map(Section::values).collect()
    };
    let before = changes.len();
    changed_values(changes, "identity", (values(old), values(new)));
    if old.identity != new.identity && changes.len() == before {
        changes.push(Change::Key {
            path: "identity.token".to_owned(),
            old: Some(REDACTED.to_owned()),
            new: Some(REDACTED.to_owned()),
        });
    }
}

fn neighbours(changes: &mut Vec<Change>, old: &Config, new: &Config) {
    let upstreams = Kind {
        section: "upstream",
        name: |item: &UpstreamConfig| Some(item.name.to_string()),
        values: Section::values,
    };
    items(changes, &upstreams, &old.upstreams, &new.upstreams);
    let peers = Kind {
        section: "peer",
        name: |item: &PeerConfig| Some(item.name.to_string()),
        values: Section::values,
    };
    items(changes, &peers, &old.peers, &new.peers);
    let origins = Kind {
        section: "origin",
        name: |item: &OriginConfig| Some(item.site.to_string()),
        values: Section::values,
    };
    items(changes, &origins, &old.origins, &new.origins);
}

/// How the items of one array table are told apart and printed.
struct Kind<T> {
    section: &'static str,
    name: fn(&T) -> Option<String>,
    values: fn(&T) -> Values,
}

fn keys<T: Section>(changes: &mut Vec<Change>, section: &str, old: &T, new: &T) {
    let values = |of: &T| of.values().into_iter().collect();
    changed_values(changes, section, (values(old), values(new)));
}

fn changed_values(
    changes: &mut Vec<Change>,
    section: &str,
    (old, new): (BTreeMap<&str, String>, BTreeMap<&str, String>),
) {
    let all: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    for key in all {
        let (old, new) = (old.get(key), new.get(key));
        if old != new {
            let (old, new) = (old.cloned(), new.cloned());
            changes.push(Change::Key {
                path: format!("{section}.{key}"),
                old,
                new,
            });
        }
    }
}

fn items<T: PartialEq>(changes: &mut Vec<Change>, kind: &Kind<T>, old: &[T], new: &[T]) {
    let old = named(kind, old);
    let new = named(kind, new);
    for (name, item) in &old {
        let found = new
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, item)| *item);
        let item_name = Item {
            section: kind.section,
            name: name.clone(),
        };
        match found {
            None => changes.push(Change::Removed { item: item_name }),
            Some(found) if found != *item => {
                let keys = changed_keys(&(kind.values)(item), &(kind.values)(found));
                changes.push(Change::Changed {
                    item: item_name,
                    keys,
                });
            }
            Some(_) => {}
        }
    }
    let is_old = |name: &String| old.iter().any(|(other, _)| other == name);
    for (name, _) in new.iter().filter(|(name, _)| !is_old(name)) {
        let item = Item {
            section: kind.section,
            name: name.clone(),
        };
        changes.push(Change::Added { item });
    }
    let is_new = |name: &String| new.iter().any(|(other, _)| other == name);
    let old_order = old.iter().map(|(name, _)| name).filter(|name| is_new(name));
    let new_order = new.iter().map(|(name, _)| name).filter(|name| is_old(name));
    if !old_order.eq(new_order) {
        changes.push(Change::Reordered {
            section: kind.section,
        });
    }
}

fn named<'a, T>(kind: &Kind<T>, items: &'a [T]) -> Vec<(String, &'a T)> {
    let numbered = items.iter().enumerate();
    numbered
        .map(|(index, item)| {
            let name = (kind.name)(item).map(|name| format!("{name:?}"));
            (
                name.unwrap_or_else(|| format!("number {}", index + 1)),
                item,
            )
        })
        .collect()
}

/// A secret written down differs without showing so: then the keys that may hold one are named.
fn changed_keys(old: &Values, new: &Values) -> Vec<&'static str> {
    let differs = |one: &Values, two: &Values| -> Vec<&'static str> {
        one.iter()
            .filter(|value| !two.contains(value))
            .map(|(key, _)| *key)
            .collect()
    };
    let mut keys = differs(old, new);
    keys.extend(differs(new, old));
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        let secret = |key: &&'static str| ["community", "auth", "priv", "token"].contains(key);
        keys = new.iter().map(|(key, _)| *key).filter(secret).collect();
    }
    keys
}
