//! A TOML text as a tree in which every key and value knows its place.
//!
//! Does: parse with the `toml` crate, go on after an error, and give an owned tree whose entries
//! stand in the order of the text. Does not: know any key (`section`), merge texts (`merge`).
//! In: one [`Source`](crate::source::Source). Out: a [`Table`] and the syntax errors.
//! Invariant: no text of the tree is lost, so a later message can name any place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::source::{SourceId, Span};

/// One value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What TOML can say.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    /// A float, a date, or an integer beyond 64 bits: nothing takes one, so the kind suffices.
    Other(&'static str),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
}

/// Keys and values in the order of the text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

/// `key = value`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

/// A place where the text is no TOML.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) span: Span,
    pub(crate) message: String,
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }
}

impl Value {
    /// The kind with its article, for "expected …, found …".
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Other(kind) => kind,
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Parses `text`. With errors the tree holds what could still be understood.
pub(crate) fn parse(source: SourceId, text: &str) -> (Table, Vec<SyntaxError>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let errors = errors
        .iter()
        .map(|error| {
            let range = error.span().unwrap_or(text.len()..text.len());
            SyntaxError {
                span: span_in(source, text, &range),
                message: error.message().to_owned(),
            }
        })
        .collect();
    (Reader { source, text }.table(document.get_ref()), errors)
}

/// Converts the parser's tree; its depth is bounded by the parser's own limit of nesting.
struct Reader<'a> {
    source: SourceId,
    text: &'a str,
}

impl Reader<'_> {
    fn table(&self, table: &DeTable<'_>) -> Table {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_span: span_in(self.source, self.text, &key.span()),
                node: self.node(value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        Table { entries }
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        Node {
            span: span_in(self.source, self.text, &value.span()),
            value: match value.get_ref() {
                DeValue::String(text) => Value::Text(text.to_string()),
                DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                    .map_or(Value::Other("an integer beyond 64 bits"), Value::Integer),
                DeValue::Float(_) => Value::Other("a fraction"),
                DeValue::Boolean(flag) => Value::Boolean(*flag),
                DeValue::Datetime(_) => Value::Other("a date"),
                DeValue::Array(items) => {
                    Value::Array(items.iter().map(|item| self.node(item)).collect())
                }
                DeValue::Table(table) => Value::Table(self.table(table)),
            },
        }
    }
}

/// The parser's range, clamped to the text and to the borders of characters.
fn span_in(source: SourceId, text: &str, range: &std::ops::Range<usize>) -> Span {
    let start = border(text, range.start);
    let end = border(text, range.end).max(start);
    Span { source, start, end }
}

fn border(text: &str, index: usize) -> usize {
    let index = index.min(text.len());
    (0..=index)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
