//! Walks the merged tree section by section, item by item.
//!
//! Does: read single sections and array tables, park what is bad in these, check what concerns two
//! sections. Does not: know keys (`sections`), join sources (`merge`).
//! In: the findings so far, with their sources. Out: a [`Config`], parked items, places of keys.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Parked;
use crate::config::Config;
use crate::future::later_section;
use crate::kinds::{read_discovery, read_enrichment, read_polling, read_snmp_credential};
use crate::merge::merge;
use crate::reading::Reading;
use crate::section::{Keys, Section, Setting};
use crate::sections::credentials::SnmpCredentialConfig;
use crate::sections::discovery::{DiscoveryConfig, StaticResource, check_resource};
use crate::sections::federation::{
    CaConfig, IdentityConfig, OriginConfig, UpstreamConfig, check_ca, check_derived,
    check_identity, check_neighbour, check_roots, check_shares, check_upstream,
};
use crate::sections::http::{AccessConfig, HttpConfig, check_access, check_listen};
use crate::sections::snmp::DeviceConfig;
use crate::source::{Place, SourceId, SourceKind, Span};
use crate::tree::{Entry, Node, Table, Value};

/// Items of one array table; discovery by file is the way to more.
const ITEMS_MAX: usize = 20_000;

/// The top level of a configuration.
const SECTIONS: [&str; 15] = [
    "node",
    "listen",
    "identity",
    "ca",
    "http",
    "bus",
    "upstream",
    "peer",
    "origin",
    "snmp",
    "device",
    "discovery",
    "enrichment",
    "polling",
    "credentials",
];

/// Reads one configuration; afterwards it holds what was found.
pub(super) struct Loader<'a> {
    pub(super) reading: Reading<'a>,
    pub(super) parked: Vec<Parked>,
    pub(super) places: BTreeMap<String, Place>,
}

