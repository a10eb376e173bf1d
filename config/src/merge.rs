//! Several texts as one tree: files side by side, overrides on top.
//!
//! Does: join tables, append array tables, let an override win, and refuse a key that two files
//! set. Does not: know any key.
//! In: the trees of all sources, weakest first. Out: one [`Table`]; errors name both places.

use crate::reading::Reading;
use crate::source::{SourceKind, Sources, Span};
use crate::tree::{self, Entry, Node, Table, Value};

/// Parses and joins all sources. Syntax errors are recorded; what could be read is joined.
pub(crate) fn merge(sources: &Sources, reading: &mut Reading<'_>) -> Table {
    let mut merged = Table::default();
    for (id, source) in sources.iter() {
        let (table, errors) = tree::parse(id, &source.text);
        for error in errors {
            let remedy = "mend the TOML here; strings need quotes, tables a [name] of their own";
            reading.wrong(error.span, error.message, remedy);
        }
        join(&mut merged, table, reading);
    }
    merged
}

fn join(into: &mut Table, from: Table, reading: &mut Reading<'_>) {
    for entry in from.entries {
        match into.get_mut(&entry.key) {
            Some(present) => join_entry(present, entry, reading),
            None => into.entries.push(entry),
        }
    }
}

fn join_entry(present: &mut Entry, entry: Entry, reading: &mut Reading<'_>) {
    let is_same_text = present.node.span.source == entry.node.span.source;
    let new_strength = strength(reading, entry.node.span);
    let old_strength = strength(reading, present.node.span);
    match (&mut present.node.value, entry.node.value) {
        (Value::Table(into), Value::Table(from)) => join(into, from, reading),
        (Value::Array(into), Value::Array(from)) if all_tables(into) && all_tables(&from) => {
            into.extend(from);
        }
        // The parser has refused it already, or a default gives way.
        _ if is_same_text || new_strength < old_strength => {}
        (_, value) if new_strength > old_strength => {
            present.key_span = entry.key_span;
            present.node = Node {
                span: entry.node.span,
                value,
            };
        }
        _ => {
            let first = reading.sources().place(present.key_span);
            let reason = format!("key {:?} is set twice, first at {first}", present.key);
            reading.wrong(entry.key_span, reason, "keep one of the two");
        }
    }
}

fn all_tables(nodes: &[Node]) -> bool {
    nodes
        .iter()
        .all(|node| matches!(node.value, Value::Table(_)))
}

/// Sources of a higher number win over those of a lower one; options win among themselves in
/// their order.
fn strength(reading: &Reading<'_>, span: Span) -> usize {
    let kind = reading
        .sources()
        .get(span.source)
        .map(|source| &source.kind);
    match kind {
        None | Some(SourceKind::Default) => 0,
        Some(SourceKind::File(_)) => 1,
        Some(SourceKind::Environment(_)) => 2,
        Some(SourceKind::CommandLine) => 3 + span.source.0,
    }
}
