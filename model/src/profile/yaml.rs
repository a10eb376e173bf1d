//! YAML as an untyped tree that keeps places and the text of scalars as written.
//!
//! Does: refuse what native files must not have (anchors, aliases, tags, duplicate keys, keys that
//! are no scalars), hold every limit. Does not: know what keys mean (`native`), guess types: `1.3`
//! stays the text it is.
//! In: text of at most [`FILE_BYTES_MAX`]. Out: [`Node`], or the first [`Finding`].
//! No recursion: the parser gives events, a stack of open collections takes them.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::diagnostic::{Code, Finding, Place};

/// Largest profile: twenty times the largest of the 202 files that operators share in public.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting; the native format needs seven.
pub(crate) const DEPTH_MAX: usize = 24;
/// Most keys of one mapping: looking for a duplicate compares with each.
pub(crate) const KEYS_MAX: usize = 4_096;
/// Most scalars and collections: bounds memory at about 10 MiB.
pub(crate) const NODES_MAX: usize = 100_000;

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text as written; `is_plain` if without quotes.
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; no key twice.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) text: String,
    pub(crate) is_plain: bool,
}

impl Key {
    /// Whether YAML 1.2's core schema reads this as something other than text.
    pub(crate) fn is_text(&self) -> bool {
        !self.is_plain || !is_core_literal(&self.text)
    }
}

/// Null, booleans and numbers of the core schema (YAML 1.2.2 §10.3.2).
pub(crate) fn is_core_literal(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE",
    ];
    let is_number = text.parse::<f64>().is_ok() && text.ends_with(|end: char| end.is_ascii_digit());
    WORDS.contains(&text) || is_number || text.starts_with("0x") || text.starts_with("0o")
}

/// Reads one document.
pub(crate) fn parse(text: &str) -> Result<Node, Finding> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes; {FILE_BYTES_MAX} is the limit, split it",
            text.len()
        );
        return Err(Finding::new(Code::Limit, Place::default(), "", message));
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let place = Place {
                line: error.marker().line(),
                column: error.marker().col() + 1,
            };
            Finding::new(Code::Syntax, place, "", error.info())
        })?;
        builder.take(event, place_of(span))?;
    }
    let empty = || {
        Finding::new(
            Code::Syntax,
            Place { line: 1, column: 1 },
            "",
            "the file is empty",
        )
    };
    builder.root.ok_or_else(empty)
}

fn place_of(span: Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

/// A collection whose end has not come yet.
struct Open {
    node: Node,
    /// In a mapping: the key whose value comes next.
    key: Option<Key>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Finding> {
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
            Event::Alias(_) => Err(self.refused_anchor(place)),
            Event::Scalar(_, _, anchor, ref tag) if anchor != 0 || tag.is_some() => {
                Err(self.refused_anchor(place))
            }
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag)
                if anchor != 0 || tag.is_some() =>
            {
                Err(self.refused_anchor(place))
            }
            Event::Scalar(text, style, _, _) => self.scalar(text.into_owned(), style, place),
            Event::SequenceStart(..) => self.begin(Value::List(Vec::new()), place),
            Event::MappingStart(..) => self.begin(Value::Map(Vec::new()), place),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(ended) => self.place_value(ended.node),
                None => Ok(()),
            },
        }
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, place: Place) -> Result<(), Finding> {
        self.count(place)?;
        let is_plain = style == ScalarStyle::Plain;
        if self.expects_key() {
            return self.begin_pair(Key {
                place,
                text,
                is_plain,
            });
        }
        let value = Value::Scalar { text, is_plain };
        self.place_value(Node { place, value })
    }

    fn begin(&mut self, value: Value, place: Place) -> Result<(), Finding> {
        self.count(place)?;
        if self.expects_key() {
            let message = "a key must be a word; write it without brackets";
            return Err(Finding::new(Code::Name, place, &self.path(), message));
        }
        if self.open.len() >= DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} levels; flatten it");
            return Err(Finding::new(Code::Limit, place, &self.path(), message));
        }
        self.open.push(Open {
            node: Node { place, value },
            key: None,
        });
        Ok(())
    }

    fn begin_pair(&mut self, key: Key) -> Result<(), Finding> {
        let path = self.path();
        if let Some(Open {
            node: Node {
                value: Value::Map(pairs),
                ..
            },
            key: open,
        }) = self.open.last_mut()
        {
            if let Some((first, _)) = pairs.iter().find(|(other, _)| other.text == key.text) {
                let message = format!(
                    "key {:?} stands at line {} already; keep one",
                    key.text, first.place.line
                );
                return Err(Finding::new(Code::DuplicateKey, key.place, &path, message));
            }
            if pairs.len() >= KEYS_MAX {
                let message = format!("more than {KEYS_MAX} keys in one mapping; split it");
                return Err(Finding::new(Code::Limit, key.place, &path, message));
            }
            *open = Some(key);
        }
        Ok(())
    }

    fn place_value(&mut self, node: Node) -> Result<(), Finding> {
        match self.open.last_mut() {
            None if self.root.is_some() => {
                let message = "a second document begins here; keep one in a file";
                Err(Finding::new(Code::Syntax, node.place, "", message))
            }
            None => {
                self.root = Some(node);
                Ok(())
            }
            Some(open) => {
                match (&mut open.node.value, open.key.take()) {
                    (Value::List(items), _) => items.push(node),
                    (Value::Map(pairs), Some(key)) => pairs.push((key, node)),
                    // A value without a key cannot come: `expects_key` turned it into one.
                    (Value::Map(_) | Value::Scalar { .. }, _) => {}
                }
                Ok(())
            }
        }
    }

    fn expects_key(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| matches!(open.node.value, Value::Map(_)) && open.key.is_none())
    }

    fn count(&mut self, place: Place) -> Result<(), Finding> {
        self.nodes += 1;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let message = format!("more than {NODES_MAX} values; split the file");
        Err(Finding::new(Code::Limit, place, "", message))
    }

    fn refused_anchor(&self, place: Place) -> Finding {
        let message = "anchors, aliases and tags are not read; write the value out";
        Finding::new(Code::Anchor, place, &self.path(), message)
    }

    /// Keys and positions of what is open.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match (&open.node.value, &open.key) {
                (Value::List(items), _) => path.push_str(&format!("[{}]", items.len())),
                (_, Some(key)) => {
                    let dot = if path.is_empty() { "" } else { "." };
                    path.push_str(dot);
                    path.push_str(&key.text);
                }
                (_, None) => {}
            }
        }
        path
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