impl<'a> Loader<'a> {
    pub(super) const fn new(reading: Reading<'a>) -> Self {
        Self {
            reading,
            parked: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    pub(super) fn config(&mut self) -> Option<Config> {
        let mut table = merge(self.reading.sources(), &mut self.reading);
        self.refuse_unknown_sections(&table);
        let listen_table = table.get("listen").cloned();
        // A bad identity is told once, not again by everything that needs one.
        let has_identity = table.get("identity").is_some();
        let node = self.section(&mut table, "node", "[node]");
        let listen = self.section(&mut table, "listen", "[listen]");
        let identity = self.identity(&mut table);
        let ca = self.ca(&mut table);
        let (http, accesses) = self.http(&mut table);
        let bus = self.section(&mut table, "bus", "[bus]");
        let snmp = self.section(&mut table, "snmp", "[snmp]");
        if let (Some(listen), Some(http), Some(entry)) = (&listen, &http, &listen_table) {
            with_keys(entry, "[listen]", |keys| {
                let given = (listen, keys);
                check_listen(given, http, !accesses.is_empty(), &mut self.reading);
                check_identity(given, has_identity, &mut self.reading);
            });
        }
        let pollings = self.named_items(&mut table, "polling", &read_polling);
        let has_peers = table.get("peer").is_some();
        let upstreams = self.named_items(&mut table, "upstream", &|keys, reading| {
            check_neighbour(keys, has_identity, reading);
            let upstream: UpstreamConfig = Section::read(keys, reading)?;
            check_upstream(&upstream, keys, reading);
            check_derived(&upstream, keys, (&pollings, has_peers), reading);
            Some(upstream)
        });
        let peers = self.named_items(&mut table, "peer", &|keys, reading| {
            check_neighbour(keys, has_identity, reading);
            Section::read(keys, reading)
        });
        let credentials = self.credentials(&mut table);
        Some(Config {
            upstreams,
            peers,
            origins: self.items(&mut table, "origin", &|keys, reading| {
                let origin: OriginConfig = Section::read(keys, reading)?;
                check_shares(&origin, keys, reading);
                Some(origin)
            }),
            devices: self.items(&mut table, "device", &|keys, reading| {
                DeviceConfig::read(keys, reading)
            }),
            discoveries: self.discoveries(&mut table),
            enrichments: self.named_items(&mut table, "enrichment", &read_enrichment),
            pollings,
            snmp_credentials: credentials,
            node: node?,
            listen: listen?,
            identity,
            ca: ca?,
            http: http?,
            accesses,
            bus: bus?,
            snmp: snmp?,
        })
    }

    // === The mesh and the API ===

    /// `None` if the section is not there; a bad one is an error of the whole.
    fn identity(&mut self, table: &mut Table) -> Option<IdentityConfig> {
        let given = table.get("identity").cloned()?;
        let identity: Option<IdentityConfig> = self.section(table, "identity", "[identity]");
        if let Some(identity) = &identity {
            with_keys(&given, "[identity]", |keys| {
                check_roots(identity, keys, &mut self.reading);
            });
        }
        identity
    }

    fn ca(&mut self, table: &mut Table) -> Option<CaConfig> {
        let given = table.get("ca").cloned();
        let ca = self.section(table, "ca", "[ca]")?;
        if let Some(given) = &given {
            with_keys(given, "[ca]", |keys| check_ca(&ca, keys, &mut self.reading));
        }
        Some(ca)
    }

    /// A bad access is parked by itself: nobody gets in by it, and the API goes on.
    fn http(&mut self, table: &mut Table) -> (Option<HttpConfig>, Vec<AccessConfig>) {
        let accesses = match table.get_mut("http").map(|entry| &mut entry.node.value) {
            Some(Value::Table(http)) => take(http, "access"),
            _ => None,
        };
        let http: Option<HttpConfig> = self.section(table, "http", "[http]");
        let has_client_ca = http
            .as_ref()
            .and_then(|http| http.tls.as_ref())
            .is_some_and(|tls| tls.client_ca.is_some());
        let Some(accesses) = accesses else {
            return (http, Vec::new());
        };
        let title = "[[http.access]]";
        let read = |keys: &Keys<'_>, reading: &mut Reading<'_>| {
            let access: AccessConfig = Section::read(keys, reading)?;
            check_access(&access, keys, has_client_ca, reading);
            Some(access)
        };
        let read = with_names(&read);
        let accesses = self.items_of(accesses.node, "http.access", title, &read);
        (http, accesses)
    }

    fn refuse_unknown_sections(&mut self, table: &Table) {
        for entry in &table.entries {
            let name = entry.key.as_str();
            if SECTIONS.contains(&name) {
                continue;
            }
            if let Some(later) = later_section(name) {
                let reason = format!("section {name:?} is not in this version");
                self.reading.wrong(entry.key_span, reason, later);
                continue;
            }
            let remedy = ocelli_model::suggest::nearest(name, SECTIONS).map_or_else(
                || format!("the sections are: {}", SECTIONS.join(", ")),
                |nearest| format!("did you mean {nearest:?}?"),
            );
            let shown: String = name.chars().take(64).collect();
            self.reading
                .wrong(entry.key_span, format!("unknown section {shown:?}"), remedy);
        }
    }

    // === Single sections ===

    fn section<T: Section>(&mut self, table: &mut Table, key: &str, title: &str) -> Option<T> {
        let entry = take(table, key).unwrap_or_else(empty_entry);
        let Value::Table(section) = &entry.node.value else {
            let reason = format!("{key:?} is {}, not a section", entry.node.value.kind());
            self.reading
                .wrong(entry.node.span, reason, format!("write {title} once"));
            return None;
        };
        let keys = Keys {
            title,
            span: entry.node.span,
            table: section,
        };
        let read = T::read(&keys, &mut self.reading);
        self.note_places(key, section);
        read
    }

    fn note_places(&mut self, path: &str, table: &Table) {
        for entry in &table.entries {
            let is_default = self
                .reading
                .sources()
                .get(entry.key_span.source)
                .is_none_or(|source| source.kind == SourceKind::Default);
            if !is_default {
                let place = self.reading.sources().place(entry.key_span);
                self.places.insert(format!("{path}.{}", entry.key), place);
            }
        }
    }

    // === Array tables ===

    fn items<T>(
        &mut self,
        table: &mut Table,
        key: &str,
        read: &dyn Fn(&Keys<'_>, &mut Reading<'_>) -> Option<T>,
    ) -> Vec<T> {
        let title = format!("[[{key}]]");
        let Some(entry) = take(table, key) else {
            return Vec::new();
        };
        self.items_of(entry.node, key, &title, read)
    }

    fn items_of<T>(
        &mut self,
        node: Node,
        path: &str,
        title: &str,
        read: &dyn Fn(&Keys<'_>, &mut Reading<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Value::Array(nodes) = node.value else {
            let reason = format!("expected {title}, found {}", node.value.kind());
            self.reading
                .wrong(node.span, reason, format!("write each as {title}"));
            return Vec::new();
        };
        if nodes.len() > ITEMS_MAX {
            let reason = format!("{} items of {title} are too many", nodes.len());
            self.reading
                .wrong(node.span, reason, format!("keep at most {ITEMS_MAX}"));
            return Vec::new();
        }
        let mut items = Vec::new();
        for (position, node) in nodes.iter().enumerate() {
            let earlier = self.reading.take_errors();
            let item = read_item(node, title, read, &mut self.reading);
            let problems = self.reading.take_errors();
            self.reading.put_back(earlier);
            match item {
                Some(item) if problems.is_empty() => {
                    if let Value::Table(table) = &node.value {
                        self.note_places(&format!("{path}[{}]", items.len()), table);
                    }
                    items.push(item);
                }
                _ => self.parked.push(Parked {
                    section: title.to_owned(),
                    number: position + 1,
                    name: name_of(node),
                    problems,
                }),
            }
        }
        items
    }

    /// Items whose names must differ: the second of a name is parked.
    fn named_items<T>(
        &mut self,
        table: &mut Table,
        key: &str,
        read: &dyn Fn(&Keys<'_>, &mut Reading<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.items(table, key, &with_names(read))
    }

    /// A bad resource of a static discovery is parked by itself, not its whole discovery.
    fn discoveries(&mut self, table: &mut Table) -> Vec<DiscoveryConfig> {
        let title = "[[discovery.resource]]";
        if let Some(Value::Array(nodes)) = table
            .get_mut("discovery")
            .map(|entry| &mut entry.node.value)
        {
            for node in nodes {
                let Value::Table(discovery) = &mut node.value else {
                    continue;
                };
                let Some(entry) = discovery.get_mut("resource") else {
                    continue;
                };
                let Value::Array(resources) = &mut entry.node.value else {
                    continue;
                };
                let good = self.good_resources(std::mem::take(resources), title);
                *resources = good;
            }
        }
        self.named_items(table, "discovery", &read_discovery)
    }

    fn good_resources(&mut self, resources: Vec<Node>, title: &str) -> Vec<Node> {
        let mut good = Vec::new();
        for (position, node) in resources.into_iter().enumerate() {
            let earlier = self.reading.take_errors();
            let resource = <StaticResource as Setting>::read(&node, &mut self.reading);
            if let Some(resource) = &resource {
                check_resource(resource, node.span, &mut self.reading);
            }
            let problems = self.reading.take_errors();
            self.reading.put_back(earlier);
            if problems.is_empty() && resource.is_some() {
                good.push(node);
            } else {
                let name = name_of(&node);
                let section = title.to_owned();
                self.parked.push(Parked {
                    section,
                    number: position + 1,
                    name,
                    problems,
                });
            }
        }
        good
    }

    fn credentials(&mut self, table: &mut Table) -> Vec<SnmpCredentialConfig> {
        let Some(entry) = take(table, "credentials") else {
            return Vec::new();
        };
        let title = "[[credentials.snmp]]";
        let Value::Table(mut kinds) = entry.node.value else {
            let reason = format!("\"credentials\" is {}", entry.node.value.kind());
            self.reading
                .wrong(entry.node.span, reason, format!("write each as {title}"));
            return Vec::new();
        };
        let snmp = take(&mut kinds, "snmp");
        let keys = Keys {
            title: "credentials",
            span: entry.node.span,
            table: &kinds,
        };
        keys.refuse_unknown(&[], &mut self.reading);
        snmp.map_or_else(Vec::new, |entry| {
            self.items_of(entry.node, "credentials.snmp", title, &read_snmp_credential)
        })
    }
}

// === Small parts ===

/// Reads items whose names must differ.
fn with_names<'r, T>(
    read: &'r dyn Fn(&Keys<'_>, &mut Reading<'_>) -> Option<T>,
) -> impl Fn(&Keys<'_>, &mut Reading<'_>) -> Option<T> + use<'r, T> {
    let names = RefCell::new(BTreeMap::<String, Span>::new());
    move |keys, reading| {
        let item = read(keys, reading)?;
        let Some(Value::Text(name)) = keys.table.get("name").map(|entry| &entry.node.value) else {
            return Some(item);
        };
        let span = keys.span_of("name");
        if let Some(first) = names.borrow().get(name) {
            let first = reading.sources().place(*first);
            let reason = format!("the name {name:?} is taken, first at {first}");
            reading.wrong(span, reason, "choose another name");
            return None;
        }
        names.borrow_mut().insert(name.clone(), span);
        Some(item)
    }
}

fn read_item<T>(
    node: &Node,
    title: &str,
    read: &dyn Fn(&Keys<'_>, &mut Reading<'_>) -> Option<T>,
    reading: &mut Reading<'_>,
) -> Option<T> {
    let Value::Table(table) = &node.value else {
        let reason = format!("expected {title}, found {}", node.value.kind());
        reading.wrong(node.span, reason, format!("write each as {title}"));
        return None;
    };
    read(
        &Keys {
            title,
            span: node.span,
            table,
        },
        reading,
    )
}

fn with_keys(entry: &Entry, title: &str, check: impl FnOnce(&Keys<'_>)) {
    if let Value::Table(table) = &entry.node.value {
        check(&Keys {
            title,
            span: entry.node.span,
            table,
        });
    }
}

/// What people know an item by.
fn name_of(node: &Node) -> Option<String> {
    let Value::Table(table) = &node.value else {
        return None;
    };
    let text = |key| match table.get(key).map(|entry| &entry.node.value) {
        Some(Value::Text(text)) => Some(text.chars().take(128).collect()),
        _ => None,
    };
    text("name")
        .or_else(|| text("id"))
        .or_else(|| text("endpoint"))
}

fn take(table: &mut Table, key: &str) -> Option<Entry> {
    let position = table.entries.iter().position(|entry| entry.key == key)?;
    Some(table.entries.remove(position))
}

fn empty_entry() -> Entry {
    let span = Span {
        source: SourceId(0),
        start: 0,
        end: 0,
    };
    Entry {
        key: String::new(),
        key_span: span,
        node: Node {
            span,
            value: Value::Table(Table::default()),
        },
    }
}
