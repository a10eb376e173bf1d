//! `[polling.tags]`: attributes that all rows of a polling plugin share.
//!
//! Does: read names and values that can stand beside any group's dimensions. Does not: know the
//! dimensions of a profile (the plugin's schema refuses what it has itself).
//! In: a TOML table. Out: [`Tags`].
//! Invariant: no name is one that readers give to something else (`resource_…`, `__…`).

use std::collections::BTreeMap;

use ocelli_model::schema::is_key_name;

use crate::reading::Reading;
use crate::section::Setting;
use crate::tree::{Entry, Node, Value};
use crate::value::Labels;

/// Tags of one plugin: at most 64, each name a letter or `_`, then letters, digits, `_`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Labels);

impl Tags {
    /// Names with their values, which are not empty.
    #[must_use]
    pub const fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl Setting for Tags {
    fn kind() -> String {
        Labels::kind()
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let labels = Labels::read(node, reading)?;
        let mut is_whole = true;
        if let Value::Table(table) = &node.value {
            for entry in &table.entries {
                let value = labels.get(&entry.key).map_or("", String::as_str);
                is_whole &= !refuse(entry, value, reading);
            }
        }
        is_whole.then_some(Self(labels))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn show(&self) -> Option<String> {
        self.0.show()
    }
}

/// Whether the tag cannot be one; then it is recorded why.
fn refuse(entry: &Entry, value: &str, reading: &mut Reading<'_>) -> bool {
    let name = &entry.key;
    let (reason, remedy) = if !is_key_name(name) {
        let remedy = "a name is a letter or _, then letters, digits, _";
        (format!("{name:?} is no name of a dimension"), remedy)
    } else if name.starts_with("resource_") || name.starts_with("__") {
        let remedy = "names that begin with resource_ or __ belong to ocelli and its readers";
        (format!("the tag {name:?} has a reserved name"), remedy)
    } else if value.is_empty() {
        let remedy = "give it a value or leave it out; an empty dimension is an absent one";
        (format!("the tag {name:?} is empty"), remedy)
    } else {
        return false;
    };
    reading.wrong(entry.key_span, reason, remedy);
    true
}
