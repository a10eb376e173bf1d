//! From texts to a [`Config`]: every finding at once, bad items parked, the rest running.
//!
//! Does: walk the merged tree section by section, item by item. Does not: read files (`source`),
//! open secrets (`secret`), or choose between this and the last good copy (`last_good`).
//! In: [`Sources`]. Out: [`Loaded`], or [`Invalid`] when the whole cannot be used.
//! Invariant (promise P10): a bad item of an array table costs itself only.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::Config;
use crate::future::later_section;
use crate::kinds::{read_discovery, read_enrichment, read_polling, read_snmp_credential};
use crate::merge::merge;
use crate::problem::Problem;
use crate::reading::Reading;
use crate::section::{Keys, Section, Setting};
use crate::sections::credentials::SnmpCredentialConfig;
use crate::sections::discovery::{DiscoveryConfig, StaticResource};
use crate::sections::node::{check_listen, check_tier};
use crate::sections::snmp::DeviceConfig;
use crate::source::{Place, Source, SourceId, SourceKind, Sources, Span};
use crate::tree::{Entry, Node, Table, Value};

/// Items of one array table; discovery by file is the way to more.
const ITEMS_MAX: usize = 20_000;

/// The top level of a configuration.
const SECTIONS: [&str; 10] = [
    "node",
    "listen",
    "http",
    "bus",
    "snmp",
    "device",
    "discovery",
    "enrichment",
    "polling",
    "credentials",
];

/// What a configuration is read with.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The machine's host name: `node.name` where nothing else sets it.
    pub hostname: &'a str,
    /// Refuses the whole for one bad item, as `--strict` and `config check` do.
    pub is_strict: bool,
}

/// A configuration that can run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Items that were refused; the rest runs without them.
    pub parked: Vec<Parked>,
    /// What is taken but should be changed.
    pub warnings: Vec<Problem>,
    /// The texts that it was read from.
    pub sources: Sources,
    places: BTreeMap<String, Place>,
}

/// An item of an array table that is left out, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The array table, such as `[[polling]]`.
    pub section: String,
    /// Which of its items in the order of the text, from 1.
    pub number: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Why.
    pub problems: Vec<Problem>,
}

/// A configuration that cannot be used, with all that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Where a key was set, by its path: `snmp.timeout`, `polling[0].every` (the index counts the
    /// items of [`Config`]). `None`: it has its default.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }
}

impl fmt::Display for Parked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} number {}", self.section, self.number)?;
        self.name
            .as_ref()
            .map_or(Ok(()), |name| write!(formatter, " ({name:?})"))?;
        let reasons = if self.problems.len() == 1 {
            "is"
        } else {
            "are"
        };
        write!(
            formatter,
            " is parked; {} {reasons} wrong",
            self.problems.len()
        )
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n\n" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Reads `sources` as one configuration.
///
/// # Errors
/// [`Invalid`] with every finding: a text that is no TOML, an unknown section, a bad value outside
/// the array tables; when strict, also any bad item.
pub fn load(mut sources: Sources, options: LoadOptions<'_>) -> Result<Loaded, Invalid> {
    sources.push(host_name_source(options.hostname));
    let mut loader = Loader {
        reading: Reading::new(&sources),
        parked: Vec::new(),
        places: BTreeMap::new(),
    };
    let config = loader.config();
    let Loader {
        mut reading,
        parked,
        places,
    } = loader;
    let mut problems = reading.take_errors();
    if options.is_strict {
        problems.extend(parked.iter().flat_map(|item| item.problems.iter().cloned()));
    }
    let warnings = reading.take_warnings();
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            parked,
            warnings,
            sources,
            places,
        }),
        _ => Err(Invalid { problems }),
    }
}

/// The weakest source of all, though it comes last: a default never overrides.
fn host_name_source(hostname: &str) -> Source {
    Source {
        kind: SourceKind::Default,
        text: format!("node.name = {}\n", crate::value::quoted(hostname)),
        base: std::path::PathBuf::new(),
    }
}

struct Loader<'a> {
    reading: Reading<'a>,
    parked: Vec<Parked>,
    places: BTreeMap<String, Place>,
}

impl Loader<'_> {
    fn config(&mut self) -> Option<Config> {
        let mut table = merge(self.reading.sources(), &mut self.reading);
        self.refuse_unknown_sections(&table);
        let listen_table = table.get("listen").cloned();
        let node_table = table.get("node").cloned();
        let node = self.section(&mut table, "node", "[node]");
        let listen = self.section(&mut table, "listen", "[listen]");
        let http = self.section(&mut table, "http", "[http]");
        let bus = self.section(&mut table, "bus", "[bus]");
        let snmp = self.section(&mut table, "snmp", "[snmp]");
        if let (Some(node), Some(entry)) = (&node, &node_table) {
            with_keys(entry, "[node]", |keys| {
                check_tier(node, keys, &mut self.reading)
            });
        }
        if let (Some(listen), Some(http), Some(entry)) = (&listen, &http, &listen_table) {
            with_keys(entry, "[listen]", |keys| {
                check_listen(listen, http, keys, &mut self.reading);
            });
        }
        let credentials = self.credentials(&mut table);
        Some(Config {
            devices: self.items(&mut table, "device", &|keys, reading| {
                DeviceConfig::read(keys, reading)
            }),
            discoveries: self.discoveries(&mut table),
            enrichments: self.named_items(&mut table, "enrichment", &read_enrichment),
            pollings: self.named_items(&mut table, "polling", &read_polling),
            snmp_credentials: credentials,
            node: node?,
            listen: listen?,
            http: http?,
            bus: bus?,
            snmp: snmp?,
        })
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
        let names = std::cell::RefCell::new(BTreeMap::<String, Span>::new());
        self.items(table, key, &|keys, reading| {
            let item = read(keys, reading)?;
            let Some(Value::Text(name)) = keys.table.get("name").map(|entry| &entry.node.value)
            else {
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
        })
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
            let problems = self.reading.take_errors();
            self.reading.put_back(earlier);
            if resource.is_some() {
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
